/* Recurrent networks with weights packed for a session compute what they compute without, whatever
 * the kind, the batch, the size, the share of zeros and the instruction set. */
#include <math.h>

#include "runtime/conv.h"
#include "runtime/plan.h"
#include "small_graph.h"
#include "unit.h"

typedef struct rnn_case {
    const char *op;
    int64_t gates, steps, batch, input, hidden;
    int zeros; /* of ten weights */
    bool linear, both;
} rnn_case;

/* Few and many sequences; sizes that are no whole vectors; panels that are not full; both forms of
 * GRU; two directions; weights that are mostly zero. */
static const rnn_case cases[] = {
    {"LSTM", 4, 5, 1, 7, 16, 0, 0, 0},  {"LSTM", 4, 5, 6, 19, 20, 0, 0, 1},
    {"LSTM", 4, 3, 4, 3, 5, 0, 0, 0},   {"LSTM", 4, 6, 1, 33, 70, 9, 0, 0},
    {"LSTM", 4, 6, 2, 16, 32, 8, 0, 1}, {"GRU", 3, 5, 1, 8, 16, 0, 1, 0},
    {"GRU", 3, 5, 5, 8, 24, 0, 1, 0},   {"GRU", 3, 5, 7, 8, 32, 0, 0, 1},
    {"GRU", 3, 5, 4, 8, 8, 0, 0, 0},    {"GRU", 3, 4, 1, 30, 40, 9, 1, 0},
    {"GRU", 3, 4, 1, 30, 40, 9, 0, 0},  {"RNN", 1, 9, 1, 40, 96, 9, 0, 0},
    {"RNN", 1, 9, 9, 40, 96, 0, 0, 0},  {"LSTM", 4, 40, 7, 12, 30, 9, 0, 1},
    {"GRU", 3, 33, 12, 9, 21, 9, 0, 0}, {"GRU", 3, 130, 1, 5, 33, 8, 1, 0},
};

/* small_weights, smaller, of which a share is zero. */
static int weights(const char *name, int64_t d, int64_t rows, int64_t columns, int zeros) {
    size_t count = (size_t)(d * rows * columns);
    float *data = calloc(count, sizeof *data);
    uint32_t state = 7;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        data[i] = (int)(state >> 16) % 10 < zeros ? 0 : (float)(int32_t)state * 0x1p-33f;
    }
    int value = small_constant(name, COPPICE_TYPE_FLOAT, 3, (int64_t[]){d, rows, columns}, data);
    free(data);
    return value;
}

static void build(const rnn_case *c) {
    int64_t d = c->both ? 2 : 1, wide = c->gates * c->hidden;
    small_begin(14);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(c->steps, c->batch, c->input));
    int w = weights("w", d, wide, c->input, c->zeros);
    int r = weights("r", d, wide, c->hidden, c->zeros);
    small_output(small_node(c->op, 4, x, w, r, small_weights("b", DIMS(d, 2 * wide))));
    small_attr("hidden_size", c->hidden);
    if (c->linear)
        small_attr("linear_before_reset", 1);
    if (c->both)
        small_attr_string("direction", "bidirectional");
    ck_assert_int_eq(cop_graph_connect(small_graph, &small_error), COPPICE_OK);
}

static void check(const rnn_case *c, coppice_isa isa) {
    const cop_settings settings = {.tune = COPPICE_TUNE_NONE, .isa = isa};
    size_t count = (size_t)(c->steps * c->batch * c->input);
    float *data = calloc(count, sizeof *data);
    for (size_t i = 0; i < count; i++)
        data[i] = sinf((float)i);
    coppice_tensor in = {COPPICE_TYPE_FLOAT, 3, {c->steps, c->batch, c->input}, data};
    cop_plan plan = {0};
    build(c);
    ck_assert_int_eq(interpreter_run(&small_it, small_graph, &in, 1, &small_error), COPPICE_OK);
    ck_assert_int_eq(cop_plan_build(small_graph, &in, 1, &settings, &plan, &small_error),
                     COPPICE_OK);
    ck_assert_ptr_nonnull(plan.steps[plan.step_count - 1].state);
    ck_assert_int_eq(cop_plan_run(&plan, &in, NULL, &small_error), COPPICE_OK);
    const coppice_tensor *a = &plan.outputs[0], *b = small_tensor(small_graph->outputs[0]);
    for (int64_t i = 0; i < coppice_tensor_count(b); i++)
        ck_assert_msg(fabs(cop_tensor_get(a, i) - cop_tensor_get(b, i)) < 1e-5,
                      "%s of %lld: element %lld is %g, not %g", c->op, (long long)c->hidden,
                      (long long)i, cop_tensor_get(a, i), cop_tensor_get(b, i));
    cop_plan_free(&plan);
    small_end();
    free(data);
}

