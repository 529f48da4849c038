/* Tests of the passes: what they rewrite computes the same, and what they must leave stays. */
#include <math.h>

#include "runtime/plan.h"
#include "small_graph.h"
#include "unit.h"

static float *fill_input(int value) {
    cop_value *v = &small_graph->values[value];
    int64_t count = 1;
    for (int d = 0; d < v->rank; d++)
        count *= v->dims[d].size;
    float *data = cop_arena_array(&small_arena, (size_t)count, sizeof *data);
    for (int64_t i = 0; i < count; i++)
        data[i] = (float)((i * 29 + 3) % 71) / 20.0f - 1.7f;
    return data;
}

/* Runs the graph on a fixed input 0; the outputs, copied into the arena. */
static float **run_graph(cop_graph *graph) {
    coppice_tensor in = {.type = COPPICE_TYPE_FLOAT};
    cop_value *v = &graph->values[graph->inputs[0]];
    in.rank = (uint32_t)v->rank;
    for (int d = 0; d < v->rank; d++)
        in.dims[d] = v->dims[d].size;
    in.data = fill_input(small_graph->inputs[0]);
    interpreter it = {0};
    coppice_status status = interpreter_run(&it, graph, &in, 1, &small_error);
    ck_assert_msg(status == COPPICE_OK, "%s", small_error.message);
    float **out = cop_arena_array(&small_arena, graph->output_count, sizeof *out);
    for (size_t i = 0; i < graph->output_count; i++) {
        coppice_tensor *t = &it.shapes.values[graph->outputs[i]].t;
        out[i] = cop_arena_copy(&small_arena, t->data, (size_t)coppice_tensor_bytes(t));
    }
    interpreter_free(&it);
    return out;
}

/* Runs passes on a copy, expects the first `count` elements of each output to agree and `nodes`
 * nodes to be left (named in `ops`), ends the graph. */
static void expect_same(int64_t count, float tolerance, const char *ops) {
    char left[256] = "";
    ck_assert_int_eq(cop_graph_connect(small_graph, &small_error), COPPICE_OK);
    float **before = run_graph(small_graph);
    cop_arena arena = {0};
    cop_graph *copy = cop_graph_copy(small_graph, &arena, &small_error);
    ck_assert_ptr_nonnull(copy);
    ck_assert_int_eq(cop_passes_run(copy, &small_error), COPPICE_OK);
    ck_assert_uint_eq(copy->output_count, small_graph->output_count);
    float **after = run_graph(copy);
    for (size_t o = 0; o < copy->output_count; o++) {
        for (int64_t i = 0; i < count; i++)
            ck_assert(fabsf(after[o][i] - before[o][i]) <= tolerance);
    }
    for (size_t n = 0; n < copy->node_count; n++)
        snprintf(left + strlen(left), sizeof left - strlen(left), "%s%s", n ? " " : "",
                 copy->nodes[n].op);
    ck_assert_str_eq(left, ops);
    cop_graph_free(copy);
    cop_arena_free(&arena);
    small_end();
}

static int positive(const char *name, int64_t count) {
    int v = small_weights(name, 1, &count);
    float *data = small_graph->values[v].constant->tensor.data;
    for (int64_t i = 0; i < count; i++)
        data[i] = fabsf(data[i]) + 0.3f;
    return v;
}

static int batchnorm(int x, int64_t channels) {
    return small_node("BatchNormalization", 5, x, small_weights("scale", 1, &channels),
                      small_weights("shift", 1, &channels), small_weights("mean", 1, &channels),
                      positive("var", channels));
}

START_TEST(batchnorm_goes_into_a_conv_with_and_without_bias) {
    for (int bias = 0; bias < 2; bias++) {
        small_begin(13);
        int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(2, 3, 5, 5));
        int y = small_node("Conv", 2 + bias, x, small_weights("w", DIMS(4, 3, 3, 3)),
                           bias ? small_weights("b", DIMS(4)) : -1);
        small_output(small_node("Relu", 1, batchnorm(y, 4)));
        expect_same(2 * 4 * 9, 1e-4f, "Conv");
    }
}
END_TEST

