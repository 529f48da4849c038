/* Matrix products and convolutions of small integers: MatMulInteger, ConvInteger, QLinearMatMul,
 * QLinearConv. Operands less their zero points are whole floats of up to 255: sums of 256 products
 * are exact, and floats multiply fast; from there on sums are int32. */
#include <math.h>
#include <string.h>

#include "runtime/ops/image/patches.h"
#include "runtime/ops/matrix/product.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

#define BYTES (COP_TYPE_BIT(INT8) | COP_TYPE_BIT(UINT8))

/* Which inputs of an operator are what; -1: it has none such. */
typedef struct roles {
    int a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero, bias;
} roles;

static const roles plain_roles = {0, -1, 2, 1, -1, 3, -1, -1, -1};
static const roles quantized_roles = {0, 1, 2, 3, 4, 5, 6, 7, 8};

static const coppice_tensor *input(const cop_call *call, int i) {
    return i < 0 ? NULL : cop_in(call, i);
}

static size_t count_of(const coppice_tensor *t) {
    return t ? (size_t)coppice_tensor_count(t) : 1;
}

/* ---- numbers along an axis ---- */

/* One for all, or one for each of `wanted` rows, columns or channels; in all batches when `batched`
 * has more. */
static coppice_status check_along(const cop_call *call, int i, size_t wanted, size_t batched) {
    const coppice_tensor *t = input(call, i);
    size_t count = count_of(t);
    if (count == 1 || count == wanted || count == batched)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "input %d ('%s') is %s, expected one number or %zu", i, cop_in_name(call, i),
                    cop_shape_text(t).s, wanted);
}

static int32_t zero_at(const coppice_tensor *t, size_t index) {
    return t ? (int32_t)cop_tensor_get_int(t, (int64_t)(index % count_of(t))) : 0;
}

static float scale_at(const coppice_tensor *t, size_t index) {
    return t ? (float)cop_tensor_get(t, (int64_t)(index % count_of(t))) : 1;
}

/* to[i] = from[i] - zero, for `n` elements from `first` on. */
static void centre_run(const coppice_tensor *from, size_t first, size_t n, int32_t zero,
                       float *to) {
    if (from->type == COPPICE_TYPE_INT8) {
        for (size_t i = 0; i < n; i++)
            to[i] = (float)(((const int8_t *)from->data)[first + i] - zero);
    } else {
        for (size_t i = 0; i < n; i++)
            to[i] = (float)(((const uint8_t *)from->data)[first + i] - zero);
    }
}

/* Rows of `n` elements, each less its zero point. */
static void centre_rows(const coppice_tensor *from, const coppice_tensor *zero, size_t rows,
                        size_t n, float *to) {
    for (size_t r = 0; r < rows; r++)
        centre_run(from, r * n, n, zero_at(zero, r), to + r * n);
}

/* Matrices [reduction][columns], each column less its zero point. */
static void centre_columns(const coppice_tensor *from, const coppice_tensor *zero, size_t batch,
                           size_t reduction, size_t columns, float *to) {
    if (count_of(zero) == 1) {
        centre_run(from, 0, batch * reduction * columns, zero_at(zero, 0), to);
        return;
    }
    for (size_t row = 0; row < batch * reduction; row++) {
        for (size_t n = 0; n < columns; n++)
            centre_run(from, row * columns + n, 1, zero_at(zero, row / reduction * columns + n),
                       to + row * columns + n);
    }
}

enum { EXACT_PRODUCTS = 256 }; /* 256 * 255 * 255 is below 2^24 */

/* sums = the product, exactly; both have `count` elements, as `part` has. */
static void multiply(const cop_call *call, cop_product p, size_t count, float *part,
                     int32_t *sums) {
    size_t reduction = p.reduction, done = 0;
    const float *a = p.a, *b = p.b;
    p.out = part;
    do {
        p.a = a + (int64_t)done * p.a_k;
        p.b = b + (int64_t)done * p.b_k;
        p.reduction = cop_smaller(reduction - done, EXACT_PRODUCTS);
        cop_product_run(&p, call->kernels, call->pool);
        for (size_t i = 0; i < count; i++) {
            uint32_t before = done ? (uint32_t)sums[i] : 0;
            sums[i] = (int32_t)(before + (uint32_t)(int32_t)part[i]);
        }
        done += p.reduction;
    } while (done < reduction);
}

