/* What families of operators on one tensor, element by element, share. */
#ifndef COP_OPS_UNARY_H
#define COP_OPS_UNARY_H

#include "runtime/kernels/maps.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/types.h"
#include "runtime/ops/util.h"

/* Parameters of one-input functions: what alpha, beta mean is up to each. */
typedef struct cop_unary_params {
    float alpha, beta;
} cop_unary_params;

typedef void (*cop_unary_fn)(const void *in, void *out, size_t n, const cop_unary_params *p);

/* One loop from type T to type OUT: `expr` is a function of x and p. */
#define UNARY_TO(name, T, OUT, expr)                                                               \
    static void name(const void *from, void *to, size_t n, const cop_unary_params *p) {            \
        (void)p;                                                                                   \
        const T *restrict in = from;                                                               \
        OUT *restrict out = to;                                                                    \
        for (size_t i = 0; i < n; i++) {                                                           \
            T x = in[i];                                                                           \
            out[i] = (OUT)(expr);                                                                  \
        }                                                                                          \
    }
#define UNARY(name, T, expr) UNARY_TO(name, T, T, expr)

/* Runs the loop for the type of input 0 over it. */
coppice_status cop_run_unary(const cop_call *call, const cop_unary_fn *by_type);

#define RUN_UNARY(op, ...)                                                                         \
    static coppice_status op##_run(const cop_call *call) {                                         \
        static const cop_unary_fn by_type[COP_HELD_TYPES] = {__VA_ARGS__};                         \
        return cop_run_unary(call, by_type);                                                       \
    }

/* The same, floats by the function of the instruction set. */
coppice_status cop_run_map(const cop_call *call, cop_map_id map, cop_unary_fn f64);

#define RUN_MAP(op)                                                                                \
    static coppice_status op##_run(const cop_call *call) {                                         \
        return cop_run_map(call, COP_MAP_##op, op##_f64);                                          \
    }

/* ---- rows ---- */

#define UNARY_ROW(op, fn, first, type_set)                                                         \
    {                                                                                              \
        .name = op, .since = first, ONE_TO_ONE, .types = type_set, .infer = cop_infer_same,        \
        RUN(fn), ANY_LAYOUT                                                                        \
    }
#define UNARY_ROW_WITH(op, fn, first, type_set)                                                    \
    {                                                                                              \
        .name = op, .since = first, ONE_TO_ONE, .types = type_set, PARSE(fn, cop_unary_params),    \
        .infer = cop_infer_same, RUN(fn), ANY_LAYOUT                                               \
    }

#endif
