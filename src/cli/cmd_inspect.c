/* coppice inspect: what is in a model, weight by weight. */
#include "cli.h"

#include <math.h>

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

static double share(int64_t part, int64_t whole) {
    return whole > 0 && part >= 0 ? (double)part / (double)whole : NAN;
}

/* MACs of everything that is known. */
static int64_t all_macs(const coppice_inspection *in) {
    return in->macs + in->macs_other;
}

/* ---- JSON ---- */

static json_t *json_of_users(const coppice_weight_info *w) {
    json_t *users = json_array();
    for (size_t i = 0; i < w->user_count; i++)
        json_array_append_new(
            users, json_pack("{s:o, s:s, s:o, s:o}", "node", cli_json_string(w->users[i].node),
                             "op", w->users[i].op, "via", cli_json_string(w->users[i].via), "macs",
                             cli_json_count(w->users[i].macs)));
    return users;
}

static json_t *json_of_weight(const coppice_inspection *in, const coppice_weight_info *w) {
    return json_pack(
        "{s:o, s:o, s:s, s:s, s:o, s:I, s:o, s:I, s:o, s:s, s:o, s:o, s:I, s:o, s:b, s:o}",
        "initializer", cli_json_string(w->initializer), "node", cli_json_string(w->node), "op",
        w->op, "type", coppice_type_name(w->type), "shape", cli_json_shape(w->rank, w->dims),
        "weights", (json_int_t)w->weights, "weights_share",
        cli_json_real(share(w->weights, in->model_parameters)), "zeros", (json_int_t)w->zeros,
        "sparsity", cli_json_real(cli_share(w->zeros, w->weights)), "pattern", w->pattern, "macs",
        cli_json_count(w->macs), "macs_share", cli_json_real(share(w->macs, all_macs(in))), "bytes",
        (json_int_t)w->bytes, "kept_dense", cli_json_string(w->kept_dense), "prunable", w->prunable,
        "users", json_of_users(w));
}

static json_t *json_of_totals(const coppice_model *model, const coppice_inspection *in) {
    return json_pack("{s:I, s:I, s:o, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "weights",
                     (json_int_t)in->parameters, "zeros", (json_int_t)in->zeros, "sparsity",
                     cli_json_real(cli_share(in->zeros, in->parameters)), "macs",
                     (json_int_t)in->macs, "macs_nonzero", (json_int_t)in->macs_nonzero, "bytes",
                     cli_json_count(coppice_model_file_bytes(model)), "parameters",
                     (json_int_t)in->model_parameters, "prunable_weights", (json_int_t)in->prunable,
                     "prunable_macs", (json_int_t)in->macs_prunable, "other_macs",
                     (json_int_t)in->macs_other, "unknown_macs", (json_int_t)in->macs_unknown,
                     "negative_zeros", (json_int_t)in->negative_zeros);
}

static json_t *json_of_others(const coppice_inspection *in) {
    json_t *others = json_array();
    for (size_t i = 0; i < COPPICE_PARAMETER_GROUPS; i++) {
        const coppice_parameter_group *group = &in->others[i];
        json_array_append_new(others, json_pack("{s:s, s:I, s:I, s:I, s:I}", "kind", group->kind,
                                                "tensors", (json_int_t)group->tensors, "parameters",
                                                (json_int_t)group->parameters, "zeros",
                                                (json_int_t)group->zeros, "bytes",
                                                (json_int_t)group->bytes));
    }
    return others;
}

/* Where nothing is pruned by default, only the model as it is. */
static size_t forecast_rows(const coppice_inspection *in) {
    return in->prunable > 0 ? COPPICE_FORECASTS : 1;
}

static json_t *json_of_forecasts(const coppice_inspection *in) {
    json_t *forecasts = json_array();
    for (size_t i = 0; i < forecast_rows(in); i++) {
        const coppice_forecast *f = &in->forecasts[i];
        json_array_append_new(
            forecasts,
            json_pack("{s:o, s:I, s:I, s:I, s:I}", "sparsity", cli_json_real(f->sparsity), "zeros",
                      (json_int_t)f->zeros, "macs_left", (json_int_t)f->macs_left, "bytes_dense",
                      (json_int_t)f->bytes_dense, "bytes_sparse", (json_int_t)f->bytes_sparse));
    }
    return forecasts;
}

