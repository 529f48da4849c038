/* Finding weights: patterns of zeros, weights behind other nodes, recurrent and quantised ones. */
#include "net.h"
#include "prune/pattern.h"
#include "prune/rules.h"

/* A weight as Conv sees it: rows x columns x taps. */
static cop_weight_view conv_view(int64_t rows, int64_t columns, int64_t taps) {
    return (cop_weight_view){.groups = 1,
                             .rows = rows,
                             .columns = columns,
                             .taps = taps,
                             .row_stride = columns * taps,
                             .column_stride = taps,
                             .tap_stride = 1};
}

static void expect_pattern(const cop_weight_view *view, const uint8_t *nonzero, int64_t count,
                           const char *expected) {
    int64_t zeros = 0;
    for (int64_t i = 0; i < count; i++)
        zeros += !nonzero[i];
    cop_pattern_name name = cop_pattern_of(view, nonzero, count, zeros);
    ck_assert_str_eq(name.text, expected);
}

static unsigned next_random(unsigned *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

enum { ROWS = 32, COLUMNS = 48, TAPS = 9, COUNT = ROWS * COLUMNS * TAPS };

static size_t at(int row, int column, int tap) {
    return ((size_t)row * COLUMNS + (size_t)column) * TAPS + (size_t)tap;
}

START_TEST(without_zeros_it_is_dense) {
    static uint8_t nonzero[COUNT];
    memset(nonzero, 1, COUNT);
    cop_weight_view view = conv_view(ROWS, COLUMNS, TAPS);
    expect_pattern(&view, nonzero, COUNT, "dense");
}
END_TEST

START_TEST(scattered_zeros_are_unstructured) {
    static uint8_t nonzero[COUNT];
    cop_weight_view view = conv_view(ROWS, COLUMNS, TAPS);
    unsigned state = 1;
    for (unsigned percent = 1; percent < 100; percent += 14) {
        for (int i = 0; i < COUNT; i++)
            nonzero[i] = next_random(&state) % 100 >= percent;
        expect_pattern(&view, nonzero, COUNT, "unstructured");
    }
}
END_TEST

START_TEST(n_of_m_along_the_input_channels_is_found) {
    static const int patterns[][2] = {{2, 4}, {1, 4}, {1, 2}, {3, 4}, {4, 8}, {2, 8}, {4, 16}};
    static uint8_t nonzero[COUNT];
    cop_weight_view view = conv_view(ROWS, COLUMNS, TAPS);
    unsigned state = 2;
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
        int n = patterns[p][0], m = patterns[p][1];
        char expected[24];
        snprintf(expected, sizeof expected, "%d:%d", n, m);
        memset(nonzero, 0, COUNT);
        for (int row = 0; row < ROWS; row++)
            for (int tap = 0; tap < TAPS; tap++)
                for (int first = 0; first < COLUMNS; first += m)
                    for (int left = n; left > 0;) {
                        uint8_t *one = &nonzero[at(
                            row, first + (int)(next_random(&state) % (unsigned)m), tap)];
                        left -= !*one;
                        *one = 1;
                    }
        expect_pattern(&view, nonzero, COUNT, expected);
    }
}
END_TEST

START_TEST(blocks_are_found_by_their_largest_size) {
    static const int sizes[][2] = {{4, 1}, {8, 1}, {2, 1}, {16, 1}, {1, 4}, {1, 8}, {4, 4}};
    static uint8_t nonzero[COUNT];
    cop_weight_view view = conv_view(ROWS, COLUMNS, TAPS);
    unsigned state = 3;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int high = sizes[s][0], wide = sizes[s][1];
        for (int row = 0; row < ROWS; row += high)
            for (int column = 0; column < COLUMNS; column += wide)
                for (int tap = 0; tap < TAPS; tap++) {
                    uint8_t kept = next_random(&state) % 10 < 3;
                    for (int r = 0; r < high; r++)
                        for (int c = 0; c < wide; c++)
                            nonzero[at(row + r, column + c, tap)] = kept;
                }
        char expected[24];
        snprintf(expected, sizeof expected, "%dx%d", high, wide);
        expect_pattern(&view, nonzero, COUNT, expected);
        nonzero[at(0, 0, 0)] = 0; /* a kept weight may be zero by chance */
        expect_pattern(&view, nonzero, COUNT, expected);
    }
}
END_TEST

