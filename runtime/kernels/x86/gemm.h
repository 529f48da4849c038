/* The loops of the dense kernels: four dense rows times a tile of vectors of pixels. */
#ifndef COP_RUNTIME_KERNELS_X86_GEMM_H
#define COP_RUNTIME_KERNELS_X86_GEMM_H

#include "runtime/kernels/kernels.h"
#include "runtime/kernels/x86/wide.h"

/* Four rows of sums, one row of inputs and a weight fill the 32 registers of AVX-512, or the 16 of
 * AVX2. */
enum { MAX_VECTORS = LANES == 16 ? 6 : 3 };

/* One function body for every tile: `vectors` is a constant where it is inlined, so that the
 * accumulators live in registers. `rows`: how many of the four there are; `computed`, a constant
 * too: how many are computed. */
static inline __attribute__((always_inline)) void some_rows(const cop_gemm_args *args, size_t row,
                                                            int rows, int computed, int vectors) {
    const cop_wide min = COP_WIDE(set1)(args->min), max = COP_WIDE(set1)(args->max);
    const float *weights = args->weights + row * args->columns;
    float *out = args->output + row * args->output_stride;
    cop_wide acc[COP_GEMM_ROWS][MAX_VECTORS];
    for (int r = 0; r < computed; r++)
        for (int v = 0; v < vectors; v++)
            acc[r][v] = r >= rows ? COP_WIDE(setzero)()
                        : args->bias
                            ? COP_WIDE(set1)(args->bias[row + (size_t)r])
                            : COP_WIDE(loadu)(out + (size_t)r * args->output_stride + v * LANES);
    for (size_t k = 0; k < args->columns; k++, weights += COP_GEMM_ROWS) {
        const float *in = (const float *)(args->input + args->offsets[k]);
        cop_wide x[MAX_VECTORS];
        for (int v = 0; v < vectors; v++)
            x[v] = COP_WIDE(loadu)(in + v * LANES);
        for (int r = 0; r < computed; r++) {
            const cop_wide weight = COP_WIDE(set1)(weights[r]);
            for (int v = 0; v < vectors; v++)
                acc[r][v] = COP_WIDE(fmadd)(weight, x[v], acc[r][v]);
        }
    }
    for (int r = 0; r < computed && r < rows; r++)
        for (int v = 0; v < vectors; v++)
            cop_wide_store(out + (size_t)r * args->output_stride + v * LANES,
                           cop_wide_clamp(acc[r][v], min, max));
}

static inline __attribute__((always_inline)) void gemm(const cop_gemm_args *args, int vectors) {
    size_t row = 0;
    for (; row + COP_GEMM_ROWS <= args->rows; row += COP_GEMM_ROWS)
        some_rows(args, row, COP_GEMM_ROWS, COP_GEMM_ROWS, vectors);
    if (row + 1 == args->rows)
        some_rows(args, row, 1, 1, vectors);
    else if (row < args->rows)
        some_rows(args, row, (int)(args->rows - row), COP_GEMM_ROWS, vectors);
}

#endif
