/* Operators in tiles compute what they compute in the plain layout, whatever lies behind the last
 * position. */
#include "in_tiles.h"
#include "runtime/conv.h"
#include "unit.h"

static const cop_layout both[] = {COP_LAYOUT_TILES, COP_LAYOUT_TOKEN_TILES};

/* ---- images ---- */

typedef struct shape {
    uint32_t rank;
    int64_t dims[5];
} shape;

/* One channel; seven by seven; a number of positions that is no multiple of 16; several images, of
 * one pixel too; a tile of several rows; rows of several tiles; one spatial dimension, and three.
 */
static const shape images[] = {{4, {1, 1, 7, 7}},  {4, {1, 5, 7, 7}},    {4, {2, 3, 7, 3}},
                               {4, {3, 20, 1, 1}}, {4, {1, 4, 16, 24}},  {4, {2, 2, 3, 150}},
                               {3, {2, 3, 40}},    {5, {1, 3, 3, 4, 5}}, {4, {40, 2, 3, 3}}};
enum { IMAGES = sizeof images / sizeof images[0] };

static int image(int i) {
    return small_weights("x", images[i].rank, images[i].dims);
}

START_TEST(maps_work_in_tiles) {
    static const char *const ops[] = {"Relu", "Sigmoid", "Abs", "Exp",       "Identity",
                                      "Neg",  "Sin",     "Erf", "LeakyRelu", "HardSwish"};
    for (int i = 0; i < IMAGES; i++) {
        for (size_t k = 0; k < 2 * sizeof ops / sizeof ops[0]; k++) {
            if (!strcmp(ops[k / 2], "Identity"))
                continue;
            small_begin(20);
            small_node(ops[k / 2], 1, image(i));
            expect_layout_agrees(both[k % 2]);
        }
        for (int l = 0; l < 2; l++) {
            const float low = -0.25f, high = 0.5f;
            small_begin(13);
            small_node("Clip", 3, image(i), small_constant("l", COPPICE_TYPE_FLOAT, SCALAR, &low),
                       small_constant("h", COPPICE_TYPE_FLOAT, SCALAR, &high));
            expect_layout_agrees(both[l]);
            small_begin(13);
            small_node("Cast", 1, image(i));
            small_attr("to", COPPICE_TYPE_FLOAT);
            expect_layout_agrees(both[l]);
            small_begin(13);
            small_node("Cast", 1, image(i));
            small_attr("to", COPPICE_TYPE_FLOAT16);
            expect_layout_agrees(both[l]);
        }
    }
}
END_TEST

/* What image i is combined with: case k of OTHERS. */
static int other(int i, int k) {
    const shape *s = &images[i];
    shape o = *s;
    for (uint32_t d = 0; d < o.rank; d++) {
        bool keep[] = {true,   d == 1, d <= 1,          d != 1, d >= 2,
                       d != 0, d == 0, d == o.rank - 1, false};
        o.dims[d] = keep[k % 9] ? s->dims[d] : 1;
    }
    uint32_t cut = k < 9 ? 0 : k % 9 == 4 ? 2 : k % 9 == 7 ? o.rank - 1 : k % 9 == 8 ? o.rank : 1;
    if (k >= 9 && (k % 9 == 0 || k % 9 == 2 || k % 9 == 3 || k % 9 == 6)) /* dim 0 is needed */
        cut = 0;
    return small_weights("y", o.rank - cut, o.dims + cut);
}
enum { OTHERS = 18 };

START_TEST(operands_of_all_shapes_meet_in_tiles) {
    for (int l = 0; l < 2; l++) {
        for (int i = 0; i < IMAGES; i++) {
            for (int k = 0; k < OTHERS; k++) {
                small_begin(13);
                int x = image(i), y = other(i, k);
                small_node("Sub", 2, k % 2 ? x : y, k % 2 ? y : x);
                expect_layout_agrees(both[l]);
                small_begin(13);
                small_node("Max", 4, other(i, (k + 1) % OTHERS), image(i), other(i, k), image(i));
                expect_layout_agrees(both[l]);
                small_begin(13);
                small_node("PRelu", 2, image(i), other(i, k));
                expect_layout_agrees(both[l]);
                small_begin(13);
                small_node("Where", 3,
                           small_node("Greater", 2, other(i, k), small_weights("z", SCALAR)),
                           other(i, (k + 3) % OTHERS), image(i));
                expect_layout_agrees(both[l]);
                small_begin(13);
                small_node("Mean", 3, image(i), other(i, k), image(i));
                expect_layout_agrees(both[l]);
            }
        }
    }
}
END_TEST

