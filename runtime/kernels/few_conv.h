/* Matrix products of a few positions, whose rows lie as they are: the functions behind their rows
 * of the kernel table. */
#ifndef COP_RUNTIME_KERNELS_FEW_CONV_H
#define COP_RUNTIME_KERNELS_FEW_CONV_H

#include "runtime/conv.h"

/* Sparse weights, positions as lanes (few.h): from 2 positions on. */
bool cop_few_conv_supports(const cop_conv *conv);
coppice_status cop_few_conv_create(const cop_conv *conv, coppice_isa isa, void **state,
                                   coppice_error *err);
size_t cop_few_conv_scratch(const void *state);
coppice_status cop_few_conv_run(void *state, const cop_conv_io *io, const coppice_threadpool *pool,
                                coppice_error *err);
void cop_few_conv_destroy(void *state);

/* Dense weights in panels of columns, which are the lanes (attn.h). */
bool cop_panel_conv_supports(const cop_conv *conv);
coppice_status cop_panel_conv_create(const cop_conv *conv, coppice_isa isa, void **state,
                                     coppice_error *err);
coppice_status cop_panel_conv_run(void *state, const cop_conv_io *io,
                                  const coppice_threadpool *pool, coppice_error *err);
void cop_panel_conv_destroy(void *state);

#endif
