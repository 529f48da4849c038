/* Sparse files: the smallest form of each tensor, the same bits, versions and inputs adjusted. */
#include <math.h>

#include "onnx/save.h"
#include "saving.h"

static coppice_save_result result;

static void save_as(const char *name, coppice_weights_form form, const char *external) {
    coppice_save_options options;
    coppice_save_options_init(&options);
    options.overwrite = true;
    options.weights = form;
    options.external_data = external;
    coppice_save_result measured;
    ck_assert_msg(coppice_model_measure(model, name, &options, &measured, &err) == COPPICE_OK, "%s",
                  err.message);
    ck_assert_msg(coppice_model_save(model, name, &options, &result, &err) == COPPICE_OK, "%s",
                  err.message);
    ck_assert_int_eq(measured.bytes, result.bytes);
    ck_assert_int_eq(measured.sparse_count, result.sparse_count);
    ck_assert_int_eq(measured.dense_count, result.dense_count);
    ck_assert_str_eq(measured.external_data, result.external_data);
}

static void save_sparse(const char *name) {
    save_as(name, COPPICE_WEIGHTS_SPARSE, NULL);
    ck_assert_int_eq(result.bytes, cop_file_bytes(name));
}

/* Element i of the weights here: every seventh is a value, rare ones among them. */
static uint32_t bits_of(int i) {
    static const uint32_t rare[] = {0x80000000, 0x7fc01234, 0xff800000, 0x00000001, 0x3f800000};
    return i % 7 == 3 ? rare[i / 7 % 5] : 0;
}

static int negative_zeros(int count) {
    int found = 0;
    for (int i = 0; i < count; i++)
        found += bits_of(i) == 0x80000000;
    return found;
}

static wire spread(const char *name, int rows, int columns) {
    uint32_t *data = calloc((size_t)(rows * columns), sizeof *data);
    for (int i = 0; i < rows * columns; i++)
        data[i] = bits_of(i);
    wire w = wire_tensor(name, COPPICE_TYPE_FLOAT, 2, rows, columns);
    wire_bytes(&w, TENSOR_RAW, data, (size_t)(rows * columns) * 4);
    free(data);
    return w;
}

static void expect_spread(const char *name, int count, bool sparse) {
    const cop_constant *constant = wire_constant(model, name);
    ck_assert_int_eq(constant->sparse, sparse);
    ck_assert_uint_eq(constant->bytes, (size_t)count * 4);
    for (int i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, (const char *)constant->tensor.data + (size_t)i * 4, 4);
        if (bits != bits_of(i)) /* an assertion takes a system call */
            ck_abort_msg("%s: element %d is %08x", name, i, bits);
    }
}

static const Onnx__GraphProto *main_graph(void) {
    return model->proto->graph;
}

/* ---- there and back ---- */

/* Larger than a chunk, and than 2^14 and 2^21 elements: indices of one to four bytes. */
enum { ROWS = 2200, COLUMNS = 1000 };

START_TEST(dense_to_sparse_and_back_keeps_every_bit) {
    wire g = wire_graph();
    wire_message(&g, GRAPH_INITIALIZER, spread("w", ROWS, COLUMNS));
    wire_message(&g, GRAPH_INITIALIZER, ramp("full", 300));
    wire_message(&g, GRAPH_INITIALIZER, spread("v", 20, 30));
    load_wire(wire_model(g));
    save(path, NULL); /* fields in ascending order from here on */
    save_sparse(other);
    ck_assert_int_eq(result.sparse_count, 2);
    ck_assert_int_eq(result.dense_count, 1);
    ck_assert_int_lt(result.bytes, ROWS * COLUMNS * 4 / 3);
    ck_assert_int_eq(result.negative_zeros, negative_zeros(ROWS * COLUMNS) + negative_zeros(600));
    expect_spread("w", ROWS * COLUMNS, false); /* the model itself stays as it is */
    save(in_folder("same.onnx"), NULL);
    load(in_folder("same.onnx"));
    expect_spread("w", ROWS * COLUMNS, false);
    load(other);
    expect_spread("w", ROWS * COLUMNS, true);
    expect_spread("v", 600, true);
    ck_assert(get("full", 299) == 299);
    save_sparse(in_folder("again.onnx"));
    expect_same_file(other, in_folder("again.onnx"));
    save_as(in_folder("back.onnx"), COPPICE_WEIGHTS_DENSE, NULL);
    ck_assert_int_eq(result.sparse_count, 0);
    ck_assert_int_eq(result.bytes, cop_file_bytes(in_folder("same.onnx")));
    load(in_folder("back.onnx"));
    expect_spread("w", ROWS * COLUMNS, false);
    expect_spread("v", 600, false);
}
END_TEST

