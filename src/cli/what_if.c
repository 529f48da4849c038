/* coppice bench --what-if: how fast a model would be if it were pruned. */
#include "what_if.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_SPARSITIES = 32, NAME_WIDTH = 40 };

/* ---- tables ---- */

static const char *point_name(const coppice_what_if_point *point, size_t index, cli_text *text) {
    if (index == 0)
        return "as it is";
    snprintf(text->text, sizeof text->text, "%.4g %%", 100 * point->sparsity);
    return text->text;
}

static void print_points(cli_context *cli, const coppice_what_if_report *report) {
    static const char *const titles[] = {"zeros", "ms per run", "speed-up",     "least",
                                         "most",  "MACs left",  "sparse layers"};
    cli_table table = {0};
    cli_text text;
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        cli_table_column(&table, titles[i], i ? CLI_RIGHT : CLI_LEFT);
    for (size_t i = 0; i < report->point_count; i++) {
        const coppice_what_if_point *point = &report->points[i];
        cli_table_text(&table, point_name(point, i, &text));
        cli_table_text(&table, cli_format_ms(point->latency.median).text);
        cli_table_cell(&table, "%.2fx", point->speedup);
        cli_table_cell(&table, "%.2fx", point->speedup_min);
        cli_table_cell(&table, "%.2fx", point->speedup_max);
        cli_table_percent(&table, point->macs_left);
        cli_table_count(&table, (int64_t)point->sparse_layers);
    }
    cli_table_print(&table, cli->out);
    cli_table_free(&table);
}

static void layer_row(cli_table *table, const coppice_what_if_report *report,
                      const coppice_what_if_layer *layer) {
    cli_table_end_of(table, layer->node, NAME_WIDTH);
    cli_table_text(table, layer->op);
    cli_table_text(table, cli_format_shape(layer->rank, layer->dims).text);
    for (size_t p = 0; p < report->point_count; p++)
        cli_table_text(table, cli_format_ms(layer->points[p].ms).text);
    if (layer->kept_dense)
        cli_table_cell(table, "stays dense: %s", layer->kept_dense);
    else if (isnan(layer->pays_from))
        cli_table_text(table, "-");
    else
        cli_table_cell(table, "%.0f %% zeros", ceil(100 * layer->pays_from));
}

/* The times of all layers that are listed. */
static void total_row(cli_table *table, const coppice_what_if_report *report) {
    cli_table_rule(table);
    cli_table_cell(table, "%zu layers", report->layer_count);
    cli_table_text(table, "");
    cli_table_text(table, "");
    for (size_t p = 0; p < report->point_count; p++) {
        double sum = 0;
        for (size_t i = 0; i < report->layer_count; i++) {
            double ms = report->layers[i].points[p].ms;
            sum += isnan(ms) ? 0 : ms;
        }
        cli_table_text(table, cli_format_ms(sum).text);
    }
    cli_table_text(table, "");
}

static void print_layers(cli_context *cli, const coppice_what_if_report *report) {
    cli_table table = {0};
    cli_text *titles = cli_alloc(cli, report->point_count * sizeof *titles);
    if (!titles)
        return;
    cli_table_column(&table, "node", CLI_LEFT);
    cli_table_column(&table, "op", CLI_LEFT);
    cli_table_column(&table, "weight", CLI_LEFT);
    for (size_t p = 0; p < report->point_count; p++) {
        cli_text text;
        snprintf(titles[p].text, sizeof titles[p].text, "%s%s", p ? "ms, " : "ms ",
                 point_name(&report->points[p], p, &text));
        cli_table_column(&table, titles[p].text, CLI_RIGHT);
    }
    cli_table_column(&table, "sparse pays from", CLI_LEFT);
    for (size_t i = 0; i < report->layer_count; i++)
        layer_row(&table, report, &report->layers[i]);
    total_row(&table, report);
    cli_table_print(&table, cli->out);
    cli_table_free(&table);
}

static void print_report(cli_context *cli, const coppice_what_if_report *report) {
    if (!cli->out)
        return;
    cli_print_safe(cli->out, cli->args[0]);
    cli_print(cli, " with masks in memory, by magnitude, %s (nothing is said of accuracy):\n\n",
              report->pattern);
    print_points(cli, report);
    cli_print(cli, "\n");
    print_layers(cli, report);
    cli_print(cli, "\n%u thread%s, %s, batch %lld\n", report->threads,
              report->threads == 1 ? "" : "s", coppice_isa_name(report->isa),
              (long long)report->batch);
}

