/* Convolutions and matrix products in tiles (runtime/layout.h): the functions behind their rows of
 * the kernel table. */
#ifndef COP_RUNTIME_KERNELS_TILE_H
#define COP_RUNTIME_KERNELS_TILE_H

#include "runtime/conv.h"

/* How the weights are kept. */
typedef enum cop_tile_kind {
    COP_TILE_SPARSE, /* each weight that is not zero */
    COP_TILE_BLOCKS, /* blocks of 4 outputs by 1 input with such a weight. `create` returns
                        UNSUPPORTED when that fills up too many */
    COP_TILE_DENSE,  /* all */
    COP_TILE_KINDS
} cop_tile_kind;

bool cop_tile_conv_supports(const cop_conv *conv);
coppice_status cop_tile_conv_create(const cop_conv *conv, coppice_isa isa, cop_tile_kind kind,
                                    const coppice_threadpool *pool, void **state,
                                    coppice_error *err);
size_t cop_tile_conv_scratch(const void *state);
coppice_status cop_tile_conv_run(void *state, const cop_conv_io *io, const coppice_threadpool *pool,
                                 coppice_error *err);
void cop_tile_conv_destroy(void *state);

#endif
