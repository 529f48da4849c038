/* Weights behind other nodes: how they lie in their constants, parts, scales, equations. */
#include "net.h"
#include "prune/pattern.h"
#include "prune/rules.h"

static cop_weights collect(const net *n) {
    cop_weights weights = {0};
    ck_assert_int_eq(cop_weights_collect(n->graph, &weights, NULL), COPPICE_OK);
    return weights;
}

static cop_node *last_node(net *n) {
    return &n->graph->nodes[n->graph->node_count - 1];
}

static void set_ints(net *n, const char *name, size_t count, const int64_t *values) {
    ck_assert(cop_node_set_attr_ints(n->graph, last_node(n), name, values, count));
}

static void set_text(net *n, const char *name, const char *text) {
    ck_assert(cop_node_set_attr_int(n->graph, last_node(n), name, 0));
    cop_attr *attr = (cop_attr *)cop_node_attr(last_node(n), name);
    attr->kind = COP_ATTR_STRING;
    attr->s = (cop_string){text, strlen(text)};
}

/* Ends the graph with `op` of x and the end of the chain. */
static void finish(net *n, int x, const char *op) {
    int weight = n->last;
    n->last = x;
    add_node(n, op, "use", weight);
}

static void expect_pattern(const net *n, const char *expected) {
    cop_weights weights = collect(n);
    uint8_t nonzero[256];
    const coppice_tensor *tensor = &weights.items[0].constant->tensor;
    int64_t count = coppice_tensor_count(tensor);
    ck_assert_int_le(count, 256);
    int64_t zeros = cop_nonzero_map(&weights.items[0], count, nonzero);
    cop_weight_view view;
    bool fits = cop_weight_view_of(&weights.uses[0], &view);
    cop_pattern_name name = cop_pattern_of(fits ? &view : NULL, nonzero, count, zeros);
    ck_assert_str_eq(name.text, expected);
    cop_weights_free(&weights);
}

/* [16][16] with two zeros in every four along the last axis, other ones in each row. */
static void fill_two_of_four(float *data) {
    static const uint8_t kept[6][2] = {{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}};
    unsigned state = 5;
    memset(data, 0, 256 * sizeof *data);
    for (int i = 0; i < 256; i += 4) {
        state = state * 1664525u + 1013904223u;
        const uint8_t *two = kept[(state >> 16) % 6];
        data[i + two[0]] = data[i + two[1]] = 1;
    }
}

START_TEST(patterns_follow_the_axes_through_transpose) {
    const int64_t turned[] = {1, 0}, same[] = {0, 1};
    float data[256];
    fill_two_of_four(data);
    for (int i = 0; i < 2; i++) {
        net n;
        net_open(&n, NULL, "main");
        int x = n.last;
        n.last = add_weight(&n, "w", COPPICE_TYPE_FLOAT, data, 2, 16, 16);
        add_node(&n, "Transpose", "turned", -1);
        set_ints(&n, "perm", 2, i ? same : turned);
        finish(&n, x, "MatMul");
        set_outputs(&n, 1, n.last);
        expect_pattern(&n, i ? "unstructured" : "2:4"); /* a MatMul sums over the first axis */
        net_close(&n);
    }
}
END_TEST

START_TEST(patterns_follow_the_axes_through_reshapes) {
    int64_t shape[] = {4, 4, -1}, axes[] = {3, 4}, flat[] = {-1, 16};
    float data[256];
    fill_two_of_four(data);
    net n;
    net_open(&n, NULL, "main");
    int x = n.last;
    n.last = add_weight(&n, "w", COPPICE_TYPE_FLOAT, data, 2, 16, 16);
    add_node(&n, "Reshape", "a", add_weight(&n, "s", COPPICE_TYPE_INT64, shape, 1, 3));
    add_node(&n, "Unsqueeze", "b", add_weight(&n, "t", COPPICE_TYPE_INT64, axes, 1, 2));
    add_node(&n, "Squeeze", "c", -1);
    add_node(&n, "Reshape", "d", add_weight(&n, "u", COPPICE_TYPE_INT64, flat, 1, 2));
    finish(&n, x, "Gemm");
    ck_assert(cop_node_set_attr_int(n.graph, last_node(&n), "transB", 1));
    set_outputs(&n, 1, n.last);
    expect_pattern(&n, "2:4");
    cop_weights weights = collect(&n);
    ck_assert_str_eq(weights.uses[0].via, "Reshape, Unsqueeze, Squeeze, Reshape");
    ck_assert_uint_eq(weights.uses[0].seen.rank, 2);
    ck_assert_int_eq(weights.uses[0].seen.strides[0], 16);
    cop_weights_free(&weights);
    net_close(&n);
}
END_TEST

