/* Operators on two and more tensors element by element, broadcast by numpy's rules or by the axis
 * attribute of opsets before 7: arithmetic, Mod, Max, Min, Sum, Mean, PRelu, SwiGLU, Where.
 * Comparisons and bits: logic.c; Pow: pow.c. */
#include <math.h>

#include "runtime/ops/elementwise/binary.h"
#include "runtime/ops/vmath.h"

/* ---- loops ---- */

/* Integers wrap around: computed as uint64_t, where that is defined. */
#define ARITHMETIC_INTEGER(T, suffix, TYPE)                                                        \
    BINARY(add_##suffix, T, T, T, (uint64_t)x + (uint64_t)y)                                       \
    BINARY(sub_##suffix, T, T, T, (uint64_t)x - (uint64_t)y)                                       \
    BINARY(mul_##suffix, T, T, T, (uint64_t)x *(uint64_t)y)                                        \
    BINARY(max_##suffix, T, T, T, x > y ? x : y)                                                   \
    BINARY(min_##suffix, T, T, T, x < y ? x : y)
EACH_INTEGER(ARITHMETIC_INTEGER)

/* A zero divisor is refused before the loop; -1 is apart because the smallest integer by -1
 * overflows. rem has the sign of x, mod that of y. */
#define DIVIDE_SIGNED(T, suffix, TYPE)                                                             \
    BINARY(div_##suffix, T, T, T, y == -1 ? (T)(0 - (uint64_t)x) : x / y)                          \
    BINARY(rem_##suffix, T, T, T, y == -1 ? 0 : x % y)                                             \
    BINARY(mod_##suffix, T, T, T,                                                                  \
           y == -1                                ? 0                                              \
           : x % y != 0 && (x % y < 0) != (y < 0) ? x % y + y                                      \
                                                  : x % y)
#define DIVIDE_UNSIGNED(T, suffix, TYPE)                                                           \
    BINARY(div_##suffix, T, T, T, x / y)                                                           \
    BINARY(rem_##suffix, T, T, T, x % y)                                                           \
    BINARY(mod_##suffix, T, T, T, x % y)
EACH_SIGNED(DIVIDE_SIGNED)
EACH_UNSIGNED(DIVIDE_UNSIGNED)

/* With the sign of y, where y is infinite too. */
static inline float mod_f32_of(float x, float y) {
    float r = fmodf(x, y);
    return r == 0 ? copysignf(0, y) : (r < 0) != (y < 0) ? r + y : r;
}

static inline double mod_f64_of(double x, double y) {
    double r = fmod(x, y);
    return r == 0 ? copysign(0, y) : (r < 0) != (y < 0) ? r + y : r;
}

#define ARITHMETIC_FLOAT(T, suffix, TYPE)                                                          \
    BINARY(add_##suffix, T, T, T, x + y)                                                           \
    BINARY(sub_##suffix, T, T, T, x - y)                                                           \
    BINARY(mul_##suffix, T, T, T, x *y)                                                            \
    BINARY(div_##suffix, T, T, T, x / y)                                                           \
    BINARY(mod_##suffix, T, T, T, mod_##suffix##_of(x, y))                                         \
    BINARY(max_##suffix, T, T, T, x > y || x != x ? x : y)                                         \
    BINARY(min_##suffix, T, T, T, x < y || x != x ? x : y)                                         \
    BINARY(prelu_##suffix, T, T, T, x < 0 ? x * y : x)
EACH_FLOAT(ARITHMETIC_FLOAT)
BINARY(rem_f32, float, float, float, fmodf(x, y))
BINARY(rem_f64, double, double, double, fmod(x, y))
BINARY(prelu_i32, int32_t, int32_t, int32_t, x < 0 ? (uint32_t)x * (uint32_t)y : (uint32_t)x)
BINARY(prelu_i64, int64_t, int64_t, int64_t, x < 0 ? (uint64_t)x * (uint64_t)y : (uint64_t)x)
BINARY(first_u32, uint32_t, uint32_t, uint32_t, ((void)y, x))
BINARY(first_u64, uint64_t, uint64_t, uint64_t, ((void)y, x))

/* ---- infer ---- */

coppice_status cop_binary_parse(const cop_call *call, void *params) {
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
    coppice_type types[2] = {cop_onnx_type(call->in[0]), cop_onnx_type(call->in[1])};
    if (same_types && types[0] != types[1])
        return cop_fail(call->err, COPPICE_BAD_MODEL, "inputs have types %s and %s",
                        coppice_type_name(types[0]), coppice_type_name(types[1]));
    cop_operand b;
    COP_TRY(second_operand(call, &b));
    coppice_tensor shape = *a;
    COP_TRY(cop_broadcast(call, &shape, &b.t));
    cop_set_out(call, 0, out_type, shape.rank, shape.dims);
    return COPPICE_OK;
}

coppice_status cop_binary_infer(cop_call *call) {
    return infer_binary(call, true, cop_in(call, 0)->type);
}

coppice_status cop_compare_infer(cop_call *call) {
    return infer_binary(call, true, COPPICE_TYPE_BOOL);
}

coppice_status cop_infer_mixed(cop_call *call) {
    return infer_binary(call, false, cop_in(call, 0)->type);
}

/* ---- run ---- */

/* The loop for the type of input 0, or NULL and an error. */
static cop_walk_fn loop_of(const cop_call *call, const cop_walk_fn *by_type) {
    coppice_type type = cop_in(call, 0)->type;
    cop_walk_fn fn = (unsigned)type < COP_HELD_TYPES ? by_type[type] : NULL;
    if (!fn)
        cop_fail(call->err, COPPICE_UNSUPPORTED, "input type %s is not supported",
                 coppice_type_name(type));
    return fn;
}

coppice_status cop_run_pairs(const cop_call *call, cop_walk_fn fn, const void *context) {
    cop_operand b;
    if (!fn)
        return COPPICE_UNSUPPORTED;
    COP_TRY(second_operand(call, &b));
    /* Strides belong to the operand as it lies in memory; 1s appended to its shape change none. */
    const cop_operand *in[] = {call->in[0], &b};
    cop_walk_broadcast(&call->out[0], in, 2, fn, context, call->pool);
    return COPPICE_OK;
}

coppice_status cop_run_binary(const cop_call *call, const cop_walk_fn *by_type) {
    return cop_run_pairs(call, loop_of(call, by_type), NULL);
}

RUN_BINARY(add, NUMERIC_ROWS(add))
RUN_BINARY(sub, NUMERIC_ROWS(sub))

/* Floats of the output's shape by some that are spread over them; false where it is not like that.
 */
static bool mul_scaled(const cop_call *call, const cop_operand *x, const cop_operand *factor) {
    const cop_operand *out = &call->out[0];
    if (x->t.type != COPPICE_TYPE_FLOAT || x->layout != out->layout ||
        !cop_same_shape(&x->t, &out->t) || cop_same_shape(&factor->t, &out->t))
        return false;
    const cop_scaling scaling = {.x = x, .factor = factor, .kernels = cop_call_kernels(call)};
    cop_walk_scaled(out, &scaling, call->pool);
    return true;
}

static coppice_status mul_run(const cop_call *call) {
    static const cop_walk_fn by_type[COP_HELD_TYPES] = {NUMERIC_ROWS(mul)};
    cop_operand b;
    COP_TRY(second_operand(call, &b));
    if (mul_scaled(call, call->in[0], &b) || mul_scaled(call, &b, call->in[0]))
        return COPPICE_OK;
    return cop_run_binary(call, by_type);
}

coppice_status cop_refuse_zero_divisor(const cop_call *call) {
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
    static const cop_walk_fn by_type[COP_HELD_TYPES] = {NUMERIC_ROWS(div)};
    COP_TRY(cop_refuse_zero_divisor(call));
    return cop_run_binary(call, by_type);
}

/* ---- Mod ---- */

typedef struct mod_params {
    cop_binary_params binary;
    bool truncated; /* fmod 1 */
} mod_params;

static coppice_status mod_parse(const cop_call *call, void *params) {
    mod_params *p = params;
    COP_TRY(cop_attr_bool(call, "fmod", false, &p->truncated));
    return cop_binary_parse(call, &p->binary);
}

static coppice_status mod_run(const cop_call *call) {
    static const cop_walk_fn floored[COP_HELD_TYPES] = {NUMERIC_ROWS(mod)};
    static const cop_walk_fn truncated[COP_HELD_TYPES] = {NUMERIC_ROWS(rem)};
    const mod_params *p = call->params;
    COP_TRY(cop_refuse_zero_divisor(call));
    return cop_run_binary(call, p->truncated ? truncated : floored);
}

/* ---- Max, Min, Sum, Mean: any number of inputs ---- */

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

/* Input 0 as it is, spread over the output. */
static void copy_first(const cop_call *call) {
    static const cop_walk_fn by_size[] = {[4] = first_u32, [8] = first_u64};
    const cop_operand *in[] = {call->in[0], call->in[0]};
    cop_walk_fn fn = by_size[cop_type_bytes(cop_in(call, 0)->type)];
    cop_walk_broadcast(&call->out[0], in, 2, fn, NULL, call->pool);
}

/* `alone`: what the function gives for one input is not the function of it and itself. */
static coppice_status run_variadic(const cop_call *call, const cop_walk_fn *by_type, bool alone) {
    cop_walk_fn fn = loop_of(call, by_type);
    if (!fn)
        return COPPICE_UNSUPPORTED;
    if (alone && call->node->input_count == 1) {
        copy_first(call);
        return COPPICE_OK;
    }
    const cop_operand *in[] = {call->in[0], call->in[call->node->input_count > 1]};
    cop_walk_broadcast(&call->out[0], in, 2, fn, NULL, call->pool);
    for (int i = 2; i < call->node->input_count; i++) {
        const cop_operand *next[] = {&call->out[0], call->in[i]};
        cop_walk_broadcast(&call->out[0], next, 2, fn, NULL, call->pool);
    }
    return COPPICE_OK;
}

static coppice_status max_run(const cop_call *call) {
    static const cop_walk_fn by_type[COP_HELD_TYPES] = {NUMERIC_ROWS(max)};
    return run_variadic(call, by_type, false);
}

static coppice_status min_run(const cop_call *call) {
    static const cop_walk_fn by_type[COP_HELD_TYPES] = {NUMERIC_ROWS(min)};
    return run_variadic(call, by_type, false);
}

static coppice_status sum_run(const cop_call *call) {
    static const cop_walk_fn by_type[COP_HELD_TYPES] = {FLOAT_ROWS(add)};
    return run_variadic(call, by_type, true);
}

static coppice_status mean_run(const cop_call *call) {
    static const cop_walk_fn by_type[COP_HELD_TYPES] = {FLOAT_ROWS(div)};
    COP_TRY(sum_run(call));
    float count32 = (float)call->node->input_count;
    double count64 = (double)call->node->input_count;
    cop_operand count = {.t = {.type = cop_in(call, 0)->type}};
    count.t.data = count.t.type == COPPICE_TYPE_DOUBLE ? (void *)&count64 : &count32;
    const cop_operand *in[] = {&call->out[0], &count};
    cop_walk_broadcast(&call->out[0], in, 2, by_type[count.t.type], NULL, call->pool);
    return COPPICE_OK;
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
    static const cop_walk_fn by_type[COP_HELD_TYPES] = {
        FLOAT_ROWS(prelu), [COPPICE_TYPE_INT32] = prelu_i32, [COPPICE_TYPE_INT64] = prelu_i64,
        [COPPICE_TYPE_UINT32] = first_u32, [COPPICE_TYPE_UINT64] = first_u64};
    cop_operand slope = prelu_slope(call);
    const cop_operand *in[] = {call->in[0], &slope};
    cop_walk_fn fn = loop_of(call, by_type);
    if (!fn)
        return COPPICE_UNSUPPORTED;
    cop_walk_broadcast(&call->out[0], in, 2, fn, NULL, call->pool);
    return COPPICE_OK;
}

/* ---- SwiGLU: a * sigmoid(alpha * a) * b, without broadcasting ---- */

#define SWIGLU(name, T, sigmoid)                                                                   \
    static void name(const void *context, size_t n, void *to, const void *const *from,             \
                     const ptrdiff_t *strides) {                                                   \
        const T *restrict a = from[0], *restrict b = from[1];                                      \
        T *restrict out = to;                                                                      \
        T alpha = (T) * (const float *)context;                                                    \
        for (ptrdiff_t i = 0; i < (ptrdiff_t)n; i++) {                                             \
            T x = a[i * strides[1]];                                                               \
            out[i] = x * sigmoid(alpha * x) * b[i * strides[2]];                                   \
        }                                                                                          \
    }

static inline double sigmoid_f64(double x) {
    return 1.0 / (1.0 + exp(-x));
}

SWIGLU(swiglu_f32, float, cop_sigmoidf)
SWIGLU(swiglu_f64, double, sigmoid_f64)

typedef struct swiglu_params {
    float alpha;
} swiglu_params;

static coppice_status swiglu_parse(const cop_call *call, void *params) {
    swiglu_params *p = params;
    return cop_node_float(call->node, "alpha", 1.0f, &p->alpha, call->err);
}

static coppice_status swiglu_infer(cop_call *call) {
    const coppice_tensor *a = cop_in(call, 0), *b = cop_in(call, 1);
    if (a->type != b->type || !cop_same_shape(a, b))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "the gate is %s %s, the value %s %s",
                        coppice_type_name(a->type), cop_shape_text(a).s, coppice_type_name(b->type),
                        cop_shape_text(b).s);
    return cop_infer_same(call);
}

static coppice_status swiglu_run(const cop_call *call) {
    const swiglu_params *p = call->params;
    cop_walk_fn fn = cop_in(call, 0)->type == COPPICE_TYPE_DOUBLE ? swiglu_f64 : swiglu_f32;
    cop_walk_broadcast(&call->out[0], call->in, 2, fn, &p->alpha, call->pool);
    return COPPICE_OK;
}

/* ---- Where ---- */

typedef struct sixteen_bytes {
    uint64_t a, b;
} sixteen_bytes;

/* With constant strides, the first loops vectorise. */
#define CHOOSE(sc, sa, sb)                                                                         \
    for (ptrdiff_t i = 0; i < count; i++)                                                          \
    out[i] = condition[i * (sc)] ? a[i * (sa)] : b[i * (sb)]
#define WHERE(name, T)                                                                             \
    static void name(const void *context, size_t n, void *to, const void *const *from,             \
                     const ptrdiff_t *s) {                                                         \
        (void)context;                                                                             \
        const uint8_t *restrict condition = from[0];                                               \
        const T *restrict a = from[1], *restrict b = from[2];                                      \
        T *restrict out = to;                                                                      \
        ptrdiff_t count = (ptrdiff_t)n;                                                            \
        if (s[1] == 1 && s[2] == 1 && s[3] == 1)                                                   \
            CHOOSE(1, 1, 1);                                                                       \
        else if (s[1] == 1 && s[2] == 1 && s[3] == 0)                                              \
            CHOOSE(1, 1, 0);                                                                       \
        else if (s[1] == 1 && s[2] == 0 && s[3] == 1)                                              \
            CHOOSE(1, 0, 1);                                                                       \
        else                                                                                       \
            CHOOSE(s[1], s[2], s[3]);                                                              \
    }
WHERE(where_1, uint8_t)
WHERE(where_2, uint16_t)
WHERE(where_4, uint32_t)
WHERE(where_8, uint64_t)
WHERE(where_16, sixteen_bytes)

static coppice_status where_infer(cop_call *call) {
    const coppice_tensor *a = cop_in(call, 1), *b = cop_in(call, 2);
    size_t bytes = cop_type_bytes(a->type);
    if (a->type != b->type || bytes == 0 || bytes > 16)
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
        [1] = where_1, [2] = where_2, [4] = where_4, [8] = where_8, [16] = where_16};
    cop_walk_fn fn = by_size[cop_type_bytes(cop_out(call, 0)->type)];
    cop_walk_broadcast(&call->out[0], call->in, 3, fn, NULL, call->pool);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

#define VARIADIC_ROW(op, fn, type_set)                                                             \
    {                                                                                              \
        .name = op, .since = 1, .min_inputs = 1, .max_inputs = -1, .max_outputs = 1,               \
        .types = type_set, INFER(variadic), RUN(fn), ANY_LAYOUT                                    \
    }

/* clang-format off */
const cop_op cop_ops_binary[] = {
    BINARY_ROW("Add", add, 1, cop_binary_infer, NUMBERS),
    BINARY_ROW("Div", div, 1, cop_binary_infer, NUMBERS),
    VARIADIC_ROW("Max", max, NUMBERS),
    VARIADIC_ROW("Mean", mean, FLOATS),
    VARIADIC_ROW("Min", min, NUMBERS),
    {.name = "Mod", .since = 10, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = NUMBERS, PARSE(mod, mod_params), .infer = cop_binary_infer, RUN(mod), ANY_LAYOUT},
    BINARY_ROW("Mul", mul, 1, cop_binary_infer, NUMBERS),
    {.name = "PRelu", .since = 1, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = FLOATS | WIDE_INTEGERS, INFER(prelu), RUN(prelu), ANY_LAYOUT},
    BINARY_ROW("Sub", sub, 1, cop_binary_infer, NUMBERS),
    VARIADIC_ROW("Sum", sum, FLOATS),
    {.name = "SwiGLU", .since = 28, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = FLOATS, PARSE(swiglu, swiglu_params), INFER(swiglu), RUN(swiglu), ANY_LAYOUT},
    {.name = "Where", .since = 9, .min_inputs = 3, .max_inputs = 3, .max_outputs = 1,
     .types = COP_TYPE_BIT(BOOL), INFER(where), RUN(where), ANY_LAYOUT},
    {.name = NULL},
};
/* clang-format on */
