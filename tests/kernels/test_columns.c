/* Columns of tiles against a plain gather, for every instruction set, on shapes that break them. */
#include <check.h>
#include <string.h>

#include "runtime/layout.h"
#include "runtime/sparse/columns.h"
#include "tests/kernels/guarded.h"
#include "tests/unit/unit.h"

/* Zero fields mean 1 (0 for padding). */
typedef struct shape {
    const char *name;
    size_t batch, channels, h, w, kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    size_t pads[4]; /* top, left, bottom, right */
} shape;

static const shape shapes[] = {
    {"3x3, 56x56", 1, 5, 56, 56, 3, 3, 1, 1, 1, 1, {1, 1, 1, 1}},
    {"3x3, 28x28", 1, 3, 28, 28, 3, 3, 1, 1, 1, 1, {1, 1, 1, 1}},
    {"3x3, 14x14", 1, 9, 14, 14, 3, 3, 1, 1, 1, 1, {1, 1, 1, 1}},
    {"3x3, 7x7", 1, 18, 7, 7, 3, 3, 1, 1, 1, 1, {1, 1, 1, 1}},
    {"3x3, 7x7, 5 images", 5, 3, 7, 7, 3, 3, 1, 1, 1, 1, {1, 1, 1, 1}},
    {"3x3, 1x1 plane", 1, 3, 1, 1, 3, 3, 1, 1, 1, 1, {1, 1, 1, 1}},
    {"3x3, 1x1 plane, 20 images", 20, 3, 1, 1, 3, 3, 1, 1, 1, 1, {1, 1, 1, 1}},
    {"3x3, 2x2 planes", 9, 2, 2, 2, 3, 3, 1, 1, 1, 1, {1, 1, 1, 1}},
    {"5x5, 14x14", 1, 3, 14, 14, 5, 5, 1, 1, 1, 1, {2, 2, 2, 2}},
    {"3x3 valid", 2, 3, 19, 21, 3, 3, 1, 1, 1, 1, {0, 0, 0, 0}},
    {"3x3 valid to one pixel", 1, 3, 3, 3, 3, 3, 1, 1, 1, 1, {0, 0, 0, 0}},
    {"6x6 valid to one pixel each", 3, 3, 6, 6, 6, 6, 1, 1, 1, 1, {0, 0, 0, 0}},
    {"3x3/2, even", 1, 4, 56, 56, 3, 3, 2, 2, 1, 1, {1, 1, 1, 1}},
    {"3x3/2, odd", 2, 4, 15, 17, 3, 3, 2, 2, 1, 1, {1, 1, 1, 1}},
    {"3x3/2, 14x14", 1, 4, 14, 14, 3, 3, 2, 2, 1, 1, {1, 1, 1, 1}},
    {"3x3/2, uneven padding", 2, 3, 28, 30, 3, 3, 2, 2, 1, 1, {0, 0, 1, 1}},
    {"3x3/2 valid, odd", 1, 3, 149, 33, 3, 3, 2, 2, 1, 1, {0, 0, 0, 0}},
    {"7x7/2", 2, 3, 64, 60, 7, 7, 2, 2, 1, 1, {3, 3, 3, 3}},
    {"1x1/2", 1, 6, 28, 28, 1, 1, 2, 2, 1, 1, {0, 0, 0, 0}},
    {"1x1/2, odd", 3, 6, 7, 9, 1, 1, 2, 2, 1, 1, {0, 0, 0, 0}},
    {"1x1, padded", 2, 3, 5, 6, 1, 1, 1, 1, 1, 1, {1, 2, 0, 1}},
    {"3x3, dilation 2", 1, 3, 33, 31, 3, 3, 1, 1, 2, 2, {2, 2, 2, 2}},
    {"3x3, dilation 12", 1, 3, 33, 33, 3, 3, 1, 1, 12, 12, {12, 12, 12, 12}},
    {"3x3, dilation 3, stride 2", 1, 3, 33, 30, 3, 3, 2, 2, 3, 3, {3, 3, 3, 3}},
    {"5x3, strides 3 and 2", 2, 4, 23, 19, 5, 3, 3, 2, 1, 1, {2, 1, 1, 0}},
    {"4x4/4", 1, 3, 32, 36, 4, 4, 4, 4, 1, 1, {0, 0, 0, 0}},
    {"2x2/3", 2, 3, 11, 13, 2, 2, 3, 3, 1, 1, {0, 0, 0, 0}},
    {"wide padding", 2, 3, 5, 4, 3, 3, 1, 1, 1, 1, {4, 5, 6, 7}},
    {"padding wider than the kernel, stride 2", 1, 3, 6, 7, 3, 3, 2, 2, 1, 1, {5, 4, 6, 7}},
    {"row, 5 wide", 2, 5, 1, 40, 1, 5, 1, 1, 1, 1, {0, 2, 0, 2}},
    {"row, 10 wide, stride 5", 1, 3, 1, 500, 1, 10, 1, 5, 1, 1, {0, 3, 0, 0}},
    {"row, causal, dilated", 1, 3, 1, 300, 1, 3, 1, 1, 1, 8, {0, 16, 0, 0}},
    {"column", 1, 3, 40, 1, 5, 1, 1, 1, 1, 1, {2, 0, 2, 0}},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static size_t out_size(size_t in, size_t pads, size_t kernel, size_t stride, size_t dilation) {
    return (in + pads - ((kernel - 1) * dilation + 1)) / stride + 1;
}

static cop_conv conv_of(const shape *s) {
    cop_conv c = {.batch = s->batch,
                  .groups = 1,
                  .in_channels = s->channels,
                  .out_channels = 1,
                  .in_h = s->h,
                  .in_w = s->w,
                  .kernel_h = s->kernel_h,
                  .kernel_w = s->kernel_w,
                  .stride_h = s->stride_h,
                  .stride_w = s->stride_w,
                  .dilation_h = s->dilation_h,
                  .dilation_w = s->dilation_w,
                  .pad_top = s->pads[0],
                  .pad_left = s->pads[1],
                  .pad_bottom = s->pads[2],
                  .pad_right = s->pads[3]};
    c.out_h = out_size(c.in_h, c.pad_top + c.pad_bottom, c.kernel_h, c.stride_h, c.dilation_h);
    c.out_w = out_size(c.in_w, c.pad_left + c.pad_right, c.kernel_w, c.stride_w, c.dilation_w);
    return c;
}

static size_t width(size_t positions) {
    return positions == 1 ? 1 : cop_tile_width(positions);
}

/* What position q of the output reads under a tap: element numbers count from 1; 0: padding. */
static float wanted(const cop_conv *c, size_t channel, size_t tap, size_t q) {
    ptrdiff_t y = (ptrdiff_t)(q / c->out_w % c->out_h * c->stride_h +
                              tap / c->kernel_w * c->dilation_h - c->pad_top);
    ptrdiff_t x =
        (ptrdiff_t)(q % c->out_w * c->stride_w + tap % c->kernel_w * c->dilation_w - c->pad_left);
    if (y < 0 || x < 0 || y >= (ptrdiff_t)c->in_h || x >= (ptrdiff_t)c->in_w)
        return 0;
    size_t image = q / (c->out_h * c->out_w), plane = c->in_h * c->in_w;
    return (float)(1 + (image * c->in_channels + channel) * plane + (size_t)y * c->in_w +
                   (size_t)x);
}

/* The input in tiles, its elements numbered; NaN behind the last position. */
static guarded numbered(const cop_conv *c) {
    size_t plane = c->in_h * c->in_w, positions = c->batch * plane, tile = width(positions);
    guarded g = guarded_new((positions + tile - 1) / tile * tile * c->in_channels);
    for (size_t p = 0; p < positions; p++)
        for (size_t k = 0; k < c->in_channels; k++)
            g.data[(p / tile * c->in_channels + k) * tile + p % tile] =
                (float)(1 + (p / plane * c->in_channels + k) * plane + p % plane);
    return g;
}

static void check_tile(const cop_columns *columns, const shape *s, size_t tile, size_t channel,
                       size_t channels, const float *stripes) {
    size_t first = tile * columns->tile;
    for (size_t row = 0; row < channels * columns->taps; row++)
        for (size_t i = 0; i < columns->tile && first + i < columns->positions; i++) {
            float got = stripes[row * columns->tile + i];
            float expected = wanted(&columns->conv, channel + row / columns->taps,
                                    row % columns->taps, first + i);
            ck_assert_msg(got == expected, "%s: tile %zu, channel %zu, tap %zu, %zu: %g, not %g",
                          s->name, tile, channel + row / columns->taps, row % columns->taps, i,
                          (double)got, (double)expected);
        }
}

/* All tiles, all channels at once and then the last channel alone. */
static void check_columns(const cop_columns *columns, const shape *s, const float *input) {
    const cop_conv *c = &columns->conv;
    ck_assert_uint_eq(columns->tile, width(c->batch * c->out_h * c->out_w));
    size_t row = columns->taps * columns->tile;
    guarded work = guarded_new(cop_columns_work(columns) / sizeof(float));
    for (size_t tile = 0; tile < columns->tiles; tile++)
        for (size_t channel = 0; channel < c->in_channels; channel += c->in_channels - 1) {
            size_t channels = channel ? 1 : c->in_channels;
            guarded stripes = guarded_new(channels * row);
            cop_columns_lay_out(columns, tile, channel, channels, input, stripes.data, work.data);
            check_tile(columns, s, tile, channel, channels, stripes.data);
            ck_assert_msg(guarded_intact(&stripes) && guarded_intact(&work),
                          "%s: wrote outside its buffers", s->name);
            guarded_free(&stripes);
        }
    guarded_free(&work);
}

START_TEST(columns_hold_what_each_tap_reads) {
    static const coppice_isa isas[] = {COPPICE_ISA_SCALAR, COPPICE_ISA_AVX2, COPPICE_ISA_AVX512,
                                       COPPICE_ISA_NEON};
    const shape *s = &shapes[_i];
    cop_conv c = conv_of(s);
    guarded input = numbered(&c);
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        if (!cop_isa_available(isas[i]))
            continue;
        cop_columns columns;
        ck_assert_int_eq(cop_columns_create(&c, cop_kernels_of(isas[i]), &columns, NULL),
                         COPPICE_OK);
        check_columns(&columns, s, input.data);
        cop_columns_free(&columns);
    }
    ck_assert(guarded_intact(&input));
    guarded_free(&input);
}
END_TEST

int main(void) {
    TCase *columns = tcase_create("columns");
    tcase_set_timeout(columns, 60);
    tcase_add_loop_test(columns, columns_hold_what_each_tap_reads, 0, SHAPES);
    return unit_run("columns", columns);
}
