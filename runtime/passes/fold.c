/* What follows a linear layer and is linear itself goes into its weights and bias. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "runtime/passes/internal.h"

/* A Conv, Gemm or MatMul with constant float32 weights. */
typedef struct linear {
    cop_node *node;
    const coppice_tensor *weight, *bias; /* bias NULL: none */
    int axis;                            /* of the weight: output channels */
    int64_t channels;
} linear;

/* A Gemm that is X W + b with b per column, nothing scaled. */
static bool gemm_fits(const cop_node *node, const coppice_tensor *weight, int *axis) {
    float alpha, beta;
    int64_t trans_b;
    if (weight->rank != 2 || cop_node_float(node, "alpha", 1, &alpha, NULL) ||
        cop_node_float(node, "beta", 1, &beta, NULL) ||
        cop_node_int(node, "transB", 0, &trans_b, NULL) || alpha != 1 || beta != 1)
        return false;
    *axis = trans_b ? 0 : 1;
    return true;
}

/* Fills *out; false when the node is no such layer, or already clamps its result. */
static bool as_linear(const cop_graph *graph, cop_node *node, linear *out) {
    *out = (linear){.node = node, .weight = cop_constant_input(graph, node, 1)};
    bool has_bias = node->input_count > 2 && node->inputs[2] >= 0;
    if (!out->weight || node->output_count != 1 || cop_node_attr(node, "activation_min"))
        return false;
    if (cop_is_op(node, "Conv"))
        out->axis = 0;
    else if (cop_is_op(node, "MatMul") && out->weight->rank == 2)
        out->axis = 1;
    else if (!cop_is_op(node, "Gemm") || !gemm_fits(node, out->weight, &out->axis))
        return false;
    if (out->weight->rank < 2)
        return false;
    out->channels = out->weight->dims[out->axis];
    out->bias = has_bias ? cop_constant_input(graph, node, 2) : NULL;
    if (!has_bias)
        return true;
    return out->bias && out->bias->rank == 1 && out->bias->dims[0] == out->channels;
}

static const char *name_of(const cop_graph *graph, const cop_node *node, int i) {
    bool there = i < node->input_count && node->inputs[i] >= 0;
    return there ? graph->values[node->inputs[i]].name : cop_node_label(graph, node);
}

/* Gives the layer the bias `values`, one per channel, in the arena. */
static coppice_status set_bias(cop_graph *graph, const linear *layer, float *values,
                               coppice_error *err) {
    coppice_tensor bias = {
        .type = COPPICE_TYPE_FLOAT, .rank = 1, .dims = {layer->channels}, .data = values};
    return cop_set_constant_input(graph, layer->node, 2, name_of(graph, layer->node, 2), &bias,
                                  err);
}

/* ---- BatchNormalization ---- */

/* y = x * factor + shift per channel. False when a parameter is not constant or makes no finite
 * number. Both arrays have `channels` elements. */
static bool batchnorm_as_affine(const cop_graph *graph, const cop_node *node, int64_t channels,
                                double *factor, double *shift) {
    const coppice_tensor *p[5];
    float epsilon;
    for (int i = 1; i < 5; i++) {
        p[i] = cop_constant_input(graph, node, i);
        if (!p[i] || p[i]->rank != 1 || p[i]->dims[0] != channels)
            return false;
    }
    if (cop_node_float(node, "epsilon", 1e-5f, &epsilon, NULL))
        return false;
    for (int64_t c = 0; c < channels; c++) {
        double deviation = sqrt((double)cop_float_at(p[4], c) + (double)epsilon);
        factor[c] = cop_float_at(p[1], c) / deviation;
        shift[c] = cop_float_at(p[2], c) - cop_float_at(p[3], c) * factor[c];
        if (!isfinite(factor[c]) || !isfinite(shift[c]))
            return false;
    }
    return true;
}

/* True when the node computes what opset and attributes call inference. */
static bool is_plain_batchnorm(const cop_node *node) {
    int64_t training, spatial;
    return cop_is_op(node, "BatchNormalization") && node->input_count == 5 &&
           node->output_count == 1 && !cop_node_int(node, "training_mode", 0, &training, NULL) &&
           !cop_node_int(node, "spatial", 1, &spatial, NULL) && !training && spatial;
}

static coppice_status scale_weight(cop_graph *graph, const linear *layer, const double *factor,
                                   coppice_error *err) {
    coppice_tensor wide = *layer->weight;
    int64_t count = coppice_tensor_count(&wide), inner = 1;
    for (uint32_t d = (uint32_t)layer->axis + 1; d < wide.rank; d++)
        inner *= wide.dims[d];
    float *weights = cop_arena_array(graph->arena, (size_t)count, sizeof *weights);
    if (!weights)
        return cop_fail_memory(err, (size_t)count * sizeof *weights);
    for (int64_t i = 0; i < count; i++) {
        double w = cop_float_at(layer->weight, i);
        weights[i] = (float)(w * factor[i / inner % layer->channels]);
    }
    wide.data = weights;
    return cop_set_constant_input(graph, layer->node, 1, name_of(graph, layer->node, 1), &wide,
                                  err);
}

