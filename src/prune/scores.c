/* Checks the caller's scores and finds the weights that they belong to. */
#include "prune/scores.h"

#include <string.h>

#include "base/error.h"
#include "base/shape.h"

static coppice_status check_form(const coppice_score *score, const coppice_tensor *weight,
                                 coppice_error *err) {
    const coppice_tensor *tensor = &score->tensor;
    if (tensor->type != COPPICE_TYPE_FLOAT)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "scores of '%s' are %s, expected float32 whatever the type of the weight",
                        score->initializer, coppice_type_name(tensor->type));
    if (!cop_same_shape(tensor, weight))
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "scores of '%s' have shape %s, expected %s as the weight",
                        score->initializer, cop_shape_text(tensor).s, cop_shape_text(weight).s);
    if (!tensor->data && coppice_tensor_count(weight) > 0)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "scores of '%s' have no data",
                        score->initializer);
    return COPPICE_OK;
}

/* The weight `name`; -1: there is none that can be pruned. */
static int64_t find_weight(const cop_weights *weights, const char *name) {
    for (size_t i = 0; i < weights->count; i++) {
        if (weights->items[i].maskable && strcmp(weights->items[i].key, name) == 0)
            return (int64_t)i;
    }
    return -1;
}

coppice_status cop_scores_match(cop_weights *weights, const coppice_prune_options *options,
                                const coppice_tensor ***out, coppice_error *err) {
    const coppice_tensor **found =
        cop_arena_array(&weights->arena, weights->count, sizeof(const coppice_tensor *));
    if (!found)
        return cop_fail_memory(err, weights->count * sizeof *found);
    for (size_t i = 0; i < options->score_count; i++) {
        const coppice_score *score = &options->scores[i];
        int64_t at = find_weight(weights, score->initializer);
        if (at < 0)
            return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                            "scores of '%s': no prunable weight has this name; 'coppice inspect' "
                            "lists the names",
                            score->initializer);
        if (found[at])
            return cop_fail(err, COPPICE_INVALID_ARGUMENT, "scores of '%s' are given twice",
                            score->initializer);
        COP_TRY(check_form(score, &weights->items[at].constant->tensor, err));
        found[at] = &score->tensor;
    }
    *out = found;
    return COPPICE_OK;
}
