/* Saving with masks: pruned weights are written as zeros, kept ones keep every bit, and the model
 * in memory stays as it is. */
#include <math.h>

#include "graph/mask.h"
#include "saving.h"

static coppice_masks *masks;

static void setup_masks(void) {
    setup();
    ck_assert_int_eq(coppice_masks_new(&masks, NULL), COPPICE_OK);
}

static void teardown_masks(void) {
    coppice_masks_free(masks);
    teardown();
}

/* Element i of a weight is kept unless i is a multiple of 3 or in the second block of 64. */
static bool keeps(int i) {
    return i % 3 != 0 && i / 64 != 1;
}

/* A mask of a vector, or of [rows,columns]. */
static void add_mask(const char *name, int rows, int columns) {
    int count = columns ? rows * columns : rows;
    uint8_t *kept = malloc((size_t)count);
    for (int i = 0; i < count; i++)
        kept[i] = keeps(i);
    coppice_tensor tensor = {
        .type = COPPICE_TYPE_UINT8, .rank = columns ? 2 : 1, .dims = {rows, columns}, .data = kept};
    ck_assert_int_eq(coppice_masks_add(masks, name, &tensor, NULL), COPPICE_OK);
    free(kept);
}

static void save_masked(const char *name, const char *external) {
    coppice_save_options options;
    coppice_save_options_init(&options);
    options.external_data = external;
    options.masks = masks;
    ck_assert_msg(coppice_model_save(model, name, &options, NULL, &err) == COPPICE_OK, "%s",
                  err.message);
}

/* Bits of kept weights, among them a -0.0 and a NaN with a payload. */
static uint32_t bits_of(int i) {
    static const uint32_t rare[] = {0x80000000, 0x7fc01234, 0xff800000, 0x00000001};
    return i % 5 == 0 ? rare[i / 5 % 4] : 0x3f800000 + (uint32_t)i;
}

static wire weight(const char *name, int count) {
    uint32_t *data = malloc((size_t)count * sizeof *data);
    for (int i = 0; i < count; i++)
        data[i] = bits_of(i);
    wire w = wire_raw_tensor(name, COPPICE_TYPE_FLOAT, count, data, (size_t)count * sizeof *data);
    free(data);
    return w;
}

static void expect_masked(const char *name, int count) {
    const cop_constant *constant = wire_constant(model, name);
    ck_assert_uint_eq(constant->bytes, (size_t)count * 4);
    for (int i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, (const char *)constant->tensor.data + (size_t)i * 4, 4);
        if (bits != (keeps(i) ? bits_of(i) : 0)) /* an assertion takes a system call */
            ck_abort_msg("%s: element %d is %08x", name, i, bits);
    }
}

static void expect_untouched(const char *name, int count) {
    const cop_constant *constant = wire_constant(model, name);
    for (int i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, (const char *)constant->tensor.data + (size_t)i * 4, 4);
        if (bits != bits_of(i))
            ck_abort_msg("%s: element %d is %08x", name, i, bits);
    }
}

/* ---- copies ---- */

START_TEST(a_masked_copy_of_any_width_and_place_is_exact) {
    enum { COUNT = 300 };
    add_mask("w", COUNT, 0);
    const cop_mask *mask = cop_masks_get(masks, "w");
    unsigned char from[COUNT * 16], to[COUNT * 16 + 1];
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (unsigned char)(i * 7 + 1);
    static const coppice_type types[] = {COPPICE_TYPE_INT8, COPPICE_TYPE_FLOAT16,
                                         COPPICE_TYPE_FLOAT, COPPICE_TYPE_DOUBLE,
                                         COPPICE_TYPE_COMPLEX128};
    static const int firsts[] = {0, 64, 1, 63, 100, 128};
    for (size_t k = 0; k < 5 * 6; k++) {
        const cop_constant constant = {.tensor.type = types[k / 6]};
        size_t width = coppice_type_bits(types[k / 6]) / 8;
        int first = firsts[k % 6];
        for (int n = 0; n <= COUNT - first; n += n < 3 ? 1 : 29) {
            to[(size_t)n * width] = 0xee;
            cop_mask_copy(mask, &constant, first, n, from, to);
            ck_assert_uint_eq(to[(size_t)n * width], 0xee);
            for (int i = 0; i < n; i++)
                for (size_t b = (size_t)i * width; b < (size_t)(i + 1) * width; b++)
                    if (to[b] != (keeps(first + i) ? from[b] : 0))
                        ck_abort_msg("byte %zu of element %d is %02x", b, i, to[b]);
        }
    }
    const cop_constant floats = {.tensor.type = COPPICE_TYPE_FLOAT};
    cop_mask_copy(mask, &floats, 0, COUNT, from, from);
    for (int i = 0; i < COUNT * 4; i++)
        ck_assert_uint_eq(from[i], keeps(i / 4) ? (unsigned char)(i * 7 + 1) : 0);
}
END_TEST