/* [kernel h, kernel w, in, out], as other exporters keep it. */
START_TEST(taps_may_be_outermost) {
    const int64_t perm[] = {3, 2, 0, 1};
    float data[2 * 3 * 4 * 5];
    fill(data, 120);
    net n;
    net_open(&n, NULL, "main");
    int x = n.last;
    n.last = add_weight(&n, "w", COPPICE_TYPE_FLOAT, data, 4, 2, 3, 4, 5);
    add_node(&n, "Transpose", "turned", -1);
    set_ints(&n, "perm", 4, perm);
    finish(&n, x, "Conv");
    set_outputs(&n, 1, n.last);
    cop_weights weights = collect(&n);
    cop_weight_view view;
    ck_assert(cop_weight_view_of(&weights.uses[0], &view));
    ck_assert_int_eq(view.rows, 5);
    ck_assert_int_eq(view.row_stride, 1);
    ck_assert_int_eq(view.columns, 4);
    ck_assert_int_eq(view.column_stride, 5);
    ck_assert_int_eq(view.taps, 6);
    ck_assert_int_eq(view.tap_stride, 20);
    cop_weights_free(&weights);
    net_close(&n);
}
END_TEST

/* [6, 4] split, and both parts multiplied by. */
START_TEST(parts_of_one_constant_are_one_weight) {
    float data[24];
    fill(data, 24);
    net n;
    net_open(&n, NULL, "main");
    int x = n.last, w = add_weight(&n, "w", COPPICE_TYPE_FLOAT, data, 2, 6, 4);
    cop_node *split = cop_graph_add_node(n.graph, "Split", 1, 2, 0);
    split->name = "split";
    split->inputs[0] = w;
    int parts[2] = {cop_graph_value(n.graph, "p0"), cop_graph_value(n.graph, "p1")};
    split->outputs[0] = parts[0];
    split->outputs[1] = parts[1];
    n.last = parts[0];
    add_node(&n, "Transpose", "t0", -1);
    finish(&n, x, "MatMul");
    add_node(&n, "MatMul", "second", parts[1]);
    set_outputs(&n, 1, n.last);
    cop_weights weights = collect(&n);
    ck_assert_uint_eq(weights.count, 1);
    ck_assert_uint_eq(weights.use_count, 2);
    ck_assert_ptr_null(weights.items[0].other_use);
    ck_assert_str_eq(weights.uses[0].via, "Split, Transpose");
    ck_assert_str_eq(weights.uses[1].via, "Split");
    ck_assert(!weights.uses[0].seen.known);
    cop_weights_free(&weights);
    net_close(&n);
}
END_TEST

/* As silero's LSTM has its gates: parts of one constant in another order. */
START_TEST(a_join_of_one_constant_is_followed_and_one_of_two_is_not) {
    for (int other = 0; other < 2; other++) {
        float data[24], more[24];
        int64_t from = 0, to = 2;
        fill(data, 24);
        fill(more, 24);
        net n;
        net_open(&n, NULL, "main");
        int x = n.last, w = add_weight(&n, "w", COPPICE_TYPE_FLOAT, data, 2, 6, 4);
        int second = add_weight(&n, "v", COPPICE_TYPE_FLOAT, more, 2, 6, 4);
        add_weight(&n, "from", COPPICE_TYPE_INT64, &from, 1, 1);
        add_weight(&n, "to", COPPICE_TYPE_INT64, &to, 1, 1);
        n.last = w;
        add_node(&n, "Slice", "a", -1);
        int a = n.last;
        n.last = other ? second : w;
        add_node(&n, "Slice", "b", -1);
        add_node(&n, "Concat", "joined", a);
        finish(&n, x, "MatMul");
        set_outputs(&n, 1, n.last);
        cop_weights weights = collect(&n);
        ck_assert_uint_eq(weights.count, other ? 0 : 1);
        if (!other)
            ck_assert_str_eq(weights.uses[0].via, "Slice, Concat");
        cop_weights_free(&weights);
        net_close(&n);
    }
}
END_TEST

/* What stands in the way of a Concat of a Concat of ...: the ways double with each. */
START_TEST(many_joins_in_a_row_end_soon) {
    float data[4] = {1, 2, 3, 4};
    net n;
    net_open(&n, NULL, "main");
    int x = n.last;
    n.last = add_weight(&n, "w", COPPICE_TYPE_FLOAT, data, 2, 2, 2);
    for (int i = 0; i < 60; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%d", i);
        add_node(&n, "Concat", name, n.last);
    }
    finish(&n, x, "MatMul");
    set_outputs(&n, 1, n.last);
    cop_weights weights = collect(&n);
    ck_assert_uint_eq(weights.count, 0);
    cop_weights_free(&weights);
    net_close(&n);
}
END_TEST

