/* NumPy's arrays of strings: elements of one width, <U in UCS-4 or |S in bytes, filled with NULs.
 */
#ifndef COP_DATA_NPY_TEXT_H
#define COP_DATA_NPY_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include <coppice/status.h>
#include <coppice/tensor.h>

/* Turns `count` stored elements of `width` characters (`wide`: of four bytes, `swap`: in the other
 * byte order) into coppice_strings, in one allocated block with their bytes behind them: UTF-8, and
 * single bytes where a character says so that is no Unicode (U+DC80 to U+DCFF, as Python has it).
 */
coppice_status cop_npy_text_read(const unsigned char *stored, size_t count, size_t width, bool wide,
                                 bool swap, void **out, coppice_error *err);

/* The width in characters that a tensor of strings needs as <U, at least 1. */
size_t cop_npy_text_width(const coppice_tensor *tensor);

/* Its elements as <U of this width, allocated. Bytes that are no UTF-8 become U+DC80 to U+DCFF. */
coppice_status cop_npy_text_write(const coppice_tensor *tensor, size_t width, void **out,
                                  coppice_error *err);

#endif
