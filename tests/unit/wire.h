/* Writing ONNX messages byte by byte, correct ones and hostile ones, for tests of src/onnx. */
#ifndef COP_TESTS_WIRE_H
#define COP_TESTS_WIRE_H

#include <coppice/model.h>

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/model.h"
#include "unit.h"

/* A message under construction. Zero-initialise; free(data), or hand it to wire_message. */
typedef struct wire {
    unsigned char *data;
    size_t bytes;
} wire;

/* Field numbers of onnx.proto. */
enum {
    MODEL_IR = 1,
    MODEL_PRODUCER = 2,
    MODEL_GRAPH = 7,
    MODEL_OPSET = 8,
    MODEL_METADATA = 14,
    GRAPH_NODE = 1,
    GRAPH_NAME = 2,
    GRAPH_INITIALIZER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    GRAPH_VALUE_INFO = 13,
    GRAPH_SPARSE = 15,
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_NAME = 3,
    NODE_OP = 4,
    NODE_ATTR = 5,
    NODE_DOMAIN = 7,
    ATTR_NAME = 1,
    ATTR_F = 2,
    ATTR_I = 3,
    ATTR_S = 4,
    ATTR_T = 5,
    ATTR_G = 6,
    ATTR_FLOATS = 7,
    ATTR_INTS = 8,
    ATTR_TYPE = 20,
    ATTR_SPARSE = 22,
    TENSOR_DIMS = 1,
    TENSOR_TYPE = 2,
    TENSOR_FLOATS = 4,
    TENSOR_INT32S = 5,
    TENSOR_STRINGS = 6,
    TENSOR_INT64S = 7,
    TENSOR_NAME = 8,
    TENSOR_RAW = 9,
    TENSOR_UINT64S = 11,
    TENSOR_EXTERNAL = 13,
    TENSOR_LOCATION = 14,
    SPARSE_VALUES = 1,
    SPARSE_INDICES = 2,
    SPARSE_DIMS = 3
};

static inline void wire_append(wire *w, const void *data, size_t bytes) {
    w->data = realloc(w->data, w->bytes + bytes + 1);
    ck_assert_ptr_nonnull(w->data);
    if (bytes)
        memcpy(w->data + w->bytes, data, bytes);
    w->bytes += bytes;
}

static inline void wire_varint(wire *w, uint64_t value) {
    do {
        unsigned char byte = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        wire_append(w, &byte, 1);
        value >>= 7;
    } while (value);
}

static inline void wire_tag(wire *w, unsigned field, unsigned type) {
    wire_varint(w, field << 3 | type);
}

static inline void wire_int(wire *w, unsigned field, int64_t value) {
    wire_tag(w, field, 0);
    wire_varint(w, (uint64_t)value);
}

static inline void wire_bytes(wire *w, unsigned field, const void *data, size_t bytes) {
    wire_tag(w, field, 2);
    wire_varint(w, bytes);
    wire_append(w, data, bytes);
}

static inline void wire_text(wire *w, unsigned field, const char *text) {
    wire_bytes(w, field, text, strlen(text));
}

/* Takes `inner` over. */
static inline void wire_message(wire *w, unsigned field, wire inner) {
    wire_bytes(w, field, inner.data, inner.bytes);
    free(inner.data);
}

static inline void wire_ints(wire *w, unsigned field, size_t count, const int64_t *values) {
    wire packed = {0};
    for (size_t i = 0; i < count; i++)
        wire_varint(&packed, (uint64_t)values[i]);
    wire_message(w, field, packed);
}

/* A TensorProto without data. `rank` dims follow, as int. */
static inline wire wire_tensor(const char *name, int type, int rank, ...) {
    wire w = {0};
    va_list args;
    va_start(args, rank);
    for (int i = 0; i < rank; i++)
        wire_int(&w, TENSOR_DIMS, va_arg(args, int));
    va_end(args);
    wire_int(&w, TENSOR_TYPE, type);
    if (name)
        wire_text(&w, TENSOR_NAME, name);
    return w;
}

static inline wire wire_raw_tensor(const char *name, int type, int count, const void *data,
                                   size_t bytes) {
    wire w = wire_tensor(name, type, 1, count);
    wire_bytes(&w, TENSOR_RAW, data, bytes);
    return w;
}

static inline void wire_entry(wire *w, unsigned field, const char *key, const char *value) {
    wire entry = {0};
    wire_text(&entry, 1, key);
    wire_text(&entry, 2, value);
    wire_message(w, field, entry);
}

/* A tensor of `count` floats in a data file; NULL offset or length: not said. */
static inline wire wire_external(const char *name, int count, const char *location,
                                 const char *offset, const char *length) {
    wire w = wire_tensor(name, COPPICE_TYPE_FLOAT, 1, count);
    wire_entry(&w, TENSOR_EXTERNAL, "location", location);
    if (offset)
        wire_entry(&w, TENSOR_EXTERNAL, "offset", offset);
    if (length)
        wire_entry(&w, TENSOR_EXTERNAL, "length", length);
    wire_int(&w, TENSOR_LOCATION, 1);
    return w;
}

