/* Tests of runtime/layout.c: every change of layout moves each element to its place. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/layout.h"
#include "unit.h"

/* Element (n, c, p) of a tensor in `layout`; n, c, p as the layout's own picture has them. */
static size_t nhwc_index(const coppice_tensor *t, size_t n, size_t c, size_t p) {
    size_t pixels = (size_t)(t->dims[2] * t->dims[3]), channels = (size_t)t->dims[1];
    return (n * pixels + p) * channels + c;
}

static void check_image(int64_t n, int64_t c, int64_t h, int64_t w) {
    coppice_tensor t = {.type = COPPICE_TYPE_FLOAT, .rank = 4, .dims = {n, c, h, w}};
    size_t count = (size_t)(n * c * h * w), pixels = (size_t)(h * w);
    float *plain = malloc((count + 1) * sizeof *plain), *nhwc = malloc((count + 1) * sizeof *nhwc);
    float *back = malloc((count + 1) * sizeof *back);
    for (size_t i = 0; i < count; i++)
        plain[i] = (float)i;
    cop_operand from = {.t = t, .layout = COP_LAYOUT_PLAIN},
                to = {.t = t, .layout = COP_LAYOUT_NHWC}, again = from;
    from.t.data = plain;
    to.t.data = nhwc;
    again.t.data = back;
    cop_layout_convert(&from, &to, NULL);
    for (size_t i = 0; i < (size_t)n; i++) {
        for (size_t k = 0; k < (size_t)c; k++) {
            for (size_t p = 0; p < pixels; p++)
                ck_assert(nhwc[nhwc_index(&t, i, k, p)] == plain[(i * (size_t)c + k) * pixels + p]);
        }
    }
    cop_layout_convert(&to, &again, NULL);
    ck_assert_mem_eq(back, plain, count * sizeof *back);
    free(plain);
    free(nhwc);
    free(back);
}

START_TEST(images_survive_nhwc_and_back) {
    check_image(1, 1, 1, 1);
    check_image(2, 3, 5, 7);
    check_image(1, 17, 16, 33);
    check_image(3, 64, 7, 7);
    check_image(1, 3, 0, 4);
}
END_TEST

START_TEST(sequences_survive_nhwc_and_back) {
    float plain[2 * 3 * 5], nhwc[2 * 3 * 5], back[2 * 3 * 5];
    for (int i = 0; i < 30; i++)
        plain[i] = (float)i;
    coppice_tensor t = {.type = COPPICE_TYPE_FLOAT, .rank = 3, .dims = {2, 3, 5}};
    cop_operand from = {.t = t, .layout = COP_LAYOUT_PLAIN},
                to = {.t = t, .layout = COP_LAYOUT_NHWC}, again = from;
    from.t.data = plain;
    to.t.data = nhwc;
    again.t.data = back;
    ck_assert(cop_layout_fits(COP_LAYOUT_NHWC, &t));
    ck_assert(!cop_layout_same(&t, COP_LAYOUT_PLAIN, COP_LAYOUT_NHWC));
    cop_layout_convert(&from, &to, NULL);
    for (int n = 0; n < 2; n++) {
        for (int c = 0; c < 3; c++) {
            for (int p = 0; p < 5; p++)
                ck_assert(nhwc[(n * 5 + p) * 3 + c] == plain[(n * 3 + c) * 5 + p]);
        }
    }
    cop_layout_convert(&to, &again, NULL);
    ck_assert_mem_eq(back, plain, sizeof plain);
}
END_TEST

