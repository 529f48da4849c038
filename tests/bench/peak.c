/* Multiply-adds of 12 independent sums, as fast as they go. */
#include "tests/bench/peak.h"

#include <stdlib.h>

#include "base/clock.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { SUMS = 12, L1_BYTES = 16 * 1024, L2_BYTES = 384 * 1024, PASSES = 9, TURNS = 16 };
static const double PASS_MS = 5;

/* TURNS times `vectors` (a multiple of SUMS) multiply-adds with operands from x one behind the
 * other; with x NULL all of them stay in registers. */
typedef float pass_fn(const float *x, size_t vectors);

#define PASS(name, type, lanes, set1, load, fma, first)                                            \
    static float name(const float *x, size_t vectors) {                                            \
        const type w = set1(0.999f), y = set1(0.5f);                                               \
        type sums[SUMS];                                                                           \
        for (int i = 0; i < SUMS; i++)                                                             \
            sums[i] = w;                                                                           \
        for (int turn = 0; turn < TURNS; turn++) {                                                 \
            for (size_t k = 0; x && k < vectors; k += SUMS)                                        \
                for (int i = 0; i < SUMS; i++)                                                     \
                    sums[i] = fma(w, load(x + (k + (size_t)i) * lanes), sums[i]);                  \
            for (size_t k = 0; !x && k < vectors; k += SUMS)                                       \
                for (int i = 0; i < SUMS; i++)                                                     \
                    sums[i] = fma(w, sums[i], y);                                                  \
        }                                                                                          \
        float sum = 0;                                                                             \
        for (int i = 0; i < SUMS; i++)                                                             \
            sum += first(sums[i]);                                                                 \
        return sum;                                                                                \
    }

#if defined(__x86_64__)
#define SSE_FMA(a, b, c) _mm_add_ps(_mm_mul_ps(a, b), c)
PASS(__attribute__((target("avx512f,fma"))) pass_avx512, __m512, 16, _mm512_set1_ps, _mm512_load_ps,
     _mm512_fmadd_ps, _mm512_cvtss_f32)
PASS(__attribute__((target("avx2,fma"))) pass_avx2, __m256, 8, _mm256_set1_ps, _mm256_load_ps,
     _mm256_fmadd_ps, _mm256_cvtss_f32)
PASS(pass_sse2, __m128, 4, _mm_set1_ps, _mm_load_ps, SSE_FMA, _mm_cvtss_f32)
#elif defined(__aarch64__)
#define NEON_FMA(a, b, c) vfmaq_f32(c, a, b)
#define NEON_FIRST(a) vgetq_lane_f32(a, 0)
PASS(pass_neon, float32x4_t, 4, vdupq_n_f32, vld1q_f32, NEON_FMA, NEON_FIRST)
#else
#define SAME(a) (a)
#define LOAD(p) (*(p))
#define PLAIN_FMA(a, b, c) ((a) * (b) + (c))
PASS(pass_plain, float, 1, SAME, LOAD, PLAIN_FMA, SAME)
#endif

typedef struct width {
    pass_fn *pass;
    size_t lanes;
} width;

static width width_of(coppice_isa isa) {
#if defined(__x86_64__)
    return isa == COPPICE_ISA_AVX512 ? (width){pass_avx512, 16}
           : isa == COPPICE_ISA_AVX2 ? (width){pass_avx2, 8}
                                     : (width){pass_sse2, 4};
#elif defined(__aarch64__)
    (void)isa;
    return (width){pass_neon, 4};
#else
    (void)isa;
    return (width){pass_plain, 1};
#endif
}

static volatile float sink; /* results must be wanted */

/* The best of some passes over `bytes` of operands, or as many from registers. */
static double rate(width w, const float *x, size_t bytes) {
    size_t vectors = bytes / (w.lanes * sizeof(float)) / SUMS * SUMS;
    double best = 0;
    for (int pass = 0; pass < PASSES; pass++) {
        size_t turns = 0;
        double begin = cop_now_ms(), taken;
        do {
            sink = w.pass(x, vectors);
            turns += TURNS;
            taken = cop_now_ms() - begin;
        } while (taken < PASS_MS);
        double flops = 2.0 * (double)w.lanes * (double)vectors * (double)turns;
        best = flops / taken > best ? flops / taken : best;
    }
    return 1e-6 * best;
}

peak peak_measure(coppice_isa isa) {
    width w = width_of(isa);
    float *x = aligned_alloc(64, L2_BYTES);
    if (!x)
        abort();
    for (size_t i = 0; i < L2_BYTES / sizeof *x; i++)
        x[i] = 1e-3f;
    peak result = {.registers = rate(w, NULL, L1_BYTES),
                   .l1 = rate(w, x, L1_BYTES),
                   .l2 = rate(w, x, L2_BYTES)};
    free(x);
    return result;
}
