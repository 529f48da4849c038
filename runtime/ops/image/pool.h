/* Windows of pooling, as their loops see them. */
#ifndef COP_OPS_POOL_H
#define COP_OPS_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/op.h"

/* Spatial dims are depth, height, width: missing ones come first. */
typedef struct cop_pool {
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], begin[3], end[3];
    bool average, include_pad;
} cop_pool;

/* The taps of a window along one dim that are inside the input: first <= tap < last, and how many
 * are inside the padded input. */
typedef struct cop_taps {
    int64_t start, first, last, padded;
} cop_taps;

cop_taps cop_taps_at(const cop_pool *pool, int dim, int64_t out);

/* False: the window is so large that only pooling pixel by pixel is left, which takes no tiles. */
bool cop_pool_by_rows(const cop_pool *pool);

/* Pools floats: `in` and `out` are plain, in NHWC or in COP_LAYOUT_TILES. */
void cop_pool_floats(const cop_pool *pool, const cop_call *call);

#endif
