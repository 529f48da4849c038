/* float16 and bfloat16 bits to float and back, round to nearest even. */
#ifndef COP_BASE_HALF_H
#define COP_BASE_HALF_H

#include <stdint.h>

#include "base/bits.h"

/* Without branches, so that loops are vectorised. */
static inline float cop_float_from_half(uint16_t half) {
    uint32_t exponent = half & 0x7c00u, bits = ((half & 0x7fffu) << 13) + 0x38000000u;
    bits += exponent == 0x7c00u ? 0x38000000u : exponent == 0 ? 1u << 23 : 0;
    float value = cop_bits_float(bits) - (exponent == 0 ? 0x1p-14f : 0.0f);
    return cop_bits_float(cop_float_bits(value) | (uint32_t)(half & 0x8000u) << 16);
}

static inline float cop_float_from_bfloat(uint16_t bits) {
    return cop_bits_float((uint32_t)bits << 16);
}

uint16_t cop_half_from_float(float value);
uint16_t cop_bfloat_from_float(float value);

#endif
