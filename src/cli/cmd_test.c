/* coppice test: runs ONNX-style test folders and compares the outputs with those in the folder. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "session_options.h"
#include "test_folders.h"

enum { MAX_VALUES = 4096, MAX_LIST_BYTES = 16 << 20 };

typedef struct test_flags {
    cli_list only;
    const char *except;
    double rtol, atol;
} test_flags;

#define FLAG(member) offsetof(test_flags, member)

static const cli_option test_rows[] = {
    {"rtol", 0, CLI_NUMBER, FLAG(rtol), "R",
     "floats may be off by A + R * |expected|: R (default 1e-3;\n"
     "for bfloat16 at least 2^-6, as ONNX's runner has it)"},
    {"atol", 0, CLI_NUMBER, FLAG(atol), "A", "and A (default 1e-5); all else must be equal"},
    {"only", 0, CLI_LIST, FLAG(only), "GLOB",
     "only the tests of this name, as in '*softmax*'; repeatable"},
    {"except", 0, CLI_TEXT, FLAG(except), "FILE",
     "tests that are known to fail: a line 'NAME reason' each,\n"
     "'#' begins a comment. One that passes is a failure,\n"
     "but '~NAME': chance decides, either is fine"},
    {0}};

/* A line of the list of tests that are known to fail. */
typedef struct exception {
    const char *name, *reason;
    bool by_chance; /* it may pass as well */
    bool seen;
} exception;

typedef struct test_run {
    cli_context *cli;
    const test_flags *flags;
    const coppice_session_options *options;
    cli_tests tests;
    exception *exceptions;
    size_t exception_count;
    int64_t passed, failed, excused;
    json_t *failures, *expected;
} test_run;

/* Why a test fails: at most one line. */
typedef struct reason {
    char text[1024];
} reason;

static bool set_reason(reason *why, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool set_reason(reason *why, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    return false;
}

/* The library's message without the path that the test's name says already. */
static bool library_reason(reason *why, const char *path, const coppice_error *error) {
    size_t length = strlen(path);
    const char *text = error->message;
    if (strncmp(text, path, length) == 0 && text[length] == '/')
        text += length + 1;
    else if (strncmp(text, path, length) == 0 && strncmp(text + length, ": ", 2) == 0)
        text += length + 2;
    return set_reason(why, "%s", text);
}

/* ---- the list of tests that are known to fail ---- */

/* The whole file, with a NUL behind it. */
static char *read_text(cli_context *cli, const char *path) {
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    if (!file) {
        cli_fail(cli, errno == ENOENT ? COPPICE_NOT_FOUND : COPPICE_IO, "%s: %s", path,
                 strerror(errno));
        return NULL;
    }
    struct stat status;
    if (fstat(fileno(file), &status) != 0 || !S_ISREG(status.st_mode) ||
        status.st_size > MAX_LIST_BYTES)
        cli_fail(cli, COPPICE_BAD_DATA, "%s: not a list of tests", path);
    else if ((text = cli_alloc(cli, (size_t)status.st_size + 1)) &&
             fread(text, 1, (size_t)status.st_size, file) != (size_t)status.st_size) {
        cli_fail(cli, COPPICE_IO, "%s: cannot read the file", path);
        text = NULL;
    }
    fclose(file);
    return text;
}

/* Cuts a line into name and reason; false when it has none. */
static bool parse_line(char *line, exception *out) {
    while (isspace((unsigned char)*line))
        line++;
    if (!*line || *line == '#')
        return false;
    bool by_chance = *line == '~';
    line += by_chance;
    *out = (exception){.name = line, .reason = "", .by_chance = by_chance};
    char *end = line + strcspn(line, " \t\r");
    if (!*end)
        return true;
    *end = '\0';
    char *text = end + 1 + strspn(end + 1, " \t\r");
    text[strcspn(text, "\r")] = '\0';
    out->reason = text;
    return true;
}

static coppice_status read_exceptions(test_run *run) {
    const char *path = run->flags->except;
    char *text = path ? read_text(run->cli, path) : NULL;
    if (!path || !text)
        return path ? run->cli->error.status : COPPICE_OK;
    size_t lines = 1;
    for (const char *at = text; *at; at++)
        lines += *at == '\n';
    run->exceptions = cli_alloc(run->cli, lines * sizeof *run->exceptions);
    if (!run->exceptions)
        return run->cli->error.status;
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        run->exception_count += parse_line(line, &run->exceptions[run->exception_count]);
    }
    return COPPICE_OK;
}

