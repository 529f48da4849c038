/* The problems of problems.h. */
#include "tests/kernels/problems.h"

#include <float.h>

enum { BLOCK_ROWS = 4 };

const problem problems[] = {
    {"1 pixel", .in_c = 8, .out_c = 5, .h = 1, .w = 1, .zeros = 0.5},
    {"7 pixels", .in_c = 16, .out_c = 9, .h = 1, .w = 7, .zeros = 0.9},
    {"15 pixels", .in_c = 3, .out_c = 4, .h = 3, .w = 5, .zeros = 0.7},
    {"16 pixels", .in_c = 32, .out_c = 32, .h = 4, .w = 4, .zeros = 0.9},
    {"17 pixels", .in_c = 31, .out_c = 17, .h = 1, .w = 17, .zeros = 0.8},
    {"49 pixels", .in_c = 64, .out_c = 48, .h = 7, .w = 7, .zeros = 0.9},
    {"49 pixels, 3 images", .batch = 3, .in_c = 20, .out_c = 24, .h = 7, .w = 7, .zeros = 0.8},
    {"1 channel each way", .in_c = 1, .out_c = 1, .h = 5, .w = 9, .zeros = 0.0},
    {"many pixels", .in_c = 24, .out_c = 33, .h = 29, .w = 31, .zeros = 0.85},
    {"many channels", .in_c = 700, .out_c = 64, .h = 6, .w = 11, .zeros = 0.95},
    {"empty rows", .in_c = 40, .out_c = 30, .h = 8, .w = 9, .zeros = 0.6, .empty_rows = true},
    {"all weights zero", .in_c = 24, .out_c = 8, .h = 9, .w = 5, .zeros = 1.0},
    {"dense weights", .in_c = 37, .out_c = 29, .h = 10, .w = 13, .zeros = 0.0},
    {"no bias", .in_c = 12, .out_c = 8, .h = 6, .w = 6, .zeros = 0.5, .no_bias = true},
    {"clamp to 0..6", .in_c = 64, .out_c = 16, .h = 5, .w = 7, .zeros = 0.5, .min = 0, .max = 6},
    {"relu", .in_c = 200, .out_c = 16, .h = 9, .w = 9, .zeros = 0.5, .min = 0, .max = INFINITY},
    {"3x3", .in_c = 16, .out_c = 12, .h = 14, .w = 14, .kernel = 3, .pads = {1, 1, 1, 1},
     .zeros = 0.9},
    {"3x3, 7x7 plane, 3 images", .batch = 3, .in_c = 19, .out_c = 12, .h = 7, .w = 7, .kernel = 3,
     .pads = {1, 1, 1, 1}, .zeros = 0.9, .min = 0, .max = INFINITY},
    {"3x3, many channels", .in_c = 70, .out_c = 21, .h = 9, .w = 10, .kernel = 3,
     .pads = {1, 1, 1, 1}, .zeros = 0.9, .min = 0, .max = 6},
    {"3x3, many channels, 2 groups, 2 images", .batch = 2, .groups = 2, .in_c = 118, .out_c = 26,
     .h = 15, .w = 14, .kernel = 3, .pads = {1, 1, 1, 1}, .zeros = 0.8, .min = 0, .max = INFINITY},
    {"3x3 without padding", .in_c = 5, .out_c = 7, .h = 9, .w = 8, .kernel = 3, .zeros = 0.5},
    {"3x3, stride 2", .in_c = 8, .out_c = 16, .h = 15, .w = 17, .kernel = 3, .stride = 2,
     .pads = {1, 1, 1, 1}, .zeros = 0.7},
    {"3x3, dilation 2", .in_c = 6, .out_c = 8, .h = 13, .w = 11, .kernel = 3, .dilation = 2,
     .pads = {2, 2, 2, 2}, .zeros = 0.7},
    {"uneven padding", .in_c = 6, .out_c = 8, .h = 12, .w = 10, .kernel = 3, .stride = 2,
     .pads = {0, 0, 1, 1}, .zeros = 0.7},
    {"padding wider than the window", .in_c = 4, .out_c = 4, .h = 5, .w = 4, .kernel = 3,
     .pads = {4, 5, 6, 7}, .zeros = 0.5},
    {"5x3 window, strides 3 and 2", .in_c = 5, .out_c = 6, .h = 23, .w = 19, .kernel = 5,
     .kernel_w = 3, .stride = 3, .stride_w = 2, .pads = {2, 1, 1, 0}, .zeros = 0.6},
    {"1x1, stride 2", .in_c = 20, .out_c = 10, .h = 13, .w = 15, .stride = 2, .zeros = 0.8},
    {"1x1, padded", .in_c = 6, .out_c = 10, .h = 5, .w = 6, .pads = {1, 2, 0, 1}, .zeros = 0.5},
    {"7x7, stride 2, 3 channels", .in_c = 3, .out_c = 16, .h = 33, .w = 35, .kernel = 7,
     .stride = 2, .pads = {3, 3, 3, 3}, .zeros = 0.5},
    {"window as large as the image", .in_c = 9, .out_c = 11, .h = 6, .w = 6, .kernel = 6,
     .zeros = 0.9},
    {"row convolution", .in_c = 7, .out_c = 6, .h = 1, .w = 40, .kernel = 1, .kernel_w = 5,
     .pads = {0, 2, 0, 2}, .zeros = 0.5},
    {"4 groups", .groups = 4, .in_c = 16, .out_c = 24, .h = 9, .w = 10, .kernel = 3,
     .pads = {1, 1, 1, 1}, .zeros = 0.7},
    {"3 groups, 1x1, 2 images", .batch = 2, .groups = 3, .in_c = 12, .out_c = 9, .h = 7, .w = 5,
     .zeros = 0.5},
    {"depthwise 3x3", .groups = 10, .in_c = 10, .out_c = 10, .h = 14, .w = 14, .kernel = 3,
     .pads = {1, 1, 1, 1}, .zeros = 0.0},
    {"depthwise 3x3, 7x7 plane, 3 images", .batch = 3, .groups = 5, .in_c = 5, .out_c = 5, .h = 7,
     .w = 7, .kernel = 3, .pads = {1, 1, 1, 1}, .min = 0, .max = 6},
    {"depthwise 3x3, stride 2", .groups = 6, .in_c = 6, .out_c = 6, .h = 15, .w = 30, .kernel = 3,
     .stride = 2, .pads = {1, 1, 1, 1}},
    {"depthwise 3x3, stride 2, uneven padding", .groups = 6, .in_c = 6, .out_c = 6, .h = 16,
     .w = 28, .kernel = 3, .stride = 2, .pads = {0, 0, 1, 1}, .no_bias = true},
    {"depthwise 5x5", .groups = 4, .in_c = 4, .out_c = 4, .h = 28, .w = 29, .kernel = 5,
     .pads = {2, 2, 2, 2}},
    {"depthwise 5x5, stride 2", .groups = 4, .in_c = 4, .out_c = 4, .h = 13, .w = 57, .kernel = 5,
     .stride = 2, .pads = {2, 2, 2, 2}, .zeros = 0.5},
    {"depthwise, 2 outputs each, dilated", .groups = 3, .in_c = 3, .out_c = 6, .h = 12, .w = 18,
     .kernel = 3, .dilation = 3, .pads = {3, 2, 1, 4}},
    {"depthwise, stride 3, dilation 2", .groups = 3, .in_c = 3, .out_c = 3, .h = 20, .w = 17,
     .kernel = 4, .stride = 3, .dilation = 2, .pads = {1, 2, 3, 0}},
    {"depthwise, a single pixel", .groups = 3, .in_c = 3, .out_c = 3, .h = 3, .w = 3, .kernel = 3},
    {"depthwise, wide", .groups = 2, .in_c = 2, .out_c = 2, .h = 3, .w = 300, .kernel = 3,
     .pads = {1, 1, 1, 1}},
    {"1 token", .in_c = 300, .out_c = 77, .h = 1, .w = 1, .zeros = 0.9, .tokens = true},
    {"1 token, dense", .in_c = 64, .out_c = 10, .h = 1, .w = 1, .zeros = 0.0, .tokens = true},
    {"5 tokens", .in_c = 100, .out_c = 50, .h = 1, .w = 5, .zeros = 0.8, .tokens = true},
    {"128 tokens", .in_c = 96, .out_c = 130, .h = 1, .w = 128, .zeros = 0.9, .tokens = true},
    {"4x1 blocks, 49 pixels", .in_c = 96, .out_c = 64, .h = 7, .w = 7, .zeros = 0.9,
     .blocks = true},
    {"4x1 blocks, 3 rows more, 2 images", .batch = 2, .in_c = 40, .out_c = 19, .h = 9, .w = 13,
     .zeros = 0.8, .blocks = true, .min = 0, .max = 6},
    {"4x1 blocks, 128 tokens", .in_c = 160, .out_c = 96, .h = 1, .w = 128, .zeros = 0.9,
     .tokens = true, .blocks = true},
    {"4x1 blocks, 3x3", .in_c = 24, .out_c = 20, .h = 17, .w = 19, .kernel = 3,
     .pads = {1, 1, 1, 1}, .zeros = 0.8, .blocks = true},
    {"4x1 blocks, 3x3, stride 2, 2 groups of 10", .batch = 2, .groups = 2, .in_c = 12, .out_c = 20,
     .h = 14, .w = 14, .kernel = 3, .stride = 2, .pads = {1, 1, 1, 1}, .zeros = 0.7,
     .blocks = true},
    {"4x1 blocks, 2 rows", .in_c = 64, .out_c = 2, .h = 5, .w = 5, .zeros = 0.5, .blocks = true},
    {"4x1 blocks, dense", .in_c = 50, .out_c = 24, .h = 6, .w = 8, .blocks = true},
    {"1 pixel, 5 images", .batch = 5, .in_c = 30, .out_c = 21, .h = 1, .w = 1, .zeros = 0.8},
    {"1 pixel, 40 images", .batch = 40, .in_c = 12, .out_c = 9, .h = 1, .w = 1, .zeros = 0.6},
    {"2 pixels", .in_c = 9, .out_c = 9, .h = 2, .w = 1, .zeros = 0.5},
    {"one pixel of 3x3", .in_c = 10, .out_c = 12, .h = 3, .w = 3, .kernel = 3, .zeros = 0.7},
    {"3x3 around one pixel", .in_c = 10, .out_c = 12, .h = 1, .w = 1, .kernel = 3,
     .pads = {1, 1, 1, 1}, .zeros = 0.7},
    {"3x3, many pixels, 2 images", .batch = 2, .in_c = 9, .out_c = 10, .h = 30, .w = 37,
     .kernel = 3, .pads = {1, 1, 1, 1}, .zeros = 0.8},
    {"1x1, stride 2, 2 images of 49 pixels", .batch = 2, .in_c = 33, .out_c = 16, .h = 13, .w = 13,
     .stride = 2, .zeros = 0.8, .min = 0, .max = INFINITY},
    {"whole tiles", .in_c = 20, .out_c = 28, .h = 16, .w = 16, .zeros = 0.9},
    {"3x3, stride 2, 3 channels", .in_c = 3, .out_c = 18, .h = 41, .w = 37, .kernel = 3,
     .stride = 2, .pads = {1, 1, 1, 1}, .min = 0, .max = 6},
    {"1 channel in, 5x5", .in_c = 1, .out_c = 6, .h = 20, .w = 20, .kernel = 5,
     .pads = {2, 2, 2, 2}, .zeros = 0.3},
    {"1 channel out", .in_c = 90, .out_c = 1, .h = 10, .w = 10, .zeros = 0.7},
    {"3 tokens", .in_c = 50, .out_c = 300, .h = 1, .w = 3, .zeros = 0.9, .tokens = true},
    {"8 tokens, clamped", .in_c = 65, .out_c = 70, .h = 1, .w = 8, .zeros = 0.8, .min = 0, .max = 6,
     .tokens = true},
    {"13 tokens", .in_c = 21, .out_c = 16, .h = 1, .w = 13, .zeros = 0.5, .tokens = true},
    {"96 tokens", .in_c = 21, .out_c = 70, .h = 1, .w = 96, .zeros = 0.5, .tokens = true},
    {"201 tokens", .in_c = 48, .out_c = 33, .h = 1, .w = 201, .zeros = 0.9, .tokens = true},
    {"depthwise 3x3, several bands, 2 images", .batch = 2, .groups = 18, .in_c = 18, .out_c = 18,
     .h = 61, .w = 59, .kernel = 3, .pads = {1, 1, 1, 1}, .min = 0, .max = 6},
    {"depthwise 3x3, stride 2, several bands", .groups = 3, .in_c = 3, .out_c = 3, .h = 113,
     .w = 111, .kernel = 3, .stride = 2, .pads = {1, 1, 1, 1}},
    {"depthwise 7x7", .groups = 5, .in_c = 5, .out_c = 5, .h = 14, .w = 15, .kernel = 7,
     .pads = {3, 3, 3, 3}},
    {"depthwise 5x5, stride 2, 7x7 plane, 2 images", .batch = 2, .groups = 9, .in_c = 9, .out_c = 9,
     .h = 14, .w = 14, .kernel = 5, .stride = 2, .pads = {1, 1, 2, 2}},
    {"depthwise 3x5, strides 1 and 2", .groups = 4, .in_c = 4, .out_c = 4, .h = 19, .w = 33,
     .kernel = 3, .kernel_w = 5, .stride = 1, .stride_w = 2, .pads = {1, 2, 1, 2}},
    {"depthwise, 3 outputs each, wide padding", .batch = 2, .groups = 7, .in_c = 7, .out_c = 21,
     .h = 5, .w = 6, .kernel = 3, .pads = {9, 17, 12, 20}},
};
const int problem_count = sizeof problems / sizeof *problems;

