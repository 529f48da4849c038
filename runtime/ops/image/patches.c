/* Images as columns of patches, and back. */
#include "runtime/ops/image/patches.h"

#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

static size_t product(const int64_t *dims, uint32_t count) {
    size_t n = 1;
    for (uint32_t d = 0; d < count; d++) {
        if (!cop_size_mul(n, (size_t)dims[d], &n))
            n = SIZE_MAX;
    }
    return n;
}

size_t cop_patches_pixels(const cop_patches *p) {
    return product(p->image, p->spatial);
}

size_t cop_patches_taps(const cop_patches *p) {
    return product(p->kernel, p->spatial);
}

size_t cop_patches_places(const cop_patches *p) {
    return product(p->count, p->spatial);
}

/* Rows of places (all dims but the last) under one tap, one after the other: places first .. last -
 * 1 of a row are inside of the image, and place i lies on pixel start + i * stride. */
typedef struct rows {
    const cop_patches *p;
    int64_t offset[COPPICE_MAX_RANK]; /* of place 0 */
    int64_t at[COPPICE_MAX_RANK];     /* the row */
    int64_t start, first, last, stride;
    int64_t full; /* `last` of rows that are inside */
} rows;

/* Sets start and last for the row at `at`. */
static void place_row(rows *r) {
    const cop_patches *p = r->p;
    uint32_t last = p->spatial - 1;
    int64_t pixels = p->image[last];
    r->start = r->offset[last];
    r->last = r->full;
    for (uint32_t d = last; d-- > 0;) {
        int64_t pixel = r->at[d] * p->stride[d] + r->offset[d];
        if (pixel < 0 || pixel >= p->image[d])
            r->last = r->first;
        r->start += pixel * pixels;
        pixels *= p->image[d];
    }
}

/* Begins with row `index` under tap `tap`. */
static rows begin_rows(const cop_patches *p, size_t tap, size_t index) {
    uint32_t last = p->spatial - 1;
    rows r = {.p = p, .stride = p->stride[last]};
    for (uint32_t d = p->spatial; d-- > 0; tap /= (size_t)p->kernel[d])
        r.offset[d] = (int64_t)(tap % (size_t)p->kernel[d]) * p->dilation[d] - p->begin[d];
    for (uint32_t d = last; d-- > 0; index /= (size_t)p->count[d])
        r.at[d] = (int64_t)(index % (size_t)p->count[d]);
    int64_t offset = r.offset[last], room = p->image[last] - offset;
    r.first = offset >= 0 ? 0 : (-offset + r.stride - 1) / r.stride;
    r.full = room <= 0 ? 0 : (room + r.stride - 1) / r.stride;
    r.full = r.full < p->count[last] ? r.full : p->count[last];
    r.full = r.full < r.first ? r.first : r.full;
    place_row(&r);
    return r;
}

static void next_row(rows *r) {
    for (uint32_t d = r->p->spatial - 1; d-- > 0;) {
        if (++r->at[d] < r->p->count[d])
            break;
        r->at[d] = 0;
    }
    place_row(r);
}

typedef struct job {
    const cop_patches *p;
    size_t element, first, last;
    const void *from;
    void *to;
} job;

/* ---- taking ---- */

#define TAKE_ROW(T)                                                                                \
    static void take_row_##T(const rows *r, int64_t begin, int64_t end, const T *restrict image,   \
                             T *restrict to) {                                                     \
        int64_t first = r->first < begin ? begin : r->first < end ? r->first : end;                \
        int64_t last = r->last < end ? r->last : end;                                              \
        last = last < first ? first : last;                                                        \
        memset(to, 0, (size_t)(first - begin) * sizeof *to);                                       \
        if (r->stride == 1 && last > first)                                                        \
            memcpy(to + first - begin, image + r->start + first,                                   \
                   (size_t)(last - first) * sizeof *to);                                           \
        for (int64_t i = first; r->stride != 1 && i < last; i++)                                   \
            to[i - begin] = image[r->start + i * r->stride];                                       \
        memset(to + last - begin, 0, (size_t)(end - last) * sizeof *to);                           \
    }

