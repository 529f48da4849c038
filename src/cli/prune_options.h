/* Options of `coppice prune`: what they are, what is checked before the work, and what the library
 * gets of them. */
#ifndef CLI_PRUNE_OPTIONS_H
#define CLI_PRUNE_OPTIONS_H

#include "output_options.h"
#include "steps_options.h"

/* Initialise with cli_prune_flags_init. What decides which weights go is compared by --resume: see
 * describe_run in steps.c. */
typedef struct cli_prune_flags {
    cli_output out;
    cli_steps_flags steps;
    const char *masks, *scope, *pattern, *criterion, *scores;
    double sparsity;
    cli_list include, exclude, layers;
    bool keep_first, keep_last, keep_depthwise, keep_recurrent;
    bool dry_run;
} cli_prune_flags;

extern const cli_option cli_prune_main_rows[], cli_prune_choice_rows[];

void cli_prune_flags_init(cli_prune_flags *flags);

/* Do the options make sense, and can the targets be written? Nothing is touched. */
coppice_status cli_prune_check(cli_context *cli, const cli_prune_flags *o);

/* The share of zeros asked for, by --sparsity or by --pattern N:M. */
double cli_prune_target(const cli_prune_flags *o);

/* The options as the library wants them, in memory of `cli`. */
coppice_status cli_prune_library_options(cli_context *cli, const cli_prune_flags *o,
                                         coppice_prune_options *out);

/* Reads the scores of a .npz into the options of the library, in memory of `cli` (scores.c). */
coppice_status cli_scores_load(cli_context *cli, const char *path, coppice_prune_options *out);

#endif
