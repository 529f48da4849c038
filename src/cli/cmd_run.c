/* coppice run: one inference on arrays from files. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "session_options.h"

typedef struct run_flags {
    cli_list inputs;
    const char *folder;
} run_flags;

static const cli_option run_rows[] = {
    {"input", 'i', CLI_LIST, offsetof(run_flags, inputs), "[NAME=]FILE",
     ".npy for the input NAME, or for the next one without data;\n"
     ".npz: an array for each input of its name; repeatable"},
    {"output", 'o', CLI_TEXT, offsetof(run_flags, folder), "DIR",
     "write output_0.npy, output_1.npy, ... there; DIR is created"},
    {0}};

/* A model with data for its inputs. */
typedef struct run_state {
    coppice_model *model;
    coppice_session *session;
    size_t input_count, output_count;
    coppice_tensor *inputs;
    const char **sources; /* the file that an input came from, NULL: none yet */
    const char **files;   /* per output: the file written, NULL without -o */
} run_state;

static void state_free(run_state *state) {
    coppice_session_free(state->session);
    for (size_t i = 0; state->inputs && i < state->input_count; i++)
        coppice_tensor_release(&state->inputs[i]);
    coppice_model_free(state->model);
}

/* ---- inputs ---- */

static bool has_suffix(const char *text, const char *suffix) {
    size_t length = strlen(text), end = strlen(suffix);
    return length >= end && strcmp(text + length - end, suffix) == 0;
}

/* Index of the input with the `length` characters at `name`, or -1. */
static int64_t find_input(const run_state *state, const char *name, size_t length) {
    for (size_t i = 0; i < state->input_count; i++) {
        const char *input = coppice_model_input(state->model, i).name;
        if (strlen(input) == length && memcmp(input, name, length) == 0)
            return (int64_t)i;
    }
    return -1;
}

/* Checks and keeps data for an input; takes `tensor` over, also on failure. */
static coppice_status set_input(cli_context *cli, run_state *state, size_t index,
                                coppice_tensor *tensor, const char *path) {
    coppice_value_info info = coppice_model_input(state->model, index);
    bool fits = info.type == tensor->type && (info.rank < 0 || (uint32_t)info.rank == tensor->rank);
    for (int d = 0; fits && d < info.rank; d++)
        fits = info.dims[d] < 0 || info.dims[d] == tensor->dims[d];
    if (fits && !state->sources[index]) {
        state->inputs[index] = *tensor;
        state->sources[index] = path;
        return COPPICE_OK;
    }
    coppice_value_info given = {.rank = (int)tensor->rank};
    memcpy(given.dims, tensor->dims, sizeof given.dims);
    coppice_type type = tensor->type;
    coppice_tensor_release(tensor);
    if (fits)
        return cli_fail(cli, COPPICE_INVALID_ARGUMENT,
                        "%s: input '%s' has its data from %s already", path, info.name,
                        state->sources[index]);
    return cli_fail(cli, COPPICE_INVALID_ARGUMENT,
                    "%s: input '%s' takes %s %s, but this is %s %s: convert or reshape the array",
                    path, info.name, coppice_type_name(info.type), cli_format_declared(&info).text,
                    coppice_type_name(type), cli_format_declared(&given).text);
}

/* The first input without data, or -1 with the error set. */
static int64_t next_input(cli_context *cli, const run_state *state, const char *path) {
    for (size_t i = 0; i < state->input_count; i++) {
        if (!state->sources[i])
            return (int64_t)i;
    }
    cli_fail(cli, COPPICE_INVALID_ARGUMENT, "%s: the model has only %zu input(s), all have data",
             path, state->input_count);
    return -1;
}

/* Which array of the file goes to which input; index < 0: by the arrays' names. */
static coppice_status read_npz(cli_context *cli, run_state *state, int64_t index, const char *path,
                               coppice_npz *npz) {
    size_t count = coppice_npz_count(npz);
    bool single = count == 1;
    bool named = single &&
                 find_input(state, coppice_npz_name(npz, 0), strlen(coppice_npz_name(npz, 0))) >= 0;
    if (index < 0 && single && !named) {
        index = next_input(cli, state, path);
        if (index < 0)
            return cli->error.status;
    }
    for (size_t i = 0; i < count; i++) {
        const char *name = coppice_npz_name(npz, i);
        int64_t target = index;
        if (index < 0) {
            target = find_input(state, name, strlen(name));
            if (target < 0)
                return cli_fail(cli, COPPICE_INVALID_ARGUMENT,
                                "%s: the model has no input '%s' for the array of that name", path,
                                name);
        } else if (!single &&
                   strcmp(name, coppice_model_input(state->model, (size_t)index).name) != 0) {
            continue; /* an array for another input */
        }
        coppice_tensor tensor = {0};
        if (coppice_npz_read(npz, i, &tensor, &cli->error) != COPPICE_OK ||
            set_input(cli, state, (size_t)target, &tensor, path) != COPPICE_OK)
            return cli->error.status;
        if (index >= 0)
            return COPPICE_OK;
    }
    if (index >= 0)
        return cli_fail(cli, COPPICE_INVALID_ARGUMENT, "%s: there is no array '%s' in it", path,
                        coppice_model_input(state->model, (size_t)index).name);
    return COPPICE_OK;
}

