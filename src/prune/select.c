/* Which of many weights are the smallest: radix selection on the bits of their keys. */
#include "prune/select.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "graph/constants.h"
#include "prune/keys.h"

enum {
    BLOCK = 4096, /* weights looked at together: their digits stay in the L1 cache */
    GROUP = 64,   /* weights whose bits fill a word of a mask */
    MANY = 8,     /* candidates of a group from which on all its keys are loaded together */
    DIGITS = 1 << COP_DIGIT_BITS,
    RELEASE_EVERY = 1 << 20 /* weights; a multiple of BLOCK */
};

/* One tensor of the pool, block by block. */
typedef struct scan {
    const cop_pool_item *item;
    cop_key_source source;
    int64_t first; /* of the block */
    size_t n;      /* weights in the block */
    uint16_t digits[BLOCK];
} scan;

int64_t cop_zeros_wanted(double sparsity, int64_t n) {
    return (int64_t)nearbyint(sparsity * (double)n);
}

static scan start_scan(const cop_pool_item *item, bool wide) {
    return (scan){.item = item,
                  .source = {.weights = item->constant,
                             .zeroed_by = item->zeroed_by ? &item->zeroed_by->tensor : NULL,
                             .scores = item->scores,
                             .wide = wide}};
}

/* The memory of pages that have been read goes back, so that large models need little. */
static void release_read(const scan *s) {
    int64_t end = s->first + (int64_t)s->n;
    if (end % RELEASE_EVERY != 0 && end != s->item->count)
        return;
    int64_t begin = (end - 1) / RELEASE_EVERY * RELEASE_EVERY;
    cop_constant_release(s->item->constant, begin, end - begin);
    if (s->item->zeroed_by)
        cop_constant_release(s->item->zeroed_by, begin, end - begin);
}

/* Loads the digits of the next block; false behind the last. */
static bool next_block(scan *s) {
    if (s->n)
        release_read(s);
    s->first += (int64_t)s->n;
    int64_t rest = s->item->count - s->first;
    s->n = rest < BLOCK ? (size_t)rest : BLOCK;
    cop_keys_digits(&s->source, s->first, s->n, s->digits);
    for (size_t i = s->n; i % GROUP; i++)
        s->digits[i] = 0;
    return s->n > 0;
}

/* ---- the first digit ---- */

coppice_status cop_fail_unordered(const char *key, int64_t at, bool score, coppice_error *err) {
    if (score)
        return cop_fail(err, COPPICE_BAD_DATA,
                        "initializer '%s': the score of weight %lld is NaN or infinite", key,
                        (long long)at);
    return cop_fail(err, COPPICE_BAD_DATA,
                    "initializer '%s': weight %lld is NaN; its magnitude cannot be compared. "
                    "Exclude this weight or repair the model",
                    key, (long long)at);
}

static coppice_status fail_invalid(const scan *s, int64_t at, coppice_error *err) {
    const coppice_tensor *scores = s->item->scores;
    bool bad_score = scores && !isfinite(cop_tensor_get(scores, at));
    return cop_fail_unordered(s->item->key, at, bad_score, err);
}

/* Refuses NaN: the one value whose magnitude compares with nothing. */
static coppice_status check_block(const scan *s, coppice_error *err) {
    uint64_t infinity = cop_key_infinity(s->source.wide), keys[GROUP];
    uint16_t largest = 0;
    for (size_t i = 0; i < s->n; i++)
        largest = s->digits[i] > largest ? s->digits[i] : largest;
    if (largest < infinity >> (64 - COP_DIGIT_BITS))
        return COPPICE_OK;
    for (size_t at = 0; at < s->n; at += GROUP) {
        size_t n = s->n - at < GROUP ? s->n - at : GROUP;
        cop_keys_load(&s->source, s->first + (int64_t)at, n, keys);
        for (size_t i = 0; i < n; i++)
            if (keys[i] > infinity)
                return fail_invalid(s, s->first + (int64_t)(at + i), err);
    }
    return COPPICE_OK;
}

static coppice_status count_first_digits(scan *s, uint64_t *counts, coppice_error *err) {
    while (next_block(s)) {
        COP_TRY(cop_check_interrupt(err));
        COP_TRY(check_block(s, err));
        for (size_t i = 0; i < s->n; i++)
            counts[s->digits[i]]++;
    }
    return COPPICE_OK;
}

/* ---- candidates: weights whose first digit is the threshold's ---- */

/* A bit for each weight of a group: is its digit above `digit`, is it equal to it? */
static void compare_group(const scan *s, size_t at, uint16_t digit, uint64_t *above,
                          uint64_t *equal) {
    uint8_t is_above[GROUP], is_equal[GROUP];
    for (size_t i = 0; i < GROUP; i++) {
        is_above[i] = s->digits[at + i] > digit;
        is_equal[i] = s->digits[at + i] == digit;
    }
    *above = cop_bits_of_bytes(is_above);
    *equal = cop_bits_of_bytes(is_equal);
    if (s->n - at < GROUP)
        *equal &= ((uint64_t)1 << (s->n - at)) - 1;
}

/* Loads the keys of the weights of a group whose bit is set. */
static void load_candidates(const scan *s, size_t at, uint64_t bits, uint64_t *keys) {
    int64_t first = s->first + (int64_t)at;
    if (__builtin_popcountll(bits) >= MANY) {
        cop_keys_load(&s->source, first, s->n - at < GROUP ? s->n - at : GROUP, keys);
        return;
    }
    for (; bits; bits &= bits - 1) {
        int i = __builtin_ctzll(bits);
        cop_keys_load(&s->source, first + i, 1, &keys[i]);
    }
}

