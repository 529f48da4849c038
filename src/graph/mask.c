/* Sets of masks: named bits. */
#include "graph/mask.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "graph/quantized.h"

coppice_status coppice_masks_new(coppice_masks **out, coppice_error *error) {
    *out = cop_calloc(1, sizeof **out);
    if (!*out)
        return cop_fail_memory(error, sizeof **out);
    (*out)->host = cop_memory_host();
    return COPPICE_OK;
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

void cop_mask_keep_all(cop_mask *mask) {
    memset(mask->kept, 0xff, cop_mask_words(mask->count) * sizeof *mask->kept);
    if (mask->count % 64)
        mask->kept[mask->count / 64] = ((uint64_t)1 << (mask->count % 64)) - 1;
    mask->zeros = 0;
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

/* ---- copying ---- */

/* Copies 64 elements, those of which the bit is 0 as zeros. */
typedef void copy_word(uint64_t kept, size_t width, const unsigned char *from, unsigned char *to);

typedef uint32_t lanes __attribute__((vector_size(16)));

/* Four bits as four lanes. */
#define LANE(bits, i) ((bits) >> (i)&1 ? UINT32_MAX : 0)
#define LANES(bits)                                                                                \
    { LANE(bits, 0), LANE(bits, 1), LANE(bits, 2), LANE(bits, 3) }
static const lanes lanes_of[16] = {LANES(0),  LANES(1),  LANES(2),  LANES(3), LANES(4),  LANES(5),
                                   LANES(6),  LANES(7),  LANES(8),  LANES(9), LANES(10), LANES(11),
                                   LANES(12), LANES(13), LANES(14), LANES(15)};

static void copy_word_4(uint64_t kept, size_t width, const unsigned char *from, unsigned char *to) {
    (void)width;
    for (int i = 0; i < 64; i += 4, kept >>= 4) {
        lanes four;
        memcpy(&four, from + (size_t)i * 4, sizeof four);
        four &= lanes_of[kept & 15];
        memcpy(to + (size_t)i * 4, &four, sizeof four);
    }
}

static void copy_word_2(uint64_t kept, size_t width, const unsigned char *from, unsigned char *to) {
    (void)width;
    for (size_t i = 0; i < 64; i++) {
        uint16_t element;
        memcpy(&element, from + i * 2, sizeof element);
        element &= (uint16_t) - (kept >> i & 1);
        memcpy(to + i * 2, &element, sizeof element);
    }
}

static void copy_word_any(uint64_t kept, size_t width, const unsigned char *from,
                          unsigned char *to) {
    if (to != from)
        memcpy(to, from, 64 * width);
    for (size_t i = 0; i < 64; i++)
        if (!(kept >> i & 1))
            memset(to + i * width, 0, width);
}

static void copy_single(bool kept, size_t width, const unsigned char *from, unsigned char *to) {
    if (!kept)
        memset(to, 0, width);
    else if (to != from)
        memcpy(to, from, width);
}

/* Words of a pruned layer are rarely all ones or all zeros, those of a layer that is kept, or of a
 * pruned channel, always are. */
static void copy_zeroed(const cop_mask *mask, int64_t first, int64_t n, size_t width,
                        const unsigned char *from, unsigned char *to) {
    copy_word *copy = width == 4 ? copy_word_4 : width == 2 ? copy_word_2 : copy_word_any;
    int64_t i = 0;
    for (; i < n && (first + i) % 64; i++)
        copy_single(cop_mask_keeps(mask, first + i), width, from + (size_t)i * width,
                    to + (size_t)i * width);
    for (; n - i >= 64; i += 64) {
        uint64_t kept = mask->kept[(first + i) / 64];
        const unsigned char *source = from + (size_t)i * width;
        unsigned char *target = to + (size_t)i * width;
        if (kept == 0)
            memset(target, 0, 64 * width);
        else if (kept != UINT64_MAX)
            copy(kept, width, source, target);
        else if (target != source)
            memcpy(target, source, 64 * width);
    }
    for (; i < n; i++)
        copy_single(cop_mask_keeps(mask, first + i), width, from + (size_t)i * width,
                    to + (size_t)i * width);
}

/* Elements of a quantised weight that is not 0 where it means 0. */
static void copy_filled(const cop_mask *mask, int64_t first, int64_t n, size_t width, uint64_t zero,
                        const unsigned char *from, unsigned char *to) {
    if (to != from)
        memcpy(to, from, (size_t)n * width);
    for (int64_t i = 0; i < n; i++)
        if (!cop_mask_keeps(mask, first + i))
            memcpy(to + (size_t)i * width, &zero, width); /* little-endian */
}

void cop_mask_copy(const cop_mask *mask, const cop_constant *constant, int64_t first, int64_t n,
                   const unsigned char *from, unsigned char *to) {
    size_t width = coppice_type_bits(constant->tensor.type) / 8;
    uint64_t zero = cop_constant_zero(constant);
    if (zero)
        copy_filled(mask, first, n, width, zero, from, to);
    else
        copy_zeroed(mask, first, n, width, from, to);
}

bool cop_mask_fits(const cop_mask *mask, const coppice_tensor *tensor) {
    return mask->rank == tensor->rank &&
           memcmp(mask->dims, tensor->dims, mask->rank * sizeof *mask->dims) == 0;
}

/* ---- the public side ---- */

static coppice_status add(coppice_masks *masks, const char *name, const coppice_tensor *kept,
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

coppice_status coppice_masks_add(coppice_masks *masks, const char *name, const coppice_tensor *kept,
                                 coppice_error *error) {
    const coppice_host *before = cop_memory_enter(masks->host);
    return cop_memory_leave(before, add(masks, name, kept, error));
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

static bool mask_constant(cop_constant *constant, const cop_mask *mask, cop_arena *arena) {
    if (!mask || !mask->zeros || !constant->tensor.data || !cop_mask_fits(mask, &constant->tensor))
        return true;
    unsigned char *data = cop_arena_alloc(arena, constant->bytes);
    if (!data)
        return false;
    cop_mask_copy(mask, constant, 0, mask->count, constant->tensor.data, data);
    constant->tensor.data = data;
    constant->aligned = true;
    constant->mapped = false;
    return true;
}

/* A constant that several values share is copied for each, which changes nothing in it. */
bool cop_graph_mask(cop_graph *graph, const coppice_masks *masks, cop_arena *arena) {
    for (size_t i = 0; i < graph->value_count; i++) {
        cop_constant *constant = graph->values[i].constant;
        if (constant && constant->key &&
            !mask_constant(constant, cop_masks_get(masks, constant->key), arena))
            return false;
    }
    for (size_t n = 0; n < graph->node_count; n++) {
        for (size_t a = 0; a < graph->nodes[n].attr_count; a++) {
            const cop_attr *attr = &graph->nodes[n].attrs[a];
            if (attr->kind == COP_ATTR_GRAPH && !cop_graph_mask(attr->graph, masks, arena))
                return false;
        }
    }
    return true;
}
