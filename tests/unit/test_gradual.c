/* Gradual pruning: schedules, masks that grow, what a fine-tune hook may do and what is undone. */
#include <coppice/gradual.h>
#include <coppice/interrupt.h>

#include <math.h>
#include <stdlib.h>

#include "digits.h"
#include "tiny_model.h"
#include "unit.h"

enum { MAX_LAYERS = 16, STEPS = 4 };

static size_t bytes_of(const coppice_model *model, size_t tensor) {
    coppice_tensor info = coppice_model_tensor_info(model, tensor);
    return (size_t)coppice_tensor_bytes(&info);
}

/* The elements of a tensor, to be freed. */
static void *elements(const coppice_model *model, size_t tensor) {
    void *data = malloc(bytes_of(model, tensor) + 1);
    ck_assert_int_eq(coppice_model_tensor_read(model, tensor, data, NULL), COPPICE_OK);
    return data;
}

static void expect_equal(const coppice_model *a, const coppice_model *b) {
    ck_assert_uint_eq(coppice_model_tensor_count(a), coppice_model_tensor_count(b));
    for (size_t i = 0; i < coppice_model_tensor_count(a); i++) {
        void *left = elements(a, i), *right = elements(b, i);
        ck_assert_mem_eq(left, right, bytes_of(a, i));
        free(left);
        free(right);
    }
}

/* What the hooks of a test saw and shall do. */
typedef struct trainer {
    int64_t trained, done, violations[STEPS + 1], zeros[STEPS + 1];
    double sparsity[STEPS + 1];
    uint8_t *kept[MAX_LAYERS]; /* the masks of the step before */
    size_t masks;
    bool ignore_masks; /* write into pruned weights, too */
    int64_t fail_at, save_at;
    coppice_status fail_with;
    const char *message;
    coppice_model *copy; /* gets the model of step `save_at` */
} trainer;

static void forget(trainer *t) {
    for (size_t i = 0; i < t->masks; i++)
        free(t->kept[i]);
}

/* "Trains": scales and moves every weight in a way that changes the order of magnitudes. */
static coppice_status train(void *cookie, coppice_model *model, const coppice_step *step,
                            coppice_error *error) {
    trainer *t = cookie;
    t->trained++;
    ck_assert_int_eq(step->violations, 0);
    ck_assert(error != NULL);
    if (step->step == t->fail_at) {
        if (t->message)
            snprintf(error->message, sizeof error->message, "%s", t->message);
        return t->fail_with;
    }
    for (size_t i = 0; i < coppice_model_tensor_count(model); i++) {
        if (coppice_model_tensor_info(model, i).type != COPPICE_TYPE_FLOAT)
            continue;
        size_t count = bytes_of(model, i) / sizeof(float);
        float *data = elements(model, i);
        for (size_t k = 0; k < count; k++)
            if (data[k] != 0 || t->ignore_masks)
                data[k] = data[k] * (1 + 0.3f * (float)((k * 7 + (size_t)step->step) % 5)) + 1e-3f;
        ck_assert_int_eq(coppice_model_tensor_write(model, i, data, error), COPPICE_OK);
        free(data);
    }
    return COPPICE_OK;
}

/* Masks of this step prune all that those before did, and the weights are zero there. */
static void expect_growth(trainer *t, const coppice_model *model, const coppice_masks *masks) {
    ck_assert_uint_le(coppice_masks_count(masks), MAX_LAYERS);
    for (size_t i = 0; i < coppice_masks_count(masks); i++) {
        coppice_tensor info = coppice_masks_info(masks, i);
        size_t count = (size_t)coppice_tensor_count(&info);
        uint8_t *kept = malloc(count);
        coppice_masks_read(masks, i, kept);
        int64_t tensor = coppice_model_tensor_find(model, coppice_masks_name(masks, i));
        float *data = elements(model, (size_t)tensor);
        size_t not_zero = 0, grown_back = 0; /* counted, as an assertion is a system call */
        for (size_t k = 0; k < count; k++) {
            not_zero += !kept[k] && data[k] != 0;
            grown_back += kept[k] && i < t->masks && !t->kept[i][k];
        }
        ck_assert_uint_eq(not_zero, 0);
        ck_assert_uint_eq(grown_back, 0);
        free(data);
        if (i < t->masks)
            free(t->kept[i]);
        t->kept[i] = kept;
    }
    t->masks = coppice_masks_count(masks);
}

