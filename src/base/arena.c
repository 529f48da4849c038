/* A bump allocator: many small objects that live and die together. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/size.h"

enum { ALIGNMENT = 16, BLOCK_BYTES = 64 * 1024 };

struct cop_arena_block {
    cop_arena_block *previous;
    size_t used, size; /* of data */
    _Alignas(ALIGNMENT) unsigned char data[];
};

static cop_arena_block *add_block(cop_arena *arena, size_t need) {
    size_t size = need > BLOCK_BYTES ? need : BLOCK_BYTES, total;
    if (!cop_size_add(size, sizeof(cop_arena_block), &total))
        return NULL;
    cop_arena_block *block = cop_calloc(1, total);
    if (!block)
        return NULL;
    block->size = size;
    if (need > BLOCK_BYTES && arena->last) { /* keep filling the current block afterwards */
        block->previous = arena->last->previous;
        arena->last->previous = block;
        return block;
    }
    block->previous = arena->last;
    arena->last = block;
    return block;
}

void *cop_arena_alloc(cop_arena *arena, size_t bytes) {
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = cop_round_up(bytes ? bytes : 1, ALIGNMENT);
    cop_arena_block *block = arena->last;
    if (!block || block->size - block->used < bytes) {
        block = add_block(arena, bytes);
        if (!block)
            return NULL;
    }
    void *result = block->data + block->used;
    block->used += bytes;
    return result;
}

void *cop_arena_array(cop_arena *arena, size_t count, size_t size) {
    size_t bytes;
    return cop_size_mul(count, size, &bytes) ? cop_arena_alloc(arena, bytes) : NULL;
}

char *cop_arena_strndup(cop_arena *arena, const char *text, size_t length) {
    char *copy = length < SIZE_MAX ? cop_arena_alloc(arena, length + 1) : NULL;
    if (copy && length)
        memcpy(copy, text, length);
    return copy;
}

char *cop_arena_strdup(cop_arena *arena, const char *text) {
    return cop_arena_strndup(arena, text, strlen(text));
}

void *cop_arena_copy(cop_arena *arena, const void *data, size_t bytes) {
    void *copy = cop_arena_alloc(arena, bytes);
    if (copy && bytes)
        memcpy(copy, data, bytes);
    return copy;
}

char *cop_arena_printf(cop_arena *arena, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : cop_arena_alloc(arena, (size_t)length + 1);
    if (!text)
        return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

void cop_arena_free(cop_arena *arena) {
    while (arena->last) {
        cop_arena_block *previous = arena->last->previous;
        cop_free(arena->last);
        arena->last = previous;
    }
}

int cop_grow(void *items, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity)
        return 0;
    size_t wanted = *capacity ? *capacity * 2 : 8, bytes;
    if (wanted < *capacity || !cop_size_mul(wanted, size, &bytes))
        return -1;
    void *old, *grown;
    memcpy(&old, items, sizeof old);
    grown = cop_realloc(old, bytes);
    if (!grown)
        return -1;
    memcpy(items, &grown, sizeof grown);
    *capacity = wanted;
    return 0;
}
