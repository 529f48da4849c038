/* Tests of Einsum and Det: equations that make no sense are refused, odd ones are computed. */
#include <math.h>

#include "runtime/ops/util.h"
#include "small_graph.h"
#include "unit.h"

START_TEST(equations_that_make_no_sense_are_refused) {
    static const struct {
        const char *equation, *message;
    } cases[] = {
        {"ij", "fewer terms than there are inputs"},
        {"ij,jk,kl", "more terms than there are inputs"},
        {"ij,jk-ik", "more terms than there are inputs, or no '->'"},
        {"ij,jk->ik->", "text behind the output"},
        {"ij,jk->ik,", "text behind the output"},
        {"ij,jk->il", "a label of the output is in no input"},
        {"ij,jk->iik", "or repeats"},
        {"i,jk->k", "another number of labels"},
        {"ijk,jk->k", "another number of labels"},
        {"...ijk,jk->k", "another number of labels"},
        {"i1,jk->k", "letters"},
        {"i......,jk->k", "letters"},
        {"i..j,jk->k", "letters"},
        {"abcdefghijklmnopq,jk->k", "letters"},
        {"ij,ij->ij", "is 3 where another with the same label is 2"},
        {"ij,jk->...ik...", "letters"},
        {"", "another number of labels"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        small_begin(12);
        int a = small_weights("a", DIMS(2, 3)), b = small_weights("b", DIMS(3, 4));
        small_node("Einsum", 2, a, b);
        small_attr_string("equation", cases[i].equation);
        small_refused(COPPICE_BAD_MODEL, cases[i].message);
    }
    small_begin(12);
    int a = small_weights("a", DIMS(2, 3)), b = small_ints("b", LIST(1, 2, 3));
    small_node("Einsum", 2, a, b);
    small_attr_string("equation", "ij,j->i");
    small_refused(COPPICE_BAD_MODEL, "another type");
}
END_TEST

START_TEST(intermediate_results_have_limits) {
    int64_t ones[16];
    for (int i = 0; i < 16; i++)
        ones[i] = 1;
    small_begin(12);
    int a = small_weights("a", 16, ones), b = small_weights("b", 1, ones);
    int c = small_weights("c", 1, ones);
    small_node("Einsum", 3, a, b, c);
    small_attr_string("equation", "abcdefghijklmnop,q,q->abcdefghijklmnop");
    small_refused(COPPICE_LIMIT, "more than 16 dimensions");
    small_begin(12);
    small_node("Einsum", 2, small_weights("a", 16, ones), small_weights("b", 1, ones));
    small_attr_string("equation", "abcdefghijklmnop,q");
    small_refused(COPPICE_BAD_MODEL, "more than 16 dimensions");
}
END_TEST

START_TEST(diagonals_sums_spaces_and_broadcasts_are_computed) {
    float square[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, one[] = {10};
    small_begin(12);
    int a = small_constant("a", COPPICE_TYPE_FLOAT, DIMS(3, 3), square);
    int b = small_constant("b", COPPICE_TYPE_FLOAT, DIMS(1), one);
    int none = small_constant("n", COPPICE_TYPE_FLOAT, DIMS(3, 0), NULL);
    static const struct {
        const char *equation;
        int inputs, count;
        float want[3];
    } cases[] = {
        {"ii", 1, 1, {15}},
        {" i i -> i ", 1, 3, {1, 5, 9}},
        {"Zi->i", 1, 3, {12, 15, 18}},
        {"ij,j->i", 2, 3, {60, 150, 240}},
        {"...j,...->j", 2, 3, {120, 150, 180}},
        {"ij->", 1, 1, {45}},
    };
    int values[6];
    for (int i = 0; i < 6; i++) {
        values[i] = small_node("Einsum", cases[i].inputs, a, b);
        small_attr_string("equation", cases[i].equation);
    }
    int zeros = small_node("Einsum", 2, none, none);
    small_attr_string("equation", "ik,jk->ij");
    small_inferred();
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(coppice_tensor_count(small_tensor(values[i])), cases[i].count);
        ck_assert_mem_eq(small_tensor(values[i])->data, cases[i].want, (size_t)cases[i].count * 4);
    }
    small_has_shape(zeros, DIMS(3, 3));
    for (int64_t i = 0; i < 9; i++)
        ck_assert(cop_tensor_get(small_tensor(zeros), i) == 0);
    small_end();
}
END_TEST

START_TEST(determinants_of_square_matrices_only) {
    small_begin(11);
    small_node("Det", 1, small_weights("x", DIMS(2, 3)));
    small_refused(COPPICE_BAD_MODEL, "[2,3] holds no square matrices");
    small_begin(11);
    small_node("Det", 1, small_weights("x", DIMS(3)));
    small_refused(COPPICE_BAD_MODEL, "[3] holds no square matrices");
    float values[] = {0, 2, 3, 4, 1, 2, 2, 4};
    small_begin(11);
    int y = small_node("Det", 1, small_constant("x", COPPICE_TYPE_FLOAT, DIMS(2, 2, 2), values));
    int none = small_node("Det", 1, small_constant("n", COPPICE_TYPE_FLOAT, DIMS(0, 0), NULL));
    small_inferred();
    ck_assert_mem_eq(small_tensor(y)->data, ((float[]){-6, 0}), 8);
    ck_assert(cop_tensor_get(small_tensor(none), 0) == 1);
    small_end();
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("einsum");
    tcase_add_test(tests, equations_that_make_no_sense_are_refused);
    tcase_add_test(tests, intermediate_results_have_limits);
    tcase_add_test(tests, diagonals_sums_spaces_and_broadcasts_are_computed);
    tcase_add_test(tests, determinants_of_square_matrices_only);
    return unit_run("einsum", tests);
}
