/* Sparse weights times a few positions, compiled for AVX-512. */
#define COP_FEW_FILL cop_few_f32_avx512_fill
#include "runtime/kernels/few_f32.h"
