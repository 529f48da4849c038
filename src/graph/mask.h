/* Masks in memory: a bit per weight, 1 = kept. */
#ifndef COP_GRAPH_MASK_H
#define COP_GRAPH_MASK_H

#include <string.h>

#include <coppice/masks.h>

#include "base/arena.h"
#include "base/map.h"
#include "graph/graph.h"

/* The mask of one tensor. Element i is bit i % 64 of word i / 64; bits behind the last are 0. */
typedef struct cop_mask {
    const char *name;
    uint32_t rank;
    int64_t dims[COPPICE_MAX_RANK];
    int64_t count, zeros;
    uint64_t *kept;
} cop_mask;

struct coppice_masks {
    const coppice_host *host; /* of the model that they were made from; NULL: none */
    cop_mask *items;
    size_t count, capacity;
    cop_map index;   /* name: position in `items` */
    cop_arena arena; /* of names and bits */
};

static inline size_t cop_mask_words(int64_t count) {
    return ((size_t)count + 63) / 64;
}

static inline bool cop_mask_keeps(const cop_mask *mask, int64_t i) {
    return mask->kept[i / 64] >> (i % 64) & 1;
}

/* 64 bytes that are 0 or 1 as the bits of a word, the first one lowest. */
static inline uint64_t cop_bits_of_bytes(const uint8_t *bytes) {
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) {
        uint64_t eight;
        memcpy(&eight, bytes + 8 * i, sizeof eight); /* little-endian, as all of ONNX's data */
        bits |= (eight * 0x0102040810204080u >> 56) << (8 * i);
    }
    return bits;
}

/* Adds a mask of this shape with all bits 0 (`zeros` is 0: set it), or empties the one of this
 * name. The pointer is good until the next call. NULL: no memory. */
cop_mask *cop_masks_add(coppice_masks *masks, const char *name, uint32_t rank, const int64_t *dims);

/* Keeps every element. */
void cop_mask_keep_all(cop_mask *mask);

/* The mask `name`, or NULL. */
const cop_mask *cop_masks_get(const coppice_masks *masks, const char *name);

/* Packs `n` bytes (0 or not) into bits from element `first` on, a multiple of 64; the other way. */
void cop_mask_pack(cop_mask *mask, int64_t first, const uint8_t *kept, int64_t n);
void cop_mask_unpack(const cop_mask *mask, int64_t first, uint8_t *kept, int64_t n);

/* Copies elements `first` .. `first + n - 1` of `constant` from `from`, where element `first` is;
 * zeros where the mask prunes: +0.0 for floats, the zero point for quantised weights; the others
 * keep every bit. `to` may be `from`, and must not overlap it otherwise. Fastest for a multiple of
 * 64 as `first`. */
void cop_mask_copy(const cop_mask *mask, const cop_constant *constant, int64_t first, int64_t n,
                   const unsigned char *from, unsigned char *to);

/* Do so many of a tensor's zeros have a minus that it was multiplied by a mask, and is it large
 * enough for their room to matter? An eighth of them: no training leaves that; 64 KiB of float32.
 */
static inline bool cop_zeros_of_a_mask(int64_t zeros, int64_t negative) {
    return negative >= 1 << 14 && negative >= zeros / 8;
}

/* Puts masked copies, in `arena`, in place of the data of a graph's constants and those of its
 * sub-graphs: by key, those that fit. For a copy of a graph. False: no memory. */
bool cop_graph_mask(cop_graph *graph, const coppice_masks *masks, cop_arena *arena);

/* Is the shape that of the mask? */
bool cop_mask_fits(const cop_mask *mask, const coppice_tensor *tensor);

#endif
