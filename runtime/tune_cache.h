/* What was measured before, on disk: the times of a layer's kernels on this machine.
 *
 * The file is `tuning` in the folder that COPPICE_CACHE names, else in $XDG_CACHE_HOME/coppice,
 * else in ~/.cache/coppice; COPPICE_CACHE=off (or empty) means none. It is a header and records of
 * one size, each with a checksum. Records are appended under a lock, in one write; a file that is
 * damaged or has grown to its bound is written anew and renamed into place, the oldest half of a
 * full one dropped. Nothing here is an error to the caller: without a file every search finds
 * nothing, and what was added is found again as long as the cache is open. */
#ifndef COP_RUNTIME_TUNE_CACHE_H
#define COP_RUNTIME_TUNE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A digest of everything that the times depend on: machine, build, layer, kernels. */
typedef struct cop_tune_key {
    uint64_t a, b;
} cop_tune_key;

/* The digest of this machine (CPU, caches) and this build of coppice, to start from. */
cop_tune_key cop_tune_key_start(void);
void cop_tune_key_number(cop_tune_key *key, uint64_t number);
void cop_tune_key_text(cop_tune_key *key, const char *text);

/* The kernels of one layer, in the order in which the key names them. */
enum { COP_TUNE_MOST = 24 };
typedef struct cop_tune_times {
    uint8_t effort; /* of measuring; more is better */
    uint8_t count;
    uint32_t measured;       /* a bit for each; the others are estimates */
    float ms[COP_TUNE_MOST]; /* negative: it does not run on this machine */
} cop_tune_times;

typedef struct cop_tune_cache cop_tune_cache;

/* Reads the file; NULL only without memory, and that is a cache that holds nothing. `on_disk`
 * false: there is no file. */
cop_tune_cache *cop_tune_cache_open(bool on_disk);

/* Where times come from. */
typedef enum cop_tune_source { COP_TUNE_UNKNOWN, COP_TUNE_ADDED, COP_TUNE_STORED } cop_tune_source;

/* What is known of `key`, when it was measured with at least this effort: added since the cache was
 * opened, or stored in the file. */
cop_tune_source cop_tune_cache_find(const cop_tune_cache *cache, cop_tune_key key, unsigned effort,
                                    cop_tune_times *out);

void cop_tune_cache_add(cop_tune_cache *cache, cop_tune_key key, const cop_tune_times *times);

/* Writes what is new, and frees it. NULL is fine. */
void cop_tune_cache_close(cop_tune_cache *cache);

#endif
