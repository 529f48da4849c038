/* Every tensor that a model stores, and what its numbers are for. */
#ifndef COP_TUNE_INVENTORY_H
#define COP_TUNE_INVENTORY_H

#include "prune/targets.h"

typedef enum cop_tensor_kind {
    COP_KIND_WEIGHT, /* listed by cop_weights_collect */
    COP_KIND_BIAS,
    COP_KIND_SCALE, /* of normalisation, of quantisation, of channels */
    COP_KIND_EMBEDDING,
    COP_KIND_MASK,  /* of a weight */
    COP_KIND_OTHER, /* parameters of other operators */
    COP_KIND_SHAPE  /* integers, text: no parameters */
} cop_tensor_kind;

typedef struct cop_inventory_item {
    const cop_constant *constant;
    cop_tensor_kind kind;
    int64_t weight;   /* index in cop_weights.items, -1 for other kinds */
    bool initializer; /* not a Constant node */
    int64_t count, zeros;
    int64_t zero_bits; /* elements of which all bits are 0: zeros without -0.0 */
    int64_t stored;    /* bytes of its data in the file, nearly */
} cop_inventory_item;

typedef struct cop_inventory {
    cop_inventory_item *items; /* in the arena of the weights, in the order of the file */
    size_t count;
} cop_inventory;

/* Lists the tensors of the graph and its sub-graphs. Zeros do not count masks. Errors:
 * OUT_OF_MEMORY. */
coppice_status cop_inventory_make(const cop_graph *graph, cop_weights *weights, cop_inventory *out,
                                  coppice_error *err);

/* Bytes of `nonzeros` values of `width` bytes among `count` and of their linear indices as
 * sparse_initializer has them, when the values lie evenly: an index takes 1 byte below 128, 2 below
 * 16384, and so on. */
int64_t cop_sparse_bytes(int64_t count, int64_t nonzeros, int64_t width);

#endif
