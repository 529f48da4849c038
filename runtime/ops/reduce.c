/* Operators that reduce along axes: Softmax, LogSoftmax, ReduceSum, ReduceMean, ReduceMax. */
#include <math.h>
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

/* ---- Softmax: of a matrix [outer][axis][inner] ---- */

static coppice_status softmax_parse(const cop_call *call, void *params) {
    cop_ints_params *p = params;
    return cop_node_int(call->node, "axis", call->opset < 13 ? 1 : -1, &p->axis, call->err);
}

static coppice_status softmax_infer(cop_call *call) {
    const cop_ints_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0);
    int axis;
    if (in->rank > 0) /* a scalar has one element on no axis: its softmax is 1 */
        COP_TRY(cop_axis(call, p->axis, in->rank, &axis));
    return cop_infer_same(call);
}

typedef struct softmax_job {
    const float *in;
    float *out;
    size_t length, inner;
    bool log;
} softmax_job;

/* One contiguous row, shifted by its maximum so that nothing overflows. */
static void softmax_row(const float *in, float *out, size_t n, bool log_form) {
    float top = in[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        top = in[i] > top ? in[i] : top;
    for (size_t i = 0; i < n; i++) {
        float e = expf(in[i] - top);
        out[i] = log_form ? in[i] - top : e;
        sum += e;
    }
    float scale = log_form ? logf(sum) : 1.0f / sum;
    for (size_t i = 0; i < n; i++)
        out[i] = log_form ? out[i] - scale : out[i] * scale;
}

/* The same with elements `step` apart. */
static void softmax_column(const float *in, float *out, size_t n, size_t step, bool log_form) {
    float top = in[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        top = in[i * step] > top ? in[i * step] : top;
    for (size_t i = 0; i < n; i++)
        sum += expf(in[i * step] - top);
    float scale = log_form ? logf(sum) : 1.0f / sum;
    for (size_t i = 0; i < n; i++) {
        float shifted = in[i * step] - top;
        out[i * step] = log_form ? shifted - scale : expf(shifted) * scale;
    }
}

static void softmax_range(void *context, size_t begin, size_t end) {
    const softmax_job *j = context;
    for (size_t item = begin; item < end; item++) {
        size_t at = item / j->inner * j->length * j->inner + item % j->inner;
        if (j->inner == 1)
            softmax_row(j->in + at, j->out + at, j->length, j->log);
        else
            softmax_column(j->in + at, j->out + at, j->length, j->inner, j->log);
    }
}

static coppice_status run_softmax(const cop_call *call, bool log_form) {
    const cop_ints_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0);
    softmax_job job = {in->data, cop_out(call, 0)->data, 1, 1, log_form};
    int axis = 0;
    size_t outer = 1;
    if (coppice_tensor_count(in) == 0)
        return COPPICE_OK;
    if (in->rank > 0)
        COP_TRY(cop_axis(call, p->axis, in->rank, &axis));
    for (int d = 0; d < (int)in->rank; d++) {
        /* Before opset 13 everything from the axis on is one row. */
        bool row = call->opset < 13 ? d >= axis : d == axis;
        size_t *side = row ? &job.length : d < axis ? &outer : &job.inner;
        *side *= (size_t)in->dims[d];
    }
    cop_parallel_for(call->pool, outer * job.inner, cop_grain(8 * job.length), softmax_range, &job);
    return COPPICE_OK;
}

static coppice_status softmax_run(const cop_call *call) {
    return run_softmax(call, false);
}

static coppice_status logsoftmax_run(const cop_call *call) {
    return run_softmax(call, true);
}

/* ---- ReduceSum, ReduceMean, ReduceMax ---- */

static coppice_status reduce_parse(const cop_call *call, void *params) {
    cop_reduce_params *p = params;
    COP_TRY(cop_attr_bool(call, "keepdims", true, &p->keep));
    return cop_attr_bool(call, "noop_with_empty_axes", false, &p->noop_without_axes);
}

/* Axes are an attribute, or input 1 in the opsets that have it. Negative ones everywhere: opset 11
 * allowed them, before they could not be meant otherwise. */
static coppice_status reduced_axes(const cop_call *call, bool *on) {
    const cop_reduce_params *p = call->params;
    uint32_t rank = cop_in(call, 0)->rank;
    int64_t axes[COPPICE_MAX_RANK];
    int count;
    if (cop_in(call, 1))
        COP_TRY(cop_input_ints(call, 1, axes, COPPICE_MAX_RANK, &count));
    else
        COP_TRY(cop_attr_ints(call, "axes", axes, COPPICE_MAX_RANK, &count));
    COP_TRY(cop_axis_set(call, axes, count, rank, on));
    for (uint32_t d = 0; count <= 0 && d < rank; d++)
        on[d] = !p->noop_without_axes;
    return COPPICE_OK;
}

static coppice_status reduce_infer(cop_call *call) {
    const cop_reduce_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0);
    bool on[COPPICE_MAX_RANK];
    int64_t dims[COPPICE_MAX_RANK];
    uint32_t rank = 0;
    COP_TRY(reduced_axes(call, on));
    for (uint32_t d = 0; d < in->rank; d++) {
        if (!on[d])
            dims[rank++] = in->dims[d];
        else if (p->keep)
            dims[rank++] = 1;
    }
    cop_set_out(call, 0, in->type, rank, dims);
    return COPPICE_OK;
}

