/* Rewriting a graph: the runtime copies the graph of a model and simplifies the copy.
 *
 * Value indices stay good through every edit; node indices until cop_graph_remove_dead, which
 * leaves nodes out. Graph outputs are indices and may come to mean a value of another name: the
 * names that a user sees are those of the model (coppice_model_output). */
#ifndef COP_GRAPH_EDIT_H
#define COP_GRAPH_EDIT_H

#include "graph/graph.h"

/* A copy of a graph and its sub-graphs in `arena`. Nodes, values, attributes and the structs of
 * constants are copied, so that they can be changed; strings, attribute lists and the bytes of
 * constants are borrowed from `src` and must outlive the copy. `src` must be an outermost graph.
 * NULL: no memory. Free with cop_graph_free, then the arena. */
cop_graph *cop_graph_copy(const cop_graph *src, cop_arena *arena, coppice_error *err);

/* Every node input and graph output that reads `from` reads `to` instead, in sub-graphs too. False
 * when a sub-graph uses the name of `to` for a value of its own (nothing is changed), or when
 * memory is short (the graph is then good for freeing only). */
bool cop_graph_replace_value(cop_graph *graph, int from, int to);

/* Removes nodes none of whose outputs is used by a node, a sub-graph or as graph output; the others
 * keep their order, producers are set anew. False when memory is short (nothing is changed). */
bool cop_graph_remove_dead(cop_graph *graph);

/* Adds a constant that looks like an initializer, under `name` or, where that is taken, a name that
 * is free. `tensor->data` is borrowed as long as the graph. Index of the value; -1: no memory. */
int cop_graph_add_constant(cop_graph *graph, const char *name, const coppice_tensor *tensor);

/* Sets an attribute of a node of `graph`, adding it or changing its kind. `values` are copied.
 * False when memory is short. */
bool cop_node_set_attr_float(cop_graph *graph, cop_node *node, const char *name, float value);
bool cop_node_set_attr_int(cop_graph *graph, cop_node *node, const char *name, int64_t value);
bool cop_node_set_attr_ints(cop_graph *graph, cop_node *node, const char *name,
                            const int64_t *values, size_t count);
bool cop_node_set_attr_string(cop_graph *graph, cop_node *node, const char *name, const char *text);

/* How often each value is read: by nodes of the graph, inside sub-graphs, as graph output. A
 * allocated array of value_count. NULL: no memory. */
int *cop_graph_use_counts(const cop_graph *graph);

#endif