/* ---- files ---- */

/* Larger than a chunk of the writer. */
enum { LARGE = 700000 };

START_TEST(masked_weights_are_zeros_in_the_file_and_stay_in_memory) {
    wire g = wire_graph();
    wire_message(&g, GRAPH_INITIALIZER, weight("w", LARGE));
    wire_message(&g, GRAPH_INITIALIZER, weight("v", 100));
    wire_message(&g, GRAPH_INITIALIZER, weight("other", 100));
    load_wire(wire_model(g));
    add_mask("w", LARGE, 0);
    add_mask("v", 100, 0);
    save_masked(other, NULL);
    ck_assert(!wire_constant(model, "w")->dirty);
    expect_untouched("w", LARGE);
    save(in_folder("again.onnx"), NULL); /* no trace of the masks */
    save(path, NULL);
    expect_same_file(path, in_folder("again.onnx"));
    load(other);
    expect_masked("w", LARGE);
    expect_masked("v", 100);
    expect_untouched("other", 100);
}
END_TEST

START_TEST(masked_weights_go_to_a_data_file_and_come_from_one) {
    wire g = wire_graph();
    wire_message(&g, GRAPH_INITIALIZER, weight("w", LARGE));
    wire_message(&g, GRAPH_INITIALIZER, weight("v", 300));
    load_wire(wire_model(g));
    save(path, "net.data");
    load(path);
    add_mask("w", LARGE, 0);
    save_masked(other, "out.data");
    save_masked(in_folder("single.onnx"), NULL);
    expect_untouched("w", LARGE);
    load(other);
    ck_assert(wire_constant(model, "w")->external);
    expect_masked("w", LARGE);
    expect_untouched("v", 300);
    load(in_folder("single.onnx"));
    expect_masked("w", LARGE);
}
END_TEST

/* One block of a data file may serve several tensors; a mask is for one of them. */
START_TEST(a_tensor_that_shares_its_bytes_with_a_masked_one_is_not_masked) {
    uint32_t data[400];
    for (int i = 0; i < 400; i++)
        data[i] = bits_of(i);
    wire_write_file(in_folder("data"), data, sizeof data);
    wire g = wire_graph();
    wire_message(&g, GRAPH_INITIALIZER, wire_external("w", 400, "data", "0", "1600"));
    wire_message(&g, GRAPH_INITIALIZER, wire_external("tied", 400, "data", "0", "1600"));
    load_wire(wire_model(g));
    add_mask("w", 400, 0);
    save_masked(other, NULL);
    save_masked(in_folder("two.onnx"), "two.data");
    load(other);
    expect_masked("w", 400);
    expect_untouched("tied", 400);
    load(in_folder("two.onnx"));
    expect_masked("w", 400);
    expect_untouched("tied", 400);
}
END_TEST

START_TEST(tensors_in_typed_fields_are_masked) {
    wire g = wire_graph(), floats = wire_tensor("w", COPPICE_TYPE_FLOAT, 2, 2, 3);
    wire halves = wire_tensor("h", COPPICE_TYPE_FLOAT16, 1, 5);
    wire_bytes(&floats, TENSOR_FLOATS, (float[]){1, 2, 3, -0.0f, 5, 6}, 24);
    wire_ints(&halves, TENSOR_INT32S, 5, (int64_t[]){0x3c00, 0x8000, 0x4200, 0x3c01, 0x7e01});
    wire_message(&g, GRAPH_INITIALIZER, floats);
    wire_message(&g, GRAPH_INITIALIZER, halves);
    load_wire(wire_model(g));
    add_mask("w", 2, 3);
    add_mask("h", 5, 0);
    set("w", 4, 50); /* an edit and a mask */
    save_masked(other, NULL);
    ck_assert(get("w", 0) == 1 && get("h", 0) == 1);
    load(other);
    ck_assert_mem_eq(wire_constant(model, "w")->tensor.data, ((float[]){0, 2, 3, 0, 50, 6}), 24);
    ck_assert_mem_eq(wire_constant(model, "h")->tensor.data,
                     ((uint16_t[]){0, 0x8000, 0x4200, 0, 0x7e01}), 10);
}
END_TEST

