/* Counts the physical cores that this process may use, and reads CPU quotas of cgroups v1 and v2.
 */
#include "runtime/cores.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cpuinfo.h>

#include "base/memory.h"

enum { MAX_PATH = 4096, MAX_MEMBERSHIP = 16384, MAX_CPUS = 1 << 16 };

/* Reads a small text file; false when it is not there. */
static bool read_text(const char *path, char *text, size_t size) {
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    size_t n = fread(text, 1, size - 1, f);
    text[n] = '\0';
    bool ok = !ferror(f);
    fclose(f);
    return ok;
}

/* CPUs of one quota, rounded up; 0: none. */
static unsigned quota_cpus(long long quota, long long period) {
    if (quota <= 0 || period <= 0)
        return 0;
    long long cpus = quota / period + (quota % period != 0);
    return cpus > MAX_CPUS ? MAX_CPUS : (unsigned)cpus;
}

/* The quota in one cgroup folder, of either version. */
static unsigned folder_cpus(const char *folder) {
    char path[MAX_PATH + 32], text[128];
    long long quota = 0, period = 0;
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    if (read_text(path, text, sizeof text))
        return sscanf(text, "%lld %lld", &quota, &period) == 2 ? quota_cpus(quota, period) : 0;
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
    if (!read_text(path, text, sizeof text) || sscanf(text, "%lld", &quota) != 1)
        return 0;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    if (!read_text(path, text, sizeof text) || sscanf(text, "%lld", &period) != 1)
        return 0;
    return quota_cpus(quota, period);
}

static unsigned smaller_limit(unsigned a, unsigned b) {
    if (a == 0 || b == 0)
        return a + b;
    return a < b ? a : b;
}

/* The smallest quota of a cgroup and those above it. A path that is not there (a container sees its
 * own cgroup as the root) counts through the folders above it. */
static unsigned path_cpus(const char *root, const char *hierarchy, const char *cgroup) {
    char path[MAX_PATH];
    int n = snprintf(path, sizeof path, "%s%s%s", root, hierarchy, cgroup);
    if (n < 0 || (size_t)n >= sizeof path)
        return 0;
    size_t base = strlen(root) + strlen(hierarchy);
    unsigned limit = 0;
    for (size_t end = (size_t)n;; end--) {
        if (path[end] != '/' && path[end] != '\0')
            continue;
        path[end] = '\0';
        limit = smaller_limit(limit, folder_cpus(path));
        if (end <= base)
            return limit;
    }
}

/* True when the comma-separated `list` has "cpu". */
static bool has_cpu_controller(const char *list) {
    while (*list) {
        size_t n = strcspn(list, ",");
        if (n == 3 && strncmp(list, "cpu", 3) == 0)
            return true;
        list += n;
        list += *list == ',';
    }
    return false;
}

/* One line of /proc/self/cgroup: "ID:CONTROLLERS:PATH", no controllers in version 2. */
static unsigned line_cpus(char *line, const char *root) {
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path)
        return 0;
    controllers++;
    *path++ = '\0';
    if (*controllers == '\0')
        return smaller_limit(path_cpus(root, "", path), path_cpus(root, "/unified", path));
    if (!has_cpu_controller(controllers))
        return 0;
    char hierarchy[256];
    snprintf(hierarchy, sizeof hierarchy, "/%s", controllers);
    return smaller_limit(path_cpus(root, hierarchy, path), path_cpus(root, "/cpu", path));
}

unsigned cop_cgroup_cpus(const char *membership, const char *root) {
    unsigned limit = 0;
    while (*membership) {
        char line[MAX_PATH];
        size_t n = strcspn(membership, "\n");
        if (n < sizeof line) {
            memcpy(line, membership, n);
            line[n] = '\0';
            limit = smaller_limit(limit, line_cpus(line, root));
        }
        membership += n;
        membership += *membership == '\n';
    }
    return limit;
}

/* The affinity mask, grown until the kernel accepts its size; free with CPU_FREE. */
static cpu_set_t *affinity(size_t *size, int *cpus) {
    for (int n = 1024; n <= MAX_CPUS; n *= 2) {
        cpu_set_t *set = CPU_ALLOC(n);
        if (!set)
            return NULL;
        *size = CPU_ALLOC_SIZE(n);
        *cpus = n;
        if (sched_getaffinity(0, *size, set) == 0)
            return set;
        CPU_FREE(set);
        if (errno != EINVAL)
            return NULL;
    }
    return NULL;
}

/* Cores with at least one allowed CPU; 0: the topology is not known. */
static unsigned allowed_cores(const cpu_set_t *set, size_t size, int cpus) {
    if (!cpuinfo_initialize())
        return 0;
    unsigned cores = 0;
    const struct cpuinfo_core *last = NULL;
    for (uint32_t i = 0; i < cpuinfo_get_processors_count(); i++) {
        const struct cpuinfo_processor *p = cpuinfo_get_processor(i);
        if (p->linux_id < 0 || p->linux_id >= cpus || !CPU_ISSET_S((size_t)p->linux_id, size, set))
            continue;
        cores += p->core != last; /* the CPUs of a core follow each other */
        last = p->core;
    }
    return cores;
}

unsigned cop_default_threads(void) {
    size_t size = 0;
    int cpus = 0;
    unsigned threads = 0;
    cpu_set_t *set = affinity(&size, &cpus);
    if (set) {
        unsigned allowed = (unsigned)CPU_COUNT_S(size, set);
        threads = allowed_cores(set, size, cpus);
        if (threads == 0 || threads > allowed)
            threads = allowed;
        CPU_FREE(set);
    }
    char *membership = cop_malloc(MAX_MEMBERSHIP);
    if (membership && read_text("/proc/self/cgroup", membership, MAX_MEMBERSHIP))
        threads = smaller_limit(threads, cop_cgroup_cpus(membership, "/sys/fs/cgroup"));
    cop_free(membership);
    return threads ? threads : 1;
}

/* ---- caches ---- */

/* The smallest of a level, divided among the cores that share it; 0: not known. */
static size_t share_of_level(const struct cpuinfo_cache *caches, uint32_t count) {
    size_t least = 0;
    for (uint32_t i = 0; caches && i < count; i++) {
        uint32_t threads = caches[i].processor_count, cores = 0;
        for (uint32_t k = 0; k < threads; k++) {
            const struct cpuinfo_processor *p =
                cpuinfo_get_processor(caches[i].processor_start + k);
            cores += p && p->smt_id == 0;
        }
        size_t share = caches[i].size / (cores ? cores : 1);
        if (least == 0 || share < least)
            least = share;
    }
    return least;
}

cop_caches cop_cache_sizes(void) {
    cop_caches found = {0};
    if (cpuinfo_initialize()) {
        found.l1 = share_of_level(cpuinfo_get_l1d_caches(), cpuinfo_get_l1d_caches_count());
        found.l2 = share_of_level(cpuinfo_get_l2_caches(), cpuinfo_get_l2_caches_count());
    }
    if (found.l1 == 0)
        found.l1 = 32 * 1024;
    if (found.l2 < found.l1)
        found.l2 = 16 * found.l1;
    return found;
}
