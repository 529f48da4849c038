/* Comparing values: exactly where they are exact, within a bound where they are floats. */
#include <coppice/value.h>

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/narrow.h"
#include "base/shape.h"
#include "base/type.h"
#include "graph/graph.h"

enum { MAX_NESTING = 64 };

typedef struct comparison {
    double rtol, atol;
    char *reason;
    size_t size;
} comparison;

/* Sets the reason; false. */
static bool differs(const comparison *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool differs(const comparison *c, const char *format, ...) {
    if (!c->reason || !c->size)
        return false;
    va_list args;
    va_start(args, format);
    vsnprintf(c->reason, c->size, format, args);
    va_end(args);
    return false;
}

static bool is_exact(coppice_type type) {
    return type == COPPICE_TYPE_BOOL || cop_is_integer_type(cop_wide_type(type));
}

static bool is_close(const comparison *c, double got, double wanted) {
    if (got == wanted || (isnan(got) && isnan(wanted)))
        return true;
    return isfinite(wanted) && fabs(got - wanted) <= c->atol + c->rtol * fabs(wanted);
}

/* ---- elements ---- */

static bool strings_equal(const comparison *c, const coppice_tensor *got,
                          const coppice_tensor *wanted, int64_t count) {
    const coppice_string *a = got->data, *b = wanted->data;
    for (int64_t i = 0; i < count; i++) {
        if (!cop_same_string(a[i], b[i]))
            return differs(c, "string %lld of %lld is '%.*s', expected '%.*s'", (long long)i,
                           (long long)count, a[i].length < 60 ? (int)a[i].length : 60,
                           a[i].length ? a[i].data : "", b[i].length < 60 ? (int)b[i].length : 60,
                           b[i].length ? b[i].data : "");
    }
    return true;
}

static bool integers_equal(const comparison *c, const coppice_tensor *got,
                           const coppice_tensor *wanted, int64_t count) {
    int64_t bad = 0, first = -1;
    for (int64_t i = 0; i < count; i++) {
        if (cop_tensor_get_int(got, i) == cop_tensor_get_int(wanted, i))
            continue;
        first = bad++ ? first : i;
    }
    if (!bad)
        return true;
    return differs(
        c, "%lld of %lld elements differ, the first is element %lld: %lld, expected %lld",
        (long long)bad, (long long)count, (long long)first,
        (long long)cop_tensor_get_int(got, first), (long long)cop_tensor_get_int(wanted, first));
}

static bool floats_close(const comparison *c, const coppice_tensor *got,
                         const coppice_tensor *wanted, int64_t count) {
    int64_t bad = 0, first = -1;
    double worst = 0;
    for (int64_t i = 0; i < count; i++) {
        double a = cop_tensor_get(got, i), b = cop_tensor_get(wanted, i);
        if (is_close(c, a, b))
            continue;
        first = bad++ ? first : i;
        worst = fabs(a - b) > worst ? fabs(a - b) : worst;
    }
    if (!bad)
        return true;
    return differs(c,
                   "%lld of %lld elements differ, by up to %.3g; the first is element %lld: %.9g, "
                   "expected %.9g",
                   (long long)bad, (long long)count, worst, (long long)first,
                   cop_tensor_get(got, first), cop_tensor_get(wanted, first));
}

/* ---- tensors and what holds them ---- */

static bool tensors_close(const comparison *c, const coppice_tensor *got,
                          const coppice_tensor *wanted) {
    if (got->type != wanted->type)
        return differs(c, "is %s, expected %s", coppice_type_name(got->type),
                       coppice_type_name(wanted->type));
    if (!cop_same_shape(got, wanted))
        return differs(c, "has shape %s, expected %s", cop_shape_text(got).s,
                       cop_shape_text(wanted).s);
    int64_t count = coppice_tensor_count(wanted);
    if (count <= 0)
        return true;
    coppice_tensor a = *got, b = *wanted;
    if (a.type == COPPICE_TYPE_STRING)
        return strings_equal(c, &a, &b, count);
    if (is_exact(a.type))
        return integers_equal(c, &a, &b, count);
    if (a.type == COPPICE_TYPE_COMPLEX64 || a.type == COPPICE_TYPE_COMPLEX128) {
        a.type = b.type =
            a.type == COPPICE_TYPE_COMPLEX64 ? COPPICE_TYPE_FLOAT : COPPICE_TYPE_DOUBLE;
        count *= 2; /* real and imaginary parts */
    }
    return floats_close(c, &a, &b, count);
}

static bool values_close(const comparison *c, const coppice_value *got, const coppice_value *wanted,
                         int depth) {
    if (depth > MAX_NESTING)
        return differs(c, "nests deeper than %d", MAX_NESTING);
    if (got->kind != wanted->kind)
        return differs(c, "is a %s, expected a %s", coppice_kind_name(got->kind),
                       coppice_kind_name(wanted->kind));
    if (got->kind == COPPICE_KIND_TENSOR)
        return tensors_close(c, &got->tensor, &wanted->tensor);
    if (got->count != wanted->count)
        return differs(c, "is a %s of %zu, expected %zu", coppice_kind_name(got->kind), got->count,
                       wanted->count);
    for (size_t i = 0; i < got->count; i++) {
        if (values_close(c, &got->items[i], &wanted->items[i], depth + 1))
            continue;
        char inner[256];
        snprintf(inner, sizeof inner, "%s", c->reason && c->size ? c->reason : "");
        return differs(c, "item %zu %s", i, inner);
    }
    return true;
}

bool coppice_value_is_close(const coppice_value *got, const coppice_value *wanted, double rtol,
                            double atol, char *reason, size_t size) {
    comparison c = {rtol, atol, reason, size};
    if (reason && size)
        reason[0] = '\0';
    return values_close(&c, got, wanted, 0);
}
