/* Selection against a full sort: random pools of all types, with ties, zeros of both signs,
 * subnormal and infinite weights, and scores. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "prune/select.h"
#include "unit.h"

enum { MAX_ITEMS = 5 };

static const coppice_type types[] = {COPPICE_TYPE_FLOAT, COPPICE_TYPE_FLOAT16,
                                     COPPICE_TYPE_BFLOAT16, COPPICE_TYPE_DOUBLE};

static uint64_t state = 20261121;

static uint64_t random_bits(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    uint64_t x = state;
    return (x ^ x >> 29) * 0xbf58476d1ce4e5b9u >> 11;
}

static int64_t below(int64_t n) {
    return (int64_t)(random_bits() % (uint64_t)n);
}

/* A pool and what it is made of. */
typedef struct pool {
    size_t count;
    cop_pool_item items[MAX_ITEMS];
    cop_constant constants[MAX_ITEMS];
    coppice_tensor scores[MAX_ITEMS];
    cop_mask masks[MAX_ITEMS];
} pool;

/* Random bits of a kind: few values (ties), ordinary weights, or any finite bits at all. */
static double random_value(int kind) {
    static const double special[] = {0.0, -0.0, INFINITY, -INFINITY, 1e-40, -1e-40, 6e-8, 5e-324};
    if (kind == 0)
        return (double)(below(7) - 3);
    if (below(50) == 0)
        return special[below(8)];
    if (kind == 1)
        return ((double)below(1 << 24) / (1 << 23) - 1) * 0.05;
    return ldexp((double)below(1 << 30) - (1 << 29), (int)below(240) - 150);
}

static void store(coppice_tensor *tensor, int64_t i, double value) {
    float single = (float)value;
    uint16_t half = cop_half_from_float(single), bfloat = cop_bfloat_from_float(single);
    size_t width = coppice_type_bits(tensor->type) / 8;
    const void *from = tensor->type == COPPICE_TYPE_FLOAT     ? (const void *)&single
                       : tensor->type == COPPICE_TYPE_FLOAT16 ? (const void *)&half
                       : tensor->type == COPPICE_TYPE_DOUBLE  ? (const void *)&value
                                                              : (const void *)&bfloat;
    memcpy((char *)tensor->data + (size_t)i * width, from, width);
}

static int64_t random_count(void) {
    static const int64_t edges[] = {1, 63, 64, 65, 4095, 4096, 4097, 12289};
    return below(3) == 0 ? edges[below(8)] : 1 + below(9000);
}

static coppice_tensor random_tensor(coppice_type type, int64_t n, int kind, bool finite) {
    coppice_tensor tensor = {.type = type, .rank = 1, .dims = {n}};
    tensor.data = malloc((size_t)n * 8);
    ck_assert_ptr_nonnull(tensor.data);
    for (int64_t i = 0; i < n; i++) {
        double value = random_value(kind);
        store(&tensor, i, finite && isinf((float)value) ? 1 : value);
    }
    return tensor;
}

static void add_item(pool *p, coppice_type type, int kind, bool scored) {
    size_t k = p->count++;
    int64_t n = random_count();
    p->constants[k] = (cop_constant){.tensor = random_tensor(type, n, kind, false)};
    p->scores[k] = random_tensor(COPPICE_TYPE_FLOAT, scored ? n : 1, kind, true);
    p->masks[k] = (cop_mask){.count = n, .kept = calloc(cop_mask_words(n), sizeof(uint64_t))};
    p->items[k] = (cop_pool_item){.constant = &p->constants[k],
                                  .scores = scored ? &p->scores[k] : NULL,
                                  .key = "w",
                                  .count = n,
                                  .mask = &p->masks[k]};
}

static void free_pool(pool *p) {
    for (size_t k = 0; k < p->count; k++) {
        free(p->constants[k].tensor.data);
        free(p->scores[k].data);
        free(p->masks[k].kept);
    }
}

/* ---- the reference ---- */

typedef struct entry {
    double key;
    size_t item;
    int64_t index;
} entry;

