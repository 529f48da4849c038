/* Depthwise convolutions in tiles, plain C, any step. */
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/vector.h"

/* Parts that are read whole as vectors, the others lane by lane. */
static void add_piece(const cop_piece *piece, float weight, const float *input, size_t step,
                      float *acc) {
    const unsigned whole = (1u << COP_VECTOR_LANES) - 1;
    const float *from = input + piece->offset;
    unsigned mask = piece->mask;
    for (; mask; mask >>= COP_VECTOR_LANES, acc += COP_VECTOR_LANES) {
        if ((mask & whole) == whole && step == 1) {
            cop_vector sum = cop_vector_load(acc) + weight * cop_vector_load(from);
            memcpy(acc, &sum, sizeof sum);
        } else {
            for (size_t lane = 0; lane < COP_VECTOR_LANES; lane++)
                if (mask >> lane & 1)
                    acc[lane] += weight * from[lane * step];
        }
        from += COP_VECTOR_LANES * step;
    }
}

static void one_vector(const cop_dwconv_args *a, size_t channel, size_t v) {
    const float *weights = a->weights +
                           channel / COP_DWCONV_CHANNELS * a->taps * COP_DWCONV_CHANNELS +
                           channel % COP_DWCONV_CHANNELS;
    const float *input = a->input + channel / a->multiplier * a->input_stride;
    size_t at = channel * a->output_stride + v * COP_PIECE_LANES;
    float acc[COP_PIECE_LANES];
    for (int lane = 0; lane < COP_PIECE_LANES; lane++)
        acc[lane] = a->bias[channel];
    for (uint32_t i = a->first[v]; i < a->first[v + 1]; i++) {
        const cop_piece *piece = &a->pieces[i];
        add_piece(piece, weights[piece->slot * (size_t)COP_DWCONV_CHANNELS], input, a->step, acc);
    }
    for (size_t lane = 0; lane < COP_PIECE_LANES; lane++) {
        float sum = a->residual ? acc[lane] + a->residual[at + lane] : acc[lane];
        a->output[at + lane] = cop_clamp(sum, a->min, a->max);
    }
}

void cop_dwconv_f32_c(const cop_dwconv_args *a) {
    for (size_t c = 0; c < a->channels; c++)
        for (size_t v = 0; v < a->vectors; v++)
            one_vector(a, c, v);
}

void cop_dwconv_f32_c_fill(cop_kernels *kernels) {
    kernels->dwconv_f32 = cop_dwconv_f32_c;
}
