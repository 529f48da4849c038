/* Tests of operators that choose elements: ties, NaN, nothing to choose from, and what they refuse.
 */
#include <math.h>

#include "runtime/ops/util.h"
#include "small_graph.h"
#include "unit.h"

static int floats(const char *name, uint32_t rank, const int64_t *dims, const float *values) {
    return small_constant(name, COPPICE_TYPE_FLOAT, rank, dims, values);
}

/* Gives the last node `count` outputs; the value of the first new one is returned. */
static int more_outputs(int count) {
    static const char *const names[] = {"o1", "o2", "o3"};
    int first = -1, *outputs = cop_arena_array(&small_arena, (size_t)count, sizeof *outputs);
    outputs[0] = small_last()->outputs[0];
    for (int i = 1; i < count; i++) {
        outputs[i] = cop_graph_value(small_graph, names[i - 1]);
        small_graph->values[outputs[i]].rank = -1;
        first = first < 0 ? outputs[i] : first;
    }
    small_last()->outputs = outputs;
    small_last()->output_count = count;
    return first;
}

static void expect_ints(int value, int count, const int64_t *want) {
    ck_assert_int_eq(coppice_tensor_count(small_tensor(value)), count);
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(cop_tensor_get_int(small_tensor(value), i), want[i]);
}

/* ---- TopK ---- */

