/* Options of `coppice prune`: tables of rows, checks before the work, options of the library. */
#include "prune_options.h"

#include <math.h>
#include <string.h>

#define AT(member) offsetof(cli_prune_flags, member)

const cli_option cli_prune_main_rows[] = {
    {"sparsity", 's', CLI_NUMBER, AT(sparsity), "S",
     "share of the chosen weights that become zero, 0 to 1; zeros that\n"
     "are there already count"},
    {"scope", 0, CLI_TEXT, AT(scope), "SCOPE",
     "layer: the same sparsity in every layer (default);\n"
     "global: the smallest magnitudes of all layers together"},
    {"criterion", 0, CLI_TEXT, AT(criterion), "WHAT",
     "which weights matter least: those of the smallest magnitude\n"
     "(default), or file: those with the lowest --scores"},
    {"scores", 0, CLI_TEXT, AT(scores), "FILE.npz",
     "a float32 array of scores per weight, by the initializer's name;\n"
     "weights without one go by magnitude"},
    {"dry-run", 0, CLI_FLAG, AT(dry_run), NULL, "choose and report, write nothing"},
    {"masks-out", 0, CLI_TEXT, AT(masks), "FILE.npz",
     "write the masks: a uint8 array per weight, 1 = kept"},
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
    {"keep-recurrent", 0, CLI_SWITCH, AT(keep_recurrent), NULL,
     "keep the weights of LSTM, GRU and RNN dense (default: yes)"},
    {0}};

void cli_prune_flags_init(cli_prune_flags *flags) {
    *flags = (cli_prune_flags){.sparsity = NAN,
                               .scope = "layer",
                               .criterion = "magnitude",
                               .keep_first = true,
                               .keep_last = true,
                               .keep_depthwise = true,
                               .keep_recurrent = true};
    cli_steps_flags_init(&flags->steps);
}

/* ---- checks ---- */

static coppice_status check_usage(cli_context *cli, const cli_prune_flags *o) {
    const char *paths[] = {o->out.path, o->masks};
    coppice_status status = cli_output_check_names(cli, paths, 2);
    if (status != COPPICE_OK)
        return status;
    if (isnan(o->sparsity))
        return cli_usage(cli, "prune: how much? Give --sparsity S, as 0.8");
    if (o->sparsity < 0 || o->sparsity > 1)
        return cli_usage(cli, "--sparsity is %g; it must be from 0 to 1", o->sparsity);
    if (!o->out.path && !o->dry_run)
        return cli_usage(cli, "prune: where to? Give -o OUT (or --dry-run)");
    if (strcmp(o->scope, "layer") != 0 && strcmp(o->scope, "global") != 0)
        return cli_usage(cli, "--scope: '%s' is neither layer nor global", o->scope);
    bool by_file = strcmp(o->criterion, "file") == 0;
    if (!by_file && strcmp(o->criterion, "magnitude") != 0)
        return cli_usage(cli, "--criterion: '%s' is neither magnitude nor file", o->criterion);
    if (by_file != (o->scores != NULL))
        return cli_usage(cli, "--criterion file and --scores FILE.npz belong together");
    if (cli_same(o->masks, "-"))
        return cli_usage(cli, "--masks-out needs a file: '-' is no name for one");
    status = cli_output_check_usage(cli, &o->out);
    return status == COPPICE_OK ? cli_steps_check_usage(cli, &o->steps, &o->out, o->dry_run)
                                : status;
}

/* Refuses targets that cannot be written before any work is done. */
static coppice_status check_targets(cli_context *cli, const cli_prune_flags *o) {
    if (o->dry_run)
        return COPPICE_OK;
    coppice_status status = cli_output_check_targets(cli, &o->out);
    if (status == COPPICE_OK && o->masks)
        status = coppice_file_check_target(o->masks, cli->force, &cli->error);
    return status == COPPICE_OK ? cli_steps_check_target(cli, &o->steps, &o->out) : status;
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
        char *glob = cli_join(cli, o->layers.items[i], "", "");
        if (!glob)
            return cli->error.status;
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
    out->keep_recurrent = o->keep_recurrent;
    out->include = o->include.items;
    out->include_count = o->include.count;
    out->exclude = o->exclude.items;
    out->exclude_count = o->exclude.count;
    out->dry_run = o->dry_run;
    coppice_status status = parse_layers(cli, o, out);
    return status == COPPICE_OK && o->scores ? cli_scores_load(cli, o->scores, out) : status;
}