/* `n` sums times a factor, rounded to nearest even, plus the zero point, as int8 or uint8. */
static void requantize(const int32_t *sums, size_t n, float factor, int32_t zero, bool is_signed,
                       void *to) {
    float low = (float)((is_signed ? -128 : 0) - zero),
          high = (float)((is_signed ? 127 : 255) - zero);
    for (size_t i = 0; i < n; i++) {
        float q = (float)sums[i] * factor;
        q = q > low ? q : low;
        q = q < high ? q : high;
        ((uint8_t *)to)[i] = (uint8_t)((int32_t)((q + 12582912.0f) - 12582912.0f) + zero);
    }
}

static coppice_status check_types(const cop_call *call, const roles *r) {
    COP_TRY(cop_need_type(call, r->b, BYTES));
    if (input(call, r->a_zero))
        COP_TRY(cop_need_type(call, r->a_zero, 1u << cop_in(call, r->a)->type));
    if (input(call, r->b_zero))
        COP_TRY(cop_need_type(call, r->b_zero, 1u << cop_in(call, r->b)->type));
    for (int i = 0; r->a_scale >= 0 && i < 3; i++)
        COP_TRY(cop_need_type(call, (int[]){r->a_scale, r->b_scale, r->y_scale}[i], F32));
    return r->y_zero < 0 ? COPPICE_OK : cop_need_type(call, r->y_zero, BYTES);
}

static void set_result(cop_call *call, const roles *r, uint32_t rank, const int64_t *dims) {
    coppice_type type = r->y_zero < 0 ? COPPICE_TYPE_INT32 : cop_in(call, r->y_zero)->type;
    cop_set_out(call, 0, type, rank, dims);
    call->out[0].narrow = type;
}

/* ---- matrix products ---- */

typedef struct matrices {
    coppice_tensor a, b, batch; /* as matrices with batch dims; the batch dims of the result */
    size_t rows, columns, reduction, a_batch, b_batch, y_batch;
} matrices;

static coppice_status resolve_matrices(const cop_call *call, const roles *r, matrices *m) {
    m->a = *cop_in(call, r->a);
    m->b = *cop_in(call, r->b);
    if (m->a.rank == 1) {
        m->a = (coppice_tensor){m->a.type, 2, {1, m->a.dims[0]}, m->a.data};
    }
    if (m->b.rank == 1)
        m->b = (coppice_tensor){m->b.type, 2, {m->b.dims[0], 1}, m->b.data};
    if (m->a.rank < 2 || m->b.rank < 2 || m->a.dims[m->a.rank - 1] != m->b.dims[m->b.rank - 2])
        return cop_fail(call->err, COPPICE_BAD_MODEL, "%s times %s does not fit",
                        cop_shape_text(cop_in(call, r->a)).s, cop_shape_text(cop_in(call, r->b)).s);
    m->rows = (size_t)m->a.dims[m->a.rank - 2];
    m->reduction = (size_t)m->a.dims[m->a.rank - 1];
    m->columns = (size_t)m->b.dims[m->b.rank - 1];
    coppice_tensor other = m->b, left = m->a;
    left.rank -= 2;
    other.rank -= 2;
    m->batch = left;
    m->a_batch = count_of(&left);
    m->b_batch = count_of(&other);
    COP_TRY(cop_broadcast(call, &m->batch, &other));
    m->y_batch = count_of(&m->batch);
    return COPPICE_OK;
}

