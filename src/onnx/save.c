/* Saving: edits go into the message, the message into a file that appears complete or not at all.
 */
#include <coppice/model.h>

#include <string.h>

#include "base/interrupt.h"
#include "base/memory.h"
#include "onnx/save.h"

void coppice_save_options_init(coppice_save_options *options) {
    *options = (coppice_save_options){0};
}

coppice_status cop_saver_remember(cop_saver *saver, void *at, size_t bytes) {
    cop_change *change = cop_arena_alloc(&saver->arena, sizeof *change);
    void *saved = cop_arena_copy(&saver->arena, at, bytes);
    if (!change || !saved)
        return cop_fail_memory(saver->err, bytes);
    *change = (cop_change){.at = at, .saved = saved, .bytes = bytes, .before = saver->latest};
    saver->latest = change;
    return COPPICE_OK;
}

static void undo(cop_saver *saver) {
    for (cop_change *change = saver->latest; change; change = change->before)
        memcpy(change->at, change->saved, change->bytes);
    saver->latest = NULL;
    for (cop_origin *origin = saver->model->constants; origin; origin = origin->next)
        origin->mask = NULL;
}

/* protobuf-c hands over the packed bytes piece by piece. */
typedef struct writer_buffer {
    ProtobufCBuffer base;
    cop_saver *saver;
} writer_buffer;

static void append_to_writer(ProtobufCBuffer *buffer, size_t bytes, const uint8_t *data) {
    cop_saver *saver = ((writer_buffer *)buffer)->saver;
    cop_streams_write(&saver->streams, data, bytes, &saver->file);
}

static coppice_status pack(cop_saver *saver) {
    size_t bytes = onnx__model_proto__get_packed_size(saver->model->proto);
    if (bytes > INT32_MAX)
        return cop_fail(saver->err, COPPICE_LIMIT,
                        "%zu bytes are more than the 2 GB that a model file can hold: keep the "
                        "weights in a file of their own (--external-data NAME)",
                        bytes);
    writer_buffer buffer = {.base = {append_to_writer}, .saver = saver};
    onnx__model_proto__pack_to_buffer(saver->model->proto, &buffer.base);
    return COPPICE_OK;
}

/* A data file is a plain name beside the model, and another file than it. */
static coppice_status check_data_name(const char *path, const char *name, coppice_error *err) {
    const char *slash = strrchr(path, '/');
    if (strlen(name) >= sizeof((coppice_save_result *)0)->external_data)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "external data: the name has %zu characters; at most %zu are possible",
                        strlen(name), sizeof((coppice_save_result *)0)->external_data - 1);
    if (!name[0] || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "external data '%s': give a file name without a folder", name);
    if (strcmp(slash ? slash + 1 : path, name) == 0)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "external data '%s': this is the model file itself", name);
    return COPPICE_OK;
}

static coppice_status open_files(cop_saver *saver, const char *path, bool overwrite) {
    COP_TRY(cop_writer_open(&saver->file, path, overwrite, saver->err));
    if (!saver->data_name)
        return COPPICE_OK;
    char *data_path = cop_path_sibling(path, saver->data_name);
    if (!data_path)
        return cop_fail_memory(saver->err, strlen(path));
    coppice_status status = cop_writer_open(&saver->data, data_path, overwrite, saver->err);
    cop_error_locate(status ? saver->err : NULL, data_path, NULL, -1);
    cop_free(data_path);
    return status;
}

/* Both files are on the disk before either gets its name: only a rename can fail in between. */
static coppice_status commit(cop_saver *saver) {
    if (cop_interrupted())
        return cop_fail(saver->err, COPPICE_INTERRUPTED, "interrupted");
    if (!saver->data_name)
        return cop_writer_commit(&saver->file, saver->err);
    COP_TRY(cop_writer_sync(&saver->data, saver->err));
    COP_TRY(cop_writer_sync(&saver->file, saver->err));
    COP_TRY(cop_writer_commit(&saver->data, saver->err));
    return cop_writer_commit(&saver->file, saver->err);
}

static coppice_status write_files(cop_saver *saver, coppice_save_result *result) {
    COP_TRY(cop_saver_apply_edits(saver));
    if (saver->data_name)
        COP_TRY(cop_saver_move_out(saver));
    COP_TRY(pack(saver));
    if (result && saver->data_name)
        strcpy(result->external_data, saver->data_name);
    if (result)
        result->bytes = (int64_t)(saver->file.written + saver->data.written);
    return COPPICE_OK;
}

coppice_status coppice_model_save(coppice_model *model, const char *path,
                                  const coppice_save_options *options, coppice_save_result *result,
                                  coppice_error *error) {
    coppice_save_options defaults;
    coppice_save_options_init(&defaults);
    options = options ? options : &defaults;
    cop_saver saver = {.model = model, .data_name = options->external_data, .err = error};
    coppice_status status = COPPICE_OK;
    const coppice_host *before = cop_memory_enter(model->host);
    if (result)
        *result = (coppice_save_result){0};
    if (saver.data_name)
        status = check_data_name(path, saver.data_name, error);
    if (status == COPPICE_OK)
        status = cop_saver_find_masks(&saver, options->masks);
    if (status == COPPICE_OK)
        status = open_files(&saver, path, options->overwrite);
    if (status == COPPICE_OK) {
        status = write_files(&saver, result);
        if (status != COPPICE_OK)
            cop_error_prefix(error, "%s", path);
    }
    undo(&saver);
    if (status == COPPICE_OK)
        status = commit(&saver);
    if (status != COPPICE_OK)
        cop_error_locate(error, path, NULL, -1);
    cop_writer_abort(&saver.file);
    cop_writer_abort(&saver.data);
    cop_streams_free(&saver.streams);
    cop_arena_free(&saver.arena);
    return cop_memory_leave(before, status);
}