/* The loop nest of a reduction, collapsed: kept and reduced dims apart. */
typedef struct reduction {
    int kept_rank, rank;
    int64_t kept[COPPICE_MAX_RANK], kept_stride[COPPICE_MAX_RANK];
    int64_t dims[COPPICE_MAX_RANK], stride[COPPICE_MAX_RANK];
    size_t count; /* elements that make one */
    coppice_type type;
    const void *in;
    void *out;
    enum { REDUCE_SUM, REDUCE_MEAN, REDUCE_MAX } kind;
} reduction;

/* Adds a dim behind the others, merged with the last where that is even. */
static void add_dim(int *rank, int64_t *dims, int64_t *strides, int64_t dim, int64_t stride) {
    if (*rank > 0 && strides[*rank - 1] == dim * stride) {
        dims[*rank - 1] *= dim;
        strides[*rank - 1] = stride;
        return;
    }
    dims[*rank] = dim;
    strides[(*rank)++] = stride;
}

static int64_t place(int rank, const int64_t *dims, const int64_t *strides, size_t index) {
    int64_t at = 0;
    for (int d = rank; d-- > 0;) {
        at += (int64_t)(index % (size_t)dims[d]) * strides[d];
        index /= (size_t)dims[d];
    }
    return at;
}

static void reduce_float(const reduction *r, const float *in, float *out) {
    size_t row = r->rank ? (size_t)r->dims[r->rank - 1] : 1;
    int64_t step = r->rank ? r->stride[r->rank - 1] : 1;
    double sum = 0;
    float top = -INFINITY;
    for (size_t i = 0; i < r->count; i += row) {
        const float *x = in + place(r->rank, r->dims, r->stride, i);
        for (size_t k = 0; k < row; k++) {
            float v = x[(int64_t)k * step];
            sum += v;
            top = v > top || v != v ? v : top;
        }
    }
    if (r->kind == REDUCE_MEAN)
        sum /= (double)r->count;
    *out = r->kind == REDUCE_MAX ? top : (float)sum;
}

/* What the maximum of no elements is. */
static int64_t smallest_of(coppice_type type) {
    bool has_sign =
        type == COPPICE_TYPE_INT8 || type == COPPICE_TYPE_INT32 || type == COPPICE_TYPE_INT64;
    return has_sign ? INT64_MIN >> (64 - coppice_type_bits(type)) : 0;
}

