/* Makes masks permanent that a model multiplies its weights by. */
#include <coppice/masks.h>

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/type.h"
#include "graph/edit.h"
#include "graph/model.h"
#include "graph/subgraph.h"
#include "prune/constant.h"

/* A graph with what is known of the readers of its values. */
typedef struct graph_uses {
    const cop_graph *graph;
    int *reads;    /* per value: by nodes, graphs inside, as output */
    int *products; /* per value: those of `reads` that only lead to products with a mask */
    bool *passed;  /* per node, per outer value behind them: was counted already */
} graph_uses;

typedef struct product {
    const cop_graph *graph;
    const cop_node *node;
    int weight_input; /* which input of the node */
    cop_found found;
    const char *obstacle; /* why it stays; NULL: it goes */
} product;

typedef struct folder {
    cop_arena arena;
    cop_finder finder;
    graph_uses *graphs;
    size_t graph_count, graph_capacity;
    product *products;
    size_t product_count, product_capacity;
    cop_bypass *edits; /* as many as products */
    size_t edit_count;
    coppice_error *err;
} folder;

/* ---- what there is ---- */

static coppice_status add_graph(folder *f, const cop_graph *graph) {
    if (cop_grow(&f->graphs, f->graph_count, &f->graph_capacity, sizeof *f->graphs) != 0)
        return cop_fail_memory(f->err, sizeof *f->graphs);
    graph_uses uses = {.graph = graph, .reads = cop_graph_use_counts(graph)};
    f->graphs[f->graph_count++] = uses;
    uses.products = cop_arena_array(&f->arena, graph->value_count, sizeof *uses.products);
    uses.passed =
        cop_arena_array(&f->arena, graph->node_count + graph->value_count, sizeof *uses.passed);
    f->graphs[f->graph_count - 1] = uses;
    if (!uses.reads || !uses.products || !uses.passed)
        return cop_fail_memory(f->err, graph->value_count * sizeof *uses.products);
    return COPPICE_OK;
}

static coppice_status add_product(folder *f, const cop_graph *graph, const cop_node *node) {
    product p = {.graph = graph, .node = node};
    p.found = cop_find_product(&f->finder, graph, node, &p.weight_input);
    if (!p.found.constant)
        return COPPICE_OK;
    if (cop_grow(&f->products, f->product_count, &f->product_capacity, sizeof p) != 0)
        return cop_fail_memory(f->err, sizeof p);
    f->products[f->product_count++] = p;
    return COPPICE_OK;
}

/* Recursion is bounded by COP_MAX_GRAPH_DEPTH. */
static coppice_status collect(folder *f, const cop_graph *graph) {
    COP_TRY(add_graph(f, graph));
    for (size_t n = 0; n < graph->node_count; n++) {
        const cop_node *node = &graph->nodes[n];
        COP_TRY(add_product(f, graph, node));
        for (size_t a = 0; a < node->attr_count; a++)
            if (node->attrs[a].kind == COP_ATTR_GRAPH)
                COP_TRY(collect(f, node->attrs[a].graph));
    }
    return COPPICE_OK;
}

static graph_uses *uses_of(folder *f, const cop_graph *graph) {
    size_t i = 0;
    while (f->graphs[i].graph != graph)
        i++;
    return &f->graphs[i];
}

/* ---- chains: from an input of a product to the constant behind it ---- */

/* One step of a chain. False at its end, the constant, and at a node that does more than rename or
 * cast. *edge gets the number of the step in its graph: a node, or an outer value behind them. */
static bool step(cop_value_at *at, size_t *edge) {
    const cop_graph *graph = at->graph;
    const cop_value *value = &graph->values[at->value];
    if (value->constant)
        return false;
    if (value->outer) {
        *edge = graph->node_count + (size_t)at->value;
        at->value = cop_graph_resolve(graph, value->name, &at->graph);
        return at->value >= 0;
    }
    const cop_node *node = value->producer < 0 ? NULL : &graph->nodes[value->producer];
    if (!node || node->domain[0] || node->input_count < 1 || node->inputs[0] < 0 ||
        (strcmp(node->op, "Identity") != 0 && strcmp(node->op, "Cast") != 0))
        return false;
    *edge = (size_t)value->producer;
    at->value = node->inputs[0];
    return true;
}

static cop_value_at weight_of(const product *p) {
    return (cop_value_at){p->graph, p->node->inputs[p->weight_input]};
}

/* Counts the reads of this product along the way to its weight. */
static void count_reads(folder *f, const product *p) {
    cop_value_at at = weight_of(p);
    size_t edge;
    uses_of(f, at.graph)->products[at.value]++;
    for (cop_value_at from = at; step(&at, &edge); from = at) {
        bool *passed = &uses_of(f, from.graph)->passed[edge];
        if (*passed)
            return;
        *passed = true;
        uses_of(f, at.graph)->products[at.value]++;
    }
}

static bool is_read_elsewhere(folder *f, const product *p) {
    cop_value_at at = weight_of(p);
    size_t edge;
    do {
        const graph_uses *uses = uses_of(f, at.graph);
        if (uses->reads[at.value] != uses->products[at.value])
            return true;
    } while (step(&at, &edge));
    return !at.graph->values[at.value].constant;
}

/* ---- what goes ---- */

static bool has_other_mask(const folder *f, const product *p) {
    for (size_t i = 0; i < f->product_count; i++)
        if (f->products[i].found.constant == p->found.constant &&
            f->products[i].found.mask != p->found.mask)
            return true;
    return false;
}

