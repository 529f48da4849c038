/* Convolution in plain C: what every other kernel is compared with. */
#include "runtime/conv.h"

/* Positions of taps and pixels are counted as signed: padding makes them negative. */
typedef struct job {
    const cop_conv *conv;
    const float *input;
    float *output;
} job;

static inline float clamp(const cop_conv *c, float v) {
    v = v < c->min ? c->min : v;
    return v > c->max ? c->max : v;
}

/* The outputs along a row that tap `s` reaches: first <= ow < last. */
static void reach(const cop_conv *c, size_t s, ptrdiff_t *first, ptrdiff_t *last) {
    ptrdiff_t stride = (ptrdiff_t)c->stride_w;
    ptrdiff_t offset = (ptrdiff_t)(s * c->dilation_w) - (ptrdiff_t)c->pad_left;
    ptrdiff_t width = (ptrdiff_t)c->in_w - offset; /* ow * stride < width */
    *first = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
    *last = width <= 0 ? 0 : (width + stride - 1) / stride;
    if (*last > (ptrdiff_t)c->out_w)
        *last = (ptrdiff_t)c->out_w;
}

/* Adds one tap of one input row to a row of outputs. */
static void add_tap(const cop_conv *c, float weight, size_t s, const float *restrict in,
                    float *restrict out) {
    ptrdiff_t first, last, stride = (ptrdiff_t)c->stride_w;
    ptrdiff_t offset = (ptrdiff_t)(s * c->dilation_w) - (ptrdiff_t)c->pad_left;
    reach(c, s, &first, &last);
    if (stride == 1) {
        for (ptrdiff_t x = first; x < last; x++)
            out[x] += weight * in[x + offset];
        return;
    }
    for (ptrdiff_t x = first; x < last; x++)
        out[x] += weight * in[x * stride + offset];
}

/* One row of one output channel; `weights` and `in` are those of its channel and group. */
static void planes_row(const cop_conv *c, const float *weights, const float *in, size_t y,
                       float *out) {
    size_t plane = c->in_h * c->in_w;
    for (size_t ic = 0; ic < c->in_channels / c->groups; ic++) {
        for (size_t r = 0; r < c->kernel_h; r++) {
            ptrdiff_t row =
                (ptrdiff_t)(y * c->stride_h + r * c->dilation_h) - (ptrdiff_t)c->pad_top;
            for (size_t s = 0; s < c->kernel_w; s++) {
                float weight = *weights++;
                if (weight != 0 && row >= 0 && row < (ptrdiff_t)c->in_h)
                    add_tap(c, weight, s, in + ic * plane + (size_t)row * c->in_w, out);
            }
        }
    }
}

/* Items: output planes [batch][channel]. */
static void planes(void *context, size_t begin, size_t end) {
    const job *j = context;
    const cop_conv *c = j->conv;
    size_t per_group = c->in_channels / c->groups, taps = per_group * c->kernel_h * c->kernel_w;
    for (size_t item = begin; item < end; item++) {
        size_t n = item / c->out_channels, oc = item % c->out_channels;
        size_t group = oc / (c->out_channels / c->groups);
        const float *in = j->input + (n * c->in_channels + group * per_group) * c->in_h * c->in_w;
        float *out = j->output + item * c->out_h * c->out_w;
        for (size_t y = 0; y < c->out_h; y++, out += c->out_w) {
            for (size_t x = 0; x < c->out_w; x++)
                out[x] = c->bias ? c->bias[oc] : 0;
            planes_row(c, c->weights + oc * taps, in, y, out);
            for (size_t x = 0; x < c->out_w; x++)
                out[x] = clamp(c, out[x]);
        }
    }
}

/* One output element, channels innermost. */
static float pixel(const cop_conv *c, const float *in, size_t oc, size_t y, size_t x) {
    size_t per_group = c->in_channels / c->groups, group = oc / (c->out_channels / c->groups);
    const float *weights = c->weights + oc * per_group * c->kernel_h * c->kernel_w;
    float sum = c->bias ? c->bias[oc] : 0;
    for (size_t ic = 0; ic < per_group; ic++) {
        for (size_t r = 0; r < c->kernel_h; r++) {
            ptrdiff_t iy = (ptrdiff_t)(y * c->stride_h + r * c->dilation_h) - (ptrdiff_t)c->pad_top;
            for (size_t s = 0; s < c->kernel_w; s++) {
                ptrdiff_t ix =
                    (ptrdiff_t)(x * c->stride_w + s * c->dilation_w) - (ptrdiff_t)c->pad_left;
                float weight = *weights++;
                if (weight == 0 || iy < 0 || ix < 0 || iy >= (ptrdiff_t)c->in_h ||
                    ix >= (ptrdiff_t)c->in_w)
                    continue;
                size_t at = ((size_t)iy * c->in_w + (size_t)ix) * c->in_channels;
                sum += weight * in[at + group * per_group + ic];
            }
        }
    }
    return clamp(c, sum);
}

/* Items: output rows [batch][y]. */
static void channels_last_rows(void *context, size_t begin, size_t end) {
    const job *j = context;
    const cop_conv *c = j->conv;
    for (size_t item = begin; item < end; item++) {
        size_t n = item / c->out_h, y = item % c->out_h;
        const float *in = j->input + n * c->in_h * c->in_w * c->in_channels;
        float *out = j->output + item * c->out_w * c->out_channels;
        for (size_t x = 0; x < c->out_w; x++) {
            for (size_t oc = 0; oc < c->out_channels; oc++)
                *out++ = pixel(c, in, oc, y, x);
        }
    }
}

void cop_conv_reference(const cop_conv *conv, bool channels_last, const float *input, float *output,
                        const coppice_threadpool *pool) {
    job j = {conv, input, output};
    if (channels_last)
        cop_parallel_for(pool, conv->batch * conv->out_h, 1, channels_last_rows, &j);
    else
        cop_parallel_for(pool, conv->batch * conv->out_channels, 1, planes, &j);
}
