/* Operators that treat each element of one tensor alone: activations. Other functions: math.c. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "runtime/kernels/kernels.h"
#include "runtime/ops/elementwise/unary.h"

/* ---- loops; those of floats are of the instruction set (runtime/kernels/maps.h) ---- */

/* NaN stays NaN: comparisons are written so that it falls through. */
#define RELU(T, suffix, TYPE) UNARY(relu_##suffix, T, x < 0 ? 0 : x)
RELU(double, f64, DOUBLE)
EACH_SIGNED(RELU)

static coppice_status relu_run(const cop_call *call) {
    static const cop_unary_fn by_type[COP_HELD_TYPES] = {SIGNED_ROWS(relu)};
    cop_unary_fn fn = by_type[cop_in(call, 0)->type];
    return fn ? cop_run_unary(call, by_type) : cop_run_map(call, COP_MAP_relu, relu_f64);
}

static inline double clamp01(double x) {
    x = x < 0 ? 0 : x;
    return x > 1 ? 1 : x;
}

static inline double sigmoid_of(double x) {
    return 1.0 / (1.0 + exp(-x));
}

static inline double softplus_of(double x) {
    return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}

#define SQRT_HALF 0.70710678118654752440 /* of 1/2 */
#define SQRT_8_OVER_PI 1.59576912160573071176

static inline double gelu_of(double x) {
    return x < -40 ? 0 : 0.5 * x * erfc(-x * SQRT_HALF);
}

static inline double gelu_tanh_of(double x) {
    return x < -40 ? 0 : x * sigmoid_of(SQRT_8_OVER_PI * (x + 0.044715 * x * x * x));
}

/* X(operator, function of a double x and of alpha and beta: A, B) */
/* clang-format off */
#define ACTIVATION_LIST(X)                                                                         \
    X(celu, x < 0 ? A * expm1(x / A) : x)                                                          \
    X(elu, x < 0 ? A * expm1(x) : x)                                                               \
    X(gelu, gelu_of(x))                                                                            \
    X(gelu_tanh, gelu_tanh_of(x))                                                                  \
    X(hardsigmoid, clamp01(A * x + B))                                                             \
    X(hardswish, x * clamp01(x / 6.0 + 0.5))                                                       \
    X(leakyrelu, x < 0 ? x * A : x)                                                                \
    X(mish, x * tanh(softplus_of(x)))                                                              \
    X(selu, B * (x < 0 ? A * expm1(x) : x))                                                        \
    X(sigmoid, sigmoid_of(x))                                                                      \
    X(softplus, softplus_of(x))                                                                    \
    X(softsign, x / (1.0 + fabs(x)))                                                               \
    X(swish, x * sigmoid_of(A * x))                                                                \
    X(tanh, tanh(x))                                                                               \
    X(thresholdedrelu, x > A ? x : 0)
/* clang-format on */

#define A ((double)p->alpha)
#define B ((double)p->beta)
#define ACTIVATION_LOOP(op, expr) UNARY(op##_f64, double, expr)
ACTIVATION_LIST(ACTIVATION_LOOP)
#undef A
#undef B

RUN_MAP(celu)
RUN_MAP(elu)
RUN_MAP(hardsigmoid)
RUN_MAP(hardswish)
RUN_MAP(leakyrelu)
RUN_MAP(mish)
RUN_MAP(selu)
RUN_MAP(sigmoid)
RUN_MAP(softplus)
RUN_MAP(softsign)
RUN_MAP(swish)
RUN_MAP(tanh)
RUN_MAP(thresholdedrelu)

/* alpha > 0: the approximation with tanh. */
static coppice_status gelu_run(const cop_call *call) {
    const cop_unary_params *p = call->params;
    return p->alpha > 0 ? cop_run_map(call, COP_MAP_gelu_tanh, gelu_tanh_f64)
                        : cop_run_map(call, COP_MAP_gelu, gelu_f64);
}

/* alpha: lambd, beta: bias. Integers are computed as doubles and saturate. */
#define SHRINK(T, suffix, TYPE) UNARY(shrink_##suffix, T, SHRUNK(x, T))
#define SHRUNK(x, T) x<-(T)p->alpha ? x + (T)p->beta : x>(T) p->alpha ? x - (T)p->beta : 0
EACH_FLOAT(SHRINK)
#undef SHRUNK

