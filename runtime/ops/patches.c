/* Images as columns of patches, and back. */
#include "runtime/ops/patches.h"

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

/* One tap on one row of places: places first .. last - 1 are inside of the image, where place i
 * lies on pixel start + i * stride. */
typedef struct row {
    int64_t start, first, last, stride;
} row;

/* The row of places `index` (all dims but the last) under tap `tap`; an empty one when it lies
 * outside. */
static row row_of(const cop_patches *p, size_t tap, size_t index) {
    uint32_t last = p->spatial - 1;
    int64_t step = p->dilation[last], places = p->count[last];
    row r = {.stride = p->stride[last]};
    int64_t offset = (int64_t)(tap % (size_t)p->kernel[last]) * step - p->begin[last];
    int64_t room = p->image[last] - offset, pixels = p->image[last];
    tap /= (size_t)p->kernel[last];
    r.first = offset >= 0 ? 0 : (-offset + r.stride - 1) / r.stride;
    r.last = room <= 0 ? 0 : (room + r.stride - 1) / r.stride;
    r.last = r.last < places ? r.last : places;
    r.start = offset;
    for (uint32_t d = last; d-- > 0;) {
        int64_t at = (int64_t)(index % (size_t)p->count[d]) * p->stride[d] +
                     (int64_t)(tap % (size_t)p->kernel[d]) * p->dilation[d] - p->begin[d];
        index /= (size_t)p->count[d];
        tap /= (size_t)p->kernel[d];
        if (at < 0 || at >= p->image[d])
            r.last = r.first;
        r.start += at * pixels;
        pixels *= p->image[d];
    }
    r.last = r.last < r.first ? r.first : r.last;
    return r;
}

typedef struct job {
    const cop_patches *p;
    size_t element, first, last;
    const void *from;
    void *to;
} job;

/* ---- taking ---- */

#define TAKE_ROW(T)                                                                                \
    static void take_row_##T(const row *r, int64_t begin, int64_t end, const T *restrict image,    \
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
        for (size_t at = j->first; at < j->last;) {
            row r = row_of(p, item % taps, at / wide);
            size_t column = at % wide;
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
        size_t wide = (size_t)p->count[p->spatial - 1], rows = cop_patches_places(p) / wide;       \
        for (size_t channel = begin; channel < end; channel++) {                                   \
            T *restrict image = (T *)j->to + channel * pixels;                                     \
            const T *restrict from = (const T *)j->from + channel * taps * rows * wide;            \
            for (size_t i = 0; i < taps * rows; i++, from += wide) {                               \
                row r = row_of(p, i / rows, i % rows);                                             \
                if (r.stride == 1) {                                                               \
                    for (int64_t k = r.first; k < r.last; k++)                                     \
                        image[r.start + k] += from[k];                                             \
                    continue;                                                                      \
                }                                                                                  \
                for (int64_t k = r.first; k < r.last; k++)                                         \
                    image[r.start + k * r.stride] += from[k];                                      \
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
