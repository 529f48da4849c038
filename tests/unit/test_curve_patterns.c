/* Tests of the pass that finds activations written node by node. */
#include "patterns.h"

static int variable(void) {
    small_begin(13);
    return small_node("Abs", 1, small_input("x", COPPICE_TYPE_FLOAT, DIMS(3, 50)));
}

static int signed_variable(void) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(3, 50));
    return small_node("Sub", 2, small_node("Exp", 1, x), small_float("three", 3));
}

static int mul(int a, int b) {
    return small_node("Mul", 2, a, b);
}

static int plus(int a, float b) {
    return small_node("Add", 2, small_float("and", b), a);
}

static int one_and_erf(int x, bool division) {
    int u = division ? small_node("Div", 2, x, small_float("root", 1.41421356f))
                     : small_times(x, 0.70710678f);
    return plus(small_node("Erf", 1, u), 1);
}

START_TEST(gelu_is_found_in_every_order) {
    for (int form = 0; form < 5; form++) {
        int x = signed_variable(), y;
        if (form == 0)
            y = small_times(mul(x, one_and_erf(x, true)), 0.5f);
        else if (form == 1)
            y = mul(small_times(x, 0.5f), one_and_erf(x, false));
        else if (form == 2)
            y = mul(small_times(one_and_erf(x, true), 0.5f), x);
        else if (form == 3)
            y = small_node("Div", 2, mul(one_and_erf(x, true), x), small_float("two", 2));
        else
            y = mul(x, plus(small_times(small_node("Erf", 1, small_times(x, 0.70710678f)), 0.5f),
                            0.5f));
        small_output(y);
        pattern_becomes(2e-6, "Exp Sub Gelu");
    }
}
END_TEST

START_TEST(gelu_by_tanh_is_found_with_powers_and_products) {
    for (int form = 0; form < 3; form++) {
        int x = signed_variable(), u;
        if (form == 0)
            u = small_times(
                small_node("Add", 2, x,
                           small_times(small_node("Pow", 2, x, small_float("cube", 3)), 0.044715f)),
                0.79788456f);
        else if (form == 1)
            u = mul(small_times(x, 0.79788456f), plus(small_times(mul(x, x), 0.044715f), 1));
        else
            u = small_times(small_node("Add", 2, small_times(mul(mul(x, x), x), 0.044715f), x),
                            0.79788456f);
        small_output(mul(small_times(x, 0.5f), plus(small_node("Tanh", 1, u), 1)));
        pattern_becomes(2e-6, "Exp Sub Gelu");
    }
}
END_TEST

START_TEST(swish_is_found_with_and_without_factor) {
    int x = signed_variable();
    small_output(mul(x, small_node("Sigmoid", 1, x)));
    pattern_becomes(2e-6, "Exp Sub Swish");
    x = signed_variable();
    small_output(mul(small_node("Sigmoid", 1, small_times(x, 1.702f)), x));
    pattern_becomes(2e-6, "Exp Sub Swish");
    x = signed_variable();
    small_output(small_node("Div", 2, x, plus(small_node("Exp", 1, small_node("Neg", 1, x)), 1)));
    pattern_becomes(2e-6, "Exp Sub Swish");
}
END_TEST

static int relu6_of_x_and_3(int x) {
    return small_node("Clip", 3, plus(x, 3), small_float("low", 0), small_float("high", 6));
}

START_TEST(hardswish_and_hardsigmoid_are_found) {
    int x = signed_variable();
    small_output(small_node("Div", 2, mul(x, relu6_of_x_and_3(x)), small_float("six", 6)));
    pattern_becomes(2e-6, "Exp Sub HardSwish");
    x = signed_variable();
    small_output(mul(x, small_times(relu6_of_x_and_3(x), 0.16666667f)));
    pattern_becomes(2e-6, "Exp Sub HardSwish");
    x = signed_variable();
    int y = small_node("HardSigmoid", 1, x);
    small_attr_float("alpha", 1.0f / 6);
    small_output(mul(x, y));
    pattern_becomes(2e-6, "Exp Sub HardSwish");
    x = signed_variable();
    small_output(small_times(relu6_of_x_and_3(x), 0.16666667f));
    pattern_becomes(2e-6, "Exp Sub HardSigmoid");
}
END_TEST

