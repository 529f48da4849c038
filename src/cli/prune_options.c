/* Options of `coppice prune`: tables of rows, checks before the work, options of the library. */
#include "prune_options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define AT(member) offsetof(cli_prune_flags, member)

static const char *const scope_names[] = {[COPPICE_SCOPE_LAYER] = "layer",
                                          [COPPICE_SCOPE_GLOBAL] = "global",
                                          [COPPICE_SCOPE_ERK] = "erk",
                                          [COPPICE_SCOPE_LAMP] = "lamp",
                                          NULL};

const cli_option cli_prune_main_rows[] = {
    {"sparsity", 's', CLI_NUMBER, AT(sparsity), "S",
     "share of the chosen weights that become zero, 0 to 1; zeros that\n"
     "are there already count"},
    {"scope", 0, CLI_TEXT, AT(scope), "SCOPE",
     "layer: the same sparsity in every layer (default);\n"
     "global: the smallest magnitudes of all layers together;\n"
     "erk: by shape, small layers keep more; lamp: by magnitudes\n"
     "within each layer, so that layers of other scales compare"},
    {"pattern", 0, CLI_TEXT, AT(pattern), "PATTERN",
     "unstructured (default); RxC, as 4x1: blocks of R output by C\n"
     "input channels; channels: whole output channels; N:M, as 2:4:\n"
     "N of M weights along the input channels stay, in place of -s"},
    {"criterion", 0, CLI_TEXT, AT(criterion), "WHAT",
     "which weights matter least: those of the smallest magnitude\n"
     "(default); random (--seed): what a criterion must beat; or file:\n"
     "those with the lowest --scores"},
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

static bool is_one_of(const char *text, const char *const *names) {
    while (*names && !cli_same(text, *names))
        names++;
    return *names != NULL;
}

/* Does the pattern say how many weights stay? */
static bool is_target(const char *pattern) {
    return pattern && strchr(pattern, ':');
}

double cli_prune_target(const cli_prune_flags *o) {
    int kept, of;
    if (!isnan(o->sparsity))
        return o->sparsity;
    bool is_share =
        o->pattern && sscanf(o->pattern, "%d:%d", &kept, &of) == 2 && kept > 0 && kept < of;
    return is_share ? 1 - (double)kept / of : 0;
}

static coppice_status check_choice(cli_context *cli, const cli_prune_flags *o) {
    static const char *const criteria[] = {"magnitude", "random", "file", NULL};
    if (!is_one_of(o->scope, scope_names))
        return cli_usage(cli, "--scope: '%s' is none of: layer, global, erk, lamp", o->scope);
    if (!is_one_of(o->criterion, criteria))
        return cli_usage(cli, "--criterion: '%s' is none of: magnitude, random, file",
                         o->criterion);
    if (cli_same(o->criterion, "file") != (o->scores != NULL))
        return cli_usage(cli, "--criterion file and --scores FILE.npz belong together");
    return COPPICE_OK;
}

static coppice_status check_usage(cli_context *cli, const cli_prune_flags *o) {
    const char *paths[] = {o->out.path, o->masks};
    coppice_status status = cli_output_check_names(cli, paths, 2);
    if (status != COPPICE_OK)
        return status;
    if (isnan(o->sparsity) == !is_target(o->pattern))
        return isnan(o->sparsity)
                   ? cli_usage(cli, "prune: how much? Give --sparsity S, as 0.8, or a --pattern "
                                    "N:M, as 2:4")
                   : cli_usage(cli,
                               "--pattern %s says how many weights stay: --sparsity does not go "
                               "with it",
                               o->pattern);
    if (o->sparsity < 0 || o->sparsity > 1)
        return cli_usage(cli, "--sparsity is %g; it must be from 0 to 1", o->sparsity);
    if (!o->out.path && !o->dry_run)
        return cli_usage(cli, "prune: where to? Give -o OUT (or --dry-run)");
    if (is_target(o->pattern) && o->steps.count > 1)
        return cli_usage(cli, "--pattern %s is made in one step: --steps does not go with it",
                         o->pattern);
    status = check_choice(cli, o);
    if (status != COPPICE_OK)
        return status;
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
    out->sparsity = cli_prune_target(o);
    out->pattern = o->pattern;
    while (!cli_same(o->scope, scope_names[out->scope]))
        out->scope++;
    if (cli_same(o->criterion, "random"))
        out->criterion = COPPICE_CRITERION_RANDOM;
    out->seed = (uint64_t)cli->seed;
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
