/* coppice_model_inspect: every weight with its shape, zeros, pattern and multiply-accumulates. */
#include <coppice/model.h>
#include <coppice/prune.h>

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "graph/model.h"
#include "prune/pattern.h"
#include "prune/rules.h"
#include "tune/macs.h"

/* An inspection with what its strings live in. The public object is its first member. */
typedef struct inspection {
    coppice_inspection report;
    cop_weights weights;
} inspection;

/* What is the same for every user of a weight. */
typedef struct weight_facts {
    int64_t count, zeros, bytes;
    const char *pattern, *kept_dense;
} weight_facts;

/* A sparse initializer holds each value that is not zero and its index. */
static int64_t stored_bytes(const cop_constant *constant, int64_t nonzeros) {
    int64_t size = coppice_type_bits(constant->tensor.type) / 8;
    return constant->sparse ? nonzeros * (size + (int64_t)sizeof(int64_t))
                            : (int64_t)constant->bytes;
}

static coppice_status look_at(cop_weights *weights, size_t index, weight_facts *facts,
                              coppice_error *err) {
    const cop_weight *weight = &weights->items[index];
    const coppice_tensor *tensor = &weight->constant->tensor;
    coppice_prune_options defaults;
    coppice_prune_options_init(&defaults);
    facts->count = coppice_tensor_count(tensor);
    facts->kept_dense = cop_weight_kept_dense(weights, index, &defaults);
    uint8_t *nonzero = cop_malloc(facts->count > 0 ? (size_t)facts->count : 1);
    if (!nonzero)
        return cop_fail_memory(err, (size_t)facts->count);
    cop_weight_view view;
    bool fits = cop_weight_view_of(&weights->uses[weight->first_use], tensor, &view);
    facts->zeros = cop_nonzero_map(weight, facts->count, nonzero);
    cop_pattern_name name =
        cop_pattern_of(fits ? &view : NULL, nonzero, facts->count, facts->zeros);
    cop_free(nonzero);
    facts->pattern = cop_arena_strdup(&weights->arena, name.text);
    facts->bytes = stored_bytes(weight->constant, facts->count - facts->zeros);
    return facts->pattern ? COPPICE_OK : cop_fail_memory(err, sizeof name);
}

static void fill_row(const cop_weights *weights, size_t use_index, const weight_facts *facts,
                     int64_t macs, coppice_weight_info *row) {
    const cop_weight_use *use = &weights->uses[use_index];
    const cop_weight *weight = &weights->items[use->weight];
    const cop_node *node = &use->graph->nodes[use->node];
    const coppice_tensor *tensor = &weight->constant->tensor;
    *row = (coppice_weight_info){.initializer = weight->key,
                                 .node = cop_node_label(use->graph, node),
                                 .op = node->op,
                                 .type = tensor->type,
                                 .rank = tensor->rank,
                                 .weights = facts->count,
                                 .zeros = facts->zeros,
                                 .bytes = facts->bytes,
                                 .macs = macs,
                                 .pattern = facts->pattern,
                                 .kept_dense = facts->kept_dense};
    memcpy(row->dims, tensor->dims, tensor->rank * sizeof *row->dims);
}

static coppice_status fill_report(inspection *in, const cop_graph *graph, coppice_error *err) {
    cop_weights *weights = &in->weights;
    coppice_inspection *report = &in->report;
    cop_arena *arena = &weights->arena;
    weight_facts *facts = cop_arena_array(arena, weights->count, sizeof *facts);
    int64_t *macs = cop_arena_array(arena, weights->use_count, sizeof *macs);
    report->weights = cop_arena_array(arena, weights->use_count, sizeof *report->weights);
    if (!facts || !macs || !report->weights)
        return cop_fail_memory(err, weights->use_count * sizeof *report->weights);
    COP_TRY(cop_macs_of_uses(graph, weights, macs, err));
    for (size_t i = 0; i < weights->count; i++) {
        COP_TRY(look_at(weights, i, &facts[i], err));
        report->parameters += facts[i].count;
        report->zeros += facts[i].zeros;
    }
    double dense = 0, left = 0;
    report->weight_count = weights->use_count;
    for (size_t i = 0; i < weights->use_count; i++) {
        const weight_facts *f = &facts[weights->uses[i].weight];
        fill_row(weights, i, f, macs[i], &report->weights[i]);
        if (macs[i] < 0 || f->count == 0)
            continue;
        dense += (double)macs[i];
        left += (double)macs[i] * ((double)(f->count - f->zeros) / (double)f->count);
    }
    report->macs = (int64_t)dense;
    report->macs_nonzero = (int64_t)(left + 0.5);
    return COPPICE_OK;
}

static coppice_status inspect(const coppice_model *model, coppice_inspection **out,
                              coppice_error *error) {
    inspection *in = cop_calloc(1, sizeof *in);
    if (!in)
        return cop_fail_memory(error, sizeof *in);
    const cop_graph *graph = cop_model_graph_const(model);
    coppice_status status = cop_weights_collect(graph, &in->weights, error);
    if (status == COPPICE_OK)
        status = fill_report(in, graph, error);
    if (status != COPPICE_OK) {
        coppice_inspection_free(&in->report);
        return status;
    }
    *out = &in->report;
    return COPPICE_OK;
}

coppice_status coppice_model_inspect(const coppice_model *model, coppice_inspection **out,
                                     coppice_error *error) {
    *out = NULL;
    const coppice_host *before = cop_memory_enter(cop_model_host(model));
    return cop_memory_leave(before, inspect(model, out, error));
}

void coppice_inspection_free(coppice_inspection *report) {
    if (!report)
        return;
    inspection *in = (inspection *)report; /* its first member */
    cop_weights_free(&in->weights);
    cop_free(in);
}
