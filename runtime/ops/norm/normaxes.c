/* Normalization along axes: MeanVarianceNormalization, LpNormalization, LRN. */
#include <math.h>
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

enum { STRIP = 256 }; /* elements that are worked on side by side */

/* ---- a tensor seen as [outer][length][inner] ---- */

typedef struct axis_job {
    size_t outer, length, inner;
    const void *x;
    void *y;
    int64_t p;                 /* LpNormalization */
    size_t before, after;      /* LRN: channels beside each */
    double alpha, beta, shift; /* LRN; alpha is divided by the size */
} axis_job;

static axis_job axis_job_of(const cop_call *call, uint32_t axis) {
    const coppice_tensor *x = cop_in(call, 0);
    axis_job j = {.outer = 1,
                  .length = (size_t)x->dims[axis],
                  .inner = 1,
                  .x = x->data,
                  .y = cop_out(call, 0)->data};
    for (uint32_t d = 0; d < x->rank; d++) {
        if (d < axis)
            j.outer *= (size_t)x->dims[d];
        if (d > axis)
            j.inner *= (size_t)x->dims[d];
    }
    return j;
}

/* Items: strips of `inner`, of every `outer`. */
static void run_strips(const cop_call *call, axis_job *j, void (*task)(void *, size_t, size_t)) {
    size_t strips = j->outer * cop_divide_up(j->inner, STRIP);
    size_t wide = j->inner < STRIP ? j->inner : STRIP;
    cop_parallel_for(call->pool, strips, cop_grain(j->length * wide), task, j);
}

/* The strip `item`: where it starts, and its width. */
static size_t strip_start(const axis_job *j, size_t item, size_t *wide) {
    size_t per_outer = cop_divide_up(j->inner, STRIP), first = item % per_outer * STRIP;
    *wide = j->inner - first < STRIP ? j->inner - first : STRIP;
    return item / per_outer * j->length * j->inner + first;
}

/* ---- LpNormalization ---- */

typedef struct lp_params {
    int64_t axis, p;
} lp_params;

static coppice_status lpnorm_parse(const cop_call *call, void *params) {
    lp_params *p = params;
    COP_TRY(cop_node_int(call->node, "axis", -1, &p->axis, call->err));
    COP_TRY(cop_node_int(call->node, "p", 2, &p->p, call->err));
    if (p->p == 1 || p->p == 2)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'p' is %lld, expected 1 or 2",
                    (long long)p->p);
}

static coppice_status lpnorm_infer(cop_call *call) {
    const lp_params *p = call->params;
    int axis;
    COP_TRY(cop_axis(call, p->axis, cop_in(call, 0)->rank, &axis));
    return cop_infer_same(call);
}

#define LP_STRIPS(T)                                                                               \
    static void lp_strips_##T(void *context, size_t begin, size_t end) {                           \
        const axis_job *j = context;                                                               \
        for (size_t item = begin; item < end; item++) {                                            \
            size_t wide, start = strip_start(j, item, &wide);                                      \
            const T *x = (const T *)j->x + start;                                                  \
            T *y = (T *)j->y + start, sum[STRIP] = {0};                                            \
            for (size_t k = 0; k < j->length; k++) {                                               \
                for (size_t i = 0; i < wide; i++) {                                                \
                    T v = x[k * j->inner + i];                                                     \
                    sum[i] += j->p == 2 ? v * v : v < 0 ? -v : v;                                  \
                }                                                                                  \
            }                                                                                      \
            for (size_t i = 0; i < wide; i++) {                                                    \
                T norm = j->p == 2 ? (T)sqrt((double)sum[i]) : sum[i];                             \
                sum[i] = norm == 0 ? 1 : norm; /* zeros stay zeros */                              \
            }                                                                                      \
            for (size_t k = 0; k < j->length; k++) {                                               \
                for (size_t i = 0; i < wide; i++)                                                  \
                    y[k * j->inner + i] = x[k * j->inner + i] / sum[i];                            \
            }                                                                                      \
        }                                                                                          \
    }

LP_STRIPS(float)
LP_STRIPS(double)

static coppice_status lpnorm_run(const cop_call *call) {
    const lp_params *p = call->params;
    int axis;
    COP_TRY(cop_axis(call, p->axis, cop_in(call, 0)->rank, &axis));
    axis_job j = axis_job_of(call, (uint32_t)axis);
    j.p = p->p;
    run_strips(call, &j,
               cop_in(call, 0)->type == COPPICE_TYPE_FLOAT ? lp_strips_float : lp_strips_double);
    return COPPICE_OK;
}

