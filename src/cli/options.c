/* The option parser: tables of rows in, filled structs and the help text out. */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HELP_COLUMN = 28, MAX_GROUPS = 16 };

static const cli_option global_options[] = {
    {"help", 'h', CLI_FLAG, offsetof(cli_context, help), NULL, "show this help"},
    {"version", 'V', CLI_FLAG, offsetof(cli_context, version), NULL, "show the version"},
    {"quiet", 'q', CLI_FLAG, offsetof(cli_context, quiet), NULL, "no notes, no progress"},
    {"verbose", 'v', CLI_TALLY, offsetof(cli_context, verbose), NULL, "say more; repeatable"},
    {"force", 'f', CLI_FLAG, offsetof(cli_context, force), NULL, "replace files that exist"},
    {"threads", 0, CLI_COUNT, offsetof(cli_context, threads), "N",
     "threads to run on (default: physical cores within the CPU quota)"},
    {"seed", 0, CLI_COUNT, offsetof(cli_context, seed), "N", "seed of random numbers (default 0)"},
    {"progress", 0, CLI_SWITCH, offsetof(cli_context, progress), NULL,
     "progress bar on a terminal (default: yes)"},
    {"json", 0, CLI_OPTIONAL, offsetof(cli_context, json), "FILE",
     "one JSON object on stdout instead of tables, or beside them in FILE"},
    {0}};

const cli_option *cli_global_options(void) {
    return global_options;
}

/* An option as found on the command line. */
typedef struct match {
    const cli_option *option;
    void *member;
    bool negated; /* --no-NAME */
} match;

static bool fails(cli_context *cli, const char *format, const char *name, size_t length) {
    cli_usage(cli, format, (int)length, name);
    return false;
}

/* Does `name` (`length` characters) name `option`, as itself or as no-NAME of a switch? */
static bool is_named(const cli_option *option, const char *name, size_t length, bool *negated) {
    *negated = option->kind == CLI_SWITCH && length > 3 && memcmp(name, "no-", 3) == 0;
    if (*negated && strlen(option->name) == length - 3 &&
        memcmp(option->name, name + 3, length - 3) == 0)
        return true;
    *negated = false;
    return strlen(option->name) == length && memcmp(option->name, name, length) == 0;
}

static bool find_long(const cli_group *groups, const char *name, size_t length, match *out) {
    for (; groups->options; groups++)
        for (const cli_option *option = groups->options; option->name; option++)
            if (is_named(option, name, length, &out->negated)) {
                out->option = option;
                out->member = (char *)groups->target + option->offset;
                return true;
            }
    return false;
}

static bool find_short(const cli_group *groups, char letter, match *out) {
    for (; groups->options; groups++)
        for (const cli_option *option = groups->options; option->name; option++)
            if (option->letter == letter) {
                *out = (match){option, (char *)groups->target + option->offset, false};
                return true;
            }
    return false;
}

bool cli_parse_number(cli_context *cli, const char *what, const char *text, double *out) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value)) {
        cli_usage(cli, "%s: '%s' is not a number", what, text);
        return false;
    }
    *out = value;
    return true;
}

bool cli_parse_count(cli_context *cli, const char *what, const char *text, int64_t *out) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno || value < 0) {
        cli_usage(cli, "%s: '%s' is not a whole number of at least 0", what, text);
        return false;
    }
    *out = value;
    return true;
}

bool cli_parse_numbers(cli_context *cli, const char *what, const char *text, double *out,
                       size_t capacity, size_t *count) {
    *count = 0;
    for (const char *at = text;;) {
        char *end;
        double value = strtod(at, &end);
        if (end == at || (*end && *end != ',') || !isfinite(value)) {
            cli_usage(cli, "%s: '%s' is not a list of numbers as 0.5,0.8", what, text);
            return false;
        }
        if (*count == capacity) {
            cli_usage(cli, "%s: more than %zu numbers in '%s'", what, capacity, text);
            return false;
        }
        out[(*count)++] = value;
        if (!*end)
            return true;
        at = end + 1;
    }
}

static bool append(cli_context *cli, cli_list *list, const char *text) {
    const char **items = cli_alloc(cli, (list->count + 1) * sizeof *items);
    if (!items)
        return false;
    if (list->count)
        memcpy(items, list->items, list->count * sizeof *items);
    items[list->count++] = text;
    list->items = items;
    return true;
}

static bool takes_value(cli_kind kind) {
    return kind == CLI_TEXT || kind == CLI_COUNT || kind == CLI_NUMBER || kind == CLI_LIST;
}

/* Stores a value; `text` is NULL for options without one. */
static bool store(cli_context *cli, const match *m, const char *text) {
    char what[64];
    snprintf(what, sizeof what, "--%s", m->option->name);
    switch (m->option->kind) {
    case CLI_FLAG:
        *(bool *)m->member = true;
        return true;
    case CLI_SWITCH:
        *(bool *)m->member = !m->negated;
        return true;
    case CLI_TALLY:
        ++*(int64_t *)m->member;
        return true;
    case CLI_TEXT:
        *(const char **)m->member = text;
        return true;
    case CLI_COUNT:
        return cli_parse_count(cli, what, text, m->member);
    case CLI_NUMBER:
        return cli_parse_number(cli, what, text, m->member);
    case CLI_LIST:
        return append(cli, m->member, text);
    case CLI_OPTIONAL:
        *(cli_optional *)m->member = (cli_optional){true, text};
        return true;
    }
    return false;
}

