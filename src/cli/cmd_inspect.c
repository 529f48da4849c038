/* coppice inspect: what is in a model, weight by weight. */
#include "cli.h"

static json_t *json_of_values(const coppice_model *model, bool outputs) {
    size_t count = outputs ? coppice_model_output_count(model) : coppice_model_input_count(model);
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        coppice_value_info info =
            outputs ? coppice_model_output(model, i) : coppice_model_input(model, i);
        json_t *shape = info.rank < 0 ? json_null() : json_array();
        for (int d = 0; d < info.rank; d++)
            json_array_append_new(shape, info.dims[d] >= 0 ? json_integer(info.dims[d])
                                                           : cli_json_string(info.symbols[d]));
        json_array_append_new(array,
                              json_pack("{s:o, s:s, s:o}", "name", cli_json_string(info.name),
                                        "type", coppice_type_name(info.type), "shape", shape));
    }
    return array;
}

static json_t *json_of_opsets(const coppice_model *model) {
    json_t *array = json_array();
    const char *domain;
    int64_t version;
    for (size_t i = 0; coppice_model_opset_at(model, i, &domain, &version); i++)
        json_array_append_new(array, json_pack("{s:o, s:I}", "domain", cli_json_string(domain),
                                               "version", (json_int_t)version));
    return array;
}

static double sparsity_of(int64_t zeros, int64_t weights) {
    return weights > 0 ? (double)zeros / (double)weights : 0;
}

static json_t *json_of_weight(const coppice_weight_info *w) {
    return json_pack("{s:o, s:o, s:s, s:s, s:o, s:I, s:I, s:o, s:s, s:o, s:I, s:o}", "initializer",
                     cli_json_string(w->initializer), "node", cli_json_string(w->node), "op", w->op,
                     "type", coppice_type_name(w->type), "shape", cli_json_shape(w->rank, w->dims),
                     "weights", (json_int_t)w->weights, "zeros", (json_int_t)w->zeros, "sparsity",
                     cli_json_real(sparsity_of(w->zeros, w->weights)), "pattern", w->pattern,
                     "macs", cli_json_count(w->macs), "bytes", (json_int_t)w->bytes, "kept_dense",
                     cli_json_string(w->kept_dense));
}

static json_t *json_of(const coppice_model *model, const coppice_inspection *in) {
    json_t *weights = json_array();
    for (size_t i = 0; i < in->weight_count; i++)
        json_array_append_new(weights, json_of_weight(&in->weights[i]));
    json_t *totals = json_pack(
        "{s:I, s:I, s:o, s:I, s:I, s:o}", "weights", (json_int_t)in->parameters, "zeros",
        (json_int_t)in->zeros, "sparsity", cli_json_real(sparsity_of(in->zeros, in->parameters)),
        "macs", (json_int_t)in->macs, "macs_nonzero", (json_int_t)in->macs_nonzero, "bytes",
        cli_json_count(coppice_model_file_bytes(model)));
    return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}", "ir_version",
                     (json_int_t)coppice_model_ir_version(model), "inputs",
                     json_of_values(model, false), "outputs", json_of_values(model, true), "opsets",
                     json_of_opsets(model), "weights", weights, "totals", totals);
}

/* "image: float32 [batch, 3, 224, 224]": sizes, names of free dimensions, or "?". */
static void print_value(cli_context *cli, const char *what, const coppice_value_info *info) {
    cli_print(cli, "%-8s ", what);
    cli_print_safe(cli->out, info->name);
    cli_print(cli, ": %s", info->type ? coppice_type_name(info->type) : "no tensor");
    for (int d = 0; d < info->rank; d++) {
        cli_print(cli, d ? ", " : " [");
        if (info->dims[d] >= 0)
            cli_print(cli, "%lld", (long long)info->dims[d]);
        else
            cli_print_safe(cli->out, info->symbols[d] ? info->symbols[d] : "?");
    }
    cli_print(cli, info->rank > 0 ? "]\n" : info->rank == 0 ? " scalar\n" : ", any shape\n");
}