static int by_key(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    if (x->item != y->item)
        return x->item < y->item ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static double key_of(const cop_pool_item *item, int64_t i) {
    double weight = cop_tensor_get(&item->constant->tensor, i);
    if (weight == 0)
        return -INFINITY;
    return item->scores ? cop_tensor_get(item->scores, i) : fabs(weight);
}

/* Compares every bit of the masks with what sorting gives. */
static void check_against_sort(pool *p, int64_t zeros, int64_t total) {
    entry *sorted = malloc((size_t)total * sizeof *sorted);
    size_t n = 0;
    for (size_t k = 0; k < p->count; k++)
        for (int64_t i = 0; i < p->items[k].count; i++)
            sorted[n++] = (entry){key_of(&p->items[k], i), k, i};
    qsort(sorted, n, sizeof *sorted, by_key);
    int64_t pruned[MAX_ITEMS] = {0};
    for (size_t i = 0; i < n; i++) {
        bool zero = isinf(sorted[i].key) && sorted[i].key < 0;
        bool keeps = (int64_t)i >= zeros && !zero;
        pruned[sorted[i].item] += !keeps;
        if (zeros == 0)
            keeps = true;
        if (cop_mask_keeps(&p->masks[sorted[i].item], sorted[i].index) != keeps)
            ck_abort_msg("item %zu, weight %lld, key %g, place %zu of %lld zeros", sorted[i].item,
                         (long long)sorted[i].index, sorted[i].key, i, (long long)zeros);
    }
    for (size_t k = 0; k < p->count; k++) {
        const cop_mask *mask = &p->masks[k];
        ck_assert_int_eq(p->items[k].zeros, pruned[k]);
        if (mask->count % 64)
            ck_assert_uint_eq(mask->kept[mask->count / 64] >> (mask->count % 64), 0);
    }
    free(sorted);
}

static void check_pool(pool *p) {
    static const double sparsities[] = {0, 0.5, 0.8, 1};
    int64_t total = 0;
    for (size_t k = 0; k < p->count; k++)
        total += p->items[k].count;
    for (int i = 0; i < 6; i++) {
        int64_t zeros = i < 4 ? cop_zeros_wanted(sparsities[i], total) : below(total + 1);
        coppice_error err;
        coppice_status status = cop_select_smallest(p->items, p->count, zeros, NULL, &err);
        ck_assert_msg(status == COPPICE_OK, "%s", err.message);
        check_against_sort(p, zeros, total);
    }
}

START_TEST(each_type_alone_matches_a_sort) {
    for (int round = 0; round < 24; round++) {
        pool p = {0};
        add_item(&p, types[round % 4], round / 4 % 3, false);
        check_pool(&p);
        free_pool(&p);
    }
}
END_TEST

START_TEST(pools_of_mixed_types_match_a_sort) {
    for (int round = 0; round < 30; round++) {
        pool p = {0};
        size_t count = 1 + (size_t)below(MAX_ITEMS);
        while (p.count < count)
            add_item(&p, types[below(round % 2 ? 4 : 3)], (int)below(3), false);
        check_pool(&p);
        free_pool(&p);
    }
}
END_TEST

START_TEST(scores_of_any_sign_order_the_weights_that_are_not_zero) {
    for (int round = 0; round < 30; round++) {
        pool p = {0};
        size_t count = 1 + (size_t)below(MAX_ITEMS);
        while (p.count < count)
            add_item(&p, types[below(round % 2 ? 4 : 3)], (int)below(3), below(3) > 0);
        check_pool(&p);
        free_pool(&p);
    }
}
END_TEST

START_TEST(equal_weights_go_in_their_order) {
    for (int t = 0; t < 4; t++) {
        pool p = {0};
        add_item(&p, types[t], 0, false);
        add_item(&p, types[t], 0, false);
        for (size_t k = 0; k < 2; k++)
            for (int64_t i = 0; i < p.items[k].count; i++)
                store(&p.constants[k].tensor, i, i % 2 ? -0.75 : 0.75);
        check_pool(&p);
        free_pool(&p);
    }
}
END_TEST

/* Stores `value` at a random place, of the scores or the weights, and expects it to be named. */
static void refuse(coppice_type type, bool scored, bool in_scores, double value) {
    pool p = {0};
    add_item(&p, types[below(4)], 1, false);
    add_item(&p, type, 1, scored);
    int64_t at = below(p.items[1].count);
    store(&p.constants[1].tensor, at, 1); /* a score of a zero weight does not matter */
    store(in_scores ? &p.scores[1] : &p.constants[1].tensor, at, value);
    char expected[128];
    snprintf(expected, sizeof expected, "initializer 'other': %sweight %lld is NaN%s",
             in_scores ? "the score of " : "", (long long)at, in_scores ? " or infinite" : "");
    coppice_error err;
    p.items[1].key = "other";
    ck_assert_int_eq(cop_select_smallest(p.items, 2, 1, NULL, &err), COPPICE_BAD_DATA);
    ck_assert_msg(strstr(err.message, expected), "%s; expected %s", err.message, expected);
    free_pool(&p);
}

START_TEST(what_cannot_be_compared_is_named) {
    for (int round = 0; round < 40; round++) {
        coppice_type type = types[round % 4];
        refuse(type, round / 4 % 2, false, NAN);
        refuse(type, true, true, round % 3 ? INFINITY : NAN);
        refuse(type, true, true, -INFINITY);
    }
}
END_TEST

/* ---- masks ---- */

START_TEST(masked_copies_hold_zeros_where_the_mask_prunes) {
    enum { N = 333, TYPES = 4 };
    static const coppice_type mask_types[TYPES] = {COPPICE_TYPE_INT8, COPPICE_TYPE_FLOAT16,
                                                   COPPICE_TYPE_FLOAT, COPPICE_TYPE_DOUBLE};
    unsigned char from[8 * N], to[8 * N + 1], expected[8 * N];
    uint8_t kept[N], unpacked[N];
    uint64_t words[(N + 63) / 64];
    for (int round = 0; round < 200; round++) {
        const cop_constant constant = {.tensor.type = mask_types[round % TYPES]};
        size_t width = coppice_type_bits(constant.tensor.type) / 8;
        int64_t first = below(N), n = below(N - first + 1);
        cop_mask mask = {.count = N, .kept = words};
        for (int i = 0; i < N; i++)
            kept[i] = (uint8_t)(below(2) ? 0 : 1 + below(255));
        for (size_t i = 0; i < sizeof from; i++)
            from[i] = (unsigned char)random_bits();
        cop_mask_pack(&mask, 0, kept, N);
        cop_mask_unpack(&mask, 0, unpacked, N);
        for (int i = 0; i < N; i++)
            if (unpacked[i] != (kept[i] != 0))
                ck_abort_msg("bit %d", i);
        for (size_t i = 0; i < (size_t)n * width; i++)
            expected[i] = kept[first + (int64_t)(i / width)] ? from[i] : 0;
        to[(size_t)n * width] = 0xa5;
        cop_mask_copy(&mask, &constant, first, n, from, to);
        ck_assert(memcmp(to, expected, (size_t)n * width) == 0);
        ck_assert_uint_eq(to[(size_t)n * width], 0xa5);
        cop_mask_copy(&mask, &constant, first, n, from, from); /* in place */
        ck_assert(memcmp(from, expected, (size_t)n * width) == 0);
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("prune_exact");
    tcase_add_test(tests, each_type_alone_matches_a_sort);
    tcase_add_test(tests, pools_of_mixed_types_match_a_sort);
    tcase_add_test(tests, scores_of_any_sign_order_the_weights_that_are_not_zero);
    tcase_add_test(tests, equal_weights_go_in_their_order);
    tcase_add_test(tests, what_cannot_be_compared_is_named);
    tcase_add_test(tests, masked_copies_hold_zeros_where_the_mask_prunes);
    tcase_set_timeout(tests, 60);
    return unit_run("prune_exact", tests);
}
