/* Fills the table of inner loops for an instruction set. */
#include "runtime/kernels/kernels.h"

#include <pthread.h>

#include "runtime/conv.h"

void cop_kernels_init(cop_kernels *kernels, coppice_isa isa) {
    cop_gemm_f32_c_fill(kernels);
    cop_tile_f32_c_fill(kernels);
    cop_tile_one_f32_c_fill(kernels);
    cop_dot_f32_c_fill(kernels);
    cop_maps_f32_c_fill(kernels);
    cop_rows_f32_c_fill(kernels);
    cop_attn_f32_c_fill(kernels);
    cop_few_f32_c_fill(kernels);
    cop_lanes_f32_c_fill(kernels);
    cop_columns_f32_c_fill(kernels);
    cop_dwconv_f32_c_fill(kernels);
#if defined(__x86_64__) /* even filling is done by code for the instruction set */
    if (!cop_isa_allows(isa, COPPICE_ISA_AVX2) || !cop_isa_available(COPPICE_ISA_AVX2))
        return;
    cop_gemm_f32_avx2_fill(kernels);
    cop_tile_f32_avx2_fill(kernels);
    cop_dot_f32_avx2_fill(kernels);
    cop_maps_f32_avx2_fill(kernels);
    cop_rows_f32_avx2_fill(kernels);
    cop_attn_f32_avx2_fill(kernels);
    cop_few_f32_avx2_fill(kernels);
    cop_lanes_f32_avx2_fill(kernels);
    cop_columns_f32_avx2_fill(kernels);
    cop_dwconv_f32_avx2_fill(kernels);
    if (!cop_isa_allows(isa, COPPICE_ISA_AVX512) || !cop_isa_available(COPPICE_ISA_AVX512))
        return;
    cop_spmv_f32_avx512_fill(kernels);
    cop_gemm_f32_avx512_fill(kernels);
    cop_tile_f32_avx512_fill(kernels);
    cop_dot_f32_avx512_fill(kernels);
    cop_maps_f32_avx512_fill(kernels);
    cop_rows_f32_avx512_fill(kernels);
    cop_attn_f32_avx512_fill(kernels);
    cop_few_f32_avx512_fill(kernels);
    cop_lanes_f32_avx512_fill(kernels);
    cop_columns_f32_avx512_fill(kernels);
    cop_dwconv_f32_avx512_fill(kernels);
#elif defined(__aarch64__)
    if (!cop_isa_allows(isa, COPPICE_ISA_NEON))
        return;
    cop_tile_f32_neon_fill(kernels);
    cop_dot_f32_neon_fill(kernels);
    cop_maps_f32_neon_fill(kernels);
    cop_rows_f32_neon_fill(kernels);
    cop_attn_f32_neon_fill(kernels);
    cop_few_f32_neon_fill(kernels);
    cop_lanes_f32_neon_fill(kernels);
    cop_columns_f32_neon_fill(kernels);
    cop_dwconv_f32_neon_fill(kernels);
#else
    (void)isa;
#endif
}

enum { ISAS = COPPICE_ISA_NEON + 1 };

static cop_kernels filled[ISAS];

static void fill_all(void) {
    for (int isa = 0; isa < ISAS; isa++)
        cop_kernels_init(&filled[isa], (coppice_isa)isa);
}

const cop_kernels *cop_kernels_of(coppice_isa isa) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_all);
    return &filled[isa];
}
