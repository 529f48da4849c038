/* What convolutions have in common, whichever kernel computes them. */
#include "runtime/conv.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "runtime/kernels/kernels.h"

cop_conv cop_conv_of_product(size_t tokens, size_t inputs, size_t outputs) {
    return (cop_conv){.batch = 1,
                      .groups = 1,
                      .in_channels = inputs,
                      .out_channels = outputs,
                      .in_h = 1,
                      .in_w = tokens,
                      .out_h = 1,
                      .out_w = tokens,
                      .kernel_h = 1,
                      .kernel_w = 1,
                      .stride_h = 1,
                      .stride_w = 1,
                      .dilation_h = 1,
                      .dilation_w = 1,
                      .min = -INFINITY,
                      .max = INFINITY,
                      .tokens = true};
}

bool cop_conv_is_depthwise(const cop_conv *c) {
    return c->groups > 1 && c->groups == c->in_channels;
}

bool cop_conv_is_pointwise(const cop_conv *c) {
    return c->kernel_h == 1 && c->kernel_w == 1 && c->stride_h == 1 && c->stride_w == 1 &&
           c->in_h == c->out_h && c->in_w == c->out_w && c->pad_top == 0 && c->pad_left == 0;
}

bool cop_conv_is_product(const cop_conv *c) {
    return c->groups == 1 && cop_conv_is_pointwise(c);
}

size_t cop_conv_positions(const cop_conv *c) {
    return c->batch * c->out_h * c->out_w;
}

size_t cop_conv_weights(const cop_conv *c) {
    return c->out_channels * (c->in_channels / c->groups) * c->kernel_h * c->kernel_w;
}

coppice_status cop_conv_copy_bias(const cop_conv *c, size_t count, float **out,
                                  coppice_error *err) {
    *out = cop_calloc(count, sizeof **out);
    if (!*out)
        return cop_fail_memory(err, count * sizeof **out);
    if (c->bias)
        memcpy(*out, c->bias, c->out_channels * sizeof **out);
    return COPPICE_OK;
}

void cop_activate(const cop_activation *f, const struct cop_kernels *kernels, float *x,
                  size_t count) {
    if (f->there)
        kernels->map_f32[f->map](x, x, count, f->alpha, f->beta);
}
