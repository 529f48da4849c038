/* Cast and CastLike between all types, and BitCast. Narrow types are held wide, so that casting to
 * one is rounding (base/narrow.h). */
#include <stdio.h>
#include <string.h>

#include "base/narrow.h"
#include "base/number.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

#define CASTABLE (NUMBERS | COP_TYPE_BIT(BOOL) | COP_TYPE_BIT(STRING))

typedef struct cast_params {
    coppice_type to; /* by ONNX; of CastLike UNDEFINED: input 1 says */
    cop_narrowing how;
} cast_params;

/* ---- attributes and shapes ---- */

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

static coppice_status parse_target(const cop_call *call, coppice_type *out) {
    int64_t to;
    if (call->opset < 6)
        COP_TRY(type_by_name(call, &to));
    else
        COP_TRY(cop_node_int(call->node, "to", 0, &to, call->err));
    coppice_type wide = to > 0 && to < 64 ? cop_wide_type((coppice_type)to) : 0;
    if ((unsigned)wide >= 32 || !(CASTABLE >> wide & 1))
        return cop_fail(call->err, COPPICE_UNSUPPORTED,
                        "casting to type %s (%lld) is not supported",
                        coppice_type_name((coppice_type)to), (long long)to);
    *out = (coppice_type)to;
    return COPPICE_OK;
}

static coppice_status parse_narrowing(const cop_call *call, cop_narrowing *how) {
    static const char *const modes[] = {
        [COP_ROUND_UP] = "up", [COP_ROUND_DOWN] = "down", [COP_ROUND_NEAREST] = "nearest"};
    const char *mode;
    COP_TRY(cop_attr_bool(call, "saturate", true, &how->saturate));
    COP_TRY(cop_node_string(call->node, "round_mode", "up", &mode, call->err));
    for (int i = 0; i < 3; i++) {
        if (!strcmp(mode, modes[i])) {
            how->rounding = (cop_rounding)i;
            return COPPICE_OK;
        }
    }
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "attribute 'round_mode' is '%s', expected up, down or nearest", mode);
}

static coppice_status cast_parse(const cop_call *call, void *params) {
    cast_params *p = params;
    COP_TRY(parse_narrowing(call, &p->how));
    return parse_target(call, &p->to);
}

static coppice_status castlike_parse(const cop_call *call, void *params) {
    cast_params *p = params;
    return parse_narrowing(call, &p->how);
}

/* The output has the shape of input 0 and the type `to`. */
static void set_cast_out(cop_call *call, coppice_type to) {
    const coppice_tensor *in = cop_in(call, 0);
    cop_set_out(call, 0, cop_wide_type(to), in->rank, in->dims);
    call->out[0].narrow = to;
}

static coppice_status cast_infer(cop_call *call) {
    const cast_params *p = call->params;
    set_cast_out(call, p->to);
    return COPPICE_OK;
}

static coppice_status castlike_infer(cop_call *call) {
    COP_TRY(cop_need_type(call, 1, CASTABLE));
    set_cast_out(call, cop_onnx_type(call->in[1]));
    return COPPICE_OK;
}

/* ---- numbers ---- */

/* A float out of range has no defined conversion to an integer; here it becomes the nearest of 64
 * bits, then wraps around, and NaN is 0. */
static int64_t whole(double v) {
    if (v != v)
        return 0;
    if (v >= 9223372036854775808.0)
        return INT64_MAX;
    return v <= -9223372036854775808.0 ? INT64_MIN : (int64_t)v;
}

static uint64_t whole_unsigned(double v) {
    if (v != v || v <= -9223372036854775808.0)
        return 0;
    if (v >= 18446744073709551616.0)
        return UINT64_MAX;
    return v < 9223372036854775808.0 ? (uint64_t)whole(v) : (uint64_t)v;
}

/* X(type by ONNX, type in C, kind, ...): what is cast from. */
#define SOURCES(X, ...)                                                                            \
    X(FLOAT, float, REAL, __VA_ARGS__)                                                             \
    X(DOUBLE, double, REAL, __VA_ARGS__)                                                           \
    X(INT8, int8_t, INTEGER, __VA_ARGS__)                                                          \
    X(INT16, int16_t, INTEGER, __VA_ARGS__)                                                        \
    X(INT32, int32_t, INTEGER, __VA_ARGS__)                                                        \
    X(INT64, int64_t, INTEGER, __VA_ARGS__)                                                        \
    X(UINT8, uint8_t, INTEGER, __VA_ARGS__)                                                        \
    X(UINT16, uint16_t, INTEGER, __VA_ARGS__)                                                      \
    X(UINT32, uint32_t, INTEGER, __VA_ARGS__)                                                      \
    X(UINT64, uint64_t, INTEGER, __VA_ARGS__)                                                      \
    X(BOOL, uint8_t, INTEGER, __VA_ARGS__)

