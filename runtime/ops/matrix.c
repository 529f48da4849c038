/* Matrix products: Gemm, MatMul. */
#include <math.h>
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

enum { COLUMNS_PER_TASK = 256 };

coppice_status cop_activation_parse(const cop_call *call, float *min, float *max) {
    COP_TRY(cop_node_float(call->node, "activation_min", -INFINITY, min, call->err));
    return cop_node_float(call->node, "activation_max", INFINITY, max, call->err);
}

/* A batch of products [rows][reduction] x [reduction][columns]; strides in elements. */
typedef struct product {
    size_t rows, columns, reduction;
    int64_t a_row, a_k, b_k, b_column;
    int rank; /* batch dims */
    int64_t batch[COPPICE_MAX_RANK], a_batch[COPPICE_MAX_RANK], b_batch[COPPICE_MAX_RANK];
    const float *a, *b, *c; /* c: NULL or added, times beta */
    int64_t c_row, c_column;
    float alpha, beta, min, max;
    float *out;
} product;

/* out[first .. last) of one row, b being that of the first column. */
static void row_sums(const product *p, const float *a, const float *b, size_t count,
                     float *restrict out) {
    if (p->b_column != 1) {
        for (size_t n = 0; n < count; n++) {
            float sum = 0;
            for (size_t k = 0; k < p->reduction; k++)
                sum += a[(int64_t)k * p->a_k] * b[(int64_t)n * p->b_column + (int64_t)k * p->b_k];
            out[n] = sum;
        }
        return;
    }
    memset(out, 0, count * sizeof *out);
    for (size_t k = 0; k < p->reduction; k++) {
        float x = a[(int64_t)k * p->a_k];
        const float *restrict row = b + (int64_t)k * p->b_k;
        for (size_t n = 0; n < count; n++)
            out[n] += x * row[n];
    }
}

static void finish(const product *p, size_t row, size_t first, size_t count, float *restrict out) {
    for (size_t n = 0; n < count; n++) {
        float v = p->alpha * out[n];
        if (p->c)
            v += p->beta * p->c[(int64_t)row * p->c_row + (int64_t)(first + n) * p->c_column];
        v = v < p->min ? p->min : v;
        out[n] = v > p->max ? p->max : v;
    }
}

/* Items: [batch][row][block of columns]. */
static void product_range(void *context, size_t begin, size_t end) {
    const product *p = context;
    size_t blocks = (p->columns + COLUMNS_PER_TASK - 1) / COLUMNS_PER_TASK;
    for (size_t item = begin; item < end; item++) {
        size_t block = item % blocks, row = item / blocks % p->rows;
        size_t rest = item / blocks / p->rows;
        size_t first = block * COLUMNS_PER_TASK;
        size_t count =
            p->columns - first < COLUMNS_PER_TASK ? p->columns - first : COLUMNS_PER_TASK;
        const float *a = p->a + (int64_t)row * p->a_row;
        const float *b = p->b + (int64_t)first * p->b_column;
        float *out = p->out + (item / blocks) * p->columns + first;
        for (int d = p->rank; d-- > 0;) {
            int64_t index = (int64_t)(rest % (size_t)p->batch[d]);
            rest /= (size_t)p->batch[d];
            a += index * p->a_batch[d];
            b += index * p->b_batch[d];
        }
        row_sums(p, a, b, count, out);
        finish(p, row, first, count, out);
    }
}

static void run_product(const product *p, const coppice_threadpool *pool) {
    size_t items = p->rows * ((p->columns + COLUMNS_PER_TASK - 1) / COLUMNS_PER_TASK);
    for (int d = 0; d < p->rank; d++)
        items *= (size_t)p->batch[d];
    size_t width = p->columns < COLUMNS_PER_TASK ? p->columns : COLUMNS_PER_TASK;
    cop_parallel_for(pool, items, cop_grain(width * (p->reduction / 4 + 1)), product_range,
                     (void *)p);
}

/* ---- Gemm ---- */

static coppice_status gemm_parse(const cop_call *call, void *params) {
    cop_gemm_params *p = params;
    COP_TRY(cop_node_float(call->node, "alpha", 1, &p->alpha, call->err));
    COP_TRY(cop_node_float(call->node, "beta", 1, &p->beta, call->err));
    COP_TRY(cop_attr_bool(call, "transA", false, &p->transpose_a));
    COP_TRY(cop_attr_bool(call, "transB", false, &p->transpose_b));
    return cop_activation_parse(call, &p->activation_min, &p->activation_max);
}

static coppice_status refuse_shapes(const cop_call *call) {
    return cop_fail(call->err, COPPICE_BAD_MODEL, "'%s' %s and '%s' %s cannot be multiplied",
                    cop_in_name(call, 0), cop_shape_text(cop_in(call, 0)).s, cop_in_name(call, 1),
                    cop_shape_text(cop_in(call, 1)).s);
}

