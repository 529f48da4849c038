/* What the recurrent operators know of a node, for the loops of each type (rnn_cells.h). */
#ifndef COP_OPS_RNN_H
#define COP_OPS_RNN_H

#include "runtime/ops/matrix/product.h"
#include "runtime/ops/util.h"

typedef enum cop_rnn_kind { COP_RNN_PLAIN, COP_RNN_GRU, COP_RNN_LSTM } cop_rnn_kind;

typedef enum cop_rnn_function {
    COP_RNN_AFFINE,
    COP_RNN_ELU,
    COP_RNN_HARD_SIGMOID,
    COP_RNN_LEAKY_RELU,
    COP_RNN_RELU,
    COP_RNN_SCALED_TANH,
    COP_RNN_SIGMOID,
    COP_RNN_SOFTPLUS,
    COP_RNN_SOFTSIGN,
    COP_RNN_TANH,
    COP_RNN_THRESHOLDED_RELU
} cop_rnn_function;

typedef struct cop_rnn_activation {
    cop_rnn_function function;
    float alpha, beta;
} cop_rnn_activation;

enum { COP_RNN_MAX_ACTIVATIONS = 3 };

typedef struct cop_rnn_params {
    cop_rnn_kind kind;
    int gates, directions;
    bool reverse; /* of one direction */
    bool batch_first, input_forget, linear_before_reset;
    float clip; /* INFINITY: none */
    cop_rnn_activation activations[2][COP_RNN_MAX_ACTIVATIONS];
} cop_rnn_params;

typedef struct cop_rnn_sizes {
    size_t steps, batch, input, hidden;
    size_t chunk; /* steps whose input is multiplied at once */
} cop_rnn_sizes;

typedef struct cop_rnn_job {
    const cop_call *call;
    const cop_rnn_params *params;
    cop_rnn_sizes sizes;
    size_t scratch_step;            /* elements of scratch of a direction */
    const coppice_threadpool *pool; /* for what a direction does */
    coppice_status status[2];       /* of each direction's products */
} cop_rnn_job;

/* Elements that parts of scratch are filled up to, so that each is aligned for kernels. */
enum { COP_RNN_SCRATCH_PART = 16 };

#endif
