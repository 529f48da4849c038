/* Operators that go along one axis of [outer][length][inner]: ArgMax, ArgMin, CumSum, CumProd. */
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/types.h"
#include "runtime/ops/util.h"

/* Columns that lie next to each other are done together. */
enum { COLUMNS = 64 };

typedef struct lines {
    const void *in;
    void *out;
    size_t length, inner;
    bool reverse, exclusive; /* of CumSum and CumProd */
} lines;

/* The lines of a tensor along `axis`; returns how many there are. */
static size_t lines_along(const coppice_tensor *in, int axis, lines *out) {
    size_t count = 1;
    out->length = in->rank ? (size_t)in->dims[axis] : 1;
    out->inner = 1;
    for (int d = 0; d < (int)in->rank; d++) {
        if (d != axis)
            count *= (size_t)in->dims[d];
        if (d > axis)
            out->inner *= (size_t)in->dims[d];
    }
    return count;
}

/* Where the next lines from `item` on begin, and how many lie side by side before `end`. */
static size_t next_lines(const lines *l, size_t item, size_t end, size_t *at) {
    size_t column = item % l->inner;
    *at = item / l->inner * l->length * l->inner + column;
    return cop_smaller(cop_smaller(l->inner - column, end - item), COLUMNS);
}

/* ---- ArgMax, ArgMin ---- */

typedef struct arg_params {
    int64_t axis;
    bool keep, last;
} arg_params;

static coppice_status arg_parse(const cop_call *call, void *params) {
    arg_params *p = params;
    COP_TRY(cop_node_int(call->node, "axis", 0, &p->axis, call->err));
    COP_TRY(cop_attr_bool(call, "keepdims", true, &p->keep));
    return cop_attr_bool(call, "select_last_index", false, &p->last);
}

static coppice_status arg_infer(cop_call *call) {
    const arg_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0);
    int axis = 0;
    int64_t dims[COPPICE_MAX_RANK];
    uint32_t rank = 0;
    if (in->rank > 0 || p->axis < -1 || p->axis > 0) /* a scalar is its own largest element */
        COP_TRY(cop_axis(call, p->axis, in->rank, &axis));
    for (int d = 0; d < (int)in->rank; d++) {
        if (d != axis)
            dims[rank++] = in->dims[d];
        else if (p->keep)
            dims[rank++] = 1;
    }
    cop_set_out(call, 0, COPPICE_TYPE_INT64, rank, dims);
    return COPPICE_OK;
}

/* `better` says whether v takes the place of b. The first NaN is larger and smaller than all. */
#define ARG(name, T, better)                                                                       \
    static void name(void *context, size_t begin, size_t end) {                                    \
        const lines *l = context;                                                                  \
        int64_t *out = l->out;                                                                     \
        size_t m = 1, at;                                                                          \
        for (size_t item = begin; item < end; item += m) {                                         \
            m = next_lines(l, item, end, &at);                                                     \
            const T *x = (const T *)l->in + at;                                                    \
            if (m == 1 || l->length > UINT32_MAX) {                                                \
                m = 1;                                                                             \
                T b = x[0];                                                                        \
                int64_t found = 0;                                                                 \
                for (size_t i = 1; i < l->length; i++) {                                           \
                    T v = x[i * l->inner];                                                         \
                    if (better) {                                                                  \
                        b = v;                                                                     \
                        found = (int64_t)i;                                                        \
                    }                                                                              \
                }                                                                                  \
                out[item] = found;                                                                 \
                continue;                                                                          \
            }                                                                                      \
            T best[COLUMNS];                                                                       \
            uint32_t found[COLUMNS] = {0};                                                         \
            memcpy(best, x, m * sizeof *x);                                                        \
            for (size_t i = 1; i < l->length; i++) {                                               \
                const T *row = x + i * l->inner;                                                   \
                for (size_t k = 0; k < m; k++) {                                                   \
                    T v = row[k], b = best[k];                                                     \
                    bool replace = better;                                                         \
                    best[k] = replace ? v : b;                                                     \
                    found[k] = replace ? (uint32_t)i : found[k];                                   \
                }                                                                                  \
            }                                                                                      \
            for (size_t k = 0; k < m; k++)                                                         \
                out[item + k] = found[k];                                                          \
        }                                                                                          \
    }
