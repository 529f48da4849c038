/* Functions of each element of a row of floats, for any CPU. */
#define COP_MAPS_FILL cop_maps_f32_c_fill
#include "runtime/kernels/maps_f32.h"