START_TEST(as_loaded_keeps_both_forms) {
    load_wire(wire_model_with(spread("w", 20, 30)));
    save_sparse(other);
    load(other);
    save_as(path, COPPICE_WEIGHTS_AS_LOADED, NULL);
    expect_same_file(path, other);
    ck_assert_int_eq(result.sparse_count, 1);
}
END_TEST

START_TEST(masks_count_for_the_choice_of_form) {
    enum { COUNT = 1000 };
    load_wire(wire_model_with(ramp("w", COUNT)));
    uint8_t kept[COUNT];
    for (int i = 0; i < COUNT; i++)
        kept[i] = i % 10 == 1;
    coppice_masks *masks;
    ck_assert_int_eq(coppice_masks_new(&masks, NULL), COPPICE_OK);
    coppice_tensor tensor = {COPPICE_TYPE_UINT8, 1, {COUNT}, kept};
    ck_assert_int_eq(coppice_masks_add(masks, "w", &tensor, NULL), COPPICE_OK);
    coppice_save_options options;
    coppice_save_options_init(&options);
    options.weights = COPPICE_WEIGHTS_SPARSE;
    options.masks = masks;
    ck_assert_int_eq(coppice_model_save(model, other, &options, &result, &err), COPPICE_OK);
    coppice_masks_free(masks);
    ck_assert_int_eq(result.sparse_count, 1);
    ck_assert_int_lt(result.bytes, 900);
    load(other);
    for (int i = 0; i < COUNT; i++)
        ck_assert(get("w", i) == (i % 10 == 1 ? i : 0));
}
END_TEST

START_TEST(signs_of_zeros_go_only_when_that_is_asked_for) {
    float data[100] = {0};
    for (int i = 0; i < 100; i++)
        data[i] = i % 10 == 0 ? 1.0f : -0.0f;
    load_wire(wire_model_with(wire_raw_tensor("w", COPPICE_TYPE_FLOAT, 100, data, sizeof data)));
    save_sparse(other);
    ck_assert_int_eq(result.sparse_count, 0);
    ck_assert_int_eq(result.negative_zeros, 90);
    coppice_save_options options;
    coppice_save_options_init(&options);
    options.overwrite = true;
    options.zero_signs = COPPICE_ZERO_SIGNS_DROP;
    options.weights = COPPICE_WEIGHTS_SPARSE;
    ck_assert_int_eq(coppice_model_save(model, other, &options, &result, &err), COPPICE_OK);
    ck_assert_int_eq(result.sparse_count, 1);
    ck_assert_int_eq(result.dropped_signs, 90);
    load(other);
    for (int i = 0; i < 100; i++)
        ck_assert(get("w", i) == (i % 10 == 0) && !signbit(get("w", i)));
}
END_TEST

enum { MANY_ZEROS = 100000 };

/* Ten ones, then `negative` times -0.0, then +0.0. */
static wire with_negative_zeros(int negative) {
    float *data = calloc(MANY_ZEROS, sizeof *data);
    for (int i = 0; i < 10 + negative; i++)
        data[i] = i < 10 ? 1.0f : -0.0f;
    wire tensor =
        wire_raw_tensor("w", COPPICE_TYPE_FLOAT, MANY_ZEROS, data, MANY_ZEROS * sizeof *data);
    free(data);
    return wire_model_with(tensor);
}

