/* Tests of operators: attributes and shapes that make no sense are refused with a clear message,
 * corner values are defined, every layout computes the same. ONNX's own tests
 * (tests/conformance) check what the operators compute. */
#include <math.h>

#include "in_tiles.h"
#include "unit.h"

static int image(void) {
    return small_input("x", COPPICE_TYPE_FLOAT, DIMS(1, 4, 6, 6));
}

/* ---- convolution and pooling ---- */

static void begin_conv(void) {
    small_begin(13);
    int x = image();
    small_node("Conv", 2, x, small_weights("w", DIMS(4, 4, 3, 3)));
}

START_TEST(conv_refuses_attributes_that_make_no_sense) {
    static const struct {
        const char *name;
        int count;
        int64_t values[6];
        const char *message;
    } cases[] = {
        {"strides", 2, {0, 1}, "attribute 'strides' holds 0"},
        {"strides", 2, {1, -1}, "attribute 'strides' holds -1"},
        {"strides", 3, {1, 1, 1}, "3 spatial dimensions"},
        {"strides", 7, {1}, "attribute 'strides' has 7 values"},
        {"dilations", 2, {0, 1}, "attribute 'dilations' holds 0"},
        {"dilations", 2, {INT64_MAX, 1}, "attribute 'dilations' holds"},
        {"dilations", 2, {4, 1}, "does not fit"},
        {"pads", 4, {-1, 0, 0, 0}, "attribute 'pads' holds -1"},
        {"pads", 3, {1, 1, 1}, "attribute 'pads' has 3 values"},
        {"pads", 4, {INT64_MAX, 0, 0, 0}, "attribute 'pads' holds"},
        {"kernel_shape", 2, {3, 5}, "'kernel_shape' says 5 where the weight has 3"},
        {"kernel_shape", 2, {0, 3}, "attribute 'kernel_shape' holds 0"},
    };
    int64_t values[7] = {1, 1, 1, 1, 1, 1, 1};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin_conv();
        memcpy(values, cases[i].values, sizeof cases[i].values);
        small_attr_ints(cases[i].name, cases[i].count, values);
        small_refused(COPPICE_BAD_MODEL, cases[i].message);
    }
    begin_conv();
    small_attr_string("auto_pad", "SAME");
    small_refused(COPPICE_BAD_MODEL, "'auto_pad' is 'SAME'");
    begin_conv();
    small_attr_string("strides", "2");
    small_refused(COPPICE_BAD_MODEL, "strides");
}
END_TEST

START_TEST(conv_refuses_groups_and_operands_that_do_not_fit) {
    static const int64_t groups[] = {0, -4, 3, 2, INT64_MAX};
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        begin_conv();
        small_attr("group", groups[i]);
        small_refused(COPPICE_BAD_MODEL, "group");
    }
    small_begin(13);
    int x = image();
    small_node("Conv", 2, x, small_weights("w", DIMS(4, 4, 3)));
    small_refused(COPPICE_BAD_MODEL, "expected 4 dimensions");
    small_begin(13);
    x = image();
    small_node("Conv", 3, x, small_weights("w", DIMS(4, 4, 3, 3)), small_weights("b", DIMS(5)));
    small_refused(COPPICE_BAD_MODEL, "the bias 'b' is [5], expected [4]");
    small_begin(13);
    x = image();
    small_node("Conv", 2, x, small_weights("w", DIMS(4, 4, 7, 3)));
    small_refused(COPPICE_BAD_MODEL, "a window of 7 does not fit into 6");
    small_begin(13);
    x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(1, 4, 2, 2, 2, 2));
    small_node("Conv", 2, x, small_weights("w", DIMS(4, 4, 1, 1, 1, 1)));
    small_refused(COPPICE_UNSUPPORTED, "1 to 3 dimensions");
}
END_TEST

START_TEST(pooling_refuses_padding_as_large_as_the_window) {
    small_begin(13);
    small_node("MaxPool", 1, image());
    small_attr_ints("kernel_shape", LIST(2, 2));
    small_attr_ints("pads", LIST(2, 0, 0, 0));
    small_refused(COPPICE_BAD_MODEL, "outside of the input");
    small_begin(13);
    small_node("AveragePool", 1, image());
    small_refused(COPPICE_BAD_MODEL, "'kernel_shape' is missing");
}
END_TEST

