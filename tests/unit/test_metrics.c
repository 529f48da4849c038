/* Tests of the metrics: ranking with ties, intervals, divergence, errors of one output to another.
 */
#include <check.h>
#include <math.h>

#include <coppice/metrics.h>

#include "unit.h"

static coppice_error err;

static coppice_tensor matrix(float *data, int64_t rows, int64_t columns) {
    return (coppice_tensor){
        .type = COPPICE_TYPE_FLOAT, .rank = 2, .dims = {rows, columns}, .data = data};
}

static int64_t hits_at(float *scores, int64_t classes, int64_t label, int64_t k) {
    coppice_tensor t = matrix(scores, 1, classes);
    int64_t hits = 0;
    ck_assert_int_eq(coppice_metric_top_k(&t, &label, 1, k, &hits, &err), COPPICE_OK);
    return hits;
}

START_TEST(equal_scores_rank_by_index_and_nan_last) {
    float scores[] = {1, 3, 3, NAN, 3, NAN};
    static const int64_t rank[] = {4, 1, 2, 5, 3, 6};
    for (int64_t label = 0; label < 6; label++) {
        for (int64_t k = 1; k <= 6; k++)
            ck_assert_int_eq(hits_at(scores, 6, label, k), k >= rank[label]);
    }
}
END_TEST

START_TEST(argmax_is_the_class_that_top_1_accepts) {
    float scores[] = {NAN,      1,   2,   2,   /**/ 5,  5,         5, 5,
                      /**/ NAN, NAN, NAN, NAN, /**/ -1, -INFINITY, 0, NAN};
    static const int64_t want[] = {2, 0, 0, 2};
    int64_t best[4], hits = 0;
    coppice_tensor t = matrix(scores, 4, 4);
    ck_assert_int_eq(coppice_metric_argmax(&t, 4, best, &err), COPPICE_OK);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(best[i], want[i]);
    ck_assert_int_eq(coppice_metric_top_k(&t, best, 4, 1, &hits, &err), COPPICE_OK);
    ck_assert_int_eq(hits, 4);
}
END_TEST

START_TEST(labels_and_types_that_do_not_fit_are_refused) {
    float scores[] = {1, 2};
    int64_t label = 2, hits = 0, best;
    coppice_tensor t = matrix(scores, 1, 2);
    ck_assert_int_eq(coppice_metric_top_k(&t, &label, 1, 1, &hits, &err), COPPICE_BAD_DATA);
    label = -1;
    ck_assert_int_eq(coppice_metric_top_k(&t, &label, 1, 1, &hits, &err), COPPICE_BAD_DATA);
    ck_assert_int_eq(coppice_metric_argmax(&t, 2, &best, &err), COPPICE_INVALID_ARGUMENT);
    t.type = COPPICE_TYPE_INT32;
    ck_assert_int_eq(coppice_metric_argmax(&t, 1, &best, &err), COPPICE_UNSUPPORTED);
    ck_assert_int_eq(hits, 0);
}
END_TEST

START_TEST(wilson_interval_matches_published_values) {
    double low, high;
    coppice_metric_wilson(81, 263, &low, &high); /* Newcombe 1998, table I, method 3 */
    ck_assert_double_eq_tol(low, 0.2553, 5e-5);
    ck_assert_double_eq_tol(high, 0.3662, 5e-5);
    coppice_metric_wilson(0, 20, &low, &high);
    ck_assert_double_eq_tol(low, 0, 1e-12);
    ck_assert_double_eq_tol(high, 0.1611, 5e-5);
    coppice_metric_wilson(29, 29, &low, &high);
    ck_assert_double_eq_tol(low, 0.8830, 5e-5);
    ck_assert_double_eq_tol(high, 1, 1e-12);
    coppice_metric_wilson(0, 0, &low, &high);
    ck_assert(low == 0 && high == 1);
}
END_TEST

static coppice_metric_sums sums_of(float *a, float *b, int64_t rows, int64_t columns) {
    coppice_metric_sums sums = {0};
    coppice_tensor ta = matrix(a, rows, columns), tb = matrix(b, rows, columns);
    ck_assert_int_eq(coppice_metric_add(&sums, &ta, &tb, rows, &err), COPPICE_OK);
    return sums;
}

START_TEST(equal_outputs_have_no_error) {
    float a[] = {1, -INFINITY, 3, 4};
    coppice_metric_sums sums = sums_of(a, a, 2, 2);
    ck_assert(coppice_metric_max_abs(&sums) == 0);
    ck_assert(coppice_metric_psnr(&sums) == INFINITY);
    ck_assert(coppice_metric_kl(&sums) == 0);
    float b[] = {1, 2, 3, 4};
    sums = sums_of(b, b, 2, 2);
    ck_assert_double_eq_tol(coppice_metric_cosine(&sums), 1, 1e-15);
}
END_TEST