#define ARG_FLOAT(T, suffix, TYPE)                                                                 \
    ARG(argmax_##suffix, T, (v > b) | ((v != v) & (b == b)))                                       \
    ARG(argmin_##suffix, T, (v < b) | ((v != v) & (b == b)))                                       \
    ARG(lastmax_##suffix, T, (v >= b) | (v != v))                                                  \
    ARG(lastmin_##suffix, T, (v <= b) | (v != v))
EACH_FLOAT(ARG_FLOAT)
#define ARG_INTEGER(T, suffix, TYPE)                                                               \
    ARG(argmax_##suffix, T, v > b)                                                                 \
    ARG(argmin_##suffix, T, v < b)                                                                 \
    ARG(lastmax_##suffix, T, v >= b)                                                               \
    ARG(lastmin_##suffix, T, v <= b)
EACH_INTEGER(ARG_INTEGER)

typedef void (*lines_fn)(void *context, size_t begin, size_t end);

static coppice_status run_arg(const cop_call *call, const lines_fn *by_type) {
    const arg_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0);
    lines job = {.in = in->data, .out = cop_out(call, 0)->data};
    int axis = 0;
    if (in->rank > 0)
        COP_TRY(cop_axis(call, p->axis, in->rank, &axis));
    size_t count = lines_along(in, axis, &job);
    if (count > 0 && job.length == 0)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "no elements to choose from in %s",
                        cop_shape_text(in).s);
    cop_parallel_for(call->pool, count, cop_grain(job.length), by_type[in->type], &job);
    return COPPICE_OK;
}

#define RUN_ARG(op, last_op)                                                                       \
    static coppice_status op##_run(const cop_call *call) {                                         \
        static const lines_fn first[COP_HELD_TYPES] = {NUMERIC_ROWS(op)};                          \
        static const lines_fn last[COP_HELD_TYPES] = {NUMERIC_ROWS(last_op)};                      \
        const arg_params *p = call->params;                                                        \
        return run_arg(call, p->last ? last : first);                                              \
    }
RUN_ARG(argmax, lastmax)
RUN_ARG(argmin, lastmin)

/* ---- CumSum, CumProd ---- */

typedef struct cum_params {
    bool reverse, exclusive;
} cum_params;

static coppice_status cum_parse(const cop_call *call, void *params) {
    cum_params *p = params;
    COP_TRY(cop_attr_bool(call, "reverse", false, &p->reverse));
    return cop_attr_bool(call, "exclusive", false, &p->exclusive);
}

static coppice_status cum_infer(cop_call *call) {
    const coppice_tensor *axis = cop_in(call, 1);
    COP_TRY(cop_need_type(call, 1, INDICES));
    if (coppice_tensor_count(axis) != 1)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "the axis '%s' is %s, expected a scalar",
                        cop_in_name(call, 1), cop_shape_text(axis).s);
    return cop_infer_same(call);
}

/* Totals of type A, begun with `first`; op combines one with an element v. */
#define CUM(name, T, A, first, op)                                                                 \
    static void name(void *context, size_t begin, size_t end) {                                    \
        const lines *l = context;                                                                  \
        size_t m = 1, at;                                                                          \
        for (size_t item = begin; item < end; item += m) {                                         \
            m = next_lines(l, item, end, &at);                                                     \
            A total[COLUMNS];                                                                      \
            for (size_t k = 0; k < m; k++)                                                         \
                total[k] = first;                                                                  \
            for (size_t i = 0; i < l->length; i++) {                                               \
                size_t row = at + (l->reverse ? l->length - 1 - i : i) * l->inner;                 \
                const T *x = (const T *)l->in + row;                                               \
                T *out = (T *)l->out + row;                                                        \
                for (size_t k = 0; k < m; k++) {                                                   \
                    A v = (A)x[k], before = total[k];                                              \
                    total[k] = before op v;                                                        \
                    out[k] = (T)(l->exclusive ? before : total[k]);                                \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }
/* Integers wrap around; floats are added in double. */
#define CUM_BOTH(T, A, suffix)                                                                     \
    CUM(cumsum_##suffix, T, A, 0, +)                                                               \
    CUM(cumprod_##suffix, T, A, 1, *)
CUM_BOTH(float, double, f32)
CUM_BOTH(double, double, f64)
CUM_BOTH(int32_t, uint32_t, i32)
CUM_BOTH(int64_t, uint64_t, i64)
CUM_BOTH(uint32_t, uint32_t, u32)
CUM_BOTH(uint64_t, uint64_t, u64)

static coppice_status run_cum(const cop_call *call, const lines_fn *by_type) {
    const cum_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0), *which = cop_in(call, 1);
    lines job = {.in = in->data,
                 .out = cop_out(call, 0)->data,
                 .reverse = p->reverse,
                 .exclusive = p->exclusive};
    int axis = 0;
    if (in->rank > 0)
        COP_TRY(cop_axis(call, cop_tensor_get_int(which, 0), in->rank, &axis));
    size_t count = lines_along(in, axis, &job);
    if (job.length > 0)
        cop_parallel_for(call->pool, count, cop_grain(job.length), by_type[in->type], &job);
    return COPPICE_OK;
}

static coppice_status cumsum_run(const cop_call *call) {
    static const lines_fn by_type[COP_HELD_TYPES] = {FLOAT_ROWS(cumsum), WIDE_ROWS(cumsum)};
    return run_cum(call, by_type);
}

static coppice_status cumprod_run(const cop_call *call) {
    static const lines_fn by_type[COP_HELD_TYPES] = {FLOAT_ROWS(cumprod), WIDE_ROWS(cumprod)};
    return run_cum(call, by_type);
}

/* ---- rows of the operator table ---- */

#define CUM_ROW(op, fn, first)                                                                     \
    {                                                                                              \
        .name = op, .since = first, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,            \
        .types = FLOATS | WIDE_INTEGERS, PARSE(cum, cum_params), INFER(cum), RUN(fn)               \
    }
#define ARG_ROW(op, fn)                                                                            \
    {                                                                                              \
        .name = op, .since = 1, ONE_TO_ONE, .types = NUMBERS, PARSE(arg, arg_params), INFER(arg),  \
        RUN(fn)                                                                                    \
    }

/* clang-format off */
const cop_op cop_ops_along[] = {
    ARG_ROW("ArgMax", argmax),
    ARG_ROW("ArgMin", argmin),
    CUM_ROW("CumProd", cumprod, 26),
    CUM_ROW("CumSum", cumsum, 11),
    {.name = NULL},
};
/* clang-format on */
