/* Nodes with constant weights seen as convolutions: Conv, Gemm, MatMul. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "graph/constants.h"
#include "runtime/ops/ops.h"
#include "runtime/plan.h"
#include "runtime/transpose.h"

typedef struct lowering {
    const cop_graph *graph;
    const cop_shapes *shapes;
    const cop_node *node;
    const void *params;
    cop_lowered *out;
    coppice_error *err;
} lowering;

static const coppice_tensor *input(const lowering *l, int i) {
    if (i >= l->node->input_count || l->node->inputs[i] < 0)
        return NULL;
    return &l->shapes->values[l->node->inputs[i]].t;
}

static bool is_constant_float(const coppice_tensor *t) {
    return t && t->data && t->type == COPPICE_TYPE_FLOAT && coppice_tensor_count(t) > 0;
}

size_t cop_count_nonzeros(const void *weights, size_t count) {
    const unsigned char *from = weights;
    size_t nonzeros = 0;
    for (size_t i = 0; i < count; i++) {
        float weight;
        memcpy(&weight, from + i * sizeof weight, sizeof weight);
        nonzeros += weight != 0;
    }
    return nonzeros;
}

/* Constants of a model are aligned to nothing: floats that are not are copied. */
static const float *aligned_floats(const coppice_tensor *t, void **owned) {
    if ((uintptr_t)t->data % sizeof(float) == 0)
        return t->data;
    size_t bytes = (size_t)coppice_tensor_bytes(t);
    *owned = cop_malloc(bytes);
    return *owned ? memcpy(*owned, t->data, bytes) : NULL;
}

/* ---- Conv ---- */

static bool conv_fits(const lowering *l, float *min, float *max) {
    const cop_conv_params *p = l->params;
    *min = p->activation_min;
    *max = p->activation_max;
    const coppice_tensor *x = input(l, 0), *w = input(l, 1), *b = input(l, 2);
    return x && x->type == COPPICE_TYPE_FLOAT && (x->rank == 3 || x->rank == 4) &&
           coppice_tensor_count(x) > 0 && is_constant_float(w) && w->rank == x->rank &&
           (!b || is_constant_float(b));
}

static coppice_status lower_conv(lowering *l) {
    const cop_conv_params *p = l->params;
    const coppice_tensor *x = input(l, 0), *w = input(l, 1), *b = input(l, 2);
    cop_window window;
    COP_TRY(cop_window_resolve(&p->window, x, w->dims + 2, &window, l->err));
    cop_conv *c = &l->out->conv;
    *c = (cop_conv){.batch = (size_t)x->dims[0],
                    .groups = (size_t)p->group,
                    .in_channels = (size_t)x->dims[1],
                    .out_channels = (size_t)w->dims[0],
                    .min = p->activation_min,
                    .max = p->activation_max};
    cop_window_geometry(&window, c);
    c->weights = aligned_floats(w, &l->out->owned_weights);
    c->bias = b ? aligned_floats(b, &l->out->owned_bias) : NULL;
    if (!c->weights || (b && !c->bias))
        return cop_fail_memory(l->err, (size_t)coppice_tensor_bytes(w));
    return COPPICE_OK;
}

/* ---- Gemm, MatMul ---- */

/* Weight is the second operand with two dimensions; the first is [..., K], not transposed. */
static bool gemm_fits(const lowering *l, float *min, float *max) {
    const cop_gemm_params *p = l->params;
    *min = p->activation_min;
    *max = p->activation_max;
    const coppice_tensor *x = input(l, 0), *w = input(l, 1), *b = input(l, 2);
    if (!x || x->type != COPPICE_TYPE_FLOAT || x->rank < 2 || coppice_tensor_count(x) <= 0 ||
        p->transpose_a || !is_constant_float(w) || w->rank != 2)
        return false;
    if (!b)
        return true;
    int64_t columns = w->dims[p->transpose_b ? 0 : 1];
    int64_t count = coppice_tensor_count(b);
    bool row = b->rank >= 1 && b->dims[b->rank - 1] == columns && count == columns;
    return is_constant_float(b) && (row || count == 1);
}

/* The weight times alpha as the model has it, [reduction][columns] or the other way round. False:
 * no memory. */
static bool take_weight(const cop_gemm_params *p, const coppice_tensor *w, cop_lowered *out) {
    cop_conv *c = &out->conv;
    if (!p->transpose_b && p->alpha == 1) {
        c->turned = w->data;
        return true;
    }
    const float *from = aligned_floats(w, &out->owned_weights);
    if (from && p->alpha != 1) {
        size_t count = (size_t)coppice_tensor_count(w);
        float *to = out->owned_weights ? out->owned_weights : cop_malloc(count * sizeof *to);
        for (size_t i = 0; to && i < count; i++)
            to[i] = p->alpha * from[i];
        from = out->owned_weights = to;
    }
    if (p->transpose_b)
        c->weights = from;
    else
        c->turned = from;
    return from != NULL;
}

