/* Functions of each element of a row of floats that exist once per instruction set. They are plain
 * C (runtime/ops/vmath.h), compiled for each: maps_f32.h makes the loops. */
#ifndef COP_RUNTIME_KERNELS_MAPS_H
#define COP_RUNTIME_KERNELS_MAPS_H

#include <stdbool.h>
#include <stddef.h>

/* X(name, function of x and of the parameters A and B) */
/* clang-format off */
#define COP_MAP_LIST(X)                                                                            \
    X(ceil, ceilf(x))                                                                              \
    X(celu, x < 0 ? A * cop_expm1f(x / A) : x)                                                     \
    X(elu, x < 0 ? A * cop_expm1f(x) : x)                                                          \
    X(erf, cop_erff(x))                                                                            \
    X(exp, cop_expf(x))                                                                            \
    X(floor, floorf(x))                                                                            \
    X(gelu, cop_geluf(x))                                                                          \
    X(gelu_tanh, cop_gelu_tanhf(x))                                                                \
    X(hardsigmoid, cop_clamp01f(A * x + B))                                                        \
    X(hardswish, x * cop_clamp01f(x * (1.0f / 6.0f) + 0.5f))                                       \
    X(leakyrelu, x < 0 ? x * A : x)                                                                \
    X(log, cop_logf(x))                                                                            \
    X(mish, cop_mishf(x))                                                                          \
    X(reciprocal, 1.0f / x)                                                                        \
    X(relu, x < 0 ? 0 : x)                                                                         \
    X(round, rintf(x)) /* halves to even */                                                        \
    X(selu, B * (x < 0 ? A * cop_expm1f(x) : x))                                                   \
    X(sigmoid, cop_sigmoidf(x))                                                                    \
    X(softplus, cop_softplusf(x))                                                                  \
    X(softsign, x / (1.0f + fabsf(x)))                                                             \
    X(sqrt, sqrtf(x))                                                                              \
    X(swish, x * cop_sigmoidf(A * x))                                                              \
    X(tanh, cop_tanhf(x))                                                                          \
    X(thresholdedrelu, x > A ? x : 0)
/* clang-format on */

#define COP_MAP_ENUM(name, expr) COP_MAP_##name,
typedef enum cop_map_id {
    COP_MAP_LIST(COP_MAP_ENUM) COP_MAP_cos,
    COP_MAP_sin,
    COP_MAP_COUNT
} cop_map_id;
#undef COP_MAP_ENUM

/* out[i] = f(in[i]) for i < n; may work in place. */
typedef void cop_map_f32_fn(const float *in, float *out, size_t n, float alpha, float beta);

/* Softmax, or its logarithms, of one row of n > 0 elements; not in place. */
typedef void cop_softmax_f32_fn(const float *in, float *out, size_t n, bool logarithms);

#endif
