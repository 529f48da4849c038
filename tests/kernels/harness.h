/* Runs a convolution kernel under conditions that it should not notice. */
#ifndef COP_TESTS_HARNESS_H
#define COP_TESTS_HARNESS_H

#include "tests/kernels/problems.h"

/* One pool per number of threads (1 or 2), for the life of a test's process. */
coppice_threadpool *pool_of(unsigned threads);

/* Is there a result of this kernel here: does this CPU run it, and may it be asked for `conv`? */
bool kernel_applies(const cop_conv_kernel *k, const cop_conv *conv);

/* Runs a kernel on `threads` threads. `residual` (NULL unless in->conv.residual) and the result
 * are [batch][channels][h][w]; the kernel gets and makes its own form. False: it refused.
 *
 * It runs twice, and both results must be the same bits. In between everything changes that it may
 * not depend on: on which side of its buffers the forbidden page lies, what is in its output, its
 * scratch and behind the last position of a tile (NaN, then huge numbers), and whether the residual
 * is the output. Weights and bias are forbidden once it is created. */
bool run_kernel(const cop_conv_kernel *k, const instance *in, const guarded *residual,
                unsigned threads, guarded *result);

/* Each of `expected` within `bound` of it, else the test fails. */
void check_close(const cop_conv_kernel *k, const char *name, const guarded *expected,
                 const guarded *bound, const guarded *got);

#endif
