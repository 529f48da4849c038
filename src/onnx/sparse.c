/* Sparse tensors of the message as dense constants. */
#include <string.h>

#include "base/size.h"
#include "onnx/internal.h"

/* A few bytes of a file can ask for any number of zeros. */
static const size_t max_dense_bytes = (size_t)4 << 30;

/* Checks that indices are int64 and shaped [count] or [count, rank]. */
static coppice_status load_indices(coppice_model *model, Onnx__SparseTensorProto *sparse,
                                   int64_t count, coppice_tensor *out, coppice_error *err) {
    size_t bytes;
    if (!sparse->indices)
        return cop_fail(err, COPPICE_BAD_MODEL, "sparse tensor without indices");
    coppice_status status = cop_tensor_view(model, sparse->indices, out, &bytes, err);
    if (status != COPPICE_OK) {
        cop_error_prefix(err, "indices");
        return status;
    }
    bool linear = out->rank == 1 && out->dims[0] == count;
    bool tuples =
        out->rank == 2 && out->dims[0] == count && out->dims[1] == (int64_t)sparse->n_dims;
    if (out->type != COPPICE_TYPE_INT64 || (!linear && !tuples))
        return cop_fail(err, COPPICE_BAD_MODEL,
                        "indices must be int64 of shape [%lld] or [%lld,%zu]", (long long)count,
                        (long long)count, sparse->n_dims);
    return COPPICE_OK;
}

static int64_t read_index(const coppice_tensor *indices, int64_t at) {
    int64_t value;
    memcpy(&value, (const char *)indices->data + (size_t)at * sizeof value, sizeof value);
    return value;
}

/* Linear position of entry `k`; -1 when an index is out of range. */
static int64_t position(const Onnx__SparseTensorProto *sparse, const coppice_tensor *indices,
                        int64_t k, int64_t elements) {
    if (indices->rank == 1) {
        int64_t at = read_index(indices, k);
        return at < elements ? at : -1;
    }
    int64_t at = 0;
    for (size_t d = 0; d < sparse->n_dims; d++) {
        int64_t index = read_index(indices, k * (int64_t)sparse->n_dims + (int64_t)d);
        if (index < 0 || index >= sparse->dims[d])
            return -1;
        at = at * sparse->dims[d] + index; /* below `elements`, which does not overflow */
    }
    return at;
}

/* Writes the values to their places in `dense` (NULL: checks only). */
static coppice_status scatter(const Onnx__SparseTensorProto *sparse, const coppice_tensor *values,
                              const coppice_tensor *indices, int64_t elements, unsigned char *dense,
                              coppice_error *err) {
    size_t width = coppice_type_bits(values->type) / 8;
    int64_t previous = -1;
    for (int64_t k = 0; k < values->dims[0]; k++) {
        int64_t at = position(sparse, indices, k, elements);
        if (at < 0)
            return cop_fail(err, COPPICE_BAD_MODEL, "index of value %lld is out of range",
                            (long long)k);
        if (at <= previous)
            return cop_fail(err, COPPICE_BAD_MODEL,
                            "indices must be in strictly ascending order, that of value %lld is "
                            "not",
                            (long long)k);
        previous = at;
        if (dense)
            memcpy(dense + (size_t)at * width,
                   (const unsigned char *)values->data + (size_t)k * width, width);
    }
    return COPPICE_OK;
}

coppice_status cop_sparse_load(coppice_model *model, Onnx__SparseTensorProto *sparse,
                               Onnx__GraphProto *graph, cop_constant **out, coppice_error *err) {
    coppice_tensor values, indices, tensor;
    size_t value_bytes;
    int64_t elements;
    bool ranked;
    if (!sparse->values)
        return cop_fail(err, COPPICE_BAD_MODEL, "sparse tensor without values");
    COP_TRY(cop_tensor_view(model, sparse->values, &values, &value_bytes, err));
    if (values.rank != 1)
        return cop_fail(err, COPPICE_BAD_MODEL,
                        "values of a sparse tensor must have rank 1, not %u", values.rank);
    COP_TRY(load_indices(model, sparse, values.dims[0], &indices, err));
    COP_TRY(cop_tensor_shape(values.type, sparse->n_dims, sparse->dims, &tensor, &elements, &ranked,
                             err));
    unsigned bits = coppice_type_bits(values.type);
    size_t bytes = ((size_t)elements * bits + 7) / 8;
    bool storable = ranked && bits >= 8 && bytes > 0; /* strings and nibbles stay in the message */
    if (storable && bytes > max_dense_bytes)
        return cop_fail(err, COPPICE_LIMIT, "%zu bytes as a dense tensor; the limit is %zu", bytes,
                        max_dense_bytes);
    if (!storable && elements > 0)
        tensor.type = COPPICE_TYPE_UNDEFINED;
    if (storable) {
        tensor.data = cop_arena_alloc(&model->arena, bytes);
        if (!tensor.data)
            return cop_fail_memory(err, bytes);
    }
    COP_TRY(scatter(sparse, &values, &indices, elements, tensor.data, err));
    cop_origin origin = {
        .kind = COP_ORIGIN_SPARSE, .tensor = sparse->values, .sparse = sparse, .graph = graph};
    *out = cop_constant_new(model, origin, tensor, bytes);
    return *out ? COPPICE_OK : cop_fail_memory(err, sizeof(cop_constant));
}
