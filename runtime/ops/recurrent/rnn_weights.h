/* Constant weights of recurrent networks as their loops want them, packed once per session. */
#ifndef COP_OPS_RNN_WEIGHTS_H
#define COP_OPS_RNN_WEIGHTS_H

#include "runtime/ops/recurrent/rnn.h"

/* A matrix [columns][depth] in panels of up to 64 columns, each [depth][columns of the panel]: what
 * cop_attn_f32 multiplies rows with. */
typedef struct cop_panels {
    float *data; /* NULL: none */
    size_t columns, depth;
} cop_panels;

/* Of one direction. */
typedef struct cop_rnn_packed {
    cop_panels input;     /* W */
    cop_panels hidden[2]; /* R: GRU's update and reset gates, then its hidden gate; others: all */
    void *sparse;         /* R for one sequence (vec_conv.c), where its zeros pay; NULL: not */
} cop_rnn_packed;

typedef struct cop_rnn_weights {
    cop_rnn_packed directions[2];
} cop_rnn_weights;

/* cop_op.prepare and .release of the recurrent rows: nothing is packed of what is not constant
 * float32. */
coppice_status cop_rnn_prepare(const cop_call *call, void **state);
void cop_rnn_release(void *state);

/* out[rows][columns], `out_row` floats apart, = or += x[rows][depth] * panels. */
void cop_panels_multiply(const cop_panels *panels, const float *x, size_t rows, float *out,
                         size_t out_row, bool add, const cop_kernels *kernels,
                         const coppice_threadpool *pool);

#endif
