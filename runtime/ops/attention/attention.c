/* Attention: attributes, shapes, past and present keys and values. */
#include "runtime/ops/attention/attention.h"

#include <math.h>
#include <string.h>

#include "runtime/layout.h"
#include "runtime/ops/ops.h"

enum { Q, K, V, MASK, PAST_KEY, PAST_VALUE, VALID };

typedef struct attention_params {
    int64_t q_heads, kv_heads, left, right, mode; /* heads 0: not given */
    bool causal, has_scale, nan_rows;
    float scale, softcap;
} attention_params;

static coppice_status attention_parse(const cop_call *call, void *params) {
    attention_params *p = params;
    const cop_node *node = call->node;
    int64_t precision;
    COP_TRY(cop_node_int(node, "q_num_heads", 0, &p->q_heads, call->err));
    COP_TRY(cop_node_int(node, "kv_num_heads", 0, &p->kv_heads, call->err));
    COP_TRY(cop_node_int(node, "left_window_size", -1, &p->left, call->err));
    COP_TRY(cop_node_int(node, "right_window_size", -1, &p->right, call->err));
    COP_TRY(cop_node_int(node, "qk_matmul_output_mode", 0, &p->mode, call->err));
    COP_TRY(cop_attr_bool(call, "is_causal", false, &p->causal));
    COP_TRY(cop_attr_bool(call, "nan_rows", false, &p->nan_rows)); /* of passes, not of ONNX */
    COP_TRY(cop_node_int(node, "softmax_precision", COPPICE_TYPE_FLOAT, &precision, call->err));
    COP_TRY(cop_node_float(node, "scale", 0, &p->scale, call->err));
    COP_TRY(cop_node_float(node, "softcap", 0, &p->softcap, call->err));
    p->has_scale = cop_node_attr(node, "scale") != NULL;
    if (p->q_heads < 0 || p->kv_heads < 0)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "q_num_heads is %lld, kv_num_heads %lld: less than none",
                        (long long)p->q_heads, (long long)p->kv_heads);
    if (p->left < -1 || p->right < -1)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "left_window_size is %lld, right_window_size %lld, expected -1 or more",
                        (long long)p->left, (long long)p->right);
    if (p->mode < COP_ATTENTION_RAW || p->mode > COP_ATTENTION_SOFTMAX)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "qk_matmul_output_mode is %lld, expected 0 to 3", (long long)p->mode);
    if (!(p->softcap >= 0) || (p->has_scale && !(p->scale >= 0)))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "scale is %g, softcap %g, expected 0 or more",
                        (double)p->scale, (double)p->softcap);
    if (!cop_is_float_type((coppice_type)precision))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "softmax_precision %lld is no float type",
                        (long long)precision);
    return COPPICE_OK;
}

/* ---- shapes ---- */

/* Batch, heads, rows and elements of input `i`; its strides over the first three. */
static coppice_status split_heads(const cop_call *call, int i, int64_t heads, int64_t *dims,
                                  cop_attention_matrix *m) {
    const coppice_tensor *t = cop_in(call, i);
    if (t->rank == 4) {
        memcpy(dims, t->dims, 4 * sizeof *dims);
        if (heads && heads != dims[1])
            return cop_fail(call->err, COPPICE_BAD_MODEL, "'%s' is %s, attributes say %lld heads",
                            cop_in_name(call, i), cop_shape_text(t).s, (long long)heads);
        m->strides[0] = dims[1] * dims[2] * dims[3];
        m->strides[1] = dims[2] * dims[3];
        m->strides[2] = dims[3];
    } else {
        if (heads <= 0 || t->dims[2] % heads)
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "'%s' is %s, which does not divide into %lld heads",
                            cop_in_name(call, i), cop_shape_text(t).s, (long long)heads);
        int64_t size = t->dims[2] / heads;
        memcpy(dims, (int64_t[]){t->dims[0], heads, t->dims[1], size}, 4 * sizeof *dims);
        m->strides[0] = t->dims[1] * t->dims[2];
        m->strides[1] = size;
        m->strides[2] = t->dims[2];
    }
    m->data = t->data;
    if (call->in[i]->layout == COP_LAYOUT_TOKEN_TILES) {
        cop_tiles tiles = cop_tiles_of(t, COP_LAYOUT_TOKEN_TILES);
        m->tile = tiles.tile;
        m->channels = tiles.channels;
        m->sequence = (size_t)t->dims[1];
    }
    return COPPICE_OK;
}

