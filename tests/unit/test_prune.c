/* Pruning: which layers are pruned and to what target, and which are left alone. */
#include <math.h>

#include "net.h"

/* Four MatMuls of 10 weights: b's are twenty times, c's a hundred times those of a; d is as a. */
static void four_layers(net *n, float data[4][10]) {
    static const char *const names[] = {"a", "b", "c", "d"};
    static const float scales[] = {1, 20, 100, 1};
    net_open(n, NULL, "main");
    for (int i = 0; i < 4; i++) {
        char weight[8];
        snprintf(weight, sizeof weight, "%s.w", names[i]);
        fill(data[i], 10);
        for (int j = 0; j < 10; j++)
            data[i][j] *= scales[i];
        add_node(n, "MatMul", names[i],
                 add_weight(n, weight, COPPICE_TYPE_FLOAT, data[i], 2, 2, 5));
    }
    set_outputs(n, 1, n->last);
}

static void expect_zeros(float data[4][10], size_t a, size_t b, size_t c, size_t d) {
    ck_assert_uint_eq(zeros_in(data[0], 10), a);
    ck_assert_uint_eq(zeros_in(data[1], 10), b);
    ck_assert_uint_eq(zeros_in(data[2], 10), c);
    ck_assert_uint_eq(zeros_in(data[3], 10), d);
}

static void prune_four(const coppice_prune_options *options, size_t a, size_t b, size_t c,
                       size_t d) {
    float data[4][10];
    net n;
    four_layers(&n, data);
    cop_prune_plan *plan = prune(&n, options);
    expect_zeros(data, a, b, c, d);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}

START_TEST(layer_scope_gives_every_layer_the_same_sparsity) {
    coppice_prune_options options = all_layers(0.3);
    prune_four(&options, 3, 3, 3, 3);
}
END_TEST

START_TEST(global_scope_takes_the_smallest_of_all_layers) {
    coppice_prune_options options = all_layers(0.5);
    options.scope = COPPICE_SCOPE_GLOBAL;
    prune_four(&options, 10, 0, 0, 10);
    options.sparsity = 0.6; /* b has 0.2 .. 2.0: its four smallest */
    prune_four(&options, 10, 4, 0, 10);
    options.sparsity = 0.075; /* the smallest of a and of d, then 0.02 of a before that of d */
    prune_four(&options, 2, 0, 0, 1);
}
END_TEST

START_TEST(layers_with_a_rule_leave_the_global_pool) {
    coppice_prune_options options = all_layers(0.5);
    options.scope = COPPICE_SCOPE_GLOBAL;
    const coppice_layer_rule rules[] = {{"a", 0.2}, {"c.*", 0.9}};
    options.layers = rules;
    options.layer_count = 2;
    prune_four(&options, 2, 0, 9, 10);
}
END_TEST

