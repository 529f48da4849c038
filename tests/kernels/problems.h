/* Convolutions to try kernels on: shapes chosen to break them, with data, the result of the
 * reference and how far from it a result may be.
 *
 * The bound: both results are sums of K products and a bias in some order, in float, fused or not.
 * Any such sum is off by at most (K + 1) u * S, with u = 2^-24 and S = |bias| + sum |w| |x|, to
 * first order; two of them differ by at most twice that. (K + 2) * FLT_EPSILON * S leaves a little
 * room for the second order, and (K + 2) * FLT_MIN for products flushed to zero. Clamping moves no
 * two numbers apart. */
#ifndef COP_TESTS_PROBLEMS_H
#define COP_TESTS_PROBLEMS_H

#include "runtime/conv.h"
#include "tests/kernels/guarded.h"

/* One problem; zero fields mean 1 (0 for padding). */
typedef struct problem {
    const char *name;
    size_t batch, groups, in_c, out_c, h, w, kernel, stride, dilation;
    size_t pads[4]; /* top, left, bottom, right */
    double zeros;   /* share of zero weights */
    float min, max; /* equal: no clamp */
    bool no_bias, tokens, empty_rows;
    bool blocks;                           /* weights are zero four output channels at a time */
    size_t kernel_w, stride_w, dilation_w; /* where they differ from the height's */
} problem;

extern const problem problems[];
extern const int problem_count;

/* The convolution of a problem, without weights. */
cop_conv conv_of(const problem *p);

/* Uniform in 0 .. 1, the same on every machine; every instance begins anew. */
double uniform(void);

/* A problem with its data, the reference's result and the bound of each output. */
typedef struct instance {
    cop_conv conv;
    size_t row; /* weights of an output channel */
    guarded weights, bias, input, expected, bound;
} instance;

instance instance_new(const problem *p);
void instance_free(instance *in);

#endif
