/* Options of pruning in steps: how many, which schedule, who trains. */
#ifndef CLI_STEPS_OPTIONS_H
#define CLI_STEPS_OPTIONS_H

#include "output_options.h"

/* Initialise with cli_steps_flags_init; target of the rows below. */
typedef struct cli_steps_flags {
    int64_t count; /* -1: not given */
    const char *schedule, *finetune;
    double timeout; /* NaN: not given */
    bool resume;
} cli_steps_flags;

extern const cli_option cli_steps_rows[];

void cli_steps_flags_init(cli_steps_flags *flags);

/* Is pruning in steps asked for? */
bool cli_has_steps(const cli_steps_flags *steps);

/* Do the options make sense? */
coppice_status cli_steps_check_usage(cli_context *cli, const cli_steps_flags *steps,
                                     const cli_output *out, bool dry_run);

/* Refuses a folder of steps that is there already or cannot be written, before any work is done. */
coppice_status cli_steps_check_target(cli_context *cli, const cli_steps_flags *steps,
                                      const cli_output *out);

#endif
