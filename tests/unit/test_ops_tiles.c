/* Operators in tiles compute what they compute in the plain layout, whatever lies behind the last
 * position. */
#include "in_tiles.h"
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
            expect_agrees(both[k % 2]);
        }
        for (int l = 0; l < 2; l++) {
            const float low = -0.25f, high = 0.5f;
            small_begin(13);
            small_node("Clip", 3, image(i), small_constant("l", COPPICE_TYPE_FLOAT, SCALAR, &low),
                       small_constant("h", COPPICE_TYPE_FLOAT, SCALAR, &high));
            expect_agrees(both[l]);
            small_begin(13);
            small_node("Cast", 1, image(i));
            small_attr("to", COPPICE_TYPE_FLOAT);
            expect_agrees(both[l]);
            small_begin(13);
            small_node("Cast", 1, image(i));
            small_attr("to", COPPICE_TYPE_FLOAT16);
            expect_agrees(both[l]);
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
                expect_agrees(both[l]);
                small_begin(13);
                small_node("Max", 4, other(i, (k + 1) % OTHERS), image(i), other(i, k), image(i));
                expect_agrees(both[l]);
                small_begin(13);
                small_node("PRelu", 2, image(i), other(i, k));
                expect_agrees(both[l]);
                small_begin(13);
                small_node("Where", 3,
                           small_node("Greater", 2, other(i, k), small_weights("z", SCALAR)),
                           other(i, (k + 3) % OTHERS), image(i));
                expect_agrees(both[l]);
                small_begin(13);
                small_node("Mean", 3, image(i), other(i, k), image(i));
                expect_agrees(both[l]);
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
        expect_agrees(both[l]);
        small_begin(13);
        small_node("Mul", 2, small_weights("x", DIMS(2, 3, 1, 1)),
                   small_weights("y", DIMS(2, 1, 9, 4)));
        expect_agrees(both[l]);
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
    for (int i = 0; i < IMAGES; i++) {
        small_begin(13);
        int c = small_weights("c", 1, &images[i].dims[1]);
        small_node("BatchNormalization", 5, image(i), c, c, c, small_node("Abs", 1, c));
        expect_agrees(COP_LAYOUT_TILES);
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
                expect_agrees(both[l]);
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
            expect_agrees(both[l]);
        }
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("ops in tiles");
    tcase_add_test(tests, maps_work_in_tiles);
    tcase_add_test(tests, operands_of_all_shapes_meet_in_tiles);
    tcase_add_test(tests, operands_that_both_repeat_meet_in_tiles);
    tcase_add_test(tests, truths_are_not_made_in_tiles);
    tcase_add_test(tests, fixed_batchnorm_works_in_tiles);
    tcase_add_test(tests, concat_works_in_tiles_along_every_axis);
    tcase_add_test(tests, slices_work_in_tiles);
    return unit_run("ops_tiles", tests);
}
