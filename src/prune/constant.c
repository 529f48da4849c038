/* Finds the constant behind a value: through Identity, Reshape and the like, and through a mask. */
#include "prune/constant.h"

#include <stdio.h>
#include <string.h>

#include "base/shape.h"
#include "graph/subgraph.h"

/* How a node passes on elements of a constant. */
typedef enum passing {
    NOT,
    SAME,    /* one for one, in the same shape */
    RESHAPE, /* one for one */
    PART,    /* some of them */
    SCALE,   /* one for one, times or divided by a constant of one element */
    JOIN     /* of several inputs that lead to the same constant */
} passing;

/* By input 0. Quantised and back, a zero is still zero. */
static const struct {
    const char *op;
    passing how;
} passing_ops[] = {{"Identity", SAME},
                   {"Cast", SAME},
                   {"CastLike", SAME},
                   {"QuantizeLinear", SAME},
                   {"Neg", SAME},
                   {"Reshape", RESHAPE},
                   {"DequantizeLinear", SAME},
                   {"Flatten", RESHAPE},
                   {"Squeeze", RESHAPE},
                   {"Unsqueeze", RESHAPE},
                   {"Transpose", RESHAPE},
                   {"Slice", PART},
                   {"Split", PART},
                   {"Gather", PART},
                   {"Mul", SCALE},
                   {"Div", SCALE},
                   {"Concat", JOIN}};
static const char *const shape_reading_ops[] = {"Shape", "Size", NULL};

enum { IS_MASK = 1, IS_NO_MASK = 2, MAX_JOINS = 2, MAX_PARTS = 64 };

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

static bool is_scalar(const cop_graph *graph, const cop_node *node, int input) {
    const cop_constant *constant =
        node->inputs[input] < 0 ? NULL : cop_graph_constant(graph, node->inputs[input], NULL, NULL);
    return constant && coppice_tensor_count(&constant->tensor) == 1;
}

/* Also sets the input by which the elements come. */
static passing passing_of(const cop_graph *graph, const cop_node *node, int *input) {
    passing how = NOT;
    *input = 0;
    for (size_t i = 0; !node->domain[0] && i < sizeof passing_ops / sizeof *passing_ops; i++)
        if (strcmp(node->op, passing_ops[i].op) == 0)
            how = passing_ops[i].how;
    if (how != NOT && node->input_count < (how == SCALE ? 2 : 1))
        return NOT;
    if (how == SCALE) {
        bool swapped = node->op[0] == 'M' && !is_scalar(graph, node, 1);
        *input = swapped;
        return is_scalar(graph, node, !swapped) ? SCALE : NOT;
    }
    if (how == PART && node->op[0] == 'G') {
        const cop_constant *index = node->input_count < 2 || node->inputs[1] < 0
                                        ? NULL
                                        : cop_graph_constant(graph, node->inputs[1], NULL, NULL);
        return index && index->tensor.rank == 0 ? PART : NOT;
    }
    return how;
}

static void add_link(cop_found *found, const cop_graph *graph, const cop_node *node) {
    if (found->link_count < COP_MAX_LINKS)
        found->links[found->link_count] = (cop_link){graph, node};
    found->link_count += found->link_count <= COP_MAX_LINKS;
}

static chain_end follow_from(chain_end end, const cop_graph *graph, int value, int joins);

/* All parts must come from one constant. */
static bool join(chain_end *end, const cop_graph *graph, const cop_node *node, int joins) {
    const chain_end from = *end;
    if (joins >= MAX_JOINS || node->input_count > MAX_PARTS)
        return false;
    for (int i = 0; i < node->input_count; i++) {
        chain_end part = follow_from(from, graph, node->inputs[i], joins + 1);
        if (!part.found.constant || (i && part.found.constant != end->found.constant))
            return false;
        *end = i ? *end : part;
    }
    return node->input_count > 0;
}

/* The rest of a chain that has got to `value`. */
static chain_end follow_from(chain_end end, const cop_graph *graph, int value, int joins) {
    while (value >= 0) {
        const cop_value *v = &graph->values[value];
        if (v->constant) {
            end.found.constant = v->constant;
            end.found.owner = graph;
            end.found.source = value;
            return end;
        }
        if (v->outer) {
            value = cop_graph_resolve(graph, v->name, &graph);
            continue;
        }
        const cop_node *node = v->producer < 0 ? NULL : &graph->nodes[v->producer];
        int input = 0;
        passing how = node ? passing_of(graph, node, &input) : NOT;
        chain_end joined = end;
        add_link(&joined.found, graph, node);
        joined.found.same_shape &= how == SAME;
        if (how == JOIN && join(&joined, graph, node, joins))
            return joined;
        if (how == NOT || how == JOIN) {
            end.graph = graph;
            end.node = node;
            return end;
        }
        end = joined;
        value = node->inputs[input];
    }
    return end;
}

static chain_end follow(const cop_graph *graph, int value) {
    return follow_from((chain_end){.found.same_shape = true}, graph, value, 0);
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
    cop_found found = find_masked(finder, end.graph, end.node), whole = found;
    if (!found.constant)
        return found;
    whole.same_shape = end.found.same_shape;
    whole.link_count = end.found.link_count;
    memcpy(whole.links, end.found.links, sizeof whole.links);
    add_link(&whole, end.graph, end.node);
    for (int i = 0; i < found.link_count && i < COP_MAX_LINKS; i++)
        add_link(&whole, found.links[i].graph, found.links[i].node);
    return whole;
}

bool cop_passes_on(cop_finder *finder, const cop_graph *graph, const cop_node *node, int input) {
    int passed;
    passing how = passing_of(graph, node, &passed);
    if (how == SCALE)
        return input == passed;
    if (how == JOIN)
        return node->output_count == 1 && node->outputs[0] >= 0 &&
               follow(graph, node->outputs[0]).found.constant;
    return how != NOT || is_one_of(node, shape_reading_ops) ||
           find_masked(finder, graph, node).constant;
}
