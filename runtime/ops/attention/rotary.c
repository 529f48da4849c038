/* Embeddings of positions: RotaryEmbedding turns pairs of elements by an angle of the position. */
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

enum { X, COSINES, SINES, POSITIONS };

typedef struct rotary_params {
    bool interleaved;
    int64_t heads, turned; /* 0: not given */
} rotary_params;

/* Rows of `size` elements, one for each batch, position and head. */
typedef struct rotary_rows {
    int64_t batch, positions, heads, size, half;
    int64_t batch_stride, position_stride, head_stride;
} rotary_rows;

static coppice_status rotaryembedding_parse(const cop_call *call, void *params) {
    rotary_params *p = params;
    COP_TRY(cop_attr_bool(call, "interleaved", false, &p->interleaved));
    COP_TRY(cop_node_int(call->node, "num_heads", 0, &p->heads, call->err));
    COP_TRY(cop_node_int(call->node, "rotary_embedding_dim", 0, &p->turned, call->err));
    if (p->heads < 0 || p->turned < 0 || p->turned % 2)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "num_heads is %lld, rotary_embedding_dim %lld, expected 0 or more, and an "
                        "even one",
                        (long long)p->heads, (long long)p->turned);
    return COPPICE_OK;
}

static coppice_status find_rows(const cop_call *call, rotary_rows *r) {
    const rotary_params *p = call->params;
    const coppice_tensor *x = cop_in(call, X);
    COP_TRY(cop_need_rank(call, X, x->rank == 4 ? 4 : 3));
    const int64_t *d = x->dims;
    if (x->rank == 4) {
        *r = (rotary_rows){.batch = d[0], .positions = d[2], .heads = d[1], .size = d[3]};
        r->position_stride = r->size;
        r->head_stride = r->positions * r->size;
    } else {
        if (p->heads <= 0 || d[2] % p->heads)
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "'%s' is %s, which does not divide into num_heads %lld",
                            cop_in_name(call, X), cop_shape_text(x).s, (long long)p->heads);
        *r = (rotary_rows){
            .batch = d[0], .positions = d[1], .heads = p->heads, .size = d[2] / p->heads};
        r->position_stride = d[2];
        r->head_stride = r->size;
    }
    r->batch_stride = r->heads * r->positions * r->size;
    int64_t turned = p->turned ? p->turned : r->size;
    r->half = turned / 2;
    if (turned % 2 || turned > r->size)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "%lld of %lld elements of a head are to be turned: expected an even number "
                        "of them",
                        (long long)turned, (long long)r->size);
    return COPPICE_OK;
}

/* [positions of the model][half] with position ids, else [batch][positions][half]. */
static coppice_status check_cache(const cop_call *call, int i, const rotary_rows *r) {
    const coppice_tensor *t = cop_in(call, i);
    bool by_id = cop_in(call, POSITIONS) != NULL;
    COP_TRY(cop_need_type(call, i, 1u << cop_in(call, X)->type));
    COP_TRY(cop_need_rank(call, i, by_id ? 2 : 3));
    if (t->dims[t->rank - 1] == r->half &&
        (by_id ? t->dims[0] == cop_in(call, COSINES)->dims[0]
               : t->dims[0] == r->batch && t->dims[1] == r->positions))
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "'%s' is %s, which does not fit %lld sequences of %lld positions and %lld "
                    "angles",
                    cop_in_name(call, i), cop_shape_text(t).s, (long long)r->batch,
                    (long long)r->positions, (long long)r->half);
}

static coppice_status rotaryembedding_infer(cop_call *call) {
    rotary_rows r;
    const coppice_tensor *ids = cop_in(call, POSITIONS);
    COP_TRY(find_rows(call, &r));
    COP_TRY(check_cache(call, COSINES, &r));
    COP_TRY(check_cache(call, SINES, &r));
    if (ids) {
        COP_TRY(cop_need_type(call, POSITIONS, INDICES));
        if (ids->rank != 2 || ids->dims[0] != r.batch || ids->dims[1] != r.positions)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "'%s' is %s, expected [%lld, %lld]",
                            cop_in_name(call, POSITIONS), cop_shape_text(ids).s, (long long)r.batch,
                            (long long)r.positions);
    }
    return cop_infer_same(call);
}

