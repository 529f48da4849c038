/* Dot products of rows with rows, two by four, on vectors of 8 floats, AVX2 and FMA. */
#include "runtime/kernels/x86/dot.h"

static void cop_dot_f32_2x4x8_avx2(const cop_dot_args *args) {
    dot(args);
}

void cop_dot_f32_avx2_fill(cop_kernels *kernels) {
    kernels->dot_f32 = cop_dot_f32_2x4x8_avx2;
}