static exception *find_exception(const test_run *run, const cli_test *test) {
    for (size_t i = 0; i < run->exception_count; i++) {
        const char *name = run->exceptions[i].name;
        if (strcmp(name, test->name) == 0 || strcmp(name, cli_base_name(test->name)) == 0)
            return &run->exceptions[i];
    }
    return NULL;
}

/* ---- one test ---- */

/* A model with the values of one data set. */
typedef struct test_case {
    const char *folder; /* of the test */
    const char *model_path;
    coppice_model *model;
    coppice_session *session;
    coppice_value *inputs, *wanted; /* by input and output of the model */
    size_t input_count, output_count;
} test_case;

static void free_values(coppice_value *values, size_t count) {
    for (size_t i = 0; values && i < count; i++)
        coppice_value_release(&values[i]);
    free(values);
}

static void free_data(test_case *test) {
    free_values(test->inputs, test->input_count);
    free_values(test->wanted, test->output_count);
    test->inputs = test->wanted = NULL;
}

/* NumPy had no bfloat16 when ONNX up to 1.17 wrote its tests: the data say uint16. */
static void adopt_bfloat16(const coppice_value_info *info, coppice_value *value) {
    if (info->type == COPPICE_TYPE_BFLOAT16 && value->tensor.type == COPPICE_TYPE_UINT16)
        value->tensor.type = COPPICE_TYPE_BFLOAT16;
}

/* Reads FOLDER/SET/KIND_0.pb, KIND_1.pb, ...: one for each input or output of the model. */
static bool read_values(const test_case *test, const char *set, bool outputs, coppice_value **out,
                        reason *why) {
    size_t count = outputs ? test->output_count : test->input_count;
    const char *word = outputs ? "output" : "input";
    coppice_error error;
    char path[4096];
    struct stat status;
    *out = calloc(count + 1, sizeof **out);
    if (!*out)
        return set_reason(why, "out of memory");
    for (size_t i = 0; i <= count; i++) {
        int length = snprintf(path, sizeof path, "%s/%s/%s_%zu.pb", test->folder, set, word, i);
        if (length < 0 || (size_t)length >= sizeof path)
            return set_reason(why, "the path of its data is too long");
        bool there = stat(path, &status) == 0;
        if (there != (i < count))
            return set_reason(why, "%s/%s_%zu.pb %s: the model has %zu %ss", set, word, i,
                              there ? "is too much" : "is missing", count, word);
        if (i == count)
            break;
        coppice_value_info info =
            outputs ? coppice_model_output(test->model, i) : coppice_model_input(test->model, i);
        if (coppice_value_read(path, info.kind, &(*out)[i], &error) != COPPICE_OK)
            return library_reason(why, test->folder, &error);
        adopt_bfloat16(&info, &(*out)[i]);
    }
    return true;
}

/* bfloat16 has 8 bits: two units of the last place, as ONNX's own runner has it. */
static double rtol_for(const coppice_value *wanted, double rtol) {
    bool short_floats = wanted->tensor.type == COPPICE_TYPE_BFLOAT16;
    return short_floats && rtol < 0x1p-6 ? 0x1p-6 : rtol;
}

static bool run_data_set(test_case *test, const char *set, const test_flags *flags, reason *why) {
    coppice_error error;
    const coppice_value *got = NULL;
    if (!read_values(test, set, false, &test->inputs, why) ||
        !read_values(test, set, true, &test->wanted, why))
        return false;
    if (coppice_session_run_values(test->session, test->inputs, test->input_count, &got, &error) !=
        COPPICE_OK)
        return library_reason(why, test->model_path, &error);
    for (size_t i = 0; i < test->output_count; i++) {
        char text[512];
        const coppice_value *wanted = &test->wanted[i];
        if (!coppice_value_is_close(&got[i], wanted, rtol_for(wanted, flags->rtol), flags->atol,
                                    text, sizeof text))
            return set_reason(why, "%s: output %zu '%s' %s", set, i,
                              coppice_model_output(test->model, i).name, text);
    }
    return true;
}