static coppice_status infer_matmul(cop_call *call, const roles *r) {
    matrices m;
    COP_TRY(check_types(call, r));
    COP_TRY(resolve_matrices(call, r, &m));
    COP_TRY(check_along(call, r->a_zero, m.rows, m.rows * m.a_batch));
    COP_TRY(check_along(call, r->b_zero, m.columns, m.columns * m.b_batch));
    if (r->a_scale >= 0) {
        COP_TRY(check_along(call, r->a_scale, m.rows, m.rows));
        COP_TRY(check_along(call, r->b_scale, m.columns, m.columns));
        COP_TRY(check_along(call, r->y_scale, m.rows, m.rows));
        COP_TRY(check_along(call, r->y_zero, m.rows, m.rows));
    }
    coppice_tensor shape = m.batch;
    if (cop_in(call, r->a)->rank > 1)
        shape.dims[shape.rank++] = (int64_t)m.rows;
    if (cop_in(call, r->b)->rank > 1)
        shape.dims[shape.rank++] = (int64_t)m.columns;
    set_result(call, r, shape.rank, shape.dims);
    return COPPICE_OK;
}

static size_t matmul_scratch(const cop_call *call, const roles *r) {
    size_t a = count_of(cop_in(call, r->a)), b = count_of(cop_in(call, r->b)), total = a;
    size_t sums = count_of(cop_out(call, 0)) * (r->y_zero < 0 ? 1 : 2); /* and parts of them */
    bool fits = cop_size_add(total, b, &total) && cop_size_add(total, sums, &total) &&
                cop_size_mul(total, sizeof(float), &total);
    return fits ? total : SIZE_MAX / 4;
}

static void requantize_matrix(const cop_call *call, const roles *r, const matrices *m,
                              const int32_t *sums) {
    const coppice_tensor *y = cop_out(call, 0), *b_scale = cop_in(call, r->b_scale);
    bool is_signed = y->type == COPPICE_TYPE_INT8, one = count_of(b_scale) == 1;
    size_t run = one ? m->columns : 1;
    for (size_t row = 0; row < m->y_batch * m->rows; row++) {
        size_t at = row % m->rows;
        float a = scale_at(cop_in(call, r->a_scale), at);
        float y_scale = scale_at(cop_in(call, r->y_scale), at);
        int32_t zero = zero_at(cop_in(call, r->y_zero), at);
        for (size_t n = 0; n < m->columns; n += run)
            requantize(sums + row * m->columns + n, run, a * scale_at(b_scale, n) / y_scale, zero,
                       is_signed, (uint8_t *)y->data + row * m->columns + n);
    }
}

static coppice_status run_matmul(const cop_call *call, const roles *r) {
    matrices m;
    COP_TRY(resolve_matrices(call, r, &m));
    size_t count = count_of(cop_out(call, 0));
    float *a = call->scratch, *b = a + count_of(&m.a), *part = b + count_of(&m.b);
    int32_t *sums = r->y_zero < 0 ? cop_out(call, 0)->data : (void *)(part + count);
    centre_rows(&m.a, input(call, r->a_zero), m.a_batch * m.rows, m.reduction, a);
    centre_columns(&m.b, input(call, r->b_zero), m.b_batch, m.reduction, m.columns, b);
    cop_product p = {.type = COPPICE_TYPE_FLOAT,
                     .rows = m.rows,
                     .columns = m.columns,
                     .reduction = m.reduction,
                     .rank = (int)m.batch.rank,
                     .a = a,
                     .b = b};
    cop_product_plain(&p, false, false);
    memcpy(p.batch, m.batch.dims, m.batch.rank * sizeof *p.batch);
    cop_product_batch(&m.a, p.rank, p.a_batch);
    cop_product_batch(&m.b, p.rank, p.b_batch);
    multiply(call, p, count, part, sums);
    if (r->y_zero >= 0)
        requantize_matrix(call, r, &m, sums);
    return COPPICE_OK;
}

/* ---- convolutions ---- */

enum { TILE_BYTES = 1 << 20, LEAST_TILE = 384 };

typedef struct geometry {
    cop_patches patches;
    size_t batch, groups, channels, rows; /* input and output channels of a group */
    size_t taps, pixels, places, tile;    /* places whose patches are made at a time */
} geometry;

static coppice_status intconv_parse(const cop_call *call, void *params) {
    cop_conv_params *p = params;
    COP_TRY(cop_window_parse(call, &p->window));
    COP_TRY(cop_node_int(call->node, "group", 1, &p->group, call->err));
    if (p->group >= 1 && p->group <= INT32_MAX)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'group' is %lld", (long long)p->group);
}

