/* What families of operators on two tensors, element by element, share. */
#ifndef COP_OPS_BINARY_H
#define COP_OPS_BINARY_H

#include "runtime/ops/ops.h"
#include "runtime/ops/types.h"
#include "runtime/ops/util.h"

/* Two-input functions. From opset 7 on numpy's rules hold; before, attributes say how to broadcast.
 */
typedef struct cop_binary_params {
    bool legacy; /* of an opset before 7: the rest counts */
    bool broadcast, has_axis;
    int64_t axis;
} cop_binary_params;

/* A row loop over operands a (type A) and b (type B), `expr` is a function of x and y. The plain
 * cases come first so that they vectorise. */
#define BINARY(name, A, B, OUT, expr)                                                              \
    static void name(const void *context, size_t n, void *to, const void *const *from,             \
                     const ptrdiff_t *strides) {                                                   \
        (void)context;                                                                             \
        const A *a = from[0];                                                                      \
        const B *b = from[1];                                                                      \
        OUT *out = to;                                                                             \
        ptrdiff_t sa = strides[1], sb = strides[2], count = (ptrdiff_t)n;                          \
        if (sa == 1 && sb == 1) {                                                                  \
            for (ptrdiff_t i = 0; i < count; i++) {                                                \
                A x = a[i];                                                                        \
                B y = b[i];                                                                        \
                out[i] = (OUT)(expr);                                                              \
            }                                                                                      \
        } else if (sa == 1 && sb == 0) {                                                           \
            B y = b[0];                                                                            \
            for (ptrdiff_t i = 0; i < count; i++) {                                                \
                A x = a[i];                                                                        \
                out[i] = (OUT)(expr);                                                              \
            }                                                                                      \
        } else if (sa == 0 && sb == 1) {                                                           \
            A x = a[0];                                                                            \
            for (ptrdiff_t i = 0; i < count; i++) {                                                \
                B y = b[i];                                                                        \
                out[i] = (OUT)(expr);                                                              \
            }                                                                                      \
        } else {                                                                                   \
            for (ptrdiff_t i = 0; i < count; i++) {                                                \
                A x = a[i * sa];                                                                   \
                B y = b[i * sb];                                                                   \
                out[i] = (OUT)(expr);                                                              \
            }                                                                                      \
        }                                                                                          \
    }

/* Reads how to broadcast: cop_binary_params. */
coppice_status cop_binary_parse(const cop_call *call, void *params);

/* The broadcast shape, of inputs of one type, with the type of input 0, or with BOOL. */
coppice_status cop_binary_infer(cop_call *call);
coppice_status cop_compare_infer(cop_call *call);

/* The same with input 1 of any type. */
coppice_status cop_infer_mixed(cop_call *call);

/* Runs the loop for the type of input 0, or one loop, over inputs 0 and 1. */
coppice_status cop_run_binary(const cop_call *call, const cop_walk_fn *by_type);
coppice_status cop_run_pairs(const cop_call *call, cop_walk_fn fn, const void *context);

/* BAD_DATA when input 1 is of integers and one of them is 0. */
coppice_status cop_refuse_zero_divisor(const cop_call *call);

/* ---- rows ---- */

#define RUN_BINARY(op, ...)                                                                        \
    static coppice_status op##_run(const cop_call *call) {                                         \
        static const cop_walk_fn by_type[COP_HELD_TYPES] = {__VA_ARGS__};                          \
        return cop_run_binary(call, by_type);                                                      \
    }

#define BINARY_ROW(op, fn, first, rule, type_set)                                                  \
    {                                                                                              \
        .name = op, .since = first, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,            \
        .types = type_set, .params_size = sizeof(cop_binary_params), .parse = cop_binary_parse,    \
        .infer = rule, RUN(fn), ANY_LAYOUT                                                         \
    }

#endif
