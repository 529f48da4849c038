/* Sparse rows times a tile of 16 pixels in plain C, on vectors of 4 floats as any CPU has them. */
#include "runtime/kernels/kernels.h"

#include <string.h>

enum { LANES = 4, VECTORS = 4, TILE = LANES * VECTORS };

typedef float vector __attribute__((vector_size(LANES * sizeof(float))));

static inline vector load(const float *from) {
    vector v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline vector broadcast(float x) {
    return (vector){x, x, x, x};
}

static inline float clamp(float x, float min, float max) {
    x = x < min ? min : x;
    return x > max ? max : x;
}

static void cop_spmm_f32_1x16_c(const cop_spmm_args *args) {
    const cop_spmm_entry *entry = args->entries;
    const uint32_t *row = args->rows;
    for (size_t i = 0; i < args->run_count; i++) {
        for (uint32_t r = args->runs[i].rows; r > 0; r--, row++) {
            float *out = args->output + *row * args->output_stride;
            vector acc[VECTORS];
            for (int v = 0; v < VECTORS; v++)
                acc[v] = args->bias ? broadcast(args->bias[*row]) : load(out + v * LANES);
            for (uint32_t n = args->runs[i].entries; n > 0; n--, entry++) {
                const float *in = (const float *)(args->input + entry->offset);
                const vector weight = broadcast(entry->value);
                for (int v = 0; v < VECTORS; v++)
                    acc[v] += weight * load(in + v * LANES);
            }
            for (int v = 0; v < VECTORS; v++)
                for (int t = 0; t < LANES; t++)
                    out[v * LANES + t] = clamp(acc[v][t], args->min, args->max);
        }
    }
}

void cop_spmm_f32_c_fill(cop_kernels *kernels) {
    kernels->lanes = TILE;
    kernels->max_vectors = 1;
    for (int v = 0; v <= COP_SPMM_MAX_VECTORS; v++)
        kernels->spmm_f32[v] = cop_spmm_f32_1x16_c;
}