static int is_data_set(const struct dirent *entry) {
    return strncmp(entry->d_name, "test_data_set_", strlen("test_data_set_")) == 0;
}

static bool run_data_sets(test_case *test, const test_flags *flags, reason *why) {
    struct dirent **entries;
    int count = scandir(test->folder, &entries, is_data_set, versionsort);
    if (count <= 0)
        return set_reason(why, "there is no test_data_set_0 beside the model");
    bool good = true;
    for (int i = 0; i < count; i++) {
        if (good && !cli_interrupted())
            good = run_data_set(test, entries[i]->d_name, flags, why);
        free_data(test);
        free(entries[i]);
    }
    free(entries);
    return good;
}

static bool run_test(const test_run *run, const cli_test *which, reason *why) {
    test_case test = {.folder = which->folder, .model_path = which->model};
    coppice_error error;
    coppice_status status = coppice_model_load(which->model, NULL, &test.model, &error);
    if (status == COPPICE_OK)
        status = coppice_session_create(test.model, run->options, &test.session, &error);
    bool good = status == COPPICE_OK || library_reason(why, which->model, &error);
    if (good) {
        test.input_count = coppice_model_input_count(test.model);
        test.output_count = coppice_model_output_count(test.model);
        good = test.input_count <= MAX_VALUES && test.output_count <= MAX_VALUES
                   ? run_data_sets(&test, run->flags, why)
                   : set_reason(why, "more than %d inputs or outputs", MAX_VALUES);
    }
    coppice_session_free(test.session);
    coppice_model_free(test.model);
    return good;
}

/* ---- all tests ---- */

static void report_line(test_run *run, const char *word, const char *name, const char *text) {
    cli_progress_end(run->cli);
    if (!run->cli->out)
        return;
    fprintf(run->cli->out, "%s ", word);
    cli_print_safe(run->cli->out, name);
    fputs(text[0] ? ": " : "", run->cli->out);
    cli_print_safe(run->cli->out, text);
    putc('\n', run->cli->out);
}

static void record(json_t *list, const char *name, const char *text) {
    json_array_append_new(list, json_pack("{s:o, s:o}", "test", cli_json_string(name), "reason",
                                          cli_json_string(text)));
}

static void count_failure(test_run *run, const char *name, const char *text) {
    run->failed++;
    report_line(run, "FAIL", name, text);
    record(run->failures, name, text);
}

static void count_test(test_run *run, const cli_test *test, bool good, const char *text) {
    exception *known = find_exception(run, test);
    if (known)
        known->seen = true;
    if (known && good && !known->by_chance) {
        reason why;
        set_reason(&why, "passes, but %s lists it: take it off the list", run->flags->except);
        count_failure(run, test->name, why.text);
    } else if (known) {
        run->excused++;
        record(run->expected, test->name, good ? "passed by chance" : text);
        if (run->cli->verbose)
            report_line(run, "known", test->name, text);
    } else if (good) {
        run->passed++;
        if (run->cli->verbose)
            report_line(run, "ok", test->name, "");
    } else {
        count_failure(run, test->name, text);
    }
}

static bool is_wanted(const test_flags *flags, const cli_test *test) {
    for (size_t i = 0; i < flags->only.count; i++) {
        if (cli_test_is(test, flags->only.items[i]))
            return true;
    }
    return flags->only.count == 0;
}

