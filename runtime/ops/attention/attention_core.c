/* Scaled dot-product attention in blocks of rows: scores, softmax, weighted sums. */
#include "runtime/ops/attention/attention.h"

#include <math.h>
#include <string.h>

#include "runtime/ops/vmath.h"

enum { LANES = 16 };

/* A block of rows of one head. */
typedef struct rows_block {
    const cop_attention *a;
    size_t batch, head, first, rows;
    char *scores; /* [rows][keys] */
    size_t keys;  /* of them are looked at: the rest is not seen by any row */
} rows_block;

void cop_attention_seen(const cop_attention *a, size_t batch, size_t row, int64_t *first,
                        int64_t *last) {
    int64_t keys = (int64_t)a->keys, offset = a->offset;
    *first = 0;
    *last = keys;
    if (a->valid) {
        int64_t valid = cop_tensor_get_int(a->valid, (int64_t)batch);
        *last = valid < keys ? valid : keys;
        if (a->offset_by_valid)
            offset = valid - (int64_t)a->rows;
    }
    int64_t position = offset + (int64_t)row;
    if (a->right >= 0 && a->right < keys && position + a->right + 1 < *last)
        *last = position + a->right + 1;
    if (a->left >= 0 && position - a->left > 0)
        *first = position - a->left;
    if (a->mask && a->mask_keys < *last)
        *last = a->mask_keys;
    if (*last < 0)
        *last = 0;
    if (*first > *last)
        *first = *last;
}

static size_t element_of(const cop_attention *a) {
    return a->type == COPPICE_TYPE_DOUBLE ? sizeof(double) : sizeof(float);
}

static const char *matrix_at(const cop_attention *a, const cop_attention_matrix *m, size_t batch,
                             size_t head, size_t row) {
    int64_t at = (int64_t)batch * m->strides[0] + (int64_t)head * m->strides[1] +
                 (int64_t)row * m->strides[2];
    return (const char *)m->data + at * (int64_t)element_of(a);
}

/* ---- steps ---- */

static void score(const rows_block *u) {
    const cop_attention *a = u->a;
    size_t kv_head = u->head / (a->heads / a->kv_heads);
    cop_product p = {.type = a->type,
                     .rows = u->rows,
                     .columns = u->keys,
                     .reduction = a->head,
                     .a_row = a->q.strides[2],
                     .a_k = 1,
                     .b_k = 1,
                     .b_column = a->k.strides[2],
                     .out_row = (int64_t)a->keys,
                     .a = matrix_at(a, &a->q, u->batch, u->head, u->first),
                     .b = matrix_at(a, &a->k, u->batch, kv_head, 0),
                     .out = u->scores,
                     .finish = true,
                     .alpha = a->scale,
                     .beta = 1,
                     .min = -INFINITY,
                     .max = INFINITY};
    cop_product_run(&p, a->kernels, NULL);
}

static void weighted_sum(const rows_block *u) {
    const cop_attention *a = u->a;
    size_t kv_head = u->head / (a->heads / a->kv_heads);
    cop_product p = {.type = a->type,
                     .rows = u->rows,
                     .columns = a->value_head,
                     .reduction = u->keys,
                     .a_row = (int64_t)a->keys,
                     .a_k = 1,
                     .b_k = a->v.strides[2],
                     .b_column = 1,
                     .out_row = a->y.strides[2],
                     .a = u->scores,
                     .b = matrix_at(a, &a->v, u->batch, kv_head, 0),
                     .out = (void *)matrix_at(a, &a->y, u->batch, u->head, u->first)};
    cop_product_run(&p, a->kernels, NULL);
}

/* Where the mask of a row begins, in elements. */
static int64_t mask_at(const rows_block *u, size_t row) {
    const int64_t *s = u->a->mask_strides;
    return (int64_t)u->batch * s[0] + (int64_t)u->head * s[1] + (int64_t)(u->first + row) * s[2];
}

/* Copies the rows as they are now to output qk. */
static void keep(const rows_block *u, cop_attention_mode mode) {
    const cop_attention *a = u->a;
    size_t size = a->keys * element_of(a);
    if (!a->qk || a->mode != mode)
        return;
    size_t row = (u->batch * a->heads + u->head) * a->rows + u->first;
    memcpy((char *)a->qk + row * size, u->scores, u->rows * size);
}

