/* Element types and sizes of plain tensors; the version of the library. */
#include "base/type.h"

#include <coppice/value.h>
#include <coppice/version.h>

#include "base/size.h"

#define TEXT_OF(x) #x
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

static const struct {
    unsigned bits;
    const char *name;
} types[] = {
#define TYPE_ROW(id, value, bits, text) [value] = {bits, text},
    COPPICE_TYPE_LIST(TYPE_ROW)
#undef TYPE_ROW
};

enum { TYPE_COUNT = sizeof types / sizeof types[0] };

const char *coppice_type_name(coppice_type type) {
    return (unsigned)type < TYPE_COUNT ? types[type].name : "unknown";
}

unsigned coppice_type_bits(coppice_type type) {
    return (unsigned)type < TYPE_COUNT ? types[type].bits : 0;
}

bool cop_is_float_type(coppice_type type) {
    return type == COPPICE_TYPE_FLOAT || type == COPPICE_TYPE_DOUBLE ||
           type == COPPICE_TYPE_FLOAT16 || type == COPPICE_TYPE_BFLOAT16;
}

bool cop_is_integer_type(coppice_type type) {
    switch (type) {
    case COPPICE_TYPE_INT8:
    case COPPICE_TYPE_INT16:
    case COPPICE_TYPE_INT32:
    case COPPICE_TYPE_INT64:
    case COPPICE_TYPE_UINT8:
    case COPPICE_TYPE_UINT16:
    case COPPICE_TYPE_UINT32:
    case COPPICE_TYPE_UINT64:
        return true;
    default:
        return false;
    }
}

int64_t coppice_tensor_count(const coppice_tensor *tensor) {
    int64_t count = 1;
    bool empty = false;
    for (uint32_t i = 0; i < tensor->rank; i++) {
        if (tensor->dims[i] < 0)
            return -1;
        if (tensor->dims[i] == 0)
            empty = true;
        else if (!cop_i64_mul(count, tensor->dims[i], &count))
            return -1;
    }
    return empty ? 0 : count;
}

int64_t coppice_tensor_bytes(const coppice_tensor *tensor) {
    int64_t count = coppice_tensor_count(tensor), bits;
    unsigned each = tensor->type == COPPICE_TYPE_STRING ? 8 * sizeof(coppice_string)
                                                        : coppice_type_bits(tensor->type);
    if (count < 0 || each == 0 || !cop_i64_mul(count, each, &bits) || bits > INT64_MAX - 7)
        return -1;
    return (bits + 7) / 8;
}

const char *coppice_kind_name(coppice_kind kind) {
    static const char *const names[] = {"tensor", "sequence", "optional", "map"};
    return (unsigned)kind < sizeof names / sizeof names[0] ? names[kind] : "unknown";
}

const char *coppice_version(void) {
    return VERSION_TEXT(COPPICE_VERSION_MAJOR, COPPICE_VERSION_MINOR, COPPICE_VERSION_PATCH);
}
