/* The outputs of `coppice run`: files, the table, the JSON.
 *
 * A tensor is an array in a .npy. A sequence is a .npz of its items, named by their position; so
 * is an optional, which has one item or none. Inside each other they are named "0/1". */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "run.h"

enum { SHOWN_ITEMS = 20, SHOWN_STRINGS = 8, SHOWN_BYTES = 60 };

/* ---- files ---- */

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

static const char *suffix_of(const run_state *state, size_t index) {
    if (state->pb)
        return "pb";
    return coppice_model_output(state->model, index).kind == COPPICE_KIND_TENSOR ? "npy" : "npz";
}

coppice_status run_plan_files(cli_context *cli, run_state *state, const char *folder) {
    for (size_t i = 0; folder && i < state->output_count; i++) {
        size_t room = strlen(folder) + sizeof "/output_18446744073709551615.npy";
        char *file = cli_alloc(cli, room);
        if (!file)
            return cli->error.status;
        snprintf(file, room, "%s/output_%zu.%s", folder, i, suffix_of(state, i));
        state->files[i] = file;
        struct stat status;
        if (!cli->force && lstat(file, &status) == 0)
            return cli_fail(cli, COPPICE_EXISTS, "%s: already exists (use -f to replace it)", file);
    }
    return COPPICE_OK;
}

/* The tensors inside a value with the names that they get in a .npz. */
typedef struct leaves {
    cli_context *cli;
    const char **names;
    coppice_tensor *tensors;
    size_t count;
} leaves;

static size_t count_leaves(const coppice_value *value) {
    if (value->kind == COPPICE_KIND_TENSOR)
        return 1;
    size_t count = 0;
    for (size_t i = 0; i < value->count; i++)
        count += count_leaves(&value->items[i]);
    return count;
}

static bool list_leaves(leaves *list, const char *name, const coppice_value *value) {
    if (value->kind == COPPICE_KIND_TENSOR) {
        list->names[list->count] = name;
        list->tensors[list->count++] = value->tensor;
        return true;
    }
    for (size_t i = 0; i < value->count; i++) {
        char number[24];
        snprintf(number, sizeof number, "%zu", i);
        const char *inner = cli_join(list->cli, name, *name ? "/" : "", number);
        if (!inner || !list_leaves(list, inner, &value->items[i]))
            return false;
    }
    return true;
}

static coppice_status write_npz(cli_context *cli, const char *path, const coppice_value *value) {
    size_t count = count_leaves(value);
    leaves list = {.cli = cli,
                   .names = cli_alloc(cli, count * sizeof *list.names),
                   .tensors = cli_alloc(cli, count * sizeof *list.tensors)};
    if (!list.names || !list.tensors || !list_leaves(&list, "", value))
        return cli->error.status;
    return coppice_npz_write(path, count, list.names, list.tensors, cli->force, &cli->error);
}

static coppice_status write_output(cli_context *cli, const run_state *state, size_t index,
                                   const coppice_value *value) {
    const char *path = state->files[index];
    if (state->pb)
        return coppice_value_write(path, coppice_model_output(state->model, index).name, value,
                                   cli->force, &cli->error);
    if (coppice_model_output(state->model, index).kind != COPPICE_KIND_TENSOR)
        return write_npz(cli, path, value);
    return coppice_npy_write(path, &value->tensor, cli->force, &cli->error);
}

coppice_status run_write_outputs(cli_context *cli, const run_state *state, const char *folder,
                                 const coppice_value *outputs) {
    if (!folder)
        return COPPICE_OK;
    coppice_status status = make_folder(cli, folder);
    for (size_t i = 0; status == COPPICE_OK && i < state->output_count; i++)
        status = write_output(cli, state, i, &outputs[i]);
    return status;
}

/* ---- JSON ---- */

static json_t *value_json(const coppice_value *value) {
    const coppice_tensor *t = &value->tensor;
    json_t *object = json_pack("{s:s, s:s}", "kind", coppice_kind_name(value->kind), "type",
                               coppice_type_name(t->type));
    if (value->kind != COPPICE_KIND_TENSOR) {
        json_t *items = json_array();
        for (size_t i = 0; i < value->count; i++)
            json_array_append_new(items, value_json(&value->items[i]));
        json_object_set_new(object, "shape", json_null());
        json_object_set_new(object, "items", items);
        return object;
    }
    double range[3];
    static const char *const names[] = {"min", "max", "mean"};
    coppice_tensor_range(t, &range[0], &range[1], &range[2]);
    json_object_set_new(object, "shape", cli_json_shape(t->rank, t->dims));
    for (int i = 0; i < 3; i++)
        json_object_set_new(object, names[i], cli_json_real(range[i]));
    return object;
}