static json_t *json_of(const coppice_model *model, const coppice_inspection *in) {
    json_t *weights = json_array();
    for (size_t i = 0; i < in->weight_count; i++)
        json_array_append_new(weights, json_of_weight(in, &in->weights[i]));
    return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "ir_version",
                     (json_int_t)coppice_model_ir_version(model), "inputs",
                     json_of_values(model, false), "outputs", json_of_values(model, true), "opsets",
                     json_of_opsets(model), "weights", weights, "totals", json_of_totals(model, in),
                     "other_parameters", json_of_others(in), "forecast", json_of_forecasts(in));
}

/* ---- tables ---- */

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

/* A percentage without its sign, which the title has. */
static void cell_share(cli_table *table, double fraction) {
    if (isnan(fraction))
        cli_table_text(table, "-");
    else
        cli_table_cell(table, "%.1f", 100 * fraction);
}

static void cell_zeros(cli_table *table, int64_t zeros, int64_t weights, const char *pattern) {
    if (zeros > 0)
        cli_table_cell(table, "%.1f %%%s%s", 100 * cli_share(zeros, weights), *pattern ? " " : "",
                       pattern);
    else
        cli_table_text(table, "none");
}

/* All nodes that use a weight; of very many the first ones. */
static void cell_users(cli_table *table, const coppice_weight_info *w) {
    enum { SHOWN = 8 };
    char text[1024];
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < w->user_count && i < SHOWN && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s %s%s%s", i ? ", " : "",
                                 w->users[i].op, w->users[i].node, w->users[i].via ? " via " : "",
                                 w->users[i].via ? w->users[i].via : "");
    if (w->user_count > SHOWN && used < sizeof text)
        snprintf(text + used, sizeof text - used, ", %zu more", w->user_count - SHOWN);
    cli_table_text(table, text);
}

/* What does not fit a line comes last. */
static void print_weights(cli_context *cli, const coppice_inspection *in) {
    static const struct {
        const char *title;
        cli_align align;
    } columns[] = {{"weight", CLI_LEFT}, {"shape", CLI_LEFT}, {"params", CLI_RIGHT},
                   {"%", CLI_RIGHT},     {"MACs", CLI_RIGHT}, {"%", CLI_RIGHT},
                   {"bytes", CLI_RIGHT}, {"zeros", CLI_LEFT}, {"prunable", CLI_LEFT},
                   {"used by", CLI_LEFT}};
    cli_table table = {0};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        cli_table_column(&table, columns[i].title, columns[i].align);
    for (size_t i = 0; i < in->weight_count; i++) {
        const coppice_weight_info *w = &in->weights[i];
        cli_table_text(&table, w->initializer);
        cli_table_text(&table, cli_format_shape(w->rank, w->dims).text);
        cli_table_short(&table, w->weights);
        cell_share(&table, share(w->weights, in->model_parameters));
        cli_table_short(&table, w->macs);
        cell_share(&table, share(w->macs, all_macs(in)));
        cli_table_bytes(&table, w->bytes);
        cell_zeros(&table, w->zeros, w->weights, w->pattern);
        cli_table_text(&table, w->kept_dense ? w->kept_dense : "yes");
        cell_users(&table, w);
    }
    cli_table_print(&table, cli->out);
    cli_table_free(&table);
}

static void total_row(cli_table *table, const coppice_inspection *in, const char *what,
                      int64_t tensors, int64_t parameters, int64_t macs) {
    cli_table_text(table, what);
    cli_table_count(table, tensors);
    cli_table_count(table, parameters);
    cell_share(table, share(parameters, in->model_parameters));
    cli_table_short(table, macs);
    cell_share(table, share(macs, all_macs(in)));
}

