/* Operators that reduce along axes: ReduceSum, ReduceMean, ReduceMax and their kin. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "runtime/layout.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/reduce/reduce.h"
#include "runtime/ops/types.h"
#include "runtime/ops/util.h"
#include "runtime/ops/vmath.h"

/* ---- attributes and shapes ---- */

typedef struct reduce_params {
    bool keep, noop_without_axes;
} reduce_params;

static coppice_status reduce_parse(const cop_call *call, void *params) {
    reduce_params *p = params;
    COP_TRY(cop_attr_bool(call, "keepdims", true, &p->keep));
    return cop_attr_bool(call, "noop_with_empty_axes", false, &p->noop_without_axes);
}

/* Axes are an attribute, or input 1 in the opsets that have it. Negative ones everywhere: opset 11
 * allowed them, before they could not be meant otherwise. */
static coppice_status reduced_axes(const cop_call *call, bool *on) {
    const reduce_params *p = call->params;
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
    const reduce_params *p = call->params;
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

/* ---- the loop nest of a reduction ---- */

/* Accumulators that a row is spread over so that it vectorises, and columns that are reduced
 * together. */
enum { LANES = 32, COLUMNS = 128 };

/* Makes outputs begin .. end. */
typedef void (*reduce_fn)(const cop_reduction *r, size_t begin, size_t end);

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

int64_t cop_reduction_place(int rank, const int64_t *dims, const int64_t *strides, size_t index) {
    int64_t at = 0;
    for (int d = rank; d-- > 0;) {
        at += (int64_t)(index % (size_t)dims[d]) * strides[d];
        index /= (size_t)dims[d];
    }
    return at;
}

/* How many outputs from `begin` on lie behind one another in the input, at most COLUMNS. */
static size_t columns_at(const cop_reduction *r, size_t begin, size_t end) {
    size_t width = (size_t)r->kept[r->kept_rank - 1], left = width - begin % width;
    return cop_smaller(cop_smaller(left, end - begin), COLUMNS);
}

/* ---- reductions of one value after another ----
 *
 * Of elements v of type T: `map` makes a value of type A of each, `op` combines two of them, a and
 * b, beginning with `first`; `result` is what a combined one of n elements gives. */
#define REDUCER(name, T, A, first, map, op, result)                                                \
    static inline void name##_add(A *restrict to, const T *restrict x, size_t n) {                 \
        for (size_t i = 0; i < n; i++) {                                                           \
            T v = x[i];                                                                            \
            A a = to[i], b = (A)(map);                                                             \
            to[i] = (A)(op);                                                                       \
        }                                                                                          \
    }                                                                                              \
    static A name##_row(A a, const T *x, size_t n, int64_t step) {                                 \
        A lanes[LANES];                                                                            \
        size_t i = 0;                                                                              \
        for (size_t k = 0; k < LANES; k++)                                                         \
            lanes[k] = (A)(first);                                                                 \
        for (; step == 1 && i + LANES <= n; i += LANES)                                            \
            name##_add(lanes, x + i, LANES);                                                       \
        for (size_t k = 0; i > 0 && k < LANES; k++) {                                              \
            A b = lanes[k];                                                                        \
            a = (A)(op);                                                                           \
        }                                                                                          \
        for (; i < n; i++) {                                                                       \
            T v = x[(int64_t)i * step];                                                            \
            A b = (A)(map);                                                                        \
            a = (A)(op);                                                                           \
        }                                                                                          \
        return a;                                                                                  \
    }                                                                                              \
    static void name##_columns(const cop_reduction *r, const T *x, T *out, size_t m) {             \
        A sums[COLUMNS];                                                                           \
        size_t n = r->count;                                                                       \
        for (size_t k = 0; k < m; k++)                                                             \
            sums[k] = (A)(first);                                                                  \
        for (size_t i = 0; i < n; i += r->row) {                                                   \
            const T *from = x + cop_reduction_place(r->rank, r->dims, r->stride, i);               \
            for (size_t k = 0; k < r->row; k++)                                                    \
                name##_add(sums, from + (int64_t)k * r->step, m);                                  \
        }                                                                                          \
        for (size_t k = 0; k < m; k++) {                                                           \
            A a = sums[k];                                                                         \
            out[k] = (T)(result);                                                                  \
        }                                                                                          \
    }                                                                                              \
    static void name(const cop_reduction *r, size_t begin, size_t end) {                           \
        const T *in = r->in;                                                                       \
        T *out = r->out;                                                                           \
        size_t n = r->count, m = 1;                                                                \
        for (size_t o = begin; o < end; o += m) {                                                  \
            const T *x = in + cop_reduction_place(r->kept_rank, r->kept, r->kept_stride, o);       \
            m = r->by_columns ? columns_at(r, o, end) : 1;                                         \
            if (r->by_columns) {                                                                   \
                name##_columns(r, x, out + o, m);                                                  \
                continue;                                                                          \
            }                                                                                      \
            A a = (A)(first);                                                                      \
            for (size_t i = 0; i < n; i += r->row)                                                 \
                a = name##_row(a, x + cop_reduction_place(r->rank, r->dims, r->stride, i), r->row, \
                               r->step);                                                           \
            out[o] = (T)(result);                                                                  \
        }                                                                                          \
    }

