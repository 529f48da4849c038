/* Masks in .npz files: one array of zeros and ones per weight. */
#include <string.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/type.h"
#include "data/convert.h"
#include "data/npz.h"
#include "graph/mask.h"

enum { CHUNK = 1 << 16 }; /* elements at a time, a multiple of 64 */

/* ---- writing ---- */

static coppice_status write_mask(cop_npz_writer *writer, const cop_mask *mask, uint8_t *chunk,
                                 coppice_error *err) {
    coppice_tensor shape = {.type = COPPICE_TYPE_UINT8, .rank = mask->rank};
    memcpy(shape.dims, mask->dims, sizeof shape.dims);
    COP_TRY(cop_npz_writer_begin(writer, mask->name, &shape, COP_NPZ_FLAGS, err));
    for (int64_t first = 0; first < mask->count; first += CHUNK) {
        int64_t n = mask->count - first < CHUNK ? mask->count - first : CHUNK;
        cop_mask_unpack(mask, first, chunk, n);
        COP_TRY(cop_npz_writer_write(writer, chunk, (size_t)n, err));
    }
    return COPPICE_OK;
}

static coppice_status save(const coppice_masks *masks, const char *path, bool overwrite,
                           coppice_error *error) {
    uint8_t *chunk = cop_malloc(CHUNK);
    if (!chunk)
        return cop_fail_memory(error, CHUNK);
    cop_npz_writer writer = {0};
    coppice_status status = cop_npz_writer_open(&writer, path, overwrite, error);
    for (size_t i = 0; status == COPPICE_OK && i < masks->count; i++)
        status = write_mask(&writer, &masks->items[i], chunk, error);
    if (status == COPPICE_OK)
        status = cop_npz_writer_commit(&writer, error);
    cop_npz_writer_close(&writer);
    cop_free(chunk);
    return status;
}

coppice_status coppice_masks_save(const coppice_masks *masks, const char *path, bool overwrite,
                                  coppice_error *error) {
    const coppice_host *before = cop_memory_enter(masks->host);
    return cop_memory_leave(before, save(masks, path, overwrite, error));
}

/* ---- reading ---- */

/* Where the elements of an array go, which are stored with the first index running fastest. */
typedef struct odometer {
    int64_t index[COPPICE_MAX_RANK], stride[COPPICE_MAX_RANK];
    int64_t offset;
} odometer;

static void start(odometer *o, const cop_mask *mask) {
    *o = (odometer){0};
    int64_t stride = 1;
    for (uint32_t d = mask->rank; d-- > 0;) {
        o->stride[d] = stride;
        stride *= mask->dims[d];
    }
}

static void advance(odometer *o, const cop_mask *mask) {
    for (uint32_t d = 0; d < mask->rank; d++) {
        o->offset += o->stride[d];
        if (++o->index[d] < mask->dims[d])
            return;
        o->offset -= o->stride[d] * mask->dims[d];
        o->index[d] = 0;
    }
}

/* Turns elements as stored into bytes of 0 and 1, in place. Returns the number of those that are
 * neither, and where the first one is. */
static int64_t to_flags(const cop_npy_header *header, unsigned char *chunk, int64_t n,
                        int64_t *first_bad) {
    size_t width = coppice_type_bits(header->tensor.type) / 8;
    int64_t bad = 0;
    if (header->swap)
        cop_swap_bytes(chunk, (size_t)n, width);
    coppice_tensor view = {.type = header->tensor.type, .data = chunk};
    for (int64_t i = 0; i < n; i++) {
        double value = width == 1 ? chunk[i] : cop_tensor_get(&view, i);
        if (value != 0 && value != 1 && header->tensor.type != COPPICE_TYPE_BOOL && bad++ == 0)
            *first_bad = i;
        chunk[i] = value != 0; /* behind all elements that are still to be read */
    }
    return bad;
}

static coppice_status read_mask(cop_npz_array *array, cop_mask *mask, unsigned char *chunk,
                                coppice_error *err) {
    const cop_npy_header *header = &array->header;
    size_t width = coppice_type_bits(header->tensor.type) / 8;
    bool turned = header->fortran && mask->rank > 1;
    odometer at;
    start(&at, mask);
    for (int64_t first = 0; first < mask->count; first += CHUNK) {
        COP_TRY(cop_check_interrupt(err));
        int64_t n = mask->count - first < CHUNK ? mask->count - first : CHUNK, bad = 0;
        COP_TRY(cop_npz_read_bytes(array, chunk, (size_t)n * width, err));
        if (to_flags(header, chunk, n, &bad))
            return cop_fail(err, COPPICE_BAD_DATA,
                            "%s: element %lld is neither 0 nor 1: not a mask", array->what,
                            (long long)(first + bad));
        if (!turned)
            cop_mask_pack(mask, first, chunk, n);
        for (int64_t i = 0; turned && i < n; i++, advance(&at, mask))
            mask->kept[at.offset / 64] |= (uint64_t)chunk[i] << (at.offset % 64);
        for (int64_t i = 0; i < n; i++)
            mask->zeros += !chunk[i];
    }
    return cop_npz_finish_array(array, err);
}

static coppice_status read_array(coppice_npz *npz, size_t index, unsigned char *chunk,
                                 coppice_masks *masks, coppice_error *err) {
    cop_npz_array array = {0};
    coppice_status status = cop_npz_open_array(npz, index, &array, err);
    const coppice_tensor *shape = &array.header.tensor;
    if (status == COPPICE_OK && shape->type != COPPICE_TYPE_BOOL &&
        !cop_is_integer_type(shape->type) && !cop_is_float_type(shape->type))
        status = cop_fail(err, COPPICE_UNSUPPORTED, "%s: is %s; a mask is uint8 or bool",
                          array.what, coppice_type_name(shape->type));
    if (status == COPPICE_OK) {
        cop_mask *mask =
            cop_masks_add(masks, coppice_npz_name(npz, index), shape->rank, shape->dims);
        status = mask ? read_mask(&array, mask, chunk, err)
                      : cop_fail_memory(err, array.header.data_bytes / 8);
    }
    cop_npz_close_array(&array);
    return status;
}

coppice_status coppice_masks_load(const char *path, coppice_masks **out, coppice_error *error) {
    *out = NULL;
    coppice_masks *masks = NULL;
    coppice_npz *npz = NULL;
    coppice_status status;
    unsigned char *chunk = cop_malloc(CHUNK * sizeof(double));
    if (!chunk)
        return cop_fail_memory(error, CHUNK * sizeof(double));
    COP_TRY_OR_FAIL(coppice_npz_open(path, &npz, error));
    COP_TRY_OR_FAIL(coppice_masks_new(&masks, error));
    for (size_t i = 0; i < coppice_npz_count(npz); i++)
        COP_TRY_OR_FAIL(read_array(npz, i, chunk, masks, error));
    *out = masks;
    masks = NULL;
fail:
    if (status != COPPICE_OK)
        cop_error_locate(error, path, NULL, -1);
    coppice_masks_free(masks);
    coppice_npz_free(npz);
    cop_free(chunk);
    return status;
}
