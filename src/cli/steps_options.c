/* Options of pruning in steps: how many, which schedule, who trains. */
#include "steps_options.h"

#include <math.h>

#include "steps_folder.h"

#define AT(member) offsetof(cli_steps_flags, member)

const cli_option cli_steps_rows[] = {
    {"steps", 0, CLI_COUNT, AT(count), "N",
     "prune in N steps (default 1) and keep each in the folder OUT.steps"},
    {"schedule", 0, CLI_TEXT, AT(schedule), "S",
     "how sparsity grows: cubic (default; fast at first), linear,\n"
     "oneshot (all of it in step 1; the others only train)"},
    {"finetune", 0, CLI_TEXT, AT(finetune), "CMD",
     "shell command that trains at each step: it reads the model from\n"
     "$COPPICE_MODEL_IN and its masks from $COPPICE_MASKS (.npz), and\n"
     "writes the model to $COPPICE_MODEL_OUT; also set are\n"
     "$COPPICE_STEP, $COPPICE_STEPS and $COPPICE_SPARSITY"},
    {"finetune-timeout", 0, CLI_NUMBER, AT(timeout), "SECONDS",
     "end a command that takes longer (default 0: never)"},
    {"resume", 0, CLI_FLAG, AT(resume), NULL, "go on behind the last complete step in OUT.steps"},
    {0}};

void cli_steps_flags_init(cli_steps_flags *flags) {
    *flags = (cli_steps_flags){.count = -1, .schedule = "cubic", .timeout = NAN};
}

bool cli_has_steps(const cli_steps_flags *steps) {
    return steps->count >= 0 || steps->finetune;
}

coppice_status cli_steps_check_usage(cli_context *cli, const cli_steps_flags *steps,
                                     const cli_output *out, bool dry_run) {
    enum { MAX_STEPS = 1000 };
    if (steps->count == 0 || steps->count > MAX_STEPS)
        return cli_usage(cli, "--steps is %lld; it must be from 1 to %d", (long long)steps->count,
                         MAX_STEPS);
    if (!cli_same(steps->schedule, "cubic") && !cli_same(steps->schedule, "linear") &&
        !cli_same(steps->schedule, "oneshot"))
        return cli_usage(cli, "--schedule: '%s' is none of cubic, linear, oneshot",
                         steps->schedule);
    if (steps->finetune && !*steps->finetune)
        return cli_usage(cli, "--finetune: the command is empty");
    if (!isnan(steps->timeout) && !steps->finetune)
        return cli_usage(cli, "--finetune-timeout needs --finetune");
    if (steps->timeout < 0)
        return cli_usage(cli, "--finetune-timeout is %g; it must not be negative", steps->timeout);
    if (steps->resume && !cli_has_steps(steps))
        return cli_usage(cli, "--resume goes on with steps: give --steps N as before");
    if (steps->resume && dry_run)
        return cli_usage(cli, "--resume and --dry-run exclude each other");
    if (cli_has_steps(steps) && cli_same(out->path, "-"))
        return cli_usage(cli, "--steps and --finetune keep their steps in OUT.steps: -o - has no "
                              "name for it");
    return COPPICE_OK;
}

coppice_status cli_steps_check_target(cli_context *cli, const cli_steps_flags *steps,
                                      const cli_output *out) {
    if (!cli_has_steps(steps))
        return COPPICE_OK;
    const char *folder = cli_steps_path(cli, out->path);
    if (!folder)
        return cli->error.status;
    if (!cli_steps_exist(folder))
        return COPPICE_OK;
    if (steps->resume || cli->force)
        return cli_steps_check_writable(cli, folder);
    return cli_fail(cli, COPPICE_EXISTS,
                    "%s: already exists; go on with these steps with --resume, or start anew with "
                    "--force",
                    folder);
}