static coppice_status note_step(void *cookie, coppice_model *model, const coppice_step *step,
                                coppice_error *error) {
    trainer *t = cookie;
    t->done++;
    t->violations[step->step] = step->violations;
    t->zeros[step->step] = step->report->zeros;
    t->sparsity[step->step] = step->sparsity;
    expect_growth(t, model, step->report->masks);
    if (step->step == t->save_at)
        return coppice_model_copy_tensors(t->copy, model, error);
    return COPPICE_OK;
}

static coppice_prune_options target(double sparsity, coppice_scope scope) {
    coppice_prune_options options;
    coppice_prune_options_init(&options);
    options.sparsity = sparsity;
    options.scope = scope;
    return options;
}

static coppice_gradual_options in_steps(const coppice_prune_options *prune, trainer *t) {
    coppice_gradual_options options;
    coppice_gradual_options_init(&options);
    options.prune = prune;
    options.steps = STEPS;
    options.cookie = t;
    options.finetune = train;
    options.step_done = note_step;
    return options;
}

static coppice_prune_report *run(coppice_model *model, const coppice_gradual_options *options) {
    coppice_prune_report *report;
    coppice_error error;
    ck_assert_msg(coppice_prune_gradually(model, options, &report, &error) == COPPICE_OK, "%s",
                  error.message);
    return report;
}

static void expect_failure(coppice_model *model, const coppice_gradual_options *options,
                           coppice_status status, const char *text) {
    coppice_prune_report *report = (coppice_prune_report *)model;
    coppice_error error;
    ck_assert_int_eq(coppice_prune_gradually(model, options, &report, &error), status);
    ck_assert_int_eq(error.status, status);
    ck_assert_ptr_null(report);
    ck_assert_msg(strstr(error.message, text) != NULL, "'%s' not in: %s", text, error.message);
}

/* ---- schedules ---- */

START_TEST(schedules_follow_their_formulas_and_end_at_exactly_one) {
    ck_assert_double_eq_tol(coppice_schedule_share(COPPICE_SCHEDULE_CUBIC, 1, 5), 0.488, 1e-12);
    ck_assert_double_eq_tol(coppice_schedule_share(COPPICE_SCHEDULE_CUBIC, 2, 5), 0.784, 1e-12);
    ck_assert_double_eq_tol(coppice_schedule_share(COPPICE_SCHEDULE_LINEAR, 2, 5), 0.4, 1e-12);
    ck_assert_double_eq(coppice_schedule_share(COPPICE_SCHEDULE_ONESHOT, 1, 5), 1);
    for (int schedule = COPPICE_SCHEDULE_CUBIC; schedule <= COPPICE_SCHEDULE_ONESHOT; schedule++)
        for (int64_t steps = 1; steps <= 1000; steps += 37) {
            double before = 0;
            for (int64_t step = 1; step <= steps; step++) {
                double share = coppice_schedule_share((coppice_schedule)schedule, step, steps);
                ck_assert(share > 0 && share <= 1 && share >= before);
                before = share;
            }
            ck_assert_double_eq(before, 1);
        }
}
END_TEST

/* ---- steps ---- */

