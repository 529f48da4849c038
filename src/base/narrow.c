/* Narrow types to the wide ones that hold them and back. */
#include "base/narrow.h"

#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "base/half.h"

/* ---- what there is ---- */

/* How a float of 8 or 4 bits is laid out. */
typedef struct small_float {
    uint8_t exponent_bits, fraction_bits, bias;
    uint8_t largest;    /* bits of the largest number */
    uint8_t infinity;   /* what stands for infinity; 0: nothing */
    uint8_t nan;        /* 0: nothing, the type saturates */
    bool unsigned_zero; /* the bits of -0 are NaN */
} small_float;

typedef struct narrow_type {
    coppice_type wide;
    small_float format;
} narrow_type;

static const narrow_type types[] = {
    [COPPICE_TYPE_FLOAT16] = {COPPICE_TYPE_FLOAT, {0}},
    [COPPICE_TYPE_BFLOAT16] = {COPPICE_TYPE_FLOAT, {0}},
    [COPPICE_TYPE_FLOAT8E4M3FN] = {COPPICE_TYPE_FLOAT, {4, 3, 7, 0x7e, 0, 0x7f, false}},
    [COPPICE_TYPE_FLOAT8E4M3FNUZ] = {COPPICE_TYPE_FLOAT, {4, 3, 8, 0x7f, 0, 0x80, true}},
    [COPPICE_TYPE_FLOAT8E5M2] = {COPPICE_TYPE_FLOAT, {5, 2, 15, 0x7b, 0x7c, 0x7e, false}},
    [COPPICE_TYPE_FLOAT8E5M2FNUZ] = {COPPICE_TYPE_FLOAT, {5, 2, 16, 0x7f, 0, 0x80, true}},
    [COPPICE_TYPE_FLOAT8E8M0] = {COPPICE_TYPE_FLOAT, {0}},
    [COPPICE_TYPE_FLOAT4E2M1] = {COPPICE_TYPE_FLOAT, {2, 1, 1, 0x7, 0, 0, false}},
    [COPPICE_TYPE_INT4] = {COPPICE_TYPE_INT8, {0}},
    [COPPICE_TYPE_INT2] = {COPPICE_TYPE_INT8, {0}},
    [COPPICE_TYPE_UINT4] = {COPPICE_TYPE_UINT8, {0}},
    [COPPICE_TYPE_UINT2] = {COPPICE_TYPE_UINT8, {0}},
};

bool cop_is_narrow_type(coppice_type type) {
    return (size_t)type < sizeof types / sizeof types[0] && types[type].wide;
}

coppice_type cop_wide_type(coppice_type type) {
    return cop_is_narrow_type(type) ? types[type].wide : type;
}

/* ---- bits of floats ---- */

float cop_float_to_odd(double value) {
    float near = (float)value;
    if ((double)near == value || value != value || isinf(value))
        return near;
    uint32_t bits = cop_float_bits(near);
    if (fabs((double)near) > fabs(value))
        bits--;
    return cop_bits_float(bits | 1);
}

/* Rounds to a float16 without branches. The sum with 0.5 leaves steps of 2^-24, those of subnormal
 * numbers. */
static inline float round_half(float value) {
    uint32_t bits = cop_float_bits(value), sign = bits & 0x80000000u, magnitude = bits ^ sign;
    uint32_t small = cop_float_bits((cop_bits_float(magnitude) + 0.5f) - 0.5f);
    uint32_t kept = (magnitude + 0xfff + (magnitude >> 13 & 1)) & ~0x1fffu;
    kept = kept >= 0x47800000u ? 0x7f800000u : kept;
    kept = magnitude < 0x38800000u ? small : kept;
    kept = magnitude > 0x7f800000u ? magnitude : kept;
    return cop_bits_float(sign | kept);
}

static inline float round_bfloat(float value) {
    uint32_t bits = cop_float_bits(value), sign = bits & 0x80000000u, magnitude = bits ^ sign;
    uint32_t kept = (magnitude + 0x7fff + (magnitude >> 16 & 1)) & ~0xffffu;
    return cop_bits_float(sign | (magnitude > 0x7f800000u ? magnitude | 0x400000u : kept));
}

/* ---- small floats ---- */

