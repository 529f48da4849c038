/* The widest vectors of the instruction set that a file is compiled for, under one set of names, so
 * that a kernel's loops are written once. For files of this folder only. */
#ifndef COP_RUNTIME_KERNELS_X86_WIDE_H
#define COP_RUNTIME_KERNELS_X86_WIDE_H

#include <immintrin.h>

/* cop_wide_quarters: the four floats again and again. */
#if defined(__AVX512F__)
typedef __m512 cop_wide;
#define COP_WIDE(operation) _mm512_##operation##_ps
enum { LANES = 16 };
static inline cop_wide cop_wide_quarters(const float *from) {
    return _mm512_broadcast_f32x4(_mm_loadu_ps(from));
}
#else
typedef __m256 cop_wide;
#define COP_WIDE(operation) _mm256_##operation##_ps
enum { LANES = 8 };
static inline cop_wide cop_wide_quarters(const float *from) {
    return _mm256_broadcast_ps((const __m128 *)(const void *)from);
}
#endif

static inline void cop_wide_store(float *to, cop_wide x) {
    COP_WIDE(storeu)(to, x);
}

/* The accumulator is the second operand: what min and max return for a NaN. */
static inline cop_wide cop_wide_clamp(cop_wide x, cop_wide min, cop_wide max) {
    return COP_WIDE(min)(max, COP_WIDE(max)(min, x));
}

#endif
