/* What the zeros of a weight look like: N:M groups, blocks, whole channels, or nothing of these. */
#ifndef COP_PRUNE_PATTERN_H
#define COP_PRUNE_PATTERN_H

#include "prune/targets.h"

/* nonzero[i] = 1 where element i is not 0 (-0.0 is 0) nor masked, for a weight with `count`
 * elements; returns the number of zeros. `nonzero` may be NULL. */
int64_t cop_nonzero_map(const cop_weight *weight, int64_t count, uint8_t *nonzero);

typedef struct cop_pattern_name {
    char text[24];
} cop_pattern_name;

/* The pattern of `count` elements with `zeros` zeros, the first that holds of
 * - "dense": no zeros;
 * - "channels": the zeros lie in output channels that are all zero;
 * - "N:M": at most N of M consecutive weights along the input channels (the reduction axis) are not
 *   zero, for M = 2, 4, 8, 16, and nearly N are on average;
 * - "RxC": blocks of R output by C input channels at one tap are all zero or have no zero;
 * - "unstructured".
 * Of channels and blocks, 1 % of the non-zeros may break the rule and a tenth of the zeros may lie
 * elsewhere, as kept weights can be zero by chance. `view` may be NULL when the shape does not fit
 * the operator. */
cop_pattern_name cop_pattern_of(const cop_weight_view *view, const uint8_t *nonzero, int64_t count,
                                int64_t zeros);

#endif
