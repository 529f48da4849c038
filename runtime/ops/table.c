/* The operator table: every operator that the runtime has, by opset range. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

#define F32 COP_TYPE_BIT(FLOAT)
#define FLOATS (COP_TYPE_BIT(FLOAT) | COP_TYPE_BIT(DOUBLE))
#define SIGNED                                                                                     \
    (COP_TYPE_BIT(INT8) | COP_TYPE_BIT(INT16) | COP_TYPE_BIT(INT32) | COP_TYPE_BIT(INT64))
#define UNSIGNED                                                                                   \
    (COP_TYPE_BIT(UINT8) | COP_TYPE_BIT(UINT16) | COP_TYPE_BIT(UINT32) | COP_TYPE_BIT(UINT64))
#define NUMBERS (FLOATS | SIGNED | UNSIGNED)
#define HALVES (COP_TYPE_BIT(FLOAT16) | COP_TYPE_BIT(BFLOAT16))
#define WHOLE_BYTES (NUMBERS | HALVES | COP_TYPE_BIT(BOOL)) /* types that can be moved about */
#define REDUCIBLE                                                                                  \
    (FLOATS | COP_TYPE_BIT(INT32) | COP_TYPE_BIT(INT64) | COP_TYPE_BIT(UINT32) |                   \
     COP_TYPE_BIT(UINT64) | COP_TYPE_BIT(INT8) | COP_TYPE_BIT(UINT8) | COP_TYPE_BIT(BOOL))

/* Who fills the pieces of a row: attributes, shapes, kernel. */
#define PARSE(name, params) .params_size = sizeof(params), .parse = cop_##name##_parse
#define INFER(name) .infer = cop_##name##_infer
#define RUN(name) .run = cop_##name##_run
#define ANY_LAYOUT .layouts = cop_elementwise_layouts
#define ONE_TO_ONE .min_inputs = 1, .max_inputs = 1, .max_outputs = 1

#define UNARY(op, fn, first, type_set)                                                             \
    {                                                                                              \
        .name = op, .since = first, ONE_TO_ONE, .types = type_set, .infer = cop_infer_same,        \
        RUN(fn), ANY_LAYOUT                                                                        \
    }
#define UNARY_WITH(op, fn, first, type_set)                                                        \
    {                                                                                              \
        .name = op, .since = first, ONE_TO_ONE, .types = type_set, PARSE(fn, cop_unary_params),    \
        .infer = cop_infer_same, RUN(fn), ANY_LAYOUT                                               \
    }
#define ARITHMETIC(op, fn, rule, type_set)                                                         \
    {                                                                                              \
        .name = op, .since = 1, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,                \
        .types = type_set, PARSE(binary, cop_binary_params), INFER(rule), RUN(fn), ANY_LAYOUT      \
    }
#define REDUCTION(op, fn, first, last, inputs)                                                     \
    {                                                                                              \
        .name = op, .since = first, .until = last, .min_inputs = 1, .max_inputs = inputs,          \
        .max_outputs = 1, .types = REDUCIBLE, PARSE(reduce, cop_reduce_params), INFER(reduce),     \
        RUN(fn)                                                                                    \
    }

