/* A bump allocator: many small objects that live and die together. */
#ifndef COP_BASE_ARENA_H
#define COP_BASE_ARENA_H

#include <stddef.h>

typedef struct cop_arena_block cop_arena_block;

/* Zero-initialise to make an empty arena. */
typedef struct cop_arena {
    cop_arena_block *last;
} cop_arena;

/* `bytes` zeroed bytes aligned to 16; NULL when memory is short. Lives until cop_arena_free. */
void *cop_arena_alloc(cop_arena *arena, size_t bytes);

/* `count * size` zeroed bytes; NULL also when the product overflows. */
void *cop_arena_array(cop_arena *arena, size_t count, size_t size);

/* Copies of a string, or of `length` bytes with a NUL behind them. NULL when memory is short. */
char *cop_arena_strdup(cop_arena *arena, const char *text);
char *cop_arena_strndup(cop_arena *arena, const char *text, size_t length);

/* A copy of `bytes` bytes. */
void *cop_arena_copy(cop_arena *arena, const void *data, size_t bytes);

/* A formatted string. */
char *cop_arena_printf(cop_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Releases everything and leaves an empty arena. */
void cop_arena_free(cop_arena *arena);

/* Makes room for one more element in an allocated growing array: *items has *capacity elements of
 * `size` bytes and `count` are used. Returns 0, or -1 when memory is short (nothing changed). */
int cop_grow(void *items, size_t count, size_t *capacity, size_t size);

#endif
