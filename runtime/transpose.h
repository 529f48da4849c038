/* Turning rows of 4-byte elements into columns. */
#ifndef COP_RUNTIME_TRANSPOSE_H
#define COP_RUNTIME_TRANSPOSE_H

#include <stddef.h>
#include <stdint.h>

/* to[c * to_step + r] = from[r * from_step + c] for r < rows, c < columns; the two do not overlap,
 * and `from` is aligned to nothing. */
void cop_transpose_4(uint32_t *to, size_t to_step, const void *from, size_t from_step, size_t rows,
                     size_t columns);

#endif
