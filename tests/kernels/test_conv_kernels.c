/* Every row of the kernel table against the reference, on shapes chosen to break kernels.
 *
 * The bound: both results are sums of K products and a bias in some order, in float, fused or not.
 * Any such sum is off by at most (K + 1) u * S, with u = 2^-24 and S = |bias| + sum |w| |x|, to
 * first order; two of them differ by at most twice that. (K + 2) * FLT_EPSILON * S leaves a little
 * room for the second order, and (K + 2) * FLT_MIN for products flushed to zero. Clamping moves no
 * two numbers apart. */
#include <check.h>
#include <float.h>
#include <stdio.h>

#include "runtime/conv.h"
#include "runtime/kernels/native.h"
#include "tests/kernels/guarded.h"
#include "tests/unit/unit.h"

/* One problem; zero fields mean 1 (0 for padding). */
typedef struct problem {
    const char *name;
    size_t batch, groups, in_c, out_c, h, w, kernel, stride, dilation;
    size_t pads[4]; /* top, left, bottom, right */
    double zeros;   /* share of zero weights */
    float min, max; /* equal: no clamp */
    bool no_bias, tokens, empty_rows;
    size_t kernel_w, stride_w, dilation_w; /* where they differ from the height's */
} problem;

static const problem problems[] = {
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
    {"201 tokens", .in_c = 48, .out_c = 33, .h = 1, .w = 201, .zeros = 0.9, .tokens = true},
};
enum { PROBLEMS = sizeof problems / sizeof *problems };

static uint64_t random_state;

/* Uniform in 0 .. 1, the same on every machine. */
static double uniform(void) {
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(random_state >> 11) / 9007199254740992.0;
}

static size_t or_one(size_t n) {
    return n ? n : 1;
}

static size_t out_size(size_t in, size_t pads, size_t kernel, size_t stride, size_t dilation) {
    return (in + pads - ((kernel - 1) * dilation + 1)) / stride + 1;
}

