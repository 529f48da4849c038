/* Attention with queries as lanes: scores lie as [key][queries], so that keys and values are
 * broadcast as they are, wherever they lie, and softmax never sums across lanes. A unit of work is
 * up to 64 queries of one head:
 *
 *     scores[key][query] = sum over d of K[key][d] * (scale * Q[query][d])
 *     softmax down the keys
 *     out[d][query] = sum over keys of V[key][d] * scores[key][query]
 */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "runtime/ops/attention/attention.h"

enum { LANES = COP_ATTN_LANES, VECTOR = COP_ATTN_VECTOR, ALIGN = 16 /* floats */, LEAST_ROWS = 6 };

/* A unit: queries [first, first + rows) of a head, in `lanes` lanes; of the keys [begin, end) are
 * looked at. */
typedef struct unit {
    const cop_attention *a;
    const cop_kernels *kernels;
    size_t batch, head, kv_head, first, rows, lanes;
    size_t begin, end;
    float *q, *scores, *out, *bias; /* [head][lanes], [keys][lanes], [value_head][lanes], [keys] */
    float inverse[LANES];           /* 1 / the sum of each query's scores */
} unit;

/* Rows [row, row + count) of a matrix that lie evenly: element d of row i is at
 * data[i * row_step + d * element_step]. */
typedef struct stretch {
    float *data;
    size_t row_step, element_step, count;
} stretch;

static stretch stretch_of(const cop_attention_matrix *m, size_t batch, size_t head, size_t size,
                          size_t row, size_t most) {
    if (!m->tile) {
        int64_t at = (int64_t)batch * m->strides[0] + (int64_t)head * m->strides[1] +
                     (int64_t)row * m->strides[2];
        return (stretch){(float *)m->data + at, (size_t)m->strides[2], 1, most};
    }
    size_t position = batch * m->sequence + row, lane = position % m->tile;
    size_t channel = position / m->tile * m->channels + head * size;
    return (stretch){(float *)m->data + channel * m->tile + lane, 1, m->tile,
                     cop_smaller(m->tile - lane, most)};
}

/* ---- steps ---- */

/* Queries into lanes, scaled. Lanes without one are 0. */
static void load_queries(const unit *u) {
    const cop_attention *a = u->a;
    const float scale = (float)(a->softcap > 0 ? a->scale / a->softcap : a->scale);
    for (size_t i = 0; i < u->rows;) {
        stretch s = stretch_of(&a->q, u->batch, u->head, a->head, u->first + i, u->rows - i);
        for (size_t d = 0; d < a->head; d++) {
            const float *from = s.data + d * s.element_step;
            float *to = u->q + d * u->lanes + i;
            if (s.row_step == 1)
                for (size_t k = 0; k < s.count; k++)
                    to[k] = scale * from[k];
            else
                for (size_t k = 0; k < s.count; k++)
                    to[k] = scale * from[k * s.row_step];
        }
        i += s.count;
    }
    for (size_t d = 0; d < a->head && u->rows < u->lanes; d++)
        memset(u->q + d * u->lanes + u->rows, 0, (u->lanes - u->rows) * sizeof(float));
}

static void score(const unit *u) {
    const cop_attention *a = u->a;
    for (size_t key = u->begin; key < u->end;) {
        stretch s = stretch_of(&a->k, u->batch, u->kv_head, a->head, key, u->end - key);
        cop_attn_args args = {.a = s.data,
                              .a_row = s.row_step,
                              .a_k = s.element_step,
                              .x = u->q,
                              .x_k = u->lanes,
                              .out = u->scores + (key - u->begin) * u->lanes,
                              .out_row = u->lanes,
                              .rows = s.count,
                              .reduction = a->head,
                              .lanes = u->lanes};
        u->kernels->attn_f32(&args);
        key += s.count;
    }
}

static void cap(const unit *u) {
    const float by = (float)u->a->softcap;
    size_t n = (u->end - u->begin) * u->lanes;
    u->kernels->map_f32[COP_MAP_tanh](u->scores, u->scores, n, 0, 0);
    for (size_t i = 0; i < n; i++)
        u->scores[i] *= by;
}

/* Keys that some of the queries do not see. */
static void hide_keys(const unit *u) {
    for (size_t lane = 0; lane < u->rows; lane++) {
        int64_t first, last;
        cop_attention_seen(u->a, u->batch, u->first + lane, &first, &last);
        for (size_t key = u->begin; (int64_t)key < first && key < u->end; key++)
            u->scores[(key - u->begin) * u->lanes + lane] = -INFINITY;
        for (size_t key = (size_t)last < u->begin ? u->begin : (size_t)last; key < u->end; key++)
            u->scores[(key - u->begin) * u->lanes + lane] = -INFINITY;
    }
}