START_TEST(ceil_mode_drops_windows_that_start_behind_the_input) {
    small_begin(13);
    int y = small_node("MaxPool", 1, small_input("x", COPPICE_TYPE_FLOAT, DIMS(1, 1, 5, 4)));
    small_attr_ints("kernel_shape", LIST(1, 3));
    small_attr_ints("strides", LIST(3, 2));
    small_attr("ceil_mode", 1);
    ck_assert_int_eq(small_infer(), COPPICE_OK);
    small_has_shape(y, DIMS(1, 1, 2, 2)); /* a third row would start at 6 */
    small_end();
    small_begin(13);
    float two = 2;
    y = small_node("AveragePool", 1,
                   small_constant("one", COPPICE_TYPE_FLOAT, DIMS(1, 1, 1, 1), &two));
    small_attr_ints("kernel_shape", LIST(256, 256));
    small_attr_ints("strides", LIST(256, 256));
    small_attr("ceil_mode", 1);
    ck_assert_int_eq(small_infer(), COPPICE_OK);
    ck_assert(*(float *)small_it.shapes.values[y].t.data == 2); /* the window is cut to the input */
    small_end();
}
END_TEST

/* ---- arithmetic ---- */

static int integers(const char *name, coppice_type type, int64_t a, int64_t b) {
    int64_t wide[] = {a, b};
    int32_t narrow[] = {(int32_t)a, (int32_t)b};
    bool is_wide = type == COPPICE_TYPE_INT64;
    return small_constant(name, type, DIMS(2), is_wide ? (void *)wide : narrow);
}

START_TEST(integer_division_by_zero_is_refused_and_by_minus_one_wraps) {
    small_begin(13);
    small_node("Div", 2, integers("a", COPPICE_TYPE_INT64, 1, 2),
               integers("b", COPPICE_TYPE_INT64, 1, 0));
    small_refused(COPPICE_BAD_DATA, "division by zero (input 'b')");
    small_begin(13);
    int y = small_node("Div", 2, integers("a", COPPICE_TYPE_INT64, INT64_MIN, 7),
                       integers("b", COPPICE_TYPE_INT64, -1, -2));
    int z = small_node("Div", 2, integers("c", COPPICE_TYPE_INT32, INT32_MIN, 7),
                       integers("d", COPPICE_TYPE_INT32, -1, 2));
    ck_assert_int_eq(small_infer(), COPPICE_OK);
    ck_assert_int_eq(cop_tensor_get_int(&small_it.shapes.values[y].t, 0), INT64_MIN);
    ck_assert_int_eq(cop_tensor_get_int(&small_it.shapes.values[y].t, 1), -3);
    ck_assert_int_eq(cop_tensor_get_int(&small_it.shapes.values[z].t, 0), INT32_MIN);
    small_end();
}
END_TEST

START_TEST(integer_arithmetic_wraps_around) {
    small_begin(13);
    int a = integers("a", COPPICE_TYPE_INT64, INT64_MAX, INT64_MIN);
    int b = integers("b", COPPICE_TYPE_INT64, INT64_MAX, 1);
    int sum = small_node("Add", 2, a, b), product = small_node("Mul", 2, a, b);
    int difference = small_node("Sub", 2, a, b), negative = small_node("Neg", 1, a);
    ck_assert_int_eq(small_infer(), COPPICE_OK);
    ck_assert_int_eq(cop_tensor_get_int(&small_it.shapes.values[sum].t, 0), -2);
    ck_assert_int_eq(cop_tensor_get_int(&small_it.shapes.values[product].t, 0), 1);
    ck_assert_int_eq(cop_tensor_get_int(&small_it.shapes.values[difference].t, 1), INT64_MAX);
    ck_assert_int_eq(cop_tensor_get_int(&small_it.shapes.values[negative].t, 1), INT64_MIN);
    small_end();
}
END_TEST

START_TEST(casts_out_of_range_are_defined) {
    static const coppice_type types[] = {COPPICE_TYPE_INT8,  COPPICE_TYPE_UINT8,
                                         COPPICE_TYPE_INT32, COPPICE_TYPE_UINT32,
                                         COPPICE_TYPE_INT64, COPPICE_TYPE_UINT64};
    float values[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f, -1.5f, 300.0f};
    small_begin(13);
    int x = small_constant("x", COPPICE_TYPE_FLOAT, DIMS(7), values);
    for (size_t i = 0; i < 6; i++) {
        small_node("Cast", 1, x);
        small_attr("to", types[i]);
    }
    ck_assert_int_eq(small_infer(), COPPICE_OK); /* undefined behaviour ends the sanitizer's run */
    const coppice_tensor *wide = &small_it.shapes.values[small_graph->nodes[4].outputs[0]].t;
    ck_assert_int_eq(cop_tensor_get_int(wide, 0), 0);
    ck_assert_int_eq(cop_tensor_get_int(wide, 1), INT64_MAX);
    ck_assert_int_eq(cop_tensor_get_int(wide, 5), -1);
    small_end();
    small_begin(13);
    small_node("Cast", 1, image());
    small_attr("to", 99);
    small_refused(COPPICE_UNSUPPORTED, "99");
}
END_TEST

