/* InstanceNormalization and GroupNormalization of images in tiles. */
#ifndef COP_OPS_NORM_TILES_H
#define COP_OPS_NORM_TILES_H

#include "runtime/op.h"

typedef struct cop_group_norm {
    size_t groups;             /* of each image's channels, > 0; each is normalized by itself */
    size_t scales;             /* one for each channel, or for each group */
    const float *scale, *bias; /* [scales] */
    double epsilon;
} cop_group_norm;

/* Input 0 and output 0 are float32 in COP_LAYOUT_TILES. */
void cop_run_group_norm_tiles(const cop_call *call, const cop_group_norm *norm);

#endif
