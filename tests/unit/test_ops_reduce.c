/* Tests of reductions, of what goes along an axis, and of Softmax: nothing, long rows, extreme
 * values, axes that make no sense. ONNX's own tests check what they compute. */
#include "runtime/ops/util.h"
#include "small_numbers.h"
#include "unit.h"

START_TEST(reductions_of_nothing_are_neutral) {
    static const struct {
        const char *op;
        double want;
    } cases[] = {{"ReduceSum", 0},
                 {"ReduceProd", 1},
                 {"ReduceMax", -INFINITY},
                 {"ReduceMin", INFINITY},
                 {"ReduceL1", 0},
                 {"ReduceL2", 0},
                 {"ReduceLogSum", -INFINITY},
                 {"ReduceLogSumExp", -INFINITY},
                 {"ReduceSumSquare", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        small_begin(20);
        int x = small_constant("x", COPPICE_TYPE_FLOAT, DIMS(2, 0), "");
        int y = small_node(cases[i].op, 2, x, small_ints("a", LIST(-1)));
        expect_numbers(y, NUMBERS_OF(cases[i].want, cases[i].want));
    }
    small_begin(20);
    int x = small_constant("x", COPPICE_TYPE_BOOL, DIMS(1, 0), "");
    expect_numbers(small_node("ReduceMin", 2, x, small_ints("a", LIST(1))), NUMBERS_OF(1));
    small_begin(20);
    x = small_constant("x", COPPICE_TYPE_FLOAT, DIMS(2, 0), "");
    expect_numbers(small_node("ReduceMean", 2, x, small_ints("a", LIST(1))), NUMBERS_OF(0, 0));
    small_begin(20);
    x = small_constant("x", COPPICE_TYPE_INT64, DIMS(0, 1), "");
    expect_numbers(small_node("ReduceMean", 2, x, small_ints("a", LIST(0))), NUMBERS_OF(0));
}
END_TEST

/* What the element at each index is: small integers, so that every order of adding is exact. */
static int64_t element(int64_t i) {
    return (i * 7 + 3) % 11 - 5;
}

static int wide_values(coppice_type type, uint32_t rank, const int64_t *dims) {
    static double d[4096];
    static int64_t n[4096];
    static float f[4096];
    for (int64_t i = 0; i < 4096; i++) {
        d[i] = (double)(n[i] = element(i));
        f[i] = (float)d[i];
    }
    void *data = type == COPPICE_TYPE_DOUBLE  ? (void *)d
                 : type == COPPICE_TYPE_INT64 ? (void *)n
                                              : f;
    return small_constant("x", type, rank, dims, data);
}

/* Every set of axes of [3, 5, 67] and [2, 70, 3], against sums made one by one. */
static void expect_sums(coppice_type type, const int64_t *dims, unsigned axes) {
    double want[4096] = {0};
    int64_t list[3], kept[3];
    int count = 0;
    for (int d = 0; d < 3; d++) {
        kept[d] = axes >> d & 1 ? 1 : dims[d];
        if (axes >> d & 1)
            list[count++] = d;
    }
    for (int64_t i = 0; i < dims[0] * dims[1] * dims[2]; i++) {
        int64_t a = i / (dims[1] * dims[2]) % kept[0], b = i / dims[2] % dims[1] % kept[1];
        int64_t c = i % dims[2] % kept[2];
        want[(a * kept[1] + b) * kept[2] + c] += (double)element(i);
    }
    small_begin(18);
    int y = small_node("ReduceSum", 2, wide_values(type, 3, dims), small_ints("a", count, list));
    expect_numbers(y, (int)(kept[0] * kept[1] * kept[2]), want);
}

START_TEST(sums_over_any_axes_are_those_of_all_elements) {
    static const int64_t shapes[][3] = {{3, 5, 67}, {2, 70, 3}, {1, 200, 20}, {4000, 1, 1}};
    static const coppice_type types[] = {COPPICE_TYPE_FLOAT, COPPICE_TYPE_DOUBLE,
                                         COPPICE_TYPE_INT64};
    for (int s = 0; s < 4; s++) {
        for (unsigned axes = 1; axes < 8; axes++) {
            for (int t = 0; t < 3; t++)
                expect_sums(types[t], shapes[s], axes);
        }
    }
}
END_TEST

START_TEST(reductions_keep_nan_and_do_not_overflow) {
    float x[70] = {0};
    for (int at = 0; at < 70; at += 23) {
        x[at] = NAN;
        small_begin(20);
        int y = small_node("ReduceMax", 1, small_constant("x", COPPICE_TYPE_FLOAT, DIMS(70), x));
        expect_numbers(y, NUMBERS_OF(NAN));
        x[at] = 0;
    }
    small_begin(20);
    int v = floats("x", NUMBERS_OF(3e38, 3e38, -3e38));
    const coppice_tensor *t = result_of(small_node("ReduceMean", 1, v));
    ck_assert_float_eq_tol(*(float *)t->data, 1e38f, 1e32f);
    small_end();
    small_begin(20);
    v = floats("x", NUMBERS_OF(1000, 1000));
    t = result_of(small_node("ReduceLogSumExp", 1, v));
    ck_assert_float_eq_tol(*(float *)t->data, 1000.6931f, 1e-3f);
    small_end();
    small_begin(20);
    v = floats("x", NUMBERS_OF(-INFINITY, -INFINITY));
    expect_numbers(small_node("ReduceLogSumExp", 1, v), NUMBERS_OF(-INFINITY));
    int32_t large[] = {INT32_MAX, INT32_MAX};
    small_begin(20);
    v = small_constant("x", COPPICE_TYPE_INT32, DIMS(2), large);
    expect_numbers(small_node("ReduceMean", 1, v), NUMBERS_OF(INT32_MAX));
}
END_TEST

START_TEST(no_axes_mean_all_or_none) {
    small_begin(18);
    int x = floats("x", NUMBERS_OF(1, -2)), y = small_node("ReduceSumSquare", 1, x);
    small_attr("noop_with_empty_axes", 1);
    expect_numbers(y, NUMBERS_OF(1, 4));
    small_begin(18);
    x = floats("x", NUMBERS_OF(1, -2));
    y = small_node("ReduceSumSquare", 2, x, small_constant("a", COPPICE_TYPE_INT64, DIMS(0), ""));
    small_attr("keepdims", 0);
    expect_numbers(y, NUMBERS_OF(5));
}
END_TEST

START_TEST(axes_that_make_no_sense_are_refused) {
    static const struct {
        const char *op;
        int64_t axes[2];
        const char *message;
    } cases[] = {{"ReduceSum", {2, 0}, "axis 2 is not within 2 dimensions"},
                 {"ReduceMax", {1, -1}, "axis -1 is given twice"},
                 {"ReduceL2", {INT64_MIN, 0}, "is not within 2 dimensions"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        small_begin(18);
        small_node(cases[i].op, 2, small_weights("x", DIMS(2, 3)),
                   small_ints("a", 2, cases[i].axes));
        small_refused(COPPICE_BAD_MODEL, cases[i].message);
    }
    static const char *const along[] = {"Softmax", "Hardmax", "ArgMax", "ArgMin"};
    for (int i = 0; i < 4; i++) {
        small_begin(13);
        small_node(along[i], 1, small_weights("x", DIMS(2, 3)));
        small_attr("axis", -3);
        small_refused(COPPICE_BAD_MODEL, "axis -3 is not within 2 dimensions");
    }
    small_begin(14);
    small_node("CumSum", 2, small_weights("x", DIMS(2, 3)), small_ints("a", LIST(2)));
    small_refused(COPPICE_BAD_MODEL, "axis 2 is not within 2 dimensions");
    small_begin(14);
    small_node("CumSum", 2, small_weights("x", DIMS(2, 3)), small_ints("a", LIST(0, 1)));
    small_refused(COPPICE_BAD_MODEL, "the axis 'a' is [2], expected a scalar");
    small_begin(13);
    small_node("ArgMax", 1, small_constant("x", COPPICE_TYPE_FLOAT, DIMS(2, 0), ""));
    small_attr("axis", 1);
    small_refused(COPPICE_BAD_MODEL, "no elements to choose from in [2,0]");
}
END_TEST

START_TEST(arg_chooses_the_first_or_the_last_of_equals) {
    static const struct {
        const char *op;
        int last;
        double want;
    } cases[] = {{"ArgMax", 0, 1}, {"ArgMax", 1, 4}, {"ArgMin", 0, 0}, {"ArgMin", 1, 3}};
    for (int i = 0; i < 4; i++) {
        small_begin(13);
        int y = small_node(cases[i].op, 1, floats("x", NUMBERS_OF(-1, 5, 0, -1, 5)));
        small_attr("select_last_index", cases[i].last);
        expect_numbers(y, NUMBERS_OF(cases[i].want));
    }
    small_begin(13);
    expect_numbers(small_node("ArgMax", 1, floats("x", NUMBERS_OF(3, NAN, 9, NAN))), NUMBERS_OF(1));
    small_begin(13);
    uint64_t large[] = {1, UINT64_MAX, 5};
    int y = small_node("ArgMax", 1, small_constant("x", COPPICE_TYPE_UINT64, DIMS(3), large));
    small_attr("keepdims", 0);
    ck_assert_uint_eq(result_of(y)->rank, 0);
    expect_numbers(y, NUMBERS_OF(1));
}
END_TEST

START_TEST(running_totals_go_both_ways) {
    static const double want[][3] = {{1, 3, 6}, {0, 1, 3}, {6, 5, 3}, {5, 3, 0}};
    static const double products[][3] = {{1, 2, 6}, {1, 1, 2}, {6, 6, 3}, {6, 3, 1}};
    for (int i = 0; i < 4; i++) {
        for (int product = 0; product < 2; product++) {
            small_begin(26);
            int x = small_ints("x", LIST(1, 2, 3)), axis = small_ints("a", LIST(-1));
            int y = small_node(product ? "CumProd" : "CumSum", 2, x, axis);
            small_attr("exclusive", i & 1);
            small_attr("reverse", i >> 1);
            expect_numbers(y, 3, product ? products[i] : want[i]);
        }
    }
}
END_TEST

/* Softmax along each axis against its definition, in float and double. */
static void expect_softmax(const char *op, coppice_type type, int axis) {
    static const int64_t shapes[][3] = {{58, 1, 70}, {1, 37, 70}, {1, 37, 70}};
    static const int64_t steps[] = {70, 70, 1};
    const int64_t *shape = shapes[axis];
    int64_t step = steps[axis], n = shape[axis];
    small_begin(13);
    int y = small_node(op, 1, wide_values(type, 3, shape));
    small_attr("axis", axis);
    const coppice_tensor *t = result_of(y);
    for (int64_t i = 0; i < coppice_tensor_count(t); i++) {
        int64_t first = i / (step * n) * step * n + i % step;
        double sum = 0;
        for (int64_t k = 0; k < n; k++)
            sum += exp((double)element(first + k * step));
        double want = exp((double)element(i)) / sum, got = cop_tensor_get(t, i);
        want = strcmp(op, "LogSoftmax") ? want : log(want);
        if (!(fabs(got - want) <= 2e-6 * fabs(want)))
            ck_abort_msg("%s axis %d, element %d: %g, not %g", op, axis, (int)i, got, want);
    }
    small_end();
}

START_TEST(softmax_along_every_axis_is_what_it_says) {
    for (int axis = 0; axis < 3; axis++) {
        expect_softmax("Softmax", COPPICE_TYPE_FLOAT, axis);
        expect_softmax("Softmax", COPPICE_TYPE_DOUBLE, axis);
        expect_softmax("LogSoftmax", COPPICE_TYPE_FLOAT, axis);
        expect_softmax("LogSoftmax", COPPICE_TYPE_DOUBLE, axis);
    }
    small_begin(13);
    int x = floats("x", NUMBERS_OF(3e38, -3e38, -INFINITY));
    expect_numbers(small_node("Softmax", 1, x), NUMBERS_OF(1, 0, 0));
    small_begin(13);
    x = floats("x", NUMBERS_OF(2, 7, 7));
    expect_numbers(small_node("Hardmax", 1, x), NUMBERS_OF(0, 1, 0));
}
END_TEST

/* Short rows are turned into lanes, many at a time; columns go by whole vectors first. */
START_TEST(softmax_is_the_same_however_many_rows_and_columns) {
    static const int64_t dims[][3] = {{1, 3, 2},   {37, 5, 1}, {100, 90, 1}, {17, 600, 1},
                                      {9, 130, 1}, {2, 7, 37}, {3, 4, 150},  {1, 500, 16}};
    for (size_t k = 0; k < sizeof dims / sizeof dims[0]; k++) {
        small_begin(13);
        int x = small_weights("x", 3, dims[k]);
        int y = small_node("Softmax", 1, x);
        small_attr("axis", 1);
        small_inferred();
        const float *in = small_tensor(x)->data, *out = small_tensor(y)->data;
        size_t n = (size_t)dims[k][1], inner = (size_t)dims[k][2];
        for (size_t line = 0; line < (size_t)dims[k][0] * inner; line++) {
            size_t at = line / inner * n * inner + line % inner;
            double sum = 0;
            for (size_t i = 0; i < n; i++)
                sum += exp((double)in[at + i * inner]);
            for (size_t i = 0; i < n; i++) {
                double want = exp((double)in[at + i * inner]) / sum;
                ck_assert(fabs((double)out[at + i * inner] - want) < 1e-6);
            }
        }
        small_end();
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("ops_reduce");
    tcase_add_test(tests, reductions_of_nothing_are_neutral);
    tcase_add_test(tests, sums_over_any_axes_are_those_of_all_elements);
    tcase_add_test(tests, reductions_keep_nan_and_do_not_overflow);
    tcase_add_test(tests, no_axes_mean_all_or_none);
    tcase_add_test(tests, axes_that_make_no_sense_are_refused);
    tcase_add_test(tests, arg_chooses_the_first_or_the_last_of_equals);
    tcase_add_test(tests, running_totals_go_both_ways);
    tcase_add_test(tests, softmax_along_every_axis_is_what_it_says);
    tcase_add_test(tests, softmax_is_the_same_however_many_rows_and_columns);
    return unit_run("ops_reduce", tests);
}
