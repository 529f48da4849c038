/* Operators of linear recurrent networks, which carry a state: LinearAttention and
 * CausalConvWithState. */
#include <math.h>
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"
#include "runtime/ops/vmath.h"

/* ---- LinearAttention ---- */

enum { QUERY, KEY, VALUE, PAST, DECAY, BETA };

typedef struct linear_params {
    int64_t q_heads, kv_heads;
    float scale;
    bool gated, delta;
} linear_params;

static coppice_status linearattention_parse(const cop_call *call, void *params) {
    linear_params *p = params;
    const char *rule;
    COP_TRY(cop_node_int(call->node, "q_num_heads", 0, &p->q_heads, call->err));
    COP_TRY(cop_node_int(call->node, "kv_num_heads", 0, &p->kv_heads, call->err));
    COP_TRY(cop_node_float(call->node, "scale", 0, &p->scale, call->err));
    COP_TRY(cop_node_string(call->node, "update_rule", "gated_delta", &rule, call->err));
    static const char *const rules[] = {"linear", "gated", "delta", "gated_delta"};
    int found = 0;
    while (found < 4 && strcmp(rule, rules[found]) != 0)
        found++;
    if (found == 4)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "update_rule is '%s', expected linear, gated, delta or gated_delta", rule);
    p->gated = found & 1;
    p->delta = found & 2;
    if (p->q_heads <= 0 || p->kv_heads <= 0 || p->q_heads % p->kv_heads)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "q_num_heads is %lld, which is no multiple of kv_num_heads %lld",
                        (long long)p->q_heads, (long long)p->kv_heads);
    return COPPICE_OK;
}

/* Input `i` must be [batch, steps, one of two widths]. */
static coppice_status check_packed(const cop_call *call, int i, bool wanted, int64_t width,
                                   int64_t other) {
    const coppice_tensor *t = cop_in(call, i), *q = cop_in(call, QUERY);
    if (!t && !wanted)
        return COPPICE_OK;
    if (!t || !wanted)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "input %d is %s, which does not go with this update_rule", i,
                        t ? "given" : "left out");
    COP_TRY(cop_need_type(call, i, 1u << q->type));
    COP_TRY(cop_need_rank(call, i, 3));
    if (t->dims[0] == q->dims[0] && t->dims[1] == q->dims[1] &&
        (t->dims[2] == width || t->dims[2] == other))
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "'%s' is %s, expected [%lld, %lld, %lld or %lld]",
                    cop_in_name(call, i), cop_shape_text(t).s, (long long)q->dims[0],
                    (long long)q->dims[1], (long long)width, (long long)other);
}

static coppice_status linearattention_infer(cop_call *call) {
    const linear_params *p = call->params;
    const coppice_tensor *q = cop_in(call, QUERY), *v = cop_in(call, VALUE);
    const coppice_tensor *past = cop_in(call, PAST);
    COP_TRY(cop_need_rank(call, QUERY, 3));
    COP_TRY(cop_need_rank(call, VALUE, 3));
    int64_t batch = q->dims[0], size = q->dims[2] / p->q_heads, wide = v->dims[2] / p->kv_heads;
    if (q->dims[2] % p->q_heads || v->dims[2] % p->kv_heads)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "'%s' %s and '%s' %s do not divide into %lld and %lld heads",
                        cop_in_name(call, QUERY), cop_shape_text(q).s, cop_in_name(call, VALUE),
                        cop_shape_text(v).s, (long long)p->q_heads, (long long)p->kv_heads);
    COP_TRY(check_packed(call, KEY, true, p->kv_heads * size, p->kv_heads * size));
    COP_TRY(check_packed(call, VALUE, true, v->dims[2], v->dims[2]));
    COP_TRY(check_packed(call, DECAY, p->gated, p->kv_heads * size, p->kv_heads));
    COP_TRY(check_packed(call, BETA, p->delta, p->kv_heads, 1));
    const coppice_tensor state = {.rank = 4, .dims = {batch, p->kv_heads, size, wide}};
    if (past) {
        COP_TRY(cop_need_type(call, PAST, FLOATS));
        if (!cop_same_shape(past, &state))
            return cop_fail(call->err, COPPICE_BAD_MODEL, "'%s' is %s, expected %s",
                            cop_in_name(call, PAST), cop_shape_text(past).s,
                            cop_shape_text(&state).s);
    }
    cop_set_out(call, 0, q->type, 3, (int64_t[]){batch, q->dims[1], p->q_heads * wide});
    cop_set_out(call, 1, past ? past->type : q->type, 4, state.dims);
    if (past && call->node->output_count > 1)
        call->out[1].narrow = cop_onnx_type(call->in[PAST]);
    return COPPICE_OK;
}

