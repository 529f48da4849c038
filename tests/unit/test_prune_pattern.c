/* Pruning by patterns and by allocations. */
#include "net.h"
#include "prune/wanted.h"

enum { ROWS = 5, COLUMNS = 6, TAPS = 2, COUNT = ROWS * COLUMNS * TAPS };

static float data[COUNT];

static int at(int row, int column, int tap) {
    return (row * COLUMNS + column) * TAPS + tap;
}

/* A convolution of 5 by 6 channels and 2 taps; its weights are distinct but for those set to 0. */
static void open_conv(net *n) {
    net_open(n, NULL, "main");
    fill(data, COUNT);
    add_node(n, "Conv", "c",
             add_weight(n, "c.w", COPPICE_TYPE_FLOAT, data, 3, ROWS, COLUMNS, TAPS));
    set_outputs(n, 1, n->last);
}

static size_t prune_conv(const char *pattern, double sparsity) {
    net n;
    open_conv(&n);
    coppice_prune_options options = all_layers(sparsity);
    options.pattern = pattern;
    cop_prune_plan *plan = prune(&n, &options);
    size_t zeros = zeros_in(data, COUNT);
    ck_assert_int_eq(plan->report.zeros, (int64_t)zeros);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
    return zeros;
}

START_TEST(blocks_go_whole) {
    prune_conv("4x1", 0.5);
    for (int c = 0; c < COLUMNS; c++)
        for (int t = 0; t < TAPS; t++)
            for (int r = 1; r < 4; r++)
                ck_assert_int_eq(data[at(r, c, t)] == 0, data[at(0, c, t)] == 0);
}
END_TEST

START_TEST(blocks_of_the_smallest_mean_go) {
    static float whole[COUNT];
    fill(whole, COUNT);
    prune_conv("5x1", 0.5);
    float largest_gone = 0, smallest_kept = INFINITY;
    for (int i = 0; i < COLUMNS * TAPS; i++) {
        float sum = 0;
        for (int r = 0; r < ROWS; r++)
            sum += fabsf(whole[r * COLUMNS * TAPS + i]);
        if (data[i] == 0)
            largest_gone = fmaxf(largest_gone, sum);
        else
            smallest_kept = fminf(smallest_kept, sum);
    }
    ck_assert_float_le(largest_gone, smallest_kept);
    ck_assert_float_gt(largest_gone, 0);
}
END_TEST

START_TEST(zeros_are_as_many_as_whole_blocks_allow) {
    ck_assert_uint_eq(prune_conv("5x1", 0.5), 30);
    ck_assert_uint_eq(prune_conv("5x6", 0.4), 30); /* 24 wanted: 30 is nearer than 0 */
    ck_assert_uint_eq(prune_conv("5x6", 0.2), 0);  /* 12 wanted */
    for (int k = 0; k <= 10; k++) {                /* blocks of 4 and of 1 weights */
        size_t zeros = prune_conv("4x1", k / 10.0);
        ck_assert_double_le(fabs((double)zeros - 6.0 * k), 2);
    }
    ck_assert_uint_eq(prune_conv("64x64", 1), COUNT);
}
END_TEST

START_TEST(channels_go_whole) {
    ck_assert_uint_eq(prune_conv("channels", 0.4), 24);
    for (int r = 0; r < ROWS; r++)
        ck_assert_uint_eq(zeros_in(data + r * COLUMNS * TAPS, COLUMNS * TAPS) % 12, 0);
}
END_TEST

START_TEST(of_a_group_the_largest_stay) {
    static float whole[COUNT];
    fill(whole, COUNT);
    ck_assert_uint_eq(prune_conv("2:4", 0), ROWS * TAPS * 3); /* the last group has 2: one stays */
    for (int r = 0; r < ROWS; r++) {
        for (int t = 0; t < TAPS; t++) {
            for (int c = 0; c < 4; c++) {
                int larger = 0;
                for (int k = 0; k < 4; k++)
                    larger += fabsf(whole[at(r, k, t)]) > fabsf(whole[at(r, c, t)]);
                ck_assert_int_eq(data[at(r, c, t)] != 0, larger < 2);
            }
        }
    }
}
END_TEST

