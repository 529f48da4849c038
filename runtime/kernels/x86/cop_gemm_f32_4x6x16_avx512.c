/* Four dense rows times tiles of 1 to 6 vectors of 16 pixels, AVX-512. */
#include "runtime/kernels/kernels.h"

#include <immintrin.h>

enum { ROWS = COP_GEMM_ROWS, LANES = 16, MAX_VECTORS = 6 };

/* One function body for every tile: `vectors` is a constant where it is inlined, so that the
 * accumulators live in registers. `rows`: how many of the four there are. */
static inline __attribute__((always_inline)) void four_rows(const cop_gemm_args *args, size_t row,
                                                            int rows, int vectors) {
    const __m512 min = _mm512_set1_ps(args->min), max = _mm512_set1_ps(args->max);
    const float *weights = args->weights + row * args->columns;
    float *out = args->output + row * args->output_stride;
    __m512 acc[ROWS][MAX_VECTORS];
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < vectors; v++)
            acc[r][v] = r >= rows ? _mm512_setzero_ps()
                        : args->bias
                            ? _mm512_set1_ps(args->bias[row + (size_t)r])
                            : _mm512_loadu_ps(out + (size_t)r * args->output_stride + v * LANES);
    for (size_t k = 0; k < args->columns; k++, weights += ROWS) {
        const float *in = (const float *)(args->input + args->offsets[k]);
        __m512 x[MAX_VECTORS];
        for (int v = 0; v < vectors; v++)
            x[v] = _mm512_loadu_ps(in + v * LANES);
        for (int r = 0; r < ROWS; r++) {
            const __m512 weight = _mm512_set1_ps(weights[r]);
            for (int v = 0; v < vectors; v++)
                acc[r][v] = _mm512_fmadd_ps(weight, x[v], acc[r][v]);
        }
    }
    /* The accumulator is the second operand: what min and max return for a NaN. */
    for (int r = 0; r < ROWS && r < rows; r++)
        for (int v = 0; v < vectors; v++)
            _mm512_storeu_ps(out + (size_t)r * args->output_stride + v * LANES,
                             _mm512_min_ps(max, _mm512_max_ps(min, acc[r][v])));
}

static inline __attribute__((always_inline)) void gemm(const cop_gemm_args *args, int vectors) {
    size_t row = 0;
    for (; row + ROWS <= args->rows; row += ROWS)
        four_rows(args, row, ROWS, vectors);
    if (row < args->rows)
        four_rows(args, row, (int)(args->rows - row), vectors);
}

#define COP_GEMM(v)                                                                                \
    static void cop_gemm_f32_4x##v##x16_avx512(const cop_gemm_args *args) {                        \
        gemm(args, v);                                                                             \
    }
COP_GEMM(1)
COP_GEMM(2)
COP_GEMM(3)
COP_GEMM(4)
COP_GEMM(5)
COP_GEMM(6)

void cop_gemm_f32_avx512_fill(cop_kernels *kernels) {
    static cop_gemm_f32_fn *const tiles[] = {
        cop_gemm_f32_4x1x16_avx512, cop_gemm_f32_4x2x16_avx512, cop_gemm_f32_4x3x16_avx512,
        cop_gemm_f32_4x4x16_avx512, cop_gemm_f32_4x5x16_avx512, cop_gemm_f32_4x6x16_avx512};
    kernels->gemm_lanes = LANES;
    kernels->gemm_max_vectors = MAX_VECTORS;
    for (int v = 0; v < MAX_VECTORS; v++)
        kernels->gemm_f32[v + 1] = tiles[v];
}
