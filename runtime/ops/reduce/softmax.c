/* Softmax, LogSoftmax and Hardmax, of a matrix [outer][length][inner] along its middle. */
#include <math.h>
#include <string.h>

#include "runtime/kernels/kernels.h"
#include "runtime/layout.h"
#include "runtime/ops/lanes.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/types.h"
#include "runtime/ops/util.h"
#include "runtime/ops/vmath.h"
#include "runtime/transpose.h"

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

typedef enum softmax_form { FORM_PLAIN, FORM_LOG, FORM_HARD } softmax_form;

typedef struct softmax_job {
    const void *in;
    void *out;
    size_t length, inner;
    softmax_form form;
    const cop_kernels *kernels;
} softmax_job;

/* Columns that lie next to each other are done together. */
enum { COLUMNS = 64 };

/* The next of at most `left` rows; returns how many were done. Short rows are turned, so that each
 * is a lane. */
static size_t rows_f32(const softmax_job *j, const float *x, float *out, size_t left) {
    enum { ROOM = 8192, SHORT = ROOM / COP_ATTN_VECTOR };
    float room[ROOM];
    size_t n = j->length, lanes = COP_ATTN_LANES;
    if (n > SHORT || left < COP_ATTN_VECTOR / 2) {
        j->kernels->softmax_f32(x, out, n, j->form == FORM_LOG);
        return 1;
    }
    while (lanes > COP_ATTN_VECTOR && (n * lanes > ROOM || lanes / 2 >= left))
        lanes /= 2;
    size_t m = cop_smaller(lanes, left);
    for (size_t i = 0; m < lanes && i < n; i++)
        memset(room + i * lanes + m, 0, (lanes - m) * sizeof *room);
    cop_transpose_4((uint32_t *)(void *)room, lanes, x, n, m, n);
    j->kernels->lanes_softmax_f32(room, room, n, lanes, lanes, j->form == FORM_LOG);
    cop_transpose_4((uint32_t *)(void *)out, n, room, lanes, n, m);
    return m;
}

static size_t row_f64(const softmax_job *j, const double *x, double *out, size_t left) {
    (void)left;
    double top = x[0], sum = 0;
    for (size_t i = 1; i < j->length; i++)
        top = x[i] > top ? x[i] : top;
    for (size_t i = 0; i < j->length; i++)
        sum += out[i] = exp(x[i] - top);
    double shift = top + log(sum);
    for (size_t i = 0; i < j->length; i++)
        out[i] = j->form == FORM_LOG ? x[i] - shift : out[i] / sum;
    return 1;
}

/* All shifted by the largest, so that nothing overflows. */
#define COLUMNS_OF(T, suffix, exponential)                                                         \
    static size_t columns_##suffix(const softmax_job *j, const T *restrict x, T *restrict out,     \
                                   size_t m) {                                                     \
        size_t n = j->length, step = j->inner;                                                     \
        bool log_form = j->form == FORM_LOG;                                                       \
        T top[COLUMNS], sum[COLUMNS];                                                              \
        for (size_t k = 0; k < m; k++)                                                             \
            top[k] = x[k], sum[k] = 0;                                                             \
        for (size_t i = 1; i < n; i++)                                                             \
            for (size_t k = 0; k < m; k++)                                                         \
                top[k] = x[i * step + k] > top[k] ? x[i * step + k] : top[k];                      \
        for (size_t i = 0; i < n; i++)                                                             \
            for (size_t k = 0; k < m; k++) {                                                       \
                T shifted = x[i * step + k] - top[k], e = exponential(shifted);                    \
                out[i * step + k] = log_form ? shifted : e;                                        \
                sum[k] += e;                                                                       \
            }                                                                                      \
        for (size_t k = 0; k < m; k++)                                                             \
            sum[k] = log_form ? (T)log((double)sum[k]) : 1 / sum[k];                               \
        for (size_t i = 0; i < n; i++)                                                             \
            for (size_t k = 0; k < m; k++) {                                                       \
                T v = out[i * step + k];                                                           \
                out[i * step + k] = log_form ? v - sum[k] : v * sum[k];                            \
            }                                                                                      \
        return m;                                                                                  \
    }
COLUMNS_OF(float, f32, cop_expf)
COLUMNS_OF(double, f64, exp)

/* At most `m` columns that lie side by side, whole vectors first; returns how many were done. */
static size_t lanes_f32(const softmax_job *j, const float *x, float *out, size_t m) {
    size_t lanes = m / COP_ATTN_VECTOR * COP_ATTN_VECTOR;
    if (lanes == 0)
        return columns_f32(j, x, out, m);
    j->kernels->lanes_softmax_f32(x, out, j->length, j->inner, lanes, j->form == FORM_LOG);
    return lanes;
}

