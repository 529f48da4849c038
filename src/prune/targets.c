/* Finds the prunable weights of a model and the nodes that use them. */
#include "prune/targets.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "graph/quantized.h"
#include "graph/subgraph.h"
#include "prune/constant.h"
#include "prune/einsum.h"

/* The inputs of an operator that may be its weights, in the order they are looked at. */
typedef struct weight_op {
    const char *name;
    int inputs[2]; /* -1: none */
    bool all;      /* each of the inputs is a weight; otherwise the first that is constant */
} weight_op;

static const weight_op weight_ops[] = {
    {"Conv", {1, -1}, false},       {"ConvTranspose", {1, -1}, false},
    {"DeformConv", {1, -1}, false}, {"Gemm", {1, 0}, false},
    {"MatMul", {1, 0}, false},      {"Einsum", {1, 0}, false},
    {"LSTM", {1, 2}, true},         {"GRU", {1, 2}, true},
    {"RNN", {1, 2}, true},
};

/* A walk over the graphs of a model. */
typedef struct walk {
    cop_weights *out;
    cop_map pointers; /* constant: 1 + its weight's index; node: 1 + its use's index; graph: what
                         mark_last_inside found, plus 1 */
    cop_finder finder;
    coppice_error *err;
} walk;

static int64_t recall(const walk *w, const void *pointer) {
    return cop_map_get(&w->pointers, cop_key_of(pointer).text, 0) - 1;
}

static bool note(walk *w, const void *pointer, int64_t value) {
    return cop_note_pointer(&w->pointers, &w->out->arena, pointer, value + 1);
}

static const weight_op *weight_op_of(const cop_node *node) {
    for (size_t i = 0; !node->domain[0] && i < sizeof weight_ops / sizeof *weight_ops; i++)
        if (strcmp(node->op, weight_ops[i].name) == 0)
            return &weight_ops[i];
    return NULL;
}

/* The constant that input `input` of the node is as a weight; `constant` NULL when it is none. */
static cop_found weight_at(walk *w, const cop_graph *graph, const cop_node *node, int input) {
    const cop_found none = {0};
    if (input < 0 || input >= node->input_count || node->inputs[input] < 0)
        return none;
    if (strcmp(node->op, "Einsum") == 0 && !cop_einsum_is_product(node))
        return none;
    cop_found found = cop_find_constant(&w->finder, graph, node->inputs[input]);
    return found.constant && found.constant->tensor.rank > 0 ? found : none;
}

static bool is_depthwise(const cop_node *node, const cop_seen *weight) {
    const cop_attr *group = cop_node_attr(node, "group");
    if (!group || group->kind != COP_ATTR_INT || group->i <= 1 || !weight->known ||
        weight->rank < 2)
        return false;
    bool transposed = strcmp(node->op, "ConvTranspose") == 0;
    return transposed ? weight->dims[0] == group->i
                      : strcmp(node->op, "Gemm") != 0 && weight->dims[1] == 1;
}

/* The names of the nodes on the way, from the constant on; *out is NULL when there are none. */
static bool describe_links(walk *w, const cop_found *found, const char **out) {
    *out = NULL;
    bool ok = true;
    for (int i = 0; ok && i < found->link_count && i < COP_MAX_LINKS; i++) {
        const char *op = found->links[i].node->op;
        *out = *out ? cop_arena_printf(&w->out->arena, "%s, %s", op, *out)
                    : cop_arena_strdup(&w->out->arena, op);
        ok = *out != NULL;
    }
    return ok;
}

/* Index of the weight that is `constant`, added when new; false: no memory. */
static bool weight_index(walk *w, const cop_found *found, size_t *index) {
    cop_weights *out = w->out;
    cop_constant *constant = found->constant;
    int64_t known = recall(w, constant);
    *index = known < 0 ? out->count : (size_t)known;
    if (known >= 0) {
        if (out->items[known].mask != found->mask)
            out->items[known].other_use = "a product with another mask";
        return true;
    }
    if (cop_grow(&out->items, out->count, &out->capacity, sizeof *out->items) != 0)
        return false;
    if (!note(w, constant, (int64_t)out->count))
        return false;
    out->items[out->count++] = (cop_weight){.constant = constant,
                                            .mask = found->mask,
                                            .key = constant->key,
                                            .first_use = out->use_count,
                                            .maskable = cop_constant_maskable(constant)};
    return true;
}

