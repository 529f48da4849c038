/* coppice bench: latency, throughput, and with --profile where the time goes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench_report.h"
#include "cli.h"
#include "session_options.h"
#include "what_if.h"

typedef struct bench_flags {
    double seconds;       /* NaN: not given */
    int64_t runs, warmup; /* -1: not given */
    bool profile;
    const char *other, *what_if, *pattern, *report;
} bench_flags;

static const cli_option bench_rows[] = {
    {"time", 't', CLI_NUMBER, offsetof(bench_flags, seconds), "SECONDS",
     "measure this long (default 3; no limit when -n is given)"},
    {"runs", 'n', CLI_COUNT, offsetof(bench_flags, runs), "RUNS", "stop after this many runs"},
    {"warmup", 'w', CLI_COUNT, offsetof(bench_flags, warmup), "RUNS",
     "runs before that are not counted (default 5)"},
    {"profile", 0, CLI_FLAG, offsetof(bench_flags, profile), NULL,
     "also a row per layer: kernel, sparsity, time, why that kernel"},
    {"vs", 0, CLI_TEXT, offsetof(bench_flags, other), "OTHER",
     "measure OTHER in turns with MODEL on the same inputs; ratio is\n"
     "OTHER's time divided by MODEL's"},
    {"what-if", 0, CLI_TEXT, offsetof(bench_flags, what_if), "S,S...",
     "how fast MODEL would be with these shares of zeros, layer by layer:\n"
     "weights are masked in memory, by magnitude"},
    {"report", 0, CLI_TEXT, offsetof(bench_flags, report), "FILE.html",
     "a page with what --profile prints, and bars; implies --profile"},
    {"pattern", 0, CLI_TEXT, offsetof(bench_flags, pattern), "PATTERN",
     "of the zeros of --what-if: unstructured (default); RxC, as 4x1;\n"
     "channels; N:M, as 2:4, which says the sparsity too: --what-if is\n"
     "not needed"},
    {0}};

/* One of the models, with what the tables say about it. */
typedef struct bench_entry {
    const char *path;
    coppice_model *model;
    double read_ms;
    const coppice_bench_side *side;
    coppice_inspection *inspection; /* for the column `pattern`; NULL without --profile */
} bench_entry;

/* ---- latency ---- */

static void latency_table(cli_context *cli, const bench_entry *entries, size_t count) {
    static const char *const titles[] = {"ms per run", "median", "mean",    "min",
                                         "max",        "std",    "p90",     "p95",
                                         "p99",        "runs",   "items/s", "load ms"};
    cli_table table = {0};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        cli_table_column(&table, titles[i], i ? CLI_RIGHT : CLI_LEFT);
    for (size_t i = 0; i < count; i++) {
        const coppice_latency *l = &entries[i].side->latency;
        const double values[] = {l->median, l->mean, l->min, l->max,
                                 l->std,    l->p90,  l->p95, l->p99};
        cli_table_text(&table, entries[i].path);
        for (size_t k = 0; k < sizeof values / sizeof *values; k++)
            cli_table_text(&table, cli_format_ms(values[k]).text);
        cli_table_count(&table, l->runs);
        cli_table_cell(&table, "%.1f", entries[i].side->throughput);
        cli_table_cell(&table, "%.1f", entries[i].read_ms + entries[i].side->prepare_ms);
    }
    cli_table_print(&table, cli->out);
    cli_table_free(&table);
}

static void print_summary(cli_context *cli, const bench_entry *entries,
                          const coppice_bench_report *report, const char *backend) {
    latency_table(cli, entries, report->has_other ? 2 : 1);
    if (report->has_other)
        cli_print(cli,
                  "\n%s takes %.3f times as long as %s (%.3f to %.3f over %lld pairs of runs)\n",
                  entries[1].path, report->ratio_median, entries[0].path, report->ratio_min,
                  report->ratio_max, (long long)report->model.latency.runs);
    cli_print(cli, "\n%u thread%s, %s, backend %s, batch %lld, peak memory %s\n", report->threads,
              report->threads == 1 ? "" : "s", coppice_isa_name(report->isa), backend,
              (long long)report->batch, cli_format_bytes(report->peak_rss_bytes).text);
}

/* ---- profile ---- */

static double total_ms(const coppice_bench_side *side) {
    double total = 0;
    for (size_t i = 0; i < side->layer_count; i++)
        total += side->layers[i].ms;
    return total;
}

/* Two operations for each multiply-accumulate with a kept weight. */
static double gflops(int64_t macs, double ms) {
    return macs > 0 && ms > 0 ? 2e-6 * (double)macs / ms : NAN;
}

