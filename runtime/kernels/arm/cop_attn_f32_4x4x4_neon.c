/* Products of activations: four rows times four vectors of 4 tokens at a time, NEON. */
#include <arm_neon.h>

#include "runtime/kernels/kernels.h"

/* 16 sums are enough to hide the latency of two or four pipes, with room for inputs and broadcasts.
 */
enum { ROWS = 4, VECTORS = 4, LANES = 4 };

/* `rows` is a constant where it is inlined. */
static inline __attribute__((always_inline)) void some_rows(const cop_attn_args *args, size_t row,
                                                            size_t lane, size_t rows) {
    const float *a = args->a + row * args->a_row, *x = args->x + lane;
    float *out = args->out + row * args->out_row + lane;
    float32x4_t acc[ROWS][VECTORS];
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < VECTORS; v++)
            acc[r][v] = args->add ? vld1q_f32(out + r * args->out_row + v * LANES) : vdupq_n_f32(0);
    for (size_t k = args->reduction; k > 0; k--, a += args->a_k, x += args->x_k) {
        float32x4_t in[VECTORS];
        for (size_t v = 0; v < VECTORS; v++)
            in[v] = vld1q_f32(x + v * LANES);
        for (size_t r = 0; r < rows; r++)
            for (size_t v = 0; v < VECTORS; v++)
                acc[r][v] = vfmaq_n_f32(acc[r][v], in[v], a[r * args->a_row]);
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < VECTORS; v++)
            vst1q_f32(out + r * args->out_row + v * LANES, acc[r][v]);
}

static void cop_attn_f32_4x4x4_neon(const cop_attn_args *args) {
    for (size_t lane = 0; lane < args->lanes; lane += VECTORS * LANES) {
        size_t row = 0;
        for (; row + ROWS <= args->rows; row += ROWS)
            some_rows(args, row, lane, ROWS);
        for (; row + 2 <= args->rows; row += 2)
            some_rows(args, row, lane, 2);
        if (row < args->rows)
            some_rows(args, row, lane, 1);
    }
}

void cop_attn_f32_neon_fill(cop_kernels *kernels) {
    kernels->attn_f32 = cop_attn_f32_4x4x4_neon;
}