static coppice_status add_use(walk *w, const cop_graph *graph, size_t n, int input,
                              const cop_found *found) {
    const cop_node *node = &graph->nodes[n];
    cop_weights *out = w->out;
    size_t weight;
    const char *via;
    if (cop_grow(&out->uses, out->use_count, &out->use_capacity, sizeof *out->uses) != 0 ||
        !weight_index(w, found, &weight) || !describe_links(w, found, &via))
        return cop_fail_memory(w->err, sizeof(cop_weight));
    bool recurrent = weight_op_of(node)->all;
    if (!recurrent && !note(w, node, (int64_t)out->use_count))
        return cop_fail_memory(w->err, sizeof(cop_weight));
    out->items[weight].is_recurrent |= recurrent;
    const cop_seen seen = cop_see_through(found);
    out->uses[out->use_count++] = (cop_weight_use){.graph = graph,
                                                   .node = n,
                                                   .input = input,
                                                   .weight = weight,
                                                   .seen = seen,
                                                   .via = via,
                                                   .recurrent = recurrent,
                                                   .depthwise = is_depthwise(node, &seen)};
    return COPPICE_OK;
}

static coppice_status add_uses(walk *w, const cop_graph *graph, size_t n) {
    const weight_op *op = weight_op_of(&graph->nodes[n]);
    for (int i = 0; op && i < 2; i++) {
        cop_found found = weight_at(w, graph, &graph->nodes[n], op->inputs[i]);
        if (!found.constant)
            continue;
        COP_TRY(add_use(w, graph, n, op->inputs[i], &found));
        if (!op->all)
            break;
    }
    return COPPICE_OK;
}

/* Recursion is bounded by COP_MAX_GRAPH_DEPTH, which the loader enforces. */
static coppice_status collect(walk *w, const cop_graph *graph) {
    for (size_t n = 0; n < graph->node_count; n++) {
        const cop_node *node = &graph->nodes[n];
        COP_TRY(add_uses(w, graph, n));
        for (size_t a = 0; a < node->attr_count; a++)
            if (node->attrs[a].kind == COP_ATTR_GRAPH)
                COP_TRY(collect(w, node->attrs[a].graph));
    }
    return COPPICE_OK;
}

/* ---- who else reads a weight ---- */

static int by_constant(const void *a, const void *b) {
    uintptr_t x = (uintptr_t)(*(cop_weight *const *)a)->constant;
    uintptr_t y = (uintptr_t)(*(cop_weight *const *)b)->constant;
    return (x > y) - (x < y);
}

/* Is input `input` of the node one by which the node counts as a user of a weight? */
static bool is_weight_input(walk *w, const cop_graph *graph, const cop_node *node, int input) {
    const weight_op *op = weight_op_of(node);
    for (int i = 0; op && i < 2; i++) {
        if (!weight_at(w, graph, node, op->inputs[i]).constant)
            continue;
        if (op->inputs[i] == input)
            return true;
        if (!op->all)
            break;
    }
    return false;
}

static void mark_other_uses(walk *w, const cop_graph *graph, cop_weight **sorted, size_t count) {
    for (size_t n = 0; n < graph->node_count; n++) {
        const cop_node *node = &graph->nodes[n];
        for (int i = 0; i < node->input_count; i++) {
            if (cop_passes_on(&w->finder, graph, node, i))
                continue;
            cop_weight key = {.constant =
                                  cop_find_constant(&w->finder, graph, node->inputs[i]).constant};
            cop_weight *wanted = &key;
            cop_weight **found =
                !key.constant ? NULL : bsearch(&wanted, sorted, count, sizeof *sorted, by_constant);
            if (found && !is_weight_input(w, graph, node, i))
                (*found)->other_use = node->op;
        }
        for (size_t a = 0; a < node->attr_count; a++)
            if (node->attrs[a].kind == COP_ATTR_GRAPH)
                mark_other_uses(w, node->attrs[a].graph, sorted, count);
    }
}

