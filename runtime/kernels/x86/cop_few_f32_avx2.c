/* Sparse weights times a few positions, compiled for AVX2 and FMA. */
#define COP_FEW_FILL cop_few_f32_avx2_fill
#include "runtime/kernels/few_f32.h"
