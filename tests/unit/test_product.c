/* Matrix products of every type, shape of tile and instruction set, against three plain loops. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "runtime/conv.h"
#include "runtime/ops/matrix/product.h"
#include "unit.h"

enum { MOST = 600 * 600 };

static float a32[MOST], b32[MOST], c32[MOST], out32[MOST];
static double a64[MOST], b64[MOST], c64[MOST], out64[MOST];
static int32_t ai[MOST], bi[MOST], ci[MOST], outi[MOST];

static void fill_inputs(void) {
    for (size_t i = 0; i < MOST; i++) {
        ai[i] = (int32_t)(i * 7 % 13) - 6;
        bi[i] = (int32_t)(i * 5 % 11) - 5;
        ci[i] = (int32_t)(i * 3 % 7);
        a32[i] = (float)(a64[i] = ai[i]);
        b32[i] = (float)(b64[i] = bi[i]);
        c32[i] = (float)(c64[i] = ci[i]);
    }
}

/* All numbers are small integers, so that every type and order of additions gives the same. */
static double expected(const cop_product *p, size_t m, size_t n) {
    double sum = 0;
    for (size_t k = 0; k < p->reduction; k++)
        sum += (double)ai[(int64_t)m * p->a_row + (int64_t)k * p->a_k] *
               bi[(int64_t)k * p->b_k + (int64_t)n * p->b_column];
    if (p->finish)
        sum = p->alpha * sum + p->beta * ci[(int64_t)m * p->c_row + (int64_t)n * p->c_column];
    return p->finish ? fmax(p->min, fmin(p->max, sum)) : sum;
}

static double wanted[MOST];

static void check_one(cop_product p, const cop_kernels *kernels) {
    for (size_t at = 0; at < p.rows * p.columns; at++)
        wanted[at] = expected(&p, at / p.columns, at % p.columns);
    const struct {
        coppice_type type;
        const void *a, *b, *c;
        void *out;
        size_t size;
    } types[] = {{COPPICE_TYPE_FLOAT, a32, b32, c32, out32, sizeof *a32},
                 {COPPICE_TYPE_DOUBLE, a64, b64, c64, out64, sizeof *a64},
                 {COPPICE_TYPE_INT32, ai, bi, ci, outi, sizeof *ai}};
    for (size_t t = 0; t < 3; t++) {
        p.type = types[t].type;
        p.a = types[t].a;
        p.b = types[t].b;
        p.c = types[t].c;
        p.out = types[t].out;
        memcpy(p.out, types[t].c, p.rows * p.columns * types[t].size);
        cop_product_run(&p, kernels, NULL);
        for (size_t at = 0; at < p.rows * p.columns; at++) {
            double got = t == 0 ? (double)out32[at] : t == 1 ? out64[at] : outi[at];
            if (got != wanted[at])
                ck_abort_msg("%zux%zux%zu type %zu at %zu: %g", p.rows, p.columns, p.reduction, t,
                             at, got);
        }
    }
}

START_TEST(every_layout_and_size_gives_what_loops_give) {
    static const size_t sizes[][3] = {{1, 1, 1},    {1, 7, 5},     {3, 9, 17},   {4, 16, 16},
                                      {5, 33, 40},  {65, 100, 31}, {2, 400, 9},  {70, 97, 130},
                                      {1, 390, 64}, {6, 5, 300},   {130, 3, 33}, {3, 4, 0},
                                      {0, 4, 3},    {3, 0, 4}};
    fill_inputs();
    for (int isa = COPPICE_ISA_SCALAR; isa <= COPPICE_ISA_NEON; isa++) {
        if (!cop_isa_available((coppice_isa)isa))
            continue;
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            for (int flags = 0; flags < 8; flags++) {
                cop_product p = {.rows = sizes[i][0],
                                 .columns = sizes[i][1],
                                 .reduction = sizes[i][2],
                                 .finish = (flags & 4) != 0,
                                 .alpha = 2,
                                 .beta = 3,
                                 .c_row = flags & 1 ? 0 : 1,
                                 .c_column = 1,
                                 .min = -50,
                                 .max = 40};
                cop_product_plain(&p, flags & 1, flags & 2);
                check_one(p, cop_kernels_of((coppice_isa)isa));
            }
        }
    }
}
END_TEST

START_TEST(batches_repeat_where_strides_are_zero) {
    fill_inputs();
    cop_product p = {.type = COPPICE_TYPE_FLOAT,
                     .rows = 3,
                     .columns = 5,
                     .reduction = 4,
                     .rank = 2,
                     .batch = {2, 3},
                     .a_batch = {12, 0},
                     .b_batch = {0, 20},
                     .a = a32,
                     .b = b32,
                     .out = out32};
    cop_product_plain(&p, false, false);
    cop_product_run(&p, NULL, NULL);
    for (size_t i = 0; i < 6; i++) {
        for (size_t at = 0; at < 15; at++) {
            double sum = 0;
            for (size_t k = 0; k < 4; k++)
                sum += (double)ai[i / 3 * 12 + at / 5 * 4 + k] * bi[i % 3 * 20 + k * 5 + at % 5];
            ck_assert(out32[i * 15 + at] == (float)sum);
        }
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("product");
    tcase_add_test(tests, every_layout_and_size_gives_what_loops_give);
    tcase_add_test(tests, batches_repeat_where_strides_are_zero);
    return unit_run("product", tests);
}
