/* Loops over rows of floats, compiled for AVX2 and FMA. */
#define COP_ROWS_FILL cop_rows_f32_avx2_fill
#include "runtime/kernels/rows_f32.h"
