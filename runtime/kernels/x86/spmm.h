/* The loops of the sparse kernels: sparse rows times a tile of vectors of pixels. */
#ifndef COP_RUNTIME_KERNELS_X86_SPMM_H
#define COP_RUNTIME_KERNELS_X86_SPMM_H

#include "runtime/kernels/kernels.h"
#include "runtime/kernels/x86/wide.h"

/* One function body for every tile: `vectors` is a constant where it is inlined, so that the
 * accumulators live in registers. */
static inline __attribute__((always_inline)) void spmm(const cop_spmm_args *args, int vectors) {
    const cop_spmm_entry *entry = args->entries;
    const uint32_t *row = args->rows;
    const cop_wide min = COP_WIDE(set1)(args->min), max = COP_WIDE(set1)(args->max);
    for (size_t i = 0; i < args->run_count; i++) {
        const uint32_t count = args->runs[i].entries;
        for (uint32_t r = args->runs[i].rows; r > 0; r--, row++) {
            float *out = args->output + *row * args->output_stride;
            cop_wide acc[COP_SPMM_MAX_VECTORS];
            for (int v = 0; v < vectors; v++)
                acc[v] = args->bias ? COP_WIDE(set1)(args->bias[*row])
                                    : COP_WIDE(loadu)(out + v * LANES);
            for (uint32_t n = count; n > 0; n--, entry++) {
                const float *in = (const float *)(args->input + entry->offset);
                const cop_wide weight = COP_WIDE(set1)(entry->value);
                for (int v = 0; v < vectors; v++)
                    acc[v] = COP_WIDE(fmadd)(weight, COP_WIDE(loadu)(in + v * LANES), acc[v]);
            }
            for (int v = 0; v < vectors; v++)
                cop_wide_store(out + v * LANES, cop_wide_clamp(acc[v], min, max));
        }
    }
}

#endif
