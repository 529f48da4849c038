/* Operators that treat each element of one tensor alone: activations, math functions. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

typedef void (*unary_fn)(const void *in, void *out, size_t n, const cop_unary_params *p);

enum { UNARY_TYPES = COPPICE_TYPE_BFLOAT16 + 1 };

/* One loop: `expr` is a function of x (of type T) and p. */
#define UNARY(name, T, expr)                                                                       \
    static void name(const void *from, void *to, size_t n, const cop_unary_params *p) {            \
        (void)p;                                                                                   \
        const T *restrict in = from;                                                               \
        T *restrict out = to;                                                                      \
        for (size_t i = 0; i < n; i++) {                                                           \
            T x = in[i];                                                                           \
            out[i] = (T)(expr);                                                                    \
        }                                                                                          \
    }

/* NaN stays NaN: comparisons are written so that it falls through. */
UNARY(relu_f32, float, x < 0 ? 0 : x)
UNARY(relu_f64, double, x < 0 ? 0 : x)
UNARY(relu_i8, int8_t, x < 0 ? 0 : x)
UNARY(relu_i16, int16_t, x < 0 ? 0 : x)
UNARY(relu_i32, int32_t, x < 0 ? 0 : x)
UNARY(relu_i64, int64_t, x < 0 ? 0 : x)
UNARY(leakyrelu_f32, float, x < 0 ? x * p->alpha : x)
UNARY(leakyrelu_f64, double, x < 0 ? x * (double)p->alpha : x)
UNARY(sigmoid_f32, float, 1.0f / (1.0f + expf(-x)))
UNARY(sigmoid_f64, double, 1.0 / (1.0 + exp(-x)))
UNARY(tanh_f32, float, tanhf(x))
UNARY(tanh_f64, double, tanh(x))

static inline float clamp01(float x) {
    x = x < 0 ? 0 : x;
    return x > 1 ? 1 : x;
}

static inline double clamp01_f64(double x) {
    x = x < 0 ? 0 : x;
    return x > 1 ? 1 : x;
}

UNARY(hardsigmoid_f32, float, clamp01(p->alpha *x + p->beta))
UNARY(hardsigmoid_f64, double, clamp01_f64((double)p->alpha *x + (double)p->beta))
UNARY(hardswish_f32, float, x *clamp01(x *(1.0f / 6.0f) + 0.5f))
UNARY(hardswish_f64, double, x *clamp01_f64(x / 6.0 + 0.5))
UNARY(elu_f32, float, x < 0 ? p->alpha * expm1f(x) : x)
UNARY(elu_f64, double, x < 0 ? (double)p->alpha * expm1(x) : x)
UNARY(sqrt_f32, float, sqrtf(x))
UNARY(sqrt_f64, double, sqrt(x))
UNARY(exp_f32, float, expf(x))
UNARY(exp_f64, double, exp(x))
UNARY(erf_f32, float, erff(x))
UNARY(erf_f64, double, erf(x))
UNARY(neg_f32, float, -x)
UNARY(neg_f64, double, -x)
UNARY(abs_f32, float, fabsf(x))
UNARY(abs_f64, double, fabs(x))

