/* TfIdfVectorizer: counts of n-grams with gaps. Words become numbers first, so that one search
 * serves both kinds of input. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

typedef enum tfidf_mode { TFIDF_TF, TFIDF_IDF, TFIDF_BOTH, TFIDF_MODES } tfidf_mode;

typedef struct tfidf_params {
    tfidf_mode mode;
    int64_t shortest, longest, skips, width; /* width: of an output row */
    const int64_t *indexes, *counts, *pool_ints;
    const cop_string *pool_words;
    const float *weights;
    size_t index_count, count_count, pool_count, weight_count;
} tfidf_params;

/* An n-gram of the pool. */
typedef struct gram {
    const int64_t *items;
    int64_t length, column;
} gram;

typedef struct tfidf {
    const tfidf_params *p;
    cop_arena arena;
    coppice_string *words; /* of the pool, sorted, without repeats */
    size_t word_count;
    int64_t *items; /* the pool as numbers */
    gram *grams;    /* sorted */
    size_t gram_count;
} tfidf;

/* ---- attributes ---- */

static coppice_status refuse(const cop_call *call, const char *what) {
    return cop_fail(call->err, COPPICE_BAD_MODEL, "%s", what);
}

static coppice_status read_lists(const cop_call *call, tfidf_params *p) {
    const cop_attr *words = cop_node_attr(call->node, "pool_strings");
    const cop_attr *weights = cop_node_attr(call->node, "weights");
    COP_TRY(cop_node_ints(call->node, "ngram_counts", &p->counts, &p->count_count, call->err));
    COP_TRY(cop_node_ints(call->node, "ngram_indexes", &p->indexes, &p->index_count, call->err));
    COP_TRY(cop_node_ints(call->node, "pool_int64s", &p->pool_ints, &p->pool_count, call->err));
    if (words && words->kind == COP_ATTR_STRINGS && words->count) {
        if (p->pool_count)
            return refuse(call, "pool_strings and pool_int64s are both given");
        p->pool_words = words->strings;
        p->pool_count = words->count;
    }
    if (weights && weights->kind == COP_ATTR_FLOATS) {
        p->weights = weights->floats;
        p->weight_count = weights->count;
    }
    return COPPICE_OK;
}

/* The pool has the 1-grams first, then the 2-grams, ...: counts say where each kind begins. */
static coppice_status check_lists(const cop_call *call, tfidf_params *p) {
    int64_t grams = 0;
    for (size_t i = 0; i < p->count_count; i++) {
        int64_t end = i + 1 < p->count_count ? p->counts[i + 1] : (int64_t)p->pool_count;
        if (p->counts[i] < 0 || p->counts[i] > end || end > (int64_t)p->pool_count ||
            (end - p->counts[i]) % (int64_t)(i + 1) != 0)
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "ngram_counts: the %zu-grams are %lld to %lld of a pool of %zu", i + 1,
                            (long long)p->counts[i], (long long)end, p->pool_count);
        grams += (end - p->counts[i]) / (int64_t)(i + 1);
    }
    if (grams != (int64_t)p->index_count || grams == 0)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "ngram_indexes has %zu entries for %lld n-grams", p->index_count,
                        (long long)grams);
    for (size_t i = 0; i < p->index_count; i++) {
        if (p->indexes[i] < 0 || p->indexes[i] >= INT32_MAX)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "ngram_indexes holds %lld",
                            (long long)p->indexes[i]);
        p->width = p->indexes[i] >= p->width ? p->indexes[i] + 1 : p->width;
    }
    if (p->weight_count && (int64_t)p->weight_count < p->width)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "%zu weights for %lld columns",
                        p->weight_count, (long long)p->width);
    return COPPICE_OK;
}