START_TEST(operands_that_both_repeat_meet_in_tiles) {
    for (int l = 0; l < 2; l++) {
        small_begin(13);
        small_node("Add", 2, small_weights("x", DIMS(2, 1, 7, 5)),
                   small_weights("y", DIMS(1, 3, 7, 1)));
        expect_layout_agrees(both[l]);
        small_begin(13);
        small_node("Mul", 2, small_weights("x", DIMS(2, 3, 1, 1)),
                   small_weights("y", DIMS(2, 1, 9, 4)));
        expect_layout_agrees(both[l]);
    }
}
END_TEST

START_TEST(truths_are_not_made_in_tiles) {
    small_begin(13);
    small_node("IsNaN", 1, image(1));
    ck_assert(!agrees(COP_LAYOUT_TILES));
    small_begin(13);
    small_node("Less", 2, image(1), image(1));
    ck_assert(!agrees(COP_LAYOUT_TILES));
}
END_TEST

START_TEST(fixed_batchnorm_works_in_tiles) {
    for (int i = 0; i < 2 * IMAGES; i++) {
        small_begin(13);
        int c = small_weights("c", 1, &images[i / 2].dims[1]);
        small_node("BatchNormalization", 5, image(i / 2), c, c, c, small_node("Abs", 1, c));
        if (i % 2) {
            small_attr_float("activation_min", -0.5f);
            small_attr_float("activation_max", 0.75f);
        }
        expect_layout_agrees(COP_LAYOUT_TILES);
    }
}
END_TEST

/* Few channels and more than are done at once, in groups of few and of many, scales of channels and
 * (before opset 21) of groups. */
START_TEST(groups_are_normalized_in_tiles) {
    static const shape in[] = {{4, {2, 6, 7, 7}},   {4, {1, 70, 9, 5}},  {3, {3, 2, 40}},
                               {4, {1, 140, 3, 7}}, {4, {2, 4, 33, 37}}, {5, {1, 4, 3, 4, 5}}};
    for (int i = 0; i < 6 * 3; i++) {
        const shape *s = &in[i / 3];
        int64_t groups = 2, channels = s->dims[1], scales = i % 3 == 1 ? groups : channels;
        small_begin(i % 3 == 1 ? 18 : 21);
        int x = small_weights("x", s->rank, s->dims), scale = small_weights("s", 1, &scales);
        int bias = small_weights("b", 1, &scales);
        small_node(i % 3 ? "GroupNormalization" : "InstanceNormalization", 3, x, scale, bias);
        if (i % 3)
            small_attr("num_groups", groups);
        expect_layout_agrees(COP_LAYOUT_TILES);
    }
}
END_TEST

/* A factor for each channel, for each channel of each image, and others. */
START_TEST(factors_of_all_shapes_meet_in_tiles) {
    for (int i = 0; i < IMAGES * OTHERS; i++) {
        small_begin(13);
        int x = image(i / OTHERS), y = other(i / OTHERS, i % OTHERS);
        small_node("Mul", 2, i % 2 ? x : y, i % 2 ? y : x);
        expect_layout_agrees(COP_LAYOUT_TILES);
    }
}
END_TEST

/* ---- moving ---- */

START_TEST(concat_works_in_tiles_along_every_axis) {
    for (int l = 0; l < 2; l++) {
        for (int i = 0; i < IMAGES; i++) {
            for (uint32_t axis = 0; axis < images[i].rank; axis++) {
                shape one = images[i], none = images[i];
                one.dims[axis] = 1;
                none.dims[axis] = 0;
                small_begin(13);
                small_node("Concat", 4, small_weights("a", one.rank, one.dims), image(i),
                           small_weights("n", none.rank, none.dims),
                           small_weights("b", one.rank, one.dims));
                small_attr("axis", axis);
                expect_layout_agrees(both[l]);
            }
        }
    }
}
END_TEST

