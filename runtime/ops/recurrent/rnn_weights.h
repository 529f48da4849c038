/* Constant weights of recurrent networks: packed once per plan, for the kernels that are fastest.
 */
#ifndef COP_OPS_RNN_WEIGHTS_H
#define COP_OPS_RNN_WEIGHTS_H

#include "runtime/ops/recurrent/rnn.h"
#include "runtime/row_product.h"

/* Of one direction. */
typedef struct cop_rnn_packed {
    cop_row_product input; /* W, by the rows of a chunk of steps */
    /* R, by the sequences of a batch: all of it; where GRU resets the state first its update and
     * reset gates, then its hidden gate. */
    cop_row_product hidden[2];
} cop_rnn_packed;

typedef struct cop_rnn_weights {
    cop_rnn_packed directions[2];
    char kernels[160]; /* their names */
} cop_rnn_weights;

/* True where GRU multiplies the state that it has reset: R is two products then. */
static inline bool cop_rnn_resets_first(const cop_rnn_params *p) {
    return p->kind == COP_RNN_GRU && !p->linear_before_reset;
}

/* The sizes of a node. */
cop_rnn_sizes cop_rnn_sizes_of(const cop_call *call);

/* cop_op.prepare, .release and .describe of the recurrent rows: nothing is packed of what is not
 * constant float32, nor for the reference backend. */
coppice_status cop_rnn_prepare(const cop_call *call, void **state);
void cop_rnn_release(void *state);
bool cop_rnn_describe(const cop_call *call, cop_op_note *note);

#endif
