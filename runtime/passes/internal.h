/* The passes, and what they share: each rewrites the graph in place and may leave nodes without
 * users behind; a last pass removes those. */
#ifndef COP_PASSES_INTERNAL_H
#define COP_PASSES_INTERNAL_H

#include <stdbool.h>

#include "base/error.h"
#include "graph/edit.h"

/* Constants of narrow types, also in sub-graphs and attributes, become wide ones: float32, int8,
 * uint8. Nothing is rounded between nodes but where the model casts. */
coppice_status cop_pass_widen(cop_graph *graph, coppice_error *err);

/* Users of what Identity and inference Dropout return use what went in. */
coppice_status cop_pass_skip_identities(cop_graph *graph, coppice_error *err);

/* BatchNormalization behind a Conv or Gemm with constant weights goes into weights and bias. A zero
 * weight stays zero. */
coppice_status cop_pass_fold_batchnorm(cop_graph *graph, coppice_error *err);

/* Sums with and products by constants, one for all or one per channel or column, behind Conv,
 * MatMul or Gemm go into their weights and bias. */
coppice_status cop_pass_fold_affine(cop_graph *graph, coppice_error *err);

/* Relu and Clip with constant bounds behind BatchNormalization, Conv, Gemm or MatMul become their
 * attributes activation_min and activation_max. */
coppice_status cop_pass_fuse_activation(cop_graph *graph, coppice_error *err);

/* A first output that the model leaves out gets a value: operators write it whatever is read. */
coppice_status cop_pass_name_outputs(cop_graph *graph, coppice_error *err);

/* ---- shared ---- */

/* The node that makes input `i` of `node`, when nothing but `node` reads it; else NULL. `counts` as
 * from cop_graph_use_counts. */
cop_node *cop_sole_producer(cop_graph *graph, const int *counts, const cop_node *node, int i);

/* The float32 tensor behind input `i` when it is constant, else NULL. Aligned to nothing. */
const coppice_tensor *cop_constant_input(const cop_graph *graph, const cop_node *node, int i);

/* Element `i` of a float32 tensor that may be unaligned. */
float cop_float_at(const coppice_tensor *tensor, int64_t i);

/* A value of a name that is free: `name` with something behind it. -1: no memory. */
int cop_fresh_value(cop_graph *graph, const char *name, const char *suffix);

/* `first` takes over the output of `second`, its only reader, which is left without users. */
void cop_take_over(cop_graph *graph, cop_node *first, cop_node *second);

/* Makes input `i` of a node a new constant. OUT_OF_MEMORY. */
coppice_status cop_set_constant_input(cop_graph *graph, cop_node *node, int i, const char *name,
                                      const coppice_tensor *tensor, coppice_error *err);

#endif
