/* The loops of columns: the channels of a piece one after the other, so that its masks stay in
 * registers. */
#ifndef COP_RUNTIME_KERNELS_X86_COLUMNS_H
#define COP_RUNTIME_KERNELS_X86_COLUMNS_H

#include "runtime/kernels/x86/pieces.h"

/* The channels of a vector of one tap. Kept apart from the arguments, which stores might change for
 * all that the compiler knows. */
typedef struct stripes {
    const float *input;
    size_t input_stride, channels;
    float *output;
    size_t output_stride;
} stripes;

static inline __attribute__((always_inline)) void one_piece(stripes s, const cop_piece *p,
                                                            int step) {
    const piece_mask mask = piece_mask_of(p->mask, step);
    const float *from = s.input + p->offset;
    float *to = s.output;
#pragma GCC unroll 4
    for (size_t c = 0; c < s.channels; c++, from += s.input_stride, to += s.output_stride)
        for (int i = 0; i < PIECE_PARTS; i++)
            _mm256_store_ps(to + i * PIECE_LANES, piece_load(from, mask, i, step));
}

static inline __attribute__((always_inline)) void two_pieces(stripes s, const cop_piece *p,
                                                             int step) {
    const piece_mask mask = piece_mask_of(p[0].mask, step);
    const piece_mask other = piece_mask_of(p[1].mask, step);
    const ptrdiff_t distance = (ptrdiff_t)p[1].offset - p[0].offset;
    const float *from = s.input + p->offset;
    float *to = s.output;
#pragma GCC unroll 4
    for (size_t c = 0; c < s.channels; c++, from += s.input_stride, to += s.output_stride)
        for (int i = 0; i < PIECE_PARTS; i++) {
            const __m256 a = piece_load(from, mask, i, step);
            const __m256 b = piece_load(from + distance, other, i, step);
            _mm256_store_ps(to + i * PIECE_LANES, _mm256_or_ps(a, b));
        }
}

/* One piece more; pieces share no lanes. */
static inline __attribute__((always_inline)) void add_piece(stripes s, const cop_piece *p,
                                                            int step) {
    const piece_mask mask = piece_mask_of(p->mask, step);
    const float *from = s.input + p->offset;
    float *to = s.output;
    for (size_t c = 0; c < s.channels; c++, from += s.input_stride, to += s.output_stride)
        for (int i = 0; i < PIECE_PARTS; i++) {
            const __m256 more = piece_load(from, mask, i, step);
            float *part = to + i * PIECE_LANES;
            _mm256_store_ps(part, _mm256_or_ps(_mm256_load_ps(part), more));
        }
}

static inline __attribute__((always_inline)) void columns(const cop_columns_args *args, int step) {
    const cop_columns_args a = *args;
    const cop_piece *p = a.pieces, *end = a.pieces + a.count;
    while (p < end) {
        const cop_piece *next = p + 1;
        while (next < end && next->slot == p->slot)
            next++;
        const stripes s = {.input = a.input,
                           .input_stride = a.input_stride,
                           .channels = a.channels,
                           .output = a.output + p->slot * (size_t)COP_PIECE_LANES,
                           .output_stride = a.output_stride};
        if (next - p == 1) {
            one_piece(s, p++, step);
            continue;
        }
        two_pieces(s, p, step);
        for (p += 2; p < next; p++)
            add_piece(s, p, step);
    }
}

static inline __attribute__((always_inline)) void any_columns(const cop_columns_args *a) {
    if (a->step == 1)
        columns(a, 1);
    else if (a->step == 2)
        columns(a, 2);
    else
        cop_columns_f32_c(a);
}

#endif