START_TEST(shapes_that_do_not_broadcast_are_refused) {
    small_begin(13);
    small_node("Add", 2, image(), small_weights("w", DIMS(4, 5, 6)));
    small_refused(COPPICE_BAD_MODEL, "[1,4,6,6] and [4,5,6] do not broadcast");
    small_begin(13);
    small_node("Add", 2, image(), small_ints("i", LIST(1)));
    small_refused(COPPICE_BAD_MODEL, "inputs have types float32 and int64");
}
END_TEST

START_TEST(legacy_broadcast_follows_the_axis) {
    small_begin(6);
    int x = small_weights("x", DIMS(2, 3, 4)), b = small_weights("b", DIMS(3));
    int y = small_node("Add", 2, x, b);
    small_attr("broadcast", 1);
    small_attr("axis", 1);
    ck_assert_int_eq(small_infer(), COPPICE_OK);
    const float *in = small_it.shapes.values[x].t.data, *add = small_it.shapes.values[b].t.data;
    const float *out = small_it.shapes.values[y].t.data;
    for (int i = 0; i < 24; i++)
        ck_assert(out[i] == in[i] + add[i / 4 % 3]);
    small_end();
    small_begin(6);
    x = small_weights("x", DIMS(2, 3, 4));
    small_node("Add", 2, x, small_weights("b", DIMS(4)));
    small_refused(COPPICE_BAD_MODEL, "'broadcast' is not set");
    small_begin(6);
    x = small_weights("x", DIMS(2, 3, 4));
    small_node("Add", 2, x, small_weights("b", DIMS(3, 4)));
    small_attr("broadcast", 1);
    small_attr("axis", 2);
    small_refused(COPPICE_BAD_MODEL, "does not fit into [2,3,4] at axis 2");
}
END_TEST

/* ---- shapes ---- */

START_TEST(reshape_refuses_what_does_not_add_up) {
    static const struct {
        int count;
        int64_t dims[4];
    } cases[] = {{2, {-1, -1}}, {2, {-1, 7}},   {1, {143}}, {4, {INT64_MAX, INT64_MAX, 2, 1}},
                 {2, {-2, 72}}, {3, {-1, 0, 0}}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        small_begin(13);
        int x = i == 5 ? small_input("x", COPPICE_TYPE_FLOAT, DIMS(2, 0, 3)) : image();
        small_node("Reshape", 2, x, small_ints("s", cases[i].count, cases[i].dims));
        small_refused(COPPICE_BAD_MODEL, "cannot be reshaped");
    }
}
END_TEST

START_TEST(transpose_refuses_what_is_no_permutation) {
    static const int64_t perms[][4] = {{0, 1, 2, 2}, {0, 1, 2, 4}, {-1, 1, 2, 3}};
    for (int i = 0; i < 3; i++) {
        small_begin(13);
        small_node("Transpose", 1, image());
        small_attr_ints("perm", 4, perms[i]);
        small_refused(COPPICE_BAD_MODEL, "permutation");
    }
    small_begin(13);
    small_node("Transpose", 1, image());
    small_attr_ints("perm", 3, perms[0]);
    small_refused(COPPICE_BAD_MODEL, "permutation");
}
END_TEST

START_TEST(transpose_of_sixteen_dims_moves_every_element) {
    int64_t dims[16], perm[16];
    for (int i = 0; i < 16; i++) {
        dims[i] = i % 5 == 0 ? 3 : 1 + (i == 7);
        perm[i] = (i * 5 + 3) % 16;
    }
    small_begin(13);
    int x = small_weights("x", 16, dims), y = small_node("Transpose", 1, x);
    small_attr_ints("perm", 16, perm);
    ck_assert_int_eq(small_infer(), COPPICE_OK);
    const coppice_tensor *in = &small_it.shapes.values[x].t, *out = &small_it.shapes.values[y].t;
    int64_t strides[16], from[16];
    cop_plain_strides(16, in->dims, strides);
    for (int64_t i = 0; i < coppice_tensor_count(out); i++) {
        int64_t rest = i, at = 0;
        for (int d = 16; d-- > 0;) {
            from[perm[d]] = rest % out->dims[d];
            rest /= out->dims[d];
        }
        for (int d = 0; d < 16; d++)
            at += from[d] * strides[d];
        ck_assert(((float *)out->data)[i] == ((float *)in->data)[at]);
    }
    small_end();
}
END_TEST

