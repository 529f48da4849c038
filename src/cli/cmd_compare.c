/* coppice compare: what pruning cost, and what it gained, on real data. */
#include <math.h>
#include <string.h>

#include "cli.h"
#include "data_options.h"
#include "session_options.h"

typedef struct compare_flags {
    double max_drop; /* NaN: not given */
    int64_t batch;   /* -1: not given */
} compare_flags;

static const cli_option compare_rows[] = {
    {"max-drop", 0, CLI_NUMBER, offsetof(compare_flags, max_drop), "D",
     "exit code 1 when B loses more: 0.01 is one point of top-1 with\n"
     "labels, of agreement without"},
    {"batch", 0, CLI_COUNT, offsetof(compare_flags, batch), "N",
     "samples per run (default: up to 64, and 1 to measure the latency)"},
    {0}};

/* ---- tables ---- */

static const char *text_or_dash(const char *text) {
    return text[0] ? text : "-";
}

/* "91.73 % (91.17 to 92.25)" */
static cli_text with_interval(double value, double low, double high) {
    cli_text out = {""};
    if (isfinite(value))
        snprintf(out.text, sizeof out.text, "%.2f %% (%.2f to %.2f)", 100 * value, 100 * low,
                 100 * high);
    return out;
}

static void row(cli_table *table, const char *title, cli_text a, cli_text b) {
    cli_table_text(table, title);
    cli_table_text(table, text_or_dash(a.text));
    cli_table_text(table, text_or_dash(b.text));
}

static cli_text percent(double fraction) {
    cli_text out = {""};
    if (isfinite(fraction))
        snprintf(out.text, sizeof out.text, "%.1f %%", 100 * fraction);
    return out;
}

static void print_sides(cli_context *cli, const char *const paths[2],
                        const coppice_compare_report *r) {
    const coppice_compare_side *a = &r->a, *b = &r->b;
    cli_print(cli, "A: %s\nB: %s\n\n", paths[0], paths[1]);
    cli_table table = {0};
    cli_table_column(&table, "", CLI_LEFT);
    cli_table_column(&table, "A", CLI_LEFT);
    cli_table_column(&table, "B", CLI_LEFT);
    row(&table, "size", cli_format_bytes(a->bytes), cli_format_bytes(b->bytes));
    row(&table, "zero weights", percent(a->sparsity), percent(b->sparsity));
    if (r->has_labels) {
        row(&table, "top-1 (95 % interval)", with_interval(a->top1, a->top1_low, a->top1_high),
            with_interval(b->top1, b->top1_low, b->top1_high));
        row(&table, "top-5 (95 % interval)", with_interval(a->top5, a->top5_low, a->top5_high),
            with_interval(b->top5, b->top5_low, b->top5_high));
    }
    row(&table, "latency, ms", cli_format_ms(a->latency.median), cli_format_ms(b->latency.median));
    cli_table_print(&table, cli->out);
    cli_table_free(&table);
}

static void optional_number(cli_table *table, double value, const char *format) {
    char text[64];
    if (isnan(value))
        snprintf(text, sizeof text, "-");
    else
        snprintf(text, sizeof text, format, value); /* a constant of this file */
    cli_table_text(table, text);
}

static void print_outputs(cli_context *cli, const coppice_compare_report *r) {
    static const char *const titles[] = {"output", "max abs error", "cosine", "PSNR, dB",
                                         "KL(A||B)"};
    cli_table table = {0};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        cli_table_column(&table, titles[i], i ? CLI_RIGHT : CLI_LEFT);
    for (size_t i = 0; i < r->output_count; i++) {
        const coppice_compare_output *o = &r->outputs[i];
        cli_table_text(&table, o->name);
        optional_number(&table, o->max_abs, "%.4g");
        optional_number(&table, o->cosine, "%.6f");
        optional_number(&table, o->psnr, "%.2f");
        optional_number(&table, o->kl, "%.4g");
    }
    cli_print(cli, "\n");
    cli_table_print(&table, cli->out);
    cli_table_free(&table);
}

static void print_report(cli_context *cli, const char *const paths[2],
                         const coppice_compare_report *r) {
    print_sides(cli, paths, r);
    print_outputs(cli, r);
    cli_print(cli, "\n%s samples", cli_format_count(r->samples).text);
    if (r->scores)
        cli_print(cli, ", same best class in %s",
                  with_interval(r->agreement, r->agreement_low, r->agreement_high).text);
    cli_print(cli, "\n");
    if (r->scores)
        cli_print(cli, "drop: %.2f points of %s\n", 100 * r->drop,
                  r->has_labels ? "top-1" : "agreement");
    if (r->a.latency.runs)
        cli_print(cli,
                  "latency: median of %s runs in turns, batch %lld, %u thread%s; A takes %.2f "
                  "times as long as B\n",
                  cli_format_count(r->a.latency.runs).text, (long long)r->latency_batch, r->threads,
                  r->threads == 1 ? "" : "s", r->a.latency.median / r->b.latency.median);
}

/* ---- JSON ---- */

static json_t *latency_json(const coppice_latency *l) {
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:I}", "mean", cli_json_real(l->mean), "min",
                     cli_json_real(l->min), "max", cli_json_real(l->max), "std",
                     cli_json_real(l->std), "p99", cli_json_real(l->p99), "runs",
                     (json_int_t)l->runs);
}

static json_t *interval_json(double low, double high) {
    return isnan(low) ? json_null() : json_pack("[f, f]", low, high);
}

