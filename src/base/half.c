/* Floats to the bits of float16 and bfloat16. */
#include "base/half.h"

#include "base/bits.h"

/* Drops the low `shift` bits of `value`, rounding half to even. */
static uint32_t round_shift(uint32_t value, unsigned shift) {
    uint32_t kept = value >> shift, rest = value & ((1u << shift) - 1), half = 1u << (shift - 1);
    return kept + (rest > half || (rest == half && (kept & 1)));
}

uint16_t cop_half_from_float(float value) {
    uint32_t bits = cop_float_bits(value), sign = (bits >> 16) & 0x8000;
    uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00 | ((magnitude >> 13) & 0x3ff));
    if (magnitude >= 0x47800000u) /* 65536 and above, infinity */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude < 0x33000000u) /* below half of the smallest subnormal */
        return (uint16_t)sign;
    if (magnitude < 0x38800000u) { /* subnormal in half precision */
        uint32_t fraction = (magnitude & 0x7fffffu) | 0x800000u;
        unsigned shift = 126 - (magnitude >> 23);
        return (uint16_t)(sign | round_shift(fraction, shift));
    }
    return (uint16_t)(sign | round_shift(magnitude - 0x38000000u, 13)); /* may carry to infinity */
}

uint16_t cop_bfloat_from_float(float value) {
    uint32_t bits = cop_float_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)(round_shift(bits & 0x7fffffffu, 16) | ((bits >> 16) & 0x8000));
}
