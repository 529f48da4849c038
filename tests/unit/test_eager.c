/* Tests of what cannot be planned: nodes whose shapes depend on data, and sub-graphs. */
#include <stdlib.h>

#include <coppice/interrupt.h>

#include "base/memory.h"
#include "base/shape.h"
#include "runtime/plan.h"
#include "small_graph.h"
#include "unit.h"

static cop_arena strings;

/* ---- graphs ---- */

/* What is built from here on goes into a sub-graph, which becomes attribute `name` of the node that
 * was added last to the graph at hand. */
static cop_graph *begin_body(const char *name) {
    cop_graph *outer = small_graph;
    ck_assert(cop_node_set_attr_int(outer, small_last(), name, 0));
    cop_attr *attr = &small_last()->attrs[small_last()->attr_count - 1];
    cop_graph *inner = cop_graph_new(&small_arena, outer, name);
    inner->opsets = outer->opsets;
    inner->opset_count = outer->opset_count;
    attr->kind = COP_ATTR_GRAPH;
    attr->graph = inner;
    small_graph = inner;
    return outer;
}

static void end_body(cop_graph *outer) {
    small_graph = outer;
}

/* A value of an enclosing graph, by the name it has there. */
static int outer(const char *name) {
    int v = cop_graph_value(small_graph, name);
    small_graph->values[v].rank = -1;
    return v;
}

/* Gives the node that was added last a name for its output that no sub-graph uses itself. */
static int called(const char *name) {
    int v = outer(name);
    small_last()->outputs[0] = v;
    return v;
}

static const char *name_of(int value) {
    return small_graph->values[value].name;
}

static void connect(cop_graph *graph) {
    coppice_status status = cop_graph_connect(graph, &small_error);
    ck_assert_msg(status == COPPICE_OK, "%s", small_error.message);
    for (size_t n = 0; n < graph->node_count; n++) {
        for (size_t a = 0; a < graph->nodes[n].attr_count; a++) {
            if (graph->nodes[n].attrs[a].kind == COP_ATTR_GRAPH)
                connect(graph->nodes[n].attrs[a].graph);
        }
    }
}

/* ---- plans ---- */

static void prepare(cop_plan *plan, const coppice_tensor *inputs, size_t count) {
    const cop_settings settings = {.tune = COPPICE_TUNE_NONE, .isa = COPPICE_ISA_SCALAR};
    connect(small_graph);
    coppice_status status = cop_passes_run(small_graph, &small_error);
    if (!status)
        status = cop_plan_build(small_graph, inputs, count, &settings, plan, &small_error);
    ck_assert_msg(status == COPPICE_OK, "%s", small_error.message);
    plan->strings = &strings;
}

static const coppice_tensor *run(cop_plan *plan, const coppice_tensor *inputs) {
    coppice_status status = cop_plan_run(plan, inputs, NULL, &small_error);
    ck_assert_msg(status == COPPICE_OK, "%s", small_error.message);
    return plan->outputs;
}

static void end(cop_plan *plan) {
    cop_plan_free(plan);
    cop_arena_free(&strings);
    small_end();
}

static void is_floats(const coppice_tensor *t, uint32_t rank, const int64_t *dims,
                      const float *want) {
    ck_assert_int_eq(t->type, COPPICE_TYPE_FLOAT);
    ck_assert_uint_eq(t->rank, rank);
    for (uint32_t d = 0; d < rank; d++)
        ck_assert_int_eq(t->dims[d], dims[d]);
    for (int64_t i = 0; i < coppice_tensor_count(t); i++)
        ck_assert_float_eq(((const float *)t->data)[i], want[i]);
}

#define FLOATS(...)                                                                                \
    (const float[]) {                                                                              \
        __VA_ARGS__                                                                                \
    }

static coppice_tensor floats(uint32_t rank, const int64_t *dims, float *data) {
    coppice_tensor t = {.type = COPPICE_TYPE_FLOAT, .rank = rank, .data = data};
    for (uint32_t d = 0; d < rank; d++)
        t.dims[d] = dims[d];
    return t;
}

static coppice_tensor ints(int64_t count, int64_t *data) {
    return (coppice_tensor){.type = COPPICE_TYPE_INT64, .rank = 1, .dims = {count}, .data = data};
}

/* ---- shapes that depend on data ---- */

