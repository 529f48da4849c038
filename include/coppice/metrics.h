/* Metrics: top-k hits, and how far one model's outputs are from another's.
 *
 * Scores are float32, float16 or float64 tensors whose first dimension is the sample; `rows` says
 * how many samples count (the first ones, at most dims[0]). All functions are thread-safe;
 * accumulators belong to one thread at a time. Other types: UNSUPPORTED. */
#ifndef COPPICE_METRICS_H
#define COPPICE_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include <coppice/export.h>
#include <coppice/status.h>
#include <coppice/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Smallest, largest and mean value of a tensor of floats, integers (of any width) or bools; NaN
 * when it holds a NaN, no value, or values of another type. */
COPPICE_API void coppice_tensor_range(const coppice_tensor *tensor, double *min, double *max,
                                      double *mean);

/* Adds to `*hits` the number of rows whose label is among the k highest scores. All values of a
 * sample are its classes ([n,1000] as well as [n,1000,1,1]). Of equal scores the lower index comes
 * first and NaN comes last, as in a stable descending argsort. A label outside 0 .. classes-1 is
 * BAD_DATA. */
COPPICE_API coppice_status coppice_metric_top_k(const coppice_tensor *scores, const int64_t *labels,
                                                int64_t rows, int64_t k, int64_t *hits,
                                                coppice_error *error);

/* The index of the highest score of each row (top-1, same ties) into best[0 .. rows-1]. */
COPPICE_API coppice_status coppice_metric_argmax(const coppice_tensor *scores, int64_t rows,
                                                 int64_t *best, coppice_error *error);

/* Wilson's 95 % score interval of the proportion hits / count (Wilson 1927, z = 1.96); [0, 1] for a
 * count of 0. */
COPPICE_API void coppice_metric_wilson(int64_t hits, int64_t count, double *low, double *high);

/* Sums over batches of what the functions below need. Zero-initialise; nothing to free. The members
 * are no part of the interface. */
typedef struct coppice_metric_sums {
    double max_abs, squares, dot, square_a, square_b, low, high, kl;
    int64_t values, rows;
} coppice_metric_sums;

/* Adds one batch: `a` is the reference, `b` the other model's output of the same shape (precisions
 * may differ). Integer and bool outputs are taken as numbers. Errors: BAD_DATA when shapes differ.
 */
COPPICE_API coppice_status coppice_metric_add(coppice_metric_sums *sums, const coppice_tensor *a,
                                              const coppice_tensor *b, int64_t rows,
                                              coppice_error *error);

/* Results over everything added; NaN without values or when an output held NaN. */

/* max |a - b|. */
COPPICE_API double coppice_metric_max_abs(const coppice_metric_sums *sums);

/* Cosine of the angle between all of a and all of b as one vector each; 1 when both are zero, 0
 * when one is. */
COPPICE_API double coppice_metric_cosine(const coppice_metric_sums *sums);

/* Peak signal-to-noise ratio in dB: 10 log10(peak^2 / mean((a-b)^2)), peak = max(a) - min(a), or
 * |a| for constant a; +infinity when a equals b. */
COPPICE_API double coppice_metric_psnr(const coppice_metric_sums *sums);

/* Kullback-Leibler divergence KL(A||B) in nats, mean over the distributions. A distribution runs
 * over dimension 1 for [n,c] and [n,c,h,w], over the last for [n,t,c]; softmax comes first unless
 * both rows are probabilities already (no negative value, sum within 0.001 of 1; q is then at least
 * 1e-30). */
COPPICE_API double coppice_metric_kl(const coppice_metric_sums *sums);

#ifdef __cplusplus
}
#endif

#endif