START_TEST(whole_channels_are_found) {
    static uint8_t nonzero[COUNT];
    cop_weight_view view = conv_view(ROWS, COLUMNS, TAPS);
    for (int i = 0; i < COUNT; i++)
        nonzero[i] = i / (COLUMNS * TAPS) % 3 != 1;
    expect_pattern(&view, nonzero, COUNT, "channels");
    memset(nonzero, 1, COUNT);
    nonzero[5] = 0; /* one zero in one channel is no pattern */
    expect_pattern(&view, nonzero, COUNT, "unstructured");
}
END_TEST

START_TEST(the_reduction_axis_of_products_is_known) {
    float data[12];
    fill(data, 12);
    net n;
    net_open(&n, NULL, "main");
    add_node(&n, "MatMul", "mm", add_weight(&n, "a", COPPICE_TYPE_FLOAT, data, 2, 3, 4));
    add_node(&n, "Gemm", "gemm", add_weight(&n, "b", COPPICE_TYPE_FLOAT, data, 2, 3, 4));
    cop_node *gemm = &n.graph->nodes[n.graph->node_count - 1];
    ck_assert(cop_node_set_attr_int(n.graph, gemm, "transB", 1));
    set_outputs(&n, 1, n.last);
    cop_weights weights = {0};
    ck_assert_int_eq(cop_weights_collect(n.graph, &weights, NULL), COPPICE_OK);
    cop_weight_view view;
    ck_assert(cop_weight_view_of(&weights.uses[0], &view));
    ck_assert_int_eq(view.columns, 3); /* [K, N] */
    ck_assert_int_eq(view.column_stride, 4);
    ck_assert_int_eq(view.rows, 4);
    ck_assert(cop_weight_view_of(&weights.uses[1], &view));
    ck_assert_int_eq(view.columns, 4); /* [N, K] */
    ck_assert_int_eq(view.column_stride, 1);
    ck_assert_int_eq(view.rows, 3);
    cop_weights_free(&weights);
    net_close(&n);
}
END_TEST

