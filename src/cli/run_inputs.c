/* The inputs of `coppice run`: which file is for which input, and whether it fits. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "run.h"
#include "session_options.h"

void run_free_inputs(run_state *state) {
    for (size_t i = 0; state->inputs && i < state->input_count; i++)
        coppice_value_release(&state->inputs[i]);
}

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

/* "float32 [N,3]", "sequence of float32" */
static cli_text wanted_text(const coppice_value_info *info) {
    cli_text out;
    const char *type = info->type ? coppice_type_name(info->type) : "values";
    if (info->kind != COPPICE_KIND_TENSOR)
        snprintf(out.text, sizeof out.text, "a %s of %s", coppice_kind_name(info->kind), type);
    else
        snprintf(out.text, sizeof out.text, "%s %s", type, cli_format_declared(info).text);
    return out;
}

static bool fits(const coppice_value_info *info, const coppice_value *value) {
    const coppice_tensor *tensor = &value->tensor;
    if (info->kind != value->kind)
        return false;
    if (info->kind != COPPICE_KIND_TENSOR)
        return true;
    bool good =
        info->type == tensor->type && (info->rank < 0 || (uint32_t)info->rank == tensor->rank);
    for (int d = 0; good && d < info->rank; d++)
        good = info->dims[d] < 0 || info->dims[d] == tensor->dims[d];
    return good;
}

/* NumPy has no array of these types; float32, int8 and uint8 stand for them. */
static bool lacks_numpy(coppice_type type) {
    return type == COPPICE_TYPE_BFLOAT16 || type > COPPICE_TYPE_BFLOAT16;
}

/* Rounds what an input of such a type is given to it. */
static coppice_status adapt(cli_context *cli, const coppice_value_info *info, coppice_value *value,
                            const char *path) {
    coppice_type type = value->tensor.type;
    bool wide =
        type == COPPICE_TYPE_FLOAT || type == COPPICE_TYPE_INT8 || type == COPPICE_TYPE_UINT8;
    if (info->kind != COPPICE_KIND_TENSOR || value->kind != COPPICE_KIND_TENSOR ||
        !lacks_numpy(info->type) || !wide || type == info->type)
        return COPPICE_OK;
    coppice_error error;
    coppice_status status = coppice_tensor_narrow(&value->tensor, info->type, &error);
    if (status == COPPICE_OK)
        return COPPICE_OK;
    coppice_value_release(value);
    return cli_fail(cli, status, "%s: for input '%s': %s", path, info->name, error.message);
}