START_TEST(errors_are_those_of_a_small_example) {
    float a[] = {0, 4}, b[] = {3, 4};
    coppice_metric_sums sums = sums_of(a, b, 1, 2);
    ck_assert(coppice_metric_max_abs(&sums) == 3);
    ck_assert_double_eq_tol(coppice_metric_cosine(&sums), 0.8, 1e-15);
    ck_assert_double_eq_tol(coppice_metric_psnr(&sums), 10 * log10(16 / 4.5), 1e-12);
}
END_TEST

START_TEST(divergence_uses_probabilities_as_they_are_and_logits_through_softmax) {
    float p[] = {0.5f, 0.5f, 0}, q[] = {0.25f, 0.75f, 0};
    double want = 0.5 * log(2) + 0.5 * log(0.5 / 0.75);
    coppice_metric_sums sums = sums_of(p, q, 1, 3);
    ck_assert_double_eq_tol(coppice_metric_kl(&sums), want, 1e-12);
    float x[] = {100, 100, -INFINITY}, y[] = {-3, -3 + logf(3), -INFINITY};
    sums = sums_of(x, y, 1, 3);
    ck_assert_double_eq_tol(coppice_metric_kl(&sums), want, 1e-6);
    float zero[] = {0, 1, 0};
    sums = sums_of(p, zero, 1, 3);
    ck_assert(coppice_metric_kl(&sums) > 30 && isfinite(coppice_metric_kl(&sums)));
}
END_TEST

START_TEST(divergence_runs_over_the_channels_of_maps) {
    /* [1,2,1,2]: two positions with the distributions (.5,.5) and (1,0) */
    float p[] = {0.5f, 1, 0.5f, 0}, q[] = {0.25f, 1, 0.75f, 0};
    coppice_tensor a = {.type = COPPICE_TYPE_FLOAT, .rank = 4, .dims = {1, 2, 1, 2}, .data = p};
    coppice_tensor b = a;
    b.data = q;
    coppice_metric_sums sums = {0};
    ck_assert_int_eq(coppice_metric_add(&sums, &a, &b, 1, &err), COPPICE_OK);
    double want = (0.5 * log(2) + 0.5 * log(0.5 / 0.75)) / 2;
    ck_assert_double_eq_tol(coppice_metric_kl(&sums), want, 1e-12);
}
END_TEST

START_TEST(nan_in_an_output_shows_in_every_result) {
    float a[] = {1, NAN, 3, 4}, b[] = {1, 2, 3, 9};
    coppice_metric_sums sums = sums_of(a, b, 2, 2);
    ck_assert(isnan(coppice_metric_max_abs(&sums)) && isnan(coppice_metric_cosine(&sums)));
    ck_assert(isnan(coppice_metric_psnr(&sums)) && isnan(coppice_metric_kl(&sums)));
    coppice_metric_sums none = {0};
    ck_assert(isnan(coppice_metric_max_abs(&none)) && isnan(coppice_metric_kl(&none)));
}
END_TEST

START_TEST(rows_behind_the_counted_ones_do_not_matter) {
    float a[] = {1, 2, 3, 4}, b[] = {1, 2, 9, 9};
    coppice_tensor ta = matrix(a, 2, 2), tb = matrix(b, 2, 2);
    coppice_metric_sums sums = {0};
    ck_assert_int_eq(coppice_metric_add(&sums, &ta, &tb, 1, &err), COPPICE_OK);
    ck_assert(coppice_metric_max_abs(&sums) == 0);
    tb.dims[0] = 1;
    ck_assert_int_eq(coppice_metric_add(&sums, &ta, &tb, 1, &err), COPPICE_BAD_DATA);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("metrics");
    tcase_add_test(tests, equal_scores_rank_by_index_and_nan_last);
    tcase_add_test(tests, argmax_is_the_class_that_top_1_accepts);
    tcase_add_test(tests, labels_and_types_that_do_not_fit_are_refused);
    tcase_add_test(tests, wilson_interval_matches_published_values);
    tcase_add_test(tests, equal_outputs_have_no_error);
    tcase_add_test(tests, errors_are_those_of_a_small_example);
    tcase_add_test(tests, divergence_uses_probabilities_as_they_are_and_logits_through_softmax);
    tcase_add_test(tests, divergence_runs_over_the_channels_of_maps);
    tcase_add_test(tests, nan_in_an_output_shows_in_every_result);
    tcase_add_test(tests, rows_behind_the_counted_ones_do_not_matter);
    return unit_run("metrics", tests);
}
