/* Functions of each element of one tensor: powers, trigonometry, rounding, signs, bits. */
#include <math.h>

#include "runtime/ops/elementwise/unary.h"

/* ---- functions that the instruction set has for floats (runtime/kernels/maps.h) ---- */

#define MAP_LIST(X)                                                                                \
    X(ceil, ceil(x))                                                                               \
    X(cos, cos(x))                                                                                 \
    X(erf, erf(x))                                                                                 \
    X(exp, exp(x))                                                                                 \
    X(floor, floor(x))                                                                             \
    X(log, log(x))                                                                                 \
    X(reciprocal, 1.0 / x)                                                                         \
    X(round, rint(x)) /* halves to even */                                                         \
    X(sin, sin(x))                                                                                 \
    X(sqrt, sqrt(x))

#define MAP_LOOP(op, expr64)                                                                       \
    UNARY(op##_f64, double, expr64)                                                                \
    RUN_MAP(op)
MAP_LIST(MAP_LOOP)

/* ---- functions of the C library: name, of a float, of a double ---- */

#define MATH_LIST(X)                                                                               \
    X(acos, acosf(x), acos(x))                                                                     \
    X(acosh, acoshf(x), acosh(x))                                                                  \
    X(asin, asinf(x), asin(x))                                                                     \
    X(asinh, asinhf(x), asinh(x))                                                                  \
    X(atan, atanf(x), atan(x))                                                                     \
    X(atanh, atanhf(x), atanh(x))                                                                  \
    X(cosh, coshf(x), cosh(x))                                                                     \
    X(sinh, sinhf(x), sinh(x))                                                                     \
    X(tan, tanf(x), tan(x))

#define MATH_LOOPS(op, expr32, expr64)                                                             \
    UNARY(op##_f32, float, expr32)                                                                 \
    UNARY(op##_f64, double, expr64)                                                                \
    RUN_UNARY(op, FLOAT_ROWS(op))
MATH_LIST(MATH_LOOPS)

/* ---- signs ---- */

UNARY(neg_f32, float, -x)
UNARY(neg_f64, double, -x)
UNARY(abs_f32, float, fabsf(x))
UNARY(abs_f64, double, fabs(x))

/* NaN stays NaN. */
#define SIGN(T, suffix, TYPE) UNARY(sign_##suffix, T, x > 0 ? 1 : x < 0 ? -1 : x)
EACH_FLOAT(SIGN)
EACH_SIGNED(SIGN)

/* Integers wrap around, so that the smallest one is no special case. */
#define SIGNED_LOOPS(T, suffix, TYPE)                                                              \
    UNARY(neg_##suffix, T, 0 - (uint64_t)x)                                                        \
    UNARY(abs_##suffix, T, x < 0 ? 0 - (uint64_t)x : (uint64_t)x)
EACH_SIGNED(SIGNED_LOOPS)

#define UNSIGNED_LOOPS(T, suffix, TYPE)                                                            \
    UNARY(abs_##suffix, T, x)                                                                      \
    UNARY(sign_##suffix, T, x != 0)
EACH_UNSIGNED(UNSIGNED_LOOPS)

RUN_UNARY(abs, NUMERIC_ROWS(abs))
RUN_UNARY(neg, FLOAT_ROWS(neg), SIGNED_ROWS(neg))
RUN_UNARY(sign, NUMERIC_ROWS(sign))

/* ---- bits and truth ---- */

#define BITWISE_NOT(T, suffix, TYPE) UNARY(bitwisenot_##suffix, T, ~x)
EACH_INTEGER(BITWISE_NOT)
RUN_UNARY(bitwisenot, INTEGER_ROWS(bitwisenot))

UNARY(not_bool, uint8_t, !x)
RUN_UNARY(not, [COPPICE_TYPE_BOOL] = not_bool)

UNARY_TO(isnan_f32, float, uint8_t, x != x)
UNARY_TO(isnan_f64, double, uint8_t, x != x)
RUN_UNARY(isnan, FLOAT_ROWS(isnan))

/* alpha: count -INFINITY; beta: count INFINITY. */
#define IS_INF(x) ((p->alpha > 0 && (x) == -INFINITY) || (p->beta > 0 && (x) == INFINITY))
UNARY_TO(isinf_f32, float, uint8_t, IS_INF(x))
UNARY_TO(isinf_f64, double, uint8_t, IS_INF(x))
RUN_UNARY(isinf, FLOAT_ROWS(isinf))

static coppice_status isinf_parse(const cop_call *call, void *params) {
    cop_unary_params *p = params;
    bool negative, positive;
    COP_TRY(cop_attr_bool(call, "detect_negative", true, &negative));
    COP_TRY(cop_attr_bool(call, "detect_positive", true, &positive));
    p->alpha = negative;
    p->beta = positive;
    return COPPICE_OK;
}

static coppice_status truth_infer(cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0);
    cop_set_out(call, 0, COPPICE_TYPE_BOOL, in->rank, in->dims);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_math[] = {
    UNARY_ROW("Abs", abs, 1, NUMBERS),
    UNARY_ROW("Acos", acos, 7, FLOATS),
    UNARY_ROW("Acosh", acosh, 9, FLOATS),
    UNARY_ROW("Asin", asin, 7, FLOATS),
    UNARY_ROW("Asinh", asinh, 9, FLOATS),
    UNARY_ROW("Atan", atan, 7, FLOATS),
    UNARY_ROW("Atanh", atanh, 9, FLOATS),
    UNARY_ROW("BitwiseNot", bitwisenot, 18, SIGNED | UNSIGNED),
    UNARY_ROW("Ceil", ceil, 1, FLOATS),
    UNARY_ROW("Cos", cos, 7, FLOATS),
    UNARY_ROW("Cosh", cosh, 9, FLOATS),
    UNARY_ROW("Erf", erf, 9, FLOATS),
    UNARY_ROW("Exp", exp, 1, FLOATS),
    UNARY_ROW("Floor", floor, 1, FLOATS),
    {.name = "IsInf", .since = 10, ONE_TO_ONE, .types = FLOATS, PARSE(isinf, cop_unary_params),
     INFER(truth), RUN(isinf), ANY_LAYOUT},
    {.name = "IsNaN", .since = 9, ONE_TO_ONE, .types = FLOATS, INFER(truth), RUN(isnan),
     ANY_LAYOUT},
    UNARY_ROW("Log", log, 1, FLOATS),
    UNARY_ROW("Neg", neg, 1, FLOATS | SIGNED),
    UNARY_ROW("Not", not, 1, COP_TYPE_BIT(BOOL)),
    UNARY_ROW("Reciprocal", reciprocal, 1, FLOATS),
    UNARY_ROW("Round", round, 11, FLOATS),
    UNARY_ROW("Sign", sign, 9, NUMBERS),
    UNARY_ROW("Sin", sin, 7, FLOATS),
    UNARY_ROW("Sinh", sinh, 9, FLOATS),
    UNARY_ROW("Sqrt", sqrt, 1, FLOATS),
    UNARY_ROW("Tan", tan, 7, FLOATS),
    {.name = NULL},
};
/* clang-format on */
