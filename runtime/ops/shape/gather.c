/* Operators that read at indices: Gather, GatherElements, GatherND. Rows are copied as they lie. */
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/shape/index.h"

/* ---- copying rows ---- */

typedef struct gather_job {
    cop_indexer indexer;
    cop_offsets_fn offsets;
    const char *data;
    char *out;
} gather_job;

#define COPY_ELEMENTS(T)                                                                           \
    {                                                                                              \
        T *restrict to = (T *)(void *)out;                                                         \
        const T *restrict from = (const T *)(const void *)data;                                    \
        for (int64_t i = 0; i < n; i++)                                                            \
            to[i] = from[offsets[i]];                                                              \
        return;                                                                                    \
    }

/* Rows as small as an element are assigned, others copied. */
static void copy_rows(char *out, const char *data, size_t row, const int64_t *offsets, int64_t n) {
    if (row == 1)
        COPY_ELEMENTS(uint8_t)
    if (row == 2)
        COPY_ELEMENTS(uint16_t)
    if (row == 4)
        COPY_ELEMENTS(uint32_t)
    if (row == 8)
        COPY_ELEMENTS(uint64_t)
    for (int64_t i = 0; i < n; i++)
        memcpy(out + (size_t)i * row, data + (size_t)offsets[i] * row, row);
}

static void gather_range(void *context, size_t begin, size_t end) {
    const gather_job *job = context;
    size_t row = job->indexer.row;
    int64_t offsets[COP_INDEX_CHUNK];
    for (size_t i = begin; i < end; i += COP_INDEX_CHUNK) {
        size_t n = cop_smaller(end - i, COP_INDEX_CHUNK);
        job->offsets(&job->indexer, (int64_t)i, (int64_t)n, offsets);
        copy_rows(job->out + i * row, job->data, row, offsets, (int64_t)n);
    }
}

/* The indices must have been checked. */
static coppice_status gather_all(const cop_call *call, const cop_indexer *indexer,
                                 cop_offsets_fn offsets) {
    gather_job job = {*indexer, offsets, cop_in(call, 0)->data, cop_out(call, 0)->data};
    if (coppice_tensor_count(cop_out(call, 0)) > 0)
        cop_parallel_for(call->pool, (size_t)indexer->count, cop_grain(indexer->row), gather_range,
                         &job);
    return COPPICE_OK;
}

static coppice_status axis_parse(const cop_call *call, void *params) {
    cop_ints_params *p = params;
    return cop_node_int(call->node, "axis", 0, &p->axis, call->err);
}

/* ---- Gather ---- */

#define gather_parse axis_parse

static coppice_status gather_infer(cop_call *call) {
    const cop_ints_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0), *indices = cop_in(call, 1);
    int axis;
    int64_t dims[2 * COPPICE_MAX_RANK];
    uint32_t rank = 0;
    COP_TRY(cop_need_indices(call, 1));
    COP_TRY(cop_axis(call, p->axis, in->rank, &axis));
    for (uint32_t i = 0; i < (uint32_t)axis; i++)
        dims[rank++] = in->dims[i];
    for (uint32_t i = 0; i < indices->rank; i++)
        dims[rank++] = indices->dims[i];
    for (uint32_t i = (uint32_t)axis + 1; i < in->rank; i++)
        dims[rank++] = in->dims[i];
    if (rank > COPPICE_MAX_RANK)
        return cop_fail(call->err, COPPICE_LIMIT, "%u dimensions; at most %d are supported", rank,
                        COPPICE_MAX_RANK);
    cop_set_out(call, 0, in->type, rank, dims);
    return COPPICE_OK;
}

/* All indices for each of the outer dims. */
static void gather_offsets(const cop_indexer *x, int64_t first, int64_t n, int64_t *offsets) {
    int64_t outer = first / x->batch, i = first % x->batch;
    for (int64_t j = 0; j < n; j++) {
        offsets[j] = outer * x->limit + cop_index_at(x->indices, i, x->limit);
        if (++i == x->batch) {
            i = 0;
            outer++;
        }
    }
}

