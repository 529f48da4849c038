/* coppice prune: sets the least important weights of a model to zero. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stdout_model.h"

typedef struct prune_options {
    const char *output, *masks, *scope, *external_data;
    double sparsity;
    cli_list include, exclude, layers;
    bool keep_first, keep_last, keep_depthwise;
    bool single_file, dry_run, sizes;
} prune_options;

#define AT(member) offsetof(prune_options, member)

static const cli_option main_options[] = {
    {"output", 'o', CLI_TEXT, AT(output), "OUT", "file to write; '-' is standard output"},
    {"sparsity", 's', CLI_NUMBER, AT(sparsity), "S",
     "share of the chosen weights that become zero, 0 to 1; zeros that\n"
     "are there already count"},
    {"scope", 0, CLI_TEXT, AT(scope), "SCOPE",
     "layer: the same sparsity in every layer (default);\n"
     "global: the smallest magnitudes of all layers together"},
    {"dry-run", 0, CLI_FLAG, AT(dry_run), NULL, "choose and report, write nothing"},
    {0}};

static const cli_option choice_options[] = {
    {"include", 0, CLI_LIST, AT(include), "GLOB",
     "only weights whose initializer or node matches; repeatable"},
    {"exclude", 0, CLI_LIST, AT(exclude), "GLOB", "not these; repeatable"},
    {"layer", 0, CLI_LIST, AT(layers), "GLOB=S",
     "another sparsity for these, whatever the keep options say;\n"
     "=0 keeps them dense; repeatable, the last match counts"},
    {"keep-first", 0, CLI_SWITCH, AT(keep_first), NULL, "keep the first Conv dense (default: yes)"},
    {"keep-last", 0, CLI_SWITCH, AT(keep_last), NULL,
     "keep the last layer before each output dense (default: yes)"},
    {"keep-depthwise", 0, CLI_SWITCH, AT(keep_depthwise), NULL,
     "keep depthwise convolutions dense (default: yes)"},
    {0}};

static const cli_option output_options[] = {
    {"masks-out", 0, CLI_TEXT, AT(masks), "FILE.npz",
     "write the masks: a uint8 array per weight, 1 = kept"},
    {"external-data", 0, CLI_TEXT, AT(external_data), "NAME",
     "put the weights into file NAME beside OUT"},
    {"single-file", 0, CLI_FLAG, AT(single_file), NULL, "everything in OUT (default)"},
    {"sizes", 0, CLI_FLAG, AT(sizes), NULL, "also say how large OUT is under gzip and zstd"},
    {0}};

/* What a run has found out, for table and JSON. Sizes of -1 are unknown. */
typedef struct prune_result {
    const coppice_prune_report *report;
    int64_t bytes_in, bytes_out, gzip, zstd;
    double ms;
} prune_result;

/* ---- before the work ---- */

static bool same(const char *a, const char *b) {
    return a && b && strcmp(a, b) == 0;
}

/* The path of the external data file, in memory of the cli. */
static char *data_path(cli_context *cli, const prune_options *o) {
    const char *slash = strrchr(o->output, '/');
    size_t folder = slash ? (size_t)(slash - o->output) + 1 : 0;
    char *path = cli_alloc(cli, folder + strlen(o->external_data) + 1);
    if (path) {
        memcpy(path, o->output, folder);
        strcpy(path + folder, o->external_data);
    }
    return path;
}

/* First of all checks: with --force, an error as JSON must not replace the model that OUT was. */
static coppice_status check_names(cli_context *cli, const prune_options *o) {
    if (same(o->output, cli->json.value) || same(o->masks, cli->json.value))
        cli->json = (cli_optional){0};
    else if (!same(o->output, o->masks))
        return COPPICE_OK;
    return cli_usage(cli, "two outputs have the same name");
}