/* Counts the digits at `shift` of the keys whose higher bits are `prefix`. */
static void count_next_digits(scan *s, uint64_t prefix, unsigned shift, uint64_t *counts) {
    uint16_t first_digit = (uint16_t)(prefix >> (48 - COP_DIGIT_BITS - shift));
    uint64_t above, equal, keys[GROUP];
    while (next_block(s)) {
        for (size_t at = 0; at < s->n; at += GROUP) {
            compare_group(s, at, first_digit, &above, &equal);
            load_candidates(s, at, equal, keys);
            for (uint64_t bits = equal; bits; bits &= bits - 1) {
                uint64_t key = keys[__builtin_ctzll(bits)] >> shift;
                if (key >> COP_DIGIT_BITS == prefix)
                    counts[key & (DIGITS - 1)]++;
            }
        }
    }
}

/* ---- the threshold ---- */

/* Where selection has got to. */
typedef struct selection {
    bool wide;
    uint64_t threshold; /* the smallest key that may be kept */
    uint64_t ties;      /* how many of the weights that have it must go all the same */
    uint64_t *counts;   /* of each digit */
} selection;

/* The digit of the threshold: `ties` becomes what must still go among the weights that have it. */
static uint64_t find_digit(selection *sel) {
    uint64_t digit = 0;
    while (digit < DIGITS - 1 && sel->counts[digit] <= sel->ties)
        sel->ties -= sel->counts[digit++];
    return digit;
}

static coppice_status find_threshold(selection *sel, const cop_pool_item *items, size_t count,
                                     cop_tally *tally, coppice_error *err) {
    for (size_t i = 0; i < count; i++) {
        scan s = start_scan(&items[i], sel->wide);
        COP_TRY(count_first_digits(&s, sel->counts, err));
        COP_TRY(cop_tally_add(tally, items[i].count, err));
    }
    unsigned shift = 64 - COP_DIGIT_BITS, last = sel->wide ? 0 : 32;
    uint64_t prefix = find_digit(sel);
    bool some = prefix > 0 && sel->counts[prefix] > 0; /* digit 0: all of them are zero weights */
    while (some && shift > last) {
        shift -= COP_DIGIT_BITS;
        memset(sel->counts, 0, DIGITS * sizeof *sel->counts);
        for (size_t i = 0; i < count; i++) {
            COP_TRY(cop_check_interrupt(err));
            scan s = start_scan(&items[i], sel->wide);
            count_next_digits(&s, prefix, shift, sel->counts);
        }
        prefix = prefix << COP_DIGIT_BITS | find_digit(sel);
    }
    sel->threshold = prefix << shift;
    return COPPICE_OK;
}

/* ---- masks ---- */

/* Which of the candidates of a group are kept; `ties` counts down. */
static uint64_t keep_candidates(selection *sel, const scan *s, size_t at, uint64_t equal) {
    uint64_t keys[GROUP], kept = 0;
    load_candidates(s, at, equal, keys);
    for (uint64_t bits = equal; bits; bits &= bits - 1) {
        int i = __builtin_ctzll(bits);
        bool goes = keys[i] < sel->threshold || (keys[i] == sel->threshold && sel->ties > 0);
        sel->ties -= goes && keys[i] == sel->threshold;
        kept |= (uint64_t)!goes << i;
    }
    return kept;
}

static void fill_mask(selection *sel, cop_pool_item *item) {
    scan s = start_scan(item, sel->wide);
    uint16_t digit = (uint16_t)(sel->threshold >> (64 - COP_DIGIT_BITS));
    int64_t kept = 0;
    while (next_block(&s)) {
        uint64_t *words = item->mask->kept + s.first / GROUP;
        for (size_t at = 0; at < s.n; at += GROUP) {
            uint64_t above, equal;
            compare_group(&s, at, digit, &above, &equal);
            if (equal && digit)
                above |= keep_candidates(sel, &s, at, equal);
            words[at / GROUP] = above;
            kept += __builtin_popcountll(above);
        }
    }
    item->zeros = item->mask->zeros = item->count - kept;
}

coppice_status cop_select_smallest(cop_pool_item *items, size_t count, int64_t zeros,
                                   cop_tally *tally, coppice_error *err) {
    selection sel = {.ties = (uint64_t)zeros};
    for (size_t i = 0; i < count; i++)
        sel.wide |= items[i].constant->tensor.type == COPPICE_TYPE_DOUBLE;
    sel.counts = cop_calloc(DIGITS, sizeof *sel.counts);
    if (!sel.counts)
        return cop_fail_memory(err, DIGITS * sizeof *sel.counts);
    coppice_status status = find_threshold(&sel, items, count, tally, err);
    cop_free(sel.counts);
    if (status != COPPICE_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        COP_TRY(cop_check_interrupt(err));
        fill_mask(&sel, &items[i]);
        if (zeros == 0)
            cop_mask_keep_all(items[i].mask);
        COP_TRY(cop_tally_add(tally, items[i].count, err));
    }
    return COPPICE_OK;
}

/* ---- applying ---- */

void cop_apply_mask(cop_constant *constant, const cop_mask *mask) {
    unsigned char *data = constant->tensor.data;
    cop_mask_copy(mask, constant, 0, mask->count, data, data);
    constant->dirty = true;
}
