/* Operators in tiles compute what they compute in the plain layout, whatever lies behind the last
 * position. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/kernels/kernels.h"
#include "runtime/layout.h"
#include "runtime/ops/util.h"
#include "small_graph.h"
#include "unit.h"

static const cop_layout both[] = {COP_LAYOUT_TILES, COP_LAYOUT_TOKEN_TILES};

/* Memory for a tensor in `layout`, every byte of it part of a NaN. */
static cop_operand poisoned(const coppice_tensor *t, cop_layout layout) {
    bool fits = cop_layout_fits(layout, t);
    cop_operand out = {.t = *t, .layout = fits ? layout : COP_LAYOUT_PLAIN};
    size_t bytes = ((size_t)cop_layout_bytes(t, out.layout) + 127) / 64 * 64;
    out.t.data = aligned_alloc(64, bytes);
    memset(out.t.data, 0xff, bytes);
    return out;
}

/* The same tensor in `layout`, with NaN behind the last position. */
static cop_operand in_tiles(const cop_operand *plain, cop_layout layout) {
    cop_operand out = poisoned(&plain->t, layout);
    cop_layout_convert(plain, &out, NULL);
    if (!cop_layout_is_tiles(out.layout))
        return out;
    cop_tiles tiles = cop_tiles_of(&out.t, out.layout);
    float *data = out.t.data;
    for (size_t q = tiles.positions; q < tiles.count * tiles.tile; q++)
        for (size_t c = 0; c < tiles.channels; c++)
            data[(q / tiles.tile * tiles.channels + c) * tiles.tile + q % tiles.tile] = NAN;
    return out;
}

static void expect_near(const char *op, const cop_operand *want, cop_operand *got) {
    cop_operand plain = {.t = got->t};
    size_t bytes = (size_t)coppice_tensor_bytes(&got->t);
    plain.t.data = calloc(bytes + 1, 1);
    cop_layout_convert(got, &plain, NULL);
    const float *a = plain.t.data, *b = want->t.data;
    bool floats = got->t.type == COPPICE_TYPE_FLOAT;
    for (size_t i = 0; floats && i < bytes / 4; i++)
        ck_assert_msg(fabsf(a[i] - b[i]) <= 1e-5f * (1 + fabsf(b[i])),
                      "%s in %s: element %zu is %g, not %g", op, cop_layout_name(got->layout), i,
                      (double)a[i], (double)b[i]);
    ck_assert(floats || memcmp(a, b, bytes) == 0);
    free(plain.t.data);
    free(got->t.data);
}

/* Runs the last node, all of whose inputs are constant, in `layout` and compares with what folding
 * computed in the plain one. False: the operator does not offer the layout. */
static bool agrees(cop_layout layout) {
    enum { MOST = 8 };
    ck_assert_msg(small_infer() == COPPICE_OK, "%s", small_error.message);
    size_t index = small_graph->node_count - 1;
    const cop_node *node = &small_graph->nodes[index];
    const cop_op *op = small_it.shapes.ops[index];
    cop_operand copies[MOST], out[MOST];
    const cop_operand *in[MOST] = {0};
    cop_call call = {.graph = small_graph,
                     .node = node,
                     .opset = small_graph->opsets[0].version,
                     .params = small_it.shapes.params[index],
                     .in = in,
                     .out = out,
                     .kernels = cop_kernels_of(COPPICE_ISA_SCALAR),
                     .err = &small_error};
    for (int i = 0; i < node->input_count; i++)
        in[i] = node->inputs[i] < 0 ? NULL : &small_it.shapes.values[node->inputs[i]];
    for (int i = 0; i < node->output_count; i++)
        out[i] = small_it.shapes.values[node->outputs[i]];
    bool offered = op->layouts && (op->layouts(&call) >> layout & 1);
    uint32_t rank = out[0].t.rank > in[0]->t.rank ? out[0].t.rank : in[0]->t.rank;
    for (int i = 0; offered && i < node->input_count; i++) {
        if (in[i])
            copies[i] = in_tiles(in[i], in[i]->t.rank == rank ? layout : COP_LAYOUT_PLAIN);
        in[i] = in[i] ? &copies[i] : NULL;
    }
    for (int i = 0; offered && i < node->output_count; i++)
        out[i] = poisoned(&out[i].t, out[i].t.rank == rank ? layout : COP_LAYOUT_PLAIN);
    if (offered) {
        call.scratch = op->scratch ? malloc(op->scratch(&call) + 64) : NULL;
        ck_assert_msg(op->run(&call) == COPPICE_OK, "%s", small_error.message);
        for (int i = 0; i < node->output_count; i++)
            expect_near(node->op, &small_it.shapes.values[node->outputs[i]], &out[i]);
        for (int i = 0; i < node->input_count; i++)
            free(in[i] ? copies[i].t.data : NULL);
        free(call.scratch);
    }
    small_end();
    return offered;
}

static void expect_agrees(cop_layout layout) {
    const char *op = small_graph->nodes[small_graph->node_count - 1].op;
    ck_assert_msg(agrees(layout), "%s does not work in %s", op, cop_layout_name(layout));
}

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
