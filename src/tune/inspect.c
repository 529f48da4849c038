/* coppice_model_inspect: every weight with its shape, zeros, pattern and multiply-accumulates; the
 * other parameters; and what pruning would leave. */
#include <coppice/model.h>
#include <coppice/prune.h>

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/type.h"
#include "graph/mask.h"
#include "graph/model.h"
#include "graph/quantized.h"
#include "prune/pattern.h"
#include "prune/rules.h"
#include "prune/select.h"
#include "tune/inventory.h"
#include "tune/macs.h"

/* An inspection with what its strings live in. The public object is its first member. */
typedef struct inspection {
    coppice_inspection report;
    cop_weights weights;
    cop_inventory inventory;
} inspection;

/* ---- weights ---- */

/* Zeros and pattern. */
static coppice_status look_at(cop_weights *weights, size_t index, coppice_weight_info *row,
                              coppice_error *err) {
    const cop_weight *weight = &weights->items[index];
    uint8_t *nonzero = cop_malloc(row->weights > 0 ? (size_t)row->weights : 1);
    if (!nonzero)
        return cop_fail_memory(err, (size_t)row->weights);
    cop_weight_view view;
    bool fits = cop_weight_view_of(&weights->uses[weight->first_use], &view);
    row->zeros = cop_nonzero_map(weight, row->weights, nonzero);
    cop_pattern_name name = cop_pattern_of(fits ? &view : NULL, nonzero, row->weights, row->zeros);
    cop_free(nonzero);
    row->pattern = cop_arena_strdup(&weights->arena, name.text);
    return row->pattern ? COPPICE_OK : cop_fail_memory(err, sizeof name);
}

static coppice_status fill_row(cop_weights *weights, size_t index, coppice_weight_info *row,
                               coppice_error *err) {
    const cop_weight *weight = &weights->items[index];
    const coppice_tensor *tensor = &weight->constant->tensor;
    coppice_prune_options defaults;
    coppice_prune_options_init(&defaults);
    row->initializer = weight->key;
    row->type = tensor->type;
    row->rank = tensor->rank;
    memcpy(row->dims, tensor->dims, tensor->rank * sizeof *row->dims);
    row->weights = coppice_tensor_count(tensor);
    row->kept_dense = cop_weight_kept_dense(weights, index, &defaults);
    row->prunable = cop_weight_prunable(weight);
    return look_at(weights, index, row, err);
}

/* Gives every row its users; `macs` as from cop_macs_of_uses. */
static coppice_status fill_users(inspection *in, const int64_t *macs, coppice_error *err) {
    const cop_weights *weights = &in->weights;
    coppice_weight_info *rows = in->report.weights;
    coppice_weight_user *next =
        cop_arena_array(&in->weights.arena, weights->use_count, sizeof *next);
    if (!next)
        return cop_fail_memory(err, weights->use_count * sizeof *next);
    for (size_t i = 0; i < weights->use_count; i++)
        rows[weights->uses[i].weight].user_count++;
    for (size_t i = 0; i < weights->count; i++) {
        rows[i].users = next;
        next += rows[i].user_count;
        rows[i].user_count = 0;
    }
    for (size_t i = 0; i < weights->use_count; i++) {
        const cop_weight_use *use = &weights->uses[i];
        const cop_node *node = &use->graph->nodes[use->node];
        coppice_weight_info *row = &rows[use->weight];
        row->users[row->user_count++] =
            (coppice_weight_user){.node = cop_node_label(use->graph, node),
                                  .op = node->op,
                                  .via = use->via,
                                  .macs = macs[i]};
        if (row->macs >= 0 &&
            (macs[i] < 0 || __builtin_add_overflow(row->macs, macs[i], &row->macs)))
            row->macs = -1;
    }
    for (size_t i = 0; i < weights->count; i++) {
        rows[i].node = rows[i].users[0].node;
        rows[i].op = rows[i].users[0].op;
    }
    return COPPICE_OK;
}

/* ---- totals ---- */

/* The part of `macs` that `weights - zeros` of the weights stand for. */
static double macs_left(const coppice_weight_info *row, int64_t zeros) {
    if (row->macs < 0 || row->weights == 0)
        return 0;
    return (double)row->macs * ((double)(row->weights - zeros) / (double)row->weights);
}

static void total_up(coppice_inspection *report) {
    double dense = 0, left = 0, prunable = 0;
    for (size_t i = 0; i < report->weight_count; i++) {
        const coppice_weight_info *row = &report->weights[i];
        report->parameters += row->weights;
        report->zeros += row->zeros;
        report->macs_unknown += row->macs < 0;
        dense += macs_left(row, 0);
        left += macs_left(row, row->zeros);
        if (row->kept_dense)
            continue;
        report->prunable += row->weights;
        prunable += macs_left(row, 0);
    }
    report->macs = (int64_t)dense;
    report->macs_nonzero = (int64_t)(left + 0.5);
    report->macs_prunable = (int64_t)prunable;
}