static coppice_status tfidfvectorizer_parse(const cop_call *call, void *params) {
    static const char *const modes[] = {"TF", "IDF", "TFIDF"};
    tfidf_params *p = params;
    const char *mode;
    COP_TRY(cop_node_string(call->node, "mode", "", &mode, call->err));
    while (p->mode < TFIDF_MODES && strcmp(mode, modes[p->mode]) != 0)
        p->mode = (tfidf_mode)(p->mode + 1);
    if (p->mode == TFIDF_MODES)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "attribute 'mode' is '%s', expected TF, IDF or TFIDF", mode);
    COP_TRY(cop_node_int(call->node, "min_gram_length", 1, &p->shortest, call->err));
    COP_TRY(cop_node_int(call->node, "max_gram_length", 1, &p->longest, call->err));
    COP_TRY(cop_node_int(call->node, "max_skip_count", 0, &p->skips, call->err));
    if (p->shortest < 1 || p->longest < p->shortest || p->longest > INT32_MAX || p->skips < 0 ||
        p->skips >= INT32_MAX)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "n-grams of %lld to %lld items, skips of up to %lld",
                        (long long)p->shortest, (long long)p->longest, (long long)p->skips);
    COP_TRY(read_lists(call, p));
    return check_lists(call, p);
}

static coppice_status tfidfvectorizer_infer(cop_call *call) {
    const tfidf_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0);
    if ((in->type == COPPICE_TYPE_STRING) != (p->pool_words != NULL))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "input '%s' is %s, the pool holds %s",
                        cop_in_name(call, 0), coppice_type_name(in->type),
                        p->pool_words ? "strings" : "integers");
    if (in->rank < 1 || in->rank > 2)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "input '%s' is %s, expected [C] or [N,C]",
                        cop_in_name(call, 0), cop_shape_text(in).s);
    int64_t dims[2] = {in->dims[0], p->width};
    cop_set_out(call, 0, COPPICE_TYPE_FLOAT, in->rank, in->rank == 1 ? dims + 1 : dims);
    return COPPICE_OK;
}

/* ---- words as numbers, n-grams by search ---- */

