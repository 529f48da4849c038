/* Which weights are pruned, and how much: keep rules and patterns. */
#ifndef COP_PRUNE_RULES_H
#define COP_PRUNE_RULES_H

#include <coppice/prune.h>

#include "prune/targets.h"

/* What is to happen to one weight. */
typedef struct cop_decision {
    const char *kept_dense; /* the reason, in the arena of the weights; NULL: it is pruned */
    double sparsity;
    bool own_target; /* by a layer rule: not part of a global pool */
} cop_decision;

/* Decides for every weight; decisions[weights->count] is allocated in the arena of the weights.
 * Errors: INVALID_ARGUMENT for a sparsity outside [0,1], a pattern that matches no prunable weight,
 * or when nothing is left to prune. */
coppice_status cop_prune_decide(cop_weights *weights, const coppice_prune_options *options,
                                cop_decision **decisions, coppice_error *err);

/* Can it be pruned, whatever the rules say? */
bool cop_weight_prunable(const cop_weight *weight);

/* Why the default rules keep a weight dense, NULL when they do not. */
const char *cop_weight_kept_dense(cop_weights *weights, size_t weight,
                                  const coppice_prune_options *options);

#endif
