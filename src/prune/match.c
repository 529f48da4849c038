/* Finds the weights of a model that masks of another export belong to. */
#include "prune/match.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/shape.h"
#include "graph/model.h"
#include "graph/quantized.h"
#include "prune/agreement.h"
#include "prune/targets.h"

/* ---- before the search ---- */

/* Masks that the model multiplies its weights by are no weights themselves. */
static coppice_status find_inner_masks(cop_matcher *x, const cop_graph *graph, coppice_error *err) {
    cop_weights weights = {0};
    coppice_status status = cop_weights_collect(graph, &weights, err);
    for (size_t i = 0; status == COPPICE_OK && i < weights.count; i++) {
        const cop_weight *weight = &weights.items[i];
        if (!weight->mask)
            continue;
        x->inner_mask[cop_map_get(&x->constants->index, weight->constant->key, 0)] = weight->mask;
        x->excluded[cop_map_get(&x->constants->index, weight->mask->key, 0)] = true;
    }
    cop_weights_free(&weights);
    return status;
}

static coppice_status prepare(cop_matcher *x, coppice_error *err) {
    size_t masks = x->masks->count, constants = x->constants->count;
    x->match.rows = cop_arena_array(&x->arena, masks, sizeof *x->match.rows);
    x->inner_mask = cop_arena_array(&x->work, constants, sizeof *x->inner_mask);
    x->excluded = cop_arena_array(&x->work, constants, sizeof *x->excluded);
    x->claimed = cop_arena_array(&x->work, constants, sizeof *x->claimed);
    x->settled = cop_arena_array(&x->work, masks, sizeof *x->settled);
    x->given = cop_arena_array(&x->work, masks, sizeof *x->given);
    if (!x->match.rows || !x->inner_mask || !x->excluded || !x->claimed || !x->settled || !x->given)
        return cop_fail_memory(err, masks * sizeof *x->match.rows);
    x->match.row_count = masks;
    for (size_t i = 0; i < masks; i++) {
        x->given[i] = COP_GIVEN_NONE;
        x->match.rows[i] = (coppice_match_row){.kind = COPPICE_MATCH_GIVEN, .agreement = NAN};
        x->match.rows[i].mask = cop_arena_strdup(&x->arena, x->masks->items[i].name);
        if (!x->match.rows[i].mask)
            return cop_fail_memory(err, strlen(x->masks->items[i].name));
    }
    return COPPICE_OK;
}

static bool is_turned(const coppice_tensor *tensor, const cop_mask *mask) {
    return mask->rank == 2 && tensor->rank == 2 && mask->dims[0] == tensor->dims[1] &&
           mask->dims[1] == tensor->dims[0];
}

static coppice_status take_pair(cop_matcher *x, const coppice_match_pair *pair,
                                coppice_error *err) {
    int64_t at = coppice_masks_find(x->masks, pair->mask);
    if (at < 0)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "there is no mask '%s'", pair->mask);
    if (x->given[at] != COP_GIVEN_NONE)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "mask '%s' is given twice", pair->mask);
    x->given[at] = COP_GIVEN_SKIP;
    if (!pair->initializer || !*pair->initializer)
        return COPPICE_OK;
    x->given[at] = cop_map_get(&x->constants->index, pair->initializer, -1);
    if (x->given[at] < 0)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "the model has no initializer '%s'",
                        pair->initializer);
    for (size_t i = 0; i < x->masks->count; i++)
        if ((int64_t)i != at && x->given[i] == x->given[at])
            return cop_fail(err, COPPICE_INVALID_ARGUMENT, "initializer '%s' is given to two masks",
                            pair->initializer);
    const cop_constant *constant = x->constants->items[x->given[at]];
    const coppice_tensor *tensor = &constant->tensor;
    const cop_mask *mask = &x->masks->items[at];
    if (!cop_mask_fits(mask, tensor) && !is_turned(tensor, mask))
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "mask '%s' has the shape %s, initializer '%s' %s", pair->mask,
                        cop_dims_text(mask->rank, mask->dims).s, pair->initializer,
                        cop_shape_text(tensor).s);
    if (!cop_constant_maskable(constant) || x->excluded[x->given[at]])
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "initializer '%s' is no weight: it is %s",
                        pair->initializer,
                        x->excluded[x->given[at]] ? "a mask of the model"
                                                  : coppice_type_name(tensor->type));
    return COPPICE_OK;
}

