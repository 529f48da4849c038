/* coppice_compare: two models on the same data, how far apart they are and how fast each is. */
#include <math.h>
#include <string.h>

#include <coppice/compare.h>
#include <coppice/metrics.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "data/convert.h"
#include "graph/model.h"
#include "tune/timing.h"

/* Pairs of runs after which the median of the latency is steady enough. */
enum { LATENCY_RUNS = 500 };

/* Samples per run when the caller leaves it open: so many that the threads of small models do not
 * meet too often, which is slow on a busy machine, and so few that activations stay small. */
enum { USUAL_BATCH = 64, USUAL_ELEMENTS = 1 << 20 };

typedef struct compare_report {
    coppice_compare_report base; /* first: the caller's pointer is to this */
    cop_arena arena;             /* outputs and names */
} compare_report;

/* One of the two models. */
typedef struct side {
    const coppice_model *model;
    cop_timed timed; /* its session */
    int64_t hits1, hits5;
    int64_t *best; /* top-1 class per sample of a batch */
} side;

/* Everything that lives only while comparing. */
typedef struct work {
    side sides[2];
    coppice_session_options session;
    coppice_threadpool *pool;  /* owned; NULL when the caller gave one */
    coppice_value_info *infos; /* what both models take */
    size_t input_count, output_count;
    coppice_dataset *dataset;
    coppice_tensor *tensors; /* of a batch; data owned by the data set */
    int64_t *labels;
    coppice_metric_sums *sums; /* per output */
    int64_t count, batch;      /* samples: of all, of one run */
    int64_t rows; /* first dimension of a run's tensors: `batch`, or what the model fixes */
    int scores;   /* index of the output with class scores, -1: none */
    int64_t same;
} work;

void coppice_compare_options_init(coppice_compare_options *options) {
    *options = (coppice_compare_options){.latency_seconds = 2};
}

static void work_free(work *w) {
    for (int i = 0; i < 2; i++) {
        coppice_session_free(w->sides[i].timed.session);
        cop_free(w->sides[i].timed.ms);
        cop_free(w->sides[i].best);
    }
    coppice_dataset_free(w->dataset);
    cop_free(w->infos);
    cop_free(w->tensors);
    cop_free(w->labels);
    cop_free(w->sums);
    coppice_threadpool_free(w->pool);
}

/* ---- do the models match? ---- */

static coppice_status check_counts(const coppice_model *a, const coppice_model *b,
                                   coppice_error *err) {
    size_t in_a = coppice_model_input_count(a), in_b = coppice_model_input_count(b);
    size_t out_a = coppice_model_output_count(a), out_b = coppice_model_output_count(b);
    if (in_a == in_b && out_a == out_b)
        return COPPICE_OK;
    return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                    "the models do not match: A has %zu input(s) and %zu output(s), B has %zu and "
                    "%zu; compare versions of one network",
                    in_a, out_a, in_b, out_b);
}

/* Narrows `a` by what `b` declares. */
static coppice_status merge(const char *kind, coppice_value_info *a, const coppice_value_info *b,
                            coppice_error *err) {
    if (a->type != b->type)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "the models do not match: %s '%s' is %s in A, '%s' is %s in B", kind,
                        a->name, coppice_type_name(a->type), b->name, coppice_type_name(b->type));
    if (b->rank < 0)
        return COPPICE_OK;
    if (a->rank < 0) {
        const char *name = a->name;
        *a = *b;
        a->name = name;
        return COPPICE_OK;
    }
    if (a->rank != b->rank)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "the models do not match: %s '%s' has %d dimensions in A, '%s' has %d in B",
                        kind, a->name, a->rank, b->name, b->rank);
    for (int d = 0; d < a->rank; d++) {
        if (a->dims[d] < 0)
            a->dims[d] = b->dims[d];
        if (b->dims[d] >= 0 && a->dims[d] != b->dims[d])
            return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                            "the models do not match: dimension %d of %s '%s' is %lld in A, %lld "
                            "in B",
                            d, kind, a->name, (long long)a->dims[d], (long long)b->dims[d]);
    }
    return COPPICE_OK;
}

static coppice_status match_models(work *w, coppice_error *err) {
    const coppice_model *a = w->sides[0].model, *b = w->sides[1].model;
    COP_TRY(check_counts(a, b, err));
    w->input_count = coppice_model_input_count(a);
    w->output_count = coppice_model_output_count(a);
    if (w->input_count == 0)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "the models have no inputs: there is nothing to give data to");
    w->infos = cop_calloc(w->input_count, sizeof *w->infos);
    if (!w->infos)
        return cop_fail_memory(err, w->input_count * sizeof *w->infos);
    for (size_t i = 0; i < w->input_count; i++) {
        coppice_value_info other = coppice_model_input(b, i);
        w->infos[i] = coppice_model_input(a, i);
        COP_TRY(merge("input", &w->infos[i], &other, err));
    }
    for (size_t i = 0; i < w->output_count; i++) {
        coppice_value_info info = coppice_model_output(a, i), other = coppice_model_output(b, i);
        COP_TRY(merge("output", &info, &other, err));
    }
    return COPPICE_OK;
}

