/* coppice_what_if: the speed of a model that is not pruned yet, by masks in memory. */
#include <coppice/what_if.h>

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "graph/model.h"
#include "prune/wanted.h"
#include "tune/macs.h"
#include "tune/setup.h"

typedef struct what_if_report {
    coppice_what_if_report base; /* first: the caller's pointer is to this */
    cop_arena arena;             /* all of it */
} what_if_report;

/* Everything that lives only while measuring. */
typedef struct work {
    const coppice_model *model;
    const cop_graph *graph;
    coppice_bench_options bench;
    coppice_prune_options prune;
    double *sparsities; /* [point_count - 1] */
    cop_setup setup;
    cop_timed timed[2]; /* the model as it is; masked */
    what_if_report *report;
    coppice_error *err;
} work;

void coppice_what_if_options_init(coppice_what_if_options *options) {
    *options = (coppice_what_if_options){0};
}

void coppice_what_if_report_free(coppice_what_if_report *report) {
    if (!report)
        return;
    what_if_report *whole = (what_if_report *)report;
    cop_arena_free(&whole->arena);
    cop_free(whole);
}

static void end_session(cop_timed *timed) {
    coppice_session_free(timed->session);
    cop_free(timed->ms);
    *timed = (cop_timed){0};
}

/* ---- what is asked for ---- */

static coppice_status read_options(work *w, const coppice_what_if_options *options) {
    coppice_what_if_report *base = &w->report->base;
    if (options->bench)
        w->bench = *options->bench;
    else
        coppice_bench_options_init(&w->bench);
    if (options->prune)
        w->prune = *options->prune;
    else
        coppice_prune_options_init(&w->prune);
    cop_wanted_pattern wanted;
    if (options->pattern)
        w->prune.pattern = options->pattern;
    const char *pattern = w->prune.pattern ? w->prune.pattern : "unstructured";
    COP_TRY(cop_wanted_parse(pattern, &wanted, w->err));
    bool fixed = wanted.of > 0;
    if (fixed != (options->sparsity_count == 0))
        return cop_fail(w->err, COPPICE_INVALID_ARGUMENT,
                        fixed ? "pattern '%s' says how many weights are kept: no sparsity fits it"
                              : "pattern '%s' needs at least one sparsity",
                        pattern);
    size_t count = fixed ? 1 : options->sparsity_count;
    cop_arena *arena = &w->report->arena;
    base->point_count = count + 1;
    base->points = cop_arena_array(arena, count + 1, sizeof *base->points);
    w->sparsities = cop_arena_array(arena, count, sizeof *w->sparsities);
    base->pattern = cop_arena_strdup(arena, pattern);
    if (!base->points || !w->sparsities || !base->pattern)
        return cop_fail_memory(w->err, count * sizeof *base->points);
    for (size_t i = 0; i < count; i++)
        w->sparsities[i] =
            fixed ? 1 - (double)wanted.kept / (double)wanted.of : options->sparsities[i];
    return COPPICE_OK;
}

/* ---- layers ---- */

/* The points of a layer; the report's own memory. */
static coppice_what_if_time *time_of(const work *w, size_t layer, size_t point) {
    return (coppice_what_if_time *)&w->report->base.layers[layer].points[point];
}

static coppice_status list_layers(work *w, const cop_prune_plan *plan) {
    coppice_what_if_report *base = &w->report->base;
    cop_arena *arena = &w->report->arena;
    base->layer_count = plan->report.layer_count;
    base->layers = cop_arena_array(arena, base->layer_count + 1, sizeof *base->layers);
    for (size_t i = 0; base->layers && i < base->layer_count; i++) {
        const coppice_prune_layer *from = &plan->report.layers[i];
        coppice_what_if_layer *to = &base->layers[i];
        *to = (coppice_what_if_layer){
            .initializer = cop_arena_strdup(arena, from->initializer),
            .node = cop_arena_strdup(arena, from->node),
            .op = cop_arena_strdup(arena, from->op),
            .kept_dense = from->kept_dense ? cop_arena_strdup(arena, from->kept_dense) : NULL,
            .rank = from->rank,
            .weights = from->weights,
            .points = cop_arena_array(arena, base->point_count, sizeof *to->points),
            .pays_from = NAN};
        memcpy(to->dims, from->dims, sizeof to->dims);
        if (!to->initializer || !to->node || !to->op || !to->points ||
            (from->kept_dense && !to->kept_dense))
            return cop_fail_memory(w->err, sizeof *to);
    }
    return base->layers ? COPPICE_OK : cop_fail_memory(w->err, sizeof *base->layers);
}

