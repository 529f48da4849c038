/* Convolutions and matrix products of a single position: dense rows one after another, or sparse
 * rows as lanes where the instruction set has a kernel for them. The functions behind their rows of
 * the kernel table. */
#ifndef COP_RUNTIME_KERNELS_VEC_CONV_H
#define COP_RUNTIME_KERNELS_VEC_CONV_H

#include "runtime/conv.h"

bool cop_vec_conv_supports(const cop_conv *conv);
coppice_status cop_vec_conv_create(const cop_conv *conv, coppice_isa isa, bool dense, void **state,
                                   coppice_error *err);
coppice_status cop_vec_conv_run(void *state, const cop_conv_io *io, const coppice_threadpool *pool,
                                coppice_error *err);
void cop_vec_conv_destroy(void *state);

#endif
