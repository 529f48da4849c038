/* BatchNormalization with fixed statistics and with those of its input. */
#include <math.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

typedef struct batchnorm_params {
    double epsilon, momentum;
    bool training; /* statistics of the input itself; outputs 1 and 2 are the running ones */
    bool spatial;  /* one scale per channel; false: one per element of an image */
} batchnorm_params;

static coppice_status batchnorm_parse(const cop_call *call, void *params) {
    batchnorm_params *p = params;
    float epsilon, momentum;
    COP_TRY(cop_node_float(call->node, "epsilon", 1e-5f, &epsilon, call->err));
    COP_TRY(cop_node_float(call->node, "momentum", 0.9f, &momentum, call->err));
    *p = (batchnorm_params){
        .epsilon = (double)epsilon, .momentum = (double)momentum, .spatial = true};
    if (call->opset >= 14)
        COP_TRY(cop_attr_bool(call, "training_mode", false, &p->training));
    if (call->opset < 9)
        COP_TRY(cop_attr_bool(call, "spatial", true, &p->spatial));
    /* Before, the outputs say what is wanted. */
    if (call->opset < 14) {
        for (int i = 1; i < call->node->output_count; i++)
            p->training = p->training || call->node->outputs[i] >= 0;
    }
    if (!p->training && call->opset >= 14 && call->node->output_count > 1)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "%d outputs without training_mode",
                        call->node->output_count);
    if (p->training && !p->spatial)
        return cop_fail(call->err, COPPICE_UNSUPPORTED, "training with spatial 0 is not supported");
    return COPPICE_OK;
}

static coppice_status batchnorm_infer(cop_call *call) {
    const batchnorm_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    uint32_t least = p->spatial && call->opset >= 7 ? 1 : 2;
    if (x->rank < least)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "input '%s' is %s, expected [N,C,...]",
                        cop_in_name(call, 0), cop_shape_text(x).s);
    uint32_t rank = p->spatial ? 1 : x->rank - 1;
    int64_t one = 1;
    const int64_t *dims = x->rank < 2 ? &one : x->dims + 1; /* a vector has one channel */
    for (int i = 1; i < 5; i++) {
        const coppice_tensor *t = cop_in(call, i);
        bool fits = t && t->rank == rank && cop_is_float_type(t->type);
        for (uint32_t d = 0; fits && d < rank; d++)
            fits = t->dims[d] == dims[d];
        if (!fits)
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "input %d ('%s') is %s %s, expected %s %s", i, cop_in_name(call, i),
                            t ? coppice_type_name(t->type) : "none",
                            t ? cop_shape_text(t).s : "left out", coppice_type_name(x->type),
                            cop_dims_text(rank, dims).s);
    }
    for (int i = 1; i < call->node->output_count; i++) {
        const cop_operand *like = call->in[i < 3 ? i + 2 : i];
        cop_set_out(call, i, like->t.type, rank, dims);
        call->out[i].narrow = cop_onnx_type(like);
    }
    return cop_infer_same(call);
}

static unsigned batchnorm_layouts(const cop_call *call) {
    const batchnorm_params *p = call->params;
    return p->training ? 1u << COP_LAYOUT_PLAIN : cop_elementwise_layouts(call);
}

/* A scale and a shift per channel, in double and in the type of x, mean and variance. */
static size_t batchnorm_scratch(const cop_call *call) {
    return 6 * sizeof(double) * (size_t)coppice_tensor_count(cop_in(call, 1));
}

#define SCALE_AND_SHIFT(T)                                                                         \
    static void scale_and_shift_##T(const void *context, size_t n, void *to,                       \
                                    const void *const *from, const ptrdiff_t *strides) {           \
        (void)context;                                                                             \
        const T *restrict x = from[0], *restrict scale = from[1], *restrict shift = from[2];       \
        T *restrict out = to;                                                                      \
        ptrdiff_t sx = strides[1], sc = strides[2], count = (ptrdiff_t)n;                          \
        if (sx == 1 && sc == 0) {                                                                  \
            T a = scale[0], b = shift[0];                                                          \
            for (ptrdiff_t i = 0; i < count; i++)                                                  \
                out[i] = x[i] * a + b;                                                             \
            return;                                                                                \
        }                                                                                          \
        for (ptrdiff_t i = 0; i < count; i++)                                                      \
            out[i] = x[i * sx] * scale[i * sc] + shift[i * sc];                                    \
    }

SCALE_AND_SHIFT(float)
SCALE_AND_SHIFT(double)

/* ---- statistics of the input ---- */

typedef struct statistics_job {
    const coppice_tensor *x;
    size_t images, channels, pixels;
    double *mean, *variance;
} statistics_job;

