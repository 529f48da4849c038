/* ERK and LAMP. */
#include "prune/allocate.h"

#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "prune/keys.h"
#include "prune/select.h"

/* A layer of the pool. */
typedef struct share {
    const cop_weight *weight;
    cop_decision *decision;
    int64_t count, zeros;
    double raw;       /* ERK: sum of dims */
    bool full;        /* ERK: it keeps everything */
    uint32_t *sorted; /* LAMP: the bits of magnitudes, smallest first */
    double *larger;   /* LAMP: sum of the squares from there on */
} share;

typedef struct allocation {
    share *shares;
    size_t count;
    int64_t total, zeros;
    cop_arena arena;
} allocation;

static coppice_status begin(allocation *a, const cop_weights *weights, double sparsity,
                            cop_decision *decisions, coppice_error *err) {
    a->shares = cop_arena_array(&a->arena, weights->count + 1, sizeof *a->shares);
    if (!a->shares)
        return cop_fail_memory(err, weights->count * sizeof *a->shares);
    for (size_t i = 0; i < weights->count; i++) {
        if (decisions[i].kept_dense || decisions[i].own_target)
            continue;
        share *s = &a->shares[a->count++];
        *s = (share){.weight = &weights->items[i], .decision = &decisions[i]};
        s->count = coppice_tensor_count(&s->weight->constant->tensor);
        a->total += s->count;
    }
    a->zeros = cop_zeros_wanted(sparsity, a->total);
    return COPPICE_OK;
}

static void end(allocation *a) {
    for (size_t i = 0; i < a->count; i++)
        a->shares[i].decision->sparsity = (double)a->shares[i].zeros / (double)a->shares[i].count;
    cop_arena_free(&a->arena);
}

/* ---- ERK ---- */

/* What one unit of `raw` keeps when the layers that are full keep everything. */
static double scale_of(const allocation *a) {
    double kept = (double)(a->total - a->zeros), raw = 0;
    for (size_t i = 0; i < a->count; i++) {
        if (a->shares[i].full)
            kept -= (double)a->shares[i].count;
        else
            raw += a->shares[i].raw;
    }
    return raw > 0 && kept > 0 ? kept / raw : 0;
}

static coppice_status allocate_erk(allocation *a, coppice_error *err) {
    (void)err;
    for (size_t i = 0; i < a->count; i++) {
        const coppice_tensor *t = &a->shares[i].weight->constant->tensor;
        for (uint32_t d = 0; d < t->rank; d++)
            a->shares[i].raw += (double)t->dims[d];
    }
    bool again = true;
    while (again) {
        double scale = scale_of(a);
        again = false;
        for (size_t i = 0; i < a->count; i++) {
            share *s = &a->shares[i];
            if (s->full || s->raw * scale <= (double)s->count)
                continue;
            s->full = again = true;
        }
    }
    double scale = scale_of(a);
    for (size_t i = 0; i < a->count; i++) {
        share *s = &a->shares[i];
        double density = s->full ? 1 : s->raw * scale / (double)s->count;
        s->zeros = cop_zeros_wanted(1 - density, s->count);
    }
    return COPPICE_OK;
}

/* ---- LAMP ---- */

/* Sorts the bits of numbers that are not negative: they order as the numbers do. */
static void sort_bits(uint32_t *keys, uint32_t *other, size_t count) {
    enum { BITS = 11, BUCKETS = 1 << BITS };
    for (unsigned shift = 0; shift < 32; shift += BITS) {
        size_t at[BUCKETS] = {0}, sum = 0;
        for (size_t i = 0; i < count; i++)
            at[keys[i] >> shift & (BUCKETS - 1)]++;
        for (size_t b = 0; b < BUCKETS; b++) {
            size_t n = at[b];
            at[b] = sum;
            sum += n;
        }
        for (size_t i = 0; i < count; i++)
            other[at[keys[i] >> shift & (BUCKETS - 1)]++] = keys[i];
        memcpy(keys, other, count * sizeof *keys);
    }
}