static void print_head(cli_context *cli, const char *path, const coppice_model *model) {
    cli_print_safe(cli->out, path);
    cli_print(cli, ": %s, IR version %lld, opset",
              cli_format_bytes(coppice_model_file_bytes(model)).text,
              (long long)coppice_model_ir_version(model));
    const char *domain;
    int64_t version;
    for (size_t i = 0; coppice_model_opset_at(model, i, &domain, &version); i++) {
        cli_print(cli, i ? ", " : " ");
        cli_print_safe(cli->out, domain);
        cli_print(cli, "%s%lld", domain[0] ? " " : "", (long long)version);
    }
    cli_print(cli, "\n");
    for (size_t i = 0; i < coppice_model_input_count(model); i++) {
        coppice_value_info info = coppice_model_input(model, i);
        print_value(cli, "input", &info);
    }
    for (size_t i = 0; i < coppice_model_output_count(model); i++) {
        coppice_value_info info = coppice_model_output(model, i);
        print_value(cli, "output", &info);
    }
    cli_print(cli, "\n");
}

static void print_macs(cli_table *table, int64_t macs) {
    cli_table_text(table, macs < 0 ? "-" : cli_format_short((double)macs).text);
}

static void print_weights(cli_context *cli, const coppice_inspection *in) {
    cli_table table = {0};
    cli_table_column(&table, "node", CLI_LEFT);
    cli_table_column(&table, "op", CLI_LEFT);
    cli_table_column(&table, "weight", CLI_LEFT);
    cli_table_column(&table, "shape", CLI_LEFT);
    cli_table_column(&table, "parameters", CLI_RIGHT);
    cli_table_column(&table, "MACs", CLI_RIGHT);
    cli_table_column(&table, "sparsity", CLI_RIGHT);
    cli_table_column(&table, "pattern", CLI_LEFT);
    cli_table_column(&table, "bytes", CLI_RIGHT);
    for (size_t i = 0; i < in->weight_count; i++) {
        const coppice_weight_info *w = &in->weights[i];
        cli_table_text(&table, w->node);
        cli_table_text(&table, w->op);
        cli_table_text(&table, w->initializer);
        cli_table_text(&table, cli_format_shape(w->rank, w->dims).text);
        cli_table_count(&table, w->weights);
        print_macs(&table, w->macs);
        cli_table_percent(&table, sparsity_of(w->zeros, w->weights));
        cli_table_text(&table, w->pattern);
        cli_table_bytes(&table, w->bytes);
    }
    cli_table_rule(&table);
    cli_table_cell(&table, "%zu weights", in->weight_count);
    for (int i = 0; i < 3; i++)
        cli_table_text(&table, "");
    cli_table_count(&table, in->parameters);
    print_macs(&table, in->macs > 0 ? in->macs : -1);
    cli_table_percent(&table, sparsity_of(in->zeros, in->parameters));
    cli_table_text(&table, "");
    cli_table_text(&table, "");
    cli_table_print(&table, cli->out);
    cli_table_free(&table);
    if (in->macs > 0 && in->zeros > 0)
        cli_print(cli, "\nMACs with weights that are not zero: %s (%.1f %%)\n",
                  cli_format_short((double)in->macs_nonzero).text,
                  100 * (double)in->macs_nonzero / (double)in->macs);
}

static coppice_status run(cli_context *cli, int argc, char **argv) {
    const cli_group groups[] = {{0}};
    if (!cli_parse(cli, groups, 1, 1, argc, argv))
        return cli->error.status;
    coppice_model *model;
    coppice_inspection *in = NULL;
    coppice_status status = cli_load_model(cli, cli->args[0], &model);
    if (status == COPPICE_OK)
        status = coppice_model_inspect(model, &in, &cli->error);
    if (status == COPPICE_OK && cli->out) {
        print_head(cli, cli->args[0], model);
        print_weights(cli, in);
    }
    if (status == COPPICE_OK)
        status = cli_json_emit(cli, cli->json.given ? json_of(model, in) : NULL);
    coppice_inspection_free(in);
    coppice_model_free(model);
    return status;
}

const cli_command cmd_inspect = {
    .name = "inspect",
    .arguments = "MODEL",
    .summary = "inputs, outputs, opsets, and a row per weight: shape, MACs, sparsity, pattern",
    .details =
        "MODEL is an ONNX file, or '-' for standard input. MACs (multiply-accumulates) are of\n"
        "one run with free dimensions 1.",
    .run = run,
};