START_TEST(constant_nodes_are_masked) {
    wire g = wire_graph(), node = wire_node("c", "Constant", NULL, NULL, "w");
    wire list = wire_node("l", "Constant", NULL, NULL, "l"), attr = wire_attr("value", 4);
    wire floats = wire_attr("value_floats", 6);
    wire_message(&attr, ATTR_T, weight(NULL, 100));
    wire_message(&node, NODE_ATTR, attr);
    float values[] = {1, 2, 3, 4};
    wire_bytes(&floats, ATTR_FLOATS, values, sizeof values);
    wire_message(&list, NODE_ATTR, floats);
    wire all = {0};
    wire_message(&all, GRAPH_NODE, node);
    wire_message(&all, GRAPH_NODE, list);
    wire_append(&all, g.data, g.bytes);
    free(g.data);
    load_wire(wire_model(all));
    add_mask("w", 100, 0);
    add_mask("l", 4, 0);
    save_masked(other, NULL);
    expect_untouched("w", 100);
    ck_assert(get("l", 0) == 1 && get("l", 3) == 4);
    load(other);
    expect_masked("w", 100);
    ck_assert(get("l", 0) == 0 && get("l", 1) == 2 && get("l", 2) == 3 && get("l", 3) == 0);
}
END_TEST

START_TEST(sparse_initializers_are_masked) {
    wire g = wire_graph();
    wire_message(&g, GRAPH_SPARSE, wire_sparse("w", 2, 0, (int64_t[]){3, 5}));
    load_wire(wire_model(g));
    add_mask("w", 2, 3); /* prunes 0 and 3 */
    save_masked(other, NULL);
    ck_assert(get("w", 3) == 1 && get("w", 5) == 2);
    load(other);
    ck_assert(get("w", 3) == 0 && !signbit(get("w", 3)) && get("w", 5) == 2);
}
END_TEST

/* ---- masks that do not fit ---- */

static void refuse_masks(const char *text) {
    coppice_save_options options;
    coppice_save_options_init(&options);
    options.masks = masks;
    refuse_save(other, &options, COPPICE_INVALID_ARGUMENT, text);
    ck_assert_uint_eq(files_in_folder(), 1);
}

START_TEST(a_mask_without_an_initializer_is_refused) {
    load_wire(wire_model_with(weight("w", 100)));
    add_mask("v", 100, 0);
    refuse_masks("mask 'v': the model has no initializer of this name");
}
END_TEST

START_TEST(a_mask_of_another_shape_is_refused) {
    load_wire(wire_model_with(weight("w", 100)));
    add_mask("w", 10, 10);
    refuse_masks("mask 'w' has shape [10,10], the initializer has [100]");
}
END_TEST

START_TEST(a_mask_for_integers_is_refused) {
    load_wire(wire_model_with(wire_raw_tensor("w", COPPICE_TYPE_INT64, 2, (int64_t[]){1, 2}, 16)));
    add_mask("w", 2, 0);
    refuse_masks("the initializer is int64; only floats and quantized weights are pruned");
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("onnx masks");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup_masks, teardown_masks);
    tcase_add_test(tests, a_masked_copy_of_any_width_and_place_is_exact);
    tcase_add_test(tests, masked_weights_are_zeros_in_the_file_and_stay_in_memory);
    tcase_add_test(tests, masked_weights_go_to_a_data_file_and_come_from_one);
    tcase_add_test(tests, a_tensor_that_shares_its_bytes_with_a_masked_one_is_not_masked);
    tcase_add_test(tests, tensors_in_typed_fields_are_masked);
    tcase_add_test(tests, constant_nodes_are_masked);
    tcase_add_test(tests, sparse_initializers_are_masked);
    tcase_add_test(tests, a_mask_without_an_initializer_is_refused);
    tcase_add_test(tests, a_mask_of_another_shape_is_refused);
    tcase_add_test(tests, a_mask_for_integers_is_refused);
    return unit_run("onnx masks", tests);
}