/* `latency_ms` is the median; `latency` has the rest. */
static json_t *side_json(const char *path, const coppice_compare_side *s) {
    return json_pack("{s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:f}", "file", cli_json_string(path),
                     "bytes", (json_int_t)s->bytes, "top1", cli_json_real(s->top1), "top5",
                     cli_json_real(s->top5), "ci95", interval_json(s->top1_low, s->top1_high),
                     "ci95_top5", interval_json(s->top5_low, s->top5_high), "latency_ms",
                     cli_json_real(s->latency.median), "latency", latency_json(&s->latency),
                     "sparsity", s->sparsity);
}

static json_t *report_json(const char *const paths[2], const coppice_compare_report *r,
                           json_t *passed) {
    json_t *outputs = json_array();
    for (size_t i = 0; i < r->output_count; i++) {
        const coppice_compare_output *o = &r->outputs[i];
        json_array_append_new(
            outputs,
            json_pack("{s:o, s:o, s:o, s:o, s:o}", "name", cli_json_string(o->name), "max_abs",
                      cli_json_real(o->max_abs), "cosine", cli_json_real(o->cosine), "psnr",
                      cli_json_real(o->psnr), "kl", cli_json_real(o->kl)));
    }
    return json_pack("{s:o, s:o, s:I, s:I, s:I, s:i, s:o, s:o, s:o, s:o, s:o}", "a",
                     side_json(paths[0], &r->a), "b", side_json(paths[1], &r->b), "samples",
                     (json_int_t)r->samples, "batch", (json_int_t)r->batch, "latency_batch",
                     (json_int_t)r->latency_batch, "threads", (int)r->threads, "agreement",
                     cli_json_real(r->agreement), "ci95_agreement",
                     interval_json(r->agreement_low, r->agreement_high), "outputs", outputs, "drop",
                     cli_json_real(r->drop), "passed", passed);
}

/* ---- the command ---- */

static void show_progress(void *user, double done, double total) {
    cli_progress(user, "comparing", (int64_t)done, (int64_t)total);
}

/* Sets the exit code and *passed (null without --max-drop). */
static coppice_status judge(cli_context *cli, const coppice_compare_report *r, double max_drop,
                            json_t **passed) {
    *passed = json_null();
    if (isnan(max_drop))
        return COPPICE_OK;
    if (isnan(r->drop))
        return cli_fail(cli, COPPICE_INVALID_ARGUMENT,
                        "--max-drop cannot be checked: no output of the models holds class scores "
                        "(a float output [samples, classes])");
    bool kept = r->drop <= max_drop + 1e-12; /* the drop is a quotient of counts */
    cli->check_failed = !kept;
    *passed = json_boolean(kept);
    cli_print(cli, "%s: %.4f lost, %.4f allowed\n", kept ? "passed" : "failed", r->drop, max_drop);
    return COPPICE_OK;
}

static coppice_status compare(cli_context *cli, coppice_model *const models[2],
                              const coppice_dataset_options *data,
                              const coppice_compare_options *options, double max_drop) {
    const char *const paths[2] = {cli->args[0], cli->args[1]};
    coppice_compare_report *report = NULL;
    coppice_status status =
        coppice_compare(models[0], models[1], data, options, &report, &cli->error);
    cli_progress_end(cli);
    if (status != COPPICE_OK)
        return status;
    if (options->batch && report->batch != options->batch)
        cli_note(cli, "the models or the data allow batches of %lld only, not %lld",
                 (long long)report->batch, (long long)options->batch);
    print_report(cli, paths, report);
    json_t *passed = NULL;
    status = judge(cli, report, max_drop, &passed);
    if (status == COPPICE_OK)
        status = cli_json_emit(cli, report_json(paths, report, passed));
    coppice_compare_report_free(report);
    return status;
}

static bool make_options(cli_context *cli, const compare_flags *flags,
                         coppice_compare_options *out) {
    coppice_compare_options_init(out);
    if (flags->batch == 0) {
        cli_usage(cli, "--batch must be at least 1");
        return false;
    }
    if (flags->max_drop < -1 || flags->max_drop > 1) {
        cli_usage(cli, "--max-drop is a fraction: 0.01 is one point, %g is not possible",
                  flags->max_drop);
        return false;
    }
    out->batch = flags->batch > 0 ? flags->batch : 0;
    out->progress = show_progress;
    out->user = cli;
    return true;
}

static coppice_status run(cli_context *cli, int argc, char **argv) {
    compare_flags flags = {.max_drop = NAN, .batch = -1};
    cli_data_flags data_flags;
    cli_data_flags_init(&data_flags);
    cli_session_flags session_flags = {0};
    const cli_group groups[] = {{"Options", compare_rows, &flags},
                                {"Data", cli_data_rows, &data_flags},
                                {"Execution", cli_session_rows, &session_flags},
                                {0}};
    coppice_session_options session;
    coppice_dataset_options data;
    coppice_compare_options options;
    if (!cli_parse(cli, groups, 2, 2, argc, argv) ||
        !cli_session_options(cli, &session_flags, &session) ||
        !cli_data_options(cli, &data_flags, &data) || !make_options(cli, &flags, &options))
        return cli->error.status;
    options.session = &session;
    coppice_model *models[2] = {NULL, NULL};
    coppice_status status = cli_load_model(cli, cli->args[0], &models[0]);
    if (status == COPPICE_OK)
        status = cli_load_model(cli, cli->args[1], &models[1]);
    if (status == COPPICE_OK)
        status = compare(cli, models, &data, &options, flags.max_drop);
    coppice_model_free(models[0]);
    coppice_model_free(models[1]);
    return status;
}

const cli_command cmd_compare = {
    .name = "compare",
    .arguments = "A B (--images PATH | --inputs [NAME=]FILE)",
    .summary = "accuracy, agreement, errors, size and speed of B against A",
    .details = "A is the reference, usually the dense model. Both run on the same data, in turns.",
    .run = run,
};
