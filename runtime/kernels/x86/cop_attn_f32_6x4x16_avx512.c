/* Products of activations: six rows times 1 to 4 vectors of 16 tokens, AVX-512. */
#include "runtime/kernels/x86/attn.h"

static void cop_attn_f32_6x4x16_avx512(const cop_attn_args *args) {
    switch (args->lanes / LANES) {
    case 1:
        all_rows(args, 0, 1);
        break;
    case 2:
        all_rows(args, 0, 2);
        break;
    case 3:
        all_rows(args, 0, 3);
        break;
    default:
        all_rows(args, 0, 4);
    }
}

void cop_attn_f32_avx512_fill(cop_kernels *kernels) {
    kernels->attn_f32 = cop_attn_f32_6x4x16_avx512;
}
