/* Attention, softmax and normalization of tokens: in tiles as in the plain layout, and as in double
 * precision, with the loops of every instruction set. */
#include "in_tiles.h"
#include "runtime/conv.h"
#include "unit.h"

static const coppice_isa isas[] = {COPPICE_ISA_SCALAR, COPPICE_ISA_AVX2, COPPICE_ISA_AVX512,
                                   COPPICE_ISA_NEON};

/* ---- attention ---- */

typedef struct attention_case {
    int64_t batch, rows, keys, heads, kv_heads, head, value_head;
    int64_t mask[4]; /* [0] 0: none */
    bool flags, causal;
    int64_t left;
    float softcap;
    bool same; /* the mask is the same for all queries of a head */
} attention_case;

/* One tile; two sequences in one tile; heads that share keys; keys and values over several tiles;
 * masks of keys, of queries, of heads; a sequence with one key. */
static const attention_case cases[] = {
    {1, 20, 20, 2, 2, 5, 5, {0}, 0, 0, -1, 0, 0},
    {3, 11, 11, 2, 1, 4, 3, {0}, 0, 1, -1, 0, 0},
    {2, 75, 140, 4, 2, 8, 9, {2, 1, 1, 140}, 0, 0, -1, 0, 0},
    {2, 75, 140, 1, 1, 7, 13, {2, 1, 1, 140}, 1, 0, -1, 0, 0},
    {1, 130, 130, 2, 2, 6, 6, {1, 2, 130, 130}, 0, 1, -1, 0, 0},
    {3, 17, 33, 3, 1, 3, 3, {3, 1, 17, 33}, 1, 0, -1, 2, 0},
    {1, 200, 200, 1, 1, 4, 4, {0}, 0, 1, 30, 0, 0},
    {2, 70, 21, 2, 2, 3, 3, {2, 1, 70, 21}, 0, 0, -1, 0, true},
    {2, 70, 21, 2, 2, 3, 3, {2, 2, 70, 21}, 1, 0, -1, 0, true},
    {1, 9, 1, 2, 2, 16, 16, {0}, 0, 0, -1, 0, 0},
    {7, 4, 5, 2, 2, 3, 2, {7, 2, 4, 5}, 0, 0, -1, 1.5f, 0},
};
enum { CASES = sizeof cases / sizeof cases[0] };

/* Flags with every third, or numbers with some that hide; the first row of all is hidden whole. */
static int attention_mask(const attention_case *c) {
    size_t count = (size_t)(c->mask[0] * c->mask[1] * c->mask[2] * c->mask[3]);
    unsigned char *flags = calloc(count, 1);
    float *numbers = calloc(count, sizeof *numbers);
    for (size_t i = 0; i < count; i++) {
        size_t row = i / (size_t)c->mask[3];
        bool hidden = row == 0 || i % 3 == 1;
        if (c->same)
            hidden = (row / (size_t)c->mask[2] + i % (size_t)c->mask[3]) % 3 == 1;
        flags[i] = !hidden;
        numbers[i] = c->same  ? hidden * -3.5f
                     : hidden ? (i % 2 ? -INFINITY : -3.4e38f)
                              : (float)(i % 7) * 0.3f;
    }
    int mask = small_constant("m", c->flags ? COPPICE_TYPE_BOOL : COPPICE_TYPE_FLOAT, 4, c->mask,
                              c->flags ? (void *)flags : (void *)numbers);
    free(flags);
    free(numbers);
    return mask;
}

static int cast(int value, coppice_type type) {
    int out = small_node("Cast", 1, value);
    small_attr("to", type);
    return out;
}

/* In double precision rows are computed one by one. */
static int attention(const attention_case *c, bool wide) {
    int in[4] = {small_weights("q", DIMS(c->batch, c->rows, c->heads * c->head)),
                 small_weights("k", DIMS(c->batch, c->keys, c->kv_heads * c->head)),
                 small_weights("v", DIMS(c->batch, c->keys, c->kv_heads * c->value_head)), -1};
    if (c->mask[0])
        in[3] = attention_mask(c);
    for (int i = 0; wide && i < 4; i++)
        if (in[i] >= 0 && (i < 3 || !c->flags))
            in[i] = cast(in[i], COPPICE_TYPE_DOUBLE);
    int out = small_node("Attention", c->mask[0] ? 4 : 3, in[0], in[1], in[2], in[3]);
    small_attr("q_num_heads", c->heads);
    small_attr("kv_num_heads", c->kv_heads);
    small_attr("is_causal", c->causal);
    small_attr("left_window_size", c->left);
    small_attr_float("softcap", c->softcap);
    return out;
}

START_TEST(attention_computes_in_token_tiles_what_it_computes_in_the_plain_layout) {
    for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++) {
        if (!cop_isa_available(isas[i]))
            continue;
        in_tiles_isa = isas[i];
        for (int k = 0; k < CASES; k++) {
            small_begin(24);
            attention(&cases[k], false);
            expect_layout_agrees(COP_LAYOUT_TOKEN_TILES);
        }
    }
}
END_TEST