static int by_text(const void *a, const void *b) {
    const coppice_string *x = a, *y = b;
    size_t n = cop_smaller(x->length, y->length);
    int order = n ? memcmp(x->data, y->data, n) : 0;
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

static int by_items(const void *a, const void *b) {
    const gram *x = a, *y = b;
    if (x->length != y->length)
        return x->length < y->length ? -1 : 1;
    for (int64_t i = 0; i < x->length; i++) {
        if (x->items[i] != y->items[i])
            return x->items[i] < y->items[i] ? -1 : 1;
    }
    return 0;
}

/* -1 for a word that is not in the pool. */
static int64_t number_of_word(const tfidf *t, coppice_string word) {
    const coppice_string *found =
        bsearch(&word, t->words, t->word_count, sizeof *t->words, by_text);
    return found ? found - t->words : -1;
}

static coppice_status number_pool(const cop_call *call, tfidf *t) {
    const tfidf_params *p = t->p;
    t->items = cop_arena_array(&t->arena, p->pool_count, sizeof *t->items);
    t->words = cop_arena_array(&t->arena, p->pool_count, sizeof *t->words);
    if (!t->items || !t->words)
        return cop_fail_memory(call->err, p->pool_count * sizeof *t->words);
    if (!p->pool_words) {
        memcpy(t->items, p->pool_ints, p->pool_count * sizeof *t->items);
        return COPPICE_OK;
    }
    for (size_t i = 0; i < p->pool_count; i++)
        t->words[i] = (coppice_string){p->pool_words[i].data, p->pool_words[i].length};
    qsort(t->words, p->pool_count, sizeof *t->words, by_text);
    for (size_t i = 0; i < p->pool_count; i++) {
        if (i == 0 || by_text(&t->words[i], &t->words[t->word_count - 1]) != 0)
            t->words[t->word_count++] = t->words[i];
    }
    for (size_t i = 0; i < p->pool_count; i++)
        t->items[i] =
            number_of_word(t, (coppice_string){p->pool_words[i].data, p->pool_words[i].length});
    return COPPICE_OK;
}

static coppice_status list_grams(const cop_call *call, tfidf *t) {
    const tfidf_params *p = t->p;
    COP_TRY(number_pool(call, t));
    t->grams = cop_arena_array(&t->arena, p->index_count, sizeof *t->grams);
    if (!t->grams)
        return cop_fail_memory(call->err, p->index_count * sizeof *t->grams);
    for (size_t i = 0; i < p->count_count; i++) {
        int64_t end = i + 1 < p->count_count ? p->counts[i + 1] : (int64_t)p->pool_count;
        for (int64_t at = p->counts[i]; at < end; at += (int64_t)i + 1, t->gram_count++)
            t->grams[t->gram_count] =
                (gram){t->items + at, (int64_t)i + 1, p->indexes[t->gram_count]};
    }
    qsort(t->grams, t->gram_count, sizeof *t->grams, by_items);
    return COPPICE_OK;
}

/* ---- counting ---- */

static void count_gram(const tfidf *t, const int64_t *items, int64_t length, float *row) {
    gram wanted = {items, length, 0};
    const gram *found = bsearch(&wanted, t->grams, t->gram_count, sizeof *t->grams, by_items);
    if (found)
        row[found->column] += 1;
}

/* All n-grams of a row; `taken` has room for the longest. Single items have no gaps: once. */
static void count_row(const tfidf *t, const int64_t *items, int64_t count, int64_t *taken,
                      float *row) {
    const tfidf_params *p = t->p;
    int64_t longest = (int64_t)p->count_count < p->longest ? (int64_t)p->count_count : p->longest;
    for (int64_t step = 1; step <= p->skips + 1 && step <= count; step++) {
        for (int64_t first = 0; first < count; first++) {
            for (int64_t n = 0; n < longest && first + n * step < count; n++) {
                taken[n] = items[first + n * step];
                if (p->pool_words && taken[n] < 0)
                    break;
                if (n + 1 >= p->shortest && (n > 0 || step == 1))
                    count_gram(t, taken, n + 1, row);
            }
        }
    }
}

static void weigh_row(const tfidf_params *p, float *row) {
    for (int64_t i = 0; i < p->width; i++) {
        if (p->mode == TFIDF_IDF)
            row[i] = row[i] > 0 ? 1 : 0;
        if (p->mode != TFIDF_TF && p->weight_count)
            row[i] *= p->weights[i];
    }
}

static coppice_status count_all(const cop_call *call, tfidf *t) {
    const coppice_tensor *in = cop_in(call, 0), *out = cop_out(call, 0);
    int64_t all = coppice_tensor_count(in), columns = in->dims[in->rank - 1];
    int64_t *items = cop_arena_array(&t->arena, (size_t)all + 1, sizeof *items);
    int64_t *taken = cop_arena_array(&t->arena, t->p->count_count, sizeof *taken);
    COP_TRY(list_grams(call, t));
    if (!items || !taken)
        return cop_fail_memory(call->err, (size_t)all * sizeof *items);
    for (int64_t i = 0; i < all; i++)
        items[i] = t->p->pool_words ? number_of_word(t, ((const coppice_string *)in->data)[i])
                                    : cop_tensor_get_int(in, i);
    memset(out->data, 0, (size_t)coppice_tensor_bytes(out));
    for (int64_t r = 0; r < (in->rank == 1 ? 1 : in->dims[0]); r++) {
        float *row = (float *)out->data + r * t->p->width;
        count_row(t, items + r * columns, columns, taken, row);
        weigh_row(t->p, row);
    }
    return COPPICE_OK;
}

static coppice_status tfidfvectorizer_run(const cop_call *call) {
    tfidf t = {.p = call->params};
    coppice_status status = count_all(call, &t);
    cop_arena_free(&t.arena);
    return status;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_tfidf[] = {
    {.name = "TfIdfVectorizer", .since = 9, ONE_TO_ONE,
     .types = COP_TYPE_BIT(STRING) | COP_TYPE_BIT(INT32) | COP_TYPE_BIT(INT64),
     PARSE(tfidfvectorizer, tfidf_params), INFER(tfidfvectorizer), RUN(tfidfvectorizer)},
    {.name = NULL},
};
/* clang-format on */