START_TEST(one_plan_serves_whatever_the_data_say) {
    cop_plan plan = {0};
    float x[6] = {1, -2, 3, -4, 5, -6};
    int64_t shape[2] = {3, 2};
    small_begin(13);
    int a = small_input("x", COPPICE_TYPE_FLOAT, DIMS(2, 3));
    int s = small_input("s", COPPICE_TYPE_INT64, DIMS(2));
    small_output(small_node("Relu", 1, small_node("Reshape", 2, a, s)));
    const coppice_tensor in[2] = {floats(DIMS(2, 3), x), ints(2, shape)};
    prepare(&plan, in, 2);
    is_floats(run(&plan, in), DIMS(3, 2), FLOATS(1, 0, 3, 0, 5, 0));
    shape[0] = 1;
    shape[1] = -1;
    is_floats(run(&plan, in), DIMS(1, 6), FLOATS(1, 0, 3, 0, 5, 0));
    shape[0] = 4;
    shape[1] = 4;
    ck_assert_int_eq(cop_plan_run(&plan, in, NULL, &small_error), COPPICE_BAD_MODEL);
    shape[1] = -1;
    shape[0] = 6;
    is_floats(run(&plan, in), DIMS(6, 1), FLOATS(1, 0, 3, 0, 5, 0));
    end(&plan);
}
END_TEST

START_TEST(planned_memory_stays_until_an_eager_step_has_read_it) {
    cop_plan plan = {0};
    float x[4] = {1, 2, 3, 4};
    int64_t shape[2] = {2, 4};
    small_begin(13);
    int a = small_input("x", COPPICE_TYPE_FLOAT, DIMS(4));
    int s = small_input("s", COPPICE_TYPE_INT64, DIMS(2));
    int early = small_node("Neg", 1, a), late = small_node("Abs", 1, a);
    for (int i = 0; i < 6; i++)
        late = small_node("Exp", 1, small_node("Neg", 1, late));
    int grown = small_node("Expand", 2, early, s);
    small_output(grown);
    small_output(late);
    const coppice_tensor in[2] = {floats(DIMS(4), x), ints(2, shape)};
    prepare(&plan, in, 2);
    is_floats(run(&plan, in), DIMS(2, 4), FLOATS(-1, -2, -3, -4, -1, -2, -3, -4));
    end(&plan);
}
END_TEST

/* Blocks allocated on the way to the n-th run. */
static int64_t allocations;

static void *count_allocations(void *cookie, void *block, size_t bytes) {
    (void)cookie;
    allocations += bytes != 0;
    if (bytes)
        return realloc(block, bytes);
    free(block);
    return NULL;
}

START_TEST(running_again_allocates_nothing_for_data) {
    static const coppice_host host = {.allocate = count_allocations};
    const coppice_host *before = cop_memory_enter(&host);
    cop_plan plan = {0};
    float x[4096] = {0};
    int64_t shape[2] = {64, 64};
    small_begin(13);
    int a = small_input("x", COPPICE_TYPE_FLOAT, DIMS(4096));
    int s = small_input("s", COPPICE_TYPE_INT64, DIMS(2));
    int y = small_node("Reshape", 2, a, s);
    for (int i = 0; i < 5; i++)
        y = small_node("Exp", 1, y);
    float twice[2] = {2, 0.5f};
    y = small_node("Resize", 3, y, -1, small_constant("r", COPPICE_TYPE_FLOAT, DIMS(2), twice));
    small_attr_string("mode", "linear");
    small_output(y);
    const coppice_tensor in[2] = {floats(DIMS(4096), x), ints(2, shape)};
    prepare(&plan, in, 2);
    run(&plan, in);
    run(&plan, in);
    int64_t so_far = allocations;
    run(&plan, in);
    ck_assert_int_eq(allocations, so_far);
    end(&plan);
    cop_memory_enter(before);
}
END_TEST

START_TEST(tensors_without_elements_go_through) {
    cop_plan plan = {0};
    float x[1] = {0};
    int64_t shape[2] = {3, 0};
    small_begin(13);
    int a = small_input("x", COPPICE_TYPE_FLOAT, DIMS(0, 3));
    int s = small_input("s", COPPICE_TYPE_INT64, DIMS(2));
    small_output(small_node("Relu", 1, a));
    small_attr("unused", 0);
    int y = small_node("Reshape", 2, a, s);
    small_attr("allowzero", 1);
    small_output(small_node("Concat", 2, y, small_node("Neg", 1, y)));
    small_attr("axis", 1);
    small_graph->opsets = (const cop_opset[]){{"", 14}};
    const coppice_tensor in[2] = {floats(DIMS(0, 3), x), ints(2, shape)};
    prepare(&plan, in, 2);
    const coppice_tensor *out = run(&plan, in);
    is_floats(&out[0], DIMS(0, 3), NULL);
    is_floats(&out[1], DIMS(3, 0), NULL);
    end(&plan);
}
END_TEST

