/* The heap of the library: blocks that know which allocator they came from. */
#include "base/memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

enum { BLOCK_ALIGNMENT = 16 };

/* Stands right before each block. */
typedef struct header {
    const coppice_host *host; /* NULL: the C library */
    void *start;              /* what its allocator returned */
} header;

_Static_assert(sizeof(header) <= BLOCK_ALIGNMENT, "the header must not disturb the alignment");

static _Thread_local const coppice_host *current;

const coppice_host *cop_memory_enter(const coppice_host *host) {
    const coppice_host *before = current;
    current = host;
    return before;
}

const coppice_host *cop_memory_host(void) {
    return current;
}

static void *resize(const coppice_host *host, void *start, size_t bytes) {
    return host && host->allocate ? host->allocate(host->cookie, start, bytes)
                                  : realloc(start, bytes);
}

static header *header_of(void *block) {
    return (header *)((unsigned char *)block - BLOCK_ALIGNMENT);
}

static void *set_header(const coppice_host *host, void *start, size_t offset) {
    void *block = (unsigned char *)start + offset;
    *header_of(block) = (header){host, start};
    return block;
}

static void *allocate(const coppice_host *host, void *start, size_t bytes) {
    size_t total;
    if (!cop_size_add(bytes, BLOCK_ALIGNMENT, &total))
        return NULL;
    start = resize(host, start, total);
    return start ? set_header(host, start, BLOCK_ALIGNMENT) : NULL;
}

void *cop_malloc(size_t bytes) {
    return allocate(current, NULL, bytes);
}

void *cop_calloc(size_t count, size_t size) {
    size_t bytes, total;
    if (!cop_size_mul(count, size, &bytes) || !cop_size_add(bytes, BLOCK_ALIGNMENT, &total))
        return NULL;
    if (!current || !current->allocate) { /* fresh pages are zero already: calloc knows */
        void *start = calloc(1, total);
        return start ? set_header(current, start, BLOCK_ALIGNMENT) : NULL;
    }
    void *block = cop_malloc(bytes);
    if (block)
        memset(block, 0, bytes);
    return block;
}

void *cop_realloc(void *block, size_t bytes) {
    if (!block)
        return cop_malloc(bytes);
    return allocate(header_of(block)->host, header_of(block)->start, bytes);
}

void *cop_aligned_alloc(size_t alignment, size_t bytes) {
    size_t total;
    if (!cop_size_add(bytes, alignment + BLOCK_ALIGNMENT, &total))
        return NULL;
    unsigned char *start = resize(current, NULL, total);
    if (!start)
        return NULL;
    size_t offset = BLOCK_ALIGNMENT;
    size_t excess = ((uintptr_t)start + offset) % alignment;
    return set_header(current, start, excess ? offset + alignment - excess : offset);
}

void cop_free(void *block) {
    if (!block)
        return;
    const coppice_host *host = header_of(block)->host;
    void *start = header_of(block)->start;
    if (host && host->allocate)
        host->allocate(host->cookie, start, 0);
    else
        free(start);
}

char *cop_strndup(const char *text, size_t length) {
    char *copy = cop_malloc(length + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *cop_strdup(const char *text) {
    return cop_strndup(text, strlen(text));
}

char *cop_printf(const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : cop_malloc((size_t)length + 1);
    if (!text)
        return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

char *cop_realpath(const char *path) {
    char *found = realpath(path, NULL);
    if (!found)
        return NULL;
    char *copy = cop_strdup(found);
    free(found);
    if (!copy)
        errno = ENOMEM;
    return copy;
}