static coppice_status gather_run(const cop_call *call) {
    const cop_ints_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0), *indices = cop_in(call, 1);
    int axis;
    COP_TRY(cop_axis(call, p->axis, in->rank, &axis));
    cop_indexer x = {.indices = indices,
                     .row = cop_type_bytes(in->type),
                     .batch = coppice_tensor_count(indices),
                     .limit = in->dims[axis]};
    COP_TRY(cop_check_indices(call, 1, &x.limit, 1));
    x.count = x.batch;
    for (int i = 0; i < (int)in->rank; i++) {
        if (i < axis)
            x.count *= in->dims[i];
        if (i > axis)
            x.row *= (size_t)in->dims[i];
    }
    return gather_all(call, &x, gather_offsets);
}

/* ---- GatherElements ---- */

#define gatherelements_parse axis_parse

static coppice_status gatherelements_infer(cop_call *call) {
    const cop_ints_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0), *indices = cop_in(call, 1);
    int axis;
    COP_TRY(cop_need_indices(call, 1));
    COP_TRY(cop_axis(call, p->axis, in->rank, &axis));
    if (!cop_elements_fit(in, indices, axis))
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "indices '%s' are %s, which does not fit into %s on axis %d",
                        cop_in_name(call, 1), cop_shape_text(indices).s, cop_shape_text(in).s,
                        axis);
    cop_set_out(call, 0, in->type, indices->rank, indices->dims);
    return COPPICE_OK;
}

static coppice_status gatherelements_run(const cop_call *call) {
    const cop_ints_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0);
    int axis;
    COP_TRY(cop_axis(call, p->axis, in->rank, &axis));
    cop_indexer x = cop_element_indexer(in, cop_in(call, 1), axis);
    COP_TRY(cop_check_indices(call, 1, &x.limit, 1));
    return gather_all(call, &x, cop_element_offsets);
}

/* ---- GatherND ---- */

static coppice_status gathernd_parse(const cop_call *call, void *params) {
    cop_ints_params *p = params;
    return cop_node_int(call->node, "batch_dims", 0, &p->axis, call->err);
}

static coppice_status gathernd_infer(cop_call *call) {
    const cop_ints_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0), *indices = cop_in(call, 1);
    int64_t batch = p->axis, dims[2 * COPPICE_MAX_RANK];
    uint32_t rank = 0;
    COP_TRY(cop_need_indices(call, 1));
    bool fits = in->rank > 0 && indices->rank > 0 && batch >= 0 && batch < in->rank &&
                batch < indices->rank && indices->dims[indices->rank - 1] <= in->rank - batch;
    for (int64_t d = 0; fits && d < batch; d++)
        fits = in->dims[d] == indices->dims[d];
    if (!fits)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "indices '%s' are %s, which does not fit %s with batch_dims %lld",
                        cop_in_name(call, 1), cop_shape_text(indices).s, cop_shape_text(in).s,
                        (long long)batch);
    for (uint32_t d = 0; d + 1 < indices->rank; d++)
        dims[rank++] = indices->dims[d];
    for (int64_t d = batch + indices->dims[indices->rank - 1]; d < in->rank; d++)
        dims[rank++] = in->dims[d];
    if (rank > COPPICE_MAX_RANK)
        return cop_fail(call->err, COPPICE_LIMIT, "%u dimensions; at most %d are supported", rank,
                        COPPICE_MAX_RANK);
    cop_set_out(call, 0, in->type, rank, dims);
    return COPPICE_OK;
}

static coppice_status gathernd_run(const cop_call *call) {
    const cop_ints_params *p = call->params;
    cop_indexer x = cop_tuple_indexer(cop_in(call, 0), cop_in(call, 1), (int)p->axis);
    if (x.rank)
        COP_TRY(cop_check_indices(call, 1, x.dims, x.rank));
    return gather_all(call, &x, cop_tuple_offsets);
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_gather[] = {
    {.name = "Gather", .since = 1, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = WHOLE_BYTES, PARSE(gather, cop_ints_params), INFER(gather), RUN(gather)},
    {.name = "GatherElements", .since = 11, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = WHOLE_BYTES, PARSE(gatherelements, cop_ints_params), INFER(gatherelements),
     RUN(gatherelements)},
    {.name = "GatherND", .since = 11, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = WHOLE_BYTES, PARSE(gathernd, cop_ints_params), INFER(gathernd), RUN(gathernd)},
    {.name = NULL},
};
/* clang-format on */
