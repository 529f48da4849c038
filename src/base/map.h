/* A map from strings to integers, for names of values and initializers. */
#ifndef COP_BASE_MAP_H
#define COP_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cop_map_slot {
    const char *key;
    int64_t value;
} cop_map_slot;

/* Zero-initialise to make an empty map. Open addressing, seeded hash (a file chooses the keys). */
typedef struct cop_map {
    cop_map_slot *slots;
    size_t capacity, count;
    uint64_t seed;
} cop_map;

/* Sets the value of `key` (borrowed: must live as long as the map). False when memory is short. */
bool cop_map_set(cop_map *map, const char *key, int64_t value);

/* The value of `key`, or `absent`. */
int64_t cop_map_get(const cop_map *map, const char *key, int64_t absent);

void cop_map_free(cop_map *map);

#endif
