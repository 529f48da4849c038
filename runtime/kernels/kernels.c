/* Fills the table of inner loops for an instruction set. */
#include "runtime/kernels/kernels.h"

#include "runtime/conv.h"

void cop_kernels_init(cop_kernels *kernels, coppice_isa isa) {
    cop_spmm_f32_c_fill(kernels);
    cop_spmv_f32_c_fill(kernels);
    cop_gemm_f32_c_fill(kernels);
    cop_gemv_f32_c_fill(kernels);
#if defined(__x86_64__)
    if (!cop_isa_allows(isa, COPPICE_ISA_AVX2))
        return;
    cop_spmm_f32_avx2_fill(kernels);
    cop_gemm_f32_avx2_fill(kernels);
    if (!cop_isa_allows(isa, COPPICE_ISA_AVX512))
        return;
    cop_spmm_f32_avx512_fill(kernels);
    cop_gemm_f32_avx512_fill(kernels);
#endif
}
