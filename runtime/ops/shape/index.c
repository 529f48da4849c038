/* Tensors of indices: checked, and turned into offsets. */
#include "runtime/ops/shape/index.h"

#include <string.h>

#include "runtime/ops/ops.h"

coppice_status cop_need_indices(const cop_call *call, int i) {
    return cop_need_type(call, i, INDICES);
}

coppice_status cop_check_indices(const cop_call *call, int i, const int64_t *limits, int period) {
    const coppice_tensor *indices = cop_in(call, i);
    int64_t count = coppice_tensor_count(indices);
    for (int64_t j = 0, at = 0; j < count; j++, at = at + 1 == period ? 0 : at + 1) {
        int64_t index = cop_index_at(indices, j, 0), limit = limits[at];
        if (index < -limit || index >= limit)
            return cop_fail(call->err, COPPICE_BAD_DATA,
                            "index %lld (element %lld of input %d, '%s') is not within %lld "
                            "elements",
                            (long long)index, (long long)j, i, cop_in_name(call, i),
                            (long long)limit);
    }
    return COPPICE_OK;
}

/* ---- an index for each element ---- */

bool cop_elements_fit(const coppice_tensor *data, const coppice_tensor *indices, int axis) {
    bool fits = data->rank == indices->rank;
    for (int d = 0; fits && d < (int)data->rank; d++)
        fits = d == axis || indices->dims[d] <= data->dims[d];
    return fits;
}

cop_indexer cop_element_indexer(const coppice_tensor *data, const coppice_tensor *indices,
                                int axis) {
    cop_indexer x = {.indices = indices,
                     .count = coppice_tensor_count(indices),
                     .row = cop_type_bytes(data->type),
                     .rank = (int)indices->rank,
                     .axis = axis,
                     .limit = data->dims[axis]};
    memcpy(x.dims, indices->dims, indices->rank * sizeof *x.dims);
    cop_plain_strides(data->rank, data->dims, x.strides);
    return x;
}

/* Row by row of the innermost dim, whose base is found anew. */
void cop_element_offsets(const cop_indexer *x, int64_t first, int64_t n, int64_t *offsets) {
    int inner = x->rank - 1;
    int64_t row = x->dims[inner], step = x->axis == inner ? 0 : x->strides[inner];
    for (int64_t end = first + n; first < end;) {
        int64_t column = first % row, rest = first / row, base = 0;
        int64_t last = row - column < end - first ? row : column + end - first;
        for (int d = inner; d-- > 0;) {
            base += d == x->axis ? 0 : rest % x->dims[d] * x->strides[d];
            rest /= x->dims[d];
        }
        for (; column < last; column++, first++)
            *offsets++ = base + column * step +
                         cop_index_at(x->indices, first, x->limit) * x->strides[x->axis];
    }
}

/* ---- an index tuple for each slice ---- */

cop_indexer cop_tuple_indexer(const coppice_tensor *data, const coppice_tensor *indices,
                              int batch) {
    int numbers = (int)indices->dims[indices->rank - 1];
    cop_indexer x = {.indices = indices,
                     .count = 1,
                     .row = cop_type_bytes(data->type),
                     .rank = numbers,
                     .axis = -1,
                     .batch = 1,
                     .batch_stride = 1};
    for (uint32_t d = 0; d + 1 < indices->rank; d++) {
        x.count *= indices->dims[d];
        x.batch *= (int)d < batch ? 1 : indices->dims[d];
    }
    for (uint32_t d = (uint32_t)(batch + numbers); d < data->rank; d++)
        x.row *= (size_t)data->dims[d];
    for (int i = numbers; i-- > 0;) {
        x.dims[i] = data->dims[batch + i];
        x.strides[i] = x.batch_stride;
        x.batch_stride *= x.dims[i];
    }
    return x;
}

void cop_tuple_offsets(const cop_indexer *x, int64_t first, int64_t n, int64_t *offsets) {
    for (int64_t j = first; j < first + n; j++) {
        int64_t at = j / x->batch * x->batch_stride;
        for (int i = 0; i < x->rank; i++)
            at += cop_index_at(x->indices, j * x->rank + i, x->dims[i]) * x->strides[i];
        *offsets++ = at;
    }
}
