/* The loops of cop_attn_f32: six rows of sums over a few vectors of lanes. */
#ifndef COP_RUNTIME_KERNELS_X86_ATTN_H
#define COP_RUNTIME_KERNELS_X86_ATTN_H

#include "runtime/kernels/kernels.h"
#include "runtime/kernels/x86/wide.h"

/* Six rows of sums, a row of inputs and a broadcast fill the 32 registers of AVX-512, or the 16 of
 * AVX2. */
enum { MAX_ROWS = 6, MAX_VECTORS = LANES == 16 ? 4 : 2 };

/* One body for every shape: `rows` and `vectors` are constants where it is inlined. */
static inline __attribute__((always_inline)) void some_rows(const cop_attn_args *args, size_t row,
                                                            size_t lane, int rows, int vectors) {
    const size_t a_row = args->a_row, a_k = args->a_k, x_k = args->x_k;
    const float *a = args->a + row * a_row, *x = args->x + lane;
    float *out = args->out + row * args->out_row + lane;
    cop_wide acc[MAX_ROWS][MAX_VECTORS];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++)
            acc[r][v] = args->add ? COP_WIDE(loadu)(out + (size_t)r * args->out_row + v * LANES)
                                  : COP_WIDE(setzero)();
    for (size_t k = args->reduction; k > 0; k--, a += a_k, x += x_k) {
        cop_wide in[MAX_VECTORS];
        for (int v = 0; v < vectors; v++)
            in[v] = COP_WIDE(loadu)(x + v * LANES);
        for (int r = 0; r < rows; r++) {
            const cop_wide by = COP_WIDE(set1)(a[(size_t)r * a_row]);
            for (int v = 0; v < vectors; v++)
                acc[r][v] = COP_WIDE(fmadd)(by, in[v], acc[r][v]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++)
            cop_wide_store(out + (size_t)r * args->out_row + v * LANES, acc[r][v]);
}

static inline __attribute__((always_inline)) void all_rows(const cop_attn_args *args, size_t lane,
                                                           int vectors) {
    size_t row = 0;
    for (; row + MAX_ROWS <= args->rows; row += MAX_ROWS)
        some_rows(args, row, lane, MAX_ROWS, vectors);
    if (row + 4 <= args->rows) {
        some_rows(args, row, lane, 4, vectors);
        row += 4;
    }
    if (row + 2 <= args->rows) {
        some_rows(args, row, lane, 2, vectors);
        row += 2;
    }
    if (row < args->rows)
        some_rows(args, row, lane, 1, vectors);
}

#endif
