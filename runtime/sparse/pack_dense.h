/* Packing of dense weights into what the gemm kernels read. */
#ifndef COP_RUNTIME_SPARSE_PACK_DENSE_H
#define COP_RUNTIME_SPARSE_PACK_DENSE_H

#include "runtime/sparse/pack.h"

/* Weights in units and blocks as cop_spmm_pack has them, four rows side by side. */
typedef struct cop_gemm_pack {
    float *weights;    /* [units][blocks][ceil(unit rows / 4)][columns of the block][4] */
    uint32_t *offsets; /* [columns of a block] */
    size_t unit_count, block_count;
    size_t rows, unit_rows, columns, block_columns;
} cop_gemm_pack;

/* *pack must be zeroed; free it also on failure. UNSUPPORTED when an offset does not fit. */
coppice_status cop_gemm_pack_create(const cop_spmm_shape *shape, cop_gemm_pack *pack,
                                    coppice_error *err);
void cop_gemm_pack_free(cop_gemm_pack *pack);

/* Points `args` at a block: weights, offsets, rows and columns. */
void cop_gemm_pack_args(const cop_gemm_pack *pack, size_t unit, size_t block, cop_gemm_args *args);

#endif