/* Times below 0 stand for "not timed". */
static double timed(double ms) {
    return ms >= 0 ? ms : NAN;
}

static const char *chosen(const coppice_profile_row *row) {
    if (row->macs <= 0)
        return NULL;
    return row->sparse ? "sparse" : "dense";
}

static const char *find_pattern(const coppice_inspection *inspection, const char *node) {
    for (size_t i = 0; inspection && i < inspection->weight_count; i++) {
        const coppice_weight_info *weight = &inspection->weights[i];
        for (size_t u = 0; u < weight->user_count; u++)
            if (strcmp(weight->users[u].node, node) == 0)
                return weight->pattern;
    }
    return NULL;
}

static void profile_rows(cli_table *table, const bench_entry *entry, double total) {
    enum { NAME_WIDTH = 40 };
    const coppice_bench_side *side = entry->side;
    for (size_t i = 0; i < side->layer_count; i++) {
        const coppice_profile_row *row = &side->layers[i];
        double speed = gflops(row->macs, row->ms);
        const char *pattern = chosen(row) ? find_pattern(entry->inspection, row->node) : NULL;
        cli_table_end_of(table, row->node, NAME_WIDTH);
        cli_table_text(table, row->op);
        cli_table_text(table, cli_format_shape(row->rank, row->dims).text);
        cli_table_text(table, row->layout);
        cli_table_text(table, row->kernel);
        cli_table_percent(table, chosen(row) ? row->sparsity : NAN);
        cli_table_text(table, pattern ? pattern : "-");
        cli_table_text(table, cli_format_ms(row->ms).text);
        cli_table_percent(table, total > 0 ? row->ms / total : NAN);
        if (isnan(speed))
            cli_table_text(table, "-");
        else
            cli_table_cell(table, "%.1f", speed);
        cli_table_text(table, cli_format_ms(timed(row->dense_ms)).text);
        cli_table_text(table, cli_format_ms(timed(row->sparse_ms)).text);
        cli_table_text(table, chosen(row) ? chosen(row) : "-");
        cli_table_text(table, row->why);
    }
}

static void profile_total(cli_table *table, const coppice_bench_side *side, double total) {
    int64_t macs = 0;
    for (size_t i = 0; i < side->layer_count; i++)
        macs += side->layers[i].macs > 0 ? side->layers[i].macs : 0;
    cli_table_rule(table);
    cli_table_cell(table, "%zu step%s", side->layer_count, side->layer_count == 1 ? "" : "s");
    for (int i = 0; i < 6; i++)
        cli_table_text(table, "");
    cli_table_text(table, cli_format_ms(total).text);
    cli_table_percent(table, 1);
    cli_table_cell(table, "%.1f", macs ? gflops(macs, total) : 0.0);
    for (int i = 0; i < 4; i++)
        cli_table_text(table, "");
}

/* Shares of the time by operator, the largest first: "Conv 91 %, Gemm 5 %". */
static void print_shares(cli_context *cli, const coppice_bench_side *side, double total) {
    bool *seen = cli_alloc(cli, side->layer_count * sizeof *seen);
    if (!seen || !(total > 0))
        return;
    cli_print(cli, "time by operator:");
    for (int printed = 0;; printed++) {
        const char *best_op = NULL;
        double best = -1;
        for (size_t i = 0; i < side->layer_count; i++) {
            double sum = 0;
            for (size_t k = i; !seen[i] && k < side->layer_count; k++)
                sum += strcmp(side->layers[k].op, side->layers[i].op) == 0 ? side->layers[k].ms : 0;
            if (!seen[i] && sum > best) {
                best = sum;
                best_op = side->layers[i].op;
            }
        }
        if (!best_op)
            break;
        for (size_t i = 0; i < side->layer_count; i++)
            seen[i] |= strcmp(side->layers[i].op, best_op) == 0;
        cli_print(cli, "%s %s %.1f %%", printed ? "," : "", best_op, 100 * best / total);
    }
    cli_print(cli, "\n");
}

/* Does sparsity pay? Says so in one line, also when the answer is no. */
static void print_verdict(cli_context *cli, const coppice_bench_side *side) {
    size_t with_zeros = 0, sparse = 0, slower = 0;
    for (size_t i = 0; i < side->layer_count; i++) {
        const coppice_profile_row *row = &side->layers[i];
        if (!chosen(row) || row->sparsity <= 0)
            continue;
        with_zeros++;
        sparse += row->sparse;
        slower += !row->sparse && row->dense_ms >= 0 && row->sparse_ms > row->dense_ms;
    }
    if (!with_zeros)
        cli_print(cli, "no layer has zero weights: nothing for sparse kernels to skip\n");
    else
        cli_print(cli,
                  "%zu of %zu layers with zero weights use a sparse kernel; in %zu of the others "
                  "the dense one was measured to be faster\n",
                  sparse, with_zeros, slower);
}

