/* Matrix products in blocks: of floats by the kernels of the instruction set, of others by loops
 * that compilers vectorise. */
#include "runtime/ops/matrix/product.h"

#include <string.h>

#include "base/size.h"
#include "runtime/kernels/vector.h"
#include "runtime/ops/types.h"
#include "runtime/ops/util.h"
#include "runtime/parallel.h"

enum {
    ROW_BLOCK = 128,
    COLUMN_BLOCK = 384, /* a multiple of every tile */
    K_BLOCK = 128,      /* its tile of b stays in the first level cache */
    MAX_LANES = 16,
    MOST_COLUMNS = 96,     /* of a tile */
    MANY_ROWS = 24,        /* that turning b around pays for */
    TASK_WORK = 256 * 1024 /* multiply-accumulates that are worth a thread */
};

/* A block of one product of the batch: pointers to its first elements. */
typedef struct block {
    const cop_product *p;
    const cop_kernels *kernels;
    size_t rows, columns;
    const void *a, *b;
    void *out;
    size_t out_row;
} block;

/* ---- float, b's columns beside each other: rows of a times tiles of columns ---- */

/* Four rows of a beside each other, filled up with zeros. */
static void pack_rows(const block *u, size_t k0, size_t depth, float *restrict to) {
    const cop_product *p = u->p;
    for (size_t row = 0; row < u->rows; row += COP_GEMM_ROWS) {
        for (size_t r = 0; r < COP_GEMM_ROWS; r++) {
            if (row + r >= u->rows) {
                for (size_t k = 0; k < depth; k++)
                    to[k * COP_GEMM_ROWS + r] = 0;
                continue;
            }
            const float *from =
                (const float *)u->a + (int64_t)(row + r) * p->a_row + (int64_t)k0 * p->a_k;
            for (size_t k = 0; k < depth; k++)
                to[k * COP_GEMM_ROWS + r] = from[(int64_t)k * p->a_k];
        }
        to += depth * COP_GEMM_ROWS;
    }
}

/* The last columns, fewer than a vector: on copies as wide as one. */
static void narrow_tile(const block *u, cop_gemm_args args, size_t depth, size_t column,
                        const float *b, bool add) {
    float in[K_BLOCK * MAX_LANES], out[ROW_BLOCK * MAX_LANES];
    uint32_t offsets[K_BLOCK];
    size_t lanes = u->kernels->gemm_lanes, count = u->columns - column;
    for (size_t k = 0; k < depth; k++) {
        memcpy(in + k * lanes, b + (int64_t)k * u->p->b_k, count * sizeof *in);
        memset(in + k * lanes + count, 0, (lanes - count) * sizeof *in);
        offsets[k] = (uint32_t)(k * lanes * sizeof *in);
    }
    float *to = (float *)u->out + column;
    for (size_t m = 0; add && m < u->rows; m++) {
        memcpy(out + m * lanes, to + m * u->out_row, count * sizeof *out);
        memset(out + m * lanes + count, 0, (lanes - count) * sizeof *out);
    }
    args.input = (const char *)in;
    args.offsets = offsets;
    args.output = out;
    args.output_stride = lanes;
    u->kernels->gemm_f32[1](&args);
    for (size_t m = 0; m < u->rows; m++)
        memcpy(to + m * u->out_row, out + m * lanes, count * sizeof *out);
}

static const float zeros[ROW_BLOCK];

static void gemm_block(const block *u) {
    const cop_product *p = u->p;
    float weights[(ROW_BLOCK + COP_GEMM_ROWS) * K_BLOCK];
    uint32_t offsets[K_BLOCK];
    size_t lanes = u->kernels->gemm_lanes, most = u->kernels->gemm_max_vectors;
    for (size_t k0 = 0; k0 < p->reduction; k0 += K_BLOCK) {
        size_t depth = cop_smaller(p->reduction - k0, K_BLOCK);
        const float *b = (const float *)u->b + (int64_t)k0 * p->b_k;
        bool add = k0 > 0;
        pack_rows(u, k0, depth, weights);
        for (size_t k = 0; k < depth; k++)
            offsets[k] = (uint32_t)((size_t)p->b_k * k * sizeof *b);
        cop_gemm_args args = {.offsets = offsets,
                              .weights = weights,
                              .rows = u->rows,
                              .columns = depth,
                              .bias = add ? NULL : zeros,
                              .output_stride = u->out_row,
                              .min = -__builtin_inff(),
                              .max = __builtin_inff()};
        size_t column = 0;
        while (column + lanes <= u->columns) {
            size_t vectors = cop_smaller((u->columns - column) / lanes, most);
            args.input = (const char *)(b + column);
            args.output = (float *)u->out + column;
            u->kernels->gemm_f32[vectors](&args);
            column += vectors * lanes;
        }
        if (column < u->columns)
            narrow_tile(u, args, depth, column, b + column, add);
    }
}

