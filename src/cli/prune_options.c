/* Options of `coppice prune`: tables of rows, checks before the work, options of the library. */
#include "prune_options.h"

#include <math.h>
#include <string.h>

#define AT(member) offsetof(cli_prune_flags, member)

const cli_option cli_prune_main_rows[] = {
    {"output", 'o', CLI_TEXT, AT(output), "OUT", "file to write; '-' is standard output"},
    {"sparsity", 's', CLI_NUMBER, AT(sparsity), "S",
     "share of the chosen weights that become zero, 0 to 1; zeros that\n"
     "are there already count"},
    {"scope", 0, CLI_TEXT, AT(scope), "SCOPE",
     "layer: the same sparsity in every layer (default);\n"
     "global: the smallest magnitudes of all layers together"},
    {"dry-run", 0, CLI_FLAG, AT(dry_run), NULL, "choose and report, write nothing"},
    {0}};

const cli_option cli_prune_choice_rows[] = {
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

const cli_option cli_prune_output_rows[] = {
    {"masks-out", 0, CLI_TEXT, AT(masks), "FILE.npz",
     "write the masks: a uint8 array per weight, 1 = kept"},
    {"external-data", 0, CLI_TEXT, AT(external_data), "NAME",
     "put the weights into file NAME beside OUT"},
    {"single-file", 0, CLI_FLAG, AT(single_file), NULL, "everything in OUT (default)"},
    {"sizes", 0, CLI_FLAG, AT(sizes), NULL, "also say how large OUT is under gzip and zstd"},
    {0}};

void cli_prune_flags_init(cli_prune_flags *flags) {
    *flags = (cli_prune_flags){.sparsity = NAN,
                               .scope = "layer",
                               .keep_first = true,
                               .keep_last = true,
                               .keep_depthwise = true};
}

/* ---- checks ---- */

/* The path of the external data file, in memory of the cli. */
char *cli_prune_data_path(cli_context *cli, const cli_prune_flags *o) {
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
static coppice_status check_names(cli_context *cli, const cli_prune_flags *o) {
    if (cli_same(o->output, cli->json.value) || cli_same(o->masks, cli->json.value))
        cli->json = (cli_optional){0};
    else if (!cli_same(o->output, o->masks))
        return COPPICE_OK;
    return cli_usage(cli, "two outputs have the same name");
}

static coppice_status check_usage(cli_context *cli, const cli_prune_flags *o) {
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
    if (cli_same(o->masks, "-"))
        return cli_usage(cli, "--masks-out needs a file: '-' is no name for one");
    if (cli_same(o->output, "-") && o->external_data)
        return cli_usage(cli, "--external-data needs a file: -o - writes one stream");
    if (cli_same(o->output, "-") && cli->json.given && !cli->json.value)
        return cli_usage(cli, "-o - and --json both write to standard output; use --json=FILE");
    return COPPICE_OK;
}

/* Refuses targets that cannot be written before any work is done. */
static coppice_status check_targets(cli_context *cli, const cli_prune_flags *o) {
    if (o->dry_run)
        return COPPICE_OK;
    const char *targets[] = {cli_same(o->output, "-") ? NULL : o->output, o->masks, NULL};
    if (o->external_data && !(targets[2] = cli_prune_data_path(cli, o)))
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

coppice_status cli_prune_check(cli_context *cli, const cli_prune_flags *o) {
    coppice_status status = check_usage(cli, o);
    return status == COPPICE_OK ? check_targets(cli, o) : status;
}

/* ---- options of the library ---- */

/* "GLOB=S": the pattern may hold '=' itself. */
static coppice_status parse_layers(cli_context *cli, const cli_prune_flags *o,
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

coppice_status cli_prune_library_options(cli_context *cli, const cli_prune_flags *o,
                                         coppice_prune_options *out) {
    coppice_prune_options_init(out);
    out->sparsity = o->sparsity;
    out->scope = cli_same(o->scope, "global") ? COPPICE_SCOPE_GLOBAL : COPPICE_SCOPE_LAYER;
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