/* ---- setting up ---- */

static int64_t usual_batch(const work *w) {
    int64_t elements = 1; /* of the inputs of one sample, as far as declared */
    for (size_t i = 0; i < w->input_count; i++) {
        for (int d = 1; d < w->infos[i].rank; d++) {
            int64_t size = w->infos[i].dims[d] > 0 ? w->infos[i].dims[d] : 1;
            elements = size < USUAL_ELEMENTS / elements ? elements * size : USUAL_ELEMENTS;
        }
    }
    int64_t batch = USUAL_ELEMENTS / elements;
    return batch < USUAL_BATCH ? batch : USUAL_BATCH;
}

static coppice_status open_data(work *w, const coppice_dataset_options *data, int64_t wanted,
                                coppice_error *err) {
    COP_TRY(coppice_dataset_open(data, w->infos, w->input_count, &w->dataset, err));
    w->count = coppice_dataset_count(w->dataset);
    int64_t most = coppice_dataset_max_batch(w->dataset);
    wanted = wanted ? wanted : usual_batch(w);
    if (most < INT64_MAX) /* the models or the data fix it */
        wanted = most;
    w->batch = wanted < w->count ? wanted : w->count;
    w->rows = most < INT64_MAX ? most : w->batch;
    w->tensors = cop_calloc(w->input_count, sizeof *w->tensors);
    w->labels = cop_calloc((size_t)w->batch, sizeof *w->labels);
    w->sums = cop_calloc(w->output_count ? w->output_count : 1, sizeof *w->sums);
    w->sides[0].best = cop_calloc((size_t)w->batch, sizeof(int64_t));
    w->sides[1].best = cop_calloc((size_t)w->batch, sizeof(int64_t));
    if (!w->tensors || !w->labels || !w->sums || !w->sides[0].best || !w->sides[1].best)
        return cop_fail(err, COPPICE_OUT_OF_MEMORY, "out of memory for batches of %lld samples",
                        (long long)w->batch);
    return COPPICE_OK;
}

static coppice_status make_sessions(work *w, const coppice_session_options *options,
                                    coppice_error *err) {
    if (options)
        w->session = *options;
    else
        coppice_session_options_init(&w->session);
    if (!w->session.pool) { /* one pool for both: they take turns */
        COP_TRY(coppice_threadpool_create(w->session.threads, &w->pool, err));
        w->session.pool = w->pool;
    }
    for (int i = 0; i < 2; i++)
        COP_TRY(coppice_session_create(w->sides[i].model, &w->session, &w->sides[i].timed.session,
                                       err));
    return COPPICE_OK;
}

/* ---- one batch ---- */

/* Class scores: [rows, classes], also with dimensions of 1 behind. */
static bool is_scores(const coppice_tensor *t, int64_t rows) {
    if (!cop_is_numpy_float(t->type) || t->rank < 2 || t->dims[0] != rows || t->dims[1] < 2)
        return false;
    for (uint32_t d = 2; d < t->rank; d++) {
        if (t->dims[d] != 1)
            return false;
    }
    return true;
}

static int find_scores(const work *w, const coppice_tensor *a, const coppice_tensor *b) {
    for (size_t i = 0; i < w->output_count; i++) {
        if (is_scores(&a[i], w->rows) && is_scores(&b[i], w->rows))
            return (int)i;
    }
    return -1;
}

/* A view of `n` rows of `t` from row `skip` on, if its first dimension is the sample, that is, has
 * `rows` entries; else of all of it. A scalar becomes one row. */
static coppice_tensor rows_of(const coppice_tensor *t, int64_t rows, int64_t skip, int64_t n) {
    coppice_tensor view = *t;
    if (t->rank == 0) {
        view.rank = 1;
        view.dims[0] = 1;
        return view;
    }
    int64_t bytes = coppice_tensor_bytes(t);
    if (t->dims[0] != rows || bytes <= 0)
        return view;
    view.dims[0] = n;
    view.data = (char *)t->data + bytes / rows * skip;
    return view;
}

static coppice_status add_classes(work *w, const coppice_tensor views[2], const int64_t *labels,
                                  int64_t n, coppice_error *err) {
    for (int i = 0; i < 2; i++) {
        side *s = &w->sides[i];
        COP_TRY(coppice_metric_argmax(&views[i], n, s->best, err));
        if (!labels)
            continue;
        COP_TRY(coppice_metric_top_k(&views[i], labels, n, 1, &s->hits1, err));
        COP_TRY(coppice_metric_top_k(&views[i], labels, n, 5, &s->hits5, err));
    }
    for (int64_t i = 0; i < n; i++)
        w->same += w->sides[0].best[i] == w->sides[1].best[i];
    return COPPICE_OK;
}

