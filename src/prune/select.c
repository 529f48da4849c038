/* Which of many weights are the smallest: radix selection on the bits of their magnitudes. */
#include "prune/select.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"

enum {
    BLOCK = 4096, /* weights looked at together: their keys stay in the L1 cache */
    WIDE = 16,    /* bits per pass for large pools */
    NARROW = 8,   /* and for small ones, where clearing the counters would cost most */
    SMALL_POOL = 1 << 16
};

/* A weight's magnitude as an unsigned number that orders in the same way. In pools without float64
 * it is the bits of |w| as float32, otherwise as float64. */
typedef struct key_range {
    unsigned bits; /* keys are below 2^bits */
    uint64_t infinity;
    bool is_double;
} key_range;

static const key_range single_keys = {31, 0x7f800000u, false};
static const key_range double_keys = {63, 0x7ff0000000000000u, true};

static uint32_t float_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void keys_of_float(const unsigned char *data, size_t n, uint64_t *keys) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, data + 4 * i, sizeof bits);
        keys[i] = bits & 0x7fffffffu;
    }
}

static void keys_of_half(const unsigned char *data, size_t n, uint64_t *keys) {
    for (size_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, data + 2 * i, sizeof bits);
        keys[i] = float_bits(cop_float_from_half(bits & 0x7fffu));
    }
}

static void keys_of_bfloat(const unsigned char *data, size_t n, uint64_t *keys) {
    for (size_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, data + 2 * i, sizeof bits);
        keys[i] = (uint64_t)(bits & 0x7fffu) << 16;
    }
}

static void keys_of_double(const unsigned char *data, size_t n, uint64_t *keys) {
    for (size_t i = 0; i < n; i++) {
        memcpy(&keys[i], data + 8 * i, sizeof keys[i]);
        keys[i] &= 0x7fffffffffffffffu;
    }
}

/* Keys as float32 become keys as float64. */
static void widen_keys(size_t n, uint64_t *keys) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)keys[i];
        float single;
        memcpy(&single, &bits, sizeof single);
        double wide = (double)single;
        memcpy(&keys[i], &wide, sizeof wide);
    }
}

static void load_tensor_keys(const coppice_tensor *tensor, int64_t first, size_t n, bool is_double,
                             uint64_t *keys) {
    size_t size = coppice_type_bits(tensor->type) / 8;
    const unsigned char *data = (const unsigned char *)tensor->data + (size_t)first * size;
    if (tensor->type == COPPICE_TYPE_DOUBLE) {
        keys_of_double(data, n, keys);
        return;
    }
    if (tensor->type == COPPICE_TYPE_FLOAT)
        keys_of_float(data, n, keys);
    else if (tensor->type == COPPICE_TYPE_FLOAT16)
        keys_of_half(data, n, keys);
    else
        keys_of_bfloat(data, n, keys);
    if (is_double)
        widen_keys(n, keys);
}

static void load_keys(const cop_pool_item *item, int64_t first, size_t n, bool is_double,
                      uint64_t *keys) {
    load_tensor_keys(&item->constant->tensor, first, n, is_double, keys);
    for (size_t i = 0; item->zeroed_by && i < n; i++)
        if (cop_tensor_get(&item->zeroed_by->tensor, first + (int64_t)i) == 0)
            keys[i] = 0;
}

static size_t block_at(int64_t first, int64_t count) {
    return count - first < BLOCK ? (size_t)(count - first) : BLOCK;
}

int64_t cop_zeros_wanted(double sparsity, int64_t n) {
    return (int64_t)nearbyint(sparsity * (double)n);
}

/* Refuses NaN: the one value whose magnitude compares with nothing. */
static coppice_status check_keys(const cop_pool_item *item, int64_t first, const uint64_t *keys,
                                 size_t n, const key_range *range, coppice_error *err) {
    uint64_t largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = keys[i] > largest ? keys[i] : largest;
    if (largest <= range->infinity)
        return COPPICE_OK;
    size_t i = 0;
    while (keys[i] <= range->infinity)
        i++;
    return cop_fail(err, COPPICE_BAD_DATA,
                    "initializer '%s': weight %lld is NaN; its magnitude cannot be compared. "
                    "Exclude this weight or repair the model",
                    item->key, (long long)(first + (int64_t)i));
}

