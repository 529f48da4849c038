/* Matrix products: Gemm, MatMul. */
#include <math.h>
#include <string.h>

#include "runtime/ops/matrix/product.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

coppice_status cop_activation_parse(const cop_call *call, float *min, float *max) {
    COP_TRY(cop_node_float(call->node, "activation_min", -INFINITY, min, call->err));
    return cop_node_float(call->node, "activation_max", INFINITY, max, call->err);
}

/* ---- Gemm ---- */

/* Any number but 0 is true: exporters have written others. */
static coppice_status read_flag(const cop_call *call, const char *name, bool *out) {
    int64_t value;
    COP_TRY(cop_node_int(call->node, name, 0, &value, call->err));
    *out = value != 0;
    return COPPICE_OK;
}

static coppice_status gemm_parse(const cop_call *call, void *params) {
    cop_gemm_params *p = params;
    COP_TRY(cop_node_float(call->node, "alpha", 1, &p->alpha, call->err));
    COP_TRY(cop_node_float(call->node, "beta", 1, &p->beta, call->err));
    COP_TRY(read_flag(call, "transA", &p->transpose_a));
    COP_TRY(read_flag(call, "transB", &p->transpose_b));
    return cop_activation_parse(call, &p->activation_min, &p->activation_max);
}

static coppice_status refuse_shapes(const cop_call *call) {
    return cop_fail(call->err, COPPICE_BAD_MODEL, "'%s' %s and '%s' %s cannot be multiplied",
                    cop_in_name(call, 0), cop_shape_text(cop_in(call, 0)).s, cop_in_name(call, 1),
                    cop_shape_text(cop_in(call, 1)).s);
}

/* The bias must broadcast to `shape` and not the other way. What opsets before 7 allow with their
 * attribute `broadcast` is part of that. */
static coppice_status check_bias(const cop_call *call, const coppice_tensor *shape) {
    const coppice_tensor *c = cop_in(call, 2);
    if (!c)
        return COPPICE_OK;
    COP_TRY(cop_need_type(call, 2, 1u << cop_in(call, 0)->type));
    coppice_tensor both = *shape;
    COP_TRY(cop_broadcast(call, &both, c));
    if (cop_same_shape(&both, shape))
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "the bias '%s' is %s, the result only %s",
                    cop_in_name(call, 2), cop_shape_text(c).s, cop_shape_text(shape).s);
}

static coppice_status gemm_infer(cop_call *call) {
    const cop_gemm_params *p = call->params;
    const coppice_tensor *a = cop_in(call, 0), *b = cop_in(call, 1);
    COP_TRY(cop_need_type(call, 1, 1u << cop_in(call, 0)->type));
    COP_TRY(cop_need_rank(call, 0, 2));
    COP_TRY(cop_need_rank(call, 1, 2));
    if (a->dims[!p->transpose_a] != b->dims[p->transpose_b])
        return refuse_shapes(call);
    coppice_tensor shape = {.rank = 2, .dims = {a->dims[p->transpose_a], b->dims[!p->transpose_b]}};
    COP_TRY(check_bias(call, &shape));
    cop_set_out(call, 0, a->type, 2, shape.dims);
    return COPPICE_OK;
}

/* Steps of the bias along rows and columns of the result. */
static void bias_steps(cop_product *p, const coppice_tensor *c) {
    if (!c || p->beta == 0)
        return;
    int64_t columns = c->rank > 0 ? c->dims[c->rank - 1] : 1;
    int64_t rows = c->rank > 1 ? c->dims[c->rank - 2] : 1;
    p->c = c->data;
    p->c_column = columns == 1 ? 0 : 1;
    p->c_row = rows == 1 ? 0 : columns;
}

static cop_product begin_product(const cop_call *call) {
    const cop_gemm_params *g = call->params;
    return (cop_product){.type = cop_out(call, 0)->type,
                         .a = cop_in(call, 0)->data,
                         .b = cop_in(call, 1)->data,
                         .out = cop_out(call, 0)->data,
                         .alpha = (double)g->alpha,
                         .beta = (double)g->beta,
                         .min = g->activation_min,
                         .max = g->activation_max};
}

static coppice_status run_product(const cop_call *call, cop_product *p) {
    const cop_gemm_params *g = call->params;
    bias_steps(p, cop_in(call, 2));
    p->finish =
        p->c || p->alpha != 1 || g->activation_min > -INFINITY || g->activation_max < INFINITY;
    cop_product_run(p, call->kernels, call->pool);
    return COPPICE_OK;
}

