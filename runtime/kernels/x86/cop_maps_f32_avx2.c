/* Functions of each element of a row of floats, compiled for AVX2 and FMA. */
#define COP_MAPS_FILL cop_maps_f32_avx2_fill
#include "runtime/kernels/maps_f32.h"
