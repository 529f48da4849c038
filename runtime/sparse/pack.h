/* Packing of sparse weights into the streams that the spmm kernels read. */
#ifndef COP_RUNTIME_SPARSE_PACK_H
#define COP_RUNTIME_SPARSE_PACK_H

#include "runtime/kernels/kernels.h"

/* How a matrix [rows][columns] of weights is cut: into units of at most `unit_rows` rows, which run
 * in parallel, and blocks of at most `block_channels` channels, whose inputs fit a cache. */
typedef struct cop_spmm_shape {
    const float *weights; /* row-major */
    size_t rows, columns;
    /* Every `group_rows` rows of a unit read other channels, `columns` / `tap_count` further. */
    size_t group_rows;
    size_t unit_rows, block_channels;
    /* Columns are channels of `tap_count` taps. What the weight of a tap reads lies taps[tap] +
     * number of the channel in its block * `channel` floats behind the block's inputs. */
    size_t tap_count, channel;
    const size_t *taps;
} cop_spmm_shape;

/* Where the streams of one block of one unit begin. */
typedef struct cop_spmm_block {
    size_t entry, row, run, run_count;
} cop_spmm_block;

/* The streams, for units and within them blocks in ascending order. Within a block rows are sorted
 * by their number of weights, longest first. A row without weights in a block is left out, except
 * in the first block, which starts every sum, and the last, which clamps. */
typedef struct cop_spmm_pack {
    cop_spmm_entry *entries; /* offsets count from the inputs of the block's first column */
    uint32_t *rows;          /* relative to the unit's first */
    cop_spmm_run *runs;
    cop_spmm_block *blocks; /* [units][block_count] */
    size_t unit_count, block_count;
} cop_spmm_pack;

/* Packs the non-zero weights. *pack must be zeroed; free it also on failure. UNSUPPORTED when an
 * offset does not fit. */
coppice_status cop_spmm_pack_create(const cop_spmm_shape *shape, cop_spmm_pack *pack,
                                    coppice_error *err);
void cop_spmm_pack_free(cop_spmm_pack *pack);

/* Points `args` at the streams of a block. */
void cop_spmm_pack_args(const cop_spmm_pack *pack, size_t unit, size_t block, cop_spmm_args *args);

#endif
