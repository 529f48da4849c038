/* Tests of shape inference and constant folding over whole graphs. */
#include "small_graph.h"
#include "unit.h"

START_TEST(shape_of_an_input_is_folded_with_free_dims_one) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(-1, 3, 8, 8));
    int shape = small_node("Shape", 1, x);
    int batch = small_node("Gather", 2, shape, small_ints("zero", LIST(0)));
    int all = small_node("Concat", 2, batch, small_ints("rest", LIST(-1)));
    small_attr("axis", 0);
    int y = small_node("Reshape", 2, x, all);
    ck_assert_int_eq(small_infer(), COPPICE_OK);
    ck_assert_ptr_nonnull(small_it.shapes.values[all].t.data);
    ck_assert_ptr_null(small_it.shapes.values[y].t.data);
    small_has_shape(y, DIMS(1, 192));
    small_end();
}
END_TEST

START_TEST(given_inputs_must_fit_the_declared_ones) {
    static const char symbol[] = "N";
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(-1, 3, 224, 224));
    small_graph->values[x].dims[0].symbol = symbol;
    small_node("Relu", 1, x);
    ck_assert_int_eq(cop_graph_connect(small_graph, NULL), COPPICE_OK);
    coppice_tensor in = {.type = COPPICE_TYPE_FLOAT, .rank = 4, .dims = {1, 3, 225, 225}};
    cop_infer_options options = {.inputs = &in, .input_count = 1};
    ck_assert_int_eq(cop_infer(small_graph, &options, &small_it.shapes, &small_error),
                     COPPICE_INVALID_ARGUMENT);
    ck_assert_str_eq(small_error.message,
                     "input 'x' has shape [1,3,225,225], the model wants [N,3,224,224]");
    in.dims[2] = in.dims[3] = 224;
    in.type = COPPICE_TYPE_INT8;
    cop_shapes_free(&small_it.shapes);
    ck_assert_int_eq(cop_infer(small_graph, &options, &small_it.shapes, &small_error),
                     COPPICE_INVALID_ARGUMENT);
    ck_assert_str_eq(small_error.message, "input 'x' has type int8, the model wants float32");
    options.input_count = 2;
    cop_shapes_free(&small_it.shapes);
    ck_assert_int_eq(cop_infer(small_graph, &options, &small_it.shapes, &small_error),
                     COPPICE_INVALID_ARGUMENT);
    small_end();
}
END_TEST

START_TEST(huge_constants_are_refused_before_they_are_made) {
    small_begin(13);
    small_node("ConstantOfShape", 1, small_ints("s", LIST(1 << 20, 1 << 20)));
    small_refused(COPPICE_LIMIT, "ahead of time");
    small_begin(13);
    small_node("ConstantOfShape", 1, small_ints("s", LIST(INT64_MAX, INT64_MAX)));
    small_refused(COPPICE_LIMIT, "too many elements");
    small_begin(13);
    int one = small_weights("w", DIMS(1));
    small_node("Expand", 2, one, small_ints("s", LIST(1 << 15, 1 << 15)));
    small_refused(COPPICE_LIMIT, "ahead of time");
}
END_TEST

START_TEST(many_constants_together_have_one_limit) {
    small_begin(13);
    int s = small_ints("s", LIST(20, 1 << 20));
    for (int i = 0; i < 4; i++)
        small_node("ConstantOfShape", 1, s);
    small_refused(COPPICE_LIMIT, "ahead of time");
}
END_TEST

START_TEST(unknown_operator_is_named) {
    small_begin(13);
    small_node("Frobnicate", 1, small_input("x", COPPICE_TYPE_FLOAT, DIMS(1)));
    small_refused(COPPICE_UNSUPPORTED, "operator Frobnicate of domain ai.onnx, opset 13");
    small_begin(7);
    small_node("Where", 3, small_input("c", COPPICE_TYPE_BOOL, DIMS(1)),
               small_input("a", COPPICE_TYPE_FLOAT, DIMS(1)),
               small_input("b", COPPICE_TYPE_FLOAT, DIMS(1)));
    small_refused(COPPICE_UNSUPPORTED, "from opset 9 on, the model imports 7");
}
END_TEST

/* What `cop_op_check_attributes` says of a node with one attribute. */
static void attribute_is(coppice_status status, const char *op, int64_t opset, const char *name,
                         const char *text) {
    small_begin(opset);
    small_node(op, 1, small_input("x", COPPICE_TYPE_FLOAT, DIMS(1)));
    small_attr(name, 1);
    const cop_op *row = cop_op_find("", op, opset);
    ck_assert_ptr_nonnull(row);
    coppice_status got = cop_op_check_attributes(row, small_last(), opset, &small_error);
    ck_assert_msg(got == status, "%s: %s", op, small_error.message);
    ck_assert_msg(strstr(small_error.message, text), "message: %s", small_error.message);
    small_end();
}