#define CHECK_ELEMENTS(ctype, id)                                                                  \
    do {                                                                                           \
        ctype from[2 * 19 * 35], to[2 * 19 * 35];                                                  \
        for (int i = 0; i < 2 * 19 * 35; i++)                                                      \
            from[i] = (ctype)i;                                                                    \
        coppice_tensor t = {.type = id, .rank = 3, .dims = {2, 19, 35}};                           \
        cop_operand a = {.t = t, .layout = COP_LAYOUT_PLAIN},                                      \
                    b = {.t = t, .layout = COP_LAYOUT_NHWC};                                       \
        a.t.data = from;                                                                           \
        b.t.data = to;                                                                             \
        cop_layout_convert(&a, &b, NULL);                                                          \
        for (int i = 0; i < 2 * 35; i++) {                                                         \
            for (int c = 0; c < 19; c++)                                                           \
                ck_assert(to[i * 19 + c] == from[(i / 35 * 19 + c) * 35 + i % 35]);                \
        }                                                                                          \
    } while (0)

START_TEST(every_element_size_is_transposed) {
    CHECK_ELEMENTS(uint8_t, COPPICE_TYPE_UINT8);
    CHECK_ELEMENTS(uint16_t, COPPICE_TYPE_FLOAT16);
    CHECK_ELEMENTS(float, COPPICE_TYPE_FLOAT);
    CHECK_ELEMENTS(double, COPPICE_TYPE_DOUBLE);
}
END_TEST

START_TEST(one_pixel_or_one_channel_is_the_same_in_both_layouts) {
    coppice_tensor pixel = {.type = COPPICE_TYPE_FLOAT, .rank = 4, .dims = {8, 100, 1, 1}};
    coppice_tensor channel = {.type = COPPICE_TYPE_FLOAT, .rank = 4, .dims = {8, 1, 9, 9}};
    coppice_tensor image = {.type = COPPICE_TYPE_FLOAT, .rank = 4, .dims = {1, 2, 9, 9}};
    ck_assert(cop_layout_same(&pixel, COP_LAYOUT_PLAIN, COP_LAYOUT_NHWC));
    ck_assert(cop_layout_same(&channel, COP_LAYOUT_NHWC, COP_LAYOUT_PLAIN));
    ck_assert(!cop_layout_same(&image, COP_LAYOUT_PLAIN, COP_LAYOUT_NHWC));
}
END_TEST

/* Goes to tiles and back. `image`: pixels of an image. */
static void check_tiles(coppice_tensor t, cop_layout layout, size_t image) {
    cop_tiles tiles = cop_tiles_of(&t, layout);
    size_t count = (size_t)coppice_tensor_count(&t), room = (size_t)cop_layout_bytes(&t, layout);
    float *plain = calloc(count, sizeof *plain), *back = calloc(count, sizeof *back);
    float *tiled = malloc(room);
    memset(tiled, 0xff, room);
    for (size_t i = 0; i < count; i++)
        plain[i] = (float)i;
    cop_operand from = {.t = t}, to = {.t = t, .layout = layout};
    from.t.data = plain;
    to.t.data = tiled;
    cop_layout_convert(&from, &to, NULL);
    ck_assert_uint_eq(tiles.positions * tiles.channels, count);
    for (size_t q = 0; q < tiles.count * tiles.tile; q++)
        for (size_t c = 0; c < tiles.channels; c++) {
            float got = tiled[(q / tiles.tile * tiles.channels + c) * tiles.tile + q % tiles.tile];
            size_t at = layout == COP_LAYOUT_TOKEN_TILES
                            ? q * tiles.channels + c
                            : (q / image * tiles.channels + c) * image + q % image;
            ck_assert(q >= tiles.positions ? got == 0 : got == plain[at]);
        }
    from.t.data = back;
    cop_layout_convert(&to, &from, NULL);
    ck_assert_mem_eq(back, plain, count * sizeof *plain);
    free(plain);
    free(back);
    free(tiled);
}

START_TEST(tiles_hold_every_position_of_the_batch) {
    coppice_tensor images = {.type = COPPICE_TYPE_FLOAT, .rank = 4, .dims = {3, 5, 7, 19}};
    coppice_tensor row = {.type = COPPICE_TYPE_FLOAT, .rank = 3, .dims = {1, 2, 130}};
    coppice_tensor tokens = {.type = COPPICE_TYPE_FLOAT, .rank = 3, .dims = {2, 67, 21}};
    check_tiles(images, COP_LAYOUT_TILES, 7 * 19);
    check_tiles(row, COP_LAYOUT_TILES, 130);
    check_tiles(tokens, COP_LAYOUT_TOKEN_TILES, 1);
}
END_TEST

