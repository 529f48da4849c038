/* Loading ONNX messages: what comes into the graph, and what is refused with which words. */
#include "wire.h"

static const float four[4] = {1, 2, 3, 4};

static wire float_weight(void) {
    return wire_raw_tensor("w", COPPICE_TYPE_FLOAT, 4, four, sizeof four);
}

START_TEST(inputs_outputs_and_opsets_are_those_of_the_file) {
    coppice_model *model = wire_load(wire_model_with(float_weight()));
    ck_assert_int_eq(coppice_model_ir_version(model), 8);
    ck_assert_int_eq(coppice_model_opset(model, ""), 13);
    ck_assert_int_eq(coppice_model_opset(model, "other"), 0);
    ck_assert_uint_eq(coppice_model_input_count(model), 1);
    ck_assert_uint_eq(coppice_model_output_count(model), 1);
    coppice_value_info x = coppice_model_input(model, 0);
    ck_assert_str_eq(x.name, "x");
    ck_assert_int_eq(x.type, COPPICE_TYPE_FLOAT);
    ck_assert_int_eq(x.rank, 2);
    ck_assert_int_eq(x.dims[0], -1);
    ck_assert_str_eq(x.symbols[0], "N");
    ck_assert_int_eq(x.dims[1], 4);
    ck_assert_ptr_null(x.symbols[1]);
    ck_assert_str_eq(coppice_model_output(model, 0).name, "y");
    ck_assert_ptr_null(coppice_model_note(model, 0));
    ck_assert_str_eq(cop_model_path(model), "<memory>");
    coppice_model_free(model);
}
END_TEST

START_TEST(raw_data_is_not_copied_and_may_be_written) {
    coppice_model *model = wire_load(wire_model_with(float_weight()));
    cop_constant *w = wire_constant(model, "w");
    ck_assert_uint_eq(w->bytes, sizeof four);
    ck_assert_mem_eq(w->tensor.data, four, sizeof four);
    memset(w->tensor.data, 0, w->bytes);
    coppice_model_free(model);
}
END_TEST

START_TEST(raw_data_of_every_length_around_a_span_is_kept) {
    for (int count = 0; count < 40; count++) {
        unsigned char data[40];
        for (int i = 0; i < count; i++)
            data[i] = (unsigned char)(i + 1);
        coppice_model *model = wire_load(
            wire_model_with(wire_raw_tensor("w", COPPICE_TYPE_UINT8, count, data, (size_t)count)));
        cop_constant *w = wire_constant(model, "w");
        ck_assert_uint_eq(w->bytes, count);
        if (count)
            ck_assert_mem_eq(w->tensor.data, data, (size_t)count);
        coppice_model_free(model);
    }
}
END_TEST

static void expect_typed(coppice_type type, unsigned field, const int64_t *stored, size_t count,
                         const void *bytes, size_t size) {
    wire t = wire_tensor("w", (int)type, 1, (int)count);
    wire_ints(&t, field, count, stored);
    coppice_model *model = wire_load(wire_model_with(t));
    cop_constant *w = wire_constant(model, "w");
    ck_assert_uint_eq(w->bytes, size);
    ck_assert_mem_eq(w->tensor.data, bytes, size);
    coppice_model_free(model);
}

