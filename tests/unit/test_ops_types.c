/* Tests of casts, quantization and products of integers: what they refuse, what narrow types do
 * between nodes. That they compute the right thing is tested with ONNX's own tests. */
#include "runtime/value.h"
#include "small_graph.h"
#include "unit.h"

typedef struct given {
    coppice_type type; /* UNDEFINED: left out */
    int rank;
    int64_t dims[4];
} given;

#define T(type, ...)                                                                               \
    {                                                                                              \
        COPPICE_TYPE_##type, (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), {                        \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define ONE(type)                                                                                  \
    {                                                                                              \
        COPPICE_TYPE_##type, 0, {                                                                  \
            0                                                                                      \
        }                                                                                          \
    }
#define NONE                                                                                       \
    {                                                                                              \
        COPPICE_TYPE_UNDEFINED, 0, {                                                               \
            0                                                                                      \
        }                                                                                          \
    }

typedef struct bad_case {
    const char *op;
    int64_t opset;
    int count;
    given inputs[9];
    const char *attr; /* NULL: none */
    int64_t value;
    const char *text; /* a string attribute */
    const char *message;
} bad_case;

static const bad_case bad_cases[] = {
    {"Cast",
     13,
     1,
     {T(FLOAT, 2)},
     "to",
     14,
     NULL,
     "casting to type complex64 (14) is not supported"},
    {"Cast", 13, 1, {T(FLOAT, 2)}, "to", 99, NULL, "casting to type unknown (99)"},
    {"Cast", 13, 1, {T(FLOAT, 2)}, "to", -1, NULL, "casting to type unknown (-1)"},
    {"Cast", 5, 1, {T(FLOAT, 2)}, "to", 0, "INT7", "attribute 'to' is 'INT7'"},
    {"CastLike", 24, 2, {T(FLOAT, 2), ONE(INT8)}, "round_mode", 0, "sideways", "'sideways'"},
    {"CastLike", 19, 2, {T(FLOAT, 2), ONE(INT8)}, "saturate", 2, NULL, "'saturate' is 2"},
    {"BitCast", 26, 1, {T(FLOAT, 2)}, "to", 7, NULL, "elements of 32 bits"},
    {"BitCast", 26, 1, {T(INT8, 2)}, "to", 8, NULL, "has no bits"},
    {"QuantizeLinear",
     13,
     2,
     {T(FLOAT, 2, 3), T(FLOAT, 2)},
     "axis",
     1,
     NULL,
     "expected one number"},
    {"QuantizeLinear", 13, 2, {T(FLOAT, 2, 3), T(FLOAT, 3)}, "axis", 2, NULL, "axis 2"},
    {"QuantizeLinear", 10, 2, {T(FLOAT, 2, 3), T(FLOAT, 3)}, NULL, 0, NULL, "before opset 13"},
    {"QuantizeLinear",
     21,
     2,
     {T(FLOAT, 2, 3), T(FLOAT, 2, 2)},
     "block_size",
     3,
     NULL,
     "block_size 3"},
    {"QuantizeLinear",
     21,
     2,
     {T(FLOAT, 2), ONE(FLOAT)},
     "block_size",
     -1,
     NULL,
     "'block_size' is -1"},
    {"QuantizeLinear", 21, 2, {T(FLOAT, 2), ONE(FLOAT)}, "output_dtype", 8, NULL, "(string)"},
    {"QuantizeLinear",
     21,
     3,
     {T(FLOAT, 2), ONE(FLOAT), ONE(INT8)},
     "output_dtype",
     2,
     NULL,
     "is int8"},
    {"QuantizeLinear",
     13,
     3,
     {T(FLOAT, 2), ONE(FLOAT), T(INT8, 2)},
     NULL,
     0,
     NULL,
     "the zero point"},
    {"QuantizeLinear", 13, 2, {T(INT64, 2), ONE(FLOAT)}, NULL, 0, NULL, "type int64"},
    {"DequantizeLinear", 13, 2, {T(INT64, 2), ONE(FLOAT)}, NULL, 0, NULL, "type int64"},
    {"DequantizeLinear", 13, 3, {T(INT8, 2), ONE(FLOAT), ONE(UINT8)}, NULL, 0, NULL, "type uint8"},
    {"DynamicQuantizeLinear", 11, 1, {T(DOUBLE, 2)}, NULL, 0, NULL, "type float64"},
    {"MatMulInteger", 10, 2, {T(INT8, 2, 3), T(INT8, 2, 3)}, NULL, 0, NULL, "does not fit"},
    {"MatMulInteger", 10, 2, {T(INT8, 2, 3), T(INT32, 3, 3)}, NULL, 0, NULL, "type int32"},
    {"MatMulInteger",
     10,
     3,
     {T(INT8, 2, 3), T(INT8, 3, 3), T(INT8, 3)},
     NULL,
     0,
     NULL,
     "expected one number or 2"},
    {"ConvInteger",
     10,
     2,
     {T(UINT8, 1, 3, 4, 4), T(UINT8, 2, 2, 3, 3)},
     NULL,
     0,
     NULL,
     "in 1 groups"},
    {"ConvInteger",
     10,
     2,
     {T(UINT8, 1, 2, 4, 4), T(UINT8, 2, 2, 3, 3)},
     "group",
     0,
     NULL,
     "'group' is 0"},
    {"ConvInteger", 10, 2, {T(UINT8, 1, 2, 2, 2), T(UINT8, 2, 2, 3, 3)}, NULL, 0, NULL, "window"},
    {"QLinearMatMul",
     10,
     8,
     {T(INT8, 2, 3), T(FLOAT, 5), ONE(INT8), T(INT8, 3, 2), ONE(FLOAT), ONE(INT8), ONE(FLOAT),
      ONE(INT8)},
     NULL,
     0,
     NULL,
     "expected one number or 2"},
    {"QLinearConv",
     10,
     9,
     {T(UINT8, 1, 1, 3, 3), ONE(FLOAT), ONE(UINT8), T(INT8, 1, 1, 3, 3), ONE(FLOAT), ONE(INT8),
      ONE(FLOAT), ONE(UINT8), T(FLOAT, 1)},
     NULL,
     0,
     NULL,
     "type float32"},
};