/* Reshape by a constant, and by an input: a planned convolution and an eager one agree. */
static void eager_agrees(const char *op, uint32_t rank, const int64_t *dims, uint32_t weight_rank,
                         const int64_t *weight, coppice_backend backend) {
    cop_plan plan = {0};
    float x[2 * 8 * 6 * 6];
    int64_t shape[4];
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        x[i] = (float)(i % 17) - 8;
    memcpy(shape, dims, rank * sizeof *dims);
    small_begin(13);
    int a = small_input("x", COPPICE_TYPE_FLOAT, DIMS(2 * 8 * 6 * 6));
    int s = small_input("s", COPPICE_TYPE_INT64, DIMS(rank));
    int w = small_weights("w", weight_rank, weight);
    small_output(small_node(op, 2, small_node("Reshape", 2, a, s), w));
    int constant = small_ints("dims", (int)rank, dims);
    small_output(small_node(op, 2, small_node("Reshape", 2, a, constant), w));
    const coppice_tensor in[2] = {floats(DIMS(2 * 8 * 6 * 6), x), ints(rank, shape)};
    const cop_settings settings = {
        .tune = COPPICE_TUNE_NONE, .backend = backend, .isa = coppice_isa_best()};
    connect(small_graph);
    coppice_status status = cop_plan_build(small_graph, in, 2, &settings, &plan, &small_error);
    ck_assert_msg(status == COPPICE_OK, "%s", small_error.message);
    for (int turn = 0; turn < 3; turn++) {
        shape[0] = turn == 1 ? 1 : dims[0];
        shape[1] = turn == 1 ? dims[1] * dims[0] : dims[1];
        if (turn == 1) { /* does not fit the weights */
            ck_assert_int_eq(cop_plan_run(&plan, in, NULL, &small_error), COPPICE_BAD_MODEL);
            continue;
        }
        const coppice_tensor *out = run(&plan, in);
        ck_assert(cop_same_shape(&out[0], &out[1]));
        for (int64_t i = 0; i < coppice_tensor_count(&out[0]); i++)
            ck_assert_float_eq_tol(((float *)out[0].data)[i], ((float *)out[1].data)[i], 1e-4);
    }
    end(&plan);
}

START_TEST(eager_convolutions_agree_with_planned_ones) {
    static const coppice_backend backends[] = {COPPICE_BACKEND_AUTO, COPPICE_BACKEND_NATIVE,
                                               COPPICE_BACKEND_XNNPACK, COPPICE_BACKEND_REFERENCE};
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        eager_agrees("Conv", DIMS(2, 8, 6, 6), DIMS(5, 8, 3, 3), backends[i]);
        eager_agrees("Conv", DIMS(2, 8, 6, 6), DIMS(16, 8, 1, 1), backends[i]);
    }
}
END_TEST

START_TEST(eager_matrix_products_agree_with_planned_ones) {
    eager_agrees("MatMul", DIMS(6, 96), DIMS(96, 7), COPPICE_BACKEND_AUTO);
    eager_agrees("Gemm", DIMS(6, 96), DIMS(96, 7), COPPICE_BACKEND_NATIVE);
}
END_TEST

/* ---- If ---- */

/* If(c) then x + x (shape of x) else its sum (a scalar), both of a value around them. */
static void build_if(void) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(-1));
    int c = small_input("c", COPPICE_TYPE_BOOL, SCALAR);
    small_node("Add", 2, x, x);
    int twice = called("twice");
    small_output(small_node("If", 1, c));
    cop_graph *around = begin_body("then_branch");
    small_output(small_node("Neg", 1, outer(around->values[twice].name)));
    end_body(around);
    begin_body("else_branch");
    small_output(small_node("ReduceSum", 1, outer(around->values[x].name)));
    small_attr("keepdims", 0);
    end_body(around);
}

