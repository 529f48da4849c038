/* The pre-scan of a model's bytes, without recursion, along protobuf-c's own descriptors. */
#include "onnx/scan.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "onnx.pb-c.h"
#include "onnx/varint.h"

enum {
    WIRE_VARINT = 0,
    WIRE_64BIT = 1,
    WIRE_LENGTH = 2,
    WIRE_GROUP_START = 3,
    WIRE_GROUP_END = 4,
    WIRE_32BIT = 5,
    PADDED_LENGTH = 5, /* bytes of a length that is filled in later; protobuf-c reads up to five */
    FIELD_COST = 64    /* what protobuf-c notes per field, besides the value */
};

static const size_t max_message_bytes = INT32_MAX; /* of protobuf itself */

/* A message that is being scanned. */
typedef struct frame {
    const ProtobufCMessageDescriptor *type;
    const char *name; /* of the field that holds it */
    size_t end;       /* offset behind its last byte */
    size_t length_at; /* where its length goes in the copy */
    uint64_t seen;    /* fields with a message that have occurred, by index */
} frame;

typedef struct scanner {
    const unsigned char *data;
    size_t bytes, at, copied; /* all before `copied` is in the copy */
    frame frames[COP_SCAN_MAX_NESTING + 1];
    size_t depth; /* index of the innermost frame */
    uint64_t memory, memory_limit;
    bool has_ir_version, has_graph;
    cop_compact *out;
    coppice_error *err;
} scanner;

void cop_compact_free(cop_compact *compact) {
    cop_free(compact->data);
    *compact = (cop_compact){0};
}

/* ---- messages ---- */

/* "graph.initializer.raw_data" */
static void path_of(const scanner *s, const ProtobufCFieldDescriptor *field, unsigned number,
                    char *out, size_t size) {
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 1; i <= s->depth && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s.", s->frames[i].name);
    if (used < size && field)
        snprintf(out + used, size - used, "%s", field->name);
    else if (used < size)
        snprintf(out + used, size - used, "%u", number);
}

static coppice_status fail_at(scanner *s, coppice_status status, size_t offset) {
    cop_error_locate(s->err, NULL, NULL, (int64_t)offset);
    return status;
}

/* A file whose first bytes make no sense is of another kind rather than damaged. */
static bool looks_like_a_model(const scanner *s) {
    return s->has_ir_version || s->has_graph || s->depth > 0;
}

/* Bytes that fit no message: `what` says why. */
static coppice_status malformed(scanner *s, size_t offset, const char *what) {
    if (looks_like_a_model(s))
        cop_fail(s->err, COPPICE_BAD_MODEL, "%s at byte %zu: %s",
                 s->at < s->bytes ? "damaged" : "truncated", offset, what);
    else
        cop_fail(s->err, COPPICE_BAD_MODEL, "not an ONNX model (byte %zu: %s)", offset, what);
    return fail_at(s, COPPICE_BAD_MODEL, offset);
}

static coppice_status cut_off(scanner *s, const ProtobufCFieldDescriptor *field, unsigned number,
                              size_t offset, uint64_t wanted) {
    char path[512];
    size_t end = s->frames[s->depth].end;
    path_of(s, field, number, path, sizeof path);
    if (!looks_like_a_model(s) && !field)
        return malformed(s, offset, "a length beyond the end of the file");
    cop_fail(s->err, COPPICE_BAD_MODEL,
             end == s->bytes
                 ? "truncated at byte %zu: field %s wants %llu bytes, %zu left"
                 : "damaged at byte %zu: field %s wants %llu bytes, its message has %zu",
             offset, path, (unsigned long long)wanted, end - offset);
    return fail_at(s, COPPICE_BAD_MODEL, offset);
}

/* ---- the copy ---- */

static coppice_status append(scanner *s, const void *data, size_t bytes) {
    cop_compact *out = s->out;
    if (bytes > out->capacity - out->bytes) {
        size_t capacity = out->capacity + out->capacity / 2 + bytes + 4096;
        unsigned char *grown = cop_realloc(out->data, capacity);
        if (!grown)
            return cop_fail_memory(s->err, capacity);
        out->data = grown;
        out->capacity = capacity;
    }
    if (bytes)
        memcpy(out->data + out->bytes, data, bytes);
    out->bytes += bytes;
    return COPPICE_OK;
}

