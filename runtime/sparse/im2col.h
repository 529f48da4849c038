/* Lays the inputs of a convolution out as a matrix: a row per input channel and tap, a column per
 * output pixel. */
#ifndef COP_RUNTIME_SPARSE_IM2COL_H
#define COP_RUNTIME_SPARSE_IM2COL_H

#include "runtime/conv.h"

/* Writes the matrix rows of the channels `channel` .. channel + channels - 1 for the output pixels
 * `pixel` .. pixel + pixels - 1 of one image. `input`: the image [channels][in_h][in_w]; channel
 * numbers count from there. Row (c, r, s) begins at output + ((c * kernel_h + r) * kernel_w + s) *
 * pitch, c counted from `channel`. Taps in the padding are 0. */
void cop_im2col(const cop_conv *conv, const float *input, size_t channel, size_t channels,
                size_t pixel, size_t pixels, float *output, size_t pitch);

#endif