static cli_text input_names(const run_state *state) {
    cli_text out = {""};
    size_t used = 0;
    for (size_t i = 0; i < state->input_count && used < sizeof out.text; i++)
        used += (size_t)snprintf(out.text + used, sizeof out.text - used, "%s%s", i ? ", " : "",
                                 coppice_model_input(state->model, i).name);
    return out;
}

/* index < 0: the input is not named. */
static coppice_status read_file(cli_context *cli, run_state *state, int64_t index,
                                const char *path) {
    if (has_suffix(path, ".pb"))
        return cli_fail(cli, COPPICE_UNSUPPORTED,
                        "%s: .pb inputs are not supported yet: convert it to .npy", path);
    if (has_suffix(path, ".npz")) {
        coppice_npz *npz = NULL;
        coppice_status status = coppice_npz_open(path, &npz, &cli->error);
        if (status == COPPICE_OK)
            status = read_npz(cli, state, index, path, npz);
        coppice_npz_free(npz);
        return status;
    }
    if (index < 0)
        index = next_input(cli, state, path);
    if (index < 0)
        return cli->error.status;
    coppice_tensor tensor = {0};
    coppice_status status = coppice_npy_read(path, &tensor, &cli->error);
    return status == COPPICE_OK ? set_input(cli, state, (size_t)index, &tensor, path) : status;
}

/* One -i: what stands before the first '=' is a name only if the model has such an input. */
static coppice_status read_input(cli_context *cli, run_state *state, const char *text) {
    size_t length = strcspn(text, "=");
    int64_t index = text[length] ? find_input(state, text, length) : -1;
    const char *path = index >= 0 ? text + length + 1 : text;
    struct stat there;
    if (index < 0 && text[length] && stat(path, &there) != 0)
        return cli_fail(cli, COPPICE_NOT_FOUND,
                        "%s: no such file, and the model has no input '%.*s' (it has: %s)", text,
                        (int)length, text, input_names(state).text);
    coppice_status status = read_file(cli, state, index, path);
    if (status != COPPICE_OK && !cli->error.file[0])
        snprintf(cli->error.file, sizeof cli->error.file, "%s", path);
    return status;
}

static coppice_status read_inputs(cli_context *cli, run_state *state, const cli_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        coppice_status status = read_input(cli, state, list->items[i]);
        if (status != COPPICE_OK)
            return status;
    }
    char wanted[768] = "";
    size_t used = 0;
    for (size_t i = 0; i < state->input_count && used < sizeof wanted; i++) {
        coppice_value_info info = coppice_model_input(state->model, i);
        if (!state->sources[i])
            used += (size_t)snprintf(wanted + used, sizeof wanted - used, "%s%s (%s %s)",
                                     used ? ", " : "", info.name, coppice_type_name(info.type),
                                     cli_format_declared(&info).text);
    }
    if (used)
        return cli_fail(cli, COPPICE_INVALID_ARGUMENT,
                        "no data for input %s: give -i NAME=FILE.npy", wanted);
    return COPPICE_OK;
}

/* ---- outputs ---- */

/* Creates the folder and the ones above it. */
static coppice_status make_folder(cli_context *cli, const char *path) {
    size_t length = strlen(path);
    char *copy = cli_alloc(cli, length + 1);
    if (!copy)
        return cli->error.status;
    for (size_t i = 1; i <= length; i++) {
        if (path[i] && path[i] != '/')
            continue;
        memcpy(copy, path, i);
        copy[i] = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            return cli_fail(cli, COPPICE_IO, "%s: cannot create the folder: %s", copy,
                            strerror(errno));
    }
    return COPPICE_OK;
}

/* Names the files and refuses those that exist, before any work is done. */
static coppice_status plan_files(cli_context *cli, run_state *state, const char *folder) {
    for (size_t i = 0; folder && i < state->output_count; i++) {
        size_t room = strlen(folder) + sizeof "/output_18446744073709551615.npy";
        char *file = cli_alloc(cli, room);
        if (!file)
            return cli->error.status;
        snprintf(file, room, "%s/output_%zu.npy", folder, i);
        state->files[i] = file;
        struct stat status;
        if (!cli->force && lstat(file, &status) == 0)
            return cli_fail(cli, COPPICE_EXISTS, "%s: already exists (use -f to replace it)", file);
    }
    return COPPICE_OK;
}

