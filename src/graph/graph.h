/* The graph IR: what an ONNX graph means, without protobuf and without kernels.
 *
 * A cop_graph is nodes over values. A value is a named edge: a graph input, a constant (initializer
 * or Constant node) or the output of one node. Nodes and values are referred to by index; -1 is "no
 * value" (an optional input that is left out). The loader builds the graph of a model once; the
 * runtime works on a copy that it may rewrite (edit.h).
 *
 * Ownership: strings, arrays and nested graphs live in the arena of the outermost graph. The bytes
 * of constants belong to whoever made them (the model's mapping, its protobuf message, or the
 * arena). Not thread-safe; reading from several threads is fine. */
#ifndef COP_GRAPH_GRAPH_H
#define COP_GRAPH_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <coppice/status.h>
#include <coppice/tensor.h>
#include <coppice/value.h>

#include "base/arena.h"
#include "base/half.h"
#include "base/map.h"

typedef struct cop_graph cop_graph;
typedef struct cop_quantized cop_quantized;

/* A constant tensor of the model. `tensor.data` is aligned to nothing: read elements with memcpy
 * (or copy the tensor) unless `aligned` is true. It may be written in place; whoever writes sets
 * `dirty`, so that saving knows. */
typedef struct cop_constant {
    coppice_tensor tensor;  /* data NULL only when the tensor has no elements, or cannot be had */
    coppice_type narrow;    /* the type by ONNX where a session holds the tensor in a wider one,
                               else UNDEFINED (runtime/value.h) */
    size_t bytes;           /* of tensor.data */
    bool aligned;           /* to the element size */
    bool dirty;             /* written since loading */
    bool sparse;            /* stored as sparse_initializer; `tensor` is the dense form */
    bool external;          /* stored in an external data file */
    bool mapped;            /* tensor.data lie in a private mapping of a file, and in no other
                               constant */
    bool repeated_as_input; /* also a graph input (keep_initializers_as_inputs) */
    bool shared;            /* by several values: calls of one function */
    bool is_output;         /* an output of its graph as it stands */
    const struct cop_constant *original; /* of a copied graph: the model's own; else NULL */
    const char *key;                     /* its unique name in the whole model (constants.h) */
    cop_quantized *quantized; /* how DequantizeLinear reads its integers (quantized.h), or NULL */
    void *origin;             /* the message it came from; known to src/onnx only */
} cop_constant;

/* One dimension of a declared shape: a size, or a symbol, or neither. */
typedef struct cop_dim {
    int64_t size;       /* -1 when not a number */
    const char *symbol; /* "batch", ...; NULL when none */
} cop_dim;

typedef struct cop_value {
    const char *name;       /* unique in its graph; never "" */
    cop_constant *constant; /* NULL unless initializer or output of a Constant node */
    int producer;           /* index of the node, -1 for inputs, initializers and outer values */
    bool is_input;          /* a graph input (also when it has an initializer as default) */
    bool is_initializer;
    bool outer; /* named in a sub-graph, defined in an enclosing graph */

    /* As declared by inputs, outputs and value_info; type UNDEFINED when nothing was declared. Of
     * sequences and optionals: the type of the tensors inside. rank is -1 when the shape is unknown
     * and for what is no tensor. */
    coppice_kind kind;
    coppice_type type;
    int rank;
    cop_dim *dims;
} cop_value;

typedef enum cop_attr_kind {
    COP_ATTR_FLOAT,
    COP_ATTR_INT,
    COP_ATTR_STRING,
    COP_ATTR_TENSOR,
    COP_ATTR_GRAPH,
    COP_ATTR_FLOATS,
    COP_ATTR_INTS,
    COP_ATTR_STRINGS,
    COP_ATTR_OTHER /* lists of tensors or graphs, sparse tensors, types, function references */
} cop_attr_kind;

typedef struct cop_string {
    const char *data; /* NUL-terminated behind `length`, which may hold NULs itself */
    size_t length;
} cop_string;

typedef struct cop_attr {
    const char *name;
    cop_attr_kind kind;
    size_t count; /* elements of floats, ints, strings */
    union {
        float f;
        int64_t i;
        cop_string s;
        cop_constant *tensor;
        cop_graph *graph;
        const float *floats;
        const int64_t *ints;
        const cop_string *strings;
    };
} cop_attr;

typedef struct cop_node {
    const char *name;      /* may be "": use cop_node_label for messages */
    const char *op;        /* "Conv" */
    const char *domain;    /* "" for the default domain, also where the file says "ai.onnx" */
    int *inputs, *outputs; /* value indices, -1: left out */
    int input_count, output_count;
    cop_attr *attrs;
    size_t attr_count;
    int64_t opset; /* of its domain, for a node that came out of a function; 0: as the model says */
} cop_node;

