/* Multiply-accumulates of the nodes that use weights. */
#ifndef COP_TUNE_MACS_H
#define COP_TUNE_MACS_H

#include "prune/prune.h"

/* macs[i]: of use i for one run with free dimensions 1, -1 where the shapes cannot be inferred.
 * Bodies of loops count once, as their first iteration, and branches as if each were taken. `macs`
 * has weights->use_count entries. *others, when not NULL: of the products without a weight (of two
 * activations, as attention has them), as far as known.
 * Errors: OUT_OF_MEMORY, INTERRUPTED. */
coppice_status cop_macs_of_uses(const cop_graph *graph, const cop_weights *weights, int64_t *macs,
                                int64_t *others, coppice_error *err);

/* Fills the MACs of a plan's report. Errors: as above. */
coppice_status cop_macs_of_plan(const cop_graph *graph, cop_prune_plan *plan, coppice_error *err);

#endif
