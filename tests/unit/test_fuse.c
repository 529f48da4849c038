/* Tests of what goes into the stores of convolutions and matrix products: plans compute what the
 * nodes one by one would, with fewer steps, and near-misses stay as they are. */
#include <math.h>

#include "runtime/plan.h"
#include "small_graph.h"
#include "unit.h"

static coppice_threadpool *pool;

static void fill(coppice_tensor *t, unsigned seed) {
    float *data = t->data;
    for (int64_t i = 0; i < coppice_tensor_count(t); i++)
        data[i] = (float)((i * 29 + 3 + seed) % 71) / 20.0f - 1.7f;
}

/* Inputs of the graph as declared, filled. */
static coppice_tensor *make_inputs(void) {
    coppice_tensor *in = cop_arena_array(&small_arena, small_graph->input_count + 1, sizeof *in);
    for (size_t i = 0; i < small_graph->input_count; i++) {
        const cop_value *v = &small_graph->values[small_graph->inputs[i]];
        in[i] = (coppice_tensor){.type = COPPICE_TYPE_FLOAT, .rank = (uint32_t)v->rank};
        for (int d = 0; d < v->rank; d++)
            in[i].dims[d] = v->dims[d].size;
        in[i].data =
            cop_arena_array(&small_arena, (size_t)coppice_tensor_count(&in[i]) + 16, sizeof(float));
        fill(&in[i], (unsigned)i * 7);
    }
    return in;
}

static void list_steps(const cop_plan *plan, char *text, size_t size) {
    for (size_t i = 0; i < plan->step_count; i++) {
        const cop_step *step = &plan->steps[i];
        if (step->node == COP_STEP_LAYOUT)
            continue;
        size_t length = strlen(text);
        snprintf(text + length, size - length, "%s%s", length ? " " : "",
                 step->op_name ? step->op_name : plan->graph->nodes[step->node].op);
    }
}

/* Of the plan and of the nodes one by one. */
static void compare_outputs(const cop_plan *plan, const char *how) {
    for (size_t o = 0; o < small_graph->output_count; o++) {
        const coppice_tensor *want = &small_it.shapes.values[small_graph->outputs[o]].t;
        const float *a = plan->outputs[o].data, *b = want->data;
        for (int64_t i = 0; i < coppice_tensor_count(want); i++)
            ck_assert_msg(fabsf(a[i] - b[i]) <= 1e-4f * (1 + fabsf(b[i])),
                          "%s: output %zu [%lld] is %g, expected %g", how, o, (long long)i,
                          (double)a[i], (double)b[i]);
    }
}

static void expect_steps_with(const cop_settings *settings, const coppice_tensor *in,
                              const char *steps) {
    char text[512] = "";
    cop_plan plan = {0};
    coppice_status status =
        cop_plan_build(small_graph, in, small_graph->input_count, settings, &plan, &small_error);
    ck_assert_msg(status == COPPICE_OK, "%s", small_error.message);
    list_steps(&plan, text, sizeof text);
    ck_assert_str_eq(text, steps);
    for (int run = 0; run < 2; run++) { /* the second one finds what the first one left */
        status = cop_plan_run(&plan, in, NULL, &small_error);
        ck_assert_msg(status == COPPICE_OK, "%s", small_error.message);
        compare_outputs(&plan, coppice_isa_name(settings->isa));
    }
    cop_plan_free(&plan);
}

/* Builds plans with every backend, expects these steps and the right numbers; ends the graph. */
static void expect_steps(const char *steps) {
    static const coppice_backend backends[] = {COPPICE_BACKEND_AUTO, COPPICE_BACKEND_NATIVE,
                                               COPPICE_BACKEND_XNNPACK, COPPICE_BACKEND_REFERENCE};
    ck_assert_int_eq(cop_graph_connect(small_graph, &small_error), COPPICE_OK);
    coppice_tensor *in = make_inputs();
    ck_assert_int_eq(
        interpreter_run(&small_it, small_graph, in, small_graph->input_count, &small_error),
        COPPICE_OK);
    for (int i = 0; i < 8; i++) {
        cop_settings settings = {.backend = backends[i / 2],
                                 .sparse = i % 2 ? COPPICE_SPARSE_ALWAYS : COPPICE_SPARSE_AUTO,
                                 .tune = i % 2 ? COPPICE_TUNE_NONE : COPPICE_TUNE_FAST,
                                 .pool = pool};
        ck_assert_int_eq(cop_isa_resolve(COPPICE_ISA_BEST, &settings.isa, NULL), COPPICE_OK);
        expect_steps_with(&settings, in, steps);
    }
    small_end();
}

