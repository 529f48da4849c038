/* Loops down the channels of a tile of tokens, compiled for AVX-512. */
#define COP_LANES_FILL cop_lanes_f32_avx512_fill
#include "runtime/kernels/lanes_f32.h"