/* cap: scores to softcap * tanh(scores / softcap). bias: adds the mask, -inf for keys that are not
 * seen; a key that the mask hides is hidden whatever its score is. soften: softmax; a row that sees
 * nothing is all zeros. */
#define ROWS(name, T, EXP, TANH)                                                                   \
    static void cap_##name(const rows_block *u) {                                                  \
        const T cap = (T)u->a->softcap;                                                            \
        for (size_t row = 0; row < u->rows; row++) {                                               \
            T *restrict s = (T *)u->scores + row * u->a->keys;                                     \
            for (size_t i = 0; i < u->keys; i++)                                                   \
                s[i] = cap * TANH(s[i] / cap);                                                     \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    static void bias_##name(const rows_block *u) {                                                 \
        const cop_attention *a = u->a;                                                             \
        const int64_t step = a->mask_strides[3];                                                   \
        for (size_t row = 0; row < u->rows; row++) {                                               \
            T *restrict s = (T *)u->scores + row * a->keys;                                        \
            int64_t first, last;                                                                   \
            cop_attention_seen(a, u->batch, u->first + row, &first, &last);                        \
            for (int64_t i = 0; i < first; i++)                                                    \
                s[i] = -(T)INFINITY;                                                               \
            for (int64_t i = last; i < (int64_t)u->keys; i++)                                      \
                s[i] = -(T)INFINITY;                                                               \
            if (a->mask && a->mask->type == COPPICE_TYPE_BOOL) {                                   \
                const uint8_t *m = (const uint8_t *)a->mask->data + mask_at(u, row);               \
                for (int64_t i = first; i < last; i++)                                             \
                    s[i] = m[i * step] ? s[i] : -(T)INFINITY;                                      \
            } else if (a->mask) {                                                                  \
                const T *m = (const T *)a->mask->data + mask_at(u, row);                           \
                for (int64_t i = first; i < last; i++)                                             \
                    s[i] = m[i * step] == -(T)INFINITY ? -(T)INFINITY : s[i] + m[i * step];        \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    /* Sums and maxima in lanes of their own: one after another they would wait for each other. */ \
    static T most_##name(const T *s, size_t n) {                                                   \
        T lanes[LANES], most = -(T)INFINITY;                                                       \
        size_t i = 0;                                                                              \
        for (int l = 0; l < LANES; l++)                                                            \
            lanes[l] = most;                                                                       \
        for (; i + LANES <= n; i += LANES)                                                         \
            for (int l = 0; l < LANES; l++)                                                        \
                lanes[l] = s[i + (size_t)l] > lanes[l] ? s[i + (size_t)l] : lanes[l];              \
        for (; i < n; i++)                                                                         \
            most = s[i] > most ? s[i] : most;                                                      \
        for (int l = 0; l < LANES; l++)                                                            \
            most = lanes[l] > most ? lanes[l] : most;                                              \
        return most;                                                                               \
    }                                                                                              \
                                                                                                   \
    static T sum_##name(const T *s, size_t n) {                                                    \
        T lanes[LANES] = {0}, sum = 0;                                                             \
        size_t i = 0;                                                                              \
        for (; i + LANES <= n; i += LANES)                                                         \
            for (int l = 0; l < LANES; l++)                                                        \
                lanes[l] += s[i + (size_t)l];                                                      \
        for (; i < n; i++)                                                                         \
            sum += s[i];                                                                           \
        for (int l = 0; l < LANES; l++)                                                            \
            sum += lanes[l];                                                                       \
        return sum;                                                                                \
    }                                                                                              \
                                                                                                   \
    static void soften_##name(const rows_block *u) {                                               \
        for (size_t row = 0; row < u->rows && u->a->keys; row++) {                                 \
            T *restrict s = (T *)u->scores + row * u->a->keys;                                     \
            T most = most_##name(s, u->keys);                                                      \
            if (most == -(T)INFINITY)                                                              \
                most = 0;                                                                          \
            for (size_t i = 0; i < u->keys; i++)                                                   \
                s[i] = EXP(s[i] - most);                                                           \
            const T sum = sum_##name(s, u->keys);                                                  \
            const T by = sum == 0 && !u->a->nan_rows ? 1 : 1 / sum;                                \
            for (size_t i = 0; i < u->keys; i++)                                                   \
                s[i] *= by;                                                                        \
            memset(s + u->keys, 0, (u->a->keys - u->keys) * sizeof *s);                            \
        }                                                                                          \
    }

