/* Products of activations: six rows times two vectors of 8 tokens at a time, AVX2. */
#include "runtime/kernels/x86/attn.h"

static void cop_attn_f32_6x2x8_avx2(const cop_attn_args *args) {
    for (size_t lane = 0; lane < args->lanes; lane += MAX_VECTORS * LANES)
        all_rows(args, lane, MAX_VECTORS);
}

void cop_attn_f32_avx2_fill(cop_kernels *kernels) {
    kernels->attn_f32 = cop_attn_f32_6x2x8_avx2;
}
