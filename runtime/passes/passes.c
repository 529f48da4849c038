/* The table of passes in the order in which they run, and what they share. */
#include "runtime/passes/passes.h"

#include <stdio.h>
#include <string.h>

#include "runtime/passes/internal.h"

static coppice_status remove_dead(cop_graph *graph, coppice_error *err) {
    return cop_graph_remove_dead(graph) ? COPPICE_OK : cop_fail_memory(err, graph->node_count);
}

static const struct {
    coppice_status (*run)(cop_graph *graph, coppice_error *err);
    bool inside; /* in sub-graphs too */
} passes[] = {
    {cop_pass_widen, false},          {cop_pass_skip_identities, true},
    {cop_pass_fold_batchnorm, true},  {cop_pass_fold_affine, true},
    {cop_pass_fuse_activation, true}, {remove_dead, true},
    {cop_pass_name_outputs, true},
};

static coppice_status run_in(cop_graph *graph, bool inside, coppice_error *err) {
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        if (!inside || passes[i].inside)
            COP_TRY(passes[i].run(graph, err));
    }
    for (size_t n = 0; n < graph->node_count; n++) {
        const cop_node *node = &graph->nodes[n];
        for (size_t a = 0; a < node->attr_count; a++) {
            if (node->attrs[a].kind == COP_ATTR_GRAPH)
                COP_TRY(run_in(node->attrs[a].graph, true, err));
        }
    }
    return COPPICE_OK;
}

coppice_status cop_passes_run(cop_graph *graph, coppice_error *err) {
    return run_in(graph, false, err);
}

cop_node *cop_sole_producer(cop_graph *graph, const int *counts, const cop_node *node, int i) {
    int value = i < node->input_count ? node->inputs[i] : -1;
    if (value < 0 || counts[value] != 1 || graph->values[value].producer < 0)
        return NULL;
    return &graph->nodes[graph->values[value].producer];
}

const coppice_tensor *cop_constant_input(const cop_graph *graph, const cop_node *node, int i) {
    int value = i < node->input_count ? node->inputs[i] : -1;
    const cop_constant *c = value < 0 ? NULL : cop_graph_constant(graph, value, NULL, NULL);
    if (!c || !c->tensor.data || c->tensor.type != COPPICE_TYPE_FLOAT)
        return NULL;
    return &c->tensor;
}

float cop_float_at(const coppice_tensor *tensor, int64_t i) {
    float value;
    memcpy(&value, (const char *)tensor->data + (size_t)i * sizeof value, sizeof value);
    return value;
}

int cop_fresh_value(cop_graph *graph, const char *name, const char *suffix) {
    char unique[512];
    snprintf(unique, sizeof unique, "%.400s%s", name, suffix);
    for (unsigned n = 1; cop_graph_find(graph, unique) >= 0; n++)
        snprintf(unique, sizeof unique, "%.400s%s.%u", name, suffix, n);
    return cop_graph_value(graph, unique);
}

void cop_take_over(cop_graph *graph, cop_node *first, cop_node *second) {
    int between = first->outputs[0];
    first->outputs[0] = second->outputs[0];
    second->outputs[0] = between;
    graph->values[first->outputs[0]].producer = (int)(first - graph->nodes);
    graph->values[between].producer = (int)(second - graph->nodes);
    for (int i = 0; i < second->input_count; i++)
        second->inputs[i] = -1;
}

coppice_status cop_set_constant_input(cop_graph *graph, cop_node *node, int i, const char *name,
                                      const coppice_tensor *tensor, coppice_error *err) {
    int value = cop_graph_add_constant(graph, name, tensor);
    if (value < 0)
        return cop_fail_memory(err, sizeof *graph->values);
    if (i >= node->input_count) {
        int *inputs = cop_arena_array(graph->arena, (size_t)i + 1, sizeof *inputs);
        if (!inputs)
            return cop_fail_memory(err, ((size_t)i + 1) * sizeof *inputs);
        for (int k = 0; k < i; k++)
            inputs[k] = k < node->input_count ? node->inputs[k] : -1;
        node->inputs = inputs;
        node->input_count = i + 1;
    }
    node->inputs[i] = value;
    return COPPICE_OK;
}