START_TEST(slice_follows_the_standard_at_extreme_bounds) {
    static const struct {
        int64_t start, end, step, size;
        float first;
    } cases[] = {
        {INT64_MIN, INT64_MAX, 1, 5, 0},
        {INT64_MAX, INT64_MIN, -1, 5, 4},
        {-1, INT64_MIN, INT64_MIN, 1, 4},
        {0, INT64_MAX, INT64_MAX, 1, 0},
        {3, 1, 1, 0, 0},
        {-2, -4, -1, 2, 3},
        {10, 20, 1, 0, 0},
        {4, -100, -2, 3, 4},
        {-100, INT64_MIN, -1, 1, 0}, /* not as in Python */
    };
    float data[] = {0, 1, 2, 3, 4};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        small_begin(13);
        int x = small_constant("x", COPPICE_TYPE_FLOAT, DIMS(5), data);
        int y = small_node("Slice", 5, x, small_ints("s", LIST(cases[i].start)),
                           small_ints("e", LIST(cases[i].end)), small_ints("a", LIST(0)),
                           small_ints("t", LIST(cases[i].step)));
        ck_assert_int_eq(small_infer(), COPPICE_OK);
        small_has_shape(y, DIMS(cases[i].size));
        if (cases[i].size)
            ck_assert(*(float *)small_it.shapes.values[y].t.data == cases[i].first);
        small_end();
    }
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(5));
    small_node("Slice", 5, x, small_ints("s", LIST(0)), small_ints("e", LIST(1)),
               small_ints("a", LIST(0)), small_ints("t", LIST(0)));
    small_refused(COPPICE_BAD_MODEL, "step of 0");
    small_begin(13);
    x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(5, 5));
    small_node("Slice", 4, x, small_ints("s", LIST(0, 0)), small_ints("e", LIST(1, 1)),
               small_ints("a", LIST(1, -1)));
    small_refused(COPPICE_BAD_MODEL, "given twice");
}
END_TEST

START_TEST(data_movement_refuses_shapes_that_do_not_fit) {
    small_begin(13);
    small_node("Concat", 2, image(), small_weights("w", DIMS(1, 4, 6, 5)));
    small_attr("axis", 1);
    small_refused(COPPICE_BAD_MODEL, "does not fit behind");
    small_begin(13);
    small_node("Concat", 1, image());
    small_attr("axis", 4);
    small_refused(COPPICE_BAD_MODEL, "axis 4 is not within 4 dimensions");
    small_begin(13);
    small_node("Expand", 2, image(), small_ints("s", LIST(-1, 1, 1, 1)));
    small_refused(COPPICE_BAD_MODEL, "[-1,1,1,1]");
    small_begin(13);
    small_node("Split", 2, image(), small_ints("s", LIST(9)));
    small_refused(COPPICE_BAD_MODEL, "cannot be split");
    small_begin(13);
    small_node("Squeeze", 2, image(), small_ints("s", LIST(1)));
    small_refused(COPPICE_BAD_MODEL, "dimension 1 of [1,4,6,6] is not 1");
    small_begin(13);
    small_node("Unsqueeze", 2, image(),
               small_ints("s", LIST(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)));
    small_refused(COPPICE_LIMIT, "17 dimensions");
    small_begin(13);
    small_node("Flatten", 1, image());
    small_attr("axis", 5);
    small_refused(COPPICE_BAD_MODEL, "axis 5");
}
END_TEST

START_TEST(gather_refuses_indices_outside) {
    static const int64_t bad[] = {3, -4, INT64_MIN, INT64_MAX};
    for (int i = 0; i < 4; i++) {
        small_begin(13);
        int x = small_weights("x", DIMS(3, 2));
        small_node("Gather", 2, x, small_ints("i", 1, &bad[i]));
        small_refused(COPPICE_BAD_DATA, "is not within 3 elements");
    }
}
END_TEST