/* One state of a head, [size][wide] floats, in scratch. */
typedef struct linear_job {
    const cop_call *call;
    size_t steps, size, wide, q_heads, kv_heads;
    float scale;
} linear_job;

static size_t linear_slot(const cop_call *call) {
    const linear_params *p = call->params;
    size_t size = (size_t)(cop_in(call, QUERY)->dims[2] / p->q_heads);
    size_t wide = (size_t)(cop_in(call, VALUE)->dims[2] / p->kv_heads);
    return cop_round_up(size * wide + 2 * size + 2 * wide, 16);
}

static size_t linearattention_scratch(const cop_call *call) {
    const linear_params *p = call->params;
    size_t heads, bytes;
    return cop_size_mul((size_t)cop_in(call, QUERY)->dims[0], (size_t)p->kv_heads, &heads) &&
                   cop_size_mul(heads, linear_slot(call) * sizeof(float), &bytes)
               ? bytes
               : SIZE_MAX / 2;
}

/* Elements of row [batch][step], head `head` of `heads`, as floats. */
static void load(const coppice_tensor *t, size_t row, size_t head, size_t count, float *to) {
    size_t at = row * (size_t)t->dims[t->rank - 1] + head * count;
    if (t->type == COPPICE_TYPE_FLOAT)
        memcpy(to, (const float *)t->data + at, count * sizeof *to);
    else
        for (size_t i = 0; i < count; i++)
            to[i] = (float)((const double *)t->data)[at + i];
}

static void store(coppice_tensor *t, size_t at, size_t count, const float *from) {
    if (!t || !t->data)
        return;
    if (t->type == COPPICE_TYPE_FLOAT)
        memcpy((float *)t->data + at, from, count * sizeof *from);
    else
        for (size_t i = 0; i < count; i++)
            ((double *)t->data)[at + i] = (double)from[i];
}

/* out = scale * vector^T * state */
static void read_state(const linear_job *j, const float *state, const float *vector, float scale,
                       float *restrict out) {
    memset(out, 0, j->wide * sizeof *out);
    for (size_t d = 0; d < j->size; d++) {
        const float x = scale * vector[d];
        const float *restrict row = state + d * j->wide;
        for (size_t m = 0; m < j->wide; m++)
            out[m] += x * row[m];
    }
}

/* state *= exp(decay), by row; key and value are those of the step. */
static void forget(const linear_job *j, size_t row, size_t head, float *state, float *decay) {
    const coppice_tensor *t = cop_in(j->call, DECAY);
    bool one = (size_t)t->dims[2] == j->kv_heads && j->size != 1;
    load(t, row, head, one ? 1 : j->size, decay);
    for (size_t d = 0; d < j->size; d++) {
        float by = expf(decay[one ? 0 : d]);
        for (size_t m = 0; m < j->wide; m++)
            state[d * j->wide + m] *= by;
    }
}

/* What a delta rule writes: beta * (value - what the key finds). */
static void correct(const linear_job *j, size_t row, size_t head, const float *state,
                    const float *key, float *value, float *found) {
    const coppice_tensor *t = cop_in(j->call, BETA);
    float beta;
    load(t, row, t->dims[2] == 1 ? 0 : head, 1, &beta);
    read_state(j, state, key, 1, found);
    for (size_t m = 0; m < j->wide; m++)
        value[m] = beta * (value[m] - found[m]);
}

