/* Prints useful GFLOP/s (zero weights not counted) of every convolution kernel per layer shape, and
 * the share of what one core of this machine can do with operands in its L1 cache (a dense kernel
 * that keeps operands in registers may do more), times the threads:
 *     bench_conv [--threads N] [--zeros 0.9] [--block 4] [--layer TEXT] [--kernel TEXT]
 * --block: so many output channels in a row share where their zeros are.
 * Rounds over the kernels are interleaved; the best of each is taken. */
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/conv.h"
#include "runtime/layout.h"
#include "tests/bench/peak.h"

typedef struct layer {
    const char *name;
    size_t in_c, out_c, size, kernel, stride, groups;
    size_t tokens; /* a matrix product */
} layer;

static const layer layers[] = {
    {"7x7/2 3>64 224x224", 3, 64, 224, 7, 2, 1, 0},
    {"3x3/2 3>32 224x224", 3, 32, 224, 3, 2, 1, 0},
    {"1x1 64>64 56x56", 64, 64, 56, 1, 1, 1, 0},
    {"1x1 256>64 56x56", 256, 64, 56, 1, 1, 1, 0},
    {"1x1 64>256 56x56", 64, 256, 56, 1, 1, 1, 0},
    {"3x3 64>64 56x56", 64, 64, 56, 3, 1, 1, 0},
    {"1x1 512>128 28x28", 512, 128, 28, 1, 1, 1, 0},
    {"1x1 128>512 28x28", 128, 512, 28, 1, 1, 1, 0},
    {"3x3 128>128 28x28", 128, 128, 28, 3, 1, 1, 0},
    {"3x3/2 128>128 56x56", 128, 128, 56, 3, 2, 1, 0},
    {"1x1/2 256>512 56x56", 256, 512, 56, 1, 2, 1, 0},
    {"1x1 1024>256 14x14", 1024, 256, 14, 1, 1, 1, 0},
    {"1x1 256>1024 14x14", 256, 1024, 14, 1, 1, 1, 0},
    {"3x3 256>256 14x14", 256, 256, 14, 3, 1, 1, 0},
    {"1x1 2048>512 7x7", 2048, 512, 7, 1, 1, 1, 0},
    {"1x1 512>2048 7x7", 512, 2048, 7, 1, 1, 1, 0},
    {"3x3 512>512 7x7", 512, 512, 7, 3, 1, 1, 0},
    {"dw 3x3 96 112x112", 96, 96, 112, 3, 1, 96, 0},
    {"dw 3x3/2 96 112x112", 96, 96, 112, 3, 2, 96, 0},
    {"dw 3x3/2 192 28x28", 192, 192, 28, 3, 2, 192, 0},
    {"dw 3x3/2 576 14x14", 576, 576, 14, 3, 2, 576, 0},
    {"dw 3x3 144 56x56", 144, 144, 56, 3, 1, 144, 0},
    {"dw 3x3 384 14x14", 384, 384, 14, 3, 1, 384, 0},
    {"dw 3x3 960 7x7", 960, 960, 7, 3, 1, 960, 0},
    {"dw 5x5 240 28x28", 240, 240, 28, 5, 1, 240, 0},
    {"gemm 768>768 128 tokens", 768, 768, 0, 1, 1, 1, 128},
    {"gemm 768>3072 128 tokens", 768, 3072, 0, 1, 1, 1, 128},
    {"gemm 3072>768 128 tokens", 3072, 768, 0, 1, 1, 1, 128},
    {"gemm 2048>1000 1 token", 2048, 1000, 0, 1, 1, 1, 1},
};
enum { LAYERS = sizeof layers / sizeof *layers, MAX_KERNELS = 32, ROUNDS = 5 };

typedef struct options {
    unsigned threads;
    double zeros;
    size_t block; /* output channels */
    const char *layer, *kernel;
    double limit; /* GFLOP/s of all threads */
} options;

static void *aligned(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (!p)
        abort();
    memset(p, 0, (bytes + 127) / 64 * 64);
    return p;
}

static double uniform(void) {
    return rand() / (RAND_MAX + 1.0);
}

/* Zeros and random numbers; rows of a block have their zeros in the same columns. The number that
 * are not zero. */
static size_t fill_weights(float *weights, size_t rows, size_t columns, size_t block,
                           double zeros) {
    size_t nonzeros = 0;
    for (size_t row = 0; row < rows; row++) {
        for (size_t k = 0; k < columns; k++) {
            float *w = &weights[row * columns + k];
            bool zero = row % block ? w[-(ptrdiff_t)columns] == 0 : uniform() < zeros;
            *w = zero ? 0.0f : (float)(0.5 + uniform());
            nonzeros += !zero;
        }
    }
    return nonzeros;
}