static coppice_status add_outputs(work *w, const coppice_tensor *const outputs[2], int64_t skip,
                                  int64_t n, const int64_t *labels, coppice_error *err) {
    for (size_t i = 0; i < w->output_count; i++) {
        coppice_tensor views[2];
        for (int k = 0; k < 2; k++)
            views[k] = rows_of(&outputs[k][i], w->rows, skip, n);
        coppice_status status =
            coppice_metric_add(&w->sums[i], &views[0], &views[1], views[0].dims[0], err);
        if (status == COPPICE_OK && (int)i == w->scores)
            status = add_classes(w, views, labels, n, err);
        if (status != COPPICE_OK) {
            cop_error_prefix(err, "output '%s'", coppice_model_output(w->sides[0].model, i).name);
            return status;
        }
    }
    return COPPICE_OK;
}

/* Samples first .. first + batch - 1. The last batch is kept whole, so that nothing is compiled for
 * another shape: it begins earlier, and rows that were counted already are skipped. */
static coppice_status compare_batch(work *w, int64_t first, coppice_error *err) {
    int64_t start = first <= w->count - w->batch ? first : w->count - w->batch;
    int64_t skip = first - start, n = w->batch - skip;
    const coppice_tensor *outputs[2] = {NULL, NULL};
    COP_TRY(coppice_dataset_batch(w->dataset, start, w->batch, w->tensors, w->labels, err));
    for (int i = 0; i < 2; i++) {
        coppice_status status = coppice_session_run(w->sides[i].timed.session, w->tensors,
                                                    w->input_count, &outputs[i], err);
        if (status != COPPICE_OK) {
            cop_error_prefix(err, "model %c", 'A' + i);
            return status;
        }
    }
    bool labelled = coppice_dataset_has_labels(w->dataset);
    if (first == 0) {
        w->scores = find_scores(w, outputs[0], outputs[1]);
        if (labelled && w->scores < 0)
            return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                            "labels are given, but no output of the models holds class scores (a "
                            "float output [samples, classes]): leave the labels out");
    }
    return add_outputs(w, outputs, skip, n, labelled ? w->labels + skip : NULL, err);
}

/* ---- results ---- */

/* On the first `n` samples. */
static coppice_status measure_latency(work *w, int64_t n, double seconds, compare_report *report,
                                      coppice_error *err) {
    coppice_latency_summarize(NULL, 0, &report->base.a.latency);
    coppice_latency_summarize(NULL, 0, &report->base.b.latency);
    if (!(seconds > 0))
        return COPPICE_OK;
    cop_timed timed[2] = {w->sides[0].timed, w->sides[1].timed};
    cop_timing_limits limits = {
        .seconds = seconds, .runs = LATENCY_RUNS, .min_runs = 5, .warmup = 2};
    int64_t runs = 0;
    COP_TRY(coppice_dataset_batch(w->dataset, 0, n, w->tensors, NULL, err));
    for (int i = 0; i < 2; i++) {
        timed[i].inputs = w->tensors;
        timed[i].input_count = w->input_count;
    }
    coppice_status status = cop_time_runs(timed, 2, &limits, &runs, err);
    w->sides[0].timed.ms = timed[0].ms; /* freed with the rest */
    w->sides[1].timed.ms = timed[1].ms;
    COP_TRY(status);
    coppice_latency_summarize(timed[0].ms, (size_t)runs, &report->base.a.latency);
    coppice_latency_summarize(timed[1].ms, (size_t)runs, &report->base.b.latency);
    return COPPICE_OK;
}

static coppice_status describe_file(const coppice_model *model, coppice_compare_side *out,
                                    coppice_error *err) {
    coppice_inspection *inspection = NULL;
    COP_TRY(coppice_model_inspect(model, &inspection, err));
    out->bytes = coppice_model_file_bytes(model);
    out->sparsity =
        inspection->parameters ? (double)inspection->zeros / (double)inspection->parameters : 0;
    coppice_inspection_free(inspection);
    return COPPICE_OK;
}

