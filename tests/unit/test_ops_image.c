/* Tests of operators on images: resizing, convolution backwards, sampling, pooling and its reverse,
 * blocks, normalization. What they compute is checked with ONNX's own tests and against other
 * runtimes; here: attributes and shapes that make no sense, and tensors without elements. */
#include <math.h>

#include "runtime/ops/util.h"
#include "small_numbers.h"
#include "unit.h"

enum { MAX_INPUTS = 5 };

/* A node whose float inputs have these shapes; a rank of 0 ends them. */
typedef struct bad_case {
    const char *op;
    int64_t opset;
    struct {
        uint32_t rank;
        int64_t dims[5];
    } inputs[MAX_INPUTS];
    const char *attr, *text; /* text NULL: `values`, or `value` when count is 0 */
    int count;
    int64_t values[6];
    const char *message;
} bad_case;

static void make(const bad_case *c) {
    int count = 0;
    small_begin(c->opset);
    for (; count < MAX_INPUTS && c->inputs[count].rank; count++) {
        char name[8];
        snprintf(name, sizeof name, "x%d", count);
        small_weights(name, c->inputs[count].rank, c->inputs[count].dims);
    }
    small_node(c->op, count, 0, 1, 2, 3, 4);
    if (c->attr && c->text)
        small_attr_string(c->attr, c->text);
    else if (c->attr && c->count)
        small_attr_ints(c->attr, c->count, c->values);
    else if (c->attr)
        small_attr(c->attr, c->values[0]);
}

static void all_refused(const bad_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        make(&cases[i]);
        coppice_status got = small_infer();
        ck_assert_msg(got == COPPICE_BAD_MODEL || got == COPPICE_BAD_DATA, "case %zu, %s: %s, %s",
                      i, cases[i].op, coppice_status_name(got), small_error.message);
        ck_assert_msg(strstr(small_error.message, cases[i].message), "case %zu, %s: %s", i,
                      cases[i].op, small_error.message);
        small_end();
    }
}

#define ALL(cases) cases, sizeof cases / sizeof cases[0]
#define X4                                                                                         \
    {                                                                                              \
        4, {                                                                                       \
            1, 4, 6, 6                                                                             \
        }                                                                                          \
    }

