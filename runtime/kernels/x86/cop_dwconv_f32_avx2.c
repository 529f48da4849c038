/* Depthwise convolutions in tiles, AVX2. */
#include "runtime/kernels/x86/dwconv.h"

static void cop_dwconv_f32_avx2(const cop_dwconv_args *args) {
    dw_channels(args);
}

void cop_dwconv_f32_avx2_fill(cop_kernels *kernels) {
    kernels->dwconv_f32 = cop_dwconv_f32_avx2;
    kernels->dwconv_rows = DW_ROWS;
}
