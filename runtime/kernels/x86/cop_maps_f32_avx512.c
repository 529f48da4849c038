/* Functions of each element of a row of floats, compiled for AVX-512. */
#define COP_MAPS_FILL cop_maps_f32_avx512_fill
#include "runtime/kernels/maps_f32.h"
