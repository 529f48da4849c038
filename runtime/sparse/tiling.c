/* Tiles of a convolution's output and the layout of their inputs, as columns or as planes. */
#include "runtime/sparse/tiling.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "runtime/sparse/im2col.h"

/* Largest phase of a dimension's taps, and how many steps of a phase the last tap is away. */
static void phases(size_t kernel, size_t stride, size_t dilation, size_t *phase, size_t *steps) {
    *phase = 0;
    for (size_t k = 0; k < kernel && k < stride; k++)
        if (k * dilation % stride > *phase)
            *phase = k * dilation % stride;
    *steps = (kernel - 1) * dilation / stride;
}

/* Positions from one output row to the next when laid out as planes. */
static size_t plane_pitch(const cop_conv *c) {
    return c->out_w + (c->kernel_w - 1) * c->dilation_w / c->stride_w;
}

/* a * b, and false beyond what leaves room for the arithmetic here. */
static bool small_product(size_t a, size_t b, size_t *out) {
    return cop_size_mul(a, b, out) && *out < SIZE_MAX / 65536;
}

/* One dimension: how far the window and its steps reach. */
static bool fits_dim(size_t in, size_t pads, size_t kernel, size_t dilation, size_t out,
                     size_t stride, size_t *reach) {
    size_t steps, padded;
    return kernel && dilation && stride && small_product(kernel - 1, dilation, reach) &&
           small_product(out, stride, &steps) && cop_size_add(in, pads, &padded) &&
           padded < SIZE_MAX / 65536;
}

bool cop_tiling_fits(const cop_conv *c) {
    size_t reach_h, reach_w, pads_h, pads_w, in, out, columns;
    if (!c->groups || c->in_channels % c->groups || c->out_channels % c->groups ||
        !cop_size_add(c->pad_top, c->pad_bottom, &pads_h) ||
        !cop_size_add(c->pad_left, c->pad_right, &pads_w) ||
        !fits_dim(c->in_h, pads_h, c->kernel_h, c->dilation_h, c->out_h, c->stride_h, &reach_h) ||
        !fits_dim(c->in_w, pads_w, c->kernel_w, c->dilation_w, c->out_w, c->stride_w, &reach_w))
        return false;
    return small_product(c->in_h, c->in_w, &in) && small_product(in, c->in_channels, &in) &&
           small_product(in, c->batch, &in) && in &&
           small_product(c->out_h + reach_h, c->out_w + reach_w, &out) &&
           small_product(out, c->out_channels, &out) && small_product(out, c->batch, &out) &&
           c->out_h && c->out_w && out && small_product(c->kernel_h, c->kernel_w, &columns) &&
           small_product(columns, c->in_channels, &columns) && columns < UINT32_MAX / 1024;
}

size_t cop_tiling_positions(const cop_conv *c) {
    return ((c->out_h - 1) * plane_pitch(c) + c->out_w) * c->batch;
}

static void describe_columns(cop_tiling *t) {
    const cop_conv *c = &t->conv;
    t->lay = *c;
    t->pitch = c->out_w;
    t->span = cop_conv_positions(c);
    t->stripe = cop_round_up(t->tile, 16);
    t->channel = c->kernel_h * c->kernel_w * t->stripe;
    for (size_t i = 0; i < c->kernel_h * c->kernel_w; i++)
        t->taps[i] = i * t->stripe;
}

static void describe_planes(cop_tiling *t) {
    const cop_conv *c = &t->conv;
    size_t phase_h, phase_w, steps_h, steps_w;
    phases(c->kernel_h, c->stride_h, c->dilation_h, &phase_h, &steps_h);
    phases(c->kernel_w, c->stride_w, c->dilation_w, &phase_w, &steps_w);
    t->pitch = plane_pitch(c);
    t->span = cop_tiling_positions(c) / c->batch;
    t->reach = steps_h * t->pitch + steps_w;
    t->stripe = cop_round_up(t->tile + t->reach, 16);
    /* Phase (r, s) of a plane is tap (r, s) of a convolution with the same stride whose output rows
     * are as long as the pitch. */
    t->lay = *c;
    t->lay.kernel_h = phase_h + 1;
    t->lay.kernel_w = phase_w + 1;
    t->lay.dilation_h = t->lay.dilation_w = 1;
    t->lay.out_w = t->pitch;
    t->lay.out_h = c->out_h + steps_h + t->stripe / t->pitch + 1;
    t->channel = t->lay.kernel_h * t->lay.kernel_w * t->stripe;
    for (size_t r = 0; r < c->kernel_h; r++)
        for (size_t s = 0; s < c->kernel_w; s++) {
            size_t y = r * c->dilation_h, x = s * c->dilation_w;
            size_t phase = y % c->stride_h * t->lay.kernel_w + x % c->stride_w;
            t->taps[r * c->kernel_w + s] =
                phase * t->stripe + y / c->stride_h * t->pitch + x / c->stride_w;
        }
}