/* Sums of floats are made in double. A NaN goes through: no comparison with it holds. */
#define REDUCE_FLOAT(T, suffix, TYPE)                                                              \
    REDUCER(sum_##suffix, T, double, 0, v, a + b, a)                                               \
    REDUCER(mean_##suffix, T, double, 0, v, a + b, a / (double)n)                                  \
    REDUCER(prod_##suffix, T, double, 1, v, a *b, a)                                               \
    REDUCER(l1_##suffix, T, double, 0, fabs((double)v), a + b, a)                                  \
    REDUCER(l2_##suffix, T, double, 0, (double)v *(double)v, a + b, sqrt(a))                       \
    REDUCER(sumsquare_##suffix, T, double, 0, (double)v *(double)v, a + b, a)                      \
    REDUCER(logsum_##suffix, T, double, 0, v, a + b, log(a))                                       \
    REDUCER(max_##suffix, T, T, -INFINITY, v, b > a || b != b ? b : a, a)                          \
    REDUCER(min_##suffix, T, T, INFINITY, v, b < a || b != b ? b : a, a)
EACH_FLOAT(REDUCE_FLOAT)

/* Integers wrap around; a mean is cut towards 0. S has the sign of T. */
#define REDUCE_INTEGER(T, S, suffix, magnitude)                                                    \
    REDUCER(sum_##suffix, T, uint64_t, 0, v, a + b, a)                                             \
    REDUCER(mean_##suffix, T, uint64_t, 0, v, a + b, (S)a / (S)n)                                  \
    REDUCER(prod_##suffix, T, uint64_t, 1, v, a *b, a)                                             \
    REDUCER(l1_##suffix, T, uint64_t, 0, magnitude, a + b, a)                                      \
    REDUCER(l2_##suffix, T, uint64_t, 0, (uint64_t)v *(uint64_t)v, a + b,                          \
            (int64_t)sqrt((double)a))                                                              \
    REDUCER(sumsquare_##suffix, T, uint64_t, 0, (uint64_t)v *(uint64_t)v, a + b, a)
#define MAGNITUDE (v < 0 ? 0 - (uint64_t)v : (uint64_t)v)
REDUCE_INTEGER(int32_t, int64_t, i32, MAGNITUDE)
REDUCE_INTEGER(int64_t, int64_t, i64, MAGNITUDE)
REDUCE_INTEGER(uint32_t, uint64_t, u32, v)
REDUCE_INTEGER(uint64_t, uint64_t, u64, v)

#define REDUCE_ORDER(T, suffix, low, high)                                                         \
    REDUCER(max_##suffix, T, T, low, v, b > a ? b : a, a)                                          \
    REDUCER(min_##suffix, T, T, high, v, b < a ? b : a, a)
REDUCE_ORDER(int8_t, i8, INT8_MIN, INT8_MAX)
REDUCE_ORDER(int32_t, i32, INT32_MIN, INT32_MAX)
REDUCE_ORDER(int64_t, i64, INT64_MIN, INT64_MAX)
REDUCE_ORDER(uint8_t, u8, 0, UINT8_MAX)
REDUCE_ORDER(uint32_t, u32, 0, UINT32_MAX)
REDUCE_ORDER(uint64_t, u64, 0, UINT64_MAX)
REDUCE_ORDER(uint8_t, bool, 0, 1)

/* ---- ReduceLogSumExp: shifted by the largest, so that nothing overflows ---- */

#define LOGSUMEXP(T, suffix, exponential)                                                          \
    static void logsumexp_##suffix(const cop_reduction *r, size_t begin, size_t end) {             \
        const T *in = r->in;                                                                       \
        T *out = r->out;                                                                           \
        max_##suffix(r, begin, end);                                                               \
        for (size_t o = begin; o < end; o++) {                                                     \
            const T *from = in + cop_reduction_place(r->kept_rank, r->kept, r->kept_stride, o);    \
            T top = isinf(out[o]) ? 0 : out[o];                                                    \
            double sum = 0;                                                                        \
            for (size_t i = 0; i < r->count; i += r->row) {                                        \
                const T *x = from + cop_reduction_place(r->rank, r->dims, r->stride, i);           \
                for (size_t k = 0; k < r->row; k++)                                                \
                    sum += (double)exponential(x[(int64_t)k * r->step] - top);                     \
            }                                                                                      \
            out[o] = (T)(log(sum) + (double)top);                                                  \
        }                                                                                          \
    }
LOGSUMEXP(float, f32, cop_expf)
LOGSUMEXP(double, f64, exp)

/* ---- run ---- */

typedef struct reduce_job {
    cop_reduction nest;
    reduce_fn fn;
} reduce_job;

static void reduce_range(void *context, size_t begin, size_t end) {
    const reduce_job *job = context;
    job->fn(&job->nest, begin, end);
}

static void collapse(const coppice_tensor *in, const bool *on, cop_reduction *r) {
    int64_t strides[COPPICE_MAX_RANK];
    cop_plain_strides(in->rank, in->dims, strides);
    r->count = 1;
    for (uint32_t d = 0; d < in->rank; d++) {
        if (on[d])
            r->count *= (size_t)in->dims[d];
        if (in->dims[d] == 1)
            continue;
        if (on[d])
            add_dim(&r->rank, r->dims, r->stride, in->dims[d], strides[d]);
        else
            add_dim(&r->kept_rank, r->kept, r->kept_stride, in->dims[d], strides[d]);
    }
    r->row = r->rank ? (size_t)r->dims[r->rank - 1] : 1;
    r->step = r->rank ? r->stride[r->rank - 1] : 1;
    r->by_columns = r->kept_rank && r->kept_stride[r->kept_rank - 1] == 1;
}

static coppice_status run_reduction(const cop_call *call, const reduce_fn *by_type, cop_fold fold) {
    const coppice_tensor *in = cop_in(call, 0), *out = cop_out(call, 0);
    bool on[COPPICE_MAX_RANK];
    COP_TRY(reduced_axes(call, on));
    reduce_job job = {.nest = {.in = in->data, .out = out->data},
                      .fn = (unsigned)in->type < COP_HELD_TYPES ? by_type[in->type] : NULL};
    if (!job.fn)
        return cop_fail(call->err, COPPICE_UNSUPPORTED, "input type %s is not supported",
                        coppice_type_name(in->type));
    size_t outputs = (size_t)coppice_tensor_count(out);
    if (outputs == 0)
        return COPPICE_OK;
    if (cop_layout_is_tiles(call->in[0]->layout)) {
        cop_fold_tiles(call, fold, on);
        return COPPICE_OK;
    }
    collapse(in, on, &job.nest);
    if (fold == COP_FOLD_MEAN &&
        job.nest.count == 0) { /* ONNX leaves it open; exported EmbeddingBags need 0 */
        memset(out->data, 0, outputs * cop_type_bytes(out->type));
        return COPPICE_OK;
    }
    if (fold && in->type == COPPICE_TYPE_FLOAT && job.nest.count > 0) {
        cop_fold_floats(call, &job.nest, fold, outputs);
        return COPPICE_OK;
    }
    if (job.nest.count == 0) /* no rows: what there is of nothing, once per output */
        job.nest.row = 1, job.nest.by_columns = false;
    cop_parallel_for(call->pool, outputs, cop_grain(job.nest.count), reduce_range, &job);
    return COPPICE_OK;
}

#define ORDER_ROWS(op)                                                                             \
    FLOAT_ROWS(op), WIDE_ROWS(op), [COPPICE_TYPE_INT8] = op##_i8, [COPPICE_TYPE_UINT8] = op##_u8,  \
                                   [COPPICE_TYPE_BOOL] = op##_bool

#define RUN_REDUCTION(op, fold, ...)                                                               \
    static coppice_status reduce##op##_run(const cop_call *call) {                                 \
        static const reduce_fn by_type[COP_HELD_TYPES] = {__VA_ARGS__};                            \
        return run_reduction(call, by_type, COP_FOLD_##fold);                                      \
    }
RUN_REDUCTION(sum, SUM, FLOAT_ROWS(sum), WIDE_ROWS(sum))
RUN_REDUCTION(mean, MEAN, FLOAT_ROWS(mean), WIDE_ROWS(mean))
RUN_REDUCTION(prod, NONE, FLOAT_ROWS(prod), WIDE_ROWS(prod))
RUN_REDUCTION(l1, NONE, FLOAT_ROWS(l1), WIDE_ROWS(l1))
RUN_REDUCTION(l2, NONE, FLOAT_ROWS(l2), WIDE_ROWS(l2))
RUN_REDUCTION(sumsquare, NONE, FLOAT_ROWS(sumsquare), WIDE_ROWS(sumsquare))
RUN_REDUCTION(logsum, NONE, FLOAT_ROWS(logsum))
RUN_REDUCTION(logsumexp, NONE, FLOAT_ROWS(logsumexp))
RUN_REDUCTION(max, MAX, ORDER_ROWS(max))
RUN_REDUCTION(min, NONE, ORDER_ROWS(min))

/* Sums, means and maxima go in tiles. */
static unsigned fold_layouts(const cop_call *call) {
    bool on[COPPICE_MAX_RANK];
    unsigned layouts = 1u << COP_LAYOUT_PLAIN;
    if (reduced_axes(call, on))
        return layouts;
    for (int l = COP_LAYOUT_TILES; l <= COP_LAYOUT_TOKEN_TILES; l++)
        layouts |= (unsigned)cop_folds_tiles(call, (cop_layout)l, on) << l;
    return layouts;
}

/* ---- rows of the operator table ---- */

#define WIDE_TYPES (FLOATS | WIDE_INTEGERS)
#define ORDER_TYPES (WIDE_TYPES | COP_TYPE_BIT(INT8) | COP_TYPE_BIT(UINT8) | COP_TYPE_BIT(BOOL))

#define ROW(op, fn, first, last, inputs, type_set, ...)                                            \
    {                                                                                              \
        .name = op, .since = first, .until = last, .min_inputs = 1, .max_inputs = inputs,          \
        .max_outputs = 1, .types = type_set, PARSE(reduce, reduce_params), INFER(reduce), RUN(fn), \
        __VA_ARGS__                                                                                \
    }
/* Axes are an attribute up to opset `last`, then an input. */
#define ROWS(op, fn, last, type_set, ...)                                                          \
    ROW(op, fn, 1, last, 1, type_set, __VA_ARGS__),                                                \
        ROW(op, fn, (last) + 1, 0, 2, type_set, __VA_ARGS__)

/* clang-format off */
const cop_op cop_ops_reduce[] = {
    ROWS("ReduceL1", reducel1, 17, WIDE_TYPES, .layouts = NULL),
    ROWS("ReduceL2", reducel2, 17, WIDE_TYPES, .layouts = NULL),
    ROWS("ReduceLogSum", reducelogsum, 17, FLOATS, .layouts = NULL),
    ROWS("ReduceLogSumExp", reducelogsumexp, 17, FLOATS, .layouts = NULL),
    ROWS("ReduceMax", reducemax, 17, ORDER_TYPES, .layouts = fold_layouts),
    ROWS("ReduceMean", reducemean, 17, WIDE_TYPES, .layouts = fold_layouts),
    ROWS("ReduceMin", reducemin, 17, ORDER_TYPES, .layouts = NULL),
    ROWS("ReduceProd", reduceprod, 17, WIDE_TYPES, .layouts = NULL),
    ROWS("ReduceSum", reducesum, 12, WIDE_TYPES, .layouts = fold_layouts),
    ROWS("ReduceSumSquare", reducesumsquare, 17, WIDE_TYPES, .layouts = NULL),
    {.name = NULL},
};
/* clang-format on */
