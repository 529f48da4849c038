/* Passes that simplify a copy of a model's graph before it is planned. */
#ifndef COP_RUNTIME_PASSES_H
#define COP_RUNTIME_PASSES_H

#include "runtime/op.h"

/* Runs every pass in order on a graph made by cop_graph_copy, and those that can on its sub-graphs.
 * Graph outputs keep their number, order and type; where a node was removed an output may come to
 * mean a value of another name. New constants live in the graph's arena; the model's own bytes are
 * not written. On failure the graph is good for freeing only. Errors: OUT_OF_MEMORY, BAD_MODEL. */
coppice_status cop_passes_run(cop_graph *graph, coppice_error *err);

/* Runs the passes that know shapes (shaped.h) on an outermost graph of a plan's own, after
 * inference with `options` made `shapes`. At the end *shapes are those of what the graph has
 * become; *folded gets the first ones, whose data are now constants of the graph: free it, with
 * cop_shapes_free, after the graph; also on failure. Errors: as inference. */
coppice_status cop_passes_run_shaped(cop_graph *graph, const cop_infer_options *options,
                                     cop_shapes *shapes, cop_shapes *folded, coppice_error *err);

#endif
