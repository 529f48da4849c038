/* Rewriting a graph: other inputs, fewer nodes, more constants. */
#include "graph/edit.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "graph/subgraph.h"

/* ---- uses ---- */

/* Adds `step` per value that `node` reads. False when memory is short. */
static bool count_node(const cop_graph *graph, const cop_node *node, cop_arena *arena, int *counts,
                       int step) {
    cop_uses uses;
    if (!cop_node_uses(graph, node, arena, &uses))
        return false;
    for (size_t i = 0; i < uses.count; i++)
        counts[uses.values[i]] += step;
    return true;
}

int *cop_graph_use_counts(const cop_graph *graph) {
    int *counts = cop_calloc(graph->value_count ? graph->value_count : 1, sizeof *counts);
    bool ok = counts != NULL;
    cop_arena arena = {0};
    for (size_t n = 0; ok && n < graph->node_count; n++)
        ok = count_node(graph, &graph->nodes[n], &arena, counts, 1);
    cop_arena_free(&arena);
    for (size_t i = 0; ok && i < graph->output_count; i++)
        counts[graph->outputs[i]]++;
    if (!ok) {
        cop_free(counts);
        return NULL;
    }
    return counts;
}

/* ---- replacing ---- */

/* Does `name` mean something else in `inner`, or in a graph between it and `outer`? */
static bool is_hidden(const cop_graph *outer, const cop_graph *inner, const char *name) {
    for (const cop_graph *graph = inner; graph && graph != outer; graph = graph->parent) {
        int other = cop_graph_find(graph, name);
        if (other >= 0 && !graph->values[other].outer)
            return true;
    }
    return false;
}

/* Renames what one sub-graph reads. After earlier edits several of its values may have the same
 * name, and its map may have names that nothing bears any more. */
static bool rename_values(const cop_graph *outer, cop_graph *inner, int from, int to, bool check) {
    const char *old_name = outer->values[from].name, *new_name = outer->values[to].name;
    const cop_graph *owner;
    for (size_t v = 0; v < inner->value_count; v++) {
        cop_value *value = &inner->values[v];
        if (!value->outer || strcmp(value->name, old_name) != 0 ||
            cop_graph_resolve(inner, old_name, &owner) < 0 || owner != outer)
            continue;
        if (check && is_hidden(outer, inner, new_name))
            return false;
        if (check)
            continue;
        value->name = new_name;
        if (cop_graph_find(inner, new_name) < 0 &&
            !cop_map_set(&inner->value_by_name, new_name, (int64_t)v))
            return false;
    }
    return true;
}

/* A sub-graph knows an outer value by name only: `from` becomes `to` there. With `check` nothing is
 * changed: false when `to` is a name of the sub-graph's own, or no memory is left for it. */
static bool rename_outer(const cop_graph *outer, cop_graph *inner, int from, int to, bool check) {
    if (!rename_values(outer, inner, from, to, check))
        return false;
    for (size_t n = 0; n < inner->node_count; n++) {
        for (size_t a = 0; a < inner->nodes[n].attr_count; a++) {
            const cop_attr *attr = &inner->nodes[n].attrs[a];
            if (attr->kind == COP_ATTR_GRAPH && !rename_outer(outer, attr->graph, from, to, check))
                return false;
        }
    }
    return true;
}

static bool rename_in_subgraphs(cop_graph *graph, int from, int to, bool check) {
    for (size_t n = 0; n < graph->node_count; n++) {
        for (size_t a = 0; a < graph->nodes[n].attr_count; a++) {
            const cop_attr *attr = &graph->nodes[n].attrs[a];
            if (attr->kind == COP_ATTR_GRAPH && !rename_outer(graph, attr->graph, from, to, check))
                return false;
        }
    }
    return true;
}

bool cop_graph_replace_value(cop_graph *graph, int from, int to) {
    if (from == to)
        return true;
    if (!rename_in_subgraphs(graph, from, to, true) || !rename_in_subgraphs(graph, from, to, false))
        return false;
    for (size_t n = 0; n < graph->node_count; n++) {
        for (int i = 0; i < graph->nodes[n].input_count; i++) {
            if (graph->nodes[n].inputs[i] == from)
                graph->nodes[n].inputs[i] = to;
        }
    }
    for (size_t i = 0; i < graph->output_count; i++) {
        if (graph->outputs[i] == from)
            graph->outputs[i] = to;
    }
    return true;
}

/* ---- removing ---- */

static bool is_used(const cop_node *node, const int *counts) {
    for (int i = 0; i < node->output_count; i++) {
        if (node->outputs[i] >= 0 && counts[node->outputs[i]] > 0)
            return true;
    }
    return false;
}

static void free_subgraphs(cop_node *node) {
    for (size_t a = 0; a < node->attr_count; a++) {
        if (node->attrs[a].kind == COP_ATTR_GRAPH)
            cop_graph_free(node->attrs[a].graph);
    }
}

