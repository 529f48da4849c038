/* Chooses the weights that become zero, layer by layer or over all layers, and writes the zeros. */
#include "prune/prune.h"

#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/size.h"
#include "graph/mask.h"
#include "prune/allocate.h"
#include "prune/pattern.h"
#include "prune/rules.h"
#include "prune/scores.h"
#include "prune/select.h"
#include "prune/units.h"

void coppice_prune_options_init(coppice_prune_options *options) {
    *options = (coppice_prune_options){
        .keep_first = true, .keep_last = true, .keep_depthwise = true, .keep_recurrent = true};
}

/* The row of one weight, without what pruning decides. */
static void describe(const cop_weights *weights, size_t index, coppice_prune_layer *layer) {
    const cop_weight *weight = &weights->items[index];
    const cop_weight_use *use = &weights->uses[weight->first_use];
    const cop_node *node = &use->graph->nodes[use->node];
    const coppice_tensor *tensor = &weight->constant->tensor;
    *layer = (coppice_prune_layer){.initializer = weight->key,
                                   .node = cop_node_label(use->graph, node),
                                   .op = node->op,
                                   .rank = tensor->rank,
                                   .weights = coppice_tensor_count(tensor),
                                   .macs = -1};
    memcpy(layer->dims, tensor->dims, tensor->rank * sizeof *layer->dims);
}

/* Names the reasons of the layers that stay dense, makes masks for the others. */
static coppice_status allocate_masks(cop_prune_plan *plan, const cop_decision *decisions,
                                     coppice_error *err) {
    coppice_prune_report *report = &plan->report;
    COP_TRY(coppice_masks_new(&report->masks, err));
    for (size_t i = 0; i < report->layer_count; i++) {
        coppice_prune_layer *layer = &report->layers[i];
        layer->kept_dense = decisions[i].kept_dense;
        if (!layer->kept_dense &&
            !cop_masks_add(report->masks, layer->initializer, layer->rank, layer->dims))
            return cop_fail_memory(err, (size_t)layer->weights / 8);
    }
    return COPPICE_OK;
}

/* The mask of a layer, NULL when it stays dense. */
static cop_mask *mask_of(const cop_prune_plan *plan, size_t layer) {
    int64_t at = coppice_masks_find(plan->report.masks, plan->report.layers[layer].initializer);
    return at < 0 ? NULL : &plan->report.masks->items[at];
}

/* The pool of every selected weight that has no target of its own, and a pool for each other one.
 */
typedef struct pools {
    cop_wanted_pattern pattern;
    cop_pool_item *items;          /* one per layer */
    cop_weight_view *views;        /* of each item, where the pattern is not free */
    const coppice_tensor **scores; /* of each layer; NULL: it goes by magnitude */
    size_t *layer;                 /* whose item it is */
    size_t count;
    cop_tally tally;
    cop_arena arena; /* of what only selection needs */
} pools;

static void add_item(pools *p, const cop_prune_plan *plan, size_t i) {
    const coppice_prune_layer *layer = &plan->report.layers[i];
    const cop_weights *weights = &plan->weights;
    if (!cop_wanted_is_free(&p->pattern))
        cop_weight_view_of(&weights->uses[weights->items[i].first_use], &p->views[p->count]);
    p->layer[p->count] = i;
    p->items[p->count++] = (cop_pool_item){.constant = plan->weights.items[i].constant,
                                           .zeroed_by = plan->weights.items[i].mask,
                                           .scores = p->scores[i],
                                           .key = layer->initializer,
                                           .count = layer->weights,
                                           .mask = mask_of(plan, i)};
}

/* Selects in one pool: items `from` to the last. */
static coppice_status select_pool(pools *p, size_t from, double sparsity, cop_prune_plan *plan,
                                  coppice_error *err) {
    int64_t total = 0;
    for (size_t i = from; i < p->count; i++)
        if (!cop_i64_add(total, p->items[i].count, &total))
            return cop_fail_memory(err, SIZE_MAX);
    if (from == p->count)
        return COPPICE_OK;
    int64_t wanted = cop_zeros_wanted(sparsity, total);
    bool is_free = cop_wanted_is_free(&p->pattern);
    COP_TRY(is_free ? cop_select_smallest(p->items + from, p->count - from, wanted, &p->tally, err)
                    : cop_select_units(&p->pattern, p->items + from, p->views + from,
                                       p->count - from, wanted, &p->tally, err));
    for (size_t i = from; i < p->count; i++)
        plan->report.layers[p->layer[i]].zeros = p->items[i].zeros;
    return COPPICE_OK;
}

/* Scores that nobody gave are random. */
static coppice_status draw_scores(pools *p, const cop_prune_plan *plan, uint64_t seed,
                                  coppice_error *err) {
    for (size_t i = 0; i < plan->report.layer_count; i++) {
        const coppice_tensor *weight = &plan->weights.items[i].constant->tensor;
        if (p->scores[i] || !mask_of(plan, i))
            continue;
        size_t count = (size_t)coppice_tensor_count(weight);
        coppice_tensor *drawn = cop_arena_array(&p->arena, 1, sizeof *drawn);
        float *scores = cop_arena_array(&p->arena, count, sizeof *scores);
        if (!drawn || !scores)
            return cop_fail_memory(err, count * sizeof *scores);
        for (size_t k = 0; k < count; k++)
            scores[k] = (float)(cop_random_next(&seed) >> 40);
        *drawn = *weight;
        drawn->type = COPPICE_TYPE_FLOAT;
        drawn->data = scores;
        p->scores[i] = drawn;
    }
    return COPPICE_OK;
}

