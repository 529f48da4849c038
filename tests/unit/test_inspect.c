/* Inspection: patterns of zeros, and finding weights behind nodes that only reshape them. */
#include "net.h"
#include "prune/pattern.h"

/* A weight as Conv sees it: rows x columns x taps. */
static cop_weight_view conv_view(int64_t rows, int64_t columns, int64_t taps) {
    return (cop_weight_view){.groups = 1,
                             .rows = rows,
                             .columns = columns,
                             .taps = taps,
                             .row_stride = columns * taps,
                             .column_stride = taps};
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
    ck_assert(cop_weight_view_of(&weights.uses[0], &weights.items[0].constant->tensor, &view));
    ck_assert_int_eq(view.columns, 3); /* [K, N] */
    ck_assert_int_eq(view.column_stride, 4);
    ck_assert_int_eq(view.rows, 4);
    ck_assert(cop_weight_view_of(&weights.uses[1], &weights.items[1].constant->tensor, &view));
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
    cop_weight_view view; /* of a shape that is not known here */
    ck_assert(!cop_weight_view_of(&plan->weights.uses[0], &plan->weights.items[0].constant->tensor,
                                  &view));
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
    return unit_run("inspect", tests);
}
