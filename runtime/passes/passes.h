/* Passes that simplify a copy of a model's graph before it is planned. */
#ifndef COP_RUNTIME_PASSES_H
#define COP_RUNTIME_PASSES_H

#include "graph/graph.h"

/* Runs every pass in order on a graph made by cop_graph_copy, and those that can on its sub-graphs.
 * Graph outputs keep their number, order and type; where a node was removed an output may come to
 * mean a value of another name. New constants live in the graph's arena; the model's own bytes are
 * not written. On failure the graph is good for freeing only. Errors: OUT_OF_MEMORY, BAD_MODEL. */
coppice_status cop_passes_run(cop_graph *graph, coppice_error *err);

#endif
