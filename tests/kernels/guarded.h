/* Buffers that end at a page nobody may touch, with a pattern around what may be written. */
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

typedef struct guarded {
    float *data; /* 64-byte aligned, `count` floats */
    size_t count;
    char *map;
    size_t map_bytes;
} guarded;

/* All floats, those before and behind included, are NaN of one bit pattern. */
static const uint32_t guarded_poison = 0x7fc0dead;

static inline guarded guarded_new(size_t count) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t used = (count * sizeof(float) + GUARDED_SLACK + 63) / 64 * 64;
    size_t body = (used + 64 + page - 1) / page * page;
    guarded g = {.count = count, .map_bytes = body + page};
    g.map = mmap(NULL, g.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.map == MAP_FAILED || mprotect(g.map + body, page, PROT_NONE) != 0)
        abort();
    for (size_t i = 0; i < body / sizeof(float); i++)
        ((uint32_t *)g.map)[i] = guarded_poison;
    g.data = (float *)(g.map + body - used);
    return g;
}

static inline void guarded_free(guarded *g) {
    munmap(g->map, g->map_bytes);
    *g = (guarded){0};
}

/* True when nothing outside the buffer was written. */
static inline bool guarded_intact(const guarded *g) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const uint32_t *at = (const uint32_t *)g->map;
    const uint32_t *begin = (const uint32_t *)g->data, *end = begin + g->count;
    for (; at < (const uint32_t *)(g->map + g->map_bytes - page); at++)
        if ((at < begin || at >= end) && *at != guarded_poison)
            return false;
    return true;
}

#endif