static coppice_status gemm_run(const cop_call *call) {
    const cop_gemm_params *g = call->params;
    const coppice_tensor *a = cop_in(call, 0), *out = cop_out(call, 0);
    cop_product p = begin_product(call);
    p.rows = (size_t)out->dims[0];
    p.columns = (size_t)out->dims[1];
    p.reduction = (size_t)a->dims[!g->transpose_a];
    cop_product_plain(&p, g->transpose_a, g->transpose_b);
    return run_product(call, &p);
}

/* ---- MatMul: numpy's rules; a third input, put there by fusion, is a bias over the columns ----
 */

static coppice_status matmul_parse(const cop_call *call, void *params) {
    cop_gemm_params *p = params;
    p->alpha = p->beta = 1;
    return cop_activation_parse(call, &p->activation_min, &p->activation_max);
}

/* Both operands as matrices with batch dims: a vector on the left is a row, on the right a column.
 */
static void as_matrices(const cop_call *call, coppice_tensor *a, coppice_tensor *b) {
    *a = *cop_in(call, 0);
    *b = *cop_in(call, 1);
    if (a->rank == 1) {
        a->rank = 2;
        a->dims[1] = a->dims[0];
        a->dims[0] = 1;
    }
    if (b->rank == 1) {
        b->rank = 2;
        b->dims[1] = 1;
    }
}

/* The batch dims of the result. */
static coppice_status batch_shape(const cop_call *call, const coppice_tensor *a,
                                  const coppice_tensor *b, coppice_tensor *batch) {
    coppice_tensor other = *b;
    *batch = *a;
    batch->rank -= 2;
    other.rank -= 2;
    return cop_broadcast(call, batch, &other);
}

static coppice_status matmul_infer(cop_call *call) {
    coppice_tensor a, b, shape;
    COP_TRY(cop_need_type(call, 1, 1u << cop_in(call, 0)->type));
    if (cop_in(call, 0)->rank == 0 || cop_in(call, 1)->rank == 0)
        return refuse_shapes(call);
    as_matrices(call, &a, &b);
    if (a.dims[a.rank - 1] != b.dims[b.rank - 2])
        return refuse_shapes(call);
    COP_TRY(batch_shape(call, &a, &b, &shape));
    if (cop_in(call, 0)->rank > 1)
        shape.dims[shape.rank++] = a.dims[a.rank - 2];
    if (cop_in(call, 1)->rank > 1)
        shape.dims[shape.rank++] = b.dims[b.rank - 1];
    COP_TRY(check_bias(call, &shape));
    const coppice_tensor *bias = cop_in(call, 2);
    if (bias && (bias->rank != 1 || cop_in(call, 1)->rank == 1))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "the bias '%s' is %s, expected one dimension",
                        cop_in_name(call, 2), cop_shape_text(bias).s);
    cop_set_out(call, 0, cop_in(call, 0)->type, shape.rank, shape.dims);
    return COPPICE_OK;
}

static coppice_status matmul_run(const cop_call *call) {
    coppice_tensor a, b, shape;
    as_matrices(call, &a, &b);
    COP_TRY(batch_shape(call, &a, &b, &shape));
    cop_product p = begin_product(call);
    p.rows = (size_t)a.dims[a.rank - 2];
    p.columns = (size_t)b.dims[b.rank - 1];
    p.reduction = (size_t)a.dims[a.rank - 1];
    p.rank = (int)shape.rank;
    if (b.rank == 2) { /* one matrix for all: the batch is more rows */
        p.rows *= (size_t)coppice_tensor_count(&shape);
        p.rank = 0;
    }
    cop_product_plain(&p, false, false);
    memcpy(p.batch, shape.dims, shape.rank * sizeof *shape.dims);
    cop_product_batch(&a, p.rank, p.a_batch);
    cop_product_batch(&b, p.rank, p.b_batch);
    return run_product(call, &p);
}

/* ---- rows of the operator table ---- */

#define MATRIX_TYPES (FLOATS | WIDE_INTEGERS)

/* clang-format off */
const cop_op cop_ops_matrix[] = {
    {.name = "Gemm", .since = 1, .until = 10, .min_inputs = 3, .max_inputs = 3, .max_outputs = 1,
     .types = MATRIX_TYPES, PARSE(gemm, cop_gemm_params), INFER(gemm), RUN(gemm)},
    {.name = "Gemm", .since = 11, .min_inputs = 2, .max_inputs = 3, .max_outputs = 1,
     .types = MATRIX_TYPES, PARSE(gemm, cop_gemm_params), INFER(gemm), RUN(gemm)},
    {.name = "MatMul", .since = 1, .min_inputs = 2, .max_inputs = 3, .max_outputs = 1,
     .types = MATRIX_TYPES, PARSE(matmul, cop_gemm_params), INFER(matmul), RUN(matmul)},
    {.name = NULL},
};
/* clang-format on */