START_TEST(backward_convolution_refuses_what_does_not_fit) {
    static const bad_case cases[] = {
        {"ConvTranspose", 11, {X4, {4, {3, 2, 3, 3}}}, .message = "wants other channels"},
        {"ConvTranspose", 11, {X4, {3, {4, 2, 3}}}, .message = "expected 4 dimensions"},
        {"ConvTranspose", 11, {X4, {4, {4, 2, 3, 3}}, {1, {3}}}, .message = "the bias 'x2' is [3]"},
        {"ConvTranspose", 11, {X4, {4, {4, 2, 3, 3}}}, "group", NULL, 0, {0}, "'group' is 0"},
        {"ConvTranspose", 11, {X4, {4, {4, 2, 3, 3}}}, "group", NULL, 0, {3}, "3 groups"},
        {"ConvTranspose", 11, {X4, {4, {4, 2, 3, 3}}}, "strides", NULL, 2, {0, 1}, "holds 0"},
        {"ConvTranspose", 11, {X4, {4, {4, 2, 3, 3}}}, "strides", NULL, 2, {-1, 1}, "holds -1"},
        {"ConvTranspose", 11, {X4, {4, {4, 2, 3, 3}}}, "dilations", NULL, 2, {0, 1}, "holds 0"},
        {"ConvTranspose",
         11,
         {X4, {4, {4, 2, 3, 3}}},
         "pads",
         NULL,
         4,
         {4, 4, 5, 4},
         "dimension 2 of the output would have -1 elements"},
        {"ConvTranspose", 11, {X4, {4, {4, 2, 3, 3}}}, "pads", NULL, 4, {-1}, "holds -1"},
        {"ConvTranspose",
         11,
         {X4, {4, {4, 2, 3, 3}}},
         "output_padding",
         NULL,
         2,
         {-1, 0},
         "'output_padding' holds -1"},
        {"ConvTranspose",
         11,
         {X4, {4, {4, 2, 3, 3}}},
         "output_padding",
         NULL,
         1,
         {1},
         "1 spatial dimensions"},
        {"ConvTranspose",
         11,
         {X4, {4, {4, 2, 3, 3}}},
         "output_shape",
         NULL,
         2,
         {0, 9},
         "'output_shape' holds 0"},
        {"ConvTranspose",
         11,
         {X4, {4, {4, 2, 3, 3}}},
         "kernel_shape",
         NULL,
         2,
         {3, 4},
         "says 4 where the weight has 3"},
        {"DeformConv",
         19,
         {X4, {4, {2, 4, 3, 3}}, {4, {1, 17, 4, 4}}},
         .message = "expected [1,18,4,4]"},
        {"DeformConv", 19, {X4, {4, {2, 3, 3, 3}}, {4, {1, 18, 4, 4}}}, .message = "do not fit"},
        {"DeformConv",
         19,
         {X4, {4, {2, 4, 3, 3}}, {4, {1, 18, 4, 4}}},
         "offset_group",
         NULL,
         0,
         {3},
         "3 offset groups"},
        {"DeformConv", 19, {X4, {4, {2, 4, 7, 3}}, {4, {1, 18, 4, 4}}}, .message = "does not fit"},
        {"Col2Im",
         18,
         {{3, {1, 5, 5}}, {1, {2}}, {1, {2}}},
         .message = "input 1 ('x1') is float32"},
    };
    all_refused(ALL(cases));
}
END_TEST

START_TEST(resizing_refuses_what_makes_no_sense) {
    static const bad_case cases[] = {
        {"Resize", 10, {X4, {1, {3}}}, .message = "3 scales for 4 axes"},
        {"Resize", 10, {X4, {1, {4}}}, .message = "expected more than 0"},
        {"Resize", 10, {X4, {1, {4}}}, "mode", "cubic", .message = "from opset 11 on"},
        {"Resize", 19, {X4}, .message = "neither scales and sizes are given"},
        {"Resize", 19, {X4}, "mode", "area", .message = "attribute 'mode' is 'area'"},
        {"Resize", 19, {X4}, "nearest_mode", "up", .message = "attribute 'nearest_mode' is 'up'"},
        {"Resize", 19, {X4}, "antialias", NULL, 0, {2}, "'antialias' is 2"},
        {"Resize", 19, {X4}, "axes", NULL, 2, {1, 1}, "axis 1 is given twice"},
        {"Resize", 19, {X4}, "axes", NULL, 1, {4}, "axis 4 is not within"},
        {"Upsample", 7, {X4}, .message = "attribute 'scales'"},
        {"Upsample", 1, {X4}, .message = "a scale of 0"},
        {"Upsample", 1, {{3, {1, 4, 6}}}, .message = "4 scales for 3 axes"},
    };
    all_refused(ALL(cases));
    static const float tall[] = {1, 1, 1e30f, 1}, none[] = {1, 1, NAN, 1};
    static const int64_t sizes[] = {1, 4, -6, 6};
    small_begin(10);
    small_node("Resize", 2, small_weights("x", DIMS(1, 4, 6, 6)),
               small_constant("s", COPPICE_TYPE_FLOAT, DIMS(4), tall));
    small_refused(COPPICE_LIMIT, "a scale of 1e+30 for 6 elements");
    small_begin(10);
    small_node("Resize", 2, small_weights("x", DIMS(1, 4, 6, 6)),
               small_constant("s", COPPICE_TYPE_FLOAT, DIMS(4), none));
    small_refused(COPPICE_BAD_MODEL, "a scale of nan");
    small_begin(19);
    small_node("Resize", 4, small_weights("x", DIMS(1, 4, 6, 6)), -1, -1,
               small_ints("sizes", 4, sizes));
    small_refused(COPPICE_BAD_MODEL, "a size of -6 for 6 elements");
}
END_TEST

