/* Importance of weights by the caller's measure: which scores belong to which weight. */
#ifndef COP_PRUNE_SCORES_H
#define COP_PRUNE_SCORES_H

#include <coppice/prune.h>

#include "prune/targets.h"

/* Finds the scores of each weight: (*out)[weights->count], NULL for those that go by magnitude, in
 * the arena of the weights. Errors: INVALID_ARGUMENT for scores of another type or shape than
 * wanted, given twice, or of no prunable weight. Values are not looked at. */
coppice_status cop_scores_match(cop_weights *weights, const coppice_prune_options *options,
                                const coppice_tensor ***out, coppice_error *err);

#endif
