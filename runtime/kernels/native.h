/* Our own convolutions: the functions behind their rows of the kernel table. */
#ifndef COP_RUNTIME_KERNELS_NATIVE_H
#define COP_RUNTIME_KERNELS_NATIVE_H

#include "runtime/conv.h"

/* Sparse weights, any convolution, channels first. */
bool cop_native_conv_supports(const cop_conv *conv);
/* Dense weights, any convolution but depthwise ones. */
bool cop_native_dense_supports(const cop_conv *conv);
/* Depthwise convolutions, whatever the weights: as sparse ones. */
bool cop_native_depthwise_supports(const cop_conv *conv);
coppice_status cop_native_conv_create(const cop_conv *conv, coppice_isa isa, bool dense,
                                      const coppice_threadpool *pool, void **state,
                                      coppice_error *err);
size_t cop_native_conv_scratch(const void *state);
coppice_status cop_native_conv_run(void *state, const cop_conv_io *io,
                                   const coppice_threadpool *pool, coppice_error *err);
void cop_native_conv_destroy(void *state);

/* A single position (vec_conv.c): dense rows one after another, or sparse rows as lanes where the
 * instruction set has a kernel for them. */
bool cop_vec_conv_supports(const cop_conv *conv);
coppice_status cop_vec_conv_create(const cop_conv *conv, coppice_isa isa, bool dense, void **state,
                                   coppice_error *err);
coppice_status cop_vec_conv_run(void *state, const cop_conv_io *io, const coppice_threadpool *pool,
                                coppice_error *err);
void cop_vec_conv_destroy(void *state);

#endif
