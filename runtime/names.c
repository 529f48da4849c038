/* Names of backends, uses of sparsity and tuning efforts, as on the command line. */
#include <string.h>

#include <coppice/runtime.h>

#include "base/error.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const backends[] = {
    [COPPICE_BACKEND_AUTO] = "auto",
    [COPPICE_BACKEND_NATIVE] = "native",
    [COPPICE_BACKEND_XNNPACK] = "xnnpack",
    [COPPICE_BACKEND_REFERENCE] = "reference",
};
static const char *const sparse_uses[] = {
    [COPPICE_SPARSE_AUTO] = "auto",
    [COPPICE_SPARSE_NEVER] = "never",
    [COPPICE_SPARSE_ALWAYS] = "always",
};
static const char *const tunes[] = {
    [COPPICE_TUNE_FAST] = "fast",
    [COPPICE_TUNE_NONE] = "none",
    [COPPICE_TUNE_FULL] = "full",
};

/* The index of `name`, or `count`. */
static size_t find(const char *const *names, size_t count, const char *name) {
    size_t i = 0;
    while (i < count && strcmp(names[i], name) != 0)
        i++;
    return i;
}

coppice_status coppice_backend_parse(const char *name, coppice_backend *out, coppice_error *error) {
    size_t i = find(backends, COUNT(backends), name);
    if (i == COUNT(backends))
        return cop_fail(error, COPPICE_INVALID_ARGUMENT,
                        "unknown backend '%s'; there are: auto, native, xnnpack, reference", name);
    *out = (coppice_backend)i;
    return COPPICE_OK;
}

coppice_status coppice_sparse_use_parse(const char *name, coppice_sparse_use *out,
                                        coppice_error *error) {
    size_t i = find(sparse_uses, COUNT(sparse_uses), name);
    if (i == COUNT(sparse_uses))
        return cop_fail(error, COPPICE_INVALID_ARGUMENT,
                        "unknown use of sparsity '%s'; there are: auto, never, always", name);
    *out = (coppice_sparse_use)i;
    return COPPICE_OK;
}

coppice_status coppice_tune_parse(const char *name, coppice_tune *out, coppice_error *error) {
    size_t i = find(tunes, COUNT(tunes), name);
    if (i == COUNT(tunes))
        return cop_fail(error, COPPICE_INVALID_ARGUMENT,
                        "unknown tuning '%s'; there are: none, fast, full", name);
    *out = (coppice_tune)i;
    return COPPICE_OK;
}

const char *coppice_backend_name(coppice_backend backend) {
    return (unsigned)backend < COUNT(backends) ? backends[backend] : "unknown";
}