static coppice_status read_magnitudes(const share *s, uint32_t *bits, coppice_error *err) {
    for (int64_t i = 0; i < s->count; i++) {
        double value = cop_magnitude_of(s->weight->constant, s->weight->mask, i);
        if (isnan(value))
            return cop_fail_unordered(s->weight->key, i, false, err);
        bits[i] = cop_float_bits((float)value);
    }
    return COPPICE_OK;
}

static double square_of(const share *s, size_t i) {
    double magnitude = (double)cop_bits_float(s->sorted[i]);
    return magnitude * magnitude;
}

static coppice_status rank(allocation *a, share *s, coppice_error *err) {
    size_t count = (size_t)s->count;
    s->sorted = cop_arena_array(&a->arena, count, sizeof *s->sorted);
    s->larger = cop_arena_array(&a->arena, count, sizeof *s->larger);
    if (!s->sorted || !s->larger)
        return cop_fail_memory(err, count * sizeof *s->larger);
    COP_TRY(read_magnitudes(s, s->sorted, err));
    sort_bits(s->sorted, (uint32_t *)s->larger, count);
    double sum = 0;
    for (size_t i = count; i-- > 0;)
        s->larger[i] = sum += square_of(s, i);
    return cop_check_interrupt(err);
}

/* Its score. Where squares have no finite sum, the sum counts as infinite. */
static double score_of(const share *s, int64_t i) {
    double square = square_of(s, (size_t)i);
    return square == 0 ? 0 : isinf(s->larger[i]) ? isinf(square) : square / s->larger[i];
}

/* Weights of which the score is at most `limit`: scores go up with magnitudes. */
static int64_t at_most(const share *s, double limit) {
    int64_t below = 0, above = s->count;
    while (below < above) {
        int64_t middle = below + (above - below) / 2;
        if (score_of(s, middle) <= limit)
            below = middle + 1;
        else
            above = middle;
    }
    return below;
}

static int64_t all_at_most(const allocation *a, double limit) {
    int64_t sum = 0;
    for (size_t i = 0; i < a->count; i++)
        sum += at_most(&a->shares[i], limit);
    return sum;
}

/* The smallest score that enough weights do not exceed. Bits of numbers that are not negative order
 * as the numbers do. */
static double find_limit(const allocation *a) {
    uint64_t below = 0, above = 0x3ff0000000000000u; /* 1.0 */
    while (below < above) {
        uint64_t middle = below + (above - below) / 2;
        if (all_at_most(a, cop_bits_double(middle)) >= a->zeros)
            above = middle;
        else
            below = middle + 1;
    }
    return cop_bits_double(above);
}

static coppice_status allocate_lamp(allocation *a, coppice_error *err) {
    for (size_t i = 0; i < a->count; i++)
        COP_TRY(rank(a, &a->shares[i], err));
    double limit = find_limit(a);
    int64_t rest = a->zeros;
    for (size_t i = 0; i < a->count; i++) {
        share *s = &a->shares[i];
        s->zeros = limit > 0 ? at_most(s, nextafter(limit, -1)) : 0;
        rest -= s->zeros;
    }
    for (size_t i = 0; i < a->count; i++) {
        share *s = &a->shares[i];
        int64_t ties = at_most(s, limit) - s->zeros;
        ties = ties < rest ? ties : rest;
        s->zeros += ties;
        rest -= ties;
    }
    return COPPICE_OK;
}

/* ---- all ---- */

coppice_status cop_prune_allocate(const cop_weights *weights, const coppice_prune_options *options,
                                  cop_decision *decisions, coppice_error *err) {
    static coppice_status (*const rules[])(allocation *, coppice_error *) = {
        [COPPICE_SCOPE_ERK] = allocate_erk, [COPPICE_SCOPE_LAMP] = allocate_lamp};
    if ((size_t)options->scope >= sizeof rules / sizeof *rules || !rules[options->scope])
        return COPPICE_OK;
    allocation a = {0};
    coppice_status status = begin(&a, weights, options->sparsity, decisions, err);
    if (!status && a.total > 0)
        status = rules[options->scope](&a, err);
    if (status)
        a.count = 0;
    end(&a);
    return status;
}
