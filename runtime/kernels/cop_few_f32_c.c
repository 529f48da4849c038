/* Sparse weights times a few positions, for any CPU. */
#define COP_FEW_FILL cop_few_f32_c_fill
#include "runtime/kernels/few_f32.h"