START_TEST(typed_fields_become_plain_elements) {
    const int64_t small[] = {-2, 0, 127}, halves[] = {0x3c00, 0xc000}, wide[] = {-1, INT64_MIN};
    const int64_t flags[] = {1, 0, 1}, words[] = {1, 0xffffffff};
    expect_typed(COPPICE_TYPE_INT8, TENSOR_INT32S, small, 3, (int8_t[]){-2, 0, 127}, 3);
    expect_typed(COPPICE_TYPE_INT16, TENSOR_INT32S, small, 3, (int16_t[]){-2, 0, 127}, 6);
    expect_typed(COPPICE_TYPE_INT32, TENSOR_INT32S, small, 3, (int32_t[]){-2, 0, 127}, 12);
    expect_typed(COPPICE_TYPE_FLOAT16, TENSOR_INT32S, halves, 2, (uint16_t[]){0x3c00, 0xc000}, 4);
    expect_typed(COPPICE_TYPE_BFLOAT16, TENSOR_INT32S, halves, 2, (uint16_t[]){0x3c00, 0xc000}, 4);
    expect_typed(COPPICE_TYPE_BOOL, TENSOR_INT32S, flags, 3, (uint8_t[]){1, 0, 1}, 3);
    expect_typed(COPPICE_TYPE_INT64, TENSOR_INT64S, wide, 2, wide, 16);
    expect_typed(COPPICE_TYPE_UINT32, TENSOR_UINT64S, words, 2, (uint32_t[]){1, 0xffffffff}, 8);
    expect_typed(COPPICE_TYPE_UINT64, TENSOR_UINT64S, words, 2, words, 16);
    wire t = wire_tensor("w", COPPICE_TYPE_FLOAT, 1, 4);
    wire_bytes(&t, TENSOR_FLOATS, four, sizeof four);
    coppice_model *model = wire_load(wire_model_with(t));
    ck_assert_mem_eq(wire_constant(model, "w")->tensor.data, four, sizeof four);
    coppice_model_free(model);
}
END_TEST

START_TEST(scalars_and_empty_tensors_load) {
    wire scalar = wire_tensor("w", COPPICE_TYPE_FLOAT, 0), g = wire_graph();
    wire_bytes(&scalar, TENSOR_FLOATS, four, 4);
    wire_message(&g, GRAPH_INITIALIZER, scalar);
    wire_message(&g, GRAPH_INITIALIZER, wire_tensor("empty", COPPICE_TYPE_FLOAT, 2, 0, 3));
    coppice_model *model = wire_load(wire_model(g));
    ck_assert_uint_eq(wire_constant(model, "w")->tensor.rank, 0);
    ck_assert_uint_eq(wire_constant(model, "w")->bytes, 4);
    ck_assert_int_eq(coppice_tensor_count(&wire_constant(model, "empty")->tensor), 0);
    coppice_model_free(model);
}
END_TEST

START_TEST(tensors_that_nothing_computes_with_are_kept) {
    wire text = wire_tensor("text", COPPICE_TYPE_STRING, 1, 2), g = wire_graph();
    wire_text(&text, TENSOR_STRINGS, "a");
    wire_text(&text, TENSOR_STRINGS, "bc");
    wire deep = wire_tensor("deep", COPPICE_TYPE_UINT8, 0);
    for (int i = 0; i < COPPICE_MAX_RANK + 4; i++)
        wire_int(&deep, TENSOR_DIMS, 1);
    wire_bytes(&deep, TENSOR_RAW, "x", 1);
    wire_message(&g, GRAPH_INITIALIZER, float_weight());
    wire_message(&g, GRAPH_INITIALIZER, text);
    wire_message(&g, GRAPH_INITIALIZER, deep);
    wire_message(&g, GRAPH_INITIALIZER, wire_tensor("future", 99, 1, 1000));
    coppice_model *model = wire_load(wire_model(g));
    const coppice_tensor *strings = &wire_constant(model, "text")->tensor;
    ck_assert_int_eq(strings->type, COPPICE_TYPE_STRING);
    const coppice_string *items = strings->data;
    ck_assert_uint_eq(items[0].length, 1);
    ck_assert_uint_eq(items[1].length, 2);
    ck_assert_mem_eq(items[1].data, "bc", 2);
    ck_assert_int_eq(wire_constant(model, "deep")->tensor.type, COPPICE_TYPE_UNDEFINED);
    ck_assert_int_eq(wire_constant(model, "future")->tensor.type, COPPICE_TYPE_UNDEFINED);
    coppice_model_free(model);
}
END_TEST

START_TEST(a_weight_that_disagrees_with_its_dims_is_refused) {
    coppice_error err = wire_refuse(
        wire_model_with(wire_raw_tensor("w", COPPICE_TYPE_FLOAT, 5, four, sizeof four)),
        COPPICE_BAD_MODEL, "<memory>: initializer 'w': its dims want 20 bytes, raw_data has 16");
    ck_assert_str_eq(err.node, "w");
    ck_assert_str_eq(err.file, "<memory>");
    wire t = wire_tensor("w", COPPICE_TYPE_FLOAT, 2, 2, 3);
    wire_bytes(&t, TENSOR_FLOATS, four, sizeof four);
    wire_refuse(wire_model_with(t), COPPICE_BAD_MODEL, "want 6 values, float_data has 4");
    wire_refuse(wire_model_with(wire_tensor("w", COPPICE_TYPE_FLOAT, 1, 4)), COPPICE_BAD_MODEL,
                "want 4 values, float_data has 0");
    wire_refuse(wire_model_with(wire_tensor("w", COPPICE_TYPE_STRING, 1, 4)), COPPICE_BAD_MODEL,
                "want 4 strings, string_data has 0");
}
END_TEST

