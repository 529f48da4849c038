/* Four dense rows times tiles of 1 to 3 vectors of 8 pixels, AVX2 and FMA. */
#include "runtime/kernels/kernels.h"

#include <immintrin.h>

enum { ROWS = COP_GEMM_ROWS, LANES = 8, MAX_VECTORS = 3 };

/* One function body for every tile: `vectors` is a constant where it is inlined, so that the
 * accumulators live in registers. `rows`: how many of the four there are. */
static inline __attribute__((always_inline)) void four_rows(const cop_gemm_args *args, size_t row,
                                                            int rows, int vectors) {
    const __m256 min = _mm256_set1_ps(args->min), max = _mm256_set1_ps(args->max);
    const float *weights = args->weights + row * args->columns;
    float *out = args->output + row * args->output_stride;
    __m256 acc[ROWS][MAX_VECTORS];
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < vectors; v++)
            acc[r][v] = r >= rows ? _mm256_setzero_ps()
                        : args->bias
                            ? _mm256_set1_ps(args->bias[row + (size_t)r])
                            : _mm256_loadu_ps(out + (size_t)r * args->output_stride + v * LANES);
    for (size_t k = 0; k < args->columns; k++, weights += ROWS) {
        const float *in = (const float *)(args->input + args->offsets[k]);
        __m256 x[MAX_VECTORS];
        for (int v = 0; v < vectors; v++)
            x[v] = _mm256_loadu_ps(in + v * LANES);
        for (int r = 0; r < ROWS; r++) {
            const __m256 weight = _mm256_set1_ps(weights[r]);
            for (int v = 0; v < vectors; v++)
                acc[r][v] = _mm256_fmadd_ps(weight, x[v], acc[r][v]);
        }
    }
    /* The accumulator is the second operand: what min and max return for a NaN. */
    for (int r = 0; r < ROWS && r < rows; r++)
        for (int v = 0; v < vectors; v++)
            _mm256_storeu_ps(out + (size_t)r * args->output_stride + v * LANES,
                             _mm256_min_ps(max, _mm256_max_ps(min, acc[r][v])));
}

static inline __attribute__((always_inline)) void gemm(const cop_gemm_args *args, int vectors) {
    size_t row = 0;
    for (; row + ROWS <= args->rows; row += ROWS)
        four_rows(args, row, ROWS, vectors);
    if (row < args->rows)
        four_rows(args, row, (int)(args->rows - row), vectors);
}

#define COP_GEMM(v)                                                                                \
    static void cop_gemm_f32_4x##v##x8_avx2(const cop_gemm_args *args) {                           \
        gemm(args, v);                                                                             \
    }
COP_GEMM(1)
COP_GEMM(2)
COP_GEMM(3)

void cop_gemm_f32_avx2_fill(cop_kernels *kernels) {
    static cop_gemm_f32_fn *const tiles[] = {cop_gemm_f32_4x1x8_avx2, cop_gemm_f32_4x2x8_avx2,
                                             cop_gemm_f32_4x3x8_avx2};
    kernels->gemm_lanes = LANES;
    kernels->gemm_max_vectors = MAX_VECTORS;
    for (int v = 0; v < MAX_VECTORS; v++)
        kernels->gemm_f32[v + 1] = tiles[v];
}