/* 5 elements times 0.7 are 3, not 3.5: the last of them lies on the last of the input. */
START_TEST(aligned_corners_stay_corners_at_any_scale) {
    static const double scale = 0.7, row[] = {0, 1, 2, 3, 4};
    static const char *const modes[] = {"linear", "cubic"};
    for (int i = 0; i < 2; i++) {
        small_begin(19);
        int y = small_node("Resize", 3, floats("x", 5, row), -1, floats("scales", 1, &scale));
        small_attr_string("mode", modes[i]);
        small_attr_string("coordinate_transformation_mode", "align_corners");
        expect_numbers(y, NUMBERS_OF(0, 2, 4));
    }
}
END_TEST

START_TEST(sampling_refuses_what_does_not_fit) {
    static const bad_case cases[] = {
        {"GridSample", 20, {X4, {4, {1, 2, 2, 3}}}, .message = "the grid 'x1' is [1,2,2,3]"},
        {"GridSample", 20, {X4, {4, {2, 2, 2, 2}}}, .message = "the grid 'x1' is [2,2,2,2]"},
        {"GridSample", 20, {{4, {1, 4, 0, 6}}, {4, {1, 2, 2, 2}}}, .message = "has no pixels"},
        {"GridSample", 20, {X4, {4, {1, 2, 2, 2}}}, "mode", "area", .message = "'mode' is 'area'"},
        {"GridSample", 20, {X4, {4, {1, 2, 2, 2}}}, "padding_mode", "wrap", .message = "is 'wrap'"},
        {"RoiAlign", 16, {X4, {2, {2, 5}}, {1, {2}}}, .message = "expected [regions,4]"},
        {"RoiAlign", 16, {X4, {2, {2, 4}}, {1, {2}}}, .message = "'x2' is float32"},
        {"RoiAlign", 16, {X4, {2, {2, 4}}, {1, {2}}}, "mode", "min", .message = "mode 'min'"},
        {"RoiAlign",
         16,
         {X4, {2, {2, 4}}, {1, {2}}},
         "output_height",
         NULL,
         0,
         {0},
         "output of 0x1"},
        {"RoiAlign",
         16,
         {X4, {2, {2, 4}}, {1, {2}}},
         "sampling_ratio",
         NULL,
         0,
         {-1},
         "ratio of -1"},
        {"MaxRoiPool", 1, {X4, {2, {2, 5}}}, .message = "'pooled_shape'"},
        {"MaxRoiPool",
         1,
         {X4, {2, {2, 5}}},
         "pooled_shape",
         NULL,
         2,
         {2, 0},
         "'pooled_shape' is [2,0]"},
        {"MaxRoiPool", 1, {X4, {2, {2, 5}}}, "pooled_shape", NULL, 2, {2, 2}, "is for image -0.78"},
        {"AffineGrid", 20, {{3, {1, 2, 3}}, {1, {4}}}, .message = "expected at most 5 integers"},
    };
    all_refused(ALL(cases));
    static const float regions[] = {0, 0, 3, 3, 0, 0, INFINITY, 3};
    static const int64_t images[] = {0, 1}, zeros[] = {0, 0};
    for (int i = 0; i < 2; i++) {
        small_begin(16);
        int x = small_weights("x", DIMS(1, 4, 6, 6));
        small_node("RoiAlign", 3, x, small_constant("r", COPPICE_TYPE_FLOAT, DIMS(2, 4), regions),
                   small_ints("b", 2, i ? zeros : images));
        small_refused(COPPICE_BAD_DATA,
                      i ? "region 1 is from 0,0 to inf,3" : "region 1 is for image 1 of 1");
    }
}
END_TEST

