/* A map from strings to integers. */
#include "base/map.h"

#include <string.h>
#include <sys/random.h>

#include "base/memory.h"

/* FNV-1a over a random start, with a final mix: keys of a hostile file cannot be made to collide
 * without knowing the seed. */
static size_t slot_of(const cop_map *map, const char *key) {
    uint64_t hash = map->seed;
    for (const unsigned char *c = (const unsigned char *)key; *c; c++)
        hash = (hash ^ *c) * 0x100000001b3u;
    hash = (hash ^ (hash >> 29)) * 0xbf58476d1ce4e5b9u;
    hash ^= hash >> 32;
    size_t at = hash & (map->capacity - 1);
    while (map->slots[at].key && strcmp(map->slots[at].key, key) != 0)
        at = (at + 1) & (map->capacity - 1);
    return at;
}

static bool grow(cop_map *map) {
    cop_map larger = {.capacity = map->capacity ? map->capacity * 2 : 64, .seed = map->seed};
    if (!larger.seed && getrandom(&larger.seed, sizeof larger.seed, GRND_NONBLOCK) < 0)
        larger.seed = 0xcbf29ce484222325u;
    larger.seed |= 1;
    larger.slots = cop_calloc(larger.capacity, sizeof *larger.slots);
    if (!larger.slots)
        return false;
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].key)
            larger.slots[slot_of(&larger, map->slots[i].key)] = map->slots[i];
    }
    larger.count = map->count;
    cop_free(map->slots);
    *map = larger;
    return true;
}

bool cop_map_set(cop_map *map, const char *key, int64_t value) {
    if (map->count * 2 >= map->capacity && !grow(map))
        return false;
    cop_map_slot *slot = &map->slots[slot_of(map, key)];
    map->count += slot->key == NULL;
    slot->key = slot->key ? slot->key : key;
    slot->value = value;
    return true;
}

int64_t cop_map_get(const cop_map *map, const char *key, int64_t absent) {
    if (!map->count)
        return absent;
    const cop_map_slot *slot = &map->slots[slot_of(map, key)];
    return slot->key ? slot->value : absent;
}

void cop_map_free(cop_map *map) {
    cop_free(map->slots);
    *map = (cop_map){0};
}
