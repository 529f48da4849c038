/* Values to files: TensorProto, SequenceProto, OptionalProto, as ONNX's own tools read them. */
#include <coppice/value.h>

#include <string.h>

#include "base/memory.h"
#include "base/size.h"
#include "onnx/internal.h"
#include "onnx/value_wire.h"
#include "onnx/varint.h"

enum { MAX_NESTING = 16 };

/* Fields of TensorProto. */
enum { TENSOR_DIMS = 1, TENSOR_DATA_TYPE = 2, TENSOR_STRINGS = 6, TENSOR_NAME = 8, TENSOR_RAW = 9 };

/* Where bytes go; NULL: they are counted only. */
typedef struct sink {
    cop_writer *writer;
    uint64_t bytes;
} sink;

static void put(sink *s, const void *data, size_t bytes) {
    s->bytes += bytes;
    if (s->writer)
        cop_writer_write(s->writer, data, bytes);
}

static void put_varint(sink *s, uint64_t value) {
    unsigned char buffer[COP_VARINT_BYTES];
    put(s, buffer, (size_t)(cop_varint_write(buffer, value) - buffer));
}

static void put_number(sink *s, unsigned field, uint64_t value) {
    put_varint(s, field << 3 | COP_WIRE_VARINT);
    put_varint(s, value);
}

/* The head of a field whose content follows. */
static void put_head(sink *s, unsigned field, uint64_t bytes) {
    put_varint(s, field << 3 | COP_WIRE_LENGTH);
    put_varint(s, bytes);
}

static void put_bytes(sink *s, unsigned field, const void *data, size_t bytes) {
    put_head(s, field, bytes);
    if (bytes)
        put(s, data, bytes);
}

static void put_value(sink *s, const char *name, const coppice_value *value);

static void put_tensor(sink *s, const char *name, const coppice_tensor *tensor) {
    for (uint32_t i = 0; i < tensor->rank; i++)
        put_number(s, TENSOR_DIMS, (uint64_t)tensor->dims[i]);
    put_number(s, TENSOR_DATA_TYPE, (uint64_t)tensor->type);
    const coppice_string *strings = tensor->data;
    int64_t count = tensor->type == COPPICE_TYPE_STRING ? coppice_tensor_count(tensor) : 0;
    for (int64_t i = 0; i < count; i++)
        put_bytes(s, TENSOR_STRINGS, strings[i].data, strings[i].length);
    if (name)
        put_bytes(s, TENSOR_NAME, name, strlen(name));
    if (tensor->type != COPPICE_TYPE_STRING)
        put_bytes(s, TENSOR_RAW, tensor->data, (size_t)coppice_tensor_bytes(tensor));
}

/* The value of `elem_type`, and the field for an item of this kind. */
static unsigned field_of_kind(coppice_kind kind) {
    return kind == COPPICE_KIND_TENSOR     ? COP_VALUE_TENSOR
           : kind == COPPICE_KIND_SEQUENCE ? COP_VALUE_SEQUENCE
                                           : COP_VALUE_OPTIONAL;
}

static uint64_t element_type(const coppice_value *value) {
    static const uint64_t types[] = {1, 3, 5}; /* TENSOR, SEQUENCE, OPTIONAL of DataType */
    if (!value->count) /* an empty sequence is one of tensors unless somebody knows better */
        return value->kind == COPPICE_KIND_SEQUENCE;
    return types[value->items[0].kind];
}

static void put_value(sink *s, const char *name, const coppice_value *value) {
    if (value->kind == COPPICE_KIND_TENSOR) {
        put_tensor(s, name, &value->tensor);
        return;
    }
    if (name)
        put_bytes(s, COP_VALUE_NAME, name, strlen(name));
    put_number(s, COP_VALUE_ELEM_TYPE, element_type(value));
    for (size_t i = 0; i < value->count; i++) {
        sink measured = {0};
        put_value(&measured, NULL, &value->items[i]);
        put_head(s, field_of_kind(value->items[i].kind), measured.bytes);
        put_value(s, NULL, &value->items[i]);
    }
}

/* ---- what can be written ---- */

static coppice_status check_tensor(const coppice_tensor *tensor, coppice_error *err) {
    int64_t bytes = tensor->rank <= COPPICE_MAX_RANK ? coppice_tensor_bytes(tensor) : -1;
    if (bytes < 0 || (bytes > 0 && !tensor->data))
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "a tensor of type %s with an invalid shape or without data",
                        coppice_type_name(tensor->type));
    return COPPICE_OK;
}

static coppice_status check(const coppice_value *value, int depth, coppice_error *err) {
    if (depth > MAX_NESTING)
        return cop_fail(err, COPPICE_LIMIT, "sequences nest deeper than %d", MAX_NESTING);
    if (value->kind == COPPICE_KIND_TENSOR)
        return check_tensor(&value->tensor, err);
    if (value->kind != COPPICE_KIND_SEQUENCE && value->kind != COPPICE_KIND_OPTIONAL)
        return cop_fail(err, COPPICE_UNSUPPORTED, "values of kind %s cannot be written",
                        coppice_kind_name(value->kind));
    if (value->count > (value->kind == COPPICE_KIND_OPTIONAL ? 1 : SIZE_MAX) ||
        (value->count && !value->items))
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "a %s with %zu items",
                        coppice_kind_name(value->kind), value->count);
    for (size_t i = 0; i < value->count; i++) {
        if (value->items[i].kind != value->items[0].kind)
            return cop_fail(err, COPPICE_INVALID_ARGUMENT, "a sequence of values of two kinds");
        COP_TRY(check(&value->items[i], depth + 1, err));
    }
    return COPPICE_OK;
}

static coppice_status write(const char *path, const char *name, const coppice_value *value,
                            bool overwrite, coppice_error *err) {
    COP_TRY(check(value, 1, err));
    sink s = {0};
    put_value(&s, name, value);
    if (s.bytes > INT32_MAX)
        return cop_fail(err, COPPICE_LIMIT, "%llu bytes are more than 2 GB",
                        (unsigned long long)s.bytes);
    cop_writer writer = {0};
    COP_TRY(cop_writer_open(&writer, path, overwrite, err));
    s.writer = &writer;
    put_value(&s, name, value);
    return cop_writer_commit(&writer, err);
}

coppice_status coppice_value_write(const char *path, const char *name, const coppice_value *value,
                                   bool overwrite, coppice_error *error) {
    coppice_status status = write(path, name, value, overwrite, error);
    if (status != COPPICE_OK && status != COPPICE_EXISTS && status != COPPICE_IO)
        cop_error_prefix(error, "%s", path);
    if (status)
        cop_error_locate(error, path, NULL, -1);
    return status;
}
