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
                 {"i", 1, 2, COPPICE_UNSUPPORTED, "int64, neither of a float type nor quantized"}};
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

/* ---- matching ---- */

enum { SIDE = 24, AREA = SIDE * SIDE };

static void random_weights(float *w, int n, unsigned seed) {
    for (int i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        w[i] = (float)(seed >> 8) / (1 << 23) - 1;
    }
}

typedef struct named_weight {
    const char *name;
    unsigned seed;
    int rows, columns;
} named_weight;

/* A model of random weights; seed 0 stands for zeros. */
static coppice_model *model_of(const named_weight *weights, int count) {
    static const float one = 1;
    wire g = wire_graph();
    wire_message(&g, GRAPH_INITIALIZER,
                 wire_raw_tensor("w", COPPICE_TYPE_FLOAT, 1, &one, sizeof one));
    for (int i = 0; i < count; i++) {
        float w[AREA] = {0};
        int n = weights[i].rows * weights[i].columns;
        if (weights[i].seed)
            random_weights(w, n, weights[i].seed);
        wire t = wire_tensor(weights[i].name, COPPICE_TYPE_FLOAT, 2, weights[i].rows,
                             weights[i].columns);
        wire_bytes(&t, TENSOR_RAW, w, (size_t)n * sizeof *w);
        wire_message(&g, GRAPH_INITIALIZER, t);
    }
    return wire_load(wire_model(g));
}

/* The mask that prunes the small half of weights of this seed, turned round on demand. */
static void add_half(coppice_masks *masks, const char *name, unsigned seed, int rows, int columns,
                     bool turned) {
    float w[AREA];
    uint8_t kept[AREA];
    random_weights(w, rows * columns, seed);
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++)
            kept[turned ? c * rows + r : r * columns + c] =
                w[r * columns + c] < -0.5f || w[r * columns + c] > 0.5f;
    add(masks, name, turned ? columns : rows, turned ? rows : columns, kept);
}

typedef struct wanted_row {
    coppice_match_kind kind;
    const char *initializer, *reason; /* NULL: none */
    bool transposed;
} wanted_row;

static coppice_match *expect_match(coppice_masks *masks, coppice_model *model,
                                   const coppice_match_pair *pairs, size_t pair_count,
                                   const wanted_row *wanted) {
    coppice_match *match;
    size_t refused = 0;
    ck_assert_int_eq(coppice_masks_match(masks, model, pairs, pair_count, &match, &err),
                     COPPICE_OK);
    ck_assert_uint_eq(match->row_count, coppice_masks_count(masks));
    for (size_t i = 0; i < match->row_count; i++) {
        const coppice_match_row *row = &match->rows[i];
        ck_assert_str_eq(row->mask, coppice_masks_name(masks, i));
        ck_assert_msg(row->kind == wanted[i].kind, "%s: %d, %s", row->mask, row->kind,
                      row->reason ? row->reason : "");
        ck_assert_msg(!wanted[i].initializer == !row->initializer, "%s: %s", row->mask,
                      row->initializer ? row->initializer : "none");
        if (row->initializer)
            ck_assert_str_eq(row->initializer, wanted[i].initializer);
        ck_assert_int_eq(row->transposed, wanted[i].transposed);
        ck_assert(!row->reason == !wanted[i].reason);
        if (row->reason)
            ck_assert_msg(strstr(row->reason, wanted[i].reason) != NULL, "%s", row->reason);
        refused += row->kind == COPPICE_MATCH_DOUBTFUL || row->kind == COPPICE_MATCH_NONE;
    }
    ck_assert_uint_eq(match->refused, refused);
    return match;
}

