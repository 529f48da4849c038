/* Masks in files and on models: what is written is read again, what does not fit changes nothing.
 */
#include <coppice/data.h>
#include <coppice/masks.h>

#include <unistd.h>

#include "base/file.h"
#include "wire.h"

static char folder[64], path[80];
static coppice_error err;

static void setup(void) {
    strcpy(folder, "/tmp/coppice-masks-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/masks.npz", folder);
    err = (coppice_error){0};
}

static void teardown(void) {
    unlink(path);
    ck_assert_int_eq(rmdir(folder), 0); /* fails when a temporary file was left behind */
}

static coppice_masks *new_masks(void) {
    coppice_masks *masks;
    ck_assert_int_eq(coppice_masks_new(&masks, &err), COPPICE_OK);
    return masks;
}

static void add(coppice_masks *masks, const char *name, int64_t rows, int64_t columns,
                const uint8_t *kept) {
    coppice_tensor t = {
        .type = COPPICE_TYPE_UINT8, .rank = 2, .dims = {rows, columns}, .data = (void *)kept};
    ck_assert_int_eq(coppice_masks_add(masks, name, &t, &err), COPPICE_OK);
}

/* ---- files ---- */

START_TEST(masks_survive_a_file_and_the_file_is_always_the_same) {
    enum { MANY = 200003 }; /* more than one piece, and no multiple of 64 */
    uint8_t *kept = calloc(MANY, 1), *back = calloc(MANY, 1);
    for (int i = 0; i < MANY; i++)
        kept[i] = i * 7 % 5 == 0 || i == MANY - 1;
    coppice_masks *masks = new_masks(), *loaded;
    add(masks, "a/b.weight", 1, MANY, kept);
    add(masks, "empty", 0, 3, kept);
    ck_assert_int_eq(coppice_masks_save(masks, path, false, &err), COPPICE_OK);
    ck_assert_int_eq(coppice_masks_save(masks, path, false, &err), COPPICE_EXISTS);
    cop_mapping first, second;
    ck_assert_int_eq(cop_mapping_open(path, &first, &err), COPPICE_OK);
    ck_assert_int_eq(coppice_masks_save(masks, path, true, &err), COPPICE_OK);
    ck_assert_int_eq(cop_mapping_open(path, &second, &err), COPPICE_OK);
    ck_assert_uint_eq(first.bytes, second.bytes);
    ck_assert_mem_eq(first.data, second.data, first.bytes);
    cop_mapping_close(&first);
    cop_mapping_close(&second);

    ck_assert_int_eq(coppice_masks_load(path, &loaded, &err), COPPICE_OK);
    ck_assert_uint_eq(coppice_masks_count(loaded), 2);
    ck_assert_str_eq(coppice_masks_name(loaded, 0), "a/b.weight");
    ck_assert_int_eq(coppice_masks_zeros(loaded, 0), coppice_masks_zeros(masks, 0));
    coppice_masks_read(loaded, 0, back);
    ck_assert_mem_eq(back, kept, MANY);
    ck_assert_int_eq(coppice_masks_info(loaded, 1).dims[1], 3);
    coppice_masks_free(loaded);
    coppice_masks_free(masks);
    free(kept);
    free(back);
}
END_TEST

START_TEST(any_number_type_of_zeros_and_ones_is_a_mask) {
    static const float floats[] = {0, 1, -0.0f, 1};
    static const int64_t longs[] = {0, 1, 0, 1};
    static const uint8_t flags[] = {0, 1, 0, 1};
    static const struct {
        coppice_type type;
        const void *data;
    } cases[] = {{COPPICE_TYPE_FLOAT, floats},
                 {COPPICE_TYPE_INT64, longs},
                 {COPPICE_TYPE_INT8, flags},
                 {COPPICE_TYPE_BOOL, flags}};
    const char *name = "w";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        coppice_tensor t = {
            .type = cases[i].type, .rank = 2, .dims = {2, 2}, .data = (void *)cases[i].data};
        coppice_masks *masks;
        uint8_t kept[4];
        ck_assert_int_eq(coppice_npz_write(path, 1, &name, &t, true, &err), COPPICE_OK);
        ck_assert_int_eq(coppice_masks_load(path, &masks, &err), COPPICE_OK);
        coppice_masks_read(masks, 0, kept);
        ck_assert_mem_eq(kept, flags, 4);
        coppice_masks_free(masks);
    }
}
END_TEST

START_TEST(other_values_and_types_are_refused_with_the_name_of_the_array) {
    static const float half[] = {0, 1, 0.5f, 1}, complex_numbers[] = {0, 0, 1, 0, 0, 0, 1, 0};
    static const int8_t minus[] = {0, 1, -1, 1};
    static const struct {
        coppice_type type;
        const void *data;
        coppice_status status;
        const char *text;
    } cases[] = {
        {COPPICE_TYPE_FLOAT, half, COPPICE_BAD_DATA, "array 'conv1': element 2 is neither 0 nor 1"},
        {COPPICE_TYPE_INT8, minus, COPPICE_BAD_DATA, "element 2"},
        {COPPICE_TYPE_COMPLEX64, complex_numbers, COPPICE_UNSUPPORTED, "is complex64"}};
    const char *name = "conv1";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        coppice_tensor t = {
            .type = cases[i].type, .rank = 1, .dims = {4}, .data = (void *)cases[i].data};
        coppice_masks *masks;
        ck_assert_int_eq(coppice_npz_write(path, 1, &name, &t, true, &err), COPPICE_OK);
        ck_assert_int_eq(coppice_masks_load(path, &masks, &err), cases[i].status);
        ck_assert_ptr_null(masks);
        ck_assert_msg(strstr(err.message, cases[i].text) != NULL, "%s", err.message);
        ck_assert_str_eq(err.file, path);
    }
}
END_TEST

