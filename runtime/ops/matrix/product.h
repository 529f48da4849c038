/* Matrix products of any type and any strides, as operators need them: MatMul, Gemm, attention,
 * recurrent networks, transforms. */
#ifndef COP_OPS_PRODUCT_H
#define COP_OPS_PRODUCT_H

#include <coppice/runtime.h>
#include <coppice/tensor.h>

#include "runtime/kernels/kernels.h"

/* A batch of products [rows][reduction] x [reduction][columns]:
 *     out[m][n] = alpha * sum over k of a[m][k] * b[k][n] + beta * c[m][n], then clamped
 * Strides count elements and may be 0; `out` has its columns beside each other, and its batch one
 * after another unless another `out_row` says that the caller calls for one. Of float: it is fast
 * where b's columns or both reductions lie beside each other. */
typedef struct cop_product {
    coppice_type type; /* FLOAT, DOUBLE, or an integer of 32 or 64 bits */
    size_t rows, columns, reduction;
    int64_t a_row, a_k, b_k, b_column;
    int64_t out_row; /* 0: columns */
    int rank;        /* batch dims */
    int64_t batch[COPPICE_MAX_RANK], a_batch[COPPICE_MAX_RANK], b_batch[COPPICE_MAX_RANK];
    const void *a, *b;
    void *out;
    /* What follows counts only with `finish`. */
    bool finish;
    double alpha, beta;
    const void *c; /* NULL: none */
    int64_t c_row, c_column;
    float min, max; /* -INFINITY and INFINITY: no clamp. A NaN stays NaN */
} cop_product;

/* Fills row strides for a plain [rows][reduction] and a [reduction][columns] matrix, each possibly
 * stored transposed. */
void cop_product_plain(cop_product *p, bool a_transposed, bool b_transposed);

/* Strides of the plain matrices `t`, [...][m][n], over the `rank` batch dims of a product: 0 where
 * they repeat. */
void cop_product_batch(const coppice_tensor *t, int rank, int64_t *strides);

/* `kernels` NULL: plain C. */
void cop_product_run(const cop_product *p, const cop_kernels *kernels,
                     const coppice_threadpool *pool);

#endif
