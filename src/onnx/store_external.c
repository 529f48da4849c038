/* Data files: bringing tensors in, deciding which go out, writing them. */
#include <string.h>

#include "base/interrupt.h"
#include "onnx/save.h"

/* Offsets are multiples of this. */
enum { ALIGNMENT = 4096 };

/* ---- from data files ---- */

static coppice_status bring_in(cop_saver *saver, Onnx__TensorProto *tensor) {
    coppice_tensor shape;
    int64_t count;
    bool ranked;
    COP_TRY(cop_tensor_shape(tensor->data_type, tensor->n_dims, tensor->dims, &shape, &count,
                             &ranked, saver->err));
    unsigned bits = coppice_type_bits(shape.type);
    size_t bytes = bits ? ((size_t)count * bits + 7) / 8 : SIZE_MAX;
    unsigned char *data;
    COP_TRY(cop_external_load(saver->model, tensor, bytes, &data, &bytes, saver->err));
    COP_TRY(cop_saver_remember(saver, tensor, sizeof *tensor));
    cop_tensor_set_raw(tensor, data, bytes);
    return COPPICE_OK;
}

coppice_status cop_saver_bring_in(cop_saver *saver) {
    for (size_t i = 0; i < saver->model->external_count; i++)
        COP_TRY(bring_in(saver, saver->model->external[i]));
    return COPPICE_OK;
}

/* ---- to a data file ---- */

static Onnx__StringStringEntryProto *entry(cop_saver *saver, const char *key, uint64_t value) {
    Onnx__StringStringEntryProto *made = cop_arena_alloc(&saver->arena, sizeof *made);
    if (!made)
        return NULL;
    onnx__string_string_entry_proto__init(made);
    made->key = cop_arena_strdup(&saver->arena, key);
    made->value = cop_arena_printf(&saver->arena, "%llu", (unsigned long long)value);
    return made->key && made->value ? made : NULL;
}

