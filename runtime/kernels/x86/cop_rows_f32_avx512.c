/* Loops over rows of floats, compiled for AVX-512. */
#define COP_ROWS_FILL cop_rows_f32_avx512_fill
#include "runtime/kernels/rows_f32.h"