static float from_small(const small_float *f, unsigned bits) {
    unsigned width = (unsigned)f->exponent_bits + f->fraction_bits;
    unsigned magnitude = bits & ((1u << width) - 1), sign = bits >> width & 1;
    unsigned fraction = magnitude & ((1u << f->fraction_bits) - 1);
    unsigned exponent = magnitude >> f->fraction_bits;
    if (f->infinity && magnitude == f->infinity)
        return sign ? -INFINITY : INFINITY;
    if (magnitude > f->largest || (f->unsigned_zero && sign && !magnitude))
        return cop_bits_float(0x7fc00000u | sign << 31);
    int scale = -f->bias - f->fraction_bits;
    float value = exponent
                      ? ldexpf((float)(fraction + (1u << f->fraction_bits)), (int)exponent + scale)
                      : ldexpf((float)fraction, 1 + scale);
    return sign ? -value : value;
}

/* What a number beyond the largest becomes. */
static unsigned too_large(const small_float *f, unsigned sign, bool saturate) {
    if (saturate || !f->nan)
        return sign | f->largest;
    if (f->unsigned_zero)
        return f->nan;
    return sign | (f->infinity ? f->infinity : f->nan);
}

static unsigned to_small(const small_float *f, float value, bool saturate) {
    unsigned width = (unsigned)f->exponent_bits + f->fraction_bits;
    unsigned sign = (cop_float_bits(value) >> 31) << width;
    if (value != value)
        return !f->nan ? 1u << width : f->unsigned_zero ? f->nan : sign | f->nan;
    int exponent = 0, least = 2 - f->bias; /* `least`: of numbers that are not subnormal */
    float fraction = isinf(value) ? 0 : frexpf(fabsf(value), &exponent); /* 0.5 .. 1 */
    if (isinf(value) || exponent > 32)
        return too_large(f, sign, saturate);
    int level = exponent < least || fraction == 0 ? least : exponent;
    float steps = rintf(ldexpf(fraction, exponent - level + f->fraction_bits + 1));
    unsigned magnitude = ((unsigned)(level - least) << f->fraction_bits) + (unsigned)steps;
    if (magnitude > f->largest)
        return too_large(f, sign, saturate);
    return f->unsigned_zero && !magnitude ? 0 : sign | magnitude;
}

/* ---- float8e8m0: powers of two, and NaN ---- */

enum { E8M0_LARGEST = 254, E8M0_NAN = 255 };

static float from_e8m0(unsigned bits) {
    return cop_bits_float(bits == E8M0_NAN ? 0x7fc00000u : bits ? bits << 23 : 0x400000u);
}

/* By bits: the smallest powers are subnormal floats, which the processor may take for 0. */
static unsigned to_e8m0(float value, cop_narrowing how) {
    uint32_t magnitude = cop_float_bits(value) & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return E8M0_NAN;
    if (magnitude < 0x400000u)
        return how.saturate ? 0 : E8M0_NAN;
    uint32_t code = magnitude >> 23, rest = magnitude & 0x7fffffu, half = 0x400000u;
    if (code == 0) {
        rest -= half;
        half /= 2;
    }
    if (how.rounding == COP_ROUND_UP)
        code += rest > 0;
    else if (how.rounding == COP_ROUND_NEAREST)
        code += rest >= half;
    return code <= E8M0_LARGEST ? code : how.saturate ? E8M0_LARGEST : E8M0_NAN;
}

/* ---- one number ---- */

float cop_float_from_narrow(coppice_type type, unsigned bits) {
    switch ((int)type) {
    case COPPICE_TYPE_FLOAT16:
        return cop_float_from_half((uint16_t)bits);
    case COPPICE_TYPE_BFLOAT16:
        return cop_float_from_bfloat((uint16_t)bits);
    case COPPICE_TYPE_FLOAT8E8M0:
        return from_e8m0(bits);
    default:
        return from_small(&types[type].format, bits);
    }
}

unsigned cop_narrow_from_float(coppice_type type, float value, cop_narrowing how) {
    switch ((int)type) {
    case COPPICE_TYPE_FLOAT16:
        return cop_half_from_float(value);
    case COPPICE_TYPE_BFLOAT16:
        return cop_bfloat_from_float(value);
    case COPPICE_TYPE_FLOAT8E8M0:
        return to_e8m0(value, how);
    default:
        return to_small(&types[type].format, value, how.saturate);
    }
}

