/* Operators that write at indices: Scatter, ScatterElements, ScatterND, TensorScatter. They run on
 * one thread: where indices repeat, the last one wins. */
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/shape/index.h"
#include "runtime/ops/types.h"

typedef enum scatter_mode {
    SCATTER_SET,
    SCATTER_ADD,
    SCATTER_MUL,
    SCATTER_MAX,
    SCATTER_MIN,
    SCATTER_MODES
} scatter_mode;

typedef struct scatter_params {
    int64_t axis;
    scatter_mode mode;
} scatter_params;

/* ---- combining rows ---- */

/* data row offsets[i] = data row combined with update row i; rows have `row` elements. */
typedef void (*combine_fn)(void *data, const void *updates, const int64_t *offsets, int64_t n,
                           size_t row);

#define COMBINE(name, T, expr)                                                                     \
    static void name(void *data, const void *updates, const int64_t *offsets, int64_t n,           \
                     size_t row) {                                                                 \
        const T *from = updates;                                                                   \
        for (int64_t i = 0; i < n; i++, from += row) {                                             \
            T *to = (T *)data + (size_t)offsets[i] * row;                                          \
            for (size_t j = 0; j < row; j++) {                                                     \
                T x = to[j], y = from[j];                                                          \
                to[j] = (T)(expr);                                                                 \
            }                                                                                      \
        }                                                                                          \
    }