static coppice_status find_other_uses(walk *w, const cop_graph *graph) {
    cop_weights *out = w->out;
    cop_weight **sorted = cop_arena_array(&out->arena, out->count, sizeof *sorted);
    if (!sorted)
        return cop_fail_memory(w->err, out->count * sizeof *sorted);
    for (size_t i = 0; i < out->count; i++)
        sorted[i] = &out->items[i];
    qsort(sorted, out->count, sizeof *sorted, by_constant);
    mark_other_uses(w, graph, sorted, out->count);
    return COPPICE_OK;
}

/* ---- first and last ---- */

static const cop_node *use_node(const cop_weight_use *use) {
    return &use->graph->nodes[use->node];
}

static void mark_first(cop_weights *weights) {
    for (size_t i = 0; i < weights->use_count; i++)
        if (strcmp(use_node(&weights->uses[i])->op, "Conv") == 0) {
            weights->items[weights->uses[i].weight].is_first = true;
            return;
        }
}

/* The weight that a node uses, if it is one that could be pruned. Those of recurrent nodes do not
 * count: they are pruned on request only. */
static cop_weight *weight_of_node(const walk *w, const cop_node *node) {
    int64_t use = recall(w, node);
    cop_weight *weight = use < 0 ? NULL : &w->out->items[w->out->uses[use].weight];
    return weight && weight->maskable ? weight : NULL;
}

static bool mark_last_before(walk *w, const cop_graph *graph, int output, bool *no_memory);

/* The last weights inside the sub-graphs of a node; false when there are none. */
static bool mark_last_inside(walk *w, const cop_node *node, bool *no_memory) {
    bool found = false;
    for (size_t a = 0; a < node->attr_count; a++) {
        if (node->attrs[a].kind != COP_ATTR_GRAPH)
            continue;
        const cop_graph *inner = node->attrs[a].graph;
        int64_t known = recall(w, inner);
        bool inside = known > 0;
        for (size_t i = 0; known < 0 && i < inner->output_count; i++)
            inside |= mark_last_before(w, inner, inner->outputs[i], no_memory);
        *no_memory |= !note(w, inner, inside);
        found |= inside;
    }
    return found;
}

/* Nodes are in topological order, so the first weight met from behind is the last before the
 * output. */
static bool mark_last_before(walk *w, const cop_graph *graph, int output, bool *no_memory) {
    int producer = output < 0 ? -1 : graph->values[output].producer;
    if (producer < 0)
        return false;
    bool *reaches = cop_calloc((size_t)producer + 1, sizeof *reaches);
    if (!reaches) {
        *no_memory = true;
        return false;
    }
    reaches[producer] = true;
    bool found = false;
    for (size_t n = (size_t)producer + 1; n-- > 0 && !found;) {
        if (!reaches[n])
            continue;
        const cop_node *node = &graph->nodes[n];
        cop_weight *weight = weight_of_node(w, node);
        found = weight || mark_last_inside(w, node, no_memory);
        if (weight)
            weight->is_last = true;
        cop_uses uses;
        if (!cop_node_uses(graph, node, &w->out->arena, &uses)) {
            *no_memory = true;
            break;
        }
        for (size_t i = 0; i < uses.count; i++) {
            int from = graph->values[uses.values[i]].producer;
            if (from >= 0 && (size_t)from < n)
                reaches[from] = true;
        }
    }
    cop_free(reaches);
    return found;
}

static coppice_status mark_last(walk *w, const cop_graph *graph) {
    bool no_memory = false;
    for (size_t i = 0; i < graph->output_count; i++)
        mark_last_before(w, graph, graph->outputs[i], &no_memory);
    return no_memory ? cop_fail_memory(w->err, graph->node_count) : COPPICE_OK;
}

coppice_status cop_weights_collect(const cop_graph *graph, cop_weights *out, coppice_error *err) {
    walk w = {.out = out, .finder.arena = &out->arena, .err = err};
    coppice_status status = collect(&w, graph);
    if (status == COPPICE_OK)
        status = find_other_uses(&w, graph);
    if (status == COPPICE_OK)
        status = mark_last(&w, graph);
    if (status == COPPICE_OK)
        mark_first(out);
    cop_map_free(&w.pointers);
    cop_finder_free(&w.finder);
    return status;
}

void cop_weights_free(cop_weights *weights) {
    cop_free(weights->items);
    cop_free(weights->uses);
    cop_arena_free(&weights->arena);
    *weights = (cop_weights){0};
}
