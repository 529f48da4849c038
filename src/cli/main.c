/* The program: finds the sub-command and turns its result into an exit code. */
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "finetune.h"

/* Every sub-command, in the order of the help. */
static const cli_command *const commands[] = {
    &cmd_info, &cmd_inspect, &cmd_prune, &cmd_apply_masks, &cmd_convert,
    &cmd_run,  &cmd_test,    &cmd_bench, &cmd_compare,     NULL,
};

static volatile sig_atomic_t interrupted;

/* The first signal asks the library to stop, a second one ends the program at once. */
static void on_signal(int signal_number) {
    (void)signal_number;
    coppice_interrupt();
    if (interrupted) {
        cli_kill_finetune();
        _exit(CLI_INTERRUPTED);
    }
    interrupted = 1;
}

bool cli_interrupted(void) {
    return interrupted;
}

static void install_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct sigaction hangup; /* a terminal that is closed; nohup(1) has it ignored */
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error of the write, not a crash */
}

static void print_help(void) {
    printf("Usage: coppice COMMAND [OPTION]... [ARGUMENT]...\n\n"
           "Prunes ONNX models and runs what is left fast on CPUs.\n\nCommands:\n");
    for (const cli_command *const *c = commands; *c; c++)
        printf("  %-12s  %s\n", (*c)->name, (*c)->summary);
    cli_print_options("Options of every command", cli_global_options());
    printf("\n'coppice COMMAND --help' explains one command.\n"
           "Exit codes: 0 ok; 1 a check failed; 2 usage or input error; 130 interrupted.\n");
}

static const cli_command *find_command(const char *name) {
    for (const cli_command *const *c = commands; *c; c++)
        if (strcmp((*c)->name, name) == 0)
            return *c;
    return NULL;
}

static coppice_status run(cli_context *cli, int argc, char **argv) {
    int used = cli_parse_global(cli, argc, argv);
    if (used < 0)
        return cli->error.status;
    if (cli->version) {
        printf("coppice %s\n", coppice_version());
        return COPPICE_OK;
    }
    if (used == argc && !cli->help)
        return cli_usage(cli, "which command?");
    if (used == argc) {
        print_help();
        return COPPICE_OK;
    }
    cli->command = find_command(argv[used]);
    if (!cli->command)
        return cli_usage(cli, "unknown command '%s'", argv[used]);
    return cli->command->run(cli, argc - used - 1, argv + used + 1);
}

static int report(cli_context *cli, coppice_status status) {
    cli_progress_end(cli);
    if (status == COPPICE_OK && (fflush(stdout) != 0 || ferror(stdout)))
        status = cli_fail(cli, COPPICE_IO, "cannot write standard output: %s", strerror(errno));
    if (status == COPPICE_OK)
        return interrupted ? CLI_INTERRUPTED : cli->check_failed ? CLI_CHECK_FAILED : CLI_OK;
    /* Where it was at work, and what failed because of the signal, explain nothing. */
    if (interrupted && strncmp(cli->error.message, "interrupted", strlen("interrupted")) != 0)
        cli_fail(cli, COPPICE_INTERRUPTED, "interrupted");
    fputs("coppice: ", stderr);
    cli_print_safe(stderr, cli->error.message);
    putc('\n', stderr);
    if (cli->json.given) {
        cli_json_error(cli);
        fflush(stdout);
    }
    return interrupted ? CLI_INTERRUPTED : CLI_ERROR;
}

int main(int argc, char **argv) {
    install_signals();
    cli_context cli = {.out = stdout, .progress = true};
    int code = report(&cli, run(&cli, argc > 0 ? argc - 1 : 0, argv + 1));
    for (size_t i = 0; i < cli.owned_count; i++)
        free(cli.owned[i]);
    free(cli.owned);
    return code;
}
