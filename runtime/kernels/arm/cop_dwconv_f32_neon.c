/* Depthwise convolutions of step 1 and 2 in tiles, NEON: four channels at a time, so that what a
 * piece says is read once for all of them, and their weights are the lanes of one register. */
#include "runtime/kernels/arm/quads.h"
#include "runtime/kernels/kernels.h"

enum { BLOCK = 4, QUADS = COP_PIECE_LANES / QUAD };

/* A piece, for `channels` channels (1 or 4, a constant as `step` is) that are `stride` floats
 * apart. */
static inline __attribute__((always_inline)) void add_piece(const cop_piece *p, const float *input,
                                                            size_t stride, float32x4_t weights,
                                                            int channels, size_t step,
                                                            float32x4_t acc[][QUADS]) {
    const float *from = input + p->offset;
#pragma GCC unroll 4
    for (int q = 0; q < QUADS; q++) {
        const unsigned bits = (unsigned)p->mask >> (q * QUAD) & 0xf;
        const float *at = from + (size_t)q * QUAD * step;
        if (bits == 0xf)
            for (int c = 0; c < channels; c++, at += stride)
                acc[c][q] = quad_fma_lane(acc[c][q], quad_load(at, step), weights, c);
        else if (bits)
            for (int c = 0; c < channels; c++, at += stride)
                acc[c][q] = quad_fma_lane(acc[c][q], quad_load_some(at, step, bits), weights, c);
    }
}

static inline __attribute__((always_inline)) void
some_channels(const cop_dwconv_args *args, size_t channel, int channels, size_t step) {
    const cop_dwconv_args a = *args;
    const float32x4_t min = vdupq_n_f32(a.min), max = vdupq_n_f32(a.max);
    const float *weights = a.weights +
                           channel / COP_DWCONV_CHANNELS * a.taps * COP_DWCONV_CHANNELS +
                           channel % COP_DWCONV_CHANNELS;
    const float *input = a.input + channel / a.multiplier * a.input_stride;
    for (size_t v = 0; v < a.vectors; v++) {
        float32x4_t acc[BLOCK][QUADS];
        for (int c = 0; c < channels; c++)
            for (int q = 0; q < QUADS; q++)
                acc[c][q] = vdupq_n_f32(a.bias[channel + (size_t)c]);
        for (uint32_t i = a.first[v]; i < a.first[v + 1]; i++) {
            const float *weight = weights + a.pieces[i].slot * (size_t)COP_DWCONV_CHANNELS;
            add_piece(&a.pieces[i], input, a.input_stride,
                      channels == BLOCK ? vld1q_f32(weight) : vdupq_n_f32(*weight), channels, step,
                      acc);
        }
        size_t at = channel * a.output_stride + v * COP_PIECE_LANES;
        for (int c = 0; c < channels; c++, at += a.output_stride)
            for (size_t q = 0; q < QUADS; q++) {
                float32x4_t x = acc[c][q];
                if (a.residual)
                    x = vaddq_f32(x, vld1q_f32(a.residual + at + q * QUAD));
                vst1q_f32(a.output + at + q * QUAD, quad_clamp(x, min, max));
            }
    }
}

static inline __attribute__((always_inline)) void dwconv(const cop_dwconv_args *args, size_t step) {
    size_t c = 0;
    if (args->multiplier == 1)
        for (; c + BLOCK <= args->channels; c += BLOCK)
            some_channels(args, c, BLOCK, step);
    for (; c < args->channels; c++)
        some_channels(args, c, 1, step);
}

static void cop_dwconv_f32_neon(const cop_dwconv_args *args) {
    if (args->step == 1)
        dwconv(args, 1);
    else if (args->step == 2)
        dwconv(args, 2);
    else
        cop_dwconv_f32_c(args);
}

void cop_dwconv_f32_neon_fill(cop_kernels *kernels) {
    kernels->dwconv_f32 = cop_dwconv_f32_neon;
}