/* A past input must be [batch, kv heads, past, size]. */
static coppice_status check_past(const cop_call *call, int i, const int64_t *dims, int64_t *past) {
    const coppice_tensor *t = cop_in(call, i);
    COP_TRY(cop_need_type(call, i, 1u << cop_in(call, Q)->type));
    COP_TRY(cop_need_rank(call, i, 4));
    if (t->dims[0] != dims[0] || t->dims[1] != dims[1] || t->dims[3] != dims[3])
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "'%s' is %s, expected [%lld, %lld, past, %lld]", cop_in_name(call, i),
                        cop_shape_text(t).s, (long long)dims[0], (long long)dims[1],
                        (long long)dims[3]);
    if (*past >= 0 && t->dims[2] != *past)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "past keys and values have %lld and %lld rows", (long long)*past,
                        (long long)t->dims[2]);
    *past = t->dims[2];
    return COPPICE_OK;
}

/* The mask must broadcast to [batch, heads, rows, keys]; from opset 24 on it may have fewer keys,
 * the others being hidden. */
static coppice_status check_mask(const cop_call *call, cop_attention *a) {
    const coppice_tensor *t = cop_in(call, MASK);
    int64_t strides[COPPICE_MAX_RANK];
    const int64_t all[4] = {(int64_t)a->batch, (int64_t)a->heads, (int64_t)a->rows,
                            (int64_t)a->keys};
    a->mask_keys = all[3];
    if (!t)
        return COPPICE_OK;
    COP_TRY(cop_need_type(call, MASK, COP_TYPE_BIT(BOOL) | 1u << cop_in(call, Q)->type));
    bool fits = t->rank <= 4;
    cop_plain_strides(t->rank, t->dims, strides);
    for (uint32_t d = 0; fits && d < t->rank; d++) {
        uint32_t to = 4 - t->rank + d;
        bool shorter = to == 3 && call->opset >= 24 && t->dims[d] < all[3];
        if (t->dims[d] == all[to])
            a->mask_strides[to] = strides[d];
        else if (shorter)
            a->mask_strides[to] = 1;
        else
            fits = t->dims[d] == 1;
        if (shorter)
            a->mask_keys = t->dims[d];
    }
    a->mask = t;
    return fits ? COPPICE_OK
                : cop_fail(call->err, COPPICE_BAD_MODEL,
                           "the mask '%s' is %s, the scores are [%lld, %lld, %lld, %lld]",
                           cop_in_name(call, MASK), cop_shape_text(t).s, (long long)all[0],
                           (long long)all[1], (long long)all[2], (long long)all[3]);
}

static coppice_status check_fit(const cop_call *call, const int64_t *q, const int64_t *k,
                                const int64_t *v) {
    if (q[0] != k[0] || q[0] != v[0] || q[3] != k[3] || k[2] != v[2] || k[1] != v[1])
        return cop_fail(call->err, COPPICE_BAD_MODEL, "'%s' %s, '%s' %s and '%s' %s do not fit",
                        cop_in_name(call, Q), cop_shape_text(cop_in(call, Q)).s,
                        cop_in_name(call, K), cop_shape_text(cop_in(call, K)).s,
                        cop_in_name(call, V), cop_shape_text(cop_in(call, V)).s);
    if (k[1] <= 0 || q[1] % k[1])
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "%lld heads of queries do not divide among %lld heads of keys",
                        (long long)q[1], (long long)k[1]);
    return COPPICE_OK;
}

static coppice_status check_valid(const cop_call *call, int64_t batch) {
    const coppice_tensor *t = cop_in(call, VALID);
    if (!t)
        return COPPICE_OK;
    COP_TRY(cop_need_type(call, VALID, INDICES));
    if (t->rank == 1 && t->dims[0] == batch && !cop_in(call, PAST_KEY))
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "nonpad_kv_seqlen '%s' is %s, expected [%lld] and no past keys",
                    cop_in_name(call, VALID), cop_shape_text(t).s, (long long)batch);
}

