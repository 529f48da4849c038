/* BatchNormalization with fixed statistics and with those of its input. */
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

typedef struct batchnorm_params {
    double epsilon, momentum;
    bool training;   /* statistics of the input itself; outputs 1 and 2 are the running ones */
    bool spatial;    /* one scale per channel; false: one per element of an image */
    float low, high; /* the clamp that fusion put behind it */
} batchnorm_params;

static coppice_status batchnorm_parse(const cop_call *call, void *params) {
    batchnorm_params *p = params;
    float epsilon, momentum;
    COP_TRY(cop_node_float(call->node, "epsilon", 1e-5f, &epsilon, call->err));
    COP_TRY(cop_node_float(call->node, "momentum", 0.9f, &momentum, call->err));
    *p = (batchnorm_params){
        .epsilon = (double)epsilon, .momentum = (double)momentum, .spatial = true};
    COP_TRY(cop_activation_parse(call, &p->low, &p->high));
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

/* Mean and variance, a factor and a shift for each channel. */
static size_t batchnorm_scratch(const cop_call *call) {
    return 4 * sizeof(double) * (size_t)coppice_tensor_count(cop_in(call, 1));
}

/* Doubles: x times a factor plus a shift. Floats go another way. */
static void scale_and_shift(const void *context, size_t n, void *to, const void *const *from,
                            const ptrdiff_t *strides) {
    const batchnorm_params *p = context;
    const double *x = from[0], *factor = from[1], *shift = from[2];
    double *out = to;
    for (ptrdiff_t i = 0; i < (ptrdiff_t)n; i++) {
        double y = x[i * strides[1]] * factor[i * strides[2]] + shift[i * strides[3]];
        y = y < (double)p->low ? (double)p->low : y;
        out[i] = y > (double)p->high ? (double)p->high : y;
    }
}

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

/* Puts factors and shifts into `room`, of which batchnorm_scratch says how much there is; returns
 * where: `count` factors of the type of x, then the shifts. */
static void *make_factors(const cop_call *call, void *room) {
    const batchnorm_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *scale = cop_in(call, 1);
    size_t count = (size_t)coppice_tensor_count(scale);
    double *mean = room, *variance = mean + count;
    coppice_tensor factors = {.type = x->type, .data = variance + count};
    coppice_tensor shifts = {.type = x->type,
                             .data = (char *)factors.data + count * cop_type_bytes(x->type)};
    if (p->training)
        train(call, count, mean, variance);
    for (size_t c = 0; c < count; c++) {
        int64_t at = (int64_t)c;
        double m = p->training ? mean[c] : cop_tensor_get(cop_in(call, 3), at);
        double v = p->training ? variance[c] : cop_tensor_get(cop_in(call, 4), at);
        double factor = cop_tensor_get(scale, at) / sqrt(v + p->epsilon);
        cop_set_float(&factors, c, factor);
        cop_set_float(&shifts, c, cop_tensor_get(cop_in(call, 2), at) - m * factor);
    }
    return factors.data;
}

/* State: what make_factors made of constants. */
typedef struct batchnorm_state {
    void *room, *factors;
} batchnorm_state;

static void batchnorm_release(void *state) {
    batchnorm_state *s = state;
    if (s)
        cop_free(s->room);
    cop_free(s);
}

static coppice_status batchnorm_prepare(const cop_call *call, void **state) {
    const batchnorm_params *p = call->params;
    for (int i = 1; i < 5; i++) {
        if (p->training || !cop_in(call, i)->data)
            return COPPICE_OK;
    }
    batchnorm_state *s = cop_calloc(1, sizeof *s);
    if (s)
        s->room = cop_malloc(batchnorm_scratch(call));
    if (!s || !s->room) {
        batchnorm_release(s);
        return cop_fail_memory(call->err, batchnorm_scratch(call));
    }
    s->factors = make_factors(call, s->room);
    *state = s;
    return COPPICE_OK;
}

static coppice_status batchnorm_run(const cop_call *call) {
    const batchnorm_params *p = call->params;
    const batchnorm_state *state = call->state;
    const coppice_tensor *x = cop_in(call, 0);
    size_t count = (size_t)coppice_tensor_count(cop_in(call, 1));
    void *factors = state ? state->factors : make_factors(call, call->scratch);
    cop_operand factor = {.t = {.type = x->type, .rank = x->rank - 1, .data = factors}};
    for (uint32_t d = 0; d < factor.t.rank; d++)
        factor.t.dims[d] = d == 0 || !p->spatial ? x->dims[d + 1] : 1;
    cop_operand shift = factor;
    shift.t.data = (char *)factors + count * cop_type_bytes(x->type);
    if (x->type == COPPICE_TYPE_FLOAT) {
        const cop_scaling scaling = {.x = call->in[0],
                                     .factor = &factor,
                                     .shift = &shift,
                                     .low = p->low,
                                     .high = p->high,
                                     .kernels = cop_call_kernels(call)};
        cop_walk_scaled(&call->out[0], &scaling, call->pool);
        return COPPICE_OK;
    }
    const cop_operand *in[] = {call->in[0], &factor, &shift};
    cop_walk_broadcast(&call->out[0], in, 3, scale_and_shift, p, call->pool);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_batchnorm[] = {
    {.name = "BatchNormalization", .since = 1, .until = 13, .min_inputs = 5, .max_inputs = 5, .max_outputs = 5,
     .types = FLOATS, PARSE(batchnorm, batchnorm_params), INFER(batchnorm), RUN(batchnorm),
     .layouts = batchnorm_layouts, .scratch = batchnorm_scratch, .prepare = batchnorm_prepare,
     .release = batchnorm_release},
    {.name = "BatchNormalization", .since = 14, .min_inputs = 5, .max_inputs = 5, .max_outputs = 3,
     .types = FLOATS, PARSE(batchnorm, batchnorm_params), INFER(batchnorm), RUN(batchnorm),
     .layouts = batchnorm_layouts, .scratch = batchnorm_scratch, .prepare = batchnorm_prepare,
     .release = batchnorm_release},
    {.name = NULL},
};
/* clang-format on */
