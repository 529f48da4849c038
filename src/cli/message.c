/* Errors, notes, progress, and the small services of every command. */
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BAR_WIDTH = 30, BAR_INTERVAL_MS = 100, SHORT_WORK_MS = 300 };

static void set_error(cli_context *cli, coppice_status status, const char *format, va_list args) {
    cli->error = (coppice_error){.status = status, .offset = -1};
    vsnprintf(cli->error.message, sizeof cli->error.message, format, args);
}

coppice_status cli_fail(cli_context *cli, coppice_status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    set_error(cli, status, format, args);
    va_end(args);
    return status;
}

coppice_status cli_usage(cli_context *cli, const char *format, ...) {
    va_list args;
    va_start(args, format);
    set_error(cli, COPPICE_INVALID_ARGUMENT, format, args);
    va_end(args);
    size_t used = strlen(cli->error.message);
    snprintf(cli->error.message + used, sizeof cli->error.message - used,
             " (see 'coppice %s%s--help')", cli->command ? cli->command->name : "",
             cli->command ? " " : "");
    return COPPICE_INVALID_ARGUMENT;
}

void cli_print_safe(FILE *file, const char *text) {
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        putc(c < 0x20 || c == 0x7f ? '?' : c, file);
    }
}

static void print_line(cli_context *cli, const char *kind, const char *text) {
    cli_progress_end(cli);
    fprintf(stderr, "%s: ", kind);
    cli_print_safe(stderr, text);
    putc('\n', stderr);
}

void cli_note(cli_context *cli, const char *format, ...) {
    if (cli->quiet)
        return;
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    print_line(cli, "note", text);
}

void cli_print(cli_context *cli, const char *format, ...) {
    if (!cli->out)
        return;
    va_list args;
    va_start(args, format);
    vfprintf(cli->out, format, args);
    va_end(args);
}

bool cli_same(const char *a, const char *b) {
    return a && b && strcmp(a, b) == 0;
}

double cli_share(int64_t part, int64_t whole) {
    return whole > 0 ? (double)part / (double)whole : 0;
}

double cli_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

void cli_progress(cli_context *cli, const char *what, int64_t done, int64_t total) {
    if (cli->quiet || !cli->progress || total <= 0 || !isatty(STDERR_FILENO))
        return;
    double time = cli_now_ms();
    if (cli->bar_drawn && done < total && time - cli->bar_time < BAR_INTERVAL_MS)
        return;
    cli->bar_time = time;
    cli->bar_drawn = true;
    double share = done >= total ? 1.0 : (double)done / (double)total;
    int filled = (int)(share * BAR_WIDTH);
    char bar[BAR_WIDTH + 1];
    memset(bar, '#', (size_t)filled);
    memset(bar + filled, '.', (size_t)(BAR_WIDTH - filled));
    bar[BAR_WIDTH] = 0;
    fprintf(stderr, "\r%s [%s] %3.0f %% %lld/%lld\033[K", what, bar, 100 * share, (long long)done,
            (long long)total);
    fflush(stderr);
}

void cli_progress_end(cli_context *cli) {
    if (!cli->bar_drawn)
        return;
    cli->bar_drawn = false;
    fputs("\r\033[K", stderr);
    fflush(stderr);
}

static void show_line(void *cookie, coppice_log_level level, const char *message) {
    static const char *const kinds[] = {"debug", "note", "warning"};
    cli_context *cli = cookie;
    if (!cli->quiet && (level != COPPICE_LOG_DEBUG || cli->verbose))
        print_line(cli, kinds[level], message);
}

/* Work that is over before anybody looks gets no bar. */
static bool show_work(void *cookie, const char *what, int64_t done, int64_t total) {
    cli_context *cli = cookie;
    double now = cli_now_ms();
    if (cli->work_time == 0)
        cli->work_time = now;
    if (now - cli->work_time > SHORT_WORK_MS)
        cli_progress(cli, what, done, total);
    if (done == total) {
        cli_progress_end(cli);
        cli->work_time = 0;
    }
    return true;
}

const coppice_host *cli_host(cli_context *cli) {
    cli->host = (coppice_host){.cookie = cli, .log = show_line, .progress = show_work};
    return &cli->host;
}

void *cli_alloc(cli_context *cli, size_t bytes) {
    void **owned = realloc(cli->owned, (cli->owned_count + 1) * sizeof *owned);
    if (owned)
        cli->owned = owned;
    void *memory = owned ? calloc(1, bytes ? bytes : 1) : NULL;
    if (!memory)
        cli_fail(cli, COPPICE_OUT_OF_MEMORY, "out of memory (%zu bytes)", bytes);
    else
        cli->owned[cli->owned_count++] = memory;
    return memory;
}

char *cli_join(cli_context *cli, const char *a, const char *b, const char *c) {
    char *text = cli_alloc(cli, strlen(a) + strlen(b) + strlen(c) + 1);
    if (text)
        strcat(strcat(strcpy(text, a), b), c);
    return text;
}