START_TEST(attributes_that_an_operator_does_not_have_are_refused_with_those_it_has) {
    attribute_is(COPPICE_UNSUPPORTED, "Conv", 13, "grup",
                 "'grup' is not supported; Conv has auto_pad, dilations, group");
    attribute_is(COPPICE_UNSUPPORTED, "Relu", 13, "alpha", "Relu has none");
    attribute_is(COPPICE_OK, "Resize", 18, "antialias", "");
    attribute_is(COPPICE_UNSUPPORTED, "Resize", 13, "antialias", "'antialias'");
    attribute_is(COPPICE_UNSUPPORTED, "Resize", 18, "anti", "'anti'");
    attribute_is(COPPICE_OK, "Clip", 6, "max", "");
    attribute_is(COPPICE_UNSUPPORTED, "Clip", 11, "max", "Clip has none");
}
END_TEST

START_TEST(attributes_of_every_operator_are_listed) {
    small_begin(13);
    small_node("Relu", 1, small_input("x", COPPICE_TYPE_FLOAT, DIMS(1)));
    small_attr("none_has_this", 1);
    for (const cop_op *const *row = cop_op_rows(); *row; row++)
        ck_assert_msg(cop_op_check_attributes(*row, small_last(), (*row)->since, NULL) ==
                          COPPICE_UNSUPPORTED,
                      "%s is not in runtime/ops/attributes.c", (*row)->name);
    small_end();
}
END_TEST

START_TEST(nodes_are_checked_before_anything_is_known_of_their_inputs) {
    static const struct {
        const char *attr;
        int64_t value;
        const char *text;
    } cases[] = {{NULL, 0, ""}, {"keepdims", 2, "expected 0 or 1"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        small_begin(13);
        small_node("ArgMax", 1, small_input("x", COPPICE_TYPE_UNDEFINED, SCALAR));
        if (cases[i].attr)
            small_attr(cases[i].attr, cases[i].value);
        coppice_status status = cop_check_node(small_graph, small_last(), &small_error);
        ck_assert_int_eq(status, cases[i].attr ? COPPICE_BAD_MODEL : COPPICE_OK);
        ck_assert(strstr(small_error.message, cases[i].text));
        small_end();
    }
}
END_TEST

START_TEST(node_whose_shape_depends_on_data_is_eager) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(2, 3));
    int s = small_input("s", COPPICE_TYPE_INT64, DIMS(2));
    int y = small_node("Reshape", 2, x, s);
    int z = small_node("Relu", 1, y), w = small_node("Relu", 1, x);
    ck_assert_int_eq(small_infer(), COPPICE_OK);
    ck_assert(!small_it.shapes.known[y] && small_it.shapes.eager[0]);
    ck_assert(!small_it.shapes.known[z] && small_it.shapes.eager[1]);
    ck_assert(small_it.shapes.known[w] && !small_it.shapes.eager[2]);
    small_end();
}
END_TEST

START_TEST(best_effort_goes_on_behind_an_unknown_operator) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(2, 3));
    int odd = small_node("Frobnicate", 1, x), lost = small_node("Frobnicate", 1, x);
    small_graph->values[odd].type = COPPICE_TYPE_FLOAT;
    small_graph->values[odd].rank = 2;
    small_graph->values[odd].dims = small_graph->values[x].dims;
    int y = small_node("Relu", 1, odd), z = small_node("Relu", 1, lost);
    ck_assert_int_eq(cop_graph_connect(small_graph, NULL), COPPICE_OK);
    cop_infer_options options = {.best_effort = true};
    ck_assert_int_eq(cop_infer(small_graph, &options, &small_it.shapes, NULL), COPPICE_OK);
    small_has_shape(y, DIMS(2, 3));
    ck_assert(!small_it.shapes.known[z]);
    small_end();
}
END_TEST

START_TEST(best_effort_knows_the_shapes_of_float16) {
    uint16_t half[12] = {0};
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT16, DIMS(2, 3));
    int y = small_node("MatMul", 2, x, small_constant("w", COPPICE_TYPE_FLOAT16, DIMS(3, 4), half));
    small_node("Neg", 1, small_graph->nodes[0].inputs[1]);
    ck_assert_int_eq(cop_graph_connect(small_graph, NULL), COPPICE_OK);
    cop_infer_options options = {.best_effort = true};
    ck_assert_int_eq(cop_infer(small_graph, &options, &small_it.shapes, NULL), COPPICE_OK);
    small_has_shape(y, DIMS(2, 4));
    ck_assert_int_eq(cop_node_macs(small_graph, 0, &small_it.shapes), 24);
    small_end();
}
END_TEST