START_TEST(batchnorm_goes_into_a_gemm_either_way_round) {
    for (int64_t transposed = 0; transposed < 2; transposed++) {
        small_begin(13);
        int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(2, 6));
        int64_t dims[] = {transposed ? 4 : 6, transposed ? 6 : 4};
        int y = small_node("Gemm", 2, x, small_weights("w", 2, dims));
        small_attr("transB", transposed);
        small_output(batchnorm(y, 4));
        expect_same(8, 1e-4f, "Gemm");
    }
}
END_TEST

START_TEST(folding_keeps_zeros_zero_and_the_model_as_it_was) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(1, 3, 5, 5));
    int w = small_weights("w", DIMS(4, 3, 3, 3));
    float *weights = small_graph->values[w].constant->tensor.data;
    for (int i = 0; i < 108; i++)
        weights[i] = i % 3 ? 0 : weights[i];
    float *kept = cop_arena_copy(&small_arena, weights, 108 * sizeof *weights);
    small_output(batchnorm(small_node("Conv", 2, x, w), 4));
    ck_assert_int_eq(cop_graph_connect(small_graph, NULL), COPPICE_OK);
    cop_arena arena = {0};
    cop_graph *copy = cop_graph_copy(small_graph, &arena, NULL);
    ck_assert_int_eq(cop_passes_run(copy, NULL), COPPICE_OK);
    ck_assert_uint_eq(copy->node_count, 1);
    const cop_constant *folded = cop_graph_constant(copy, copy->nodes[0].inputs[1], NULL, NULL);
    const float *now = folded->tensor.data;
    ck_assert_mem_eq(weights, kept, 108 * sizeof *weights);
    for (int i = 0; i < 108; i++)
        ck_assert(i % 3 == 0 || now[i] == 0);
    cop_graph_free(copy);
    cop_arena_free(&arena);
    small_end();
}
END_TEST

START_TEST(batchnorm_stays_when_the_conv_has_another_reader) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(1, 3, 5, 5));
    int y = small_node("Conv", 2, x, small_weights("w", DIMS(4, 3, 3, 3)));
    small_output(batchnorm(y, 4));
    small_output(y);
    expect_same(36, 1e-5f, "Conv BatchNormalization");
}
END_TEST

START_TEST(batchnorm_with_infinite_factor_stays) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(1, 1, 2, 2));
    int y = small_node("Conv", 2, x, small_weights("w", DIMS(1, 1, 1, 1)));
    float zero = 0;
    int z = batchnorm(y, 1);
    small_last()->inputs[4] = small_constant("none", COPPICE_TYPE_FLOAT, DIMS(1), &zero);
    small_attr_float("epsilon", 0);
    small_output(z);
    ck_assert_int_eq(cop_graph_connect(small_graph, NULL), COPPICE_OK);
    ck_assert_int_eq(cop_passes_run(small_graph, NULL), COPPICE_OK);
    ck_assert_uint_eq(small_graph->node_count, 2);
    small_end();
}
END_TEST

START_TEST(relu_and_clip_behind_each_other_become_one_clamp) {
    float low = -1, high = 0.5f;
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(1, 3, 5, 5));
    int y = small_node("Relu", 1, small_node("Conv", 2, x, small_weights("w", DIMS(4, 3, 3, 3))));
    y = small_node("Clip", 3, y, small_constant("low", COPPICE_TYPE_FLOAT, SCALAR, &low),
                   small_constant("high", COPPICE_TYPE_FLOAT, SCALAR, &high));
    small_output(y);
    expect_same(36, 0, "Conv");
    small_begin(13);
    x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(2, 3, 5, 5));
    int c = small_weights("c", DIMS(3));
    y = small_node("BatchNormalization", 5, x, c, c, c,
                   small_constant("v", COPPICE_TYPE_FLOAT, DIMS(3), (float[]){0.5f, 1, 2}));
    small_output(small_node("Relu", 1, y));
    expect_same(150, 1e-6f, "BatchNormalization");
    small_begin(13);
    x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(3, 4));
    y = small_node("MatMul", 2, x, small_weights("w", DIMS(4, 5)));
    y = small_node("Add", 2, small_weights("b", DIMS(5)), y);
    small_output(small_node("Relu", 1, y));
    expect_same(15, 1e-6f, "MatMul");
}
END_TEST