/* Integers wrap around, so that the smallest one is no special case. */
#define UNARY_SIGNED(T, suffix)                                                                    \
    UNARY(neg_##suffix, T, 0 - (uint64_t)x)                                                        \
    UNARY(abs_##suffix, T, x < 0 ? 0 - (uint64_t)x : (uint64_t)x)
UNARY_SIGNED(int8_t, i8)
UNARY_SIGNED(int16_t, i16)
UNARY_SIGNED(int32_t, i32)
UNARY_SIGNED(int64_t, i64)
UNARY(same_u8, uint8_t, x)
UNARY(same_u16, uint16_t, x)
UNARY(same_u32, uint32_t, x)
UNARY(same_u64, uint64_t, x)

typedef struct unary_job {
    unary_fn fn;
    const unsigned char *in;
    unsigned char *out;
    size_t bytes; /* of an element */
    const cop_unary_params *params;
} unary_job;

static void unary_range(void *context, size_t begin, size_t end) {
    const unary_job *job = context;
    job->fn(job->in + begin * job->bytes, job->out + begin * job->bytes, end - begin, job->params);
}

static coppice_status run_unary(const cop_call *call, const unary_fn *by_type) {
    const coppice_tensor *in = cop_in(call, 0);
    unary_job job = {.fn = (unsigned)in->type < UNARY_TYPES ? by_type[in->type] : NULL,
                     .in = in->data,
                     .out = cop_out(call, 0)->data,
                     .bytes = cop_type_bytes(in->type),
                     .params = call->params};
    if (!job.fn)
        return cop_fail(call->err, COPPICE_UNSUPPORTED, "input type %s is not supported",
                        coppice_type_name(in->type));
    cop_parallel_for(call->pool, (size_t)coppice_tensor_count(in), cop_grain(1), unary_range, &job);
    return COPPICE_OK;
}

#define RUN_FLOAT(op)                                                                              \
    static coppice_status op##_run(const cop_call *call) {                                         \
        static const unary_fn by_type[UNARY_TYPES] = {                                             \
            [COPPICE_TYPE_FLOAT] = op##_f32, [COPPICE_TYPE_DOUBLE] = op##_f64};                    \
        return run_unary(call, by_type);                                                           \
    }

#define SIGNED_ROWS(op)                                                                            \
    [COPPICE_TYPE_FLOAT] = op##_f32, [COPPICE_TYPE_DOUBLE] = op##_f64,                             \
    [COPPICE_TYPE_INT8] = op##_i8, [COPPICE_TYPE_INT16] = op##_i16,                                \
    [COPPICE_TYPE_INT32] = op##_i32, [COPPICE_TYPE_INT64] = op##_i64

RUN_FLOAT(leakyrelu)
RUN_FLOAT(sigmoid)
RUN_FLOAT(tanh)
RUN_FLOAT(hardsigmoid)
RUN_FLOAT(hardswish)
RUN_FLOAT(elu)
RUN_FLOAT(sqrt)
RUN_FLOAT(exp)
RUN_FLOAT(erf)

static coppice_status relu_run(const cop_call *call) {
    static const unary_fn by_type[UNARY_TYPES] = {SIGNED_ROWS(relu)};
    return run_unary(call, by_type);
}

static coppice_status neg_run(const cop_call *call) {
    static const unary_fn by_type[UNARY_TYPES] = {SIGNED_ROWS(neg)};
    return run_unary(call, by_type);
}

static coppice_status abs_run(const cop_call *call) {
    static const unary_fn by_type[UNARY_TYPES] = {
        SIGNED_ROWS(abs),
        [COPPICE_TYPE_UINT8] = same_u8,
        [COPPICE_TYPE_UINT16] = same_u16,
        [COPPICE_TYPE_UINT32] = same_u32,
        [COPPICE_TYPE_UINT64] = same_u64,
    };
    return run_unary(call, by_type);
}

/* ---- attributes ---- */

static coppice_status leakyrelu_parse(const cop_call *call, void *params) {
    cop_unary_params *p = params;
    return cop_node_float(call->node, "alpha", 0.01f, &p->alpha, call->err);
}

static coppice_status hardsigmoid_parse(const cop_call *call, void *params) {
    cop_unary_params *p = params;
    COP_TRY(cop_node_float(call->node, "alpha", 0.2f, &p->alpha, call->err));
    return cop_node_float(call->node, "beta", 0.5f, &p->beta, call->err);
}

static coppice_status elu_parse(const cop_call *call, void *params) {
    cop_unary_params *p = params;
    return cop_node_float(call->node, "alpha", 1.0f, &p->alpha, call->err);
}

/* ---- Clip: bounds are attributes before opset 11, inputs since ---- */

static coppice_status clip_parse(const cop_call *call, void *params) {
    cop_unary_params *p = params;
    if (call->opset >= 11)
        return COPPICE_OK;
    COP_TRY(cop_node_float(call->node, "min", -FLT_MAX, &p->alpha, call->err));
    return cop_node_float(call->node, "max", FLT_MAX, &p->beta, call->err);
}

static coppice_status clip_infer(cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0);
    for (int i = 1; i < call->node->input_count; i++) {
        const coppice_tensor *bound = cop_in(call, i);
        if (!bound)
            continue;
        if (bound->type != x->type || coppice_tensor_count(bound) != 1)
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "input %d ('%s') is %s %s, expected a scalar of type %s", i,
                            cop_in_name(call, i), coppice_type_name(bound->type),
                            cop_shape_text(bound).s, coppice_type_name(x->type));
    }
    return cop_infer_same(call);
}

typedef struct clip_job {
    const void *in;
    void *out;
    coppice_type type;
    const void *low, *high; /* NULL: none */
} clip_job;

