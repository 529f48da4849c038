/* Reading what a tap of a convolution reads for 16 output positions. Vectors of 8 floats on every
 * instruction set: they straddle cache lines half as often, and copies are quicker for it. For
 * files of this folder only. */
#ifndef COP_RUNTIME_KERNELS_X86_PIECES_H
#define COP_RUNTIME_KERNELS_X86_PIECES_H

#include <immintrin.h>

#include "runtime/kernels/kernels.h"

enum { PIECE_LANES = 8, PIECE_PARTS = COP_PIECE_LANES / PIECE_LANES };

/* The lanes of a piece, ready for loads: those of step 2 lie in every second lane of twice as many
 * vectors. */
#if defined(__AVX512VL__)

typedef struct piece_mask {
    __mmask8 lanes[2 * PIECE_PARTS];
} piece_mask;

/* Bit i of the lower four goes to bit 2i. */
static inline unsigned spread_bits(unsigned x) {
    x = (x | x << 2) & 0x33;
    return (x | x << 1) & 0x55;
}

static inline __attribute__((always_inline)) piece_mask piece_mask_of(unsigned mask, int step) {
    piece_mask m = {0};
    for (int i = 0; i < step * PIECE_PARTS; i++) {
        const unsigned bits = mask >> (i * PIECE_LANES / step);
        m.lanes[i] = (__mmask8)(step == 1 ? bits : spread_bits(bits & 0xf));
    }
    return m;
}

static inline __attribute__((always_inline)) __m256 piece_read(const float *from, piece_mask m,
                                                               int i) {
    return _mm256_maskz_loadu_ps(m.lanes[i], from + i * PIECE_LANES);
}

#else

typedef struct piece_mask {
    __m256i lanes[2 * PIECE_PARTS];
} piece_mask;

static inline __attribute__((always_inline)) piece_mask piece_mask_of(unsigned mask, int step) {
    const __m256i every = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i second = _mm256_setr_epi32(1, 0, 2, 0, 4, 0, 8, 0);
    const __m256i bits = step == 1 ? every : second, zero = _mm256_setzero_si256();
    piece_mask m;
    for (int i = 0; i < step * PIECE_PARTS; i++) {
        const __m256i all = _mm256_set1_epi32((int)(mask >> (i * PIECE_LANES / step)));
        m.lanes[i] = _mm256_cmpgt_epi32(_mm256_and_si256(all, bits), zero);
    }
    return m;
}

static inline __attribute__((always_inline)) __m256 piece_read(const float *from, piece_mask m,
                                                               int i) {
    return _mm256_maskload_ps(from + i * PIECE_LANES, m.lanes[i]);
}

#endif

/* Part `part` of the lanes; 0 in lanes that are not in the mask. */
static inline __attribute__((always_inline)) __m256 piece_load(const float *from, piece_mask m,
                                                               int part, int step) {
    if (step == 1)
        return piece_read(from, m, part);
    const __m256 a = piece_read(from, m, 2 * part), b = piece_read(from, m, 2 * part + 1);
    const __m256d even = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0x88));
    return _mm256_castpd_ps(_mm256_permute4x64_pd(even, 0xd8));
}

#endif
