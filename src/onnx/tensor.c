/* Tensors of the message as constants of the graph. */
#include <string.h>

#include "base/size.h"
#include "onnx/internal.h"

coppice_status cop_tensor_shape(int32_t data_type, size_t rank, const int64_t *dims,
                                coppice_tensor *out, int64_t *count, bool *ranked,
                                coppice_error *err) {
    *out = (coppice_tensor){.type = coppice_type_bits((coppice_type)data_type) ||
                                            data_type == COPPICE_TYPE_STRING
                                        ? (coppice_type)data_type
                                        : COPPICE_TYPE_UNDEFINED};
    *ranked = rank <= COPPICE_MAX_RANK;
    bool empty = false;
    *count = 1;
    for (size_t i = 0; i < rank; i++) {
        if (dims[i] < 0)
            return cop_fail(err, COPPICE_BAD_MODEL, "dimension %zu is %lld", i, (long long)dims[i]);
        empty = empty || dims[i] == 0;
        if (dims[i] && !cop_i64_mul(*count, dims[i], count))
            return cop_fail(err, COPPICE_BAD_MODEL, "the product of its dimensions overflows");
    }
    if (empty)
        *count = 0;
    if (*count > INT64_MAX / 128) /* of at most 128 bits */
        return cop_fail(err, COPPICE_BAD_MODEL, "%lld elements are too many", (long long)*count);
    if (*ranked) {
        out->rank = (uint32_t)rank;
        if (rank)
            memcpy(out->dims, dims, rank * sizeof *dims);
    }
    return COPPICE_OK;
}

cop_constant *cop_constant_new(coppice_model *model, cop_origin origin, coppice_tensor tensor,
                               size_t bytes) {
    cop_constant *constant = cop_arena_alloc(&model->arena, sizeof *constant);
    cop_origin *kept = cop_arena_copy(&model->arena, &origin, sizeof origin);
    if (!constant || !kept)
        return NULL;
    size_t width = coppice_type_bits(tensor.type) / 8;
    *constant = (cop_constant){.tensor = tensor,
                               .bytes = tensor.data ? bytes : 0,
                               .aligned = width < 2 || (uintptr_t)tensor.data % width == 0,
                               .sparse = origin.kind == COP_ORIGIN_SPARSE,
                               .origin = kept};
    kept->constant = constant;
    *(model->constants_end ? model->constants_end : &model->constants) = kept;
    model->constants_end = &kept->next;
    return constant;
}

/* The repeated fields that can hold elements, and which one belongs to a type. */
typedef enum field_kind {
    FIELD_FLOAT,
    FIELD_INT32,
    FIELD_INT64,
    FIELD_DOUBLE,
    FIELD_UINT64,
    FIELD_STRING,
    FIELD_COUNT
} field_kind;

static const char *const field_names[] = {"float_data",  "int32_data",  "int64_data",
                                          "double_data", "uint64_data", "string_data"};

typedef struct typed_field {
    field_kind kind;
    void *items;
    size_t count, width; /* items and their size in memory */
} typed_field;

static field_kind field_of_type(coppice_type type) {
    switch (type) {
    case COPPICE_TYPE_FLOAT:
    case COPPICE_TYPE_COMPLEX64:
        return FIELD_FLOAT;
    case COPPICE_TYPE_DOUBLE:
    case COPPICE_TYPE_COMPLEX128:
        return FIELD_DOUBLE;
    case COPPICE_TYPE_INT64:
        return FIELD_INT64;
    case COPPICE_TYPE_UINT32:
    case COPPICE_TYPE_UINT64:
        return FIELD_UINT64;
    case COPPICE_TYPE_STRING:
        return FIELD_STRING;
    default:
        return FIELD_INT32;
    }
}

static typed_field get_field(const Onnx__TensorProto *t, field_kind kind) {
    switch (kind) {
    case FIELD_FLOAT:
        return (typed_field){kind, t->float_data, t->n_float_data, sizeof(float)};
    case FIELD_DOUBLE:
        return (typed_field){kind, t->double_data, t->n_double_data, sizeof(double)};
    case FIELD_INT64:
        return (typed_field){kind, t->int64_data, t->n_int64_data, sizeof(int64_t)};
    case FIELD_UINT64:
        return (typed_field){kind, t->uint64_data, t->n_uint64_data, sizeof(uint64_t)};
    case FIELD_STRING:
        return (typed_field){kind, t->string_data, t->n_string_data, 0};
    default:
        return (typed_field){FIELD_INT32, t->int32_data, t->n_int32_data, sizeof(int32_t)};
    }
}