/* ---- groups ---- */

/* The shape under which masks and tensors meet. */
static void canonical(uint32_t rank, const int64_t *dims, int64_t *out) {
    memset(out, 0, COPPICE_MAX_RANK * sizeof *out);
    memcpy(out, dims, rank * sizeof *dims);
    if (rank == 2 && dims[0] > dims[1]) {
        out[0] = dims[1];
        out[1] = dims[0];
    }
}

bool cop_mask_turned(const cop_match_group *group, const cop_mask *mask) {
    return mask->rank == 2 && mask->dims[0] != group->dims[0];
}

static bool has_shape(const cop_match_group *group, uint32_t rank, const int64_t *dims) {
    int64_t shape[COPPICE_MAX_RANK];
    if (rank != group->rank)
        return false;
    canonical(rank, dims, shape);
    return memcmp(shape, group->dims, rank * sizeof *shape) == 0;
}

static void add_candidates(const cop_matcher *x, cop_match_group *g) {
    bool square = g->rank == 2 && g->dims[0] == g->dims[1];
    for (size_t i = 0; i < x->constants->count; i++) {
        const cop_constant *constant = x->constants->items[i];
        const coppice_tensor *tensor = &constant->tensor;
        if (x->excluded[i] || !cop_constant_maskable(constant) || !tensor->data ||
            !has_shape(g, tensor->rank, tensor->dims))
            continue;
        bool turned = g->rank == 2 && tensor->dims[0] != g->dims[0];
        g->candidates[g->candidate_count++] = (cop_candidate){i, turned};
        if (square)
            g->candidates[g->candidate_count++] = (cop_candidate){i, true};
    }
}

static coppice_status make_group(cop_matcher *x, const cop_mask *mask, coppice_error *err) {
    if (cop_grow(&x->groups, x->group_count, &x->group_capacity, sizeof *x->groups) != 0)
        return cop_fail_memory(err, sizeof *x->groups);
    cop_match_group *g = &x->groups[x->group_count++];
    *g = (cop_match_group){.rank = mask->rank};
    canonical(mask->rank, mask->dims, g->dims);
    g->noise = 1 / sqrt((double)cop_sample_size(mask->count));
    g->masks = cop_arena_array(&x->work, x->masks->count, sizeof *g->masks);
    g->candidates = cop_arena_array(&x->work, 2 * x->constants->count, sizeof *g->candidates);
    if (!g->masks || !g->candidates)
        return cop_fail_memory(err, x->constants->count * sizeof *g->candidates);
    add_candidates(x, g);
    return COPPICE_OK;
}

static coppice_status sort_into_groups(cop_matcher *x, coppice_error *err) {
    for (size_t i = 0; i < x->masks->count; i++) {
        const cop_mask *mask = &x->masks->items[i];
        size_t at = 0;
        while (at < x->group_count && !has_shape(&x->groups[at], mask->rank, mask->dims))
            at++;
        if (at == x->group_count)
            COP_TRY(make_group(x, mask, err));
        x->groups[at].masks[x->groups[at].mask_count++] = i;
    }
    return COPPICE_OK;
}

/* ---- the agreement of all pairs ---- */

static coppice_status compare_masks(cop_matcher *x, cop_match_group *g,
                                    const cop_tensor_sample *samples, coppice_error *err) {
    size_t size = cop_sample_size(x->masks->items[g->masks[0]].count);
    uint32_t *pruned = cop_malloc((size + 1) * sizeof *pruned);
    if (!pruned)
        return cop_fail_memory(err, size * sizeof *pruned);
    for (size_t m = 0; m < g->mask_count && !cop_interrupted(); m++) {
        const cop_mask *mask = &x->masks->items[g->masks[m]];
        size_t zeros = cop_sample_mask(mask, cop_mask_turned(g, mask), pruned);
        for (size_t c = 0; c < g->candidate_count; c++)
            g->agreement[m * g->candidate_count + c] = cop_agreement(pruned, zeros, &samples[c]);
    }
    cop_free(pruned);
    return cop_check_interrupt(err);
}

