/* What this build and this machine have, for `coppice info`. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#include <cpuinfo.h>

#include "runtime/backend/xnn.h"
#include "runtime/cores.h"

enum { MAX_FEATURES = 16, VALUE_SIZE = 96 };

static coppice_feature features[MAX_FEATURES + 1];
static char values[MAX_FEATURES][VALUE_SIZE];
static size_t feature_count;

__attribute__((format(printf, 2, 3))) static void add(const char *name, const char *format, ...) {
    if (feature_count == MAX_FEATURES)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(values[feature_count], VALUE_SIZE, format, args);
    va_end(args);
    features[feature_count] = (coppice_feature){name, values[feature_count]};
    feature_count++;
}

static void add_cache(const char *name, const struct cpuinfo_cache *cache, uint32_t count) {
    if (cache && count)
        add(name, "%u KiB (%u)", (unsigned)(cache->size / 1024), (unsigned)count);
}

static void collect(void) {
    add("xnnpack", "%s", cop_xnn_generation());
    add("xnnpack sparse", "%s", cop_xnn_sparse_path());
    if (cpuinfo_initialize()) {
        add("cpu", "%s", cpuinfo_get_packages_count() ? cpuinfo_get_package(0)->name : "unknown");
        add("cores", "%u", (unsigned)cpuinfo_get_cores_count());
        add_cache("L1d cache", cpuinfo_get_l1d_caches(), cpuinfo_get_l1d_caches_count());
        add_cache("L2 cache", cpuinfo_get_l2_caches(), cpuinfo_get_l2_caches_count());
        add_cache("L3 cache", cpuinfo_get_l3_caches(), cpuinfo_get_l3_caches_count());
    }
    add("isa", "%s", coppice_isa_name(coppice_isa_best()));
    add("threads", "%u", cop_default_threads());
}

const coppice_feature *coppice_features(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, collect);
    return features;
}
