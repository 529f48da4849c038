/* Loops down the channels of a tile of tokens, compiled for AVX2. */
#define COP_LANES_FILL cop_lanes_f32_avx2_fill
#include "runtime/kernels/lanes_f32.h"
