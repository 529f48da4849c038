/* Operators that draw random numbers: RandomNormal, RandomUniform and what they are like,
 * Bernoulli, Multinomial, Dropout. With the attribute `seed` every run draws the same. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

typedef struct random_params {
    bool has_seed, has_type;
    uint64_t seed;
    coppice_type type; /* by ONNX */
    float low, high;   /* or mean and scale */
    int64_t samples;   /* of Multinomial */
} random_params;

/* ---- attributes ---- */

static coppice_status read_seed(const cop_call *call, random_params *p) {
    const cop_attr *attr = cop_node_attr(call->node, "seed");
    p->has_seed = attr != NULL;
    if (attr && attr->kind == COP_ATTR_INT) { /* of Dropout */
        p->seed = (uint64_t)attr->i;
        return COPPICE_OK;
    }
    float seed;
    COP_TRY(cop_node_float(call->node, "seed", 0, &seed, call->err));
    uint32_t bits;
    memcpy(&bits, &seed, sizeof bits);
    p->seed = bits;
    return COPPICE_OK;
}

static coppice_status read_type(const cop_call *call, random_params *p, coppice_type absent) {
    int64_t type;
    p->has_type = cop_node_attr(call->node, "dtype") != NULL;
    COP_TRY(cop_node_int(call->node, "dtype", absent, &type, call->err));
    p->type = type > 0 && type < 32 ? (coppice_type)type : COPPICE_TYPE_UNDEFINED;
    if (p->has_type && p->type == COPPICE_TYPE_UNDEFINED)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'dtype' is %lld, which is no type",
                        (long long)type);
    return COPPICE_OK;
}

static coppice_status bernoulli_parse(const cop_call *call, void *params) {
    COP_TRY(read_seed(call, params));
    return read_type(call, params, COPPICE_TYPE_UNDEFINED);
}

static coppice_status normal_parse(const cop_call *call, void *params) {
    random_params *p = params;
    COP_TRY(cop_node_float(call->node, "mean", 0.0f, &p->low, call->err));
    COP_TRY(cop_node_float(call->node, "scale", 1.0f, &p->high, call->err));
    return bernoulli_parse(call, params);
}

static coppice_status uniform_parse(const cop_call *call, void *params) {
    random_params *p = params;
    COP_TRY(cop_node_float(call->node, "low", 0.0f, &p->low, call->err));
    COP_TRY(cop_node_float(call->node, "high", 1.0f, &p->high, call->err));
    return bernoulli_parse(call, params);
}

static coppice_status multinomial_parse(const cop_call *call, void *params) {
    random_params *p = params;
    COP_TRY(read_seed(call, p));
    COP_TRY(read_type(call, p, COPPICE_TYPE_INT32));
    COP_TRY(cop_node_int(call->node, "sample_size", 1, &p->samples, call->err));
    if (p->samples < 0)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'sample_size' is %lld",
                        (long long)p->samples);
    return COPPICE_OK;
}

/* ---- shapes ---- */

#define FLOATS_BY_ONNX (FLOATS | COP_TYPE_BIT(FLOAT16) | COP_TYPE_BIT(BFLOAT16))

/* Output 0 has this type by ONNX, one of `allowed`. */
static coppice_status set_typed(cop_call *call, coppice_type type, uint32_t allowed, uint32_t rank,
                                const int64_t *dims) {
    if ((unsigned)type >= 32 || !(allowed >> type & 1))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "numbers of type %s cannot be drawn",
                        coppice_type_name(type));
    cop_set_out(call, 0, cop_wide_type(type), rank, dims);
    call->out[0].narrow = type;
    return COPPICE_OK;
}

/* RandomNormal, RandomUniform: the shape is an attribute. */
static coppice_status shaped_infer(cop_call *call) {
    const random_params *p = call->params;
    int64_t dims[COPPICE_MAX_RANK];
    int rank;
    COP_TRY(cop_attr_ints(call, "shape", dims, COPPICE_MAX_RANK, &rank));
    if (rank < 0)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'shape' is missing");
    for (int d = 0; d < rank; d++) {
        if (dims[d] < 0)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'shape' holds %lld",
                            (long long)dims[d]);
    }
    return set_typed(call, p->has_type ? p->type : COPPICE_TYPE_FLOAT, FLOATS_BY_ONNX,
                     (uint32_t)rank, dims);
}

