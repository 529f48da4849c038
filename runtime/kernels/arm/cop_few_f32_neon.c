/* Sparse weights times a few positions, compiled for NEON with fused additions. */
#define COP_FEW_FILL cop_few_f32_neon_fill
#include "runtime/kernels/few_f32.h"