static uint64_t random_state;

/* Uniform in 0 .. 1, the same on every machine. */
double uniform(void) {
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(random_state >> 11) / 9007199254740992.0;
}

static size_t or_one(size_t n) {
    return n ? n : 1;
}

static size_t out_size(size_t in, size_t pads, size_t kernel, size_t stride, size_t dilation) {
    return (in + pads - ((kernel - 1) * dilation + 1)) / stride + 1;
}

cop_conv conv_of(const problem *p) {
    cop_conv c = {.batch = or_one(p->batch),
                  .groups = or_one(p->groups),
                  .in_channels = p->in_c,
                  .out_channels = p->out_c,
                  .in_h = p->h,
                  .in_w = p->w,
                  .kernel_h = or_one(p->kernel),
                  .stride_h = or_one(p->stride),
                  .dilation_h = or_one(p->dilation),
                  .pad_top = p->pads[0],
                  .pad_left = p->pads[1],
                  .pad_bottom = p->pads[2],
                  .pad_right = p->pads[3],
                  .min = p->min == p->max ? -INFINITY : p->min,
                  .max = p->min == p->max ? INFINITY : p->max,
                  .tokens = p->tokens};
    c.kernel_w = p->kernel_w ? p->kernel_w : c.kernel_h;
    c.stride_w = p->stride_w ? p->stride_w : c.stride_h;
    c.dilation_w = p->dilation_w ? p->dilation_w : c.dilation_h;
    c.out_h = out_size(c.in_h, c.pad_top + c.pad_bottom, c.kernel_h, c.stride_h, c.dilation_h);
    c.out_w = out_size(c.in_w, c.pad_left + c.pad_right, c.kernel_w, c.stride_w, c.dilation_w);
    return c;
}

