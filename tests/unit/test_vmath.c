/* Tests of the vectorisable functions: within the documented distance of the C library's doubles,
 * over a walk through all floats, and right at the ends. */
#include <stdlib.h>

#include "runtime/conv.h"
#include "runtime/kernels/kernels.h"
#include "runtime/ops/vmath.h"
#include "unit.h"

static double true_sigmoid(double x) {
    return 1.0 / (1.0 + exp(-x));
}

static double true_softplus(double x) {
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double true_gelu(double x) {
    return 0.5 * x * erfc(-x * sqrt(0.5));
}

static double true_gelu_tanh(double x) {
    return x * true_sigmoid(2 * sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x));
}

static double true_mish(double x) {
    return x * tanh(true_softplus(x));
}

/* The error in units of the last place of the result, in those of FLT_MIN below it. */
static double ulps(float got, double want) {
    if (isnan(want))
        return isnan(got) ? 0 : INFINITY;
    if (fabs(want) > FLT_MAX)
        return fabs((double)got) > 3.4e38 ? 0 : INFINITY;
    double unit = fabs(want) < (double)FLT_MIN ? (double)FLT_MIN : fabs(want);
    int exponent;
    frexp(unit, &exponent);
    return fabs((double)got - want) / ldexp(1, exponent - 24);
}

typedef struct function {
    const char *name;
    float (*got)(float);
    double (*want)(double);
    double low, high, limit; /* arguments, ulp */
} function;

static const function functions[] = {
    {"exp", cop_expf, exp, -INFINITY, INFINITY, 1.5},
    {"expm1", cop_expm1f, expm1, -INFINITY, 80, 3},
    {"sigmoid", cop_sigmoidf, true_sigmoid, -87, INFINITY, 3},
    {"tanh", cop_tanhf, tanh, -INFINITY, INFINITY, 4},
    {"log", cop_logf, log, -INFINITY, INFINITY, 2},
    {"softplus", cop_softplusf, true_softplus, -INFINITY, INFINITY, 3},
    {"erf", cop_erff, erf, -INFINITY, INFINITY, 6},
    {"exp, flushed", cop_expf_flushed, exp, -87, 88.37, 1.5},
    {"gelu", cop_geluf, true_gelu, -2, INFINITY, 16},
    {"gelu", cop_geluf, true_gelu, -4, -2, 1600}, /* 1e-4 */
    {"gelu with tanh", cop_gelu_tanhf, true_gelu_tanh, -3, INFINITY, 12},
    {"mish", cop_mishf, true_mish, -20, INFINITY, 8},
};

static void expect_close(const function *f, float x) {
    if ((double)x < f->low || (double)x > f->high)
        return;
    float got = f->got(x);
    double error = ulps(got, f->want((double)x));
    if (!(error <= f->limit)) /* a check each time would take long */
        ck_abort_msg("%s(%.9g) is %.9g, not %.9g: %.2f ulp", f->name, (double)x, (double)got,
                     f->want((double)x), error);
}

START_TEST(functions_are_within_their_error_over_all_floats) {
    static const float ends[] = {0.0f, -0.0f, INFINITY, -INFINITY, FLT_MIN, FLT_MAX, -FLT_MAX,
                                 1.0f, -1.0f, 88.7f,    88.8f,     -103.9f, -104.1f};
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        const function *f = &functions[i];
        for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 30011) {
            float x = cop_bits_float((uint32_t)bits);
            if (isfinite(x))
                expect_close(f, x);
        }
        for (float x = -20; x < 20; x += 1.0f / 1024)
            expect_close(f, x);
        for (size_t k = 0; k < sizeof ends / sizeof ends[0]; k++) {
            if (!isnan(f->want((double)ends[k])))
                expect_close(f, ends[k]);
        }
        ck_assert_msg(isnan(f->got(NAN)), "%s(NaN)", f->name);
    }
    ck_assert(signbit(cop_tanhf(-0.0f)));
    ck_assert(isnan(cop_logf(-1.0f)) && cop_geluf(-INFINITY) == 0.0f);
}
END_TEST