START_TEST(mish_is_found_with_a_softplus_of_its_own) {
    int x = signed_variable();
    int softplus = small_node("Log", 1, plus(small_node("Exp", 1, x), 1));
    small_output(mul(x, small_node("Tanh", 1, softplus)));
    pattern_becomes(2e-6, "Exp Sub Mish");
    x = variable();
    small_output(small_node("Log", 1, plus(small_node("Exp", 1, x), 1)));
    pattern_becomes(2e-6, "Abs Softplus");
    x = variable();
    small_output(
        small_node("Reciprocal", 1, plus(small_node("Exp", 1, small_node("Neg", 1, x)), 1)));
    pattern_becomes(2e-6, "Abs Sigmoid");
}
END_TEST

START_TEST(other_constants_are_left_alone) {
    int x = variable();
    int u = small_node("Div", 2, x, small_float("root", 1.4142f));
    small_output(small_times(mul(x, plus(small_node("Erf", 1, u), 1)), 0.5f));
    pattern_becomes(0, "Abs Div Erf Add Mul Mul");
    x = variable();
    small_output(mul(small_node("Sigmoid", 1, small_times(x, 1.7f)), x));
    pattern_becomes(0, "Abs Mul Sigmoid Mul");
    x = variable();
    int y = small_node("Clip", 3, plus(x, 3), small_float("low", 0), small_float("high", 6.001f));
    small_output(small_node("Div", 2, mul(x, y), small_float("six", 6)));
    pattern_becomes(0, "Abs Add Clip Mul Div");
}
END_TEST

START_TEST(a_clamp_far_away_is_seen) {
    int x = signed_variable();
    int y = small_node("Clip", 3, x, small_float("low", -1e9f), small_float("high", 1e9f));
    small_output(small_node("Div", 2, mul(y, relu6_of_x_and_3(x)), small_float("six", 6)));
    pattern_becomes(0, "Exp Sub Clip Add Clip Mul Div");
}
END_TEST

START_TEST(two_variables_are_left_alone) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(3, 50));
    int y = small_input("y", COPPICE_TYPE_FLOAT, DIMS(3, 50));
    small_output(mul(x, small_node("Sigmoid", 1, y)));
    pattern_becomes(0, "Sigmoid Mul");
}
END_TEST

START_TEST(a_part_that_is_read_elsewhere_stays) {
    int x = variable();
    int y = small_node("Sigmoid", 1, x);
    small_output(mul(x, y));
    small_output(y);
    pattern_becomes(0, "Abs Sigmoid Mul");
}
END_TEST

START_TEST(a_number_that_adds_a_dimension_is_left_alone) {
    const float one = 1;
    int x = variable();
    int sum = small_node("Add", 2, small_node("Exp", 1, x),
                         small_constant("one", COPPICE_TYPE_FLOAT, DIMS(1, 1, 1), &one));
    small_output(small_node("Log", 1, sum));
    pattern_becomes(0, "Abs Exp Add Log");
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("curve patterns");
    tcase_add_test(tests, gelu_is_found_in_every_order);
    tcase_add_test(tests, gelu_by_tanh_is_found_with_powers_and_products);
    tcase_add_test(tests, swish_is_found_with_and_without_factor);
    tcase_add_test(tests, hardswish_and_hardsigmoid_are_found);
    tcase_add_test(tests, mish_is_found_with_a_softplus_of_its_own);
    tcase_add_test(tests, other_constants_are_left_alone);
    tcase_add_test(tests, a_clamp_far_away_is_seen);
    tcase_add_test(tests, two_variables_are_left_alone);
    tcase_add_test(tests, a_part_that_is_read_elsewhere_stays);
    tcase_add_test(tests, a_number_that_adds_a_dimension_is_left_alone);
    return unit_run("curve patterns", tests);
}
