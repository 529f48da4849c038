/* Loading: map the file, unpack the message, build the graph. */
#include <coppice/model.h>

#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "onnx/internal.h"
#include "onnx/scan.h"

/* protobuf-c allocates from the model's arena; its frees wait until the model goes. */
static void *arena_alloc(void *arena, size_t bytes) {
    return cop_arena_alloc(arena, bytes);
}

static void arena_free(void *arena, void *pointer) {
    (void)arena;
    (void)pointer;
}

/* Where the unpacked message gets its weights from, and what to remember of its tensors. */
typedef struct attachment {
    coppice_model *model;
    unsigned char *data; /* the file */
    coppice_error *err;
} attachment;

/* Lets raw_data point into the file again, and lists tensors with external data. */
static coppice_status attach_tensor(Onnx__TensorProto *tensor, attachment *a) {
    coppice_model *model = a->model;
    if (tensor->has_raw_data && tensor->raw_data.len == COP_SCAN_SPAN_BYTES) {
        cop_span span;
        memcpy(&span, tensor->raw_data.data, sizeof span);
        tensor->raw_data.data = a->data + span.offset;
        tensor->raw_data.len = span.bytes;
    }
    if (!cop_tensor_is_external(tensor))
        return COPPICE_OK;
    if (cop_grow(&model->external, model->external_count, &model->external_capacity,
                 sizeof(Onnx__TensorProto *)) != 0)
        return cop_fail_memory(a->err, sizeof(Onnx__TensorProto *));
    model->external[model->external_count++] = tensor;
    return COPPICE_OK;
}

static coppice_status attach(ProtobufCMessage *message, void *context) {
    attachment *a = context;
    for (unsigned i = 0; i < message->n_unknown_fields; i++) {
        ProtobufCMessageUnknownField *field = &message->unknown_fields[i];
        if (field->tag < COP_SCAN_OPAQUE_FIELD)
            continue;
        cop_span span;
        memcpy(&span, field->data + 1, sizeof span); /* behind the length */
        field->tag -= COP_SCAN_OPAQUE_FIELD;
        field->data = a->data + span.offset;
        field->len = span.bytes;
    }
    if (message->descriptor == &onnx__tensor_proto__descriptor)
        return attach_tensor((Onnx__TensorProto *)message, a);
    return COPPICE_OK;
}

static coppice_status unpack(coppice_model *model, unsigned char *data, coppice_error *err) {
    ProtobufCAllocator allocator = {arena_alloc, arena_free, &model->arena};
    cop_compact compact = {0};
    coppice_status status = cop_scan_model(data, model->bytes, &compact, err);
    if (status == COPPICE_OK) {
        model->proto = onnx__model_proto__unpack(&allocator, compact.bytes, compact.data);
        if (!model->proto) /* the scan lets no malformed bytes through: memory is short */
            status = cop_fail_memory(err, compact.bytes);
    }
    cop_compact_free(&compact);
    if (status != COPPICE_OK)
        return status;
    attachment a = {model, data, err};
    COP_TRY(cop_visit_messages(model->proto, attach, &a));
    return cop_model_build(model, err);
}

/* Nothing has been written yet: a model that is only kept takes next to no memory. */
static void release_pages(const coppice_model *model) {
    cop_mapping_release(model->file.data, model->file.bytes);
    for (size_t i = 0; i < model->data_file_count; i++)
        cop_mapping_release(model->data_files[i].mapping.data, model->data_files[i].mapping.bytes);
}

/* Every message of an error while loading starts with the file. */
static coppice_status located(coppice_status status, const char *path, coppice_error *err) {
    if (status == COPPICE_OK)
        return status;
    cop_error_prefix(err, "%s", path);
    cop_error_locate(err, path, NULL, -1);
    return status;
}

void coppice_load_options_init(coppice_load_options *options) {
    *options = (coppice_load_options){0};
}

/* A model without content; NULL: no memory. */
static coppice_model *new_model(const char *path, const coppice_host *host, coppice_error *err) {
    coppice_model *model = cop_calloc(1, sizeof *model);
    char *copy = cop_strdup(path);
    if (!model || !copy) {
        cop_fail_memory(err, sizeof *model);
        cop_free(model);
        cop_free(copy);
        return NULL;
    }
    model->host = host;
    model->path = copy;
    return model;
}

static coppice_status map_file(coppice_model *model, coppice_error *err) {
    coppice_status status = cop_mapping_open(model->path, &model->file, err);
    if (status != COPPICE_OK) {
        cop_error_locate(err, model->path, NULL, -1);
        return status;
    }
    model->bytes = model->file.bytes;
    COP_TRY(located(unpack(model, model->file.data, err), model->path, err));
    release_pages(model);
    return COPPICE_OK;
}

static coppice_status copy_file(coppice_model *model, const void *data, size_t bytes,
                                coppice_error *err) {
    model->copy = cop_malloc(bytes ? bytes : 1);
    if (!model->copy)
        return cop_fail_memory(err, bytes);
    if (bytes)
        memcpy(model->copy, data, bytes);
    model->bytes = bytes;
    return located(unpack(model, model->copy, err), model->path, err);
}

/* `data` NULL: from the file `path`. */
static coppice_status load(const char *path, const void *data, size_t bytes,
                           const coppice_host *host, coppice_model **out, coppice_error *err) {
    coppice_model *model = new_model(path, host, err);
    if (!model)
        return COPPICE_OUT_OF_MEMORY;
    coppice_status status = data ? copy_file(model, data, bytes, err) : map_file(model, err);
    if (status != COPPICE_OK) {
        coppice_model_free(model);
        return status;
    }
    for (size_t i = 0; i < model->note_count; i++)
        cop_log(COPPICE_LOG_NOTE, "%s: %s", path, model->notes[i]);
    *out = model;
    return COPPICE_OK;
}

static const coppice_host *host_of(const coppice_load_options *options) {
    return options ? options->host : NULL;
}

coppice_status coppice_model_load(const char *path, const coppice_load_options *options,
                                  coppice_model **out, coppice_error *error) {
    *out = NULL;
    const coppice_host *before = cop_memory_enter(host_of(options));
    return cop_memory_leave(before, load(path, NULL, 0, host_of(options), out, error));
}

coppice_status coppice_model_load_memory(const void *data, size_t bytes,
                                         const coppice_load_options *options, coppice_model **out,
                                         coppice_error *error) {
    *out = NULL;
    const void *given = data ? data : ""; /* no bytes at all */
    const coppice_host *before = cop_memory_enter(host_of(options));
    return cop_memory_leave(before, load("<memory>", given, bytes, host_of(options), out, error));
}
