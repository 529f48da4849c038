/* An If whose condition is known once the input shapes are: its branch becomes part of the graph,
 * so that shapes behind it are known too. */
#include <string.h>

#include "base/memory.h"
#include "graph/subgraph.h"
#include "runtime/passes/internal.h"
#include "runtime/plan.h"

/* The branch of node `index` that will be taken, when that is known and it can be part of the graph
 * around it: sub-graphs deeper inside go by names, which may have to change. */
static const cop_graph *known_branch(const cop_graph *graph, const cop_shapes *shapes,
                                     size_t index) {
    const cop_node *node = &graph->nodes[index];
    if (!cop_is_op(node, "If") || node->input_count != 1 || node->inputs[0] < 0)
        return NULL;
    const coppice_tensor *condition = &shapes->values[node->inputs[0]].t;
    if (!condition->data || coppice_tensor_count(condition) != 1)
        return NULL;
    bool taken = cop_tensor_get_int(condition, 0) != 0;
    const cop_attr *attr = cop_node_attr(node, taken ? "then_branch" : "else_branch");
    if (!attr || attr->kind != COP_ATTR_GRAPH || attr->graph->input_count ||
        attr->graph->output_count != (size_t)node->output_count)
        return NULL;
    for (size_t n = 0; n < attr->graph->node_count; n++) {
        if (cop_node_has_graphs(&attr->graph->nodes[n]))
            return NULL;
    }
    return attr->graph;
}

/* The value of `graph` that value `v` of a branch becomes; -1: no memory. */
static int moved_value(cop_graph *graph, const cop_graph *branch, size_t v) {
    const cop_value *from = &branch->values[v];
    if (!cop_value_defined(from)) {
        int outer = cop_graph_find(graph, from->name);
        return outer < 0 ? cop_graph_value(graph, from->name) : outer;
    }
    int index = cop_fresh_value(graph, from->name, "");
    if (index < 0)
        return -1;
    cop_value *to = &graph->values[index];
    const char *name = to->name;
    *to = *from;
    to->name = name;
    to->producer = -1;
    return index;
}

static int *mapped(const cop_graph *graph, const int *values, int count, const int *map) {
    int *to = cop_arena_array(graph->arena, (size_t)count + 1, sizeof *to);
    for (int i = 0; to && i < count; i++)
        to[i] = values[i] < 0 ? -1 : map[values[i]];
    return to;
}

/* Appends the branch's nodes and, for each output of the If, an Identity. */
static bool move_branch(cop_graph *graph, const cop_graph *branch, const cop_node *node,
                        cop_node *nodes, size_t *count) {
    int *map = cop_arena_array(graph->arena, branch->value_count + 1, sizeof *map);
    for (size_t v = 0; map && v < branch->value_count; v++) {
        map[v] = moved_value(graph, branch, v);
        if (map[v] < 0)
            return false;
    }
    for (size_t n = 0; map && n < branch->node_count; n++) {
        cop_node *to = &nodes[(*count)++];
        *to = branch->nodes[n];
        to->inputs = mapped(graph, to->inputs, to->input_count, map);
        to->outputs = mapped(graph, to->outputs, to->output_count, map);
        if (!to->inputs || !to->outputs)
            return false;
    }
    for (int i = 0; map && i < node->output_count; i++) {
        if (node->outputs[i] < 0)
            continue;
        int *ends = cop_arena_array(graph->arena, 2, sizeof *ends);
        if (!ends)
            return false;
        ends[0] = map[branch->outputs[i]];
        ends[1] = node->outputs[i];
        nodes[(*count)++] = (cop_node){.name = node->name,
                                       .op = "Identity",
                                       .domain = "",
                                       .inputs = ends,
                                       .outputs = ends + 1,
                                       .input_count = 1,
                                       .output_count = 1,
                                       .opset = node->opset};
    }
    return map != NULL;
}

/* What is not in the arena of the sub-graphs of an If that goes. */
static void free_branches(const cop_node *node) {
    for (size_t a = 0; a < node->attr_count; a++) {
        if (node->attrs[a].kind == COP_ATTR_GRAPH)
            cop_graph_free(node->attrs[a].graph);
    }
}

static size_t count_nodes(const cop_graph *graph, const cop_shapes *shapes, bool *any) {
    size_t count = 0;
    *any = false;
    for (size_t n = 0; n < graph->node_count; n++) {
        const cop_graph *branch = known_branch(graph, shapes, n);
        *any |= branch != NULL;
        count += branch ? branch->node_count + (size_t)graph->nodes[n].output_count : 1;
    }
    return count;
}

bool cop_has_known_if(const cop_graph *graph, const cop_shapes *shapes) {
    bool any;
    count_nodes(graph, shapes, &any);
    return any;
}

coppice_status cop_inline_known_ifs(cop_graph *graph, const cop_shapes *shapes,
                                    coppice_error *err) {
    bool any;
    size_t room = count_nodes(graph, shapes, &any), count = 0, before = graph->node_count;
    cop_node *nodes = cop_calloc(room + 1, sizeof *nodes);
    bool ok = nodes != NULL;
    for (size_t n = 0; ok && n < before; n++) {
        const cop_graph *branch = known_branch(graph, shapes, n);
        if (branch)
            ok = move_branch(graph, branch, &graph->nodes[n], nodes, &count);
        else
            nodes[count++] = graph->nodes[n];
    }
    if (!ok) {
        cop_free(nodes);
        return cop_fail_memory(err, room * sizeof *nodes);
    }
    for (size_t n = 0; n < before; n++) {
        if (known_branch(graph, shapes, n))
            free_branches(&graph->nodes[n]);
    }
    cop_free(graph->nodes);
    graph->nodes = nodes;
    graph->node_count = count;
    graph->node_capacity = room + 1;
    return cop_graph_connect(graph, err);
}
