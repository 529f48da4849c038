/* Tests of measuring: statistics, made-up inputs, coppice_bench. */
#include <check.h>
#include <math.h>
#include <string.h>

#include <coppice/bench.h>
#include <coppice/data.h>

#include "tiny_model.h"
#include "unit.h"

static const float weights[12] = {1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0};

START_TEST(percentiles_are_interpolated_as_numpy_does) {
    double ms[] = {7, 3, 10, 1, 5, 2, 9, 4, 8, 6};
    coppice_latency latency;
    coppice_latency_summarize(ms, 10, &latency);
    ck_assert_double_eq_tol(latency.mean, 5.5, 1e-12);
    ck_assert_double_eq_tol(latency.median, 5.5, 1e-12);
    ck_assert_double_eq_tol(latency.p50, 5.5, 1e-12);
    ck_assert_double_eq_tol(latency.p90, 9.1, 1e-12);
    ck_assert_double_eq_tol(latency.p95, 9.55, 1e-12);
    ck_assert_double_eq_tol(latency.p99, 9.91, 1e-12);
    ck_assert_double_eq_tol(latency.std, 3.0276503540974917, 1e-12);
    ck_assert_double_eq(latency.min, 1);
    ck_assert_double_eq(latency.max, 10);
    ck_assert_int_eq(latency.runs, 10);
}
END_TEST

START_TEST(one_run_has_no_deviation_and_no_run_no_numbers) {
    double ms[] = {4};
    coppice_latency latency;
    coppice_latency_summarize(ms, 1, &latency);
    ck_assert_double_eq(latency.median, 4);
    ck_assert_double_eq(latency.p99, 4);
    ck_assert_double_eq(latency.std, 0);
    coppice_latency_summarize(NULL, 0, &latency);
    ck_assert(isnan(latency.mean) && isnan(latency.p99));
    ck_assert_int_eq(latency.runs, 0);
}
END_TEST

START_TEST(made_up_floats_are_normally_distributed_and_repeatable) {
    coppice_tensor x = {.type = COPPICE_TYPE_FLOAT, .rank = 2, .dims = {100, 1001}};
    coppice_tensor again = x, other = x;
    CK_OK(coppice_input_fill("x", 7, &x, &error));
    CK_OK(coppice_input_fill("x", 7, &again, &error));
    ck_assert_mem_eq(x.data, again.data, 100100 * sizeof(float));
    double sum = 0, squares = 0;
    for (int i = 0; i < 100100; i++) {
        double value = ((float *)x.data)[i];
        sum += value;
        squares += value * value;
    }
    ck_assert_double_eq_tol(sum / 100100, 0, 0.02);
    ck_assert_double_eq_tol(squares / 100100, 1, 0.02);
    CK_OK(coppice_input_fill("x", 8, &other, &error));
    ck_assert_mem_ne(x.data, other.data, 100100 * sizeof(float));
    coppice_tensor_release(&other);
    coppice_tensor_release(&again);
    coppice_tensor_release(&x);
}
END_TEST

START_TEST(made_up_integers_are_0_and_masks_1) {
    coppice_tensor ids = {.type = COPPICE_TYPE_INT64, .rank = 1, .dims = {3}}, mask = ids;
    coppice_tensor fmask = {.type = COPPICE_TYPE_FLOAT, .rank = 1, .dims = {3}};
    CK_OK(coppice_input_fill("ids", 0, &ids, &error));
    CK_OK(coppice_input_fill("attention_MASK", 0, &mask, &error));
    CK_OK(coppice_input_fill("attention_mask", 0, &fmask, &error));
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(((int64_t *)ids.data)[i], 0);
        ck_assert_int_eq(((int64_t *)mask.data)[i], 1);
        ck_assert_float_eq(((float *)fmask.data)[i], 1);
    }
    coppice_tensor_release(&ids);
    coppice_tensor_release(&mask);
    coppice_tensor_release(&fmask);
    coppice_error error;
    coppice_tensor text = {.type = COPPICE_TYPE_STRING, .rank = 1, .dims = {3}};
    ck_assert_int_eq(coppice_input_fill("t", 0, &text, &error), COPPICE_UNSUPPORTED);
    ck_assert_ptr_null(text.data);
}
END_TEST

START_TEST(free_dimensions_are_1_unless_given) {
    coppice_model *model = tiny_model("x", 0, 4, 3, weights);
    coppice_tensor in;
    CK_OK(coppice_model_input_shapes(model, NULL, &in, &error));
    ck_assert_uint_eq(in.rank, 2);
    ck_assert_int_eq(in.dims[0], 1);
    ck_assert_int_eq(in.dims[1], 4);
    CK_OK(coppice_model_input_shapes(model, &(coppice_shape_options){.batch = 5}, &in, &error));
    ck_assert_int_eq(in.dims[0], 5);
    coppice_dim_value dim = {"N", 6};
    coppice_input_shape shape = {"x", 2, {7, 4}};
    coppice_shape_options options = {.dims = &dim, .dim_count = 1, .batch = 5};
    CK_OK(coppice_model_input_shapes(model, &options, &in, &error));
    ck_assert_int_eq(in.dims[0], 6);
    options.shapes = &shape;
    options.shape_count = 1;
    CK_OK(coppice_model_input_shapes(model, &options, &in, &error));
    ck_assert_int_eq(in.dims[0], 7);
    coppice_model_free(model);
}
END_TEST

