/* What the sub-commands share: options, tables, JSON, notes, progress, errors.
 *
 * A sub-command is one file cmd_NAME.c with one `const cli_command cmd_NAME`, declared at the end
 * of this header and listed in main.c. Its `run` parses its options with cli_parse, works through
 * the public API only, prints tables to cli->out and JSON with cli_json_emit, and returns a status
 * with cli->error set. Only main() exits. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <coppice/coppice.h>
#include <jansson.h>

/* Strings in the order they were given. `items` is owned by the cli, the strings by argv. */
typedef struct cli_list {
    const char **items;
    size_t count;
} cli_list;

/* An option that works with and without "=VALUE". */
typedef struct cli_optional {
    bool given;
    const char *value; /* NULL without one */
} cli_optional;

/* One run of the program; zeroed apart from `out` and `progress`. */
typedef struct cli_context {
    const struct cli_command *command;
    coppice_error error;
    bool check_failed; /* set by a command: exit code 1 */
    FILE *out;         /* for tables: stdout, NULL under plain --json; a command that writes its
                          result to stdout sets stderr */
    const char **args; /* arguments that are no options */
    size_t arg_count;

    /* Global options. */
    bool help, version, quiet, force;
    int64_t verbose; /* how many -v */
    int64_t threads; /* 0: the default */
    int64_t seed;
    bool progress;     /* not --no-progress */
    cli_optional json; /* value: the file */

    void **owned; /* freed at the end */
    size_t owned_count;
    coppice_host host; /* of every model that is loaded */
    bool bar_drawn;
    double bar_time;
    double work_time; /* when the library's present work began */
} cli_context;

typedef struct cli_command {
    const char *name;
    const char *arguments; /* "MODEL -o OUT" */
    const char *summary;   /* one line of `coppice --help` */
    const char *details;   /* paragraph of `coppice NAME --help`, or NULL */
    coppice_status (*run)(cli_context *cli, int argc,
                          char **argv); /* argv behind the command's name */
} cli_command;

/* Exit codes. */
enum { CLI_OK = 0, CLI_CHECK_FAILED = 1, CLI_ERROR = 2, CLI_INTERRUPTED = 130 };

/* ---- options (options.c) ---- */

typedef enum cli_kind {
    CLI_FLAG,    /* bool; sets true */
    CLI_SWITCH,  /* bool; --name sets true, --no-name false */
    CLI_TALLY,   /* int64_t; counts how often it is given */
    CLI_TEXT,    /* const char *, NULL when not given; the last one counts */
    CLI_COUNT,   /* int64_t >= 0 */
    CLI_NUMBER,  /* double, not NaN */
    CLI_LIST,    /* cli_list; repeatable */
    CLI_OPTIONAL /* cli_optional; --name or --name=VALUE, never --name VALUE */
} cli_kind;

/* One row of a command's table of options; a row without name ends the table. */
typedef struct cli_option {
    const char *name; /* without "--" */
    char letter;      /* short form, 0: none */
    cli_kind kind;
    size_t offset;     /* of the member in the group's target: offsetof(...) */
    const char *value; /* what the help calls the value; NULL for flags */
    const char *help;  /* one line or several ('\n'); shown by --help */
} cli_option;

/* A table with the struct it fills, which holds the defaults already. A group without options ends
 * the list. */
typedef struct cli_group {
    const char *title; /* heading in the help */
    const cli_option *options;
    void *target;
} cli_group;

/* Parses argv into the groups and the global options; the rest goes to cli->args, at least `min`
 * and at most `max` of them (`max` -1: any number). False: return cli->error.status at once (it is
 * COPPICE_OK after --help, which prints the help). */
bool cli_parse(cli_context *cli, const cli_group *groups, int min, int max, int argc, char **argv);

/* Parses global options in front of the command's name; returns how many words they took, or -1
 * with cli->error set. */
int cli_parse_global(cli_context *cli, int argc, char **argv);

/* Rows of the global options, for `coppice --help`. */
void cli_print_options(const char *title, const cli_option *options);
const cli_option *cli_global_options(void);

/* A whole word as a number; false with cli->error set, which names `what`. */
bool cli_parse_number(cli_context *cli, const char *what, const char *text, double *out);
bool cli_parse_count(cli_context *cli, const char *what, const char *text, int64_t *out);

/* Comma-separated numbers, at most `capacity`. */
bool cli_parse_numbers(cli_context *cli, const char *what, const char *text, double *out,
                       size_t capacity, size_t *count);

/* ---- messages (message.c) ---- */

