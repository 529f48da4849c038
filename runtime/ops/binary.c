/* Operators on two and more tensors element by element, broadcast by numpy's rules or by the axis
 * attribute of opsets before 7: Add, Sub, Mul, Div, Pow, Equal, Max, Min, PRelu, Where. */
#include <math.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

enum { BINARY_TYPES = COPPICE_TYPE_BFLOAT16 + 1 };

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

/* X(T, suffix, TYPE): every integer type. */
#define EACH_INTEGER(X)                                                                            \
    X(int8_t, i8, INT8)                                                                            \
    X(int16_t, i16, INT16)                                                                         \
    X(int32_t, i32, INT32)                                                                         \
    X(int64_t, i64, INT64)                                                                         \
    X(uint8_t, u8, UINT8)                                                                          \
    X(uint16_t, u16, UINT16)                                                                       \
    X(uint32_t, u32, UINT32)                                                                       \
    X(uint64_t, u64, UINT64)

/* Integers wrap around: computed as uint64_t, where that is defined. A zero divisor is refused
 * before the loop; -1 is apart because the smallest integer by -1 overflows. */
#define ARITHMETIC_INTEGER(T, suffix, TYPE)                                                        \
    BINARY(add_##suffix, T, T, T, (uint64_t)x + (uint64_t)y)                                       \
    BINARY(sub_##suffix, T, T, T, (uint64_t)x - (uint64_t)y)                                       \
    BINARY(mul_##suffix, T, T, T, (uint64_t)x *(uint64_t)y)                                        \
    BINARY(max_##suffix, T, T, T, x > y ? x : y)                                                   \
    BINARY(min_##suffix, T, T, T, x < y ? x : y)                                                   \
    BINARY(equal_##suffix, T, T, uint8_t, x == y)
EACH_INTEGER(ARITHMETIC_INTEGER)

#define DIVIDE_SIGNED(T, suffix)                                                                   \
    BINARY(div_##suffix, T, T, T, y == -1 ? (T)(0 - (uint64_t)x) : x / y)
#define DIVIDE_UNSIGNED(T, suffix) BINARY(div_##suffix, T, T, T, x / y)
DIVIDE_SIGNED(int8_t, i8)
DIVIDE_SIGNED(int16_t, i16)
DIVIDE_SIGNED(int32_t, i32)
DIVIDE_SIGNED(int64_t, i64)
DIVIDE_UNSIGNED(uint8_t, u8)
DIVIDE_UNSIGNED(uint16_t, u16)
DIVIDE_UNSIGNED(uint32_t, u32)
DIVIDE_UNSIGNED(uint64_t, u64)

#define ARITHMETIC_FLOAT(T, suffix)                                                                \
    BINARY(add_##suffix, T, T, T, x + y)                                                           \
    BINARY(sub_##suffix, T, T, T, x - y)                                                           \
    BINARY(mul_##suffix, T, T, T, x *y)                                                            \
    BINARY(div_##suffix, T, T, T, x / y)                                                           \
    BINARY(max_##suffix, T, T, T, x > y || x != x ? x : y)                                         \
    BINARY(min_##suffix, T, T, T, x < y || x != x ? x : y)                                         \
    BINARY(equal_##suffix, T, T, uint8_t, x == y)                                                  \
    BINARY(prelu_##suffix, T, T, T, x < 0 ? x * y : x)
ARITHMETIC_FLOAT(float, f32)
ARITHMETIC_FLOAT(double, f64)
BINARY(equal_bool, uint8_t, uint8_t, uint8_t, !x == !y)

/* The loops of one operator by type of input 0. */
#define NUMERIC_ROWS(op)                                                                           \
    [COPPICE_TYPE_FLOAT] = op##_f32, [COPPICE_TYPE_DOUBLE] = op##_f64,                             \
    [COPPICE_TYPE_INT8] = op##_i8, [COPPICE_TYPE_INT16] = op##_i16,                                \
    [COPPICE_TYPE_INT32] = op##_i32, [COPPICE_TYPE_INT64] = op##_i64,                              \
    [COPPICE_TYPE_UINT8] = op##_u8, [COPPICE_TYPE_UINT16] = op##_u16,                              \
    [COPPICE_TYPE_UINT32] = op##_u32, [COPPICE_TYPE_UINT64] = op##_u64

/* ---- infer ---- */

static coppice_status binary_parse(const cop_call *call, void *params) {
    cop_binary_params *p = params;
    p->legacy = call->opset < 7;
    if (!p->legacy)
        return COPPICE_OK;
    COP_TRY(cop_attr_bool(call, "broadcast", false, &p->broadcast));
    p->has_axis = cop_node_attr(call->node, "axis") != NULL;
    return cop_node_int(call->node, "axis", 0, &p->axis, call->err);
}

/* Input 1 as numpy's rules want it: before opset 7, `axis` said which dim of input 0 its first one
 * meets, which is the same as 1s appended to its shape. */
static coppice_status second_operand(const cop_call *call, cop_operand *b) {
    const cop_binary_params *p = call->params;
    const coppice_tensor *a = cop_in(call, 0);
    *b = *call->in[1];
    if (!p || !p->legacy)
        return COPPICE_OK;
    if (!p->broadcast) {
        return cop_same_shape(a, &b->t)
                   ? COPPICE_OK
                   : cop_fail(call->err, COPPICE_BAD_MODEL,
                              "shapes %s and %s differ and 'broadcast' is not set",
                              cop_shape_text(a).s, cop_shape_text(&b->t).s);
    }
    int64_t axis = p->has_axis ? p->axis : (int64_t)a->rank - b->t.rank;
    if (p->has_axis && axis < 0)
        axis += a->rank;
    if (axis < 0 || axis + b->t.rank > a->rank)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "shape %s does not fit into %s at axis %lld",
                        cop_shape_text(&b->t).s, cop_shape_text(a).s, (long long)axis);
    while (axis + b->t.rank < a->rank)
        b->t.dims[b->t.rank++] = 1;
    return COPPICE_OK;
}

static coppice_status infer_binary(cop_call *call, bool same_types, coppice_type out_type) {
    const coppice_tensor *a = cop_in(call, 0);
    if (same_types && cop_in(call, 1)->type != a->type)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "inputs have types %s and %s",
                        coppice_type_name(a->type), coppice_type_name(cop_in(call, 1)->type));
    cop_operand b;
    COP_TRY(second_operand(call, &b));
    coppice_tensor shape = *a;
    COP_TRY(cop_broadcast(call, &shape, &b.t));
    cop_set_out(call, 0, out_type, shape.rank, shape.dims);
    return COPPICE_OK;
}

static coppice_status binary_infer(cop_call *call) {
    return infer_binary(call, true, cop_in(call, 0)->type);
}

static coppice_status compare_infer(cop_call *call) {
    return infer_binary(call, true, COPPICE_TYPE_BOOL);
}

/* ---- run ---- */

static coppice_status no_kernel(const cop_call *call, coppice_type type) {
    return cop_fail(call->err, COPPICE_UNSUPPORTED, "input type %s is not supported",
                    coppice_type_name(type));
}

static coppice_status run_binary(const cop_call *call, const cop_walk_fn *by_type) {
    coppice_type type = cop_in(call, 0)->type;
    cop_walk_fn fn = (unsigned)type < BINARY_TYPES ? by_type[type] : NULL;
    if (!fn)
        return no_kernel(call, type);
    cop_operand b;
    COP_TRY(second_operand(call, &b));
    /* Strides belong to the operand as it lies in memory; 1s appended to its shape change none. */
    const cop_operand *in[] = {call->in[0], &b};
    cop_walk_broadcast(&call->out[0], in, 2, fn, NULL, call->pool);
    return COPPICE_OK;
}

static coppice_status add_run(const cop_call *call) {
    static const cop_walk_fn by_type[BINARY_TYPES] = {NUMERIC_ROWS(add)};
    return run_binary(call, by_type);
}

static coppice_status sub_run(const cop_call *call) {
    static const cop_walk_fn by_type[BINARY_TYPES] = {NUMERIC_ROWS(sub)};
    return run_binary(call, by_type);
}

static coppice_status mul_run(const cop_call *call) {
    static const cop_walk_fn by_type[BINARY_TYPES] = {NUMERIC_ROWS(mul)};
    return run_binary(call, by_type);
}

static coppice_status equal_run(const cop_call *call) {
    static const cop_walk_fn by_type[BINARY_TYPES] = {NUMERIC_ROWS(equal), [COPPICE_TYPE_BOOL] =
                                                                               equal_bool};
    return run_binary(call, by_type);
}

static coppice_status refuse_zero_divisor(const cop_call *call) {
    const coppice_tensor *b = cop_in(call, 1);
    if (!cop_is_integer_type(b->type))
        return COPPICE_OK;
    int64_t n = coppice_tensor_count(b);
    for (int64_t i = 0; i < n; i++) {
        if (cop_tensor_get_int(b, i) == 0)
            return cop_fail(call->err, COPPICE_BAD_DATA, "integer division by zero (input '%s')",
                            cop_in_name(call, 1));
    }
    return COPPICE_OK;
}

static coppice_status div_run(const cop_call *call) {
    static const cop_walk_fn by_type[BINARY_TYPES] = {NUMERIC_ROWS(div)};
    COP_TRY(refuse_zero_divisor(call));
    return run_binary(call, by_type);
}

/* ---- Pow ---- */

BINARY(pow_f32, float, float, float, powf(x, y))
BINARY(pow_f64, double, double, double, pow(x, y))

/* Types of base and exponent, for the loop over any mix of them. */
typedef struct pow_types {
    coppice_type base, exponent;
} pow_types;

static double number_at(coppice_type type, const void *data, ptrdiff_t index) {
    coppice_tensor t = {.type = type, .data = (void *)data};
    return cop_tensor_get(&t, index);
}

/* A double out of the range of an integer type has no defined conversion: the nearest value. */
static int64_t integer_from(double v, double low, double high) {
    if (!(v > low))
        return (int64_t)low;
    return v >= high ? (high >= 9223372036854775807.0 ? INT64_MAX : (int64_t)high) : (int64_t)v;
}

static void pow_mixed(const void *context, size_t n, void *to, const void *const *from,
                      const ptrdiff_t *strides) {
    const pow_types *types = context;
    size_t base_bytes = cop_type_bytes(types->base), power_bytes = cop_type_bytes(types->exponent);
    for (ptrdiff_t i = 0; i < (ptrdiff_t)n; i++) {
        const char *a = (const char *)from[0] + i * strides[1] * (ptrdiff_t)base_bytes;
        const char *b = (const char *)from[1] + i * strides[2] * (ptrdiff_t)power_bytes;
        double v = pow(number_at(types->base, a, 0), number_at(types->exponent, b, 0));
        if (types->base == COPPICE_TYPE_FLOAT)
            ((float *)to)[i] = (float)v;
        else if (types->base == COPPICE_TYPE_DOUBLE)
            ((double *)to)[i] = v;
        else if (types->base == COPPICE_TYPE_INT32)
            ((int32_t *)to)[i] = (int32_t)integer_from(v, INT32_MIN, INT32_MAX);
        else
            ((int64_t *)to)[i] = integer_from(v, (double)INT64_MIN, (double)INT64_MAX);
    }
}

static coppice_status pow_infer(cop_call *call) {
    const uint32_t numbers = COP_TYPE_BIT(FLOAT) | COP_TYPE_BIT(DOUBLE) | COP_TYPE_BIT(INT8) |
                             COP_TYPE_BIT(INT16) | COP_TYPE_BIT(INT32) | COP_TYPE_BIT(INT64) |
                             COP_TYPE_BIT(UINT8) | COP_TYPE_BIT(UINT16) | COP_TYPE_BIT(UINT32) |
                             COP_TYPE_BIT(UINT64);
    COP_TRY(cop_need_type(call, 1, numbers));
    return infer_binary(call, false, cop_in(call, 0)->type);
}

static coppice_status pow_run(const cop_call *call) {
    static const cop_walk_fn by_type[BINARY_TYPES] = {
        [COPPICE_TYPE_FLOAT] = pow_f32, [COPPICE_TYPE_DOUBLE] = pow_f64};
    pow_types types = {cop_in(call, 0)->type, cop_in(call, 1)->type};
    if (types.base == types.exponent && cop_is_float_type(types.base))
        return run_binary(call, by_type);
    cop_operand b;
    COP_TRY(second_operand(call, &b));
    const cop_operand *in[] = {call->in[0], &b};
    cop_walk_broadcast(&call->out[0], in, 2, pow_mixed, &types, call->pool);
    return COPPICE_OK;
}

/* ---- Max, Min: any number of inputs ---- */

static coppice_status variadic_infer(cop_call *call) {
    coppice_tensor shape = *cop_in(call, 0);
    for (int i = 1; i < call->node->input_count; i++) {
        const coppice_tensor *next = cop_in(call, i);
        if (!next || next->type != shape.type)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "input %d ('%s') is not of type %s", i,
                            cop_in_name(call, i), coppice_type_name(shape.type));
        COP_TRY(cop_broadcast(call, &shape, next));
    }
    cop_set_out(call, 0, shape.type, shape.rank, shape.dims);
    return COPPICE_OK;
}

static coppice_status run_variadic(const cop_call *call, const cop_walk_fn *by_type) {
    coppice_type type = cop_in(call, 0)->type;
    cop_walk_fn fn = (unsigned)type < BINARY_TYPES ? by_type[type] : NULL;
    if (!fn)
        return no_kernel(call, type);
    /* With one input: the function of it and itself, which is it. */
    const cop_operand *in[] = {call->in[0], call->in[call->node->input_count > 1]};
    cop_walk_broadcast(&call->out[0], in, 2, fn, NULL, call->pool);
    for (int i = 2; i < call->node->input_count; i++) {
        const cop_operand *next[] = {&call->out[0], call->in[i]};
        cop_walk_broadcast(&call->out[0], next, 2, fn, NULL, call->pool);
    }
    return COPPICE_OK;
}

static coppice_status max_run(const cop_call *call) {
    static const cop_walk_fn by_type[BINARY_TYPES] = {NUMERIC_ROWS(max)};
    return run_variadic(call, by_type);
}

static coppice_status min_run(const cop_call *call) {
    static const cop_walk_fn by_type[BINARY_TYPES] = {NUMERIC_ROWS(min)};
    return run_variadic(call, by_type);
}

/* ---- PRelu: the slope is broadcast to the input, before opset 7 along the channels ---- */

static cop_operand prelu_slope(const cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0);
    cop_operand slope = *call->in[1];
    if (call->opset < 7 && slope.t.rank == 1 && slope.t.dims[0] != 1) {
        while (slope.t.rank + 1 < x->rank)
            slope.t.dims[slope.t.rank++] = 1;
    }
    return slope;
}

static coppice_status prelu_infer(cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0);
    cop_operand slope = prelu_slope(call);
    coppice_tensor shape = *x;
    COP_TRY(cop_broadcast(call, &shape, &slope.t));
    if (!cop_same_shape(&shape, x) || slope.t.type != x->type)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "slope '%s' is %s %s, which does not broadcast to the input %s",
                        cop_in_name(call, 1), coppice_type_name(slope.t.type),
                        cop_shape_text(&slope.t).s, cop_shape_text(x).s);
    return cop_infer_same(call);
}

static coppice_status prelu_run(const cop_call *call) {
    cop_operand slope = prelu_slope(call);
    const cop_operand *in[] = {call->in[0], &slope};
    cop_walk_fn fn = cop_in(call, 0)->type == COPPICE_TYPE_DOUBLE ? prelu_f64 : prelu_f32;
    cop_walk_broadcast(&call->out[0], in, 2, fn, NULL, call->pool);
    return COPPICE_OK;
}

/* ---- Where ---- */

#define WHERE(name, T)                                                                             \
    static void name(const void *context, size_t n, void *to, const void *const *from,             \
                     const ptrdiff_t *strides) {                                                   \
        (void)context;                                                                             \
        const uint8_t *restrict condition = from[0];                                               \
        const T *restrict a = from[1], *restrict b = from[2];                                      \
        T *restrict out = to;                                                                      \
        for (ptrdiff_t i = 0; i < (ptrdiff_t)n; i++)                                               \
            out[i] = condition[i * strides[1]] ? a[i * strides[2]] : b[i * strides[3]];            \
    }
WHERE(where_1, uint8_t)
WHERE(where_2, uint16_t)
WHERE(where_4, uint32_t)
WHERE(where_8, uint64_t)

static coppice_status where_infer(cop_call *call) {
    const coppice_tensor *a = cop_in(call, 1), *b = cop_in(call, 2);
    if (a->type != b->type || cop_type_bytes(a->type) == 0 || cop_type_bytes(a->type) > 8)
        return cop_fail(call->err, COPPICE_UNSUPPORTED, "choosing between types %s and %s",
                        coppice_type_name(a->type), coppice_type_name(b->type));
    coppice_tensor shape = *cop_in(call, 0);
    COP_TRY(cop_broadcast(call, &shape, a));
    COP_TRY(cop_broadcast(call, &shape, b));
    cop_set_out(call, 0, a->type, shape.rank, shape.dims);
    return COPPICE_OK;
}

static coppice_status where_run(const cop_call *call) {
    static const cop_walk_fn by_size[] = {
        [1] = where_1, [2] = where_2, [4] = where_4, [8] = where_8};
    cop_walk_fn fn = by_size[cop_type_bytes(cop_out(call, 0)->type)];
    cop_walk_broadcast(&call->out[0], call->in, 3, fn, NULL, call->pool);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

#define ROW(op, fn, rule, type_set)                                                                \
    {                                                                                              \
        .name = op, .since = 1, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,                \
        .types = type_set, PARSE(binary, cop_binary_params), INFER(rule), RUN(fn), ANY_LAYOUT      \
    }

/* clang-format off */
const cop_op cop_ops_binary[] = {
    ROW("Add", add, binary, NUMBERS),
    ROW("Div", div, binary, NUMBERS),
    {.name = "Equal", .since = 1, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = NUMBERS | COP_TYPE_BIT(BOOL), PARSE(binary, cop_binary_params), INFER(compare),
     RUN(equal), ANY_LAYOUT},
    {.name = "Max", .since = 1, .min_inputs = 1, .max_inputs = -1, .max_outputs = 1,
     .types = NUMBERS, INFER(variadic), RUN(max), ANY_LAYOUT},
    {.name = "Min", .since = 1, .min_inputs = 1, .max_inputs = -1, .max_outputs = 1,
     .types = NUMBERS, INFER(variadic), RUN(min), ANY_LAYOUT},
    ROW("Mul", mul, binary, NUMBERS),
    {.name = "PRelu", .since = 1, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = FLOATS, INFER(prelu), RUN(prelu), ANY_LAYOUT},
    ROW("Pow", pow, pow, FLOATS | COP_TYPE_BIT(INT32) | COP_TYPE_BIT(INT64)),
    ROW("Sub", sub, binary, NUMBERS),
    {.name = "Where", .since = 9, .min_inputs = 3, .max_inputs = 3, .max_outputs = 1,
     .types = COP_TYPE_BIT(BOOL), INFER(where), RUN(where), ANY_LAYOUT},
    {.name = NULL},
};
/* clang-format on */