/* Copies everything up to `end`, and goes on behind `next`. */
static coppice_status copy_until(scanner *s, size_t end, size_t next) {
    COP_TRY(append(s, s->data + s->copied, end - s->copied));
    s->copied = next;
    return COPPICE_OK;
}

/* ---- reading ---- */

static coppice_status charge(scanner *s, uint64_t bytes) {
    s->memory += bytes;
    if (s->memory <= s->memory_limit)
        return COPPICE_OK;
    cop_fail(s->err, COPPICE_LIMIT,
             "at byte %zu: reading this file would take more than %llu MB of memory", s->at,
             (unsigned long long)(s->memory_limit >> 20));
    return fail_at(s, COPPICE_LIMIT, s->at);
}

/* Reads a varint of at most `max` bytes that ends before `end`. */
static bool read_varint(const unsigned char *data, size_t *at, size_t end, int max,
                        uint64_t *value) {
    const unsigned char *from = data + *at;
    bool read = cop_varint_read(&from, data + end, max, value);
    *at = (size_t)(from - data);
    return read;
}

static unsigned wire_of(ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return WIRE_32BIT;
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return WIRE_64BIT;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_LENGTH;
    default:
        return WIRE_VARINT;
    }
}

/* Numbers packed into one field. */
static coppice_status scan_packed(scanner *s, const ProtobufCFieldDescriptor *field, size_t end) {
    unsigned wire = wire_of(field->type);
    if (wire != WIRE_VARINT) {
        size_t width = wire == WIRE_32BIT ? 4 : 8;
        if ((end - s->at) % width)
            return malformed(s, s->at, "packed numbers of a length that is no multiple of theirs");
        COP_TRY(charge(s, end - s->at));
        s->at = end;
        return COPPICE_OK;
    }
    uint64_t count = 0, value;
    while (s->at < end) {
        size_t start = s->at;
        if (!read_varint(s->data, &s->at, end, 10, &value))
            return malformed(s, start, "a packed number does not end");
        count++;
    }
    return charge(s, count * sizeof(int64_t));
}

static coppice_status enter(scanner *s, const ProtobufCFieldDescriptor *field, size_t length_start,
                            size_t end) {
    static const unsigned char padding[PADDED_LENGTH];
    frame *outer = &s->frames[s->depth];
    unsigned index = (unsigned)(field - outer->type->fields);
    if (s->depth >= COP_SCAN_MAX_NESTING) {
        cop_fail(s->err, COPPICE_BAD_MODEL, "at byte %zu: messages nest deeper than %d", s->at,
                 COP_SCAN_MAX_NESTING);
        return fail_at(s, COPPICE_BAD_MODEL, s->at);
    }
    /* protobuf-c would merge the two, at a cost that grows with their product. */
    if (field->label != PROTOBUF_C_LABEL_REPEATED && index < 64) {
        if (outer->seen >> index & 1)
            return malformed(s, s->at, "a message that may occur once occurs twice");
        outer->seen |= (uint64_t)1 << index;
    }
    const ProtobufCMessageDescriptor *type = field->descriptor;
    COP_TRY(charge(s, type->sizeof_message + 4 * sizeof(void *)));
    COP_TRY(copy_until(s, length_start, s->at));
    s->depth++;
    s->frames[s->depth] =
        (frame){.type = type, .name = field->name, .end = end, .length_at = s->out->bytes};
    return append(s, padding, sizeof padding);
}

/* Ends the innermost message: its length in the copy is known now. */
static coppice_status leave(scanner *s) {
    COP_TRY(copy_until(s, s->at, s->at));
    unsigned char *length = s->out->data + s->frames[s->depth].length_at;
    size_t value = s->out->bytes - s->frames[s->depth].length_at - PADDED_LENGTH;
    for (int i = 0; i < PADDED_LENGTH; i++)
        length[i] = (unsigned char)((value >> (7 * i) & 0x7f) | (i + 1 < PADDED_LENGTH ? 0x80 : 0));
    s->depth--;
    return COPPICE_OK;
}

