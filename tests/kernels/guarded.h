/* Buffers between pages nobody may touch, with a pattern around what may be written. */
#ifndef COP_TESTS_GUARDED_H
#define COP_TESTS_GUARDED_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { GUARDED_SLACK = 64 }; /* bytes behind every buffer that a kernel may read */

/* Which end of the buffer lies at a forbidden page. */
typedef enum guarded_side { GUARDED_END, GUARDED_BEGIN } guarded_side;

typedef struct guarded {
    float *data; /* 64-byte aligned, `count` floats */
    size_t count;
    char *map; /* a forbidden page, the body, a forbidden page */
    size_t body_bytes;
    uint32_t poison;
} guarded;

/* All floats, those before and behind included, have the bits of `poison`. */
static inline guarded guarded_new_as(size_t count, guarded_side side, uint32_t poison) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t used = (count * sizeof(float) + GUARDED_SLACK + 63) / 64 * 64;
    guarded g = {
        .count = count, .body_bytes = (used + 64 + page - 1) / page * page, .poison = poison};
    g.map = mmap(NULL, g.body_bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *body = g.map + page;
    if (g.map == MAP_FAILED || mprotect(body, g.body_bytes, PROT_READ | PROT_WRITE) != 0)
        abort();
    for (size_t i = 0; i < g.body_bytes / sizeof(float); i++)
        ((uint32_t *)body)[i] = poison;
    g.data = (float *)(side == GUARDED_END ? body + g.body_bytes - used : body);
    return g;
}

/* Ends at a forbidden page, filled with NaN of one bit pattern. */
static inline guarded guarded_new(size_t count) {
    return guarded_new_as(count, GUARDED_END, 0x7fc0dead);
}

static inline void guarded_free(guarded *g) {
    munmap(g->map, g->body_bytes + 2 * (size_t)sysconf(_SC_PAGESIZE));
    *g = (guarded){0};
}

/* Until it is allowed again, whoever touches the buffer crashes. */
static inline void guarded_allow(const guarded *g, bool allowed) {
    if (mprotect(g->map + sysconf(_SC_PAGESIZE), g->body_bytes,
                 allowed ? PROT_READ | PROT_WRITE : PROT_NONE) != 0)
        abort();
}

/* True when nothing outside the buffer was written. */
static inline bool guarded_intact(const guarded *g) {
    const uint32_t *at = (const uint32_t *)(g->map + sysconf(_SC_PAGESIZE));
    const uint32_t *begin = (const uint32_t *)g->data, *end = begin + g->count;
    const uint32_t *last = at + g->body_bytes / sizeof *at;
    for (; at < last; at++)
        if ((at < begin || at >= end) && *at != g->poison)
            return false;
    return true;
}

#endif