static void linear_step(const linear_job *j, size_t row, size_t head, float *state) {
    const linear_params *p = j->call->params;
    float *key = state + j->size * j->wide, *query = key + j->size;
    float *value = query + j->size, *out = value + j->wide;
    if (p->gated)
        forget(j, row, head, state, query);
    load(cop_in(j->call, KEY), row, head, j->size, key);
    load(cop_in(j->call, VALUE), row, head, j->wide, value);
    if (p->delta)
        correct(j, row, head, state, key, value, out);
    for (size_t d = 0; d < j->size; d++) {
        for (size_t m = 0; m < j->wide; m++)
            state[d * j->wide + m] += key[d] * value[m];
    }
    size_t group = j->q_heads / j->kv_heads;
    for (size_t h = head * group; h < (head + 1) * group; h++) {
        load(cop_in(j->call, QUERY), row, h, j->size, query);
        read_state(j, state, query, j->scale, out);
        store(cop_out(j->call, 0), (row * j->q_heads + h) * j->wide, j->wide, out);
    }
}

/* Items: [batch][kv head]. */
static void linear_range(void *context, size_t begin, size_t end) {
    const linear_job *j = context;
    const coppice_tensor *past = cop_in(j->call, PAST);
    size_t count = j->size * j->wide, slot = linear_slot(j->call);
    for (size_t item = begin; item < end; item++) {
        float *state = (float *)j->call->scratch + item * slot;
        memset(state, 0, count * sizeof *state);
        for (size_t i = 0; past && i < count; i++)
            state[i] = (float)cop_tensor_get(past, (int64_t)(item * count + i));
        for (size_t step = 0; step < j->steps; step++)
            linear_step(j, item / j->kv_heads * j->steps + step, item % j->kv_heads, state);
        store(cop_out(j->call, 1), item * count, count, state);
    }
}

static coppice_status linearattention_run(const cop_call *call) {
    const linear_params *p = call->params;
    const coppice_tensor *q = cop_in(call, QUERY), *v = cop_in(call, VALUE);
    linear_job j = {.call = call,
                    .steps = (size_t)q->dims[1],
                    .size = (size_t)(q->dims[2] / p->q_heads),
                    .wide = (size_t)(v->dims[2] / p->kv_heads),
                    .q_heads = (size_t)p->q_heads,
                    .kv_heads = (size_t)p->kv_heads};
    j.scale = p->scale != 0 ? p->scale : 1 / sqrtf((float)j.size);
    cop_parallel_for(call->pool, (size_t)q->dims[0] * j.kv_heads,
                     cop_grain(j.steps * j.size * j.wide), linear_range, &j);
    return COPPICE_OK;
}

/* ---- CausalConvWithState ---- */

enum { INPUT, WEIGHT, BIAS, STATE };

typedef struct causal_params {
    bool silu;
} causal_params;

static coppice_status causalconvwithstate_parse(const cop_call *call, void *params) {
    causal_params *p = params;
    const char *activation;
    COP_TRY(cop_node_string(call->node, "activation", "none", &activation, call->err));
    p->silu = !strcmp(activation, "silu") || !strcmp(activation, "swish");
    if (p->silu || !strcmp(activation, "none"))
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "activation is '%s', expected none, silu or swish", activation);
}

static coppice_status causalconvwithstate_infer(cop_call *call) {
    const coppice_tensor *x = cop_in(call, INPUT), *w = cop_in(call, WEIGHT);
    const coppice_tensor *b = cop_in(call, BIAS), *s = cop_in(call, STATE);
    COP_TRY(cop_need_rank(call, INPUT, 3));
    COP_TRY(cop_need_rank(call, WEIGHT, 3));
    for (int i = WEIGHT; i <= STATE; i++)
        if (cop_in(call, i))
            COP_TRY(cop_need_type(call, i, 1u << x->type));
    int64_t kept = w->dims[2] - 1;
    if (w->dims[0] != x->dims[1] || w->dims[1] != 1 || kept < 0)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "weight '%s' is %s, expected [%lld, 1, k]",
                        cop_in_name(call, WEIGHT), cop_shape_text(w).s, (long long)x->dims[1]);
    if (b && (b->rank != 1 || b->dims[0] != x->dims[1]))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "bias '%s' is %s, expected [%lld]",
                        cop_in_name(call, BIAS), cop_shape_text(b).s, (long long)x->dims[1]);
    const coppice_tensor state = {.rank = 3, .dims = {x->dims[0], x->dims[1], kept}};
    if (s && !cop_same_shape(s, &state))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "past_state '%s' is %s, expected %s",
                        cop_in_name(call, STATE), cop_shape_text(s).s, cop_shape_text(&state).s);
    cop_set_out(call, 0, x->type, 3, x->dims);
    cop_set_out(call, 1, x->type, 3, state.dims);
    return COPPICE_OK;
}

