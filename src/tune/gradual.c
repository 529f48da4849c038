/* coppice_prune_gradually: prune, train, put the masks on again, step by step. */
#include <coppice/gradual.h>

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/memory.h"
#include "graph/mask.h"
#include "graph/model.h"

enum { MAX_STEPS = 1000 };

double coppice_schedule_share(coppice_schedule schedule, int64_t step, int64_t steps) {
    if (step >= steps || schedule == COPPICE_SCHEDULE_ONESHOT)
        return 1;
    double done = step > 0 ? (double)step / (double)steps : 0, left = 1 - done;
    return schedule == COPPICE_SCHEDULE_LINEAR ? done : 1 - left * left * left;
}

void coppice_gradual_options_init(coppice_gradual_options *options) {
    *options = (coppice_gradual_options){.steps = 1, .schedule = COPPICE_SCHEDULE_CUBIC};
}

static coppice_status check_options(const coppice_gradual_options *o, coppice_error *err) {
    if (!o->prune || o->prune->dry_run)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "gradual pruning needs options of pruning that are no dry run");
    if (o->steps < 1 || o->steps > MAX_STEPS)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "%lld steps; it must be 1 to %d",
                        (long long)o->steps, MAX_STEPS);
    if (o->done < 0 || o->done >= o->steps)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "%lld of %lld steps are done; it must be fewer than all, and not negative",
                        (long long)o->done, (long long)o->steps);
    if ((int)o->schedule < 0 || o->schedule > COPPICE_SCHEDULE_ONESHOT)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "unknown schedule %d", (int)o->schedule);
    return COPPICE_OK;
}

/* ---- what training must not leave behind ---- */

/* Where the weights were no numbers before the hook: causal masks of minus infinity are normal. */
typedef struct known_bad {
    cop_arena arena;
    uint64_t **bits; /* one per constant of the model; NULL: all of its elements were finite */
} known_bad;

/* Integers are finite. Types of 8 bits and less go the slow way. */
static uint64_t exponent_of(coppice_type type) {
    return type == COPPICE_TYPE_FLOAT      ? 0x7f800000u
           : type == COPPICE_TYPE_DOUBLE   ? 0x7ff0000000000000u
           : type == COPPICE_TYPE_FLOAT16  ? 0x7c00u
           : type == COPPICE_TYPE_BFLOAT16 ? 0x7f80u
                                           : 0;
}

/* The first element from `from` on that is no finite number; `count` when there is none. */
static int64_t next_bad(const coppice_tensor *tensor, int64_t from, int64_t count) {
    uint64_t exponent = exponent_of(tensor->type), bits = 0;
    size_t width = coppice_type_bits(tensor->type) / 8;
    for (int64_t i = from; i < count; i++) {
        if (exponent) {
            memcpy(&bits, (const char *)tensor->data + (size_t)i * width, width);
            if ((bits & exponent) == exponent)
                return i;
        } else if (!isfinite(cop_tensor_get(tensor, i))) {
            return i;
        }
    }
    return count;
}

static int64_t readable_elements(const cop_constant *constant) {
    return constant->tensor.data && coppice_type_bits(constant->tensor.type)
               ? coppice_tensor_count(&constant->tensor)
               : 0;
}

static coppice_status note_bad(const cop_constants *all, known_bad *known, coppice_error *err) {
    known->bits = cop_arena_array(&known->arena, all->count, sizeof *known->bits);
    if (!known->bits)
        return cop_fail_memory(err, all->count * sizeof *known->bits);
    for (size_t c = 0; c < all->count; c++) {
        const coppice_tensor *tensor = &all->items[c]->tensor;
        int64_t count = readable_elements(all->items[c]);
        int64_t i = next_bad(tensor, 0, count);
        if (i == count)
            continue;
        uint64_t *bits = cop_arena_array(&known->arena, cop_mask_words(count), sizeof *bits);
        if (!bits)
            return cop_fail_memory(err, cop_mask_words(count) * sizeof *bits);
        for (; i < count; i = next_bad(tensor, i + 1, count))
            bits[i / 64] |= (uint64_t)1 << (i % 64);
        known->bits[c] = bits;
    }
    return COPPICE_OK;
}

static coppice_status refuse_new_bad(const cop_constants *all, const known_bad *known,
                                     coppice_error *err) {
    for (size_t c = 0; c < all->count; c++) {
        const coppice_tensor *tensor = &all->items[c]->tensor;
        int64_t count = readable_elements(all->items[c]);
        const uint64_t *bits = known->bits[c];
        for (int64_t i = -1; (i = next_bad(tensor, i + 1, count)) < count;) {
            if (bits && bits[i / 64] >> (i % 64) & 1)
                continue;
            return cop_fail(err, COPPICE_BAD_DATA,
                            "the fine-tune hook left weight %lld of '%s' as %s: the training "
                            "diverged; try a smaller learning rate",
                            (long long)i, all->items[c]->key,
                            isnan(cop_tensor_get(tensor, i)) ? "NaN" : "infinite");
        }
    }
    return COPPICE_OK;
}

