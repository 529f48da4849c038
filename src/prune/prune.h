/* Pruning in two steps: choose, which changes nothing, and apply, which cannot fail. */
#ifndef COP_PRUNE_PRUNE_H
#define COP_PRUNE_PRUNE_H

#include <coppice/prune.h>

#include "prune/targets.h"

/* A report with what it was made from. The public report is its first member. */
typedef struct cop_prune_plan {
    coppice_prune_report report; /* one layer per weight, in the order of `weights` */
    cop_weights weights;
} cop_prune_plan;

/* Chooses the weights and fills masks and report, MACs apart (-1). *out is owned by the caller:
 * free with coppice_prune_report_free(&plan->report); NULL on failure. */
coppice_status cop_prune_choose(const cop_graph *graph, const coppice_prune_options *options,
                                cop_prune_plan **out, coppice_error *err);

/* Writes the zeros into the model's weights. */
void cop_prune_apply(cop_prune_plan *plan);

#endif
