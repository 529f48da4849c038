/* Which of many weights are the smallest: exact, in linear time, without sorting. */
#ifndef COP_PRUNE_SELECT_H
#define COP_PRUNE_SELECT_H

#include "base/log.h"
#include "graph/mask.h"

/* One tensor of a pool that is pruned to one common threshold. */
typedef struct cop_pool_item {
    cop_constant *constant;        /* maskable (quantized.h), at any alignment */
    const cop_constant *zeroed_by; /* weights under its zeros count as zero; NULL: none */
    const coppice_tensor *scores;  /* float32, of the same shape: weights that are not zero go by
                                      these, lowest first, instead of |w|; NULL: none */
    const char *key;               /* for messages */
    int64_t count;
    cop_mask *mask; /* out */
    int64_t zeros;  /* out: weights that are zero then */
} cop_pool_item;

/* round-half-even(sparsity * n). */
int64_t cop_zeros_wanted(double sparsity, int64_t n);

/* Fills the masks: 0 for the `zeros` weights of the whole pool that are smallest in magnitude, of
 * equal ones those that come first, and for every weight that is zero already; so the pool has
 * max(zeros, zeros there are) zeros. With `zeros` 0 the masks keep everything, so that a weight
 * keeps every bit, that of -0.0 too. The tensors are not written.
 * Radix selection on keys (keys.h): three passes over the weights, five with float64 among them, in
 * memory that does not grow with them. Errors: BAD_DATA for a NaN weight and for a score that is
 * not finite, naming initializer and index; INTERRUPTED; OUT_OF_MEMORY. `tally` (may be NULL)
 * counts every weight twice. */
coppice_status cop_select_smallest(cop_pool_item *items, size_t count, int64_t zeros,
                                   cop_tally *tally, coppice_error *err);

/* The error of cop_select_smallest for weight `at` of initializer `key`, or for its score. */
coppice_status cop_fail_unordered(const char *key, int64_t at, bool score, coppice_error *err);

/* Writes zeros where the mask prunes (mask.h) and marks the constant dirty. */
void cop_apply_mask(cop_constant *constant, const cop_mask *mask);

#endif
