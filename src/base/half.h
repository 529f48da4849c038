/* float16 and bfloat16 bits to float and back, round to nearest even. */
#ifndef COP_BASE_HALF_H
#define COP_BASE_HALF_H

#include <stdint.h>

float cop_float_from_half(uint16_t bits);
uint16_t cop_half_from_float(float value);
float cop_float_from_bfloat(uint16_t bits);
uint16_t cop_bfloat_from_float(float value);

#endif