START_TEST(signs_of_zeros_go_from_tensors_that_were_multiplied_by_a_mask) {
    coppice_save_options options;
    coppice_save_options_init(&options);
    options.overwrite = true;
    options.zero_signs = COPPICE_ZERO_SIGNS_MASKED;
    options.weights = COPPICE_WEIGHTS_SPARSE;
    const int negative[] = {12000, 17000}, dropped[] = {0, 17000}; /* an eighth is 12,498 */
    for (int k = 0; k < 2; k++) {
        load_wire(with_negative_zeros(negative[k]));
        ck_assert_int_eq(coppice_model_save(model, other, &options, &result, &err), COPPICE_OK);
        ck_assert_int_eq(result.sparse_count, 1);
        ck_assert_int_eq(result.dropped_signs, dropped[k]);
        ck_assert_int_eq(result.negative_zeros, negative[k] - dropped[k]);
        load(other);
        ck_assert((signbit(get("w", 10)) != 0) == (dropped[k] == 0));
    }
}
END_TEST

/* ---- forms ---- */

/* Zeros but for `values` from 1 up at the places given by a step. */
static wire stepped(const char *name, int count, int step) {
    float *data = calloc((size_t)count, sizeof *data);
    for (int i = 0; i < count; i += step)
        data[i] = (float)(i + 1);
    wire w = wire_raw_tensor(name, COPPICE_TYPE_FLOAT, count, data, (size_t)count * 4);
    free(data);
    return w;
}

static int64_t measured(coppice_weights_form form) {
    coppice_save_options options;
    coppice_save_options_init(&options);
    options.weights = form;
    ck_assert_int_eq(coppice_model_measure(model, other, &options, &result, &err), COPPICE_OK);
    return result.bytes;
}

/* Without files: there are many cases, and a disk may be slow. */
START_TEST(a_tensor_never_grows) {
    for (int count = 1; count < 60; count++)
        for (int step = 1; step <= 8; step *= 2) {
            model = wire_load(wire_model_with(stepped("w", count, step)));
            int64_t dense = measured(COPPICE_WEIGHTS_DENSE),
                    sparse = measured(COPPICE_WEIGHTS_SPARSE);
            ck_assert_int_le(sparse, dense);
            ck_assert_int_eq(result.sparse_count, sparse < dense);
            coppice_model_free(model);
            model = NULL;
        }
    load_wire(wire_model_with(stepped("w", 59, 8)));
    save_sparse(other);
    ck_assert_int_eq(result.sparse_count, 1);
    load(other);
    for (int i = 0; i < 59; i++)
        ck_assert(get("w", i) == (i % 8 == 0 ? i + 1 : 0));
}
END_TEST

START_TEST(indices_take_the_smaller_encoding) {
    enum { WIDE = 20000 };
    float *data = calloc(2 * WIDE, sizeof *data);
    for (int i = 0; i < 100; i++)
        data[WIDE + i] = 1;
    wire w = wire_tensor("w", COPPICE_TYPE_FLOAT, 2, 2, WIDE);
    wire_bytes(&w, TENSOR_RAW, data, 2 * WIDE * 4);
    load_wire(wire_model_with(w)); /* the second row: two bytes as a tuple, three as one number */
    save_sparse(other);
    load(other);
    const Onnx__TensorProto *indices = main_graph()->sparse_initializer[0]->indices;
    ck_assert_uint_eq(indices->n_dims, 2);
    ck_assert_int_eq(indices->dims[1], 2);
    ck_assert_mem_eq(wire_constant(model, "w")->tensor.data, data, 2 * WIDE * 4);
    free(data);
    load_wire(wire_model_with(spread("w", 20, 30)));
    save_sparse(other);
    load(other);
    ck_assert_uint_eq(main_graph()->sparse_initializer[0]->indices->n_dims, 1);
}
END_TEST

START_TEST(a_tensor_of_zeros_is_a_sparse_one_without_values) {
    load_wire(wire_model_with(stepped("w", 1000, 1)));
    for (int i = 0; i < 1000; i++)
        set("w", i, 0);
    save_sparse(other);
    ck_assert_int_lt(result.bytes, 200);
    load(other);
    ck_assert(wire_constant(model, "w")->sparse);
    for (int i = 0; i < 1000; i++)
        ck_assert(get("w", i) == 0);
    save_as(path, COPPICE_WEIGHTS_DENSE, NULL);
    load(path);
    ck_assert_uint_eq(wire_constant(model, "w")->bytes, 4000);
}
END_TEST

