/* Shapes: compared, and as text for messages. */
#ifndef COP_BASE_SHAPE_H
#define COP_BASE_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <coppice/tensor.h>

/* A text in a struct of its own: cop_declared_text(...).s inside an argument list. */
typedef struct cop_text {
    char s[COPPICE_MAX_RANK * 21 + 3];
} cop_text;

/* "[N,3,?,32]": a dimension below 0 is free and shown by its symbol, "?" without one. `symbols` may
 * be NULL. Of more dimensions than COPPICE_MAX_RANK the first are shown. */
cop_text cop_declared_text(int rank, const int64_t *dims, const char *const *symbols);

/* "[1,3,32,32]"; negative dimensions as they are. */
cop_text cop_shape_text(const coppice_tensor *tensor);
cop_text cop_dims_text(uint32_t rank, const int64_t *dims);

/* Product of dims[begin..end): elements along them. */
size_t cop_dims_product(const int64_t *dims, uint32_t begin, uint32_t end);

/* The same rank and dimensions? */
bool cop_same_shape(const coppice_tensor *a, const coppice_tensor *b);

#endif