/* X(type by ONNX, type in C, how): what is cast to. */
#define TARGETS(X)                                                                                 \
    X(FLOAT, float, PLAIN)                                                                         \
    X(DOUBLE, double, PLAIN)                                                                       \
    X(INT8, int8_t, WHOLE)                                                                         \
    X(INT16, int16_t, WHOLE)                                                                       \
    X(INT32, int32_t, WHOLE)                                                                       \
    X(INT64, int64_t, WHOLE)                                                                       \
    X(UINT8, uint8_t, WHOLE)                                                                       \
    X(UINT16, uint16_t, WHOLE)                                                                     \
    X(UINT32, uint32_t, WHOLE)                                                                     \
    X(UINT64, uint64_t, WHOLE_UNSIGNED)                                                            \
    X(BOOL, uint8_t, TRUTH)

#define PLAIN_REAL(v) (v)
#define PLAIN_INTEGER(v) (v)
#define WHOLE_REAL(v) whole(v)
#define WHOLE_INTEGER(v) (v)
#define WHOLE_UNSIGNED_REAL(v) whole_unsigned(v)
#define WHOLE_UNSIGNED_INTEGER(v) (v)
#define TRUTH_REAL(v) ((v) != 0)
#define TRUTH_INTEGER(v) ((v) != 0)

#define CAST_FROM(id, S, kind, T, how)                                                             \
    case COPPICE_TYPE_##id: {                                                                      \
        const S *restrict from = (const S *)in->data + first;                                      \
        for (size_t i = 0; i < count; i++)                                                         \
            out[i] = (T)how##_##kind(from[i]);                                                     \
        break;                                                                                     \
    }

#define CAST_TO(id, T, how)                                                                        \
    static void cast_to_##id(const coppice_tensor *in, void *to, size_t first, size_t count) {     \
        T *restrict out = to;                                                                      \
        switch ((int)in->type) { SOURCES(CAST_FROM, T, how) }                                      \
    }

TARGETS(CAST_TO)

typedef void (*cast_fn)(const coppice_tensor *in, void *to, size_t first, size_t count);

static cast_fn cast_to(coppice_type type) {
#define CAST_ROW(id, T, how) [COPPICE_TYPE_##id] = cast_to_##id,
    static const cast_fn by_type[] = {TARGETS(CAST_ROW)};
    return by_type[type];
}

typedef struct cast_job {
    const coppice_tensor *in, *out;
    coppice_type narrow; /* UNDEFINED: nothing to round */
    cop_narrowing how;
} cast_job;

static void cast_range(void *context, size_t begin, size_t end) {
    const cast_job *job = context;
    const coppice_tensor *in = job->in, *out = job->out;
    size_t count = end - begin;
    void *to = (char *)out->data + begin * cop_type_bytes(out->type);
    bool floats = out->type == COPPICE_TYPE_FLOAT;
    if (job->narrow && floats && in->type == COPPICE_TYPE_DOUBLE) {
        for (size_t i = 0; i < count; i++)
            ((float *)to)[i] = cop_float_to_odd(((const double *)in->data)[begin + i]);
    } else {
        cast_to(out->type)(in, to, begin, count);
    }
    if (job->narrow && floats)
        cop_narrow_round(job->narrow, to, count, job->how);
    else if (job->narrow)
        cop_narrow_wrap(job->narrow, to, count);
}

/* ---- strings ---- */

static coppice_status number_of(const cop_call *call, const coppice_string *text, double *out) {
    if (cop_number_parse(text->data, text->length, out))
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_DATA, "'%.*s' of input '%s' is no number",
                    (int)(text->length < 60 ? text->length : 60), text->data, cop_in_name(call, 0));
}

/* Strings as doubles or, where they are integers, exactly so; then on to the type that is wanted.
 */
static coppice_status cast_from_strings(const cop_call *call, cast_job *job) {
    const coppice_string *from = job->in->data;
    const coppice_tensor *out = job->out;
    size_t count = (size_t)coppice_tensor_count(job->in);
    for (size_t i = 0; i < count; i++) {
        double real = 0;
        int64_t integer;
        coppice_tensor one = {.type = COPPICE_TYPE_INT64, .data = &integer};
        if (!cop_is_integer_type(out->type) ||
            !cop_integer_parse(from[i].data, from[i].length, &integer)) {
            COP_TRY(number_of(call, &from[i], &real));
            one = (coppice_tensor){.type = COPPICE_TYPE_DOUBLE, .data = &real};
        }
        coppice_tensor to = *out;
        to.data = (char *)out->data + i * cop_type_bytes(out->type);
        cast_job element = {&one, &to, job->narrow, job->how};
        cast_range(&element, 0, 1);
    }
    return COPPICE_OK;
}

