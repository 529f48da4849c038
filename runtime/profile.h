/* Timing each step of a plan. */
#ifndef COP_RUNTIME_PROFILE_H
#define COP_RUNTIME_PROFILE_H

#include "runtime/plan.h"

/* One row per step of the plan that was profiled last. Zero-initialise. */
typedef struct cop_profile {
    coppice_profile_row *rows;
    cop_arena texts; /* of the rows, that are no one else's */
} cop_profile;

/* Runs the plan `runs` times (at least once) and fills profile->rows with one row per step.
 * `inputs` NULL: normally distributed floats, zeros for other types. */
coppice_status cop_profile_run(cop_plan *plan, const coppice_tensor *inputs, unsigned runs,
                               cop_profile *profile, coppice_error *err);
void cop_profile_free(cop_profile *profile);

#endif