START_TEST(branches_have_shapes_of_their_own) {
    cop_plan plan = {0};
    float x[3] = {1, 2, 3};
    bool condition = true;
    build_if();
    const coppice_tensor in[2] = {floats(DIMS(3), x),
                                  {.type = COPPICE_TYPE_BOOL, .data = &condition}};
    prepare(&plan, in, 2);
    is_floats(run(&plan, in), DIMS(3), FLOATS(-2, -4, -6));
    condition = false;
    is_floats(run(&plan, in), SCALAR, FLOATS(6));
    condition = true;
    is_floats(run(&plan, in), DIMS(3), FLOATS(-2, -4, -6));
    end(&plan);
}
END_TEST

START_TEST(a_branch_reads_values_at_any_depth) {
    cop_plan plan = {0};
    float x[2] = {1, 2};
    bool condition = true;
    small_begin(13);
    int a = small_input("x", COPPICE_TYPE_FLOAT, DIMS(2));
    int c = small_input("c", COPPICE_TYPE_BOOL, SCALAR);
    int w = small_constant("w", COPPICE_TYPE_FLOAT, DIMS(2), FLOATS(10, 20));
    small_node("Neg", 1, a);
    int far = called("far");
    small_output(small_node("If", 1, c));
    const char *far_name = name_of(far), *c_name = name_of(c), *w_name = name_of(w);
    for (int branch = 0; branch < 2; branch++) {
        cop_graph *first = begin_body(branch ? "else_branch" : "then_branch");
        small_node("Abs", 1, outer(far_name));
        int near = called("near");
        const char *near_name = name_of(near);
        small_output(small_node("If", 1, outer(c_name)));
        for (int inner = 0; inner < 2; inner++) {
            cop_graph *second = begin_body(inner ? "else_branch" : "then_branch");
            int sum = small_node("Add", 2, outer(far_name), outer(w_name));
            small_output(small_node(inner ? "Sub" : "Mul", 2, sum, outer(near_name)));
            end_body(second);
        }
        end_body(first);
    }
    const coppice_tensor in[2] = {floats(DIMS(2), x),
                                  {.type = COPPICE_TYPE_BOOL, .data = &condition}};
    prepare(&plan, in, 2);
    is_floats(run(&plan, in), DIMS(2), FLOATS(9, 36));
    condition = false;
    is_floats(run(&plan, in), DIMS(2), FLOATS(8, 16));
    end(&plan);
}
END_TEST

/* Twice: If(rows == 1) then x without its first axis, else its sum. As TorchScript writes squeeze.
 */
START_TEST(branch_that_shapes_decide_is_planned) {
    float x[6] = {1, 2, 3, 4, 5, 6};
    for (int64_t rows = 1; rows < 3; rows++) {
        cop_plan plan = {0};
        small_begin(13);
        int value = small_input("x", COPPICE_TYPE_FLOAT, DIMS(-1, 3));
        int a = value, zero = small_ints("zero", LIST(0)), one = small_ints("one", LIST(1));
        for (int turn = 0; turn < 2; turn++) {
            int first = small_node("Gather", 2, small_node("Shape", 1, a), zero);
            int test = small_node("Equal", 2, first, one);
            const char *name = name_of(a);
            small_node("If", 1, test);
            int next = called(turn ? "second" : "first");
            cop_graph *around = begin_body("then_branch");
            small_output(small_node("Squeeze", 2, outer(name), outer("zero")));
            end_body(around);
            begin_body("else_branch");
            small_output(small_node("Neg", 1, outer(name)));
            end_body(around);
            a = turn ? next : small_node("Unsqueeze", 2, next, zero);
        }
        small_output(small_node("Exp", 1, small_node("Log", 1, small_node("Abs", 1, a))));
        const coppice_tensor in = floats(DIMS(rows, 3), x);
        prepare(&plan, &in, 1);
        for (size_t i = 0; i < plan.step_count; i++)
            ck_assert(!plan.steps[i].eager);
        const coppice_tensor *out = run(&plan, &in);
        ck_assert_uint_eq(out->rank, rows == 1 ? 1 : 2);
        ck_assert_float_eq_tol(((float *)out->data)[2], 3, 1e-5);
        end(&plan);
    }
}
END_TEST

/* ---- Loop ---- */

/* A body: iteration, condition, one state. */
static int begin_loop_body(cop_graph **around, uint32_t rank, const int64_t *dims) {
    *around = begin_body("body");
    small_input("i", COPPICE_TYPE_INT64, SCALAR);
    int condition = small_input("go", COPPICE_TYPE_BOOL, SCALAR);
    int state = small_input("state", COPPICE_TYPE_FLOAT, rank, dims);
    small_output(small_node("Identity", 1, condition));
    return state;
}