/* Fills everything that does not need memory. `past`: rows of the past, -1 without one. */
static coppice_status describe(const cop_call *call, cop_attention *a, int64_t *past) {
    const attention_params *p = call->params;
    const coppice_tensor *q = cop_in(call, Q);
    int64_t qd[4], kd[4], vd[4];
    for (int i = K; i <= V; i++)
        COP_TRY(cop_need_type(call, i, 1u << q->type));
    COP_TRY(cop_need_rank(call, Q, q->rank == 4 ? 4 : 3));
    COP_TRY(cop_need_rank(call, K, q->rank));
    COP_TRY(cop_need_rank(call, V, q->rank));
    *a = (cop_attention){.type = q->type};
    COP_TRY(split_heads(call, Q, p->q_heads, qd, &a->q));
    COP_TRY(split_heads(call, K, p->kv_heads, kd, &a->k));
    COP_TRY(split_heads(call, V, p->kv_heads, vd, &a->v));
    COP_TRY(check_fit(call, qd, kd, vd));
    *past = -1;
    if (!cop_in(call, PAST_KEY) != !cop_in(call, PAST_VALUE))
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "past_key and past_value must be given together");
    if (cop_in(call, PAST_KEY)) {
        COP_TRY(check_past(call, PAST_KEY, kd, past));
        COP_TRY(check_past(call, PAST_VALUE, vd, past));
    }
    COP_TRY(check_valid(call, qd[0]));
    a->batch = (size_t)qd[0];
    a->heads = (size_t)qd[1];
    a->kv_heads = (size_t)kd[1];
    a->rows = (size_t)qd[2];
    a->keys = (size_t)(kd[2] + (*past > 0 ? *past : 0));
    a->head = (size_t)qd[3];
    a->value_head = (size_t)vd[3];
    a->scale = p->has_scale ? (double)p->scale : a->head ? 1 / sqrt((double)a->head) : 1;
    a->softcap = (double)p->softcap;
    a->nan_rows = p->nan_rows;
    a->left = p->left;
    a->right = p->causal ? 0 : p->right;
    a->offset = *past > 0 ? *past : 0;
    a->valid = cop_in(call, VALID);
    a->offset_by_valid = a->valid != NULL;
    a->mode = (cop_attention_mode)p->mode;
    return check_mask(call, a);
}

static coppice_status attention_infer(cop_call *call) {
    cop_attention a;
    int64_t past;
    COP_TRY(describe(call, &a, &past));
    int64_t batch = (int64_t)a.batch, heads = (int64_t)a.heads, rows = (int64_t)a.rows;
    int64_t keys = (int64_t)a.keys, kv = (int64_t)a.kv_heads, size = (int64_t)a.value_head;
    if (cop_in(call, Q)->rank == 4)
        cop_set_out(call, 0, a.type, 4, (int64_t[]){batch, heads, rows, size});
    else
        cop_set_out(call, 0, a.type, 3, (int64_t[]){batch, rows, heads * size});
    cop_set_out(call, 1, a.type, 4, (int64_t[]){batch, kv, keys, (int64_t)a.head});
    cop_set_out(call, 2, a.type, 4, (int64_t[]){batch, kv, keys, size});
    cop_set_out(call, 3, a.type, 4, (int64_t[]){batch, heads, rows, keys});
    if (call->node->output_count > 2)
        call->out[2].narrow = cop_onnx_type(call->in[V]);
    return COPPICE_OK;
}

/* ---- kernel ---- */

/* Elements of all keys and values, old and new. */
static size_t present_elements(const cop_attention *a) {
    return a->batch * a->kv_heads * a->keys * (a->head + a->value_head);
}

/* Of either way to compute it: which it is may depend on what is read of the outputs. */
static size_t score_elements(const cop_attention *a) {
    size_t lanes = cop_attention_lanes_elements(a), rows = cop_attention_elements(a);
    return lanes > rows ? lanes : rows;
}

static size_t attention_scratch(const cop_call *call) {
    cop_attention a;
    int64_t past;
    coppice_error ignored = {0};
    cop_call quiet = *call;
    quiet.err = &ignored;
    if (describe(&quiet, &a, &past))
        return 0;
    size_t count = score_elements(&a), bytes;
    if (past >= 0 && !cop_size_add(count, present_elements(&a), &count))
        return SIZE_MAX / 2;
    return cop_size_mul(count, cop_type_bytes(a.type), &bytes) ? bytes : SIZE_MAX / 2;
}