START_TEST(slices_work_in_tiles) {
    for (int l = 0; l < 2; l++) {
        for (int k = 0; k < 5; k++) {
            static const int64_t starts[][4] = {
                {0, 1, 0, 0}, {1, 0, 1, 2}, {0, 4, 5, 8}, {0, 0, 1, 1}, {1, 1, 6, 0}};
            static const int64_t ends[][4] = {
                {2, 4, 6, 9}, {2, 5, 5, 8}, {2, -9, -9, -9}, {2, 5, 6, 9}, {2, 5, 0, 9}};
            static const int64_t steps[][4] = {
                {1, 1, 1, 1}, {1, 1, 1, 1}, {1, -1, -1, -1}, {1, 2, 2, 2}, {1, 3, -2, 4}};
            small_begin(13);
            small_node("Slice", 5, small_weights("x", DIMS(2, 5, 6, 9)),
                       small_ints("s", 4, starts[k]), small_ints("e", 4, ends[k]),
                       small_ints("a", 4, (int64_t[]){0, 1, 2, 3}), small_ints("t", 4, steps[k]));
            expect_layout_agrees(both[l]);
        }
    }
}
END_TEST

/* ---- pooling ---- */

/* Windows of one and two dims, with strides, dilations, padding, and most of them padding. */
typedef struct window {
    int64_t kernel[2], strides[2], dilations[2], pads[4], ceil;
} window;