START_TEST(impossible_shapes_are_refused) {
    wire_refuse(wire_model_with(wire_tensor("w", COPPICE_TYPE_FLOAT, 2, 4, -1)), COPPICE_BAD_MODEL,
                "dimension 1 is -1");
    wire huge = wire_tensor("w", COPPICE_TYPE_FLOAT, 0);
    wire_int(&huge, TENSOR_DIMS, (int64_t)1 << 40);
    wire_int(&huge, TENSOR_DIMS, (int64_t)1 << 40);
    wire_refuse(wire_model_with(huge), COPPICE_BAD_MODEL, "overflows");
    wire large = wire_tensor("w", COPPICE_TYPE_FLOAT, 0);
    wire_int(&large, TENSOR_DIMS, INT64_MAX / 2);
    wire_refuse(wire_model_with(large), COPPICE_BAD_MODEL, "too many");
}
END_TEST

START_TEST(data_in_the_wrong_field_are_refused) {
    wire both = float_weight();
    wire_bytes(&both, TENSOR_FLOATS, four, sizeof four);
    wire_refuse(wire_model_with(both), COPPICE_BAD_MODEL, "has both raw_data and float_data");
    wire other = wire_tensor("w", COPPICE_TYPE_FLOAT, 1, 1);
    wire_ints(&other, TENSOR_INT64S, 1, (int64_t[]){1});
    wire_refuse(wire_model_with(other), COPPICE_BAD_MODEL, "is float32 but has int64_data");
}
END_TEST

START_TEST(names_that_occur_twice_are_refused) {
    wire g = wire_graph();
    wire_message(&g, GRAPH_INITIALIZER, float_weight());
    wire_message(&g, GRAPH_INITIALIZER, float_weight());
    wire_refuse(wire_model(g), COPPICE_BAD_MODEL, "initializer 'w': two initializers have this");
    g = wire_graph();
    wire_message(&g, GRAPH_INITIALIZER, float_weight());
    wire_message(&g, GRAPH_SPARSE, wire_sparse("w", 0, 0, NULL));
    wire_refuse(wire_model(g), COPPICE_BAD_MODEL, "two initializers have this name");
    g = wire_graph();
    wire_message(&g, GRAPH_INITIALIZER, float_weight());
    wire_message(&g, GRAPH_NODE, wire_node("again", "Relu", "x", NULL, "y"));
    coppice_error err = wire_refuse(wire_model(g), COPPICE_BAD_MODEL,
                                    "node 'again' (Relu, opset 13): output 'y' is defined twice");
    ck_assert_str_eq(err.node, "again");
    g = wire_graph();
    wire_message(&g, GRAPH_INITIALIZER, float_weight());
    wire_message(&g, GRAPH_INPUT, wire_value("x", "N"));
    wire_refuse(wire_model(g), COPPICE_BAD_MODEL, "two graph inputs are named 'x'");
}
END_TEST

START_TEST(an_input_that_nobody_defines_is_refused) {
    wire_refuse(wire_model(wire_graph()), COPPICE_BAD_MODEL,
                "node 'add' (Add, opset 13): input 'w' is neither a graph input");
}
END_TEST

START_TEST(a_cycle_is_refused) {
    wire g = wire_graph();
    wire_message(&g, GRAPH_NODE, wire_node(NULL, "Relu", "y", NULL, "w"));
    wire_refuse(wire_model(g), COPPICE_BAD_MODEL, "cycle");
}
END_TEST

START_TEST(an_output_that_nobody_produces_is_refused) {
    wire g = wire_graph();
    wire_message(&g, GRAPH_INITIALIZER, float_weight());
    wire_message(&g, GRAPH_OUTPUT, wire_value("z", "N"));
    wire_refuse(wire_model(g), COPPICE_BAD_MODEL, "graph output 'z' is produced by no node");
}
END_TEST

