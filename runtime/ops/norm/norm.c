/* Normalization of contiguous rows: LayerNormalization, RMSNormalization, GroupNormalization,
 * InstanceNormalization. */
#include <math.h>
#include <string.h>

#include "base/shape.h"
#include "runtime/layout.h"
#include "runtime/ops/lanes.h"
#include "runtime/ops/norm/norm_tiles.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

typedef struct norm_params {
    double epsilon;
    int64_t axis, groups;
    coppice_type stash; /* of the statistics that LayerNormalization gives out */
} norm_params;

/* ---- rows ---- */

/* What is done to every row: y = (x - mean) * inverse * scale + bias. Each `chunk` elements share a
 * scale; a row takes the next `length / chunk` of the `scales` there are, over and over. */
typedef struct rows_job {
    size_t length, chunk, scales;
    double epsilon;
    bool centred; /* false: the mean is taken to be 0 */
    const void *x, *scale, *bias;
    void *y;
    const coppice_tensor *mean, *inverse; /* one number per row; NULL: not wanted */
} rows_job;

/* Sums are taken in parts, so that the loops become vectors. */
enum { PARTS = 16 };

#define ROW_FUNCTIONS(T)                                                                           \
    static double sum_##T(const T *restrict x, size_t n) {                                         \
        T part[PARTS] = {0};                                                                       \
        double sum = 0;                                                                            \
        size_t i = 0;                                                                              \
        for (; i + PARTS <= n; i += PARTS) {                                                       \
            for (size_t k = 0; k < PARTS; k++)                                                     \
                part[k] += x[i + k];                                                               \
        }                                                                                          \
        for (; i < n; i++)                                                                         \
            sum += (double)x[i];                                                                   \
        for (size_t k = 0; k < PARTS; k++)                                                         \
            sum += (double)part[k];                                                                \
        return sum;                                                                                \
    }                                                                                              \
                                                                                                   \
    static double square_sum_##T(const T *restrict x, size_t n, T mean) {                          \
        T part[PARTS] = {0};                                                                       \
        double sum = 0;                                                                            \
        size_t i = 0;                                                                              \
        for (; i + PARTS <= n; i += PARTS) {                                                       \
            for (size_t k = 0; k < PARTS; k++)                                                     \
                part[k] += (x[i + k] - mean) * (x[i + k] - mean);                                  \
        }                                                                                          \
        for (; i < n; i++)                                                                         \
            sum += (double)((x[i] - mean) * (x[i] - mean));                                        \
        for (size_t k = 0; k < PARTS; k++)                                                         \
            sum += (double)part[k];                                                                \
        return sum;                                                                                \
    }                                                                                              \
                                                                                                   \
    static void elements_##T(T *restrict y, const T *restrict x, size_t n, T mean, T inverse,      \
                             const T *restrict scale, const T *restrict bias) {                    \
        if (!bias) {                                                                               \
            for (size_t i = 0; i < n; i++)                                                         \
                y[i] = (x[i] - mean) * inverse * scale[i];                                         \
            return;                                                                                \
        }                                                                                          \
        for (size_t i = 0; i < n; i++)                                                             \
            y[i] = (x[i] - mean) * inverse * scale[i] + bias[i];                                   \
    }                                                                                              \
                                                                                                   \
    static void chunk_##T(T *restrict y, const T *restrict x, size_t n, T mean, T factor,          \
                          T shift) {                                                               \
        for (size_t i = 0; i < n; i++)                                                             \
            y[i] = (x[i] - mean) * factor + shift;                                                 \
    }                                                                                              \
                                                                                                   \
    static void row_##T(const rows_job *j, size_t row) {                                           \
        const T *x = (const T *)j->x + row * j->length, *scale = j->scale, *bias = j->bias;        \
        T *y = (T *)j->y + row * j->length;                                                        \
        double n = (double)j->length, mean = j->centred ? sum_##T(x, j->length) / n : 0;           \
        double variance = square_sum_##T(x, j->length, (T)mean) / n;                               \
        double inverse = 1 / sqrt(variance + j->epsilon);                                          \
        cop_set_float(j->mean, row, mean);                                                         \
        cop_set_float(j->inverse, row, inverse);                                                   \
        size_t count = j->length / j->chunk, first = row * count % j->scales;                      \
        if (j->chunk == 1 && j->scales > 1) {                                                      \
            elements_##T(y, x, j->length, (T)mean, (T)inverse, scale + first,                      \
                         bias ? bias + first : NULL);                                              \
            return;                                                                                \
        }                                                                                          \
        for (size_t k = 0; k < count; k++, x += j->chunk, y += j->chunk) {                         \
            size_t at = (first + k) % j->scales;                                                   \
            chunk_##T(y, x, j->chunk, (T)mean, (T)(inverse * (double)(scale ? scale[at] : 1)),     \
                      bias ? bias[at] : 0);                                                        \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    static void rows_##T(void *context, size_t begin, size_t end) {                                \
        for (size_t row = begin; row < end; row++)                                                 \
            row_##T(context, row);                                                                 \
    }

