/* Tests of the pass that finds Attention. */
#include "patterns.h"

enum { B = 2, S = 5, H = 3, D = 4, E = H * D };

/* What exporters differ in. */
typedef struct attention_form {
    bool split_scale;   /* its root on both operands */
    bool key_by_three;  /* K is transposed through [batch * heads, tokens, size] */
    bool scale_behind;  /* the scores are scaled, else Q before it is moved */
    bool batch_matrix;  /* products of three dimensions */
    bool guard;         /* IsNaN, Where */
    bool lowest_number; /* masks hide by the lowest float, else by -INFINITY */
    int mask;           /* 0 none, 1 [B,1,1,S] expanded, 2 [S,S], 3 both, 4 Where on the scores */
} attention_form;

static int input(const char *name) {
    return small_input(name, COPPICE_TYPE_FLOAT, DIMS(B, S, E));
}

static int heads_of(int x) {
    return small_transpose(small_reshape(x, LIST(B, -1, H, D)), LIST(0, 2, 1, 3));
}

static int key_of(int x, const attention_form *f) {
    if (!f->key_by_three)
        return small_transpose(small_reshape(x, LIST(B, S, H, D)), LIST(0, 2, 3, 1));
    int flat = small_reshape(heads_of(x), LIST(-1, S, D));
    return small_reshape(small_transpose(flat, LIST(0, 2, 1)), LIST(B, H, D, S));
}

/* What truths become in a sum: 0, or so low that it hides. */
static int hiding(int seen, const attention_form *f) {
    return small_node("Where", 3, seen, small_float("zero", 0),
                      small_float("low", f->lowest_number ? -3.4028235e38f : -INFINITY));
}

static int masked(int scores, const attention_form *f) {
    if (f->mask & 1 && f->mask < 4) {
        int seen = small_input("seen", COPPICE_TYPE_BOOL, DIMS(B, 1, 1, S));
        seen = small_node("Expand", 2, seen, small_ints("shape", LIST(B, 1, S, S)));
        scores = small_node("Add", 2, scores, hiding(seen, f));
    }
    if (f->mask & 2 && f->mask < 4)
        scores = small_node("Add", 2, small_weights("bias", DIMS(S, S)), scores);
    if (f->mask == 4) {
        int seen = small_input("seen", COPPICE_TYPE_BOOL, DIMS(S, S));
        scores = small_node("Where", 3, seen, scores,
                            small_float("low", f->lowest_number ? -3.4028235e38f : -INFINITY));
    }
    return scores;
}

static int guarded(int p) {
    return small_node("Where", 3, small_node("IsNaN", 1, p), small_float("zero", 0), p);
}

static int softmax(int x) {
    int p = small_node("Softmax", 1, x);
    small_attr("axis", -1);
    return p;
}

static int product(int a, int b) {
    return small_node("MatMul", 2, a, b);
}

/* The whole pattern, its result as [B, H, S, D]. */
static int attention(const attention_form *f) {
    int q = input("q"), k = key_of(input("k"), f), v = heads_of(input("v"));
    bool before = !f->split_scale && !f->scale_behind;
    q = heads_of(before ? small_times(q, 0.4f) : q);
    if (f->split_scale) {
        q = small_times(q, 0.7f);
        k = small_node("Div", 2, k, small_float("root", 1.5f));
    }
    if (f->batch_matrix) {
        q = small_reshape(q, LIST(B * H, S, D));
        k = small_reshape(k, LIST(B * H, D, S));
        v = small_reshape(v, LIST(B * H, S, D));
    }
    int scores = product(q, k);
    if (f->scale_behind)
        scores = small_node("Div", 2, scores, small_float("by", 2));
    if (f->batch_matrix && f->mask)
        scores =
            small_reshape(masked(small_reshape(scores, LIST(B, H, S, S)), f), LIST(B * H, S, S));
    else
        scores = masked(scores, f);
    int p = softmax(scores);
    int y = product(f->guard ? guarded(p) : p, v);
    return f->batch_matrix ? small_reshape(y, LIST(B, H, S, D)) : y;
}

static const char *wanted(const attention_form *f, char *text) {
    bool added = f->mask == 1 || f->mask == 3;
    snprintf(text, 64, "%s%s%sAttention", added ? "Where " : "", f->mask == 3 ? "Add " : "",
             f->mask == 4 ? "Where " : "");
    return text;
}