/* ---- float, reductions beside each other ---- */

/* to[k][n] = from[n][k]: four by four, rows of `wide` floats. */
static void transpose(const float *from, size_t stride, size_t columns, size_t depth,
                      float *restrict to, size_t wide) {
    size_t n = 0;
    for (; n + COP_VECTOR_LANES <= columns; n += COP_VECTOR_LANES) {
        const float *r = from + n * stride;
        size_t k = 0;
        for (; k + COP_VECTOR_LANES <= depth; k += COP_VECTOR_LANES) {
            const cop_vector a = cop_vector_load(r + k), b = cop_vector_load(r + stride + k);
            const cop_vector c = cop_vector_load(r + 2 * stride + k);
            const cop_vector d = cop_vector_load(r + 3 * stride + k);
            const cop_vector ac = __builtin_shufflevector(a, c, 0, 4, 1, 5);
            const cop_vector bd = __builtin_shufflevector(b, d, 0, 4, 1, 5);
            const cop_vector ac2 = __builtin_shufflevector(a, c, 2, 6, 3, 7);
            const cop_vector bd2 = __builtin_shufflevector(b, d, 2, 6, 3, 7);
            const cop_vector out[] = {__builtin_shufflevector(ac, bd, 0, 4, 1, 5),
                                      __builtin_shufflevector(ac, bd, 2, 6, 3, 7),
                                      __builtin_shufflevector(ac2, bd2, 0, 4, 1, 5),
                                      __builtin_shufflevector(ac2, bd2, 2, 6, 3, 7)};
            for (size_t i = 0; i < COP_VECTOR_LANES; i++)
                memcpy(to + (k + i) * wide + n, &out[i], sizeof out[i]);
        }
        for (; k < depth; k++)
            for (size_t i = 0; i < COP_VECTOR_LANES; i++)
                to[k * wide + n + i] = r[i * stride + k];
    }
    for (; n < columns; n++)
        for (size_t k = 0; k < depth; k++)
            to[k * wide + n] = from[n * stride + k];
}

/* Many rows of a: tiles of b are turned around first. */
static void turned_block(const block *u) {
    const cop_product *p = u->p;
    float tile[K_BLOCK * MOST_COLUMNS], weights[(ROW_BLOCK + COP_GEMM_ROWS) * K_BLOCK];
    uint32_t offsets[K_BLOCK];
    const size_t lanes = u->kernels->gemm_lanes, most = u->kernels->gemm_max_vectors * lanes;
    for (size_t k0 = 0; k0 < p->reduction; k0 += K_BLOCK) {
        size_t depth = cop_smaller(p->reduction - k0, K_BLOCK);
        cop_gemm_args args = {.input = (const char *)tile,
                              .offsets = offsets,
                              .weights = weights,
                              .rows = u->rows,
                              .columns = depth,
                              .bias = k0 > 0 ? NULL : zeros,
                              .output_stride = u->out_row,
                              .min = -__builtin_inff(),
                              .max = __builtin_inff()};
        pack_rows(u, k0, depth, weights);
        for (size_t column = 0; column < u->columns; column += most) {
            size_t count = cop_smaller(u->columns - column, most), full = count / lanes;
            const float *b = (const float *)u->b + k0 + (int64_t)column * p->b_column;
            transpose(b, (size_t)p->b_column, count, depth, tile, most);
            for (size_t k = 0; k < depth; k++)
                offsets[k] = (uint32_t)(most * k * sizeof *tile);
            args.output = (float *)u->out + column;
            if (full)
                u->kernels->gemm_f32[full](&args);
            if (count > full * lanes) {
                block rest = *u;
                cop_product turned = *p;
                turned.b_k = (int64_t)most;
                rest.p = &turned;
                narrow_tile(&rest, args, depth, column + full * lanes, tile + full * lanes,
                            !args.bias);
            }
        }
    }
}

/* Few rows of a: rows of a times rows of b. */

