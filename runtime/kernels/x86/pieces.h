/* Reading what a tap of a convolution reads for 16 output positions. Vectors of 8 floats on every
 * instruction set: they straddle cache lines half as often, and copies are quicker for it. For
 * files of this folder only. */
#ifndef COP_RUNTIME_KERNELS_X86_PIECES_H
#define COP_RUNTIME_KERNELS_X86_PIECES_H

#include <immintrin.h>

#include "runtime/kernels/kernels.h"

enum { PIECE_LANES = 8, PIECE_PARTS = COP_PIECE_LANES / PIECE_LANES };

/* What a piece reads as masks of four vectors, or of the first two when its step is 1. */
#if defined(__AVX512VL__)

typedef struct piece_mask {
    __mmask8 lanes[2 * PIECE_PARTS];
} piece_mask;

static inline __attribute__((always_inline)) piece_mask piece_mask_of_bits(uint32_t bits, int n) {
    piece_mask m = {0};
    for (int i = 0; i < n; i++)
        m.lanes[i] = (__mmask8)(bits >> (i * PIECE_LANES));
    return m;
}

static inline __attribute__((always_inline)) __m256 piece_read(const float *from, piece_mask m,
                                                               int i) {
    return _mm256_maskz_loadu_ps(m.lanes[i], from + i * PIECE_LANES);
}

/* Every second element of both, from the first or the second on. */
static inline __attribute__((always_inline)) __m256 piece_halves(__m256 a, __m256 b, int odd) {
    const __m256i even = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14);
    return _mm256_permutex2var_ps(a, _mm256_add_epi32(even, _mm256_set1_epi32(odd)), b);
}

#else

typedef struct piece_mask {
    __m256i lanes[2 * PIECE_PARTS];
} piece_mask;

static inline __attribute__((always_inline)) piece_mask piece_mask_of_bits(uint32_t bits, int n) {
    const __m256i each = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    piece_mask m;
    for (int i = 0; i < n; i++) {
        const __m256i all = _mm256_set1_epi32((int)(bits >> (i * PIECE_LANES)));
        m.lanes[i] = _mm256_cmpeq_epi32(_mm256_and_si256(all, each), each);
    }
    return m;
}

static inline __attribute__((always_inline)) __m256 piece_read(const float *from, piece_mask m,
                                                               int i) {
    return _mm256_maskload_ps(from + i * PIECE_LANES, m.lanes[i]);
}

static inline __attribute__((always_inline)) __m256 piece_halves(__m256 a, __m256 b, int odd) {
    const __m256 mixed = odd ? _mm256_shuffle_ps(a, b, 0xdd) : _mm256_shuffle_ps(a, b, 0x88);
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(mixed), 0xd8));
}

#endif

/* Bit i goes to bit 2i. */
static inline uint32_t piece_spread(uint32_t x) {
    x = (x | x << 8) & 0x00ff00ff;
    x = (x | x << 4) & 0x0f0f0f0f;
    x = (x | x << 2) & 0x33333333;
    return (x | x << 1) & 0x55555555;
}

static inline __attribute__((always_inline)) piece_mask piece_mask_of(unsigned mask, int step) {
    return piece_mask_of_bits(step == 1 ? mask : piece_spread(mask), step * PIECE_PARTS);
}

/* Part `part` of the lanes; 0 in lanes that are not in the mask. */
static inline __attribute__((always_inline)) __m256 piece_load(const float *from, piece_mask m,
                                                               int part, int step) {
    if (step == 1)
        return piece_read(from, m, part);
    return piece_halves(piece_read(from, m, 2 * part), piece_read(from, m, 2 * part + 1), 0);
}

#endif
