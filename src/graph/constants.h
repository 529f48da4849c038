/* All constants of a model by unique names. */
#ifndef COP_GRAPH_CONSTANTS_H
#define COP_GRAPH_CONSTANTS_H

#include "graph/graph.h"

/* Initializers and Constant nodes of a graph and its sub-graphs, in the order of their values; a
 * sub-graph's come behind those of the graph around it. Zero-initialise; free with
 * cop_constants_free. */
typedef struct cop_constants {
    cop_constant **items;
    size_t count, capacity;
    cop_map index; /* cop_constant.key: position in `items` */
} cop_constants;

/* Gives every constant its key: "name", in sub-graphs "graph/name", with "#2" and so on where that
 * is taken; and lists them. Keys live in the graph's arena. */
coppice_status cop_constants_collect(cop_graph *graph, cop_constants *out, coppice_error *err);
void cop_constants_free(cop_constants *constants);

/* The constant of this key, or NULL. */
cop_constant *cop_constants_find(const cop_constants *constants, const char *key);

/* Gives the memory of elements `first` .. `first + n - 1` back where they come from a file and have
 * not been written: for code that has read them and goes on. They may be read again. */
void cop_constant_release(const cop_constant *constant, int64_t first, int64_t n);

#endif
