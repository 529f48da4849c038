/* The loops of depthwise convolutions: several channels at a time, so that what a piece says is
 * read once for all of them and their sums hide the latency of each other. */
#ifndef COP_RUNTIME_KERNELS_X86_DWCONV_H
#define COP_RUNTIME_KERNELS_X86_DWCONV_H

#include "runtime/kernels/x86/pieces.h"

/* As many as registers hold the sums of. */
#if defined(__AVX512VL__)
enum { DWCONV_BLOCK = 8 };
#else
enum { DWCONV_BLOCK = 4 };
#endif

typedef __m256 dwconv_sums[DWCONV_BLOCK][PIECE_PARTS];

/* A piece for `channels` channels from `input` and `weights` on. `stride`: floats from one
 * channel's input to the next. */
static inline __attribute__((always_inline)) void one_piece(const cop_piece *p, const float *input,
                                                            size_t stride, const float *weights,
                                                            int channels, int step,
                                                            dwconv_sums acc) {
    const piece_mask mask = piece_mask_of(p->mask, step);
    const float *from = input + p->offset;
    const float *weight = weights + p->slot * (size_t)COP_DWCONV_CHANNELS;
#pragma GCC unroll 8
    for (int c = 0; c < channels; c++, from += stride) {
        const __m256 w = _mm256_broadcast_ss(weight + c);
        for (int i = 0; i < PIECE_PARTS; i++)
            acc[c][i] = _mm256_fmadd_ps(w, piece_load(from, mask, i, step), acc[c][i]);
    }
}

/* Two pieces of step 2 the second of which begins one float behind the first: one reads the even
 * floats, the other the odd ones. */
static inline __attribute__((always_inline)) void two_pieces(const cop_piece *p, const float *input,
                                                             size_t stride, const float *weights,
                                                             int channels, dwconv_sums acc) {
    const piece_mask mask =
        piece_mask_of_bits(piece_spread(p[0].mask) | piece_spread(p[1].mask) << 1, 2 * PIECE_PARTS);
    const float *from = input + p->offset;
    const float *first = weights + p[0].slot * (size_t)COP_DWCONV_CHANNELS;
    const float *second = weights + p[1].slot * (size_t)COP_DWCONV_CHANNELS;
#pragma GCC unroll 8
    for (int c = 0; c < channels; c++, from += stride) {
        const __m256 w0 = _mm256_broadcast_ss(first + c), w1 = _mm256_broadcast_ss(second + c);
        for (int i = 0; i < PIECE_PARTS; i++) {
            const __m256 a = piece_read(from, mask, 2 * i), b = piece_read(from, mask, 2 * i + 1);
            acc[c][i] = _mm256_fmadd_ps(w0, piece_halves(a, b, 0), acc[c][i]);
            acc[c][i] = _mm256_fmadd_ps(w1, piece_halves(a, b, 1), acc[c][i]);
        }
    }
}

static inline __attribute__((always_inline)) void
add_pieces(const cop_piece *p, const cop_piece *end, const float *input, size_t stride,
           const float *weights, int channels, int step, dwconv_sums acc) {
    for (; p < end; p++) {
        if (step == 2 && p + 1 < end && p[1].offset == p->offset + 1) {
            two_pieces(p, input, stride, weights, channels, acc);
            p++;
        } else {
            one_piece(p, input, stride, weights, channels, step, acc);
        }
    }
}

/* Channels channel .. channel + channels - 1, all of which have their weights in one block and read
 * the inputs from channel / multiplier on. */
static inline __attribute__((always_inline)) void
some_channels(const cop_dwconv_args *args, size_t channel, int channels, int step) {
    const cop_dwconv_args a = *args;
    const __m256 min = _mm256_set1_ps(a.min), max = _mm256_set1_ps(a.max);
    const float *weights = a.weights +
                           channel / COP_DWCONV_CHANNELS * a.taps * COP_DWCONV_CHANNELS +
                           channel % COP_DWCONV_CHANNELS;
    const float *input = a.input + channel / a.multiplier * a.input_stride;
    for (size_t v = 0; v < a.vectors; v++) {
        dwconv_sums acc;
        for (int c = 0; c < channels; c++)
            for (int i = 0; i < PIECE_PARTS; i++)
                acc[c][i] = _mm256_broadcast_ss(a.bias + channel + c);
        add_pieces(a.pieces + a.first[v], a.pieces + a.first[v + 1], input, a.input_stride, weights,
                   channels, step, acc);
        size_t at = channel * a.output_stride + v * COP_PIECE_LANES;
        for (int c = 0; c < channels; c++, at += a.output_stride)
            for (int i = 0; i < PIECE_PARTS; i++) {
                __m256 x = acc[c][i];
                if (a.residual)
                    x = _mm256_add_ps(x, _mm256_load_ps(a.residual + at + i * PIECE_LANES));
                /* The accumulator is the second operand: what both return for a NaN. */
                x = _mm256_min_ps(max, _mm256_max_ps(min, x));
                _mm256_store_ps(a.output + at + i * PIECE_LANES, x);
            }
    }
}

static inline __attribute__((always_inline)) void dwconv(const cop_dwconv_args *args, int step) {
    size_t c = 0;
    if (args->multiplier == 1)
        for (; c + DWCONV_BLOCK <= args->channels; c += DWCONV_BLOCK)
            some_channels(args, c, DWCONV_BLOCK, step);
    for (; c < args->channels; c++)
        some_channels(args, c, 1, step);
}

static inline __attribute__((always_inline)) void any_dwconv(const cop_dwconv_args *args) {
    if (args->step == 1)
        dwconv(args, 1);
    else if (args->step == 2)
        dwconv(args, 2);
    else
        cop_dwconv_f32_c(args);
}

#endif
