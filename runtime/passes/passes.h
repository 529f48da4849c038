/* Passes that simplify a copy of a model's graph before it is planned. */
#ifndef COP_RUNTIME_PASSES_H
#define COP_RUNTIME_PASSES_H

#include "graph/graph.h"

/* Runs every pass in order. Graph outputs keep their order; each may come to mean a value of
 * another name, but never one of another type or shape. New constants live in the graph's arena. On
 * failure the graph is good for freeing only. */
coppice_status cop_passes_run(cop_graph *graph, coppice_error *err);

#endif