static void fill_groups(inspection *in) {
    static const struct {
        cop_tensor_kind kind;
        const char *name;
    } groups[COPPICE_PARAMETER_GROUPS] = {{COP_KIND_BIAS, "biases"},
                                          {COP_KIND_SCALE, "scales"},
                                          {COP_KIND_EMBEDDING, "embeddings"},
                                          {COP_KIND_MASK, "masks"},
                                          {COP_KIND_OTHER, "other"}};
    coppice_inspection *report = &in->report;
    report->model_parameters = report->parameters;
    for (size_t g = 0; g < COPPICE_PARAMETER_GROUPS; g++) {
        coppice_parameter_group *group = &report->others[g];
        group->kind = groups[g].name;
        for (size_t i = 0; i < in->inventory.count; i++) {
            const cop_inventory_item *item = &in->inventory.items[i];
            if (item->kind != groups[g].kind)
                continue;
            group->tensors++;
            group->bytes += item->stored;
            if (item->kind == COP_KIND_MASK)
                continue;
            group->parameters += item->count;
            group->zeros += item->zeros;
        }
        report->model_parameters += group->parameters;
    }
}

/* ---- forecast ---- */

/* What a sparse initializer has beside values and indices, and a dense one has not: measured on
 * files that onnx wrote, a few bytes more or less by the lengths of dims. */
enum { SPARSE_OVERHEAD = 36 };

static int64_t zeros_at(const coppice_weight_info *row, double sparsity) {
    if (row->kept_dense)
        return row->zeros;
    int64_t wanted = cop_zeros_wanted(sparsity, row->weights);
    return wanted > row->zeros ? wanted : row->zeros;
}

/* Bytes that an initializer saves as sparse_initializer with `zeros` zeros. */
static int64_t saved_by_sparse(const cop_inventory_item *item, int64_t zeros) {
    int64_t width = coppice_type_bits(item->constant->tensor.type) / 8;
    if (!item->initializer || width == 0 || !item->constant->tensor.data)
        return 0;
    int64_t sparse = cop_sparse_bytes(item->count, item->count - zeros, width) + SPARSE_OVERHEAD;
    int64_t dense = item->count * width;
    return sparse < dense ? dense - sparse : 0;
}

/* Zeros that a sparse file leaves out as `convert` writes it by default; a zero point other than 0
 * is no zero. */
static int64_t sparse_zeros(const cop_inventory_item *item) {
    int64_t negative = item->zeros - item->zero_bits;
    if (item->constant->quantized && item->constant->quantized->zero)
        return 0;
    bool masked = cop_is_float_type(item->constant->tensor.type) &&
                  cop_zeros_of_a_mask(item->zeros, negative);
    return masked ? item->zeros : item->zero_bits;
}

static void forecast(const inspection *in, int64_t file_bytes, double sparsity,
                     coppice_forecast *out) {
    const coppice_inspection *report = &in->report;
    double left = 0;
    *out = (coppice_forecast){.sparsity = sparsity, .bytes_dense = file_bytes};
    for (size_t i = 0; i < report->weight_count; i++) {
        int64_t zeros = zeros_at(&report->weights[i], sparsity);
        out->zeros += zeros;
        left += macs_left(&report->weights[i], zeros);
    }
    out->macs_left = (int64_t)(left + 0.5);
    int64_t saved = 0;
    for (size_t i = 0; i < in->inventory.count; i++) {
        const cop_inventory_item *item = &in->inventory.items[i];
        if (item->constant->sparse)
            out->bytes_dense += (int64_t)item->constant->bytes - item->stored;
        const coppice_weight_info *row = item->weight < 0 ? NULL : &report->weights[item->weight];
        bool quantized = item->constant->quantized && item->constant->quantized->zero;
        bool pruned = row && !row->kept_dense && sparsity > 0 && !quantized;
        saved += saved_by_sparse(item, pruned ? zeros_at(row, sparsity) : sparse_zeros(item));
    }
    out->bytes_sparse = out->bytes_dense - saved;
}

/* ---- the whole ---- */

static coppice_status fill_report(inspection *in, const coppice_model *model, coppice_error *err) {
    static const double sparsities[COPPICE_FORECASTS] = {0, 0.5, 0.8, 0.9};
    const cop_graph *graph = cop_model_graph_const(model);
    cop_weights *weights = &in->weights;
    coppice_inspection *report = &in->report;
    int64_t *macs = cop_arena_array(&weights->arena, weights->use_count, sizeof *macs);
    report->weights = cop_arena_array(&weights->arena, weights->count, sizeof *report->weights);
    if (!macs || !report->weights)
        return cop_fail_memory(err, weights->use_count * sizeof *report->weights);
    report->weight_count = weights->count;
    COP_TRY(cop_macs_of_uses(graph, weights, macs, &report->macs_other, err));
    for (size_t i = 0; i < weights->count; i++)
        COP_TRY(fill_row(weights, i, &report->weights[i], err));
    COP_TRY(fill_users(in, macs, err));
    COP_TRY(cop_inventory_make(graph, weights, &in->inventory, err));
    for (size_t i = 0; i < in->inventory.count; i++) {
        const cop_inventory_item *item = &in->inventory.items[i];
        if (item->weight >= 0)
            report->weights[item->weight].bytes = item->stored;
        if (cop_is_float_type(item->constant->tensor.type))
            report->negative_zeros += item->zeros - item->zero_bits;
    }
    total_up(report);
    fill_groups(in);
    for (size_t i = 0; i < COPPICE_FORECASTS; i++)
        forecast(in, coppice_model_file_bytes(model), sparsities[i], &report->forecasts[i]);
    return COPPICE_OK;
}

static coppice_status inspect(const coppice_model *model, coppice_inspection **out,
                              coppice_error *error) {
    inspection *in = cop_calloc(1, sizeof *in);
    if (!in)
        return cop_fail_memory(error, sizeof *in);
    coppice_status status = cop_weights_collect(cop_model_graph_const(model), &in->weights, error);
    if (status == COPPICE_OK)
        status = fill_report(in, model, error);
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
