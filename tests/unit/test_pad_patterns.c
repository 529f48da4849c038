/* Tests of the passes that put Pad, sums and products into convolutions and pools. */
#include "patterns.h"

static int padded(int64_t opset, const int64_t *pads, float value) {
    small_begin(opset);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(1, 3, 6, 5));
    int y = small_node("Abs", 1, x);
    return small_node("Pad", 3, y, small_ints("pads", 8, pads), small_float("value", value));
}

static int conv(int x) {
    return small_node("Conv", 2, x, small_weights("w", DIMS(4, 3, 3, 3)));
}

static int average(int x, int64_t include) {
    int y = small_node("AveragePool", 1, x);
    small_attr_ints("kernel_shape", LIST(2, 2));
    small_attr("count_include_pad", include);
    return y;
}

#define PADS(...)                                                                                  \
    (const int64_t[8]) {                                                                           \
        __VA_ARGS__                                                                                \
    }

START_TEST(zeros_go_into_a_convolution) {
    small_output(conv(padded(13, PADS(0, 0, 1, 0, 0, 0, 2, 1), 0)));
    small_attr_ints("pads", LIST(1, 1, 0, 0));
    pattern_becomes(1e-6, "Abs Conv");
}
END_TEST

START_TEST(zeros_go_into_an_average_that_counts_them) {
    small_output(average(padded(13, PADS(0, 0, 1, 0, 0, 0, 1, 1), 0), 0));
    pattern_becomes(1e-6, "Abs AveragePool");
    small_output(average(padded(13, PADS(0, 0, 1, 0, 0, 0, 1, 1), 0), 1));
    small_attr_ints("pads", LIST(0, 1, 0, 0));
    pattern_becomes(1e-6, "Abs AveragePool");
    small_output(average(padded(13, PADS(0, 0, 1, 0, 0, 0, 1, 1), 0), 0));
    small_attr_ints("pads", LIST(0, 1, 0, 0));
    pattern_becomes(1e-6, "Abs Pad AveragePool");
}
END_TEST

START_TEST(other_paddings_stay) {
    small_output(conv(padded(13, PADS(0, 0, 1, 1, 0, 0, 1, 1), 1)));
    pattern_becomes(0, "Abs Pad Conv");
    small_output(conv(padded(13, PADS(0, 0, -1, 1, 0, 0, 1, 1), 0)));
    pattern_becomes(0, "Abs Pad Conv");
    small_output(conv(padded(13, PADS(1, 0, 1, 1, 0, 0, 1, 1), 0)));
    pattern_becomes(0, "Abs Pad Conv");
    int y = padded(13, PADS(0, 0, 1, 1, 0, 0, 1, 1), 0);
    small_attr_string("mode", "edge");
    small_output(conv(y));
    pattern_becomes(0, "Abs Pad Conv");
    small_output(conv(padded(13, PADS(0, 0, 1, 1, 0, 0, 1, 1), 0)));
    small_attr_string("auto_pad", "SAME_UPPER");
    pattern_becomes(0, "Abs Pad Conv");
}
END_TEST

START_TEST(products_and_sums_with_constants_go_into_a_convolution) {
    small_begin(13);
    int y = conv(small_input("x", COPPICE_TYPE_FLOAT, DIMS(1, 3, 6, 5)));
    y = small_node("Mul", 2, y, small_weights("scale", DIMS(1, 4, 1, 1)));
    y = small_node("Sub", 2, small_float("one", 1), y);
    y = small_node("Div", 2, y, small_float("two", 2));
    y = small_node("Add", 2, small_weights("shift", DIMS(4, 1, 1)), y);
    small_output(small_node("Sub", 2, y, small_float("half", 0.5f)));
    pattern_becomes(1e-5, "Conv");
}
END_TEST

START_TEST(products_and_sums_with_constants_go_into_a_matrix_product) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(3, 6));
    int y = small_node("Gemm", 3, x, small_weights("w", DIMS(4, 6)), small_weights("b", DIMS(4)));
    small_attr("transB", 1);
    y = small_node("Mul", 2, y, small_weights("scale", DIMS(4)));
    small_output(small_node("Sub", 2, y, small_weights("shift", DIMS(4))));
    pattern_becomes(1e-5, "Gemm");
}
END_TEST

START_TEST(what_is_not_linear_per_channel_stays) {
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(1, 3, 6, 5));
    int y = small_node("Mul", 2, conv(x), small_weights("per_row", DIMS(4, 1)));
    small_output(small_node("Div", 2, small_float("one", 1), conv(x)));
    small_output(small_node("Div", 2, conv(x), small_float("zero", 0)));
    small_output(small_node("Mul", 2, conv(x), small_weights("five", DIMS(1, 1, 1, 1, 1))));
    small_output(y);
    pattern_becomes(INFINITY, "Conv Mul Conv Div Conv Div Conv Mul");
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("pad patterns");
    tcase_add_test(tests, zeros_go_into_a_convolution);
    tcase_add_test(tests, zeros_go_into_an_average_that_counts_them);
    tcase_add_test(tests, other_paddings_stay);
    tcase_add_test(tests, products_and_sums_with_constants_go_into_a_convolution);
    tcase_add_test(tests, products_and_sums_with_constants_go_into_a_matrix_product);
    tcase_add_test(tests, what_is_not_linear_per_channel_stays);
    return unit_run("pad patterns", tests);
}