bool cop_graph_remove_dead(cop_graph *graph) {
    int *counts = cop_graph_use_counts(graph);
    bool *live = cop_calloc(graph->node_count ? graph->node_count : 1, sizeof *live);
    bool ok = counts && live;
    cop_arena arena = {0};
    /* Users come behind what they use, so one pass from the end sees every use that goes away. */
    for (size_t n = graph->node_count; ok && n-- > 0;) {
        live[n] = is_used(&graph->nodes[n], counts);
        if (!live[n])
            ok = count_node(graph, &graph->nodes[n], &arena, counts, -1);
    }
    cop_arena_free(&arena);
    size_t kept = 0;
    for (size_t n = 0; ok && n < graph->node_count; n++) {
        cop_node *node = &graph->nodes[n];
        for (int i = 0; i < node->output_count; i++) {
            if (node->outputs[i] >= 0)
                graph->values[node->outputs[i]].producer = live[n] ? (int)kept : -1;
        }
        if (live[n])
            graph->nodes[kept++] = *node;
        else
            free_subgraphs(node);
    }
    if (ok)
        graph->node_count = kept;
    cop_free(counts);
    cop_free(live);
    return ok;
}

/* ---- adding ---- */

int cop_graph_add_constant(cop_graph *graph, const char *name, const coppice_tensor *tensor) {
    char unique[512];
    snprintf(unique, sizeof unique, "%s", name);
    for (unsigned n = 1; cop_graph_find(graph, unique) >= 0; n++)
        snprintf(unique, sizeof unique, "%.480s.%u", name, n);
    cop_constant *constant = cop_arena_alloc(graph->arena, sizeof *constant);
    cop_dim *dims = cop_arena_array(graph->arena, tensor->rank, sizeof *dims);
    int index = constant && dims ? cop_graph_value(graph, unique) : -1;
    if (index < 0)
        return -1;
    size_t width = coppice_type_bits(tensor->type) / 8;
    int64_t bytes = coppice_tensor_bytes(tensor);
    *constant = (cop_constant){.tensor = *tensor,
                               .bytes = bytes > 0 ? (size_t)bytes : 0,
                               .aligned = width < 2 || (uintptr_t)tensor->data % width == 0};
    for (uint32_t i = 0; i < tensor->rank; i++)
        dims[i].size = tensor->dims[i];
    cop_value *value = &graph->values[index];
    value->constant = constant;
    value->is_initializer = true;
    value->type = tensor->type;
    value->rank = (int)tensor->rank;
    value->dims = dims;
    return index;
}

/* The attribute `name`, added when the node does not have it. NULL: no memory. */
static cop_attr *attr_to_set(cop_graph *graph, cop_node *node, const char *name) {
    for (size_t i = 0; i < node->attr_count; i++) {
        if (strcmp(node->attrs[i].name, name) == 0)
            return &node->attrs[i];
    }
    cop_attr *attrs = cop_arena_array(graph->arena, node->attr_count + 1, sizeof *attrs);
    char *copy = cop_arena_strdup(graph->arena, name);
    if (!attrs || !copy)
        return NULL;
    if (node->attr_count)
        memcpy(attrs, node->attrs, node->attr_count * sizeof *attrs);
    node->attrs = attrs;
    attrs[node->attr_count].name = copy;
    return &attrs[node->attr_count++];
}

bool cop_node_set_attr_float(cop_graph *graph, cop_node *node, const char *name, float value) {
    cop_attr *attr = attr_to_set(graph, node, name);
    if (attr)
        *attr = (cop_attr){.name = attr->name, .kind = COP_ATTR_FLOAT, .f = value};
    return attr != NULL;
}

bool cop_node_set_attr_int(cop_graph *graph, cop_node *node, const char *name, int64_t value) {
    cop_attr *attr = attr_to_set(graph, node, name);
    if (attr)
        *attr = (cop_attr){.name = attr->name, .kind = COP_ATTR_INT, .i = value};
    return attr != NULL;
}

bool cop_node_set_attr_ints(cop_graph *graph, cop_node *node, const char *name,
                            const int64_t *values, size_t count) {
    int64_t *copy = cop_arena_array(graph->arena, count, sizeof *copy);
    cop_attr *attr = copy ? attr_to_set(graph, node, name) : NULL;
    if (!attr)
        return false;
    if (count)
        memcpy(copy, values, count * sizeof *copy);
    *attr = (cop_attr){.name = attr->name, .kind = COP_ATTR_INTS, .count = count, .ints = copy};
    return true;
}

bool cop_node_set_attr_string(cop_graph *graph, cop_node *node, const char *name,
                              const char *text) {
    char *copy = cop_arena_strdup(graph->arena, text);
    cop_attr *attr = copy ? attr_to_set(graph, node, name) : NULL;
    if (!attr)
        return false;
    *attr = (cop_attr){.name = attr->name, .kind = COP_ATTR_STRING, .s = {copy, strlen(text)}};
    return true;
}