static coppice_status like_infer(cop_call *call) {
    const random_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0);
    coppice_type type = p->has_type ? p->type : cop_onnx_type(call->in[0]);
    return set_typed(call, type, FLOATS_BY_ONNX, in->rank, in->dims);
}

static coppice_status bernoulli_infer(cop_call *call) {
    const random_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0);
    coppice_type type = p->has_type ? p->type : cop_onnx_type(call->in[0]);
    return set_typed(call, type, FLOATS_BY_ONNX | SIGNED | UNSIGNED | COP_TYPE_BIT(BOOL), in->rank,
                     in->dims);
}

static coppice_status multinomial_infer(cop_call *call) {
    const random_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0);
    COP_TRY(cop_need_rank(call, 0, 2));
    if (in->dims[1] == 0 && in->dims[0] > 0 && p->samples > 0)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "no classes to draw from in %s",
                        cop_shape_text(in).s);
    int64_t dims[] = {in->dims[0], p->samples};
    return set_typed(call, p->type, INDICES, 2, dims);
}

/* ---- drawing ---- */

/* What a run begins with: the seed, or something that is never the same. */
static uint64_t begin_state(const random_params *p) {
    static atomic_uint_fast64_t runs;
    if (p->has_seed)
        return p->seed;
    double now = cop_now_ms();
    uint64_t state;
    memcpy(&state, &now, sizeof state);
    state += atomic_fetch_add(&runs, 1) * 0x9e3779b97f4a7c15u;
    return cop_random_next(&state);
}

/* In [0, 1), with as many bits as a float has, so that rounding does not reach 1. */
static double next_unit(uint64_t *state) {
    return (double)(cop_random_next(state) >> 40) * 0x1p-24;
}

static coppice_status normal_run(const cop_call *call) {
    const random_params *p = call->params;
    const coppice_tensor *out = cop_out(call, 0);
    uint64_t state = begin_state(p);
    float drawn[256];
    int64_t count = coppice_tensor_count(out);
    for (int64_t i = 0; i < count; i += 256) {
        int64_t n = count - i < 256 ? count - i : 256;
        cop_random_normal(drawn, (size_t)n, &state);
        for (int64_t k = 0; k < n; k++)
            cop_set_number(out, (size_t)(i + k),
                           (double)p->low + (double)p->high * (double)drawn[k]);
    }
    return COPPICE_OK;
}

static coppice_status uniform_run(const cop_call *call) {
    const random_params *p = call->params;
    const coppice_tensor *out = cop_out(call, 0);
    uint64_t state = begin_state(p);
    double low = p->low, width = (double)p->high - low;
    int64_t count = coppice_tensor_count(out);
    for (int64_t i = 0; i < count; i++)
        cop_set_number(out, (size_t)i, low + width * next_unit(&state));
    return COPPICE_OK;
}

static coppice_status bernoulli_run(const cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0), *out = cop_out(call, 0);
    uint64_t state = begin_state(call->params);
    int64_t count = coppice_tensor_count(out);
    for (int64_t i = 0; i < count; i++)
        cop_set_number(out, (size_t)i, next_unit(&state) < cop_tensor_get(in, i));
    return COPPICE_OK;
}

/* One sample: of scores that are logarithms of probabilities, up to a factor. */
static int64_t draw_class(const coppice_tensor *in, int64_t row, double top, double sum,
                          uint64_t *state) {
    int64_t classes = in->dims[1];
    double left = next_unit(state) * sum;
    for (int64_t c = 0; c < classes; c++) {
        left -= exp(cop_tensor_get(in, row * classes + c) - top);
        if (left < 0)
            return c;
    }
    return classes - 1;
}