static inline double shrunk(double x, const cop_unary_params *p) {
    return x < -(double)p->alpha  ? x + (double)p->beta
           : x > (double)p->alpha ? x - (double)p->beta
                                  : 0;
}

/* The integer of 8 * bytes bits next to v, towards 0; NaN gives the smallest. */
static inline int64_t saturated(double v, unsigned bytes) {
    double limit = ldexp(1, 8 * (int)bytes - 1);
    return !(v > -limit) ? INT64_MIN >> (64 - 8 * bytes)
           : v >= limit  ? INT64_MAX >> (64 - 8 * bytes)
                         : (int64_t)v;
}

static inline uint64_t saturated_unsigned(double v, unsigned bytes) {
    return !(v > 0)                        ? 0
           : v >= ldexp(1, 8 * (int)bytes) ? UINT64_MAX >> (64 - 8 * bytes)
                                           : (uint64_t)v;
}

#define SHRINK_SIGNED(T, suffix, TYPE)                                                             \
    UNARY(shrink_##suffix, T, saturated(shrunk((double)x, p), sizeof(T)))
#define SHRINK_UNSIGNED(T, suffix, TYPE)                                                           \
    UNARY(shrink_##suffix, T, saturated_unsigned(shrunk((double)x, p), sizeof(T)))
EACH_SIGNED(SHRINK_SIGNED)
EACH_UNSIGNED(SHRINK_UNSIGNED)
RUN_UNARY(shrink, NUMERIC_ROWS(shrink))

/* ---- running them ---- */

typedef struct unary_job {
    cop_unary_fn fn;
    const unsigned char *in;
    unsigned char *out;
    size_t in_bytes, out_bytes; /* of an element */
    const cop_unary_params *params;
} unary_job;

static void unary_range(void *context, size_t begin, size_t end) {
    const unary_job *job = context;
    job->fn(job->in + begin * job->in_bytes, job->out + begin * job->out_bytes, end - begin,
            job->params);
}

coppice_status cop_run_unary(const cop_call *call, const cop_unary_fn *by_type) {
    const coppice_tensor *in = cop_in(call, 0), *out = cop_out(call, 0);
    unary_job job = {.fn = (unsigned)in->type < COP_HELD_TYPES ? by_type[in->type] : NULL,
                     .in = in->data,
                     .out = out->data,
                     .in_bytes = cop_type_bytes(in->type),
                     .out_bytes = cop_type_bytes(out->type),
                     .params = call->params};
    if (!job.fn)
        return cop_fail(call->err, COPPICE_UNSUPPORTED, "input type %s is not supported",
                        coppice_type_name(in->type));
    cop_parallel_for(call->pool, cop_memory_count(call->in[0]), cop_grain(1), unary_range, &job);
    return COPPICE_OK;
}

typedef struct map_job {
    cop_map_f32_fn *fn;
    const float *in;
    float *out;
    float alpha, beta;
} map_job;

static void map_range(void *context, size_t begin, size_t end) {
    const map_job *job = context;
    job->fn(job->in + begin, job->out + begin, end - begin, job->alpha, job->beta);
}

coppice_status cop_run_map(const cop_call *call, cop_map_id map, cop_unary_fn f64) {
    const coppice_tensor *in = cop_in(call, 0);
    const cop_unary_params *p = call->params;
    const cop_unary_fn by_type[COP_HELD_TYPES] = {[COPPICE_TYPE_DOUBLE] = f64};
    if (in->type != COPPICE_TYPE_FLOAT)
        return cop_run_unary(call, by_type);
    const cop_kernels *kernels = cop_call_kernels(call);
    map_job job = {.fn = kernels->map_f32[map],
                   .in = in->data,
                   .out = cop_out(call, 0)->data,
                   .alpha = p ? p->alpha : 0,
                   .beta = p ? p->beta : 0};
    cop_parallel_for(call->pool, cop_memory_count(call->in[0]), cop_grain(1), map_range, &job);
    return COPPICE_OK;
}

/* ---- attributes ---- */

static coppice_status read_params(const cop_call *call, cop_unary_params *p, const char *alpha,
                                  float absent, const char *beta, float beta_absent) {
    COP_TRY(cop_node_float(call->node, alpha, absent, &p->alpha, call->err));
    return beta ? cop_node_float(call->node, beta, beta_absent, &p->beta, call->err) : COPPICE_OK;
}

/* X(operator, name and default of alpha, of beta) */
#define PARAMS_LIST(X)                                                                             \
    X(celu, "alpha", 1.0f, NULL, 0)                                                                \
    X(elu, "alpha", 1.0f, NULL, 0)                                                                 \
    X(hardsigmoid, "alpha", 0.2f, "beta", 0.5f)                                                    \
    X(leakyrelu, "alpha", 0.01f, NULL, 0)                                                          \
    X(shrink, "lambd", 0.5f, "bias", 0)                                                            \
    X(swish, "alpha", 1.0f, NULL, 0)                                                               \
    X(thresholdedrelu, "alpha", 1.0f, NULL, 0)

#define PARSE_PARAMS(op, alpha_name, alpha_absent, beta_name, beta_absent)                         \
    static coppice_status op##_parse(const cop_call *call, void *params) {                         \
        return read_params(call, params, alpha_name, alpha_absent, beta_name, beta_absent);        \
    }
PARAMS_LIST(PARSE_PARAMS)

/* Opset 1 rounded the constants. */
static coppice_status selu_parse(const cop_call *call, void *params) {
    bool first = call->opset < 6;
    return read_params(call, params, "alpha", first ? 1.6732f : 1.67326319217681884765625f, "gamma",
                       first ? 1.0507f : 1.05070102214813232421875f);
}

static coppice_status gelu_parse(const cop_call *call, void *params) {
    cop_unary_params *p = params;
    const char *approximate;
    COP_TRY(cop_node_string(call->node, "approximate", "none", &approximate, call->err));
    p->alpha = strcmp(approximate, "tanh") == 0;
    if (p->alpha > 0 || strcmp(approximate, "none") == 0)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "attribute 'approximate' is '%s', expected 'none' or 'tanh'", approximate);
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
    cop_parallel_for(call->pool, cop_memory_count(call->in[0]), cop_grain(1), clip_range, &job);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_unary[] = {
    UNARY_ROW_WITH("Celu", celu, 12, FLOATS),
    {.name = "Clip", .since = 1, .until = 10, ONE_TO_ONE, .types = FLOATS,
     PARSE(clip, cop_unary_params), INFER(clip), RUN(clip), ANY_LAYOUT},
    {.name = "Clip", .since = 11, .min_inputs = 1, .max_inputs = 3, .max_outputs = 1,
     .types = NUMBERS, PARSE(clip, cop_unary_params), INFER(clip), RUN(clip), ANY_LAYOUT},
    UNARY_ROW_WITH("Elu", elu, 1, FLOATS),
    UNARY_ROW_WITH("Gelu", gelu, 20, FLOATS),
    UNARY_ROW_WITH("HardSigmoid", hardsigmoid, 1, FLOATS),
    UNARY_ROW("HardSwish", hardswish, 14, FLOATS),
    UNARY_ROW_WITH("LeakyRelu", leakyrelu, 1, FLOATS),
    UNARY_ROW("Mish", mish, 18, FLOATS),
    UNARY_ROW("Relu", relu, 1, FLOATS | SIGNED),
    UNARY_ROW_WITH("Selu", selu, 1, FLOATS),
    UNARY_ROW_WITH("Shrink", shrink, 9, NUMBERS),
    UNARY_ROW("Sigmoid", sigmoid, 1, FLOATS),
    UNARY_ROW("Softplus", softplus, 1, FLOATS),
    UNARY_ROW("Softsign", softsign, 1, FLOATS),
    UNARY_ROW_WITH("Swish", swish, 24, FLOATS),
    UNARY_ROW("Tanh", tanh, 1, FLOATS),
    UNARY_ROW_WITH("ThresholdedRelu", thresholdedrelu, 10, FLOATS),
    {.name = NULL},
};
/* clang-format on */
