/* The heap of the library: every block comes from the allocator of the object that is worked for.
 *
 * A public function that works for an object enters that object's allocator first and leaves it at
 * the end; a block remembers where it came from, so that it may be released under any allocator. */
#ifndef COP_BASE_MEMORY_H
#define COP_BASE_MEMORY_H

#include <stddef.h>

#include <coppice/host.h>
#include <coppice/status.h>

/* Blocks aligned to 16 bytes; NULL when memory is short. cop_calloc checks the product. */
void *cop_malloc(size_t bytes);
void *cop_calloc(size_t count, size_t size);
void *cop_realloc(void *block, size_t bytes);
void cop_free(void *block);

/* A block aligned to `alignment`, a power of two; not for cop_realloc. */
void *cop_aligned_alloc(size_t alignment, size_t bytes);

/* Strings in blocks; `text` has at least `length` bytes. */
char *cop_strdup(const char *text);
char *cop_strndup(const char *text, size_t length);
char *cop_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *cop_realpath(const char *path); /* NULL with errno set, as realpath(3) */

/* Makes this thread allocate from `host` (NULL: the C library); returns the host that it allocated
 * from, for cop_memory_enter at the end. */
const coppice_host *cop_memory_enter(const coppice_host *host);

/* The end of a public function: back to the host `before`; returns `status`.
 *
 *     const coppice_host *before = cop_memory_enter(cop_model_host(model));
 *     return cop_memory_leave(before, prune(model, options, report, error)); */
static inline coppice_status cop_memory_leave(const coppice_host *before, coppice_status status) {
    cop_memory_enter(before);
    return status;
}

/* The host of this thread; NULL: none. */
const coppice_host *cop_memory_host(void);

#endif
