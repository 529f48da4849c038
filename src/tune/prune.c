/* coppice_prune: chooses and applies, and counts the multiply-accumulates that are left. */
#include <coppice/prune.h>

#include "base/error.h"
#include "base/memory.h"
#include "graph/model.h"
#include "prune/prune.h"
#include "tune/macs.h"

/* Adds up the MACs of all nodes that use a weight; unknown when those of one are. */
static void fill_layers(cop_prune_plan *plan, const int64_t *macs) {
    coppice_prune_report *report = &plan->report;
    for (size_t i = 0; i < report->layer_count; i++)
        report->layers[i].macs = 0;
    for (size_t i = 0; i < plan->weights.use_count; i++) {
        int64_t *sum = &report->layers[plan->weights.uses[i].weight].macs;
        if (*sum >= 0 && (macs[i] < 0 || __builtin_add_overflow(*sum, macs[i], sum)))
            *sum = -1;
    }
    double dense = 0, left = 0;
    for (size_t i = 0; i < report->layer_count; i++) {
        const coppice_prune_layer *layer = &report->layers[i];
        if (layer->macs < 0 || layer->weights == 0)
            continue;
        dense += (double)layer->macs;
        left += (double)layer->macs *
                ((double)(layer->weights - layer->zeros) / (double)layer->weights);
    }
    report->macs_dense = (int64_t)dense;
    report->macs_left = (int64_t)(left + 0.5);
}

coppice_status cop_macs_of_plan(const cop_graph *graph, cop_prune_plan *plan, coppice_error *err) {
    int64_t *macs = cop_arena_array(&plan->weights.arena, plan->weights.use_count, sizeof *macs);
    if (!macs)
        return cop_fail_memory(err, plan->weights.use_count * sizeof *macs);
    COP_TRY(cop_macs_of_uses(graph, &plan->weights, macs, NULL, err));
    fill_layers(plan, macs);
    return COPPICE_OK;
}

static coppice_status prune(coppice_model *model, const coppice_prune_options *options,
                            coppice_prune_report **report, coppice_error *error) {
    cop_graph *graph = cop_model_graph(model);
    cop_prune_plan *plan;
    COP_TRY(cop_prune_choose(graph, options, &plan, error));
    coppice_status status = cop_macs_of_plan(graph, plan, error);
    if (status != COPPICE_OK) {
        coppice_prune_report_free(&plan->report);
        return status;
    }
    if (!options->dry_run)
        cop_prune_apply(plan);
    if (report)
        *report = &plan->report;
    else
        coppice_prune_report_free(&plan->report);
    return COPPICE_OK;
}

coppice_status coppice_prune(coppice_model *model, const coppice_prune_options *options,
                             coppice_prune_report **report, coppice_error *error) {
    if (report)
        *report = NULL;
    const coppice_host *before = cop_memory_enter(cop_model_host(model));
    return cop_memory_leave(before, prune(model, options, report, error));
}
