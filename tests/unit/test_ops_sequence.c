/* Tests of operators on sequences and optionals: positions outside, elements that do not fit, parts
 * that do not add up. */
#include "runtime/ops/util.h"
#include "small_graph.h"
#include "unit.h"

static coppice_status run(void) {
    ck_assert_int_eq(cop_graph_connect(small_graph, &small_error), COPPICE_OK);
    return interpreter_run(&small_it, small_graph, NULL, 0, &small_error);
}

static void run_refused(coppice_status status, const char *text) {
    coppice_status got = run();
    ck_assert_msg(got == status, "status %s: %s", coppice_status_name(got), small_error.message);
    ck_assert_msg(strstr(small_error.message, text), "message: %s", small_error.message);
    small_end();
}

static const cop_operand *value_of(int value) {
    return &small_it.shapes.values[value];
}

/* A sequence of three vectors: 2, 3 and 4 long. */
static int begin_three(void) {
    small_begin(18);
    int a = small_weights("a", DIMS(2)), b = small_weights("b", DIMS(3));
    return small_node("SequenceConstruct", 3, a, b, small_weights("c", DIMS(4)));
}

START_TEST(positions_outside_are_refused) {
    static const struct {
        const char *op;
        int64_t at;
    } cases[] = {{"SequenceAt", 3},     {"SequenceAt", -4},        {"SequenceErase", 3},
                 {"SequenceErase", -4}, {"SequenceAt", INT64_MIN}, {"SequenceErase", INT64_MAX}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int s = begin_three();
        small_node(cases[i].op, 2, s, small_int("p", cases[i].at));
        run_refused(COPPICE_BAD_DATA, "('p') is not within the 3 elements of 'y0'");
    }
    static const int64_t inserts[] = {4, -4};
    for (int i = 0; i < 2; i++) {
        int s = begin_three();
        small_node("SequenceInsert", 3, s, small_weights("x", DIMS(1)), small_int("p", inserts[i]));
        run_refused(COPPICE_BAD_DATA, "('p') is not within the 3 elements of 'y0'");
    }
    int s = begin_three();
    small_node("SequenceAt", 2, s, small_ints("p", LIST(1, 2)));
    run_refused(COPPICE_BAD_MODEL, "expected one integer");
    small_begin(18);
    s = small_node("SequenceEmpty", 0);
    small_node("SequenceErase", 1, s);
    run_refused(COPPICE_BAD_DATA, "the sequence 'y0' is empty");
}
END_TEST

START_TEST(elements_are_inserted_erased_and_shared) {
    int s = begin_three();
    int more = small_node("SequenceInsert", 3, s, small_weights("x", DIMS(5)), small_int("p", -1));
    int less = small_node("SequenceErase", 2, more, small_int("q", 0));
    int last = small_node("SequenceAt", 2, less, small_int("r", -1));
    int length = small_node("SequenceLength", 1, less);
    ck_assert_msg(run() == COPPICE_OK, "%s", small_error.message);
    static const int64_t lengths[] = {3, 5, 4};
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(value_of(less)->items->list[i].t.dims[0], lengths[i]);
    ck_assert_int_eq(value_of(last)->t.dims[0], 4);
    ck_assert_int_eq(cop_tensor_get_int(&value_of(length)->t, 0), 3);
    ck_assert_uint_eq(value_of(s)->items->count, 3);
    ck_assert_ptr_eq(value_of(less)->items->list[0].t.data, value_of(s)->items->list[1].t.data);
    small_end();
}
END_TEST

START_TEST(kinds_and_types_that_do_not_fit_are_refused) {
    static const char *const ops[] = {"SequenceErase", "SequenceLength", "ConcatFromSequence"};
    for (int i = 0; i < 3; i++) {
        small_begin(18);
        small_node(ops[i], 1, small_weights("x", DIMS(2)));
        run_refused(COPPICE_BAD_MODEL, "input 0 ('x') is a tensor, expected a sequence");
    }
    small_begin(18);
    small_node("SequenceConstruct", 2, small_weights("x", DIMS(2)), small_ints("i", LIST(1)));
    run_refused(COPPICE_BAD_MODEL, "input 1 ('i') has type int64, the first one float32");
    int s = begin_three();
    small_node("SequenceInsert", 2, s, small_ints("i", LIST(1)));
    run_refused(COPPICE_BAD_MODEL, "'i' has type int64");
    s = begin_three();
    small_node("SequenceInsert", 2, s, s);
    run_refused(COPPICE_BAD_MODEL, "input 1 ('y0') is a sequence, expected a tensor");
    s = begin_three();
    small_node("Relu", 1, s);
    run_refused(COPPICE_BAD_MODEL, "is a sequence, expected a tensor");
    small_begin(18);
    small_node("SequenceEmpty", 0);
    small_attr("dtype", 99);
    run_refused(COPPICE_BAD_MODEL, "'dtype' is 99");
}
END_TEST