/* Counts the digits `(key >> shift) & mask` of the keys whose higher bits equal `prefix`. */
static coppice_status count_digits(const cop_pool_item *items, size_t count, const key_range *range,
                                   unsigned shift, unsigned width, uint64_t prefix,
                                   uint64_t *counts, coppice_error *err) {
    uint64_t keys[BLOCK], mask = ((uint64_t)1 << width) - 1;
    bool top = shift + width >= range->bits;
    memset(counts, 0, sizeof *counts << width);
    for (size_t t = 0; t < count; t++) {
        const cop_pool_item *item = &items[t];
        if (cop_interrupted())
            return cop_fail(err, COPPICE_INTERRUPTED, "interrupted");
        for (int64_t first = 0; first < item->count; first += BLOCK) {
            size_t n = block_at(first, item->count);
            load_keys(item, first, n, range->is_double, keys);
            if (top)
                COP_TRY(check_keys(item, first, keys, n, range, err));
            for (size_t i = 0; i < n; i++)
                if (top || keys[i] >> (shift + width) == prefix)
                    counts[keys[i] >> shift & mask]++;
        }
    }
    return COPPICE_OK;
}

/* Finds the key of the smallest magnitude that may be kept, and how many weights that are equal to
 * it must go all the same. */
static coppice_status find_threshold(const cop_pool_item *items, size_t count, int64_t zeros,
                                     const key_range *range, uint64_t *threshold, uint64_t *ties,
                                     coppice_error *err) {
    int64_t total = 0;
    *threshold = *ties = 0;
    for (size_t i = 0; i < count; i++)
        total += items[i].count;
    unsigned width = total < SMALL_POOL ? NARROW : WIDE;
    uint64_t *counts = cop_malloc(sizeof *counts << width);
    if (!counts)
        return cop_fail_memory(err, sizeof *counts << width);
    coppice_status status = COPPICE_OK;
    uint64_t prefix = 0, wanted = (uint64_t)zeros; /* still to go among the keys with this prefix */
    for (unsigned shift = (range->bits + width - 1) / width * width; shift > 0;) {
        shift -= width;
        status = count_digits(items, count, range, shift, width, prefix, counts, err);
        if (status != COPPICE_OK)
            break;
        uint64_t digit = 0, last = ((uint64_t)1 << width) - 1;
        while (digit < last && counts[digit] <= wanted)
            wanted -= counts[digit++];
        prefix = prefix << width | digit;
    }
    cop_free(counts);
    *threshold = prefix;
    *ties = wanted;
    return status;
}

/* The mask of one block; `*ties` counts down. */
static int64_t mask_block(const uint64_t *keys, size_t n, uint64_t threshold, uint64_t *ties,
                          uint8_t *mask) {
    int64_t kept = 0;
    uint64_t equal = 0;
    for (size_t i = 0; i < n; i++) {
        mask[i] = keys[i] >= threshold && keys[i] != 0;
        equal += keys[i] == threshold;
        kept += mask[i];
    }
    for (size_t i = 0; equal && *ties && i < n; i++) {
        if (keys[i] != threshold)
            continue;
        --*ties;
        kept -= mask[i];
        mask[i] = 0;
    }
    return kept;
}

static void keep_everything(cop_mask *mask) {
    uint8_t ones[64];
    memset(ones, 1, sizeof ones);
    for (int64_t i = 0; i < mask->count; i += 64)
        cop_mask_pack(mask, i, ones, mask->count - i < 64 ? mask->count - i : 64);
    mask->zeros = 0;
}

coppice_status cop_select_smallest(cop_pool_item *items, size_t count, int64_t zeros,
                                   coppice_error *err) {
    const key_range *range = &single_keys;
    for (size_t i = 0; i < count; i++)
        if (items[i].constant->tensor.type == COPPICE_TYPE_DOUBLE)
            range = &double_keys;
    uint64_t threshold, ties, keys[BLOCK];
    uint8_t block[BLOCK];
    COP_TRY(find_threshold(items, count, zeros, range, &threshold, &ties, err));
    for (size_t t = 0; t < count; t++) {
        cop_pool_item *item = &items[t];
        int64_t kept = 0;
        for (int64_t first = 0; first < item->count; first += BLOCK) {
            size_t n = block_at(first, item->count);
            load_keys(item, first, n, range->is_double, keys);
            kept += mask_block(keys, n, threshold, &ties, block);
            cop_mask_pack(item->mask, first, block, (int64_t)n);
        }
        item->zeros = item->mask->zeros = item->count - kept;
        if (zeros == 0)
            keep_everything(item->mask);
    }
    return COPPICE_OK;
}

/* ---- applying ---- */

void cop_apply_mask(cop_constant *constant, const cop_mask *mask) {
    size_t width = coppice_type_bits(constant->tensor.type) / 8;
    unsigned char *data = constant->tensor.data;
    cop_mask_copy(mask, 0, mask->count, width, data, data);
    constant->dirty = true;
}
