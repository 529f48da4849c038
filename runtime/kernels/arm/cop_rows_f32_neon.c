/* Loops over rows of floats, compiled for NEON. */
#define COP_ROWS_FILL cop_rows_f32_neon_fill
#include "runtime/kernels/rows_f32.h"