/* Beside its argument, as that is what the error of a product is; and never of the wrong sign. */
START_TEST(the_tail_of_gelu_is_small) {
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 10007) {
        float x = cop_bits_float((uint32_t)bits), got = cop_geluf(x);
        if (!isfinite(x))
            continue;
        double error = fabs((double)got - true_gelu((double)x));
        bool close = error <= 4 * (double)FLT_EPSILON * fabs((double)x) + (double)FLT_MIN;
        if (!close || (x < 0 ? got > 0 : got < 0))
            ck_abort_msg("gelu(%.9g) is %.9g, off by %g", (double)x, (double)got, error);
    }
    ck_assert(cop_geluf(-FLT_MAX) == 0.0f && cop_geluf(INFINITY) == INFINITY);
    ck_assert(cop_expf_flushed(-INFINITY) == 0.0f && cop_expf_flushed(-100) == 0.0f);
    ck_assert(cop_expf_flushed(INFINITY) == INFINITY);
}
END_TEST

/* Absolutely, as the results are; beyond the limit, and for what is no number, by the C library. */
START_TEST(sines_are_close_for_arguments_of_any_size) {
    float x[1000], sine[1000], cosine[1000];
    for (int isa = COPPICE_ISA_SCALAR; isa <= COPPICE_ISA_NEON; isa++) {
        const cop_kernels *kernels = cop_kernels_of((coppice_isa)isa);
        if (!cop_isa_available((coppice_isa)isa))
            continue;
        for (float scale = 1e-6f; scale < 1e7f; scale *= 3) {
            for (int i = 0; i < 1000; i++)
                x[i] = (float)((i * 7919) % 2001 - 1000) / 1000 * scale;
            kernels->map_f32[COP_MAP_sin](x, sine, 1000, 0, 0);
            kernels->map_f32[COP_MAP_cos](x, cosine, 1000, 0, 0);
            for (int i = 0; i < 1000; i++) {
                double s = fabs((double)sine[i] - sin((double)x[i]));
                double c = fabs((double)cosine[i] - cos((double)x[i]));
                if (!(s <= 3e-7 && c <= 3e-7))
                    ck_abort_msg("isa %d, %.9g: off by %g and %g", isa, (double)x[i], s, c);
            }
        }
        float odd[] = {NAN, INFINITY, -0.0f, 1};
        kernels->map_f32[COP_MAP_sin](odd, sine, 4, 0, 0);
        ck_assert(isnan(sine[0]) && isnan(sine[1]) && sine[2] == 0);
        kernels->map_f32[COP_MAP_cos](odd, cosine, 1, 0, 0);
        ck_assert(isnan(cosine[0]));
    }
}
END_TEST

/* Lengths that leave ends behind every vector, with values in both tails. */
START_TEST(every_instruction_set_computes_the_same) {
    enum { MOST = 203 };
    float x[MOST], want[MOST], got[MOST + 1];
    for (int i = 0; i < MOST; i++)
        x[i] = i % 50 == 7 ? (i < 100 ? -95.0f : 95.0f) : (float)((i * 37) % 201 - 100) / 9;
    const cop_kernels *plain = cop_kernels_of(COPPICE_ISA_SCALAR);
    for (int isa = COPPICE_ISA_SSE2; isa <= COPPICE_ISA_NEON; isa++) {
        const cop_kernels *kernels = cop_kernels_of((coppice_isa)isa);
        if (!cop_isa_available((coppice_isa)isa))
            continue;
        for (int map = 0; map < COP_MAP_COUNT + 2; map++) {
            size_t n = map % 2 ? MOST : 67;
            got[n] = 123;
            if (map < COP_MAP_COUNT) {
                plain->map_f32[map](x, want, n, 0.5f, 1.25f);
                kernels->map_f32[map](x, got, n, 0.5f, 1.25f);
            } else {
                plain->softmax_f32(x, want, n, map == COP_MAP_COUNT);
                kernels->softmax_f32(x, got, n, map == COP_MAP_COUNT);
            }
            ck_assert(got[n] == 123.0f);
            bool turns = map == COP_MAP_sin || map == COP_MAP_cos; /* tested apart */
            for (size_t i = 0; i < n && !turns; i++) {
                bool same = isnan(want[i]) ? isnan(got[i]) : ulps(got[i], (double)want[i]) <= 140;
                ck_assert_msg(same, "isa %d, function %d of %g: %.9g, not %.9g", isa, map,
                              (double)x[i], (double)got[i], (double)want[i]);
            }
        }
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("vmath");
    tcase_add_test(tests, functions_are_within_their_error_over_all_floats);
    tcase_add_test(tests, the_tail_of_gelu_is_small);
    tcase_add_test(tests, sines_are_close_for_arguments_of_any_size);
    tcase_add_test(tests, every_instruction_set_computes_the_same);
    return unit_run("vmath", tests);
}
