/* What `coppice prune` shows: a table per layer, the totals, the same as JSON. */
#include "prune_report.h"

static int64_t macs_left(const coppice_prune_layer *layer) {
    if (layer->macs < 0)
        return -1;
    return (int64_t)((double)layer->macs * (1 - cli_share(layer->zeros, layer->weights)) + 0.5);
}

void cli_prune_print_layers(cli_context *cli, const coppice_prune_report *report) {
    cli_table table = {0};
    cli_table_column(&table, "node", CLI_LEFT);
    cli_table_column(&table, "op", CLI_LEFT);
    cli_table_column(&table, "weight", CLI_LEFT);
    cli_table_column(&table, "shape", CLI_LEFT);
    cli_table_column(&table, "weights", CLI_RIGHT);
    cli_table_column(&table, "zeros", CLI_RIGHT);
    cli_table_column(&table, "sparsity", CLI_RIGHT);
    cli_table_column(&table, "MACs", CLI_RIGHT);
    cli_table_column(&table, "left", CLI_RIGHT);
    cli_table_column(&table, "kept dense", CLI_LEFT);
    for (size_t i = 0; i < report->layer_count; i++) {
        const coppice_prune_layer *layer = &report->layers[i];
        cli_table_text(&table, layer->node);
        cli_table_text(&table, layer->op);
        cli_table_text(&table, layer->initializer);
        cli_table_text(&table, cli_format_shape(layer->rank, layer->dims).text);
        cli_table_count(&table, layer->weights);
        cli_table_count(&table, layer->zeros);
        cli_table_percent(&table, cli_share(layer->zeros, layer->weights));
        cli_table_short(&table, layer->macs);
        cli_table_short(&table, macs_left(layer));
        cli_table_text(&table, layer->kept_dense);
    }
    cli_table_rule(&table);
    cli_table_text(&table, "pruned layers");
    for (int i = 0; i < 3; i++)
        cli_table_text(&table, "");
    cli_table_count(&table, report->weights);
    cli_table_count(&table, report->zeros);
    cli_table_percent(&table, cli_share(report->zeros, report->weights));
    for (int i = 0; i < 3; i++)
        cli_table_text(&table, "");
    cli_table_print(&table, cli->out);
    cli_table_free(&table);
}

static bool some_macs_unknown(const coppice_prune_report *report) {
    for (size_t i = 0; i < report->layer_count; i++)
        if (report->layers[i].macs < 0)
            return true;
    return false;
}

void cli_prune_print_totals(cli_context *cli, const cli_prune_result *r) {
    const coppice_prune_report *report = r->report;
    int64_t weights = 0, zeros = 0;
    for (size_t i = 0; i < report->layer_count; i++) {
        weights += report->layers[i].weights;
        zeros += report->layers[i].zeros;
    }
    cli_print(cli, "\nweights  %s, ", cli_format_count(weights).text);
    cli_print(cli, "%s of them zero (%.1f %%)\n", cli_format_count(zeros).text,
              100 * cli_share(zeros, weights));
    if (report->macs_dense > 0) {
        cli_print(cli, "MACs     %s dense, ", cli_format_short((double)report->macs_dense).text);
        cli_print(cli, "%s left (%.1f %%)%s\n", cli_format_short((double)report->macs_left).text,
                  100 * cli_share(report->macs_left, report->macs_dense),
                  some_macs_unknown(report) ? ", of the layers with a known shape" : "");
    }
    cli_output_print_bytes(cli, &r->out);
}

static json_t *json_of_layers(const coppice_prune_report *report) {
    json_t *layers = json_array();
    for (size_t i = 0; i < report->layer_count; i++) {
        const coppice_prune_layer *layer = &report->layers[i];
        json_array_append_new(
            layers,
            json_pack("{s:o, s:s, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o}", "node",
                      cli_json_string(layer->node), "op", layer->op, "initializer",
                      cli_json_string(layer->initializer), "shape",
                      cli_json_shape(layer->rank, layer->dims), "weights",
                      (json_int_t)layer->weights, "zeros", (json_int_t)layer->zeros, "sparsity",
                      cli_json_real(cli_share(layer->zeros, layer->weights)), "macs",
                      cli_json_count(layer->macs), "macs_left", cli_json_count(macs_left(layer)),
                      "kept_dense", cli_json_string(layer->kept_dense)));
    }
    return layers;
}

json_t *cli_prune_json(const cli_prune_result *r) {
    const coppice_prune_report *report = r->report;
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:O*, s:I, s:o, s:o}",
                     "sparsity", cli_json_real(cli_share(report->zeros, report->weights)), "zeros",
                     (json_int_t)report->zeros, "weights", (json_int_t)report->weights,
                     "macs_dense", (json_int_t)report->macs_dense, "macs_left",
                     (json_int_t)report->macs_left, "bytes_in", cli_json_count(r->out.bytes_in),
                     "bytes_out", cli_json_count(r->out.bytes_out), "bytes",
                     cli_output_json_bytes(&r->out), "layers", json_of_layers(report), "steps",
                     r->steps, "folded_masks", (json_int_t)r->out.folded_masks, "external_data",
                     cli_output_json_data(&r->out), "ms", cli_json_real(r->ms));
}