static coppice_status run_tests(test_run *run) {
    for (size_t i = 0; i < run->tests.count; i++) {
        const cli_test *test = &run->tests.items[i];
        if (!is_wanted(run->flags, test))
            continue;
        cli_progress(run->cli, "testing", (int64_t)i, (int64_t)run->tests.count);
        reason why = {""};
        bool good = run_test(run, test, &why);
        if (cli_interrupted())
            return cli_fail(run->cli, COPPICE_INTERRUPTED, "interrupted");
        count_test(run, test, good, why.text);
    }
    if (run->passed + run->failed + run->excused == 0)
        return cli_fail(run->cli, COPPICE_NOT_FOUND, "no test matches --only");
    return COPPICE_OK;
}

/* Names that no test has: the list is out of date, or made for another suite. */
static void note_unseen(const test_run *run) {
    for (size_t i = 0; run->flags->only.count == 0 && i < run->exception_count; i++) {
        if (!run->exceptions[i].seen)
            cli_note(run->cli, "%s: there is no test '%s'", run->flags->except,
                     run->exceptions[i].name);
    }
}

static coppice_status report(test_run *run, double ms) {
    cli_context *cli = run->cli;
    note_unseen(run);
    if (run->excused)
        cli_print(cli, "%lld known to fail\n", (long long)run->excused);
    cli_print(cli, "%lld passed, %lld failed\n", (long long)run->passed, (long long)run->failed);
    cli->check_failed = run->failed > 0;
    json_t *root = json_pack("{s:I, s:I, s:O, s:O, s:f}", "passed", (json_int_t)run->passed,
                             "failed", (json_int_t)run->failed, "failures", run->failures,
                             "expected_failures", run->expected, "ms", ms);
    return cli_json_emit(cli, root);
}

static coppice_status test_all(test_run *run) {
    cli_context *cli = run->cli;
    coppice_status status = read_exceptions(run);
    for (size_t i = 0; status == COPPICE_OK && i < cli->arg_count; i++) {
        size_t before = run->tests.count;
        status = cli_tests_find(cli, cli->args[i], &run->tests);
        if (status == COPPICE_OK && run->tests.count == before)
            status = cli_fail(cli, COPPICE_NOT_FOUND,
                              "%s: no tests there: folders with model.onnx and test_data_set_0",
                              cli->args[i]);
    }
    double start = cli_now_ms();
    if (status == COPPICE_OK)
        status = run_tests(run);
    cli_progress_end(cli);
    return status == COPPICE_OK ? report(run, cli_now_ms() - start) : status;
}

/* One pool for all, as sessions would otherwise make one each. One thread unless asked otherwise:
 * the models are tiny. */
static coppice_status run(cli_context *cli, int argc, char **argv) {
    test_flags flags = {.rtol = 1e-3, .atol = 1e-5};
    cli_session_flags session_flags = {.tune = "none"};
    const cli_group groups[] = {
        {"Options", test_rows, &flags}, {"Execution", cli_session_rows, &session_flags}, {0}};
    coppice_session_options options;
    if (!cli_parse(cli, groups, 1, -1, argc, argv) ||
        !cli_session_options(cli, &session_flags, &options))
        return cli->error.status;
    if (flags.rtol < 0 || flags.atol < 0)
        return cli_usage(cli, "--rtol and --atol must not be negative");
    coppice_threadpool *pool = NULL;
    coppice_status status =
        coppice_threadpool_create(options.threads ? options.threads : 1, &pool, &cli->error);
    if (status != COPPICE_OK)
        return status;
    options.pool = pool;
    test_run state = {.cli = cli,
                      .flags = &flags,
                      .options = &options,
                      .failures = json_array(),
                      .expected = json_array()};
    status = test_all(&state);
    json_decref(state.failures);
    json_decref(state.expected);
    cli_tests_free(&state.tests);
    coppice_threadpool_free(pool);
    return status;
}

const cli_command cmd_test = {
    .name = "test",
    .arguments = "MODEL|DIR...",
    .summary = "runs ONNX-style test folders and compares the outputs",
    .details =
        "A test is a folder with model.onnx and data sets test_data_set_0, test_data_set_1, ...\n"
        "that hold input_0.pb, ... and the expected output_0.pb, ...; DIR is searched for them.\n"
        "Prints a line for each failure and the totals. Here --tune is none and --threads 1\n"
        "unless given.",
    .run = run,
};
