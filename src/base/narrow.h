/* Narrow types: numbers of 16 bits and fewer that no kernel computes with. Each has a wide type
 * that holds all its values: float32, int8 or uint8. Here are the conversions, and nowhere else. */
#ifndef COP_BASE_NARROW_H
#define COP_BASE_NARROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <coppice/tensor.h>

/* How float8e8m0 rounds; all other types round to nearest even. */
typedef enum cop_rounding {
    COP_ROUND_UP, /* away from zero */
    COP_ROUND_DOWN,
    COP_ROUND_NEAREST /* half way: up */
} cop_rounding;

/* What a number becomes that is too large: infinity or NaN, or the largest number. Types without
 * either always saturate; float16 and bfloat16 never do. */
typedef struct cop_narrowing {
    bool saturate;
    cop_rounding rounding;
} cop_narrowing;

/* True for float16, bfloat16, float8, float4 and integers of 4 and 2 bits. */
bool cop_is_narrow_type(coppice_type type);

/* FLOAT, INT8 or UINT8 for a narrow type; any other type is its own. */
coppice_type cop_wide_type(coppice_type type);

/* ---- one number of a narrow float type ---- */

float cop_float_from_narrow(coppice_type type, unsigned bits);
unsigned cop_narrow_from_float(coppice_type type, float value, cop_narrowing how);

/* The float next to `value` whose last bit says that digits were cut off: rounded on to a narrow
 * type it gives what rounding `value` at once would. */
float cop_float_to_odd(double value);

/* ---- arrays; bits are packed from the low end of each byte up ---- */

/* Rounds `count` floats to values of a narrow float type, in place. */
void cop_narrow_round(coppice_type type, float *values, size_t count, cop_narrowing how);

/* Cuts `count` int8 or uint8 to the bits of a narrow integer type, in place. */
void cop_narrow_wrap(coppice_type type, void *values, size_t count);

/* `count` elements of a narrow type from element `first` on, in its wide type; `bits` may be
 * unaligned. */
void cop_narrow_unpack(coppice_type type, const void *bits, size_t first, size_t count, void *wide);

/* The bits of `count` wide elements: rounded without saturation. `first` must begin a byte. What is
 * left of the last byte is 0. */
void cop_narrow_pack(coppice_type type, const void *wide, size_t first, size_t count, void *bits);

#endif
