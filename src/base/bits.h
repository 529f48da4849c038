/* The bits of a float as a number, and back; a double from its bits. */
#ifndef COP_BASE_BITS_H
#define COP_BASE_BITS_H

#include <stdint.h>
#include <string.h>

static inline uint32_t cop_float_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float cop_bits_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline double cop_bits_double(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
