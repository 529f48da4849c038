/* Values from files: TensorProto by protobuf-c; SequenceProto and OptionalProto, which Debian's
 * schema lacks, by a wire reader of our own. */
#include <coppice/value.h>

#include <string.h>

#include "base/memory.h"
#include "base/size.h"
#include "onnx/internal.h"
#include "onnx/value_wire.h"
#include "onnx/varint.h"

enum { MAX_NESTING = 16 };

/* Bytes of a message that are still to be read. */
typedef struct span {
    const unsigned char *at, *end;
} span;

typedef struct reader {
    const unsigned char *file; /* for offsets in messages */
    int depth;
    coppice_error *err;
} reader;

static coppice_status read_value(reader *r, span message, coppice_kind kind, coppice_value *out);

void coppice_value_release(coppice_value *value) {
    if (!value)
        return;
    for (size_t i = 0; i < value->count; i++)
        coppice_value_release((coppice_value *)&value->items[i]);
    cop_free((void *)value->items);
    cop_free(value->tensor.data);
    *value = (coppice_value){0};
}

coppice_value *coppice_value_items(coppice_value *value, size_t count) {
    coppice_value *items = cop_calloc(count ? count : 1, sizeof *items);
    if (items) {
        value->items = items;
        value->count = count;
    }
    return items;
}

static coppice_status damaged(const reader *r, const unsigned char *at, const char *what) {
    cop_fail(r->err, COPPICE_BAD_DATA, "damaged at byte %zu: %s", (size_t)(at - r->file), what);
    cop_error_locate(r->err, NULL, NULL, at - r->file);
    return COPPICE_BAD_DATA;
}

/* ---- the wire format ---- */

static bool take_varint(span *s, uint64_t *value) {
    return cop_varint_read(&s->at, s->end, COP_VARINT_BYTES, value);
}

/* One field. `content` is what a field of bytes holds, `value` the number of a varint. */
typedef struct field {
    uint64_t number;
    unsigned wire;
    uint64_t value;
    span content;
} field;

static coppice_status take_field(const reader *r, span *s, field *out) {
    const unsigned char *start = s->at;
    uint64_t tag;
    if (!take_varint(s, &tag) || tag >> 3 == 0 || tag > UINT32_MAX)
        return damaged(r, start, "no field begins here");
    *out = (field){.number = tag >> 3, .wire = (unsigned)(tag & 7)};
    size_t left = (size_t)(s->end - s->at), length = 0;
    if (out->wire == COP_WIRE_VARINT)
        return take_varint(s, &out->value) ? COPPICE_OK
                                           : damaged(r, start, "a number that does not end");
    if (out->wire == COP_WIRE_LENGTH) {
        uint64_t bytes;
        if (!take_varint(s, &bytes) || bytes > (size_t)(s->end - s->at))
            return damaged(r, start, "a length beyond the end of its message");
        length = (size_t)bytes;
    } else if (out->wire == COP_WIRE_64BIT || out->wire == COP_WIRE_32BIT) {
        length = out->wire == COP_WIRE_64BIT ? 8 : 4;
        if (length > left)
            return damaged(r, start, "a number beyond the end of its message");
    } else {
        return damaged(r, start, "a field of no known wire type");
    }
    out->content = (span){s->at, s->at + length};
    s->at += length;
    return COPPICE_OK;
}

/* ---- tensors ---- */

/* One block with the array of strings and, behind it, their bytes. */
static coppice_status copy_strings(const coppice_tensor *from, void **out, coppice_error *err) {
    const coppice_string *strings = from->data;
    size_t count = (size_t)coppice_tensor_count(from), bytes = count * sizeof *strings;
    for (size_t i = 0; i < count; i++) {
        if (!cop_size_add(bytes, strings[i].length, &bytes))
            return cop_fail_memory(err, bytes);
    }
    coppice_string *copy = cop_malloc(bytes ? bytes : 1);
    if (!copy)
        return cop_fail_memory(err, bytes);
    char *at = (char *)(copy + count);
    for (size_t i = 0; i < count; i++) {
        copy[i] = (coppice_string){at, strings[i].length};
        if (strings[i].length)
            memcpy(at, strings[i].data, strings[i].length);
        at += strings[i].length;
    }
    *out = copy;
    return COPPICE_OK;
}

static coppice_status copy_elements(const coppice_tensor *from, size_t bytes, void **out,
                                    coppice_error *err) {
    *out = cop_malloc(bytes ? bytes : 1);
    if (!*out)
        return cop_fail_memory(err, bytes);
    if (bytes)
        memcpy(*out, from->data, bytes);
    unsigned char *flags = *out;
    for (size_t i = 0; from->type == COPPICE_TYPE_BOOL && i < bytes; i++)
        flags[i] = flags[i] != 0;
    return COPPICE_OK;
}

static void *arena_alloc(void *arena, size_t bytes) {
    return cop_arena_alloc(arena, bytes);
}

static void arena_free(void *arena, void *pointer) {
    (void)arena;
    (void)pointer;
}