START_TEST(activation_stays_when_the_sum_before_it_is_an_output) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(1, 4));
    int y = small_node("MatMul", 2, x, small_weights("w", DIMS(4, 5)));
    small_output(y);
    small_output(small_node("Relu", 1, y));
    expect_same(5, 0, "MatMul Relu");
}
END_TEST

START_TEST(clip_with_bounds_that_are_computed_stays) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(1, 4));
    int y = small_node("MatMul", 2, x, small_weights("w", DIMS(4, 5)));
    int top = small_node("ReduceMax", 1, x);
    small_attr("keepdims", 0);
    small_output(small_node("Clip", 3, y, -1, top));
    expect_same(5, 0, "MatMul ReduceMax Clip");
}
END_TEST

START_TEST(added_constants_become_the_bias_only_where_they_are_one_per_channel) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(1, 3, 4, 4));
    int y =
        small_node("Conv", 3, x, small_weights("w", DIMS(4, 3, 1, 1)), small_weights("b", DIMS(4)));
    y = small_node("Add", 2, y, small_weights("per_channel", DIMS(1, 4, 1, 1)));
    small_output(small_node("Add", 2, y, small_weights("per_column", DIMS(4))));
    expect_same(64, 1e-6f, "Conv Add");
}
END_TEST

START_TEST(identities_and_dropout_disappear_but_outputs_stay) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(1, 3, 2, 2));
    int w =
        small_node("Identity", 1, small_node("Identity", 1, small_weights("w", DIMS(2, 3, 1, 1))));
    int y = small_node("Conv", 2, small_node("Identity", 1, x), w);
    small_output(small_node("Dropout", 1, small_node("Identity", 1, y)));
    small_output(small_node("Identity", 1, x));
    expect_same(8, 0, "Conv Identity");
}
END_TEST

START_TEST(float16_is_held_wide_and_its_ends_keep_their_type) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT16, DIMS(1, 4));
    int w = small_weights("w", DIMS(4, 2));
    cop_constant *constant = small_graph->values[w].constant;
    uint16_t *half = cop_arena_array(&small_arena, 8, sizeof *half);
    for (int i = 0; i < 8; i++)
        half[i] = cop_half_from_float(((float *)constant->tensor.data)[i]);
    constant->tensor.type = COPPICE_TYPE_FLOAT16;
    constant->tensor.data = half;
    constant->bytes = 16;
    small_output(small_node("MatMul", 2, x, w));
    ck_assert_int_eq(cop_graph_connect(small_graph, &small_error), COPPICE_OK);
    ck_assert_int_eq(cop_passes_run(small_graph, &small_error), COPPICE_OK);
    ck_assert_int_eq(constant->tensor.type, COPPICE_TYPE_FLOAT);
    ck_assert_int_eq(constant->narrow, COPPICE_TYPE_FLOAT16);
    const cop_settings settings = {.tune = COPPICE_TUNE_NONE, .isa = COPPICE_ISA_SCALAR};
    uint16_t ones[4] = {0x3c00, 0x3c00, 0x3c00, 0x3c00};
    coppice_tensor in = {COPPICE_TYPE_FLOAT16, 2, {1, 4}, ones};
    cop_plan plan = {0};
    ck_assert_int_eq(cop_plan_build(small_graph, &in, 1, &settings, &plan, &small_error),
                     COPPICE_OK);
    ck_assert(cop_plan_fits(&plan, &in, 1));
    ck_assert_int_eq(cop_plan_run(&plan, &in, NULL, &small_error), COPPICE_OK);
    ck_assert_int_eq(plan.outputs[0].type, COPPICE_TYPE_FLOAT16);
    double want = 0;
    for (int i = 0; i < 8; i += 2)
        want += cop_float_from_half(half[i]);
    ck_assert_double_eq_tol(cop_tensor_get(&plan.outputs[0], 0), want, 2e-3);
    cop_plan_free(&plan);
    small_end();
}
END_TEST

START_TEST(dead_nodes_are_removed) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(4));
    small_node("Exp", 1, small_node("Neg", 1, x));
    small_output(small_node("Abs", 1, x));
    expect_same(4, 0, "Abs");
}
END_TEST

