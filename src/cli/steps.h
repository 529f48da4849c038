/* Gradual pruning on the command line: --steps, --finetune, --resume. */
#ifndef CLI_STEPS_H
#define CLI_STEPS_H

#include "prune_options.h"

/* Prunes `model` in steps and keeps each in the folder OUT.steps; prints a line per step. With
 * --dry-run the steps are chosen from the model as it is, and nothing is written. *report is owned
 * by the caller; *steps, a new reference, has an object per step for --json. Both are NULL on
 * failure. */
coppice_status cli_prune_in_steps(cli_context *cli, const cli_prune_flags *o,
                                  const coppice_prune_options *options, coppice_model *model,
                                  coppice_prune_report **report, json_t **steps);

#endif
