/* Sparse rows times tiles of 1 to 8 vectors of 16 pixels, AVX-512. */
#include "runtime/kernels/x86/spmm.h"

#define COP_SPMM(v)                                                                                \
    static void cop_spmm_f32_1x##v##x16_avx512(const cop_spmm_args *args) {                        \
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

void cop_spmm_f32_avx512_fill(cop_kernels *kernels) {
    static cop_spmm_f32_fn *const tiles[] = {
        cop_spmm_f32_1x1x16_avx512, cop_spmm_f32_1x2x16_avx512, cop_spmm_f32_1x3x16_avx512,
        cop_spmm_f32_1x4x16_avx512, cop_spmm_f32_1x5x16_avx512, cop_spmm_f32_1x6x16_avx512,
        cop_spmm_f32_1x7x16_avx512, cop_spmm_f32_1x8x16_avx512,
    };
    kernels->lanes = LANES;
    kernels->max_vectors = COP_SPMM_MAX_VECTORS;
    for (int v = 0; v < COP_SPMM_MAX_VECTORS; v++)
        kernels->spmm_f32[v + 1] = tiles[v];
}