coppice_status cop_lowered_turn(cop_lowered *lowered, coppice_error *err) {
    cop_conv *c = &lowered->conv;
    if (!c->turned)
        return COPPICE_OK;
    size_t bytes = c->in_channels * c->out_channels * sizeof(float);
    uint32_t *to = cop_malloc(bytes);
    if (!to)
        return cop_fail_memory(err, bytes);
    cop_transpose_4(to, c->in_channels, c->turned, c->out_channels, c->in_channels,
                    c->out_channels);
    cop_free(lowered->owned_weights);
    lowered->owned_weights = to;
    c->weights = lowered->owned_weights;
    c->turned = NULL;
    return COPPICE_OK;
}

/* The bias as one float per column, times beta. */
static const float *spread_bias(const cop_gemm_params *p, const coppice_tensor *b,
                                cop_lowered *out) {
    size_t columns = out->conv.out_channels;
    bool scalar = coppice_tensor_count(b) == 1;
    float *to = cop_malloc(columns * sizeof *to);
    for (size_t c = 0; to && c < columns; c++)
        to[c] = p->beta * (float)cop_tensor_get(b, scalar ? 0 : (int64_t)c);
    out->owned_bias = to;
    return to;
}

static coppice_status lower_gemm(lowering *l) {
    const cop_gemm_params *p = l->params;
    const coppice_tensor *x = input(l, 0), *w = input(l, 1), *b = input(l, 2);
    cop_conv *c = &l->out->conv;
    size_t reduction = (size_t)w->dims[p->transpose_b ? 1 : 0];
    size_t tokens = (size_t)coppice_tensor_count(x) / reduction;
    *c = cop_conv_of_product(tokens, reduction, (size_t)w->dims[p->transpose_b ? 0 : 1]);
    c->min = p->activation_min;
    c->max = p->activation_max;
    bool taken = take_weight(p, w, l->out);
    c->bias = b && p->beta != 0 ? spread_bias(p, b, l->out) : NULL;
    if (!taken || (b && p->beta != 0 && !c->bias))
        return cop_fail_memory(l->err, (size_t)coppice_tensor_bytes(w));
    return COPPICE_OK;
}

typedef struct lowering_rule {
    const char *op;
    bool (*fits)(const lowering *l, float *min, float *max);
    coppice_status (*lower)(lowering *l);
} lowering_rule;

static const lowering_rule rules[] = {
    {"Conv", conv_fits, lower_conv},
    {"Gemm", gemm_fits, lower_gemm},
    {"MatMul", gemm_fits, lower_gemm},
};

static const lowering_rule *rule_of(const cop_node *node) {
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (cop_is_op(node, rules[i].op))
            return node->input_count > 1 ? &rules[i] : NULL;
    }
    return NULL;
}

bool cop_may_lower(const cop_node *node) {
    return rule_of(node) != NULL;
}

bool cop_lowers(const cop_graph *graph, const cop_shapes *shapes, size_t node, float *min,
                float *max) {
    const cop_node *n = &graph->nodes[node];
    const lowering_rule *rule = shapes->eager[node] ? NULL : rule_of(n);
    const lowering l = {graph, shapes, n, shapes->params[node], NULL, NULL};
    return rule && !shapes->values[n->outputs[0]].t.data && rule->fits(&l, min, max);
}

static void apply_fusion(const cop_fusion *fusion, cop_lowered *out) {
    if (!fusion || fusion->output < 0)
        return;
    out->output = fusion->output;
    out->residual = fusion->residual;
    out->conv.residual = fusion->residual >= 0;
    out->conv.min = fusion->min;
    out->conv.max = fusion->max;
    out->conv.activation = fusion->activation;
}

coppice_status cop_lower(const cop_graph *graph, const cop_shapes *shapes, size_t node,
                         const cop_fusion *fusion, bool *is_conv, cop_lowered *out,
                         coppice_error *err) {
    float min, max;
    const cop_node *n = &graph->nodes[node];
    *out = (cop_lowered){.input = -1, .residual = -1, .output = -1};
    lowering l = {graph, shapes, n, shapes->params[node], out, err};
    const lowering_rule *rule = rule_of(n);
    *is_conv = rule && rule->fits(&l, &min, &max);
    if (!*is_conv)
        return COPPICE_OK;
    coppice_status status = rule->lower(&l);
    if (status) {
        cop_lowered_free(out);
        return status;
    }
    cop_conv *c = &out->conv;
    out->source = cop_graph_constant(graph, n->inputs[1], NULL, NULL);
    out->input = n->inputs[0];
    out->output = n->outputs[0];
    apply_fusion(fusion, out);
    c->nonzeros = cop_count_nonzeros(c->turned ? c->turned : c->weights, cop_conv_weights(c));
    return COPPICE_OK;
}

void cop_lowered_free(cop_lowered *lowered) {
    if (lowered->source)
        cop_constant_release(lowered->source, 0, coppice_tensor_count(&lowered->source->tensor));
    cop_free(lowered->owned_weights);
    cop_free(lowered->owned_bias);
    *lowered = (cop_lowered){0};
}