START_TEST(the_first_of_equal_elements_is_better_and_nan_is_largest) {
    float data[] = {1, 3, NAN, 3, -INFINITY, 1, 3, NAN};
    static const struct {
        int64_t largest, k, want[8];
    } cases[] = {
        {1, 8, {2, 7, 1, 3, 6, 0, 5, 4}},
        {0, 8, {4, 0, 5, 1, 3, 6, 2, 7}},
        {1, 4, {2, 7, 1, 3}},
        {0, 3, {4, 0, 5}},
        {1, 1, {2}},
        {0, 0, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        small_begin(11);
        int x = floats("x", DIMS(8), data);
        int y = small_node("TopK", 2, x, small_ints("k", LIST(cases[i].k)));
        small_attr("largest", cases[i].largest);
        int at = more_outputs(2);
        small_inferred();
        expect_ints(at, (int)cases[i].k, cases[i].want);
        for (int64_t j = 0; j < cases[i].k; j++)
            ck_assert_mem_eq((float *)small_tensor(y)->data + j, &data[cases[i].want[j]], 4);
        small_end();
    }
}
END_TEST

START_TEST(the_top_of_a_middle_axis_agrees_with_sorting) {
    small_begin(11);
    int x = small_weights("x", DIMS(3, 50, 4));
    int y = small_node("TopK", 2, x, small_ints("k", LIST(7)));
    small_attr("axis", 1);
    int at = more_outputs(2);
    small_inferred();
    small_has_shape(y, DIMS(3, 7, 4));
    const float *in = small_tensor(x)->data, *out = small_tensor(y)->data;
    const int64_t *index = small_tensor(at)->data;
    for (int i = 0; i < 84; i++) {
        int outer = i / 28, column = i % 4, rank = i / 4 % 7, before = 0;
        ck_assert(in[(outer * 50 + index[i]) * 4 + column] == out[i]);
        for (int j = 0; j < 50; j++) {
            float other = in[(outer * 50 + j) * 4 + column];
            before += other > out[i] || (other == out[i] && j < index[i]);
        }
        ck_assert_int_eq(before, rank);
    }
    small_end();
}
END_TEST

START_TEST(more_than_there_are_is_refused) {
    static const int64_t bad[] = {9, -1, INT64_MAX, INT64_MIN};
    for (int i = 0; i < 4; i++) {
        small_begin(11);
        small_node("TopK", 2, small_weights("x", DIMS(2, 8)), small_ints("k", LIST(bad[i])));
        small_refused(COPPICE_BAD_DATA, "of 8 elements (axis 1 of [2,8])");
        small_begin(1);
        small_node("TopK", 1, small_weights("x", DIMS(2, 8)));
        small_attr("k", bad[i]);
        small_refused(COPPICE_BAD_DATA, "of 8 elements (axis 1 of [2,8])");
    }
    small_begin(11);
    small_node("TopK", 2, small_weights("x", DIMS(2, 8)), small_ints("k", LIST(1)));
    small_attr("axis", 2);
    small_refused(COPPICE_BAD_MODEL, "axis 2");
    small_begin(11);
    small_node("TopK", 2, small_weights("x", SCALAR), small_ints("k", LIST(1)));
    small_refused(COPPICE_BAD_MODEL, "axis -1 is not within 0");
    small_begin(11);
    small_node("TopK", 2, small_weights("x", DIMS(2, 8)), small_weights("k", DIMS(1)));
    small_refused(COPPICE_BAD_MODEL, "expected at most 1 integers");
}
END_TEST

/* ---- NonZero, Compress ---- */

START_TEST(places_that_are_not_zero_are_found_in_any_rank) {
    float data[600] = {0};
    data[0] = -0.0f, data[1] = NAN, data[299] = 1, data[599] = -1;
    small_begin(13);
    int y = small_node("NonZero", 1, floats("x", DIMS(2, 300), data));
    int scalar = small_node("NonZero", 1, floats("s", SCALAR, &data[1]));
    int none = small_node("NonZero", 1, floats("n", DIMS(0, 3), NULL));
    small_inferred();
    expect_ints(y, 6, (int64_t[]){0, 0, 1, 1, 299, 299});
    small_has_shape(scalar, DIMS(0, 1));
    small_has_shape(none, DIMS(2, 0));
    small_end();
}
END_TEST

START_TEST(conditions_may_be_short_but_choose_nothing_outside) {
    uint8_t on[] = {0, 1, 0, 1};
    float data[] = {1, 2, 3, 4, 5, 6};
    small_begin(11);
    int c = small_constant("c", COPPICE_TYPE_BOOL, DIMS(2), on);
    int y = small_node("Compress", 2, floats("x", DIMS(2, 3), data), c);
    small_attr("axis", -1);
    int flat = small_node("Compress", 2, floats("z", DIMS(2, 3), data),
                          small_constant("d", COPPICE_TYPE_BOOL, DIMS(4), on));
    small_inferred();
    small_has_shape(y, DIMS(2, 1));
    ck_assert_mem_eq(small_tensor(y)->data, ((float[]){2, 5}), 8);
    ck_assert_mem_eq(small_tensor(flat)->data, ((float[]){2, 4}), 8);
    small_end();
    small_begin(11);
    c = small_constant("c", COPPICE_TYPE_BOOL, DIMS(4), on);
    small_node("Compress", 2, floats("x", DIMS(2, 3), data), c);
    small_attr("axis", 1);
    small_refused(COPPICE_BAD_DATA, "element 3 of the condition 'c' chooses one of 3 elements");
    small_begin(11);
    small_node("Compress", 2, small_weights("x", DIMS(2, 3)), small_weights("c", DIMS(2)));
    small_refused(COPPICE_BAD_MODEL, "'c') has type float32");
    small_begin(11);
    c = small_constant("c", COPPICE_TYPE_BOOL, DIMS(2), on);
    small_node("Compress", 2, small_weights("x", DIMS(2, 3)), c);
    small_attr("axis", 2);
    small_refused(COPPICE_BAD_MODEL, "axis 2");
}
END_TEST

/* ---- Unique ---- */

START_TEST(distinct_elements_come_sorted_or_as_they_are_met) {
    float data[] = {3, 1, NAN, 3, 1, NAN, 2};
    for (int sorted = 0; sorted < 2; sorted++) {
        small_begin(11);
        int y = small_node("Unique", 1, floats("x", DIMS(7), data));
        small_attr("sorted", sorted);
        int first = more_outputs(4);
        small_inferred();
        const float *out = small_tensor(y)->data;
        small_has_shape(y, DIMS(4));
        if (sorted) {
            ck_assert(out[0] == 1 && out[1] == 2 && out[2] == 3 && isnan(out[3]));
            expect_ints(first, 4, (int64_t[]){1, 6, 0, 2});
            expect_ints(first + 1, 7, (int64_t[]){2, 0, 3, 2, 0, 3, 1});
            expect_ints(first + 2, 4, (int64_t[]){2, 1, 2, 2});
        } else {
            ck_assert(out[0] == 3 && out[1] == 1 && isnan(out[2]) && out[3] == 2);
            expect_ints(first, 4, (int64_t[]){0, 1, 2, 6});
            expect_ints(first + 1, 7, (int64_t[]){0, 1, 2, 0, 1, 2, 3});
            expect_ints(first + 2, 4, (int64_t[]){2, 2, 2, 1});
        }
        small_end();
    }
}
END_TEST

START_TEST(distinct_slices_strings_and_nothing) {
    coppice_string words[] = {{"b", 1}, {"", 0}, {"ab", 2}, {"b", 1}, {NULL, 0}, {"a", 1}};
    small_begin(11);
    int x = small_constant("x", COPPICE_TYPE_STRING, DIMS(6), words);
    int y = small_node("Unique", 1, x);
    int z = small_node("Unique", 1, small_constant("z", COPPICE_TYPE_STRING, DIMS(2, 3), words));
    small_attr("axis", 1);
    int none = small_node("Unique", 1, floats("n", DIMS(0, 2), NULL));
    int slices = small_node("Unique", 1, floats("m", DIMS(0, 2), NULL));
    small_attr("axis", 1);
    small_inferred();
    const coppice_string *out = small_tensor(y)->data;
    small_has_shape(y, DIMS(4));
    ck_assert(out[0].length == 0 && !memcmp(out[1].data, "a", 1) && !memcmp(out[2].data, "ab", 2) &&
              !memcmp(out[3].data, "b", 1));
    small_has_shape(z, DIMS(2, 3));
    small_has_shape(none, 1, (int64_t[]){0});
    small_has_shape(slices, DIMS(0, 1)); /* slices without elements are equal */
    small_end();
    small_begin(11);
    small_node("Unique", 1, small_weights("x", DIMS(3)));
    small_attr("axis", 1);
    small_refused(COPPICE_BAD_MODEL, "axis 1");
}
END_TEST

/* ---- NonMaxSuppression ---- */

START_TEST(suppression_refuses_what_does_not_fit) {
    float half = 0.5f, two = 2, nan_value = NAN;
    small_begin(11);
    small_node("NonMaxSuppression", 2, small_weights("b", DIMS(1, 6, 4)),
               small_weights("s", DIMS(1, 2, 5)));
    small_refused(COPPICE_BAD_MODEL, "boxes are [1,6,4], scores [1,2,5]");
    small_begin(11);
    small_node("NonMaxSuppression", 2, small_weights("b", DIMS(6, 4)),
               small_weights("s", DIMS(1, 2, 6)));
    small_refused(COPPICE_BAD_MODEL, "expected 3 dimensions");
    for (int i = 0; i < 2; i++) {
        small_begin(11);
        int t = floats("t", DIMS(1), i ? &two : &nan_value);
        small_node("NonMaxSuppression", 4, small_weights("b", DIMS(1, 6, 4)),
                   small_weights("s", DIMS(1, 2, 6)), small_ints("k", LIST(3)), t);
        small_refused(COPPICE_BAD_DATA, "iou_threshold 't' is");
    }
    coppice_string word = {"3", 1};
    small_begin(11);
    small_node("NonMaxSuppression", 3, small_weights("b", DIMS(1, 6, 4)),
               small_weights("s", DIMS(1, 2, 6)),
               small_constant("k", COPPICE_TYPE_STRING, SCALAR, &word));
    small_refused(COPPICE_BAD_MODEL, "input 2 ('k') is string [], expected a number");
    small_begin(11);
    int t = floats("t", DIMS(1), &half), k = small_ints("k", LIST(INT64_MIN));
    int y = small_node("NonMaxSuppression", 4, small_weights("b", DIMS(1, 6, 4)),
                       small_weights("s", DIMS(1, 2, 6)), k, t);
    int z = small_node("NonMaxSuppression", 4, floats("c", DIMS(1, 0, 4), NULL),
                       floats("d", DIMS(1, 2, 0), NULL), small_ints("l", LIST(INT64_MAX)), t);
    small_inferred();
    small_has_shape(y, DIMS(0, 3));
    small_has_shape(z, DIMS(0, 3));
    small_end();
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("select");
    tcase_add_test(tests, the_first_of_equal_elements_is_better_and_nan_is_largest);
    tcase_add_test(tests, the_top_of_a_middle_axis_agrees_with_sorting);
    tcase_add_test(tests, more_than_there_are_is_refused);
    tcase_add_test(tests, places_that_are_not_zero_are_found_in_any_rank);
    tcase_add_test(tests, conditions_may_be_short_but_choose_nothing_outside);
    tcase_add_test(tests, distinct_elements_come_sorted_or_as_they_are_met);
    tcase_add_test(tests, distinct_slices_strings_and_nothing);
    tcase_add_test(tests, suppression_refuses_what_does_not_fit);
    return unit_run("select", tests);
}