START_TEST(a_node_without_operator_is_refused) {
    wire g = wire_graph(), node = {0};
    wire_text(&node, NODE_NAME, "odd");
    wire_message(&g, GRAPH_INITIALIZER, float_weight());
    wire_message(&g, GRAPH_NODE, node);
    wire_refuse(wire_model(g), COPPICE_BAD_MODEL, "node 1 ('odd') has no operator type");
}
END_TEST

START_TEST(a_model_without_opset_is_refused_unless_it_is_old) {
    for (int ir = 1; ir <= 3; ir++) {
        wire g = wire_graph(), model = {0};
        wire_message(&g, GRAPH_INITIALIZER, float_weight());
        wire_int(&model, MODEL_IR, ir);
        wire_message(&model, MODEL_GRAPH, g);
        if (ir == 3) {
            wire_refuse(model, COPPICE_BAD_MODEL, "opset_import is empty");
            continue;
        }
        coppice_model *loaded = wire_load(model);
        ck_assert_int_eq(coppice_model_opset(loaded, ""), 1);
        coppice_model_free(loaded);
    }
}
END_TEST

START_TEST(a_newer_ir_version_loads_with_a_note) {
    wire g = wire_graph();
    wire_message(&g, GRAPH_INITIALIZER, float_weight());
    wire w = wire_model(g);
    wire_int(&w, MODEL_IR, 99); /* the last one counts */
    coppice_model *model = wire_load(w);
    ck_assert_int_eq(coppice_model_ir_version(model), 99);
    ck_assert_ptr_nonnull(strstr(coppice_model_note(model, 0), "IR version 99 is newer"));
    ck_assert_ptr_null(coppice_model_note(model, 1));
    coppice_model_free(model);
}
END_TEST

START_TEST(initializers_among_the_inputs_need_not_be_given) {
    wire g = wire_graph();
    wire_message(&g, GRAPH_INITIALIZER, float_weight());
    wire_message(&g, GRAPH_INPUT, wire_value("w", "N"));
    coppice_model *model = wire_load(wire_model(g));
    ck_assert_uint_eq(coppice_model_input_count(model), 1);
    ck_assert_uint_eq(cop_model_graph(model)->input_count, 2);
    ck_assert(wire_constant(model, "w")->repeated_as_input);
    coppice_model_free(model);
}
END_TEST

START_TEST(nodes_in_any_order_are_sorted) {
    wire g = {0};
    wire_message(&g, GRAPH_NODE, wire_node("third", "Relu", "b", NULL, "y"));
    wire_message(&g, GRAPH_NODE, wire_node("second", "Relu", "a", NULL, "b"));
    wire_message(&g, GRAPH_NODE, wire_node("first", "Relu", "x", NULL, "a"));
    wire_message(&g, GRAPH_INPUT, wire_value("x", "N"));
    wire_message(&g, GRAPH_OUTPUT, wire_value("y", "N"));
    coppice_model *model = wire_load(wire_model(g));
    const cop_graph *graph = cop_model_graph(model);
    ck_assert_str_eq(graph->nodes[0].name, "first");
    ck_assert_str_eq(graph->nodes[1].name, "second");
    ck_assert_str_eq(graph->nodes[2].name, "third");
    coppice_model_free(model);
}
END_TEST

/* "w" is the output of a Constant node with this attribute, which is taken over. */
static coppice_model *load_constant_node(wire attr) {
    wire g = wire_graph(), node = wire_node("c", "Constant", NULL, NULL, "w");
    wire_message(&node, NODE_ATTR, attr);
    wire_message(&g, GRAPH_NODE, node);
    return wire_load(wire_model(g));
}

