/* Small graphs built by hand, for tests of operators, shape inference and passes. One graph at a
 * time: small_begin() ... small_end(). */
#ifndef COP_TESTS_SMALL_GRAPH_H
#define COP_TESTS_SMALL_GRAPH_H

#include <check.h>
#include <stdarg.h>
#include <stdio.h>

#include "interpret.h"
#include "runtime/passes/passes.h"

static cop_arena small_arena;
static cop_graph *small_graph;
static coppice_error small_error;
static interpreter small_it;

#define DIMS(...)                                                                                  \
    (uint32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]) {                  \
        __VA_ARGS__                                                                                \
    }
#define SCALAR 0, NULL
#define LIST(...)                                                                                  \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]) {                       \
        __VA_ARGS__                                                                                \
    }

static inline void small_begin(int64_t opset) {
    cop_opset *set = cop_arena_alloc(&small_arena, sizeof *set);
    *set = (cop_opset){"", opset};
    small_graph = cop_graph_new(&small_arena, NULL, "small");
    small_graph->opsets = set;
    small_graph->opset_count = 1;
    small_error = (coppice_error){0};
}

static inline void small_end(void) {
    interpreter_free(&small_it);
    cop_graph_free(small_graph);
    small_graph = NULL;
    cop_arena_free(&small_arena);
}

/* A new value with a declared shape. */
static inline int small_value(const char *name, coppice_type type, uint32_t rank,
                              const int64_t *dims) {
    int v = cop_graph_value(small_graph, name);
    cop_value *value = &small_graph->values[v];
    value->type = type;
    value->rank = (int)rank;
    value->dims = cop_arena_array(&small_arena, rank, sizeof(cop_dim));
    for (uint32_t i = 0; i < rank; i++)
        value->dims[i].size = dims[i];
    return v;
}

static inline int small_input(const char *name, coppice_type type, uint32_t rank,
                              const int64_t *dims) {
    int v = small_value(name, type, rank, dims);
    int *inputs =
        cop_arena_array(&small_arena, small_graph->input_count + 1, sizeof *small_graph->inputs);
    for (size_t i = 0; i < small_graph->input_count; i++)
        inputs[i] = small_graph->inputs[i];
    inputs[small_graph->input_count++] = v;
    small_graph->inputs = inputs;
    small_graph->values[v].is_input = true;
    return v;
}

static inline void small_output(int value) {
    int *outputs = cop_arena_array(&small_arena, small_graph->output_count + 1, sizeof *outputs);
    for (size_t i = 0; i < small_graph->output_count; i++)
        outputs[i] = small_graph->outputs[i];
    outputs[small_graph->output_count++] = value;
    small_graph->outputs = outputs;
}

/* A constant with the bytes of `data`, copied. */
static inline int small_constant(const char *name, coppice_type type, uint32_t rank,
                                 const int64_t *dims, const void *data) {
    coppice_tensor t = {.type = type, .rank = rank};
    for (uint32_t i = 0; i < rank; i++)
        t.dims[i] = dims[i];
    t.data = cop_arena_copy(&small_arena, data, (size_t)coppice_tensor_bytes(&t));
    return cop_graph_add_constant(small_graph, name, &t);
}

static inline int small_ints(const char *name, int count, const int64_t *values) {
    int64_t dims = count;
    return small_constant(name, COPPICE_TYPE_INT64, 1, &dims, values);
}

static inline int small_int(const char *name, int64_t value) {
    return small_constant(name, COPPICE_TYPE_INT64, 0, NULL, &value);
}

/* A float constant filled with a fixed sequence between -1 and 1. */
static inline int small_weights(const char *name, uint32_t rank, const int64_t *dims) {
    coppice_tensor t = {.type = COPPICE_TYPE_FLOAT, .rank = rank};
    for (uint32_t i = 0; i < rank; i++)
        t.dims[i] = dims[i];
    int64_t count = coppice_tensor_count(&t);
    float *data = cop_arena_array(&small_arena, (size_t)count, sizeof *data);
    for (int64_t i = 0; i < count; i++)
        data[i] = (float)((i * 37 + 11) % 101) / 50.0f - 1.0f;
    t.data = data;
    return cop_graph_add_constant(small_graph, name, &t);
}

/* A node with one output; its value is returned. */
static inline int small_node(const char *op, int count, ...) {
    char name[32];
    snprintf(name, sizeof name, "y%zu", small_graph->node_count);
    int out = cop_graph_value(small_graph, name);
    small_graph->values[out].rank = -1;
    cop_node *node = cop_graph_add_node(small_graph, op, count, 1, 0);
    va_list inputs;
    va_start(inputs, count);
    for (int i = 0; i < count; i++)
        node->inputs[i] = va_arg(inputs, int);
    va_end(inputs);
    node->outputs[0] = out;
    return out;
}

static inline cop_node *small_last(void) {
    return &small_graph->nodes[small_graph->node_count - 1];
}

static inline void small_attr(const char *name, int64_t value) {
    ck_assert(cop_node_set_attr_int(small_graph, small_last(), name, value));
}

static inline void small_attr_ints(const char *name, int count, const int64_t *values) {
    ck_assert(cop_node_set_attr_ints(small_graph, small_last(), name, values, (size_t)count));
}

static inline void small_attr_float(const char *name, float value) {
    ck_assert(cop_node_set_attr_float(small_graph, small_last(), name, value));
}

static inline void small_attr_string(const char *name, const char *text) {
    small_attr(name, 0);
    cop_attr *attr = &small_last()->attrs[small_last()->attr_count - 1];
    attr->kind = COP_ATTR_STRING;
    attr->s = (cop_string){text, strlen(text)};
}

/* Infers the shapes with inputs as declared. */
static inline coppice_status small_infer(void) {
    ck_assert_int_eq(cop_graph_connect(small_graph, &small_error), COPPICE_OK);
    cop_shapes_free(&small_it.shapes);
    return cop_infer(small_graph, NULL, &small_it.shapes, &small_error);
}

/* The same, and expects it to succeed. */
static inline void small_inferred(void) {
    ck_assert_msg(small_infer() == COPPICE_OK, "%s", small_error.message);
}

/* What is known of a value by then. */
static inline const coppice_tensor *small_tensor(int value) {
    return &small_it.shapes.values[value].t;
}

/* Expects inference to fail with a message that holds `text`, and ends the graph. */
static inline void small_refused(coppice_status status, const char *text) {
    coppice_status got = small_infer();
    ck_assert_msg(got == status, "status %s: %s", coppice_status_name(got), small_error.message);
    ck_assert_msg(strstr(small_error.message, text), "message: %s", small_error.message);
    small_end();
}

/* Expects a shape of `value`. */
static inline void small_has_shape(int value, uint32_t rank, const int64_t *dims) {
    const coppice_tensor *t = &small_it.shapes.values[value].t;
    ck_assert(small_it.shapes.known[value]);
    ck_assert_uint_eq(t->rank, rank);
    for (uint32_t i = 0; i < rank; i++)
        ck_assert_int_eq(t->dims[i], dims[i]);
}

#endif
