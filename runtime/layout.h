/* Layouts of values: when two are the same bytes, and turning one into another. */
#ifndef COP_RUNTIME_LAYOUT_H
#define COP_RUNTIME_LAYOUT_H

#include "runtime/op.h"

/* How a float32 tensor lies in COP_LAYOUT_TILES or COP_LAYOUT_TOKEN_TILES:
 *
 *     [count][channels][tile]        floats, 64-byte aligned; `tile` is a multiple of 16
 *
 * Positions are numbered over the whole batch: pixel p of image n is n * pixels + p, token by token
 * in the order of all dimensions but the last. Position q of channel c is
 *
 *     data[(q / tile * channels + c) * tile + q % tile]
 *
 * so a channel of a tile is one aligned stripe, and a kept weight is one broadcast and tile / lanes
 * aligned loads. Positions behind the last, up to the end of the last tile, are memory like all
 * other: kernels may read and write them, whatever is in them, and nothing may depend on them. */
typedef struct cop_tiles {
    size_t channels, positions;
    size_t tile;  /* floats of a stripe */
    size_t count; /* of tiles */
} cop_tiles;

enum { COP_TILE_LANES = 16, COP_TILE_MAX_VECTORS = 4 };

/* Floats of a stripe for so many positions: one rule for all, so that layers of one size follow
 * each other without a copy. */
size_t cop_tile_width(size_t positions);

/* The same where one position has no tile: 1 then. */
size_t cop_stripe_width(size_t positions);

/* Of a tensor that the layout fits. */
cop_tiles cop_tiles_of(const coppice_tensor *tensor, cop_layout layout);

bool cop_layout_is_tiles(cop_layout layout);

/* Bytes that a tensor takes in `layout`; -1 when that overflows. */
int64_t cop_layout_bytes(const coppice_tensor *tensor, cop_layout layout);

/* "plain", "nhwc", "tiles", "token-tiles". */
const char *cop_layout_name(cop_layout layout);

/* True when the tensor can be in `layout`. One position (pixel or token) needs no tiles: such
 * tensors stay plain, as do those that are not float32. */
bool cop_layout_fits(cop_layout layout, const coppice_tensor *tensor);

/* True when the tensor's bytes are the same in both layouts (one channel, or one pixel). */
bool cop_layout_same(const coppice_tensor *tensor, cop_layout a, cop_layout b);

/* True when `in` in layout `a` and `out` in layout `b` are the same bytes, where dim i of `out` is
 * dim perm[i] of `in`; without a `perm` both have the same elements in the same order, cut up into
 * other dims. */
bool cop_layout_same_moved(const coppice_tensor *in, cop_layout a, const int *perm,
                           const coppice_tensor *out, cop_layout b);

/* Writes the elements of `from` into `to`, which has the same type and dims and another layout.
 * Elements of 1, 2, 4 or 8 bytes. */
void cop_layout_convert(const cop_operand *from, cop_operand *to, const coppice_threadpool *pool);

#endif
