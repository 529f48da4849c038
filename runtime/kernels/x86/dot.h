/* Dot products of rows with rows: tiles of sums, each as wide as a vector, added up at the end. */
#ifndef COP_RUNTIME_KERNELS_X86_DOT_H
#define COP_RUNTIME_KERNELS_X86_DOT_H

#include "runtime/kernels/kernels.h"
#include "runtime/kernels/x86/wide.h"

enum { DOT_COLUMNS = 4, DOT_ROWS = LANES == 16 ? 4 : 2 };

#if defined(__AVX512F__)
typedef __mmask16 dot_mask;

static inline dot_mask dot_mask_of(size_t lanes) {
    return (dot_mask)((1u << lanes) - 1u);
}

static inline cop_wide dot_load_some(const float *from, dot_mask mask) {
    return _mm512_maskz_loadu_ps(mask, from);
}

static inline __m128 dot_fold(cop_wide x) {
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}
#else
typedef __m256i dot_mask;

static inline dot_mask dot_mask_of(size_t lanes) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)lanes),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline cop_wide dot_load_some(const float *from, dot_mask mask) {
    return _mm256_maskload_ps(from, mask);
}

static inline __m128 dot_fold(cop_wide x) {
    return _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
}
#endif

/* The four sums of four vectors. */
static inline __m128 dot_sums(const cop_wide *acc) {
    __m128 s0 = dot_fold(acc[0]), s1 = dot_fold(acc[1]);
    __m128 s2 = dot_fold(acc[2]), s3 = dot_fold(acc[3]);
    _MM_TRANSPOSE4_PS(s0, s1, s2, s3);
    return _mm_add_ps(_mm_add_ps(s0, s1), _mm_add_ps(s2, s3));
}

/* One tile; `rows` is a constant where it is inlined. Of the four columns `count` are there: the
 * others repeat the last. Two sets of sums for a single row, as each addition waits for the one
 * before. */
static inline __attribute__((always_inline)) void dot_tile(const cop_dot_args *args, size_t m,
                                                           size_t n, int rows, size_t count) {
    const float *a = args->a + m * args->a_stride;
    const float *b[DOT_COLUMNS];
    for (size_t c = 0; c < DOT_COLUMNS; c++)
        b[c] = args->b + (n + (c < count ? c : count - 1)) * args->b_stride;
    cop_wide acc[DOT_ROWS][DOT_COLUMNS], more[DOT_COLUMNS];
    for (int c = 0; c < DOT_COLUMNS; c++) {
        more[c] = COP_WIDE(setzero)();
        for (int r = 0; r < rows; r++)
            acc[r][c] = COP_WIDE(setzero)();
    }
    size_t k = 0, reduction = args->reduction;
    for (; rows == 1 && k + 2 * LANES <= reduction; k += 2 * LANES) {
        cop_wide x = COP_WIDE(loadu)(a + k), y = COP_WIDE(loadu)(a + k + LANES);
        for (int c = 0; c < DOT_COLUMNS; c++) {
            acc[0][c] = COP_WIDE(fmadd)(x, COP_WIDE(loadu)(b[c] + k), acc[0][c]);
            more[c] = COP_WIDE(fmadd)(y, COP_WIDE(loadu)(b[c] + k + LANES), more[c]);
        }
    }
    for (; k + LANES <= reduction; k += LANES) {
        cop_wide x[DOT_ROWS];
        for (int r = 0; r < rows; r++)
            x[r] = COP_WIDE(loadu)(a + (size_t)r * args->a_stride + k);
        for (int c = 0; c < DOT_COLUMNS; c++) {
            cop_wide y = COP_WIDE(loadu)(b[c] + k);
            for (int r = 0; r < rows; r++)
                acc[r][c] = COP_WIDE(fmadd)(x[r], y, acc[r][c]);
        }
    }
    if (k < reduction) {
        dot_mask mask = dot_mask_of(reduction - k);
        cop_wide x[DOT_ROWS];
        for (int r = 0; r < rows; r++)
            x[r] = dot_load_some(a + (size_t)r * args->a_stride + k, mask);
        for (int c = 0; c < DOT_COLUMNS; c++) {
            cop_wide y = dot_load_some(b[c] + k, mask);
            for (int r = 0; r < rows; r++)
                acc[r][c] = COP_WIDE(fmadd)(x[r], y, acc[r][c]);
        }
    }
    for (int c = 0; rows == 1 && c < DOT_COLUMNS; c++)
        acc[0][c] = COP_WIDE(add)(acc[0][c], more[c]);
    for (int r = 0; r < rows; r++) {
        float *out = args->out + (m + (size_t)r) * args->out_stride + n, sums[DOT_COLUMNS];
        _mm_storeu_ps(sums, dot_sums(acc[r]));
        for (size_t c = 0; c < count; c++)
            out[c] = args->add ? out[c] + sums[c] : sums[c];
    }
}

static inline __attribute__((always_inline)) void dot(const cop_dot_args *args) {
    for (size_t n = 0; n < args->columns; n += DOT_COLUMNS) {
        size_t count = args->columns - n < DOT_COLUMNS ? args->columns - n : DOT_COLUMNS, m = 0;
        for (; m + DOT_ROWS <= args->rows; m += DOT_ROWS)
            dot_tile(args, m, n, DOT_ROWS, count);
        for (; m < args->rows; m++)
            dot_tile(args, m, n, 1, count);
    }
}

#endif