static void print_profile(cli_context *cli, const bench_entry *entry) {
    static const struct {
        const char *title;
        cli_align align;
    } columns[] = {{"node", CLI_LEFT},     {"op", CLI_LEFT},        {"output", CLI_LEFT},
                   {"layout", CLI_LEFT},   {"kernel", CLI_LEFT},    {"sparsity", CLI_RIGHT},
                   {"pattern", CLI_LEFT},  {"ms", CLI_RIGHT},       {"share", CLI_RIGHT},
                   {"GFLOP/s", CLI_RIGHT}, {"dense ms", CLI_RIGHT}, {"sparse ms", CLI_RIGHT},
                   {"chosen", CLI_LEFT},   {"why", CLI_LEFT}};
    if (!cli->out)
        return;
    double total = total_ms(entry->side);
    cli_table table = {0};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        cli_table_column(&table, columns[i].title, columns[i].align);
    profile_rows(&table, entry, total);
    profile_total(&table, entry->side, total);
    cli_print(cli, "\n");
    cli_print_safe(cli->out, entry->path);
    cli_print(cli, ", layer by layer (GFLOP/s count kept weights only):\n");
    cli_table_print(&table, cli->out);
    cli_table_free(&table);
    print_shares(cli, entry->side, total);
    print_verdict(cli, entry->side);
}

/* ---- JSON ---- */

static json_t *layers_json(const bench_entry *entry) {
    json_t *array = json_array();
    double total = total_ms(entry->side);
    for (size_t i = 0; i < entry->side->layer_count; i++) {
        const coppice_profile_row *row = &entry->side->layers[i];
        const char *pattern = chosen(row) ? find_pattern(entry->inspection, row->node) : NULL;
        json_t *layer = json_pack(
            "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:o, s:o, s:o, s:o, s:o, s:o}", "node",
            cli_json_string(row->node), "op", cli_json_string(row->op), "shape",
            cli_json_shape(row->rank, row->dims), "layout", cli_json_string(row->layout), "kernel",
            cli_json_string(row->kernel), "sparsity",
            cli_json_real(chosen(row) ? row->sparsity : NAN), "pattern", cli_json_string(pattern),
            "ms", row->ms, "share", cli_json_real(total > 0 ? row->ms / total : NAN), "gflops",
            cli_json_real(gflops(row->macs, row->ms)), "dense_ms",
            cli_json_real(timed(row->dense_ms)), "sparse_ms", cli_json_real(timed(row->sparse_ms)),
            "chosen", cli_json_string(chosen(row)), "why", cli_json_string(row->why));
        json_array_append_new(array, layer);
    }
    return array;
}

static json_t *latency_json(const coppice_latency *l) {
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "mean", l->mean, "median",
                     l->median, "min", l->min, "max", l->max, "std", l->std, "p50", l->p50, "p90",
                     l->p90, "p95", l->p95, "p99", l->p99);
}

static json_t *entry_json(const bench_entry *entry, const coppice_bench_report *report,
                          const char *backend) {
    json_t *object = json_pack(
        "{s:o, s:i, s:I, s:s, s:s, s:f, s:o, s:f, s:I, s:I}", "model", cli_json_string(entry->path),
        "threads", (int)report->threads, "batch", (json_int_t)report->batch, "isa",
        coppice_isa_name(report->isa), "backend", backend, "load_ms",
        entry->read_ms + entry->side->prepare_ms, "latency_ms", latency_json(&entry->side->latency),
        "throughput", entry->side->throughput, "runs", (json_int_t)entry->side->latency.runs,
        "peak_rss_bytes", (json_int_t)report->peak_rss_bytes);
    if (object && entry->inspection)
        json_object_set_new(object, "layers", layers_json(entry));
    return object;
}

static json_t *report_json(const bench_entry *entries, const coppice_bench_report *report,
                           const char *backend) {
    json_t *root = entry_json(&entries[0], report, backend);
    if (!root || !report->has_other)
        return root;
    json_object_set_new(root, "other", entry_json(&entries[1], report, backend));
    json_object_set_new(root, "ratio",
                        json_pack("{s:f, s:f, s:f}", "median", report->ratio_median, "min",
                                  report->ratio_min, "max", report->ratio_max));
    return root;
}

/* ---- the command ---- */

static void show_progress(void *user, double done, double total) {
    cli_progress(user, "measuring", (int64_t)(1000 * done), (int64_t)(1000 * total));
}