typedef struct causal_job {
    const cop_call *call;
    size_t channels, length, taps;
    bool silu;
} causal_job;

/* Items: [batch][channel]. Position t of the input with its past is `past` for t < 0. */
#define CAUSAL(name, T, EXP)                                                                       \
    static void causal_##name(void *context, size_t begin, size_t end) {                           \
        const causal_job *j = context;                                                             \
        const size_t n = j->length, kept = j->taps - 1;                                            \
        const coppice_tensor *bias = cop_in(j->call, BIAS), *state = cop_in(j->call, STATE);       \
        const coppice_tensor *present = cop_out(j->call, 1);                                       \
        for (size_t item = begin; item < end; item++) {                                            \
            const size_t channel = item % j->channels;                                             \
            const T *x = (const T *)cop_in(j->call, INPUT)->data + item * n;                       \
            const T *w = (const T *)cop_in(j->call, WEIGHT)->data + channel * j->taps;             \
            const T *past = state ? (const T *)state->data + item * kept : NULL;                   \
            T *restrict y = (T *)cop_out(j->call, 0)->data + item * n;                             \
            for (size_t i = 0; i < n; i++)                                                         \
                y[i] = bias ? ((const T *)bias->data)[channel] : 0;                                \
            for (size_t k = 0; k < j->taps; k++) {                                                 \
                const size_t back = kept - k;                                                      \
                for (size_t i = 0; past && i < back && i < n; i++)                                 \
                    y[i] += w[k] * past[i + k];                                                    \
                for (size_t i = back; i < n; i++)                                                  \
                    y[i] += w[k] * x[i - back];                                                    \
            }                                                                                      \
            for (size_t i = 0; j->silu && i < n; i++)                                              \
                y[i] = y[i] / (1 + EXP(-y[i]));                                                    \
            T *next = present && present->data ? (T *)present->data + item * kept : NULL;          \
            for (size_t i = 0; next && i < kept; i++)                                              \
                next[i] = i + n >= kept ? x[i + n - kept] : past ? past[i + n] : 0;                \
        }                                                                                          \
    }

CAUSAL(f32, float, cop_expf)
CAUSAL(f64, double, exp)

static coppice_status causalconvwithstate_run(const cop_call *call) {
    const causal_params *p = call->params;
    const coppice_tensor *x = cop_in(call, INPUT);
    causal_job j = {call, (size_t)x->dims[1], (size_t)x->dims[2],
                    (size_t)cop_in(call, WEIGHT)->dims[2], p->silu};
    cop_parallel_for(call->pool, (size_t)x->dims[0] * j.channels, cop_grain(j.length * j.taps),
                     x->type == COPPICE_TYPE_DOUBLE ? causal_f64 : causal_f32, &j);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_recurrence[] = {
    {.name = "CausalConvWithState", .since = 27, .min_inputs = 2, .max_inputs = 4,
     .max_outputs = 2, .types = FLOATS, PARSE(causalconvwithstate, causal_params),
     INFER(causalconvwithstate), RUN(causalconvwithstate)},
    {.name = "LinearAttention", .since = 27, .min_inputs = 3, .max_inputs = 6, .max_outputs = 2,
     .types = FLOATS, PARSE(linearattention, linear_params), INFER(linearattention),
     RUN(linearattention), .scratch = linearattention_scratch},
    {.name = NULL},
};
/* clang-format on */