START_TEST(strings_nibbles_and_scalars_stay_dense) {
    wire g = wire_graph(), text = wire_tensor("text", COPPICE_TYPE_STRING, 1, 40);
    for (int i = 0; i < 40; i++)
        wire_text(&text, TENSOR_STRINGS, "");
    unsigned char zeros[400] = {0};
    wire nibbles = wire_tensor("nibbles", COPPICE_TYPE_INT4, 1, 800);
    wire_bytes(&nibbles, TENSOR_RAW, zeros, sizeof zeros);
    wire scalar = wire_tensor("scalar", COPPICE_TYPE_DOUBLE, 0);
    wire_bytes(&scalar, TENSOR_RAW, zeros, 8);
    wire_message(&g, GRAPH_INITIALIZER, ramp("w", 30));
    wire_message(&g, GRAPH_INITIALIZER, text);
    wire_message(&g, GRAPH_INITIALIZER, nibbles);
    wire_message(&g, GRAPH_INITIALIZER, scalar);
    load_wire(wire_model(g));
    save(path, NULL);
    save_sparse(other);
    ck_assert_int_eq(result.sparse_count, 0);
    expect_same_file(path, other);
}
END_TEST

START_TEST(initializers_that_are_outputs_stay_dense) {
    wire g = wire_graph();
    wire_message(&g, GRAPH_INITIALIZER, spread("w", 20, 30));
    wire_message(&g, GRAPH_INITIALIZER, spread("v", 20, 30));
    wire_message(&g, GRAPH_OUTPUT, wire_value("w", "N"));
    load_wire(wire_model(g));
    save_sparse(other);
    ck_assert_int_eq(result.sparse_count, 1);
    load(other);
    expect_spread("w", 600, false);
    expect_spread("v", 600, true);
}
END_TEST

START_TEST(initializers_of_sub_graphs_become_sparse) {
    wire inner = {0}, branch = wire_attr("then_branch", 5),
         node = wire_node("if", "If", "c", NULL, "y");
    wire_message(&inner, GRAPH_NODE, wire_node("id", "Identity", "u", NULL, "z"));
    wire_text(&inner, GRAPH_NAME, "inner");
    wire_message(&inner, GRAPH_INITIALIZER, spread("u", 20, 30));
    wire_message(&inner, GRAPH_OUTPUT, wire_value("z", "N"));
    wire_message(&branch, ATTR_G, inner);
    wire_message(&node, NODE_ATTR, branch);
    wire g = {0};
    wire_message(&g, GRAPH_NODE, node);
    wire_text(&g, GRAPH_NAME, "g");
    wire_message(&g, GRAPH_INITIALIZER, spread("w", 20, 30));
    wire_message(&g, GRAPH_INPUT, wire_value("c", "N"));
    wire_message(&g, GRAPH_OUTPUT, wire_value("y", "N"));
    load_wire(wire_model(g));
    save_sparse(other);
    ck_assert_int_eq(result.sparse_count, 2);
    load(other);
    const cop_constant *u = cop_constants_find(cop_model_constants(model), "inner/u");
    ck_assert_ptr_nonnull(u);
    ck_assert(u->sparse);
    ck_assert_mem_eq(u->tensor.data, wire_constant(model, "w")->tensor.data, 2400);
}
END_TEST

/* ---- what is refused ---- */

/* Two values of a tensor [2,3] with these indices. */
static void refuse_indices(wire indices, const char *text) {
    wire sparse = {0}, g = wire_graph();
    wire_message(&sparse, SPARSE_VALUES,
                 wire_raw_tensor("w", COPPICE_TYPE_FLOAT, 2, (float[]){1, 2}, 8));
    wire_message(&sparse, SPARSE_INDICES, indices);
    wire_int(&sparse, SPARSE_DIMS, 2);
    wire_int(&sparse, SPARSE_DIMS, 3);
    wire_message(&g, GRAPH_SPARSE, sparse);
    refuse_load(wire_model(g), COPPICE_BAD_MODEL, text);
    ck_assert_ptr_nonnull(strstr(err.message, "initializer 'w': "));
    ck_assert_str_eq(err.node, "w");
}