/* Puts past and new rows one after another in `to`, which *m then is. */
static void join(const cop_attention *a, const coppice_tensor *past, cop_attention_matrix *m,
                 size_t size, char *to) {
    size_t element = cop_type_bytes(a->type), row_bytes = size * element;
    size_t old = past ? (size_t)past->dims[2] : 0;
    for (size_t i = 0; i < a->batch * a->kv_heads; i++) {
        char *rows = to + i * a->keys * row_bytes;
        if (old && row_bytes)
            memcpy(rows, (const char *)past->data + i * old * row_bytes, old * row_bytes);
        for (size_t row = old; row < a->keys && row_bytes; row++) {
            int64_t at = (int64_t)(i / a->kv_heads) * m->strides[0] +
                         (int64_t)(i % a->kv_heads) * m->strides[1] +
                         (int64_t)(row - old) * m->strides[2];
            memcpy(rows + row * row_bytes, (const char *)m->data + at * (int64_t)element,
                   row_bytes);
        }
    }
    m->data = to;
    m->strides[2] = (int64_t)size;
    m->strides[1] = (int64_t)(size * a->keys);
    m->strides[0] = (int64_t)(size * a->keys * a->kv_heads);
}

static void *output_data(const cop_call *call, int i) {
    const coppice_tensor *t = cop_out(call, i);
    return t ? t->data : NULL;
}

/* Keys and values become the present ones, in the outputs or in scratch. */
static void make_present(const cop_call *call, cop_attention *a) {
    char *free_space = (char *)call->scratch + score_elements(a) * cop_type_bytes(a->type);
    char *key = output_data(call, 1), *value = output_data(call, 2);
    bool joined = cop_in(call, PAST_KEY) != NULL;
    if (joined && !key) {
        key = free_space;
        free_space += a->batch * a->kv_heads * a->keys * a->head * cop_type_bytes(a->type);
    }
    if (joined && !value)
        value = free_space;
    if (key)
        join(a, cop_in(call, PAST_KEY), &a->k, a->head, key);
    if (value)
        join(a, cop_in(call, PAST_VALUE), &a->v, a->value_head, value);
}

static coppice_status check_valid_values(const cop_call *call, const cop_attention *a) {
    for (size_t b = 0; a->valid && b < a->batch; b++) {
        int64_t valid = cop_tensor_get_int(a->valid, (int64_t)b);
        if (valid < 0 || (uint64_t)valid > a->keys)
            return cop_fail(call->err, COPPICE_BAD_DATA,
                            "nonpad_kv_seqlen '%s' has %lld at %zu, there are %zu keys",
                            cop_in_name(call, VALID), (long long)valid, b, a->keys);
    }
    return COPPICE_OK;
}

static coppice_status attention_run(const cop_call *call) {
    cop_attention a;
    int64_t past;
    COP_TRY(describe(call, &a, &past));
    COP_TRY(check_valid_values(call, &a));
    a.qk = output_data(call, 3);
    a.kernels = call->kernels;
    make_present(call, &a);
    const int64_t size = (int64_t)a.value_head, rows = (int64_t)a.rows, heads = (int64_t)a.heads;
    a.y.data = output_data(call, 0);
    a.y.strides[0] = heads * rows * size;
    a.y.strides[1] = cop_in(call, Q)->rank == 4 ? rows * size : size;
    a.y.strides[2] = cop_in(call, Q)->rank == 4 ? size : heads * size;
    if (call->out[0].layout == COP_LAYOUT_TOKEN_TILES) {
        a.y.tile = cop_tile_width(a.batch * a.rows);
        a.y.channels = a.heads * a.value_head;
        a.y.sequence = a.rows;
    }
    a.scores = call->scratch;
    if (cop_attention_has_lanes(&a))
        cop_attention_lanes_run(&a, call->pool);
    else
        cop_attention_run(&a, call->pool);
    return COPPICE_OK;
}

/* Tokens of [batch, rows, heads * size]; what is beside the output is plain by its rank. */
static unsigned attention_layouts(const cop_call *call) {
    const coppice_tensor *q = cop_in(call, Q), *mask = cop_in(call, MASK);
    bool fits = q->type == COPPICE_TYPE_FLOAT && q->rank == 3 && !cop_in(call, PAST_KEY);
    for (int i = 1; i < call->node->output_count; i++)
        fits = fits && call->node->outputs[i] < 0;
    if (!fits || (mask && mask->type == COPPICE_TYPE_FLOAT && mask->rank == 3))
        return 0;
    return 1u << COP_LAYOUT_TOKEN_TILES;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_attention[] = {
    {.name = "Attention", .since = 23, .min_inputs = 3, .max_inputs = 7, .max_outputs = 4,
     .types = FLOATS, PARSE(attention, attention_params), INFER(attention), RUN(attention),
     .layouts = attention_layouts, .scratch = attention_scratch},
    {.name = NULL},
};
/* clang-format on */
