/* Graphs whose inputs are constant numbers, for tests of what operators compute. */
#ifndef COP_TESTS_SMALL_NUMBERS_H
#define COP_TESTS_SMALL_NUMBERS_H

#include <math.h>

#include "small_graph.h"

/* The value after inference: it must be constant. */
static inline const coppice_tensor *result_of(int value) {
    ck_assert_msg(small_infer() == COPPICE_OK, "%s", small_error.message);
    const coppice_tensor *t = &small_it.shapes.values[value].t;
    ck_assert_ptr_nonnull(t->data);
    return t;
}

/* Expects these numbers (exactly; NaN for NaN) in a value, and ends the graph. */
static inline void expect_numbers(int value, int count, const double *want) {
    const coppice_tensor *t = result_of(value);
    ck_assert_int_eq(coppice_tensor_count(t), count);
    for (int i = 0; i < count; i++) {
        double got = cop_tensor_get(t, i);
        ck_assert_msg(got == want[i] || (isnan(got) && isnan(want[i])),
                      "element %d: %.17g, not %.17g", i, got, want[i]);
    }
    small_end();
}

#define NUMBERS_OF(...)                                                                            \
    (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]) {                          \
        __VA_ARGS__                                                                                \
    }

static inline int floats(const char *name, int count, const double *values) {
    float data[16];
    int64_t dims = count;
    for (int i = 0; i < count; i++)
        data[i] = (float)values[i];
    return small_constant(name, COPPICE_TYPE_FLOAT, 1, &dims, data);
}

static inline int doubles(const char *name, int count, const double *values) {
    int64_t dims = count;
    return small_constant(name, COPPICE_TYPE_DOUBLE, 1, &dims, values);
}

#endif
