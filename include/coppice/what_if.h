/* How fast a model would be if it were pruned, before anybody prunes it.
 *
 * Weights are masked in memory by magnitude, as coppice_prune would, and the masked model is
 * measured in turns with the model as it is: dense kernels, sparse kernels, layouts and threads are
 * those of the real thing. Nothing is said of accuracy. */
#ifndef COPPICE_WHAT_IF_H
#define COPPICE_WHAT_IF_H

#include <coppice/bench.h>
#include <coppice/prune.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Initialise with coppice_what_if_options_init. Pointers are borrowed during the call. */
typedef struct coppice_what_if_options {
    const coppice_bench_options *bench; /* session, shapes, time for each sparsity, progress;
                                           `profile` is not looked at; default NULL: the defaults */
    const coppice_prune_options *prune; /* which weights: keep rules, patterns of names, rules of
                                           layers; default NULL: the defaults */
    const double *sparsities;           /* 0 .. 1, at least one; none with N:M */
    size_t sparsity_count;
    /* What the zeros look like, as in coppice_prune_options; default NULL: as `prune` has it. With
     * "N:M" the sparsity is 1 - N/M. */
    const char *pattern;
} coppice_what_if_options;

/* Sets every member to its default. */
COPPICE_API void coppice_what_if_options_init(coppice_what_if_options *options);

/* A layer at one sparsity. Times are NaN where the layer is no step of its own. */
typedef struct coppice_what_if_time {
    double sparsity;            /* of its weight then */
    double ms;                  /* as measured within the model */
    double dense_ms, sparse_ms; /* the best kernel of each kind; < 0: not timed */
    bool sparse;                /* the kernel that was taken skips zeros */
    const char *kernel;         /* "" without a step */
} coppice_what_if_time;

/* One prunable weight. */
typedef struct coppice_what_if_layer {
    const char *initializer, *node, *op;
    uint32_t rank;
    int64_t dims[COPPICE_MAX_RANK];
    int64_t weights;
    const char *kept_dense;             /* the reason, NULL when it would be pruned */
    const coppice_what_if_time *points; /* the model as it is first, then one per sparsity */
    double pays_from; /* sparsity from which sparse kernels are faster here, as estimated from the
                         times above; NaN: not known */
} coppice_what_if_layer;

/* The whole model at one sparsity. */
typedef struct coppice_what_if_point {
    double sparsity;  /* over the chosen weights */
    double macs_left; /* share of the multiply-accumulates of all weights; NaN: not known */
    coppice_latency latency;
    double speedup, speedup_min, speedup_max; /* over pairs of runs: time as it is / time then */
    size_t sparse_layers;                     /* layers that took a kernel that skips zeros */
} coppice_what_if_point;

typedef struct coppice_what_if_report {
    const char *pattern;
    coppice_what_if_point *points; /* as it is first (speedup 1), then one per sparsity */
    size_t point_count;            /* 1 + sparsities */
    coppice_what_if_layer *layers;
    size_t layer_count;
    int64_t batch;
    unsigned threads;
    coppice_isa isa;
} coppice_what_if_report;

/* *out is owned by the caller, free with coppice_what_if_report_free; NULL on failure. Errors:
 * those of coppice_bench and coppice_prune, INVALID_ARGUMENT for a pattern or sparsity that makes
 * no sense. */
COPPICE_API coppice_status coppice_what_if(const coppice_model *model,
                                           const coppice_what_if_options *options,
                                           coppice_what_if_report **out, coppice_error *error);

/* NULL is fine. */
COPPICE_API void coppice_what_if_report_free(coppice_what_if_report *report);

#ifdef __cplusplus
}
#endif

#endif
