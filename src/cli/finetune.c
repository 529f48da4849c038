/* Running the command of --finetune: in the shell, in a process group of its own. */
#include "finetune.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Milliseconds. Ctrl-C must be over soon, a timeout may leave time to tidy up. */
enum { TICK = 20, GRACE_INTERRUPTED = 120, GRACE_LEFT_BEHIND = 120, GRACE_TIMEOUT = 2000 };

static volatile sig_atomic_t running_group; /* 0: none */

void cli_kill_finetune(void) {
    if (running_group > 0)
        kill(-(pid_t)running_group, SIGKILL);
}

static bool same_name(const char *a, const char *b) {
    size_t length = strcspn(a, "=");
    return strncmp(a, b, length) == 0 && b[length] == '=';
}

static bool is_set(char *const *variables, const char *entry) {
    for (; *variables; variables++)
        if (same_name(*variables, entry))
            return true;
    return false;
}

/* Our environment with `variables` instead of those of the same names. */
static char **environment_with(cli_context *cli, char *const *variables) {
    size_t count = 1, used = 0;
    for (char **entry = environ; *entry; entry++)
        count++;
    for (char *const *entry = variables; *entry; entry++)
        count++;
    char **all = cli_alloc(cli, count * sizeof *all);
    if (!all)
        return NULL;
    for (char **entry = environ; *entry; entry++)
        if (!is_set(variables, *entry))
            all[used++] = *entry;
    for (; *variables; variables++)
        all[used++] = *variables;
    return all;
}

/* In the child: only calls that are safe behind a fork of a program with threads. */
static void become_command(const char *command, char **environment, const sigset_t *mask) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* when this program is killed without a chance to tidy up */
    signal(SIGXFSZ, SIG_DFL);         /* what is ignored stays so over exec */
    sigprocmask(SIG_SETMASK, mask, NULL);
    int empty = open("/dev/null", O_RDONLY);
    if (empty < 0 || dup2(empty, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        _exit(126);
    if (empty > STDERR_FILENO)
        close(empty);
    char *const arguments[] = {(char *)"sh", (char *)"-c", (char *)command, NULL};
    execve("/bin/sh", arguments, environment);
    _exit(127);
}

/* Waits for a child to end, at most a tick, and less when a signal arrives. */
static void wait_a_tick(const sigset_t *child_ended) {
    const struct timespec tick = {.tv_nsec = TICK * 1000000L};
    sigtimedwait(child_ended, NULL, &tick);
}

/* Has the child ended? It then is no zombie any more. */
static bool has_ended(pid_t child, int *state) {
    pid_t result = waitpid(child, state, WNOHANG);
    if (result < 0)
        *state = W_EXITCODE(255, 0); /* cannot be: nobody else waits for it */
    return result != 0;
}

/* Ends the group of `child`: asks, waits a little, then insists. `child` is waited for, unless it
 * has `ended` already. */
static void end_group(pid_t child, bool ended, double grace_ms, const sigset_t *child_ended) {
    int state;
    double start = cli_now_ms();
    kill(-child, SIGTERM);
    do {
        wait_a_tick(child_ended);
        ended = ended || has_ended(child, &state);
    } while (!(ended && kill(-child, 0) != 0) && cli_now_ms() - start < grace_ms);
    kill(-child, SIGKILL);
    if (!ended)
        while (waitpid(child, &state, 0) < 0 && errno == EINTR)
            ;
}

static coppice_status explain(cli_context *cli, int state) {
    if (WIFSIGNALED(state))
        return cli_fail(cli, COPPICE_IO, "was ended by signal %d (%s)", WTERMSIG(state),
                        strsignal(WTERMSIG(state)));
    int code = WEXITSTATUS(state);
    if (code == 0)
        return COPPICE_OK;
    if (code > 128 && code <= 128 + 64) /* as the shell says it of what it ran */
        return cli_fail(cli, COPPICE_IO, "ended with exit code %d (signal %d: %s)", code,
                        code - 128, strsignal(code - 128));
    return cli_fail(cli, COPPICE_IO, "ended with exit code %d%s", code,
                    code == 127   ? " (not found)"
                    : code == 126 ? " (not executable)"
                                  : "");
}

static coppice_status wait_for(cli_context *cli, pid_t child, double timeout_s,
                               const sigset_t *child_ended) {
    int state = 0;
    double start = cli_now_ms();
    while (!has_ended(child, &state)) {
        if (cli_interrupted()) {
            end_group(child, false, GRACE_INTERRUPTED, child_ended);
            return cli_fail(cli, COPPICE_INTERRUPTED, "was interrupted");
        }
        if (timeout_s > 0 && cli_now_ms() - start > 1e3 * timeout_s) {
            end_group(child, false, GRACE_TIMEOUT, child_ended);
            return cli_fail(cli, COPPICE_LIMIT,
                            "took longer than the %g s of --finetune-timeout and was ended",
                            timeout_s);
        }
        wait_a_tick(child_ended);
    }
    if (kill(-child, 0) ==
        0) /* left in the background: workers of a crash, or a forgotten `wait` */
        end_group(child, true, GRACE_LEFT_BEHIND, child_ended);
    return cli_interrupted() ? cli_fail(cli, COPPICE_INTERRUPTED, "was interrupted")
                             : explain(cli, state);
}

coppice_status cli_run_finetune(cli_context *cli, const char *command, char *const *variables,
                                double timeout_s) {
    char **environment = environment_with(cli, variables);
    if (!environment)
        return cli->error.status;
    sigset_t child_ended, before;
    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_ended, &before);
    signal(SIGCHLD, SIG_DFL); /* ignored, it would take the exit code away */
    cli_progress_end(cli);
    fflush(NULL);
    coppice_status status = COPPICE_OK;
    pid_t child = fork();
    if (child < 0) {
        status = cli_fail(cli, COPPICE_IO, "could not be started: %s", strerror(errno));
    } else if (child == 0) {
        become_command(command, environment, &before);
    } else {
        setpgid(child, child); /* whichever of the two is first */
        running_group = child;
        status = wait_for(cli, child, timeout_s, &child_ended);
        running_group = 0;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return status;
}
