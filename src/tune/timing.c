/* Timing one session, or two in turns, and the statistics of what was measured. */
#include "tune/timing.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/statistics.h"

static coppice_status run_once(const cop_timed *model, double *ms, coppice_error *err) {
    const coppice_tensor *outputs = NULL;
    COP_TRY(cop_check_interrupt(err));
    double start = cop_now_ms();
    COP_TRY(coppice_session_run(model->session, model->inputs, model->input_count, &outputs, err));
    *ms = cop_now_ms() - start;
    return COPPICE_OK;
}

/* True when `done` rounds in `elapsed` milliseconds are enough. */
static bool enough(const cop_timing_limits *limits, int64_t done, double elapsed) {
    if (limits->runs && done >= limits->runs)
        return true;
    if (!limits->runs && done >= COP_MOST_RUNS)
        return true;
    return limits->seconds > 0 && done >= limits->min_runs && elapsed >= limits->seconds * 1e3;
}

static void tell(const cop_timing_limits *limits, int64_t done, double elapsed) {
    if (!limits->progress)
        return;
    double by_time = limits->seconds > 0 ? elapsed / (limits->seconds * 1e3) : 0;
    double by_runs = limits->runs ? (double)done / (double)limits->runs : 0;
    const coppice_host *host = cop_memory_enter(NULL); /* should it call coppice */
    limits->progress(limits->user, fmin(fmax(by_time, by_runs), 1), 1);
    cop_memory_enter(host);
}

coppice_status cop_time_runs(cop_timed *models, size_t model_count, const cop_timing_limits *limits,
                             int64_t *runs, coppice_error *err) {
    double ignored;
    for (int64_t i = 0; i < limits->warmup; i++) {
        for (size_t m = 0; m < model_count; m++)
            COP_TRY(run_once(&models[m], &ignored, err));
    }
    size_t capacity = 0, count = 0;
    double start = cop_now_ms(), elapsed = 0;
    while (!enough(limits, (int64_t)count, elapsed)) {
        size_t grown = capacity;
        for (size_t m = 0; m < model_count; m++) {
            grown = capacity;
            if (cop_grow(&models[m].ms, count, &grown, sizeof(double)) != 0)
                return cop_fail_memory(err, (count + 1) * sizeof(double));
        }
        capacity = grown;
        for (size_t i = 0; i < model_count; i++) {
            cop_timed *model = &models[(i + count) % model_count];
            COP_TRY(run_once(model, &model->ms[count], err));
        }
        count++;
        elapsed = cop_now_ms() - start;
        tell(limits, (int64_t)count, elapsed);
    }
    *runs = (int64_t)count;
    return COPPICE_OK;
}

/* ---- statistics ---- */

void coppice_latency_summarize(double *ms, size_t count, coppice_latency *out) {
    if (count == 0) {
        *out = (coppice_latency){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, 0};
        return;
    }
    cop_sort_doubles(ms, count);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++)
        sum += ms[i];
    double mean = sum / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += (ms[i] - mean) * (ms[i] - mean);
    double median = cop_percentile(ms, count, 0.5);
    *out = (coppice_latency){
        .mean = mean,
        .median = median,
        .min = ms[0],
        .max = ms[count - 1],
        .std = count > 1 ? sqrt(squares / (double)(count - 1)) : 0,
        .p50 = median,
        .p90 = cop_percentile(ms, count, 0.90),
        .p95 = cop_percentile(ms, count, 0.95),
        .p99 = cop_percentile(ms, count, 0.99),
        .runs = (int64_t)count,
    };
}