static void masks_grow(coppice_scope scope, coppice_schedule schedule) {
    coppice_model *model = digits_load();
    coppice_prune_options prune = target(0.8, scope);
    trainer t = {0};
    coppice_gradual_options options = in_steps(&prune, &t);
    options.schedule = schedule;
    coppice_prune_report *report = run(model, &options);
    ck_assert_int_eq(t.trained, STEPS);
    ck_assert_int_eq(t.done, STEPS);
    for (int step = 1; step <= STEPS; step++) {
        double share = coppice_schedule_share(schedule, step, STEPS);
        ck_assert_int_eq(t.violations[step], 0);
        ck_assert_double_eq(t.sparsity[step], 0.8 * share);
        ck_assert_double_eq_tol((double)t.zeros[step], t.sparsity[step] * (double)report->weights,
                                MAX_LAYERS);
    }
    ck_assert_int_eq(report->zeros, t.zeros[STEPS]);
    coppice_prune_report_free(report);
    coppice_model_free(model);
    forget(&t);
}

START_TEST(masks_only_grow_within_each_layer) {
    masks_grow(COPPICE_SCOPE_LAYER, COPPICE_SCHEDULE_CUBIC);
    masks_grow(COPPICE_SCOPE_LAYER, COPPICE_SCHEDULE_LINEAR);
}
END_TEST

START_TEST(masks_only_grow_over_all_layers_together) {
    masks_grow(COPPICE_SCOPE_GLOBAL, COPPICE_SCHEDULE_CUBIC);
    masks_grow(COPPICE_SCOPE_GLOBAL, COPPICE_SCHEDULE_LINEAR);
    masks_grow(COPPICE_SCOPE_GLOBAL, COPPICE_SCHEDULE_ONESHOT);
}
END_TEST

START_TEST(without_hooks_many_steps_prune_as_one_does) {
    for (int scope = COPPICE_SCOPE_LAYER; scope <= COPPICE_SCOPE_GLOBAL; scope++) {
        coppice_model *once = digits_load(), *slowly = digits_load();
        coppice_prune_options prune = target(0.7, (coppice_scope)scope);
        coppice_gradual_options options;
        coppice_gradual_options_init(&options);
        options.prune = &prune;
        options.steps = 7;
        coppice_prune_report_free(run(slowly, &options));
        ck_assert_int_eq(coppice_prune(once, &prune, NULL, NULL), COPPICE_OK);
        expect_equal(once, slowly);
        coppice_model_free(once);
        coppice_model_free(slowly);
    }
}
END_TEST

START_TEST(rules_of_layers_take_their_share_and_zero_stays_dense) {
    coppice_model *model = digits_load();
    coppice_inspection *weights;
    ck_assert_int_eq(coppice_model_inspect(model, &weights, NULL), COPPICE_OK);
    ck_assert_uint_ge(weights->weight_count, 3);
    const coppice_layer_rule rules[] = {{weights->weights[0].initializer, 0},
                                        {weights->weights[1].initializer, 0.4}};
    coppice_prune_options prune = target(0.8, COPPICE_SCOPE_LAYER);
    prune.keep_first = prune.keep_last = false;
    prune.layers = rules;
    prune.layer_count = 2;
    trainer t = {0};
    coppice_gradual_options options = in_steps(&prune, &t);
    coppice_prune_report *report = run(model, &options);
    ck_assert_str_eq(report->layers[0].kept_dense, "layer rule");
    ck_assert_int_eq(report->layers[1].zeros,
                     (int64_t)nearbyint(0.4 * (double)report->layers[1].weights));
    int64_t first = 0; /* zeros of the first step */
    for (size_t i = 1; i < report->layer_count; i++)
        first += (int64_t)nearbyint((i == 1 ? 0.4 : 0.8) *
                                    coppice_schedule_share(options.schedule, 1, STEPS) *
                                    (double)report->layers[i].weights);
    ck_assert_int_eq(t.zeros[1], first);
    coppice_prune_report_free(report);
    coppice_inspection_free(weights);
    coppice_model_free(model);
    forget(&t);
}
END_TEST

/* ---- what a hook does ---- */