/* clang-format off */
const cop_op cop_ops[] = {
    UNARY("Abs", abs, 1, NUMBERS),
    ARITHMETIC("Add", add, binary, NUMBERS),
    {.name = "AveragePool", .since = 1, ONE_TO_ONE, .types = F32, PARSE(averagepool, cop_pool_params),
     INFER(averagepool), RUN(averagepool), .layouts = cop_pool_layouts},
    {.name = "BatchNormalization", .since = 1, .min_inputs = 5, .max_inputs = 5, .max_outputs = 5,
     .types = F32, PARSE(batchnorm, cop_unary_params), INFER(batchnorm), RUN(batchnorm), ANY_LAYOUT,
     .scratch = cop_batchnorm_scratch},
    {.name = "Cast", .since = 1, ONE_TO_ONE, .types = WHOLE_BYTES, PARSE(cast, cop_ints_params),
     INFER(cast), RUN(cast), ANY_LAYOUT},
    {.name = "Clip", .since = 1, .until = 10, ONE_TO_ONE, .types = FLOATS,
     PARSE(clip, cop_unary_params), INFER(clip), RUN(clip), ANY_LAYOUT},
    {.name = "Clip", .since = 11, .min_inputs = 1, .max_inputs = 3, .max_outputs = 1,
     .types = NUMBERS, PARSE(clip, cop_unary_params), INFER(clip), RUN(clip), ANY_LAYOUT},
    {.name = "Concat", .since = 1, .min_inputs = 1, .max_inputs = -1, .max_outputs = 1,
     .types = WHOLE_BYTES, PARSE(concat, cop_ints_params), INFER(concat), RUN(concat),
     ANY_LAYOUT},
    {.name = "Constant", .since = 1, .max_outputs = 1, .infer = cop_constant_infer},
    {.name = "ConstantOfShape", .since = 9, ONE_TO_ONE, .types = COP_TYPE_BIT(INT64),
     INFER(constantofshape), RUN(constantofshape)},
    {.name = "Conv", .since = 1, .min_inputs = 2, .max_inputs = 3, .max_outputs = 1, .types = F32,
     PARSE(conv, cop_conv_params), INFER(conv), RUN(conv)},
    ARITHMETIC("Div", div, binary, NUMBERS),
    {.name = "Dropout", .since = 1, .until = 11, .min_inputs = 1, .max_inputs = 1, .max_outputs = 2,
     .types = WHOLE_BYTES, INFER(dropout), RUN(dropout), ANY_LAYOUT},
    {.name = "Dropout", .since = 12, .min_inputs = 1, .max_inputs = 3, .max_outputs = 2,
     .types = WHOLE_BYTES, INFER(dropout), RUN(dropout), ANY_LAYOUT},
    UNARY_WITH("Elu", elu, 1, FLOATS),
    {.name = "Equal", .since = 1, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = NUMBERS | COP_TYPE_BIT(BOOL), PARSE(binary, cop_binary_params), INFER(compare),
     RUN(equal), ANY_LAYOUT},
    UNARY("Erf", erf, 9, FLOATS),
    UNARY("Exp", exp, 1, FLOATS),
    {.name = "Expand", .since = 8, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = WHOLE_BYTES, INFER(expand), RUN(expand)},
    {.name = "Flatten", .since = 1, ONE_TO_ONE, .types = WHOLE_BYTES, .flags = COP_OP_VIEW,
     PARSE(flatten, cop_ints_params), INFER(flatten), RUN(view)},
    {.name = "Gather", .since = 1, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = WHOLE_BYTES, PARSE(gather, cop_ints_params), INFER(gather), RUN(gather)},
    {.name = "Gemm", .since = 1, .until = 10, .min_inputs = 3, .max_inputs = 3, .max_outputs = 1,
     .types = F32, PARSE(gemm, cop_gemm_params), INFER(gemm), RUN(gemm)},
    {.name = "Gemm", .since = 11, .min_inputs = 2, .max_inputs = 3, .max_outputs = 1, .types = F32,
     PARSE(gemm, cop_gemm_params), INFER(gemm), RUN(gemm)},
    {.name = "GlobalAveragePool", .since = 1, ONE_TO_ONE, .types = F32, INFER(globalpool),
     RUN(globalpool), .layouts = cop_pool_layouts},
    {.name = "GlobalMaxPool", .since = 1, ONE_TO_ONE, .types = F32, INFER(globalpool),
     RUN(globalmaxpool), .layouts = cop_pool_layouts},
    UNARY_WITH("HardSigmoid", hardsigmoid, 1, FLOATS),
    UNARY("HardSwish", hardswish, 14, FLOATS),
    {.name = "Identity", .since = 1, ONE_TO_ONE, .types = WHOLE_BYTES, .flags = COP_OP_VIEW,
     INFER(identity), RUN(view)},
    UNARY_WITH("LeakyRelu", leakyrelu, 1, FLOATS),
    {.name = "LogSoftmax", .since = 1, ONE_TO_ONE, .types = F32, PARSE(softmax, cop_ints_params),
     INFER(softmax), RUN(logsoftmax)},
    {.name = "MatMul", .since = 1, .min_inputs = 2, .max_inputs = 3, .max_outputs = 1, .types = F32,
     PARSE(matmul, cop_gemm_params), INFER(matmul), RUN(matmul)},
    {.name = "Max", .since = 1, .min_inputs = 1, .max_inputs = -1, .max_outputs = 1,
     .types = NUMBERS, INFER(variadic), RUN(max), ANY_LAYOUT},
    {.name = "MaxPool", .since = 1, .min_inputs = 1, .max_inputs = 1, .max_outputs = 2,
     .types = FLOATS | COP_TYPE_BIT(INT8) | COP_TYPE_BIT(UINT8), PARSE(maxpool, cop_pool_params),
     INFER(maxpool), RUN(maxpool), .layouts = cop_pool_layouts},
    {.name = "Min", .since = 1, .min_inputs = 1, .max_inputs = -1, .max_outputs = 1,
     .types = NUMBERS, INFER(variadic), RUN(min), ANY_LAYOUT},
    ARITHMETIC("Mul", mul, binary, NUMBERS),
    UNARY("Neg", neg, 1, FLOATS | SIGNED),
    {.name = "PRelu", .since = 1, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = FLOATS, INFER(prelu), RUN(prelu), ANY_LAYOUT},
    {.name = "Pad", .since = 1, .until = 10, ONE_TO_ONE, .types = FLOATS, PARSE(pad, cop_ints_params),
     INFER(pad), RUN(pad)},
    {.name = "Pad", .since = 11, .until = 17, .min_inputs = 2, .max_inputs = 3, .max_outputs = 1,
     .types = WHOLE_BYTES, PARSE(pad, cop_ints_params), INFER(pad), RUN(pad)},
    {.name = "Pad", .since = 18, .min_inputs = 2, .max_inputs = 4, .max_outputs = 1,
     .types = WHOLE_BYTES, PARSE(pad, cop_ints_params), INFER(pad), RUN(pad)},
    ARITHMETIC("Pow", pow, pow, FLOATS | COP_TYPE_BIT(INT32) | COP_TYPE_BIT(INT64)),
    {.name = "Range", .since = 11, .min_inputs = 3, .max_inputs = 3, .max_outputs = 1,
     .types = FLOATS | COP_TYPE_BIT(INT16) | COP_TYPE_BIT(INT32) | COP_TYPE_BIT(INT64),
     INFER(range), RUN(range)},
    REDUCTION("ReduceMax", reducemax, 1, 17, 1),
    REDUCTION("ReduceMax", reducemax, 18, 0, 2),
    REDUCTION("ReduceMean", reducemean, 1, 17, 1),
    REDUCTION("ReduceMean", reducemean, 18, 0, 2),
    REDUCTION("ReduceSum", reducesum, 1, 12, 1),
    REDUCTION("ReduceSum", reducesum, 13, 0, 2),
    UNARY("Relu", relu, 1, FLOATS | SIGNED),
    {.name = "Reshape", .since = 1, .until = 4, ONE_TO_ONE, .types = WHOLE_BYTES,
     .flags = COP_OP_VIEW, PARSE(reshape, cop_ints_params), INFER(reshape), RUN(view)},
    {.name = "Reshape", .since = 5, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = WHOLE_BYTES, .flags = COP_OP_VIEW, PARSE(reshape, cop_ints_params), INFER(reshape),
     RUN(view)},
    {.name = "Shape", .since = 1, ONE_TO_ONE, .flags = COP_OP_SHAPE_ONLY,
     PARSE(shape, cop_ints_params), INFER(shape), RUN(shape)},
    UNARY("Sigmoid", sigmoid, 1, FLOATS),
    {.name = "Size", .since = 1, ONE_TO_ONE, .flags = COP_OP_SHAPE_ONLY, INFER(size), RUN(size)},
    {.name = "Slice", .since = 1, .until = 9, ONE_TO_ONE, .types = WHOLE_BYTES, INFER(slice),
     RUN(slice)},
    {.name = "Slice", .since = 10, .min_inputs = 3, .max_inputs = 5, .max_outputs = 1,
     .types = WHOLE_BYTES, INFER(slice), RUN(slice)},
    {.name = "Softmax", .since = 1, ONE_TO_ONE, .types = F32, PARSE(softmax, cop_ints_params),
     INFER(softmax), RUN(softmax)},
    {.name = "Split", .since = 1, .min_inputs = 1, .max_inputs = 2, .max_outputs = -1,
     .types = WHOLE_BYTES, PARSE(split, cop_ints_params), INFER(split), RUN(split)},
    UNARY("Sqrt", sqrt, 1, FLOATS),
    {.name = "Squeeze", .since = 1, .until = 12, ONE_TO_ONE, .types = WHOLE_BYTES,
     .flags = COP_OP_VIEW, PARSE(squeeze, cop_ints_params), INFER(squeeze), RUN(view)},
    {.name = "Squeeze", .since = 13, .min_inputs = 1, .max_inputs = 2, .max_outputs = 1,
     .types = WHOLE_BYTES, .flags = COP_OP_VIEW, PARSE(squeeze, cop_ints_params), INFER(squeeze),
     RUN(view)},
    ARITHMETIC("Sub", sub, binary, NUMBERS),
    UNARY("Tanh", tanh, 1, FLOATS),
    {.name = "Transpose", .since = 1, ONE_TO_ONE, .types = WHOLE_BYTES,
     PARSE(transpose, cop_ints_params), INFER(transpose), RUN(transpose)},
    {.name = "Unsqueeze", .since = 1, .until = 12, ONE_TO_ONE, .types = WHOLE_BYTES,
     .flags = COP_OP_VIEW, PARSE(unsqueeze, cop_ints_params), INFER(unsqueeze), RUN(view)},
    {.name = "Unsqueeze", .since = 13, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = WHOLE_BYTES, .flags = COP_OP_VIEW, PARSE(unsqueeze, cop_ints_params),
     INFER(unsqueeze), RUN(view)},
    {.name = "Where", .since = 9, .min_inputs = 3, .max_inputs = 3, .max_outputs = 1,
     .types = COP_TYPE_BIT(BOOL), INFER(where), RUN(where), ANY_LAYOUT},
    {.name = NULL},
};
/* clang-format on */

