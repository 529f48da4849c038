/* coppice_bench: latency of one model, or of two in turns. */
#include <stdio.h>
#include <string.h>

#include <coppice/bench.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/memory.h"
#include "graph/model.h"
#include "tune/setup.h"

typedef struct bench_report {
    coppice_bench_report base; /* first: the caller's pointer is to this */
    cop_arena arena;           /* layers and their strings */
} bench_report;

void coppice_bench_options_init(coppice_bench_options *options) {
    *options = (coppice_bench_options){.seconds = 3, .warmup = 5};
}

/* `other` is measured on the inputs of the first model, so it must take them. */
static coppice_status check_other(const coppice_model *other, const coppice_tensor *inputs,
                                  size_t count, coppice_error *err) {
    if (coppice_model_input_count(other) != count)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "the other model has %zu inputs, this one %zu: they cannot be measured on "
                        "the same data",
                        coppice_model_input_count(other), count);
    for (size_t i = 0; i < count; i++) {
        coppice_value_info info = coppice_model_input(other, i);
        bool fits =
            info.type == inputs[i].type && (info.rank < 0 || (uint32_t)info.rank == inputs[i].rank);
        for (int d = 0; fits && d < info.rank; d++)
            fits = info.dims[d] < 0 || info.dims[d] == inputs[i].dims[d];
        if (!fits)
            return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                            "input '%s' of the other model has another type or shape than this "
                            "model's: they cannot be measured on the same data",
                            info.name);
    }
    return COPPICE_OK;
}

/* Everything that lives only while measuring. */
typedef struct bench_work {
    cop_setup setup;
    cop_timed models[2];
    size_t model_count;
} bench_work;

static void work_free(bench_work *work) {
    for (size_t i = 0; i < 2; i++) {
        coppice_session_free(work->models[i].session);
        cop_free(work->models[i].ms);
    }
    cop_setup_free(&work->setup);
}

/* Median, least and greatest of other / model over the pairs; `pairs` is scratch. */
static coppice_status summarize_ratio(const bench_work *work, int64_t runs,
                                      coppice_bench_report *report, coppice_error *err) {
    double *pairs = cop_calloc((size_t)runs, sizeof *pairs);
    if (!pairs)
        return cop_fail_memory(err, (size_t)runs * sizeof *pairs);
    for (int64_t i = 0; i < runs; i++)
        pairs[i] = work->models[1].ms[i] / work->models[0].ms[i];
    coppice_latency ratio;
    coppice_latency_summarize(pairs, (size_t)runs, &ratio);
    cop_free(pairs);
    report->ratio_median = ratio.median;
    report->ratio_min = ratio.min;
    report->ratio_max = ratio.max;
    return COPPICE_OK;
}

static coppice_status keep_layers(bench_report *report, coppice_bench_side *side,
                                  const coppice_profile_row *rows, size_t count,
                                  coppice_error *err) {
    coppice_profile_row *kept = cop_arena_array(&report->arena, count ? count : 1, sizeof *kept);
    if (!kept)
        return cop_fail_memory(err, count * sizeof *kept);
    for (size_t i = 0; i < count; i++) {
        kept[i] = rows[i];
        const char **strings[] = {&kept[i].node, &kept[i].op, &kept[i].kernel, &kept[i].layout,
                                  &kept[i].why};
        for (size_t s = 0; s < sizeof strings / sizeof *strings; s++) {
            *strings[s] = cop_arena_strdup(&report->arena, *strings[s] ? *strings[s] : "");
            if (!*strings[s])
                return cop_fail_memory(err, 1);
        }
    }
    side->layers = kept;
    side->layer_count = count;
    return COPPICE_OK;
}