coppice_status cop_tiling_create(const cop_conv *conv, bool planes, size_t tile, cop_tiling *t,
                                 coppice_error *err) {
    t->conv = *conv;
    t->conv.weights = t->conv.bias = NULL;
    t->planes = planes;
    t->tile = tile;
    t->taps = cop_calloc(conv->kernel_h * conv->kernel_w, sizeof *t->taps);
    if (!t->taps)
        return cop_fail_memory(err, conv->kernel_h * conv->kernel_w * sizeof *t->taps);
    if (planes)
        describe_planes(t);
    else
        describe_columns(t);
    t->image_tiles = (t->span + tile - 1) / tile;
    t->tiles = planes ? t->image_tiles * conv->batch : t->image_tiles;
    return COPPICE_OK;
}

void cop_tiling_free(cop_tiling *t) {
    cop_free(t->taps);
    *t = (cop_tiling){0};
}

/* Columns: the pixels may belong to several images; what is left of the tile is zero. */
static void lay_out_columns(const cop_tiling *t, size_t tile, size_t channel, size_t channels,
                            const float *input, float *output) {
    const cop_conv *c = &t->conv;
    size_t pixels = c->out_h * c->out_w, first = tile * t->tile;
    size_t count = cop_smaller(t->tile, t->span - first);
    for (size_t done = 0; done < count;) {
        size_t image = (first + done) / pixels, pixel = (first + done) % pixels;
        size_t n = cop_smaller(pixels - pixel, count - done);
        cop_im2col(c, input + image * c->in_channels * c->in_h * c->in_w, channel, channels, pixel,
                   n, output + done, t->stripe);
        done += n;
    }
    size_t rows = channels * c->kernel_h * c->kernel_w;
    for (size_t k = 0; count < t->stripe && k < rows; k++)
        memset(output + k * t->stripe + count, 0, (t->stripe - count) * sizeof *output);
}

void cop_tiling_lay_out(const cop_tiling *t, size_t tile, size_t channel, size_t channels,
                        const float *input, float *output) {
    if (!t->planes) {
        lay_out_columns(t, tile, channel, channels, input, output);
        return;
    }
    const cop_conv *c = &t->conv;
    input += tile / t->image_tiles * c->in_channels * c->in_h * c->in_w;
    cop_im2col(&t->lay, input, channel, channels, tile % t->image_tiles * t->tile, t->stripe,
               output, t->stripe);
}

/* Copies `n` results of every channel; `output` and `results` point to their first. */
static void spread_run(const cop_tiling *t, size_t channels, const float *results, size_t n,
                       float *output) {
    size_t pixels = t->conv.out_h * t->conv.out_w;
    for (size_t c = 0; c < channels; c++)
        memcpy(output + c * pixels, results + c * t->tile, n * sizeof *output);
}

void cop_tiling_spread(const cop_tiling *t, size_t tile, size_t channel, size_t channels,
                       const float *results, float *output) {
    const cop_conv *c = &t->conv;
    size_t pixels = c->out_h * c->out_w;
    size_t first = t->planes ? tile % t->image_tiles * t->tile : tile * t->tile;
    size_t count = cop_smaller(t->tile, t->span - first);
    for (size_t done = 0; done < count;) {
        size_t at = first + done, image = tile / t->image_tiles, pixel, n;
        if (t->planes) {
            size_t x = at % t->pitch;
            n = cop_smaller(count - done, t->pitch - x);
            pixel = at / t->pitch * c->out_w + x;
            if (x < c->out_w)
                spread_run(t, channels, results + done, cop_smaller(n, c->out_w - x),
                           output + (image * c->out_channels + channel) * pixels + pixel);
        } else {
            image = at / pixels;
            pixel = at % pixels;
            n = cop_smaller(count - done, pixels - pixel);
            spread_run(t, channels, results + done, n,
                       output + (image * c->out_channels + channel) * pixels + pixel);
        }
        done += n;
    }
}
