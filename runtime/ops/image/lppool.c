/* LpPool, GlobalLpPool, MaxUnpool. */
#include <math.h>
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

typedef struct lppool_params {
    cop_window_params window;
    double p;
} lppool_params;

/* Opset 1 has a float where later ones have an integer. */
static coppice_status parse_power(const cop_call *call, double *p) {
    float real = 2;
    int64_t whole = 2;
    if (call->opset < 2)
        COP_TRY(cop_node_float(call->node, "p", 2, &real, call->err));
    else
        COP_TRY(cop_node_int(call->node, "p", 2, &whole, call->err));
    *p = call->opset < 2 ? (double)real : (double)whole;
    if (*p > 0)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'p' is %g, expected more than 0", *p);
}

static double powered(double v, double p) {
    v = fabs(v);
    return p == 2 ? v * v : p == 1 ? v : pow(v, p);
}

static double rooted(double sum, double p) {
    return p == 2 ? sqrt(sum) : p == 1 ? sum : pow(sum, 1 / p);
}

/* ---- LpPool ---- */

static coppice_status lppool_parse(const cop_call *call, void *params) {
    lppool_params *p = params;
    COP_TRY(parse_power(call, &p->p));
    return cop_window_parse(call, &p->window);
}

static coppice_status lppool_infer(cop_call *call) {
    const lppool_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    cop_window window;
    COP_TRY(cop_window_resolve(&p->window, x, NULL, &window, call->err));
    int64_t dims[COPPICE_MAX_RANK] = {x->dims[0], x->dims[1]};
    memcpy(dims + 2, window.out, window.spatial * sizeof *dims);
    cop_set_out(call, 0, x->type, x->rank, dims);
    return COPPICE_OK;
}

typedef struct lppool_job {
    const cop_window *w;
    const coppice_tensor *x, *y;
    double p;
} lppool_job;

/* The sum under the window at place `at` of the plane that starts at element `start`. */
static double window_sum(const lppool_job *j, size_t start, const int64_t *at) {
    const cop_window *w = j->w;
    double sum = 0;
    int64_t pos[3];
    for (int64_t q = 0; q < w->kernel[0]; q++) {
        pos[0] = at[0] * w->stride[0] + q * w->dilation[0] - w->pad_begin[0];
        for (int64_t r = 0; r < w->kernel[1] && pos[0] >= 0 && pos[0] < w->in[0]; r++) {
            pos[1] = at[1] * w->stride[1] + r * w->dilation[1] - w->pad_begin[1];
            for (int64_t s = 0; s < w->kernel[2] && pos[1] >= 0 && pos[1] < w->in[1]; s++) {
                pos[2] = at[2] * w->stride[2] + s * w->dilation[2] - w->pad_begin[2];
                if (pos[2] < 0 || pos[2] >= w->in[2])
                    continue;
                int64_t pixel = (pos[0] * w->in[1] + pos[1]) * w->in[2] + pos[2];
                sum += powered(cop_float_at(j->x, start + (size_t)pixel), j->p);
            }
        }
    }
    return sum;
}

/* Items: planes. */
static void lppool_planes(void *context, size_t begin, size_t end) {
    const lppool_job *j = context;
    const cop_window *w = j->w;
    size_t in = (size_t)(w->in[0] * w->in[1] * w->in[2]);
    size_t out = (size_t)(w->out[0] * w->out[1] * w->out[2]);
    for (size_t plane = begin; plane < end; plane++) {
        for (size_t i = 0; i < out; i++) {
            int64_t rest = (int64_t)i / w->out[2];
            int64_t at[] = {rest / w->out[1], rest % w->out[1], (int64_t)i % w->out[2]};
            cop_set_float(j->y, plane * out + i, rooted(window_sum(j, plane * in, at), j->p));
        }
    }
}

static coppice_status lppool_run(const cop_call *call) {
    const lppool_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    cop_window w;
    COP_TRY(cop_window_resolve(&p->window, x, NULL, &w, call->err));
    for (uint32_t i = w.spatial; i < COP_MAX_SPATIAL; i++)
        w.out[i] = 1;
    lppool_job j = {&w, x, cop_out(call, 0), p->p};
    cop_parallel_for(call->pool, (size_t)(x->dims[0] * x->dims[1]), 1, lppool_planes, &j);
    return COPPICE_OK;
}

/* ---- GlobalLpPool ---- */

static coppice_status globallppool_parse(const cop_call *call, void *params) {
    lppool_params *p = params;
    return parse_power(call, &p->p);
}

static coppice_status globallppool_infer(cop_call *call) {
    coppice_tensor shape = *cop_in(call, 0);
    if (shape.rank < 3)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "input '%s' is %s, expected [N,C,...]",
                        cop_in_name(call, 0), cop_shape_text(&shape).s);
    for (uint32_t d = 2; d < shape.rank; d++)
        shape.dims[d] = 1;
    cop_set_out(call, 0, shape.type, shape.rank, shape.dims);
    return COPPICE_OK;
}