static coppice_status finish_side(bench_report *report, coppice_bench_side *side, cop_timed *timed,
                                  int64_t runs, bool profile, coppice_error *err) {
    coppice_latency_summarize(timed->ms, (size_t)runs, &side->latency);
    side->throughput = (double)report->base.batch * 1e3 / side->latency.mean;
    if (!profile)
        return COPPICE_OK;
    const coppice_profile_row *rows = NULL;
    size_t count = 0;
    COP_TRY(coppice_session_profile(timed->session, timed->inputs, timed->input_count,
                                    cop_profile_runs(side->latency.mean, 1000), &rows, &count,
                                    err));
    return keep_layers(report, side, rows, count, err);
}

/* VmHWM and not getrusage(2), whose maximum lives through exec: a large parent would be counted.
 * 0 when unknown. */
static int64_t peak_rss_bytes(void) {
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    long long kibibytes = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %lld", &kibibytes) == 1)
            break;
    if (file)
        fclose(file);
    return kibibytes * 1024;
}

static coppice_status measure(bench_work *work, const coppice_bench_options *options,
                              bench_report *report, coppice_error *err) {
    coppice_bench_report *base = &report->base;
    cop_timing_limits limits = {
        .seconds = options->seconds,
        .runs = options->runs,
        .min_runs = 3,
        .warmup = options->warmup,
        .progress = options->progress,
        .user = options->user,
    };
    int64_t runs = 0;
    COP_TRY(cop_time_runs(work->models, work->model_count, &limits, &runs, err));
    base->batch = cop_setup_batch(&work->setup);
    base->threads = coppice_threadpool_threads(work->setup.session.pool);
    if (base->has_other) /* before the times are sorted */
        COP_TRY(summarize_ratio(work, runs, base, err));
    COP_TRY(finish_side(report, &base->model, &work->models[0], runs, options->profile, err));
    if (base->has_other)
        COP_TRY(finish_side(report, &base->other, &work->models[1], runs, options->profile, err));
    base->peak_rss_bytes = peak_rss_bytes();
    return COPPICE_OK;
}

static coppice_status bench(const coppice_model *model, const coppice_model *other,
                            const coppice_bench_options *options, bench_work *work,
                            bench_report *report, coppice_error *err) {
    coppice_bench_report *base = &report->base;
    COP_TRY(cop_setup_make(model, options, &work->setup, err));
    base->isa = work->setup.isa;
    work->model_count = 1;
    COP_TRY(cop_setup_session(&work->setup, model, NULL, &work->models[0], &base->model.prepare_ms,
                              err));
    if (other) {
        base->has_other = true;
        work->model_count = 2;
        COP_TRY(check_other(other, work->setup.inputs, work->setup.input_count, err));
        COP_TRY(cop_setup_session(&work->setup, other, NULL, &work->models[1],
                                  &base->other.prepare_ms, err));
    }
    return measure(work, options, report, err);
}

static coppice_status make_report(const coppice_model *model, const coppice_model *other,
                                  const coppice_bench_options *options, coppice_bench_report **out,
                                  coppice_error *error) {
    bench_report *report = cop_calloc(1, sizeof *report);
    if (!report)
        return cop_fail_memory(error, sizeof *report);
    bench_work work = {0};
    coppice_status status = bench(model, other, options, &work, report, error);
    work_free(&work);
    if (status == COPPICE_OK)
        *out = &report->base;
    else
        coppice_bench_report_free(&report->base);
    return status;
}

coppice_status coppice_bench(const coppice_model *model, const coppice_model *other,
                             const coppice_bench_options *options, coppice_bench_report **out,
                             coppice_error *error) {
    coppice_bench_options defaults;
    coppice_bench_options_init(&defaults);
    *out = NULL;
    const coppice_host *before = cop_memory_enter(cop_model_host(model));
    return cop_memory_leave(before,
                            make_report(model, other, options ? options : &defaults, out, error));
}

void coppice_bench_report_free(coppice_bench_report *report) {
    if (!report)
        return;
    bench_report *whole = (bench_report *)report;
    cop_arena_free(&whole->arena);
    cop_free(whole);
}