START_TEST(violations_of_masks_are_counted_and_undone) {
    coppice_model *model = digits_load();
    coppice_prune_options prune = target(0.8, COPPICE_SCOPE_LAYER);
    trainer t = {.ignore_masks = true};
    coppice_gradual_options options = in_steps(&prune, &t); /* note_step expects the zeros */
    options.schedule = COPPICE_SCHEDULE_ONESHOT;
    coppice_prune_report *report = run(model, &options);
    for (int step = 1; step <= STEPS; step++)
        ck_assert_int_eq(t.violations[step], report->zeros);
    coppice_prune_report_free(report);
    coppice_model_free(model);
    forget(&t);
}
END_TEST

START_TEST(a_hook_that_fails_stops_with_its_status_and_message) {
    coppice_prune_options prune = target(0.8, COPPICE_SCOPE_LAYER);
    trainer t = {.fail_at = 2, .fail_with = COPPICE_BUSY, .message = "the GPU is taken"};
    coppice_gradual_options options = in_steps(&prune, &t);
    coppice_model *model = digits_load();
    expect_failure(model, &options, COPPICE_BUSY, "the GPU is taken");
    ck_assert_int_eq(t.trained, 2);
    ck_assert_int_eq(t.done, 1);
    coppice_model_free(model);
    forget(&t);
    t = (trainer){.fail_at = 1, .fail_with = COPPICE_LIMIT};
    model = digits_load();
    expect_failure(model, &options, COPPICE_LIMIT, "step 1 of 4: the fine-tune hook failed");
    coppice_model_free(model);
}
END_TEST

typedef struct poison {
    float value;
    int64_t at;
} poison;

static coppice_status spoil(void *cookie, coppice_model *model, const coppice_step *step,
                            coppice_error *error) {
    const poison *p = cookie;
    (void)step;
    float *data = elements(model, 0);
    data[p->at] = p->value;
    coppice_status status = coppice_model_tensor_write(model, 0, data, error);
    free(data);
    return status;
}

/* Eight weights; pruned by half the last four are left. */
static void spoilt(float before, poison p, coppice_status status) {
    const float weights[] = {1, 2, 3, 4, 5, 6, before, 8};
    coppice_model *model = tiny_model("x", 1, 2, 4, weights);
    coppice_prune_options prune = target(0.5, COPPICE_SCOPE_LAYER);
    prune.keep_last = false;
    coppice_gradual_options options = {
        .prune = &prune, .steps = 1, .finetune = spoil, .cookie = &p};
    if (status == COPPICE_OK)
        coppice_prune_report_free(run(model, &options));
    else
        expect_failure(model, &options, status,
                       isnan(p.value) ? "of 'W' as NaN" : "of 'W' as infinite");
    coppice_model_free(model);
}

START_TEST(weights_that_training_made_nan_or_infinite_are_refused) {
    spoilt(7, (poison){NAN, 7}, COPPICE_BAD_DATA);
    spoilt(7, (poison){-INFINITY, 4}, COPPICE_BAD_DATA);
    spoilt(7, (poison){NAN, 0}, COPPICE_OK);      /* a pruned weight: a violation that is undone */
    spoilt(INFINITY, (poison){9, 7}, COPPICE_OK); /* one that was there before stays */
    spoilt(INFINITY, (poison){INFINITY, 7}, COPPICE_BAD_DATA);
}
END_TEST

static coppice_status interrupt(void *cookie, coppice_model *model, const coppice_step *step,
                                coppice_error *error) {
    (void)cookie, (void)model, (void)step, (void)error;
    coppice_interrupt();
    return COPPICE_OK;
}

START_TEST(an_interrupt_during_training_stops) {
    coppice_model *model = digits_load();
    coppice_prune_options prune = target(0.5, COPPICE_SCOPE_LAYER);
    trainer t = {0};
    coppice_gradual_options options = in_steps(&prune, &t);
    options.finetune = interrupt;
    expect_failure(model, &options, COPPICE_INTERRUPTED, "interrupted");
    coppice_interrupt_clear();
    coppice_model_free(model);
    forget(&t);
}
END_TEST