/* ---- the table ---- */

/* Has values of this type a least and a largest one? */
static bool is_number(coppice_type type) {
    return type != COPPICE_TYPE_STRING && type != COPPICE_TYPE_COMPLEX64 &&
           type != COPPICE_TYPE_COMPLEX128;
}

static void value_row(cli_table *table, const char *name, const coppice_value *value,
                      const char *file, bool files) {
    const coppice_tensor *t = &value->tensor;
    const char *type = t->type ? coppice_type_name(t->type) : "nothing";
    cli_table_text(table, name);
    if (value->kind == COPPICE_KIND_TENSOR) {
        double range[3];
        coppice_tensor_range(t, &range[0], &range[1], &range[2]);
        cli_table_text(table, type);
        cli_table_text(table, cli_format_shape(t->rank, t->dims).text);
        for (int i = 0; i < 3; i++) {
            if (!is_number(t->type))
                cli_table_text(table, "-");
            else
                cli_table_cell(table, "%.6g", range[i]);
        }
    } else {
        cli_table_cell(table, "%s of %s", coppice_kind_name(value->kind), type);
        cli_table_cell(table, "%zu", value->count);
        for (int i = 0; i < 3; i++)
            cli_table_text(table, "-");
    }
    if (files)
        cli_table_text(table, file);
}

static void value_rows(cli_table *table, const char *name, const coppice_value *value,
                       const char *file, bool files) {
    value_row(table, name, value, file, files);
    for (size_t i = 0; i < value->count && i < SHOWN_ITEMS; i++) {
        char inner[256];
        snprintf(inner, sizeof inner, "%.200s[%zu]", name, i);
        value_rows(table, inner, &value->items[i], "", files);
    }
}

/* The first strings of an output of strings, one line each. */
static void print_strings(cli_context *cli, const char *name, const coppice_value *value) {
    int64_t count = coppice_tensor_count(&value->tensor);
    const coppice_string *strings = value->tensor.data;
    if (!cli->out || value->kind != COPPICE_KIND_TENSOR ||
        value->tensor.type != COPPICE_TYPE_STRING)
        return;
    for (int64_t i = 0; i < count && i < SHOWN_STRINGS; i++) {
        char text[SHOWN_BYTES + 1] = "";
        size_t length = strings[i].length < SHOWN_BYTES ? strings[i].length : SHOWN_BYTES;
        if (length)
            memcpy(text, strings[i].data, length);
        cli_print_safe(cli->out, name);
        fprintf(cli->out, "[%lld] = '", (long long)i);
        cli_print_safe(cli->out, text);
        fprintf(cli->out, "'%s\n", length < strings[i].length ? "..." : "");
    }
    if (count > SHOWN_STRINGS)
        cli_print(cli, "and %lld more\n", (long long)(count - SHOWN_STRINGS));
}

coppice_status run_report(cli_context *cli, const run_state *state, const coppice_value *outputs,
                          double ms) {
    static const char *const titles[] = {"output", "type", "shape", "min", "max", "mean", "file"};
    cli_table table = {0};
    bool files = state->files[0] != NULL;
    size_t columns = sizeof titles / sizeof *titles - (files ? 0 : 1);
    for (size_t i = 0; i < columns; i++)
        cli_table_column(&table, titles[i], i >= 3 && i <= 5 ? CLI_RIGHT : CLI_LEFT);
    json_t *array = json_array();
    for (size_t i = 0; i < state->output_count; i++) {
        const char *name = coppice_model_output(state->model, i).name;
        value_rows(&table, name, &outputs[i], state->files[i], files);
        json_t *object = value_json(&outputs[i]);
        json_object_set_new(object, "name", cli_json_string(name));
        json_object_set_new(object, "file", cli_json_string(state->files[i]));
        json_array_append_new(array, object);
    }
    cli_table_print(&table, cli->out);
    cli_table_free(&table);
    for (size_t i = 0; i < state->output_count; i++)
        print_strings(cli, coppice_model_output(state->model, i).name, &outputs[i]);
    cli_print(cli, "\n%s ms\n", cli_format_ms(ms).text);
    return cli_json_emit(cli, json_pack("{s:o, s:f}", "outputs", array, "ms", ms));
}
