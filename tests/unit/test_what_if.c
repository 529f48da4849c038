/* Speed before pruning: sessions under masks, coppice_what_if. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <coppice/coppice.h>

#include "digits.h"
#include "unit.h"

static coppice_model *model;
static coppice_error err;
static coppice_bench_options bench;

static void load(void) {
    model = digits_load();
    coppice_bench_options_init(&bench);
    bench.runs = 3;
    bench.seconds = 0;
    bench.warmup = 0;
}

static void unload(void) {
    coppice_model_free(model);
}

/* ---- sessions under masks ---- */

static void run(const coppice_masks *masks, float out[10]) {
    static float image[24 * 24];
    for (int i = 0; i < 24 * 24; i++)
        image[i] = (float)(i * 7919 % 256) / 255;
    coppice_tensor in = {COPPICE_TYPE_FLOAT, 4, {1, 1, 24, 24}, image};
    const coppice_tensor *result;
    coppice_session_options options;
    coppice_session_options_init(&options);
    options.masks = masks;
    options.tune = COPPICE_TUNE_NONE;
    options.threads = 1;
    coppice_session *session = NULL;
    ck_assert_msg(coppice_session_create(model, &options, &session, &err) == COPPICE_OK, "%s",
                  err.message);
    ck_assert_msg(coppice_session_run(session, &in, 1, &result, &err) == COPPICE_OK, "%s",
                  err.message);
    memcpy(out, result[0].data, 10 * sizeof *out);
    coppice_session_free(session);
}

START_TEST(a_session_under_masks_is_that_of_the_pruned_model) {
    coppice_prune_options options;
    coppice_prune_options_init(&options);
    options.sparsity = 0.9;
    options.dry_run = true;
    coppice_prune_report *report = NULL;
    float dense[10], masked[10], again[10], pruned[10];
    ck_assert_int_eq(coppice_prune(model, &options, &report, &err), COPPICE_OK);
    run(NULL, dense);
    run(report->masks, masked);
    run(NULL, again);
    ck_assert_mem_eq(dense, again, sizeof dense);
    ck_assert_mem_ne(dense, masked, sizeof dense);
    ck_assert_int_eq(coppice_masks_apply(report->masks, model, NULL, &err), COPPICE_OK);
    run(NULL, pruned);
    ck_assert_mem_eq(masked, pruned, sizeof masked);
    coppice_prune_report_free(report);
}
END_TEST

START_TEST(masks_of_another_model_are_refused) {
    coppice_masks *masks = NULL;
    uint8_t kept[4] = {1, 0, 1, 1};
    const coppice_tensor tensor = {COPPICE_TYPE_UINT8, 1, {4}, kept};
    ck_assert_int_eq(coppice_masks_new(&masks, &err), COPPICE_OK);
    ck_assert_int_eq(coppice_masks_add(masks, "nobody", &tensor, &err), COPPICE_OK);
    coppice_session_options options;
    coppice_session_options_init(&options);
    options.masks = masks;
    coppice_session *session = NULL;
    ck_assert_int_eq(coppice_session_create(model, &options, &session, &err),
                     COPPICE_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(err.message, "nobody"));
    ck_assert_ptr_null(session);
    coppice_masks_free(masks);
}
END_TEST

/* ---- what if ---- */

static coppice_what_if_report *ask(const char *pattern, const double *sparsities, size_t count) {
    coppice_what_if_options options;
    coppice_what_if_options_init(&options);
    options.bench = &bench;
    options.pattern = pattern;
    options.sparsities = sparsities;
    options.sparsity_count = count;
    coppice_what_if_report *report = NULL;
    coppice_status status = coppice_what_if(model, &options, &report, &err);
    ck_assert_msg(status == COPPICE_OK || !report, "%s", err.message);
    return report;
}

START_TEST(every_layer_is_timed_at_every_sparsity) {
    const double sparsities[] = {0.5, 0.95};
    coppice_what_if_report *report = ask(NULL, sparsities, 2);
    ck_assert_msg(report != NULL, "%s", err.message);
    ck_assert_uint_eq(report->point_count, 3);
    ck_assert_double_eq(report->points[0].speedup, 1);
    ck_assert_double_eq_tol(report->points[1].sparsity, 0.5, 1e-4);
    ck_assert_double_eq_tol(report->points[2].sparsity, 0.95, 1e-4);
    ck_assert(report->points[2].macs_left < report->points[1].macs_left);
    ck_assert(report->points[2].speedup > 0 && report->points[2].latency.runs == 3);
    size_t kept = 0;
    for (size_t i = 0; i < report->layer_count; i++) {
        const coppice_what_if_layer *layer = &report->layers[i];
        kept += layer->kept_dense != NULL;
        for (size_t p = 0; p < 3; p++)
            ck_assert(layer->points[p].ms > 0);
        double last = layer->points[2].sparsity;
        ck_assert(layer->kept_dense ? last < 0.5 : last > 0.94 && last < 0.96);
    }
    ck_assert_uint_eq(kept, 2); /* the first and the last */
    coppice_what_if_report_free(report);
}
END_TEST

START_TEST(patterns_have_their_sparsity) {
    coppice_what_if_report *report = ask("1:4", NULL, 0);
    ck_assert_msg(report != NULL, "%s", err.message);
    ck_assert_double_eq_tol(report->points[1].sparsity, 0.75, 1e-4);
    coppice_what_if_report_free(report);
    const double sparsity = 0.8;
    report = ask("4x1", &sparsity, 1);
    ck_assert_msg(report != NULL, "%s", err.message);
    ck_assert_double_eq_tol(report->points[1].sparsity, 0.8, 1e-3);
    coppice_what_if_report_free(report);
    ck_assert_ptr_null(ask("2:4", &sparsity, 1));
    ck_assert_ptr_null(ask("4x1", NULL, 0));
    ck_assert_ptr_null(ask("round", &sparsity, 1));
    const double wrong = 1.5;
    ck_assert_ptr_null(ask(NULL, &wrong, 1));
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("what if");
    tcase_add_checked_fixture(tests, load, unload);
    tcase_add_test(tests, a_session_under_masks_is_that_of_the_pruned_model);
    tcase_add_test(tests, masks_of_another_model_are_refused);
    tcase_add_test(tests, every_layer_is_timed_at_every_sparsity);
    tcase_add_test(tests, patterns_have_their_sparsity);
    return unit_run("what_if", tests);
}