static cop_conv conv_of(const problem *p) {
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

/* A problem with its data, the reference's result and the bound of each output. */
typedef struct instance {
    cop_conv conv;
    size_t row; /* weights of an output channel */
    guarded weights, bias, input, expected, bound;
} instance;

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

static instance instance_new(const problem *p) {
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
        bool zero = uniform() < p->zeros || (p->empty_rows && i / in.row % 3 == 0);
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

static void instance_free(instance *in) {
    guarded_free(&in->weights);
    guarded_free(&in->bias);
    guarded_free(&in->input);
    guarded_free(&in->expected);
    guarded_free(&in->bound);
}

/* [n][channels][pixels] to [n][pixels][channels]. */
static guarded channels_last(const guarded *from, size_t channels, size_t pixels) {
    guarded to = guarded_new(from->count);
    for (size_t i = 0; i < from->count; i++) {
        size_t image = i / (channels * pixels), c = i / pixels % channels, p = i % pixels;
        to.data[(image * pixels + p) * channels + c] = from->data[i];
    }
    return to;
}

static guarded channels_first(const guarded *from, size_t channels, size_t pixels) {
    return channels_last(from, pixels, channels);
}

/* One pool per number of threads, for the life of a test's process. */
static coppice_threadpool *pool_of(unsigned threads) {
    static coppice_threadpool *pools[3];
    if (!pools[threads])
        ck_assert_int_eq(coppice_threadpool_create(threads, &pools[threads], NULL), COPPICE_OK);
    return pools[threads];
}

/* Runs a kernel on `threads` threads, twice with different buffers; the result is channels first.
 * False: the kernel is not for this machine or problem. */
static bool run_kernel(const cop_conv_kernel *k, const cop_conv *conv, const guarded *input,
                       unsigned threads, guarded *result) {
    coppice_threadpool *pool = pool_of(threads);
    coppice_error err = {0};
    void *state = NULL;
    if (!cop_isa_available(k->isa) || !k->supports(conv))
        return false;
    coppice_status status = k->create(conv, pool, &state, &err);
    if (status == COPPICE_UNSUPPORTED) {
        ck_assert_ptr_null(state);
        return false;
    }
    ck_assert_msg(status == COPPICE_OK, "%s: %s", k->name, err.message);
    bool last = k->form == COP_FORM_CHANNELS_LAST;
    guarded in = last ? channels_last(input, conv->in_channels, conv->in_h * conv->in_w)
                      : channels_last(input, 1, 1);
    size_t count = conv->batch * conv->out_channels * conv->out_h * conv->out_w;
    guarded first = guarded_new(count), out = guarded_new(count);
    guarded scratch = guarded_new(k->scratch ? (k->scratch(state) + 3) / 4 : 0);
    cop_conv_io io = {.input = in.data, .output = first.data, .scratch = scratch.data};
    ck_assert_int_eq(k->run(state, &io, pool, &err), COPPICE_OK);
    io.output = out.data;
    ck_assert_int_eq(k->run(state, &io, pool, &err), COPPICE_OK);
    ck_assert_msg(memcmp(first.data, out.data, count * sizeof(float)) == 0,
                  "%s: a second run differs", k->name);
    ck_assert_msg(guarded_intact(&in) && guarded_intact(&out) && guarded_intact(&scratch),
                  "%s: wrote outside its buffers", k->name);
    *result = last ? channels_first(&out, conv->out_channels, conv->out_h * conv->out_w)
                   : channels_last(&out, 1, 1);
    k->destroy(state);
    guarded_free(&in);
    guarded_free(&first);
    guarded_free(&out);
    guarded_free(&scratch);
    return true;
}

static void check_result(const cop_conv_kernel *k, const problem *p, const instance *in,
                         const guarded *got) {
    for (size_t i = 0; i < got->count; i++) {
        float difference = fabsf(got->data[i] - in->expected.data[i]);
        ck_assert_msg(difference <= in->bound.data[i],
                      "%s, %s: output %zu is %g, expected %g within %g", k->name, p->name, i,
                      (double)got->data[i], (double)in->expected.data[i],
                      (double)in->bound.data[i]);
    }
}

START_TEST(every_kernel_agrees_with_the_reference_on_1_and_2_threads) {
    const problem *p = &problems[_i];
    instance in = instance_new(p);
    for (size_t i = 0; cop_conv_kernels[i]; i++) {
        const cop_conv_kernel *k = cop_conv_kernels[i];
        guarded one, two;
        if (!run_kernel(k, &in.conv, &in.input, 1, &one))
            continue;
        check_result(k, p, &in, &one);
        ck_assert(run_kernel(k, &in.conv, &in.input, 2, &two));
        ck_assert_msg(memcmp(one.data, two.data, one.count * sizeof(float)) == 0,
                      "%s, %s: 2 threads give another result than 1", k->name, p->name);
        guarded_free(&one);
        guarded_free(&two);
    }
    instance_free(&in);
}
END_TEST

START_TEST(the_portable_sparse_kernel_supports_every_convolution) {
    for (int i = 0; i < PROBLEMS; i++) {
        cop_conv c = conv_of(&problems[i]);
        ck_assert_msg(cop_native_conv_supports(&c), "%s", problems[i].name);
    }
}
END_TEST

START_TEST(sizes_that_overflow_are_not_supported) {
    const size_t huge = SIZE_MAX / 3;
    cop_conv c = conv_of(&problems[16]);
    size_t *const sizes[] = {&c.batch,    &c.in_channels, &c.out_channels, &c.in_h,
                             &c.in_w,     &c.out_h,       &c.out_w,        &c.kernel_h,
                             &c.kernel_w, &c.stride_h,    &c.dilation_h,   &c.dilation_w,
                             &c.pad_top,  &c.pad_left,    &c.pad_bottom,   &c.pad_right};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t saved = *sizes[i];
        *sizes[i] = huge;
        for (size_t k = 0; cop_conv_kernels[k]; k++)
            ck_assert_msg(cop_conv_kernels[k]->backend != COPPICE_BACKEND_NATIVE ||
                              !cop_conv_kernels[k]->supports(&c),
                          "%s takes size %zu", cop_conv_kernels[k]->name, i);
        *sizes[i] = saved;
    }
}
END_TEST

/* A kernel that supports none of the problems above would pass unseen. */
START_TEST(every_kernel_supports_some_problem) {
    for (size_t i = 0; cop_conv_kernels[i]; i++) {
        int supported = 0;
        for (int j = 0; j < PROBLEMS; j++) {
            cop_conv c = conv_of(&problems[j]);
            supported += cop_conv_kernels[i]->supports(&c);
        }
        ck_assert_msg(supported > 0, "%s", cop_conv_kernels[i]->name);
    }
}
END_TEST

/* 1e-40 * 1e20 is 1e-20 where denormals count, 0 where they are flushed. */
START_TEST(every_kernel_takes_denormal_inputs_for_zero) {
    const problem *p = &problems[_i * 4 + 3]; /* every fourth is enough */
    instance in = instance_new(p);
    in.conv.bias = NULL;
    in.conv.min = -INFINITY;
    in.conv.max = INFINITY;
    for (size_t i = 0; i < in.input.count; i++)
        in.input.data[i] = 1e-40f;
    for (size_t i = 0; i < in.weights.count; i++)
        in.weights.data[i] *= 1e20f;
    for (size_t i = 0; cop_conv_kernels[i]; i++)
        for (unsigned threads = 1; threads <= 2; threads++) {
            guarded got;
            if (!run_kernel(cop_conv_kernels[i], &in.conv, &in.input, threads, &got))
                continue;
            for (size_t j = 0; j < got.count; j++)
                ck_assert_msg(got.data[j] == 0, "%s, %s: output %zu is %g",
                              cop_conv_kernels[i]->name, p->name, j, (double)got.data[j]);
            guarded_free(&got);
        }
    instance_free(&in);
}
END_TEST

/* Input channel 0 is NaN, and every weight on it is zero. */
START_TEST(sparse_kernels_skip_inputs_under_pruned_weights) {
    const problem *p = &problems[_i * 2 + 1]; /* every second is enough */
    instance in = instance_new(p);
    cop_conv *c = &in.conv;
    size_t taps = c->kernel_h * c->kernel_w, plane = c->in_h * c->in_w;
    for (size_t o = 0; o < c->out_channels / c->groups; o++)
        for (size_t t = 0; t < taps; t++)
            in.weights.data[o * in.row + t] = 0.0f;
    for (size_t n = 0; n < c->batch; n++)
        for (size_t i = 0; i < plane; i++)
            in.input.data[n * c->in_channels * plane + i] = NAN;
    for (size_t i = 0; cop_conv_kernels[i]; i++) {
        guarded got;
        if (!cop_conv_kernels[i]->sparse || !run_kernel(cop_conv_kernels[i], c, &in.input, 1, &got))
            continue;
        for (size_t j = 0; j < got.count; j++)
            ck_assert_msg(!isnan(got.data[j]), "%s, %s", cop_conv_kernels[i]->name, p->name);
        guarded_free(&got);
    }
    instance_free(&in);
}
END_TEST

int main(void) {
    TCase *kernels = tcase_create("kernels");
    tcase_set_timeout(kernels, 120);
    tcase_add_loop_test(kernels, every_kernel_agrees_with_the_reference_on_1_and_2_threads, 0,
                        PROBLEMS);
    tcase_add_test(kernels, the_portable_sparse_kernel_supports_every_convolution);
    tcase_add_test(kernels, sizes_that_overflow_are_not_supported);
    tcase_add_test(kernels, every_kernel_supports_some_problem);
    tcase_add_loop_test(kernels, every_kernel_takes_denormal_inputs_for_zero, 0, PROBLEMS / 4);
    tcase_add_loop_test(kernels, sparse_kernels_skip_inputs_under_pruned_weights, 0, PROBLEMS / 2);
    return unit_run("conv_kernels", kernels);
}
