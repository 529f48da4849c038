/* Loops down the channels of a tile of tokens, compiled for NEON with fused additions. */
#define COP_LANES_FILL cop_lanes_f32_neon_fill
#include "runtime/kernels/lanes_f32.h"