/* ---- arrays ---- */

void cop_narrow_round(coppice_type type, float *values, size_t count, cop_narrowing how) {
    if (type == COPPICE_TYPE_FLOAT16) {
        for (size_t i = 0; i < count; i++)
            values[i] = round_half(values[i]);
    } else if (type == COPPICE_TYPE_BFLOAT16) {
        for (size_t i = 0; i < count; i++)
            values[i] = round_bfloat(values[i]);
    } else {
        for (size_t i = 0; i < count; i++)
            values[i] = cop_float_from_narrow(type, cop_narrow_from_float(type, values[i], how));
    }
}

static inline int8_t sign_extended(unsigned bits, unsigned width) {
    unsigned sign = 1u << (width - 1);
    return (int8_t)((int)((bits & (2 * sign - 1)) ^ sign) - (int)sign);
}

void cop_narrow_wrap(coppice_type type, void *values, size_t count) {
    unsigned width = coppice_type_bits(type), mask = (1u << width) - 1;
    uint8_t *bytes = values;
    bool is_signed = cop_wide_type(type) == COPPICE_TYPE_INT8;
    for (size_t i = 0; i < count; i++)
        bytes[i] = is_signed ? (uint8_t)sign_extended(bytes[i], width) : (uint8_t)(bytes[i] & mask);
}

static void unpack_words(coppice_type type, const uint8_t *bits, size_t count, float *wide) {
    for (size_t i = 0; i < count; i++) {
        uint16_t word;
        memcpy(&word, bits + 2 * i, sizeof word);
        wide[i] =
            type == COPPICE_TYPE_FLOAT16 ? cop_float_from_half(word) : cop_float_from_bfloat(word);
    }
}

/* Types of up to 8 bits: what each code means is looked up. */
static void unpack_codes(coppice_type type, const uint8_t *bits, size_t first, size_t count,
                         void *wide) {
    unsigned width = coppice_type_bits(type), per_byte = 8 / width, mask = (1u << width) - 1;
    bool floats = types[type].wide == COPPICE_TYPE_FLOAT;
    float meaning[256];
    for (unsigned code = 0; floats && code <= mask; code++)
        meaning[code] = cop_float_from_narrow(type, code);
    for (size_t i = 0; i < count; i++) {
        size_t at = first + i;
        unsigned code = bits[at / per_byte] >> (at % per_byte * width) & mask;
        if (floats)
            ((float *)wide)[i] = meaning[code];
        else
            ((uint8_t *)wide)[i] = (uint8_t)code;
    }
    if (!floats)
        cop_narrow_wrap(type, wide, count);
}

void cop_narrow_unpack(coppice_type type, const void *bits, size_t first, size_t count,
                       void *wide) {
    if (coppice_type_bits(type) == 16)
        unpack_words(type, (const uint8_t *)bits + 2 * first, count, wide);
    else
        unpack_codes(type, bits, first, count, wide);
}

static void pack_words(coppice_type type, const float *wide, size_t count, uint8_t *bits) {
    for (size_t i = 0; i < count; i++) {
        uint16_t word = type == COPPICE_TYPE_FLOAT16 ? cop_half_from_float(wide[i])
                                                     : cop_bfloat_from_float(wide[i]);
        memcpy(bits + 2 * i, &word, sizeof word);
    }
}

void cop_narrow_pack(coppice_type type, const void *wide, size_t first, size_t count, void *bits) {
    unsigned width = coppice_type_bits(type), mask = (1u << width) - 1;
    bool floats = types[type].wide == COPPICE_TYPE_FLOAT;
    if (width == 16) {
        pack_words(type, wide, count, (uint8_t *)bits + 2 * first);
        return;
    }
    unsigned per_byte = 8 / width;
    uint8_t *out = (uint8_t *)bits + first / per_byte;
    for (size_t i = 0; i < count; i++) {
        unsigned code = floats ? cop_narrow_from_float(type, ((const float *)wide)[i],
                                                       (cop_narrowing){false, COP_ROUND_NEAREST})
                               : ((const uint8_t *)wide)[i] & mask;
        unsigned shift = (unsigned)(i % per_byte) * width;
        if (shift == 0)
            out[i / per_byte] = 0;
        out[i / per_byte] |= (uint8_t)(code << shift);
    }
}
