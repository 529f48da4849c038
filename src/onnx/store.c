/* Bringing edits of constants into the message, and weights to a data file. */
#include <string.h>

#include "base/shape.h"
#include "base/type.h"
#include "onnx/save.h"

/* Gives a tensor with external data its bytes as raw_data. */
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

/* ---- masks ---- */

static coppice_status find_mask(cop_saver *saver, const cop_mask *mask) {
    const cop_constant *constant = cop_constants_find(&saver->model->tensors, mask->name);
    if (!constant)
        return cop_fail(saver->err, COPPICE_INVALID_ARGUMENT,
                        "mask '%s': the model has no initializer of this name", mask->name);
    const coppice_tensor *tensor = &constant->tensor;
    if (!cop_mask_fits(mask, tensor))
        return cop_fail(saver->err, COPPICE_INVALID_ARGUMENT,
                        "mask '%s' has shape %s, the initializer has %s", mask->name,
                        cop_declared_text((int)mask->rank, mask->dims, NULL).s,
                        cop_declared_text((int)tensor->rank, tensor->dims, NULL).s);
    if (!cop_is_float_type(tensor->type))
        return cop_fail(saver->err, COPPICE_INVALID_ARGUMENT,
                        "mask '%s': the initializer is %s; only floats are pruned", mask->name,
                        coppice_type_name(tensor->type));
    if (mask->zeros && tensor->data)
        ((cop_origin *)constant->origin)->mask = mask;
    return COPPICE_OK;
}

coppice_status cop_saver_find_masks(cop_saver *saver, const coppice_masks *masks) {
    for (size_t i = 0; masks && i < masks->count; i++)
        COP_TRY(find_mask(saver, &masks->items[i]));
    size_t constants = 0;
    for (const cop_origin *origin = saver->model->constants; origin; origin = origin->next)
        constants++;
    return cop_streams_open(&saver->streams, constants, saver->err);
}

/* A tensor with typed fields becomes one with raw_data, as those are what a stream can stand for.
 */
static coppice_status mask_tensor(cop_saver *saver, cop_origin *origin) {
    const cop_constant *constant = origin->constant;
    cop_stream stream = {.constant = constant,
                         .mask = origin->mask,
                         .width = coppice_type_bits(constant->tensor.type) / 8,
                         .bytes = constant->bytes};
    COP_TRY(cop_saver_remember(saver, origin->tensor, sizeof *origin->tensor));
    cop_tensor_set_raw(origin->tensor, cop_streams_add(&saver->streams, stream), stream.bytes);
    return COPPICE_OK;
}

/* Masks data of the message in place, until it is packed. */
static coppice_status mask_alias(cop_saver *saver, const cop_origin *origin) {
    const cop_constant *constant = origin->constant;
    unsigned char *data = constant->tensor.data;
    COP_TRY(cop_saver_remember(saver, data, constant->bytes));
    cop_mask_copy(origin->mask, 0, origin->mask->count,
                  coppice_type_bits(constant->tensor.type) / 8, data, data);
    return COPPICE_OK;
}

/* Lets the constant have masked data until it is saved. */
static coppice_status mask_sparse(cop_saver *saver, const cop_origin *origin) {
    cop_constant *constant = origin->constant;
    unsigned char *data = cop_arena_alloc(&saver->arena, constant->bytes);
    if (!data)
        return cop_fail_memory(saver->err, constant->bytes);
    cop_mask_copy(origin->mask, 0, origin->mask->count,
                  coppice_type_bits(constant->tensor.type) / 8, constant->tensor.data, data);
    COP_TRY(cop_saver_remember(saver, constant, sizeof *constant));
    constant->tensor.data = data;
    return COPPICE_OK;
}

