/* Sparse rows times one vector, where the rows are the lanes. */
#ifndef COP_RUNTIME_KERNELS_SPMV_H
#define COP_RUNTIME_KERNELS_SPMV_H

#include <stddef.h>
#include <stdint.h>

enum { COP_SPMV_ROWS = 16, COP_SPMV_COLUMNS = 64, COP_SPMV_KEPT = 128 };

/* Sixteen rows are a group, 64 columns a block. Each step of a block takes one weight of every row,
 * and the input that belongs to it out of the block's 64, which lie in registers:
 *
 *     values   [group][block][step][16]   64-byte aligned
 *     columns  [group][block][step][16]   COP_SPMV_KEPT + the column within the block; 0: this row
 *                                         has no more weights here
 *     steps    [group][block]
 *
 * out[r] = clamp(bias[r] + sum of value * x[column]) for `groups` groups, `rows` rows. x has
 * `inputs` floats. Pointers are those of the first group. */
typedef struct cop_spmv_args {
    const float *x, *values, *bias;
    const uint8_t *columns, *steps;
    size_t groups, blocks, inputs, rows;
    float *out;
    float min, max;
} cop_spmv_args;

typedef void cop_spmv_f32_fn(const cop_spmv_args *args);

#endif
