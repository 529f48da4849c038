/* Sets of masks: named bits. */
#include "graph/mask.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"

coppice_status coppice_masks_new(coppice_masks **out, coppice_error *error) {
    *out = cop_calloc(1, sizeof **out);
    return *out ? COPPICE_OK : cop_fail_memory(error, sizeof **out);
}

void coppice_masks_free(coppice_masks *masks) {
    if (!masks)
        return;
    cop_free(masks->items);
    cop_map_free(&masks->index);
    cop_arena_free(&masks->arena);
    cop_free(masks);
}

static cop_mask *new_item(coppice_masks *masks, const char *name) {
    char *copy = cop_arena_strdup(&masks->arena, name);
    if (!copy || cop_grow(&masks->items, masks->count, &masks->capacity, sizeof(cop_mask)) != 0 ||
        !cop_map_set(&masks->index, copy, (int64_t)masks->count))
        return NULL;
    cop_mask *mask = &masks->items[masks->count++];
    *mask = (cop_mask){.name = copy};
    return mask;
}

cop_mask *cop_masks_add(coppice_masks *masks, const char *name, uint32_t rank,
                        const int64_t *dims) {
    coppice_tensor shape = {.type = COPPICE_TYPE_UINT8, .rank = rank};
    memcpy(shape.dims, dims, rank * sizeof *dims);
    int64_t count = coppice_tensor_count(&shape);
    uint64_t *kept =
        count < 0 ? NULL : cop_arena_array(&masks->arena, cop_mask_words(count), sizeof(uint64_t));
    if (!kept)
        return NULL;
    int64_t known = coppice_masks_find(masks, name);
    cop_mask *mask = known < 0 ? new_item(masks, name) : &masks->items[known];
    if (!mask)
        return NULL;
    mask->rank = rank;
    memcpy(mask->dims, shape.dims, sizeof mask->dims);
    mask->count = count;
    mask->zeros = 0;
    mask->kept = kept;
    return mask;
}

const cop_mask *cop_masks_get(const coppice_masks *masks, const char *name) {
    int64_t index = coppice_masks_find(masks, name);
    return index < 0 ? NULL : &masks->items[index];
}

void cop_mask_pack(cop_mask *mask, int64_t first, const uint8_t *kept, int64_t n) {
    uint64_t *words = mask->kept + first / 64;
    for (int64_t i = 0; i < n; i += 64) {
        uint8_t ones[64] = {0};
        int64_t bits = n - i < 64 ? n - i : 64;
        for (int64_t bit = 0; bit < bits; bit++)
            ones[bit] = kept[i + bit] != 0;
        words[i / 64] = cop_bits_of_bytes(ones);
    }
}

void cop_mask_unpack(const cop_mask *mask, int64_t first, uint8_t *kept, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        kept[i] = cop_mask_keeps(mask, first + i);
}

/* Copies 32 elements where a bit of `kept` is 1 and writes zeros where it is 0. The elements are
 * read before they are written: `to` may be `from`. */
#define DEFINE_COPY(name, type)                                                                    \
    static void name(uint32_t kept, const unsigned char *from, unsigned char *to) {                \
        type elements[32];                                                                         \
        memcpy(elements, from, sizeof elements);                                                   \
        for (int i = 0; i < 32; i++)                                                               \
            elements[i] = kept & UINT32_C(1) << i ? elements[i] : 0;                               \
        memcpy(to, elements, sizeof elements);                                                     \
    }

DEFINE_COPY(copy_16, uint16_t)
DEFINE_COPY(copy_32, uint32_t)
DEFINE_COPY(copy_64, uint64_t)

static void copy_one(bool kept, size_t width, const unsigned char *from, unsigned char *to) {
    if (!kept)
        memset(to, 0, width);
    else if (to != from)
        memcpy(to, from, width);
}

void cop_mask_copy(const cop_mask *mask, int64_t first, int64_t n, size_t width,
                   const unsigned char *from, unsigned char *to) {
    void (*copy)(uint32_t, const unsigned char *, unsigned char *) = width == 4   ? copy_32
                                                                     : width == 2 ? copy_16
                                                                     : width == 8 ? copy_64
                                                                                  : NULL;
    for (int64_t i = 0; i < n;) {
        const unsigned char *element = from + (size_t)i * width;
        int64_t at = first + i;
        if (copy && at % 32 == 0 && n - i >= 32) {
            copy((uint32_t)(mask->kept[at / 64] >> (at % 64)), element, to + (size_t)i * width);
            i += 32;
            continue;
        }
        copy_one(cop_mask_keeps(mask, at), width, element, to + (size_t)i * width);
        i++;
    }
}

bool cop_mask_fits(const cop_mask *mask, const coppice_tensor *tensor) {
    return mask->rank == tensor->rank &&
           memcmp(mask->dims, tensor->dims, mask->rank * sizeof *mask->dims) == 0;
}

/* ---- the public side ---- */

coppice_status coppice_masks_add(coppice_masks *masks, const char *name, const coppice_tensor *kept,
                                 coppice_error *error) {
    if (kept->type != COPPICE_TYPE_UINT8 && kept->type != COPPICE_TYPE_BOOL)
        return cop_fail(error, COPPICE_INVALID_ARGUMENT, "mask '%s' is %s, expected uint8 or bool",
                        name, coppice_type_name(kept->type));
    cop_mask *mask = cop_masks_add(masks, name, kept->rank, kept->dims);
    if (!mask)
        return cop_fail_memory(error, (size_t)coppice_tensor_count(kept));
    cop_mask_pack(mask, 0, kept->data, mask->count);
    mask->zeros = mask->count;
    for (size_t i = 0; i < cop_mask_words(mask->count); i++)
        mask->zeros -= __builtin_popcountll(mask->kept[i]);
    return COPPICE_OK;
}

size_t coppice_masks_count(const coppice_masks *masks) {
    return masks->count;
}

const char *coppice_masks_name(const coppice_masks *masks, size_t index) {
    return masks->items[index].name;
}

int64_t coppice_masks_find(const coppice_masks *masks, const char *name) {
    return cop_map_get(&masks->index, name, -1);
}

coppice_tensor coppice_masks_info(const coppice_masks *masks, size_t index) {
    const cop_mask *mask = &masks->items[index];
    coppice_tensor info = {.type = COPPICE_TYPE_UINT8, .rank = mask->rank};
    memcpy(info.dims, mask->dims, sizeof info.dims);
    return info;
}

int64_t coppice_masks_zeros(const coppice_masks *masks, size_t index) {
    return masks->items[index].zeros;
}

void coppice_masks_read(const coppice_masks *masks, size_t index, uint8_t *kept) {
    cop_mask_unpack(&masks->items[index], 0, kept, masks->items[index].count);
}
