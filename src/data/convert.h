/* Element conversions: half floats, precisions of floats, widths of integers, byte order. */
#ifndef COP_DATA_CONVERT_H
#define COP_DATA_CONVERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <coppice/tensor.h>

/* float16, float32 or float64: the floats that NumPy has. */
bool cop_is_numpy_float(coppice_type type);

/* bool or an integer of 8 to 64 bits, as NumPy counts bool among them. */
bool cop_is_numpy_integer(coppice_type type);

/* Element `index` of an array of a float type, of an integer type. Integers above INT64_MAX come
 * out as -1 with *fits false (`fits` may be NULL). The data need not be aligned. */
double cop_load_float(coppice_type type, const void *data, int64_t index);
int64_t cop_load_integer(coppice_type type, const void *data, int64_t index, bool *fits);

/* Rounds to nearest, ties to even; 8-bit integers saturate, NaN becomes 0. `type` is a float type
 * or uint8. */
void cop_store_floats(coppice_type type, const float *values, int64_t count, void *out);

/* Converts between float types or between integer types. Returns the index of the first integer
 * that does not fit, -1 when all do. False from cop_can_convert: not of one kind. */
bool cop_can_convert(coppice_type from, coppice_type to);
int64_t cop_convert(coppice_type from, const void *data, coppice_type to, void *out, int64_t count);

/* Reverses the bytes of each of `count` units of `bytes` bytes (1, 2, 4 or 8). */
void cop_swap_bytes(void *data, size_t count, size_t bytes);

#endif