/* ---- a step ---- */

static coppice_status call_hook(coppice_finetune_hook hook, const char *what,
                                const coppice_gradual_options *o, coppice_model *model,
                                const coppice_step *step, coppice_error *err) {
    coppice_error own = {.offset = -1};
    const coppice_host *host = cop_memory_enter(NULL); /* the hook calls coppice, too */
    coppice_status status = hook(o->cookie, model, step, &own);
    cop_memory_enter(host);
    if (status == COPPICE_OK)
        return COPPICE_OK;
    own.status = status;
    if (!own.message[0])
        cop_fail(&own, status, "step %lld of %lld: the %s hook failed: %s", (long long)step->step,
                 (long long)step->steps, what, coppice_status_text(status));
    if (err)
        *err = own;
    return status;
}

/* Calls the hook and undoes what it must not do. */
static coppice_status finetune(const coppice_gradual_options *o, coppice_model *model,
                               coppice_step *step, coppice_error *err) {
    const cop_constants *all = cop_model_constants(model);
    known_bad known = {0};
    double start = cop_now_ms();
    coppice_status status;
    COP_TRY_OR_FAIL(note_bad(all, &known, err));
    COP_TRY_OR_FAIL(call_hook(o->finetune, "fine-tune", o, model, step, err));
    COP_TRY_OR_FAIL(coppice_masks_apply(step->report->masks, model, &step->violations, err));
    if (step->violations)
        cop_log(COPPICE_LOG_WARNING,
                "step %lld of %lld: the fine-tune hook changed %lld weights that are pruned; they "
                "are zero again",
                (long long)step->step, (long long)step->steps, (long long)step->violations);
    status = refuse_new_bad(all, &known, err);
    if (status != COPPICE_OK)
        cop_error_prefix(err, "step %lld of %lld", (long long)step->step, (long long)step->steps);
fail:
    step->finetune_ms = cop_now_ms() - start;
    cop_arena_free(&known.arena);
    return status;
}

static coppice_status run_step(coppice_model *model, const coppice_gradual_options *o,
                               const coppice_prune_options *target, coppice_step *step,
                               coppice_prune_report **report, coppice_error *err) {
    double start = cop_now_ms();
    COP_TRY(coppice_prune(model, target, report, err));
    step->report = *report;
    step->prune_ms = cop_now_ms() - start;
    COP_TRY(cop_check_interrupt(err));
    if (o->finetune)
        COP_TRY(finetune(o, model, step, err));
    if (o->step_done)
        COP_TRY(call_hook(o->step_done, "step_done", o, model, step, err));
    return cop_check_interrupt(err);
}

static coppice_status run_steps(coppice_model *model, const coppice_gradual_options *o,
                                coppice_layer_rule *rules, coppice_prune_report **report,
                                coppice_error *err) {
    for (int64_t t = o->done + 1; t <= o->steps; t++) {
        coppice_prune_options target = *o->prune;
        double share = coppice_schedule_share(o->schedule, t, o->steps);
        target.sparsity *= share;
        for (size_t i = 0; i < target.layer_count; i++) {
            rules[i] = o->prune->layers[i];
            rules[i].sparsity *= share;
        }
        target.layers = rules;
        coppice_step step = {
            .step = t, .steps = o->steps, .share = share, .sparsity = target.sparsity};
        coppice_prune_report_free(*report);
        COP_TRY(run_step(model, o, &target, &step, report, err));
        COP_TRY(cop_progress("steps", t - 1, t, o->steps, err));
    }
    return COPPICE_OK;
}

coppice_status coppice_prune_gradually(coppice_model *model, const coppice_gradual_options *options,
                                       coppice_prune_report **report, coppice_error *error) {
    if (report)
        *report = NULL;
    COP_TRY(check_options(options, error));
    const coppice_host *before = cop_memory_enter(cop_model_host(model));
    size_t count = options->prune->layer_count;
    coppice_layer_rule *rules = cop_calloc(count ? count : 1, sizeof *rules);
    coppice_prune_report *last = NULL;
    coppice_status status = rules ? run_steps(model, options, rules, &last, error)
                                  : cop_fail_memory(error, count * sizeof *rules);
    cop_free(rules);
    if (report && status == COPPICE_OK)
        *report = last;
    else
        coppice_prune_report_free(last);
    cop_memory_enter(before);
    return status;
}
