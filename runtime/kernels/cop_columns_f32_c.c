/* Columns of convolutions, plain C, any step. */
#include <string.h>

#include "runtime/kernels/kernels.h"

/* All lanes of a piece, for one channel. */
static void copy_piece(const cop_piece *piece, const float *input, size_t step, float *output) {
    const float *from = input + piece->offset;
    if (piece->mask == UINT16_MAX && step == 1) {
        memcpy(output, from, COP_PIECE_LANES * sizeof *output);
        return;
    }
    /* Lanes in a row at a time. */
    for (unsigned mask = piece->mask; mask;) {
        unsigned lane = (unsigned)__builtin_ctz(mask);
        unsigned end = lane + (unsigned)__builtin_ctz(~(mask >> lane));
        for (unsigned i = lane; i < end; i++)
            output[i] = from[i * step];
        mask &= ~0u << end;
    }
}

void cop_columns_f32_c(const cop_columns_args *a) {
    for (size_t i = 0; i < a->count; i++) {
        const cop_piece *p = &a->pieces[i];
        float *output = a->output + p->slot * (size_t)COP_PIECE_LANES;
        bool begins = i == 0 || p[-1].slot != p->slot;
        for (size_t c = 0; c < a->channels; c++, output += a->output_stride) {
            if (begins && p->mask != UINT16_MAX)
                memset(output, 0, COP_PIECE_LANES * sizeof *output);
            copy_piece(p, a->input + c * a->input_stride, a->step, output);
        }
    }
}

void cop_columns_f32_c_fill(cop_kernels *kernels) {
    kernels->columns_f32 = cop_columns_f32_c;
}