static cop_conv conv_of(const layer *l, const options *o, float *weights) {
    cop_conv c = {.batch = 1,
                  .groups = l->groups,
                  .in_channels = l->in_c,
                  .out_channels = l->out_c,
                  .in_h = l->tokens ? 1 : l->size,
                  .in_w = l->tokens ? l->tokens : l->size,
                  .kernel_h = l->kernel,
                  .kernel_w = l->kernel,
                  .stride_h = l->stride,
                  .stride_w = l->stride,
                  .dilation_h = 1,
                  .dilation_w = 1,
                  .min = 0,
                  .max = INFINITY,
                  .weights = weights,
                  .tokens = l->tokens != 0};
    c.pad_top = c.pad_left = c.pad_bottom = c.pad_right = l->kernel / 2;
    c.out_h = (c.in_h + 2 * c.pad_top - l->kernel) / l->stride + 1;
    c.out_w = (c.in_w + 2 * c.pad_left - l->kernel) / l->stride + 1;
    c.nonzeros = fill_weights(weights, l->out_c, l->in_c / l->groups * l->kernel * l->kernel,
                              o->block, l->groups == 1 ? o->zeros : 0);
    return c;
}

typedef struct candidate {
    const cop_conv_kernel *kernel;
    void *state, *scratch;
    double best;
} candidate;

/* Seconds of the shortest run within 30 ms. */
static double time_one(candidate *k, const float *input, float *output,
                       const coppice_threadpool *pool) {
    coppice_error err;
    double best = INFINITY, begin = cop_now_ms(), before = begin, after;
    do {
        const cop_conv_io io = {.input = input, .output = output, .scratch = k->scratch};
        if (k->kernel->run(k->state, &io, pool, &err))
            return INFINITY;
        after = cop_now_ms();
        best = fmin(best, after - before);
        before = after;
    } while (after - begin < 30);
    return best;
}

static size_t prepare(const cop_conv *c, const options *o, const coppice_threadpool *pool,
                      candidate *list) {
    size_t n = 0;
    coppice_error err;
    for (size_t i = 0; cop_conv_kernels[i] && n < MAX_KERNELS; i++) {
        const cop_conv_kernel *k = cop_conv_kernels[i];
        candidate *to = &list[n];
        if (k->backend == COPPICE_BACKEND_REFERENCE || !cop_isa_available(k->isa) ||
            !k->supports(c) || (o->kernel && !strstr(k->name, o->kernel)) ||
            k->create(c, pool, &to->state, &err))
            continue;
        to->kernel = k;
        to->best = INFINITY;
        to->scratch = k->scratch ? aligned(k->scratch(to->state)) : NULL;
        n++;
    }
    return n;
}

/* Floats of activations in any form. */
static size_t room(size_t channels, size_t positions) {
    size_t tile = cop_tile_width(positions);
    return channels * ((positions + tile - 1) / tile * tile);
}

static void bench(const layer *l, const options *o, const coppice_threadpool *pool) {
    candidate list[MAX_KERNELS] = {0};
    float *weights = aligned(l->in_c / l->groups * l->out_c * l->kernel * l->kernel * 4);
    cop_conv c = conv_of(l, o, weights);
    size_t inputs = room(c.in_channels, c.in_h * c.in_w);
    size_t outputs = room(c.out_channels, c.out_h * c.out_w);
    float *input = aligned(inputs * 4), *output = aligned(outputs * 4);
    for (size_t i = 0; i < inputs; i++)
        input[i] = (float)uniform();
    size_t n = prepare(&c, o, pool, list);
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < n; i++)
            list[i].best = fmin(list[i].best, time_one(&list[i], input, output, pool));
    double flops = 2.0 * (double)c.nonzeros * (double)(c.out_h * c.out_w);
    for (size_t i = 0; i < n; i++) {
        double rate = 1e-6 * flops / list[i].best;
        printf("%-26s %4.0f%% %-30s %9.3f ms %7.1f GFLOP/s %4.0f%%\n", l->name, 100 * o->zeros,
               list[i].kernel->name, list[i].best, rate, 100 * rate / o->limit);
        list[i].kernel->destroy(list[i].state);
        free(list[i].scratch);
    }
    free(weights);
    free(input);
    free(output);
}

int main(int argc, char **argv) {
    options o = {.threads = 1, .zeros = 0.9, .block = 1};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--threads") == 0)
            o.threads = (unsigned)atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--zeros") == 0)
            o.zeros = atof(argv[i + 1]);
        else if (strcmp(argv[i], "--block") == 0 && atoi(argv[i + 1]) > 0)
            o.block = (size_t)atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--layer") == 0)
            o.layer = argv[i + 1];
        else if (strcmp(argv[i], "--kernel") == 0)
            o.kernel = argv[i + 1];
        else
            return 2;
    }
    coppice_threadpool *pool = NULL;
    if (coppice_threadpool_create(o.threads, &pool, NULL))
        return 2;
    coppice_isa isa;
    if (cop_isa_resolve(COPPICE_ISA_BEST, &isa, NULL))
        return 2;
    peak most = peak_measure(isa);
    printf("one core, %s: %.0f GFLOP/s from registers, %.0f from L1, %.0f from L2\n",
           coppice_isa_name(isa), most.registers, most.l1, most.l2);
    o.limit = most.l1 * (o.threads ? o.threads : 1);
    for (int i = 0; i < LAYERS; i++)
        if (!o.layer || strstr(layers[i].name, o.layer))
            bench(&layers[i], &o, pool);
    coppice_threadpool_free(pool);
    return 0;
}