TAKE_ROW(uint32_t)
TAKE_ROW(uint64_t)

/* Items: [channel][tap]. */
static void take_items(void *context, size_t begin, size_t end) {
    const job *j = context;
    const cop_patches *p = j->p;
    size_t taps = cop_patches_taps(p), pixels = cop_patches_pixels(p);
    size_t wide = (size_t)p->count[p->spatial - 1];
    for (size_t item = begin; item < end; item++) {
        const char *image = (const char *)j->from + item / taps * pixels * j->element;
        char *to = (char *)j->to + item * (j->last - j->first) * j->element;
        rows r = begin_rows(p, item % taps, j->first / wide);
        size_t column = j->first % wide;
        for (size_t at = j->first; at < j->last; next_row(&r), column = 0) {
            size_t stop = cop_smaller(wide, column + (j->last - at));
            if (j->element == 4)
                take_row_uint32_t(&r, (int64_t)column, (int64_t)stop, (const uint32_t *)image,
                                  (uint32_t *)to);
            else
                take_row_uint64_t(&r, (int64_t)column, (int64_t)stop, (const uint64_t *)image,
                                  (uint64_t *)to);
            to += (stop - column) * j->element;
            at += stop - column;
        }
    }
}

void cop_patches_take(const cop_patches *p, size_t element, size_t channels, size_t first,
                      size_t last, const void *image, void *columns,
                      const coppice_threadpool *pool) {
    job j = {p, element, first, last, image, columns};
    cop_parallel_for(pool, channels * cop_patches_taps(p), cop_grain(last - first), take_items, &j);
}

/* ---- adding ---- */

/* Items: channels. */
#define ADD_ITEMS(NAME, T)                                                                         \
    static void add_items_##NAME(void *context, size_t begin, size_t end) {                        \
        const job *j = context;                                                                    \
        const cop_patches *p = j->p;                                                               \
        size_t taps = cop_patches_taps(p), pixels = cop_patches_pixels(p);                         \
        size_t wide = (size_t)p->count[p->spatial - 1], lines = cop_patches_places(p) / wide;      \
        for (size_t channel = begin; channel < end; channel++) {                                   \
            T *restrict image = (T *)j->to + channel * pixels;                                     \
            const T *restrict from = (const T *)j->from + channel * taps * lines * wide;           \
            for (size_t tap = 0; tap < taps; tap++) {                                              \
                rows r = begin_rows(p, tap, 0);                                                    \
                for (size_t i = 0; i < lines; i++, from += wide, next_row(&r)) {                   \
                    T *restrict to = image + r.start;                                              \
                    for (int64_t k = r.first; r.stride == 1 && k < r.last; k++)                    \
                        to[k] += from[k];                                                          \
                    for (int64_t k = r.first; r.stride != 1 && k < r.last; k++)                    \
                        to[k * r.stride] += from[k];                                               \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

/* Integers wrap around. */
#define ADDED_TYPES(X)                                                                             \
    X(FLOAT, float)                                                                                \
    X(DOUBLE, double)                                                                              \
    X(INT8, uint8_t)                                                                               \
    X(UINT8, uint8_t)                                                                              \
    X(INT16, uint16_t)                                                                             \
    X(UINT16, uint16_t)                                                                            \
    X(INT32, uint32_t)                                                                             \
    X(UINT32, uint32_t)                                                                            \
    X(INT64, uint64_t)                                                                             \
    X(UINT64, uint64_t)

ADDED_TYPES(ADD_ITEMS)

void cop_patches_add(const cop_patches *p, coppice_type type, size_t channels, const void *columns,
                     void *image, const coppice_threadpool *pool) {
#define ADD_OF(NAME, T) [COPPICE_TYPE_##NAME] = add_items_##NAME,
    static void (*const by_type[])(void *, size_t, size_t) = {ADDED_TYPES(ADD_OF)};
#undef ADD_OF
    size_t work = cop_patches_taps(p) * cop_patches_places(p);
    job j = {.p = p, .from = columns, .to = image};
    if (work)
        cop_parallel_for(pool, channels, cop_grain(work), by_type[type], &j);
}
