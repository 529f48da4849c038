/* Saving: edits go into the message, the message into a file that appears complete or not at all.
 */
#include <coppice/model.h>

#include <string.h>
#include <sys/stat.h>

#include "base/file_pair.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/memory.h"
#include "onnx/save.h"

size_t cop_max_message_bytes = INT32_MAX;

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
    for (cop_origin *origin = saver->model->constants; origin; origin = origin->next) {
        origin->listed = false;
        origin->mask = NULL;
        origin->as_dense = NULL;
        origin->as_sparse = NULL;
    }
}

size_t cop_saver_model_bytes(const cop_saver *saver) {
    return onnx__model_proto__get_packed_size(saver->model->proto);
}

/* ---- the plan ---- */

/* A data file is a plain name beside the model, and another file than it. */
static coppice_status check_data_name(const char *path, const char *name, coppice_error *err) {
    const size_t room = sizeof((coppice_save_result *)0)->external_data;
    const char *slash = strrchr(path, '/');
    if (strlen(name) >= room)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "external data: the name has %zu characters; at most %zu are possible",
                        strlen(name), room - 1);
    if (!name[0] || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "external data '%s': give a file name without a folder", name);
    if (strcmp(slash ? slash + 1 : path, name) == 0)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "external data '%s': this is the model file itself", name);
    return COPPICE_OK;
}

static coppice_status check_options(cop_saver *saver, const char *path) {
    const coppice_save_options *o = saver->options;
    if (o->external_data && o->single_file)
        return cop_fail(saver->err, COPPICE_INVALID_ARGUMENT,
                        "external data '%s' and a single file exclude each other",
                        o->external_data);
    if (o->external_data)
        COP_TRY(check_data_name(path, o->external_data, saver->err));
    return cop_saver_find_masks(saver);
}

/* Changes the message into what is written. */
static coppice_status plan(cop_saver *saver, const char *path) {
    COP_TRY(cop_saver_store(saver));
    COP_TRY(cop_saver_place(saver, path));
    if (saver->data_name)
        COP_TRY(check_data_name(path, saver->data_name, saver->err));
    COP_TRY(cop_check_interrupt(saver->err));
    return COPPICE_OK;
}

static void describe(const cop_saver *saver, coppice_save_result *result) {
    *result =
        (coppice_save_result){.bytes = (int64_t)(cop_saver_model_bytes(saver) + saver->data_bytes),
                              .sparse_count = saver->sparse_count,
                              .dense_count = saver->dense_count,
                              .negative_zeros = saver->negative_zeros,
                              .dropped_signs = saver->dropped_signs};
    if (saver->data_name)
        strcpy(result->external_data, saver->data_name);
}

/* ---- files ---- */

void cop_saver_tell(cop_saver *saver) {
    int64_t done = (int64_t)(saver->file.written + saver->data.written);
    if (done > saver->told && !saver->stopped)
        saver->stopped = cop_progress("save", saver->told, done, saver->total, NULL) != COPPICE_OK;
    saver->told = done;
}

/* protobuf-c hands over the packed bytes piece by piece. */
typedef struct writer_buffer {
    ProtobufCBuffer base;
    cop_saver *saver;
    cop_writer *writer;
} writer_buffer;

static void append_to_writer(ProtobufCBuffer *base, size_t bytes, const uint8_t *data) {
    writer_buffer *buffer = (writer_buffer *)base;
    if (buffer->saver->stopped)
        return;
    cop_streams_write(&buffer->saver->streams, data, bytes, buffer->writer);
    cop_saver_tell(buffer->saver);
}

static void pack(cop_saver *saver, cop_writer *writer) {
    writer_buffer buffer = {{append_to_writer}, saver, writer};
    onnx__model_proto__pack_to_buffer(saver->model->proto, &buffer.base);
}

