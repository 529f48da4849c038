/* Conv: attributes, shapes, and the way to the reference convolution. */
#include <math.h>

#include "runtime/conv.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

static coppice_status conv_parse(const cop_call *call, void *params) {
    cop_conv_params *p = params;
    COP_TRY(cop_window_parse(call, &p->window));
    COP_TRY(cop_node_int(call->node, "group", 1, &p->group, call->err));
    COP_TRY(cop_activation_parse(call, &p->activation_min, &p->activation_max));
    if (p->group < 1 || p->group > INT32_MAX)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'group' is %lld",
                        (long long)p->group);
    return COPPICE_OK;
}

static coppice_status check_operands(const cop_call *call) {
    const cop_conv_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *w = cop_in(call, 1), *b = cop_in(call, 2);
    COP_TRY(cop_need_type(call, 1, COP_TYPE_BIT(FLOAT)));
    COP_TRY(cop_need_rank(call, 1, x->rank));
    if (x->rank < 3)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "input '%s' is %s, expected [N,C,...]",
                        cop_in_name(call, 0), cop_shape_text(x).s);
    /* Compared by division: the product could overflow. */
    if (x->dims[1] % p->group || x->dims[1] / p->group != w->dims[1])
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "input '%s' is %s, the weight %s in %lld groups wants other channels",
                        cop_in_name(call, 0), cop_shape_text(x).s, cop_shape_text(w).s,
                        (long long)p->group);
    if (w->dims[0] % p->group)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "the weight '%s' has %lld output channels for %lld groups",
                        cop_in_name(call, 1), (long long)w->dims[0], (long long)p->group);
    if (!b)
        return COPPICE_OK;
    COP_TRY(cop_need_type(call, 2, COP_TYPE_BIT(FLOAT)));
    if (b->rank == 1 && b->dims[0] == w->dims[0])
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "the bias '%s' is %s, expected [%lld]",
                    cop_in_name(call, 2), cop_shape_text(b).s, (long long)w->dims[0]);
}

static coppice_status conv_infer(cop_call *call) {
    const cop_conv_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *w = cop_in(call, 1);
    cop_window window;
    COP_TRY(check_operands(call));
    COP_TRY(cop_window_resolve(&p->window, x, w->dims + 2, &window, call->err));
    int64_t dims[COPPICE_MAX_RANK] = {x->dims[0], w->dims[0]};
    for (uint32_t i = 0; i < window.spatial; i++)
        dims[2 + i] = window.out[i];
    cop_set_out(call, 0, COPPICE_TYPE_FLOAT, x->rank, dims);
    return COPPICE_OK;
}

/* ---- three spatial dimensions ---- */

typedef struct volume_job {
    const cop_window *window;
    const cop_conv_params *params;
    size_t in_channels, out_channels;
    const float *x, *w, *bias;
    float *y;
} volume_job;

/* The sum under the window at position `at` of one output channel. */
static float volume_sum(const volume_job *j, const float *x, const float *w, const int64_t *at) {
    const cop_window *win = j->window;
    const int64_t *in = win->in;
    float sum = 0;
    for (size_t ic = 0; ic < j->in_channels / (size_t)j->params->group;
         ic++, x += in[0] * in[1] * in[2]) {
        for (int64_t q = 0; q < win->kernel[0]; q++) {
            int64_t z = at[0] * win->stride[0] + q * win->dilation[0] - win->pad_begin[0];
            for (int64_t r = 0; r < win->kernel[1]; r++) {
                int64_t row = at[1] * win->stride[1] + r * win->dilation[1] - win->pad_begin[1];
                for (int64_t s = 0; s < win->kernel[2]; s++) {
                    int64_t column =
                        at[2] * win->stride[2] + s * win->dilation[2] - win->pad_begin[2];
                    float weight = *w++;
                    if (z >= 0 && z < in[0] && row >= 0 && row < in[1] && column >= 0 &&
                        column < in[2] && weight != 0)
                        sum += weight * x[(z * in[1] + row) * in[2] + column];
                }
            }
        }
    }
    return sum;
}

/* Items: [batch][output channel]. */
static void volumes(void *context, size_t begin, size_t end) {
    const volume_job *j = context;
    const cop_window *win = j->window;
    size_t groups = (size_t)j->params->group, per_group = j->in_channels / groups;
    size_t in_plane = (size_t)(win->in[0] * win->in[1] * win->in[2]);
    size_t out_plane = (size_t)(win->out[0] * win->out[1] * win->out[2]);
    size_t taps = per_group * (size_t)(win->kernel[0] * win->kernel[1] * win->kernel[2]);
    for (size_t item = begin; item < end; item++) {
        size_t n = item / j->out_channels, oc = item % j->out_channels;
        size_t group = oc / (j->out_channels / groups);
        const float *x = j->x + (n * j->in_channels + group * per_group) * in_plane;
        float *y = j->y + item * out_plane;
        for (size_t i = 0; i < out_plane; i++) {
            int64_t rest = (int64_t)i / win->out[2];
            int64_t at[] = {rest / win->out[1], rest % win->out[1], (int64_t)i % win->out[2]};
            float v = volume_sum(j, x, j->w + oc * taps, at) + (j->bias ? j->bias[oc] : 0);
            v = v < j->params->activation_min ? j->params->activation_min : v;
            y[i] = v > j->params->activation_max ? j->params->activation_max : v;
        }
    }
}

/* ---- run ---- */

static coppice_status conv_run(const cop_call *call) {
    const cop_conv_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *w = cop_in(call, 1), *b = cop_in(call, 2);
    cop_window window;
    COP_TRY(cop_window_resolve(&p->window, x, w->dims + 2, &window, call->err));
    float *y = cop_out(call, 0)->data;
    if (window.spatial < 3) {
        cop_conv conv = {.batch = (size_t)x->dims[0],
                         .groups = (size_t)p->group,
                         .in_channels = (size_t)x->dims[1],
                         .out_channels = (size_t)w->dims[0],
                         .weights = w->data,
                         .bias = b ? b->data : NULL,
                         .min = p->activation_min,
                         .max = p->activation_max};
        cop_window_geometry(&window, &conv);
        cop_conv_reference(&conv, false, x->data, y, call->pool);
        return COPPICE_OK;
    }
    volume_job job = {.window = &window,
                      .params = p,
                      .in_channels = (size_t)x->dims[1],
                      .out_channels = (size_t)w->dims[0],
                      .x = x->data,
                      .w = w->data,
                      .bias = b ? b->data : NULL,
                      .y = y};
    cop_parallel_for(call->pool, (size_t)x->dims[0] * job.out_channels, 1, volumes, &job);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_conv[] = {
    {.name = "Conv", .since = 1, .min_inputs = 2, .max_inputs = 3, .max_outputs = 1, .types = F32,
     PARSE(conv, cop_conv_params), INFER(conv), RUN(conv)},
    {.name = NULL},
};
/* clang-format on */
