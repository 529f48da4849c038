/* Columns of convolutions of step 1 and 2, AVX-512. */
#include "runtime/kernels/x86/columns.h"

static void cop_columns_f32_avx512(const cop_columns_args *args) {
    any_columns(args);
}

void cop_columns_f32_avx512_fill(cop_kernels *kernels) {
    kernels->columns_f32 = cop_columns_f32_avx512;
}