START_TEST(a_weight_behind_reshape_and_transpose_is_found) {
    float data[12];
    fill(data, 12);
    net n;
    net_open(&n, NULL, "main");
    int x = n.last;
    n.last = add_weight(&n, "w", COPPICE_TYPE_FLOAT, data, 3, 2, 2, 3);
    add_node(&n, "Reshape", "flat", -1);
    add_node(&n, "Transpose", "turned", -1);
    int weight = n.last;
    n.last = x;
    add_node(&n, "MatMul", "fc", weight);
    set_outputs(&n, 1, n.last);
    coppice_prune_options options = all_layers(0.5);
    cop_prune_plan *plan = prune(&n, &options);
    ck_assert_uint_eq(plan->report.layer_count, 1);
    ck_assert_str_eq(plan->report.layers[0].initializer, "w");
    ck_assert_int_eq(plan->report.layers[0].rank, 3); /* the weight's own shape */
    ck_assert_uint_eq(zeros_in(data, 12), 6);
    ck_assert_str_eq(plan->weights.uses[0].via, "Reshape, Transpose");
    cop_weight_view view; /* Reshape without a shape: not known */
    ck_assert(!cop_weight_view_of(&plan->weights.uses[0], &view));
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

START_TEST(a_weight_under_a_mask_counts_as_zero) {
    float data[6] = {6, -5, 4, -3, 2, -1};
    uint8_t mask[6] = {0, 1, 1, 0, 1, 1};
    net n;
    net_open(&n, NULL, "main");
    int x = n.last;
    int weight = add_weight(&n, "w_orig", COPPICE_TYPE_FLOAT, data, 2, 2, 3);
    n.last = add_weight(&n, "w_mask", COPPICE_TYPE_BOOL, mask, 2, 2, 3);
    add_node(&n, "Cast", "mask_as_float", -1);
    add_node(&n, "Mul", "masked", weight);
    add_node(&n, "Transpose", "turned", -1);
    int masked = n.last;
    n.last = x;
    add_node(&n, "MatMul", "fc", masked);
    set_outputs(&n, 1, n.last);
    coppice_prune_options options = all_layers(0.5);
    cop_prune_plan *plan = prune(&n, &options);
    ck_assert_str_eq(plan->report.layers[0].initializer, "w_orig");
    ck_assert_int_eq(plan->report.layers[0].zeros, 3);
    const float expected[6] = {0, -5, 4, 0, 2, 0};
    ck_assert_mem_eq(data, expected, sizeof data);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

/* ---- recurrent and quantised weights ---- */

enum {
    HIDDEN = 4,
    INPUT = 6,
    GATES = 4,
    W_COUNT = 2 * GATES * HIDDEN * INPUT,
    R_COUNT = 2 * GATES * HIDDEN * HIDDEN
};

/* A bidirectional LSTM with W "w" and R "r" behind "x". */
static void lstm_net(net *n, float *w, float *r) {
    net_open(n, NULL, "main");
    int x = n->last;
    int first = add_weight(n, "w", COPPICE_TYPE_FLOAT, w, 3, 2, GATES * HIDDEN, INPUT);
    int second = add_weight(n, "r", COPPICE_TYPE_FLOAT, r, 3, 2, GATES * HIDDEN, HIDDEN);
    int output = cop_graph_value(n->graph, "states");
    cop_node *node = cop_graph_add_node(n->graph, "LSTM", 3, 1, 0);
    node->name = "lstm";
    node->inputs[0] = x;
    node->inputs[1] = first;
    node->inputs[2] = second;
    node->outputs[0] = output;
    set_outputs(n, 1, output);
}

START_TEST(recurrent_weights_are_kept_dense_unless_asked_for) {
    float w[W_COUNT], r[R_COUNT];
    fill(w, W_COUNT);
    fill(r, R_COUNT);
    net n;
    lstm_net(&n, w, r);
    coppice_prune_options options = all_layers(0.5);
    options.keep_recurrent = true;
    expect_failure(&n, &options, COPPICE_INVALID_ARGUMENT, "recurrent weight");
    const coppice_layer_rule rule = {.glob = "r", .sparsity = 0.25};
    options.layers = &rule;
    options.layer_count = 1;
    cop_prune_plan *plan = prune(&n, &options);
    ck_assert_uint_eq(plan->report.layer_count, 2);
    ck_assert_str_eq(plan->report.layers[0].kept_dense, "recurrent weight");
    ck_assert_ptr_null(plan->report.layers[1].kept_dense);
    ck_assert_uint_eq(zeros_in(w, W_COUNT), 0);
    ck_assert_uint_eq(zeros_in(r, R_COUNT), R_COUNT / 4);
    coppice_prune_report_free(&plan->report);
    options = all_layers(0.5);
    plan = prune(&n, &options);
    ck_assert_uint_eq(zeros_in(w, W_COUNT), W_COUNT / 2);
    ck_assert_uint_eq(zeros_in(r, R_COUNT), R_COUNT / 2);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

START_TEST(recurrent_weights_are_seen_by_direction_gate_and_input) {
    float w[W_COUNT], r[R_COUNT];
    fill(w, W_COUNT);
    fill(r, R_COUNT);
    net n;
    lstm_net(&n, w, r);
    cop_weights weights = {0};
    ck_assert_int_eq(cop_weights_collect(n.graph, &weights, NULL), COPPICE_OK);
    ck_assert_uint_eq(weights.use_count, 2);
    cop_weight_view view;
    ck_assert(cop_weight_view_of(&weights.uses[0], &view));
    ck_assert_int_eq(view.groups, 2);
    ck_assert_int_eq(view.rows, GATES * HIDDEN);
    ck_assert_int_eq(view.columns, INPUT);
    ck_assert_int_eq(view.group_stride, GATES * HIDDEN * INPUT);
    ck_assert_int_eq(view.column_stride, 1);
    cop_weights_free(&weights);
    net_close(&n);
}
END_TEST

/* x -> MatMul by `weight` behind QuantizeLinear (when float) and DequantizeLinear. */
static void quantised_net(net *n, coppice_type type, void *data, float *scale, int8_t *zero_point) {
    net_open(n, NULL, "main");
    int x = n->last;
    n->last = add_weight(n, "w", type, data, 2, 2, 3);
    int step = add_weight(n, "scale", COPPICE_TYPE_FLOAT, scale, 0);
    if (type == COPPICE_TYPE_FLOAT)
        add_node(n, "QuantizeLinear", "q", step);
    int quantised = n->last, output = cop_graph_value(n->graph, "dq_out");
    int zero = add_weight(n, "zero", COPPICE_TYPE_INT8, zero_point, 0);
    cop_node *node = cop_graph_add_node(n->graph, "DequantizeLinear", 3, 1, 0);
    node->name = "dq";
    node->inputs[0] = quantised;
    node->inputs[1] = step;
    node->inputs[2] = zero;
    node->outputs[0] = output;
    n->last = x;
    add_node(n, "MatMul", "fc", output);
    set_outputs(n, 1, n->last);
}

START_TEST(a_weight_that_is_quantised_and_back_is_pruned) {
    float data[6] = {1, 2, 3, 4, 5, 6}, scale = 0.1f;
    int8_t zero = 3;
    net n;
    quantised_net(&n, COPPICE_TYPE_FLOAT, data, &scale, &zero);
    coppice_prune_options options = all_layers(0.5);
    cop_prune_plan *plan = prune(&n, &options);
    ck_assert_str_eq(plan->report.layers[0].initializer, "w");
    ck_assert_uint_eq(zeros_in(data, 6), 3);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

START_TEST(a_quantised_weight_is_pruned_to_its_zero_point) {
    int8_t data[6] = {3, 2, 0, 4, -9, 1}, zero = 3; /* stored 3 means 0 */
    float scale = 0.1f;
    net n;
    quantised_net(&n, COPPICE_TYPE_INT8, data, &scale, &zero);
    coppice_prune_options options = all_layers(0.5);
    cop_prune_plan *plan = prune(&n, &options);
    const int8_t expected[6] = {3, 3, 0, 3, -9, 1};
    ck_assert_mem_eq(data, expected, sizeof data);
    ck_assert_int_eq(plan->report.layers[0].zeros, 3);
    ck_assert_int_eq(cop_nonzero_map(&plan->weights.items[0], 6, NULL), 3);
    ck_assert_str_eq(plan->weights.uses[0].via, "DequantizeLinear");
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("inspect");
    tcase_add_test(tests, without_zeros_it_is_dense);
    tcase_add_test(tests, scattered_zeros_are_unstructured);
    tcase_add_test(tests, n_of_m_along_the_input_channels_is_found);
    tcase_add_test(tests, blocks_are_found_by_their_largest_size);
    tcase_add_test(tests, whole_channels_are_found);
    tcase_add_test(tests, the_reduction_axis_of_products_is_known);
    tcase_add_test(tests, a_weight_behind_reshape_and_transpose_is_found);
    tcase_add_test(tests, a_weight_under_a_mask_counts_as_zero);
    tcase_add_test(tests, recurrent_weights_are_kept_dense_unless_asked_for);
    tcase_add_test(tests, recurrent_weights_are_seen_by_direction_gate_and_input);
    tcase_add_test(tests, a_weight_that_is_quantised_and_back_is_pruned);
    tcase_add_test(tests, a_quantised_weight_is_pruned_to_its_zero_point);
    return unit_run("inspect", tests);
}
