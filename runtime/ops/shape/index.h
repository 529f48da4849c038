/* Tensors of indices: checked once, then turned into offsets by the chunk, which gathering reads
 * from and scattering writes to. */
#ifndef COP_OPS_INDEX_H
#define COP_OPS_INDEX_H

#include "runtime/ops/util.h"

enum { COP_INDEX_CHUNK = 256 };

/* Where rows are: a row is `row` bytes, an offset counts rows from the start of the data. */
typedef struct cop_indexer {
    const coppice_tensor *indices;
    int64_t count; /* of offsets there are */
    size_t row;
    int rank;      /* of the loop nest over the offsets, or numbers in an index tuple */
    int axis;      /* that indices are for; -1: none */
    int64_t batch; /* offsets for each of the batches that leading dims make; else count */
    int64_t dims[COPPICE_MAX_RANK]; /* of the loop nest; of what each number of a tuple indexes */
    int64_t strides[COPPICE_MAX_RANK]; /* in rows; of each dim or number of a tuple */
    int64_t batch_stride;              /* in rows */
    int64_t limit;                     /* along the axis */
} cop_indexer;

/* Offsets first .. first + n of an indexer; n is at most COP_INDEX_CHUNK. Nothing is checked. */
typedef void (*cop_offsets_fn)(const cop_indexer *indexer, int64_t first, int64_t n,
                               int64_t *offsets);

/* BAD_MODEL unless input `i` has int32 or int64 elements. */
coppice_status cop_need_indices(const cop_call *call, int i);

/* BAD_DATA unless element j of input `i` lies within -limits[j % period] .. limits[j % period] - 1.
 */
coppice_status cop_check_indices(const cop_call *call, int i, const int64_t *limits, int period);

/* Element `i`, counted from the front of `limit`. */
static inline int64_t cop_index_at(const coppice_tensor *indices, int64_t i, int64_t limit) {
    int64_t index = indices->type == COPPICE_TYPE_INT32 ? ((const int32_t *)indices->data)[i]
                                                        : ((const int64_t *)indices->data)[i];
    return index < 0 ? index + limit : index;
}

/* Are `indices` no larger than `data`, but on `axis`, and of its rank? */
bool cop_elements_fit(const coppice_tensor *data, const coppice_tensor *indices, int axis);

/* One element of `data` for each element of `indices`, which replaces the position on `axis`:
 * GatherElements, ScatterElements. */
cop_indexer cop_element_indexer(const coppice_tensor *data, const coppice_tensor *indices,
                                int axis);
void cop_element_offsets(const cop_indexer *indexer, int64_t first, int64_t n, int64_t *offsets);

/* A slice of `data` for each index tuple, which the last dim of `indices` holds, behind `batch`
 * dims that both have: GatherND, ScatterND. */
cop_indexer cop_tuple_indexer(const coppice_tensor *data, const coppice_tensor *indices, int batch);
void cop_tuple_offsets(const cop_indexer *indexer, int64_t first, int64_t n, int64_t *offsets);

#endif