static coppice_status shift_bias(cop_graph *graph, const linear *layer, const double *factor,
                                 const double *shift, coppice_error *err) {
    float *bias = cop_arena_array(graph->arena, (size_t)layer->channels, sizeof *bias);
    bool any = layer->bias != NULL;
    if (!bias)
        return cop_fail_memory(err, (size_t)layer->channels * sizeof *bias);
    for (int64_t c = 0; c < layer->channels; c++) {
        double old = layer->bias ? cop_float_at(layer->bias, c) : 0;
        bias[c] = (float)(old * factor[c] + shift[c]);
        any |= shift[c] != 0;
    }
    return any ? set_bias(graph, layer, bias, err) : COPPICE_OK;
}

static coppice_status apply_affine(cop_graph *graph, const linear *layer, const double *factor,
                                   const double *shift, coppice_error *err) {
    COP_TRY(shift_bias(graph, layer, factor, shift, err));
    return scale_weight(graph, layer, factor, err);
}

static coppice_status set_clamp(cop_graph *graph, cop_node *node, float min, float max,
                                coppice_error *err) {
    if (cop_node_set_attr_float(graph, node, "activation_min", min) &&
        cop_node_set_attr_float(graph, node, "activation_max", max))
        return COPPICE_OK;
    return cop_fail_memory(err, sizeof *node->attrs);
}

/* Gives a layer, which has no clamp, the one that BatchNormalization was given before its
 * parameters or the layer's weight were known. */
static coppice_status take_clamp(cop_graph *graph, const cop_node *batchnorm, cop_node *layer,
                                 coppice_error *err) {
    float min, max;
    if (!cop_node_attr(batchnorm, "activation_min"))
        return COPPICE_OK;
    COP_TRY(cop_node_float(batchnorm, "activation_min", -INFINITY, &min, err));
    COP_TRY(cop_node_float(batchnorm, "activation_max", INFINITY, &max, err));
    return set_clamp(graph, layer, min, max, err);
}

static coppice_status fold_one_batchnorm(cop_graph *graph, const int *counts, cop_node *node,
                                         coppice_error *err) {
    linear layer;
    cop_node *producer =
        is_plain_batchnorm(node) ? cop_sole_producer(graph, counts, node, 0) : NULL;
    if (!producer || node->outputs[0] < 0 || !as_linear(graph, producer, &layer) ||
        cop_is_op(producer, "MatMul") || layer.channels < 1)
        return COPPICE_OK;
    double *factor = cop_calloc((size_t)layer.channels, 2 * sizeof *factor);
    if (!factor)
        return cop_fail_memory(err, (size_t)layer.channels * 2 * sizeof *factor);
    double *shift = factor + layer.channels;
    coppice_status status = COPPICE_OK;
    if (batchnorm_as_affine(graph, node, layer.channels, factor, shift)) {
        status = apply_affine(graph, &layer, factor, shift, err);
        if (!status)
            status = take_clamp(graph, node, producer, err);
        cop_take_over(graph, producer, node);
    }
    cop_free(factor);
    return status;
}

/* Runs `one` on every node, with the number of uses of each value. */
static coppice_status for_each_node(cop_graph *graph,
                                    coppice_status (*one)(cop_graph *, const int *, cop_node *,
                                                          coppice_error *),
                                    coppice_error *err) {
    int *counts = cop_graph_use_counts(graph);
    coppice_status status =
        counts ? COPPICE_OK : cop_fail_memory(err, graph->value_count * sizeof *counts);
    for (size_t n = 0; !status && n < graph->node_count; n++)
        status = one(graph, counts, &graph->nodes[n], err);
    cop_free(counts);
    return status;
}

coppice_status cop_pass_fold_batchnorm(cop_graph *graph, coppice_error *err) {
    return for_each_node(graph, fold_one_batchnorm, err);
}

/* ---- products and sums with constants ---- */

/* How the dims of `t` spread over the layer's result: 0: not as one number per channel (for Conv
 * [C,1,1] with at most as many dims as the weight, for matrices [C]), 1: as one number for all. */
static int64_t numbers_of(const linear *layer, const coppice_tensor *t) {
    bool conv = cop_is_op(layer->node, "Conv");
    uint32_t behind = conv ? layer->weight->rank - 2 : 0;
    uint32_t most = conv ? layer->weight->rank : 1;
    if (t->rank <= most && coppice_tensor_count(t) == 1)
        return 1;
    if (t->rank < behind + 1 || t->rank > most)
        return 0;
    for (uint32_t d = 0; d < t->rank; d++) {
        int64_t wanted = d == t->rank - 1 - behind ? layer->channels : 1;
        if (t->dims[d] != wanted)
            return 0;
    }
    return layer->channels;
}