static coppice_status apply_edit(cop_saver *saver, cop_origin *origin) {
    bool dirty = origin->constant->dirty;
    if (origin->kind == COP_ORIGIN_SPARSE && origin->mask)
        COP_TRY(mask_sparse(saver, origin));
    if (origin->kind == COP_ORIGIN_SPARSE)
        return dirty || origin->mask ? cop_sparse_store(saver, origin) : COPPICE_OK;
    if (origin->kind == COP_ORIGIN_TENSOR && dirty)
        cop_tensor_store(origin->constant, origin->tensor);
    if (!origin->mask)
        return COPPICE_OK;
    return origin->kind == COP_ORIGIN_TENSOR ? mask_tensor(saver, origin)
                                             : mask_alias(saver, origin);
}

coppice_status cop_saver_apply_edits(cop_saver *saver) {
    coppice_model *model = saver->model;
    for (size_t i = 0; i < model->external_count; i++)
        COP_TRY(bring_in(saver, model->external[i]));
    for (cop_origin *origin = model->constants; origin; origin = origin->next)
        COP_TRY(apply_edit(saver, origin));
    return COPPICE_OK;
}

/* ---- to a data file ---- */

static void pad(cop_writer *writer) {
    static const unsigned char zeros[4096];
    size_t rest = (size_t)(writer->written % sizeof zeros);
    if (rest)
        cop_writer_write(writer, zeros, sizeof zeros - rest);
}

static Onnx__StringStringEntryProto *entry(cop_saver *saver, const char *key, char *value) {
    Onnx__StringStringEntryProto *made = cop_arena_alloc(&saver->arena, sizeof *made);
    if (!made || !value)
        return NULL;
    onnx__string_string_entry_proto__init(made);
    made->key = cop_arena_strdup(&saver->arena, key);
    made->value = value;
    return made->key ? made : NULL;
}

/* `data` may be a stream. */
static coppice_status move_out(cop_saver *saver, Onnx__TensorProto *tensor,
                               const unsigned char *data, size_t bytes) {
    enum { ENTRIES = 3 };
    cop_arena *arena = &saver->arena;
    pad(&saver->data);
    Onnx__StringStringEntryProto *entries[ENTRIES] = {
        entry(saver, "location", cop_arena_strdup(arena, saver->data_name)),
        entry(saver, "offset",
              cop_arena_printf(arena, "%llu", (unsigned long long)saver->data.written)),
        entry(saver, "length", cop_arena_printf(arena, "%zu", bytes))};
    Onnx__StringStringEntryProto **list = cop_arena_copy(arena, entries, sizeof entries);
    if (!entries[0] || !entries[1] || !entries[2] || !list)
        return cop_fail_memory(saver->err, sizeof entries);
    cop_streams_write(&saver->streams, data, bytes, &saver->data);
    COP_TRY(cop_saver_remember(saver, tensor, sizeof *tensor));
    cop_tensor_clear(tensor);
    tensor->has_data_location = 1;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    tensor->external_data = list;
    tensor->n_external_data = ENTRIES;
    return COPPICE_OK;
}

/* The initializer that stands for a constant in the message now; NULL when there is none. */
static Onnx__TensorProto *dense_form(const cop_origin *origin) {
    if (!origin->graph)
        return NULL;
    return origin->kind == COP_ORIGIN_SPARSE ? origin->as_dense : origin->tensor;
}

coppice_status cop_saver_move_out(cop_saver *saver) {
    for (cop_origin *origin = saver->model->constants; origin; origin = origin->next) {
        const cop_constant *constant = origin->constant;
        Onnx__TensorProto *tensor = dense_form(origin);
        if (tensor && constant->tensor.data && constant->bytes >= COP_MIN_EXTERNAL_BYTES)
            COP_TRY(move_out(saver, tensor,
                             origin->mask && !origin->sparse ? tensor->raw_data.data
                                                             : constant->tensor.data,
                             constant->bytes));
    }
    return COPPICE_OK;
}

/* ---- sparse tensors ---- */

/* What a dense tensor needs as a sparse one. Bits count, not values: -0.0 is kept. */
typedef struct sparse_size {
    size_t values, index_bytes; /* as packed varints */
} sparse_size;

static bool is_zero(const unsigned char *element, size_t width) {
    for (size_t i = 0; i < width; i++) {
        if (element[i])
            return false;
    }
    return true;
}

