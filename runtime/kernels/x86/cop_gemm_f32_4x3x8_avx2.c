/* Four dense rows times tiles of 1 to 3 vectors of 8 pixels, AVX2 and FMA. */
#include "runtime/kernels/x86/gemm.h"

#define COP_GEMM(v)                                                                                \
    static void cop_gemm_f32_4x##v##x8_avx2(const cop_gemm_args *args) {                           \
        gemm(args, v);                                                                             \
    }
COP_GEMM(1)
COP_GEMM(2)
COP_GEMM(3)

void cop_gemm_f32_avx2_fill(cop_kernels *kernels) {
    static cop_gemm_f32_fn *const tiles[] = {cop_gemm_f32_4x1x8_avx2, cop_gemm_f32_4x2x8_avx2,
                                             cop_gemm_f32_4x3x8_avx2};
    kernels->gemm_lanes = LANES;
    kernels->gemm_max_vectors = MAX_VECTORS;
    for (int v = 0; v < MAX_VECTORS; v++)
        kernels->gemm_f32[v + 1] = tiles[v];
}