/* Plans and runs the graph as a session does, after the passes, on `x`; output 0. */
static const coppice_tensor *run_plan(cop_plan *plan, const coppice_tensor *x) {
    const cop_settings settings = {.tune = COPPICE_TUNE_NONE, .isa = COPPICE_ISA_SCALAR};
    ck_assert_int_eq(cop_graph_connect(small_graph, &small_error), COPPICE_OK);
    ck_assert_int_eq(cop_passes_run(small_graph, &small_error), COPPICE_OK);
    coppice_status status = cop_plan_build(small_graph, x, 1, &settings, plan, &small_error);
    ck_assert_msg(status == COPPICE_OK, "%s", small_error.message);
    ck_assert_int_eq(cop_plan_run(plan, x, NULL, &small_error), COPPICE_OK);
    return &plan->outputs[0];
}

START_TEST(a_first_output_may_be_left_out) {
    cop_plan plan = {0};
    float data[16];
    coppice_tensor in = {COPPICE_TYPE_FLOAT, 4, {1, 1, 4, 4}, data};
    for (int i = 0; i < 16; i++)
        data[i] = (float)(i == 6);
    small_begin(13);
    int indices = small_node("MaxPool", 1, small_input("x", COPPICE_TYPE_FLOAT, DIMS(1, 1, 4, 4)));
    small_attr_ints("kernel_shape", LIST(4, 4));
    small_last()->outputs = cop_arena_copy(&small_arena, (int[]){-1, indices}, 2 * sizeof(int));
    small_last()->output_count = 2;
    small_output(indices);
    ck_assert_int_eq(cop_tensor_get_int(run_plan(&plan, &in), 0), 6);
    cop_plan_free(&plan);
    small_end();
}
END_TEST

START_TEST(the_mask_of_dropout_is_all_ones) {
    cop_plan plan = {0};
    float data[4] = {1, -2, 3, -4};
    coppice_tensor in = {COPPICE_TYPE_FLOAT, 1, {4}, data};
    small_begin(13);
    int kept = small_node("Dropout", 1, small_input("x", COPPICE_TYPE_FLOAT, DIMS(4)));
    int mask = cop_graph_value(small_graph, "mask");
    small_last()->outputs = cop_arena_copy(&small_arena, (int[]){kept, mask}, 2 * sizeof(int));
    small_last()->output_count = 2;
    small_output(mask);
    small_output(small_node("Relu", 1, kept));
    const coppice_tensor *out = run_plan(&plan, &in);
    ck_assert_int_eq(out[0].type, COPPICE_TYPE_BOOL);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(cop_tensor_get_int(&out[0], i), 1);
    ck_assert_float_eq(((float *)out[1].data)[2], 3);
    cop_plan_free(&plan);
    small_end();
}
END_TEST

START_TEST(a_sum_of_one_number_is_planned) {
    cop_plan plan = {0};
    float number = 3;
    coppice_tensor in = {COPPICE_TYPE_FLOAT, 0, {0}, &number};
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, SCALAR);
    small_output(small_node("ReduceMax", 1, small_node("ReduceSum", 1, x)));
    ck_assert_float_eq(((const float *)run_plan(&plan, &in)->data)[0], 3);
    cop_plan_free(&plan);
    small_end();
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("passes");
    tcase_add_test(tests, batchnorm_goes_into_a_conv_with_and_without_bias);
    tcase_add_test(tests, batchnorm_goes_into_a_gemm_either_way_round);
    tcase_add_test(tests, folding_keeps_zeros_zero_and_the_model_as_it_was);
    tcase_add_test(tests, batchnorm_stays_when_the_conv_has_another_reader);
    tcase_add_test(tests, batchnorm_with_infinite_factor_stays);
    tcase_add_test(tests, relu_and_clip_behind_each_other_become_one_clamp);
    tcase_add_test(tests, activation_stays_when_the_sum_before_it_is_an_output);
    tcase_add_test(tests, clip_with_bounds_that_are_computed_stays);
    tcase_add_test(tests, added_constants_become_the_bias_only_where_they_are_one_per_channel);
    tcase_add_test(tests, identities_and_dropout_disappear_but_outputs_stay);
    tcase_add_test(tests, float16_is_held_wide_and_its_ends_keep_their_type);
    tcase_add_test(tests, dead_nodes_are_removed);
    tcase_add_test(tests, a_first_output_may_be_left_out);
    tcase_add_test(tests, the_mask_of_dropout_is_all_ones);
    tcase_add_test(tests, a_sum_of_one_number_is_planned);
    return unit_run("passes", tests);
}
