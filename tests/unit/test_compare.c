/* Tests of comparing two models on data. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <coppice/compare.h>
#include <coppice/interrupt.h>

#include "tiny_model.h"
#include "unit.h"

/* The class scores are the first three inputs; in `swapped` classes 1 and 2 change places. */
static const float plain[12] = {1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0};
static const float swapped[12] = {1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0};

/* Seven samples: best class 0 1 2 0 1 2 0; the labels are wrong for the last one. */
enum { SAMPLES = 7 };
static const int64_t truth[SAMPLES] = {0, 1, 2, 0, 1, 2, 1};

static char folder[] = "/tmp/coppice-compare-XXXXXX";
static char data_file[64], label_file[64], data_option[80];

static void setup(void) {
    strcpy(folder, "/tmp/coppice-compare-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(data_file, sizeof data_file, "%s/x.npy", folder);
    snprintf(label_file, sizeof label_file, "%s/y.npy", folder);
    snprintf(data_option, sizeof data_option, "x=%s", data_file);
    float x[SAMPLES][4] = {{0}};
    for (int i = 0; i < SAMPLES; i++)
        x[i][i % 3] = 2;
    int64_t labels[SAMPLES];
    memcpy(labels, truth, sizeof labels);
    coppice_tensor data = {COPPICE_TYPE_FLOAT, 2, {SAMPLES, 4}, x};
    coppice_tensor classes = {COPPICE_TYPE_INT64, 1, {SAMPLES}, labels};
    CK_OK(coppice_npy_write(data_file, &data, false, &error));
    CK_OK(coppice_npy_write(label_file, &classes, false, &error));
}

static void teardown(void) {
    unlink(data_file);
    unlink(label_file);
    ck_assert_int_eq(rmdir(folder), 0);
}

/* Compares on the seven samples; frees the models. */
static coppice_compare_report *compare_on(coppice_model *a, coppice_model *b, bool labels,
                                          int64_t batch) {
    static const char *inputs[1];
    inputs[0] = data_option;
    coppice_dataset_options data;
    coppice_dataset_options_init(&data);
    data.inputs = inputs;
    data.input_count = 1;
    data.labels = labels ? label_file : NULL;
    coppice_compare_options options;
    coppice_compare_options_init(&options);
    options.batch = batch;
    options.latency_seconds = 0;
    coppice_compare_report *report = NULL;
    CK_OK(coppice_compare(a, b, &data, &options, &report, &error));
    ck_assert_int_eq(report->samples, SAMPLES);
    coppice_model_free(a);
    coppice_model_free(b);
    return report;
}

static void check_counts(const coppice_compare_report *r) {
    ck_assert_double_eq_tol(r->a.top1, 6.0 / 7, 1e-12);
    ck_assert_double_eq_tol(r->b.top1, 2.0 / 7, 1e-12);
    ck_assert_double_eq_tol(r->a.top5, 1, 1e-12);
    ck_assert_double_eq_tol(r->agreement, 3.0 / 7, 1e-12);
    ck_assert_double_eq_tol(r->drop, 4.0 / 7, 1e-12);
    ck_assert(r->a.top1_low < r->a.top1 && r->a.top1 < r->a.top1_high);
    ck_assert_uint_eq(r->output_count, 1);
    ck_assert_str_eq(r->outputs[0].name, "y");
    ck_assert_str_eq(r->scores, "y");
    ck_assert_double_eq_tol(r->outputs[0].max_abs, 2, 1e-6);
    ck_assert_double_eq_tol(r->outputs[0].cosine, 3.0 / 7, 1e-6);
}

START_TEST(labels_give_top1_of_each_and_the_drop) {
    coppice_model *a = tiny_model("x", 0, 4, 3, plain), *b = tiny_model("x", 0, 4, 3, swapped);
    coppice_compare_report *r = compare_on(a, b, true, 1);
    ck_assert(r->has_labels);
    ck_assert_int_eq(r->batch, 1);
    check_counts(r);
    coppice_compare_report_free(r);
}
END_TEST

START_TEST(every_sample_counts_once_whatever_the_batch) {
    for (int64_t batch = 2; batch <= 9; batch++) {
        coppice_model *a = tiny_model("x", 0, 4, 3, plain), *b = tiny_model("x", 0, 4, 3, swapped);
        coppice_compare_report *r = compare_on(a, b, true, batch);
        ck_assert_int_eq(r->batch, batch < SAMPLES ? batch : SAMPLES);
        check_counts(r);
        coppice_compare_report_free(r);
    }
}
END_TEST

START_TEST(a_fixed_batch_of_either_model_decides) {
    for (int64_t fixed = 1; fixed <= 8; fixed++) {
        coppice_model *a = tiny_model("x", 0, 4, 3, plain);
        coppice_model *b = tiny_model("other", fixed, 4, 3, swapped);
        coppice_compare_report *r = compare_on(a, b, true, 3);
        ck_assert_int_eq(r->batch, fixed);
        check_counts(r);
        coppice_compare_report_free(r);
    }
}
END_TEST

START_TEST(without_labels_the_drop_is_the_lost_agreement) {
    coppice_model *a = tiny_model("x", 0, 4, 3, plain), *b = tiny_model("x", 0, 4, 3, swapped);
    coppice_compare_report *r = compare_on(a, b, false, 2);
    ck_assert(!r->has_labels);
    ck_assert(isnan(r->a.top1) && isnan(r->b.top5));
    ck_assert_double_eq_tol(r->agreement, 3.0 / 7, 1e-12);
    ck_assert_double_eq_tol(r->drop, 4.0 / 7, 1e-12);
    coppice_compare_report_free(r);
}
END_TEST

START_TEST(a_model_compared_with_itself_has_no_error) {
    coppice_model *a = tiny_model("x", 0, 4, 3, plain), *b = tiny_model("x", 0, 4, 3, plain);
    coppice_compare_report *r = compare_on(a, b, true, 4);
    ck_assert_double_eq(r->drop, 0);
    ck_assert_double_eq(r->agreement, 1);
    ck_assert_double_eq(r->outputs[0].max_abs, 0);
    ck_assert_double_eq_tol(r->outputs[0].cosine, 1, 1e-12);
    ck_assert(isinf(r->outputs[0].psnr));
    ck_assert_double_eq_tol(r->outputs[0].kl, 0, 1e-9);
    ck_assert_double_eq_tol(r->a.sparsity, 0.75, 1e-12);
    coppice_compare_report_free(r);
}
END_TEST

/* Expects a comparison to be refused with `part` in the message. Frees the models. */
static void refuse(coppice_model *a, coppice_model *b, const char *labels, const char *part) {
    const char *inputs[1] = {data_option};
    coppice_dataset_options data;
    coppice_dataset_options_init(&data);
    data.inputs = inputs;
    data.input_count = 1;
    data.labels = labels;
    coppice_error error;
    coppice_compare_report *report = NULL;
    ck_assert_int_eq(coppice_compare(a, b, &data, NULL, &report, &error), COPPICE_INVALID_ARGUMENT);
    ck_assert_ptr_null(report);
    ck_assert_msg(strstr(error.message, part) != NULL, "%s", error.message);
    coppice_model_free(a);
    coppice_model_free(b);
}

START_TEST(models_that_do_not_match_are_refused) {
    refuse(tiny_model("x", 0, 4, 3, plain), tiny_model("x", 0, 3, 4, plain), NULL,
           "dimension 1 of input 'x' is 4 in A, 3 in B");
    refuse(tiny_model("x", 0, 4, 3, plain), tiny_model("x", 0, 4, 2, plain), NULL,
           "dimension 1 of output 'y' is 3 in A, 2 in B");
    refuse(tiny_model("x", 2, 4, 3, plain), tiny_model("x", 3, 4, 3, plain), NULL,
           "dimension 0 of input 'x' is 2 in A, 3 in B");
}
END_TEST

START_TEST(labels_without_class_scores_are_refused) {
    refuse(tiny_model("x", 0, 4, 1, plain), tiny_model("x", 0, 4, 1, plain), label_file,
           "class scores");
}
END_TEST

START_TEST(latency_is_measured_in_turns) {
    coppice_model *a = tiny_model("x", 0, 4, 3, plain), *b = tiny_model("x", 0, 4, 3, swapped);
    const char *inputs[1] = {data_option};
    coppice_dataset_options data;
    coppice_dataset_options_init(&data);
    data.inputs = inputs;
    data.input_count = 1;
    coppice_compare_options options;
    coppice_compare_options_init(&options);
    options.latency_seconds = 0.02;
    coppice_compare_report *r = NULL;
    CK_OK(coppice_compare(a, b, &data, &options, &r, &error));
    ck_assert_int_eq(r->batch, SAMPLES); /* 8, but there are only seven */
    ck_assert_int_eq(r->latency_batch, 1);
    ck_assert_int_ge(r->a.latency.runs, 5);
    ck_assert_int_eq(r->a.latency.runs, r->b.latency.runs);
    ck_assert(r->a.latency.median > 0 && r->b.latency.median > 0);
    coppice_compare_report_free(r);
    coppice_model_free(a);
    coppice_model_free(b);
}
END_TEST

START_TEST(an_interrupt_ends_the_comparison) {
    coppice_model *a = tiny_model("x", 0, 4, 3, plain), *b = tiny_model("x", 0, 4, 3, swapped);
    const char *inputs[1] = {data_option};
    coppice_dataset_options data;
    coppice_dataset_options_init(&data);
    data.inputs = inputs;
    data.input_count = 1;
    coppice_error error;
    coppice_compare_report *report = NULL;
    coppice_interrupt();
    ck_assert_int_eq(coppice_compare(a, b, &data, NULL, &report, &error), COPPICE_INTERRUPTED);
    ck_assert_ptr_null(report);
    coppice_interrupt_clear();
    coppice_model_free(a);
    coppice_model_free(b);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("compare");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, labels_give_top1_of_each_and_the_drop);
    tcase_add_test(tests, every_sample_counts_once_whatever_the_batch);
    tcase_add_test(tests, a_fixed_batch_of_either_model_decides);
    tcase_add_test(tests, without_labels_the_drop_is_the_lost_agreement);
    tcase_add_test(tests, a_model_compared_with_itself_has_no_error);
    tcase_add_test(tests, models_that_do_not_match_are_refused);
    tcase_add_test(tests, labels_without_class_scores_are_refused);
    tcase_add_test(tests, latency_is_measured_in_turns);
    tcase_add_test(tests, an_interrupt_ends_the_comparison);
    return unit_run("compare", tests);
}