static coppice_status scan_text(scanner *s, const ProtobufCFieldDescriptor *field, size_t end) {
    size_t bytes = end - s->at;
    bool text = field->type == PROTOBUF_C_TYPE_STRING;
    /* protobuf-c would drop what follows. */
    const unsigned char *nul = text && bytes ? memchr(s->data + s->at, '\0', bytes) : NULL;
    if (nul)
        return malformed(s, (size_t)(nul - s->data), "a text holds a NUL byte");
    COP_TRY(charge(s, bytes));
    s->at = end;
    return COPPICE_OK;
}

static coppice_status scan_raw_data(scanner *s, size_t length_start, size_t end) {
    cop_span span = {.offset = s->at, .bytes = end - s->at};
    unsigned char length = sizeof span;
    s->at = end;
    COP_TRY(copy_until(s, length_start, end));
    COP_TRY(append(s, &length, 1));
    return append(s, &span, sizeof span);
}

/* Metadata of nodes and values are stack traces, often half the file. That of the model stays: it
 * is short, and unknown fields are packed behind all others. */
static bool is_opaque(const frame *f, const ProtobufCFieldDescriptor *field) {
    return !field || (f->type != &onnx__model_proto__descriptor &&
                      strcmp(field->name, "metadata_props") == 0);
}

/* Leaves the content of a field where it is in the file. */
static coppice_status scan_opaque(scanner *s, unsigned number, size_t start, size_t length_start,
                                  size_t end) {
    cop_span span = {.offset = length_start, .bytes = end - length_start};
    uint32_t tag = (COP_SCAN_OPAQUE_FIELD + number) << 3 | WIRE_LENGTH;
    unsigned char head[6], *at = head;
    for (; tag > 0x7f; tag >>= 7)
        *at++ = (unsigned char)(tag | 0x80);
    *at++ = (unsigned char)tag;
    *at++ = sizeof span;
    s->at = end;
    COP_TRY(copy_until(s, start, end));
    COP_TRY(append(s, head, (size_t)(at - head)));
    return append(s, &span, sizeof span);
}

static coppice_status scan_length(scanner *s, const ProtobufCFieldDescriptor *field,
                                  unsigned number, size_t start) {
    frame *f = &s->frames[s->depth];
    size_t length_start = s->at;
    uint64_t length;
    if (!read_varint(s->data, &s->at, f->end, 5, &length))
        return malformed(s, length_start, "a length that does not end");
    if (length > f->end - s->at)
        return cut_off(s, field, number, s->at, length);
    size_t end = s->at + (size_t)length;
    if (is_opaque(f, field))
        return scan_opaque(s, number, start, length_start, end);
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return scan_text(s, field, end);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return enter(s, field, length_start, end);
    if (field->type != PROTOBUF_C_TYPE_BYTES)
        return scan_packed(s, field, end);
    if (f->type == &onnx__tensor_proto__descriptor && length >= COP_SCAN_SPAN_BYTES &&
        strcmp(field->name, "raw_data") == 0)
        return scan_raw_data(s, length_start, end);
    return scan_text(s, field, end);
}

/* ---- fields ---- */

static coppice_status scan_number(scanner *s, const ProtobufCFieldDescriptor *field,
                                  unsigned number, unsigned wire) {
    size_t start = s->at, end = s->frames[s->depth].end;
    uint64_t value;
    if (wire == WIRE_VARINT)
        return read_varint(s->data, &s->at, end, 10, &value)
                   ? COPPICE_OK
                   : malformed(s, start, "a number that does not end");
    size_t width = wire == WIRE_32BIT ? 4 : 8;
    if (end - s->at < width)
        return cut_off(s, field, number, s->at, width);
    s->at += width;
    return COPPICE_OK;
}

static coppice_status check_wire(scanner *s, const ProtobufCFieldDescriptor *field, unsigned wire,
                                 size_t start) {
    if (wire == WIRE_GROUP_START || wire == WIRE_GROUP_END)
        return malformed(s, start, "a group, which ONNX does not have");
    if (wire > WIRE_32BIT)
        return malformed(s, start, "a field of no known wire type");
    if (!field || wire == wire_of(field->type))
        return COPPICE_OK;
    if (wire == WIRE_LENGTH && field->label == PROTOBUF_C_LABEL_REPEATED)
        return COPPICE_OK; /* packed numbers */
    return malformed(s, start, "a field of the wrong wire type");
}

