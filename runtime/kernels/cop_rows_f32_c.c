/* Loops over rows of floats, compiled for any CPU. */
#define COP_ROWS_FILL cop_rows_f32_c_fill
#include "runtime/kernels/rows_f32.h"