static coppice_status check_usage(cli_context *cli, const prune_options *o) {
    coppice_status status = check_names(cli, o);
    if (status != COPPICE_OK)
        return status;
    if (isnan(o->sparsity))
        return cli_usage(cli, "prune: how much? Give --sparsity S, as 0.8");
    if (o->sparsity < 0 || o->sparsity > 1)
        return cli_usage(cli, "--sparsity is %g; it must be from 0 to 1", o->sparsity);
    if (!o->output && !o->dry_run)
        return cli_usage(cli, "prune: where to? Give -o OUT (or --dry-run)");
    if (strcmp(o->scope, "layer") != 0 && strcmp(o->scope, "global") != 0)
        return cli_usage(cli, "--scope: '%s' is neither layer nor global", o->scope);
    if (o->external_data && o->single_file)
        return cli_usage(cli, "--external-data and --single-file exclude each other");
    if (o->external_data && (!*o->external_data || strchr(o->external_data, '/')))
        return cli_usage(cli, "--external-data: '%s' is not a file name without a folder",
                         o->external_data);
    if (same(o->masks, "-"))
        return cli_usage(cli, "--masks-out needs a file: '-' is no name for one");
    if (same(o->output, "-") && o->external_data)
        return cli_usage(cli, "--external-data needs a file: -o - writes one stream");
    if (same(o->output, "-") && cli->json.given && !cli->json.value)
        return cli_usage(cli, "-o - and --json both write to standard output; use --json=FILE");
    return COPPICE_OK;
}

/* Refuses targets that cannot be written before any work is done. */
static coppice_status check_targets(cli_context *cli, const prune_options *o) {
    if (o->dry_run)
        return COPPICE_OK;
    const char *targets[] = {same(o->output, "-") ? NULL : o->output, o->masks, NULL};
    if (o->external_data && !(targets[2] = data_path(cli, o)))
        return cli->error.status;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        if (!targets[i])
            continue;
        coppice_status status = coppice_file_check_target(targets[i], cli->force, &cli->error);
        if (status != COPPICE_OK)
            return status;
    }
    return COPPICE_OK;
}

/* "GLOB=S": the pattern may hold '=' itself. */
static coppice_status parse_layers(cli_context *cli, const prune_options *o,
                                   coppice_prune_options *out) {
    coppice_layer_rule *rules = cli_alloc(cli, o->layers.count * sizeof *rules);
    if (!rules)
        return cli->error.status;
    for (size_t i = 0; i < o->layers.count; i++) {
        char *glob = cli_alloc(cli, strlen(o->layers.items[i]) + 1);
        if (!glob)
            return cli->error.status;
        strcpy(glob, o->layers.items[i]);
        char *equals = strrchr(glob, '=');
        if (!equals || equals == glob)
            return cli_usage(cli, "--layer: '%s' is not GLOB=SPARSITY", glob);
        *equals = 0;
        rules[i].glob = glob;
        if (!cli_parse_number(cli, "--layer", equals + 1, &rules[i].sparsity))
            return cli->error.status;
    }
    out->layers = rules;
    out->layer_count = o->layers.count;
    return COPPICE_OK;
}

static coppice_status library_options(cli_context *cli, const prune_options *o,
                                      coppice_prune_options *out) {
    coppice_prune_options_init(out);
    out->sparsity = o->sparsity;
    out->scope = same(o->scope, "global") ? COPPICE_SCOPE_GLOBAL : COPPICE_SCOPE_LAYER;
    out->keep_first = o->keep_first;
    out->keep_last = o->keep_last;
    out->keep_depthwise = o->keep_depthwise;
    out->include = o->include.items;
    out->include_count = o->include.count;
    out->exclude = o->exclude.items;
    out->exclude_count = o->exclude.count;
    out->dry_run = o->dry_run;
    return parse_layers(cli, o, out);
}

/* ---- what is shown ---- */

static double share(int64_t part, int64_t whole) {
    return whole > 0 ? (double)part / (double)whole : 0;
}

static int64_t macs_left(const coppice_prune_layer *layer) {
    if (layer->macs < 0)
        return -1;
    return (int64_t)((double)layer->macs * (1 - share(layer->zeros, layer->weights)) + 0.5);
}

static void cell_short(cli_table *table, int64_t value) {
    cli_table_text(table, value < 0 ? "-" : cli_format_short((double)value).text);
}

