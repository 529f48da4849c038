/* What the other parts of the library see of a model: its graph. */
#ifndef COP_GRAPH_MODEL_H
#define COP_GRAPH_MODEL_H

#include <coppice/model.h>

#include "graph/constants.h"

/* The main graph. Owned by the model. Sub-graphs hang at node attributes. */
cop_graph *cop_model_graph(coppice_model *model);
const cop_graph *cop_model_graph_const(const coppice_model *model);

/* All constants of the model. Owned by the model. */
const cop_constants *cop_model_constants(const coppice_model *model);

/* Memory, log and progress for work on this model; NULL: none. */
const coppice_host *cop_model_host(const coppice_model *model);

/* The path as given to coppice_model_load; "<memory>" for a model from memory. */
const char *cop_model_path(const coppice_model *model);

/* A value of a graph. */
typedef struct cop_value_at {
    const cop_graph *graph;
    int value;
} cop_value_at;

/* A node that is to go: whoever reads its only output `from` is to read `to` instead, a value of
 * the same graph, or an outer one. The values of `leftovers` go too, from the first on, as long as
 * nothing reads them any more; each is made by a node with one output or is an initializer. */
typedef struct cop_bypass {
    const cop_graph *graph;
    int from, to;
    const cop_value_at *leftovers;
    size_t leftover_count;
} cop_bypass;

/* Can it be done: `from` is no output of a graph, and every reader of it sees `to` by that name? */
bool cop_model_can_bypass(const coppice_model *model, const cop_bypass *edit);

/* Does it, in the message and in the graph, which is built anew: no pointer into it is good then,
 * constants apart, whose data stay where they are. An edit whose `from` is gone already is left
 * out. Errors: OUT_OF_MEMORY, after which the model is good for freeing only. */
coppice_status cop_model_bypass(coppice_model *model, const cop_bypass *edits, size_t count,
                                coppice_error *err);

#endif
