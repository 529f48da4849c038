/* What pruning cost: two models side by side on the same data.
 *
 * `a` is the reference, usually the dense model; `b` the other, usually the pruned one.
 *
 * Threads: comparisons may run in several threads at once, also of the same models. */
#ifndef COPPICE_COMPARE_H
#define COPPICE_COMPARE_H

#include <coppice/bench.h>
#include <coppice/data.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Initialise with coppice_compare_options_init. Pointers are borrowed during the call. */
typedef struct coppice_compare_options {
    const coppice_session_options *session; /* of both models; default NULL: the defaults */
    int64_t batch; /* samples per run, not more than there are; default 0: up to 64, as the size of
                      a sample allows, but 1 to measure the latency. A first dimension that a model
                      fixes decides instead */
    double latency_seconds;    /* time both models, in turns, on the first batch for this long after
                                 the data was seen, at most 500 times; default 2; 0: do not */
    coppice_progress progress; /* samples done of all; default NULL */
    void *user;                /* for `progress` */
} coppice_compare_options;

/* Sets every member to its default. */
COPPICE_API void coppice_compare_options_init(coppice_compare_options *options);

/* Fractions are 0 .. 1, NaN when they were not measured. */
typedef struct coppice_compare_side {
    double top1, top5;          /* of the samples; NaN without labels or without class scores */
    double top1_low, top1_high; /* Wilson's 95 % interval */
    double top5_low, top5_high;
    double sparsity;         /* zeros among the prunable weights (coppice_model_inspect) */
    int64_t bytes;           /* of the file, external data included */
    coppice_latency latency; /* of one run with `batch` samples */
} coppice_compare_side;

/* How far an output of b is from that of a, over all samples (see metrics.h). */
typedef struct coppice_compare_output {
    const char *name; /* as in `a`; owned by the report */
    double max_abs, cosine, psnr, kl;
} coppice_compare_output;

typedef struct coppice_compare_report {
    coppice_compare_side a, b;
    int64_t samples, batch, latency_batch;
    bool has_labels;
    const char *scores; /* the output of `a` taken as class scores: the first float output
                           [n, classes], also [n, classes, 1, 1]; NULL: there is none */
    double agreement;   /* share of samples where both models' best class is the same */
    double agreement_low, agreement_high; /* Wilson's 95 % interval */
    double drop; /* what is lost: top1 of a minus top1 of b with labels, 1 - agreement
                    without; NaN without class scores */
    const coppice_compare_output *outputs;
    size_t output_count;
    unsigned threads;
} coppice_compare_report;

/* Runs both models on the data. Inputs and outputs are matched by position; their names may differ,
 * types must not, nor fixed dimensions. The data set is opened for the inputs of `a` (see data.h).
 * `*out` is owned by the caller, free with coppice_compare_report_free; NULL on failure.
 * Errors: INVALID_ARGUMENT (models that do not match, labels but no output with class scores),
 * those of coppice_dataset_open and coppice_dataset_batch, of coppice_session_create and
 * coppice_session_run; INTERRUPTED. Thread-safe. */
COPPICE_API coppice_status coppice_compare(const coppice_model *a, const coppice_model *b,
                                           const coppice_dataset_options *data,
                                           const coppice_compare_options *options,
                                           coppice_compare_report **out, coppice_error *error);

/* NULL is fine. */
COPPICE_API void coppice_compare_report_free(coppice_compare_report *report);

#ifdef __cplusplus
}
#endif

#endif