START_TEST(masks_find_their_tensor_under_other_names_and_transposed) {
    static const named_weight weights[] = {
        {"val_1", 1, SIDE, SIDE}, {"val_2", 2, SIDE, SIDE}, {"wide", 3, 12, 40}, {"s", 4, 12, 40}};
    coppice_model *model = model_of(weights, 4);
    coppice_masks *masks = new_masks();
    add_half(masks, "b", 2, SIDE, SIDE, false);
    add_half(masks, "a", 1, SIDE, SIDE, true);
    add_half(masks, "c", 3, 12, 40, true);
    add_half(masks, "s", 4, 12, 40, false);
    static const wanted_row wanted[] = {{COPPICE_MATCH_CONTENT, "val_2", NULL, false},
                                        {COPPICE_MATCH_CONTENT, "val_1", NULL, true},
                                        {COPPICE_MATCH_CONTENT, "wide", NULL, true},
                                        {COPPICE_MATCH_NAME, "s", NULL, false}};
    coppice_match *match = expect_match(masks, model, NULL, 0, wanted);
    ck_assert(match->rows[2].agreement > 0.95);
    uint8_t kept[AREA];
    coppice_masks_read(match->masks, (size_t)coppice_masks_find(match->masks, "wide"), kept);
    float wide[12 * 40]; /* a copy: weights in a file are aligned to nothing */
    memcpy(wide, wire_constant(model, "wide")->tensor.data, sizeof wide);
    for (int i = 0; i < 12 * 40; i++)
        ck_assert_int_eq(kept[i], wide[i] < -0.5f || wide[i] > 0.5f);
    ck_assert_int_eq(coppice_masks_apply(match->masks, model, NULL, &err), COPPICE_OK);
    coppice_match_free(match);
    coppice_masks_free(masks);
    coppice_model_free(model);
}
END_TEST

START_TEST(names_that_the_content_speaks_against_are_refused_unless_an_exporter_counted_them) {
    static const named_weight weights[] = {{"conv1", 1, SIDE, SIDE},
                                           {"conv2", 2, SIDE, SIDE},
                                           {"onnx::Conv_1", 3, SIDE, SIDE},
                                           {"onnx::Conv_2", 4, SIDE, SIDE},
                                           {"fc", 5, 12, 40}};
    coppice_model *model = model_of(weights, 5);
    coppice_masks *masks = new_masks();
    add_half(masks, "conv1", 2, SIDE, SIDE, false);
    add_half(masks, "conv2", 1, SIDE, SIDE, false);
    add_half(masks, "onnx::Conv_1", 4, SIDE, SIDE, false);
    add_half(masks, "onnx::Conv_2", 3, SIDE, SIDE, false);
    add_half(masks, "fc", 5, 12, 40, false);
    static const wanted_row wanted[] = {
        {COPPICE_MATCH_DOUBTFUL, "conv2", "are those of 'conv2' (agreement 1.00)", false},
        {COPPICE_MATCH_DOUBTFUL, "conv1", "are those of 'conv1'", false},
        {COPPICE_MATCH_CONTENT, "onnx::Conv_2", NULL, false},
        {COPPICE_MATCH_CONTENT, "onnx::Conv_1", NULL, false},
        {COPPICE_MATCH_NAME, "fc", NULL, false}};
    coppice_match_free(expect_match(masks, model, NULL, 0, wanted));
    static const coppice_match_pair pairs[] = {{"conv1", "conv1"}, {"conv2", NULL}};
    static const wanted_row given[] = {{COPPICE_MATCH_GIVEN, "conv1", NULL, false},
                                       {COPPICE_MATCH_GIVEN, NULL, NULL, false},
                                       {COPPICE_MATCH_CONTENT, "onnx::Conv_2", NULL, false},
                                       {COPPICE_MATCH_CONTENT, "onnx::Conv_1", NULL, false},
                                       {COPPICE_MATCH_NAME, "fc", NULL, false}};
    coppice_match *match = expect_match(masks, model, pairs, 2, given);
    ck_assert_uint_eq(coppice_masks_count(match->masks), 4);
    coppice_match_free(match);
    coppice_masks_free(masks);
    coppice_model_free(model);
}
END_TEST

START_TEST(names_are_believed_for_masks_that_were_not_made_by_magnitude) {
    static const named_weight weights[] = {{"conv1", 1, SIDE, SIDE}, {"conv2", 2, SIDE, SIDE}};
    coppice_model *model = model_of(weights, 2);
    coppice_masks *masks = new_masks();
    add_half(masks, "conv1", 11, SIDE, SIDE, false);
    add_half(masks, "conv2", 12, SIDE, SIDE, false);
    static const wanted_row wanted[] = {{COPPICE_MATCH_NAME, "conv1", NULL, false},
                                        {COPPICE_MATCH_NAME, "conv2", NULL, false}};
    coppice_match_free(expect_match(masks, model, NULL, 0, wanted));
    coppice_masks_free(masks);
    coppice_model_free(model);
}
END_TEST