/* One "--name", "--name=value" or "--name value"; *i moves to the last word used. */
static bool parse_long(cli_context *cli, const cli_group *groups, int argc, char **argv, int *i) {
    const char *name = argv[*i] + 2;
    size_t length = strcspn(name, "=");
    const char *value = name[length] ? name + length + 1 : NULL;
    match m;
    if (!find_long(groups, name, length, &m))
        return fails(cli, "unknown option '--%.*s'", name, length);
    if (takes_value(m.option->kind)) {
        if (!value && *i + 1 >= argc)
            return fails(cli, "option '--%.*s' needs a value", name, length);
        return store(cli, &m, value ? value : argv[++*i]);
    }
    if (value && m.option->kind != CLI_OPTIONAL)
        return fails(cli, "option '--%.*s' takes no value", name, length);
    if (value && !*value)
        return fails(cli, "option '--%.*s' has an empty value", name, length);
    return store(cli, &m, value);
}

/* One word of short options: "-q", "-qf", "-oFILE" or "-o FILE". */
static bool parse_short(cli_context *cli, const cli_group *groups, int argc, char **argv, int *i) {
    for (const char *at = argv[*i] + 1; *at; at++) {
        match m;
        if (!find_short(groups, *at, &m))
            return fails(cli, "unknown option '-%.*s'", at, 1);
        if (!takes_value(m.option->kind)) {
            if (!store(cli, &m, NULL))
                return false;
            continue;
        }
        if (!at[1] && *i + 1 >= argc)
            return fails(cli, "option '-%.*s' needs a value", at, 1);
        return store(cli, &m, at[1] ? at + 1 : argv[++*i]);
    }
    return true;
}

static bool is_option(const char *word) {
    return word[0] == '-' && word[1];
}

static bool parse_word(cli_context *cli, const cli_group *groups, int argc, char **argv, int *i) {
    return argv[*i][1] == '-' ? parse_long(cli, groups, argc, argv, i)
                              : parse_short(cli, groups, argc, argv, i);
}

int cli_parse_global(cli_context *cli, int argc, char **argv) {
    const cli_group groups[] = {{"Options", global_options, cli}, {0}};
    int i = 0;
    for (; i < argc && is_option(argv[i]); i++)
        if (!parse_word(cli, groups, argc, argv, &i))
            return -1;
    return i;
}

static void print_help_text(const char *help) {
    for (const char *line = help;;) {
        size_t length = strcspn(line, "\n");
        printf("%.*s\n", (int)length, line);
        if (!line[length])
            return;
        line += length + 1;
        printf("%*s", HELP_COLUMN, "");
    }
}

void cli_print_options(const char *title, const cli_option *options) {
    printf("\n%s:\n", title);
    for (; options->name; options++) {
        char left[128] = "", letter[8] = "    ";
        if (options->letter)
            snprintf(letter, sizeof letter, "-%c, ", options->letter);
        bool is_switch = options->kind == CLI_SWITCH, is_optional = options->kind == CLI_OPTIONAL;
        snprintf(left, sizeof left, "  %s--%s%s%s%s%s", letter, is_switch ? "[no-]" : "",
                 options->name, options->value ? (is_optional ? "[=" : " ") : "",
                 options->value ? options->value : "", options->value && is_optional ? "]" : "");
        printf("%-*s", HELP_COLUMN, left);
        if (strlen(left) >= HELP_COLUMN)
            printf("\n%*s", HELP_COLUMN, "");
        print_help_text(options->help);
    }
}

static void print_help(const cli_context *cli, const cli_group *groups) {
    const char *summary = cli->command->summary;
    printf("Usage: coppice %s [OPTION]... %s\n\n%c%s.\n", cli->command->name,
           cli->command->arguments, toupper((unsigned char)summary[0]), summary + 1);
    if (cli->command->details)
        printf("%s\n", cli->command->details);
    for (; groups->options; groups++)
        cli_print_options(groups->title, groups->options);
}

static bool check_arguments(cli_context *cli, int min, int max) {
    if (cli->arg_count < (size_t)min) {
        cli_usage(cli, "%s: too few arguments; usage: coppice %s %s", cli->command->name,
                  cli->command->name, cli->command->arguments);
        return false;
    }
    if (max >= 0 && cli->arg_count > (size_t)max) {
        cli_usage(cli, "%s: unexpected argument '%s'", cli->command->name, cli->args[max]);
        return false;
    }
    return true;
}

/* Behind a wrong word, --json still says how the error is wanted. */
static void look_for_json(cli_context *cli, int argc, char **argv) {
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            cli->json = (cli_optional){true, NULL};
        else if (strncmp(argv[i], "--json=", 7) == 0 && argv[i][7])
            cli->json = (cli_optional){true, argv[i] + 7};
}

bool cli_parse(cli_context *cli, const cli_group *groups, int min, int max, int argc, char **argv) {
    cli_group all[MAX_GROUPS];
    size_t count = 0;
    for (; groups->options && count < MAX_GROUPS - 2; groups++)
        all[count++] = *groups;
    all[count++] = (cli_group){"Options of every command", global_options, cli};
    all[count] = (cli_group){0};

    cli->args = cli_alloc(cli, ((size_t)argc + 1) * sizeof *cli->args);
    if (!cli->args)
        return false;
    bool options = true;
    for (int i = 0; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (!options || !is_option(argv[i])) {
            cli->args[cli->arg_count++] = argv[i];
        } else if (!parse_word(cli, all, argc, argv, &i)) {
            look_for_json(cli, argc, argv);
            return false;
        }
    }
    if (cli->help || cli->version) {
        if (cli->help)
            print_help(cli, all);
        else
            printf("coppice %s\n", coppice_version());
        return false;
    }
    if (cli->json.given && !cli->json.value)
        cli->out = NULL;
    if (!check_arguments(cli, min, max))
        return false;
    return !cli->json.value ||
           coppice_file_check_target(cli->json.value, cli->force, &cli->error) == COPPICE_OK;
}