/* Integers wrap around. */
#define COMBINE_INTEGER(T, suffix, TYPE)                                                           \
    COMBINE(add_##suffix, T, (uint64_t)x + (uint64_t)y)                                            \
    COMBINE(mul_##suffix, T, (uint64_t)x *(uint64_t)y)                                             \
    COMBINE(max_##suffix, T, x > y ? x : y)                                                        \
    COMBINE(min_##suffix, T, x < y ? x : y)
EACH_INTEGER(COMBINE_INTEGER)

/* NaN wins. */
#define COMBINE_FLOAT(T, suffix, TYPE)                                                             \
    COMBINE(add_##suffix, T, x + y)                                                                \
    COMBINE(mul_##suffix, T, x *y)                                                                 \
    COMBINE(max_##suffix, T, x > y || x != x ? x : y)                                              \
    COMBINE(min_##suffix, T, x < y || x != x ? x : y)
EACH_FLOAT(COMBINE_FLOAT)
COMBINE(or_bool, uint8_t, x || y)
COMBINE(and_bool, uint8_t, x &&y)

static const combine_fn combine[SCATTER_MODES][COP_HELD_TYPES] = {
    [SCATTER_ADD] = {NUMERIC_ROWS(add), [COPPICE_TYPE_BOOL] = or_bool},
    [SCATTER_MUL] = {NUMERIC_ROWS(mul), [COPPICE_TYPE_BOOL] = and_bool},
    [SCATTER_MAX] = {NUMERIC_ROWS(max), [COPPICE_TYPE_BOOL] = or_bool},
    [SCATTER_MIN] = {NUMERIC_ROWS(min), [COPPICE_TYPE_BOOL] = and_bool},
};

/* ---- what Scatter, ScatterElements and ScatterND share ---- */

static coppice_status scatter_parse(const cop_call *call, void *params) {
    static const char *const names[] = {"none", "add", "mul", "max", "min"};
    scatter_params *p = params;
    const char *reduction;
    COP_TRY(cop_node_int(call->node, "axis", 0, &p->axis, call->err));
    COP_TRY(cop_node_string(call->node, "reduction", "none", &reduction, call->err));
    int known = call->opset >= 18 ? SCATTER_MODES : call->opset >= 16 ? SCATTER_MAX : SCATTER_ADD;
    for (int mode = 0; mode < known; mode++) {
        p->mode = (scatter_mode)mode;
        if (!strcmp(reduction, names[mode]))
            return COPPICE_OK;
    }
    return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'reduction' is '%s', expected %s",
                    reduction,
                    known == SCATTER_MODES ? "none, add, mul, max or min"
                    : known == SCATTER_MAX ? "none, add or mul"
                                           : "none");
}

static coppice_status need_combine(const cop_call *call) {
    const scatter_params *p = call->params;
    const coppice_tensor *data = cop_in(call, 0), *updates = cop_in(call, 2);
    if (updates->type != data->type)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "updates '%s' are %s, the data are %s",
                        cop_in_name(call, 2), coppice_type_name(updates->type),
                        coppice_type_name(data->type));
    if (p->mode == SCATTER_SET ||
        ((unsigned)data->type < COP_HELD_TYPES && combine[p->mode][data->type]))
        return cop_need_indices(call, 1);
    return cop_fail(call->err, COPPICE_UNSUPPORTED, "a reduction of type %s is not supported",
                    coppice_type_name(data->type));
}

static void copy_data(const cop_call *call) {
    const coppice_tensor *data = cop_in(call, 0), *out = cop_out(call, 0);
    int64_t bytes = coppice_tensor_bytes(data);
    if (bytes > 0)
        memcpy(out->data, data->data, (size_t)bytes);
}

static void write_rows(char *data, const char *updates, size_t row, const int64_t *offsets,
                       int64_t n) {
    if (row == 4) {
        for (int64_t i = 0; i < n; i++)
            ((uint32_t *)(void *)data)[offsets[i]] = ((const uint32_t *)(const void *)updates)[i];
        return;
    }
    for (int64_t i = 0; i < n; i++)
        memcpy(data + (size_t)offsets[i] * row, updates + (size_t)i * row, row);
}

/* The indices must have been checked. */
static coppice_status scatter_all(const cop_call *call, const cop_indexer *x,
                                  cop_offsets_fn offsets_of) {
    const scatter_params *p = call->params;
    const coppice_tensor *out = cop_out(call, 0);
    const char *updates = cop_in(call, 2)->data;
    int64_t offsets[COP_INDEX_CHUNK];
    copy_data(call);
    if (coppice_tensor_count(cop_in(call, 2)) == 0)
        return COPPICE_OK;
    for (int64_t i = 0; i < x->count; i += COP_INDEX_CHUNK) {
        int64_t n = x->count - i < COP_INDEX_CHUNK ? x->count - i : COP_INDEX_CHUNK;
        const char *from = updates + (size_t)i * x->row;
        offsets_of(x, i, n, offsets);
        if (p->mode == SCATTER_SET)
            write_rows(out->data, from, x->row, offsets, n);
        else
            combine[p->mode][out->type](out->data, from, offsets, n,
                                        x->row / cop_type_bytes(out->type));
    }
    return COPPICE_OK;
}

/* ---- ScatterElements ---- */

static coppice_status scatterelements_infer(cop_call *call) {
    const scatter_params *p = call->params;
    const coppice_tensor *data = cop_in(call, 0), *indices = cop_in(call, 1);
    int axis;
    COP_TRY(need_combine(call));
    COP_TRY(cop_axis(call, p->axis, data->rank, &axis));
    if (!cop_elements_fit(data, indices, axis) || !cop_same_shape(indices, cop_in(call, 2)))
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "indices '%s' are %s, updates %s, which does not fit into %s on axis %d",
                        cop_in_name(call, 1), cop_shape_text(indices).s,
                        cop_shape_text(cop_in(call, 2)).s, cop_shape_text(data).s, axis);
    return cop_infer_same(call);
}

static coppice_status scatterelements_run(const cop_call *call) {
    const scatter_params *p = call->params;
    const coppice_tensor *data = cop_in(call, 0);
    int axis;
    COP_TRY(cop_axis(call, p->axis, data->rank, &axis));
    cop_indexer x = cop_element_indexer(data, cop_in(call, 1), axis);
    COP_TRY(cop_check_indices(call, 1, &x.limit, 1));
    return scatter_all(call, &x, cop_element_offsets);
}

/* ---- ScatterND ---- */

static coppice_status scatternd_infer(cop_call *call) {
    const coppice_tensor *data = cop_in(call, 0), *indices = cop_in(call, 1);
    const coppice_tensor *updates = cop_in(call, 2);
    COP_TRY(need_combine(call));
    bool fits = data->rank > 0 && indices->rank > 0;
    int64_t numbers = fits ? indices->dims[indices->rank - 1] : 0;
    fits = fits && numbers <= data->rank &&
           updates->rank == indices->rank - 1 + data->rank - (uint32_t)numbers;
    for (uint32_t d = 0; fits && d < updates->rank; d++)
        fits = updates->dims[d] == (d + 1 < indices->rank
                                        ? indices->dims[d]
                                        : data->dims[d + 1 - indices->rank + (uint32_t)numbers]);
    if (!fits)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "indices '%s' are %s, updates '%s' %s, which does not fit into %s",
                        cop_in_name(call, 1), cop_shape_text(indices).s, cop_in_name(call, 2),
                        cop_shape_text(updates).s, cop_shape_text(data).s);
    return cop_infer_same(call);
}

static coppice_status scatternd_run(const cop_call *call) {
    cop_indexer x = cop_tuple_indexer(cop_in(call, 0), cop_in(call, 1), 0);
    if (x.rank)
        COP_TRY(cop_check_indices(call, 1, x.dims, x.rank));
    return scatter_all(call, &x, cop_tuple_offsets);
}

/* ---- TensorScatter ---- */

typedef struct tensorscatter_params {
    int64_t axis;
    bool circular;
} tensorscatter_params;

static coppice_status tensorscatter_parse(const cop_call *call, void *params) {
    tensorscatter_params *p = params;
    const char *mode;
    COP_TRY(cop_node_int(call->node, "axis", -2, &p->axis, call->err));
    COP_TRY(cop_node_string(call->node, "mode", "linear", &mode, call->err));
    p->circular = !strcmp(mode, "circular");
    if (p->circular || !strcmp(mode, "linear"))
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "attribute 'mode' is '%s', expected linear or circular", mode);
}

static coppice_status tensorscatter_infer(cop_call *call) {
    const tensorscatter_params *p = call->params;
    const coppice_tensor *cache = cop_in(call, 0), *update = cop_in(call, 1), *at = cop_in(call, 2);
    int axis;
    COP_TRY(cop_axis(call, p->axis, cache->rank, &axis));
    bool fits = update->rank == cache->rank && update->type == cache->type && axis > 0;
    for (int d = 0; fits && d < (int)cache->rank; d++)
        fits = d == axis ? update->dims[d] <= cache->dims[d] : update->dims[d] == cache->dims[d];
    if (!fits)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "the update '%s' is %s %s, which does not fit into %s %s on axis %d",
                        cop_in_name(call, 1), coppice_type_name(update->type),
                        cop_shape_text(update).s, coppice_type_name(cache->type),
                        cop_shape_text(cache).s, axis);
    if (at && (at->rank != 1 || at->dims[0] != cache->dims[0]))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "write_indices '%s' are %s, expected [%lld]",
                        cop_in_name(call, 2), cop_shape_text(at).s, (long long)cache->dims[0]);
    if (at)
        COP_TRY(cop_need_indices(call, 2));
    return cop_infer_same(call);
}

/* Where the first row of a batch goes. Linear: all of the update must fit behind it. */
static coppice_status first_row(const cop_call *call, int64_t batch, int64_t rows, int64_t limit,
                                int64_t *first) {
    const tensorscatter_params *p = call->params;
    const coppice_tensor *at = cop_in(call, 2);
    *first = at ? cop_index_at(at, batch, 0) : 0;
    if (*first >= 0 && *first < (p->circular ? limit : limit - rows + 1))
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_DATA,
                    "write index %lld (element %lld of '%s'): %lld rows do not fit into %lld there",
                    (long long)*first, (long long)batch, cop_in_name(call, 2), (long long)rows,
                    (long long)limit);
}

