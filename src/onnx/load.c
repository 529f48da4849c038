/* Loading: map the file, unpack the message, build the graph. */
#include <coppice/model.h>

#include <string.h>

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

coppice_status coppice_model_load(const char *path, const coppice_load_options *options,
                                  coppice_model **out, coppice_error *error) {
    *out = NULL;
    coppice_model *model = cop_calloc(1, sizeof *model);
    if (!model)
        return cop_fail_memory(error, sizeof *model);
    model->host = options ? options->host : NULL;
    coppice_status status;
    model->path = cop_strdup(path);
    if (!model->path) {
        status = cop_fail_memory(error, strlen(path) + 1);
        goto fail;
    }
    status = cop_mapping_open(path, &model->file, error);
    if (status != COPPICE_OK) {
        cop_error_locate(error, path, NULL, -1);
        goto fail;
    }
    model->bytes = model->file.bytes;
    COP_TRY_OR_FAIL(located(unpack(model, model->file.data, error), path, error));
    *out = model;
    return COPPICE_OK;
fail:
    coppice_model_free(model);
    return status;
}

coppice_status coppice_model_load_memory(const void *data, size_t bytes,
                                         const coppice_load_options *options, coppice_model **out,
                                         coppice_error *error) {
    *out = NULL;
    coppice_model *model = cop_calloc(1, sizeof *model);
    if (!model)
        return cop_fail_memory(error, sizeof *model);
    model->host = options ? options->host : NULL;
    coppice_status status;
    model->path = cop_strdup("<memory>");
    model->copy = cop_malloc(bytes ? bytes : 1);
    if (!model->path || !model->copy) {
        status = cop_fail_memory(error, bytes);
        goto fail;
    }
    if (bytes)
        memcpy(model->copy, data, bytes);
    model->bytes = bytes;
    COP_TRY_OR_FAIL(located(unpack(model, model->copy, error), model->path, error));
    *out = model;
    return COPPICE_OK;
fail:
    coppice_model_free(model);
    return status;
}