static coppice_status resolve_conv(const cop_call *call, const roles *r, geometry *g) {
    const cop_conv_params *p = call->params;
    const coppice_tensor *x = cop_in(call, r->a), *w = cop_in(call, r->b);
    cop_window window;
    if (x->rank < 3 || w->rank != x->rank || x->dims[1] % p->group ||
        x->dims[1] / p->group != w->dims[1] || w->dims[0] % p->group)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "input '%s' is %s, which does not fit the weight %s in %lld groups",
                        cop_in_name(call, r->a), cop_shape_text(x).s, cop_shape_text(w).s,
                        (long long)p->group);
    COP_TRY(cop_window_resolve(&p->window, x, w->dims + 2, &window, call->err));
    *g = (geometry){.batch = (size_t)x->dims[0],
                    .groups = (size_t)p->group,
                    .channels = (size_t)w->dims[1],
                    .rows = (size_t)(w->dims[0] / p->group)};
    g->patches.spatial = window.spatial;
    for (uint32_t i = 0; i < window.spatial; i++) {
        g->patches.image[i] = window.in[i];
        g->patches.kernel[i] = window.kernel[i];
        g->patches.count[i] = window.out[i];
        g->patches.stride[i] = window.stride[i];
        g->patches.dilation[i] = window.dilation[i];
        g->patches.begin[i] = window.pad_begin[i];
    }
    g->taps = cop_patches_taps(&g->patches);
    g->pixels = cop_patches_pixels(&g->patches);
    g->places = cop_patches_places(&g->patches);
    size_t row = g->channels * g->taps * sizeof(float);
    size_t tile = TILE_BYTES / (row ? row : 1) / LEAST_TILE * LEAST_TILE;
    g->tile = cop_smaller(g->places, tile ? tile : LEAST_TILE);
    return COPPICE_OK;
}

static coppice_status infer_conv(cop_call *call, const roles *r) {
    geometry g;
    COP_TRY(check_types(call, r));
    COP_TRY(resolve_conv(call, r, &g));
    const coppice_tensor *x = cop_in(call, r->a), *bias = input(call, r->bias);
    size_t channels = g.groups * g.rows;
    COP_TRY(check_along(call, r->a_zero, 1, 1));
    COP_TRY(check_along(call, r->b_zero, channels, channels));
    if (r->a_scale >= 0) {
        COP_TRY(check_along(call, r->a_scale, 1, 1));
        COP_TRY(check_along(call, r->b_scale, channels, channels));
        COP_TRY(check_along(call, r->y_scale, 1, 1));
        COP_TRY(check_along(call, r->y_zero, 1, 1));
    }
    if (bias) {
        COP_TRY(cop_need_type(call, r->bias, COP_TYPE_BIT(INT32)));
        COP_TRY(check_along(call, r->bias, channels, channels));
    }
    int64_t dims[COPPICE_MAX_RANK] = {x->dims[0], (int64_t)channels};
    for (uint32_t i = 0; i < g.patches.spatial; i++)
        dims[2 + i] = g.patches.count[i];
    set_result(call, r, x->rank, dims);
    return COPPICE_OK;
}

/* Weights, one group of an image, its patches, their products in part and in all. */
static size_t conv_scratch(const cop_call *call, const roles *r) {
    geometry g;
    size_t patches, sums, image, total;
    if (resolve_conv(call, r, &g))
        return 0;
    bool fits = cop_size_mul(g.channels * g.taps, g.tile, &patches) &&
                cop_size_mul(2 * g.rows, g.tile, &sums) &&
                cop_size_mul(g.channels, g.pixels, &image) && cop_size_add(patches, sums, &total) &&
                cop_size_add(total, image, &total) &&
                cop_size_add(total, count_of(cop_in(call, r->b)), &total) &&
                cop_size_mul(total, sizeof(float), &total);
    return fits && total < SIZE_MAX / 4 ? total : SIZE_MAX / 4;
}

