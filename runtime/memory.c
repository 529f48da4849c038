/* The memory planner: buffers that are not alive at the same time share addresses. */
#include "runtime/memory.h"

#include <limits.h>
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

static int earlier_first(const void *a, const void *b) {
    const cop_buffer *x = *(const cop_buffer *const *)a, *y = *(const cop_buffer *const *)b;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x < y ? -1 : x > y;
}

static int lower_first(const void *a, const void *b) {
    const cop_buffer *x = *(const cop_buffer *const *)a, *y = *(const cop_buffer *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* The buffers that have their place, found by when they are alive: a tree over all buffers in the
 * order of their first steps, in which a node knows the last step of what is placed below it. */
typedef struct timeline {
    cop_buffer **order; /* by first step */
    size_t count, leaves;
    int *last; /* [2 * leaves], node i is above 2 i and 2 i + 1; NEVER: nothing is placed */
    cop_buffer **found;
    size_t found_count;
} timeline;

enum { NEVER = INT_MIN };

static void mark_placed(timeline *t, size_t at) {
    int last = t->order[at]->last;
    for (size_t i = t->leaves + at; i >= 1 && t->last[i] < last; i /= 2)
        t->last[i] = last;
}

/* Collects what is placed below `node`, whose leaves begin with `first`, and alive with `buffer`.
 */
static void find_below(timeline *t, const cop_buffer *buffer, size_t node, size_t first,
                       size_t leaves) {
    if (t->last[node] == NEVER || t->last[node] < buffer->first || first >= t->count ||
        t->order[first]->first > buffer->last)
        return;
    if (leaves == 1) {
        t->found[t->found_count++] = t->order[first];
        return;
    }
    find_below(t, buffer, 2 * node, first, leaves / 2);
    find_below(t, buffer, 2 * node + 1, first + leaves / 2, leaves / 2);
}

/* The lowest gap between the buffers that are placed and alive with `buffer`. */
static size_t lowest_gap(timeline *t, const cop_buffer *buffer) {
    size_t offset = 0;
    t->found_count = 0;
    find_below(t, buffer, 1, 0, t->leaves);
    qsort(t->found, t->found_count, sizeof *t->found, lower_first);
    for (size_t i = 0; i < t->found_count; i++) {
        const cop_buffer *other = t->found[i];
        if (other->offset >= offset + buffer->bytes)
            break;
        if (other->offset + other->bytes > offset)
            offset = other->offset + other->bytes;
    }
    return offset;
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

/* Fills `t` and puts the buffers, largest first, into `sizes`. False: no memory. */
static bool open_timeline(timeline *t, cop_buffer *buffers, size_t count, cop_buffer ***sizes) {
    t->count = count;
    t->leaves = 1;
    while (t->leaves < count)
        t->leaves *= 2;
    t->order = cop_calloc(3 * count + 1, sizeof *t->order);
    t->last = cop_malloc(2 * t->leaves * sizeof *t->last);
    if (!t->order || !t->last)
        return false;
    for (size_t i = 0; i < 2 * t->leaves; i++)
        t->last[i] = NEVER;
    t->found = t->order + count;
    *sizes = t->found + count;
    for (size_t i = 0; i < count; i++)
        t->order[i] = (*sizes)[i] = &buffers[i];
    qsort(t->order, count, sizeof *t->order, earlier_first);
    qsort(*sizes, count, sizeof *t->order, larger_first);
    return true;
}

/* Where a buffer is in the order of first steps. */
static size_t place_in(const timeline *t, const cop_buffer *buffer) {
    size_t low = 0, high = t->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        const cop_buffer *other = t->order[middle];
        bool behind =
            other->first > buffer->first || (other->first == buffer->first && other > buffer);
        high = behind ? middle : high;
        low = behind ? low : middle;
    }
    return low;
}

bool cop_memory_plan(cop_buffer *buffers, size_t count, size_t *total) {
    *total = 0;
    timeline t = {0};
    cop_buffer **sizes;
    bool ok = pad_sizes(buffers, count) && open_timeline(&t, buffers, count, &sizes);
    for (size_t i = 0; ok && i < count && !cop_interrupted(); i++) { /* slow when all are alive */
        cop_buffer *buffer = sizes[i];
        buffer->offset = lowest_gap(&t, buffer);
        mark_placed(&t, place_in(&t, buffer));
        if (buffer->offset + buffer->bytes > *total)
            *total = buffer->offset + buffer->bytes;
    }
    cop_free(t.order);
    cop_free(t.last);
    return ok && !cop_interrupted();
}
