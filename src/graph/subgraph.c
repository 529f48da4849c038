/* Values that sub-graphs read from the graphs around them. */
#include "graph/subgraph.h"

#include "base/size.h"

bool cop_value_defined(const cop_value *value) {
    return value->producer >= 0 || value->is_input || value->is_initializer || value->constant;
}

int cop_graph_resolve(const cop_graph *graph, const char *name, const cop_graph **owner) {
    for (const cop_graph *outer = graph->parent; outer; outer = outer->parent) {
        int index = cop_graph_find(outer, name);
        if (index >= 0 && cop_value_defined(&outer->values[index])) {
            *owner = outer;
            return index;
        }
    }
    return -1;
}

/* Appends the values of `graph` that `node` reads in its sub-graphs to `out` (NULL: counts only).
 */
static size_t outer_uses(const cop_graph *graph, const cop_node *node, int *out, size_t count) {
    for (size_t a = 0; a < node->attr_count; a++) {
        if (node->attrs[a].kind != COP_ATTR_GRAPH)
            continue;
        const cop_graph *inner = node->attrs[a].graph, *owner;
        for (size_t v = 0; v < inner->value_count; v++) {
            if (!inner->values[v].outer)
                continue;
            int index = cop_graph_resolve(inner, inner->values[v].name, &owner);
            if (index < 0 || owner != graph)
                continue;
            if (out)
                out[count] = index;
            count++;
        }
        for (size_t n = 0; n < inner->node_count; n++)
            count = outer_uses(graph, &inner->nodes[n], out, count);
    }
    return count;
}

bool cop_node_uses(const cop_graph *graph, const cop_node *node, cop_arena *arena, cop_uses *out) {
    size_t direct = 0;
    for (int i = 0; i < node->input_count; i++)
        direct += node->inputs[i] >= 0;
    size_t total = outer_uses(graph, node, NULL, direct);
    *out = (cop_uses){.values = cop_arena_array(arena, total, sizeof(int)), .count = total};
    if (!out->values)
        return false;
    direct = 0;
    for (int i = 0; i < node->input_count; i++) {
        if (node->inputs[i] >= 0)
            out->values[direct++] = node->inputs[i];
    }
    outer_uses(graph, node, out->values, direct);
    return true;
}