/* The same for one backend with dense weights, without changes of layout. */
static void expect_steps_of(coppice_backend backend, const char *steps) {
    ck_assert_int_eq(cop_graph_connect(small_graph, &small_error), COPPICE_OK);
    coppice_tensor *in = make_inputs();
    ck_assert_int_eq(
        interpreter_run(&small_it, small_graph, in, small_graph->input_count, &small_error),
        COPPICE_OK);
    cop_settings settings = {.backend = backend,
                             .sparse = COPPICE_SPARSE_NEVER,
                             .tune = COPPICE_TUNE_NONE,
                             .pool = pool};
    ck_assert_int_eq(cop_isa_resolve(COPPICE_ISA_BEST, &settings.isa, NULL), COPPICE_OK);
    expect_steps_with(&settings, in, steps);
    small_end();
}

static int image(const char *name) {
    return small_input(name, COPPICE_TYPE_FLOAT, DIMS(1, 4, 5, 7));
}

/* A convolution of 4 channels whose weights have some zeros. */
static int conv(int x, const char *weights) {
    int w = small_weights(weights, DIMS(4, 4, 3, 3));
    float *data = small_graph->values[w].constant->tensor.data;
    for (int i = 0; i < 144; i++)
        data[i] = i % 5 < 3 ? 0 : data[i];
    int y = small_node("Conv", 2, x, w);
    small_attr_ints("pads", LIST(1, 1, 1, 1));
    return y;
}

static int transposed(int x, int count, const int64_t *perm) {
    int y = small_node("Transpose", 1, x);
    small_attr_ints("perm", count, perm);
    return y;
}

static int reshaped(int x, int count, const int64_t *dims) {
    return small_node("Reshape", 2, x, small_ints("shape", count, dims));
}

/* Images as tokens and back: nothing is moved in tiles, and nothing with channels last. */
START_TEST(images_and_their_tokens_are_the_same_memory) {
    static const coppice_backend backends[] = {COPPICE_BACKEND_NATIVE, COPPICE_BACKEND_XNNPACK};
    for (int i = 0; i < 4; i++) {
        small_begin(13);
        int y = conv(image("x"), "w");
        bool flat = i / 2; /* all pixels are one dimension between */
        y = flat ? transposed(reshaped(y, LIST(1, 4, 35)), LIST(0, 2, 1))
                 : transposed(y, LIST(0, 2, 3, 1));
        y = small_node("MatMul", 2, y, small_weights("m", DIMS(4, 4)));
        y = flat ? reshaped(transposed(y, LIST(0, 2, 1)), LIST(1, 4, 5, 7))
                 : transposed(y, LIST(0, 3, 1, 2));
        small_output(conv(y, "v"));
        expect_steps_of(backends[i % 2], "Conv MatMul Conv");
    }
}
END_TEST

START_TEST(residual_and_relu_go_into_the_conv_whichever_side_they_are_on) {
    for (int swapped = 0; swapped < 2; swapped++) {
        small_begin(13);
        int x = image("x"), y = conv(x, "w");
        y = small_node("Add", 2, swapped ? x : y, swapped ? y : x);
        small_output(small_node("Relu", 1, y));
        expect_steps("Conv+Add+Relu");
    }
}
END_TEST

START_TEST(of_two_convs_that_are_added_the_later_one_adds) {
    small_begin(13);
    int x = image("x");
    int a = conv(x, "w1"), b = conv(x, "w2");
    small_output(small_node("Relu", 1, small_node("Add", 2, a, b)));
    expect_steps("Conv Conv+Add+Relu");
}
END_TEST

START_TEST(a_conv_waits_for_a_residual_that_is_made_later) {
    small_begin(13);
    int x = image("x");
    int a = conv(x, "w1");
    int late = small_node("Neg", 1, small_node("Exp", 1, x));
    int sum = small_node("Add", 2, a, late);
    small_output(small_node("Tanh", 1, sum));
    small_output(small_node("Abs", 1, late));
    expect_steps("Exp Neg Conv+Add+Tanh Abs");
}
END_TEST