/* Sum of (x - shift) to the power of 1 or 2 over one channel. */
static double channel_sum(const statistics_job *j, size_t channel, double shift, bool square) {
    double sum = 0;
    for (size_t n = 0; n < j->images; n++) {
        size_t start = (n * j->channels + channel) * j->pixels;
        for (size_t i = 0; i < j->pixels; i++) {
            double v = cop_float_at(j->x, start + i);
            sum += square ? (v - shift) * (v - shift) : v - shift;
        }
    }
    return sum;
}

/* Items: channels. */
static void take_statistics(void *context, size_t begin, size_t end) {
    const statistics_job *j = context;
    double count = (double)(j->images * j->pixels);
    for (size_t c = begin; c < end; c++) {
        j->mean[c] = count > 0 ? channel_sum(j, c, 0, false) / count : 0;
        j->variance[c] = count > 0 ? channel_sum(j, c, j->mean[c], true) / count : 0;
    }
}

/* Fills mean and variance, and the outputs that training has. */
static void train(const cop_call *call, size_t channels, double *mean, double *variance) {
    const batchnorm_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    statistics_job job = {.x = x,
                          .images = (size_t)x->dims[0],
                          .channels = channels,
                          .pixels = 1,
                          .mean = mean,
                          .variance = variance};
    for (uint32_t d = 2; d < x->rank; d++)
        job.pixels *= (size_t)x->dims[d];
    cop_parallel_for(call->pool, channels, cop_grain(job.images * job.pixels), take_statistics,
                     &job);
    for (size_t c = 0; c < channels; c++) {
        double old_mean = cop_tensor_get(cop_in(call, 3), (int64_t)c);
        double old_variance = cop_tensor_get(cop_in(call, 4), (int64_t)c);
        cop_set_float(cop_out(call, 1), c, old_mean * p->momentum + mean[c] * (1 - p->momentum));
        cop_set_float(cop_out(call, 2), c,
                      old_variance * p->momentum + variance[c] * (1 - p->momentum));
        cop_set_float(cop_out(call, 3), c, mean[c]);
        cop_set_float(cop_out(call, 4), c, variance[c]);
    }
}

static coppice_status batchnorm_run(const cop_call *call) {
    const batchnorm_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *scale = cop_in(call, 1);
    size_t count = (size_t)coppice_tensor_count(scale);
    double *a = call->scratch, *b = a + count, *mean = b + count, *variance = mean + count;
    if (p->training)
        train(call, count, mean, variance);
    for (size_t c = 0; c < count; c++) {
        int64_t at = (int64_t)c;
        double m = p->training ? mean[c] : cop_tensor_get(cop_in(call, 3), at);
        double v = p->training ? variance[c] : cop_tensor_get(cop_in(call, 4), at);
        double factor = cop_tensor_get(scale, at) / sqrt(v + p->epsilon);
        b[c] = cop_tensor_get(cop_in(call, 2), at) - m * factor;
        a[c] = factor;
    }
    coppice_tensor factors = {.type = x->type, .data = variance + count};
    coppice_tensor offsets = {.type = x->type, .data = variance + 2 * count};
    for (size_t c = 0; c < count; c++) {
        cop_set_float(&factors, c, a[c]);
        cop_set_float(&offsets, c, b[c]);
    }
    cop_operand scales = {.t = {.type = x->type, .rank = x->rank - 1, .data = factors.data}};
    for (uint32_t d = 0; d < scales.t.rank; d++)
        scales.t.dims[d] = d == 0 || !p->spatial ? x->dims[d + 1] : 1;
    cop_operand shifts = scales;
    shifts.t.data = offsets.data;
    const cop_operand *in[] = {call->in[0], &scales, &shifts};
    cop_walk_broadcast(&call->out[0], in, 3,
                       x->type == COPPICE_TYPE_FLOAT ? scale_and_shift_float
                                                     : scale_and_shift_double,
                       NULL, call->pool);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_batchnorm[] = {
    {.name = "BatchNormalization", .since = 1, .until = 13, .min_inputs = 5, .max_inputs = 5, .max_outputs = 5,
     .types = FLOATS, PARSE(batchnorm, batchnorm_params), INFER(batchnorm), RUN(batchnorm),
     .layouts = batchnorm_layouts, .scratch = batchnorm_scratch},
    {.name = "BatchNormalization", .since = 14, .min_inputs = 5, .max_inputs = 5, .max_outputs = 3,
     .types = FLOATS, PARSE(batchnorm, batchnorm_params), INFER(batchnorm), RUN(batchnorm),
     .layouts = batchnorm_layouts, .scratch = batchnorm_scratch},
    {.name = NULL},
};
/* clang-format on */