START_TEST(joining_refuses_what_does_not_fit) {
    int s = begin_three();
    small_node("ConcatFromSequence", 1, s);
    small_attr("axis", 1);
    run_refused(COPPICE_BAD_MODEL, "axis 1");
    s = begin_three();
    small_node("ConcatFromSequence", 1, s);
    run_refused(COPPICE_BAD_MODEL, "axis");
    s = begin_three();
    small_node("ConcatFromSequence", 1, s);
    small_attr("axis", 0);
    small_attr("new_axis", 1);
    run_refused(COPPICE_BAD_DATA, "element 1 of 'y0' is [3], which does not fit to [2]");
    small_begin(18);
    small_node("ConcatFromSequence", 1, small_node("SequenceEmpty", 0));
    small_attr("axis", 0);
    run_refused(COPPICE_BAD_DATA, "the sequence 'y0' is empty");
    s = begin_three();
    int y = small_node("ConcatFromSequence", 1, s);
    small_attr("axis", -1);
    ck_assert_msg(run() == COPPICE_OK, "%s", small_error.message);
    ck_assert_int_eq(value_of(y)->t.dims[0], 9);
    small_end();
}
END_TEST

START_TEST(splitting_refuses_parts_that_do_not_add_up) {
    static const struct {
        int count;
        int64_t parts[3];
        const char *message;
    } cases[] = {
        {2, {1, 2}, "leave 1 of 4 over"},
        {2, {1, 4}, "part 1 in 'p' is 4, of 4 elements 3 are left"},
        {2, {-1, 5}, "part 0 in 'p' is -1"},
        {3, {INT64_MAX, INT64_MAX, 6}, "part 0 in 'p'"},
        {0, {0}, "parts of 0 ('p')"},
        {0, {INT64_MIN}, "parts of -9223372036854775808 ('p')"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        small_begin(18);
        int x = small_weights("x", DIMS(4, 2));
        int64_t dims = cases[i].count;
        small_node(
            "SplitToSequence", 2, x,
            small_constant("p", COPPICE_TYPE_INT64, cases[i].count > 0, &dims, cases[i].parts));
        run_refused(COPPICE_BAD_DATA, cases[i].message);
    }
    small_begin(18);
    int x = small_weights("x", DIMS(2, 5));
    int y = small_node("SplitToSequence", 2, x, small_int("p", 2));
    small_attr("axis", -1);
    int z = small_node("SplitToSequence", 1, x);
    small_attr("keepdims", 0);
    ck_assert_msg(run() == COPPICE_OK, "%s", small_error.message);
    ck_assert_uint_eq(value_of(y)->items->count, 3);
    ck_assert_int_eq(value_of(y)->items->list[2].t.dims[1], 1);
    ck_assert_uint_eq(value_of(z)->items->count, 2);
    ck_assert_uint_eq(value_of(z)->items->list[1].t.rank, 1);
    small_end();
}
END_TEST

START_TEST(optionals_hold_something_or_nothing) {
    small_begin(18);
    int none = small_node("Optional", 0);
    int has = small_node("OptionalHasElement", 1, none);
    int some = small_node("Optional", 1, small_weights("x", DIMS(2)));
    int has_some = small_node("OptionalHasElement", 1, some),
        left_out = small_node("OptionalHasElement", 1, -1);
    int x = small_node("OptionalGetElement", 1, some);
    ck_assert_msg(run() == COPPICE_OK, "%s", small_error.message);
    ck_assert_int_eq(cop_tensor_get_int(&value_of(has)->t, 0), 0);
    ck_assert_int_eq(cop_tensor_get_int(&value_of(has_some)->t, 0), 1);
    ck_assert_int_eq(cop_tensor_get_int(&value_of(left_out)->t, 0), 0);
    ck_assert_int_eq(value_of(x)->t.dims[0], 2);
    small_end();
    small_begin(18);
    small_node("OptionalGetElement", 1, small_node("Optional", 0));
    run_refused(COPPICE_BAD_DATA, "the optional 'y0' is empty");
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("sequence");
    tcase_add_test(tests, positions_outside_are_refused);
    tcase_add_test(tests, elements_are_inserted_erased_and_shared);
    tcase_add_test(tests, kinds_and_types_that_do_not_fit_are_refused);
    tcase_add_test(tests, joining_refuses_what_does_not_fit);
    tcase_add_test(tests, splitting_refuses_parts_that_do_not_add_up);
    tcase_add_test(tests, optionals_hold_something_or_nothing);
    return unit_run("sequence", tests);
}
