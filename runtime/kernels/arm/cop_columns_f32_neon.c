/* Columns of convolutions of step 1 and 2, NEON. */
#include "runtime/kernels/arm/quads.h"
#include "runtime/kernels/kernels.h"

enum { QUADS = COP_PIECE_LANES / QUAD };

/* Channels of four lanes of one tap. */
typedef struct stripes {
    const float *input;
    size_t input_stride, channels;
    float *output;
    size_t output_stride;
} stripes;

static inline void whole(stripes s, size_t step) {
    for (size_t c = 0; c < s.channels; c++, s.input += s.input_stride, s.output += s.output_stride)
        vst1q_f32(s.output, quad_load(s.input, step));
}

/* Lanes in `bits`; the first piece of a slot clears the others. */
static inline void part(stripes s, size_t step, unsigned bits, bool clear) {
    for (size_t c = 0; c < s.channels;
         c++, s.input += s.input_stride, s.output += s.output_stride) {
        if (clear)
            vst1q_f32(s.output, vdupq_n_f32(0));
        for (unsigned left = bits; left; left &= left - 1) {
            unsigned lane = (unsigned)__builtin_ctz(left);
            s.output[lane] = s.input[lane * step];
        }
    }
}

static inline __attribute__((always_inline)) void columns(const cop_columns_args *a, size_t step) {
    for (size_t i = 0; i < a->count; i++) {
        const cop_piece *p = &a->pieces[i];
        const bool begins = i == 0 || p[-1].slot != p->slot;
        stripes s = {.input = a->input + p->offset,
                     .input_stride = a->input_stride,
                     .channels = a->channels,
                     .output = a->output + p->slot * (size_t)COP_PIECE_LANES,
                     .output_stride = a->output_stride};
        for (size_t q = 0; q < QUADS; q++, s.input += QUAD * step, s.output += QUAD) {
            const unsigned bits = (unsigned)p->mask >> (q * QUAD) & 0xf;
            if (bits == 0xf)
                whole(s, step);
            else if (bits || begins)
                part(s, step, bits, begins);
        }
    }
}

static void cop_columns_f32_neon(const cop_columns_args *args) {
    if (args->step == 1)
        columns(args, 1);
    else if (args->step == 2)
        columns(args, 2);
    else
        cop_columns_f32_c(args);
}

void cop_columns_f32_neon_fill(cop_kernels *kernels) {
    kernels->columns_f32 = cop_columns_f32_neon;
}
