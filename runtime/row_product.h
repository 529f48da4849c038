/* Products of rows with constant weights inside of operators, by the kernel that is fastest. */
#ifndef COP_RUNTIME_ROW_PRODUCT_H
#define COP_RUNTIME_ROW_PRODUCT_H

#include "runtime/plan.h"

/* out[rows][columns] = x[rows][depth] * weights[columns][depth], transposed. */
typedef struct cop_row_product {
    const cop_conv_kernel *kernel; /* NULL: there is none */
    void *state;
    cop_layout layout; /* of what the kernel reads and writes */
    const coppice_threadpool *pool;
    coppice_tensor in, out;          /* sizes */
    cop_block *tiled_in, *tiled_out; /* NULL: rows serve as they are */
    cop_block *scratch;
    const char *why;            /* static text */
    double dense_ms, sparse_ms; /* as in cop_node_choices */
    size_t weights, nonzeros;
} cop_row_product;

/* Of kernels for a layer whose operands are plain, the one that is fastest with changes of layout.
 */
const cop_choice *cop_plain_choice(const cop_node_choices *choices, const coppice_tensor *in,
                                   const coppice_tensor *out);

/* Picks a kernel among all that take such a product, as the settings say, and packs the weights.
 * OK without a kernel where none runs on this machine. OUT_OF_MEMORY. */
coppice_status cop_row_product_new(const cop_settings *settings, const float *weights, size_t rows,
                                   size_t depth, size_t columns, cop_row_product *p,
                                   coppice_error *err);
void cop_row_product_free(cop_row_product *p);

/* x and out are aligned to 64 bytes, have 64 readable bytes behind them, and do not overlap. One
 * run at a time. */
coppice_status cop_row_product_run(const cop_row_product *p, const float *x, float *out);

#endif