static coppice_status multinomial_run(const cop_call *call) {
    const random_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0), *out = cop_out(call, 0);
    uint64_t state = begin_state(p);
    int64_t classes = in->dims[1];
    for (int64_t row = 0; row < in->dims[0]; row++) {
        double top = -INFINITY, sum = 0;
        for (int64_t c = 0; c < classes; c++)
            top = fmax(top, cop_tensor_get(in, row * classes + c));
        for (int64_t c = 0; c < classes; c++)
            sum += exp(cop_tensor_get(in, row * classes + c) - top);
        for (int64_t k = 0; k < p->samples; k++)
            cop_set_number(out, (size_t)(row * p->samples + k),
                           (double)draw_class(in, row, top, sum, &state));
    }
    return COPPICE_OK;
}

/* ---- Dropout ---- */

static coppice_status dropout_parse(const cop_call *call, void *params) {
    return read_seed(call, params);
}

/* Opsets before 7 said with `is_test` whether it is training; a session never is. */
static coppice_status dropout_infer(cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0);
    for (int i = 1; i < call->node->input_count; i++) {
        const coppice_tensor *scalar = cop_in(call, i);
        if (scalar && coppice_tensor_count(scalar) != 1)
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "input %d ('%s') is %s, expected a scalar", i, cop_in_name(call, i),
                            cop_shape_text(scalar).s);
    }
    bool float_mask = call->opset < 10;
    cop_set_out(call, 1, float_mask ? in->type : COPPICE_TYPE_BOOL, in->rank, in->dims);
    return cop_infer_same(call);
}

/* Nothing is dropped: the mask is all ones. */
static coppice_status keep_all(const cop_call *call) {
    const coppice_tensor *mask = cop_out(call, 1);
    int64_t count = mask && mask->data ? coppice_tensor_count(mask) : 0;
    for (int64_t i = 0; i < count; i++)
        cop_set_number(mask, (size_t)i, 1);
    return cop_view_run(call);
}

static coppice_status dropout_run(const cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0), *out = cop_out(call, 0), *mask = cop_out(call, 1);
    const coppice_tensor *training = cop_in(call, 2);
    double ratio = 0.5;
    bool given;
    if (!training || !cop_tensor_get_int(training, 0))
        return keep_all(call);
    COP_TRY(cop_input_number(call, 1, &ratio, &given));
    if (!given)
        ratio = 0.5;
    if (!(ratio >= 0 && ratio < 1))
        return cop_fail(call->err, COPPICE_BAD_DATA, "the ratio '%s' is %g, expected 0 to below 1",
                        cop_in_name(call, 1), ratio);
    uint64_t state = begin_state(call->params);
    int64_t count = coppice_tensor_count(in);
    for (int64_t i = 0; i < count; i++) {
        bool kept = next_unit(&state) >= ratio;
        if (out->data)
            cop_set_number(out, (size_t)i, kept ? cop_tensor_get(in, i) / (1 - ratio) : 0);
        if (mask && mask->data)
            cop_set_number(mask, (size_t)i, kept);
    }
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

#define RANDOM(op, fn, rule, first, inputs, type_set)                                              \
    {                                                                                              \
        .name = op, .since = first, .min_inputs = inputs, .max_inputs = inputs, .max_outputs = 1,  \
        .types = type_set, .flags = COP_OP_RANDOM, PARSE(fn, random_params), INFER(rule), RUN(fn)  \
    }

/* clang-format off */
const cop_op cop_ops_random[] = {
    RANDOM("Bernoulli", bernoulli, bernoulli, 15, 1, FLOATS),
    {.name = "Dropout", .since = 1, .until = 11, .min_inputs = 1, .max_inputs = 1, .max_outputs = 2,
     .types = FLOATS, PARSE(dropout, random_params), INFER(dropout), RUN(dropout)},
    {.name = "Dropout", .since = 12, .min_inputs = 1, .max_inputs = 3, .max_outputs = 2,
     .types = FLOATS, .flags = COP_OP_RANDOM, PARSE(dropout, random_params), INFER(dropout),
     RUN(dropout)},
    RANDOM("Multinomial", multinomial, multinomial, 7, 1, FLOATS),
    RANDOM("RandomNormal", normal, shaped, 1, 0, 0),
    RANDOM("RandomNormalLike", normal, like, 1, 1, 0),
    RANDOM("RandomUniform", uniform, shaped, 1, 0, 0),
    RANDOM("RandomUniformLike", uniform, like, 1, 1, 0),
    {.name = NULL},
};
/* clang-format on */