START_TEST(of_equal_weights_of_a_group_the_first_go) {
    float equal[8] = {1, 1, 1, 1, 2, -1, 1, -1};
    net n;
    net_open(&n, NULL, "main");
    add_node(&n, "Conv", "c", add_weight(&n, "c.w", COPPICE_TYPE_FLOAT, equal, 3, 1, 8, 1));
    set_outputs(&n, 1, n.last);
    coppice_prune_options options = all_layers(0);
    options.pattern = "2:4";
    coppice_prune_report_free(&prune(&n, &options)->report);
    const float expected[8] = {0, 0, 1, 1, 2, 0, 0, -1};
    ck_assert_mem_eq(equal, expected, sizeof equal);
    net_close(&n);
}
END_TEST

START_TEST(scores_choose_blocks_and_groups) {
    static float scores[COUNT];
    static const char *const patterns[] = {"4x1", "2:4"};
    for (size_t p = 0; p < 2; p++) {
        for (int i = 0; i < COUNT; i++) /* column 5 goes first, the others in turn */
            scores[i] = -(float)(i / TAPS % COLUMNS);
        net n;
        open_conv(&n);
        coppice_prune_options options = all_layers(1.0 / 3);
        const coppice_score score = {"c.w", {COPPICE_TYPE_FLOAT, 3, {ROWS, COLUMNS, TAPS}, scores}};
        options.scores = &score;
        options.score_count = 1;
        options.pattern = patterns[p];
        coppice_prune_report_free(&prune(&n, &options)->report);
        for (int r = 0; r < 4; r++) {
            ck_assert_float_ne(data[at(r, 0, 0)], 0);
            ck_assert_float_ne(data[at(r, 1, 1)], 0);
            ck_assert_float_eq(data[at(r, 5, 0)], 0);
            ck_assert_float_eq(data[at(r, p ? 3 : 4, 1)], 0);
        }
        net_close(&n);
    }
}
END_TEST

START_TEST(patterns_that_make_no_sense_are_refused) {
    static const char *const bad[] = {"",       "4",     "4x",   "x4",   "0x1", "4x1x1",
                                      "65x1",   "4:2",   "2:2",  "0:4",  "2:",  "-1:4",
                                      "4 x 1 ", "dense", "1x1e", "999x1"};
    net n;
    open_conv(&n);
    coppice_prune_options options = all_layers(0.5);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        options.pattern = bad[i];
        expect_failure(&n, &options, COPPICE_INVALID_ARGUMENT, "is none of");
    }
    net_close(&n);
}
END_TEST

START_TEST(groups_have_no_other_target) {
    net n;
    open_conv(&n);
    coppice_prune_options options = all_layers(0);
    options.pattern = "2:4";
    options.scope = COPPICE_SCOPE_GLOBAL;
    expect_failure(&n, &options, COPPICE_INVALID_ARGUMENT, "no other scope");
    options.scope = COPPICE_SCOPE_LAYER;
    const coppice_layer_rule rule = {"c", 0.3};
    options.layers = &rule;
    options.layer_count = 1;
    expect_failure(&n, &options, COPPICE_INVALID_ARGUMENT, "only 0 (dense) is possible");
    net_close(&n);
}
END_TEST

START_TEST(a_weight_that_is_no_number_is_refused_with_any_pattern) {
    static const char *const patterns[] = {"4x1", "2:4", "channels"};
    net n;
    open_conv(&n);
    data[17] = NAN;
    coppice_prune_options options = all_layers(0.5);
    for (size_t i = 0; i < 3; i++) {
        options.pattern = patterns[i];
        expect_failure(&n, &options, COPPICE_BAD_DATA, "weight 17 is NaN");
    }
    net_close(&n);
}
END_TEST