START_TEST(constant_nodes_are_constants) {
    wire attr = wire_attr("value", 4);
    wire_message(&attr, ATTR_T, float_weight());
    coppice_model *model = load_constant_node(attr);
    ck_assert_mem_eq(wire_constant(model, "w")->tensor.data, four, sizeof four);
    coppice_model_free(model);

    attr = wire_attr("value_int", 2);
    wire_int(&attr, ATTR_I, -7);
    model = load_constant_node(attr);
    ck_assert_int_eq(cop_tensor_get_int(&wire_constant(model, "w")->tensor, 0), -7);
    ck_assert_uint_eq(wire_constant(model, "w")->tensor.rank, 0);
    coppice_model_free(model);

    attr = wire_attr("value_ints", 7);
    for (int i = 0; i < 3; i++)
        wire_int(&attr, ATTR_INTS, i);
    model = load_constant_node(attr);
    ck_assert_int_eq(cop_tensor_get_int(&wire_constant(model, "w")->tensor, 2), 2);
    ck_assert_int_eq(wire_constant(model, "w")->tensor.dims[0], 3);
    coppice_model_free(model);

    attr = wire_attr("value_float", 1);
    wire_tag(&attr, ATTR_F, 5);
    wire_append(&attr, &four[2], 4);
    model = load_constant_node(attr);
    ck_assert(cop_tensor_get(&wire_constant(model, "w")->tensor, 0) == 3);
    coppice_model_free(model);

    attr = wire_attr("sparse_value", 11);
    wire_message(&attr, ATTR_SPARSE, wire_sparse(NULL, 1, 0, (int64_t[]){5}));
    model = load_constant_node(attr);
    ck_assert(cop_tensor_get(&wire_constant(model, "w")->tensor, 5) == 1);
    coppice_model_free(model);
}
END_TEST

START_TEST(sparse_initializers_become_dense) {
    const int64_t linear[] = {1, 5}, pairs[] = {0, 1, 1, 2};
    const float dense[6] = {0, 1, 0, 0, 0, 2};
    for (int rank = 0; rank <= 2; rank += 2) {
        wire g = wire_graph();
        wire_message(&g, GRAPH_SPARSE, wire_sparse("w", 2, rank, rank ? pairs : linear));
        coppice_model *model = wire_load(wire_model(g));
        cop_constant *w = wire_constant(model, "w");
        ck_assert(w->sparse);
        ck_assert_uint_eq(w->tensor.rank, 2);
        ck_assert_mem_eq(w->tensor.data, dense, sizeof dense);
        coppice_model_free(model);
    }
}
END_TEST

static void refuse_sparse(int count, int rank, const int64_t *indices, const char *text) {
    wire g = wire_graph();
    wire_message(&g, GRAPH_SPARSE, wire_sparse("w", count, rank, indices));
    wire_refuse(wire_model(g), COPPICE_BAD_MODEL, text);
}

START_TEST(sparse_indices_are_checked) {
    refuse_sparse(2, 0, (int64_t[]){5, 1},
                  "initializer 'w': indices must be in strictly ascending");
    refuse_sparse(2, 0, (int64_t[]){1, 1}, "strictly ascending");
    refuse_sparse(1, 0, (int64_t[]){6}, "index of value 0 is out of range");
    refuse_sparse(1, 0, (int64_t[]){-1}, "out of range");
    refuse_sparse(1, 2, (int64_t[]){0, 3}, "out of range");
    refuse_sparse(2, 2, (int64_t[]){1, 0, 0, 2}, "strictly ascending");
    refuse_sparse(1, 3, (int64_t[]){0, 0, 0}, "indices must be int64 of shape [1] or [1,2]");
    wire g = wire_graph(), sparse = wire_sparse("w", 0, 0, NULL);
    wire_int(&sparse, SPARSE_DIMS, (int64_t)1 << 40);
    wire_message(&g, GRAPH_SPARSE, sparse);
    wire_refuse(wire_model(g), COPPICE_LIMIT, "as a dense tensor");
}
END_TEST

/* An If node whose two branches are `Add(outer, w) -> NAME`. */
static wire if_node(const char *outer) {
    wire node = wire_node("if", "If", "x", NULL, "y");
    const char *const names[] = {"then_branch", "else_branch"};
    for (int i = 0; i < 2; i++) {
        wire branch = {0}, attr = wire_attr(names[i], 5);
        wire_message(&branch, GRAPH_NODE, wire_node("inner", "Add", outer, "w", "out"));
        wire_message(&branch, GRAPH_INITIALIZER, float_weight());
        wire_message(&branch, GRAPH_OUTPUT, wire_value("out", "N"));
        wire_message(&attr, ATTR_G, branch);
        wire_message(&node, NODE_ATTR, attr);
    }
    return node;
}