static coppice_status scan_field(scanner *s) {
    frame *f = &s->frames[s->depth];
    size_t start = s->at;
    uint64_t tag;
    if (!read_varint(s->data, &s->at, f->end, 5, &tag) || tag >> 3 == 0 ||
        tag >> 3 >= COP_SCAN_OPAQUE_FIELD)
        return malformed(s, start, "no field begins here");
    unsigned number = (unsigned)(tag >> 3), wire = (unsigned)(tag & 7);
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(f->type, number);
    COP_TRY(check_wire(s, field, wire, start));
    COP_TRY(charge(s, FIELD_COST));
    if (s->depth == 0 && field) {
        s->has_ir_version = s->has_ir_version || strcmp(field->name, "ir_version") == 0;
        s->has_graph = s->has_graph || strcmp(field->name, "graph") == 0;
    }
    return wire == WIRE_LENGTH ? scan_length(s, field, number, start)
                               : scan_number(s, field, number, wire);
}

/* Files that are often given by mistake, by their first bytes. */
static const struct {
    const char *magic;
    size_t length;
    const char *kind;
} other_kinds[] = {
    {"\xff\xd8\xff", 3, "a JPEG image"},
    {"\x89PNG", 4, "a PNG image"},
    {"PK\x03\x04", 4, "a zip file (a PyTorch checkpoint or .npz?): export it to ONNX first"},
    {"\x1f\x8b", 2, "gzip-compressed: decompress it first"},
    {"\x28\xb5\x2f\xfd", 4, "zstd-compressed: decompress it first"},
    {"\x93NUMPY", 6, "a .npy array"},
    {"\x89HDF", 4, "an HDF5 file"},
    {"%PDF", 4, "a PDF"},
    {"\x7f"
     "ELF",
     4, "a program"},
    {"version https://git-lfs", 23, "a Git LFS pointer: fetch the file with 'git lfs pull'"},
    {"<!DOCTYPE", 9, "a web page: the download went wrong"},
    {"<html", 5, "a web page: the download went wrong"},
    {"{\"", 2, "a JSON text"},
};

static coppice_status check_kind(const unsigned char *data, size_t bytes, coppice_error *err) {
    if (bytes == 0)
        return cop_fail(err, COPPICE_BAD_MODEL, "the file is empty: not an ONNX model");
    for (size_t i = 0; i < sizeof other_kinds / sizeof other_kinds[0]; i++) {
        if (bytes >= other_kinds[i].length &&
            memcmp(data, other_kinds[i].magic, other_kinds[i].length) == 0) {
            cop_fail(err, COPPICE_BAD_MODEL, "not an ONNX model but %s", other_kinds[i].kind);
            cop_error_locate(err, NULL, NULL, 0);
            return COPPICE_BAD_MODEL;
        }
    }
    if (bytes > max_message_bytes)
        return cop_fail(err, COPPICE_LIMIT,
                        "%zu bytes: a model file has at most 2 GB; keep its weights as external "
                        "data",
                        bytes);
    return COPPICE_OK;
}

coppice_status cop_scan_model(const unsigned char *data, size_t bytes, cop_compact *out,
                              coppice_error *err) {
    COP_TRY(check_kind(data, bytes, err));
    scanner s = {.data = data,
                 .bytes = bytes,
                 .memory_limit = ((uint64_t)1 << 30) + 16 * (uint64_t)bytes,
                 .out = out,
                 .err = err};
    s.frames[0] = (frame){.type = &onnx__model_proto__descriptor, .name = "", .end = bytes};
    for (;;) {
        if (s.at < s.frames[s.depth].end)
            COP_TRY(scan_field(&s));
        else if (s.depth > 0)
            COP_TRY(leave(&s));
        else
            break;
    }
    COP_TRY(copy_until(&s, bytes, bytes));
    if (!s.has_graph)
        return cop_fail(err, COPPICE_BAD_MODEL, "not an ONNX model: it has no graph");
    if (!s.has_ir_version)
        return cop_fail(err, COPPICE_BAD_MODEL, "not an ONNX model: it has no ir_version");
    return COPPICE_OK;
}
