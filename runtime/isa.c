/* Which instruction sets the CPU has, their names, and which may run under a limit. */
#include <stdlib.h>
#include <string.h>

#include <cpuinfo.h>

#include "base/error.h"
#include "runtime/conv.h"

static const char *const isa_names[] = {
    [COPPICE_ISA_BEST] = "best", [COPPICE_ISA_SCALAR] = "scalar", [COPPICE_ISA_SSE2] = "sse2",
    [COPPICE_ISA_AVX2] = "avx2", [COPPICE_ISA_AVX512] = "avx512", [COPPICE_ISA_NEON] = "neon",
};
enum { ISA_COUNT = sizeof isa_names / sizeof *isa_names };

const char *coppice_isa_name(coppice_isa isa) {
    return (unsigned)isa < ISA_COUNT ? isa_names[isa] : "unknown";
}

bool cop_isa_available(coppice_isa isa) {
    if (isa == COPPICE_ISA_SCALAR || isa == COPPICE_ISA_BEST)
        return true;
    if (!cpuinfo_initialize())
        return false;
    switch (isa) {
#if defined(__x86_64__)
    case COPPICE_ISA_SSE2:
        return true; /* part of x86-64 */
    case COPPICE_ISA_AVX2:
        return cpuinfo_has_x86_avx2() && cpuinfo_has_x86_fma3();
    case COPPICE_ISA_AVX512:
        return cop_isa_available(COPPICE_ISA_AVX2) && cpuinfo_has_x86_avx512f() &&
               cpuinfo_has_x86_avx512bw() && cpuinfo_has_x86_avx512dq() &&
               cpuinfo_has_x86_avx512vl();
#elif defined(__aarch64__)
    case COPPICE_ISA_NEON:
        return true; /* part of aarch64 */
#endif
    default:
        return false;
    }
}

bool cop_isa_allows(coppice_isa allowed, coppice_isa isa) {
    if (isa == COPPICE_ISA_SCALAR || isa == COPPICE_ISA_BEST || allowed == isa)
        return true;
    if (allowed == COPPICE_ISA_NEON || isa == COPPICE_ISA_NEON)
        return false;
    return isa <= allowed;
}

coppice_isa coppice_isa_best(void) {
    for (int isa = ISA_COUNT - 1; isa > COPPICE_ISA_SCALAR; isa--)
        if (cop_isa_available((coppice_isa)isa))
            return (coppice_isa)isa;
    return COPPICE_ISA_SCALAR;
}

/* "scalar, sse2, avx2": what the CPU has. */
static void available_names(char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (int isa = COPPICE_ISA_SCALAR; isa < ISA_COUNT; isa++) {
        size_t n = strlen(isa_names[isa]);
        if (!cop_isa_available((coppice_isa)isa) || used + n + 3 > size)
            continue;
        if (used) {
            memcpy(text + used, ", ", 2);
            used += 2;
        }
        memcpy(text + used, isa_names[isa], n + 1);
        used += n;
    }
}

/* Finds a name; `what` says in messages where it came from. */
static coppice_status find_isa(const char *what, const char *name, coppice_isa *out,
                               coppice_error *err) {
    char names[96];
    available_names(names, sizeof names);
    for (int isa = 0; isa < ISA_COUNT; isa++) {
        if (strcmp(name, isa_names[isa]) != 0)
            continue;
        if (!cop_isa_available((coppice_isa)isa))
            return cop_fail(err, COPPICE_INVALID_ARGUMENT, "%s: this CPU has no '%s'; it has: %s",
                            what, name, names);
        *out = (coppice_isa)isa;
        return COPPICE_OK;
    }
    return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                    "%s: unknown instruction set '%s'; this CPU has: %s", what, name, names);
}

coppice_status coppice_isa_parse(const char *name, coppice_isa *out, coppice_error *error) {
    return find_isa("isa", name, out, error);
}

coppice_status cop_isa_resolve(coppice_isa wanted, coppice_isa *out, coppice_error *err) {
    const char *name = getenv("COPPICE_ISA");
    *out = wanted;
    if (wanted == COPPICE_ISA_BEST && name && *name)
        COP_TRY(find_isa("environment variable COPPICE_ISA", name, out, err));
    if (*out == COPPICE_ISA_BEST)
        *out = coppice_isa_best();
    if (!cop_isa_available(*out))
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "this CPU has no '%s'",
                        coppice_isa_name(*out));
    return COPPICE_OK;
}