START_TEST(packed_weights_give_what_the_weights_give) {
    static const coppice_isa isas[] = {COPPICE_ISA_SCALAR, COPPICE_ISA_AVX2, COPPICE_ISA_AVX512,
                                       COPPICE_ISA_NEON};
    for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++)
        for (size_t k = 0; k < sizeof cases / sizeof cases[0] && cop_isa_available(isas[i]); k++)
            check(&cases[k], isas[i]);
}
END_TEST

/* A batch, its zeros, and what a profile must name. */
START_TEST(a_profile_names_the_kernels_of_pruned_weights) {
    const rnn_case sparse = {"GRU", 3, 4, 3, 30, 64, 9, 1, 0};
    const cop_settings settings = {.tune = COPPICE_TUNE_NONE, .isa = COPPICE_ISA_SCALAR};
    const coppice_tensor in = {COPPICE_TYPE_FLOAT, 3, {4, 3, 30}, NULL};
    cop_plan plan = {0};
    build(&sparse);
    ck_assert_int_eq(cop_plan_build(small_graph, &in, 1, &settings, &plan, &small_error),
                     COPPICE_OK);
    const cop_step *step = &plan.steps[plan.step_count - 1];
    ck_assert_str_eq(step->op_kernel, "cop_spmm_few_f32_c");
    ck_assert(step->op_sparse);
    ck_assert_double_eq_tol(step->sparsity, 0.9, 0.02);
    ck_assert_uint_ge(plan.total_bytes, sizeof(float) * 192 * 94);
    ck_assert_int_eq(step->macs, (int64_t)((1 - step->sparsity) * 192 * 94 * 12 + 0.5));
    cop_plan_free(&plan);
    small_end();
}
END_TEST

START_TEST(weights_that_are_no_constants_are_not_packed) {
    cop_plan plan = {0};
    float data[64] = {0.5f};
    const cop_settings settings = {.tune = COPPICE_TUNE_NONE, .isa = COPPICE_ISA_SCALAR};
    coppice_tensor in[] = {{COPPICE_TYPE_FLOAT, 3, {2, 1, 3}, data},
                           {COPPICE_TYPE_FLOAT, 3, {1, 4, 3}, data}};
    small_begin(14);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(2, 1, 3));
    int w = small_input("w", COPPICE_TYPE_FLOAT, DIMS(1, 4, 3));
    small_output(small_node("RNN", 3, x, w, small_weights("r", DIMS(1, 4, 4))));
    small_attr("hidden_size", 4);
    ck_assert_int_eq(cop_graph_connect(small_graph, &small_error), COPPICE_OK);
    ck_assert_int_eq(cop_plan_build(small_graph, in, 2, &settings, &plan, &small_error),
                     COPPICE_OK);
    ck_assert_ptr_null(plan.steps[0].state);
    ck_assert_int_eq(cop_plan_run(&plan, in, NULL, &small_error), COPPICE_OK);
    cop_plan_free(&plan);
    small_end();
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("rnn weights");
    tcase_add_test(tests, packed_weights_give_what_the_weights_give);
    tcase_add_test(tests, a_profile_names_the_kernels_of_pruned_weights);
    tcase_add_test(tests, weights_that_are_no_constants_are_not_packed);
    return unit_run("rnn_weights", tests);
}