static wire indices_of(int64_t first, int64_t second) {
    wire w = wire_tensor(NULL, COPPICE_TYPE_INT64, 1, 2);
    wire_ints(&w, TENSOR_INT64S, 2, (int64_t[]){first, second});
    return w;
}

START_TEST(sparse_tensors_with_bad_indices_are_refused_by_name) {
    refuse_indices(indices_of(3, 1), "strictly ascending");
    refuse_indices(indices_of(3, 3), "strictly ascending");
    refuse_indices(indices_of(-1, 1), "out of range");
    refuse_indices(indices_of(0, 6), "out of range");
    wire other_type = wire_tensor(NULL, COPPICE_TYPE_INT32, 1, 2);
    wire_ints(&other_type, TENSOR_INT32S, 2, (int64_t[]){0, 1});
    refuse_indices(other_type, "indices must be int64 of shape [2] or [2,2]");
    wire other_count = wire_tensor(NULL, COPPICE_TYPE_INT64, 1, 3);
    wire_ints(&other_count, TENSOR_INT64S, 3, (int64_t[]){0, 1, 2});
    refuse_indices(other_count, "indices must be int64 of shape [2] or [2,2]");
    wire too_short = wire_tensor(NULL, COPPICE_TYPE_INT64, 1, 2);
    wire_ints(&too_short, TENSOR_INT64S, 1, (int64_t[]){0});
    refuse_indices(too_short, "indices");
}
END_TEST

/* ---- versions and inputs ---- */

static void load_with_inputs(int ir_version) {
    wire g = wire_graph(), w = {0}, opset = {0};
    wire_message(&g, GRAPH_INITIALIZER, spread("w", 20, 30));
    wire_message(&g, GRAPH_INITIALIZER, ramp("full", 30));
    wire_message(&g, GRAPH_INPUT, wire_value("w", "N"));
    wire_message(&g, GRAPH_INPUT, wire_value("full", "N"));
    wire_int(&w, MODEL_IR, ir_version);
    wire_message(&w, MODEL_GRAPH, g);
    wire_int(&opset, 2, 8);
    wire_message(&w, MODEL_OPSET, opset);
    load_wire(w);
}

static void expect_inputs(size_t count, const char *last) {
    ck_assert_uint_eq(main_graph()->n_input, count);
    ck_assert_str_eq(main_graph()->input[count - 1]->name, last);
}

START_TEST(sparse_initializers_are_no_inputs) {
    load_with_inputs(5);
    save_sparse(other);
    expect_inputs(3, "full"); /* in memory: as it was */
    ck_assert_int_eq(coppice_model_ir_version(model), 5);
    load(other);
    expect_inputs(2, "full");
    ck_assert_int_eq(coppice_model_ir_version(model), 6);
}
END_TEST

START_TEST(initializers_that_had_to_be_inputs_stay_constants) {
    load_with_inputs(3);
    save_sparse(other);
    load(other);
    expect_inputs(1, "x");
    ck_assert_int_eq(coppice_model_ir_version(model), 6);
    load_with_inputs(3);
    save_as(other, COPPICE_WEIGHTS_DENSE, NULL);
    load(other);
    expect_inputs(3, "full");
    ck_assert_int_eq(coppice_model_ir_version(model), 3);
}
END_TEST

/* ---- with a data file ---- */

START_TEST(sparse_tensors_stay_in_the_model_file) {
    wire g = wire_graph();
    wire_message(&g, GRAPH_INITIALIZER, spread("w", 40, 30));
    wire_message(&g, GRAPH_INITIALIZER, ramp("full", 1000));
    load_wire(wire_model(g));
    save_as(other, COPPICE_WEIGHTS_SPARSE, "out.data");
    ck_assert_int_eq(cop_file_bytes(in_folder("out.data")), 4000);
    load(other);
    expect_spread("w", 1200, true);
    ck_assert(wire_constant(model, "full")->external && get("full", 999) == 999);
    save_as(path, COPPICE_WEIGHTS_DENSE, "net.data");
    load(path);
    expect_spread("w", 1200, false);
    ck_assert(wire_constant(model, "w")->external);
}
END_TEST

