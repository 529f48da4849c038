/* What the rows of the operator table are written with, and the parameters that families share.
 *
 * A family is a file: functions `<op>_parse`, `<op>_infer`, `<op>_run`, and at its end the rows,
 * `cop_ops_<family>`, ordered by name and opset and ended by one with a NULL name. table.c lists
 * the families; the folders group them. */
#ifndef COP_OPS_OPS_H
#define COP_OPS_OPS_H

#include "runtime/conv.h"
#include "runtime/op.h"
#include "runtime/ops/image/window.h"

/* ---- sets of types, for input 0 ---- */

#define F32 COP_TYPE_BIT(FLOAT)
#define FLOATS (COP_TYPE_BIT(FLOAT) | COP_TYPE_BIT(DOUBLE))
#define SIGNED                                                                                     \
    (COP_TYPE_BIT(INT8) | COP_TYPE_BIT(INT16) | COP_TYPE_BIT(INT32) | COP_TYPE_BIT(INT64))
#define UNSIGNED                                                                                   \
    (COP_TYPE_BIT(UINT8) | COP_TYPE_BIT(UINT16) | COP_TYPE_BIT(UINT32) | COP_TYPE_BIT(UINT64))
#define INDICES (COP_TYPE_BIT(INT32) | COP_TYPE_BIT(INT64)) /* also sizes and lengths */
#define WIDE_INTEGERS (INDICES | COP_TYPE_BIT(UINT32) | COP_TYPE_BIT(UINT64))
#define NUMBERS (FLOATS | SIGNED | UNSIGNED)
#define HALVES (COP_TYPE_BIT(FLOAT16) | COP_TYPE_BIT(BFLOAT16))
#define COMPLEX (COP_TYPE_BIT(COMPLEX64) | COP_TYPE_BIT(COMPLEX128))
#define WHOLE_BYTES /* types that can be moved about */                                            \
    (NUMBERS | HALVES | COMPLEX | COP_TYPE_BIT(BOOL) | COP_TYPE_BIT(STRING))

/* ---- pieces of rows ---- */

/* Who fills the pieces of a row: attributes, shapes, kernel. */
#define PARSE(name, params) .params_size = sizeof(params), .parse = name##_parse
#define INFER(name) .infer = name##_infer
#define RUN(name) .run = name##_run
#define ANY_LAYOUT .layouts = cop_elementwise_layouts
#define ONE_TO_ONE .min_inputs = 1, .max_inputs = 1, .max_outputs = 1

/* ---- parameters ---- */

/* Attributes that say which axes or sizes; `count` -1: not given. */
typedef struct cop_ints_params {
    int64_t values[COPPICE_MAX_RANK];
    int count;
    int64_t axis;
    bool flag;
} cop_ints_params;

/* What Gemm's and MatMul's `parse` fills (MatMul: alpha 1, nothing transposed). A third input is
 * the bias, also for a MatMul that a pass gave one. */
typedef struct cop_gemm_params {
    float alpha, beta;
    bool transpose_a, transpose_b;
    float activation_min, activation_max;
} cop_gemm_params;

/* ---- functions of more than one family ---- */

/* The bytes of input 0: Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout. */
coppice_status cop_view_run(const cop_call *call);

/* Attributes activation_min and activation_max, put there by fusion; else -INFINITY, INFINITY. */
coppice_status cop_activation_parse(const cop_call *call, float *min, float *max);

#endif
