/* Sparse rows times tiles of 1 to 8 vectors of 8 pixels, AVX2 and FMA. */
#include "runtime/kernels/kernels.h"

#include <immintrin.h>

enum { LANES = 8 };

/* One function body for every tile: `vectors` is a constant where it is inlined, so that the
 * accumulators live in registers. */
static inline __attribute__((always_inline)) void spmm(const cop_spmm_args *args, int vectors) {
    const cop_spmm_entry *entry = args->entries;
    const uint32_t *row = args->rows;
    const __m256 min = _mm256_set1_ps(args->min), max = _mm256_set1_ps(args->max);
    for (size_t i = 0; i < args->run_count; i++) {
        const uint32_t count = args->runs[i].entries;
        for (uint32_t r = args->runs[i].rows; r > 0; r--, row++) {
            float *out = args->output + *row * args->output_stride;
            __m256 acc[COP_SPMM_MAX_VECTORS];
            for (int v = 0; v < vectors; v++)
                acc[v] = args->bias ? _mm256_set1_ps(args->bias[*row])
                                    : _mm256_loadu_ps(out + v * LANES);
            for (uint32_t n = count; n > 0; n--, entry++) {
                const float *in = (const float *)(args->input + entry->offset);
                const __m256 weight = _mm256_set1_ps(entry->value);
                for (int v = 0; v < vectors; v++)
                    acc[v] = _mm256_fmadd_ps(weight, _mm256_loadu_ps(in + v * LANES), acc[v]);
            }
            /* The accumulator is the second operand: what min and max return for a NaN. */
            for (int v = 0; v < vectors; v++)
                _mm256_storeu_ps(out + v * LANES, _mm256_min_ps(max, _mm256_max_ps(min, acc[v])));
        }
    }
}

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