static coppice_status begin_pools(pools *p, cop_prune_plan *plan,
                                  const coppice_prune_options *options, coppice_error *err) {
    size_t count = plan->report.layer_count;
    p->items = cop_arena_array(&p->arena, count, sizeof *p->items);
    p->views = cop_arena_array(&p->arena, count, sizeof *p->views);
    p->layer = cop_arena_array(&p->arena, count, sizeof *p->layer);
    if (!p->items || !p->views || !p->layer)
        return cop_fail_memory(err, count * sizeof *p->items);
    COP_TRY(cop_wanted_parse(options->pattern, &p->pattern, err));
    COP_TRY(cop_scores_match(&plan->weights, options, &p->scores, err));
    return options->criterion == COPPICE_CRITERION_RANDOM ? draw_scores(p, plan, options->seed, err)
                                                          : COPPICE_OK;
}

static coppice_status select_layers(pools *p, cop_prune_plan *plan, bool global,
                                    const cop_decision *decisions, double sparsity,
                                    coppice_error *err) {
    size_t count = plan->report.layer_count;
    for (size_t i = 0; i < count; i++)
        p->tally.total += decisions[i].kept_dense ? 0 : 2 * plan->report.layers[i].weights;
    for (size_t i = 0; i < count; i++) {
        if (decisions[i].kept_dense || (global && !decisions[i].own_target))
            continue;
        add_item(p, plan, i);
        COP_TRY(select_pool(p, p->count - 1, decisions[i].sparsity, plan, err));
    }
    size_t from = p->count;
    for (size_t i = 0; global && i < count; i++)
        if (!decisions[i].kept_dense && !decisions[i].own_target)
            add_item(p, plan, i);
    return select_pool(p, from, sparsity, plan, err);
}

static coppice_status select_all(cop_prune_plan *plan, const coppice_prune_options *options,
                                 const cop_decision *decisions, coppice_error *err) {
    pools p = {.tally.what = "prune"};
    coppice_status status = begin_pools(&p, plan, options, err);
    if (!status)
        status = select_layers(&p, plan, options->scope == COPPICE_SCOPE_GLOBAL, decisions,
                               options->sparsity, err);
    cop_arena_free(&p.arena);
    return status;
}

static void total_up(cop_prune_plan *plan) {
    coppice_prune_report *report = &plan->report;
    for (size_t i = 0; i < report->layer_count; i++) {
        coppice_prune_layer *layer = &report->layers[i];
        if (layer->kept_dense) {
            layer->zeros = cop_nonzero_map(&plan->weights.items[i], layer->weights, NULL);
            continue;
        }
        report->weights += layer->weights;
        report->zeros += layer->zeros;
    }
}

coppice_status cop_prune_choose(const cop_graph *graph, const coppice_prune_options *options,
                                cop_prune_plan **out, coppice_error *err) {
    *out = NULL;
    cop_prune_plan *plan = cop_calloc(1, sizeof *plan);
    if (!plan)
        return cop_fail_memory(err, sizeof *plan);
    coppice_status status;
    cop_decision *decisions;
    coppice_prune_report *report = &plan->report;
    COP_TRY_OR_FAIL(cop_weights_collect(graph, &plan->weights, err));
    COP_TRY_OR_FAIL(cop_prune_decide(&plan->weights, options, &decisions, err));
    COP_TRY_OR_FAIL(cop_prune_allocate(&plan->weights, options, decisions, err));
    report->layers =
        cop_arena_array(&plan->weights.arena, plan->weights.count, sizeof *report->layers);
    if (!report->layers) {
        status = cop_fail_memory(err, plan->weights.count * sizeof *report->layers);
        goto fail;
    }
    report->layer_count = plan->weights.count;
    for (size_t i = 0; i < report->layer_count; i++)
        describe(&plan->weights, i, &report->layers[i]);
    COP_TRY_OR_FAIL(allocate_masks(plan, decisions, err));
    COP_TRY_OR_FAIL(select_all(plan, options, decisions, err));
    total_up(plan);
    *out = plan;
    return COPPICE_OK;
fail:
    coppice_prune_report_free(report);
    return status;
}

void cop_prune_apply(cop_prune_plan *plan) {
    for (size_t i = 0; i < plan->report.layer_count; i++) {
        const cop_mask *mask = mask_of(plan, i);
        if (mask)
            cop_apply_mask(plan->weights.items[i].constant, mask);
    }
}

void coppice_prune_report_free(coppice_prune_report *report) {
    if (!report)
        return;
    cop_prune_plan *plan = (cop_prune_plan *)report; /* its first member */
    cop_weights_free(&plan->weights);
    coppice_masks_free(report->masks);
    cop_free(plan);
}