START_TEST(one_position_and_other_types_have_no_tiles) {
    coppice_tensor pixel = {.type = COPPICE_TYPE_FLOAT, .rank = 4, .dims = {1, 100, 1, 1}};
    coppice_tensor ids = {.type = COPPICE_TYPE_INT64, .rank = 2, .dims = {4, 100}};
    ck_assert(!cop_layout_fits(COP_LAYOUT_TILES, &pixel));
    ck_assert(!cop_layout_fits(COP_LAYOUT_TOKEN_TILES, &ids));
    ck_assert(cop_layout_same(&pixel, COP_LAYOUT_PLAIN, COP_LAYOUT_TILES));
    pixel.dims[0] = 2;
    ck_assert(!cop_layout_same(&pixel, COP_LAYOUT_PLAIN, COP_LAYOUT_TILES));
}
END_TEST

enum { MOST_FLOATS = 4096 };

/* The bytes of floats that are numbered in the order of `t`'s source. */
static size_t bytes_of(const coppice_tensor *t, const float *plain, cop_layout layout, float *out) {
    cop_operand from = {.t = *t}, to = {.t = *t, .layout = layout};
    from.t.data = (void *)plain;
    to.t.data = out;
    ck_assert(cop_layout_bytes(t, layout) <= MOST_FLOATS * (int64_t)sizeof(float));
    cop_layout_convert(&from, &to, NULL);
    return (size_t)cop_layout_bytes(t, layout);
}

static void permute_floats(const coppice_tensor *in, const int *perm, coppice_tensor *out,
                           float *data) {
    size_t strides[4], count = (size_t)coppice_tensor_count(in);
    *out = *in;
    for (uint32_t d = in->rank, stride = 1; d-- > 0; stride *= (uint32_t)in->dims[d])
        strides[d] = stride;
    for (uint32_t d = 0; d < in->rank; d++)
        out->dims[d] = in->dims[perm[d]];
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        for (uint32_t d = out->rank, rest = (uint32_t)i; d-- > 0; rest /= (uint32_t)out->dims[d])
            at += rest % (size_t)out->dims[d] * strides[perm[d]];
        data[i] = (float)(at + 1);
    }
}

/* For each pair of layouts: said to be the same exactly where they are. How often. */
static int check_same_moved(const coppice_tensor *in, const coppice_tensor *out, const int *perm,
                            const float *moved) {
    static float numbers[MOST_FLOATS], a[MOST_FLOATS], b[MOST_FLOATS];
    int same = 0;
    for (int i = 0; i < MOST_FLOATS; i++)
        numbers[i] = (float)(i + 1);
    for (int k = 0; k < COP_LAYOUT_COUNT * COP_LAYOUT_COUNT; k++) {
        cop_layout la = (cop_layout)(k / COP_LAYOUT_COUNT), lb = (cop_layout)(k % COP_LAYOUT_COUNT);
        bool said = cop_layout_same_moved(in, la, perm, out, lb);
        if (!cop_layout_fits(la, in) || !cop_layout_fits(lb, out)) {
            ck_assert(!said);
            continue;
        }
        size_t bytes = bytes_of(in, numbers, la, a);
        bool is = bytes == bytes_of(out, moved, lb, b) && memcmp(a, b, bytes) == 0;
        bool mixed = cop_layout_is_tiles(la) != cop_layout_is_tiles(lb) || (!perm && la != lb);
        ck_assert_msg(mixed ? is || !said : said == is, "%s and %s", cop_layout_name(la),
                      cop_layout_name(lb));
        same += said;
    }
    return same;
}

