/* How well a mask agrees with the magnitudes of a tensor. */
#include "prune/agreement.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "graph/quantized.h"

size_t cop_sample_size(int64_t count) {
    return count < COP_SAMPLE_MAX ? (size_t)count : COP_SAMPLE_MAX;
}

/* Position `i` of `size`: anywhere in its part, so that the period of a kernel window or a row does
 * not meet that of the sample. */
static int64_t position(size_t i, size_t size, int64_t count) {
    if ((int64_t)size == count)
        return (int64_t)i;
    uint64_t n = (uint64_t)count, scrambled = i * 0x9e3779b97f4a7c15u;
    uint64_t first = n / size * i + n % size * i / size;
    uint64_t next = n / size * (i + 1) + n % size * (i + 1) / size;
    return (int64_t)(first + (scrambled >> 32) % (next - first));
}

/* The element of a [rows,columns] tensor at a position of its transpose. */
static int64_t turn(int64_t at, const int64_t *dims) {
    return at % dims[0] * dims[1] + at / dims[0];
}

static uint32_t key_of(const cop_constant *constant, int64_t at) {
    float magnitude = constant->quantized ? cop_quantized_magnitude(constant, at)
                                          : fabsf((float)cop_tensor_get(&constant->tensor, at));
    uint32_t bits;
    memcpy(&bits, &magnitude, sizeof bits);
    return bits;
}

/* Sorts by two passes over 16 bits each; `from` is overwritten. */
static void sort_keys(uint32_t *from, uint32_t *to, size_t count, uint32_t *counters) {
    enum { DIGITS = 1 << 16 };
    for (unsigned shift = 0; shift < 32; shift += 16) {
        memset(counters, 0, DIGITS * sizeof *counters);
        for (size_t i = 0; i < count; i++)
            counters[from[i] >> shift & (DIGITS - 1)]++;
        uint32_t sum = 0;
        for (size_t d = 0; d < DIGITS; d++) {
            uint32_t here = counters[d];
            counters[d] = sum;
            sum += here;
        }
        for (size_t i = 0; i < count; i++)
            to[counters[from[i] >> shift & (DIGITS - 1)]++] = from[i];
        uint32_t *swapped = from;
        from = to;
        to = swapped;
    }
}

coppice_status cop_sample_tensor(const cop_constant *constant, const coppice_tensor *zeroed_by,
                                 bool turned, cop_tensor_sample *out, coppice_error *err) {
    const coppice_tensor *tensor = &constant->tensor;
    int64_t count = coppice_tensor_count(tensor);
    size_t size = cop_sample_size(count);
    uint32_t *keys = cop_malloc((2 * size + 1) * sizeof *keys);
    uint32_t *work = cop_malloc((size + (1 << 16)) * sizeof *work);
    if (!keys || !work) {
        cop_free(keys);
        cop_free(work);
        return cop_fail_memory(err, 3 * size * sizeof *keys);
    }
    for (size_t i = 0; i < size; i++) {
        int64_t at = position(i, size, count);
        if (turned)
            at = turn(at, tensor->dims);
        bool zeroed = zeroed_by && cop_tensor_get(zeroed_by, at) == 0;
        keys[i] = zeroed ? 0 : key_of(constant, at);
    }
    *out = (cop_tensor_sample){.count = size, .keys = keys, .sorted = keys + size};
    memcpy(out->sorted, keys, size * sizeof *keys);
    sort_keys(out->sorted, work, size, work + size);
    cop_free(work);
    return COPPICE_OK;
}

size_t cop_sample_mask(const cop_mask *mask, bool turned, uint32_t *pruned) {
    size_t size = cop_sample_size(mask->count), zeros = 0;
    for (size_t i = 0; i < size; i++) {
        int64_t at = position(i, size, mask->count);
        pruned[i] = !cop_mask_keeps(mask, turned ? turn(at, mask->dims) : at);
        zeros += pruned[i];
    }
    return zeros;
}

double cop_agreement(const uint32_t *pruned, size_t zeros, const cop_tensor_sample *tensor) {
    if (zeros == 0 || zeros == tensor->count)
        return NAN;
    /* Of equal magnitudes at the border, which are the smallest is open: all count in part. */
    uint32_t border = tensor->sorted[zeros - 1], below = 0, equal = 0, all_below = 0, all_equal = 0;
    for (size_t i = 0; i < tensor->count; i++) {
        uint32_t is_below = tensor->keys[i] < border, is_equal = tensor->keys[i] == border;
        below += pruned[i] & is_below;
        equal += pruned[i] & is_equal;
        all_below += is_below;
        all_equal += is_equal;
    }
    double hits = below + equal * ((double)(zeros - all_below) / all_equal);
    double chance = (double)zeros / (double)tensor->count;
    return (hits / (double)zeros - chance) / (1 - chance);
}