static void teardown_limit(void) {
    cop_max_message_bytes = INT32_MAX;
    teardown();
}

START_TEST(what_is_too_large_for_one_file_goes_to_a_data_file_by_itself) {
    wire g = wire_graph();
    wire_message(&g, GRAPH_INITIALIZER, ramp("full", 3000));
    wire_message(&g, GRAPH_INITIALIZER, spread("w", 40, 30));
    load_wire(wire_model(g));
    cop_max_message_bytes = 4000;
    save_as(other, COPPICE_WEIGHTS_AS_LOADED, NULL);
    ck_assert_str_eq(result.external_data, "out.onnx.data");
    ck_assert_int_eq(result.bytes,
                     cop_file_bytes(other) + cop_file_bytes(in_folder("out.onnx.data")));
    load(other);
    ck_assert(wire_constant(model, "full")->external && get("full", 2999) == 2999);
    expect_spread("w", 1200, false);

    coppice_save_options options;
    coppice_save_options_init(&options);
    ck_assert_int_eq(remove(other), 0); /* the data file is left, and nobody said to replace it */
    refuse_save(other, &options, COPPICE_EXISTS, "out.onnx.data: already exists");
    options.single_file = true;
    refuse_save(other, &options, COPPICE_LIMIT, "leave out --single-file");
    ck_assert_int_eq(cop_file_bytes(other), -1);
}
END_TEST

START_TEST(sparse_tensors_without_room_go_to_the_data_file_dense) {
    wire g = wire_graph();
    wire_message(&g, GRAPH_INITIALIZER, spread("w", 100, 100));
    wire_message(&g, GRAPH_INITIALIZER, spread("v", 40, 30));
    load_wire(wire_model(g));
    cop_max_message_bytes = 4000;
    save_as(other, COPPICE_WEIGHTS_SPARSE, NULL);
    ck_assert_int_eq(result.sparse_count, 1);
    ck_assert_int_lt(cop_file_bytes(other), 4000);
    load(other);
    expect_spread("w", 10000, false);
    expect_spread("v", 1200, true);
    save_as(in_folder("x.onnx"), COPPICE_WEIGHTS_SPARSE, NULL); /* from a data file */
    ck_assert_int_eq(result.sparse_count, 1);
    cop_max_message_bytes = INT32_MAX;
    save_sparse(in_folder("all.onnx"));
    load(in_folder("all.onnx"));
    expect_spread("w", 10000, true);
    cop_max_message_bytes = 4000;
    save_as(other, COPPICE_WEIGHTS_AS_LOADED, NULL); /* now the large one was sparse before */
    load(other);
    expect_spread("w", 10000, false);
    expect_spread("v", 1200, true);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("onnx sparse");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown_limit);
    tcase_add_test(tests, dense_to_sparse_and_back_keeps_every_bit);
    tcase_add_test(tests, as_loaded_keeps_both_forms);
    tcase_add_test(tests, masks_count_for_the_choice_of_form);
    tcase_add_test(tests, signs_of_zeros_go_only_when_that_is_asked_for);
    tcase_add_test(tests, signs_of_zeros_go_from_tensors_that_were_multiplied_by_a_mask);
    tcase_add_test(tests, a_tensor_never_grows);
    tcase_add_test(tests, indices_take_the_smaller_encoding);
    tcase_add_test(tests, a_tensor_of_zeros_is_a_sparse_one_without_values);
    tcase_add_test(tests, strings_nibbles_and_scalars_stay_dense);
    tcase_add_test(tests, initializers_that_are_outputs_stay_dense);
    tcase_add_test(tests, initializers_of_sub_graphs_become_sparse);
    tcase_add_test(tests, sparse_tensors_with_bad_indices_are_refused_by_name);
    tcase_add_test(tests, sparse_initializers_are_no_inputs);
    tcase_add_test(tests, initializers_that_had_to_be_inputs_stay_constants);
    tcase_add_test(tests, sparse_tensors_stay_in_the_model_file);
    tcase_add_test(tests, what_is_too_large_for_one_file_goes_to_a_data_file_by_itself);
    tcase_add_test(tests, sparse_tensors_without_room_go_to_the_data_file_dense);
    return unit_run("onnx sparse", tests);
}