static coppice_status write_outputs(cli_context *cli, const run_state *state, const char *folder,
                                    const coppice_tensor *outputs) {
    if (!folder)
        return COPPICE_OK;
    coppice_status status = make_folder(cli, folder);
    for (size_t i = 0; status == COPPICE_OK && i < state->output_count; i++)
        status = coppice_npy_write(state->files[i], &outputs[i], cli->force, &cli->error);
    return status;
}

static json_t *output_json(const char *name, const coppice_tensor *t, const char *file,
                           const double range[3]) {
    return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "name", cli_json_string(name), "type",
                     coppice_type_name(t->type), "shape", cli_json_shape(t->rank, t->dims), "file",
                     cli_json_string(file), "min", cli_json_real(range[0]), "max",
                     cli_json_real(range[1]), "mean", cli_json_real(range[2]));
}

static coppice_status report(cli_context *cli, const run_state *state,
                             const coppice_tensor *outputs, double ms) {
    static const char *const titles[] = {"output", "type", "shape", "min", "max", "mean", "file"};
    cli_table table = {0};
    size_t columns = sizeof titles / sizeof *titles - (state->files[0] ? 0 : 1);
    for (size_t i = 0; i < columns; i++)
        cli_table_column(&table, titles[i], i >= 3 && i <= 5 ? CLI_RIGHT : CLI_LEFT);
    json_t *array = json_array();
    for (size_t i = 0; i < state->output_count; i++) {
        const coppice_tensor *t = &outputs[i];
        const char *name = coppice_model_output(state->model, i).name;
        double range[3];
        coppice_tensor_range(t, &range[0], &range[1], &range[2]);
        cli_table_text(&table, name);
        cli_table_text(&table, coppice_type_name(t->type));
        cli_table_text(&table, cli_format_shape(t->rank, t->dims).text);
        for (int k = 0; k < 3; k++)
            cli_table_cell(&table, "%.6g", range[k]);
        if (state->files[0])
            cli_table_text(&table, state->files[i]);
        json_array_append_new(array, output_json(name, t, state->files[i], range));
    }
    cli_table_print(&table, cli->out);
    cli_table_free(&table);
    cli_print(cli, "\n%s ms\n", cli_format_ms(ms).text);
    return cli_json_emit(cli, json_pack("{s:o, s:f}", "outputs", array, "ms", ms));
}

/* ---- the command ---- */

static coppice_status load(cli_context *cli, run_state *state) {
    coppice_status status = cli_load_model(cli, cli->args[0], &state->model);
    if (status != COPPICE_OK)
        return status;
    size_t inputs = coppice_model_input_count(state->model);
    state->output_count = coppice_model_output_count(state->model);
    state->inputs = cli_alloc(cli, inputs * sizeof *state->inputs);
    state->sources = cli_alloc(cli, inputs * sizeof *state->sources);
    state->files = cli_alloc(cli, (state->output_count + 1) * sizeof *state->files);
    if (!state->inputs || !state->sources || !state->files)
        return cli->error.status;
    state->input_count = inputs;
    return COPPICE_OK;
}

static coppice_status infer(cli_context *cli, run_state *state, const run_flags *flags,
                            const coppice_session_options *options) {
    coppice_error *error = &cli->error;
    const coppice_tensor *outputs = NULL;
    coppice_status status = coppice_session_create(state->model, options, &state->session, error);
    if (status == COPPICE_OK)
        status = coppice_session_prepare(state->session, state->inputs, state->input_count, error);
    double start = cli_now_ms();
    if (status == COPPICE_OK)
        status =
            coppice_session_run(state->session, state->inputs, state->input_count, &outputs, error);
    double ms = cli_now_ms() - start;
    if (status == COPPICE_OK)
        status = write_outputs(cli, state, flags->folder, outputs);
    return status == COPPICE_OK ? report(cli, state, outputs, ms) : status;
}

static coppice_status run(cli_context *cli, int argc, char **argv) {
    run_flags flags = {0};
    cli_session_flags session_flags = {0};
    const cli_group groups[] = {
        {"Options", run_rows, &flags}, {"Execution", cli_session_rows, &session_flags}, {0}};
    coppice_session_options options;
    if (!cli_parse(cli, groups, 1, 1, argc, argv) ||
        !cli_session_options(cli, &session_flags, &options))
        return cli->error.status;
    run_state state = {0};
    coppice_status status = load(cli, &state);
    if (status == COPPICE_OK)
        status = plan_files(cli, &state, flags.folder);
    if (status == COPPICE_OK)
        status = read_inputs(cli, &state, &flags.inputs);
    if (status == COPPICE_OK)
        status = infer(cli, &state, &flags, &options);
    state_free(&state);
    return status;
}

const cli_command cmd_run = {
    .name = "run",
    .arguments = "MODEL [-i [NAME=]FILE]... [-o DIR]",
    .summary = "one inference; prints type, shape, min, max and mean of each output",
    .details = "Inputs are .npy and .npz files; .pb files (TensorProto) are not supported yet.",
    .run = run,
};
