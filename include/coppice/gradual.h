/* Gradual pruning: several steps to the target, with training in between.
 *
 *     coppice_gradual_options options;
 *     coppice_gradual_options_init(&options);
 *     options.prune = &prune;              // the target: coppice_prune_options
 *     options.steps = 5;
 *     options.finetune = train;            // changes weights; masks hold
 *     coppice_prune_gradually(model, &options, &report, &error);
 *
 * Step t of T prunes to the share of the target that the schedule gives, calls the hook, and puts
 * the masks on again. Masks only grow: what a step pruned is zero and stays so.
 *
 * Threads: a model that is pruned is used by this call and its hooks only.
 *
 * Source of the cubic schedule: Zhu and Gupta, "To prune, or not to prune", 2017. */
#ifndef COPPICE_GRADUAL_H
#define COPPICE_GRADUAL_H

#include <coppice/model.h>
#include <coppice/prune.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum coppice_schedule {
    COPPICE_SCHEDULE_CUBIC,  /* 1 - (1 - t/T)^3: fast at first, slow at the end */
    COPPICE_SCHEDULE_LINEAR, /* t/T */
    COPPICE_SCHEDULE_ONESHOT /* everything in the first step; the others only train */
} coppice_schedule;

/* The share of the target sparsity that step `step` (1 .. steps) asks for, 0 .. 1; exactly 1 at the
 * last step. Thread-safe. */
COPPICE_API double coppice_schedule_share(coppice_schedule schedule, int64_t step, int64_t steps);

/* A step as hooks see it. Everything is borrowed until the hook returns. */
typedef struct coppice_step {
    int64_t step, steps;                /* counted from 1 */
    double share;                       /* of the target */
    double sparsity;                    /* options.sparsity * share */
    const coppice_prune_report *report; /* what is pruned at this step, its masks among it */
    int64_t violations; /* weights that the hook changed though their mask prunes them; zero again.
                           Known to step_done only */
    double prune_ms, finetune_ms; /* time taken, the latter known to step_done only */
} coppice_step;

/* Trains: may change the weights of `model` (coppice_model_tensor_write,
 * coppice_model_copy_tensors), may take as long as it likes, must not prune or free it. Names and
 * shapes cannot change. A status other than OK stops the pruning with that status; `error` may be
 * filled (it is never NULL here). */
typedef coppice_status (*coppice_finetune_hook)(void *cookie, coppice_model *model,
                                                const coppice_step *step, coppice_error *error);

/* Initialise with coppice_gradual_options_init. All pointers are borrowed during the call. */
typedef struct coppice_gradual_options {
    const coppice_prune_options *prune; /* the target; its dry_run must be false */
    int64_t steps;                      /* 1 .. 1000; default 1 */
    coppice_schedule schedule;          /* default CUBIC */
    int64_t done; /* steps that `model` has behind it, to go on with a saved one; < steps */
    void *cookie; /* for both hooks */
    coppice_finetune_hook finetune;  /* NULL: none */
    coppice_finetune_hook step_done; /* called when a step is complete, to save the model; NULL */
} coppice_gradual_options;

/* Sets every member to its default. */
COPPICE_API void coppice_gradual_options_init(coppice_gradual_options *options);

/* Prunes `model` in memory, step by step. `report`, when not NULL, gets the report of the last
 * step, owned by the caller, free with coppice_prune_report_free; NULL on failure. The same model,
 * options and hook results give the same result, whether in one go or continued from a saved step.
 * On failure the model is somewhere within a step: load it again.
 * Errors: as coppice_prune; what the hooks return; BAD_DATA when the hook leaves a NaN or an
 * infinity in a weight; INTERRUPTED. */
COPPICE_API coppice_status coppice_prune_gradually(coppice_model *model,
                                                   const coppice_gradual_options *options,
                                                   coppice_prune_report **report,
                                                   coppice_error *error);

#ifdef __cplusplus
}
#endif

#endif