static void print_layers(cli_context *cli, const coppice_prune_report *report) {
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
        cli_table_percent(&table, share(layer->zeros, layer->weights));
        cell_short(&table, layer->macs);
        cell_short(&table, macs_left(layer));
        cli_table_text(&table, layer->kept_dense);
    }
    cli_table_rule(&table);
    cli_table_text(&table, "pruned layers");
    for (int i = 0; i < 3; i++)
        cli_table_text(&table, "");
    cli_table_count(&table, report->weights);
    cli_table_count(&table, report->zeros);
    cli_table_percent(&table, share(report->zeros, report->weights));
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

static void print_totals(cli_context *cli, const prune_result *r) {
    const coppice_prune_report *report = r->report;
    int64_t weights = 0, zeros = 0;
    for (size_t i = 0; i < report->layer_count; i++) {
        weights += report->layers[i].weights;
        zeros += report->layers[i].zeros;
    }
    cli_print(cli, "\nweights  %s, ", cli_format_count(weights).text);
    cli_print(cli, "%s of them zero (%.1f %%)\n", cli_format_count(zeros).text,
              100 * share(zeros, weights));
    if (report->macs_dense > 0) {
        cli_print(cli, "MACs     %s dense, ", cli_format_short((double)report->macs_dense).text);
        cli_print(cli, "%s left (%.1f %%)%s\n", cli_format_short((double)report->macs_left).text,
                  100 * share(report->macs_left, report->macs_dense),
                  some_macs_unknown(report) ? ", of the layers with a known shape" : "");
    }
    cli_print(cli, "bytes    %s before", cli_format_count(r->bytes_in).text);
    if (r->bytes_out >= 0)
        cli_print(cli, ", %s after", cli_format_count(r->bytes_out).text);
    if (r->gzip >= 0)
        cli_print(cli, "; %s as gzip", cli_format_count(r->gzip).text);
    if (r->zstd >= 0)
        cli_print(cli, ", %s as zstd", cli_format_count(r->zstd).text);
    cli_print(cli, "\n");
}

/* The complaint of everybody who prunes for the first time, answered before it comes up. */
static void explain_size(cli_context *cli, const prune_options *o, const prune_result *r) {
    if (r->bytes_out < 0 || (double)r->bytes_out < 0.95 * (double)r->bytes_in)
        return;
    cli_note(cli, "the file is not smaller: a zero takes as many bytes as any other weight%s",
             o->sizes ? "; compressed it is"
                      : "; compressed it gets smaller (--sizes says how much)");
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
                      cli_json_real(share(layer->zeros, layer->weights)), "macs",
                      cli_json_count(layer->macs), "macs_left", cli_json_count(macs_left(layer)),
                      "kept_dense", cli_json_string(layer->kept_dense)));
    }
    return layers;
}

static json_t *json_of(const prune_result *r) {
    const coppice_prune_report *report = r->report;
    json_t *bytes = json_pack("{s:o, s:o, s:o, s:o}", "dense", cli_json_count(r->bytes_out),
                              "sparse_initializer", json_null(), "gzip", cli_json_count(r->gzip),
                              "zstd", cli_json_count(r->zstd));
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "sparsity",
                     cli_json_real(share(report->zeros, report->weights)), "zeros",
                     (json_int_t)report->zeros, "weights", (json_int_t)report->weights,
                     "macs_dense", (json_int_t)report->macs_dense, "macs_left",
                     (json_int_t)report->macs_left, "bytes_in", cli_json_count(r->bytes_in),
                     "bytes_out", cli_json_count(r->bytes_out), "bytes", bytes, "layers",
                     json_of_layers(report), "ms", cli_json_real(r->ms));
}

/* ---- the work ---- */

/* Masks first: when the model then fails, a mask file that is new goes again. */
static coppice_status write_outputs(cli_context *cli, const prune_options *o, coppice_model *model,
                                    prune_result *r) {
    coppice_status status = COPPICE_OK;
    bool new_masks = o->masks && coppice_file_check_target(o->masks, false, NULL) == COPPICE_OK;
    if (o->masks)
        status = coppice_masks_save(r->report->masks, o->masks, cli->force, &cli->error);
    if (status != COPPICE_OK)
        return status;
    coppice_save_options save;
    coppice_save_options_init(&save);
    save.overwrite = cli->force;
    save.external_data = o->external_data;
    coppice_save_result saved;
    if (same(o->output, "-"))
        status = cli_save_to_stdout(cli, model, &save, &saved);
    else
        status = coppice_model_save(model, o->output, &save, &saved, &cli->error);
    r->bytes_out = status == COPPICE_OK ? saved.bytes : -1;
    if (status != COPPICE_OK && new_masks)
        remove(o->masks);
    return status;
}

