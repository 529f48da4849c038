/* Products of activations in plain C: four rows times 8 tokens at a time. */
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/vector.h"

enum { ROWS = 4, VECTORS = 2 };

static inline __attribute__((always_inline)) void some_rows(const cop_attn_args *args, size_t row,
                                                            size_t lane, int rows) {
    const float *a = args->a + row * args->a_row, *x = args->x + lane;
    float *out = args->out + row * args->out_row + lane;
    cop_vector acc[ROWS][VECTORS];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < VECTORS; v++)
            acc[r][v] =
                args->add ? cop_vector_load(out + (size_t)r * args->out_row + v * COP_VECTOR_LANES)
                          : cop_vector_of(0);
    for (size_t k = args->reduction; k > 0; k--, a += args->a_k, x += args->x_k) {
        cop_vector in[VECTORS];
        for (int v = 0; v < VECTORS; v++)
            in[v] = cop_vector_load(x + v * COP_VECTOR_LANES);
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < VECTORS; v++)
                acc[r][v] += cop_vector_of(a[(size_t)r * args->a_row]) * in[v];
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < VECTORS; v++)
            memcpy(out + (size_t)r * args->out_row + v * COP_VECTOR_LANES, &acc[r][v],
                   sizeof acc[r][v]);
}

static void cop_attn_f32_4x8_c(const cop_attn_args *args) {
    for (size_t lane = 0; lane < args->lanes; lane += VECTORS * COP_VECTOR_LANES) {
        size_t row = 0;
        for (; row + ROWS <= args->rows; row += ROWS)
            some_rows(args, row, lane, ROWS);
        for (; row < args->rows; row++)
            some_rows(args, row, lane, 1);
    }
}

void cop_attn_f32_c_fill(cop_kernels *kernels) {
    kernels->attn_f32 = cop_attn_f32_4x8_c;
}
