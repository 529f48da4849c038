/* Single elements of tensors as numbers. */
#include <math.h>
#include <string.h>

#include "base/narrow.h"
#include "graph/graph.h"

/* Sub-byte elements are packed from the low bits of each byte up. */
static unsigned packed_bits(const coppice_tensor *tensor, int64_t index, unsigned width) {
    const unsigned char *data = tensor->data;
    unsigned per_byte = 8 / width;
    unsigned shift = (unsigned)(index % per_byte) * width;
    return (data[index / per_byte] >> shift) & ((1u << width) - 1);
}

static int sign_extended(unsigned bits, unsigned width) {
    return bits >> (width - 1) ? (int)bits - (1 << width) : (int)bits;
}

#define READ(type, name)                                                                           \
    type name;                                                                                     \
    memcpy(&name, (const char *)tensor->data + (size_t)index * sizeof(type), sizeof(type))

#define INTEGER_CASE(id, type)                                                                     \
    case COPPICE_TYPE_##id: {                                                                      \
        READ(type, element);                                                                       \
        *out = (int64_t)element;                                                                   \
        return true;                                                                               \
    }

static bool get_integer(const coppice_tensor *tensor, int64_t index, int64_t *out) {
    switch (tensor->type) {
        INTEGER_CASE(UINT8, uint8_t)
        INTEGER_CASE(INT8, int8_t)
        INTEGER_CASE(UINT16, uint16_t)
        INTEGER_CASE(INT16, int16_t)
        INTEGER_CASE(UINT32, uint32_t)
        INTEGER_CASE(INT32, int32_t)
        INTEGER_CASE(UINT64, uint64_t)
        INTEGER_CASE(INT64, int64_t)
        INTEGER_CASE(BOOL, uint8_t)
    case COPPICE_TYPE_UINT4:
        *out = packed_bits(tensor, index, 4);
        return true;
    case COPPICE_TYPE_INT4:
        *out = sign_extended(packed_bits(tensor, index, 4), 4);
        return true;
    case COPPICE_TYPE_UINT2:
        *out = packed_bits(tensor, index, 2);
        return true;
    case COPPICE_TYPE_INT2:
        *out = sign_extended(packed_bits(tensor, index, 2), 2);
        return true;
    default:
        return false;
    }
}

double cop_tensor_get(const coppice_tensor *tensor, int64_t index) {
    int64_t integer;
    if (tensor->type == COPPICE_TYPE_UINT64) {
        READ(uint64_t, element);
        return (double)element;
    }
    if (get_integer(tensor, index, &integer))
        return (double)integer;
    switch (tensor->type) {
    case COPPICE_TYPE_FLOAT: {
        READ(float, element);
        return element;
    }
    case COPPICE_TYPE_DOUBLE: {
        READ(double, element);
        return element;
    }
    case COPPICE_TYPE_FLOAT16:
    case COPPICE_TYPE_BFLOAT16: {
        READ(uint16_t, bits);
        return cop_float_from_narrow(tensor->type, bits);
    }
    case COPPICE_TYPE_FLOAT8E4M3FN:
    case COPPICE_TYPE_FLOAT8E4M3FNUZ:
    case COPPICE_TYPE_FLOAT8E5M2:
    case COPPICE_TYPE_FLOAT8E5M2FNUZ:
    case COPPICE_TYPE_FLOAT8E8M0: {
        READ(uint8_t, bits);
        return cop_float_from_narrow(tensor->type, bits);
    }
    case COPPICE_TYPE_FLOAT4E2M1:
        return cop_float_from_narrow(tensor->type, packed_bits(tensor, index, 4));
    default:
        return 0.0;
    }
}

int64_t cop_tensor_get_int(const coppice_tensor *tensor, int64_t index) {
    int64_t integer;
    if (get_integer(tensor, index, &integer))
        return integer;
    double value = cop_tensor_get(tensor, index);
    if (!(value > -0x1p63))
        return isnan(value) ? 0 : INT64_MIN;
    return value < 0x1p63 ? (int64_t)value : INT64_MAX;
}

bool cop_same_string(coppice_string a, coppice_string b) {
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}