static bool same_domain(const char *row, const char *domain) {
    if (!strcmp(domain, "ai.onnx"))
        domain = "";
    return !strcmp(row ? row : "", domain);
}

const cop_op *cop_op_find(const char *domain, const char *name, int64_t opset) {
    for (const cop_op *op = cop_ops; op->name; op++) {
        if (!strcmp(op->name, name) && same_domain(op->domain, domain) && opset >= op->since &&
            (!op->until || opset <= op->until))
            return op;
    }
    return NULL;
}

coppice_status cop_op_of_node(const cop_graph *graph, const cop_node *node, const cop_op **out,
                              coppice_error *err) {
    int64_t opset = cop_graph_opset(graph, node->domain);
    const char *domain = node->domain[0] ? node->domain : "ai.onnx";
    *out = cop_op_find(node->domain, node->op, opset);
    if (*out)
        return COPPICE_OK;
    for (const cop_op *op = cop_ops; op->name; op++) {
        if (strcmp(op->name, node->op) || !same_domain(op->domain, node->domain))
            continue;
        return cop_fail(
            err, COPPICE_UNSUPPORTED,
            "operator %s of domain %s is there from opset %d on, the model imports %lld", node->op,
            domain, op->since, (long long)opset);
    }
    return cop_fail(err, COPPICE_UNSUPPORTED,
                    "operator %s of domain %s, opset %lld is not supported ('coppice info "
                    "--operators' lists those that are)",
                    node->op, domain, (long long)opset);
}

/* ---- the public list ---- */

enum { ROWS = sizeof cop_ops / sizeof cop_ops[0], TYPE_TEXT = 160 };

static struct {
    coppice_operator_info rows[ROWS];
    char types[ROWS][TYPE_TEXT];
} list;

static void fill_list(void) {
    for (size_t i = 0; cop_ops[i].name; i++) {
        const cop_op *op = &cop_ops[i];
        size_t used = 0;
        for (int type = 0; type < 32; type++) {
            if (op->types >> type & 1)
                used += (size_t)snprintf(list.types[i] + used, TYPE_TEXT - used, "%s%s",
                                         used ? " " : "", coppice_type_name((coppice_type)type));
        }
        if (!op->types)
            snprintf(list.types[i], TYPE_TEXT, "all");
        list.rows[i] = (coppice_operator_info){.domain = op->domain ? op->domain : "",
                                               .op = op->name,
                                               .min_opset = op->since,
                                               .max_opset = op->until,
                                               .types = list.types[i]};
    }
}

const coppice_operator_info *coppice_operators(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_list);
    return list.rows;
}
