/* How many threads are useful here: cores, CPU affinity, the quota of the cgroup; and caches. */
#ifndef COP_RUNTIME_CORES_H
#define COP_RUNTIME_CORES_H

#include <stddef.h>

/* Physical cores that this process may run on, limited by the cgroup's CPU quota; at least 1. */
unsigned cop_default_threads(void);

/* CPUs' worth of time that the cgroups (v1 or v2) of a process grant, rounded up; 0: no limit.
 * `membership` is the text of /proc/self/cgroup, `root` where the hierarchies are mounted. */
unsigned cop_cgroup_cpus(const char *membership, const char *root);

/* Bytes of data that a core's caches hold: of the first level, and of the second, or its share of a
 * shared one. Where the system does not say: 32 KiB and 512 KiB. */
typedef struct cop_caches {
    size_t l1, l2;
} cop_caches;

cop_caches cop_cache_sizes(void);

#endif