/* ---- on a model ---- */

/* Initializers: float32 "w" [2,3] = 1 2 3 4 5 6, float16 "h" [1,2] = 1 -1, int64 "i" [2]. */
static coppice_model *three_tensors(void) {
    static const float w[] = {1, 2, 3, 4, -5, 6};
    static const uint16_t h[] = {0x3c00, 0xbc00};
    static const int64_t i[] = {1, 2};
    wire g = wire_graph(), t = wire_tensor("w", COPPICE_TYPE_FLOAT, 2, 2, 3);
    wire_bytes(&t, TENSOR_RAW, w, sizeof w);
    wire_message(&g, GRAPH_INITIALIZER, t);
    t = wire_tensor("h", COPPICE_TYPE_FLOAT16, 2, 1, 2);
    wire_bytes(&t, TENSOR_RAW, h, sizeof h);
    wire_message(&g, GRAPH_INITIALIZER, t);
    wire_message(&g, GRAPH_INITIALIZER, wire_raw_tensor("i", COPPICE_TYPE_INT64, 2, i, sizeof i));
    return wire_load(wire_model(g));
}

static void expect_floats(coppice_model *model, const float *expected) {
    ck_assert_mem_eq(wire_constant(model, "w")->tensor.data, expected, 6 * sizeof *expected);
}

START_TEST(masks_zero_the_weights_of_their_name_and_count_what_was_not_zero) {
    static const uint8_t kept[] = {1, 0, 1, 1, 0, 1}, kept_h[] = {1, 0};
    static const float pruned[] = {1, 0, 3, 4, 0, 6};
    coppice_model *model = three_tensors();
    coppice_masks *masks = new_masks();
    add(masks, "w", 2, 3, kept);
    add(masks, "h", 1, 2, kept_h);
    int64_t violations;
    ck_assert_int_eq(coppice_masks_apply(masks, model, &violations, &err), COPPICE_OK);
    ck_assert_int_eq(violations, 3);
    expect_floats(model, pruned);
    static const uint16_t h[] = {0x3c00, 0};
    ck_assert_mem_eq(wire_constant(model, "h")->tensor.data, h, sizeof h);
    ck_assert(wire_constant(model, "w")->dirty);

    float minus_zero = -0.0f; /* is a zero, and becomes +0.0 */
    memcpy((char *)wire_constant(model, "w")->tensor.data + 4, &minus_zero, sizeof minus_zero);
    ck_assert_int_eq(coppice_masks_apply(masks, model, &violations, &err), COPPICE_OK);
    ck_assert_int_eq(violations, 0);
    expect_floats(model, pruned);
    coppice_masks_free(masks);
    coppice_model_free(model);
}
END_TEST

START_TEST(masks_that_do_not_fit_change_nothing) {
    static const float before[] = {1, 2, 3, 4, -5, 6};
    static const uint8_t none[6];
    static const struct {
        const char *name;
        int64_t rows, columns;
        coppice_status status;
        const char *text;
    } cases[] = {{"x.weight", 2, 3, COPPICE_NOT_FOUND, "no initializer of this name"},
                 {"h", 2, 1, COPPICE_BAD_DATA, "the shape [2,1], the initializer [1,2]"},
                 {"i", 1, 2, COPPICE_UNSUPPORTED, "int64, no float type"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        coppice_model *model = three_tensors();
        coppice_masks *masks = new_masks();
        add(masks, "w", 2, 3, none);
        add(masks, cases[i].name, cases[i].rows, cases[i].columns, none);
        ck_assert_int_eq(coppice_masks_apply(masks, model, NULL, &err), cases[i].status);
        ck_assert_msg(strstr(err.message, cases[i].text) != NULL, "%s", err.message);
        expect_floats(model, before);
        coppice_masks_free(masks);
        coppice_model_free(model);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("masks");
    TCase *tests = tcase_create("files");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, masks_survive_a_file_and_the_file_is_always_the_same);
    tcase_add_test(tests, any_number_type_of_zeros_and_ones_is_a_mask);
    tcase_add_test(tests, other_values_and_types_are_refused_with_the_name_of_the_array);
    suite_add_tcase(suite, tests);
    tests = tcase_create("models");
    tcase_add_test(tests, masks_zero_the_weights_of_their_name_and_count_what_was_not_zero);
    tcase_add_test(tests, masks_that_do_not_fit_change_nothing);
    suite_add_tcase(suite, tests);
    return unit_run_suite(suite);
}