/* A mask of its own for each query: a few keys at a time, as it is turned on the way. */
static void mask_queries(const unit *u) {
    const cop_attention *a = u->a;
    const int64_t *s = a->mask_strides;
    const bool flags = a->mask->type == COPPICE_TYPE_BOOL;
    for (size_t key = u->begin; key < u->end; key += VECTOR) {
        size_t keys = cop_smaller(u->end - key, VECTOR);
        for (size_t lane = 0; lane < u->rows; lane++) {
            int64_t at = (int64_t)u->batch * s[0] + (int64_t)u->head * s[1] +
                         (int64_t)(u->first + lane) * s[2] + (int64_t)key * s[3];
            float *to = u->scores + (key - u->begin) * u->lanes + lane;
            const uint8_t *flag = (const uint8_t *)a->mask->data + at;
            const float *add = (const float *)a->mask->data + at;
            for (size_t i = 0; flags && i < keys; i++)
                to[i * u->lanes] = flag[(int64_t)i * s[3]] ? to[i * u->lanes] : -INFINITY;
            for (size_t i = 0; !flags && i < keys; i++) {
                float x = add[(int64_t)i * s[3]];
                to[i * u->lanes] = x == -INFINITY ? x : to[i * u->lanes] + x;
            }
        }
    }
}

/* The mask of all queries together, one number for each key; NULL: there is none. */
static const float *mask_of_keys(const unit *u) {
    const cop_attention *a = u->a;
    const int64_t *s = a->mask_strides;
    if (!a->mask || s[2] != 0)
        return NULL;
    int64_t at = (int64_t)u->batch * s[0] + (int64_t)u->head * s[1] + (int64_t)u->begin * s[3];
    for (size_t i = 0; i < u->end - u->begin; i++, at += s[3])
        u->bias[i] = a->mask->type != COPPICE_TYPE_BOOL     ? ((const float *)a->mask->data)[at]
                     : ((const uint8_t *)a->mask->data)[at] ? 0
                                                            : -INFINITY;
    return u->bias;
}

static void weighted_sum(const unit *u) {
    const cop_attention *a = u->a;
    if (u->begin == u->end)
        memset(u->out, 0, a->value_head * u->lanes * sizeof(float));
    for (size_t key = u->begin; key < u->end;) {
        stretch s = stretch_of(&a->v, u->batch, u->kv_head, a->value_head, key, u->end - key);
        cop_attn_args args = {.a = s.data,
                              .a_row = s.element_step,
                              .a_k = s.row_step,
                              .x = u->scores + (key - u->begin) * u->lanes,
                              .x_k = u->lanes,
                              .out = u->out,
                              .out_row = u->lanes,
                              .rows = a->value_head,
                              .reduction = s.count,
                              .lanes = u->lanes,
                              .add = key > u->begin};
        u->kernels->attn_f32(&args);
        key += s.count;
    }
}

static void store(const unit *u) {
    const cop_attention *a = u->a;
    for (size_t i = 0; i < u->rows;) {
        stretch s = stretch_of(&a->y, u->batch, u->head, a->value_head, u->first + i, u->rows - i);
        for (size_t d = 0; d < a->value_head; d++) {
            float *to = s.data + d * s.element_step;
            const float *from = u->out + d * u->lanes + i, *by = u->inverse + i;
            if (s.row_step == 1)
                for (size_t k = 0; k < s.count; k++)
                    to[k] = from[k] * by[k];
            else
                for (size_t k = 0; k < s.count; k++)
                    to[k * s.row_step] = from[k] * by[k];
        }
        i += s.count;
    }
}

/* ---- units ---- */

/* Queries of a unit: all units of a sequence take about the same number of vectors. */
static size_t unit_rows(const cop_attention *a) {
    size_t vectors = cop_divide_up(a->rows, VECTOR);
    size_t units = cop_divide_up(vectors, LANES / VECTOR);
    return cop_divide_up(vectors, units ? units : 1) * VECTOR;
}

/* What any query of the unit sees. */
static void find_keys(unit *u) {
    int64_t first, last, begin = INT64_MAX, end = 0;
    for (size_t row = u->first; row < u->first + u->rows; row++) {
        cop_attention_seen(u->a, u->batch, row, &first, &last);
        if (first < last) {
            begin = first < begin ? first : begin;
            end = last > end ? last : end;
        }
    }
    u->begin = begin < end ? (size_t)begin : 0;
    u->end = begin < end ? (size_t)end : 0;
}

/* What divides 0 is not 1 for queries that see nothing, all of whose scores are 0. */
static void spoil_empty(unit *u) {
    for (size_t l = 0; l < u->rows; l++) {
        bool empty = u->inverse[l] == 1;
        for (size_t k = 0; empty && k < u->end - u->begin; k++)
            empty = u->scores[k * u->lanes + l] == 0;
        if (empty)
            u->inverse[l] = NAN;
    }
}

