/* Softmax and normalization over the channels of tiles: every position is a lane. */
#ifndef COP_OPS_LANES_H
#define COP_OPS_LANES_H

#include "runtime/kernels/kernels.h"
#include "runtime/ops/util.h"

/* Over the channels of input 0, which is in tiles. */
void cop_run_lanes_softmax(const cop_call *call, bool logarithms);

/* What to do with each lane; x, out, step and lanes are filled in. */
void cop_run_lanes_norm(const cop_call *call, const cop_lanes_norm *norm);

#endif