/* Refuses elements in a field that does not belong to the type, or beside raw_data. */
static coppice_status check_fields(const Onnx__TensorProto *t, coppice_type type, bool raw,
                                   coppice_error *err) {
    for (field_kind kind = 0; kind < FIELD_COUNT; kind++) {
        typed_field field = get_field(t, kind);
        if (field.count && raw)
            return cop_fail(err, COPPICE_BAD_MODEL, "has both raw_data and %s", field_names[kind]);
        if (field.count && kind != field_of_type(type))
            return cop_fail(err, COPPICE_BAD_MODEL, "is %s but has %s", coppice_type_name(type),
                            field_names[kind]);
    }
    return COPPICE_OK;
}

/* Bytes of one item as the dense tensor stores it: the low bytes of each item of the field. */
static size_t stored_width(coppice_type type, const typed_field *field) {
    if (field->kind == FIELD_INT32)
        return coppice_type_bits(type) < 8 ? 1 : coppice_type_bits(type) / 8;
    return type == COPPICE_TYPE_UINT32 ? sizeof(uint32_t) : field->width;
}

static coppice_status load_typed(cop_arena *arena, Onnx__TensorProto *t, size_t bytes,
                                 unsigned char **data, coppice_error *err) {
    coppice_type type = (coppice_type)t->data_type;
    typed_field field = get_field(t, field_of_type(type));
    size_t width = stored_width(type, &field);
    if (field.count != bytes / width)
        return cop_fail(err, COPPICE_BAD_MODEL, "its dims want %zu values, %s has %zu",
                        bytes / width, field_names[field.kind], field.count);
    if (width == field.width || !field.count) {
        *data = field.count ? field.items : NULL;
        return COPPICE_OK;
    }
    *data = cop_arena_alloc(arena, bytes);
    if (!*data)
        return cop_fail_memory(err, bytes);
    for (size_t i = 0; i < field.count; i++)
        memcpy(*data + i * width, (unsigned char *)field.items + i * field.width, width);
    return COPPICE_OK;
}

bool cop_tensor_is_external(const Onnx__TensorProto *t) {
    return t->has_data_location && t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
}

/* Strings point to the bytes in the message. */
static coppice_status load_strings(cop_arena *arena, const Onnx__TensorProto *t, size_t count,
                                   unsigned char **data, coppice_error *err) {
    if (count != t->n_string_data)
        return cop_fail(err, COPPICE_BAD_MODEL, "its dims want %zu strings, string_data has %zu",
                        count, t->n_string_data);
    coppice_string *strings = cop_arena_array(arena, count, sizeof *strings);
    if (!strings)
        return cop_fail_memory(err, count * sizeof *strings);
    for (size_t i = 0; i < count; i++)
        strings[i] = (coppice_string){(const char *)t->string_data[i].data, t->string_data[i].len};
    *data = (unsigned char *)strings;
    return COPPICE_OK;
}

/* The elements that the message itself holds. */
static coppice_status load_own_data(cop_arena *arena, Onnx__TensorProto *t, size_t bytes,
                                    unsigned char **data, coppice_error *err) {
    coppice_type type = (coppice_type)t->data_type;
    bool raw = t->has_raw_data && t->raw_data.len > 0;
    COP_TRY(check_fields(t, type, raw, err));
    if (type == COPPICE_TYPE_STRING && !raw)
        return load_strings(arena, t, bytes / sizeof(coppice_string), data, err);
    if (type == COPPICE_TYPE_STRING)
        return cop_fail(err, COPPICE_BAD_MODEL, "is of strings but has raw_data");
    if (!raw)
        return load_typed(arena, t, bytes, data, err);
    if (t->raw_data.len != bytes)
        return cop_fail(err, COPPICE_BAD_MODEL, "its dims want %zu bytes, raw_data has %zu", bytes,
                        t->raw_data.len);
    *data = t->raw_data.data;
    return COPPICE_OK;
}

/* Type and shape, and how many bytes its elements take. */
static coppice_status measure(const Onnx__TensorProto *t, coppice_tensor *out, bool *ranked,
                              size_t *bytes, coppice_error *err) {
    int64_t count;
    COP_TRY(cop_tensor_shape(t->data_type, t->n_dims, t->dims, out, &count, ranked, err));
    unsigned bits = out->type == COPPICE_TYPE_STRING ? 8 * sizeof(coppice_string)
                                                     : coppice_type_bits(out->type);
    *bytes = ((size_t)count * bits + 7) / 8;
    return COPPICE_OK;
}

