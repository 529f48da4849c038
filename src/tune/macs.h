/* Multiply-accumulates of the nodes that use weights. */
#ifndef COP_TUNE_MACS_H
#define COP_TUNE_MACS_H

#include "prune/targets.h"

/* macs[i]: of use i for one run with free dimensions 1, -1 where the shapes cannot be inferred (as
 * in sub-graphs). `macs` has weights->use_count entries. Errors: OUT_OF_MEMORY, INTERRUPTED. */
coppice_status cop_macs_of_uses(const cop_graph *graph, const cop_weights *weights, int64_t *macs,
                                coppice_error *err);

#endif
