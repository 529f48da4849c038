/* Running the command of --finetune: in the shell, in a process group of its own. */
#ifndef CLI_FINETUNE_H
#define CLI_FINETUNE_H

#include "cli.h"

/* Runs `command` with /bin/sh and waits for it. `variables` are pairs NAME=VALUE for its
 * environment, NULL behind the last. Its standard input is empty and its standard output goes to
 * our standard error, as ours may carry JSON. After `timeout_s` seconds (0: never) or when this
 * program is interrupted, the command and everything it started in its group are ended.
 * Anything but exit code 0 gives IO, LIMIT (timeout) or INTERRUPTED with a text in cli->error that
 * continues "the --finetune command ...". */
coppice_status cli_run_finetune(cli_context *cli, const char *command, char *const *variables,
                                double timeout_s);

/* Ends a command that is running at once. Async-signal-safe: for a second Ctrl-C. */
void cli_kill_finetune(void);

#endif
