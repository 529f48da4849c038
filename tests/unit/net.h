/* Small graphs made by hand, and pruning them, for tests. */
#ifndef COP_TESTS_NET_H
#define COP_TESTS_NET_H

#include <coppice/prune.h>

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/constants.h"
#include "graph/edit.h"
#include "graph/quantized.h"
#include "prune/prune.h"
#include "unit.h"

/* A graph under construction: nodes in a chain from "x" to "y". */
typedef struct net {
    cop_arena arena;
    cop_graph *graph;
    int last; /* the value at the end of the chain */
} net;

static inline void net_open(net *n, net *outer, const char *name) {
    *n = (net){0};
    cop_arena *arena = outer ? outer->graph->arena : &n->arena;
    n->graph = cop_graph_new(arena, outer ? outer->graph : NULL, name);
    ck_assert_ptr_nonnull(n->graph);
    n->last = cop_graph_value(n->graph, outer ? "inner_x" : "x");
    n->graph->values[n->last].is_input = true;
}

/* Adds a constant whose data are borrowed. */
static inline int add_weight(net *n, const char *name, coppice_type type, void *data, uint32_t rank,
                             ...) {
    coppice_tensor tensor = {.type = type, .rank = rank, .data = data};
    va_list args;
    va_start(args, rank);
    for (uint32_t i = 0; i < rank; i++)
        tensor.dims[i] = va_arg(args, int);
    va_end(args);
    int value = cop_graph_add_constant(n->graph, name, &tensor);
    ck_assert_int_ge(value, 0);
    return value;
}

/* Adds a node behind the end of the chain; `weight` -1: none. */
static inline void add_node(net *n, const char *op, const char *name, int weight) {
    cop_node *node = cop_graph_add_node(n->graph, op, weight < 0 ? 1 : 2, 1, 0);
    char output[64];
    snprintf(output, sizeof output, "%s_out", name);
    node->name = cop_arena_strdup(n->graph->arena, name);
    node->inputs[0] = n->last;
    if (weight >= 0)
        node->inputs[1] = weight;
    node->outputs[0] = n->last = cop_graph_value(n->graph, output);
}

static inline void set_outputs(net *n, size_t count, ...) {
    n->graph->outputs = cop_arena_array(n->graph->arena, count, sizeof(int));
    n->graph->output_count = count;
    va_list args;
    va_start(args, count);
    for (size_t i = 0; i < count; i++)
        n->graph->outputs[i] = va_arg(args, int);
    va_end(args);
    coppice_error err;
    ck_assert_msg(cop_graph_connect(n->graph, &err) == COPPICE_OK, "%s", err.message);
    cop_constants all = {0}; /* as the loader: gives the constants their keys */
    ck_assert_int_eq(cop_constants_collect(n->graph, &all, &err), COPPICE_OK);
    cop_constants_free(&all);
    ck_assert_int_eq(cop_graph_mark_quantized(n->graph, &err), COPPICE_OK);
}

static inline void net_close(net *n) {
    cop_graph_free(n->graph);
    cop_arena_free(&n->arena);
}

/* Weights 0.01, -0.02, 0.03, ...: distinct magnitudes in shuffled order. */
static inline void fill(float *data, size_t count) {
    for (size_t i = 0; i < count; i++)
        data[i] = (i % 2 ? -0.01f : 0.01f) * (float)(1 + i * 7919 % count);
}

static inline size_t zeros_in(const float *data, size_t count) {
    size_t zeros = 0;
    for (size_t i = 0; i < count; i++)
        zeros += data[i] == 0;
    return zeros;
}

/* Options without keep rules. */
static inline coppice_prune_options all_layers(double sparsity) {
    coppice_prune_options options;
    coppice_prune_options_init(&options);
    options.sparsity = sparsity;
    options.keep_first = options.keep_last = options.keep_depthwise = false;
    options.keep_recurrent = false;
    return options;
}

static inline cop_prune_plan *prune(const net *n, const coppice_prune_options *options) {
    cop_prune_plan *plan;
    coppice_error err;
    ck_assert_msg(cop_prune_choose(n->graph, options, &plan, &err) == COPPICE_OK, "%s",
                  err.message);
    cop_prune_apply(plan);
    return plan;
}

static inline void expect_failure(const net *n, const coppice_prune_options *options,
                                  coppice_status status, const char *text) {
    cop_prune_plan *plan;
    coppice_error err;
    ck_assert_int_eq(cop_prune_choose(n->graph, options, &plan, &err), status);
    ck_assert_ptr_null(plan);
    ck_assert_msg(strstr(err.message, text) != NULL, "'%s' not in: %s", text, err.message);
}

/* A network of one MatMul. */
static inline void one_layer(net *n, float *data, int rows, int columns) {
    net_open(n, NULL, "main");
    add_node(n, "MatMul", "fc", add_weight(n, "w", COPPICE_TYPE_FLOAT, data, 2, rows, columns));
    set_outputs(n, 1, n->last);
}

#endif