START_TEST(pad_refuses_sizes_that_overflow_or_reflect_too_far) {
    static const struct {
        const char *mode;
        int64_t begin, end;
    } cases[] = {{"constant", INT64_MAX, 0}, {"constant", INT64_MIN, 0}, {"constant", -4, -3},
                 {"reflect", 6, 0},          {"reflect", 0, 7},          {"constant", -7, 9}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        small_begin(13);
        int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(6));
        small_node("Pad", 2, x, small_ints("p", LIST(cases[i].begin, cases[i].end)));
        small_attr_string("mode", cases[i].mode);
        small_refused(COPPICE_BAD_MODEL, "pads of");
    }
    small_begin(13);
    int x = small_input("x", COPPICE_TYPE_FLOAT, DIMS(6));
    small_node("Pad", 2, x, small_ints("p", LIST(1)));
    small_refused(COPPICE_BAD_MODEL, "1 pads for 1 dimensions");
}
END_TEST

START_TEST(ranges_refuse_what_never_ends) {
    float zero = 0, one = 1, nan_value = NAN, huge = 3e38f;
    const float *const cases[][3] = {{&zero, &one, &zero}, {&zero, &nan_value, &one}};
    for (int i = 0; i < 2; i++) {
        small_begin(13);
        small_node("Range", 3, small_constant("a", COPPICE_TYPE_FLOAT, SCALAR, cases[i][0]),
                   small_constant("b", COPPICE_TYPE_FLOAT, SCALAR, cases[i][1]),
                   small_constant("c", COPPICE_TYPE_FLOAT, SCALAR, cases[i][2]));
        small_refused(COPPICE_BAD_MODEL, "a range from");
    }
    small_begin(13);
    small_node("Range", 3, small_constant("a", COPPICE_TYPE_FLOAT, SCALAR, &zero),
               small_constant("b", COPPICE_TYPE_FLOAT, SCALAR, &huge),
               small_constant("c", COPPICE_TYPE_FLOAT, SCALAR, &one));
    small_refused(COPPICE_LIMIT, "a range of");
}
END_TEST

/* ---- layouts ---- */

/* An image whose sizes are all different and odd. */
static int odd_image(void) {
    return small_weights("x", DIMS(2, 5, 7, 3));
}

START_TEST(elementwise_operators_work_channels_last) {
    static const struct {
        uint32_t rank;
        int64_t dims[4];
    } others[] = {{4, {2, 5, 7, 3}}, {4, {1, 5, 1, 1}}, {3, {5, 1, 1}},   {3, {5, 7, 3}},
                  {1, {3}},          {0, {0}},          {4, {2, 1, 7, 1}}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        small_begin(13);
        int x = odd_image(), y = small_weights("y", others[i].rank, others[i].dims);
        small_node("Sub", 2, i % 2 ? x : y, i % 2 ? y : x);
        expect_layout_agrees(COP_LAYOUT_NHWC);
    }
    small_begin(13);
    small_node("Sigmoid", 1, odd_image());
    expect_layout_agrees(COP_LAYOUT_NHWC);
    small_begin(13);
    small_node("PRelu", 2, odd_image(), small_weights("s", DIMS(5, 1, 1)));
    expect_layout_agrees(COP_LAYOUT_NHWC);
}
END_TEST

START_TEST(batchnorm_concat_and_pooling_work_channels_last) {
    small_begin(13);
    int c = small_weights("c", DIMS(5));
    small_node("BatchNormalization", 5, odd_image(), c, c, c, small_node("Abs", 1, c));
    expect_layout_agrees(COP_LAYOUT_NHWC);
    for (int64_t axis = 0; axis < 4; axis++) {
        int64_t dims[] = {2, 5, 7, 3};
        dims[axis] = 1;
        small_begin(13);
        small_node("Concat", 2, odd_image(), small_weights("y", 4, dims));
        small_attr("axis", axis);
        expect_layout_agrees(COP_LAYOUT_NHWC);
    }
    static const char *const pools[] = {"MaxPool", "AveragePool"};
    for (int i = 0; i < 4; i++) {
        small_begin(13);
        small_node(pools[i % 2], 1, odd_image());
        small_attr_ints("kernel_shape", LIST(3, 2));
        small_attr_ints("strides", LIST(2, 1));
        small_attr_ints("pads", LIST(1, 0, 2, 1));
        if (i % 2)
            small_attr("count_include_pad", i / 2);
        expect_layout_agrees(COP_LAYOUT_NHWC);
    }
    static const char *const globals[] = {"GlobalMaxPool", "GlobalAveragePool"};
    for (int i = 0; i < 2; i++) {
        small_begin(13);
        small_node(globals[i], 1, odd_image());
        expect_layout_agrees(COP_LAYOUT_NHWC);
    }
}
END_TEST

