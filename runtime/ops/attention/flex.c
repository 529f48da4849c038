/* FlexAttention of domain ai.onnx.preview: attention whose scores and probabilities a sub-graph may
 * change. All scores are in memory at once, as the sub-graphs want them whole. */
#include <math.h>
#include <string.h>

#include "runtime/body.h"
#include "runtime/ops/attention/attention.h"
#include "runtime/ops/ops.h"

enum { Q, K, V };

typedef struct flex_params {
    bool has_scale;
    float scale;
    coppice_type precision; /* UNDEFINED: not given */
} flex_params;

static coppice_status flexattention_parse(const cop_call *call, void *params) {
    flex_params *p = params;
    int64_t precision;
    p->has_scale = cop_node_attr(call->node, "scale") != NULL;
    COP_TRY(cop_node_float(call->node, "scale", 0, &p->scale, call->err));
    COP_TRY(cop_node_int(call->node, "softmax_precision", 0, &precision, call->err));
    p->precision = (coppice_type)precision;
    if (precision != 0 && !cop_is_float_type(p->precision))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "softmax_precision %lld is no float type",
                        (long long)precision);
    if (p->has_scale && !isfinite(p->scale))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute scale is %g", (double)p->scale);
    return COPPICE_OK;
}

static coppice_status describe(const cop_call *call, cop_attention *a) {
    const flex_params *p = call->params;
    const coppice_tensor *t[3];
    cop_attention_matrix *m[] = {&a->q, &a->k, &a->v};
    *a = (cop_attention){.type = cop_in(call, Q)->type};
    for (int i = Q; i <= V; i++) {
        COP_TRY(cop_need_rank(call, i, 4));
        COP_TRY(cop_need_type(call, i, 1u << a->type));
        t[i] = cop_in(call, i);
        const int64_t *d = t[i]->dims;
        *m[i] = (cop_attention_matrix){.data = t[i]->data,
                                       .strides = {d[1] * d[2] * d[3], d[2] * d[3], d[3]}};
    }
    const int64_t *q = t[Q]->dims, *k = t[K]->dims, *v = t[V]->dims;
    if (q[0] != k[0] || q[0] != v[0] || k[1] != v[1] || k[2] != v[2] || q[3] != k[3] || k[1] <= 0 ||
        q[1] % k[1])
        return cop_fail(call->err, COPPICE_BAD_MODEL, "Q %s, K %s and V %s do not fit",
                        cop_shape_text(t[Q]).s, cop_shape_text(t[K]).s, cop_shape_text(t[V]).s);
    if (p->precision && cop_wide_type(p->precision) != a->type)
        return cop_fail(call->err, COPPICE_UNSUPPORTED,
                        "softmax_precision %s with inputs of %s is not supported",
                        coppice_type_name(p->precision), coppice_type_name(a->type));
    a->batch = (size_t)q[0];
    a->heads = (size_t)q[1];
    a->kv_heads = (size_t)k[1];
    a->rows = (size_t)q[2];
    a->keys = (size_t)k[2];
    a->head = (size_t)q[3];
    a->value_head = (size_t)v[3];
    a->scale = p->has_scale ? (double)p->scale : a->head ? 1 / sqrt((double)a->head) : 1;
    a->left = a->right = -1;
    a->whole = true;
    a->kernels = call->kernels;
    return COPPICE_OK;
}

/* The sub-graph `name`, if there, makes new scores out of *scores, which its result replaces. */
static coppice_status modify(const cop_call *call, const char *name, cop_operand *scores) {
    const flex_params *p = call->params;
    cop_body *body = cop_call_body(call, name);
    if (!body)
        return COPPICE_OK;
    if (cop_body_input_count(body) != 1 || cop_body_output_count(body) != 1)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "%s must have one input and one output",
                        name);
    scores->narrow = p->precision == scores->t.type ? COPPICE_TYPE_UNDEFINED : p->precision;
    const cop_operand *inputs[] = {scores};
    cop_operand result = {0};
    COP_TRY(cop_body_run(body, inputs, 1, &result, 1, call->err));
    coppice_status status = COPPICE_OK;
    if (result.kind != COPPICE_KIND_TENSOR || result.t.type != scores->t.type ||
        !cop_same_shape(&result.t, &scores->t))
        status = cop_fail(call->err, COPPICE_BAD_MODEL, "%s made %s %s of %s %s", name,
                          coppice_type_name(result.t.type), cop_shape_text(&result.t).s,
                          coppice_type_name(scores->t.type), cop_shape_text(&scores->t).s);
    else
        memcpy(scores->t.data, result.t.data, (size_t)coppice_tensor_bytes(&result.t));
    cop_operand_release(&result);
    return status;
}

static coppice_status flexattention_run(const cop_call *call) {
    cop_attention a;
    COP_TRY(describe(call, &a));
    int64_t dims[4] = {(int64_t)a.batch, (int64_t)a.heads, (int64_t)a.rows, (int64_t)a.value_head};
    COP_TRY(cop_out_tensor(call, 0, a.type, 4, dims));
    const coppice_tensor *y = cop_out(call, 0);
    a.y = (cop_attention_matrix){
        .data = y->data, .strides = {dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3]}};
    cop_operand scores = {.t = {.type = a.type, .rank = 4, .dims = {dims[0], dims[1], dims[2]}}};
    scores.t.dims[3] = (int64_t)a.keys;
    int64_t bytes = coppice_tensor_bytes(&scores.t);
    scores.block = bytes < 0 ? NULL : cop_block_new((size_t)bytes);
    if (!scores.block)
        return cop_fail_memory(call->err, (size_t)bytes);
    a.scores = scores.t.data = scores.block->data;
    cop_attention_steps(&a, COP_ATTENTION_SCORE, call->pool);
    coppice_status status = modify(call, "score_mod", &scores);
    if (!status) {
        cop_attention_steps(&a, COP_ATTENTION_NORMALIZE, call->pool);
        status = modify(call, "prob_mod", &scores);
    }
    if (!status)
        cop_attention_steps(&a, COP_ATTENTION_SUM, call->pool);
    cop_operand_release(&scores);
    return status;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_flex[] = {
    {.domain = "ai.onnx.preview", .name = "FlexAttention", .since = 1, .flags = COP_OP_DYNAMIC,
     .min_inputs = 3, .max_inputs = 3, .max_outputs = 1, .types = FLOATS,
     PARSE(flexattention, flex_params), RUN(flexattention)},
    {.name = NULL},
};
/* clang-format on */
