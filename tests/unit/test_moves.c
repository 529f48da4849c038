/* Tests of the pass that shortens chains of movements. */
#include "patterns.h"

static int input(void) {
    small_begin(13);
    return small_node("Abs", 1, small_input("x", COPPICE_TYPE_FLOAT, DIMS(2, 3, 4, 5)));
}

static void ends(int y, const char *ops) {
    small_output(small_node("Neg", 1, y));
    pattern_becomes(0, ops);
}

START_TEST(transposes_that_undo_each_other_disappear) {
    ends(small_transpose(small_transpose(input(), LIST(0, 2, 3, 1)), LIST(0, 3, 1, 2)), "Abs Neg");
    int y = small_reshape(small_transpose(input(), LIST(0, 2, 3, 1)), LIST(2, 20, 3));
    y = small_transpose(y, LIST(0, 2, 1));
    ends(small_reshape(y, LIST(2, 3, 4, 5)), "Abs Neg");
    y = small_reshape(small_transpose(input(), LIST(0, 2, 3, 1)), LIST(2, 20, 3));
    ends(small_transpose(y, LIST(0, 2, 1)), "Abs Reshape Neg");
}
END_TEST

START_TEST(several_transposes_become_one) {
    int y = small_transpose(small_transpose(input(), LIST(0, 2, 3, 1)), LIST(3, 0, 1, 2));
    ends(y, "Abs Reshape Transpose Reshape Neg");
    y = small_transpose(small_transpose(input(), LIST(1, 0, 2, 3)), LIST(2, 3, 0, 1));
    ends(y, "Abs Reshape Transpose Reshape Neg");
    y = small_transpose(small_transpose(input(), LIST(1, 0, 2, 3)), LIST(2, 1, 0, 3));
    ends(y, "Abs Reshape Transpose Reshape Neg");
}
END_TEST

START_TEST(reshapes_become_one) {
    int y = small_reshape(input(), LIST(6, 20));
    y = small_node("Unsqueeze", 2, y, small_ints("axes", LIST(0)));
    y = small_node("Squeeze", 2, y, small_ints("axes", LIST(0)));
    y = small_node("Flatten", 1, y);
    ends(small_reshape(y, LIST(2, 60)), "Abs Reshape Neg");
}
END_TEST

START_TEST(a_transpose_of_ones_is_a_reshape) {
    small_begin(13);
    int x = small_node("Abs", 1, small_input("x", COPPICE_TYPE_FLOAT, DIMS(1, 3, 4)));
    ends(small_transpose(x, LIST(1, 0, 2)), "Abs Reshape Neg");
}
END_TEST

START_TEST(what_is_short_already_stays) {
    ends(small_transpose(input(), LIST(0, 2, 3, 1)), "Abs Transpose Neg");
    ends(small_transpose(small_reshape(input(), LIST(2, 3, 20)), LIST(0, 2, 1)),
         "Abs Reshape Transpose Neg");
    ends(small_reshape(small_transpose(input(), LIST(0, 2, 1, 3)), LIST(2, 4, 15)),
         "Abs Transpose Reshape Neg");
}
END_TEST

START_TEST(a_transpose_that_is_read_elsewhere_is_not_done_twice) {
    int y = small_transpose(input(), LIST(0, 2, 3, 1));
    small_output(y);
    ends(small_transpose(y, LIST(3, 0, 1, 2)), "Abs Transpose Transpose Neg");
    y = small_transpose(input(), LIST(0, 2, 3, 1));
    small_output(y);
    ends(small_transpose(y, LIST(0, 3, 1, 2)), "Abs Transpose Neg");
}
END_TEST

START_TEST(a_reshape_across_a_boundary_starts_anew) {
    int y = small_reshape(small_transpose(input(), LIST(0, 2, 1, 3)), LIST(8, 15));
    y = small_reshape(y, LIST(10, 12));
    ends(small_transpose(small_transpose(y, LIST(1, 0)), LIST(1, 0)),
         "Abs Transpose Reshape Reshape Neg");
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("moves");
    tcase_add_test(tests, transposes_that_undo_each_other_disappear);
    tcase_add_test(tests, several_transposes_become_one);
    tcase_add_test(tests, reshapes_become_one);
    tcase_add_test(tests, a_transpose_of_ones_is_a_reshape);
    tcase_add_test(tests, what_is_short_already_stays);
    tcase_add_test(tests, a_transpose_that_is_read_elsewhere_is_not_done_twice);
    tcase_add_test(tests, a_reshape_across_a_boundary_starts_anew);
    return unit_run("moves", tests);
}
