/* Copying a graph with its sub-graphs. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "graph/edit.h"
#include "graph/subgraph.h"

/* Constants that several values share, to their copies; by address. */
typedef struct copier {
    cop_map shared;
} copier;

static cop_graph *copy_graph(copier *c, const cop_graph *src, cop_graph *parent, cop_arena *arena);

static cop_constant *copy_constant(copier *c, cop_arena *arena, const cop_constant *from) {
    char text[32];
    snprintf(text, sizeof text, "%p", (const void *)from);
    intptr_t made = from->shared ? (intptr_t)cop_map_get(&c->shared, text, 0) : 0;
    if (made)
        return (cop_constant *)made;
    cop_constant *copy = cop_arena_copy(arena, from, sizeof *from);
    if (copy && !copy->original)
        copy->original = from;
    const char *key = from->shared && copy ? cop_arena_strdup(arena, text) : "";
    if (!key || (from->shared && !cop_map_set(&c->shared, key, (int64_t)(intptr_t)copy)))
        return NULL;
    return copy;
}

/* A malloc'd copy of an array: the growing arrays of a graph are not in the arena. */
static void *copy_array(const void *items, size_t count, size_t size) {
    size_t bytes;
    if (!cop_size_mul(count ? count : 1, size, &bytes))
        return NULL;
    void *copy = cop_malloc(bytes);
    if (copy && count)
        memcpy(copy, items, count * size);
    return copy;
}

static bool copy_values(copier *c, const cop_graph *src, cop_graph *graph) {
    graph->values = copy_array(src->values, src->value_count, sizeof *src->values);
    if (!graph->values)
        return false;
    graph->value_count = src->value_count;
    graph->value_capacity = src->value_count ? src->value_count : 1;
    for (size_t i = 0; i < graph->value_count; i++) {
        cop_value *value = &graph->values[i];
        int found = cop_graph_find(src, value->name);
        if (!cop_map_set(&graph->value_by_name, value->name, found))
            return false;
        if (value->constant) {
            value->constant = copy_constant(c, graph->arena, value->constant);
            if (!value->constant)
                return false;
        }
        if (value->rank > 0) {
            value->dims =
                cop_arena_copy(graph->arena, value->dims, (size_t)value->rank * sizeof(cop_dim));
            if (!value->dims)
                return false;
        }
    }
    return true;
}

/* The copy of an attribute's tensor: the output's own constant where a Constant node shares it. */
static cop_constant *copy_tensor(copier *c, const cop_graph *src, const cop_graph *graph,
                                 const cop_node *node, cop_constant *tensor) {
    int output = node->output_count ? node->outputs[0] : -1;
    if (output >= 0 && src->values[output].constant == tensor)
        return graph->values[output].constant;
    return copy_constant(c, graph->arena, tensor);
}

static bool copy_node(copier *c, const cop_graph *src, cop_graph *graph, cop_node *node) {
    cop_arena *arena = graph->arena;
    size_t count = node->attr_count;
    const cop_attr *from = node->attrs;
    node->inputs = cop_arena_copy(arena, node->inputs, (size_t)node->input_count * sizeof(int));
    node->outputs = cop_arena_copy(arena, node->outputs, (size_t)node->output_count * sizeof(int));
    node->attrs = cop_arena_array(arena, count, sizeof(cop_attr));
    node->attr_count = 0; /* only finished attributes count, should memory run short */
    if (!node->inputs || !node->outputs || !node->attrs)
        return false;
    for (size_t i = 0; i < count; i++) {
        cop_attr attr = from[i];
        if (attr.kind == COP_ATTR_TENSOR) {
            attr.tensor = copy_tensor(c, src, graph, node, attr.tensor);
            if (!attr.tensor)
                return false;
        } else if (attr.kind == COP_ATTR_GRAPH) {
            attr.graph = copy_graph(c, attr.graph, graph, arena);
            if (!attr.graph)
                return false;
        }
        node->attrs[node->attr_count++] = attr;
    }
    return true;
}

static bool copy_nodes(copier *c, const cop_graph *src, cop_graph *graph) {
    graph->nodes = copy_array(src->nodes, src->node_count, sizeof *src->nodes);
    if (!graph->nodes)
        return false;
    graph->node_capacity = src->node_count ? src->node_count : 1;
    for (size_t i = 0; i < src->node_count; i++) {
        graph->node_count = i + 1;
        if (!copy_node(c, src, graph, &graph->nodes[i]))
            return false;
    }
    return true;
}

static cop_graph *copy_graph(copier *c, const cop_graph *src, cop_graph *parent, cop_arena *arena) {
    cop_graph *graph = cop_graph_new(arena, parent, src->name);
    if (!graph)
        return NULL;
    graph->opsets = src->opsets;
    graph->opset_count = src->opset_count;
    graph->input_count = src->input_count;
    graph->output_count = src->output_count;
    graph->inputs = cop_arena_copy(arena, src->inputs, src->input_count * sizeof(int));
    graph->outputs = cop_arena_copy(arena, src->outputs, src->output_count * sizeof(int));
    if (!graph->inputs || !graph->outputs || !copy_values(c, src, graph) ||
        !copy_nodes(c, src, graph)) {
        cop_graph_free(graph);
        return NULL;
    }
    return graph;
}

cop_graph *cop_graph_copy(const cop_graph *src, cop_arena *arena, coppice_error *err) {
    copier c = {0};
    cop_graph *graph = copy_graph(&c, src, NULL, arena);
    cop_map_free(&c.shared);
    if (!graph)
        cop_fail_memory(err, src->value_count * sizeof(cop_value));
    return graph;
}