/* Expects INVALID_ARGUMENT with `part` in its message. */
static void refuse(const coppice_model *model, coppice_shape_options options, const char *part) {
    coppice_error error;
    coppice_tensor in;
    ck_assert_int_eq(coppice_model_input_shapes(model, &options, &in, &error),
                     COPPICE_INVALID_ARGUMENT);
    ck_assert_msg(strstr(error.message, part) != NULL, "%s", error.message);
}

START_TEST(shapes_and_names_that_the_model_does_not_have_are_refused) {
    coppice_model *model = tiny_model("x", 0, 4, 3, weights);
    coppice_model *fixed = tiny_model("x", 2, 4, 3, weights);
    coppice_dim_value dim = {"M", 6};
    coppice_input_shape other = {"z", 2, {7, 4}}, wide = {"x", 2, {7, 5}};
    refuse(model, (coppice_shape_options){.dims = &dim, .dim_count = 1}, "they have: N");
    refuse(model, (coppice_shape_options){.shapes = &other, .shape_count = 1}, "it has: x");
    refuse(model, (coppice_shape_options){.shapes = &wide, .shape_count = 1}, "[N,4]");
    refuse(model, (coppice_shape_options){.batch = -1}, "at least 1");
    refuse(fixed, (coppice_shape_options){.batch = 3}, "to 2");
    coppice_tensor in;
    CK_OK(coppice_model_input_shapes(fixed, &(coppice_shape_options){.batch = 2}, &in, &error));
    coppice_model_free(model);
    coppice_model_free(fixed);
}
END_TEST

START_TEST(bench_stops_after_the_runs_asked_for_and_profiles) {
    coppice_model *model = tiny_model("x", 0, 4, 3, weights);
    coppice_bench_options options;
    coppice_bench_options_init(&options);
    options.seconds = 0;
    options.runs = 7;
    options.shape.batch = 4;
    options.profile = true;
    coppice_bench_report *report = NULL;
    CK_OK(coppice_bench(model, NULL, &options, &report, &error));
    ck_assert_int_eq(report->model.latency.runs, 7);
    ck_assert_int_eq(report->batch, 4);
    ck_assert_uint_ge(report->threads, 1);
    ck_assert(report->model.latency.min > 0);
    ck_assert(report->model.latency.min <= report->model.latency.median);
    ck_assert_double_eq_tol(report->model.throughput, 4e3 / report->model.latency.mean, 1e-6);
    size_t product = 0; /* what was measured to be fastest may want a change of layout first */
    while (product < report->model.layer_count &&
           strcmp(report->model.layers[product].op, "MatMul") != 0)
        product++;
    ck_assert_uint_lt(product, report->model.layer_count);
    ck_assert(report->peak_rss_bytes > 0);
    ck_assert(!report->has_other);
    coppice_bench_report_free(report);
    coppice_model_free(model);
}
END_TEST

START_TEST(bench_stops_after_the_time_asked_for) {
    coppice_model *model = tiny_model("x", 0, 4, 3, weights);
    coppice_bench_options options;
    coppice_bench_options_init(&options);
    options.seconds = 0.05;
    coppice_bench_report *report = NULL;
    CK_OK(coppice_bench(model, NULL, &options, &report, &error));
    ck_assert_int_ge(report->model.latency.runs, 3);
    ck_assert(report->model.latency.mean * (double)report->model.latency.runs < 1000);
    coppice_bench_report_free(report);
    coppice_model_free(model);
}
END_TEST

START_TEST(bench_against_another_model_gives_the_ratio_of_the_pairs) {
    coppice_model *model = tiny_model("x", 0, 4, 3, weights);
    coppice_model *other = tiny_model("other_name", 1, 4, 3, weights);
    coppice_model *narrow = tiny_model("x", 0, 3, 4, weights);
    coppice_bench_options options;
    coppice_bench_options_init(&options);
    options.seconds = 0;
    options.runs = 11;
    coppice_bench_report *report = NULL;
    CK_OK(coppice_bench(model, other, &options, &report, &error));
    ck_assert(report->has_other);
    ck_assert_int_eq(report->other.latency.runs, 11);
    ck_assert(report->ratio_min > 0 && report->ratio_min <= report->ratio_median);
    ck_assert(report->ratio_median <= report->ratio_max);
    coppice_bench_report_free(report);
    coppice_error error;
    ck_assert_int_eq(coppice_bench(model, narrow, &options, &report, &error),
                     COPPICE_INVALID_ARGUMENT);
    ck_assert_ptr_null(report);
    options.runs = 0;
    ck_assert_int_eq(coppice_bench(model, NULL, &options, &report, &error),
                     COPPICE_INVALID_ARGUMENT);
    ck_assert_ptr_null(report);
    coppice_model_free(model);
    coppice_model_free(other);
    coppice_model_free(narrow);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("bench");
    tcase_add_test(tests, percentiles_are_interpolated_as_numpy_does);
    tcase_add_test(tests, one_run_has_no_deviation_and_no_run_no_numbers);
    tcase_add_test(tests, made_up_floats_are_normally_distributed_and_repeatable);
    tcase_add_test(tests, made_up_integers_are_0_and_masks_1);
    tcase_add_test(tests, free_dimensions_are_1_unless_given);
    tcase_add_test(tests, shapes_and_names_that_the_model_does_not_have_are_refused);
    tcase_add_test(tests, bench_stops_after_the_runs_asked_for_and_profiles);
    tcase_add_test(tests, bench_stops_after_the_time_asked_for);
    tcase_add_test(tests, bench_against_another_model_gives_the_ratio_of_the_pairs);
    return unit_run("bench", tests);
}