START_TEST(a_factor_of_one_element_is_looked_through) {
    float data[4] = {1, -4, 3, 2}, factor = 0.5f;
    const float expected[4] = {0, -4, 3, 0};
    net n;
    net_open(&n, NULL, "main");
    int x = n.last, w = add_weight(&n, "w", COPPICE_TYPE_FLOAT, data, 2, 2, 2);
    n.last = add_weight(&n, "half", COPPICE_TYPE_FLOAT, &factor, 0);
    add_node(&n, "Mul", "scaled", w);
    add_node(&n, "Neg", "negated", -1);
    finish(&n, x, "MatMul");
    set_outputs(&n, 1, n.last);
    coppice_prune_options options = all_layers(0.5);
    cop_prune_plan *plan = prune(&n, &options);
    ck_assert_mem_eq(data, expected, sizeof data);
    ck_assert_str_eq(plan->weights.uses[0].via, "Mul, Neg");
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

/* ---- quantised ---- */

typedef struct quantised_case {
    const char *what;
    coppice_type type;
    uint32_t scale_rank;
    int scale_dims[2], zeros;
    int64_t axis, block;
    uint8_t zero[4];
    uint8_t expected[8]; /* of 0.5 */
} quantised_case;

/* w [2, 4] is 1 2 3 4 | 5 6 7 8. */
static const quantised_case quantised[] = {
    {"one scale", COPPICE_TYPE_UINT8, 0, {0}, 1, 1, 0, {4}, {1, 4, 4, 4, 4, 6, 7, 8}},
    {"scales of rows", COPPICE_TYPE_UINT8, 1, {2}, 1, 0, 0, {0}, {1, 2, 3, 4, 0, 0, 0, 0}},
    {"scales of columns", COPPICE_TYPE_INT8, 1, {4}, 1, -1, 0, {0}, {1, 0, 3, 0, 5, 0, 7, 0}},
    {"blocks of columns", COPPICE_TYPE_INT8, 2, {2, 2}, 1, 1, 2, {0}, {1, 2, 0, 0, 5, 6, 0, 0}},
    {"zero points alike", COPPICE_TYPE_UINT8, 1, {2}, 2, 0, 0, {1, 1}, {1, 2, 3, 4, 1, 1, 1, 8}}};

static void quantised_net(net *n, const quantised_case *c, uint8_t *data, float *scales) {
    net_open(n, NULL, "main");
    int x = n->last, w = add_weight(n, "w", c->type, data, 2, 2, 4);
    int scale = add_weight(n, "scale", COPPICE_TYPE_FLOAT, scales, c->scale_rank, c->scale_dims[0],
                           c->scale_dims[1]);
    int zero = add_weight(n, "zero", c->type, (void *)c->zero, 1, c->zeros);
    int output = cop_graph_value(n->graph, "dq_out");
    cop_node *node = cop_graph_add_node(n->graph, "DequantizeLinear", 3, 1, 0);
    node->name = "dq";
    node->inputs[0] = w;
    node->inputs[1] = scale;
    node->inputs[2] = zero;
    node->outputs[0] = n->last = output;
    ck_assert(cop_node_set_attr_int(n->graph, last_node(n), "axis", c->axis));
    if (c->block)
        ck_assert(cop_node_set_attr_int(n->graph, last_node(n), "block_size", c->block));
    finish(n, x, "MatMul");
    set_outputs(n, 1, n->last);
}

START_TEST(quantised_weights_go_by_what_they_stand_for) {
    const quantised_case *c = &quantised[_i];
    uint8_t data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    float scales[4] = {1, 0.01f, 1, 0.01f};
    net n;
    quantised_net(&n, c, data, scales);
    coppice_prune_options options = all_layers(0.5);
    cop_prune_plan *plan = prune(&n, &options);
    for (int i = 0; i < 8; i++)
        ck_assert_msg(data[i] == c->expected[i], "%s: element %d is %d, expected %d", c->what, i,
                      data[i], c->expected[i]);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

START_TEST(what_cannot_be_zeroed_says_why) {
    static const struct {
        quantised_case c;
        const char *why;
    } cases[] = {
        {{"", COPPICE_TYPE_UINT8, 1, {2}, 2, 0, 0, {1, 2}, {0}}, "its zero points differ"},
        {{"", COPPICE_TYPE_UINT8, 1, {3}, 1, 0, 0, {0}, {0}}, "its scales do not fit its shape"},
        {{"", COPPICE_TYPE_UINT8, 2, {2, 3}, 1, 1, 2, {0}, {0}}, "its scales do not fit its shape"},
        {{"", COPPICE_TYPE_INT4, 0, {0}, 1, 1, 0, {0}, {0}}, "type int4 cannot be pruned"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
        float scales[6] = {1, 1, 1, 1, 1, 1};
        net n;
        quantised_net(&n, &cases[i].c, data, scales);
        coppice_prune_options options = all_layers(0.5);
        expect_failure(&n, &options, COPPICE_INVALID_ARGUMENT, cases[i].why);
        cop_weights weights = collect(&n);
        ck_assert_uint_eq(weights.count, 1); /* listed all the same */
        cop_weights_free(&weights);
        net_close(&n);
    }
}
END_TEST

/* ---- equations ---- */

typedef struct equation_case {
    const char *text;
    bool product;
    int64_t rows, columns, groups; /* of the weight [2, 3, 4], the second operand */
} equation_case;

static const equation_case equations[] = {
    {"bx,xyz->byz", true, 12, 2, 1},     {"bz, xyz -> bxy", true, 6, 4, 1},
    {"...yz,xyz->...x", true, 2, 12, 1}, {"bxz,xyz->bxy", true, 3, 4, 2},
    {"bx,xyz", true, 12, 2, 1},          {"bx,xyy->b", false, 0, 0, 0},
    {"bx,xyz,z->b", false, 0, 0, 0},     {"xyz->x", false, 0, 0, 0}};

START_TEST(equations_with_a_weight_are_products) {
    const equation_case *c = &equations[_i];
    float data[24];
    fill(data, 24);
    net n;
    net_open(&n, NULL, "main");
    int x = n.last;
    n.last = add_weight(&n, "w", COPPICE_TYPE_FLOAT, data, 3, 2, 3, 4);
    finish(&n, x, "Einsum");
    set_text(&n, "equation", c->text);
    set_outputs(&n, 1, n.last);
    cop_weights weights = collect(&n);
    ck_assert_uint_eq(weights.count, c->product);
    cop_weight_view view;
    if (c->product) {
        ck_assert(cop_weight_view_of(&weights.uses[0], &view));
        ck_assert_int_eq(view.rows, c->rows);
        ck_assert_int_eq(view.columns, c->columns);
        ck_assert_int_eq(view.groups, c->groups);
    }
    cop_weights_free(&weights);
    net_close(&n);
}
END_TEST

START_TEST(a_table_that_is_read_by_gather_too_stays_dense) {
    float data[24];
    int64_t perm[] = {1, 0};
    fill(data, 24);
    net n;
    net_open(&n, NULL, "main");
    int x = n.last, w = add_weight(&n, "table", COPPICE_TYPE_FLOAT, data, 2, 6, 4);
    n.last = w;
    add_node(&n, "Transpose", "turned", -1);
    set_ints(&n, "perm", 2, perm);
    finish(&n, x, "MatMul");
    int y = n.last;
    n.last = w;
    add_node(&n, "Gather", "rows", x);
    set_outputs(&n, 2, y, n.last);
    cop_weights weights = collect(&n);
    coppice_prune_options options = all_layers(0.5);
    ck_assert_str_eq(cop_weight_kept_dense(&weights, 0, &options), "also read by Gather");
    cop_weights_free(&weights);
    net_close(&n);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("weight_chains");
    tcase_add_test(tests, patterns_follow_the_axes_through_transpose);
    tcase_add_test(tests, patterns_follow_the_axes_through_reshapes);
    tcase_add_test(tests, taps_may_be_outermost);
    tcase_add_test(tests, parts_of_one_constant_are_one_weight);
    tcase_add_test(tests, a_join_of_one_constant_is_followed_and_one_of_two_is_not);
    tcase_add_test(tests, many_joins_in_a_row_end_soon);
    tcase_add_test(tests, a_factor_of_one_element_is_looked_through);
    tcase_add_loop_test(tests, quantised_weights_go_by_what_they_stand_for, 0,
                        (int)(sizeof quantised / sizeof *quantised));
    tcase_add_test(tests, what_cannot_be_zeroed_says_why);
    tcase_add_loop_test(tests, equations_with_a_weight_are_products, 0,
                        (int)(sizeof equations / sizeof *equations));
    tcase_add_test(tests, a_table_that_is_read_by_gather_too_stays_dense);
    return unit_run("weight_chains", tests);
}