static void dot_block(const block *u) {
    const cop_product *p = u->p;
    cop_dot_args args = {.a = u->a,
                         .b = u->b,
                         .a_stride = (size_t)p->a_row,
                         .b_stride = (size_t)p->b_column,
                         .rows = u->rows,
                         .columns = u->columns,
                         .reduction = p->reduction,
                         .out = u->out,
                         .out_stride = u->out_row};
    if (p->a_k == 1) {
        u->kernels->dot_f32(&args);
        return;
    }
    float copy[ROW_BLOCK * K_BLOCK];
    for (size_t k0 = 0; k0 < p->reduction; k0 += K_BLOCK) {
        args.reduction = cop_smaller(p->reduction - k0, K_BLOCK);
        for (size_t m = 0; m < u->rows; m++)
            for (size_t k = 0; k < args.reduction; k++)
                copy[m * K_BLOCK + k] =
                    ((const float *)u->a)[(int64_t)m * p->a_row + (int64_t)(k0 + k) * p->a_k];
        args.a = copy;
        args.a_stride = K_BLOCK;
        args.b = (const float *)u->b + k0;
        args.add = k0 > 0;
        u->kernels->dot_f32(&args);
    }
}

/* ---- any type ---- */

#define LOOPS(name, T)                                                                             \
    static void name##_block(const block *u) {                                                     \
        const cop_product *p = u->p;                                                               \
        for (size_t m = 0; m < u->rows; m++) {                                                     \
            const T *a = (const T *)u->a + (int64_t)m * p->a_row;                                  \
            T *restrict out = (T *)u->out + m * u->out_row;                                        \
            memset(out, 0, u->columns * sizeof *out);                                              \
            for (size_t k = 0; p->b_column == 1 && k < p->reduction; k++) {                        \
                const T x = a[(int64_t)k * p->a_k];                                                \
                const T *restrict b = (const T *)u->b + (int64_t)k * p->b_k;                       \
                for (size_t n = 0; n < u->columns; n++)                                            \
                    out[n] += x * b[n];                                                            \
            }                                                                                      \
            for (size_t n = 0; p->b_column != 1 && n < u->columns; n++) {                          \
                const T *b = (const T *)u->b + (int64_t)n * p->b_column;                           \
                T sum = 0;                                                                         \
                for (size_t k = 0; k < p->reduction; k++)                                          \
                    sum += a[(int64_t)k * p->a_k] * b[(int64_t)k * p->b_k];                        \
                out[n] += sum;                                                                     \
            }                                                                                      \
        }                                                                                          \
    }

/* Integers wrap around, so that unsigned arithmetic serves both. */
LOOPS(f32, float)
LOOPS(f64, double)
LOOPS(u32, uint32_t)
LOOPS(u64, uint64_t)

/* ---- alpha, beta, c, clamp ---- */

/* Products of integers with alpha and beta are rounded towards zero, as a cast does. S: what scales
 * are multiplied in, W: what is added in, as integers wrap around. */
#define FINISH(name, T, S, W)                                                                      \
    static void finish_##name(const block *u, const T *c) {                                        \
        const cop_product *p = u->p;                                                               \
        const S alpha = (S)p->alpha, beta = (S)p->beta, min = (S)p->min, max = (S)p->max;          \
        const bool clamped = p->min > -__builtin_inff() || p->max < __builtin_inff();              \
        for (size_t m = 0; m < u->rows; m++) {                                                     \
            T *restrict out = (T *)u->out + m * u->out_row;                                        \
            const T *row = c ? c + (int64_t)m * p->c_row : NULL;                                   \
            for (size_t n = 0; p->alpha != 1 && n < u->columns; n++)                               \
                out[n] = (T)(alpha * (S)out[n]);                                                   \
            for (size_t n = 0; c && p->beta == 1 && n < u->columns; n++)                           \
                out[n] = (T)((W)out[n] + (W)row[(int64_t)n * p->c_column]);                        \
            for (size_t n = 0; c && p->beta != 1 && n < u->columns; n++)                           \
                out[n] = (T)((W)out[n] + (W)(T)(beta * (S)row[(int64_t)n * p->c_column]));         \
            for (size_t n = 0; clamped && n < u->columns; n++) {                                   \
                T v = (S)out[n] < min ? (T)min : out[n];                                           \
                out[n] = (S)v > max ? (T)max : v;                                                  \
            }                                                                                      \
        }                                                                                          \
    }

FINISH(f32, float, float, float)
FINISH(f64, double, double, double)
FINISH(i32, int32_t, double, uint32_t)
FINISH(i64, int64_t, double, uint64_t)
FINISH(u32, uint32_t, double, uint32_t)
FINISH(u64, uint64_t, double, uint64_t)

