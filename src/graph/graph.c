/* The graph IR: values, nodes, who produces what, topological order. */
#include "graph/graph.h"

#include <limits.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "graph/subgraph.h"

cop_graph *cop_graph_new(cop_arena *arena, cop_graph *parent, const char *name) {
    cop_graph *graph = cop_arena_alloc(arena, sizeof *graph);
    if (!graph)
        return NULL;
    graph->name = cop_arena_strdup(arena, name);
    graph->parent = parent;
    graph->arena = arena;
    if (parent) {
        graph->opsets = parent->opsets;
        graph->opset_count = parent->opset_count;
    }
    return graph->name ? graph : NULL;
}

void cop_graph_free(cop_graph *graph) {
    if (!graph)
        return;
    for (size_t i = 0; i < graph->node_count; i++) {
        for (size_t a = 0; a < graph->nodes[i].attr_count; a++) {
            if (graph->nodes[i].attrs[a].kind == COP_ATTR_GRAPH)
                cop_graph_free(graph->nodes[i].attrs[a].graph);
        }
    }
    cop_map_free(&graph->value_by_name);
    cop_free(graph->nodes);
    cop_free(graph->values);
    graph->nodes = NULL;
    graph->values = NULL;
    graph->node_count = graph->node_capacity = 0;
    graph->value_count = graph->value_capacity = 0;
}

int cop_graph_find(const cop_graph *graph, const char *name) {
    return (int)cop_map_get(&graph->value_by_name, name, -1);
}

int cop_graph_value(cop_graph *graph, const char *name) {
    int found = cop_graph_find(graph, name);
    if (found >= 0)
        return found;
    if (graph->value_count >= INT_MAX ||
        cop_grow(&graph->values, graph->value_count, &graph->value_capacity,
                 sizeof *graph->values) != 0)
        return -1;
    char *copy = cop_arena_strdup(graph->arena, name);
    int index = (int)graph->value_count;
    if (!copy || !cop_map_set(&graph->value_by_name, copy, index))
        return -1;
    graph->values[index] = (cop_value){.name = copy, .producer = -1, .rank = -1};
    graph->value_count++;
    return index;
}

static int *no_values(cop_arena *arena, int count) {
    int *values = cop_arena_array(arena, (size_t)count, sizeof *values);
    for (int i = 0; values && i < count; i++)
        values[i] = -1;
    return values;
}

cop_node *cop_graph_add_node(cop_graph *graph, const char *op, int inputs, int outputs,
                             size_t attrs) {
    if (graph->node_count >= INT_MAX || cop_grow(&graph->nodes, graph->node_count,
                                                 &graph->node_capacity, sizeof *graph->nodes) != 0)
        return NULL;
    cop_node node = {.name = "",
                     .domain = "",
                     .op = cop_arena_strdup(graph->arena, op),
                     .inputs = no_values(graph->arena, inputs),
                     .outputs = no_values(graph->arena, outputs),
                     .input_count = inputs,
                     .output_count = outputs,
                     .attrs = cop_arena_array(graph->arena, attrs, sizeof(cop_attr)),
                     .attr_count = attrs};
    if (!node.op || !node.inputs || !node.outputs || !node.attrs)
        return NULL;
    graph->nodes[graph->node_count] = node;
    return &graph->nodes[graph->node_count++];
}

int64_t cop_graph_opset(const cop_graph *graph, const char *domain) {
    for (size_t i = 0; i < graph->opset_count; i++) {
        if (strcmp(graph->opsets[i].domain, domain) == 0)
            return graph->opsets[i].version;
    }
    return 0;
}

int64_t cop_node_opset(const cop_graph *graph, const cop_node *node) {
    return node->opset ? node->opset : cop_graph_opset(graph, node->domain);
}

const char *cop_node_label(const cop_graph *graph, const cop_node *node) {
    if (node->name[0])
        return node->name;
    for (int i = 0; i < node->output_count; i++) {
        if (node->outputs[i] >= 0)
            return graph->values[node->outputs[i]].name;
    }
    return "?";
}

bool cop_node_is_constant(const cop_graph *graph, const cop_node *node) {
    return node->output_count > 0 && node->outputs[0] >= 0 &&
           graph->values[node->outputs[0]].constant;
}

