/* Cast between all numeric types and bool. */
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

/* Types that have a kernel. */
#define CASTABLE                                                                                   \
    (COP_TYPE_BIT(FLOAT) | COP_TYPE_BIT(DOUBLE) | COP_TYPE_BIT(FLOAT16) | COP_TYPE_BIT(BFLOAT16) | \
     COP_TYPE_BIT(INT8) | COP_TYPE_BIT(INT16) | COP_TYPE_BIT(INT32) | COP_TYPE_BIT(INT64) |        \
     COP_TYPE_BIT(UINT8) | COP_TYPE_BIT(UINT16) | COP_TYPE_BIT(UINT32) | COP_TYPE_BIT(UINT64) |    \
     COP_TYPE_BIT(BOOL))

/* Names of opset 1-5, where `to` is a string. */
static coppice_status type_by_name(const cop_call *call, int64_t *out) {
    static const struct {
        const char *name;
        coppice_type type;
    } names[] = {{"FLOAT", COPPICE_TYPE_FLOAT},     {"DOUBLE", COPPICE_TYPE_DOUBLE},
                 {"FLOAT16", COPPICE_TYPE_FLOAT16}, {"INT8", COPPICE_TYPE_INT8},
                 {"INT16", COPPICE_TYPE_INT16},     {"INT32", COPPICE_TYPE_INT32},
                 {"INT64", COPPICE_TYPE_INT64},     {"UINT8", COPPICE_TYPE_UINT8},
                 {"UINT16", COPPICE_TYPE_UINT16},   {"UINT32", COPPICE_TYPE_UINT32},
                 {"UINT64", COPPICE_TYPE_UINT64},   {"BOOL", COPPICE_TYPE_BOOL}};
    const char *text;
    COP_TRY(cop_node_string(call->node, "to", "", &text, call->err));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!strcmp(text, names[i].name)) {
            *out = names[i].type;
            return COPPICE_OK;
        }
    }
    return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'to' is '%s'", text);
}

static coppice_status cast_parse(const cop_call *call, void *params) {
    cop_ints_params *p = params;
    if (call->opset < 6)
        COP_TRY(type_by_name(call, &p->axis));
    else
        COP_TRY(cop_node_int(call->node, "to", 0, &p->axis, call->err));
    if (p->axis < 0 || p->axis >= 32 || !(CASTABLE >> p->axis & 1))
        return cop_fail(call->err, COPPICE_UNSUPPORTED, "casting to type %s (%lld)",
                        coppice_type_name((coppice_type)p->axis), (long long)p->axis);
    return COPPICE_OK;
}

static coppice_status cast_infer(cop_call *call) {
    const cop_ints_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0);
    COP_TRY(cop_need_type(call, 0, CASTABLE));
    cop_set_out(call, 0, (coppice_type)p->axis, in->rank, in->dims);
    return COPPICE_OK;
}

/* A float out of range has no defined conversion to an integer; here it is the nearest value, and
 * NaN is 0. */
static int64_t to_signed(double v) {
    if (v != v)
        return 0;
    if (v >= 9223372036854775808.0)
        return INT64_MAX;
    return v <= -9223372036854775808.0 ? INT64_MIN : (int64_t)v;
}

static uint64_t to_unsigned(double v) {
    if (v != v || v <= -9223372036854775808.0)
        return 0;
    if (v >= 18446744073709551616.0)
        return UINT64_MAX;
    return v < 0 ? (uint64_t)(int64_t)v : (uint64_t)v;
}

typedef struct cast_job {
    coppice_tensor in, out;
} cast_job;

#define STORE(T, value)                                                                            \
    for (int64_t i = first; i < last; i++)                                                         \
        ((T *)out->data)[i] = (T)(value);                                                          \
    return

/* Integers go through 64 bits and wrap around, as in C and numpy. */
static void cast_integers(const coppice_tensor *in, coppice_tensor *out, int64_t first,
                          int64_t last) {
    switch ((int)out->type) {
    case COPPICE_TYPE_INT8:
        STORE(int8_t, cop_tensor_get_int(in, i));
    case COPPICE_TYPE_INT16:
        STORE(int16_t, cop_tensor_get_int(in, i));
    case COPPICE_TYPE_INT32:
        STORE(int32_t, cop_tensor_get_int(in, i));
    case COPPICE_TYPE_INT64:
    case COPPICE_TYPE_UINT64:
        STORE(int64_t, cop_tensor_get_int(in, i));
    case COPPICE_TYPE_UINT8:
        STORE(uint8_t, cop_tensor_get_int(in, i));
    case COPPICE_TYPE_UINT16:
        STORE(uint16_t, cop_tensor_get_int(in, i));
    case COPPICE_TYPE_UINT32:
        STORE(uint32_t, cop_tensor_get_int(in, i));
    }
}

/* float16 and bfloat16 round from float, which is exact for them: their own rounding follows. */
static void cast_numbers(const coppice_tensor *in, coppice_tensor *out, int64_t first,
                         int64_t last) {
    switch ((int)out->type) {
    case COPPICE_TYPE_FLOAT:
        STORE(float, cop_tensor_get(in, i));
    case COPPICE_TYPE_DOUBLE:
        STORE(double, cop_tensor_get(in, i));
    case COPPICE_TYPE_FLOAT16:
        STORE(uint16_t, cop_half_from_float((float)cop_tensor_get(in, i)));
    case COPPICE_TYPE_BFLOAT16:
        STORE(uint16_t, cop_bfloat_from_float((float)cop_tensor_get(in, i)));
    case COPPICE_TYPE_BOOL:
        STORE(uint8_t, cop_tensor_get(in, i) != 0);
    case COPPICE_TYPE_INT8:
        STORE(int8_t, to_signed(cop_tensor_get(in, i)));
    case COPPICE_TYPE_INT16:
        STORE(int16_t, to_signed(cop_tensor_get(in, i)));
    case COPPICE_TYPE_INT32:
        STORE(int32_t, to_signed(cop_tensor_get(in, i)));
    case COPPICE_TYPE_INT64:
        STORE(int64_t, to_signed(cop_tensor_get(in, i)));
    case COPPICE_TYPE_UINT8:
        STORE(uint8_t, to_unsigned(cop_tensor_get(in, i)));
    case COPPICE_TYPE_UINT16:
        STORE(uint16_t, to_unsigned(cop_tensor_get(in, i)));
    case COPPICE_TYPE_UINT32:
        STORE(uint32_t, to_unsigned(cop_tensor_get(in, i)));
    case COPPICE_TYPE_UINT64:
        STORE(uint64_t, to_unsigned(cop_tensor_get(in, i)));
    }
}

static void cast_range(void *context, size_t begin, size_t end) {
    cast_job *job = context;
    if (!cop_is_float_type(job->in.type) && cop_is_integer_type(job->out.type))
        cast_integers(&job->in, &job->out, (int64_t)begin, (int64_t)end);
    else
        cast_numbers(&job->in, &job->out, (int64_t)begin, (int64_t)end);
}

static coppice_status cast_run(const cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0);
    if (in->type == cop_out(call, 0)->type)
        return cop_view_run(call);
    cast_job job = {*in, *cop_out(call, 0)};
    cop_parallel_for(call->pool, (size_t)coppice_tensor_count(in), cop_grain(4), cast_range, &job);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_cast[] = {
    {.name = "Cast", .since = 1, ONE_TO_ONE, .types = WHOLE_BYTES, PARSE(cast, cop_ints_params),
     INFER(cast), RUN(cast), ANY_LAYOUT},
    {.name = NULL},
};
/* clang-format on */
