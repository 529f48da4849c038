/* Operators on two tensors that compare, combine truths, or work on bits. */

#include "runtime/ops/elementwise/binary.h"

/* ---- comparisons ---- */

#define COMPARE(T, suffix, TYPE)                                                                   \
    BINARY(equal_##suffix, T, T, uint8_t, x == y)                                                  \
    BINARY(less_##suffix, T, T, uint8_t, x < y)                                                    \
    BINARY(lessorequal_##suffix, T, T, uint8_t, x <= y)                                            \
    BINARY(greater_##suffix, T, T, uint8_t, x > y)                                                 \
    BINARY(greaterorequal_##suffix, T, T, uint8_t, x >= y)
EACH_NUMBER(COMPARE)

BINARY(equal_bool, uint8_t, uint8_t, uint8_t, !x == !y)
BINARY(equal_string, coppice_string, coppice_string, uint8_t, cop_same_string(x, y))
RUN_BINARY(
    equal,
    NUMERIC_ROWS(equal), [COPPICE_TYPE_BOOL] = equal_bool, [COPPICE_TYPE_STRING] = equal_string)
RUN_BINARY(less, NUMERIC_ROWS(less))
RUN_BINARY(lessorequal, NUMERIC_ROWS(lessorequal))
RUN_BINARY(greater, NUMERIC_ROWS(greater))
RUN_BINARY(greaterorequal, NUMERIC_ROWS(greaterorequal))

/* ---- truths ---- */

BINARY(and_bool, uint8_t, uint8_t, uint8_t, (x != 0) & (y != 0))
BINARY(or_bool, uint8_t, uint8_t, uint8_t, (x | y) != 0)
BINARY(xor_bool, uint8_t, uint8_t, uint8_t, (x != 0) ^ (y != 0))
RUN_BINARY(and, [COPPICE_TYPE_BOOL] = and_bool)
RUN_BINARY(or, [COPPICE_TYPE_BOOL] = or_bool)
RUN_BINARY(xor, [COPPICE_TYPE_BOOL] = xor_bool)

/* ---- bits ---- */

#define BITS(T, suffix, TYPE)                                                                      \
    BINARY(bitwiseand_##suffix, T, T, T, x &y)                                                     \
    BINARY(bitwiseor_##suffix, T, T, T, x | y)                                                     \
    BINARY(bitwisexor_##suffix, T, T, T, x ^ y)                                                    \
    BINARY(left_##suffix, T, T, T, OUTSIDE(T, y) ? 0 : (uint64_t)x << y)
/* A negative number of places is too many as well. */
#define OUTSIDE(T, y) ((uint64_t)(y) >= 8 * sizeof(T))
EACH_INTEGER(BITS)

/* Right shifts fill with the sign. */
#define RIGHT_SIGNED(T, suffix, TYPE)                                                              \
    BINARY(right_##suffix, T, T, T, x >> (OUTSIDE(T, y) ? (T)(8 * sizeof(T) - 1) : y))
#define RIGHT_UNSIGNED(T, suffix, TYPE) BINARY(right_##suffix, T, T, T, OUTSIDE(T, y) ? 0 : x >> y)
EACH_SIGNED(RIGHT_SIGNED)
EACH_UNSIGNED(RIGHT_UNSIGNED)

RUN_BINARY(bitwiseand, INTEGER_ROWS(bitwiseand))
RUN_BINARY(bitwiseor, INTEGER_ROWS(bitwiseor))
RUN_BINARY(bitwisexor, INTEGER_ROWS(bitwisexor))

typedef struct shift_params {
    cop_binary_params binary;
    bool left;
} shift_params;

static coppice_status bitshift_parse(const cop_call *call, void *params) {
    shift_params *p = params;
    const char *direction;
    COP_TRY(cop_node_string(call->node, "direction", "", &direction, call->err));
    p->left = strcmp(direction, "LEFT") == 0;
    if (p->left || strcmp(direction, "RIGHT") == 0)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "attribute 'direction' is '%s', expected 'LEFT' or 'RIGHT'", direction);
}

static coppice_status bitshift_run(const cop_call *call) {
    static const cop_walk_fn left[COP_HELD_TYPES] = {INTEGER_ROWS(left)};
    static const cop_walk_fn right[COP_HELD_TYPES] = {INTEGER_ROWS(right)};
    const shift_params *p = call->params;
    return cop_run_binary(call, p->left ? left : right);
}

/* ---- rows of the operator table ---- */

#define INTEGERS (SIGNED | UNSIGNED)
#define TRUTHS COP_TYPE_BIT(BOOL)

/* clang-format off */
const cop_op cop_ops_logic[] = {
    BINARY_ROW("And", and, 1, cop_compare_infer, TRUTHS),
    {.name = "BitShift", .since = 11, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = INTEGERS, PARSE(bitshift, shift_params), .infer = cop_binary_infer, RUN(bitshift),
     ANY_LAYOUT},
    BINARY_ROW("BitwiseAnd", bitwiseand, 18, cop_binary_infer, INTEGERS),
    BINARY_ROW("BitwiseOr", bitwiseor, 18, cop_binary_infer, INTEGERS),
    BINARY_ROW("BitwiseXor", bitwisexor, 18, cop_binary_infer, INTEGERS),
    BINARY_ROW("Equal", equal, 1, cop_compare_infer, NUMBERS | TRUTHS | COP_TYPE_BIT(STRING)),
    BINARY_ROW("Greater", greater, 1, cop_compare_infer, NUMBERS),
    BINARY_ROW("GreaterOrEqual", greaterorequal, 12, cop_compare_infer, NUMBERS),
    BINARY_ROW("Less", less, 1, cop_compare_infer, NUMBERS),
    BINARY_ROW("LessOrEqual", lessorequal, 12, cop_compare_infer, NUMBERS),
    BINARY_ROW("Or", or, 1, cop_compare_infer, TRUTHS),
    BINARY_ROW("Xor", xor, 1, cop_compare_infer, TRUTHS),
    {.name = NULL},
};
/* clang-format on */
