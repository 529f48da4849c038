/* How well a mask agrees with the magnitudes of a tensor: is what it prunes small there?
 *
 * Of z weights that a mask prunes, some are among the z smallest of the tensor: by chance a share
 * of z / n, with the mask that magnitude pruning would make all of them. The agreement is 0 for the
 * first and 1 for the second. Both are looked at in a sample of the same positions, one from each
 * of up to COP_SAMPLE_MAX parts of equal length; it is the same in every run. */
#ifndef COP_PRUNE_AGREEMENT_H
#define COP_PRUNE_AGREEMENT_H

#include "graph/mask.h"

#define COP_SAMPLE_MAX 65536

/* Number of positions that are looked at in tensors of `count` elements. */
size_t cop_sample_size(int64_t count);

/* The magnitudes of a tensor. Zero-initialise; free with cop_free(keys). */
typedef struct cop_tensor_sample {
    size_t count;
    uint32_t *keys;   /* in the order of the positions; they order as the magnitudes do */
    uint32_t *sorted; /* in the same block */
} cop_tensor_sample;

/* Samples a float tensor. `zeroed_by` (NULL: none) is a mask inside the model, under whose zeros
 * weights count as zero. With `turned`, rank 2 and the positions of the transposed tensor. */
coppice_status cop_sample_tensor(const cop_constant *constant, const coppice_tensor *zeroed_by,
                                 bool turned, cop_tensor_sample *out, coppice_error *err);

/* What a mask prunes: pruned[i] is 1 or 0, for cop_sample_size(mask->count) positions. Returns how
 * many are 1. */
size_t cop_sample_mask(const cop_mask *mask, bool turned, uint32_t *pruned);

/* The agreement; NaN when the sample of the mask keeps or prunes everything. */
double cop_agreement(const uint32_t *pruned, size_t zeros, const cop_tensor_sample *tensor);

#endif