static size_t text_of(const coppice_tensor *in, int64_t i, char text[COP_NUMBER_TEXT]) {
    if (in->type == COPPICE_TYPE_BOOL)
        return (size_t)snprintf(text, COP_NUMBER_TEXT, "%s",
                                cop_tensor_get_int(in, i) ? "True" : "False");
    if (in->type == COPPICE_TYPE_UINT64)
        return (size_t)snprintf(text, COP_NUMBER_TEXT, "%llu",
                                (unsigned long long)cop_tensor_get_int(in, i));
    if (cop_is_integer_type(in->type))
        return (size_t)snprintf(text, COP_NUMBER_TEXT, "%lld",
                                (long long)cop_tensor_get_int(in, i));
    return cop_number_format(cop_tensor_get(in, i), in->type == COPPICE_TYPE_FLOAT, text);
}

static coppice_status cast_to_strings(const cop_call *call, const cast_job *job) {
    coppice_string *to = job->out->data;
    int64_t count = coppice_tensor_count(job->in);
    for (int64_t i = 0; i < count; i++) {
        char text[COP_NUMBER_TEXT];
        size_t length = text_of(job->in, i, text);
        to[i] = cop_call_string(call, text, length);
        if (!to[i].data)
            return cop_fail_memory(call->err, length + 1);
    }
    return COPPICE_OK;
}

/* ---- Cast, CastLike ---- */

static coppice_status cast_run(const cop_call *call) {
    const cast_params *p = call->params;
    const cop_operand *in = call->in[0];
    coppice_type to = p->to ? p->to : cop_onnx_type(call->in[1]);
    const coppice_tensor *out = cop_out(call, 0);
    cast_job job = {&in->t, out, cop_is_narrow_type(to) ? to : COPPICE_TYPE_UNDEFINED, p->how};
    if (in->t.type == out->type && (!job.narrow || in->narrow == to))
        return cop_view_run(call);
    if (in->t.type == COPPICE_TYPE_STRING)
        return cast_from_strings(call, &job);
    if (out->type == COPPICE_TYPE_STRING)
        return cast_to_strings(call, &job);
    cop_parallel_for(call->pool, cop_memory_count(in), cop_grain(4), cast_range, &job);
    return COPPICE_OK;
}

static unsigned cast_layouts(const cop_call *call) {
    unsigned tiles = 1u << COP_LAYOUT_TILES | 1u << COP_LAYOUT_TOKEN_TILES;
    return (cop_elementwise_layouts(call) & ~tiles) | cop_tile_layouts(call, 1);
}

/* ---- BitCast ---- */

static coppice_status bitcast_parse(const cop_call *call, void *params) {
    cast_params *p = params;
    COP_TRY(parse_target(call, &p->to));
    if (p->to == COPPICE_TYPE_STRING)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "attribute 'to' is string, which has no bits");
    return COPPICE_OK;
}

static coppice_status bitcast_infer(cop_call *call) {
    const cast_params *p = call->params;
    coppice_type from = cop_onnx_type(call->in[0]);
    unsigned bits = coppice_type_bits(from);
    if (bits == 0 || bits != coppice_type_bits(p->to))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "elements of %u bits (%s) as %s of %u", bits,
                        coppice_type_name(from), coppice_type_name(p->to),
                        coppice_type_bits(p->to));
    set_cast_out(call, p->to);
    return COPPICE_OK;
}

/* Through the bits that both types have, some elements at a time. */
static coppice_status bitcast_run(const cop_call *call) {
    enum { CHUNK = 1024 };
    const cast_params *p = call->params;
    const cop_operand *in = call->in[0];
    const coppice_tensor *out = cop_out(call, 0);
    size_t count = (size_t)coppice_tensor_count(out), from_bytes = cop_type_bytes(in->t.type);
    size_t to_bytes = cop_type_bytes(out->type);
    bool packs = cop_is_narrow_type(in->narrow), unpacks = cop_is_narrow_type(p->to);
    if (!packs && !unpacks)
        return cop_view_run(call);
    for (size_t i = 0; i < count; i += CHUNK) {
        uint16_t bits[CHUNK];
        size_t n = count - i < CHUNK ? count - i : CHUNK;
        const char *from = (const char *)in->t.data + i * from_bytes;
        char *to = (char *)out->data + i * to_bytes;
        if (packs)
            cop_narrow_pack(in->narrow, from, 0, n, bits);
        if (unpacks)
            cop_narrow_unpack(p->to, packs ? (const void *)bits : from, 0, n, to);
        else
            memcpy(to, bits, n * to_bytes);
    }
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_cast[] = {
    {.name = "BitCast", .since = 26, ONE_TO_ONE, .types = NUMBERS | COP_TYPE_BIT(BOOL),
     PARSE(bitcast, cast_params), INFER(bitcast), RUN(bitcast)},
    {.name = "Cast", .since = 1, ONE_TO_ONE, .types = CASTABLE, PARSE(cast, cast_params),
     INFER(cast), RUN(cast), .layouts = cast_layouts},
    {.name = "CastLike", .since = 15, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = CASTABLE, PARSE(castlike, cast_params), INFER(castlike), RUN(cast)},
    {.name = NULL},
};
/* clang-format on */
