/* Cuts the output of a convolution into tiles of positions, and lays the inputs of a tile out so
 * that every weight reads one contiguous run of floats.
 *
 * Two ways. Columns: positions are output pixels, numbered over the whole batch; each tap of each
 * channel has a row of its own (im2col). Planes: positions count through output rows that are
 * longer than out_w, so that taps of one input row differ by a shift alone; a channel has one row
 * of floats per phase of the stride (one for stride 1), and the results between the rows are
 * dropped. Planes copy each input once instead of once per tap, and compute pitch / out_w times too
 * much. */
#ifndef COP_RUNTIME_SPARSE_TILING_H
#define COP_RUNTIME_SPARSE_TILING_H

#include "runtime/conv.h"

typedef struct cop_tiling {
    cop_conv conv; /* weights and bias: NULL */
    cop_conv lay;  /* im2col of this convolution is the layout */
    bool planes;
    size_t tile;        /* positions of a tile */
    size_t reach;       /* floats of a row behind the tile that taps read */
    size_t stripe;      /* floats from one row to the next: a multiple of 16 */
    size_t channel;     /* floats from one channel to the next */
    size_t pitch;       /* positions from one output row to the next; columns: out_w */
    size_t span;        /* positions of an image, of the batch for columns */
    size_t image_tiles; /* tiles of a span */
    size_t tiles;
    size_t *taps; /* [kernel_h * kernel_w]: floats from the channel to what a tap reads */
} cop_tiling;

/* True when the sizes make sense and no position, offset or size computed from them overflows. Ask
 * before anything else here. */
bool cop_tiling_fits(const cop_conv *conv);

/* Positions of all tiles that planes need; columns need cop_conv_positions. */
size_t cop_tiling_positions(const cop_conv *conv);

/* *t must be zeroed; free it also on failure. `tile`: positions of a tile. */
coppice_status cop_tiling_create(const cop_conv *conv, bool planes, size_t tile, cop_tiling *t,
                                 coppice_error *err);
void cop_tiling_free(cop_tiling *t);

/* Lays out `channels` input channels from `channel` on, for a tile. `input`: the whole input,
 * channels first. `output`: channels * t->channel floats, all of which are written. */
void cop_tiling_lay_out(const cop_tiling *t, size_t tile, size_t channel, size_t channels,
                        const float *input, float *output);

/* Copies the results [channels][t->tile] of a tile to their places. */
void cop_tiling_spread(const cop_tiling *t, size_t tile, size_t channel, size_t channels,
                       const float *results, float *output);

#endif