START_TEST(residuals_in_a_chain_are_added_in_place_of_each_other) {
    small_begin(13);
    int x = image("x");
    int y = conv(x, "w0");
    for (int i = 1; i < 4; i++) {
        char name[8];
        snprintf(name, sizeof name, "w%d", i);
        y = small_node("Relu", 1, small_node("Add", 2, conv(y, name), y));
    }
    small_output(y);
    expect_steps("Conv Conv+Add+Relu Conv+Add+Relu Conv+Add+Relu");
}
END_TEST

START_TEST(a_residual_that_is_read_again_stays_as_it_was) {
    small_begin(13);
    int x = image("x");
    int skip = conv(x, "w0");
    int y = small_node("Add", 2, conv(skip, "w1"), skip);
    int z = small_node("Add", 2, conv(y, "w2"), skip);
    small_output(z);
    small_output(skip);
    expect_steps("Conv Conv+Add Conv+Add");
}
END_TEST

START_TEST(an_input_may_be_its_own_residual) {
    small_begin(13);
    int x = image("x");
    int y = small_node("Relu", 1, x);
    small_output(small_node("Add", 2, conv(y, "w"), y));
    expect_steps("Relu Conv+Add");
}
END_TEST

START_TEST(what_is_read_elsewhere_is_not_fused) {
    small_begin(13);
    int x = image("x");
    int y = conv(x, "w");
    int sum = small_node("Add", 2, y, x);
    small_output(small_node("Relu", 1, sum));
    small_output(y);
    expect_steps("Conv Add Relu");
    small_begin(13);
    x = image("x");
    sum = small_node("Add", 2, conv(x, "w"), x);
    small_output(small_node("Relu", 1, sum));
    small_output(sum);
    expect_steps("Conv+Add Relu");
    small_begin(13);
    x = image("x");
    y = conv(x, "w");
    small_output(small_node("Add", 2, y, y));
    expect_steps("Conv Add");
}
END_TEST

START_TEST(a_clamp_before_the_sum_keeps_the_sum_out) {
    small_begin(13);
    int x = image("x");
    int y = small_node("Relu", 1, conv(x, "w"));
    small_output(small_node("Add", 2, y, x));
    expect_steps("Conv+Relu Add");
}
END_TEST

START_TEST(an_activation_ends_what_is_fused) {
    small_begin(13);
    int x = image("x");
    int y = small_node("Sigmoid", 1, conv(x, "w"));
    small_output(small_node("Relu", 1, small_node("Add", 2, y, x)));
    expect_steps("Conv+Sigmoid Add Relu");
}
END_TEST

START_TEST(broadcast_and_constant_operands_are_not_residuals) {
    small_begin(13);
    int x = image("x");
    int row = small_input("row", COPPICE_TYPE_FLOAT, DIMS(1, 4, 1, 1));
    small_output(small_node("Add", 2, conv(x, "w"), row));
    expect_steps("Conv Add");
    small_begin(13);
    x = image("x");
    small_output(small_node("Add", 2, conv(x, "w"), small_weights("c", DIMS(1, 4, 5, 7))));
    expect_steps("Conv Add");
}
END_TEST

START_TEST(activations_with_parameters_go_into_a_product) {
    static const char *const ops[] = {"LeakyRelu", "HardSigmoid", "Elu", "Gelu", "HardSwish"};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        char name[32];
        small_begin(20);
        int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(2, 9, 6));
        int y = small_node("MatMul", 2, x, small_weights("w", DIMS(6, 6)));
        y = small_node("Add", 2, x, y);
        y = small_node(ops[i], 1, y);
        if (i == 0)
            small_attr_float("alpha", 0.3f);
        if (i == 3)
            small_attr_string("approximate", "tanh");
        small_output(y);
        snprintf(name, sizeof name, "MatMul+Add+%s", ops[i]);
        expect_steps(name);
    }
}
END_TEST

START_TEST(one_token_and_one_pixel_are_fused_too) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(1, 6));
    int y = small_node("Gemm", 3, x, small_weights("w", DIMS(6, 6)), small_weights("b", DIMS(6)));
    small_output(small_node("Relu", 1, small_node("Add", 2, y, x)));
    expect_steps("Gemm+Add+Relu");
}
END_TEST