/* ---- going on ---- */

START_TEST(going_on_behind_a_saved_step_gives_the_same_result) {
    for (int scope = COPPICE_SCOPE_LAYER; scope <= COPPICE_SCOPE_GLOBAL; scope++)
        for (int64_t done = 1; done < STEPS; done += 2) {
            coppice_model *whole = digits_load(), *rest = digits_load();
            coppice_prune_options prune = target(0.9, (coppice_scope)scope);
            trainer first = {.save_at = done, .copy = rest}, second = {0};
            coppice_gradual_options options = in_steps(&prune, &first);
            coppice_prune_report *a = run(whole, &options);
            options.cookie = &second;
            options.done = done;
            coppice_prune_report *b = run(rest, &options);
            ck_assert_int_eq(second.trained, STEPS - done);
            ck_assert_int_eq(a->zeros, b->zeros);
            expect_equal(whole, rest);
            coppice_prune_report_free(a);
            coppice_prune_report_free(b);
            coppice_model_free(whole);
            coppice_model_free(rest);
            forget(&first);
            forget(&second);
        }
}
END_TEST

START_TEST(options_that_make_no_sense_are_refused) {
    coppice_model *model = digits_load();
    coppice_prune_options prune = target(0.5, COPPICE_SCOPE_LAYER);
    coppice_gradual_options good;
    coppice_gradual_options_init(&good);
    good.prune = &prune;
    coppice_gradual_options bad = good;
    bad.prune = NULL;
    expect_failure(model, &bad, COPPICE_INVALID_ARGUMENT, "options of pruning");
    bad = good;
    bad.steps = 0;
    expect_failure(model, &bad, COPPICE_INVALID_ARGUMENT, "1 to 1000");
    bad.steps = 1001;
    expect_failure(model, &bad, COPPICE_INVALID_ARGUMENT, "1 to 1000");
    bad = good;
    bad.done = 1;
    expect_failure(model, &bad, COPPICE_INVALID_ARGUMENT, "fewer than all");
    bad.done = -1;
    expect_failure(model, &bad, COPPICE_INVALID_ARGUMENT, "fewer than all");
    bad = good;
    bad.schedule = (coppice_schedule)3;
    expect_failure(model, &bad, COPPICE_INVALID_ARGUMENT, "unknown schedule");
    prune.dry_run = true;
    expect_failure(model, &good, COPPICE_INVALID_ARGUMENT, "no dry run");
    prune.dry_run = false;
    prune.sparsity = 2;
    expect_failure(model, &good, COPPICE_INVALID_ARGUMENT, "must be from 0");
    coppice_model_free(model);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("gradual pruning");
    tcase_set_timeout(tests, 60); /* whole models, read again and again */
    tcase_add_test(tests, schedules_follow_their_formulas_and_end_at_exactly_one);
    tcase_add_test(tests, masks_only_grow_within_each_layer);
    tcase_add_test(tests, masks_only_grow_over_all_layers_together);
    tcase_add_test(tests, without_hooks_many_steps_prune_as_one_does);
    tcase_add_test(tests, rules_of_layers_take_their_share_and_zero_stays_dense);
    tcase_add_test(tests, violations_of_masks_are_counted_and_undone);
    tcase_add_test(tests, a_hook_that_fails_stops_with_its_status_and_message);
    tcase_add_test(tests, weights_that_training_made_nan_or_infinite_are_refused);
    tcase_add_test(tests, an_interrupt_during_training_stops);
    tcase_add_test(tests, going_on_behind_a_saved_step_gives_the_same_result);
    tcase_add_test(tests, options_that_make_no_sense_are_refused);
    return unit_run("gradual", tests);
}
