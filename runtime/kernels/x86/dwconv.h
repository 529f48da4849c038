/* What the loops of depthwise convolutions (runtime/kernels/dwconv_loops.h) are made of on x86.
 * Vectors of 8 floats on every instruction set: rows are short, and they straddle cache lines half
 * as often. */
#ifndef COP_RUNTIME_KERNELS_X86_DWCONV_H
#define COP_RUNTIME_KERNELS_X86_DWCONV_H

#include <immintrin.h>

typedef __m256 dw_vector;
#define DW_LANES 8
/* As many as registers hold the sums of, beside nine weights. */
#if defined(__AVX512VL__)
#define DW_ROWS 7
#else
#define DW_ROWS 4
#endif

static inline dw_vector dw_load(const float *from) {
    return _mm256_loadu_ps(from);
}
static inline void dw_store(float *to, dw_vector x) {
    _mm256_storeu_ps(to, x);
}
static inline dw_vector dw_of(float x) {
    return _mm256_set1_ps(x);
}
static inline dw_vector dw_fma(dw_vector a, dw_vector b, dw_vector sum) {
    return _mm256_fmadd_ps(a, b, sum);
}
static inline dw_vector dw_add(dw_vector a, dw_vector b) {
    return _mm256_add_ps(a, b);
}
/* The accumulator is the second operand: what both return for a NaN. */
static inline dw_vector dw_clamp(dw_vector x, dw_vector min, dw_vector max) {
    return _mm256_min_ps(max, _mm256_max_ps(min, x));
}
static inline void dw_halves(const float *from, dw_vector *even, dw_vector *odd) {
    const __m256 a = _mm256_loadu_ps(from), b = _mm256_loadu_ps(from + DW_LANES);
    const __m256 x = _mm256_shuffle_ps(a, b, 0x88), y = _mm256_shuffle_ps(a, b, 0xdd);
    *even = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(x), 0xd8));
    *odd = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(y), 0xd8));
}

#include "runtime/kernels/dwconv_loops.h"

#endif
