/* Sparse rows times a tile of 16 pixels in plain C. */
#include "runtime/kernels/kernels.h"

enum { TILE = 16 };

static float clamp(float x, float min, float max) {
    x = x < min ? min : x;
    return x > max ? max : x;
}

static void cop_spmm_f32_1x16_c(const cop_spmm_args *args) {
    const cop_spmm_entry *entry = args->entries;
    const uint32_t *row = args->rows;
    for (size_t i = 0; i < args->run_count; i++) {
        for (uint32_t r = args->runs[i].rows; r > 0; r--, row++) {
            float *out = args->output + *row * args->output_stride;
            float acc[TILE];
            for (int t = 0; t < TILE; t++)
                acc[t] = args->bias ? args->bias[*row] : out[t];
            for (uint32_t n = args->runs[i].entries; n > 0; n--, entry++) {
                const float *in = (const float *)(args->input + entry->offset);
                for (int t = 0; t < TILE; t++)
                    acc[t] += entry->value * in[t];
            }
            for (int t = 0; t < TILE; t++)
                out[t] = clamp(acc[t], args->min, args->max);
        }
    }
}

void cop_spmm_f32_c_fill(cop_kernels *kernels) {
    kernels->lanes = TILE;
    kernels->max_vectors = 1;
    for (int v = 0; v <= COP_SPMM_MAX_VECTORS; v++)
        kernels->spmm_f32[v] = cop_spmm_f32_1x16_c;
}
