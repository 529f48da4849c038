/* Depthwise convolutions in tiles: the functions behind their rows of the kernel table. */
#ifndef COP_RUNTIME_KERNELS_TILE_DWCONV_H
#define COP_RUNTIME_KERNELS_TILE_DWCONV_H

#include "runtime/conv.h"

bool cop_tile_dwconv_supports(const cop_conv *conv);
coppice_status cop_tile_dwconv_create(const cop_conv *conv, coppice_isa isa,
                                      const coppice_threadpool *pool, void **state,
                                      coppice_error *err);
size_t cop_tile_dwconv_scratch(const void *state);
coppice_status cop_tile_dwconv_run(void *state, const cop_conv_io *io,
                                   const coppice_threadpool *pool, coppice_error *err);
void cop_tile_dwconv_destroy(void *state);

#endif
