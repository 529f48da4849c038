/* What models are measured with: threads, instruction set, made-up inputs. */
#ifndef COP_TUNE_SETUP_H
#define COP_TUNE_SETUP_H

#include <coppice/bench.h>

#include "tune/timing.h"

/* Zero-initialise; free with cop_setup_free, also on failure. */
typedef struct cop_setup {
    coppice_session_options session; /* with a pool */
    coppice_isa isa;
    coppice_threadpool *pool; /* owned; NULL when the caller gave one */
    coppice_tensor *inputs;
    size_t input_count;
} cop_setup;

coppice_status cop_setup_make(const coppice_model *model, const coppice_bench_options *options,
                              cop_setup *setup, coppice_error *err);
void cop_setup_free(cop_setup *setup);

/* The first dimension of the first input; 1 without one. */
int64_t cop_setup_batch(const cop_setup *setup);

/* Makes and prepares a session, and refers to the inputs; `masks` may be NULL. */
coppice_status cop_setup_session(const cop_setup *setup, const coppice_model *model,
                                 const coppice_masks *masks, cop_timed *timed, double *prepare_ms,
                                 coppice_error *err);

/* Neither time nor runs, or negative ones: INVALID_ARGUMENT. */
coppice_status cop_setup_check(const coppice_bench_options *options, coppice_error *err);

/* Profiled runs for a steady median, in about `budget_ms`. */
unsigned cop_profile_runs(double run_ms, double budget_ms);

#endif