ROWS(f32, float, cop_expf, cop_tanhf)
ROWS(f64, double, exp, tanh)

static void normalize(const rows_block *u) {
    const cop_attention *a = u->a;
    bool wide = a->type == COPPICE_TYPE_DOUBLE;
    keep(u, COP_ATTENTION_RAW);
    if (a->softcap > 0)
        (wide ? cap_f64 : cap_f32)(u);
    keep(u, COP_ATTENTION_CAPPED);
    (wide ? bias_f64 : bias_f32)(u);
    keep(u, COP_ATTENTION_BIASED);
    (wide ? soften_f64 : soften_f32)(u);
    keep(u, COP_ATTENTION_SOFTMAX);
}

/* ---- blocks ---- */

typedef struct attention_job {
    const cop_attention *a;
    unsigned steps;
    size_t blocks, first; /* blocks of rows of a head; of the items that are done now */
} attention_job;

static size_t block_rows(const cop_attention *a) {
    return cop_smaller(a->rows, COP_ATTENTION_ROWS);
}

static void attention_range(void *context, size_t begin, size_t end) {
    const attention_job *j = context;
    const cop_attention *a = j->a;
    for (size_t i = begin; i < end; i++) {
        size_t item = j->first + i, head = item / j->blocks;
        rows_block u = {.a = a,
                        .batch = head / a->heads,
                        .head = head % a->heads,
                        .first = item % j->blocks * COP_ATTENTION_ROWS,
                        .keys = a->keys};
        u.rows = cop_smaller(a->rows - u.first, COP_ATTENTION_ROWS);
        size_t row = a->whole ? head * a->rows + u.first : i * block_rows(a);
        u.scores = (char *)a->scores + row * a->keys * element_of(a);
        if (!a->qk && !a->whole) {
            int64_t first, last;
            cop_attention_seen(a, u.batch, u.first + u.rows - 1, &first, &last);
            u.keys = (size_t)last;
        }
        if (j->steps & COP_ATTENTION_SCORE)
            score(&u);
        if (j->steps & COP_ATTENTION_NORMALIZE)
            normalize(&u);
        if (j->steps & COP_ATTENTION_SUM)
            weighted_sum(&u);
    }
}

size_t cop_attention_elements(const cop_attention *a) {
    size_t slots, heads, count;
    if (!cop_size_mul(a->batch, a->heads, &heads) ||
        !cop_size_mul(heads, cop_divide_up(a->rows, COP_ATTENTION_ROWS), &slots))
        return SIZE_MAX;
    slots = cop_smaller(slots, COP_ATTENTION_SLOTS);
    bool fits = a->whole ? cop_size_mul(heads, a->rows, &count)
                         : cop_size_mul(slots, block_rows(a), &count);
    return fits && cop_size_mul(count, a->keys, &count) ? count : SIZE_MAX;
}

void cop_attention_steps(const cop_attention *a, unsigned steps, const coppice_threadpool *pool) {
    attention_job j = {a, steps, cop_divide_up(a->rows, COP_ATTENTION_ROWS), 0};
    size_t items = a->batch * a->heads * j.blocks;
    for (; j.first < items; j.first += COP_ATTENTION_SLOTS) {
        size_t now = cop_smaller(items - j.first, COP_ATTENTION_SLOTS);
        cop_parallel_for(pool, now, 1, attention_range, &j);
    }
}

void cop_attention_run(const cop_attention *a, const coppice_threadpool *pool) {
    cop_attention_steps(a, COP_ATTENTION_SCORE | COP_ATTENTION_NORMALIZE | COP_ATTENTION_SUM, pool);
}
