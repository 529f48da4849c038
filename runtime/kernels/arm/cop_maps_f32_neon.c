/* Functions of each element of a row of floats, compiled for NEON with fused additions. */
#define COP_MAPS_FILL cop_maps_f32_neon_fill
#include "runtime/kernels/maps_f32.h"