START_TEST(moved_values_that_are_the_same_bytes_are_known) {
    static const coppice_tensor inputs[] = {
        {.type = COPPICE_TYPE_FLOAT, .rank = 4, .dims = {2, 3, 5, 7}},
        {.type = COPPICE_TYPE_FLOAT, .rank = 4, .dims = {1, 20, 3, 6}},
        {.type = COPPICE_TYPE_FLOAT, .rank = 4, .dims = {3, 1, 5, 5}},
        {.type = COPPICE_TYPE_FLOAT, .rank = 3, .dims = {2, 6, 18}},
        {.type = COPPICE_TYPE_FLOAT, .rank = 2, .dims = {6, 18}},
    };
    static float moved[MOST_FLOATS];
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        const coppice_tensor *in = &inputs[i];
        int rank = (int)in->rank, same = 0;
        for (int code = 0; code < 256; code++) {
            int perm[4] = {code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6};
            unsigned used = 0;
            for (int d = 0; d < rank; d++)
                used |= 1u << perm[d];
            if (used != (1u << rank) - 1 || (rank < 4 && perm[3]) || (rank < 3 && perm[2]))
                continue;
            coppice_tensor out;
            permute_floats(in, perm, &out, moved);
            same += check_same_moved(in, &out, perm, moved);
        }
        ck_assert_int_ge(same, rank);
    }
    const int to_tokens[] = {0, 2, 3, 1};
    const coppice_tensor tokens = {.type = COPPICE_TYPE_FLOAT, .rank = 4, .dims = {2, 5, 7, 3}};
    ck_assert(cop_layout_same_moved(&inputs[0], COP_LAYOUT_TILES, to_tokens, &tokens,
                                    COP_LAYOUT_TOKEN_TILES));
    ck_assert(
        cop_layout_same_moved(&inputs[0], COP_LAYOUT_NHWC, to_tokens, &tokens, COP_LAYOUT_PLAIN));
}
END_TEST

START_TEST(values_cut_up_anew_that_are_the_same_bytes_are_known) {
    static const coppice_tensor forms[] = {
        {.type = COPPICE_TYPE_FLOAT, .rank = 4, .dims = {2, 3, 5, 4}},
        {.type = COPPICE_TYPE_FLOAT, .rank = 3, .dims = {2, 3, 20}},
        {.type = COPPICE_TYPE_FLOAT, .rank = 3, .dims = {6, 5, 4}},
        {.type = COPPICE_TYPE_FLOAT, .rank = 2, .dims = {30, 4}},
        {.type = COPPICE_TYPE_FLOAT, .rank = 4, .dims = {3, 2, 5, 4}},
        {.type = COPPICE_TYPE_FLOAT, .rank = 1, .dims = {120}},
    };
    float numbers[120];
    for (int i = 0; i < 120; i++)
        numbers[i] = (float)(i + 1);
    enum { COUNT = sizeof forms / sizeof forms[0] };
    for (size_t i = 0; i < (size_t)COUNT * COUNT; i++)
        ck_assert_int_ge(check_same_moved(&forms[i / COUNT], &forms[i % COUNT], NULL, numbers), 1);
    ck_assert(
        cop_layout_same_moved(&forms[0], COP_LAYOUT_TILES, NULL, &forms[1], COP_LAYOUT_TILES));
    ck_assert(cop_layout_same_moved(&forms[0], COP_LAYOUT_TOKEN_TILES, NULL, &forms[3],
                                    COP_LAYOUT_TOKEN_TILES));
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("layout");
    tcase_add_test(tests, images_survive_nhwc_and_back);
    tcase_add_test(tests, tiles_hold_every_position_of_the_batch);
    tcase_add_test(tests, one_position_and_other_types_have_no_tiles);
    tcase_add_test(tests, sequences_survive_nhwc_and_back);
    tcase_add_test(tests, every_element_size_is_transposed);
    tcase_add_test(tests, moved_values_that_are_the_same_bytes_are_known);
    tcase_add_test(tests, values_cut_up_anew_that_are_the_same_bytes_are_known);
    tcase_add_test(tests, one_pixel_or_one_channel_is_the_same_in_both_layouts);
    return unit_run("layout", tests);
}
