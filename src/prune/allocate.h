/* How many zeros each layer gets: rules that look at shapes or magnitudes of all layers. */
#ifndef COP_PRUNE_ALLOCATE_H
#define COP_PRUNE_ALLOCATE_H

#include "prune/rules.h"

/* Sets the sparsity of every weight that is pruned and has no target of its own, so that together
 * they have round-half-even(options->sparsity * their number) zeros, with ERK but for rounding:
 * - ERK: a weight of dims d1 .. dk keeps a share in proportion to (d1 + .. + dk) / (d1 * .. * dk),
 *   at most all of it (Mocanu et al. 2018; Evci et al. 2020, with kernel dims).
 * - LAMP: the score of a weight is its square over the sum of its own and all larger squares of its
 *   tensor; the smallest scores of all tensors go, of equal ones those of the first tensor (Lee et
 *   al. 2021).
 * Other scopes: nothing to do. Errors: BAD_DATA for a NaN weight, INTERRUPTED, OUT_OF_MEMORY: LAMP
 * needs 12 bytes a weight. */
coppice_status cop_prune_allocate(const cop_weights *weights, const coppice_prune_options *options,
                                  cop_decision *decisions, coppice_error *err);

#endif
