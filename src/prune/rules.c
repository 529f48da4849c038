/* Decides which weights are pruned: keep rules, --include and --exclude, rules of single layers. */
#include "prune/rules.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "graph/quantized.h"
#include "prune/wanted.h"

static bool matches(const cop_weights *weights, size_t weight, const char *glob) {
    if (fnmatch(glob, weights->items[weight].key, 0) == 0)
        return true;
    for (size_t i = 0; i < weights->use_count; i++) {
        const cop_weight_use *use = &weights->uses[i];
        if (use->weight == weight &&
            fnmatch(glob, cop_node_label(use->graph, &use->graph->nodes[use->node]), 0) == 0)
            return true;
    }
    return false;
}

static bool matches_any(const cop_weights *weights, size_t weight, const char *const *globs,
                        size_t count) {
    for (size_t i = 0; i < count; i++)
        if (matches(weights, weight, globs[i]))
            return true;
    return false;
}

static coppice_status check_pattern(const cop_weights *weights, const char *what, const char *glob,
                                    coppice_error *err) {
    for (size_t i = 0; i < weights->count; i++)
        if (weights->items[i].maskable && matches(weights, i, glob))
            return COPPICE_OK;
    return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                    "%s pattern '%s' matches no prunable weight by initializer or node name; "
                    "'coppice inspect' lists the names",
                    what, glob);
}

static coppice_status check_sparsity(const char *what, double sparsity, coppice_error *err) {
    if (sparsity >= 0 && sparsity <= 1)
        return COPPICE_OK;
    return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                    "%s is %g; it must be from 0 (nothing pruned) to 1 (all zeros)", what,
                    sparsity);
}

/* N of M weights is a target by itself. */
static coppice_status check_groups(const coppice_prune_options *options, coppice_error *err) {
    if (options->scope != COPPICE_SCOPE_LAYER)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "pattern '%s' prunes every layer alike: no other scope goes with it",
                        options->pattern);
    for (size_t i = 0; i < options->layer_count; i++) {
        if (options->layers[i].sparsity != 0)
            return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                            "layer pattern '%s' asks for sparsity %g, but pattern '%s' says how "
                            "many weights stay; with it, only 0 (dense) is possible",
                            options->layers[i].glob, options->layers[i].sparsity, options->pattern);
    }
    return COPPICE_OK;
}

static coppice_status check_options(const cop_weights *weights,
                                    const coppice_prune_options *options,
                                    cop_wanted_pattern *pattern, coppice_error *err) {
    COP_TRY(check_sparsity("sparsity", options->sparsity, err));
    COP_TRY(cop_wanted_parse(options->pattern, pattern, err));
    if (pattern->of)
        COP_TRY(check_groups(options, err));
    if ((int)options->scope < 0 || options->scope > COPPICE_SCOPE_LAMP)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "unknown scope %d", (int)options->scope);
    if ((int)options->criterion < 0 || options->criterion > COPPICE_CRITERION_RANDOM)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "unknown criterion %d",
                        (int)options->criterion);
    for (size_t i = 0; i < options->layer_count; i++) {
        char what[300];
        snprintf(what, sizeof what, "sparsity of layer pattern '%s'", options->layers[i].glob);
        COP_TRY(check_sparsity(what, options->layers[i].sparsity, err));
    }
    for (size_t i = 0; i < options->include_count; i++)
        COP_TRY(check_pattern(weights, "include", options->include[i], err));
    for (size_t i = 0; i < options->exclude_count; i++)
        COP_TRY(check_pattern(weights, "exclude", options->exclude[i], err));
    for (size_t i = 0; i < options->layer_count; i++)
        COP_TRY(check_pattern(weights, "layer", options->layers[i].glob, err));
    return COPPICE_OK;
}

/* A weight that cannot be pruned whatever is asked for; NULL when it can. */
static const char *impossible(cop_weights *weights, const cop_weight *weight) {
    const coppice_tensor *tensor = &weight->constant->tensor;
    if (!weight->maskable && weight->constant->quantized)
        return weight->constant->quantized->obstacle;
    if (!weight->maskable)
        return cop_arena_printf(&weights->arena, "type %s cannot be pruned",
                                coppice_type_name(tensor->type));
    if (coppice_tensor_count(tensor) < 1 || !tensor->data)
        return "it has no elements";
    return NULL;
}

