/* coppice bench --report: the profile as an HTML page. */
#include "bench_report.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>

enum { COLUMNS = 11 };

/* The text in memory of the program's end; "" without memory. */
static const char *keep(cli_context *cli, const char *text) {
    const char *copy = cli_join(cli, text, "", "");
    return copy ? copy : "";
}

__attribute__((format(printf, 2, 3))) static const char *keep_format(cli_context *cli,
                                                                     const char *format, ...) {
    char text[128];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return keep(cli, text);
}

static const char *of_feature(const char *name) {
    for (const coppice_feature *f = coppice_features(); f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f->value;
    return "unknown";
}

/* The words of the command line, as the system has them. */
static const char *command_line(cli_context *cli) {
    enum { MOST = 4096 };
    char *text = cli_alloc(cli, MOST);
    FILE *file = text ? fopen("/proc/self/cmdline", "re") : NULL;
    size_t bytes = file ? fread(text, 1, MOST - 1, file) : 0;
    if (file)
        fclose(file);
    for (size_t i = 0; i + 1 < bytes; i++)
        text[i] = text[i] ? text[i] : ' ';
    return text ? text : "";
}

static void add_facts(cli_context *cli, coppice_html *page, const char *model,
                      const coppice_bench_report *report, const char *backend) {
    const coppice_latency *l = &report->model.latency;
    char date[64] = "";
    time_t now = time(NULL);
    struct tm fields;
    if (gmtime_r(&now, &fields))
        strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", &fields);
    coppice_html_fact(page, "model", model);
    coppice_html_fact(page, "command", command_line(cli));
    coppice_html_fact(page, "settings",
                      keep_format(cli, "%u threads, %s, backend %s, batch %lld", report->threads,
                                  coppice_isa_name(report->isa), backend,
                                  (long long)report->batch));
    coppice_html_fact(page, "machine", of_feature("cpu"));
    coppice_html_fact(page, "coppice", coppice_version());
    coppice_html_fact(page, "date", date);
    coppice_html_fact(page, "latency",
                      keep_format(cli, "median %s ms, %s to %s ms in %lld runs",
                                  cli_format_ms(l->median).text, cli_format_ms(l->min).text,
                                  cli_format_ms(l->max).text, (long long)l->runs));
    if (report->has_other)
        coppice_html_fact(page, "other model",
                          keep_format(cli, "takes %.3f times as long", report->ratio_median));
}

static bool is_layer(const coppice_profile_row *row) {
    return row->macs > 0;
}

static void add_bars(cli_context *cli, coppice_html *page, const coppice_bench_side *side) {
    size_t room = side->layer_count + 1, n = 0;
    const char **labels = cli_alloc(cli, room * sizeof *labels);
    double *ms = cli_alloc(cli, room * sizeof *ms);
    double *dense = cli_alloc(cli, room * sizeof *dense);
    double *sparse = cli_alloc(cli, room * sizeof *sparse);
    if (!labels || !ms || !dense || !sparse)
        return;
    for (size_t i = 0; i < side->layer_count; i++) {
        const coppice_profile_row *row = &side->layers[i];
        if (!is_layer(row))
            continue;
        labels[n] = row->node;
        ms[n] = row->ms;
        dense[n] = row->dense_ms;
        sparse[n++] = row->sparse_ms;
    }
    const coppice_html_series series[] = {
        {"best dense kernel", dense}, {"best sparse kernel", sparse}, {"as it runs", ms}};
    coppice_html_bars(page, "Layers with weights", "ms", labels, n, series, 3);
}

static void add_table(cli_context *cli, coppice_html *page, const coppice_bench_side *side) {
    static const char *const titles[COLUMNS] = {"node",     "op",        "output", "layout",
                                                "kernel",   "sparsity",  "ms",     "GFLOP/s",
                                                "dense ms", "sparse ms", "why"};
    const char **cells = cli_alloc(cli, (side->layer_count + 1) * COLUMNS * sizeof *cells);
    for (size_t i = 0; cells && i < side->layer_count; i++) {
        const coppice_profile_row *row = &side->layers[i];
        const char **to = cells + i * COLUMNS;
        bool layer = is_layer(row);
        to[0] = row->node;
        to[1] = row->op;
        to[2] = keep(cli, cli_format_shape(row->rank, row->dims).text);
        to[3] = row->layout;
        to[4] = row->kernel;
        to[5] = layer ? keep_format(cli, "%.1f %%", 100 * row->sparsity) : "";
        to[6] = keep(cli, cli_format_ms(row->ms).text);
        to[7] = layer && row->ms > 0 ? keep_format(cli, "%.1f", 2e-6 * (double)row->macs / row->ms)
                                     : "";
        to[8] = row->dense_ms >= 0 ? keep(cli, cli_format_ms(row->dense_ms).text) : "";
        to[9] = row->sparse_ms >= 0 ? keep(cli, cli_format_ms(row->sparse_ms).text) : "";
        to[10] = row->why;
    }
    if (cells)
        coppice_html_table(page, "Steps", titles, COLUMNS, cells, side->layer_count);
}

coppice_status cli_bench_report(cli_context *cli, const char *path, const char *model,
                                const coppice_bench_report *report, const char *backend) {
    coppice_html *page = NULL;
    coppice_status status = coppice_html_create("coppice bench", &page, &cli->error);
    if (status == COPPICE_OK) {
        add_facts(cli, page, model, report, backend);
        add_bars(cli, page, &report->model);
        add_table(cli, page, &report->model);
        status = coppice_html_write(page, path, cli->force, &cli->error);
    }
    coppice_html_free(page);
    return status;
}
