/* Columns: of every input channel one stripe per tap, so that a convolution of any size, stride and
 * dilation is a 1x1 one over them. */
#ifndef COP_RUNTIME_SPARSE_COLUMNS_H
#define COP_RUNTIME_SPARSE_COLUMNS_H

#include "runtime/conv.h"
#include "runtime/kernels/kernels.h"

typedef struct cop_columns {
    cop_conv conv; /* weights and bias: NULL */
    const cop_kernels *kernels;
    size_t taps;      /* kernel_h * kernel_w */
    size_t tile;      /* floats of a stripe: cop_stripe_width of all output positions */
    size_t tiles;     /* of all output positions */
    size_t positions; /* outputs of the whole batch */
    size_t in_tile;   /* floats of a stripe of the input; one position: 1 */
    /* Both NULL when `tile` is 1. By output tile, tap and vector of 16 positions: the slot of a
     * piece is tap * (tile / 16) + vector. */
    cop_piece *pieces;
    uint32_t *first; /* [tiles + 1]: where the pieces of each begin */
} cop_columns;

/* For convolutions whose sizes cop_tiling_fits. *out is overwritten; free it also on failure.
 * `kernels`: borrowed for the columns' life. OUT_OF_MEMORY; UNSUPPORTED: too far apart, or too many
 * taps, for pieces. */
coppice_status cop_columns_create(const cop_conv *conv, const cop_kernels *kernels,
                                  cop_columns *out, coppice_error *err);

void cop_columns_free(cop_columns *columns);

/* Bytes of 64-byte aligned scratch that each worker needs. */
size_t cop_columns_work(const cop_columns *columns);

/* Writes stripes [channels][taps][tile] of the input channels `channel` .. channel + channels - 1
 * for the output tile `tile`, all of it: 0 where a tap lies in the padding and behind the last
 * output position. `input`: the whole input in tiles ([channels] when it has one position).
 * `stripes`: 64-byte aligned (any alignment when `tile` is 1). Never reads what lies behind the
 * last position of the input. */
void cop_columns_lay_out(const cop_columns *columns, size_t tile, size_t channel, size_t channels,
                         const float *input, float *stripes, void *work);

/* What the pieces of an output tile count from: floats from the beginning of the input to channel 0
 * of some tile of it. */
size_t cop_columns_base(const cop_columns *columns, size_t tile);

#endif