/* Sets cli->error and returns the status. */
coppice_status cli_fail(cli_context *cli, coppice_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for wrong usage: INVALID_ARGUMENT, "MESSAGE (see 'coppice NAME --help')". */
coppice_status cli_usage(cli_context *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "note: ..." on stderr, not with --quiet. */
void cli_note(cli_context *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What models are loaded with: the library's messages become lines on stderr, those of level DEBUG
 * with -v, and its progress a bar. Good until the end of the program. */
const coppice_host *cli_host(cli_context *cli);

/* Prints to cli->out, nothing when that is NULL. */
void cli_print(cli_context *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Draws a progress bar on stderr when that is a terminal and neither --quiet nor --no-progress is
 * given; at most 10 times a second. cli_progress_end removes it. */
void cli_progress(cli_context *cli, const char *what, int64_t done, int64_t total);
void cli_progress_end(cli_context *cli);

/* Are both given, and the same text? */
bool cli_same(const char *a, const char *b);

/* Has the user asked this program to stop? (main.c) */
bool cli_interrupted(void);

/* part / whole; 0 of nothing. */
double cli_share(int64_t part, int64_t whole);

/* Monotonic time in milliseconds. */
double cli_now_ms(void);

/* malloc'd memory that is freed at the end; NULL: no memory (cli->error is set). Zeroed. */
void *cli_alloc(cli_context *cli, size_t bytes);

/* The texts one behind the other, in such memory. */
char *cli_join(cli_context *cli, const char *a, const char *b, const char *c);

/* Opens a model as every command does: "-" is stdin. */
coppice_status cli_load_model(cli_context *cli, const char *path, coppice_model **out);

/* Prints `text` with control characters replaced, as names come from files. */
void cli_print_safe(FILE *file, const char *text);

/* ---- tables (table.c) ---- */

typedef enum cli_align { CLI_LEFT, CLI_RIGHT } cli_align;

/* Text in aligned columns. Zero-initialise, add columns, then rows of cells; free. A table that ran
 * out of memory prints what it has. */
typedef struct cli_table {
    struct cli_column *columns;
    size_t column_count;
    char **cells;
    size_t cell_count, cell_capacity;
    size_t *rules; /* rows above which a line is drawn */
    size_t rule_count;
} cli_table;

void cli_table_column(cli_table *table, const char *title, cli_align align);

/* The next cell, row by row. */
void cli_table_text(cli_table *table, const char *text); /* NULL: "" */
/* Of a longer text only the end, with "..." before it: of names the end tells most. */
void cli_table_end_of(cli_table *table, const char *text, size_t most);
void cli_table_cell(cli_table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void cli_table_count(cli_table *table, int64_t value);     /* 1,234,567; negative: "-" */
void cli_table_short(cli_table *table, int64_t value);     /* 41.2 M; negative: "-" */
void cli_table_percent(cli_table *table, double fraction); /* 80.0 %; NaN: "-" */
void cli_table_bytes(cli_table *table, int64_t bytes);     /* as cli_format_bytes */

/* A line before the next row (for totals). */
void cli_table_rule(cli_table *table);

/* Prints and empties the rows; `out` may be NULL. */
void cli_table_print(cli_table *table, FILE *out);
void cli_table_free(cli_table *table);

/* A short text in a buffer of the caller's. */
typedef struct cli_text {
    char text[256];
} cli_text;

cli_text cli_format_bytes(int64_t bytes); /* "512 B", "1.10 MB" (decimal units) */
cli_text cli_format_count(int64_t value); /* "1,234,567" */
cli_text cli_format_short(double value);  /* "41.2 M", "1.82 G" */
cli_text cli_format_ms(double ms);        /* "12.345", "0.00123"; NaN: "-" */
cli_text cli_format_shape(uint32_t rank, const int64_t *dims); /* "64x3x7x7", "scalar", -1: "?" */

/* ---- JSON (json.c) ---- */

/* A string that may hold anything: what is no UTF-8 becomes U+FFFD; NULL gives null. */
json_t *cli_json_string(const char *text);
json_t *cli_json_real(double value);                        /* NaN and infinity give null */
json_t *cli_json_count(int64_t value);                      /* negative (unknown) gives null */
json_t *cli_json_shape(uint32_t rank, const int64_t *dims); /* free dimensions (-1) give null */

/* Prints `root` (taken over, also on failure) when --json was given: on stdout, or complete or not
 * at all into the file of --json=FILE. A NULL root is a lack of memory. */
coppice_status cli_json_emit(cli_context *cli, json_t *root);

/* The error object, for main(). */
void cli_json_error(cli_context *cli);

/* ---- commands ---- */

extern const cli_command cmd_apply_masks, cmd_bench, cmd_compare, cmd_convert, cmd_info,
    cmd_inspect, cmd_prune, cmd_run, cmd_test;

#endif
