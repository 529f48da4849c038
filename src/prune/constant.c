/* Finds the constant behind a value: through Identity, Reshape and the like, and through a mask. */
#include "prune/constant.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/shape.h"
#include "base/type.h"
#include "graph/subgraph.h"

/* Nodes whose output has the elements of input 0, one for one. Quantised and back, a zero is still
 * zero. */
static const char *const same_shape_ops[] = {"Identity", "Cast", "QuantizeLinear",
                                             "DequantizeLinear", NULL};
static const char *const reshaping_ops[] = {"Reshape",   "Flatten",   "Squeeze",
                                            "Unsqueeze", "Transpose", NULL};
static const char *const shape_reading_ops[] = {"Shape", "Size", NULL};

enum { IS_MASK = 1, IS_NO_MASK = 2 };

static bool is_one_of(const cop_node *node, const char *const *ops) {
    for (; !node->domain[0] && *ops; ops++)
        if (strcmp(node->op, *ops) == 0)
            return true;
    return false;
}

cop_pointer_key cop_key_of(const void *pointer) {
    cop_pointer_key key;
    snprintf(key.text, sizeof key.text, "%p", pointer);
    return key;
}

bool cop_note_pointer(cop_map *map, cop_arena *arena, const void *pointer, int64_t value) {
    char *key = cop_arena_strdup(arena, cop_key_of(pointer).text);
    return key && cop_map_set(map, key, value);
}

void cop_finder_free(cop_finder *finder) {
    cop_map_free(&finder->masks);
}

static bool holds_zeros_and_ones(const coppice_tensor *tensor) {
    int64_t count = coppice_tensor_count(tensor);
    for (int64_t i = 0; i < count; i++) {
        double value = tensor->data ? cop_tensor_get(tensor, i) : -1;
        if (value != 0 && value != 1)
            return false;
    }
    return count > 0;
}

static bool is_mask(cop_finder *finder, const cop_constant *constant) {
    int64_t known = cop_map_get(&finder->masks, cop_key_of(constant).text, 0);
    if (!known) {
        known = holds_zeros_and_ones(&constant->tensor) ? IS_MASK : IS_NO_MASK;
        cop_note_pointer(&finder->masks, finder->arena, constant, known);
    }
    return known == IS_MASK;
}

/* The end of a chain of nodes that pass elements on: a constant, or the node that is something
 * else. */
typedef struct chain_end {
    cop_found found;
    const cop_graph *graph;
    const cop_node *node; /* NULL: none */
} chain_end;

/* The integer that a DequantizeLinear turns into 0; NaN: not one for all elements. */
static double zero_point_of(const cop_graph *graph, const cop_node *node) {
    if (node->input_count < 3 || node->inputs[2] < 0)
        return 0;
    const cop_constant *constant = cop_graph_constant(graph, node->inputs[2], NULL, NULL);
    if (!constant || !constant->tensor.data)
        return NAN;
    double zero = cop_tensor_get(&constant->tensor, 0);
    for (int64_t i = coppice_tensor_count(&constant->tensor); i-- > 1;)
        if (cop_tensor_get(&constant->tensor, i) != zero)
            return NAN;
    return zero;
}

static chain_end follow(const cop_graph *graph, int value) {
    chain_end end = {.found.same_shape = true};
    while (value >= 0) {
        const cop_value *v = &graph->values[value];
        if (v->constant) {
            end.found.constant = v->constant;
            end.found.owner = graph;
            end.found.source = value;
            if (cop_is_float_type(v->constant->tensor.type))
                end.found.zero = 0;
            return end;
        }
        if (v->outer) {
            value = cop_graph_resolve(graph, v->name, &graph);
            continue;
        }
        const cop_node *node = v->producer < 0 ? NULL : &graph->nodes[v->producer];
        bool reshapes = node && is_one_of(node, reshaping_ops);
        if (!node || node->input_count < 1 || !(reshapes || is_one_of(node, same_shape_ops))) {
            end.graph = graph;
            end.node = node;
            return end;
        }
        end.found.same_shape &= !reshapes;
        if (strcmp(node->op, "DequantizeLinear") == 0)
            end.found.zero = zero_point_of(graph, node);
        value = node->inputs[0];
    }
    return end;
}

cop_found cop_find_product(cop_finder *finder, const cop_graph *graph, const cop_node *node,
                           int *input) {
    const cop_found none = {0};
    if (node->domain[0] || strcmp(node->op, "Mul") != 0 || node->input_count != 2)
        return none;
    cop_found a = follow(graph, node->inputs[0]).found, b = follow(graph, node->inputs[1]).found;
    if (!a.constant || !b.constant || !a.same_shape || !b.same_shape ||
        !cop_same_shape(&a.constant->tensor, &b.constant->tensor))
        return none;
    bool first_is_mask = is_mask(finder, a.constant);
    if (!first_is_mask && !is_mask(finder, b.constant))
        return none;
    cop_found found = first_is_mask ? b : a;
    *input = first_is_mask;
    found.mask = first_is_mask ? a.constant : b.constant;
    return found;
}

static cop_found find_masked(cop_finder *finder, const cop_graph *graph, const cop_node *node) {
    int input;
    return cop_find_product(finder, graph, node, &input);
}

cop_found cop_find_constant(cop_finder *finder, const cop_graph *graph, int value) {
    chain_end end = follow(graph, value);
    if (end.found.constant || !end.node)
        return end.found;
    cop_found found = find_masked(finder, end.graph, end.node);
    found.same_shape = end.found.same_shape;
    return found;
}

bool cop_passes_on(cop_finder *finder, const cop_graph *graph, const cop_node *node) {
    return is_one_of(node, same_shape_ops) || is_one_of(node, reshaping_ops) ||
           is_one_of(node, shape_reading_ops) || find_masked(finder, graph, node).constant;
}
