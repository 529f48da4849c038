/* Tests of the pass that finds LayerNormalization and RMSNormalization. */
#include "patterns.h"

/* What exporters differ in. */
typedef struct norm_form {
    int64_t opset;
    bool square_by_mul, twice, reciprocal, power, scale, bias, axes_positive, centred;
} norm_form;

static int mean(int x, const norm_form *f) {
    int64_t axis = f->axes_positive ? 2 : -1;
    int y;
    if (f->opset >= 18)
        return small_node("ReduceMean", 2, x, small_ints("axes", 1, &axis));
    y = small_node("ReduceMean", 1, x);
    small_attr_ints("axes", 1, &axis);
    return y;
}

static int square(int d, const norm_form *f) {
    return f->square_by_mul ? small_node("Mul", 2, d, d)
                            : small_node("Pow", 2, d, small_float("two", 2));
}

static int normalized(int d, int variance, const norm_form *f) {
    int sum = small_node("Add", 2, variance, small_float("epsilon", 1e-3f));
    if (f->power && f->reciprocal)
        return small_node("Mul", 2, small_node("Pow", 2, sum, small_float("power", -0.5f)), d);
    int deviation = f->power ? small_node("Pow", 2, sum, small_float("power", 0.5f))
                             : small_node("Sqrt", 1, sum);
    if (f->reciprocal)
        return small_node("Mul", 2, d, small_node("Reciprocal", 1, deviation));
    return small_node("Div", 2, d, deviation);
}

static int norm(int x, const norm_form *f) {
    int d = f->centred ? small_node("Sub", 2, x, mean(x, f)) : x;
    int again = f->twice ? small_node("Sub", 2, x, mean(x, f)) : d;
    int y = normalized(d, mean(square(again, f), f), f);
    if (f->scale)
        y = small_node("Mul", 2, small_weights("scale", DIMS(8)), y);
    return f->bias ? small_node("Add", 2, y, small_weights("bias", DIMS(8))) : y;
}

static int begin(int64_t opset) {
    small_begin(opset);
    return small_input("x", COPPICE_TYPE_FLOAT, DIMS(2, 3, 8));
}

START_TEST(layer_normalization_is_found_in_all_its_forms) {
    for (unsigned i = 0; i < 256; i++) {
        norm_form f = {.opset = i & 1 ? 13 : 18,
                       .square_by_mul = i & 2,
                       .twice = i & 4,
                       .reciprocal = i & 8,
                       .power = i & 16,
                       .scale = i & 32,
                       .bias = i & 64,
                       .axes_positive = i & 128,
                       .centred = true};
        small_output(norm(begin(f.opset), &f));
        pattern_becomes(1e-5, "LayerNormalization");
    }
}
END_TEST

START_TEST(rms_normalization_is_found_in_all_its_forms) {
    for (unsigned i = 0; i < 64; i++) {
        norm_form f = {.opset = i & 1 ? 13 : 18,
                       .square_by_mul = i & 2,
                       .reciprocal = i & 4,
                       .power = i & 8,
                       .scale = i & 16,
                       .bias = i & 32};
        small_output(norm(begin(f.opset), &f));
        pattern_becomes(1e-5, f.bias ? "RMSNormalization Add" : "RMSNormalization");
    }
}
END_TEST

START_TEST(several_trailing_axes_are_normalized_together) {
    const norm_form f = {.opset = 13};
    int x = begin(13);
    int m = small_node("ReduceMean", 1, x);
    small_attr_ints("axes", LIST(-1, 1));
    int d = small_node("Sub", 2, x, m);
    int v = small_node("ReduceMean", 1, square(d, &f));
    small_attr_ints("axes", LIST(1, 2));
    small_output(normalized(d, v, &f));
    pattern_becomes(1e-5, "LayerNormalization");
}
END_TEST

START_TEST(a_mean_over_another_axis_is_no_layer_normalization) {
    const norm_form f = {.opset = 13};
    int x = begin(13);
    int m = small_node("ReduceMean", 1, x);
    small_attr_ints("axes", LIST(1));
    int d = small_node("Sub", 2, x, m);
    small_output(normalized(d, mean(square(d, &f), &f), &f));
    pattern_becomes(1e-5, "ReduceMean Sub RMSNormalization");
}
END_TEST

START_TEST(another_power_is_no_normalization) {
    const norm_form f = {.opset = 13};
    int x = begin(13);
    int d = small_node("Sub", 2, x, mean(x, &f));
    int v = mean(small_node("Pow", 2, d, small_float("four", 4)), &f);
    small_output(normalized(d, v, &f));
    pattern_becomes(1e-5, "ReduceMean Sub Pow ReduceMean Add Sqrt Div");
}
END_TEST

START_TEST(a_difference_that_is_read_elsewhere_stays) {
    const norm_form f = {.opset = 13};
    int x = begin(13);
    int d = small_node("Sub", 2, x, mean(x, &f));
    small_output(normalized(d, mean(square(d, &f), &f), &f));
    small_output(d);
    pattern_becomes(1e-5, "ReduceMean Sub Pow ReduceMean Add Sqrt Div");
}
END_TEST

START_TEST(a_product_per_row_is_no_scale) {
    norm_form f = {.opset = 13, .centred = true};
    int y = norm(begin(13), &f);
    small_output(small_node("Mul", 2, y, small_weights("per_row", DIMS(3, 1))));
    pattern_becomes(1e-5, "LayerNormalization Mul");
}
END_TEST

START_TEST(an_output_in_between_ends_the_pattern) {
    norm_form f = {.opset = 13, .centred = true};
    int y = norm(begin(13), &f);
    small_output(y);
    small_output(small_node("Mul", 2, y, small_weights("scale", DIMS(8))));
    pattern_becomes(1e-5, "LayerNormalization Mul");
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("norm patterns");
    tcase_add_test(tests, layer_normalization_is_found_in_all_its_forms);
    tcase_add_test(tests, rms_normalization_is_found_in_all_its_forms);
    tcase_add_test(tests, several_trailing_axes_are_normalized_together);
    tcase_add_test(tests, a_mean_over_another_axis_is_no_layer_normalization);
    tcase_add_test(tests, another_power_is_no_normalization);
    tcase_add_test(tests, a_difference_that_is_read_elsewhere_stays);
    tcase_add_test(tests, a_product_per_row_is_no_scale);
    tcase_add_test(tests, an_output_in_between_ends_the_pattern);
    return unit_run("norm patterns", tests);
}