#define CLIP(T)                                                                                    \
    {                                                                                              \
        const T *restrict in = (const T *)job->in + begin;                                         \
        T *restrict out = (T *)job->out + begin;                                                   \
        T low = in[0], high = in[0];                                                               \
        if (job->low)                                                                              \
            memcpy(&low, job->low, sizeof low);                                                    \
        if (job->high)                                                                             \
            memcpy(&high, job->high, sizeof high);                                                 \
        bool has_low = job->low, has_high = job->high;                                             \
        for (size_t i = 0; i < n; i++) {                                                           \
            T x = in[i];                                                                           \
            x = has_low && x < low ? low : x;                                                      \
            out[i] = has_high && x > high ? high : x;                                              \
        }                                                                                          \
        return;                                                                                    \
    }

static void clip_range(void *context, size_t begin, size_t end) {
    const clip_job *job = context;
    size_t n = end - begin;
    switch ((int)job->type) {
    case COPPICE_TYPE_FLOAT:
        CLIP(float)
    case COPPICE_TYPE_DOUBLE:
        CLIP(double)
    case COPPICE_TYPE_INT8:
        CLIP(int8_t)
    case COPPICE_TYPE_INT16:
        CLIP(int16_t)
    case COPPICE_TYPE_INT32:
        CLIP(int32_t)
    case COPPICE_TYPE_INT64:
        CLIP(int64_t)
    case COPPICE_TYPE_UINT8:
        CLIP(uint8_t)
    case COPPICE_TYPE_UINT16:
        CLIP(uint16_t)
    case COPPICE_TYPE_UINT32:
        CLIP(uint32_t)
    case COPPICE_TYPE_UINT64:
        CLIP(uint64_t)
    }
}

static coppice_status clip_run(const cop_call *call) {
    const cop_unary_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    clip_job job = {.in = x->data, .out = cop_out(call, 0)->data, .type = x->type};
    double low64 = p->alpha, high64 = p->beta;
    if (call->opset < 11) {
        bool wide = x->type == COPPICE_TYPE_DOUBLE;
        job.low = wide ? (const void *)&low64 : &p->alpha;
        job.high = wide ? (const void *)&high64 : &p->beta;
    } else {
        job.low = cop_in(call, 1) ? cop_in(call, 1)->data : NULL;
        job.high = cop_in(call, 2) ? cop_in(call, 2)->data : NULL;
    }
    cop_parallel_for(call->pool, (size_t)coppice_tensor_count(x), cop_grain(1), clip_range, &job);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

#define ROW(op, fn, first, type_set)                                                               \
    {                                                                                              \
        .name = op, .since = first, ONE_TO_ONE, .types = type_set, .infer = cop_infer_same,        \
        RUN(fn), ANY_LAYOUT                                                                        \
    }
#define ROW_WITH(op, fn, first, type_set)                                                          \
    {                                                                                              \
        .name = op, .since = first, ONE_TO_ONE, .types = type_set, PARSE(fn, cop_unary_params),    \
        .infer = cop_infer_same, RUN(fn), ANY_LAYOUT                                               \
    }

/* clang-format off */
const cop_op cop_ops_unary[] = {
    ROW("Abs", abs, 1, NUMBERS),
    {.name = "Clip", .since = 1, .until = 10, ONE_TO_ONE, .types = FLOATS,
     PARSE(clip, cop_unary_params), INFER(clip), RUN(clip), ANY_LAYOUT},
    {.name = "Clip", .since = 11, .min_inputs = 1, .max_inputs = 3, .max_outputs = 1,
     .types = NUMBERS, PARSE(clip, cop_unary_params), INFER(clip), RUN(clip), ANY_LAYOUT},
    ROW_WITH("Elu", elu, 1, FLOATS),
    ROW("Erf", erf, 9, FLOATS),
    ROW("Exp", exp, 1, FLOATS),
    ROW_WITH("HardSigmoid", hardsigmoid, 1, FLOATS),
    ROW("HardSwish", hardswish, 14, FLOATS),
    ROW_WITH("LeakyRelu", leakyrelu, 1, FLOATS),
    ROW("Neg", neg, 1, FLOATS | SIGNED),
    ROW("Relu", relu, 1, FLOATS | SIGNED),
    ROW("Sigmoid", sigmoid, 1, FLOATS),
    ROW("Sqrt", sqrt, 1, FLOATS),
    ROW("Tanh", tanh, 1, FLOATS),
    {.name = NULL},
};
/* clang-format on */
