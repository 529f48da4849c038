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

#endif