static coppice_status read_tensor(reader *r, span message, coppice_value *out) {
    cop_arena arena = {0};
    ProtobufCAllocator allocator = {arena_alloc, arena_free, &arena};
    size_t bytes;
    Onnx__TensorProto *proto =
        onnx__tensor_proto__unpack(&allocator, (size_t)(message.end - message.at), message.at);
    coppice_status status =
        proto ? COPPICE_OK : damaged(r, message.at, "no tensor (TensorProto) begins here");
    if (!status)
        status = cop_tensor_decode(&arena, proto, &out->tensor, &bytes, r->err);
    if (status == COPPICE_BAD_MODEL)
        status = r->err ? (r->err->status = COPPICE_BAD_DATA) : COPPICE_BAD_DATA;
    void *data = NULL;
    if (!status)
        status = out->tensor.type == COPPICE_TYPE_STRING
                     ? copy_strings(&out->tensor, &data, r->err)
                     : copy_elements(&out->tensor, bytes, &data, r->err);
    out->tensor.data = data;
    cop_arena_free(&arena);
    return status;
}

/* ---- sequences and optionals ---- */

/* What a field of SequenceProto or OptionalProto holds. */
static bool kind_of_field(uint64_t number, coppice_kind *kind) {
    switch (number) {
    case COP_VALUE_TENSOR:
        *kind = COPPICE_KIND_TENSOR;
        return true;
    case COP_VALUE_SEQUENCE:
        *kind = COPPICE_KIND_SEQUENCE;
        return true;
    case COP_VALUE_OPTIONAL:
        *kind = COPPICE_KIND_OPTIONAL;
        return true;
    default:
        return false;
    }
}

static coppice_status add_item(reader *r, const field *f, coppice_value *out, size_t *capacity) {
    coppice_kind kind;
    if (f->number == COP_VALUE_SPARSE || f->number == COP_VALUE_MAP)
        return cop_fail(r->err, COPPICE_UNSUPPORTED, "it holds a %s, which coppice does not read",
                        f->number == COP_VALUE_MAP ? "map" : "sparse tensor");
    if (!kind_of_field(f->number, &kind))
        return COPPICE_OK;
    if (f->wire != COP_WIRE_LENGTH)
        return damaged(r, f->content.at, "an item that is no message");
    if (out->kind == COPPICE_KIND_OPTIONAL && out->count)
        return damaged(r, f->content.at, "an optional with two values");
    if (cop_grow(&out->items, out->count, capacity, sizeof(coppice_value)) != 0)
        return cop_fail_memory(r->err, sizeof(coppice_value));
    coppice_value *item = (coppice_value *)&out->items[out->count];
    *item = (coppice_value){0};
    out->count++;
    r->depth++;
    coppice_status status = read_value(r, f->content, kind, item);
    r->depth--;
    if (!out->tensor.type)
        out->tensor.type = item->tensor.type;
    return status;
}

static coppice_status read_items(reader *r, span message, coppice_value *out) {
    size_t capacity = 0;
    if (r->depth >= MAX_NESTING)
        return cop_fail(r->err, COPPICE_LIMIT, "sequences nest deeper than %d", MAX_NESTING);
    while (message.at < message.end) {
        field f;
        const unsigned char *start = message.at;
        COP_TRY(take_field(r, &message, &f));
        if (f.number == COP_VALUE_NAME && f.wire != COP_WIRE_LENGTH)
            return damaged(r, start, "a name that is no text");
        if (f.number == COP_VALUE_ELEM_TYPE && f.wire != COP_WIRE_VARINT)
            return damaged(r, start, "an element type that is no number");
        if (f.number > COP_VALUE_ELEM_TYPE)
            COP_TRY(add_item(r, &f, out, &capacity));
    }
    return COPPICE_OK;
}

static coppice_status read_value(reader *r, span message, coppice_kind kind, coppice_value *out) {
    out->kind = kind;
    if (kind == COPPICE_KIND_TENSOR)
        return read_tensor(r, message, out);
    if (kind == COPPICE_KIND_SEQUENCE || kind == COPPICE_KIND_OPTIONAL)
        return read_items(r, message, out);
    return cop_fail(r->err, COPPICE_UNSUPPORTED, "values of kind %s cannot be read",
                    coppice_kind_name(kind));
}

coppice_status coppice_value_read(const char *path, coppice_kind kind, coppice_value *out,
                                  coppice_error *error) {
    *out = (coppice_value){0};
    cop_mapping file = {0};
    coppice_status status = cop_mapping_open(path, &file, error);
    if (status) {
        cop_error_locate(error, path, NULL, -1);
        return status;
    }
    static const unsigned char nothing[1];
    const unsigned char *data = file.data ? file.data : nothing;
    reader r = {.file = data, .err = error};
    if (file.bytes > INT32_MAX)
        status = cop_fail(error, COPPICE_LIMIT, "%zu bytes are more than 2 GB", file.bytes);
    else
        status = read_value(&r, (span){data, data + file.bytes}, kind, out);
    cop_mapping_close(&file);
    if (status) {
        coppice_value_release(out);
        cop_error_prefix(error, "%s: as a %s", path, coppice_kind_name(kind));
        cop_error_locate(error, path, NULL, -1);
    }
    return status;
}