static wire if_model(const char *outer) {
    wire g = {0};
    wire_message(&g, GRAPH_NODE, if_node(outer));
    wire_message(&g, GRAPH_NODE, wire_node("late", "Relu", "x", NULL, "a"));
    wire_message(&g, GRAPH_INPUT, wire_value("x", "N"));
    wire_message(&g, GRAPH_OUTPUT, wire_value("y", "N"));
    return wire_model(g);
}

START_TEST(sub_graphs_see_values_around_them_and_wait_for_them) {
    coppice_model *model = wire_load(if_model("a"));
    const cop_graph *graph = cop_model_graph(model);
    ck_assert_str_eq(graph->nodes[0].name, "late"); /* the If reads its output inside */
    const cop_attr *branch = cop_node_attr(&graph->nodes[1], "then_branch");
    int outer = cop_graph_find(branch->graph, "a");
    ck_assert(branch->graph->values[outer].outer);
    ck_assert_ptr_nonnull(branch->graph->values[cop_graph_find(branch->graph, "w")].constant);
    ck_assert_int_eq(cop_graph_opset(branch->graph, ""), 13);
    coppice_model_free(model);
    wire_refuse(if_model("nowhere"), COPPICE_BAD_MODEL,
                "in the sub-graph of node 'if': node 'inner' (Add, opset 13): input 'nowhere'");
}
END_TEST

START_TEST(external_data_from_memory_are_refused) {
    wire_refuse(wire_model_with(wire_external("w", 4, "data", "0", "16")), COPPICE_BAD_MODEL,
                "a model from memory has no folder");
}
END_TEST

START_TEST(a_missing_file_is_reported_with_its_name) {
    coppice_model *model;
    coppice_error err;
    ck_assert_int_eq(coppice_model_load("/nonexistent/net.onnx", NULL, &model, &err),
                     COPPICE_NOT_FOUND);
    ck_assert_ptr_null(model);
    ck_assert_ptr_nonnull(strstr(err.message, "/nonexistent/net.onnx"));
    ck_assert_str_eq(err.file, "/nonexistent/net.onnx");
    ck_assert_int_eq(coppice_model_load("/tmp", NULL, &model, &err), COPPICE_IO);
    coppice_model_free(NULL);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("onnx");
    tcase_add_test(tests, inputs_outputs_and_opsets_are_those_of_the_file);
    tcase_add_test(tests, raw_data_is_not_copied_and_may_be_written);
    tcase_add_test(tests, raw_data_of_every_length_around_a_span_is_kept);
    tcase_add_test(tests, typed_fields_become_plain_elements);
    tcase_add_test(tests, scalars_and_empty_tensors_load);
    tcase_add_test(tests, tensors_that_nothing_computes_with_are_kept);
    tcase_add_test(tests, a_weight_that_disagrees_with_its_dims_is_refused);
    tcase_add_test(tests, impossible_shapes_are_refused);
    tcase_add_test(tests, data_in_the_wrong_field_are_refused);
    tcase_add_test(tests, names_that_occur_twice_are_refused);
    tcase_add_test(tests, an_input_that_nobody_defines_is_refused);
    tcase_add_test(tests, a_cycle_is_refused);
    tcase_add_test(tests, an_output_that_nobody_produces_is_refused);
    tcase_add_test(tests, a_node_without_operator_is_refused);
    tcase_add_test(tests, a_model_without_opset_is_refused_unless_it_is_old);
    tcase_add_test(tests, a_newer_ir_version_loads_with_a_note);
    tcase_add_test(tests, initializers_among_the_inputs_need_not_be_given);
    tcase_add_test(tests, nodes_in_any_order_are_sorted);
    tcase_add_test(tests, constant_nodes_are_constants);
    tcase_add_test(tests, sparse_initializers_become_dense);
    tcase_add_test(tests, sparse_indices_are_checked);
    tcase_add_test(tests, sub_graphs_see_values_around_them_and_wait_for_them);
    tcase_add_test(tests, external_data_from_memory_are_refused);
    tcase_add_test(tests, a_missing_file_is_reported_with_its_name);
    return unit_run("onnx", tests);
}