static void print_totals(cli_context *cli, const coppice_model *model,
                         const coppice_inspection *in) {
    static const char *const titles[] = {"total", "tensors", "parameters", "%",
                                         "MACs",  "%",       "zeros",      "bytes"};
    cli_table table = {0};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        cli_table_column(&table, titles[i], i ? CLI_RIGHT : CLI_LEFT);
    int64_t chosen = 0, zeros[2] = {0}, bytes[2] = {0}, sum = 0, all_zeros = in->zeros;
    for (size_t i = 0; i < in->weight_count; i++) {
        int kept = in->weights[i].kept_dense != NULL;
        chosen += !kept;
        zeros[kept] += in->weights[i].zeros;
        bytes[kept] += in->weights[i].bytes;
    }
    sum = (int64_t)in->weight_count;
    total_row(&table, in, "weights, prunable", chosen, in->prunable, in->macs_prunable);
    cli_table_count(&table, zeros[0]);
    cli_table_bytes(&table, bytes[0]);
    total_row(&table, in, "weights, kept dense", (int64_t)in->weight_count - chosen,
              in->parameters - in->prunable, in->macs - in->macs_prunable);
    cli_table_count(&table, zeros[1]);
    cli_table_bytes(&table, bytes[1]);
    int64_t data = bytes[0] + bytes[1], file = coppice_model_file_bytes(model);
    for (size_t i = 0; i < COPPICE_PARAMETER_GROUPS; i++) {
        const coppice_parameter_group *group = &in->others[i];
        sum += group->tensors;
        all_zeros += group->zeros;
        data += group->bytes;
        if (!group->tensors)
            continue;
        total_row(&table, in, group->kind, group->tensors, group->parameters, -1);
        cli_table_count(&table, group->zeros);
        cli_table_bytes(&table, group->bytes);
    }
    total_row(&table, in, "graph", -1, -1, in->macs_other > 0 ? in->macs_other : -1);
    cli_table_text(&table, "-");
    cli_table_bytes(&table, file > data ? file - data : 0);
    cli_table_rule(&table);
    total_row(&table, in, "model", sum, in->model_parameters, all_macs(in));
    cli_table_count(&table, all_zeros);
    cli_table_bytes(&table, file);
    cli_print(cli, "\n");
    cli_table_print(&table, cli->out);
    cli_table_free(&table);
}

static void print_notes(cli_context *cli, const coppice_inspection *in) {
    if (in->macs_other > 0)
        cli_print(cli, "MACs of the graph: products of two activations, as in attention.\n");
    if (in->macs_unknown)
        cli_print(cli,
                  "MACs of %zu weights are not known (sub-graphs, shapes that depend on data).\n",
                  in->macs_unknown);
    if (in->macs > 0 && in->zeros > 0)
        cli_print(cli, "MACs with weights that are not zero: %s (%.1f %%)\n",
                  cli_format_short((double)in->macs_nonzero).text,
                  100 * cli_share(in->macs_nonzero, in->macs));
}

static void print_forecast(cli_context *cli, const coppice_inspection *in) {
    static const char *const titles[] = {"prune -s", "zeros", "% of model",    "MACs left",
                                         "%",        "file",  "as sparse file"};
    cli_table table = {0};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        cli_table_column(&table, titles[i], i ? CLI_RIGHT : CLI_LEFT);
    for (size_t i = 0; i < forecast_rows(in); i++) {
        const coppice_forecast *f = &in->forecasts[i];
        if (f->sparsity > 0)
            cli_table_cell(&table, "%g", f->sparsity);
        else
            cli_table_text(&table, "as it is");
        cli_table_count(&table, f->zeros);
        cell_share(&table, share(f->zeros, in->model_parameters));
        cli_table_short(&table, in->macs > 0 ? f->macs_left : -1);
        cell_share(&table, share(f->macs_left, in->macs));
        cli_table_bytes(&table, f->bytes_dense);
        cli_table_cell(&table, "about %s", cli_format_bytes(f->bytes_sparse).text);
    }
    cli_print(cli,
              "\nWhat `coppice prune` would leave with its defaults (computed, not measured):\n");
    cli_table_print(&table, cli->out);
    cli_table_free(&table);
    if (in->negative_zeros)
        cli_print(cli,
                  "%s zeros are -0.0, which sparse files keep as values unless a large tensor is "
                  "full of them; prune writes +0.0\n",
                  cli_format_count(in->negative_zeros).text);
    if (!in->prunable)
        cli_print(cli, "By default it prunes nothing here%s\n",
                  in->weight_count ? "; --layer GLOB=S overrides the reasons above." : ".");
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
        print_totals(cli, model, in);
        print_notes(cli, in);
        print_forecast(cli, in);
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
    .summary =
        "a row per weight: shape, MACs, zeros, prunable or why not; what pruning would leave",
    .details =
        "MODEL is an ONNX file, or '-' for standard input. MACs (multiply-accumulates) are of\n"
        "one run with free dimensions 1; a weight that several nodes use is counted once.",
    .run = run,
};