START_TEST(attention_computes_in_float_what_it_computes_in_double) {
    for (int k = 0; k < CASES; k++) {
        small_begin(24);
        int narrow = attention(&cases[k], false);
        int wide = cast(attention(&cases[k], true), COPPICE_TYPE_FLOAT);
        ck_assert_msg(small_infer() == COPPICE_OK, "%s", small_error.message);
        const coppice_tensor *a = small_tensor(narrow), *b = small_tensor(wide);
        for (int64_t i = 0; i < coppice_tensor_count(a); i++)
            ck_assert_msg(fabs(cop_tensor_get(a, i) - cop_tensor_get(b, i)) < 2e-6,
                          "case %d, element %lld: %g, not %g", k, (long long)i,
                          cop_tensor_get(a, i), cop_tensor_get(b, i));
        small_end();
    }
}
END_TEST

START_TEST(attention_stays_plain_where_an_operand_could_be_taken_for_tokens) {
    small_begin(24);
    int x = small_weights("x", DIMS(1, 20, 8));
    small_node("Attention", 4, x, x, x, small_weights("m", DIMS(1, 20, 20)));
    small_attr("q_num_heads", 2);
    small_attr("kv_num_heads", 2);
    ck_assert(!agrees(COP_LAYOUT_TOKEN_TILES));
    small_begin(24);
    x = small_weights("x", DIMS(1, 2, 20, 4));
    small_node("Attention", 3, x, x, x);
    ck_assert(!agrees(COP_LAYOUT_TOKEN_TILES));
}
END_TEST

/* ---- softmax and normalization ---- */

typedef struct shape {
    uint32_t rank;
    int64_t dims[4];
} shape;

static const shape shapes[] = {{2, {20, 1}},    {3, {1, 20, 70}}, {3, {3, 50, 5}},
                               {2, {300, 130}}, {3, {1, 2, 3}},   {4, {2, 3, 4, 64}}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static int tokens(int i) {
    return small_weights("x", shapes[i].rank, shapes[i].dims);
}

START_TEST(softmax_works_in_tiles) {
    static const char *const ops[] = {"Softmax", "LogSoftmax"};
    for (size_t s = 0; s < sizeof isas / sizeof isas[0]; s++) {
        in_tiles_isa = isas[s];
        for (int i = 0; i < 2 * SHAPES && cop_isa_available(isas[s]); i++) {
            small_begin(13);
            small_node(ops[i % 2], 1, tokens(i / 2));
            expect_layout_agrees(COP_LAYOUT_TOKEN_TILES);
            small_begin(13);
            small_node(ops[i % 2], 1, small_weights("x", DIMS(2, 30, 3, 4 + i)));
            small_attr("axis", 1);
            expect_layout_agrees(COP_LAYOUT_TILES);
        }
    }
}
END_TEST

START_TEST(normalization_of_tokens_works_in_tiles) {
    static const char *const ops[] = {"LayerNormalization", "RMSNormalization"};
    for (size_t s = 0; s < sizeof isas / sizeof isas[0]; s++) {
        in_tiles_isa = isas[s];
        for (int i = 0; i < 4 * SHAPES && cop_isa_available(isas[s]); i++) {
            const shape *x = &shapes[i / 4];
            small_begin(23);
            int in = tokens(i / 4), scale = small_weights("s", 1, &x->dims[x->rank - 1]);
            if (i / 2 % 2)
                scale = small_weights("s", SCALAR);
            small_node(ops[i % 2], i % 2 ? 2 : 3, in, scale, scale);
            expect_layout_agrees(COP_LAYOUT_TOKEN_TILES);
        }
    }
}
END_TEST

START_TEST(normalization_stays_plain_where_it_is_not_of_tokens_alone) {
    small_begin(23);
    int x = small_weights("x", DIMS(2, 20, 6));
    small_node("LayerNormalization", 2, x, small_weights("s", DIMS(20, 6)));
    small_attr("axis", 1);
    ck_assert(!agrees(COP_LAYOUT_TOKEN_TILES));
    small_begin(23);
    x = small_weights("x", DIMS(2, 20, 6));
    small_node("LayerNormalization", 2, x, small_weights("s", DIMS(20, 1)));
    ck_assert(!agrees(COP_LAYOUT_TOKEN_TILES));
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("tokens");
    tcase_add_test(tests, attention_computes_in_token_tiles_what_it_computes_in_the_plain_layout);
    tcase_add_test(tests, attention_computes_in_float_what_it_computes_in_double);
    tcase_add_test(tests, attention_stays_plain_where_an_operand_could_be_taken_for_tokens);
    tcase_add_test(tests, softmax_works_in_tiles);
    tcase_add_test(tests, normalization_of_tokens_works_in_tiles);
    tcase_add_test(tests, normalization_stays_plain_where_it_is_not_of_tokens_alone);
    return unit_run("ops_tokens", tests);
}