/* Times add up where a weight has several users. */
static void add_row(coppice_what_if_time *time, const coppice_profile_row *row) {
    bool first = isnan(time->ms);
    time->ms = first ? row->ms : time->ms + row->ms;
    time->dense_ms = first ? row->dense_ms : time->dense_ms + row->dense_ms;
    time->sparse_ms = first ? row->sparse_ms : time->sparse_ms + row->sparse_ms;
    time->sparse |= row->sparse;
}

static coppice_status fill_layers(work *w, const cop_prune_plan *plan, size_t point,
                                  const coppice_profile_row *rows, size_t row_count) {
    const cop_weights *weights = &plan->weights;
    for (size_t i = 0; i < w->report->base.layer_count; i++) {
        const coppice_prune_layer *layer = &plan->report.layers[i];
        double zeros = layer->weights ? (double)layer->zeros / (double)layer->weights : 0;
        *time_of(w, i, point) = (coppice_what_if_time){
            .sparsity = zeros, .ms = NAN, .dense_ms = -1, .sparse_ms = -1, .kernel = ""};
    }
    for (size_t u = 0; u < weights->use_count; u++) {
        const cop_weight_use *use = &weights->uses[u];
        const char *label = cop_node_label(use->graph, &use->graph->nodes[use->node]);
        coppice_what_if_time *time = time_of(w, use->weight, point);
        for (size_t r = 0; r < row_count; r++) {
            if (strcmp(rows[r].node, label) != 0)
                continue;
            add_row(time, &rows[r]);
            time->kernel = cop_arena_strdup(&w->report->arena, rows[r].kernel);
            if (!time->kernel)
                return cop_fail_memory(w->err, strlen(rows[r].kernel));
        }
    }
    return COPPICE_OK;
}

/* From the point where dense and sparse are nearest to each other: the time of a sparse kernel goes
 * with the weights that are kept. */
static double pays_from(const coppice_what_if_layer *layer, size_t points) {
    double nearest = INFINITY, result = NAN;
    for (size_t i = 0; i < points; i++) {
        const coppice_what_if_time *t = &layer->points[i];
        if (!(t->dense_ms > 0) || !(t->sparse_ms > 0))
            continue;
        double distance = fabs(log(t->sparse_ms / t->dense_ms));
        if (distance >= nearest)
            continue;
        nearest = distance;
        result = fmax(1 - (1 - t->sparsity) * t->dense_ms / t->sparse_ms, 0);
    }
    return result;
}

/* ---- measuring ---- */

static coppice_status profile(work *w, cop_timed *timed, double run_ms, const cop_prune_plan *plan,
                              size_t point) {
    enum { BUDGET_MS = 300 };
    const coppice_profile_row *rows = NULL;
    size_t count = 0;
    COP_TRY(coppice_session_profile(timed->session, timed->inputs, timed->input_count,
                                    cop_profile_runs(run_ms, BUDGET_MS), &rows, &count, w->err));
    for (size_t i = 0; i < count; i++)
        w->report->base.points[point].sparse_layers += rows[i].sparse;
    return fill_layers(w, plan, point, rows, count);
}

/* Latencies, and the ratio of the pairs. */
static coppice_status summarize(work *w, size_t point, int64_t runs) {
    coppice_what_if_point *points = w->report->base.points;
    double *pairs = cop_calloc((size_t)runs, sizeof *pairs);
    if (!pairs)
        return cop_fail_memory(w->err, (size_t)runs * sizeof *pairs);
    for (int64_t i = 0; i < runs; i++)
        pairs[i] = w->timed[0].ms[i] / w->timed[1].ms[i];
    coppice_latency ratio;
    coppice_latency_summarize(pairs, (size_t)runs, &ratio);
    cop_free(pairs);
    points[point].speedup = ratio.median;
    points[point].speedup_min = ratio.min;
    points[point].speedup_max = ratio.max;
    coppice_latency_summarize(w->timed[1].ms, (size_t)runs, &points[point].latency);
    coppice_latency_summarize(w->timed[0].ms, (size_t)runs, &points[0].latency);
    return COPPICE_OK;
}

/* Progress goes on from point to point. */
typedef struct part {
    const work *work;
    size_t done, all;
} part;

static void report_part(void *user, double done, double total) {
    const part *p = user;
    double share = total > 0 ? done / total : 0;
    p->work->bench.progress(p->work->bench.user, (double)p->done + share, (double)p->all);
}