static const window windows[] = {
    {{3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, 0}, {{2, 2}, {2, 2}, {1, 1}, {0, 0, 0, 0}, 1},
    {{3, 2}, {1, 3}, {1, 1}, {2, 0, 1, 1}, 0}, {{5, 5}, {1, 1}, {1, 1}, {2, 2, 2, 2}, 0},
    {{1, 3}, {1, 2}, {1, 1}, {0, 2, 0, 1}, 1}, {{3, 3}, {1, 1}, {2, 3}, {4, 6, 4, 6}, 0},
    {{2, 3}, {3, 5}, {2, 1}, {1, 0, 2, 2}, 1},
};

static const shape pooled[] = {
    {4, {1, 1, 7, 7}},   {4, {2, 3, 7, 9}},    {4, {1, 5, 14, 14}}, {4, {3, 2, 5, 6}},
    {4, {1, 2, 40, 37}}, {4, {1, 2, 3, 1500}}, {4, {1, 1, 70, 81}}, {4, {2, 1, 4, 5000}},
};

static void pool_of(const char *op, int x, const window *w, int64_t pads_count) {
    small_node(op, 1, x);
    small_attr_ints("kernel_shape", 2, w->kernel);
    small_attr_ints("strides", 2, w->strides);
    small_attr_ints("dilations", 2, w->dilations);
    small_attr_ints("pads", 4, w->pads);
    small_attr("ceil_mode", w->ceil);
    if (pads_count >= 0)
        small_attr("count_include_pad", pads_count);
}

/* Sum or maximum under a window, in the order of the definition. */
static double under_window(const coppice_tensor *x, const window *w, size_t plane, int64_t oh,
                           int64_t ow, int include) {
    double result = include < 0 ? -INFINITY : 0;
    int64_t count = 0, h = x->dims[2], wide = x->dims[3];
    for (int64_t r = 0; r < w->kernel[0]; r++) {
        for (int64_t s = 0; s < w->kernel[1]; s++) {
            int64_t y = oh * w->strides[0] - w->pads[0] + r * w->dilations[0];
            int64_t z = ow * w->strides[1] - w->pads[1] + s * w->dilations[1];
            bool in = y >= 0 && y < h && z >= 0 && z < wide;
            count += in || (include == 1 && y < h + w->pads[2] && z < wide + w->pads[3]);
            if (!in)
                continue;
            double v = (double)((const float *)x->data)[((int64_t)plane * h + y) * wide + z];
            result = include >= 0 ? result + v : v > result ? v : result;
        }
    }
    return include < 0 ? result : count ? result / (double)count : 0;
}

static void expect_pooled(const coppice_tensor *x, const coppice_tensor *y, const window *w,
                          int include) {
    int64_t rows = y->dims[2], columns = y->dims[3];
    for (int64_t i = 0; i < coppice_tensor_count(y); i++) {
        double want = under_window(x, w, (size_t)(i / columns / rows), i / columns % rows,
                                   i % columns, include);
        double got = (double)((const float *)y->data)[i];
        ck_assert_msg(want == got || fabs(want - got) < 1e-5, "%g, not %g", got, want);
    }
}

START_TEST(windows_of_all_kinds_pool_in_tiles_as_in_planes) {
    static const struct {
        const char *op;
        int include;
    } ops[] = {{"MaxPool", -1}, {"AveragePool", 0}, {"AveragePool", 1}};
    for (size_t i = 0; i < sizeof pooled / sizeof pooled[0]; i++) {
        for (size_t k = 0; k < 3 * sizeof windows / sizeof windows[0]; k++) {
            const window *w = &windows[k / 3];
            if (pooled[i].dims[2] + w->pads[0] + w->pads[2] <
                (w->kernel[0] - 1) * w->dilations[0] + 1)
                continue;
            small_begin(19);
            int x = small_weights("x", pooled[i].rank, pooled[i].dims);
            pool_of(ops[k % 3].op, x, w, ops[k % 3].include);
            small_inferred();
            expect_pooled(small_tensor(x), small_tensor(small_last()->outputs[0]), w,
                          ops[k % 3].include);
            expect_layout_agrees(COP_LAYOUT_TILES);
        }
    }
}
END_TEST

START_TEST(a_nan_goes_through_pooling) {
    float data[2 * 20 * 20];
    for (int i = 0; i < 800; i++)
        data[i] = (float)(i * 37 % 101);
    data[7 * 20 + 11] = NAN;
    small_begin(19);
    int x = small_constant("x", COPPICE_TYPE_FLOAT, DIMS(1, 2, 20, 20), data);
    pool_of("MaxPool", x, &windows[0], -1);
    small_inferred();
    const coppice_tensor *y = small_tensor(small_last()->outputs[0]);
    for (int i = 0; i < 200; i++) {
        bool under =
            i / 10 % 10 >= 3 && i / 10 % 10 <= 4 && i / 100 == 0 && i % 10 >= 5 && i % 10 <= 6;
        ck_assert_int_eq(isnan(((float *)y->data)[i]) != 0, under && i / 10 <= 4);
    }
    small_end();
}
END_TEST

START_TEST(volumes_pool_in_tiles) {
    static const char *const ops[] = {"MaxPool", "AveragePool"};
    for (int i = 0; i < 2; i++) {
        small_begin(13);
        small_node(ops[i], 1, small_weights("x", DIMS(2, 3, 5, 6, 7)));
        small_attr_ints("kernel_shape", LIST(3, 2, 3));
        small_attr_ints("strides", LIST(2, 1, 2));
        small_attr_ints("pads", LIST(1, 0, 1, 1, 1, 0));
        expect_layout_agrees(COP_LAYOUT_TILES);
        small_begin(13);
        small_node(ops[i], 1, small_weights("x", DIMS(2, 3, 35)));
        small_attr_ints("kernel_shape", LIST(3));
        expect_layout_agrees(COP_LAYOUT_TILES);
    }
}
END_TEST

START_TEST(whole_planes_pool_in_tiles) {
    static const char *const ops[] = {"GlobalMaxPool", "GlobalAveragePool"};
    for (int i = 0; i < 2 * IMAGES; i++) {
        small_begin(13);
        small_node(ops[i % 2], 1, image(i / 2));
        expect_layout_agrees(COP_LAYOUT_TILES);
    }
}
END_TEST

/* More channels than are summed at once, more tiles than are summed in float, images that begin and
 * end within a tile; with the loops of every instruction set. */
START_TEST(means_of_large_planes_are_exact_in_tiles) {
    static const coppice_isa isas[] = {COPPICE_ISA_SCALAR, COPPICE_ISA_AVX2, COPPICE_ISA_AVX512,
                                       COPPICE_ISA_NEON};
    static const char *const ops[] = {"GlobalAveragePool", "ReduceMean"};
    for (int i = 0; i < 8; i++) {
        if (!cop_isa_available(isas[i / 2]))
            continue;
        in_tiles_isa = isas[i / 2];
        small_begin(18);
        small_node(ops[i % 2], 1, small_weights("x", DIMS(2, 67, 33, 37)));
        if (i % 2)
            small_attr_ints("axes", LIST(2, 3));
        expect_layout_agrees(COP_LAYOUT_TILES);
    }
    in_tiles_isa = COPPICE_ISA_SCALAR;
}
END_TEST

START_TEST(sums_means_and_maxima_are_made_in_tiles) {
    static const char *const ops[] = {"ReduceMean", "ReduceMax", "ReduceSum"};
    static const struct {
        int count;
        int64_t axes[3];
        int offered; /* bit by layout: tiles, token tiles */
    } cases[] = {{2, {2, 3}, 1},   {1, {1}, 1 | 2}, {3, {0, 2, 3}, 1}, {1, {3}, 1 | 2},
                 {1, {-1}, 1 | 2}, {2, {1, 2}, 2},  {2, {0, 1}, 0}};
    static const shape in[] = {{4, {2, 3, 7, 5}}, {4, {1, 70, 7, 7}}, {4, {3, 1, 12, 30}}};
    for (int i = 0; i < 3 * 7 * 2 * 3; i++) {
        int k = i / 3 % 7, keep = i / 21 % 2;
        for (int l = 0; l < 2; l++) {
            if (!(cases[k].offered >> l & 1) || (k == 3 && l == 0 && !keep) ||
                (k == 4 && l == 0 && !keep) || (k == 1 && l == 1))
                continue;
            small_begin(11);
            small_node(ops[i % 3], 1, small_weights("x", in[i / 42].rank, in[i / 42].dims));
            small_attr_ints("axes", cases[k].count, cases[k].axes);
            small_attr("keepdims", keep);
            expect_layout_agrees(both[l]);
        }
    }
}
END_TEST

START_TEST(reductions_that_are_not_even_stay_plain) {
    small_begin(13);
    small_node("ReduceMean", 1, image(1));
    small_attr_ints("axes", LIST(1, 2));
    ck_assert(!agrees(COP_LAYOUT_TILES));
    small_begin(13);
    small_node("ReduceMean", 1, small_weights("x", DIMS(2, 3, 4, 5)));
    small_attr_ints("axes", LIST(0));
    ck_assert(!agrees(COP_LAYOUT_TILES));
    small_begin(13);
    small_node("ReduceMean", 1, small_weights("x", DIMS(2, 3, 4, 5)));
    small_attr_ints("axes", LIST(3));
    small_attr("keepdims", 0);
    ck_assert(!agrees(COP_LAYOUT_TILES));
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("ops in tiles");
    tcase_add_test(tests, maps_work_in_tiles);
    tcase_add_test(tests, operands_of_all_shapes_meet_in_tiles);
    tcase_add_test(tests, operands_that_both_repeat_meet_in_tiles);
    tcase_add_test(tests, truths_are_not_made_in_tiles);
    tcase_add_test(tests, fixed_batchnorm_works_in_tiles);
    tcase_add_test(tests, groups_are_normalized_in_tiles);
    tcase_add_test(tests, factors_of_all_shapes_meet_in_tiles);
    tcase_add_test(tests, concat_works_in_tiles_along_every_axis);
    tcase_add_test(tests, slices_work_in_tiles);
    tcase_add_test(tests, windows_of_all_kinds_pool_in_tiles_as_in_planes);
    tcase_add_test(tests, a_nan_goes_through_pooling);
    tcase_add_test(tests, volumes_pool_in_tiles);
    tcase_add_test(tests, whole_planes_pool_in_tiles);
    tcase_add_test(tests, means_of_large_planes_are_exact_in_tiles);
    tcase_add_test(tests, sums_means_and_maxima_are_made_in_tiles);
    tcase_add_test(tests, reductions_that_are_not_even_stay_plain);
    return unit_run("ops_tiles", tests);
}