static void attend(unit *u) {
    const cop_attention *a = u->a;
    find_keys(u);
    load_queries(u);
    score(u);
    if (a->softcap > 0)
        cap(u);
    if (a->mask && a->mask_strides[2] != 0)
        mask_queries(u);
    if (a->left >= 0 || a->right >= 0)
        hide_keys(u);
    u->kernels->attn_softmax_f32(u->scores, u->end - u->begin, u->lanes, mask_of_keys(u),
                                 u->inverse);
    if (a->nan_rows)
        spoil_empty(u);
    weighted_sum(u);
    store(u);
}

typedef struct lanes_job {
    const cop_attention *a;
    size_t unit_rows, blocks, units; /* blocks: units of a head */
    atomic_size_t next;
} lanes_job;

/* Floats of a worker's slot; SIZE_MAX: more than there can be. */
static size_t slot_floats(const cop_attention *a) {
    size_t rows, floats;
    if (!cop_size_add(a->head, a->value_head, &rows) || !cop_size_add(rows, a->keys, &rows) ||
        !cop_size_mul(rows, unit_rows(a), &floats) || !cop_size_add(floats, a->keys, &floats) ||
        !cop_size_add(floats, ALIGN, &floats))
        return SIZE_MAX;
    return floats / ALIGN * ALIGN;
}

/* A worker takes units until none is left: which worker does which changes no result. */
static void work(void *context, size_t begin, size_t end) {
    lanes_job *j = context;
    const cop_attention *a = j->a;
    for (size_t worker = begin; worker < end; worker++) {
        float *slot = (float *)a->scores + worker * slot_floats(a);
        for (size_t n; (n = atomic_fetch_add(&j->next, 1)) < j->units;) {
            size_t head = n / j->blocks;
            unit u = {.a = a,
                      .kernels = a->kernels ? a->kernels : cop_kernels_of(COPPICE_ISA_SCALAR),
                      .batch = head / a->heads,
                      .head = head % a->heads,
                      .first = n % j->blocks * j->unit_rows};
            u.kv_head = u.head / (a->heads / a->kv_heads);
            u.rows = cop_smaller(a->rows - u.first, j->unit_rows);
            u.lanes = cop_divide_up(u.rows, VECTOR) * VECTOR;
            u.q = slot;
            u.out = u.q + a->head * j->unit_rows;
            u.scores = u.out + a->value_head * j->unit_rows;
            u.bias = u.scores + a->keys * j->unit_rows;
            attend(&u);
        }
    }
}

/* Is the mask the same for all queries, though it has a row for each? Exporters write it so. */
static bool mask_repeats(const cop_attention *a) {
    const int64_t *s = a->mask_strides;
    if (!a->mask || s[2] == 0 || s[3] != 1)
        return false;
    size_t element = cop_type_bytes(a->mask->type), bytes = (size_t)a->mask_keys * element;
    for (size_t i = 0; i < (s[0] ? a->batch : 1) * (s[1] ? a->heads : 1); i++) {
        int64_t batch = s[0] ? (int64_t)(s[1] ? i / a->heads : i) : 0;
        int64_t head = s[1] ? (int64_t)(i % a->heads) : 0;
        const char *first =
            (const char *)a->mask->data + (size_t)(batch * s[0] + head * s[1]) * element;
        for (size_t row = 1; row < a->rows; row++)
            if (memcmp(first, first + row * (size_t)s[2] * element, bytes) != 0)
                return false;
    }
    return true;
}

/* Fewer rows would leave most lanes empty. */
bool cop_attention_has_lanes(const cop_attention *a) {
    bool tiles = a->q.tile || a->k.tile || a->v.tile || a->y.tile;
    return a->type == COPPICE_TYPE_FLOAT && !a->qk && !a->whole && (tiles || a->rows >= LEAST_ROWS);
}

size_t cop_attention_lanes_elements(const cop_attention *a) {
    size_t slot = slot_floats(a), count;
    return slot < SIZE_MAX && cop_size_mul(slot, COP_ATTENTION_SLOTS, &count) ? count : SIZE_MAX;
}

void cop_attention_lanes_run(const cop_attention *a, const coppice_threadpool *pool) {
    cop_attention own = *a;
    lanes_job j = {.a = &own, .unit_rows = unit_rows(a)};
    if (a->rows == 0)
        return;
    if (mask_repeats(a))
        own.mask_strides[2] = 0;
    j.blocks = cop_divide_up(a->rows, j.unit_rows);
    j.units = a->batch * a->heads * j.blocks;
    size_t workers = cop_smaller(coppice_threadpool_threads(pool), COP_ATTENTION_SLOTS);
    atomic_init(&j.next, 0);
    cop_parallel_for(pool, cop_smaller(workers, j.units), 1, work, &j);
}