/* The sanitizer watches. */
START_TEST(a_block_of_scales_may_be_larger_than_the_axis) {
    int8_t data[4] = {1, 2, 3, 4};
    float half = 0.5f;
    small_begin(21);
    int x = small_constant("x", COPPICE_TYPE_INT8, DIMS(4), data);
    int y = small_node("DequantizeLinear", 2, x,
                       small_constant("s", COPPICE_TYPE_FLOAT, DIMS(1), &half));
    small_attr("axis", 0);
    small_attr("block_size", 1000);
    ck_assert_int_eq(small_infer(), COPPICE_OK);
    const float *got = small_it.shapes.values[y].t.data;
    for (int i = 0; i < 4; i++)
        ck_assert_float_eq(got[i], (float)data[i] / 2);
    small_end();
}
END_TEST

START_TEST(types_that_are_held_alike_do_not_mix) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT16, DIMS(2));
    small_node("Add", 2, x, small_input("y", COPPICE_TYPE_FLOAT, DIMS(2)));
    small_refused(COPPICE_BAD_MODEL, "inputs have types float16 and float32");
}
END_TEST

START_TEST(bad_attributes_and_shapes_are_refused) {
    const bad_case *c = &bad_cases[_i];
    int v[9] = {0};
    small_begin(c->opset);
    for (int i = 0; i < c->count; i++) {
        char name[8];
        snprintf(name, sizeof name, "x%d", i);
        const given *g = &c->inputs[i];
        v[i] = g->type ? small_input(name, g->type, (uint32_t)g->rank, g->dims) : -1;
    }
    small_node(c->op, c->count, v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8]);
    if (c->text)
        small_attr_string(c->attr, c->text);
    else if (c->attr)
        small_attr(c->attr, c->value);
    coppice_status status = small_infer();
    ck_assert_msg(status && strstr(small_error.message, c->message), "%s: '%s' not in: %s", c->op,
                  c->message, status ? small_error.message : "no error");
    small_end();
}
END_TEST