START_TEST(pooling_and_blocks_refuse_what_does_not_fit) {
    static const bad_case cases[] = {
        {"LpPool", 18, {X4}, .message = "'kernel_shape' is missing"},
        {"LpPool", 18, {X4}, "kernel_shape", NULL, 2, {7, 1}, "does not fit into 6"},
        {"LpPool", 18, {X4}, "kernel_shape", NULL, 2, {0, 1}, "holds 0"},
        {"LpPool", 18, {X4}, "p", NULL, 0, {0}, "'p' is 0"},
        {"GlobalLpPool", 2, {{2, {1, 4}}}, .message = "expected [N,C,...]"},
        {"MaxUnpool", 9, {X4, X4}, "kernel_shape", NULL, 2, {2, 2}, "'x1') has type float32"},
        {"DepthToSpace", 13, {X4}, .message = "'blocksize' is 0"},
        {"DepthToSpace", 13, {X4}, "blocksize", NULL, 0, {-2}, "'blocksize' is -2"},
        {"DepthToSpace", 13, {X4}, "blocksize", NULL, 0, {3}, "no blocks of 3x3"},
        {"DepthToSpace", 13, {{3, {1, 4, 6}}}, "blocksize", NULL, 0, {2}, "expected 4 dimensions"},
        {"SpaceToDepth", 13, {X4}, "blocksize", NULL, 0, {4}, "blocks of 4x4"},
        {"SpaceToDepth", 28, {X4}, "mode", "RGB", .message = "'mode' is 'RGB'"},
        {"CenterCropPad", 18, {X4, {1, {4}}}, .message = "('x1') is float32"},
    };
    all_refused(ALL(cases));
    static const int64_t places[] = {0, 5, 16, 10}, negative[] = {0, 5, -1, 10};
    for (int i = 0; i < 2; i++) {
        small_begin(11);
        int x = small_weights("x", DIMS(1, 1, 2, 2));
        small_node(
            "MaxUnpool", 2, x,
            small_constant("i", COPPICE_TYPE_INT64, DIMS(1, 1, 2, 2), i ? negative : places));
        small_attr_ints("kernel_shape", LIST(2, 2));
        small_attr_ints("strides", LIST(2, 2));
        small_refused(COPPICE_BAD_DATA, i ? "index -1 at 2 of 'i'" : "index 16 at 2 of 'i'");
    }
    small_begin(18);
    int x = small_weights("x", DIMS(1, 5, 5));
    small_node("Col2Im", 3, x, small_ints("image", LIST(5, 5)), small_ints("block", LIST(1, 6)));
    small_refused(COPPICE_BAD_MODEL, "a block of 6 does not fit into 5");
    small_begin(18);
    x = small_weights("x", DIMS(1, 5, 6));
    small_node("Col2Im", 3, x, small_ints("image", LIST(5, 5)), small_ints("block", LIST(1, 5)));
    small_refused(COPPICE_BAD_MODEL, "expected [N, C * 5, 5]");
}
END_TEST