/* x * factor + shift of x + c, x - c, c - x, x * c or x / c; `first`: x is input 0. */
static bool affine_of(const cop_node *node, bool first, double c, double *factor, double *shift) {
    *factor = 1;
    *shift = 0;
    if (cop_is_op(node, "Add"))
        *shift = c;
    else if (cop_is_op(node, "Sub") && first)
        *shift = -c;
    else if (cop_is_op(node, "Sub"))
        *factor = -1, *shift = c;
    else if (cop_is_op(node, "Mul"))
        *factor = c;
    else if (cop_is_op(node, "Div") && first)
        *factor = 1 / c;
    else
        return false;
    return isfinite(*factor) && isfinite(*shift);
}

/* What adds only leaves the weights as they are. */
static coppice_status apply_node(cop_graph *graph, const linear *layer, const cop_node *node,
                                 bool first, const coppice_tensor *constant, bool *done,
                                 coppice_error *err) {
    double *factor = cop_calloc((size_t)layer->channels, 2 * sizeof *factor);
    if (!factor)
        return cop_fail_memory(err, (size_t)layer->channels * 2 * sizeof *factor);
    double *shift = factor + layer->channels;
    bool scaled = false, single = coppice_tensor_count(constant) == 1;
    *done = true;
    for (int64_t c = 0; c < layer->channels && *done; c++) {
        *done = affine_of(node, first, (double)cop_float_at(constant, single ? 0 : c), &factor[c],
                          &shift[c]);
        scaled |= factor[c] != 1;
    }
    coppice_status status = COPPICE_OK;
    if (*done)
        status = shift_bias(graph, layer, factor, shift, err);
    if (*done && scaled && !status)
        status = scale_weight(graph, layer, factor, err);
    cop_free(factor);
    return status;
}

static coppice_status fold_one_affine(cop_graph *graph, const int *counts, cop_node *node,
                                      coppice_error *err) {
    linear layer;
    if (node->domain[0] || node->input_count != 2 || node->output_count != 1 ||
        node->outputs[0] < 0 || cop_node_opset(graph, node) < 7)
        return COPPICE_OK;
    for (int i = 0; i < 2; i++) {
        double ignored;
        const coppice_tensor *constant = cop_constant_input(graph, node, 1 - i);
        if (!constant || !affine_of(node, i == 0, 1, &ignored, &ignored))
            continue;
        cop_node *producer = cop_sole_producer(graph, counts, node, i);
        if (!producer || !as_linear(graph, producer, &layer) || layer.channels < 1 ||
            !numbers_of(&layer, constant))
            continue;
        bool done = false;
        COP_TRY(apply_node(graph, &layer, node, i == 0, constant, &done, err));
        if (done)
            cop_take_over(graph, producer, node);
        break;
    }
    return COPPICE_OK;
}

coppice_status cop_pass_fold_affine(cop_graph *graph, coppice_error *err) {
    return for_each_node(graph, fold_one_affine, err);
}

/* ---- activations ---- */

/* Bounds of a Relu, or of a Clip where they are constant. */
static bool activation_bounds(const cop_graph *graph, const cop_node *node, float *low,
                              float *high) {
    *low = cop_is_op(node, "Relu") ? 0 : -INFINITY;
    *high = INFINITY;
    if (cop_is_op(node, "Relu"))
        return true;
    if (!cop_is_op(node, "Clip"))
        return false;
    if (cop_graph_opset(graph, "") < 11)
        return !cop_node_float(node, "min", -INFINITY, low, NULL) &&
               !cop_node_float(node, "max", INFINITY, high, NULL) && *low <= *high;
    float *const bounds[] = {low, high};
    for (int i = 1; i < 3; i++) {
        if (i >= node->input_count || node->inputs[i] < 0)
            continue;
        const coppice_tensor *bound = cop_constant_input(graph, node, i);
        if (!bound || coppice_tensor_count(bound) != 1)
            return false;
        *bounds[i - 1] = cop_float_at(bound, 0);
    }
    return *low <= *high;
}

static float clamp(float v, float low, float high) {
    return v < low ? low : v > high ? high : v;
}

static coppice_status fuse_one_activation(cop_graph *graph, const int *counts, cop_node *node,
                                          coppice_error *err) {
    static const char *const clamping[] = {"BatchNormalization", "Conv", "Gemm", "MatMul", NULL};
    float low, high, min, max;
    cop_node *producer = cop_sole_producer(graph, counts, node, 0);
    if (!producer || node->output_count != 1 || node->outputs[0] < 0 ||
        producer->output_count != 1 || !activation_bounds(graph, node, &low, &high))
        return COPPICE_OK;
    if (!cop_is_one_of(producer, clamping))
        return COPPICE_OK;
    if (cop_node_float(producer, "activation_min", -INFINITY, &min, NULL) ||
        cop_node_float(producer, "activation_max", INFINITY, &max, NULL))
        return COPPICE_OK;
    /* One clamp behind another is a clamp to what the second makes of the first one's bounds. */
    COP_TRY(set_clamp(graph, producer, clamp(min, low, high), clamp(max, low, high), err));
    cop_take_over(graph, producer, node);
    return COPPICE_OK;
}

coppice_status cop_pass_fuse_activation(cop_graph *graph, coppice_error *err) {
    return for_each_node(graph, fuse_one_activation, err);
}
