/* Graphs of small_graph.h before and after the passes that know shapes. */
#ifndef COP_TESTS_PATTERNS_H
#define COP_TESTS_PATTERNS_H

#include <math.h>

#include "runtime/plan.h"
#include "small_graph.h"
#include "unit.h"

enum { PATTERN_INPUTS = 8 };

/* Inputs as declared: floats between -2 and 2, integers and truths 0 or 1. */
static inline size_t pattern_inputs(coppice_tensor *inputs) {
    size_t count = 0;
    for (size_t i = 0; i < small_graph->input_count; i++) {
        const cop_value *v = &small_graph->values[small_graph->inputs[i]];
        coppice_tensor *t = &inputs[count++];
        *t = (coppice_tensor){.type = v->type, .rank = (uint32_t)v->rank};
        for (int d = 0; d < v->rank; d++)
            t->dims[d] = v->dims[d].size;
        t->data = cop_arena_alloc(&small_arena, (size_t)coppice_tensor_bytes(t) + 1);
        for (int64_t k = 0; k < coppice_tensor_count(t); k++) {
            int64_t at = k * 31 + (int64_t)i * 17 + 5;
            if (t->type == COPPICE_TYPE_FLOAT)
                ((float *)t->data)[k] = (float)(at * at % 83) / 20.5f - 2.0f;
            else if (t->type == COPPICE_TYPE_BOOL)
                ((uint8_t *)t->data)[k] = at * at % 83 > 20;
            else
                ((int64_t *)t->data)[k] = at * at % 83 > 20;
        }
    }
    return count;
}

/* The outputs of `graph`, copied into the arena. */
static inline coppice_tensor *pattern_run(cop_graph *graph) {
    coppice_tensor inputs[PATTERN_INPUTS];
    size_t count = pattern_inputs(inputs);
    interpreter it = {0};
    coppice_status status = interpreter_run(&it, graph, inputs, count, &small_error);
    ck_assert_msg(status == COPPICE_OK, "%s", small_error.message);
    coppice_tensor *out = cop_arena_array(&small_arena, graph->output_count, sizeof *out);
    for (size_t i = 0; i < graph->output_count; i++) {
        out[i] = it.shapes.values[graph->outputs[i]].t;
        out[i].data =
            cop_arena_copy(&small_arena, out[i].data, (size_t)coppice_tensor_bytes(&out[i]));
    }
    interpreter_free(&it);
    return out;
}

/* Not a number only where the other is. */
static inline void pattern_same(const coppice_tensor *a, const coppice_tensor *b,
                                double tolerance) {
    ck_assert_int_eq(a->type, b->type);
    ck_assert_uint_eq(a->rank, b->rank);
    for (uint32_t d = 0; d < a->rank; d++)
        ck_assert_int_eq(a->dims[d], b->dims[d]);
    for (int64_t i = 0; i < coppice_tensor_count(a); i++) {
        double x = cop_tensor_get(a, i), y = cop_tensor_get(b, i);
        ck_assert_msg((isnan(x) && isnan(y)) || x == y || fabs(x - y) <= tolerance,
                      "element %lld: %g, %g", (long long)i, x, y);
    }
}

/* Rewrites a copy of the graph, expects outputs within `tolerance` of what they were, and these
 * nodes left; ends the graph. */
static inline void pattern_becomes(double tolerance, const char *ops) {
    char left[512] = "";
    cop_arena arena = {0};
    cop_shapes shapes = {0}, folded = {0};
    ck_assert_int_eq(cop_graph_connect(small_graph, &small_error), COPPICE_OK);
    coppice_tensor *before = pattern_run(small_graph);
    cop_graph *copy = cop_graph_copy(small_graph, &arena, &small_error);
    ck_assert_ptr_nonnull(copy);
    cop_infer_options options = {0};
    ck_assert_int_eq(cop_infer(copy, &options, &shapes, &small_error), COPPICE_OK);
    coppice_status status = cop_passes_run_shaped(copy, &options, &shapes, &folded, &small_error);
    ck_assert_msg(status == COPPICE_OK, "%s", small_error.message);
    for (size_t n = 0; n < copy->node_count; n++)
        snprintf(left + strlen(left), sizeof left - strlen(left), "%s%s", n ? " " : "",
                 copy->nodes[n].op);
    coppice_tensor *after = pattern_run(copy);
    for (size_t i = 0; i < copy->output_count; i++)
        pattern_same(&before[i], &after[i], tolerance);
    ck_assert_msg(strcmp(left, ops) == 0, "left: %s, expected: %s", left, ops);
    cop_shapes_free(&shapes);
    cop_graph_free(copy);
    cop_shapes_free(&folded);
    cop_arena_free(&arena);
    small_end();
}

static inline int small_float(const char *name, float value) {
    return small_constant(name, COPPICE_TYPE_FLOAT, SCALAR, &value);
}

static inline int small_times(int x, float by) {
    return small_node("Mul", 2, x, small_float("by", by));
}

static inline int small_reshape(int x, int count, const int64_t *dims) {
    return small_node("Reshape", 2, x, small_ints("shape", count, dims));
}

static inline int small_transpose(int x, int count, const int64_t *perm) {
    int y = small_node("Transpose", 1, x);
    small_attr_ints("perm", count, perm);
    return y;
}

#endif