START_TEST(without_zeros_asked_for_minus_zero_keeps_its_sign) {
    float data[10] = {1, -0.0f, 2, 3, 4, 5, 6, 7, 8, 9};
    net n;
    net_open(&n, NULL, "main");
    add_node(&n, "MatMul", "a", add_weight(&n, "a.w", COPPICE_TYPE_FLOAT, data, 2, 2, 5));
    set_outputs(&n, 1, n.last);
    coppice_prune_options options = all_layers(0);
    cop_prune_plan *plan = prune(&n, &options);
    ck_assert(signbit(data[1]));
    ck_assert_int_eq(plan->report.zeros, 1);
    coppice_prune_report_free(&plan->report);
    options = all_layers(0.1);
    plan = prune(&n, &options);
    ck_assert(!signbit(data[1]));
    ck_assert_int_eq(plan->report.zeros, 1);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

START_TEST(the_last_matching_layer_rule_counts_and_zero_keeps_dense) {
    coppice_prune_options options = all_layers(0.5);
    const coppice_layer_rule rules[] = {{"*", 0.2}, {"[ab]", 0.4}, {"b.w", 0}};
    options.layers = rules;
    options.layer_count = 3;
    prune_four(&options, 4, 0, 2, 2);
}
END_TEST

START_TEST(include_and_exclude_choose_by_initializer_or_node) {
    const char *include[] = {"a", "b.w", "c"}, *exclude[] = {"c.w"};
    coppice_prune_options options = all_layers(0.5);
    options.include = include;
    options.include_count = 3;
    options.exclude = exclude;
    options.exclude_count = 1;
    prune_four(&options, 5, 5, 0, 0);
}
END_TEST

START_TEST(a_pattern_that_matches_nothing_is_refused_by_name) {
    float data[4][10];
    net n;
    four_layers(&n, data);
    const char *patterns[] = {"a", "nothing*"};
    coppice_prune_options options = all_layers(0.5);
    options.include = patterns;
    options.include_count = 2;
    expect_failure(&n, &options, COPPICE_INVALID_ARGUMENT, "include pattern 'nothing*'");
    options.include_count = 0;
    options.exclude = patterns;
    options.exclude_count = 2;
    expect_failure(&n, &options, COPPICE_INVALID_ARGUMENT, "exclude pattern 'nothing*'");
    options.exclude_count = 0;
    const coppice_layer_rule rule = {"nothing*", 0.5};
    options.layers = &rule;
    options.layer_count = 1;
    expect_failure(&n, &options, COPPICE_INVALID_ARGUMENT, "layer pattern 'nothing*'");
    expect_zeros(data, 0, 0, 0, 0);
    net_close(&n);
}
END_TEST

START_TEST(sparsity_outside_zero_to_one_is_refused) {
    float data[4][10];
    net n;
    four_layers(&n, data);
    const double wrong[] = {-0.1, 1.1, NAN, INFINITY};
    for (int i = 0; i < 4; i++) {
        coppice_prune_options options = all_layers(wrong[i]);
        expect_failure(&n, &options, COPPICE_INVALID_ARGUMENT, "must be from 0");
        options.sparsity = 0.5;
        const coppice_layer_rule rule = {"a", wrong[i]};
        options.layers = &rule;
        options.layer_count = 1;
        expect_failure(&n, &options, COPPICE_INVALID_ARGUMENT, "layer pattern 'a'");
    }
    net_close(&n);
}
END_TEST

/* ---- scores ---- */

/* Scores for weights of [2,5]. */
static coppice_score score_of(const char *initializer, float *data) {
    return (coppice_score){initializer, {COPPICE_TYPE_FLOAT, 2, {2, 5}, data}};
}

START_TEST(scores_choose_instead_of_magnitudes) {
    float data[4][10], expected[10];
    net n;
    four_layers(&n, data);
    float scores[10] = {3, -1, -7, 0, -0.0f, 5, 1e30f, -1e-30f, 2, -1};
    memcpy(expected, data[1], sizeof expected);
    expected[1] = expected[2] = expected[9] = 0; /* -1, -7, -1 */
    expected[7] = 0;
    expected[3] = 0; /* 0, before -0 by its index */
    const coppice_score score = score_of("b.w", scores);
    coppice_prune_options options = all_layers(0.5);
    options.scores = &score;
    options.score_count = 1;
    cop_prune_plan *plan = prune(&n, &options);
    ck_assert_mem_eq(data[1], expected, sizeof expected);
    expect_zeros(data, 5, 5, 5, 5);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

START_TEST(zero_weights_go_before_those_with_the_lowest_scores) {
    float data[4][10];
    net n;
    four_layers(&n, data);
    float scores[10] = {-9, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    data[0][9] = 0;
    const coppice_score score = score_of("a.w", scores);
    coppice_prune_options options = all_layers(0.2);
    options.scores = &score;
    options.score_count = 1;
    cop_prune_plan *plan = prune(&n, &options);
    ck_assert(data[0][9] == 0 && data[0][0] == 0 && data[0][1] != 0);
    expect_zeros(data, 2, 2, 2, 2);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

START_TEST(scores_and_magnitudes_share_a_global_pool) {
    float data[4][10];
    net n;
    four_layers(&n, data); /* a and d: 0.01 .. 0.1 */
    float low[10] = {-5, -4, -3, -2, -1, 50, 51, 52, 53, 54};
    const coppice_score score = score_of("c.w", low);
    coppice_prune_options options = all_layers(0.2);
    options.scope = COPPICE_SCOPE_GLOBAL;
    options.scores = &score;
    options.score_count = 1;
    cop_prune_plan *plan = prune(&n, &options);
    expect_zeros(data, 2, 0, 5, 1); /* five below zero, then 0.01, 0.01, 0.02 */
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

START_TEST(scores_that_do_not_fit_are_refused) {
    float data[4][10], scores[10] = {0};
    net n;
    four_layers(&n, data);
    coppice_score given[2] = {score_of("z.w", scores), score_of("a.w", scores)};
    coppice_prune_options options = all_layers(0.5);
    options.scores = given;
    options.score_count = 2;
    expect_failure(&n, &options, COPPICE_INVALID_ARGUMENT, "scores of 'z.w': no prunable weight");
    given[0].initializer = "a.w";
    expect_failure(&n, &options, COPPICE_INVALID_ARGUMENT, "'a.w' are given twice");
    given[0] = score_of("b.w", scores);
    given[0].tensor.dims[0] = 5;
    given[0].tensor.dims[1] = 2;
    expect_failure(&n, &options, COPPICE_INVALID_ARGUMENT,
                   "scores of 'b.w' have shape [5,2], expected [2,5]");
    given[0] = score_of("b.w", scores);
    given[0].tensor.type = COPPICE_TYPE_DOUBLE;
    expect_failure(&n, &options, COPPICE_INVALID_ARGUMENT, "are float64, expected float32");
    given[0] = score_of("b.w", NULL);
    expect_failure(&n, &options, COPPICE_INVALID_ARGUMENT, "have no data");
    given[0] = score_of("b.w", scores);
    scores[3] = NAN;
    expect_failure(&n, &options, COPPICE_BAD_DATA, "the score of weight 3 is NaN or infinite");
    scores[3] = -INFINITY;
    expect_failure(&n, &options, COPPICE_BAD_DATA, "the score of weight 3 is NaN or infinite");
    expect_zeros(data, 0, 0, 0, 0);
    net_close(&n);
}
END_TEST

/* Conv, Conv with one input channel per group, Conv, Gemm. */
static void small_cnn(net *n, float data[4][36]) {
    net_open(n, NULL, "main");
    for (int i = 0; i < 4; i++)
        fill(data[i], 36);
    add_node(n, "Conv", "stem",
             add_weight(n, "stem.w", COPPICE_TYPE_FLOAT, data[0], 4, 4, 1, 3, 3));
    add_node(n, "Conv", "dw", add_weight(n, "dw.w", COPPICE_TYPE_FLOAT, data[1], 4, 4, 1, 3, 3));
    cop_node *dw = &n->graph->nodes[n->graph->node_count - 1];
    ck_assert(cop_node_set_attr_int(n->graph, dw, "group", 4));
    add_node(n, "Conv", "mid", add_weight(n, "mid.w", COPPICE_TYPE_FLOAT, data[2], 4, 9, 4, 1, 1));
    add_node(n, "Relu", "relu", -1);
    add_node(n, "Gemm", "fc", add_weight(n, "fc.w", COPPICE_TYPE_FLOAT, data[3], 2, 9, 4));
    add_node(n, "Softmax", "probabilities", -1);
    set_outputs(n, 1, n->last);
}

static void prune_cnn(const coppice_prune_options *options, size_t stem, size_t dw, size_t mid,
                      size_t fc) {
    float data[4][36];
    net n;
    small_cnn(&n, data);
    cop_prune_plan *plan = prune(&n, options);
    ck_assert_uint_eq(zeros_in(data[0], 36), stem);
    ck_assert_uint_eq(zeros_in(data[1], 36), dw);
    ck_assert_uint_eq(zeros_in(data[2], 36), mid);
    ck_assert_uint_eq(zeros_in(data[3], 36), fc);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}

START_TEST(first_depthwise_and_last_are_kept_by_default) {
    coppice_prune_options options;
    coppice_prune_options_init(&options);
    options.sparsity = 0.5;
    prune_cnn(&options, 0, 0, 18, 0);
    options.keep_first = false;
    prune_cnn(&options, 18, 0, 18, 0);
    options.keep_depthwise = false;
    prune_cnn(&options, 18, 18, 18, 0);
    options.keep_last = false;
    prune_cnn(&options, 18, 18, 18, 18);
}
END_TEST

START_TEST(layer_rules_override_keep_rules_and_include_does_not) {
    coppice_prune_options options;
    coppice_prune_options_init(&options);
    options.sparsity = 0.5;
    const coppice_layer_rule rule = {"stem", 0.25};
    options.layers = &rule;
    options.layer_count = 1;
    prune_cnn(&options, 9, 0, 18, 0);
    const char *include[] = {"fc", "mid"};
    options.include = include;
    options.include_count = 2;
    prune_cnn(&options, 9, 0, 18, 0);
}
END_TEST

START_TEST(the_last_layer_before_each_output_is_kept) {
    float data[3][10];
    net n;
    net_open(&n, NULL, "main");
    int outputs[3];
    for (int i = 0; i < 3; i++) {
        char name[8], weight[8];
        snprintf(name, sizeof name, "fc%d", i);
        snprintf(weight, sizeof weight, "w%d", i);
        fill(data[i], 10);
        if (i == 2)
            n.last = outputs[0]; /* the second head starts behind the first layer too */
        add_node(&n, "MatMul", name, add_weight(&n, weight, COPPICE_TYPE_FLOAT, data[i], 2, 2, 5));
        outputs[i] = n.last;
    }
    set_outputs(&n, 2, outputs[1], outputs[2]);
    coppice_prune_options options;
    coppice_prune_options_init(&options);
    options.sparsity = 0.5;
    cop_prune_plan *plan = prune(&n, &options);
    ck_assert_uint_eq(zeros_in(data[0], 10), 5);
    ck_assert_uint_eq(zeros_in(data[1], 10), 0);
    ck_assert_uint_eq(zeros_in(data[2], 10), 0);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

START_TEST(nothing_left_to_prune_is_refused_with_the_reason) {
    float data[10];
    fill(data, 10);
    net n;
    one_layer(&n, data, 2, 5);
    coppice_prune_options options;
    coppice_prune_options_init(&options);
    options.sparsity = 0.5;
    expect_failure(&n, &options, COPPICE_INVALID_ARGUMENT, "last layer");
    net_close(&n);
    net_open(&n, NULL, "main");
    add_node(&n, "Relu", "relu", -1);
    set_outputs(&n, 1, n.last);
    expect_failure(&n, &options, COPPICE_INVALID_ARGUMENT, "nothing to prune: no Conv");
    net_close(&n);
}
END_TEST

START_TEST(a_shared_weight_is_one_layer_and_found_behind_identity) {
    float data[10];
    fill(data, 10);
    net n;
    net_open(&n, NULL, "main");
    int weight = add_weight(&n, "shared", COPPICE_TYPE_FLOAT, data, 2, 2, 5);
    add_node(&n, "MatMul", "one", weight);
    int one = n.last;
    n.last = weight;
    add_node(&n, "Identity", "copy", -1);
    add_node(&n, "Identity", "copy_again", -1);
    int copy = n.last;
    n.last = one;
    add_node(&n, "MatMul", "two", copy);
    set_outputs(&n, 1, n.last);
    coppice_prune_options options = all_layers(0.5);
    cop_prune_plan *plan = prune(&n, &options);
    ck_assert_uint_eq(plan->report.layer_count, 1);
    ck_assert_str_eq(plan->report.layers[0].initializer, "shared");
    ck_assert_str_eq(plan->report.layers[0].node, "one");
    ck_assert_uint_eq(plan->weights.use_count, 2);
    ck_assert_uint_eq(zeros_in(data, 10), 5);
    coppice_prune_report_free(&plan->report);
    const char *include[] = {"two"}; /* either user names the weight */
    options.include = include;
    options.include_count = 1;
    plan = prune(&n, &options);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

START_TEST(a_weight_that_others_read_too_is_kept) {
    float data[10], other[10];
    fill(data, 10);
    fill(other, 10);
    net n;
    net_open(&n, NULL, "main");
    int table = add_weight(&n, "table", COPPICE_TYPE_FLOAT, data, 2, 2, 5);
    add_node(&n, "Gather", "embed", table);
    add_node(&n, "MatMul", "mid", add_weight(&n, "w", COPPICE_TYPE_FLOAT, other, 2, 2, 5));
    add_node(&n, "MatMul", "out", table);
    set_outputs(&n, 1, n.last);
    coppice_prune_options options = all_layers(0.5);
    cop_prune_plan *plan = prune(&n, &options);
    ck_assert_uint_eq(zeros_in(data, 10), 0);
    ck_assert_uint_eq(zeros_in(other, 10), 5);
    ck_assert_str_eq(plan->report.layers[1].kept_dense, "also read by Gather");
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

START_TEST(weights_in_sub_graphs_are_found_under_graph_and_name) {
    float outer_data[10], inner_data[10];
    fill(outer_data, 10);
    fill(inner_data, 10);
    net n, inner;
    net_open(&n, NULL, "main");
    add_node(&n, "MatMul", "outer", add_weight(&n, "w", COPPICE_TYPE_FLOAT, outer_data, 2, 2, 5));
    cop_node *choice = cop_graph_add_node(n.graph, "If", 1, 1, 1);
    choice->inputs[0] = n.last;
    choice->outputs[0] = n.last = cop_graph_value(n.graph, "choice");
    net_open(&inner, &n, "branch");
    add_node(&inner, "MatMul", "inside",
             add_weight(&inner, "w", COPPICE_TYPE_FLOAT, inner_data, 2, 2, 5));
    choice->attrs[0] =
        (cop_attr){.name = "then_branch", .kind = COP_ATTR_GRAPH, .graph = inner.graph};
    set_outputs(&inner, 1, inner.last);
    set_outputs(&n, 1, n.last);
    coppice_prune_options options = all_layers(0.4);
    cop_prune_plan *plan = prune(&n, &options);
    ck_assert_str_eq(plan->report.layers[0].initializer, "w");
    ck_assert_str_eq(plan->report.layers[1].initializer, "branch/w");
    ck_assert_uint_eq(zeros_in(outer_data, 10), 4);
    ck_assert_uint_eq(zeros_in(inner_data, 10), 4);
    coppice_prune_report_free(&plan->report);
    options.keep_last = true; /* the last layer is the one inside */
    options.sparsity = 0.5;
    plan = prune(&n, &options);
    ck_assert_uint_eq(zeros_in(outer_data, 10), 5);
    ck_assert_uint_eq(zeros_in(inner_data, 10), 4);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

START_TEST(integer_weights_are_listed_and_left_alone) {
    float data[10];
    int32_t whole[] = {1, 2, 0, 4};
    fill(data, 10);
    net n;
    net_open(&n, NULL, "main");
    add_node(&n, "MatMul", "f", add_weight(&n, "fw", COPPICE_TYPE_FLOAT, data, 2, 2, 5));
    add_node(&n, "MatMul", "i", add_weight(&n, "iw", COPPICE_TYPE_INT32, whole, 2, 2, 2));
    set_outputs(&n, 1, n.last);
    coppice_prune_options options = all_layers(1);
    cop_prune_plan *plan = prune(&n, &options);
    ck_assert_str_eq(plan->report.layers[1].kept_dense, "type int32 cannot be pruned");
    ck_assert_int_eq(plan->report.layers[1].zeros, 1);
    ck_assert_int_eq(plan->report.weights, 10);
    ck_assert_int_eq(whole[0], 1);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("prune");
    tcase_add_test(tests, layer_scope_gives_every_layer_the_same_sparsity);
    tcase_add_test(tests, global_scope_takes_the_smallest_of_all_layers);
    tcase_add_test(tests, layers_with_a_rule_leave_the_global_pool);
    tcase_add_test(tests, without_zeros_asked_for_minus_zero_keeps_its_sign);
    tcase_add_test(tests, the_last_matching_layer_rule_counts_and_zero_keeps_dense);
    tcase_add_test(tests, include_and_exclude_choose_by_initializer_or_node);
    tcase_add_test(tests, a_pattern_that_matches_nothing_is_refused_by_name);
    tcase_add_test(tests, sparsity_outside_zero_to_one_is_refused);
    tcase_add_test(tests, scores_choose_instead_of_magnitudes);
    tcase_add_test(tests, zero_weights_go_before_those_with_the_lowest_scores);
    tcase_add_test(tests, scores_and_magnitudes_share_a_global_pool);
    tcase_add_test(tests, scores_that_do_not_fit_are_refused);
    tcase_add_test(tests, first_depthwise_and_last_are_kept_by_default);
    tcase_add_test(tests, layer_rules_override_keep_rules_and_include_does_not);
    tcase_add_test(tests, the_last_layer_before_each_output_is_kept);
    tcase_add_test(tests, nothing_left_to_prune_is_refused_with_the_reason);
    tcase_add_test(tests, a_shared_weight_is_one_layer_and_found_behind_identity);
    tcase_add_test(tests, a_weight_that_others_read_too_is_kept);
    tcase_add_test(tests, weights_in_sub_graphs_are_found_under_graph_and_name);
    tcase_add_test(tests, integer_weights_are_listed_and_left_alone);
    return unit_run("prune", tests);
}