static bool is_same_file(const char *a, const char *b) {
    struct stat first, second;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

/* The files that the model was loaded from stay as they are, unless the model itself is replaced.
 */
static coppice_status check_sources(cop_saver *saver, const char *path, const char *target) {
    const coppice_model *model = saver->model;
    if (!saver->options->overwrite || strcmp(path, model->path) == 0 ||
        is_same_file(path, model->path))
        return COPPICE_OK;
    bool taken = is_same_file(target, model->path);
    for (size_t i = 0; i < model->data_file_count; i++)
        taken = taken || is_same_file(target, model->data_files[i].path);
    if (!taken)
        return COPPICE_OK;
    return cop_fail(saver->err, COPPICE_INVALID_ARGUMENT,
                    "%s: the model '%s' needs this file; give another name", target, model->path);
}

static bool is_link(const char *path) {
    struct stat info;
    return lstat(path, &info) == 0 && S_ISLNK(info.st_mode);
}

/* Readers look for the data file beside the name that they are given, and refuse links: behind a
 * link the model would be torn from it, or come to another one's data. */
static coppice_status check_links(cop_saver *saver, const char *path, const char *data_path) {
    if (is_link(data_path))
        return cop_fail(saver->err, COPPICE_INVALID_ARGUMENT,
                        "%s: a data file cannot be a symbolic link; remove it or give another name",
                        data_path);
    if (is_link(path))
        return cop_fail(saver->err, COPPICE_INVALID_ARGUMENT,
                        "%s: a model with a data file cannot be written through a symbolic link; "
                        "give the name of the file itself",
                        path);
    return COPPICE_OK;
}

static coppice_status check_files(cop_saver *saver, const char *path) {
    if (!saver->data_name)
        return check_sources(saver, path, path);
    char *data_path = cop_path_sibling(path, saver->data_name);
    if (!data_path)
        return cop_fail_memory(saver->err, strlen(path));
    coppice_status status = check_links(saver, path, data_path);
    if (status == COPPICE_OK)
        status = check_sources(saver, path, path);
    if (status == COPPICE_OK)
        status = check_sources(saver, path, data_path);
    cop_free(data_path);
    return status;
}

static coppice_status open_data(cop_saver *saver, const char *path) {
    char *data_path = cop_path_sibling(path, saver->data_name);
    if (!data_path)
        return cop_fail_memory(saver->err, strlen(path));
    coppice_status status =
        cop_writer_open(&saver->data, data_path, saver->options->overwrite, saver->err);
    cop_error_locate(status ? saver->err : NULL, data_path, NULL, -1);
    cop_free(data_path);
    return status;
}

/* The model once more, for the moment in which its data file has no name of its own yet. */
static coppice_status write_interim(cop_saver *saver, const char *path) {
    char *name = saver->location.value;
    const char *temporary = strrchr(saver->data.temporary, '/');
    COP_TRY(cop_writer_open(&saver->interim, path, true, saver->err));
    saver->location.value =
        cop_arena_strdup(&saver->arena, temporary ? temporary + 1 : saver->data.temporary);
    if (!saver->location.value)
        return cop_fail_memory(saver->err, strlen(saver->data.temporary));
    pack(saver, &saver->interim);
    saver->location.value = name;
    return COPPICE_OK;
}

static coppice_status write_files(cop_saver *saver, const char *path) {
    saver->total = (int64_t)(cop_saver_model_bytes(saver) + saver->data_bytes);
    if (saver->data_name) {
        COP_TRY(open_data(saver, path));
        COP_TRY(cop_saver_write_data(saver));
    }
    pack(saver, &saver->file);
    if (saver->data_name && cop_pair_wants_interim(path, &saver->data, &saver->file))
        COP_TRY(write_interim(saver, path));
    return COPPICE_OK;
}

static coppice_status commit(cop_saver *saver) {
    if (saver->stopped || cop_interrupted())
        return cop_fail(saver->err, COPPICE_INTERRUPTED, "interrupted");
    if (saver->data_name)
        return cop_pair_commit(&saver->data, &saver->interim, &saver->file, saver->err);
    return cop_writer_commit(&saver->file, saver->err);
}

/* ---- the public side ---- */

static void release(cop_saver *saver) {
    cop_writer_abort(&saver->file);
    cop_writer_abort(&saver->interim);
    cop_writer_abort(&saver->data);
    cop_streams_free(&saver->streams);
    cop_arena_free(&saver->arena);
}

coppice_status coppice_model_save(coppice_model *model, const char *path,
                                  const coppice_save_options *options, coppice_save_result *result,
                                  coppice_error *error) {
    static const coppice_save_options defaults;
    cop_saver saver = {.model = model, .options = options ? options : &defaults, .err = error};
    const coppice_host *before = cop_memory_enter(model->host);
    if (result)
        *result = (coppice_save_result){0};
    coppice_status status = check_options(&saver, path);
    if (status == COPPICE_OK)
        status = cop_writer_open(&saver.file, path, saver.options->overwrite, error);
    if (status == COPPICE_OK) {
        status = plan(&saver, path);
        if (status == COPPICE_OK && result)
            describe(&saver, result);
        if (status != COPPICE_OK)
            cop_error_prefix(error, "%s", path);
    }
    if (status == COPPICE_OK)
        status = check_files(&saver, path);
    if (status == COPPICE_OK)
        status = write_files(&saver, path);
    undo(&saver);
    if (status == COPPICE_OK)
        status = commit(&saver);
    if (status != COPPICE_OK && result)
        *result = (coppice_save_result){0};
    if (status != COPPICE_OK)
        cop_error_locate(error, path, NULL, -1);
    release(&saver);
    return cop_memory_leave(before, status);
}

coppice_status coppice_model_measure(coppice_model *model, const char *path,
                                     const coppice_save_options *options,
                                     coppice_save_result *result, coppice_error *error) {
    static const coppice_save_options defaults;
    cop_saver saver = {.model = model, .options = options ? options : &defaults, .err = error};
    const coppice_host *before = cop_memory_enter(model->host);
    *result = (coppice_save_result){0};
    coppice_status status = check_options(&saver, path);
    if (status == COPPICE_OK)
        status = plan(&saver, path);
    if (status == COPPICE_OK)
        describe(&saver, result);
    undo(&saver);
    release(&saver);
    return cop_memory_leave(before, status);
}