static coppice_status measure_point(work *w, size_t point, const cop_prune_plan *plan) {
    coppice_what_if_report *base = &w->report->base;
    part p = {w, point - 1, base->point_count - 1};
    const cop_timing_limits limits = {
        .seconds = w->bench.seconds / (double)p.all,
        .runs = w->bench.runs,
        .min_runs = 3,
        .warmup = w->bench.warmup,
        .progress = w->bench.progress ? report_part : NULL,
        .user = &p,
    };
    double ignored;
    int64_t runs = 0;
    coppice_what_if_point *at = &base->points[point];
    at->sparsity =
        plan->report.weights ? (double)plan->report.zeros / (double)plan->report.weights : 0;
    at->macs_left = plan->report.macs_dense > 0
                        ? (double)plan->report.macs_left / (double)plan->report.macs_dense
                        : NAN;
    COP_TRY(
        cop_setup_session(&w->setup, w->model, plan->report.masks, &w->timed[1], &ignored, w->err));
    cop_free(w->timed[0].ms);
    w->timed[0].ms = NULL;
    COP_TRY(cop_time_runs(w->timed, 2, &limits, &runs, w->err));
    COP_TRY(summarize(w, point, runs));
    COP_TRY(profile(w, &w->timed[1], at->latency.median, plan, point));
    end_session(&w->timed[1]);
    return COPPICE_OK;
}

/* Of one run that is not the first; for the number of profiled ones. */
static coppice_status time_once(const work *w, double *ms) {
    const coppice_tensor *outputs;
    for (int i = 0; i < 2; i++) {
        double start = cop_now_ms();
        COP_TRY(coppice_session_run(w->timed[0].session, w->timed[0].inputs,
                                    w->timed[0].input_count, &outputs, w->err));
        *ms = cop_now_ms() - start;
    }
    return COPPICE_OK;
}

/* Prunes nothing: which weights there are, and how they are now. */
static coppice_status measure_as_it_is(work *w) {
    coppice_what_if_report *base = &w->report->base;
    coppice_prune_options nothing = w->prune;
    nothing.sparsity = 0;
    nothing.pattern = NULL;
    nothing.layer_count = 0;
    cop_prune_plan *plan;
    COP_TRY(cop_prune_choose(w->graph, &nothing, &plan, w->err));
    double prepare_ms, run_ms;
    coppice_status status = list_layers(w, plan);
    if (!status)
        status = cop_setup_session(&w->setup, w->model, NULL, &w->timed[0], &prepare_ms, w->err);
    if (!status)
        status = time_once(w, &run_ms);
    if (!status)
        status = profile(w, &w->timed[0], run_ms, plan, 0);
    base->points[0].sparsity =
        plan->report.weights ? (double)plan->report.zeros / (double)plan->report.weights : 0;
    base->points[0].macs_left = base->points[0].speedup = 1;
    base->points[0].speedup_min = base->points[0].speedup_max = 1;
    coppice_prune_report_free(&plan->report);
    return status;
}

static coppice_status run(work *w, const coppice_what_if_options *options) {
    coppice_what_if_report *base = &w->report->base;
    COP_TRY(read_options(w, options));
    COP_TRY(cop_setup_make(w->model, &w->bench, &w->setup, w->err));
    base->isa = w->setup.isa;
    base->batch = cop_setup_batch(&w->setup);
    base->threads = coppice_threadpool_threads(w->setup.session.pool);
    COP_TRY(measure_as_it_is(w));
    for (size_t i = 1; i < base->point_count; i++) {
        cop_prune_plan *plan;
        w->prune.sparsity = w->sparsities[i - 1];
        COP_TRY(cop_prune_choose(w->graph, &w->prune, &plan, w->err));
        coppice_status status = cop_macs_of_plan(w->graph, plan, w->err);
        if (!status)
            status = measure_point(w, i, plan);
        coppice_prune_report_free(&plan->report);
        COP_TRY(status);
    }
    for (size_t i = 0; i < base->layer_count; i++)
        base->layers[i].pays_from = pays_from(&base->layers[i], base->point_count);
    return COPPICE_OK;
}

static coppice_status make_report(const coppice_model *model,
                                  const coppice_what_if_options *options,
                                  coppice_what_if_report **out, coppice_error *err) {
    what_if_report *report = cop_calloc(1, sizeof *report);
    if (!report)
        return cop_fail_memory(err, sizeof *report);
    work w = {.model = model, .graph = cop_model_graph_const(model), .report = report, .err = err};
    coppice_status status = run(&w, options);
    end_session(&w.timed[0]);
    end_session(&w.timed[1]);
    cop_setup_free(&w.setup);
    if (status == COPPICE_OK)
        *out = &report->base;
    else
        coppice_what_if_report_free(&report->base);
    return status;
}

coppice_status coppice_what_if(const coppice_model *model, const coppice_what_if_options *options,
                               coppice_what_if_report **out, coppice_error *error) {
    *out = NULL;
    const coppice_host *before = cop_memory_enter(cop_model_host(model));
    return cop_memory_leave(before, make_report(model, options, out, error));
}