typedef struct cop_opset {
    const char *domain; /* "" for the default domain */
    int64_t version;
} cop_opset;

struct cop_graph {
    const char *name;
    cop_graph *parent; /* the enclosing graph of a sub-graph, else NULL */
    cop_arena *arena;  /* of the outermost graph */
    cop_node *nodes;   /* in topological order */
    size_t node_count, node_capacity;
    cop_value *values;
    size_t value_count, value_capacity;
    cop_map value_by_name;
    int *inputs, *outputs; /* value indices; inputs hold those with initializers too */
    size_t input_count, output_count;
    const cop_opset *opsets; /* of the model */
    size_t opset_count;
    void *origin; /* the message it came from; known to src/onnx only */
};

/* An empty graph in `arena` (borrowed until cop_graph_free). NULL: no memory. */
cop_graph *cop_graph_new(cop_arena *arena, cop_graph *parent, const char *name);

/* Releases what is not in the arena, for the graph and its sub-graphs. */
void cop_graph_free(cop_graph *graph);

/* Index of the value `name`, adding it when it is new (name is copied). -1: no memory. */
int cop_graph_value(cop_graph *graph, const char *name);

/* Index of the value `name`, -1 when there is none. */
int cop_graph_find(const cop_graph *graph, const char *name);

/* Adds a node that has room for the given inputs and outputs, all -1, and attributes, all zero.
 * NULL: no memory. The pointer is good until the next call. */
cop_node *cop_graph_add_node(cop_graph *graph, const char *op, int inputs, int outputs,
                             size_t attrs);

/* Sets `producer` of every value and checks: a value has one producer; every input of a node is
 * defined by the graph, an enclosing one, or an earlier node; names of nodes' outputs do not clash
 * with inputs. Reorders `nodes` topologically when they are not. Errors: BAD_MODEL with the node.
 */
coppice_status cop_graph_connect(cop_graph *graph, coppice_error *err);

/* Version of the operator set of `domain` that the model imports; 0 when it imports none. */
int64_t cop_graph_opset(const cop_graph *graph, const char *domain);

/* The version that a node is written for. */
int64_t cop_node_opset(const cop_graph *graph, const cop_node *node);

/* For error messages: the node's name, or that of its first output, or "?". */
const char *cop_node_label(const cop_graph *graph, const cop_node *node);

/* True for an operator `op` of the default domain; for one of several, which NULL ends. */
bool cop_is_op(const cop_node *node, const char *op);
bool cop_is_one_of(const cop_node *node, const char *const *ops);

/* True for a Constant node whose value the loader could read: its output is a constant. */
bool cop_node_is_constant(const cop_graph *graph, const cop_node *node);

/* Puts "node 'LABEL' (Op, opset V): " before the message and remembers the node in `err`. */
void cop_error_at_node(coppice_error *err, const cop_graph *graph, const cop_node *node);

/* The constant behind a value, looking through Identity nodes and into enclosing graphs; NULL when
 * the value is not constant. `source`, when not NULL, gets the value that holds it, in `*owner`. */
cop_constant *cop_graph_constant(const cop_graph *graph, int value, const cop_graph **owner,
                                 int *source);

/* ---- attributes ---- */

/* The attribute `name`, or NULL. */
const cop_attr *cop_node_attr(const cop_node *node, const char *name);

/* True when the node has sub-graphs. */
bool cop_node_has_graphs(const cop_node *node);

/* The value of an attribute, or a default when the node does not have it. A wrong kind is an error:
 * BAD_MODEL with the attribute's name. */
coppice_status cop_node_int(const cop_node *node, const char *name, int64_t absent, int64_t *out,
                            coppice_error *err);
coppice_status cop_node_float(const cop_node *node, const char *name, float absent, float *out,
                              coppice_error *err);
coppice_status cop_node_string(const cop_node *node, const char *name, const char *absent,
                               const char **out, coppice_error *err);
/* *out is NULL and *count 0 when the node does not have it. */
coppice_status cop_node_ints(const cop_node *node, const char *name, const int64_t **out,
                             size_t *count, coppice_error *err);

/* ---- elements ---- */

/* Element `index` of a tensor of any integer, bool or float type as a double or int64; the data may
 * be unaligned. Types without a number (strings, complex) give 0. */
double cop_tensor_get(const coppice_tensor *tensor, int64_t index);
int64_t cop_tensor_get_int(const coppice_tensor *tensor, int64_t index);

/* Do both have the same bytes? */
bool cop_same_string(coppice_string a, coppice_string b);

#endif