/* Infinity times zero is no zero. */
static bool hides_infinities(const product *p) {
    const coppice_tensor *weight = &p->found.constant->tensor, *mask = &p->found.mask->tensor;
    int64_t count = coppice_tensor_count(weight);
    for (int64_t i = 0; i < count; i++)
        if (cop_tensor_get(mask, i) == 0 && !isfinite(cop_tensor_get(weight, i)))
            return true;
    return false;
}

static const char *find_obstacle(folder *f, const coppice_model *model, const product *p) {
    const cop_bypass edit = {
        .graph = p->graph, .from = p->node->outputs[0], .to = p->node->inputs[p->weight_input]};
    if (!cop_is_float_type(p->found.constant->tensor.type))
        return "it is no float";
    if (is_read_elsewhere(f, p))
        return "it is also read without the mask";
    if (has_other_mask(f, p))
        return "it has several masks";
    if (p->node->output_count != 1 || edit.from < 0 || !cop_model_can_bypass(model, &edit))
        return "the product is an output of the graph";
    return hides_infinities(p) ? "the mask hides a NaN or an infinity" : NULL;
}

/* A weight keeps its values as long as one of its products stays. */
static void find_obstacles(folder *f, const coppice_model *model) {
    for (size_t i = 0; i < f->product_count; i++)
        f->products[i].obstacle = find_obstacle(f, model, &f->products[i]);
    for (size_t i = 0; i < f->product_count; i++)
        for (size_t k = 0; f->products[i].obstacle && k < f->product_count; k++)
            if (f->products[k].found.constant == f->products[i].found.constant &&
                !f->products[k].obstacle)
                f->products[k].obstacle = f->products[i].obstacle;
}

static coppice_status add_edit(folder *f, const product *p) {
    cop_value_at *left = NULL, at = {p->graph, p->node->inputs[!p->weight_input]};
    size_t count = 0, edge;
    bool more = true;
    for (; more; more = step(&at, &edge)) {
        cop_value_at *grown = cop_arena_array(&f->arena, count + 1, sizeof *grown);
        if (!grown)
            return cop_fail_memory(f->err, (count + 1) * sizeof *grown);
        if (count)
            memcpy(grown, left, count * sizeof *left);
        grown[count++] = at;
        left = grown;
    }
    f->edits[f->edit_count++] = (cop_bypass){.graph = p->graph,
                                             .from = p->node->outputs[0],
                                             .to = p->node->inputs[p->weight_input],
                                             .leftovers = left,
                                             .leftover_count = count};
    return COPPICE_OK;
}

static void write_zeros(const product *p) {
    const coppice_tensor *weight = &p->found.constant->tensor, *mask = &p->found.mask->tensor;
    size_t width = coppice_type_bits(weight->type) / 8;
    int64_t count = coppice_tensor_count(weight);
    for (int64_t i = 0; i < count; i++)
        if (cop_tensor_get(mask, i) == 0)
            memset((char *)weight->data + (size_t)i * width, 0, width);
    p->found.constant->dirty = true;
}

static void explain(const folder *f) {
    for (size_t i = 0; i < f->product_count; i++)
        if (f->products[i].obstacle)
            cop_log(COPPICE_LOG_NOTE, "weight '%s': its mask '%s' stays in the graph: %s",
                    f->products[i].found.constant->key, f->products[i].found.mask->key,
                    f->products[i].obstacle);
}

/* Folds what can be folded now; a product of a product is one of constants only afterwards. */
static coppice_status fold_once(coppice_model *model, folder *f) {
    COP_TRY(collect(f, cop_model_graph(model)));
    f->edits = cop_arena_array(&f->arena, f->product_count, sizeof *f->edits);
    if (!f->edits)
        return cop_fail_memory(f->err, f->product_count * sizeof *f->edits);
    for (size_t i = 0; i < f->product_count; i++)
        count_reads(f, &f->products[i]);
    find_obstacles(f, model);
    for (size_t i = 0; i < f->product_count; i++)
        if (!f->products[i].obstacle)
            COP_TRY(add_edit(f, &f->products[i]));
    if (!f->edit_count) {
        explain(f);
        return COPPICE_OK;
    }
    for (size_t i = 0; i < f->product_count; i++)
        if (!f->products[i].obstacle)
            write_zeros(&f->products[i]);
    return cop_model_bypass(model, f->edits, f->edit_count, f->err);
}

static void release(folder *f) {
    for (size_t i = 0; i < f->graph_count; i++)
        cop_free(f->graphs[i].reads);
    cop_free(f->graphs);
    cop_free(f->products);
    cop_finder_free(&f->finder);
    cop_arena_free(&f->arena);
}

static coppice_status fold(coppice_model *model, int64_t *folded, coppice_error *err) {
    coppice_status status;
    size_t done;
    *folded = 0;
    do {
        folder f = {.err = err};
        f.finder.arena = &f.arena;
        status = fold_once(model, &f);
        done = status == COPPICE_OK ? f.edit_count : 0;
        *folded += (int64_t)done;
        release(&f);
    } while (done > 0);
    return status;
}

coppice_status coppice_model_fold_masks(coppice_model *model, int64_t *folded,
                                        coppice_error *error) {
    int64_t count;
    const coppice_host *before = cop_memory_enter(cop_model_host(model));
    return cop_memory_leave(before, fold(model, folded ? folded : &count, error));
}