/* Checks and keeps data for an input; takes `value` over, also on failure. */
static coppice_status set_input(cli_context *cli, run_state *state, size_t index,
                                coppice_value *value, const char *path) {
    coppice_value_info info = coppice_model_input(state->model, index);
    if (info.rank == 0 && value->tensor.rank > 0 && coppice_tensor_count(&value->tensor) == 1)
        value->tensor.rank = 0; /* arrays of one number are as good as scalars */
    coppice_status status = adapt(cli, &info, value, path);
    if (status != COPPICE_OK)
        return status;
    bool good = fits(&info, value);
    if (good && !state->sources[index]) {
        state->inputs[index] = *value;
        state->sources[index] = path;
        return COPPICE_OK;
    }
    coppice_value_info given = {
        .kind = value->kind, .type = value->tensor.type, .rank = (int)value->tensor.rank};
    memcpy(given.dims, value->tensor.dims, sizeof given.dims);
    coppice_value_release(value);
    if (good)
        return cli_fail(cli, COPPICE_INVALID_ARGUMENT,
                        "%s: input '%s' has its data from %s already", path, info.name,
                        state->sources[index]);
    return cli_fail(cli, COPPICE_INVALID_ARGUMENT,
                    "%s: input '%s' takes %s, but this is %s: convert or reshape the array", path,
                    info.name, wanted_text(&info).text, wanted_text(&given).text);
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

/* ---- .npz ---- */

/* All arrays of a file as the items of a sequence, in the file's order; as an optional's value. */
static coppice_status read_items(cli_context *cli, run_state *state, size_t index, const char *path,
                                 coppice_npz *npz) {
    size_t count = coppice_npz_count(npz);
    coppice_kind kind = coppice_model_input(state->model, index).kind;
    if (kind == COPPICE_KIND_OPTIONAL && count > 1)
        return cli_fail(cli, COPPICE_BAD_DATA, "%s: %zu arrays, an optional has at most one", path,
                        count);
    coppice_value value = {.kind = kind}, *items = coppice_value_items(&value, count);
    coppice_status status =
        items ? COPPICE_OK : cli_fail(cli, COPPICE_OUT_OF_MEMORY, "out of memory");
    for (size_t i = 0; status == COPPICE_OK && i < count; i++)
        status = coppice_npz_read(npz, i, &items[i].tensor, &cli->error);
    if (status == COPPICE_OK && count)
        value.tensor.type = items[0].tensor.type;
    if (status == COPPICE_OK)
        return set_input(cli, state, index, &value, path);
    coppice_value_release(&value);
    return status;
}

static coppice_status read_array(cli_context *cli, run_state *state, size_t index, const char *path,
                                 coppice_npz *npz, size_t entry) {
    coppice_value value = {0};
    coppice_status status = coppice_npz_read(npz, entry, &value.tensor, &cli->error);
    return status == COPPICE_OK ? set_input(cli, state, index, &value, path) : status;
}

/* The arrays of a file to the inputs of their names. */
static coppice_status read_named(cli_context *cli, run_state *state, const char *path,
                                 coppice_npz *npz) {
    coppice_status status = COPPICE_OK;
    for (size_t i = 0; status == COPPICE_OK && i < coppice_npz_count(npz); i++) {
        const char *name = coppice_npz_name(npz, i);
        int64_t target = find_input(state, name, strlen(name));
        if (target < 0)
            return cli_fail(cli, COPPICE_INVALID_ARGUMENT,
                            "%s: the model has no input '%s' for the array of that name", path,
                            name);
        status = read_array(cli, state, (size_t)target, path, npz, i);
    }
    return status;
}

/* Which array of the file goes to which input; index < 0: by the arrays' names, and an only array
 * of another name to the next input. */
static coppice_status read_npz(cli_context *cli, run_state *state, int64_t index, const char *path,
                               coppice_npz *npz) {
    bool single = coppice_npz_count(npz) == 1;
    const char *only = single ? coppice_npz_name(npz, 0) : "";
    if (index < 0 && (!single || find_input(state, only, strlen(only)) >= 0))
        return read_named(cli, state, path, npz);
    if (index < 0 && (index = next_input(cli, state, path)) < 0)
        return cli->error.status;
    coppice_value_info info = coppice_model_input(state->model, (size_t)index);
    if (info.kind != COPPICE_KIND_TENSOR)
        return read_items(cli, state, (size_t)index, path, npz);
    int64_t entry = single ? 0 : coppice_npz_find(npz, info.name);
    if (entry < 0)
        return cli_fail(cli, COPPICE_INVALID_ARGUMENT, "%s: there is no array '%s' in it", path,
                        info.name);
    return read_array(cli, state, (size_t)index, path, npz, (size_t)entry);
}

/* ---- all files ---- */

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
    coppice_status status;
    if (has_suffix(path, ".npz")) {
        coppice_npz *npz = NULL;
        status = coppice_npz_open(path, &npz, &cli->error);
        if (status == COPPICE_OK)
            status = read_npz(cli, state, index, path, npz);
        coppice_npz_free(npz);
        return status;
    }
    if (index < 0 && (index = next_input(cli, state, path)) < 0)
        return cli->error.status;
    coppice_value value = {0};
    if (has_suffix(path, ".pb"))
        status = coppice_value_read(path, coppice_model_input(state->model, (size_t)index).kind,
                                    &value, &cli->error);
    else
        status = coppice_npy_read(path, &value.tensor, &cli->error);
    return status == COPPICE_OK ? set_input(cli, state, (size_t)index, &value, path) : status;
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

coppice_status run_read_inputs(cli_context *cli, run_state *state, const cli_list *list) {
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
            used += (size_t)snprintf(wanted + used, sizeof wanted - used, "%s%s (%s)",
                                     used ? ", " : "", info.name, wanted_text(&info).text);
    }
    if (used)
        return cli_fail(cli, COPPICE_INVALID_ARGUMENT,
                        "no data for input %s: give -i NAME=FILE.npy", wanted);
    return COPPICE_OK;
}
