/* Values that sub-graphs read from the graphs around them. */
#ifndef COP_GRAPH_SUBGRAPH_H
#define COP_GRAPH_SUBGRAPH_H

#include "graph/graph.h"

/* Graphs nest at most this deep; the loader refuses more, so that functions may recurse here. */
#define COP_MAX_GRAPH_DEPTH 100

/* True when the graph of `value` itself defines it. */
bool cop_value_defined(const cop_value *value);

/* The value `name` as seen from outside of `graph`: its index in the nearest enclosing graph that
 * defines it, which goes to *owner; -1 when there is none. */
int cop_graph_resolve(const cop_graph *graph, const char *name, const cop_graph **owner);

typedef struct cop_uses {
    int *values; /* may hold a value several times */
    size_t count;
} cop_uses;

/* Values of `graph` that `node` reads as inputs or inside its sub-graphs, at any depth. False when
 * memory is short. */
bool cop_node_uses(const cop_graph *graph, const cop_node *node, cop_arena *arena, cop_uses *out);

#endif
