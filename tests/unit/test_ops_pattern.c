/* Tests of operators that lay out elements by a pattern, of Range and of Split: numbers that make
 * no sense are refused, extreme ones are defined. */
#include <math.h>

#include "runtime/ops/util.h"
#include "small_graph.h"
#include "unit.h"

START_TEST(eyes_have_any_type_and_any_diagonal) {
    static const struct {
        int64_t dtype, k, ones;
    } cases[] = {{0, 0, 3},  {COPPICE_TYPE_DOUBLE, 1, 3},        {COPPICE_TYPE_INT16, -2, 1},
                 {9, 3, 1},  {COPPICE_TYPE_UINT64, 4, 0},        {0, -3, 0},
                 {7, -1, 2}, {COPPICE_TYPE_UINT8, INT64_MIN, 0}, {0, INT64_MAX, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        small_begin(22);
        int y = small_node("EyeLike", 1, small_input("x", COPPICE_TYPE_FLOAT, DIMS(3, 4)));
        small_attr("k", cases[i].k);
        if (cases[i].dtype)
            small_attr("dtype", cases[i].dtype);
        small_inferred();
        double sum = 0;
        for (int64_t j = 0; j < 12; j++) {
            double value = cop_tensor_get(small_tensor(y), j);
            ck_assert(value == ((double)(j % 4 - j / 4) == (double)cases[i].k));
            sum += value;
        }
        ck_assert(sum == (double)cases[i].ones);
        small_end();
    }
}
END_TEST

START_TEST(eyes_refuse_other_ranks_and_types_without_a_one) {
    static const int64_t types[] = {COPPICE_TYPE_STRING, 99, -1, INT64_MAX};
    for (int i = 0; i < 4; i++) {
        small_begin(22);
        small_node("EyeLike", 1, small_input("x", COPPICE_TYPE_FLOAT, DIMS(3, 4)));
        small_attr("dtype", types[i]);
        small_refused(COPPICE_UNSUPPORTED, "a result of type");
    }
    small_begin(22);
    small_node("EyeLike", 1, small_input("x", COPPICE_TYPE_FLOAT, DIMS(3)));
    small_refused(COPPICE_BAD_MODEL, "expected 2 dimensions");
}
END_TEST

START_TEST(one_hot_refuses_what_makes_no_sense) {
    static const struct {
        int64_t depth, axis, values;
        coppice_status status;
        const char *message;
    } cases[] = {
        {-1, -1, 2, COPPICE_BAD_DATA, "the depth 'd' is -1"},
        {INT64_MAX, -1, 2, COPPICE_BAD_DATA, "the depth 'd' is"},
        {1000000000000000, -1, 2, COPPICE_LIMIT, ""},
        {4, 2, 2, COPPICE_BAD_MODEL, "axis 2 is not within 2 dimensions"},
        {4, -3, 2, COPPICE_BAD_MODEL, "axis -3 is not within 2 dimensions"},
        {4, 0, 3, COPPICE_BAD_MODEL, "the values 'v' are [3]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        small_begin(11);
        int x = small_ints("i", LIST(0, 1)), d = small_int("d", cases[i].depth);
        small_node("OneHot", 3, x, d, small_weights("v", 1, &cases[i].values));
        small_attr("axis", cases[i].axis);
        small_refused(cases[i].status, cases[i].message);
    }
}
END_TEST

START_TEST(one_hot_ignores_indices_outside) {
    float places[] = {-1, 2, 3, NAN, 1e30f, -4}, values[] = {5, 7};
    for (int64_t opset = 9; opset <= 11; opset += 2) {
        small_begin(opset);
        int x = small_constant("i", COPPICE_TYPE_FLOAT, DIMS(6), places);
        int v = small_constant("v", COPPICE_TYPE_FLOAT, DIMS(2), values);
        int y = small_node("OneHot", 3, x, small_int("d", 3), v);
        small_inferred();
        small_has_shape(y, DIMS(6, 3));
        const float *out = small_tensor(y)->data;
        for (int i = 0; i < 18; i++) /* -1 counts from the end since opset 11 */
            ck_assert(out[i] == (i == 5 || (i == 2 && opset == 11) ? 7 : 5));
        small_end();
    }
}
END_TEST

START_TEST(reversing_refuses_lengths_and_axes_outside) {
    static const int64_t bad[] = {5, -1, INT64_MAX};
    for (int i = 0; i < 3; i++) {
        small_begin(10);
        small_node("ReverseSequence", 2, small_weights("x", DIMS(4, 2)),
                   small_ints("l", LIST(4, bad[i])));
        small_refused(COPPICE_BAD_DATA, "(element 1 of 'l') is not within 4 steps");
    }
    small_begin(10);
    small_node("ReverseSequence", 2, small_weights("x", DIMS(4, 2)), small_ints("l", LIST(1)));
    small_refused(COPPICE_BAD_MODEL, "the lengths 'l' are [1], expected [2]");
    small_begin(10);
    small_node("ReverseSequence", 2, small_weights("x", DIMS(4)), small_ints("l", LIST(1)));
    small_refused(COPPICE_BAD_MODEL, "less than 2 dimensions");
    small_begin(10);
    small_node("ReverseSequence", 2, small_weights("x", DIMS(4, 2)), small_ints("l", LIST(1, 2)));
    small_attr("batch_axis", 0);
    small_refused(COPPICE_BAD_MODEL, "batch_axis is 0 and time_axis 0");
}
END_TEST

START_TEST(tiles_refuse_what_overflows) {
    small_begin(13);
    small_node("Tile", 2, small_weights("x", DIMS(2, 3)), small_ints("r", LIST(2)));
    small_refused(COPPICE_BAD_MODEL, "1 repeats in 'r' for 2 dimensions");
    small_begin(13);
    small_node("Tile", 2, small_weights("x", DIMS(2, 3)), small_ints("r", LIST(2, -1)));
    small_refused(COPPICE_BAD_MODEL, "repeats [2,-1] of [2,3]");
    small_begin(13);
    small_node("Tile", 2, small_weights("x", DIMS(2, 3)), small_ints("r", LIST(INT64_MAX, 1)));
    small_refused(COPPICE_BAD_MODEL, "repeats [");
    small_begin(13);
    small_node("Tile", 2, small_weights("x", DIMS(2, 3)),
               small_ints("r", LIST(INT64_MAX / 4, INT64_MAX / 4)));
    small_refused(COPPICE_LIMIT, "too many elements");
    small_begin(1);
    small_node("Tile", 3, small_weights("x", DIMS(2, 3)), small_int("t", 2), small_int("a", 2));
    small_refused(COPPICE_BAD_MODEL, "axis 2");
    small_begin(1);
    small_node("Tile", 3, small_weights("x", DIMS(2, 3)), small_int("t", 2),
               small_int("a", INT64_MAX));
    small_refused(COPPICE_BAD_MODEL, "2 tiles on axis");
}
END_TEST

START_TEST(tiles_repeat_in_every_dimension_and_of_old_along_one) {
    small_begin(13);
    int x = small_weights("x", DIMS(2, 3)), none = small_ints("n", LIST(0, 2));
    int y = small_node("Tile", 2, x, small_ints("r", LIST(2, 3)));
    int z = small_node("Tile", 2, x, none);
    small_inferred();
    small_has_shape(z, DIMS(0, 6));
    small_has_shape(y, DIMS(4, 9));
    const float *in = small_tensor(x)->data, *out = small_tensor(y)->data;
    for (int i = 0; i < 36; i++)
        ck_assert(out[i] == in[i / 9 % 2 * 3 + i % 9 % 3]);
    small_end();
    small_begin(1);
    x = small_weights("x", DIMS(2, 3));
    y = small_node("Tile", 3, x, small_int("t", 2), small_int("a", 1));
    small_inferred();
    small_has_shape(y, DIMS(2, 6));
    in = small_tensor(x)->data, out = small_tensor(y)->data;
    for (int i = 0; i < 12; i++)
        ck_assert(out[i] == in[i / 6 * 3 + i % 3]);
    small_end();
}
END_TEST

START_TEST(triangles_take_any_diagonal) {
    static const int64_t ks[] = {0, 1, -1, 3, -4, 100, -100, INT64_MAX, INT64_MIN};
    for (int i = 0; i < 18; i++) {
        int64_t k = ks[i / 2];
        bool upper = i % 2;
        small_begin(14);
        int x = small_weights("x", DIMS(2, 4, 3));
        int y = small_node("Trilu", 2, x, small_int("k", k));
        small_attr("upper", upper);
        small_inferred();
        const float *in = small_tensor(x)->data, *out = small_tensor(y)->data;
        for (int64_t j = 0; j < 24; j++) {
            double above = (double)(j % 3 - j / 3 % 4) - (double)k;
            ck_assert(out[j] == ((upper ? above >= 0 : above <= 0) ? in[j] : 0));
        }
        small_end();
    }
    small_begin(14);
    small_node("Trilu", 1, small_weights("x", DIMS(3)));
    small_refused(COPPICE_BAD_MODEL, "less than 2 dimensions");
    small_begin(14);
    small_node("Trilu", 2, small_weights("x", DIMS(3, 3)), small_ints("k", LIST(1, 2)));
    small_refused(COPPICE_BAD_MODEL, "expected one int64");
}
END_TEST

START_TEST(ranges_of_integers_are_exact) {
    static const struct {
        int64_t start, limit, delta, count;
    } cases[] = {
        {INT64_MAX - 3, INT64_MAX, 2, 2},
        {INT64_MIN + 3, INT64_MIN, -2, 2},
        {INT64_MIN, INT64_MAX, INT64_MAX, 3},
        {INT64_MAX, INT64_MIN, INT64_MIN, 2},
        {3, 3, 1, 0},
        {3, 4, -1, 0},
        {9007199254740993, 9007199254740995, 1, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        small_begin(11);
        int y = small_node("Range", 3, small_int("a", cases[i].start),
                           small_int("b", cases[i].limit), small_int("c", cases[i].delta));
        small_inferred();
        small_has_shape(y, 1, &cases[i].count);
        for (int64_t j = 0; j < cases[i].count; j++)
            ck_assert_int_eq(
                cop_tensor_get_int(small_tensor(y), j),
                (int64_t)((uint64_t)cases[i].start + (uint64_t)j * (uint64_t)cases[i].delta));
        small_end();
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("pattern");
    tcase_add_test(tests, eyes_have_any_type_and_any_diagonal);
    tcase_add_test(tests, eyes_refuse_other_ranks_and_types_without_a_one);
    tcase_add_test(tests, one_hot_refuses_what_makes_no_sense);
    tcase_add_test(tests, one_hot_ignores_indices_outside);
    tcase_add_test(tests, reversing_refuses_lengths_and_axes_outside);
    tcase_add_test(tests, tiles_refuse_what_overflows);
    tcase_add_test(tests, tiles_repeat_in_every_dimension_and_of_old_along_one);
    tcase_add_test(tests, triangles_take_any_diagonal);
    tcase_add_test(tests, ranges_of_integers_are_exact);
    return unit_run("pattern", tests);
}