START_TEST(masks_of_a_smaller_network_are_refused_although_their_names_are_there) {
    static const named_weight weights[] = {{"conv1", 1, SIDE, SIDE}, {"conv2", 2, SIDE, SIDE},
                                           {"conv3", 3, SIDE, SIDE}, {"conv4", 4, SIDE, SIDE},
                                           {"conv5", 5, SIDE, SIDE}, {"conv6", 6, SIDE, SIDE},
                                           {"conv7", 7, SIDE, SIDE}};
    coppice_model *model = model_of(weights, 7);
    coppice_masks *masks = new_masks();
    add_half(masks, "conv1", 11, SIDE, SIDE, false);
    add_half(masks, "conv2", 12, SIDE, SIDE, false);
    add_half(masks, "conv3", 13, SIDE, SIDE, false);
    static const wanted_row wanted[] = {
        {COPPICE_MATCH_DOUBTFUL, "conv1", "made for another network", false},
        {COPPICE_MATCH_DOUBTFUL, "conv2", "made for another network", false},
        {COPPICE_MATCH_DOUBTFUL, "conv3", "made for another network", false}};
    coppice_match_free(expect_match(masks, model, NULL, 0, wanted));
    coppice_masks_free(masks);
    coppice_model_free(model);
}
END_TEST

START_TEST(what_cannot_be_told_apart_is_refused) {
    static const named_weight weights[] = {
        {"p", 1, SIDE, SIDE}, {"q", 1, SIDE, SIDE}, {"r", 3, 12, 40}, {"t", 4, 12, 40}};
    static const uint8_t none[12 * 40];
    coppice_model *model = model_of(weights, 4);
    coppice_masks *masks = new_masks();
    add_half(masks, "twice", 1, SIDE, SIDE, false);
    add_half(masks, "nowhere", 1, 5, 7, false);
    add(masks, "everything", 12, 40, none);
    static const wanted_row wanted[] = {
        {COPPICE_MATCH_DOUBTFUL, "p", "'q' fits as well", false},
        {COPPICE_MATCH_NONE, NULL, "no float initializer of this shape", false},
        {COPPICE_MATCH_DOUBTFUL, NULL, "its content says nothing", false}};
    coppice_match_free(expect_match(masks, model, NULL, 0, wanted));

    add_half(masks, "r", 3, 12, 40, false); /* leaves one tensor for "everything" */
    static const wanted_row left_over[] = {
        {COPPICE_MATCH_DOUBTFUL, "p", "'q' fits as well", false},
        {COPPICE_MATCH_NONE, NULL, "no float initializer of this shape", false},
        {COPPICE_MATCH_CONTENT, "t", NULL, false},
        {COPPICE_MATCH_NAME, "r", NULL, false}};
    coppice_match_free(expect_match(masks, model, NULL, 0, left_over));
    coppice_masks_free(masks);
    coppice_model_free(model);
}
END_TEST

START_TEST(pairs_that_cannot_be_are_refused) {
    static const named_weight weights[] = {{"p", 1, SIDE, SIDE}, {"r", 3, 12, 40}};
    static const struct {
        coppice_match_pair pairs[2];
        const char *text;
    } cases[] = {{{{"x", "p"}, {"m", "p"}}, "there is no mask 'x'"},
                 {{{"m", "x"}, {"n", "p"}}, "no initializer 'x'"},
                 {{{"m", "p"}, {"n", "p"}}, "given to two masks"},
                 {{{"m", "p"}, {"m", "p"}}, "given twice"},
                 {{{"m", "p"}, {"n", "r"}}, "has the shape [24,24], initializer 'r' [12,40]"}};
    coppice_model *model = model_of(weights, 2);
    coppice_masks *masks = new_masks();
    add_half(masks, "m", 1, SIDE, SIDE, false);
    add_half(masks, "n", 1, SIDE, SIDE, false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        coppice_match *match;
        ck_assert_int_eq(coppice_masks_match(masks, model, cases[i].pairs, 2, &match, &err),
                         COPPICE_INVALID_ARGUMENT);
        ck_assert_ptr_null(match);
        ck_assert_msg(strstr(err.message, cases[i].text) != NULL, "%s", err.message);
    }
    coppice_masks_free(masks);
    coppice_model_free(model);
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
    tests = tcase_create("matching");
    tcase_add_test(tests, masks_find_their_tensor_under_other_names_and_transposed);
    tcase_add_test(
        tests, names_that_the_content_speaks_against_are_refused_unless_an_exporter_counted_them);
    tcase_add_test(tests, names_are_believed_for_masks_that_were_not_made_by_magnitude);
    tcase_add_test(tests, masks_of_a_smaller_network_are_refused_although_their_names_are_there);
    tcase_add_test(tests, what_cannot_be_told_apart_is_refused);
    tcase_add_test(tests, pairs_that_cannot_be_are_refused);
    suite_add_tcase(suite, tests);
    return unit_run_suite(suite);
}
