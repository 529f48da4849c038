/* Columns of a tile of outputs: one stripe per input channel and tap. */
#include "runtime/sparse/columns.h"

#include <string.h>

#include "base/size.h"
#include "runtime/layout.h"

static size_t stripe_width(size_t positions) {
    return positions == 1 ? 1 : cop_tile_width(positions);
}

coppice_status cop_columns_create(const cop_conv *conv, const cop_kernels *kernels,
                                  cop_columns *out, coppice_error *err) {
    (void)err;
    *out = (cop_columns){.conv = *conv, .kernels = kernels};
    out->conv.weights = out->conv.bias = NULL;
    out->taps = conv->kernel_h * conv->kernel_w;
    out->positions = conv->batch * conv->out_h * conv->out_w;
    out->tile = stripe_width(out->positions);
    out->tiles = cop_divide_up(out->positions, out->tile);
    out->in_tile = stripe_width(conv->batch * conv->in_h * conv->in_w);
    return COPPICE_OK;
}

void cop_columns_free(cop_columns *columns) {
    *columns = (cop_columns){0};
}

size_t cop_columns_work(const cop_columns *columns) {
    (void)columns;
    return 0;
}

/* Input position (image, y, x) of a channel, 0 in the padding. */
static float input_at(const cop_columns *k, const float *input, size_t channel, size_t image,
                      ptrdiff_t y, ptrdiff_t x) {
    const cop_conv *c = &k->conv;
    if (y < 0 || x < 0 || y >= (ptrdiff_t)c->in_h || x >= (ptrdiff_t)c->in_w)
        return 0.0f;
    size_t p = (image * c->in_h + (size_t)y) * c->in_w + (size_t)x;
    return input[(p / k->in_tile * c->in_channels + channel) * k->in_tile + p % k->in_tile];
}

/* One stripe. */
static void lay_out_tap(const cop_columns *k, size_t tile, size_t channel, size_t tap,
                        const float *input, float *stripe) {
    const cop_conv *c = &k->conv;
    size_t first = tile * k->tile, count = cop_smaller(k->tile, k->positions - first);
    ptrdiff_t dy = (ptrdiff_t)(tap / c->kernel_w * c->dilation_h) - (ptrdiff_t)c->pad_top;
    ptrdiff_t dx = (ptrdiff_t)(tap % c->kernel_w * c->dilation_w) - (ptrdiff_t)c->pad_left;
    for (size_t i = 0; i < count; i++) {
        size_t q = first + i, row = q / c->out_w;
        stripe[i] = input_at(k, input, channel, row / c->out_h,
                             (ptrdiff_t)(row % c->out_h * c->stride_h) + dy,
                             (ptrdiff_t)(q % c->out_w * c->stride_w) + dx);
    }
    memset(stripe + count, 0, (k->tile - count) * sizeof *stripe);
}

void cop_columns_lay_out(const cop_columns *columns, size_t tile, size_t channel, size_t channels,
                         const float *input, float *stripes, void *work) {
    (void)work;
    for (size_t c = 0; c < channels; c++)
        for (size_t tap = 0; tap < columns->taps; tap++)
            lay_out_tap(columns, tile, channel + c, tap, input,
                        stripes + (c * columns->taps + tap) * columns->tile);
}
