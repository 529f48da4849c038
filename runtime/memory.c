/* The memory planner: buffers that are not alive at the same time share addresses. */
#include "runtime/memory.h"

#include <stdlib.h>

#include "base/interrupt.h"
#include "base/memory.h"
#include "base/size.h"

static int larger_first(const void *a, const void *b) {
    const cop_buffer *x = *(const cop_buffer *const *)a, *y = *(const cop_buffer *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return x < y ? -1 : x > y; /* a total order: the same plan on every machine */
}

static bool alive_together(const cop_buffer *a, const cop_buffer *b) {
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest gap between the buffers in `placed` (sorted by offset) that are alive with `buffer`.
 */
static size_t lowest_gap(const cop_buffer *buffer, cop_buffer *const *placed, size_t count) {
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        const cop_buffer *other = placed[i];
        if (!alive_together(buffer, other))
            continue;
        if (other->offset >= offset + buffer->bytes)
            break;
        if (other->offset + other->bytes > offset)
            offset = other->offset + other->bytes;
    }
    return offset;
}

/* Keeps `placed` sorted by offset. */
static void insert(cop_buffer **placed, size_t count, cop_buffer *buffer) {
    size_t at = count;
    for (; at > 0 && placed[at - 1]->offset > buffer->offset; at--)
        placed[at] = placed[at - 1];
    placed[at] = buffer;
}

/* Sizes with slack and alignment; false on overflow of their sum. */
static bool pad_sizes(cop_buffer *buffers, size_t count) {
    size_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        size_t padded;
        if (!cop_size_add(buffers[i].bytes, COP_MEMORY_SLACK + COP_MEMORY_ALIGNMENT, &padded) ||
            !cop_size_add(sum, padded, &sum))
            return false;
        buffers[i].bytes = (padded - 1) / COP_MEMORY_ALIGNMENT * COP_MEMORY_ALIGNMENT;
    }
    return true;
}

bool cop_memory_plan(cop_buffer *buffers, size_t count, size_t *total) {
    *total = 0;
    cop_buffer **order = cop_calloc(2 * count + 1, sizeof *order);
    if (!order || !pad_sizes(buffers, count)) {
        cop_free(order);
        return false;
    }
    cop_buffer **placed = order + count;
    for (size_t i = 0; i < count; i++)
        order[i] = &buffers[i];
    qsort(order, count, sizeof *order, larger_first);
    for (size_t i = 0; i < count && !cop_interrupted(); i++) { /* slow with 100,000 of them */
        cop_buffer *buffer = order[i];
        buffer->offset = lowest_gap(buffer, placed, i);
        insert(placed, i, buffer);
        if (buffer->offset + buffer->bytes > *total)
            *total = buffer->offset + buffer->bytes;
    }
    cop_free(order);
    return !cop_interrupted();
}