START_TEST(clips_behind_a_residual_become_one) {
    float low = -0.5f, high = 0.5f;
    small_begin(13);
    int x = image("x");
    int y = small_node("Add", 2, conv(x, "w"), x);
    y = small_node("Relu", 1, y);
    y = small_node("Clip", 3, y, small_constant("low", COPPICE_TYPE_FLOAT, SCALAR, &low),
                   small_constant("high", COPPICE_TYPE_FLOAT, SCALAR, &high));
    small_output(y);
    expect_steps("Conv+Add+Relu+Clip");
}
END_TEST

START_TEST(a_value_that_a_branch_reads_is_not_fused) {
    small_begin(13);
    int x = image("x");
    int y = conv(x, "w");
    int sum = small_node("Add", 2, y, x);
    int condition = small_input("c", COPPICE_TYPE_FLOAT, DIMS(1));
    int which = small_node("Cast", 1, condition);
    small_attr("to", COPPICE_TYPE_BOOL);
    ck_assert_int_eq(cop_graph_connect(small_graph, &small_error), COPPICE_OK);
    cop_graph *branches[2];
    for (int i = 0; i < 2; i++) {
        branches[i] = cop_graph_new(&small_arena, small_graph, i ? "then" : "else");
        int outer = cop_graph_value(branches[i], small_graph->values[y].name);
        branches[i]->values[outer].outer = true;
        branches[i]->values[outer].rank = -1;
        cop_node *node = cop_graph_add_node(branches[i], i ? "Neg" : "Abs", 1, 1, 0);
        node->inputs[0] = outer;
        int out = cop_graph_value(branches[i], i ? "t" : "e");
        branches[i]->values[out].rank = -1;
        node->outputs[0] = out;
        branches[i]->outputs = cop_arena_array(&small_arena, 1, sizeof(int));
        branches[i]->outputs[0] = out;
        branches[i]->output_count = 1;
        ck_assert_int_eq(cop_graph_connect(branches[i], &small_error), COPPICE_OK);
    }
    int chosen = small_node("If", 1, which);
    small_attr("then_branch", 0);
    small_attr("else_branch", 0);
    for (int i = 0; i < 2; i++) {
        cop_attr *attr = &small_last()->attrs[1 - i];
        attr->kind = COP_ATTR_GRAPH;
        attr->graph = branches[i];
    }
    small_output(sum);
    small_output(chosen);
    ck_assert_int_eq(cop_graph_connect(small_graph, &small_error), COPPICE_OK);
    cop_shapes shapes = {0};
    const cop_infer_options options = {0};
    ck_assert_msg(cop_infer(small_graph, &options, &shapes, &small_error) == COPPICE_OK, "%s",
                  small_error.message);
    cop_fusion *fusions = calloc(small_graph->node_count, sizeof *fusions);
    ck_assert_int_eq(cop_fuse(small_graph, &shapes, fusions, &small_error), COPPICE_OK);
    ck_assert_int_eq(fusions[0].count, 0);
    free(fusions);
    cop_shapes_free(&shapes);
    small_end();
}
END_TEST

static void set_up(void) {
    ck_assert_int_eq(coppice_threadpool_create(2, &pool, NULL), COPPICE_OK);
}

static void tear_down(void) {
    coppice_threadpool_free(pool);
}

int main(void) {
    TCase *tests = tcase_create("fuse");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, residual_and_relu_go_into_the_conv_whichever_side_they_are_on);
    tcase_add_test(tests, images_and_their_tokens_are_the_same_memory);
    tcase_add_test(tests, of_two_convs_that_are_added_the_later_one_adds);
    tcase_add_test(tests, a_conv_waits_for_a_residual_that_is_made_later);
    tcase_add_test(tests, residuals_in_a_chain_are_added_in_place_of_each_other);
    tcase_add_test(tests, a_residual_that_is_read_again_stays_as_it_was);
    tcase_add_test(tests, an_input_may_be_its_own_residual);
    tcase_add_test(tests, what_is_read_elsewhere_is_not_fused);
    tcase_add_test(tests, a_clamp_before_the_sum_keeps_the_sum_out);
    tcase_add_test(tests, an_activation_ends_what_is_fused);
    tcase_add_test(tests, broadcast_and_constant_operands_are_not_residuals);
    tcase_add_test(tests, activations_with_parameters_go_into_a_product);
    tcase_add_test(tests, one_token_and_one_pixel_are_fused_too);
    tcase_add_test(tests, clips_behind_a_residual_become_one);
    tcase_add_test(tests, a_value_that_a_branch_reads_is_not_fused);
    return unit_run("fuse", tests);
}