void cop_error_at_node(coppice_error *err, const cop_graph *graph, const cop_node *node) {
    const char *label = cop_node_label(graph, node);
    int64_t opset = cop_node_opset(graph, node);
    if (node->domain[0])
        cop_error_prefix(err, "node '%s' (%s, domain %s, opset %lld)", label, node->op,
                         node->domain, (long long)opset);
    else
        cop_error_prefix(err, "node '%s' (%s, opset %lld)", label, node->op, (long long)opset);
    cop_error_locate(err, NULL, label, -1);
}

bool cop_is_op(const cop_node *node, const char *op) {
    return !node->domain[0] && strcmp(node->op, op) == 0;
}

bool cop_is_one_of(const cop_node *node, const char *const *ops) {
    while (*ops && !cop_is_op(node, *ops))
        ops++;
    return *ops;
}

static bool is_identity(const cop_node *node) {
    return cop_is_op(node, "Identity") && node->input_count == 1;
}

cop_constant *cop_graph_constant(const cop_graph *graph, int value, const cop_graph **owner,
                                 int *source) {
    while (value >= 0) {
        const cop_value *v = &graph->values[value];
        if (v->constant) {
            if (owner)
                *owner = graph;
            if (source)
                *source = value;
            return v->constant;
        }
        if (v->outer) {
            value = cop_graph_resolve(graph, v->name, &graph);
            continue;
        }
        if (v->producer < 0 || !is_identity(&graph->nodes[v->producer]))
            return NULL;
        value = graph->nodes[v->producer].inputs[0];
    }
    return NULL;
}

/* ---- connecting ---- */

static coppice_status set_producers(cop_graph *graph, coppice_error *err) {
    for (size_t i = 0; i < graph->value_count; i++)
        graph->values[i].producer = -1;
    for (size_t n = 0; n < graph->node_count; n++) {
        const cop_node *node = &graph->nodes[n];
        for (int o = 0; o < node->output_count; o++) {
            if (node->outputs[o] < 0)
                continue;
            cop_value *value = &graph->values[node->outputs[o]];
            const char *other = value->is_input         ? "a graph input"
                                : value->is_initializer ? "an initializer"
                                : value->producer >= 0
                                    ? cop_node_label(graph, &graph->nodes[value->producer])
                                    : NULL;
            if (other) {
                cop_fail(err, COPPICE_BAD_MODEL,
                         "output '%s' is defined twice (also by %s): names must be unique",
                         value->name, other);
                cop_error_at_node(err, graph, node);
                return COPPICE_BAD_MODEL;
            }
            value->producer = (int)n;
        }
    }
    return COPPICE_OK;
}

/* Marks what comes from enclosing graphs; refuses what nobody defines. */
static coppice_status resolve_inputs(cop_graph *graph, coppice_error *err) {
    for (size_t i = 0; i < graph->value_count; i++) {
        cop_value *value = &graph->values[i];
        const cop_graph *owner;
        value->outer =
            !cop_value_defined(value) && cop_graph_resolve(graph, value->name, &owner) >= 0;
    }
    for (size_t n = 0; n < graph->node_count; n++) {
        const cop_node *node = &graph->nodes[n];
        for (int i = 0; i < node->input_count; i++) {
            const cop_value *value = node->inputs[i] < 0 ? NULL : &graph->values[node->inputs[i]];
            if (!value || value->outer || cop_value_defined(value))
                continue;
            cop_fail(err, COPPICE_BAD_MODEL,
                     "input '%s' is neither a graph input nor an initializer nor the output of a "
                     "node",
                     value->name);
            cop_error_at_node(err, graph, node);
            return COPPICE_BAD_MODEL;
        }
    }
    for (size_t i = 0; i < graph->output_count; i++) {
        const cop_value *value = &graph->values[graph->outputs[i]];
        if (!value->outer && !cop_value_defined(value))
            return cop_fail(err, COPPICE_BAD_MODEL, "graph output '%s' is produced by no node",
                            value->name);
    }
    return COPPICE_OK;
}

