/* Depthwise convolutions in tiles, AVX-512. */
#include "runtime/kernels/x86/dwconv.h"

static void cop_dwconv_f32_avx512(const cop_dwconv_args *args) {
    dw_channels(args);
}

void cop_dwconv_f32_avx512_fill(cop_kernels *kernels) {
    kernels->dwconv_f32 = cop_dwconv_f32_avx512;
    kernels->dwconv_rows = DW_ROWS;
}