/* The bias must broadcast to `shape` and not the other way. */
static coppice_status check_bias(const cop_call *call, const coppice_tensor *shape) {
    const coppice_tensor *c = cop_in(call, 2);
    if (!c)
        return COPPICE_OK;
    COP_TRY(cop_need_type(call, 2, COP_TYPE_BIT(FLOAT)));
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
    COP_TRY(cop_need_type(call, 1, COP_TYPE_BIT(FLOAT)));
    COP_TRY(cop_need_rank(call, 0, 2));
    COP_TRY(cop_need_rank(call, 1, 2));
    if (a->dims[!p->transpose_a] != b->dims[p->transpose_b])
        return refuse_shapes(call);
    coppice_tensor shape = {.rank = 2, .dims = {a->dims[p->transpose_a], b->dims[!p->transpose_b]}};
    COP_TRY(check_bias(call, &shape));
    cop_set_out(call, 0, COPPICE_TYPE_FLOAT, 2, shape.dims);
    return COPPICE_OK;
}

/* Steps of the bias along rows and columns of the result. */
static void bias_steps(product *p, const coppice_tensor *c) {
    if (!c || p->beta == 0)
        return;
    int64_t columns = c->rank > 0 ? c->dims[c->rank - 1] : 1;
    int64_t rows = c->rank > 1 ? c->dims[c->rank - 2] : 1;
    p->c = c->data;
    p->c_column = columns == 1 ? 0 : 1;
    p->c_row = rows == 1 ? 0 : columns;
}

static coppice_status gemm_run(const cop_call *call) {
    const cop_gemm_params *g = call->params;
    const coppice_tensor *a = cop_in(call, 0), *b = cop_in(call, 1), *out = cop_out(call, 0);
    product p = {.rows = (size_t)out->dims[0],
                 .columns = (size_t)out->dims[1],
                 .reduction = (size_t)a->dims[!g->transpose_a],
                 .a_row = g->transpose_a ? 1 : a->dims[1],
                 .a_k = g->transpose_a ? a->dims[1] : 1,
                 .b_k = g->transpose_b ? 1 : b->dims[1],
                 .b_column = g->transpose_b ? b->dims[1] : 1,
                 .a = a->data,
                 .b = b->data,
                 .alpha = g->alpha,
                 .beta = g->beta,
                 .min = g->activation_min,
                 .max = g->activation_max,
                 .out = out->data};
    bias_steps(&p, cop_in(call, 2));
    run_product(&p, call->pool);
    return COPPICE_OK;
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
    COP_TRY(cop_need_type(call, 1, COP_TYPE_BIT(FLOAT)));
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
    cop_set_out(call, 0, COPPICE_TYPE_FLOAT, shape.rank, shape.dims);
    return COPPICE_OK;
}

/* Strides over the batch dims of the result, 0 where the operand repeats. */
static void batch_strides(const coppice_tensor *t, int rank, int64_t *out) {
    int64_t strides[COPPICE_MAX_RANK];
    cop_plain_strides(t->rank, t->dims, strides);
    int lead = rank - (int)(t->rank - 2);
    for (int d = 0; d < rank; d++)
        out[d] = d < lead || t->dims[d - lead] == 1 ? 0 : strides[d - lead];
}

static coppice_status matmul_run(const cop_call *call) {
    const cop_gemm_params *g = call->params;
    coppice_tensor a, b, shape;
    as_matrices(call, &a, &b);
    COP_TRY(batch_shape(call, &a, &b, &shape));
    product p = {.rows = (size_t)a.dims[a.rank - 2],
                 .columns = (size_t)b.dims[b.rank - 1],
                 .reduction = (size_t)a.dims[a.rank - 1],
                 .a_row = a.dims[a.rank - 1],
                 .a_k = 1,
                 .b_k = b.dims[b.rank - 1],
                 .b_column = 1,
                 .rank = (int)shape.rank,
                 .a = a.data,
                 .b = b.data,
                 .alpha = g->alpha,
                 .beta = g->beta,
                 .min = g->activation_min,
                 .max = g->activation_max,
                 .out = cop_out(call, 0)->data};
    memcpy(p.batch, shape.dims, shape.rank * sizeof *shape.dims);
    batch_strides(&a, p.rank, p.a_batch);
    batch_strides(&b, p.rank, p.b_batch);
    bias_steps(&p, cop_in(call, 2));
    run_product(&p, call->pool);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_matrix[] = {
    {.name = "Gemm", .since = 1, .until = 10, .min_inputs = 3, .max_inputs = 3, .max_outputs = 1,
     .types = F32, PARSE(gemm, cop_gemm_params), INFER(gemm), RUN(gemm)},
    {.name = "Gemm", .since = 11, .min_inputs = 2, .max_inputs = 3, .max_outputs = 1, .types = F32,
     PARSE(gemm, cop_gemm_params), INFER(gemm), RUN(gemm)},
    {.name = "MatMul", .since = 1, .min_inputs = 2, .max_inputs = 3, .max_outputs = 1, .types = F32,
     PARSE(matmul, cop_gemm_params), INFER(matmul), RUN(matmul)},
    {.name = NULL},
};
/* clang-format on */