static sparse_size measure(const cop_constant *constant, size_t width) {
    sparse_size size = {0};
    const unsigned char *data = constant->tensor.data;
    for (size_t i = 0; i < constant->bytes / width; i++) {
        if (is_zero(data + i * width, width))
            continue;
        size.values++;
        for (size_t rest = i; rest > 127; rest >>= 7)
            size.index_bytes++;
        size.index_bytes++;
    }
    return size;
}

static coppice_status set_values(cop_saver *saver, cop_origin *origin, size_t count, size_t width) {
    const cop_constant *constant = origin->constant;
    const unsigned char *data = constant->tensor.data;
    unsigned char *values = cop_arena_array(&saver->arena, count, width);
    int64_t *indices = cop_arena_array(&saver->arena, count, sizeof *indices);
    int64_t *dims = cop_arena_copy(&saver->arena, &(int64_t){(int64_t)count}, sizeof *dims);
    if (!values || !indices || !dims)
        return cop_fail_memory(saver->err, count * width);
    size_t at = 0;
    for (size_t i = 0; i < constant->bytes / width; i++) {
        if (is_zero(data + i * width, width))
            continue;
        memcpy(values + at * width, data + i * width, width);
        indices[at++] = (int64_t)i;
    }
    Onnx__TensorProto *value_proto = origin->tensor, *index_proto = origin->sparse->indices;
    COP_TRY(cop_saver_remember(saver, value_proto, sizeof *value_proto));
    COP_TRY(cop_saver_remember(saver, index_proto, sizeof *index_proto));
    cop_tensor_set_raw(value_proto, values, count * width);
    cop_tensor_clear(index_proto);
    index_proto->int64_data = indices;
    index_proto->n_int64_data = count;
    value_proto->dims = index_proto->dims = dims;
    value_proto->n_dims = index_proto->n_dims = 1;
    return COPPICE_OK;
}

/* Makes a dense initializer of a sparse one. */
static coppice_status make_dense(cop_saver *saver, cop_origin *origin) {
    Onnx__GraphProto *graph = origin->graph;
    Onnx__TensorProto *dense = cop_arena_alloc(&saver->arena, sizeof *dense);
    Onnx__TensorProto **list =
        cop_arena_array(&saver->arena, graph->n_initializer + 1, sizeof *list);
    Onnx__SparseTensorProto **rest =
        cop_arena_array(&saver->arena, graph->n_sparse_initializer, sizeof *rest);
    if (!dense || !list || !rest)
        return cop_fail_memory(saver->err, graph->n_initializer * sizeof *list);
    *dense = *origin->tensor; /* name, type, doc string */
    dense->dims = origin->sparse->dims;
    dense->n_dims = origin->sparse->n_dims;
    cop_tensor_set_raw(dense, origin->constant->tensor.data, origin->constant->bytes);
    if (graph->n_initializer)
        memcpy(list, graph->initializer, graph->n_initializer * sizeof *list);
    list[graph->n_initializer] = dense;
    size_t kept = 0;
    for (size_t i = 0; i < graph->n_sparse_initializer; i++) {
        if (graph->sparse_initializer[i] != origin->sparse)
            rest[kept++] = graph->sparse_initializer[i];
    }
    COP_TRY(cop_saver_remember(saver, graph, sizeof *graph));
    COP_TRY(cop_saver_remember(saver, &origin->as_dense, sizeof origin->as_dense));
    graph->initializer = list;
    graph->n_initializer++;
    graph->sparse_initializer = rest;
    graph->n_sparse_initializer = kept;
    origin->as_dense = dense;
    return COPPICE_OK;
}

coppice_status cop_sparse_store(cop_saver *saver, cop_origin *origin) {
    const cop_constant *constant = origin->constant;
    size_t width = coppice_type_bits(constant->tensor.type) / 8;
    if (!constant->tensor.data || width == 0)
        return COPPICE_OK;
    sparse_size size = measure(constant, width);
    bool smaller = size.values * width + size.index_bytes < constant->bytes;
    if (origin->graph && !smaller)
        return make_dense(saver, origin);
    return set_values(saver, origin, size.values, width);
}
