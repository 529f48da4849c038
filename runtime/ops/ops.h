/* The functions that rows of the operator table point to, and what they share within a family. */
#ifndef COP_OPS_OPS_H
#define COP_OPS_OPS_H

#include "runtime/conv.h"
#include "runtime/op.h"
#include "runtime/ops/window.h"

/* Declares what a family may have: cop_NAME_parse, cop_NAME_infer, cop_NAME_run. */
#define COP_OP(name)                                                                               \
    coppice_status cop_##name##_parse(const cop_call *call, void *params);                         \
    coppice_status cop_##name##_infer(cop_call *call);                                             \
    coppice_status cop_##name##_run(const cop_call *call)

/* ---- convolution and matrix products ---- */

/* Attributes activation_min and activation_max, put there by fusion; else -INFINITY, INFINITY. */
coppice_status cop_activation_parse(const cop_call *call, float *min, float *max);

COP_OP(conv);
COP_OP(gemm);
COP_OP(matmul);
COP_OP(batchnorm);
size_t cop_batchnorm_scratch(const cop_call *call);

/* ---- pooling ---- */

typedef struct cop_pool_params {
    cop_window_params window;
    bool count_include_pad; /* AveragePool */
    bool column_major;      /* MaxPool: storage_order 1 */
} cop_pool_params;

COP_OP(maxpool);
COP_OP(averagepool);
COP_OP(globalpool);
coppice_status cop_globalmaxpool_run(const cop_call *call);
unsigned cop_pool_layouts(const cop_call *call);

/* ---- elementwise ---- */

/* Parameters of one-input functions: what alpha, beta mean is up to each. */
typedef struct cop_unary_params {
    float alpha, beta;
} cop_unary_params;

COP_OP(relu);
COP_OP(leakyrelu);
COP_OP(sigmoid);
COP_OP(tanh);
COP_OP(hardsigmoid);
COP_OP(hardswish);
COP_OP(elu);
COP_OP(sqrt);
COP_OP(neg);
COP_OP(abs);
COP_OP(exp);
COP_OP(erf);
COP_OP(clip);
COP_OP(cast);

/* Two-input functions. From opset 7 on numpy's rules hold; before, attributes say how to broadcast.
 */
typedef struct cop_binary_params {
    bool legacy; /* of an opset before 7: the rest counts */
    bool broadcast, has_axis;
    int64_t axis;
} cop_binary_params;

COP_OP(binary);
COP_OP(compare);
COP_OP(pow);
coppice_status cop_add_run(const cop_call *call);
coppice_status cop_sub_run(const cop_call *call);
coppice_status cop_mul_run(const cop_call *call);
coppice_status cop_div_run(const cop_call *call);
coppice_status cop_equal_run(const cop_call *call);
COP_OP(variadic);
coppice_status cop_max_run(const cop_call *call);
coppice_status cop_min_run(const cop_call *call);
COP_OP(prelu);
COP_OP(where);

/* ---- shapes and data movement ---- */

/* Attributes that say which axes or sizes; `count` -1: not given. */
typedef struct cop_ints_params {
    int64_t values[COPPICE_MAX_RANK];
    int count;
    int64_t axis;
    bool flag;
} cop_ints_params;

COP_OP(view); /* Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout: the bytes of input 0 */
COP_OP(reshape);
COP_OP(flatten);
COP_OP(squeeze);
COP_OP(unsqueeze);
COP_OP(identity);
COP_OP(dropout);
COP_OP(transpose);
COP_OP(concat);
COP_OP(split);
COP_OP(slice);
COP_OP(gather);
COP_OP(shape);
COP_OP(size);
COP_OP(constant);
COP_OP(constantofshape);
COP_OP(range);
COP_OP(expand);
COP_OP(pad);
COP_OP(softmax);
coppice_status cop_logsoftmax_run(const cop_call *call);
typedef struct cop_reduce_params {
    bool keep, noop_without_axes;
} cop_reduce_params;

COP_OP(reduce);
coppice_status cop_reducesum_run(const cop_call *call);
coppice_status cop_reducemean_run(const cop_call *call);
coppice_status cop_reducemax_run(const cop_call *call);

#endif