typedef struct rotary_job {
    const cop_call *call;
    rotary_rows rows;
    bool interleaved;
} rotary_job;

/* Where the angles of a position are, in rows of the caches. */
static int64_t angle_row(const rotary_job *j, size_t item) {
    const coppice_tensor *ids = cop_in(j->call, POSITIONS);
    return ids ? cop_tensor_get_int(ids, (int64_t)item) : (int64_t)item;
}

/* Items: [batch][position]. */
#define TURN(name, T)                                                                              \
    static void turn_##name(void *context, size_t begin, size_t end) {                             \
        const rotary_job *j = context;                                                             \
        const rotary_rows *r = &j->rows;                                                           \
        const size_t half = (size_t)r->half, size = (size_t)r->size;                               \
        const size_t apart = j->interleaved ? 1 : half, step = j->interleaved ? 2 : 1;             \
        for (size_t item = begin; item < end; item++) {                                            \
            int64_t at = (int64_t)item / r->positions * r->batch_stride +                          \
                         (int64_t)item % r->positions * r->position_stride;                        \
            int64_t angle = angle_row(j, item) * r->half;                                          \
            const T *restrict c = (const T *)cop_in(j->call, COSINES)->data + angle;               \
            const T *restrict s = (const T *)cop_in(j->call, SINES)->data + angle;                 \
            for (int64_t head = 0; head < r->heads; head++, at += r->head_stride) {                \
                const T *restrict x = (const T *)cop_in(j->call, X)->data + at;                    \
                T *restrict y = (T *)cop_out(j->call, 0)->data + at;                               \
                for (size_t i = 0; i < half; i++) {                                                \
                    T a = x[i * step], b = x[i * step + apart];                                    \
                    y[i * step] = c[i] * a - s[i] * b;                                             \
                    y[i * step + apart] = s[i] * a + c[i] * b;                                     \
                }                                                                                  \
                memcpy(y + 2 * half, x + 2 * half, (size - 2 * half) * sizeof *y);                 \
            }                                                                                      \
        }                                                                                          \
    }

TURN(f32, float)
TURN(f64, double)

static coppice_status rotaryembedding_run(const cop_call *call) {
    const rotary_params *p = call->params;
    const coppice_tensor *ids = cop_in(call, POSITIONS);
    rotary_job j = {.call = call, .interleaved = p->interleaved};
    COP_TRY(find_rows(call, &j.rows));
    for (int64_t i = 0; ids && i < coppice_tensor_count(ids); i++) {
        int64_t id = cop_tensor_get_int(ids, i), known = cop_in(call, COSINES)->dims[0];
        if (id < 0 || id >= known)
            return cop_fail(
                call->err, COPPICE_BAD_DATA, "'%s' has position %lld at %lld, there are %lld",
                cop_in_name(call, POSITIONS), (long long)id, (long long)i, (long long)known);
    }
    bool wide = cop_in(call, X)->type == COPPICE_TYPE_DOUBLE;
    cop_parallel_for(call->pool, (size_t)(j.rows.batch * j.rows.positions),
                     cop_grain((size_t)(j.rows.heads * j.rows.size)), wide ? turn_f64 : turn_f32,
                     &j);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_rotary[] = {
    {.name = "RotaryEmbedding", .since = 23, .min_inputs = 3, .max_inputs = 4, .max_outputs = 1,
     .types = FLOATS, PARSE(rotaryembedding, rotary_params), INFER(rotaryembedding),
     RUN(rotaryembedding)},
    {.name = NULL},
};
/* clang-format on */