/* ---- LRN ---- */

typedef struct lrn_params {
    int64_t size;
    float alpha, beta, bias;
} lrn_params;

static coppice_status lrn_parse(const cop_call *call, void *params) {
    lrn_params *p = params;
    COP_TRY(cop_node_float(call->node, "alpha", 1e-4f, &p->alpha, call->err));
    COP_TRY(cop_node_float(call->node, "beta", 0.75f, &p->beta, call->err));
    COP_TRY(cop_node_float(call->node, "bias", 1, &p->bias, call->err));
    COP_TRY(cop_node_int(call->node, "size", 0, &p->size, call->err));
    if (p->size >= 1 && p->size <= INT32_MAX)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'size' is %lld, expected at least 1",
                    (long long)p->size);
}

static coppice_status lrn_infer(cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0);
    if (x->rank < 2)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "input '%s' is %s, expected [N,C,...]",
                        cop_in_name(call, 0), cop_shape_text(x).s);
    return cop_infer_same(call);
}

/* A power of 3/4, the usual one, is two roots. */
#define LRN_STRIPS(T)                                                                              \
    static void lrn_strips_##T(void *context, size_t begin, size_t end) {                          \
        const axis_job *j = context;                                                               \
        for (size_t item = begin; item < end; item++) {                                            \
            size_t wide, start = strip_start(j, item, &wide);                                      \
            const T *x = (const T *)j->x + start;                                                  \
            T *y = (T *)j->y + start;                                                              \
            for (size_t c = 0; c < j->length; c++) {                                               \
                T sum[STRIP] = {0};                                                                \
                size_t first = c < j->before ? 0 : c - j->before;                                  \
                size_t last = j->length - c <= j->after ? j->length : c + j->after + 1;            \
                for (size_t k = first; k < last; k++) {                                            \
                    for (size_t i = 0; i < wide; i++)                                              \
                        sum[i] += x[k * j->inner + i] * x[k * j->inner + i];                       \
                }                                                                                  \
                for (size_t i = 0; i < wide; i++) {                                                \
                    double s = j->shift + j->alpha * (double)sum[i];                               \
                    double root = sqrt(s);                                                         \
                    double power = j->beta == 0.75 ? root * sqrt(root) : pow(s, j->beta);          \
                    y[c * j->inner + i] = (T)((double)x[c * j->inner + i] / power);                \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

LRN_STRIPS(float)
LRN_STRIPS(double)

static coppice_status lrn_run(const cop_call *call) {
    const lrn_params *p = call->params;
    axis_job j = axis_job_of(call, 1);
    j.before = (size_t)(p->size - 1) / 2;
    j.after = (size_t)p->size / 2;
    j.alpha = (double)p->alpha / (double)p->size;
    j.beta = (double)p->beta;
    j.shift = (double)p->bias;
    run_strips(call, &j,
               cop_in(call, 0)->type == COPPICE_TYPE_FLOAT ? lrn_strips_float : lrn_strips_double);
    return COPPICE_OK;
}

/* ---- MeanVarianceNormalization ---- */

static coppice_status mvn_parse(const cop_call *call, void *params) {
    cop_ints_params *p = params;
    COP_TRY(cop_attr_ints(call, "axes", p->values, COPPICE_MAX_RANK, &p->count));
    if (p->count >= 0)
        return COPPICE_OK;
    static const int64_t usual[] = {0, 2, 3};
    p->count = 3;
    memcpy(p->values, usual, sizeof usual);
    return COPPICE_OK;
}

static coppice_status mvn_infer(cop_call *call) {
    const cop_ints_params *p = call->params;
    bool on[COPPICE_MAX_RANK];
    COP_TRY(cop_axis_set(call, p->values, p->count, cop_in(call, 0)->rank, on));
    return cop_infer_same(call);
}

/* Dims that are kept and dims that are normalized over, with their strides in x. */
typedef struct mvn_job {
    int kept, reduced;
    int64_t kept_dims[COPPICE_MAX_RANK], kept_strides[COPPICE_MAX_RANK];
    int64_t dims[COPPICE_MAX_RANK], strides[COPPICE_MAX_RANK];
    size_t count; /* elements of a group */
    const void *x;
    void *y;
} mvn_job;

static int64_t offset_of(size_t index, int rank, const int64_t *dims, const int64_t *strides) {
    int64_t offset = 0;
    for (int d = rank; d-- > 0;) {
        offset += (int64_t)(index % (size_t)dims[d]) * strides[d];
        index /= (size_t)dims[d];
    }
    return offset;
}

/* The last of the reduced dims is walked along; `rest` counts the others. */
#define MVN_GROUPS(T)                                                                              \
    static double mvn_sum_##T(const mvn_job *j, const T *x, double mean, bool square) {            \
        int last = j->reduced - 1;                                                                 \
        size_t n = (size_t)j->dims[last], rest = j->count / n;                                     \
        double sum = 0;                                                                            \
        for (size_t r = 0; r < rest; r++) {                                                        \
            const T *row = x + offset_of(r, last, j->dims, j->strides);                            \
            for (size_t i = 0; i < n; i++) {                                                       \
                double v = (double)row[(int64_t)i * j->strides[last]] - mean;                      \
                sum += square ? v * v : v;                                                         \
            }                                                                                      \
        }                                                                                          \
        return sum;                                                                                \
    }                                                                                              \
                                                                                                   \
    static void mvn_groups_##T(void *context, size_t begin, size_t end) {                          \
        const mvn_job *j = context;                                                                \
        int last = j->reduced - 1;                                                                 \
        size_t n = (size_t)j->dims[last], rest = j->count / n;                                     \
        for (size_t group = begin; group < end; group++) {                                         \
            int64_t at = offset_of(group, j->kept, j->kept_dims, j->kept_strides);                 \
            const T *x = (const T *)j->x + at;                                                     \
            double mean = mvn_sum_##T(j, x, 0, false) / (double)j->count;                          \
            double variance = mvn_sum_##T(j, x, mean, true) / (double)j->count;                    \
            double factor = 1 / (sqrt(variance) + 1e-9);                                           \
            for (size_t r = 0; r < rest; r++) {                                                    \
                int64_t row = offset_of(r, last, j->dims, j->strides);                             \
                for (size_t i = 0; i < n; i++) {                                                   \
                    int64_t k = row + (int64_t)i * j->strides[last];                               \
                    ((T *)j->y + at)[k] = (T)(((double)x[k] - mean) * factor);                     \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

MVN_GROUPS(float)
MVN_GROUPS(double)

static coppice_status mvn_run(const cop_call *call) {
    const cop_ints_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    bool on[COPPICE_MAX_RANK];
    int64_t strides[COPPICE_MAX_RANK];
    size_t groups = 1;
    mvn_job j = {.count = 1, .x = x->data, .y = cop_out(call, 0)->data};
    if (coppice_tensor_count(x) == 0)
        return COPPICE_OK;
    COP_TRY(cop_axis_set(call, p->values, p->count, x->rank, on));
    cop_plain_strides(x->rank, x->dims, strides);
    for (uint32_t d = 0; d < x->rank; d++) {
        int at = on[d] ? j.reduced++ : j.kept++;
        (on[d] ? j.dims : j.kept_dims)[at] = x->dims[d];
        (on[d] ? j.strides : j.kept_strides)[at] = strides[d];
        *(on[d] ? &j.count : &groups) *= (size_t)x->dims[d];
    }
    if (j.reduced == 0) {
        j.dims[0] = 1; /* every element alone */
        j.reduced = 1;
    }
    cop_parallel_for(call->pool, groups, cop_grain(j.count),
                     x->type == COPPICE_TYPE_FLOAT ? mvn_groups_float : mvn_groups_double, &j);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_normaxes[] = {
    {.name = "LRN", .since = 1, ONE_TO_ONE, .types = FLOATS, PARSE(lrn, lrn_params), INFER(lrn), RUN(lrn)},
    {.name = "LpNormalization", .since = 1, ONE_TO_ONE, .types = FLOATS, PARSE(lpnorm, lp_params),
     INFER(lpnorm), RUN(lpnorm)},
    {.name = "MeanVarianceNormalization", .since = 9, ONE_TO_ONE, .types = FLOATS,
     PARSE(mvn, cop_ints_params), INFER(mvn), RUN(mvn)},
    {.name = NULL},
};
/* clang-format on */
