/* The memory planner: buffers that are not alive at the same time share addresses. */
#ifndef COP_RUNTIME_MEMORY_H
#define COP_RUNTIME_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* A buffer that is alive from step `first` to step `last`, both included. */
typedef struct cop_buffer {
    size_t bytes;
    int first, last;
    size_t offset; /* filled by cop_memory_plan; a multiple of 64 */
} cop_buffer;

enum {
    COP_MEMORY_ALIGNMENT = 64,
    COP_MEMORY_SLACK = 64 /* bytes behind each buffer that kernels may read */
};

/* Gives every buffer an offset such that no two that are alive together overlap, each followed by
 * COP_MEMORY_SLACK bytes. Largest first, each at the lowest offset that is free (greedy by size:
 * Pisarchyk & Lee 2020). False when memory is short, the total overflows or an interrupt comes;
 * *total gets the bytes of the arena. */
bool cop_memory_plan(cop_buffer *buffers, size_t count, size_t *total);

#endif
