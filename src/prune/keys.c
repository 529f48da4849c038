/* Keys from the bits of weights and scores. The loops are written so that compilers vectorise them.
 */
#include "prune/keys.h"

#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "graph/quantized.h"

#define SIGN UINT32_C(0x80000000)
#define WIDE_SIGN UINT64_C(0x8000000000000000)

enum { CHUNK = 512 };

static const uint32_t invalid = UINT32_MAX; /* as a float it is a NaN */

/* ---- magnitudes as float32 bits ---- */

static void float_magnitudes(const unsigned char *data, size_t n, uint32_t *out) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, data + 4 * i, sizeof bits);
        out[i] = bits & ~SIGN;
    }
}

static void half_magnitudes(const unsigned char *data, size_t n, uint32_t *out) {
    for (size_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, data + 2 * i, sizeof bits);
        uint32_t magnitude = bits & 0x7fffu;
        uint32_t subnormal = cop_float_bits((float)(int32_t)magnitude * 0x1p-24f);
        uint32_t normal = (magnitude << 13) + (112u << 23);
        uint32_t infinite = normal + (112u << 23); /* or NaN */
        out[i] = magnitude < 0x400 ? subnormal : magnitude < 0x7c00 ? normal : infinite;
    }
}

static void bfloat_magnitudes(const unsigned char *data, size_t n, uint32_t *out) {
    for (size_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, data + 2 * i, sizeof bits);
        out[i] = (uint32_t)(bits & 0x7fffu) << 16;
    }
}

/* Only zero, NaN or neither of them: what is asked of a weight that has a score. */
static void double_classes(const unsigned char *data, size_t n, uint32_t *out) {
    for (size_t i = 0; i < n; i++) {
        double value;
        memcpy(&value, data + 8 * i, sizeof value);
        out[i] = isnan(value) ? invalid : value != 0;
    }
}

static void quantised_magnitudes(const cop_constant *constant, int64_t first, size_t n,
                                 uint32_t *out) {
    for (size_t i = 0; i < n; i++)
        out[i] = cop_float_bits(cop_quantized_magnitude(constant, first + (int64_t)i));
}

static void load_magnitudes(const cop_constant *constant, int64_t first, size_t n, uint32_t *out) {
    const coppice_tensor *tensor = &constant->tensor;
    size_t size = coppice_type_bits(tensor->type) / 8;
    const unsigned char *data = (const unsigned char *)tensor->data + (size_t)first * size;
    if (tensor->type == COPPICE_TYPE_FLOAT)
        float_magnitudes(data, n, out);
    else if (tensor->type == COPPICE_TYPE_FLOAT16)
        half_magnitudes(data, n, out);
    else if (tensor->type == COPPICE_TYPE_BFLOAT16)
        bfloat_magnitudes(data, n, out);
    else if (tensor->type == COPPICE_TYPE_DOUBLE)
        double_classes(data, n, out);
    else
        quantised_magnitudes(constant, first, n, out);
}

/* ---- keys of 32 bits ---- */

static void keys_of_magnitudes(size_t n, uint32_t *keys) {
    for (size_t i = 0; i < n; i++)
        keys[i] = keys[i] ? keys[i] | SIGN : 0;
}

/* `keys` holds the weights' magnitudes, which say which are zero or NaN. */
static void keys_of_scores(const coppice_tensor *scores, int64_t first, size_t n, uint32_t *keys) {
    const unsigned char *data = (const unsigned char *)scores->data + 4 * (size_t)first;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits, magnitude;
        memcpy(&bits, data + 4 * i, sizeof bits);
        magnitude = bits & ~SIGN;
        uint32_t key = bits > SIGN ? ~bits : magnitude | SIGN; /* -0 as 0 */
        key = magnitude >= 0x7f800000u || keys[i] > 0x7f800000u ? invalid : key;
        keys[i] = keys[i] ? key : 0;
    }
}

static void load_single(const cop_key_source *source, int64_t first, size_t n, uint32_t *keys) {
    load_magnitudes(source->weights, first, n, keys);
    for (size_t i = 0; source->zeroed_by && i < n; i++)
        if (cop_tensor_get(source->zeroed_by, first + (int64_t)i) == 0)
            keys[i] = 0;
    if (source->scores)
        keys_of_scores(source->scores, first, n, keys);
    else
        keys_of_magnitudes(n, keys);
}

/* ---- keys of 64 bits ---- */

static uint64_t widen_key(uint32_t key) {
    double value = (double)cop_bits_float(key & SIGN ? key ^ SIGN : ~key);
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (key == 0 || key == invalid)
        return key ? UINT64_MAX : 0;
    return bits & WIDE_SIGN ? ~bits : bits | WIDE_SIGN;
}

static void double_keys(const cop_key_source *source, int64_t first, size_t n, uint64_t *keys) {
    const unsigned char *data =
        (const unsigned char *)source->weights->tensor.data + 8 * (size_t)first;
    for (size_t i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, data + 8 * i, sizeof bits);
        bits &= ~WIDE_SIGN;
        keys[i] = bits ? bits | WIDE_SIGN : 0;
    }
    for (size_t i = 0; source->zeroed_by && i < n; i++)
        if (cop_tensor_get(source->zeroed_by, first + (int64_t)i) == 0)
            keys[i] = 0;
}

static void load_chunk(const cop_key_source *source, int64_t first, size_t n, uint64_t *keys) {
    uint32_t single[CHUNK];
    load_single(source, first, n, single);
    for (size_t i = 0; !source->wide && i < n; i++)
        keys[i] = (uint64_t)single[i] << 32;
    for (size_t i = 0; source->wide && i < n; i++)
        keys[i] = widen_key(single[i]);
}

void cop_keys_load(const cop_key_source *source, int64_t first, size_t n, uint64_t *keys) {
    if (source->weights->tensor.type == COPPICE_TYPE_DOUBLE && !source->scores) {
        double_keys(source, first, n, keys);
        return;
    }
    for (size_t at = 0; at < n; at += CHUNK)
        load_chunk(source, first + (int64_t)at, n - at < CHUNK ? n - at : CHUNK, keys + at);
}

static void load_digits(const cop_key_source *source, int64_t first, size_t n, uint16_t *digits) {
    uint32_t single[CHUNK];
    uint64_t wide[CHUNK];
    if (source->wide) {
        cop_keys_load(source, first, n, wide);
        for (size_t i = 0; i < n; i++)
            digits[i] = (uint16_t)(wide[i] >> (64 - COP_DIGIT_BITS));
        return;
    }
    load_single(source, first, n, single);
    for (size_t i = 0; i < n; i++)
        digits[i] = (uint16_t)(single[i] >> (32 - COP_DIGIT_BITS));
}

void cop_keys_digits(const cop_key_source *source, int64_t first, size_t n, uint16_t *digits) {
    for (size_t at = 0; at < n; at += CHUNK)
        load_digits(source, first + (int64_t)at, n - at < CHUNK ? n - at : CHUNK, digits + at);
}

double cop_magnitude_of(const cop_constant *weights, const cop_constant *zeroed_by, int64_t at) {
    if (zeroed_by && cop_tensor_get(&zeroed_by->tensor, at) == 0)
        return 0;
    return weights->quantized ? (double)cop_quantized_magnitude(weights, at)
                              : fabs(cop_tensor_get(&weights->tensor, at));
}