static guarded magnitudes(const guarded *g) {
    guarded m = guarded_new(g->count);
    for (size_t i = 0; i < g->count; i++)
        m.data[i] = fabsf(g->data[i]);
    return m;
}

static void fill_bounds(instance *in) {
    guarded weights = magnitudes(&in->weights), bias = magnitudes(&in->bias);
    guarded input = magnitudes(&in->input);
    cop_conv c = in->conv;
    c.weights = weights.data;
    c.bias = in->conv.bias ? bias.data : NULL;
    c.min = -INFINITY;
    c.max = INFINITY;
    cop_conv_reference(&c, false, input.data, in->bound.data, NULL);
    for (size_t i = 0; i < in->bound.count; i++)
        in->bound.data[i] = (float)(in->row + 2) * (FLT_EPSILON * in->bound.data[i] + FLT_MIN);
    guarded_free(&weights);
    guarded_free(&bias);
    guarded_free(&input);
}

instance instance_new(const problem *p) {
    instance in = {.conv = conv_of(p)};
    cop_conv *c = &in.conv;
    random_state = (uint64_t)(p - problems) + 1;
    in.row = c->in_channels / c->groups * c->kernel_h * c->kernel_w;
    in.weights = guarded_new(c->out_channels * in.row);
    in.bias = guarded_new(c->out_channels);
    in.input = guarded_new(c->batch * c->in_channels * c->in_h * c->in_w);
    in.expected = guarded_new(c->batch * c->out_channels * c->out_h * c->out_w);
    in.bound = guarded_new(in.expected.count);
    for (size_t i = 0; i < in.weights.count; i++) {
        size_t row = i / in.row, in_block = row % (c->out_channels / c->groups) % BLOCK_ROWS;
        bool zero = uniform() < p->zeros || (p->empty_rows && row % 3 == 0);
        if (p->blocks && in_block > 0) /* as in the block's first row */
            zero = in.weights.data[i - in_block * in.row] == 0;
        in.weights.data[i] = zero ? 0.0f : (float)(2 * uniform() - 1);
        c->nonzeros += in.weights.data[i] != 0;
    }
    for (size_t i = 0; i < in.bias.count; i++)
        in.bias.data[i] = (float)(4 * uniform() - 2);
    for (size_t i = 0; i < in.input.count; i++)
        in.input.data[i] = (float)(6 * uniform() - 2);
    c->weights = in.weights.data;
    c->bias = p->no_bias ? NULL : in.bias.data;
    cop_conv_reference(c, false, in.input.data, in.expected.data, NULL);
    fill_bounds(&in);
    return in;
}

void instance_free(instance *in) {
    guarded_free(&in->weights);
    guarded_free(&in->bias);
    guarded_free(&in->input);
    guarded_free(&in->expected);
    guarded_free(&in->bound);
}