/* State of the depth-first sort, with a stack of its own: graphs can be long chains. */
typedef struct sorter {
    cop_graph *graph;
    cop_uses *uses;       /* per node: values of `graph` that it reads, in sub-graphs too */
    unsigned char *state; /* per node: 0 new, 1 on the stack, 2 placed */
    size_t *stack, *next; /* nodes on the way, and the next use to look at in each */
    size_t *order;
    size_t placed;
} sorter;

/* Places `root` behind everything it needs. False when it needs itself. */
static bool place(sorter *s, size_t root) {
    size_t depth = 0;
    s->stack[0] = root;
    s->next[0] = 0;
    s->state[root] = 1;
    for (;;) {
        size_t n = s->stack[depth];
        const cop_uses *uses = &s->uses[n];
        int producer = -1;
        while (s->next[depth] < uses->count) {
            producer = s->graph->values[uses->values[s->next[depth]++]].producer;
            if (producer >= 0 && s->state[producer] != 2)
                break;
            producer = -1;
        }
        if (producer < 0) {
            s->state[n] = 2;
            s->order[s->placed++] = n;
            if (depth-- == 0)
                return true;
        } else if (s->state[producer] == 1) {
            return false;
        } else {
            depth++;
            s->stack[depth] = (size_t)producer;
            s->next[depth] = 0;
            s->state[producer] = 1;
        }
    }
}

static coppice_status reorder(cop_graph *graph, const size_t *order, coppice_error *err) {
    bool sorted = true;
    for (size_t i = 0; i < graph->node_count; i++)
        sorted = sorted && order[i] == i;
    if (sorted)
        return COPPICE_OK;
    size_t bytes;
    cop_node *nodes =
        cop_size_mul(graph->node_count, sizeof *nodes, &bytes) ? cop_malloc(bytes) : NULL;
    if (!nodes)
        return cop_fail_memory(err, graph->node_count * sizeof *nodes);
    for (size_t i = 0; i < graph->node_count; i++)
        nodes[i] = graph->nodes[order[i]];
    cop_free(graph->nodes);
    graph->nodes = nodes;
    graph->node_capacity = graph->node_count;
    return set_producers(graph, err);
}

static coppice_status sort_nodes(cop_graph *graph, coppice_error *err) {
    size_t n = graph->node_count;
    cop_arena arena = {0};
    sorter s = {.graph = graph,
                .uses = cop_arena_array(&arena, n, sizeof(cop_uses)),
                .state = cop_arena_array(&arena, n, 1),
                .stack = cop_arena_array(&arena, n, sizeof(size_t)),
                .next = cop_arena_array(&arena, n, sizeof(size_t)),
                .order = cop_arena_array(&arena, n, sizeof(size_t))};
    coppice_status status = COPPICE_OK;
    bool memory = s.uses && s.state && s.stack && s.next && s.order;
    for (size_t i = 0; memory && i < n; i++)
        memory = cop_node_uses(graph, &graph->nodes[i], &arena, &s.uses[i]);
    if (!memory)
        status = cop_fail_memory(err, n * sizeof(cop_uses));
    for (size_t i = 0; status == COPPICE_OK && i < n; i++) {
        if (s.state[i] == 0 && !place(&s, i)) {
            status =
                cop_fail(err, COPPICE_BAD_MODEL, "needs its own output: the graph has a cycle");
            cop_error_at_node(err, graph, &graph->nodes[i]);
        }
    }
    if (status == COPPICE_OK)
        status = reorder(graph, s.order, err);
    cop_arena_free(&arena);
    return status;
}

coppice_status cop_graph_connect(cop_graph *graph, coppice_error *err) {
    COP_TRY(set_producers(graph, err));
    COP_TRY(resolve_inputs(graph, err));
    for (size_t n = 0; n < graph->node_count; n++) {
        for (size_t a = 0; a < graph->nodes[n].attr_count; a++) {
            if (graph->nodes[n].attrs[a].kind != COP_ATTR_GRAPH)
                continue;
            coppice_status status = cop_graph_connect(graph->nodes[n].attrs[a].graph, err);
            if (status != COPPICE_OK) {
                cop_error_prefix(err, "in the sub-graph of node '%s'",
                                 cop_node_label(graph, &graph->nodes[n]));
                return status;
            }
        }
    }
    return sort_nodes(graph, err);
}
