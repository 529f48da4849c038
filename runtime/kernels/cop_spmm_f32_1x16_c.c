/* Sparse rows times a tile of 16 pixels in plain C, on vectors of 4 floats as any CPU has them. */
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/vector.h"

enum { LANES = COP_VECTOR_LANES, VECTORS = 4, TILE = LANES * VECTORS };

static void cop_spmm_f32_1x16_c(const cop_spmm_args *args) {
    const cop_spmm_entry *entry = args->entries;
    const uint32_t *row = args->rows;
    for (size_t i = 0; i < args->run_count; i++) {
        for (uint32_t r = args->runs[i].rows; r > 0; r--, row++) {
            float *out = args->output + *row * args->output_stride;
            cop_vector acc[VECTORS];
            for (int v = 0; v < VECTORS; v++)
                acc[v] =
                    args->bias ? cop_vector_of(args->bias[*row]) : cop_vector_load(out + v * LANES);
            for (uint32_t n = args->runs[i].entries; n > 0; n--, entry++) {
                const float *in = (const float *)(args->input + entry->offset);
                const cop_vector weight = cop_vector_of(entry->value);
                for (int v = 0; v < VECTORS; v++)
                    acc[v] += weight * cop_vector_load(in + v * LANES);
            }
            for (int v = 0; v < VECTORS; v++)
                for (int t = 0; t < LANES; t++)
                    out[v * LANES + t] = cop_clamp(acc[v][t], args->min, args->max);
        }
    }
}

void cop_spmm_f32_c_fill(cop_kernels *kernels) {
    kernels->lanes = TILE;
    kernels->max_vectors = 1;
    for (int v = 0; v <= COP_SPMM_MAX_VECTORS; v++)
        kernels->spmm_f32[v] = cop_spmm_f32_1x16_c;
}