static void finish_block(const block *u, size_t first_row, size_t first_column) {
    const cop_product *p = u->p;
    int64_t offset = (int64_t)first_row * p->c_row + (int64_t)first_column * p->c_column;
#define CASE(T, suffix, TYPE)                                                                      \
    case COPPICE_TYPE_##TYPE:                                                                      \
        finish_##suffix(u, p->c ? (const T *)p->c + offset : NULL);                                \
        break;
    switch ((int)p->type) { EACH_FLOAT(CASE) EACH_WIDE_INTEGER(CASE) }
#undef CASE
}

/* ---- blocks ---- */

static void float_block(const block *u) {
    const cop_product *p = u->p;
    bool close = (size_t)p->b_k <= UINT32_MAX / sizeof(float) / K_BLOCK;
    if (p->reduction == 0)
        f32_block(u);
    else if (p->b_k == 1 && p->b_column >= 0 && p->a_row >= 0)
        (u->rows >= MANY_ROWS ? turned_block : dot_block)(u);
    else if (p->b_column == 1 && p->b_k >= 0 && close && u->columns > 1)
        gemm_block(u);
    else
        f32_block(u);
}

typedef struct job {
    const cop_product *p;
    const cop_kernels *kernels;
    size_t row_blocks, column_blocks, column_block;
    size_t element;
} job;

static const char *moved(const void *from, int64_t elements, size_t size) {
    return (const char *)from + elements * (int64_t)size;
}

/* Items: [batch][block of rows][block of columns]. */
static void product_range(void *context, size_t begin, size_t end) {
    const job *j = context;
    const cop_product *p = j->p;
    size_t out_row = p->out_row ? (size_t)p->out_row : p->columns;
    for (size_t item = begin; item < end; item++) {
        size_t column = item % j->column_blocks * j->column_block;
        size_t rest = item / j->column_blocks, row = rest % j->row_blocks * ROW_BLOCK;
        size_t index = rest / j->row_blocks;
        int64_t a = (int64_t)row * p->a_row, b = (int64_t)column * p->b_column;
        int64_t out = (int64_t)((index * p->rows + row) * out_row + column);
        for (int d = p->rank; d-- > 0; index /= (size_t)p->batch[d]) {
            int64_t at = (int64_t)(index % (size_t)p->batch[d]);
            a += at * p->a_batch[d];
            b += at * p->b_batch[d];
        }
        block u = {.p = p,
                   .kernels = j->kernels,
                   .rows = cop_smaller(p->rows - row, ROW_BLOCK),
                   .columns = cop_smaller(p->columns - column, j->column_block),
                   .a = moved(p->a, a, j->element),
                   .b = moved(p->b, b, j->element),
                   .out = (char *)p->out + out * (int64_t)j->element,
                   .out_row = out_row};
        if (p->type == COPPICE_TYPE_FLOAT)
            float_block(&u);
        else if (p->type == COPPICE_TYPE_DOUBLE)
            f64_block(&u);
        else if (j->element == sizeof(uint32_t))
            u32_block(&u);
        else
            u64_block(&u);
        if (p->finish)
            finish_block(&u, row, column);
    }
}

void cop_product_plain(cop_product *p, bool a_transposed, bool b_transposed) {
    p->a_row = a_transposed ? 1 : (int64_t)p->reduction;
    p->a_k = a_transposed ? (int64_t)p->rows : 1;
    p->b_k = b_transposed ? 1 : (int64_t)p->columns;
    p->b_column = b_transposed ? (int64_t)p->reduction : 1;
}

void cop_product_batch(const coppice_tensor *t, int rank, int64_t *strides) {
    int64_t own[COPPICE_MAX_RANK];
    cop_plain_strides(t->rank, t->dims, own);
    cop_broadcast_strides((int)t->rank - 2, t->dims, own, rank, strides);
}

void cop_product_run(const cop_product *p, const cop_kernels *kernels,
                     const coppice_threadpool *pool) {
    job j = {.p = p,
             .kernels = kernels ? kernels : cop_kernels_of(COPPICE_ISA_SCALAR),
             .row_blocks = cop_divide_up(p->rows, ROW_BLOCK),
             .column_block = COLUMN_BLOCK};
    if (p->rows == 0 || p->columns == 0)
        return;
    j.column_blocks = cop_divide_up(p->columns, COLUMN_BLOCK);
    j.element = coppice_type_bits(p->type) / 8;
    size_t items = j.row_blocks * j.column_blocks;
    for (int d = 0; d < p->rank; d++)
        items *= (size_t)p->batch[d];
    size_t work = cop_smaller(p->rows, ROW_BLOCK) * cop_smaller(p->columns, COLUMN_BLOCK);
    work *= p->reduction + 1;
    cop_parallel_for(pool, items, TASK_WORK / work + 1, product_range, &j);
}