/* ---- JSON ---- */

static json_t *known_ms(double ms) {
    return cli_json_real(ms >= 0 ? ms : NAN);
}

static json_t *times_json(const coppice_what_if_report *report,
                          const coppice_what_if_layer *layer) {
    json_t *array = json_array();
    for (size_t p = 0; p < report->point_count; p++) {
        const coppice_what_if_time *t = &layer->points[p];
        bool known = !isnan(t->ms);
        json_array_append_new(array, json_pack("{s:f, s:o, s:o, s:o, s:o, s:o}", "sparsity",
                                               t->sparsity, "ms", cli_json_real(t->ms), "dense_ms",
                                               known_ms(t->dense_ms), "sparse_ms",
                                               known_ms(t->sparse_ms), "kernel",
                                               cli_json_string(known ? t->kernel : NULL), "chosen",
                                               cli_json_string(!known      ? NULL
                                                               : t->sparse ? "sparse"
                                                                           : "dense")));
    }
    return array;
}

static json_t *layers_json(const coppice_what_if_report *report) {
    json_t *array = json_array();
    for (size_t i = 0; i < report->layer_count; i++) {
        const coppice_what_if_layer *layer = &report->layers[i];
        json_array_append_new(
            array, json_pack("{s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "node",
                             cli_json_string(layer->node), "op", cli_json_string(layer->op),
                             "initializer", cli_json_string(layer->initializer), "shape",
                             cli_json_shape(layer->rank, layer->dims), "weights",
                             (json_int_t)layer->weights, "kept_dense",
                             cli_json_string(layer->kept_dense), "pays_from",
                             cli_json_real(layer->pays_from), "points", times_json(report, layer)));
    }
    return array;
}

static json_t *points_json(const coppice_what_if_report *report) {
    json_t *array = json_array();
    for (size_t i = 0; i < report->point_count; i++) {
        const coppice_what_if_point *p = &report->points[i];
        json_array_append_new(
            array, json_pack("{s:f, s:f, s:{s:f, s:f, s:f}, s:o, s:I, s:I}", "sparsity",
                             p->sparsity, "ms", p->latency.median, "speedup", "median", p->speedup,
                             "min", p->speedup_min, "max", p->speedup_max, "macs_left",
                             cli_json_real(p->macs_left), "sparse_layers",
                             (json_int_t)p->sparse_layers, "runs", (json_int_t)p->latency.runs));
    }
    return array;
}

static json_t *report_json(cli_context *cli, const coppice_what_if_report *report) {
    return json_pack("{s:o, s:i, s:I, s:s, s:o, s:o, s:o}", "model", cli_json_string(cli->args[0]),
                     "threads", (int)report->threads, "batch", (json_int_t)report->batch, "isa",
                     coppice_isa_name(report->isa), "pattern", cli_json_string(report->pattern),
                     "points", points_json(report), "layers", layers_json(report));
}

/* ---- the command ---- */

coppice_status cli_what_if_run(cli_context *cli, const cli_what_if *options) {
    double sparsities[MOST_SPARSITIES];
    coppice_prune_options prune;
    coppice_what_if_options what_if;
    coppice_what_if_options_init(&what_if);
    what_if.bench = options->bench;
    what_if.prune = &prune;
    what_if.pattern = options->pattern;
    what_if.sparsities = sparsities;
    if (options->sparsities && !cli_parse_numbers(cli, "--what-if", options->sparsities, sparsities,
                                                  MOST_SPARSITIES, &what_if.sparsity_count))
        return cli->error.status;
    coppice_status status = cli_prune_library_options(cli, options->prune, &prune);
    if (status != COPPICE_OK)
        return status;
    coppice_model *model = NULL;
    coppice_what_if_report *report = NULL;
    status = cli_load_model(cli, cli->args[0], &model);
    if (status == COPPICE_OK)
        status = coppice_what_if(model, &what_if, &report, &cli->error);
    cli_progress_end(cli);
    if (status == COPPICE_OK) {
        print_report(cli, report);
        status = cli_json_emit(cli, cli->json.given ? report_json(cli, report) : NULL);
    }
    coppice_what_if_report_free(report);
    coppice_model_free(model);
    return status;
}