ROW_FUNCTIONS(float)
ROW_FUNCTIONS(double)

static void run_rows(const cop_call *call, rows_job *job, size_t rows) {
    const coppice_tensor *x = cop_in(call, 0);
    job->x = x->data;
    job->y = cop_out(call, 0)->data;
    if (job->length)
        cop_parallel_for(call->pool, rows, cop_grain(job->length),
                         x->type == COPPICE_TYPE_FLOAT ? rows_float : rows_double, job);
}

static coppice_status epsilon_parse(const cop_call *call, norm_params *p) {
    float epsilon;
    COP_TRY(cop_node_float(call->node, "epsilon", 1e-5f, &epsilon, call->err));
    p->epsilon = (double)epsilon;
    return COPPICE_OK;
}

/* Input `i`, if there, must have the type of input 0. */
static coppice_status need_same_type(const cop_call *call, int i) {
    return cop_in(call, i) ? cop_need_type(call, i, 1u << cop_in(call, 0)->type) : COPPICE_OK;
}

/* ---- LayerNormalization, RMSNormalization ---- */

static coppice_status layernorm_parse(const cop_call *call, void *params) {
    norm_params *p = params;
    int64_t stash;
    COP_TRY(epsilon_parse(call, p));
    COP_TRY(cop_node_int(call->node, "axis", -1, &p->axis, call->err));
    COP_TRY(cop_node_int(call->node, "stash_type", COPPICE_TYPE_FLOAT, &stash, call->err));
    p->stash = (coppice_type)stash;
    if (stash == COPPICE_TYPE_FLOAT || stash == COPPICE_TYPE_DOUBLE ||
        stash == COPPICE_TYPE_FLOAT16 || stash == COPPICE_TYPE_BFLOAT16)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'stash_type' is %lld, no float type",
                    (long long)stash);
}

/* Scale and bias must spread over the input, not the other way round. */
static coppice_status check_spread(const cop_call *call, int i) {
    const coppice_tensor *x = cop_in(call, 0), *t = cop_in(call, i);
    coppice_tensor shape = *x;
    if (!t)
        return COPPICE_OK;
    COP_TRY(need_same_type(call, i));
    COP_TRY(cop_broadcast(call, &shape, t));
    if (cop_same_shape(&shape, x))
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "input %d ('%s') is %s, which does not spread over %s", i, cop_in_name(call, i),
                    cop_shape_text(t).s, cop_shape_text(x).s);
}

static coppice_status layernorm_infer(cop_call *call) {
    const norm_params *p = call->params;
    coppice_tensor stats = *cop_in(call, 0);
    int axis;
    COP_TRY(cop_axis(call, p->axis, stats.rank, &axis));
    COP_TRY(check_spread(call, 1));
    COP_TRY(check_spread(call, 2));
    for (uint32_t d = (uint32_t)axis; d < stats.rank; d++)
        stats.dims[d] = 1;
    for (int i = 1; i < call->node->output_count; i++) {
        cop_set_out(call, i, cop_wide_type(p->stash), stats.rank, stats.dims);
        call->out[i].narrow = p->stash;
    }
    return cop_infer_same(call);
}

/* The output has the type of the scale by the standard. */
static coppice_status rmsnorm_infer(cop_call *call) {
    COP_TRY(layernorm_infer(call));
    call->out[0].narrow = cop_onnx_type(call->in[1]);
    return COPPICE_OK;
}

/* Is `t` one number per element of a row, that is of dims `axis` and up? */
static bool is_row(const coppice_tensor *t, const coppice_tensor *x, uint32_t axis) {
    uint32_t ones = t->rank > x->rank - axis ? t->rank - (x->rank - axis) : 0;
    return (size_t)coppice_tensor_count(t) == cop_dims_product(x->dims, axis, x->rank) &&
           cop_dims_product(t->dims, 0, ones) == 1;
}

