/* Tests of the pass that drops nodes which return what they got. */
#include "patterns.h"

START_TEST(nodes_that_return_what_they_got_disappear) {
    const float one = 1;
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(2, 1, 4));
    int y = small_node("Abs", 1, x);
    y = small_node("Expand", 2, y, small_ints("shape", LIST(2, 1, 1)));
    y = small_node("Reshape", 2, y, small_ints("same", LIST(0, 1, -1)));
    y = small_node("Cast", 1, y);
    small_attr("to", COPPICE_TYPE_FLOAT);
    y = small_node("Concat", 1, y);
    small_attr("axis", 1);
    y = small_node("Mul", 2, y, small_constant("one", COPPICE_TYPE_FLOAT, DIMS(1), &one));
    y = small_node("Slice", 3, y, small_ints("from", LIST(0)), small_ints("to", LIST(2)));
    y = small_node("Transpose", 1, y);
    small_attr_ints("perm", LIST(0, 1, 2));
    small_output(small_node("Neg", 1, y));
    pattern_becomes(0, "Abs Neg");
}
END_TEST

START_TEST(nodes_that_only_seem_to_return_what_they_got_stay) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(2, 2));
    int y = small_node("Slice", 5, x, small_ints("from", LIST(1)), small_ints("to", LIST(-3)),
                       small_ints("axes", LIST(0)), small_ints("steps", LIST(-1)));
    y = small_node("Transpose", 1, y);
    y = small_node("Sub", 2, small_float("zero", 0), y);
    small_output(small_node("Add", 2, y, small_float("little", 1e-30f)));
    pattern_becomes(0, "Slice Transpose Sub Add");
}
END_TEST

START_TEST(a_number_of_more_dimensions_gives_the_result_more) {
    const float one = 1;
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(4));
    small_output(
        small_node("Mul", 2, x, small_constant("one", COPPICE_TYPE_FLOAT, DIMS(1, 1), &one)));
    pattern_becomes(0, "Reshape");
}
END_TEST

START_TEST(constants_that_change_nothing_at_most_repeat) {
    const uint8_t yes[3] = {1, 1, 1}, mixed[3] = {1, 0, 1};
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_BOOL, DIMS(2, 1));
    small_output(small_node("And", 2, small_constant("yes", COPPICE_TYPE_BOOL, DIMS(3), yes), x));
    small_output(
        small_node("And", 2, x, small_constant("all", COPPICE_TYPE_BOOL, DIMS(1, 1), yes)));
    small_output(
        small_node("And", 2, x, small_constant("mixed", COPPICE_TYPE_BOOL, DIMS(3), mixed)));
    pattern_becomes(0, "Expand Reshape And");
}
END_TEST

START_TEST(an_output_that_is_an_input_keeps_its_node) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(4));
    small_output(small_node("Reshape", 2, x, small_ints("same", LIST(4))));
    small_output(small_node("Reshape", 2, small_node("Abs", 1, x), small_ints("all", LIST(-1))));
    pattern_becomes(0, "Reshape Abs");
}
END_TEST

START_TEST(bias_behind_a_weight_that_is_computed_is_folded) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(3, 4));
    int w = small_node("Transpose", 1, small_weights("w", DIMS(5, 4)));
    small_output(small_node("Add", 2, small_node("MatMul", 2, x, w), small_weights("b", DIMS(5))));
    pattern_becomes(1e-6, "MatMul");
}
END_TEST

/* BatchNormalization has its clamp by the time that the weight before it is known. */
START_TEST(batchnorm_behind_a_weight_that_is_computed_leaves_its_clamp) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(2, 3, 5, 5));
    int w = small_node("Neg", 1, small_weights("w", DIMS(4, 3, 3, 3)));
    int c = small_weights("c", DIMS(4));
    int variance = small_constant("v", COPPICE_TYPE_FLOAT, DIMS(4), (float[]){0.5f, 1, 2, 3});
    int y = small_node("BatchNormalization", 5, small_node("Conv", 2, x, w), c, c, c, variance);
    small_attr_float("activation_min", -0.25f);
    small_attr_float("activation_max", 0.5f);
    small_output(y);
    pattern_becomes(1e-4, "Conv");
}
END_TEST

START_TEST(expand_comes_behind_what_is_done_with_single_numbers) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_BOOL, DIMS(2, 1, 4));
    int y = small_node("Expand", 2, x, small_ints("shape", LIST(2, 3, 4)));
    y = small_node("Where", 3, y, small_float("yes", 0), small_float("no", -3));
    small_output(small_node("Add", 2, y, small_weights("w", DIMS(3, 4))));
    pattern_becomes(0, "Where Expand Add");
}
END_TEST

START_TEST(expand_stays_before_what_is_done_with_all_elements) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(2, 1, 4));
    int y = small_node("Expand", 2, x, small_ints("shape", LIST(2, 3, 4)));
    small_output(small_node("Add", 2, y, small_weights("w", DIMS(3, 4))));
    pattern_becomes(0, "Expand Add");
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("idle");
    tcase_add_test(tests, nodes_that_return_what_they_got_disappear);
    tcase_add_test(tests, nodes_that_only_seem_to_return_what_they_got_stay);
    tcase_add_test(tests, a_number_of_more_dimensions_gives_the_result_more);
    tcase_add_test(tests, constants_that_change_nothing_at_most_repeat);
    tcase_add_test(tests, an_output_that_is_an_input_keeps_its_node);
    tcase_add_test(tests, bias_behind_a_weight_that_is_computed_is_folded);
    tcase_add_test(tests, batchnorm_behind_a_weight_that_is_computed_leaves_its_clamp);
    tcase_add_test(tests, expand_comes_behind_what_is_done_with_single_numbers);
    tcase_add_test(tests, expand_stays_before_what_is_done_with_all_elements);
    return unit_run("idle", tests);
}