coppice_status cop_tensor_decode(cop_arena *arena, Onnx__TensorProto *t, coppice_tensor *out,
                                 size_t *bytes, coppice_error *err) {
    bool ranked;
    unsigned char *data = NULL;
    COP_TRY(measure(t, out, &ranked, bytes, err));
    if (!ranked)
        return cop_fail(err, COPPICE_LIMIT, "%zu dimensions are more than %d", t->n_dims,
                        COPPICE_MAX_RANK);
    if (out->type == COPPICE_TYPE_UNDEFINED)
        return cop_fail(err, COPPICE_UNSUPPORTED, "element type %d is not known", t->data_type);
    if (cop_tensor_is_external(t))
        return cop_fail(err, COPPICE_UNSUPPORTED, "its data are in another file");
    COP_TRY(load_own_data(arena, t, *bytes, &data, err));
    out->data = data;
    return COPPICE_OK;
}

static coppice_status load_data(coppice_model *model, Onnx__TensorProto *t, size_t bytes,
                                unsigned char **data, coppice_error *err) {
    if (!cop_tensor_is_external(t))
        return load_own_data(&model->arena, t, bytes, data, err);
    COP_TRY(check_fields(t, (coppice_type)t->data_type, true, err));
    if (t->data_type == COPPICE_TYPE_STRING)
        return cop_fail(err, COPPICE_BAD_MODEL, "is of strings but has external data");
    return cop_external_load(model, t, bytes, data, &bytes, err);
}

coppice_status cop_tensor_view(coppice_model *model, Onnx__TensorProto *t, coppice_tensor *out,
                               size_t *bytes, coppice_error *err) {
    bool ranked;
    unsigned char *data = NULL;
    COP_TRY(measure(t, out, &ranked, bytes, err));
    if (out->type != COPPICE_TYPE_UNDEFINED)
        COP_TRY(load_data(model, t, *bytes, &data, err));
    out->data = ranked ? data : NULL;
    if (!ranked)
        out->type = COPPICE_TYPE_UNDEFINED;
    return COPPICE_OK;
}

/* Are these bytes of the model file itself? Small tensors are in the unpacked message. */
static bool is_in_file(const coppice_model *model, const unsigned char *data) {
    return data && data >= model->file.data && data < model->file.data + model->file.bytes;
}

coppice_status cop_tensor_load(coppice_model *model, Onnx__TensorProto *t, Onnx__GraphProto *graph,
                               cop_constant **out, coppice_error *err) {
    coppice_tensor tensor;
    size_t bytes;
    COP_TRY(cop_tensor_view(model, t, &tensor, &bytes, err));
    cop_origin origin = {.kind = COP_ORIGIN_TENSOR, .tensor = t, .graph = graph};
    *out = cop_constant_new(model, origin, tensor, bytes);
    if (!*out)
        return cop_fail_memory(err, sizeof(cop_constant));
    (*out)->external = cop_tensor_is_external(t);
    (*out)->mapped = (*out)->external || is_in_file(model, tensor.data);
    return COPPICE_OK;
}

void cop_tensor_store(const cop_constant *constant, Onnx__TensorProto *t) {
    coppice_type type = constant->tensor.type;
    typed_field field = get_field(t, field_of_type(type));
    bool raw = t->has_raw_data && t->raw_data.len > 0;
    if (raw || cop_tensor_is_external(t) || !constant->tensor.data ||
        constant->tensor.data == field.items)
        return; /* the edits are in the message already */
    size_t width = stored_width(type, &field);
    bool is_signed = type == COPPICE_TYPE_INT8 || type == COPPICE_TYPE_INT16;
    for (size_t i = 0; i < field.count; i++) {
        const unsigned char *from = (const unsigned char *)constant->tensor.data + i * width;
        unsigned char *to = (unsigned char *)field.items + i * field.width;
        memset(to, is_signed && from[width - 1] & 0x80 ? 0xff : 0, field.width);
        memcpy(to, from, width);
    }
}

void cop_tensor_clear(Onnx__TensorProto *t) {
    t->n_float_data = t->n_int32_data = t->n_int64_data = 0;
    t->n_double_data = t->n_uint64_data = t->n_external_data = 0;
    t->has_data_location = t->has_raw_data = 0;
    t->raw_data = (ProtobufCBinaryData){0};
}

void cop_tensor_set_raw(Onnx__TensorProto *t, unsigned char *data, size_t bytes) {
    cop_tensor_clear(t);
    t->has_raw_data = 1;
    t->raw_data = (ProtobufCBinaryData){.len = bytes, .data = data};
}
