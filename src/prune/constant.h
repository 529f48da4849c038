/* The constant whose elements a node reads as its weight, however many nodes lie between. */
#ifndef COP_PRUNE_CONSTANT_H
#define COP_PRUNE_CONSTANT_H

#include "graph/graph.h"

/* A node between a constant and its reader. */
typedef struct cop_link {
    const cop_graph *graph;
    const cop_node *node;
} cop_link;

enum { COP_MAX_LINKS = 16 };

/* A constant as some node reads it. */
typedef struct cop_found {
    cop_constant *constant; /* NULL: the value is not constant */
    cop_constant *mask; /* a constant of zeros and ones that it is multiplied by on the way, of the
                           same shape; NULL: none */
    const cop_graph *owner; /* whose value `source` holds the constant */
    int source;
    bool same_shape;               /* the node sees the shape that the constant has */
    int link_count;                /* nodes on the way; those beyond COP_MAX_LINKS are not listed */
    cop_link links[COP_MAX_LINKS]; /* from the reader to the constant */
} cop_found;

/* Remembers which constants are masks. Zero-initialise, set `arena`; free with cop_finder_free. */
typedef struct cop_finder {
    cop_arena *arena;
    cop_map masks; /* address of a constant: 1 when it holds zeros and ones only, else 2 */
} cop_finder;

void cop_finder_free(cop_finder *finder);

/* Looks through nodes that only rename, reshape, reorder or cast (Identity, Reshape, Transpose,
 * ...), take a part (Slice, Split, Gather with one constant index) or put parts of one constant
 * together (Concat); through QuantizeLinear and DequantizeLinear, Neg, a factor or divisor of one
 * element; and through a product with a mask, as torch.nn.utils.prune leaves it in a model. Zeros
 * stay zeros on all these ways. */
cop_found cop_find_constant(cop_finder *finder, const cop_graph *graph, int value);

/* The constant that a node multiplies by a mask of zeros and ones of its shape, in *input which of
 * its inputs that is; `constant` NULL when it is no such node. */
cop_found cop_find_product(cop_finder *finder, const cop_graph *graph, const cop_node *node,
                           int *input);

/* Does the node pass the elements of an input on, so that it does not count as a reader itself? So
 * do the nodes above, and those that only look at shapes. */
bool cop_passes_on(cop_finder *finder, const cop_graph *graph, const cop_node *node, int input);

/* A pointer as the key of a map. */
typedef struct cop_pointer_key {
    char text[24];
} cop_pointer_key;

cop_pointer_key cop_key_of(const void *pointer);

/* Sets the value of a pointer in a map whose keys live in `arena`; false: no memory. */
bool cop_note_pointer(cop_map *map, cop_arena *arena, const void *pointer, int64_t value);

#endif
