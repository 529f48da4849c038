/* Sparse rows times tiles of 1 to 8 vectors of 8 pixels, AVX2 and FMA. */
#include "runtime/kernels/x86/spmm.h"

#define COP_SPMM(v)                                                                                \
    static void cop_spmm_f32_1x##v##x8_avx2(const cop_spmm_args *args) {                           \
        spmm(args, v);                                                                             \
    }
COP_SPMM(1)
COP_SPMM(2)
COP_SPMM(3)
COP_SPMM(4)
COP_SPMM(5)
COP_SPMM(6)
COP_SPMM(7)
COP_SPMM(8)

void cop_spmm_f32_avx2_fill(cop_kernels *kernels) {
    static cop_spmm_f32_fn *const tiles[] = {
        cop_spmm_f32_1x1x8_avx2, cop_spmm_f32_1x2x8_avx2, cop_spmm_f32_1x3x8_avx2,
        cop_spmm_f32_1x4x8_avx2, cop_spmm_f32_1x5x8_avx2, cop_spmm_f32_1x6x8_avx2,
        cop_spmm_f32_1x7x8_avx2, cop_spmm_f32_1x8x8_avx2,
    };
    kernels->lanes = LANES;
    kernels->max_vectors = COP_SPMM_MAX_VECTORS;
    for (int v = 0; v < COP_SPMM_MAX_VECTORS; v++)
        kernels->spmm_f32[v + 1] = tiles[v];
}