static void describe_accuracy(const work *w, compare_report *report) {
    coppice_compare_report *r = &report->base;
    coppice_compare_side *sides[2] = {&r->a, &r->b};
    double count = (double)w->count;
    bool measured = r->has_labels && w->scores >= 0;
    for (int i = 0; i < 2; i++) {
        coppice_compare_side *s = sides[i];
        s->top1 = s->top1_low = s->top1_high = s->top5 = s->top5_low = s->top5_high = NAN;
        if (!measured)
            continue;
        s->top1 = (double)w->sides[i].hits1 / count;
        s->top5 = (double)w->sides[i].hits5 / count;
        coppice_metric_wilson(w->sides[i].hits1, w->count, &s->top1_low, &s->top1_high);
        coppice_metric_wilson(w->sides[i].hits5, w->count, &s->top5_low, &s->top5_high);
    }
    r->agreement = r->agreement_low = r->agreement_high = r->drop = NAN;
    if (w->scores < 0)
        return;
    r->agreement = (double)w->same / count;
    coppice_metric_wilson(w->same, w->count, &r->agreement_low, &r->agreement_high);
    int64_t lost = measured ? w->sides[0].hits1 - w->sides[1].hits1 : w->count - w->same;
    r->drop = (double)lost / count;
}

static coppice_status describe_outputs(const work *w, compare_report *report, coppice_error *err) {
    size_t count = w->output_count;
    coppice_compare_output *outputs =
        cop_arena_array(&report->arena, count ? count : 1, sizeof *outputs);
    if (!outputs)
        return cop_fail_memory(err, count * sizeof *outputs);
    for (size_t i = 0; i < count; i++) {
        outputs[i].name =
            cop_arena_strdup(&report->arena, coppice_model_output(w->sides[0].model, i).name);
        if (!outputs[i].name)
            return cop_fail_memory(err, 1);
        outputs[i].max_abs = coppice_metric_max_abs(&w->sums[i]);
        outputs[i].cosine = coppice_metric_cosine(&w->sums[i]);
        outputs[i].psnr = coppice_metric_psnr(&w->sums[i]);
        outputs[i].kl = coppice_metric_kl(&w->sums[i]);
    }
    report->base.outputs = outputs;
    report->base.output_count = count;
    if (w->scores >= 0)
        report->base.scores = outputs[w->scores].name;
    return COPPICE_OK;
}

static void report_progress(const coppice_compare_options *options, double done, double total) {
    if (!options->progress)
        return;
    const coppice_host *host = cop_memory_enter(NULL); /* should it call coppice */
    options->progress(options->user, done, total);
    cop_memory_enter(host);
}

static coppice_status compare(work *w, const coppice_dataset_options *data,
                              const coppice_compare_options *options, compare_report *report,
                              coppice_error *err) {
    coppice_compare_report *r = &report->base;
    if (options->batch < 0)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "the batch cannot be negative (%lld)",
                        (long long)options->batch);
    COP_TRY(match_models(w, err));
    COP_TRY(open_data(w, data, options->batch, err));
    COP_TRY(make_sessions(w, options->session, err));
    for (int64_t first = 0; first < w->count; first += w->batch) {
        COP_TRY(cop_check_interrupt(err));
        COP_TRY(compare_batch(w, first, err));
        report_progress(options, fmin((double)(first + w->batch), (double)w->count),
                        (double)w->count);
    }
    r->samples = w->count;
    r->batch = w->rows;
    r->has_labels = coppice_dataset_has_labels(w->dataset);
    r->threads = coppice_threadpool_threads(w->session.pool);
    bool alone = options->batch == 0 && coppice_dataset_max_batch(w->dataset) == INT64_MAX;
    r->latency_batch = alone ? 1 : w->rows;
    COP_TRY(measure_latency(w, alone ? 1 : w->batch, options->latency_seconds, report, err));
    describe_accuracy(w, report);
    COP_TRY(describe_outputs(w, report, err));
    COP_TRY(describe_file(w->sides[0].model, &r->a, err));
    return describe_file(w->sides[1].model, &r->b, err);
}

static coppice_status make_report(const coppice_model *a, const coppice_model *b,
                                  const coppice_dataset_options *data,
                                  const coppice_compare_options *options,
                                  coppice_compare_report **out, coppice_error *error) {
    compare_report *report = cop_calloc(1, sizeof *report);
    if (!report)
        return cop_fail_memory(error, sizeof *report);
    work w = {.sides = {{.model = a}, {.model = b}}, .scores = -1};
    coppice_status status = compare(&w, data, options, report, error);
    work_free(&w);
    if (status == COPPICE_OK)
        *out = &report->base;
    else
        coppice_compare_report_free(&report->base);
    return status;
}

coppice_status coppice_compare(const coppice_model *a, const coppice_model *b,
                               const coppice_dataset_options *data,
                               const coppice_compare_options *options, coppice_compare_report **out,
                               coppice_error *error) {
    coppice_compare_options defaults;
    coppice_compare_options_init(&defaults);
    *out = NULL;
    const coppice_host *before = cop_memory_enter(cop_model_host(a));
    return cop_memory_leave(before,
                            make_report(a, b, data, options ? options : &defaults, out, error));
}

void coppice_compare_report_free(coppice_compare_report *report) {
    if (!report)
        return;
    compare_report *whole = (compare_report *)report;
    cop_arena_free(&whole->arena);
    cop_free(whole);
}