/* ---- the table ---- */

START_TEST(operator_list_names_every_row) {
    const coppice_operator_info *info = coppice_operators();
    size_t rows = 0;
    for (; info[rows].op; rows++) {
        ck_assert_int_gt(info[rows].min_opset, 0);
        ck_assert_int_gt((int)strlen(info[rows].types), 0);
    }
    size_t wanted = 0;
    while (cop_op_rows()[wanted])
        wanted++;
    ck_assert_uint_eq(rows, wanted);
    ck_assert_ptr_eq(cop_op_find("", "Clip", 6), cop_op_find("ai.onnx", "Clip", 10));
    ck_assert_ptr_ne(cop_op_find("", "Clip", 10), cop_op_find("", "Clip", 11));
    ck_assert_ptr_null(cop_op_find("com.microsoft", "Clip", 11));
}
END_TEST

START_TEST(rows_of_one_operator_do_not_overlap) {
    for (const cop_op *const *row = cop_op_rows(); row[0] && row[1]; row++) {
        const cop_op *a = row[0], *b = row[1];
        if (strcmp(a->name, b->name) == 0)
            ck_assert_msg(a->until > 0 && b->since == a->until + 1, "rows of %s", a->name);
    }
}
END_TEST

/* Going through all of the 2^62 taps would run into the time limit. */
START_TEST(a_window_that_is_mostly_padding_costs_no_time) {
    const int64_t far = 1 << 30;
    float data[16];
    coppice_tensor in = {COPPICE_TYPE_FLOAT, 4, {1, 1, 4, 4}, data};
    for (int i = 0; i < 16; i++)
        data[i] = (float)i;
    small_begin(13);
    small_output(small_node("MaxPool", 1, small_input("x", COPPICE_TYPE_FLOAT, DIMS(1, 1, 4, 4))));
    small_attr_ints("kernel_shape", LIST(2 * far - 1, 2 * far - 1));
    small_attr_ints("pads", LIST(far, far, far, far));
    ck_assert_int_eq(cop_graph_connect(small_graph, &small_error), COPPICE_OK);
    ck_assert_int_eq(interpreter_run(&small_it, small_graph, &in, 1, &small_error), COPPICE_OK);
    const coppice_tensor *out = &small_it.shapes.values[small_graph->outputs[0]].t;
    ck_assert_int_eq(coppice_tensor_count(out), 36);
    for (int i = 0; i < 36; i++)
        ck_assert_float_eq(((float *)out->data)[i], 15);
    small_end();
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("ops");
    tcase_add_test(tests, conv_refuses_attributes_that_make_no_sense);
    tcase_add_test(tests, conv_refuses_groups_and_operands_that_do_not_fit);
    tcase_add_test(tests, pooling_refuses_padding_as_large_as_the_window);
    tcase_add_test(tests, ceil_mode_drops_windows_that_start_behind_the_input);
    tcase_add_test(tests, integer_division_by_zero_is_refused_and_by_minus_one_wraps);
    tcase_add_test(tests, integer_arithmetic_wraps_around);
    tcase_add_test(tests, casts_out_of_range_are_defined);
    tcase_add_test(tests, shapes_that_do_not_broadcast_are_refused);
    tcase_add_test(tests, legacy_broadcast_follows_the_axis);
    tcase_add_test(tests, reshape_refuses_what_does_not_add_up);
    tcase_add_test(tests, transpose_refuses_what_is_no_permutation);
    tcase_add_test(tests, transpose_of_sixteen_dims_moves_every_element);
    tcase_add_test(tests, slice_follows_the_standard_at_extreme_bounds);
    tcase_add_test(tests, data_movement_refuses_shapes_that_do_not_fit);
    tcase_add_test(tests, gather_refuses_indices_outside);
    tcase_add_test(tests, pad_refuses_sizes_that_overflow_or_reflect_too_far);
    tcase_add_test(tests, ranges_refuse_what_never_ends);
    tcase_add_test(tests, elementwise_operators_work_channels_last);
    tcase_add_test(tests, batchnorm_concat_and_pooling_work_channels_last);
    tcase_add_test(tests, operator_list_names_every_row);
    tcase_add_test(tests, rows_of_one_operator_do_not_overlap);
    tcase_add_test(tests, a_window_that_is_mostly_padding_costs_no_time);
    return unit_run("ops", tests);
}