static coppice_status tensorscatter_run(const cop_call *call) {
    const tensorscatter_params *p = call->params;
    const coppice_tensor *cache = cop_in(call, 0), *update = cop_in(call, 1);
    char *out = cop_out(call, 0)->data;
    const char *from = update->data;
    int axis;
    int64_t middle = 1, first = 0;
    size_t row = cop_type_bytes(cache->type);
    COP_TRY(cop_axis(call, p->axis, cache->rank, &axis));
    for (int d = 1; d < (int)cache->rank; d++) {
        middle *= d < axis ? cache->dims[d] : 1;
        row *= d > axis ? (size_t)cache->dims[d] : 1;
    }
    copy_data(call);
    if (coppice_tensor_count(update) == 0)
        return COPPICE_OK;
    int64_t limit = cache->dims[axis], rows = update->dims[axis];
    for (int64_t i = 0; i < cache->dims[0] * middle; i++, out += (size_t)limit * row) {
        COP_TRY(first_row(call, i / middle, rows, limit, &first));
        for (int64_t r = 0; r < rows; r++, from += row)
            memcpy(out + (size_t)((first + r) % limit) * row, from, row);
    }
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

#define SCATTER(title, from, fn)                                                                   \
    {                                                                                              \
        .name = title, .since = from, .min_inputs = 3, .max_inputs = 3, .max_outputs = 1,          \
        .types = WHOLE_BYTES, .params_size = sizeof(scatter_params), .parse = scatter_parse,       \
        INFER(fn), RUN(fn)                                                                         \
    }

/* clang-format off */
const cop_op cop_ops_scatter[] = {
    SCATTER("Scatter", 9, scatterelements),
    SCATTER("ScatterElements", 11, scatterelements),
    SCATTER("ScatterND", 11, scatternd),
    {.name = "TensorScatter", .since = 24, .min_inputs = 2, .max_inputs = 3, .max_outputs = 1,
     .types = WHOLE_BYTES, PARSE(tensorscatter, tensorscatter_params), INFER(tensorscatter),
     RUN(tensorscatter)},
    {.name = NULL},
};
/* clang-format on */
