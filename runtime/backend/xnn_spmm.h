/* Sparse weights times a matrix of pixels through XNNPACK: what the sparse convolution stands
 * on. */
#ifndef COP_RUNTIME_BACKEND_XNN_SPMM_H
#define COP_RUNTIME_BACKEND_XNN_SPMM_H

#include "runtime/conv.h"

/* output[rows][pixels] = clamp(bias + weights[rows][columns] * input[columns][pixels]) for `batch`
 * matrices that follow each other. */
typedef struct cop_xnn_spmm_shape {
    const float *weights, *bias;
    size_t rows, columns, pixels, batch;
    const size_t *offsets; /* [columns]: floats from `input` to each; NULL: one after the other */
    float min, max;
} cop_xnn_spmm_shape;

typedef struct cop_xnn_spmm cop_xnn_spmm;

/* Packs the weights. *out: free with cop_xnn_spmm_free; NULL on failure. UNSUPPORTED: XNNPACK has
 * no sparse kernel for this CPU, or not for these sizes. */
coppice_status cop_xnn_spmm_create(const cop_xnn_spmm_shape *shape, const coppice_threadpool *pool,
                                   cop_xnn_spmm **out, coppice_error *err);

/* True when `offsets` may be used. */
bool cop_xnn_spmm_takes_offsets(void);

/* May read up to 64 bytes behind `input`. */
coppice_status cop_xnn_spmm_run(cop_xnn_spmm *spmm, const float *input, float *output,
                                const coppice_threadpool *pool, coppice_error *err);
void cop_xnn_spmm_free(cop_xnn_spmm *spmm);

/* Sizes fit XNNPACK's 32-bit parameters and the clamp is a range. */
bool cop_xnn_supports(const cop_conv *conv);

#endif