START_TEST(attention_is_found_in_all_its_forms) {
    char text[64];
    for (unsigned i = 0; i < 64 * 5; i++) {
        attention_form f = {.split_scale = i & 1,
                            .key_by_three = i & 2,
                            .scale_behind = i & 4,
                            .batch_matrix = i & 8,
                            .guard = i & 16,
                            .lowest_number = i & 32,
                            .mask = (int)(i / 64)};
        small_begin(13);
        int y = small_transpose(attention(&f), LIST(0, 2, 1, 3));
        small_output(small_reshape(y, LIST(B, S, E)));
        pattern_becomes(1e-5, wanted(&f, text));
    }
}
END_TEST

START_TEST(rows_that_see_nothing_are_what_softmax_makes_of_them) {
    const float nothing[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    for (int form = 0; form < 4; form++) {
        float mask[8 * 4] = {0};
        for (int row = 2; row < 5; row++)
            memcpy(mask + row * 4, nothing, sizeof nothing);
        for (int i = 0; form & 2 && i < 32; i++)
            mask[i] = mask[i] < 0 ? -3.4028235e38f : 0;
        small_begin(13);
        int q = small_input("q", COPPICE_TYPE_FLOAT, DIMS(1, 2, 8, 4));
        int k = small_input("k", COPPICE_TYPE_FLOAT, DIMS(1, 2, 4, 4));
        int v = small_input("v", COPPICE_TYPE_FLOAT, DIMS(1, 2, 4, 4));
        int scores = product(q, small_transpose(k, LIST(0, 1, 3, 2)));
        scores = small_node("Add", 2, scores,
                            small_constant("mask", COPPICE_TYPE_FLOAT, DIMS(8, 4), mask));
        int p = softmax(scores);
        small_output(product(form & 1 ? guarded(p) : p, v));
        pattern_becomes(1e-5, "Attention");
    }
}
END_TEST

START_TEST(a_result_that_stays_split_into_heads_is_moved) {
    attention_form f = {0};
    small_begin(13);
    small_output(attention(&f));
    pattern_becomes(1e-5, "Attention Reshape Transpose");
}
END_TEST

START_TEST(operands_of_four_dimensions_need_no_moves) {
    small_begin(13);
    int q = small_input("q", COPPICE_TYPE_FLOAT, DIMS(B, H, S, D));
    int k = small_input("k", COPPICE_TYPE_FLOAT, DIMS(B, H, 7, D));
    int v = small_input("v", COPPICE_TYPE_FLOAT, DIMS(B, H, 7, 6));
    int p = softmax(small_times(product(q, small_transpose(k, LIST(0, 1, 3, 2))), 0.3f));
    small_output(product(p, v));
    pattern_becomes(1e-5, "Attention");
}
END_TEST

START_TEST(heads_that_are_repeated_are_read_once) {
    small_begin(13);
    int q = small_input("q", COPPICE_TYPE_FLOAT, DIMS(B, 4, S, D));
    int kv[2];
    for (int i = 0; i < 2; i++) {
        int x = small_input(i ? "v" : "k", COPPICE_TYPE_FLOAT, DIMS(B, 2, S, D));
        x = small_node("Unsqueeze", 2, x, small_ints("axis", LIST(2)));
        x = small_node("Expand", 2, x, small_ints("shape", LIST(B, 2, 2, S, D)));
        kv[i] = small_reshape(x, LIST(B, 4, S, D));
    }
    int p = softmax(product(q, small_transpose(kv[0], LIST(0, 1, 3, 2))));
    small_output(product(p, kv[1]));
    pattern_becomes(1e-5, "Attention");
}
END_TEST

START_TEST(scores_may_be_capped) {
    small_begin(13);
    int q = small_input("q", COPPICE_TYPE_FLOAT, DIMS(B, H, S, D));
    int k = small_input("k", COPPICE_TYPE_FLOAT, DIMS(B, H, D, S));
    int v = small_input("v", COPPICE_TYPE_FLOAT, DIMS(B, H, S, D));
    int scores = small_node("Div", 2, small_times(product(q, k), 0.5f), small_float("cap", 3));
    scores = small_times(small_node("Tanh", 1, scores), 3);
    small_output(product(softmax(scores), v));
    pattern_becomes(1e-5, "Transpose Attention");
}
END_TEST

START_TEST(a_mask_of_windows_finds_its_part_of_the_batch) {
    small_begin(13);
    int q = small_input("q", COPPICE_TYPE_FLOAT, DIMS(4, H, S, D));
    int k = small_input("k", COPPICE_TYPE_FLOAT, DIMS(4, H, S, D));
    int v = small_input("v", COPPICE_TYPE_FLOAT, DIMS(4, H, S, D));
    int scores = product(q, small_transpose(k, LIST(0, 1, 3, 2)));
    scores = small_node("Add", 2, scores, small_weights("bias", DIMS(1, H, S, S)));
    scores = small_reshape(scores, LIST(1, 4, H, S, S));
    scores = small_node("Add", 2, scores, small_weights("windows", DIMS(1, 4, 1, S, S)));
    small_output(product(softmax(small_reshape(scores, LIST(4, H, S, S))), v));
    pattern_becomes(1e-5, "Reshape Add Attention");
}
END_TEST

/* Q K' softmax V of four dimensions with one thing changed. */
static void near_miss(int which, const char *ops) {
    small_begin(13);
    int q = small_input("q", COPPICE_TYPE_FLOAT, DIMS(B, H, S, S));
    int k = small_input("k", COPPICE_TYPE_FLOAT, DIMS(B, H, S, S));
    int v = small_input("v", COPPICE_TYPE_FLOAT, DIMS(B, H, S, S));
    int scores = product(q, k);
    if (which == 2)
        small_output(scores);
    if (which == 5)
        scores = small_times(scores, -1);
    if (which == 6)
        scores = small_node("Where", 3, small_input("seen", COPPICE_TYPE_BOOL, DIMS(S, S)), scores,
                            small_float("low", -100));
    if (which == 7)
        scores = small_node("Mul", 2, scores, small_weights("per_head", DIMS(H, 1, 1)));
    int p = small_node("Softmax", 1, scores);
    small_attr("axis", which == 1 ? 2 : 3);
    if (which == 3)
        small_output(p);
    if (which == 4)
        p = small_times(p, 0.5f);
    small_output(which == 8 ? product(v, p) : product(p, v));
    pattern_becomes(1e-6, ops);
}

START_TEST(near_misses_are_left_alone) {
    near_miss(1, "MatMul Softmax MatMul");
    near_miss(2, "MatMul Softmax MatMul");
    near_miss(3, "MatMul Softmax MatMul");
    near_miss(4, "MatMul Softmax Mul MatMul");
    near_miss(5, "MatMul Mul Softmax MatMul");
    near_miss(6, "MatMul Where Softmax MatMul");
    near_miss(7, "MatMul Mul Softmax MatMul");
    near_miss(8, "MatMul Softmax MatMul");
}
END_TEST

START_TEST(a_mask_that_makes_the_scores_larger_is_left_alone) {
    small_begin(13);
    int q = small_input("q", COPPICE_TYPE_FLOAT, DIMS(1, H, S, S));
    int v = small_input("v", COPPICE_TYPE_FLOAT, DIMS(2, H, S, S));
    int scores = small_node("Add", 2, product(q, q), small_weights("mask", DIMS(2, 1, S, S)));
    small_output(product(softmax(scores), v));
    pattern_becomes(1e-6, "MatMul Add Softmax MatMul");
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("attention patterns");
    tcase_add_test(tests, attention_is_found_in_all_its_forms);
    tcase_add_test(tests, rows_that_see_nothing_are_what_softmax_makes_of_them);
    tcase_add_test(tests, a_result_that_stays_split_into_heads_is_moved);
    tcase_add_test(tests, operands_of_four_dimensions_need_no_moves);
    tcase_add_test(tests, heads_that_are_repeated_are_read_once);
    tcase_add_test(tests, scores_may_be_capped);
    tcase_add_test(tests, a_mask_of_windows_finds_its_part_of_the_batch);
    tcase_add_test(tests, near_misses_are_left_alone);
    tcase_add_test(tests, a_mask_that_makes_the_scores_larger_is_left_alone);
    return unit_run("attention patterns", tests);
}
