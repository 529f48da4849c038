/* Tests of operators element by element: corner values of every type, choices between definitions,
 * attributes and inputs that make no sense. ONNX's own tests check what they compute. */
#include <math.h>

#include "runtime/ops/util.h"
#include "small_numbers.h"
#include "unit.h"

/* ---- one input ---- */

START_TEST(math_is_defined_at_the_ends) {
    static const struct {
        const char *op;
        double x[4], y[4];
    } cases[] = {
        {"Log", {0, -1, INFINITY, 1}, {-INFINITY, NAN, INFINITY, 0}},
        {"Exp", {-INFINITY, INFINITY, 0, NAN}, {0, INFINITY, 1, NAN}},
        {"Sigmoid", {-INFINITY, INFINITY, 0, NAN}, {0, 1, 0.5, NAN}},
        {"Tanh", {-INFINITY, INFINITY, 0, NAN}, {-1, 1, 0, NAN}},
        {"Erf", {-INFINITY, INFINITY, 0, NAN}, {-1, 1, 0, NAN}},
        {"Softplus", {-INFINITY, INFINITY, -800, NAN}, {0, INFINITY, 0, NAN}},
        {"Gelu", {-INFINITY, INFINITY, 0, NAN}, {0, INFINITY, 0, NAN}},
        {"Round", {0.5, 1.5, -2.5, NAN}, {0, 2, -2, NAN}},
        {"Sign", {-0.0, -INFINITY, 3, NAN}, {0, -1, 1, NAN}},
        {"Reciprocal", {0.0, -INFINITY, 2, NAN}, {INFINITY, 0, 0.5, NAN}},
        {"Relu", {-1, INFINITY, -INFINITY, NAN}, {0, INFINITY, 0, NAN}},
        {"HardSigmoid", {-INFINITY, INFINITY, 0, NAN}, {0, 1, 0.5, NAN}},
        {"Sqrt", {-1, INFINITY, 4, NAN}, {NAN, INFINITY, 2, NAN}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        small_begin(22);
        expect_numbers(small_node(cases[i].op, 1, floats("x", 4, cases[i].x)), 4, cases[i].y);
        small_begin(22);
        expect_numbers(small_node(cases[i].op, 1, doubles("x", 4, cases[i].x)), 4, cases[i].y);
    }
}
END_TEST

START_TEST(infinities_are_told_apart_by_sign) {
    for (int sides = 0; sides < 4; sides++) {
        small_begin(20);
        int x = floats("x", NUMBERS_OF(-INFINITY, INFINITY, NAN, 1));
        int y = small_node("IsInf", 1, x);
        small_attr("detect_negative", sides & 1);
        small_attr("detect_positive", sides >> 1);
        expect_numbers(y, NUMBERS_OF(sides & 1, sides >> 1, 0, 0));
    }
    small_begin(20);
    expect_numbers(small_node("IsNaN", 1, doubles("x", NUMBERS_OF(-INFINITY, NAN))),
                   NUMBERS_OF(0, 1));
    small_begin(20);
    small_node("IsInf", 1, floats("x", NUMBERS_OF(1)));
    small_attr("detect_negative", 2);
    small_refused(COPPICE_BAD_MODEL, "'detect_negative' is 2");
}
END_TEST

START_TEST(shrink_saturates_integers) {
    int8_t small[] = {-128, -3, 0, 3, 127};
    small_begin(22);
    int y = small_node("Shrink", 1, small_constant("x", COPPICE_TYPE_INT8, DIMS(5), small));
    small_attr_float("lambd", 3);
    small_attr_float("bias", -100);
    expect_numbers(y, NUMBERS_OF(-128, 0, 0, 0, 127));
}
END_TEST

START_TEST(activations_refuse_what_they_do_not_know) {
    small_begin(20);
    small_node("Gelu", 1, small_weights("x", DIMS(2)));
    small_attr_string("approximate", "fast");
    small_refused(COPPICE_BAD_MODEL, "'approximate' is 'fast', expected 'none' or 'tanh'");
    small_begin(13);
    small_node("Mish", 1, small_weights("x", DIMS(2)));
    small_refused(COPPICE_UNSUPPORTED, "from opset 18 on");
    small_begin(13);
    small_node("Tanh", 1, small_ints("x", LIST(1, 2)));
    small_refused(COPPICE_UNSUPPORTED, "type int64 of input 'x'");
    small_begin(28);
    small_node("SwiGLU", 2, small_weights("x", DIMS(2, 3)), small_weights("y", DIMS(3)));
    small_refused(COPPICE_BAD_MODEL, "the gate is float32 [2,3], the value float32 [3]");
}
END_TEST

/* ---- two inputs ---- */

START_TEST(modulo_follows_the_sign_that_fmod_says) {
    small_begin(13);
    int x = small_ints("x", LIST(7, -7, 7, -7, INT64_MIN)),
        d = small_ints("d", LIST(3, 3, -3, -3, -1));
    expect_numbers(small_node("Mod", 2, x, d), NUMBERS_OF(1, 2, -2, -1, 0));
    small_begin(13);
    x = small_ints("x", LIST(7, -7, 7, -7, INT64_MIN)), d = small_ints("d", LIST(3, 3, -3, -3, -1));
    int y = small_node("Mod", 2, x, d);
    small_attr("fmod", 1);
    expect_numbers(y, NUMBERS_OF(1, -1, 1, -1, 0));
    small_begin(28);
    x = floats("x", NUMBERS_OF(5.5, -5.5, 1, INFINITY, 1));
    d = floats("d", NUMBERS_OF(-3, 3, -INFINITY, 2, 0));
    expect_numbers(small_node("Mod", 2, x, d), NUMBERS_OF(-0.5, 0.5, -INFINITY, NAN, NAN));
    small_begin(13);
    small_node("Mod", 2, small_ints("x", LIST(1)), small_ints("d", LIST(0)));
    small_refused(COPPICE_BAD_DATA, "division by zero (input 'd')");
    small_begin(13);
    small_node("Mod", 2, small_ints("x", LIST(1)), small_ints("d", LIST(1)));
    small_attr("fmod", 2);
    small_refused(COPPICE_BAD_MODEL, "'fmod' is 2");
}
END_TEST

static void shift(const char *direction, int x, int places, int count, const double *want) {
    int y = small_node("BitShift", 2, x, places);
    small_attr_string("direction", direction);
    expect_numbers(y, count, want);
}

START_TEST(shifts_too_far_leave_the_sign) {
    int8_t bytes[] = {-128, 64, -1, 5}, far[] = {1, 8, -1, 2};
    uint8_t plain[] = {255, 64, 7, 5}, away[] = {1, 8, 200, 2};
    for (int left = 0; left < 2; left++) {
        small_begin(28);
        int x = small_constant("x", COPPICE_TYPE_INT8, DIMS(4), bytes);
        int y = small_constant("y", COPPICE_TYPE_INT8, DIMS(4), far);
        shift(left ? "LEFT" : "RIGHT", x, y, 4,
              left ? (double[]){0, 0, 0, 20} : (double[]){-64, 0, -1, 1});
        small_begin(28);
        x = small_constant("x", COPPICE_TYPE_UINT8, DIMS(4), plain);
        y = small_constant("y", COPPICE_TYPE_UINT8, DIMS(4), away);
        shift(left ? "LEFT" : "RIGHT", x, y, 4,
              left ? (double[]){254, 0, 0, 20} : (double[]){127, 0, 0, 1});
    }
    small_begin(28);
    small_node("BitShift", 2, small_ints("x", LIST(1)), small_ints("y", LIST(1)));
    small_refused(COPPICE_BAD_MODEL, "'direction' is '', expected 'LEFT' or 'RIGHT'");
}
END_TEST

START_TEST(powers_of_integers_are_exact) {
    small_begin(15);
    int x = small_ints("x", LIST(3, -3, 2, -1, 0)), n = small_ints("n", LIST(39, 3, 64, -3, -1));
    int y = small_node("Pow", 2, x, n);
    const coppice_tensor *t = result_of(y);
    ck_assert_int_eq(cop_tensor_get_int(t, 0), 4052555153018976267);
    ck_assert_int_eq(cop_tensor_get_int(t, 1), -27);
    ck_assert_int_eq(cop_tensor_get_int(t, 2), 0);
    ck_assert_int_eq(cop_tensor_get_int(t, 3), -1);
    ck_assert_int_eq(cop_tensor_get_int(t, 4), INT64_MAX);
    small_end();
}
END_TEST

START_TEST(powers_by_common_exponents_follow_pow) {
    static const double exponents[] = {2, 3, 0.5, -1};
    static const double bases[] = {-INFINITY, -2, -0.0, 0, 4, INFINITY, NAN};
    for (int e = 0; e < 4; e++) {
        double want[7];
        for (int i = 0; i < 7; i++)
            want[i] = pow(bases[i], exponents[e]);
        small_begin(15);
        float exponent = (float)exponents[e];
        int n = small_constant("n", COPPICE_TYPE_FLOAT, SCALAR, &exponent);
        expect_numbers(small_node("Pow", 2, floats("x", 7, bases), n), 7, want);
        small_begin(15);
        n = small_constant("n", COPPICE_TYPE_FLOAT, SCALAR, &exponent);
        expect_numbers(small_node("Pow", 2, doubles("x", 7, bases), n), 7, want);
    }
}
END_TEST

START_TEST(comparisons_with_nan_are_false) {
    static const struct {
        const char *op;
        double want[4];
    } cases[] = {{"Less", {0, 0, 1, 0}},
                 {"LessOrEqual", {0, 0, 1, 1}},
                 {"Greater", {0, 0, 0, 0}},
                 {"GreaterOrEqual", {0, 0, 0, 1}},
                 {"Equal", {0, 0, 0, 1}}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        small_begin(16);
        int x = floats("x", NUMBERS_OF(NAN, 1, -1, 2)), y = floats("y", NUMBERS_OF(1, NAN, 1, 2));
        expect_numbers(small_node(cases[i].op, 2, x, y), 4, cases[i].want);
    }
    uint64_t large[] = {UINT64_MAX, 1};
    small_begin(16);
    int x = small_constant("x", COPPICE_TYPE_UINT64, DIMS(2), large);
    int y = small_constant("y", COPPICE_TYPE_UINT64, DIMS(1), &large[1]);
    expect_numbers(small_node("Greater", 2, x, y), NUMBERS_OF(1, 0));
}
END_TEST

START_TEST(truths_broadcast_by_axis_before_opset_7) {
    uint8_t a[] = {1, 0, 1, 0, 1, 1}, b[] = {1, 0};
    static const char *const ops[] = {"And", "Or", "Xor"};
    static const double want[][6] = {{1, 0, 1, 0, 0, 0}, {1, 1, 1, 0, 1, 1}, {0, 1, 0, 0, 1, 1}};
    for (int i = 0; i < 3; i++) {
        small_begin(6);
        int y = small_node(ops[i], 2, small_constant("a", COPPICE_TYPE_BOOL, DIMS(2, 3), a),
                           small_constant("b", COPPICE_TYPE_BOOL, DIMS(2), b));
        small_attr("broadcast", 1);
        small_attr("axis", 0);
        expect_numbers(y, 6, want[i]);
    }
}
END_TEST

/* ---- any number of inputs ---- */

START_TEST(variadic_operators_take_one_input_and_broadcast_many) {
    static const struct {
        const char *op;
        double one[2], three[4];
    } cases[] = {{"Sum", {1, -2}, {111, 108, 211, 208}},
                 {"Mean", {1, -2}, {37, 36, 211.0 / 3, 208.0 / 3}},
                 {"Max", {1, -2}, {100, 100, 200, 200}},
                 {"Min", {1, -2}, {1, -2, 1, -2}}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        small_begin(13);
        expect_numbers(small_node(cases[i].op, 1, doubles("x", NUMBERS_OF(1, -2))), 2,
                       cases[i].one);
        small_begin(13);
        double column[] = {100, 200};
        int x = doubles("x", NUMBERS_OF(1, -2)), y = doubles("y", NUMBERS_OF(10));
        int z = small_constant("z", COPPICE_TYPE_DOUBLE, DIMS(2, 1), column);
        expect_numbers(small_node(cases[i].op, 3, x, y, z), 4, cases[i].three);
    }
    small_begin(13);
    small_node("Sum", 2, floats("x", NUMBERS_OF(1)), doubles("y", NUMBERS_OF(1)));
    small_refused(COPPICE_BAD_MODEL, "input 1 ('y') is not of type float32");
}
END_TEST

START_TEST(where_chooses_elements_of_sixteen_bytes) {
    uint8_t which[] = {1, 0, 1};
    double a[] = {1, 2, 3, 4, 5, 6}, b[] = {-1, -2};
    small_begin(16);
    int c = small_constant("c", COPPICE_TYPE_BOOL, DIMS(3), which);
    int x = small_constant("x", COPPICE_TYPE_COMPLEX128, DIMS(3), a);
    int y = small_constant("y", COPPICE_TYPE_COMPLEX128, DIMS(1), b);
    const double *out = result_of(small_node("Where", 3, c, x, y))->data;
    static const double want[] = {1, 2, -1, -2, 5, 6};
    ck_assert_mem_eq(out, want, sizeof want);
    small_end();
    small_begin(16);
    c = small_constant("c", COPPICE_TYPE_BOOL, DIMS(3), which);
    small_node("Where", 3, c, small_ints("x", LIST(1)), floats("y", NUMBERS_OF(1)));
    small_refused(COPPICE_UNSUPPORTED, "choosing between types int64 and float32");
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("ops_elementwise");
    tcase_add_test(tests, math_is_defined_at_the_ends);
    tcase_add_test(tests, infinities_are_told_apart_by_sign);
    tcase_add_test(tests, shrink_saturates_integers);
    tcase_add_test(tests, activations_refuse_what_they_do_not_know);
    tcase_add_test(tests, modulo_follows_the_sign_that_fmod_says);
    tcase_add_test(tests, shifts_too_far_leave_the_sign);
    tcase_add_test(tests, powers_of_integers_are_exact);
    tcase_add_test(tests, powers_by_common_exponents_follow_pow);
    tcase_add_test(tests, comparisons_with_nan_are_false);
    tcase_add_test(tests, truths_broadcast_by_axis_before_opset_7);
    tcase_add_test(tests, variadic_operators_take_one_input_and_broadcast_many);
    tcase_add_test(tests, where_chooses_elements_of_sixteen_bytes);
    return unit_run("ops_elementwise", tests);
}