#define SCALE_AND_SHIFT(T)                                                                         \
    static void scale_and_shift_##T(const void *context, size_t n, void *to,                       \
                                    const void *const *from, const ptrdiff_t *strides) {           \
        (void)context;                                                                             \
        const T *x = from[0], *scale = from[1], *shift = from[2];                                  \
        T *out = to;                                                                               \
        ptrdiff_t sx = strides[1], sc = strides[2], sh = strides[3];                               \
        for (ptrdiff_t i = 0; i < (ptrdiff_t)n; i++)                                               \
            out[i] = x[i * sx] * scale[i * sc] + shift[i * sh];                                    \
    }

SCALE_AND_SHIFT(float)
SCALE_AND_SHIFT(double)

/* Scale and bias of a shape of their own, put on what is normalized already. */
static void spread_scale(const cop_call *call) {
    static const double zero = 0; /* as a float it is zero too */
    cop_operand none = {.t = {.type = cop_in(call, 0)->type, .data = (void *)&zero}};
    const cop_operand *bias = cop_in(call, 2) ? call->in[2] : &none;
    const cop_operand *in[] = {&call->out[0], call->in[1], bias};
    cop_walk_broadcast(&call->out[0], in, 3,
                       none.t.type == COPPICE_TYPE_FLOAT ? scale_and_shift_float
                                                         : scale_and_shift_double,
                       NULL, call->pool);
}

/* One number for all channels of a token, or one for each; not more. */
static bool is_per_channel(const coppice_tensor *t, int64_t channels) {
    int64_t count = t ? coppice_tensor_count(t) : 1;
    return count == 1 || (count == channels && t->dims[t->rank - 1] == channels);
}

/* Scale and bias must be plain: those of the output's rank would be in tiles too. */
static unsigned layernorm_layouts(const cop_call *call) {
    const norm_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    int axis;
    if (cop_axis(call, p->axis, x->rank, &axis))
        return 0;
    bool fits = axis + 1 == (int)x->rank && cop_layout_fits(COP_LAYOUT_TOKEN_TILES, x);
    for (int i = 1; i < call->node->output_count; i++)
        fits = fits && call->node->outputs[i] < 0;
    for (int i = 1; i < 3 && fits; i++) {
        const coppice_tensor *t = cop_in(call, i);
        fits = is_per_channel(t, x->dims[axis]) &&
               (!t || t->rank != x->rank || !cop_layout_fits(COP_LAYOUT_TOKEN_TILES, t));
    }
    return fits ? 1u << COP_LAYOUT_TOKEN_TILES : 0;
}

static void run_layernorm_lanes(const cop_call *call, bool centred) {
    const norm_params *p = call->params;
    const coppice_tensor *scale = cop_in(call, 1), *bias = cop_in(call, 2);
    const cop_lanes_norm norm = {.scale = scale->data,
                                 .scale_step = coppice_tensor_count(scale) > 1,
                                 .bias = bias ? bias->data : NULL,
                                 .bias_step = bias && coppice_tensor_count(bias) > 1,
                                 .epsilon = p->epsilon,
                                 .centred = centred};
    cop_run_lanes_norm(call, &norm);
}

static coppice_status run_layernorm(const cop_call *call, bool centred) {
    const norm_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *scale = cop_in(call, 1), *bias = cop_in(call, 2);
    int axis;
    if (call->in[0]->layout == COP_LAYOUT_TOKEN_TILES) {
        run_layernorm_lanes(call, centred);
        return COPPICE_OK;
    }
    COP_TRY(cop_axis(call, p->axis, x->rank, &axis));
    uint32_t from = (uint32_t)axis;
    bool direct = is_row(scale, x, from) && (!bias || is_row(bias, x, from));
    rows_job job = {.length = cop_dims_product(x->dims, from, x->rank),
                    .epsilon = p->epsilon,
                    .centred = centred,
                    .mean = cop_out(call, 1),
                    .inverse = cop_out(call, 2)};
    job.chunk = direct ? 1 : job.length;
    job.scales = direct ? job.length : 1;
    job.scale = direct ? scale->data : NULL;
    job.bias = direct && bias ? bias->data : NULL;
    run_rows(call, &job, cop_dims_product(x->dims, 0, from));
    if (!direct)
        spread_scale(call);
    return COPPICE_OK;
}

static coppice_status layernorm_run(const cop_call *call) {
    return run_layernorm(call, true);
}

static coppice_status rmsnorm_run(const cop_call *call) {
    return run_layernorm(call, false);
}

/* ---- InstanceNormalization, GroupNormalization ---- */

static coppice_status instancenorm_parse(const cop_call *call, void *params) {
    return epsilon_parse(call, params);
}