static void two_outputs(int *second) {
    cop_node *node = small_last();
    *second = cop_graph_value(small_graph, "second");
    small_graph->values[*second].rank = -1;
    node->outputs =
        cop_arena_copy(&small_arena, (int[]){node->outputs[0], *second}, 2 * sizeof(int));
    node->output_count = 2;
}

START_TEST(a_loop_carries_states_and_collects) {
    cop_plan plan = {0};
    float x[2] = {1, 2};
    int64_t trips = 3;
    cop_graph *around;
    int scanned;
    small_begin(13);
    int a = small_input("x", COPPICE_TYPE_FLOAT, DIMS(2));
    int m = small_input("m", COPPICE_TYPE_INT64, SCALAR);
    int last = small_node("Loop", 3, m, -1, a);
    two_outputs(&scanned);
    small_output(last);
    small_output(scanned);
    int state = begin_loop_body(&around, DIMS(2));
    int next = small_node("Add", 2, state, outer(around->values[a].name));
    small_output(next);
    int kept = small_node("Neg", 1, state);
    small_graph->values[kept].type = COPPICE_TYPE_FLOAT;
    small_graph->values[kept].rank = 1;
    small_graph->values[kept].dims = small_graph->values[state].dims;
    small_output(kept);
    end_body(around);
    const coppice_tensor in[2] = {floats(DIMS(2), x), {.type = COPPICE_TYPE_INT64, .data = &trips}};
    prepare(&plan, in, 2);
    const coppice_tensor *out = run(&plan, in);
    is_floats(&out[0], DIMS(2), FLOATS(4, 8));
    is_floats(&out[1], DIMS(3, 2), FLOATS(-1, -2, -2, -4, -3, -6));
    trips = 0;
    out = run(&plan, in);
    is_floats(&out[0], DIMS(2), FLOATS(1, 2));
    is_floats(&out[1], DIMS(0, 2), NULL);
    trips = INT64_MAX;
    coppice_interrupt();
    ck_assert_int_eq(cop_plan_run(&plan, in, NULL, &small_error), COPPICE_INTERRUPTED);
    coppice_interrupt_clear();
    end(&plan);
}
END_TEST

START_TEST(a_state_may_grow) {
    enum { TRIPS = 12 };
    cop_plan plan = {0};
    float x[2] = {1, 2}, want[2 * (TRIPS + 1)];
    int64_t trips = TRIPS;
    cop_graph *around;
    for (int i = 0; i < 2 * (TRIPS + 1); i++)
        want[i] = x[i % 2];
    small_begin(13);
    int a = small_input("x", COPPICE_TYPE_FLOAT, DIMS(2));
    int m = small_input("m", COPPICE_TYPE_INT64, SCALAR);
    small_output(small_node("Loop", 3, m, -1, a));
    int state = begin_loop_body(&around, DIMS(-1));
    small_output(small_node("Concat", 2, state, outer(around->values[a].name)));
    small_attr("axis", 0);
    end_body(around);
    const coppice_tensor in[2] = {floats(DIMS(2), x), {.type = COPPICE_TYPE_INT64, .data = &trips}};
    prepare(&plan, in, 2);
    is_floats(run(&plan, in), DIMS(2 * (TRIPS + 1)), want);
    is_floats(run(&plan, in), DIMS(2 * (TRIPS + 1)), want);
    end(&plan);
}
END_TEST

START_TEST(bad_bodies_are_refused) {
    small_begin(13);
    small_node("If", 1, small_input("c", COPPICE_TYPE_BOOL, SCALAR));
    small_refused(COPPICE_BAD_MODEL, "attribute 'then_branch' is missing");
    small_begin(13);
    small_node("Loop", 2, -1, -1);
    cop_graph *around = begin_body("body");
    small_output(small_input("i", COPPICE_TYPE_INT64, SCALAR));
    small_output(small_input("go", COPPICE_TYPE_BOOL, SCALAR));
    small_output(small_input("state", COPPICE_TYPE_BOOL, SCALAR));
    end_body(around);
    small_refused(COPPICE_BAD_MODEL, "do not fit a body with 3 outputs");
    small_begin(13);
    small_node("Scan", 1, small_input("x", COPPICE_TYPE_FLOAT, DIMS(2)));
    small_attr("num_scan_inputs", 2);
    around = begin_body("body");
    small_output(small_input("piece", COPPICE_TYPE_FLOAT, SCALAR));
    end_body(around);
    small_refused(COPPICE_BAD_MODEL, "num_scan_inputs 2 does not fit");
}
END_TEST