/* Any other type, element by element. Sums of integers wrap around. */
static void reduce_any(const reduction *r, int64_t from, coppice_tensor *out, int64_t to) {
    const coppice_tensor in = {.type = r->type, .data = (void *)r->in};
    bool real = r->type == COPPICE_TYPE_DOUBLE;
    double sum = 0, top = -INFINITY;
    uint64_t whole = 0;
    int64_t largest = smallest_of(r->type);
    for (size_t i = 0; i < r->count; i++) {
        int64_t at = from + place(r->rank, r->dims, r->stride, i);
        double v = real ? ((const double *)r->in)[at] : 0;
        int64_t n = real ? 0 : cop_tensor_get_int(&in, at);
        sum += v;
        top = v > top || v != v ? v : top;
        whole += (uint64_t)n;
        bool larger =
            r->type == COPPICE_TYPE_UINT64 ? (uint64_t)n > (uint64_t)largest : n > largest;
        largest = i == 0 || larger ? n : largest;
    }
    int64_t result = r->kind == REDUCE_MAX ? largest : (int64_t)whole;
    if (r->kind == REDUCE_MEAN && r->count)
        result = (int64_t)whole / (int64_t)r->count;
    sum = r->kind == REDUCE_MEAN ? sum / (double)r->count : r->kind == REDUCE_MAX ? top : sum;
    switch (cop_type_bytes(r->type)) {
    case 1:
        ((uint8_t *)out->data)[to] = (uint8_t)result;
        break;
    case 4:
        ((uint32_t *)out->data)[to] = (uint32_t)result;
        break;
    default:
        if (real)
            ((double *)out->data)[to] = sum;
        else
            ((int64_t *)out->data)[to] = result;
    }
}

static void reduce_range(void *context, size_t begin, size_t end) {
    const reduction *r = context;
    coppice_tensor out = {.type = r->type, .data = r->out};
    for (size_t i = begin; i < end; i++) {
        int64_t from = place(r->kept_rank, r->kept, r->kept_stride, i);
        if (r->type == COPPICE_TYPE_FLOAT)
            reduce_float(r, (const float *)r->in + from, (float *)r->out + i);
        else
            reduce_any(r, from, &out, (int64_t)i);
    }
}

static coppice_status run_reduction(const cop_call *call, int kind) {
    const coppice_tensor *in = cop_in(call, 0);
    bool on[COPPICE_MAX_RANK];
    int64_t strides[COPPICE_MAX_RANK];
    COP_TRY(reduced_axes(call, on));
    reduction r = {.count = 1, .type = in->type, .in = in->data, .out = cop_out(call, 0)->data};
    r.kind = kind;
    cop_plain_strides(in->rank, in->dims, strides);
    for (uint32_t d = 0; d < in->rank; d++) {
        if (on[d]) {
            r.count *= (size_t)in->dims[d];
            add_dim(&r.rank, r.dims, r.stride, in->dims[d], strides[d]);
        } else {
            add_dim(&r.kept_rank, r.kept, r.kept_stride, in->dims[d], strides[d]);
        }
    }
    int64_t outputs = coppice_tensor_count(cop_out(call, 0));
    if (outputs > 0 && r.count == 0 && kind == REDUCE_MEAN)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "no elements to average in %s",
                        cop_shape_text(in).s);
    cop_parallel_for(call->pool, (size_t)outputs, cop_grain(r.count), reduce_range, &r);
    return COPPICE_OK;
}

static coppice_status reducesum_run(const cop_call *call) {
    return run_reduction(call, REDUCE_SUM);
}

static coppice_status reducemean_run(const cop_call *call) {
    return run_reduction(call, REDUCE_MEAN);
}

static coppice_status reducemax_run(const cop_call *call) {
    return run_reduction(call, REDUCE_MAX);
}

/* ---- rows of the operator table ---- */

#define ROW(op, fn, first, last, inputs)                                                           \
    {                                                                                              \
        .name = op, .since = first, .until = last, .min_inputs = 1, .max_inputs = inputs,          \
        .max_outputs = 1, .types = REDUCIBLE, PARSE(reduce, cop_reduce_params), INFER(reduce),     \
        RUN(fn)                                                                                    \
    }

/* clang-format off */
const cop_op cop_ops_reduce[] = {
    {.name = "LogSoftmax", .since = 1, ONE_TO_ONE, .types = F32, PARSE(softmax, cop_ints_params),
     INFER(softmax), RUN(logsoftmax)},
    ROW("ReduceMax", reducemax, 1, 17, 1),
    ROW("ReduceMax", reducemax, 18, 0, 2),
    ROW("ReduceMean", reducemean, 1, 17, 1),
    ROW("ReduceMean", reducemean, 18, 0, 2),
    ROW("ReduceSum", reducesum, 1, 12, 1),
    ROW("ReduceSum", reducesum, 13, 0, 2),
    {.name = "Softmax", .since = 1, ONE_TO_ONE, .types = F32, PARSE(softmax, cop_ints_params),
     INFER(softmax), RUN(softmax)},
    {.name = NULL},
};
/* clang-format on */