bool cop_weight_prunable(const cop_weight *weight) {
    const coppice_tensor *tensor = &weight->constant->tensor;
    return weight->maskable && tensor->data && coppice_tensor_count(tensor) > 0;
}

static bool is_depthwise(const cop_weights *weights, size_t weight) {
    for (size_t i = 0; i < weights->use_count; i++)
        if (weights->uses[i].weight == weight && weights->uses[i].depthwise)
            return true;
    return false;
}

const char *cop_weight_kept_dense(cop_weights *weights, size_t index,
                                  const coppice_prune_options *options) {
    const cop_weight *weight = &weights->items[index];
    const char *reason = impossible(weights, weight);
    if (reason)
        return reason;
    if (options->keep_first && weight->is_first)
        return "first convolution";
    if (options->keep_last && weight->is_last)
        return "last layer";
    if (options->keep_depthwise && is_depthwise(weights, index))
        return "depthwise convolution";
    if (options->keep_recurrent && weight->is_recurrent)
        return "recurrent weight";
    if (weight->other_use)
        return cop_arena_printf(&weights->arena, "also read by %s", weight->other_use);
    return NULL;
}

static const char not_included[] = "not included";

/* Can the pattern be found in the weight? */
static bool has_pattern(const cop_weights *weights, const cop_weight *weight,
                        const cop_wanted_pattern *pattern) {
    cop_weight_view view;
    return cop_wanted_is_free(pattern) ||
           cop_weight_view_of(&weights->uses[weight->first_use], &view);
}

static cop_decision decide(cop_weights *weights, size_t index, const coppice_prune_options *options,
                           const cop_wanted_pattern *pattern) {
    cop_decision decision = {.sparsity = options->sparsity};
    decision.kept_dense = impossible(weights, &weights->items[index]);
    if (!decision.kept_dense && !has_pattern(weights, &weights->items[index], pattern))
        decision.kept_dense = "its elements lie in no order of rows and columns";
    if (decision.kept_dense)
        return decision;
    if (matches_any(weights, index, options->exclude, options->exclude_count)) {
        decision.kept_dense = "excluded";
        return decision;
    }
    for (size_t i = options->layer_count; i-- > 0;) {
        if (!matches(weights, index, options->layers[i].glob))
            continue;
        decision.own_target = true;
        decision.sparsity = options->layers[i].sparsity;
        if (decision.sparsity == 0)
            decision.kept_dense = "layer rule";
        return decision;
    }
    if (options->include_count &&
        !matches_any(weights, index, options->include, options->include_count)) {
        decision.kept_dense = not_included;
        return decision;
    }
    decision.kept_dense = cop_weight_kept_dense(weights, index, options);
    return decision;
}

static coppice_status refuse_nothing(const cop_weights *weights, const cop_decision *decisions,
                                     coppice_error *err) {
    if (!weights->count)
        return cop_fail(
            err, COPPICE_INVALID_ARGUMENT,
            "nothing to prune: no Conv, ConvTranspose, DeformConv, Gemm, MatMul, Einsum, "
            "LSTM, GRU or RNN has a constant weight");
    size_t example = 0; /* one that was asked for says more than one that was not */
    while (example + 1 < weights->count && strcmp(decisions[example].kept_dense, not_included) == 0)
        example++;
    return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                    "nothing to prune: all %zu weights are kept dense ('%s': %s); choose with "
                    "layer rules or switch the keep rules off",
                    weights->count, weights->items[example].key, decisions[example].kept_dense);
}

coppice_status cop_prune_decide(cop_weights *weights, const coppice_prune_options *options,
                                cop_decision **decisions, coppice_error *err) {
    cop_wanted_pattern pattern;
    COP_TRY(check_options(weights, options, &pattern, err));
    cop_decision *all = cop_arena_array(&weights->arena, weights->count, sizeof *all);
    if (!all)
        return cop_fail_memory(err, weights->count * sizeof *all);
    size_t selected = 0;
    for (size_t i = 0; i < weights->count; i++) {
        all[i] = decide(weights, i, options, &pattern);
        selected += !all[i].kept_dense;
    }
    if (!selected)
        return refuse_nothing(weights, all, err);
    *decisions = all;
    return COPPICE_OK;
}
