/* Kinds of element types. */
#ifndef COP_BASE_TYPE_H
#define COP_BASE_TYPE_H

#include <stdbool.h>

#include <coppice/tensor.h>

/* float16, bfloat16, float32 or float64. */
bool cop_is_float_type(coppice_type type);

/* An integer of 8 to 64 bits; bool is none. */
bool cop_is_integer_type(coppice_type type);

#endif