#define SOFTMAX(T, suffix, rows, columns)                                                          \
    /* 1 at the first of the largest, 0 elsewhere. */                                              \
    static void hard_##suffix(const T *x, T *out, size_t n, size_t step) {                         \
        size_t at = 0;                                                                             \
        for (size_t i = 1; i < n; i++)                                                             \
            at = x[i * step] > x[at * step] ? i : at;                                              \
        for (size_t i = 0; i < n; i++)                                                             \
            out[i * step] = i == at;                                                               \
    }                                                                                              \
    /* Items are lines along the length: [outer][inner]. */                                        \
    static void range_##suffix(void *context, size_t begin, size_t end) {                          \
        const softmax_job *j = context;                                                            \
        size_t n = j->length, m = 1;                                                               \
        for (size_t item = begin; item < end; item += m) {                                         \
            size_t column = item % j->inner, at = item / j->inner * n * j->inner + column;         \
            const T *x = (const T *)j->in + at;                                                    \
            T *out = (T *)j->out + at;                                                             \
            m = 1;                                                                                 \
            if (j->form == FORM_HARD) {                                                            \
                hard_##suffix(x, out, n, j->inner);                                                \
            } else if (j->inner == 1) {                                                            \
                m = rows(j, x, out, end - item);                                                   \
            } else {                                                                               \
                m = cop_smaller(cop_smaller(j->inner - column, end - item), COLUMNS);              \
                m = columns(j, x, out, m);                                                         \
            }                                                                                      \
        }                                                                                          \
    }
SOFTMAX(float, f32, rows_f32, lanes_f32)
SOFTMAX(double, f64, row_f64, columns_f64)

/* Over the channels of tiles: before opset 13 the row reaches to the last axis. */
static unsigned softmax_layouts(const cop_call *call) {
    const cop_ints_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0);
    int axis;
    if (in->rank == 0 || cop_axis(call, p->axis, in->rank, &axis))
        return 0;
    if (axis + 1 == (int)in->rank)
        return 1u << COP_LAYOUT_TOKEN_TILES;
    return axis == 1 && call->opset >= 13 ? 1u << COP_LAYOUT_TILES : 0;
}

static coppice_status run_softmax(const cop_call *call, softmax_form form) {
    const cop_ints_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0);
    softmax_job job = {.in = in->data,
                       .out = cop_out(call, 0)->data,
                       .length = 1,
                       .inner = 1,
                       .form = form,
                       .kernels = cop_call_kernels(call)};
    int axis = 0;
    size_t outer = 1;
    if (coppice_tensor_count(in) == 0)
        return COPPICE_OK;
    if (cop_layout_is_tiles(call->in[0]->layout)) {
        cop_run_lanes_softmax(call, form == FORM_LOG);
        return COPPICE_OK;
    }
    if (in->rank > 0)
        COP_TRY(cop_axis(call, p->axis, in->rank, &axis));
    for (int d = 0; d < (int)in->rank; d++) {
        /* Before opset 13 everything from the axis on is one row. */
        bool row = call->opset < 13 ? d >= axis : d == axis;
        size_t *side = row ? &job.length : d < axis ? &outer : &job.inner;
        *side *= (size_t)in->dims[d];
    }
    bool wide = in->type == COPPICE_TYPE_DOUBLE;
    size_t grain = cop_round_up(cop_grain(4 * job.length), COP_ATTN_LANES);
    cop_parallel_for(call->pool, outer * job.inner, grain, wide ? range_f64 : range_f32, &job);
    return COPPICE_OK;
}

static coppice_status softmax_run(const cop_call *call) {
    return run_softmax(call, FORM_PLAIN);
}

static coppice_status logsoftmax_run(const cop_call *call) {
    return run_softmax(call, FORM_LOG);
}

static coppice_status hardmax_run(const cop_call *call) {
    return run_softmax(call, FORM_HARD);
}

/* ---- rows of the operator table ---- */

#define ROW(op, fn, ...)                                                                           \
    {                                                                                              \
        .name = op, .since = 1, ONE_TO_ONE, .types = FLOATS, PARSE(softmax, cop_ints_params),      \
        INFER(softmax), RUN(fn), __VA_ARGS__                                                       \
    }

/* clang-format off */
const cop_op cop_ops_softmax[] = {
    ROW("Hardmax", hardmax, .layouts = NULL),
    ROW("LogSoftmax", logsoftmax, .layouts = softmax_layouts),
    ROW("Softmax", softmax, .layouts = softmax_layouts),
    {.name = NULL},
};
/* clang-format on */
