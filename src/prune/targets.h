/* The prunable weights of a model: which constants they are and which nodes use them. */
#ifndef COP_PRUNE_TARGETS_H
#define COP_PRUNE_TARGETS_H

#include "prune/view.h"

/* One node that multiplies by a weight. */
typedef struct cop_weight_use {
    const cop_graph *graph;
    size_t node;     /* index in graph->nodes */
    int input;       /* which input of the node the weight is */
    size_t weight;   /* index in cop_weights.items */
    cop_seen seen;   /* the weight as the node sees it */
    const char *via; /* the nodes between, from the constant on: "Transpose, Reshape"; NULL: none */
    bool depthwise;
    bool recurrent; /* of an LSTM, GRU or RNN */
} cop_weight_use;

/* One constant that is the weight of a Conv, ConvTranspose, DeformConv, Gemm, MatMul or Einsum, or
 * input weights (W) or recurrent weights (R) of an LSTM, GRU or RNN. */
typedef struct cop_weight {
    cop_constant *constant;
    const cop_constant *mask; /* of zeros and ones, that the model multiplies it by; NULL: none */
    const char *key;          /* cop_constant.key */
    size_t first_use;         /* index in cop_weights.uses */
    const char *other_use;    /* operator that reads the constant other than as a weight, or NULL */
    bool maskable;            /* of a type that can be pruned */
    bool is_first, is_last;   /* of the first Conv; of the last node before a graph output */
    bool is_recurrent;        /* used by an LSTM, GRU or RNN */
} cop_weight;

typedef struct cop_weights {
    cop_weight *items; /* in graph order of their first use */
    size_t count, capacity;
    cop_weight_use *uses; /* in graph order; a sub-graph comes right behind its node */
    size_t use_count, use_capacity;
    cop_arena arena;
} cop_weights;

/* Finds every weight of the graph and its sub-graphs, also behind nodes that only rename, reshape,
 * reorder, cast, quantise, divide or mask it (constant.h). *out must be zeroed; free it with
 * cop_weights_free also on failure. */
coppice_status cop_weights_collect(const cop_graph *graph, cop_weights *out, coppice_error *err);
void cop_weights_free(cop_weights *weights);

/* How the elements of a weight are arranged, as its node sees them. Element (group, row, column,
 * tap) is at group*group_stride + row*row_stride + column*column_stride + tap*tap_stride. */
typedef struct cop_weight_view {
    int64_t groups, rows, columns,
        taps; /* rows: output channels, gates * hidden; columns: input
                 channels, or the reduction axis; taps: positions of the kernel window */
    int64_t group_stride, row_stride, column_stride, tap_stride;
} cop_weight_view;

/* The view of a weight by one of its users. False when the shape does not fit the operator, or the
 * nodes between have changed the order of its elements so that no strides can say it. */
bool cop_weight_view_of(const cop_weight_use *use, cop_weight_view *out);

#endif