static coppice_status measure(cop_matcher *x, cop_match_group *g, coppice_error *err) {
    size_t count = g->candidate_count;
    cop_tensor_sample *samples = cop_calloc(count + 1, sizeof *samples);
    double *rows = cop_arena_array(&x->work, g->mask_count, count * sizeof *rows);
    g->agreement = rows;
    coppice_status status =
        samples && rows ? COPPICE_OK : cop_fail_memory(err, count * sizeof *samples);
    for (size_t c = 0; status == COPPICE_OK && c < count; c++) {
        size_t tensor = g->candidates[c].tensor;
        const cop_constant *inner = x->inner_mask[tensor];
        status = cop_check_interrupt(err);
        if (status == COPPICE_OK)
            status = cop_sample_tensor(x->constants->items[tensor], inner ? &inner->tensor : NULL,
                                       g->candidates[c].turned, &samples[c], err);
    }
    if (status == COPPICE_OK && count)
        status = compare_masks(x, g, samples, err);
    for (size_t c = 0; samples && c < count; c++)
        cop_free(samples[c].keys);
    cop_free(samples);
    return status;
}

/* ---- the result ---- */

static void copy_bits(const cop_mask *from, bool transposed, cop_mask *to) {
    to->zeros = from->zeros;
    if (!transposed) {
        memcpy(to->kept, from->kept, cop_mask_words(from->count) * sizeof *to->kept);
        return;
    }
    int64_t rows = from->dims[0], columns = from->dims[1];
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) {
            int64_t at = c * rows + r;
            to->kept[at / 64] |= (uint64_t)cop_mask_keeps(from, r * columns + c) << (at % 64);
        }
}

static coppice_status rename_masks(cop_matcher *x, coppice_error *err) {
    COP_TRY(coppice_masks_new(&x->match.masks, err));
    for (size_t i = 0; i < x->masks->count; i++) {
        const coppice_match_row *row = &x->match.rows[i];
        if (row->kind == COPPICE_MATCH_DOUBTFUL || row->kind == COPPICE_MATCH_NONE ||
            !row->initializer)
            continue;
        const coppice_tensor *tensor = &cop_constants_find(x->constants, row->initializer)->tensor;
        cop_mask *mask =
            cop_masks_add(x->match.masks, row->initializer, tensor->rank, tensor->dims);
        if (!mask)
            return cop_fail_memory(err, (size_t)x->masks->items[i].count / 8);
        copy_bits(&x->masks->items[i], row->transposed, mask);
    }
    return COPPICE_OK;
}

static coppice_status match(const coppice_masks *masks, const coppice_model *model,
                            const coppice_match_pair *pairs, size_t pair_count, coppice_match **out,
                            coppice_error *error) {
    *out = NULL;
    cop_matcher *x = cop_calloc(1, sizeof *x);
    if (!x)
        return cop_fail_memory(error, sizeof *x);
    x->masks = masks;
    x->constants = cop_model_constants(model);
    coppice_status status;
    COP_TRY_OR_FAIL(prepare(x, error));
    COP_TRY_OR_FAIL(find_inner_masks(x, cop_model_graph_const(model), error));
    for (size_t i = 0; i < pair_count; i++)
        COP_TRY_OR_FAIL(take_pair(x, &pairs[i], error));
    COP_TRY_OR_FAIL(sort_into_groups(x, error));
    for (size_t i = 0; i < x->group_count; i++)
        COP_TRY_OR_FAIL(measure(x, &x->groups[i], error));
    COP_TRY_OR_FAIL(cop_match_decide(x, error));
    COP_TRY_OR_FAIL(rename_masks(x, error));
    *out = &x->match;
fail:
    cop_arena_free(&x->work);
    cop_free(x->groups);
    if (status != COPPICE_OK)
        coppice_match_free(&x->match);
    return status;
}

coppice_status coppice_masks_match(const coppice_masks *masks, const coppice_model *model,
                                   const coppice_match_pair *pairs, size_t pair_count,
                                   coppice_match **out, coppice_error *error) {
    const coppice_host *before = cop_memory_enter(cop_model_host(model));
    return cop_memory_leave(before, match(masks, model, pairs, pair_count, out, error));
}

void coppice_match_free(coppice_match *match) {
    if (!match)
        return;
    cop_matcher *x = (cop_matcher *)match; /* its first member */
    coppice_masks_free(match->masks);
    cop_arena_free(&x->arena);
    cop_free(x);
}