static bool make_options(cli_context *cli, const bench_flags *flags,
                         const cli_shape_flags *shape_flags, coppice_bench_options *out) {
    coppice_bench_options_init(out);
    if (flags->runs == 0 || flags->seconds <= 0) {
        cli_usage(cli, "%s must be more than 0", flags->runs == 0 ? "-n" : "-t");
        return false;
    }
    out->seconds = !isnan(flags->seconds) ? flags->seconds : flags->runs > 0 ? 0 : out->seconds;
    out->runs = flags->runs > 0 ? flags->runs : 0;
    out->warmup = flags->warmup >= 0 ? flags->warmup : out->warmup;
    out->profile = flags->profile || flags->report;
    out->seed = (uint64_t)cli->seed;
    out->progress = show_progress;
    out->user = cli;
    return cli_shape_options(cli, shape_flags, &out->shape);
}

static coppice_status load(cli_context *cli, bench_entry *entry, bool profile) {
    double start = cli_now_ms();
    coppice_status status = cli_load_model(cli, entry->path, &entry->model);
    entry->read_ms = cli_now_ms() - start;
    if (status == COPPICE_OK && profile)
        status = coppice_model_inspect(entry->model, &entry->inspection, &cli->error);
    return status;
}

static coppice_status bench(cli_context *cli, bench_entry entries[2],
                            const coppice_bench_options *options, const char *report_path) {
    const char *backend = coppice_backend_name(options->session->backend);
    coppice_bench_report *report = NULL;
    coppice_status status =
        coppice_bench(entries[0].model, entries[1].model, options, &report, &cli->error);
    cli_progress_end(cli);
    if (status != COPPICE_OK)
        return status;
    entries[0].side = &report->model;
    entries[1].side = &report->other;
    print_summary(cli, entries, report, backend);
    for (int i = 0; i < 2 && options->profile && entries[i].model; i++)
        print_profile(cli, &entries[i]);
    if (report_path)
        status = cli_bench_report(cli, report_path, entries[0].path, report, backend);
    if (status == COPPICE_OK)
        status = cli_json_emit(cli, cli->json.given ? report_json(entries, report, backend) : NULL);
    coppice_bench_report_free(report);
    return status;
}

static coppice_status bench_models(cli_context *cli, const bench_flags *flags,
                                   const coppice_bench_options *options) {
    bench_entry entries[2] = {{.path = cli->args[0]}, {.path = flags->other}};
    coppice_status status = load(cli, &entries[0], options->profile);
    if (status == COPPICE_OK && flags->other)
        status = load(cli, &entries[1], options->profile);
    if (status == COPPICE_OK)
        status = bench(cli, entries, options, flags->report);
    for (int i = 0; i < 2; i++) {
        coppice_inspection_free(entries[i].inspection);
        coppice_model_free(entries[i].model);
    }
    return status;
}

static coppice_status run(cli_context *cli, int argc, char **argv) {
    bench_flags flags = {.seconds = NAN, .runs = -1, .warmup = -1};
    cli_prune_flags prune_flags;
    cli_prune_flags_init(&prune_flags);
    cli_session_flags session_flags = {0};
    cli_shape_flags shape_flags = {.batch = -1};
    const cli_group groups[] = {{"Options", bench_rows, &flags},
                                {"What --what-if prunes", cli_prune_choice_rows, &prune_flags},
                                {"Shapes", cli_shape_rows, &shape_flags},
                                {"Execution", cli_session_rows, &session_flags},
                                {0}};
    coppice_session_options session;
    coppice_bench_options options;
    if (!cli_parse(cli, groups, 1, 1, argc, argv) ||
        !cli_session_options(cli, &session_flags, &session) ||
        !make_options(cli, &flags, &shape_flags, &options))
        return cli->error.status;
    options.session = &session;
    if (flags.report && (flags.what_if || flags.pattern))
        return cli_usage(cli, "--report goes with neither --what-if nor --pattern");
    if (flags.report && coppice_file_check_target(flags.report, cli->force, &cli->error))
        return cli->error.status;
    if (!flags.what_if && !flags.pattern)
        return bench_models(cli, &flags, &options);
    if (flags.profile || flags.other)
        return cli_usage(cli, "--what-if and --pattern go with neither --profile nor --vs");
    const cli_what_if what_if = {flags.what_if, flags.pattern, &prune_flags, &options};
    return cli_what_if_run(cli, &what_if);
}

const cli_command cmd_bench = {
    .name = "bench",
    .arguments = "MODEL",
    .summary = "latency and throughput; --profile: where the time goes, and why",
    .details = "Float inputs are normally distributed, integer inputs 0, inputs with \"mask\" in "
               "their\nname 1. Free dimensions are 1 unless given.",
    .run = run,
};