START_TEST(normalization_refuses_what_does_not_fit) {
    static const bad_case cases[] = {
        {"LayerNormalization", 17, {X4, {1, {5}}}, .message = "do not broadcast"},
        {"LayerNormalization", 17, {X4, {5, {2, 1, 1, 1, 6}}}, .message = "does not spread"},
        {"LayerNormalization", 17, {X4, {1, {6}}}, "axis", NULL, 0, {4}, "axis 4 is not within"},
        {"LayerNormalization", 17, {X4, {1, {6}}}, "stash_type", NULL, 0, {7}, "no float type"},
        {"RMSNormalization", 23, {X4, {1, {6}}}, "axis", NULL, 0, {-5}, "axis -5 is not within"},
        {"GroupNormalization", 21, {X4, {1, {4}}, {1, {4}}}, .message = "'num_groups' is missing"},
        {"GroupNormalization",
         21,
         {X4, {1, {4}}, {1, {4}}},
         "num_groups",
         NULL,
         0,
         {3},
         "3 groups"},
        {"GroupNormalization",
         21,
         {X4, {1, {2}}, {1, {2}}},
         "num_groups",
         NULL,
         0,
         {2},
         "expected [4]"},
        {"GroupNormalization",
         18,
         {X4, {1, {4}}, {1, {4}}},
         "num_groups",
         NULL,
         0,
         {2},
         "expected [2]"},
        {"InstanceNormalization", 6, {X4, {1, {3}}, {1, {4}}}, .message = "expected [4]"},
        {"InstanceNormalization",
         6,
         {{1, {4}}, {1, {4}}, {1, {4}}},
         .message = "expected [N,C,...]"},
        {"BatchNormalization",
         15,
         {X4, {1, {4}}, {1, {4}}, {1, {4}}, {1, {5}}},
         .message = "expected float32 [4]"},
        {"BatchNormalization",
         7,
         {X4, {1, {4}}, {1, {4}}, {1, {4}}, {1, {4}}},
         "spatial",
         NULL,
         0,
         {0},
         "expected float32 [4,6,6]"},
        {"LRN", 13, {X4}, .message = "'size' is 0"},
        {"LpNormalization", 1, {X4}, "p", NULL, 0, {3}, "'p' is 3"},
        {"LpNormalization", 1, {X4}, "axis", NULL, 0, {4}, "axis 4 is not within"},
        {"MeanVarianceNormalization", 13, {X4}, "axes", NULL, 2, {1, 5}, "axis 5 is not within"},
        {"MeanVarianceNormalization", 13, {{3, {1, 4, 6}}}, .message = "axis 3 is not within"},
    };
    all_refused(ALL(cases));
}
END_TEST

/* A batch of nothing goes through everything. */
START_TEST(images_without_elements_are_fine) {
    static const float scales[] = {1, 1, 2, 2};
    int64_t full[] = {0, 2, 4, 4};
    small_begin(21);
    int x = small_weights("x", DIMS(0, 2, 4, 4)), w = small_weights("w", DIMS(2, 2, 1, 1));
    int c = small_weights("c", DIMS(2)), g = small_weights("g", DIMS(0, 4, 4, 2));
    int s = small_constant("s", COPPICE_TYPE_FLOAT, DIMS(4), scales);
    int same[7];
    same[0] = small_node("Conv", 2, x, w);
    same[1] = small_node("ConvTranspose", 2, x, w);
    same[2] = small_node("InstanceNormalization", 3, x, c, c);
    same[3] = small_node("LayerNormalization", 2, x, small_weights("l", DIMS(4)));
    same[4] = small_node("LpNormalization", 1, x);
    same[5] = small_node("GridSample", 2, x, g);
    same[6] = small_node("MeanVarianceNormalization", 1, x);
    int large = small_node("Resize", 3, x, -1, s);
    int deep = small_node("SpaceToDepth", 1, x);
    small_attr("blocksize", 2);
    ck_assert_msg(small_infer() == COPPICE_OK, "%s", small_error.message);
    for (int i = 0; i < 7; i++)
        small_has_shape(same[i], 4, full);
    small_has_shape(large, DIMS(0, 2, 8, 8));
    small_has_shape(deep, DIMS(0, 8, 2, 2));
    small_end();
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("image");
    tcase_add_test(tests, backward_convolution_refuses_what_does_not_fit);
    tcase_add_test(tests, resizing_refuses_what_makes_no_sense);
    tcase_add_test(tests, aligned_corners_stay_corners_at_any_scale);
    tcase_add_test(tests, sampling_refuses_what_does_not_fit);
    tcase_add_test(tests, pooling_and_blocks_refuse_what_does_not_fit);
    tcase_add_test(tests, normalization_refuses_what_does_not_fit);
    tcase_add_test(tests, images_without_elements_are_fine);
    return unit_run("image", tests);
}
