/* Dot products of rows with rows, four by four, on vectors of 16 floats, AVX-512. */
#include "runtime/kernels/x86/dot.h"

static void cop_dot_f32_4x4x16_avx512(const cop_dot_args *args) {
    dot(args);
}

void cop_dot_f32_avx512_fill(cop_kernels *kernels) {
    kernels->dot_f32 = cop_dot_f32_4x4x16_avx512;
}