/* Points a dense tensor to the data file, behind what is there already. */
static coppice_status place(cop_saver *saver, Onnx__TensorProto *tensor,
                            const cop_constant *constant) {
    enum { ENTRIES = 3 };
    uint64_t offset = (saver->data_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    const unsigned char *data = tensor->has_raw_data && tensor->raw_data.len
                                    ? tensor->raw_data.data
                                    : constant->tensor.data;
    Onnx__StringStringEntryProto *entries[ENTRIES] = {
        &saver->location, entry(saver, "offset", offset), entry(saver, "length", constant->bytes)};
    Onnx__StringStringEntryProto **list = cop_arena_copy(&saver->arena, entries, sizeof entries);
    cop_placed *placed = cop_arena_alloc(&saver->arena, sizeof *placed);
    if (!entries[1] || !entries[2] || !list || !placed)
        return cop_fail_memory(saver->err, sizeof entries);
    *placed = (cop_placed){data, constant->bytes, offset, NULL};
    *(saver->placed_end ? saver->placed_end : &saver->placed) = placed;
    saver->placed_end = &placed->next;
    saver->data_bytes = offset + constant->bytes;
    COP_TRY(cop_saver_remember(saver, tensor, sizeof *tensor));
    cop_tensor_clear(tensor);
    tensor->has_data_location = 1;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    tensor->external_data = list;
    tensor->n_external_data = ENTRIES;
    return COPPICE_OK;
}

/* The dense initializer that stands for a constant in the message now; NULL when there is none. */
static Onnx__TensorProto *dense_form(const cop_origin *origin) {
    if (!origin->graph || !origin->listed || origin->as_sparse)
        return NULL;
    return origin->kind == COP_ORIGIN_SPARSE ? origin->as_dense : origin->tensor;
}

static coppice_status place_dense(cop_saver *saver) {
    for (cop_origin *origin = saver->model->constants; origin; origin = origin->next) {
        const cop_constant *constant = origin->constant;
        Onnx__TensorProto *tensor = dense_form(origin);
        if (tensor && constant->tensor.data && constant->bytes >= COP_MIN_EXTERNAL_BYTES &&
            constant->tensor.type != COPPICE_TYPE_STRING)
            COP_TRY(place(saver, tensor, constant));
    }
    return COPPICE_OK;
}

/* The sparse initializer that takes most room in the model file; NULL: none. */
static cop_origin *largest_sparse(const cop_saver *saver) {
    cop_origin *largest = NULL;
    size_t most = 0;
    for (cop_origin *origin = saver->model->constants; origin; origin = origin->next) {
        if (!origin->graph || !origin->listed || !origin->constant->tensor.data ||
            origin->as_dense || (origin->kind != COP_ORIGIN_SPARSE && !origin->as_sparse))
            continue;
        size_t bytes = onnx__sparse_tensor_proto__get_packed_size(
            origin->as_sparse ? origin->as_sparse : origin->sparse);
        if (bytes > most) {
            most = bytes;
            largest = origin;
        }
    }
    return largest;
}

/* Sparse tensors stay in the model file, as their readers want them there. Where there is no room
 * for all, the largest are written dense. */
static coppice_status make_room(cop_saver *saver) {
    while (cop_saver_model_bytes(saver) > cop_max_message_bytes) {
        cop_origin *origin = largest_sparse(saver);
        if (!origin)
            return cop_fail(saver->err, COPPICE_LIMIT,
                            "%zu bytes without its initializers are more than the 2 GB that a "
                            "model file can hold",
                            cop_saver_model_bytes(saver));
        origin->as_sparse = NULL;
        if (origin->kind == COP_ORIGIN_SPARSE)
            COP_TRY(cop_saver_make_dense(saver, origin));
        COP_TRY(cop_saver_update_graphs(saver));
        COP_TRY(place(saver, dense_form(origin), origin->constant));
    }
    return COPPICE_OK;
}

/* The name of a data file that nobody has named. */
static coppice_status choose_name(cop_saver *saver, const char *path, size_t bytes) {
    const char *slash = strrchr(path, '/');
    if (saver->options->single_file)
        return cop_fail(saver->err, COPPICE_LIMIT,
                        "%zu bytes are more than the 2 GB that a model file can hold: leave out "
                        "--single-file, and the weights go to a file of their own",
                        bytes);
    saver->data_name = cop_arena_printf(&saver->arena, "%s.data", slash ? slash + 1 : path);
    if (!saver->data_name)
        return cop_fail_memory(saver->err, strlen(path));
    return COPPICE_OK;
}

coppice_status cop_saver_place(cop_saver *saver, const char *path) {
    size_t bytes = cop_saver_model_bytes(saver);
    saver->data_name = saver->options->external_data;
    if (!saver->data_name && bytes > cop_max_message_bytes)
        COP_TRY(choose_name(saver, path, bytes));
    if (!saver->data_name)
        return COPPICE_OK;
    onnx__string_string_entry_proto__init(&saver->location);
    saver->location.key = cop_arena_strdup(&saver->arena, "location");
    saver->location.value = cop_arena_strdup(&saver->arena, saver->data_name);
    if (!saver->location.key || !saver->location.value)
        return cop_fail_memory(saver->err, strlen(saver->data_name));
    COP_TRY(place_dense(saver));
    return make_room(saver);
}

static void pad(cop_writer *writer, uint64_t offset) {
    static const unsigned char zeros[ALIGNMENT];
    cop_writer_write(writer, zeros, (size_t)(offset - writer->written));
}

coppice_status cop_saver_write_data(cop_saver *saver) {
    for (const cop_placed *placed = saver->placed; placed; placed = placed->next) {
        if (saver->stopped || cop_interrupted())
            return cop_fail(saver->err, COPPICE_INTERRUPTED, "interrupted");
        pad(&saver->data, placed->offset);
        cop_streams_write(&saver->streams, placed->data, placed->bytes, &saver->data);
        cop_saver_tell(saver);
    }
    return COPPICE_OK;
}
