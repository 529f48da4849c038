/* Packing of weights into the streams that the loops over tiles read. */
#ifndef COP_RUNTIME_SPARSE_PACK_TILES_H
#define COP_RUNTIME_SPARSE_PACK_TILES_H

#include "runtime/kernels/kernels.h"

/* How the weights [groups][rows][columns] are cut: the rows of a group into units, its columns into
 * blocks whose stripes fit a cache. */
typedef struct cop_tile_shape {
    const float *weights;
    size_t groups, rows, columns; /* rows and columns of a group */
    size_t unit_rows, block_columns;
    size_t column_step; /* what an offset counts from one column to the next; block_columns *
                           column_step <= 65536 */
    size_t height;      /* 1: each row has its own entries. COP_TILE_HEIGHT: those of four rows
                           share columns, and what is zero in one of them alone is kept */
    bool dense;         /* all columns are kept; the height is COP_TILE_HEIGHT */
} cop_tile_shape;

/* Where the streams of one block of one unit begin. */
typedef struct cop_tile_block {
    size_t entry, row, run, run_count;
} cop_tile_block;

/* The streams, in the order [groups][blocks][units]. Within each of them groups of rows are sorted
 * by their number of entries, most first. Those without entries are left out, but not in the first
 * block, which starts every sum, nor in the last, which clamps. */
typedef struct cop_tile_pack {
    float *values;     /* [entries][height] */
    uint16_t *offsets; /* [entries]; NULL when dense */
    uint32_t *rows;    /* relative to the unit's first */
    cop_tile_run *runs;
    cop_tile_block *blocks;
    size_t block_count, unit_count; /* of a group */
    size_t height;
    size_t bytes; /* of all */
} cop_tile_pack;

/* Entries that packing would keep, times `height`: the multiplications per position. */
size_t cop_tile_pack_kept(const cop_tile_shape *shape);

/* *pack must be zeroed; free it also on failure. */
coppice_status cop_tile_pack_create(const cop_tile_shape *shape, cop_tile_pack *pack,
                                    coppice_error *err);
void cop_tile_pack_free(cop_tile_pack *pack);

/* Points `args` at a block of a unit. */
void cop_tile_pack_args(const cop_tile_pack *pack, size_t group, size_t block, size_t unit,
                        cop_tile_args *args);

#endif
