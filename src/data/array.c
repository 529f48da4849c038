/* Arrays in files: .npy and idx (plain or gzip-compressed), viewed in place where possible. */
#include "data/array.h"

#include <string.h>

#include <coppice/data.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/narrow.h"

enum { VIEW_ALIGNMENT = 8 }; /* of the data in the file, so that elements can be read in place */

void cop_array_close(cop_array *array) {
    cop_free(array->owned);
    cop_mapping_close(&array->mapping);
    *array = (cop_array){0};
}

bool cop_is_array(const unsigned char *bytes, size_t size) {
    bool gzip = size >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
    bool idx = size >= 4 && bytes[0] == 0 && bytes[1] == 0 && bytes[2] >= 8;
    return gzip || idx || cop_is_npy(bytes, size);
}

bool cop_is_zip(const unsigned char *bytes, size_t size) {
    return size >= 4 && bytes[0] == 'P' && bytes[1] == 'K';
}

static coppice_status open_npy(cop_array *array, const char *path, coppice_error *err) {
    cop_npy_header header;
    COP_TRY(cop_npy_parse(array->mapping.data, array->mapping.bytes, array->mapping.bytes, path,
                          &header, err));
    array->tensor = header.tensor;
    unsigned char *stored = array->mapping.data + header.header_bytes;
    bool plain = !header.swap && !(header.fortran && header.tensor.rank > 1) &&
                 header.tensor.type != COPPICE_TYPE_BOOL &&
                 header.tensor.type != COPPICE_TYPE_STRING;
    if (plain && header.header_bytes % VIEW_ALIGNMENT == 0) {
        array->tensor.data = stored;
        return COPPICE_OK;
    }
    array->owned = cop_malloc(header.data_bytes ? header.data_bytes : 1);
    if (!array->owned)
        return cop_fail_memory(err, header.data_bytes);
    memcpy(array->owned, stored, header.data_bytes);
    COP_TRY(cop_npy_normalise(&header, &array->owned, err));
    array->tensor.data = array->owned;
    cop_mapping_close(&array->mapping);
    return COPPICE_OK;
}

static coppice_status open_mapped(cop_array *array, const char *path, coppice_error *err) {
    const unsigned char *bytes = array->mapping.data;
    size_t size = array->mapping.bytes;
    if (size == 0)
        return cop_fail(err, COPPICE_BAD_DATA, "%s: the file is empty", path);
    if (cop_is_npy(bytes, size))
        return open_npy(array, path, err);
    if (cop_is_zip(bytes, size))
        return cop_fail(err, COPPICE_BAD_DATA, "%s: a .npz file where one array is expected", path);
    if (!cop_is_array(bytes, size))
        return cop_fail(err, COPPICE_BAD_DATA, "%s: neither a .npy nor an idx file", path);
    COP_TRY(cop_idx_decode(bytes, size, path, &array->tensor, err));
    array->owned = array->tensor.data;
    cop_mapping_close(&array->mapping);
    return COPPICE_OK;
}

coppice_status cop_array_open(const char *path, cop_array *out, coppice_error *err) {
    *out = (cop_array){0};
    COP_TRY(cop_mapping_open(path, &out->mapping, err));
    coppice_status status = open_mapped(out, path, err);
    if (status != COPPICE_OK) {
        cop_error_locate(err, path, NULL, -1);
        cop_array_close(out);
    }
    return status;
}

void coppice_tensor_release(coppice_tensor *tensor) {
    if (!tensor)
        return;
    cop_free(tensor->data);
    *tensor = (coppice_tensor){0};
}

/* Do all integers fit? Floats always do. */
static bool fits(const coppice_tensor *tensor, const coppice_tensor *narrow) {
    int64_t count = coppice_tensor_count(tensor);
    uint8_t wide;
    for (int64_t i = 0; tensor->type != COPPICE_TYPE_FLOAT && i < count; i++) {
        cop_narrow_unpack(narrow->type, narrow->data, (size_t)i, 1, &wide);
        if (wide != ((const uint8_t *)tensor->data)[i])
            return false;
    }
    return true;
}

coppice_status coppice_tensor_narrow(coppice_tensor *tensor, coppice_type type,
                                     coppice_error *error) {
    coppice_tensor narrow = *tensor;
    narrow.type = type;
    if (!cop_is_narrow_type(type) || cop_wide_type(type) != tensor->type)
        return cop_fail(error, COPPICE_INVALID_ARGUMENT, "a tensor of %s does not become %s",
                        coppice_type_name(tensor->type), coppice_type_name(type));
    int64_t count = coppice_tensor_count(tensor), bytes = coppice_tensor_bytes(&narrow);
    if (bytes < 0)
        return cop_fail(error, COPPICE_INVALID_ARGUMENT, "not a valid tensor");
    narrow.data = cop_calloc(1, (size_t)bytes + 1);
    if (!narrow.data)
        return cop_fail_memory(error, (size_t)bytes);
    cop_narrow_pack(type, tensor->data, 0, (size_t)count, narrow.data);
    if (!fits(tensor, &narrow)) {
        cop_free(narrow.data);
        return cop_fail(error, COPPICE_INVALID_ARGUMENT, "a number in it is beyond %s",
                        coppice_type_name(type));
    }
    cop_free(tensor->data);
    *tensor = narrow;
    return COPPICE_OK;
}

coppice_status coppice_npy_read(const char *path, coppice_tensor *out, coppice_error *error) {
    *out = (coppice_tensor){0};
    cop_array array = {0};
    COP_TRY(cop_mapping_open(path, &array.mapping, error));
    coppice_status status;
    if (cop_is_npy(array.mapping.data, array.mapping.bytes))
        status = open_npy(&array, path, error);
    else
        status = cop_fail(error, COPPICE_BAD_DATA, "%s: not a .npy file", path);
    if (status == COPPICE_OK && !array.owned) {
        size_t bytes = (size_t)coppice_tensor_bytes(&array.tensor);
        array.owned = cop_malloc(bytes ? bytes : 1);
        if (array.owned)
            memcpy(array.owned, array.tensor.data, bytes);
        else
            status = cop_fail_memory(error, bytes);
    }
    if (status == COPPICE_OK) {
        *out = array.tensor;
        out->data = array.owned;
        array.owned = NULL;
    } else {
        cop_error_locate(error, path, NULL, -1);
    }
    cop_array_close(&array);
    return status;
}
