/* Writes tiny ONNX models straight as protobuf bytes, for tests that need one to run. */
#ifndef TESTS_UNIT_TINY_MODEL_H
#define TESTS_UNIT_TINY_MODEL_H

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <coppice/model.h>

/* Bytes of a message that grows; more than any test needs. */
typedef struct wire {
    unsigned char bytes[4096];
    size_t used;
} wire;

static inline void wire_raw(wire *w, const void *data, size_t bytes) {
    ck_assert_uint_le(w->used + bytes, sizeof w->bytes);
    memcpy(w->bytes + w->used, data, bytes);
    w->used += bytes;
}

static inline void wire_varint(wire *w, uint64_t value) {
    do {
        unsigned char byte = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        wire_raw(w, &byte, 1);
        value >>= 7;
    } while (value);
}

static inline void wire_int(wire *w, unsigned field, uint64_t value) {
    wire_varint(w, field << 3);
    wire_varint(w, value);
}

static inline void wire_bytes(wire *w, unsigned field, const void *data, size_t bytes) {
    wire_varint(w, field << 3 | 2);
    wire_varint(w, bytes);
    wire_raw(w, data, bytes);
}

static inline void wire_text(wire *w, unsigned field, const char *text) {
    wire_bytes(w, field, text, strlen(text));
}

static inline void wire_message(wire *w, unsigned field, const wire *message) {
    wire_bytes(w, field, message->bytes, message->used);
}

/* A graph input (field 11) or output (12): float [rows, columns]; rows 0: the free dimension "N".
 */
static inline void wire_value(wire *graph, unsigned field, const char *name, int64_t rows,
                              int64_t columns) {
    wire first = {.used = 0}, second = {.used = 0}, shape = {.used = 0};
    wire tensor = {.used = 0}, type = {.used = 0}, value = {.used = 0};
    if (rows)
        wire_int(&first, 1, (uint64_t)rows);
    else
        wire_text(&first, 2, "N");
    wire_int(&second, 1, (uint64_t)columns);
    wire_message(&shape, 1, &first);
    wire_message(&shape, 1, &second);
    wire_int(&tensor, 1, COPPICE_TYPE_FLOAT);
    wire_message(&tensor, 2, &shape);
    wire_message(&type, 1, &tensor);
    wire_text(&value, 1, name);
    wire_message(&value, 2, &type);
    wire_message(graph, field, &value);
}

/* y[rows,out] = MatMul(x[rows,in], W[in,out]), opset 13; rows 0: free. */
static inline void tiny_model_bytes(wire *model, const char *input, int64_t rows, int64_t in,
                                    int64_t out, const float *weights) {
    wire node = {.used = 0}, weight = {.used = 0}, graph = {.used = 0}, opset = {.used = 0};
    wire_text(&node, 1, input);
    wire_text(&node, 1, "W");
    wire_text(&node, 2, "y");
    wire_text(&node, 3, "product");
    wire_text(&node, 4, "MatMul");
    wire_int(&weight, 1, (uint64_t)in);
    wire_int(&weight, 1, (uint64_t)out);
    wire_int(&weight, 2, COPPICE_TYPE_FLOAT);
    wire_text(&weight, 8, "W");
    wire_bytes(&weight, 9, weights, (size_t)(in * out) * sizeof *weights);
    wire_message(&graph, 1, &node);
    wire_text(&graph, 2, "tiny");
    wire_message(&graph, 5, &weight);
    wire_value(&graph, 11, input, rows, in);
    wire_value(&graph, 12, "y", rows, out);
    wire_text(&opset, 1, "");
    wire_int(&opset, 2, 13);
    model->used = 0;
    wire_int(model, 1, 8);
    wire_message(model, 7, &graph);
    wire_message(model, 8, &opset);
}

/* The same, loaded. */
static inline coppice_model *tiny_model(const char *input, int64_t rows, int64_t in, int64_t out,
                                        const float *weights) {
    wire bytes;
    coppice_error error;
    coppice_model *model = NULL;
    tiny_model_bytes(&bytes, input, rows, in, out, weights);
    coppice_status status =
        coppice_model_load_memory(bytes.bytes, bytes.used, NULL, &model, &error);
    ck_assert_msg(status == COPPICE_OK, "%s", error.message);
    return model;
}

#endif
