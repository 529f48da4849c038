/* Element conversions: half floats, precisions of floats, widths of integers, byte order. */
#include "data/convert.h"

#include <math.h>
#include <string.h>

#include "base/half.h"
#include "base/narrow.h"
#include "base/type.h"

bool cop_is_numpy_float(coppice_type type) {
    return type == COPPICE_TYPE_FLOAT || type == COPPICE_TYPE_FLOAT16 ||
           type == COPPICE_TYPE_DOUBLE;
}

bool cop_is_numpy_integer(coppice_type type) {
    return cop_is_integer_type(type) || type == COPPICE_TYPE_BOOL;
}

/* From double, so that a value is rounded once. */
static uint16_t half_from_double(double value) {
    return cop_half_from_float(cop_float_to_odd(value));
}

static const void *element(coppice_type type, const void *data, int64_t index) {
    return (const unsigned char *)data + (size_t)index * (coppice_type_bits(type) / 8);
}

double cop_load_float(coppice_type type, const void *data, int64_t index) {
    const void *at = element(type, data, index);
    if (type == COPPICE_TYPE_FLOAT) {
        float value;
        memcpy(&value, at, sizeof value);
        return value;
    }
    if (type == COPPICE_TYPE_DOUBLE) {
        double value;
        memcpy(&value, at, sizeof value);
        return value;
    }
    uint16_t half;
    memcpy(&half, at, sizeof half);
    return cop_float_from_half(half);
}

static void store_float(coppice_type type, void *out, int64_t index, double value) {
    unsigned char *at = (unsigned char *)out + (size_t)index * (coppice_type_bits(type) / 8);
    if (type == COPPICE_TYPE_FLOAT) {
        float narrow = (float)value;
        memcpy(at, &narrow, sizeof narrow);
    } else if (type == COPPICE_TYPE_DOUBLE) {
        memcpy(at, &value, sizeof value);
    } else {
        uint16_t half = half_from_double(value);
        memcpy(at, &half, sizeof half);
    }
}

/* X(type, C type, lowest, highest) of the integer types that int64_t holds; uint64 is apart. */
#define INTEGER_LIST(X)                                                                            \
    X(BOOL, uint8_t, 0, 1)                                                                         \
    X(UINT8, uint8_t, 0, UINT8_MAX)                                                                \
    X(INT8, int8_t, INT8_MIN, INT8_MAX)                                                            \
    X(UINT16, uint16_t, 0, UINT16_MAX)                                                             \
    X(INT16, int16_t, INT16_MIN, INT16_MAX)                                                        \
    X(UINT32, uint32_t, 0, UINT32_MAX)                                                             \
    X(INT32, int32_t, INT32_MIN, INT32_MAX)

int64_t cop_load_integer(coppice_type type, const void *data, int64_t index, bool *fits) {
    const void *at = element(type, data, index);
    int64_t wide = -1;
    bool holds = true;
    switch (type) {
#define LOAD_CASE(id, ctype, low, high)                                                            \
    case COPPICE_TYPE_##id: {                                                                      \
        ctype narrow;                                                                              \
        memcpy(&narrow, at, sizeof narrow);                                                        \
        wide = (int64_t)narrow;                                                                    \
        break;                                                                                     \
    }
        INTEGER_LIST(LOAD_CASE)
#undef LOAD_CASE
    case COPPICE_TYPE_INT64:
        memcpy(&wide, at, sizeof wide);
        break;
    case COPPICE_TYPE_UINT64:
        memcpy(&wide, at, sizeof wide);
        holds = wide >= 0; /* the top bit is the sign's */
        break;
    default:
        holds = false;
        break;
    }
    if (fits)
        *fits = holds;
    return holds ? wide : -1;
}

static bool store_integer(coppice_type type, void *out, int64_t index, int64_t value) {
    unsigned char *at = (unsigned char *)out + (size_t)index * (coppice_type_bits(type) / 8);
    switch (type) {
#define STORE_CASE(id, ctype, low, high)                                                           \
    case COPPICE_TYPE_##id: {                                                                      \
        ctype narrow = (ctype)value;                                                               \
        if (value < (low) || value > (high))                                                       \
            return false;                                                                          \
        memcpy(at, &narrow, sizeof narrow);                                                        \
        return true;                                                                               \
    }
        INTEGER_LIST(STORE_CASE)
#undef STORE_CASE
    case COPPICE_TYPE_UINT64:
    case COPPICE_TYPE_INT64:
        if (type == COPPICE_TYPE_UINT64 && value < 0)
            return false;
        memcpy(at, &value, sizeof value);
        return true;
    default:
        return false;
    }
}

void cop_store_floats(coppice_type type, const float *values, int64_t count, void *out) {
    if (type == COPPICE_TYPE_FLOAT) {
        memcpy(out, values, (size_t)count * sizeof *values);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        if (type == COPPICE_TYPE_UINT8)
            ((uint8_t *)out)[i] = (uint8_t)nearbyintf(fminf(fmaxf(values[i], 0), 255));
        else
            store_float(type, out, i, values[i]);
    }
}

bool cop_can_convert(coppice_type from, coppice_type to) {
    return from == to || (cop_is_numpy_float(from) && cop_is_numpy_float(to)) ||
           (cop_is_numpy_integer(from) && cop_is_numpy_integer(to));
}

int64_t cop_convert(coppice_type from, const void *data, coppice_type to, void *out,
                    int64_t count) {
    if (from == to) {
        if (count > 0)
            memcpy(out, data, (size_t)count * (coppice_type_bits(from) / 8));
        return -1;
    }
    for (int64_t i = 0; i < count; i++) {
        if (cop_is_numpy_float(from)) {
            store_float(to, out, i, cop_load_float(from, data, i));
            continue;
        }
        bool fits;
        int64_t value = cop_load_integer(from, data, i, &fits);
        if (!fits || !store_integer(to, out, i, value))
            return i;
    }
    return -1;
}

void cop_swap_bytes(void *data, size_t count, size_t bytes) {
    unsigned char *at = data;
    for (size_t i = 0; i < count; i++, at += bytes) {
        for (size_t low = 0, high = bytes - 1; low < high; low++, high--) {
            unsigned char kept = at[low];
            at[low] = at[high];
            at[high] = kept;
        }
    }
}
