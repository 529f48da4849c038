/* Loops down the channels of a tile of tokens, for any CPU. */
#define COP_LANES_FILL cop_lanes_f32_c_fill
#include "runtime/kernels/lanes_f32.h"
