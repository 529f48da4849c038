/* Dot products of rows with rows, four by four, on vectors of 4 floats, NEON. */
#include <arm_neon.h>

#include "runtime/kernels/kernels.h"

/* 16 sums, four elements of each row of `a` and of one row of `b`: 21 of 32 registers. */
enum { ROWS = 4, COLUMNS = 4, LANES = 4 };

/* One tile; `rows` is a constant where it is inlined. Of the four columns `count` are there: the
 * others repeat the last. */
static inline __attribute__((always_inline)) void tile(const cop_dot_args *args, size_t m, size_t n,
                                                       size_t rows, size_t count) {
    const float *a = args->a + m * args->a_stride;
    const float *b[COLUMNS];
    float32x4_t acc[ROWS][COLUMNS];
    for (size_t c = 0; c < COLUMNS; c++) {
        b[c] = args->b + (n + (c < count ? c : count - 1)) * args->b_stride;
        for (size_t r = 0; r < rows; r++)
            acc[r][c] = vdupq_n_f32(0);
    }
    size_t k = 0;
    for (; k + LANES <= args->reduction; k += LANES) {
        float32x4_t x[ROWS];
        for (size_t r = 0; r < rows; r++)
            x[r] = vld1q_f32(a + r * args->a_stride + k);
        for (size_t c = 0; c < COLUMNS; c++) {
            const float32x4_t y = vld1q_f32(b[c] + k);
            for (size_t r = 0; r < rows; r++)
                acc[r][c] = vfmaq_f32(acc[r][c], x[r], y);
        }
    }
    float sums[ROWS][COLUMNS];
    for (size_t r = 0; r < rows; r++) /* apart from what follows, so that sums stay in registers */
        vst1q_f32(sums[r],
                  vpaddq_f32(vpaddq_f32(acc[r][0], acc[r][1]), vpaddq_f32(acc[r][2], acc[r][3])));
    for (size_t r = 0; r < rows; r++) {
        float *out = args->out + (m + r) * args->out_stride + n;
        for (size_t c = 0; c < count; c++) {
            float sum = sums[r][c];
            for (size_t i = k; i < args->reduction; i++)
                sum += a[r * args->a_stride + i] * b[c][i];
            out[c] = args->add ? out[c] + sum : sum;
        }
    }
}

static void cop_dot_f32_4x4x4_neon(const cop_dot_args *args) {
    for (size_t n = 0; n < args->columns; n += COLUMNS) {
        size_t count = args->columns - n < COLUMNS ? args->columns - n : COLUMNS, m = 0;
        for (; m + ROWS <= args->rows; m += ROWS)
            tile(args, m, n, ROWS, count);
        for (; m < args->rows; m++)
            tile(args, m, n, 1, count);
    }
}

void cop_dot_f32_neon_fill(cop_kernels *kernels) {
    kernels->dot_f32 = cop_dot_f32_4x4x4_neon;
}