START_TEST(a_narrow_type_goes_on_to_what_is_computed_from_it) {
    small_begin(21);
    int x = small_input("x", COPPICE_TYPE_FLOAT16, DIMS(2));
    int y = small_node("Relu", 1, x);
    int i = small_node("Cast", 1, y);
    small_attr("to", COPPICE_TYPE_INT4);
    int f = small_node("Cast", 1, i);
    small_attr("to", COPPICE_TYPE_FLOAT);
    ck_assert_int_eq(small_infer(), COPPICE_OK);
    const cop_operand *values = small_it.shapes.values;
    ck_assert_int_eq(values[y].t.type, COPPICE_TYPE_FLOAT);
    ck_assert_int_eq(cop_onnx_type(&values[y]), COPPICE_TYPE_FLOAT16);
    ck_assert_int_eq(values[i].t.type, COPPICE_TYPE_INT8);
    ck_assert_int_eq(cop_onnx_type(&values[i]), COPPICE_TYPE_INT4);
    ck_assert_int_eq(cop_onnx_type(&values[f]), COPPICE_TYPE_FLOAT);
    small_end();
}
END_TEST

/* Statistics have the type of the statistics, not that of what is normalized. */
START_TEST(an_output_has_the_narrow_type_of_the_input_that_the_standard_names) {
    small_begin(23);
    int x = small_input("x", COPPICE_TYPE_FLOAT16, DIMS(1, 2));
    int scale = small_input("scale", COPPICE_TYPE_BFLOAT16, DIMS(2));
    int mean = small_input("mean", COPPICE_TYPE_FLOAT, DIMS(2));
    int rms = small_node("RMSNormalization", 2, x, scale);
    cop_node *node = cop_graph_add_node(small_graph, "BatchNormalization", 5, 3, 0);
    const char *names[] = {"y", "new_mean", "new_variance"};
    for (int i = 0; i < 5; i++)
        node->inputs[i] = i == 0 ? x : i < 3 ? scale : mean;
    for (int i = 0; i < 3; i++)
        node->outputs[i] = cop_graph_value(small_graph, names[i]);
    int y = node->outputs[0], new_mean = node->outputs[1];
    small_attr("training_mode", 1);
    ck_assert_int_eq(small_infer(), COPPICE_OK);
    const cop_operand *values = small_it.shapes.values;
    ck_assert_int_eq(cop_onnx_type(&values[rms]), COPPICE_TYPE_BFLOAT16);
    ck_assert_int_eq(cop_onnx_type(&values[y]), COPPICE_TYPE_FLOAT16);
    ck_assert_int_eq(cop_onnx_type(&values[new_mean]), COPPICE_TYPE_FLOAT);
    small_end();
}
END_TEST

START_TEST(text_that_is_no_number_is_refused) {
    small_begin(13);
    coppice_string words[] = {{"1.5", 3}, {"two", 3}};
    small_node("Cast", 1, small_constant("s", COPPICE_TYPE_STRING, DIMS(2), words));
    small_attr("to", COPPICE_TYPE_FLOAT);
    small_refused(COPPICE_BAD_DATA, "'two' of input 's' is no number");
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("types");
    tcase_add_loop_test(tests, bad_attributes_and_shapes_are_refused, 0,
                        (int)(sizeof bad_cases / sizeof bad_cases[0]));
    tcase_add_test(tests, a_block_of_scales_may_be_larger_than_the_axis);
    tcase_add_test(tests, types_that_are_held_alike_do_not_mix);
    tcase_add_test(tests, a_narrow_type_goes_on_to_what_is_computed_from_it);
    tcase_add_test(tests, an_output_has_the_narrow_type_of_the_input_that_the_standard_names);
    tcase_add_test(tests, text_that_is_no_number_is_refused);
    return unit_run("types", tests);
}