/* A sparse float tensor [2,3] with `count` values 1, 2, ... and `rank` indices each (0: linear). */
static inline wire wire_sparse(const char *name, int count, int rank, const int64_t *indices) {
    float values[16];
    for (int i = 0; i < count; i++)
        values[i] = (float)(i + 1);
    wire index = rank ? wire_tensor(NULL, COPPICE_TYPE_INT64, 2, count, rank)
                      : wire_tensor(NULL, COPPICE_TYPE_INT64, 1, count);
    wire_ints(&index, TENSOR_INT64S, (size_t)(count * (rank ? rank : 1)), indices);
    wire w = {0};
    wire_message(&w, SPARSE_VALUES,
                 wire_raw_tensor(name, COPPICE_TYPE_FLOAT, count, values, (size_t)count * 4));
    wire_message(&w, SPARSE_INDICES, index);
    wire_int(&w, SPARSE_DIMS, 2);
    wire_int(&w, SPARSE_DIMS, 3);
    return w;
}

/* A ValueInfoProto of a float tensor [symbol, 4]. */
static inline wire wire_rows(const char *name, const char *symbol, int64_t width) {
    wire free_dim = {0}, dim = {0}, shape = {0}, tensor = {0}, type = {0}, w = {0};
    wire_text(&free_dim, 2, symbol);
    wire_message(&shape, 1, free_dim);
    wire_int(&dim, 1, width);
    wire_message(&shape, 1, dim);
    wire_int(&tensor, 1, COPPICE_TYPE_FLOAT);
    wire_message(&tensor, 2, shape);
    wire_message(&type, 1, tensor);
    wire_text(&w, 1, name);
    wire_message(&w, 2, type);
    return w;
}

static inline wire wire_value(const char *name, const char *symbol) {
    return wire_rows(name, symbol, 4);
}

/* A NodeProto with up to two inputs and one output; NULL: none. */
static inline wire wire_node(const char *name, const char *op, const char *a, const char *b,
                             const char *output) {
    wire w = {0};
    if (a)
        wire_text(&w, NODE_INPUT, a);
    if (b)
        wire_text(&w, NODE_INPUT, b);
    if (output)
        wire_text(&w, NODE_OUTPUT, output);
    if (name)
        wire_text(&w, NODE_NAME, name);
    wire_text(&w, NODE_OP, op);
    return w;
}

/* The beginning of an AttributeProto. */
static inline wire wire_attr(const char *name, int type) {
    wire w = {0};
    wire_text(&w, ATTR_NAME, name);
    wire_int(&w, ATTR_TYPE, type);
    return w;
}

/* A ModelProto of IR version 8, opset 13. Takes `graph` over. */
static inline wire wire_model(wire graph) {
    wire w = {0}, opset = {0};
    wire_int(&w, MODEL_IR, 8);
    wire_text(&w, MODEL_PRODUCER, "by hand");
    wire_message(&w, MODEL_GRAPH, graph);
    wire_int(&opset, 2, 13);
    wire_message(&w, MODEL_OPSET, opset);
    return w;
}

/* A graph "x -> Add(x, w) -> y", without the initializer "w". */
static inline wire wire_graph(void) {
    wire g = {0};
    wire_message(&g, GRAPH_NODE, wire_node("add", "Add", "x", "w", "y"));
    wire_text(&g, GRAPH_NAME, "g");
    wire_message(&g, GRAPH_INPUT, wire_value("x", "N"));
    wire_message(&g, GRAPH_OUTPUT, wire_value("y", "N"));
    return g;
}

/* The same with `initializer`, which is taken over. */
static inline wire wire_model_with(wire initializer) {
    wire g = wire_graph();
    wire_message(&g, GRAPH_INITIALIZER, initializer);
    return wire_model(g);
}

/* ---- loading ---- */

/* Loads a message from memory, which must work, and frees it. */
static inline coppice_model *wire_load(wire model) {
    coppice_model *loaded;
    coppice_error err;
    coppice_status status = coppice_model_load_memory(model.data, model.bytes, NULL, &loaded, &err);
    free(model.data);
    ck_assert_msg(status == COPPICE_OK, "%s", err.message);
    return loaded;
}

/* Loads a message from memory, which must fail with this status and a message that holds `text`.
 * Returns the error. */
static inline coppice_error wire_refuse(wire model, coppice_status status, const char *text) {
    coppice_model *loaded;
    coppice_error err;
    ck_assert_int_eq(coppice_model_load_memory(model.data, model.bytes, NULL, &loaded, &err),
                     status);
    ck_assert_ptr_null(loaded);
    ck_assert_int_eq(err.status, status);
    ck_assert_msg(strstr(err.message, text) != NULL, "'%s' not in: %s", text, err.message);
    ck_assert_ptr_null(strchr(err.message, '\n'));
    free(model.data);
    return err;
}

static inline cop_constant *wire_constant(coppice_model *model, const char *name) {
    cop_graph *graph = cop_model_graph(model);
    int value = cop_graph_find(graph, name);
    ck_assert_int_ge(value, 0);
    ck_assert_ptr_nonnull(graph->values[value].constant);
    return graph->values[value].constant;
}

static inline void wire_write_file(const char *path, const void *data, size_t bytes) {
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
}

#endif