/* Four floats at an odd address, which is returned. */
static int odd_weights(char **moved) {
    int w = small_weights("w", DIMS(4));
    cop_constant *constant = small_graph->values[w].constant;
    *moved = cop_arena_alloc(&small_arena, 64);
    memcpy(*moved + 1, constant->tensor.data, 16);
    constant->tensor.data = *moved + 1;
    constant->aligned = false;
    return w;
}

START_TEST(constants_that_are_not_aligned_are_folded) {
    char *moved;
    small_begin(13);
    int w = odd_weights(&moved);
    int y = small_node("Neg", 1, w);
    ck_assert_int_eq(small_infer(), COPPICE_OK);
    const float *got = small_it.shapes.values[y].t.data;
    for (int i = 0; i < 4; i++) {
        float was;
        memcpy(&was, moved + 1 + 4 * i, 4);
        ck_assert_float_eq(got[i], -was);
    }
    small_end();
}
END_TEST

/* The aligned copy is gone when types of the outputs are settled: the sanitizer watches. */
START_TEST(constants_that_are_not_aligned_are_folded_by_rows_that_size_their_outputs) {
    char *moved;
    small_begin(13);
    int y = small_node("Unique", 1, odd_weights(&moved));
    ck_assert_int_eq(small_infer(), COPPICE_OK);
    small_has_shape(y, DIMS(4));
    small_end();
}
END_TEST

START_TEST(multiply_accumulates_are_counted) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(2, 4, 8, 8));
    small_node("Conv", 2, x, small_weights("w", DIMS(6, 2, 3, 3)));
    small_attr("group", 2);
    int flat = small_node("Flatten", 1, x);
    small_node("Gemm", 2, flat, small_weights("g", DIMS(10, 256)));
    small_attr("transB", 1);
    small_node("MatMul", 2, flat, small_weights("m", DIMS(256, 5)));
    ck_assert_int_eq(small_infer(), COPPICE_OK);
    ck_assert_int_eq(cop_node_macs(small_graph, 0, &small_it.shapes), 2 * 6 * 36 * 18);
    ck_assert_int_eq(cop_node_macs(small_graph, 1, &small_it.shapes), -1);
    ck_assert_int_eq(cop_node_macs(small_graph, 2, &small_it.shapes), 2 * 10 * 256);
    ck_assert_int_eq(cop_node_macs(small_graph, 3, &small_it.shapes), 2 * 5 * 256);
    small_end();
}
END_TEST

START_TEST(wrong_number_of_inputs_is_refused) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(2));
    small_node("Relu", 2, x, x);
    small_refused(COPPICE_BAD_MODEL, "2 inputs");
    small_begin(13);
    x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(2));
    small_node("Add", 2, x, -1);
    small_refused(COPPICE_BAD_MODEL, "input 1 is missing");
    small_begin(13);
    x = small_input("x", COPPICE_TYPE_STRING, DIMS(2));
    small_node("Relu", 1, x);
    small_refused(COPPICE_UNSUPPORTED,
                  "type string of input 'x' is not supported; supported are float32");
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("infer");
    tcase_add_test(tests, shape_of_an_input_is_folded_with_free_dims_one);
    tcase_add_test(tests, given_inputs_must_fit_the_declared_ones);
    tcase_add_test(tests, huge_constants_are_refused_before_they_are_made);
    tcase_add_test(tests, many_constants_together_have_one_limit);
    tcase_add_test(tests, unknown_operator_is_named);
    tcase_add_test(tests, attributes_that_an_operator_does_not_have_are_refused_with_those_it_has);
    tcase_add_test(tests, attributes_of_every_operator_are_listed);
    tcase_add_test(tests, nodes_are_checked_before_anything_is_known_of_their_inputs);
    tcase_add_test(tests, node_whose_shape_depends_on_data_is_eager);
    tcase_add_test(tests, best_effort_goes_on_behind_an_unknown_operator);
    tcase_add_test(tests, best_effort_knows_the_shapes_of_float16);
    tcase_add_test(tests, constants_that_are_not_aligned_are_folded);
    tcase_add_test(tests,
                   constants_that_are_not_aligned_are_folded_by_rows_that_size_their_outputs);
    tcase_add_test(tests, multiply_accumulates_are_counted);
    tcase_add_test(tests, wrong_number_of_inputs_is_refused);
    return unit_run("infer", tests);
}