/* The sums of a tile go where they belong. */
static void finish_tile(const cop_call *call, const roles *r, const geometry *g, size_t group,
                        size_t n, int32_t *sums, size_t to) {
    const coppice_tensor *y = cop_out(call, 0), *bias = input(call, r->bias);
    for (size_t row = 0; row < g->rows; row++) {
        size_t channel = group * g->rows + row, at = to + row * g->places;
        if (r->y_zero < 0) {
            memcpy((int32_t *)y->data + at, sums + row * n, n * sizeof *sums);
            continue;
        }
        float factor = scale_at(cop_in(call, r->a_scale), 0) *
                       scale_at(cop_in(call, r->b_scale), channel) /
                       scale_at(cop_in(call, r->y_scale), 0);
        int32_t *own = sums + row * n, more = bias ? zero_at(bias, channel) : 0;
        for (size_t i = 0; more && i < n; i++)
            own[i] = (int32_t)((uint32_t)own[i] + (uint32_t)more);
        requantize(own, n, factor, zero_at(cop_in(call, r->y_zero), 0),
                   y->type == COPPICE_TYPE_INT8, (uint8_t *)y->data + at);
    }
}

static coppice_status run_conv(const cop_call *call, const roles *r) {
    geometry g;
    COP_TRY(resolve_conv(call, r, &g));
    const coppice_tensor *x = cop_in(call, r->a), *w = cop_in(call, r->b);
    size_t reduction = g.channels * g.taps, image = g.channels * g.pixels;
    float *weights = call->scratch, *pixels = weights + count_of(w), *columns = pixels + image;
    float *part = columns + reduction * g.tile;
    int32_t *sums = (void *)(part + g.rows * g.tile);
    centre_rows(w, input(call, r->b_zero), g.groups * g.rows, reduction, weights);
    for (size_t i = 0; i < g.batch * g.groups; i++) {
        size_t group = i % g.groups;
        centre_run(x, i * image, image, zero_at(input(call, r->a_zero), 0), pixels);
        for (size_t first = 0; first < g.places; first += g.tile) {
            size_t n = cop_smaller(g.tile, g.places - first);
            cop_patches_take(&g.patches, sizeof *pixels, g.channels, first, first + n, pixels,
                             columns, call->pool);
            cop_product p = {.type = COPPICE_TYPE_FLOAT,
                             .rows = g.rows,
                             .columns = n,
                             .reduction = reduction,
                             .a = weights + group * g.rows * reduction,
                             .b = columns};
            cop_product_plain(&p, false, false);
            multiply(call, p, g.rows * n, part, sums);
            finish_tile(call, r, &g, group, n, sums, i * g.rows * g.places + first);
        }
    }
    return COPPICE_OK;
}

/* ---- the operators: the same with other inputs ---- */

#define OPERATOR(op, kind, which)                                                                  \
    static coppice_status op##_infer(cop_call *call) {                                             \
        return infer_##kind(call, &which);                                                         \
    }                                                                                              \
    static coppice_status op##_run(const cop_call *call) {                                         \
        return run_##kind(call, &which);                                                           \
    }                                                                                              \
    static size_t op##_scratch(const cop_call *call) {                                             \
        return kind##_scratch(call, &which);                                                       \
    }

OPERATOR(convinteger, conv, plain_roles)
OPERATOR(matmulinteger, matmul, plain_roles)
OPERATOR(qlinearconv, conv, quantized_roles)
OPERATOR(qlinearmatmul, matmul, quantized_roles)

/* ---- rows of the operator table ---- */

/* clang-format off */
#define SUMS(op) INFER(op), RUN(op), .scratch = op##_scratch, .max_outputs = 1, .types = BYTES

const cop_op cop_ops_integer[] = {
    {.name = "ConvInteger", .since = 10, .min_inputs = 2, .max_inputs = 4,
     PARSE(intconv, cop_conv_params), SUMS(convinteger)},
    {.name = "MatMulInteger", .since = 10, .min_inputs = 2, .max_inputs = 4, SUMS(matmulinteger)},
    {.name = "QLinearConv", .since = 10, .min_inputs = 8, .max_inputs = 9,
     PARSE(intconv, cop_conv_params), SUMS(qlinearconv)},
    {.name = "QLinearMatMul", .since = 10, .min_inputs = 8, .max_inputs = 8, SUMS(qlinearmatmul)},
    {.name = NULL},
};
/* clang-format on */