static coppice_status globallppool_run(const cop_call *call) {
    const lppool_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    size_t planes = (size_t)(x->dims[0] * x->dims[1]), pixels = 1;
    for (uint32_t d = 2; d < x->rank; d++)
        pixels *= (size_t)x->dims[d];
    for (size_t i = 0; i < planes; i++) {
        double sum = 0;
        for (size_t k = 0; k < pixels; k++)
            sum += powered(cop_float_at(x, i * pixels + k), p->p);
        cop_set_float(cop_out(call, 0), i, rooted(sum, p->p));
    }
    return COPPICE_OK;
}

/* ---- MaxUnpool ---- */

static coppice_status maxunpool_parse(const cop_call *call, void *params) {
    cop_window_params *p = params;
    return cop_window_parse(call, p);
}

/* What the pooling was made from, as the attributes have it: the places count in this. */
static coppice_status pooled_from(const cop_call *call, int64_t *dims) {
    const cop_window_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    if (!p->has_kernel || p->spatial + 2 != x->rank)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "input '%s' is %s, 'kernel_shape' has %u dimensions", cop_in_name(call, 0),
                        cop_shape_text(x).s, p->has_kernel ? p->spatial : 0);
    dims[0] = x->dims[0];
    dims[1] = x->dims[1];
    for (uint32_t i = 0; i < p->spatial; i++) {
        int64_t in = x->dims[2 + i];
        dims[2 + i] = in > INT32_MAX ? -1
                                     : (in - 1) * p->stride[i] + p->kernel[i] - p->pad_begin[i] -
                                           p->pad_end[i];
        if (in < 1 || dims[2 + i] < 1)
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "dimension %u of the output would have %lld elements", i + 2,
                            (long long)dims[2 + i]);
    }
    return COPPICE_OK;
}

static coppice_status maxunpool_infer(cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0), *indices = cop_in(call, 1);
    int64_t dims[COPPICE_MAX_RANK], wanted[COPPICE_MAX_RANK];
    int count;
    COP_TRY(cop_need_type(call, 1, COP_TYPE_BIT(INT64)));
    COP_TRY(pooled_from(call, dims));
    COP_TRY(cop_input_ints(call, 2, wanted, COPPICE_MAX_RANK, &count));
    bool fits = cop_same_shape(x, indices) && (count < 0 || count == (int)x->rank);
    for (int d = 0; fits && d < count; d++) {
        fits = d < 2 ? wanted[d] == dims[d] : wanted[d] >= dims[d];
        dims[d] = wanted[d];
    }
    if (!fits)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "input %s, indices %s and %d numbers of output_shape %s do not fit",
                        cop_shape_text(x).s, cop_shape_text(indices).s, count,
                        cop_dims_text(count < 0 ? 0 : (uint32_t)count, wanted).s);
    cop_set_out(call, 0, x->type, x->rank, dims);
    return COPPICE_OK;
}

static coppice_status maxunpool_run(const cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0), *y = cop_out(call, 0);
    const int64_t *indices = cop_in(call, 1)->data;
    int64_t dims[COPPICE_MAX_RANK], strides[COPPICE_MAX_RANK];
    int64_t count = coppice_tensor_count(x);
    size_t bytes = cop_type_bytes(x->type);
    COP_TRY(pooled_from(call, dims));
    coppice_tensor from = {.type = x->type, .rank = x->rank};
    memcpy(from.dims, dims, x->rank * sizeof *dims);
    int64_t places = coppice_tensor_count(&from);
    cop_plain_strides(y->rank, y->dims, strides);
    memset(y->data, 0, (size_t)coppice_tensor_bytes(y));
    for (int64_t i = 0; i < count; i++) {
        int64_t place = indices[i], to = 0;
        if (place < 0 || place >= places)
            return cop_fail(call->err, COPPICE_BAD_DATA,
                            "index %lld at %lld of '%s' is not within the %lld elements of %s",
                            (long long)place, (long long)i, cop_in_name(call, 1), (long long)places,
                            cop_shape_text(&from).s);
        for (uint32_t d = x->rank; d-- > 0; place /= dims[d])
            to += place % dims[d] * strides[d];
        memcpy((char *)y->data + (size_t)to * bytes, (const char *)x->data + (size_t)i * bytes,
               bytes);
    }
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_lppool[] = {
    {.name = "GlobalLpPool", .since = 1, ONE_TO_ONE, .types = FLOATS, PARSE(globallppool, lppool_params),
     INFER(globallppool), RUN(globallppool)},
    {.name = "LpPool", .since = 1, ONE_TO_ONE, .types = FLOATS, PARSE(lppool, lppool_params),
     INFER(lppool), RUN(lppool)},
    {.name = "MaxUnpool", .since = 9, .min_inputs = 2, .max_inputs = 3, .max_outputs = 1,
     .types = FLOATS, PARSE(maxunpool, cop_window_params), INFER(maxunpool), RUN(maxunpool)},
    {.name = NULL},
};
/* clang-format on */
