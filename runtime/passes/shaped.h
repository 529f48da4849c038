/* Passes that know the shapes: patterns of nodes become the operator that they mean.
 *
 * Each plan has a copy of the session's graph, in which everything that is constant for its input
 * shapes is a constant, so that no shape arithmetic is in the way of a pattern. A pass changes the
 * node that ends a pattern in place, or adds nodes at the end of the graph; what nothing reads any
 * more goes by itself, and shapes are inferred anew before the next pass.
 *
 * A node that a pass makes may be an operator that the model's opset does not have yet: it carries
 * the opset of its own row (cop_node.opset). */
#ifndef COP_PASSES_SHAPED_H
#define COP_PASSES_SHAPED_H

#include "runtime/op.h"
#include "runtime/passes/internal.h"

/* What a pass works with. Node and value indices stay good while it runs; pointers to nodes and
 * values do not outlive the next node or value that is added. */
typedef struct cop_shaped {
    cop_graph *graph;
    const cop_shapes *shapes;
    size_t value_count, node_count; /* of which `shapes` knows: what was there before the pass */
    int *counts;                    /* as from cop_graph_use_counts, of these values */
    int *readers; /* of these values: a node that reads it as an input; -1: none does */
    bool changed;
    coppice_error *err;
} cop_shaped;

/* Shape and type of a value, as it is held; NULL when they are not known before the model runs. */
const coppice_tensor *cop_known(const cop_shaped *p, int value);

/* A value whose elements are not: known, no constant. NULL otherwise. */
const coppice_tensor *cop_variable(const cop_shaped *p, int value);

/* Have both the same type in ONNX? */
bool cop_same_narrow(const cop_shaped *p, int a, int b);

/* The node that makes `value`; NULL: none, or it was made by this pass. */
cop_node *cop_producer(const cop_shaped *p, int value);

/* The same when it is an `op` of the default domain with its needed inputs there. */
cop_node *cop_producer_is(const cop_shaped *p, int value, const char *op);

/* The only reader of `value`: NULL when there are others, sub-graphs and outputs included. */
cop_node *cop_sole_reader(const cop_shaped *p, int value);

/* True when `value` is a constant of one float element, which goes to *number. */
bool cop_scalar(const cop_shaped *p, int value, double *number);

/* Of a node with two inputs one is such a constant: its index, -1 otherwise. It must not give the
 * result more dimensions than the other one has. */
int cop_scalar_input(const cop_shaped *p, const cop_node *node, double *number);

/* Makes `node` an operator of the default domain with these inputs and no attributes. */
bool cop_become(cop_shaped *p, cop_node *node, const char *op, int64_t opset, const int *inputs,
                int count);

/* A new node at the end of the graph, named as `like`; its only output, -1: no memory. */
int cop_new_node(cop_shaped *p, int like, const char *op, int64_t opset, const int *inputs,
                 int count);

/* The node made last. */
cop_node *cop_newest(const cop_shaped *p);

/* Constants of the graph; floats are of the type in ONNX that value `like` has. -1: no memory. */
int cop_new_ints(cop_shaped *p, const char *name, const int64_t *values, size_t count);
int cop_new_floats(cop_shaped *p, int like, uint32_t rank, const int64_t *dims, float number);

/* `value` with other dims: itself where it has them, else a Reshape of it. -1: no memory. */
int cop_reshaped(cop_shaped *p, int value, uint32_t rank, const int64_t *dims);

/* ---- the passes ---- */

/* Casts, Expands, Slices, Reshapes, Transposes, Concats ... that return what they got disappear. */
coppice_status cop_pass_skip_idle(cop_shaped *p);

/* Expand of something small comes behind what is done with it: where masks are made it is often the
 * operator behind that needs no Expand at all. */
coppice_status cop_pass_expand_later(cop_shaped *p);

/* Sub, Pow, ReduceMean, Sqrt, Div ... over trailing axes become LayerNormalization or
 * RMSNormalization. */
coppice_status cop_pass_norms(cop_shaped *p);

/* Groups of elementwise nodes of one variable become Gelu, Swish, HardSwish, Mish, HardSigmoid,
 * Softplus or Sigmoid. */
coppice_status cop_pass_curves(cop_shaped *p);

/* MatMul, scale, masks, Softmax, MatMul and what moves their operands become Attention. Its
 * attribute nan_rows, which ONNX does not have, says that a row that sees nothing is not a number,
 * as Softmax gives it, where it would be 0. */
coppice_status cop_pass_attention(cop_shaped *p);

/* Chains of Transpose, Reshape, Squeeze and Unsqueeze become one Reshape, or one Transpose between
 * Reshapes, where that is less. */
coppice_status cop_pass_moves(cop_shaped *p);

/* Pad with zeros goes into Conv and into an AveragePool that counts what it pads. */
coppice_status cop_pass_pad(cop_shaped *p);

#endif