static coppice_status add_compressed(cli_context *cli, const char *path,
                                     coppice_compression compression, int64_t *sum) {
    int64_t bytes;
    coppice_status status = coppice_file_compressed_bytes(path, compression, &bytes, &cli->error);
    if (status == COPPICE_UNSUPPORTED) {
        cli_note(cli, "no size as zstd: %s", cli->error.message);
        return COPPICE_OK;
    }
    if (status == COPPICE_OK)
        *sum = (*sum < 0 ? 0 : *sum) + bytes;
    return status;
}

static coppice_status measure_sizes(cli_context *cli, const prune_options *o, prune_result *r) {
    if (!o->sizes || !o->output || o->dry_run || same(o->output, "-"))
        return COPPICE_OK;
    const char *files[] = {o->output, o->external_data ? data_path(cli, o) : NULL};
    coppice_status status = COPPICE_OK;
    for (size_t i = 0; status == COPPICE_OK && i < 2 && files[i]; i++) {
        status = add_compressed(cli, files[i], COPPICE_COMPRESSION_GZIP, &r->gzip);
        if (status == COPPICE_OK)
            status = add_compressed(cli, files[i], COPPICE_COMPRESSION_ZSTD, &r->zstd);
    }
    return status;
}

static coppice_status prune(cli_context *cli, const prune_options *o, coppice_model *model,
                            prune_result *r, coppice_prune_report **report) {
    coppice_prune_options options;
    coppice_status status = library_options(cli, o, &options);
    if (status == COPPICE_OK)
        status = coppice_prune(model, &options, report, &cli->error);
    if (status != COPPICE_OK)
        return status;
    r->report = *report;
    r->bytes_in = coppice_model_file_bytes(model);
    if (o->dry_run)
        return COPPICE_OK;
    status = write_outputs(cli, o, model, r);
    return status == COPPICE_OK ? measure_sizes(cli, o, r) : status;
}

static coppice_status run(cli_context *cli, int argc, char **argv) {
    double start = cli_now_ms();
    prune_options o = {.sparsity = NAN,
                       .scope = "layer",
                       .keep_first = true,
                       .keep_last = true,
                       .keep_depthwise = true};
    const cli_group groups[] = {{"Options", main_options, &o},
                                {"Which weights", choice_options, &o},
                                {"Output", output_options, &o},
                                {0}};
    if (!cli_parse(cli, groups, 1, 1, argc, argv))
        return cli->error.status;
    coppice_status status = check_usage(cli, &o);
    if (status == COPPICE_OK)
        status = check_targets(cli, &o);
    if (status != COPPICE_OK)
        return status;
    if (same(o.output, "-"))
        cli->out = stderr;
    coppice_model *model;
    coppice_prune_report *report = NULL;
    prune_result result = {.bytes_out = -1, .gzip = -1, .zstd = -1};
    status = cli_load_model(cli, cli->args[0], &model);
    if (status == COPPICE_OK)
        status = prune(cli, &o, model, &result, &report);
    result.ms = cli_now_ms() - start;
    if (status == COPPICE_OK) {
        print_layers(cli, report);
        print_totals(cli, &result);
        if (o.dry_run)
            cli_note(cli, "dry run: nothing was written");
        explain_size(cli, &o, &result);
        status = cli_json_emit(cli, cli->json.given ? json_of(&result) : NULL);
    }
    coppice_prune_report_free(report);
    coppice_model_free(model);
    return status;
}

const cli_command cmd_prune = {
    .name = "prune",
    .arguments = "MODEL -o OUT --sparsity S",
    .summary = "set the smallest weights of a model to zero",
    .details =
        "MODEL is an ONNX file, or '-' for standard input. Prunable are the weights of Conv,\n"
        "ConvTranspose, Gemm and MatMul. GLOB is a shell pattern for names as 'coppice inspect'\n"
        "shows them.",
    .run = run,
};