static coppice_status groupnorm_parse(const cop_call *call, void *params) {
    norm_params *p = params;
    COP_TRY(epsilon_parse(call, p));
    if (!cop_node_attr(call->node, "num_groups"))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'num_groups' is missing");
    COP_TRY(cop_node_int(call->node, "num_groups", 1, &p->groups, call->err));
    if (p->groups > 0)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'num_groups' is %lld",
                    (long long)p->groups);
}

/* Scale and bias have `count` elements each. */
static coppice_status infer_per_channel(cop_call *call, int64_t count) {
    for (int i = 1; i < 3; i++) {
        const coppice_tensor *t = cop_in(call, i);
        COP_TRY(need_same_type(call, i));
        COP_TRY(cop_need_rank(call, i, 1));
        if (t->dims[0] != count)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "input %d ('%s') is %s, expected [%lld]",
                            i, cop_in_name(call, i), cop_shape_text(t).s, (long long)count);
    }
    return cop_infer_same(call);
}

static coppice_status need_channels(const cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0);
    if (x->rank >= 2)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "input '%s' is %s, expected [N,C,...]",
                    cop_in_name(call, 0), cop_shape_text(x).s);
}

static coppice_status instancenorm_infer(cop_call *call) {
    COP_TRY(need_channels(call));
    return infer_per_channel(call, cop_in(call, 0)->dims[1]);
}

/* Scales are one per group until opset 20, one per channel since. */
static coppice_status groupnorm_infer(cop_call *call) {
    const norm_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    COP_TRY(need_channels(call));
    if (x->dims[1] % p->groups)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "%lld channels do not make %lld groups",
                        (long long)x->dims[1], (long long)p->groups);
    return infer_per_channel(call, call->opset < 21 ? p->groups : x->dims[1]);
}

static unsigned groups_layouts(const cop_call *call) {
    return cop_layout_fits(COP_LAYOUT_TILES, cop_in(call, 0)) ? 1u << COP_LAYOUT_TILES : 0;
}

/* Rows of `groups` per image. */
static coppice_status run_groups(const cop_call *call, size_t groups) {
    const norm_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    size_t pixels = cop_dims_product(x->dims, 2, x->rank), channels = (size_t)x->dims[1];
    rows_job job = {.epsilon = p->epsilon,
                    .centred = true,
                    .scale = cop_in(call, 1)->data,
                    .bias = cop_in(call, 2)->data,
                    .scales = (size_t)cop_in(call, 1)->dims[0]};
    if (!groups || !channels)
        return COPPICE_OK;
    if (call->in[0]->layout == COP_LAYOUT_TILES) {
        const cop_group_norm norm = {.groups = groups,
                                     .scales = job.scales,
                                     .scale = job.scale,
                                     .bias = job.bias,
                                     .epsilon = p->epsilon};
        cop_run_group_norm_tiles(call, &norm);
        return COPPICE_OK;
    }
    job.length = channels / groups * pixels;
    job.chunk = job.scales == channels ? pixels : job.length;
    run_rows(call, &job, (size_t)x->dims[0] * groups);
    return COPPICE_OK;
}

static coppice_status instancenorm_run(const cop_call *call) {
    return run_groups(call, (size_t)cop_in(call, 0)->dims[1]);
}

static coppice_status groupnorm_run(const cop_call *call) {
    const norm_params *p = call->params;
    return run_groups(call, (size_t)p->groups);
}

/* ---- rows of the operator table ---- */

#define ROWS_OF_THREE .min_inputs = 3, .max_inputs = 3, .max_outputs = 1, .types = FLOATS

/* clang-format off */
const cop_op cop_ops_norm[] = {
    {.name = "GroupNormalization", .since = 18, ROWS_OF_THREE, PARSE(groupnorm, norm_params),
     INFER(groupnorm), RUN(groupnorm), .layouts = groups_layouts},
    {.name = "InstanceNormalization", .since = 1, ROWS_OF_THREE, PARSE(instancenorm, norm_params),
     INFER(instancenorm), RUN(instancenorm), .layouts = groups_layouts},
    {.name = "LayerNormalization", .since = 17, .min_inputs = 2, .max_inputs = 3, .max_outputs = 3,
     .types = FLOATS, PARSE(layernorm, norm_params), INFER(layernorm), RUN(layernorm),
     .layouts = layernorm_layouts},
    {.name = "RMSNormalization", .since = 23, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = FLOATS, PARSE(layernorm, norm_params), INFER(rmsnorm), RUN(rmsnorm),
     .layouts = layernorm_layouts},
    {.name = NULL},
};
/* clang-format on */
