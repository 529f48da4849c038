/* Four dense rows times tiles of 1 to 6 vectors of 16 pixels, AVX-512. */
#include "runtime/kernels/x86/gemm.h"

#define COP_GEMM(v)                                                                                \
    static void cop_gemm_f32_4x##v##x16_avx512(const cop_gemm_args *args) {                        \
        gemm(args, v);                                                                             \
    }
COP_GEMM(1)
COP_GEMM(2)
COP_GEMM(3)
COP_GEMM(4)
COP_GEMM(5)
COP_GEMM(6)

void cop_gemm_f32_avx512_fill(cop_kernels *kernels) {
    static cop_gemm_f32_fn *const tiles[] = {
        cop_gemm_f32_4x1x16_avx512, cop_gemm_f32_4x2x16_avx512, cop_gemm_f32_4x3x16_avx512,
        cop_gemm_f32_4x4x16_avx512, cop_gemm_f32_4x5x16_avx512, cop_gemm_f32_4x6x16_avx512};
    kernels->gemm_lanes = LANES;
    kernels->gemm_max_vectors = MAX_VECTORS;
    for (int v = 0; v < MAX_VECTORS; v++)
        kernels->gemm_f32[v + 1] = tiles[v];
}
