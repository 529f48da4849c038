/* Pow: of floats and integers, by exponents of any number type. */
#include <math.h>

#include "runtime/ops/elementwise/binary.h"

/* ---- floats by their own type; exponents that models have are apart ---- */

/* Adding 0 makes 0 of -0, as pow does; it has no result for the root of -INFINITY. */
static inline float root_f32(float x) {
    return x == -INFINITY ? INFINITY : sqrtf(x) + 0.0f;
}

static inline double root_f64(double x) {
    return x == -INFINITY ? INFINITY : sqrt(x) + 0.0;
}

#define POW_FLOAT(T, suffix, function)                                                             \
    BINARY(any_##suffix, T, T, T, function(x, y))                                                  \
    BINARY(square_##suffix, T, T, T, ((void)y, x * x))                                             \
    BINARY(cube_##suffix, T, T, T, ((void)y, x * x * x))                                           \
    BINARY(half_##suffix, T, T, T, ((void)y, root_##suffix(x)))                                    \
    static void pow_##suffix(const void *context, size_t n, void *to, const void *const *from,     \
                             const ptrdiff_t *strides) {                                           \
        cop_walk_fn fn = any_##suffix;                                                             \
        if (strides[2] == 0) {                                                                     \
            T y = *(const T *)from[1];                                                             \
            fn = y == 2 ? square_##suffix : y == 3 ? cube_##suffix : fn;                           \
            fn = y == (T)0.5 ? half_##suffix : fn;                                                 \
        }                                                                                          \
        fn(context, n, to, from, strides);                                                         \
    }
POW_FLOAT(float, f32, powf)
POW_FLOAT(double, f64, pow)

/* ---- integers by integers: exact, wrapping around ---- */

static int64_t integer_power(int64_t base, int64_t exponent) {
    uint64_t result = 1, factor = (uint64_t)base;
    for (; exponent > 0; exponent >>= 1) {
        if (exponent & 1)
            result *= factor;
        factor *= factor;
    }
    return (int64_t)result;
}

/* A double out of the range of an integer type has no defined conversion: the nearest value. */
static int64_t integer_from(double v, double low, double high) {
    if (!(v > low))
        return (int64_t)low;
    return v >= high ? (high >= 9223372036854775807.0 ? INT64_MAX : (int64_t)high) : (int64_t)v;
}

/* ---- any mix of types ---- */

typedef struct pow_types {
    coppice_type base, exponent;
} pow_types;

static void store_number(coppice_type type, void *to, ptrdiff_t i, double v) {
    if (type == COPPICE_TYPE_FLOAT)
        ((float *)to)[i] = (float)v;
    else if (type == COPPICE_TYPE_DOUBLE)
        ((double *)to)[i] = v;
    else if (type == COPPICE_TYPE_INT32)
        ((int32_t *)to)[i] = (int32_t)integer_from(v, INT32_MIN, INT32_MAX);
    else
        ((int64_t *)to)[i] = integer_from(v, (double)INT64_MIN, (double)INT64_MAX);
}

static void pow_mixed(const void *context, size_t n, void *to, const void *const *from,
                      const ptrdiff_t *strides) {
    const pow_types *types = context;
    const coppice_tensor base = {.type = types->base, .data = (void *)from[0]};
    const coppice_tensor exponent = {.type = types->exponent, .data = (void *)from[1]};
    bool whole = cop_is_integer_type(types->base) && cop_is_integer_type(types->exponent);
    for (ptrdiff_t i = 0; i < (ptrdiff_t)n; i++) {
        int64_t a = i * strides[1], b = i * strides[2];
        int64_t times = whole ? cop_tensor_get_int(&exponent, b) : -1;
        if (times < 0) {
            double v = pow(cop_tensor_get(&base, a), cop_tensor_get(&exponent, b));
            store_number(types->base, to, i, v);
            continue;
        }
        int64_t v = integer_power(cop_tensor_get_int(&base, a), times);
        if (types->base == COPPICE_TYPE_INT32)
            ((int32_t *)to)[i] = (int32_t)(uint32_t)v;
        else
            ((int64_t *)to)[i] = v;
    }
}

static coppice_status pow_infer(cop_call *call) {
    COP_TRY(cop_need_type(call, 1, NUMBERS));
    return cop_infer_mixed(call);
}

static coppice_status pow_run(const cop_call *call) {
    static const cop_walk_fn by_type[COP_HELD_TYPES] = {FLOAT_ROWS(pow)};
    const coppice_tensor *exponent = cop_in(call, 1);
    pow_types types = {cop_in(call, 0)->type, exponent->type};
    if (!cop_is_float_type(types.base))
        return cop_run_pairs(call, pow_mixed, &types);
    if (types.base == types.exponent)
        return cop_run_binary(call, by_type);
    if (coppice_tensor_count(exponent) != 1)
        return cop_run_pairs(call, pow_mixed, &types);
    double value64 = cop_tensor_get(exponent, 0); /* one exponent for all, in the base's type */
    float value32 = (float)value64;
    cop_operand same = *call->in[1];
    same.t.type = types.base;
    same.t.data = types.base == COPPICE_TYPE_DOUBLE ? (void *)&value64 : &value32;
    const cop_operand *in[] = {call->in[0], &same};
    cop_call converted = *call;
    converted.in = in;
    return cop_run_binary(&converted, by_type);
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_pow[] = {
    BINARY_ROW("Pow", pow, 1, pow_infer, FLOATS | COP_TYPE_BIT(INT32) | COP_TYPE_BIT(INT64)),
    {.name = NULL},
};
/* clang-format on */