/* ---- Scan ---- */

START_TEST(a_scan_goes_either_way) {
    cop_plan plan = {0};
    float x[3] = {1, 2, 3};
    small_begin(13);
    int a = small_input("x", COPPICE_TYPE_FLOAT, DIMS(3));
    int zero = small_constant("zero", COPPICE_TYPE_FLOAT, SCALAR, FLOATS(0)), scanned;
    int last = small_node("Scan", 2, zero, a);
    two_outputs(&scanned);
    small_attr("num_scan_inputs", 1);
    small_attr_ints("scan_input_directions", LIST(1));
    small_output(last);
    small_output(scanned);
    cop_graph *around = begin_body("body");
    int sum = small_node("Add", 2, small_input("sum", COPPICE_TYPE_FLOAT, SCALAR),
                         small_input("piece", COPPICE_TYPE_FLOAT, SCALAR));
    small_output(sum);
    small_output(small_node("Identity", 1, sum));
    end_body(around);
    const coppice_tensor in = floats(DIMS(3), x);
    prepare(&plan, &in, 1);
    const coppice_tensor *out = run(&plan, &in);
    is_floats(&out[0], SCALAR, FLOATS(6));
    is_floats(&out[1], DIMS(3), FLOATS(3, 5, 6));
    end(&plan);
}
END_TEST

/* ---- memory that runs short ---- */

static int64_t fail_at, live;

static void *fail_once(void *cookie, void *block, size_t bytes) {
    (void)cookie;
    if (!bytes) {
        live -= block != NULL;
        free(block);
        return NULL;
    }
    if (--fail_at == 0)
        return NULL;
    void *grown = realloc(block, bytes);
    live += grown && !block;
    return grown;
}

START_TEST(every_allocation_of_a_run_may_fail) {
    static const coppice_host host = {.allocate = fail_once};
    const cop_settings settings = {.tune = COPPICE_TUNE_NONE, .isa = COPPICE_ISA_SCALAR};
    float x[3] = {1, 2, 3};
    bool condition = true;
    build_if();
    connect(small_graph);
    const coppice_tensor in[2] = {floats(DIMS(3), x),
                                  {.type = COPPICE_TYPE_BOOL, .data = &condition}};
    bool done = false;
    for (int64_t n = 1; !done; n++) {
        ck_assert_int_lt(n, 1000);
        const coppice_host *before = cop_memory_enter(&host);
        cop_plan plan = {0};
        fail_at = n;
        live = 0;
        coppice_status status = cop_plan_build(small_graph, in, 2, &settings, &plan, &small_error);
        for (int i = 0; i < 2 && !status; i++) {
            condition = !condition;
            status = cop_plan_run(&plan, in, NULL, &small_error);
        }
        done = fail_at > 0;
        ck_assert(status == COPPICE_OK || (!done && status == COPPICE_OUT_OF_MEMORY));
        cop_plan_free(&plan);
        ck_assert_int_eq(live, 0);
        cop_memory_enter(before);
    }
    small_end();
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("eager");
    tcase_add_test(tests, one_plan_serves_whatever_the_data_say);
    tcase_add_test(tests, planned_memory_stays_until_an_eager_step_has_read_it);
    tcase_add_test(tests, running_again_allocates_nothing_for_data);
    tcase_add_test(tests, tensors_without_elements_go_through);
    tcase_add_test(tests, eager_convolutions_agree_with_planned_ones);
    tcase_add_test(tests, eager_matrix_products_agree_with_planned_ones);
    tcase_add_test(tests, branches_have_shapes_of_their_own);
    tcase_add_test(tests, a_branch_reads_values_at_any_depth);
    tcase_add_test(tests, branch_that_shapes_decide_is_planned);
    tcase_add_test(tests, a_loop_carries_states_and_collects);
    tcase_add_test(tests, a_state_may_grow);
    tcase_add_test(tests, bad_bodies_are_refused);
    tcase_add_test(tests, a_scan_goes_either_way);
    tcase_add_test(tests, every_allocation_of_a_run_may_fail);
    return unit_run("eager", tests);
}
