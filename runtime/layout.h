/* Layouts of values: when two are the same bytes, and turning one into another. */
#ifndef COP_RUNTIME_LAYOUT_H
#define COP_RUNTIME_LAYOUT_H

#include "runtime/op.h"

/* "plain", "nhwc", "channels-first". */
const char *cop_layout_name(cop_layout layout);

/* True when a tensor of this rank can be in `layout`. */
bool cop_layout_fits(cop_layout layout, const coppice_tensor *tensor);

/* True when the tensor's bytes are the same in both layouts (one channel, or one pixel). */
bool cop_layout_same(const coppice_tensor *tensor, cop_layout a, cop_layout b);

/* Writes the elements of `from` into `to`, which has the same type and dims and another layout.
 * Elements of 1, 2, 4 or 8 bytes. */
void cop_layout_convert(const cop_operand *from, cop_operand *to, const coppice_threadpool *pool);

#endif