/* ---- allocations ---- */

/* Two MatMuls: 4 by 4 weights, and 10 by 40 of a tenth of their size. */
static float small[16], large[400];

static void prune_two(coppice_scope scope, double sparsity) {
    net n;
    net_open(&n, NULL, "main");
    fill(small, 16);
    fill(large, 400);
    for (int i = 0; i < 16; i++)
        small[i] *= 10;
    add_node(&n, "MatMul", "a", add_weight(&n, "a.w", COPPICE_TYPE_FLOAT, small, 2, 4, 4));
    add_node(&n, "MatMul", "b", add_weight(&n, "b.w", COPPICE_TYPE_FLOAT, large, 2, 10, 40));
    set_outputs(&n, 1, n.last);
    coppice_prune_options options = all_layers(sparsity);
    options.scope = scope;
    coppice_prune_report_free(&prune(&n, &options)->report);
    net_close(&n);
}

START_TEST(erk_keeps_by_the_sum_of_dims) {
    prune_two(COPPICE_SCOPE_ERK, 0.9); /* 41.6 stay: 8 of 58 parts, and 50 */
    ck_assert_uint_eq(zeros_in(small, 16), 10);
    ck_assert_uint_eq(zeros_in(large, 400), 364);
    prune_two(COPPICE_SCOPE_ERK, 0.5); /* 8 of 58 parts of 208 are more than 16 */
    ck_assert_uint_eq(zeros_in(small, 16), 0);
    ck_assert_uint_eq(zeros_in(large, 400), 208);
    prune_two(COPPICE_SCOPE_ERK, 0);
    ck_assert_uint_eq(zeros_in(large, 400), 0);
    prune_two(COPPICE_SCOPE_ERK, 1);
    ck_assert_uint_eq(zeros_in(small, 16) + zeros_in(large, 400), 416);
}
END_TEST

START_TEST(lamp_does_not_see_the_scale_of_a_layer) {
    size_t zeros[2];
    prune_two(COPPICE_SCOPE_LAMP, 0.9);
    zeros[0] = zeros_in(small, 16);
    ck_assert_uint_eq(zeros[0] + zeros_in(large, 400), 374);
    ck_assert_uint_gt(zeros[0], 0);
    ck_assert_uint_lt(zeros[0], 14); /* fewer than its share: 0.9 of 16 */
    prune_two(COPPICE_SCOPE_LAMP, 0.5);
    zeros[1] = zeros_in(small, 16);
    ck_assert_uint_le(zeros[1], zeros[0]);
    prune_two(COPPICE_SCOPE_LAMP, 1);
    ck_assert_uint_eq(zeros_in(small, 16) + zeros_in(large, 400), 416);
    prune_two(COPPICE_SCOPE_LAMP, 0);
    ck_assert_uint_eq(zeros_in(small, 16) + zeros_in(large, 400), 0);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("patterns");
    tcase_add_test(tests, blocks_go_whole);
    tcase_add_test(tests, blocks_of_the_smallest_mean_go);
    tcase_add_test(tests, zeros_are_as_many_as_whole_blocks_allow);
    tcase_add_test(tests, channels_go_whole);
    tcase_add_test(tests, of_a_group_the_largest_stay);
    tcase_add_test(tests, of_equal_weights_of_a_group_the_first_go);
    tcase_add_test(tests, scores_choose_blocks_and_groups);
    tcase_add_test(tests, patterns_that_make_no_sense_are_refused);
    tcase_add_test(tests, groups_have_no_other_target);
    tcase_add_test(tests, a_weight_that_is_no_number_is_refused_with_any_pattern);
    tcase_add_test(tests, erk_keeps_by_the_sum_of_dims);
    tcase_add_test(tests, lamp_does_not_see_the_scale_of_a_layer);
    return unit_run("prune_pattern", tests);
}
