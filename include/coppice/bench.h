/* Measuring models: latency, throughput, and where the time goes.
 *
 * Times are milliseconds of wall clock. Inputs are made: float inputs are normally distributed
 * (mean 0, deviation 1), integer inputs 0, and inputs with "mask" in their name 1.
 *
 * Threads: every function here may run in several threads at once, also with the same model; what
 * they measure is of use only when nothing else runs. */
#ifndef COPPICE_BENCH_H
#define COPPICE_BENCH_H

#include <coppice/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- statistics of repeated runs ---- */

/* Percentiles are interpolated linearly between the two nearest ranks, as NumPy does; `std` is that
 * of the sample (n - 1), 0 for a single run. Every member is NaN for no runs. */
typedef struct coppice_latency {
    double mean, median, min, max, std;
    double p50, p90, p95, p99;
    int64_t runs;
} coppice_latency;

/* Sorts `ms` in place and describes it. Thread-safe. */
COPPICE_API void coppice_latency_summarize(double *ms, size_t count, coppice_latency *out);

/* ---- input shapes ---- */

/* The shape of one input. */
typedef struct coppice_input_shape {
    const char *name;
    uint32_t rank;
    int64_t dims[COPPICE_MAX_RANK];
} coppice_input_shape;

/* What free dimensions become. They are 1 unless, in this order of precedence, `shapes` names the
 * input, `dims` names the dimension, or `batch` is not 0: it is then the first dimension of the
 * first input and every dimension of the same name (without a name: every free first dimension).
 * Zero-initialise for the defaults; pointers are borrowed during the call. */
typedef struct coppice_shape_options {
    const coppice_input_shape *shapes;
    size_t shape_count;
    const coppice_dim_value *dims;
    size_t dim_count;
    int64_t batch;
} coppice_shape_options;

/* Type and shape of each input of `model` for these options: coppice_model_input_count tensors
 * without data into `tensors`. `options` may be NULL. Errors: INVALID_ARGUMENT (a name or dimension
 * that the model does not have, a shape that does not fit), UNSUPPORTED (an input that is not a
 * tensor, or of undeclared rank and not in `shapes`). Thread-safe. */
COPPICE_API coppice_status coppice_model_input_shapes(const coppice_model *model,
                                                      const coppice_shape_options *options,
                                                      coppice_tensor *tensors,
                                                      coppice_error *error);

/* Makes the data described above for one input: sets tensor->data, released with
 * coppice_tensor_release. Type and shape must be set. The same `seed` and shape give the same data.
 * Errors: UNSUPPORTED for strings and types without numbers, LIMIT, OUT_OF_MEMORY. Thread-safe. */
COPPICE_API coppice_status coppice_input_fill(const char *name, uint64_t seed,
                                              coppice_tensor *tensor, coppice_error *error);

/* ---- bench ---- */

/* Called now and then from the thread that measures: `done` of `total`, in any unit. */
typedef void (*coppice_progress)(void *user, double done, double total);

/* Initialise with coppice_bench_options_init. Pointers are borrowed during the call. */
typedef struct coppice_bench_options {
    const coppice_session_options *session; /* default NULL: the defaults */
    coppice_shape_options shape;
    double seconds; /* measure this long, all models together; default 3; 0: no limit, `runs`
                       must be set. There are at least 3 runs, and without `runs` at most
                          100,000 */
    int64_t runs;   /* stop after this many; default 0: no limit */
    int64_t warmup; /* runs before that are not counted; default 5 */
    bool profile;   /* also measure each step; default false */
    uint64_t seed;  /* of the input data; default 0 */
    coppice_progress progress; /* default NULL */
    void *user;                /* for `progress` */
} coppice_bench_options;

/* Sets every member to its default. */
COPPICE_API void coppice_bench_options_init(coppice_bench_options *options);

/* What was measured of one model. */
typedef struct coppice_bench_side {
    double prepare_ms; /* making the session: fusing, choosing kernels, packing */
    coppice_latency latency;
    double throughput;                 /* items per second: batch / mean */
    const coppice_profile_row *layers; /* with `profile`; owned by the report */
    size_t layer_count;
} coppice_bench_side;

typedef struct coppice_bench_report {
    coppice_bench_side model, other; /* `other` is zero without one */
    bool has_other;
    double ratio_median, ratio_min,
        ratio_max; /* with `other`: over the pairs of runs, time of other
                      divided by time of model; above 1: model is faster */
    int64_t batch; /* the first dimension of the first input; 1 without one */
    unsigned threads;
    coppice_isa isa;
    int64_t peak_rss_bytes; /* of the process, so far */
} coppice_bench_report;

/* Measures `model`, and with `other` (NULL: none) both in turns: each pair of runs is one of each,
 * and who goes first alternates. `other` gets the same inputs, by position. `*out` is owned by the
 * caller, free with coppice_bench_report_free; NULL on failure.
 * Errors: those of coppice_model_input_shapes, coppice_session_create and coppice_session_run;
 * INVALID_ARGUMENT (neither time nor runs, negative numbers, inputs that `other` does not take);
 * INTERRUPTED. Thread-safe. */
COPPICE_API coppice_status coppice_bench(const coppice_model *model, const coppice_model *other,
                                         const coppice_bench_options *options,
                                         coppice_bench_report **out, coppice_error *error);

/* NULL is fine. */
COPPICE_API void coppice_bench_report_free(coppice_bench_report *report);

#ifdef __cplusplus
}
#endif

#endif
