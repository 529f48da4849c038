/* The loops of rows.h: included once per instruction set, by a file that has defined COP_ROWS_FILL
 * as the name of the function that fills the table. They are written so that compilers make vectors
 * of them. */
#include "runtime/kernels/kernels.h"

/* A NaN stays NaN. In two steps, each of which is an instruction or two for vectors. */
static inline float larger(float a, float b) {
    float top = b > a ? b : a;
    return b != b ? b : top;
}

static inline float sum_of_two(float a, float b) {
    return a + b;
}

/* One, two or three numbers that are `step` apart, for each of n that are `stride` apart, into
 * to[i], or combined with what is there. With a constant stride the loops become vectors. */
#define FOLD(name, two)                                                                            \
    static inline void name##_pass(float *restrict to, const float *restrict from, size_t count,   \
                                   size_t step, size_t stride, size_t n, bool add) {               \
        const float *second = from + step, *third = second + step;                                 \
        if (count == 1 && !add) {                                                                  \
            for (size_t i = 0; i < n; i++)                                                         \
                to[i] = from[i * stride];                                                          \
        } else if (count == 1) {                                                                   \
            for (size_t i = 0; i < n; i++)                                                         \
                to[i] = two(to[i], from[i * stride]);                                              \
        } else if (count == 2 && !add) {                                                           \
            for (size_t i = 0; i < n; i++)                                                         \
                to[i] = two(from[i * stride], second[i * stride]);                                 \
        } else if (count == 2) {                                                                   \
            for (size_t i = 0; i < n; i++)                                                         \
                to[i] = two(to[i], two(from[i * stride], second[i * stride]));                     \
        } else if (!add) {                                                                         \
            for (size_t i = 0; i < n; i++)                                                         \
                to[i] = two(two(from[i * stride], second[i * stride]), third[i * stride]);         \
        } else {                                                                                   \
            for (size_t i = 0; i < n; i++)                                                         \
                to[i] =                                                                            \
                    two(two(to[i], from[i * stride]), two(second[i * stride], third[i * stride])); \
        }                                                                                          \
    }                                                                                              \
    static inline void name##_all(float *to, const float *from, size_t count, size_t step,         \
                                  size_t stride, size_t n, bool add) {                             \
        for (size_t m; count > 0; count -= m, from += m * step, add = true) {                      \
            m = count < 3 ? count : 3;                                                             \
            name##_pass(to, from, m, step, stride, n, add);                                        \
        }                                                                                          \
    }
FOLD(sum, sum_of_two)
FOLD(max, larger)

static void fold_rows(float *to, const float *from, size_t rows, size_t step, size_t n, bool sums,
                      bool add) {
    if (sums)
        sum_all(to, from, rows, step, 1, n, add);
    else
        max_all(to, from, rows, step, 1, n, add);
}

static void fold_taps(float *to, const float *from, size_t taps, size_t step, size_t stride,
                      size_t n, bool sums) {
    n = (n + COP_ROW_BLOCK - 1) / COP_ROW_BLOCK * COP_ROW_BLOCK;
    if (sums && stride == 1)
        sum_all(to, from, taps, step, 1, n, false);
    else if (sums && stride == 2)
        sum_all(to, from, taps, step, 2, n, false);
    else if (sums)
        sum_all(to, from, taps, step, stride, n, false);
    else if (stride == 1)
        max_all(to, from, taps, step, 1, n, false);
    else if (stride == 2)
        max_all(to, from, taps, step, 2, n, false);
    else
        max_all(to, from, taps, step, stride, n, false);
}

enum { LANES = 64, FEW = 16, ADDED = 16 };

/* At most ADDED numbers in a row are added in float. */
static double sum_row(const float *x, size_t n) {
    double sum = 0;
    size_t i = 0;
    while (i + LANES <= n) {
        float lanes[LANES] = {0};
        for (size_t turn = 0; turn < ADDED && i + LANES <= n; turn++, i += LANES)
            for (size_t k = 0; k < LANES; k++)
                lanes[k] += x[i + k];
        for (size_t half = LANES / 2; half > 0; half /= 2)
            for (size_t k = 0; k < half; k++)
                lanes[k] += lanes[k + half];
        sum += (double)lanes[0];
    }
    float lanes[FEW] = {0};
    for (; i + FEW <= n; i += FEW)
        for (size_t k = 0; k < FEW; k++)
            lanes[k] += x[i + k];
    for (; i < n; i++)
        lanes[i % FEW] += x[i];
    for (size_t half = FEW / 2; half > 0; half /= 2)
        for (size_t k = 0; k < half; k++)
            lanes[k] += lanes[k + half];
    return sum + (double)lanes[0];
}

static float max_row(const float *x, size_t n) {
    float lanes[LANES];
    size_t i = 0;
    for (size_t k = 0; k < LANES; k++)
        lanes[k] = x[0];
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            lanes[k] = larger(lanes[k], x[i + k]);
    for (; i + FEW <= n; i += FEW)
        for (size_t k = 0; k < FEW; k++)
            lanes[k] = larger(lanes[k], x[i + k]);
    for (; i < n; i++)
        lanes[i % FEW] = larger(lanes[i % FEW], x[i]);
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t k = 0; k < half; k++)
            lanes[k] = larger(lanes[k], lanes[k + half]);
    return lanes[0];
}

/* Sixteen floats at any address. */
typedef float sixteen
    __attribute__((vector_size(COP_ROW_BLOCK * sizeof(float)), aligned(4), may_alias));

static void square_stripe(float *lanes, const float *from, size_t n, float mean) {
    sixteen *to = (sixteen *)lanes, sum = *to;
    size_t i = 0;
    for (; i + FEW <= n; i += FEW) {
        sixteen x = *(const sixteen *)(from + i) - mean;
        sum += x * x;
    }
    *to = sum;
    for (size_t k = 0; i + k < n; k++)
        lanes[k] += (from[i + k] - mean) * (from[i + k] - mean);
}

static void add_stripe(float *lanes, const float *from, size_t n) {
    sixteen *to = (sixteen *)lanes, sum = *to;
    size_t i = 0;
    for (; i + 4 * FEW <= n; i += 4 * FEW) {
        const sixteen *x = (const sixteen *)(from + i);
        sum += (x[0] + x[1]) + (x[2] + x[3]);
    }
    for (; i + FEW <= n; i += FEW)
        sum += *(const sixteen *)(from + i);
    *to = sum;
    for (size_t k = 0; i + k < n; k++)
        lanes[k] += from[i + k];
}

static void add_stripes(float (*lanes)[COP_ROW_BLOCK], const float *from, size_t stripes,
                        size_t step, size_t n, const float *mean) {
    for (size_t s = 0; s < stripes; s++, from += step) {
        if (mean)
            square_stripe(lanes[s], from, n, mean[s]);
        else
            add_stripe(lanes[s], from, n);
    }
}

static inline void scale_row(float *to, const float *from, size_t n, float factor) {
    for (size_t i = 0; i < n; i++)
        to[i] = from[i] * factor;
}

static inline void shift_row(float *to, const float *from, size_t n, float factor, float shift,
                             float low, float high) {
    for (size_t i = 0; i < n; i++) {
        float x = from[i] * factor + shift;
        x = x < low ? low : x;
        to[i] = x > high ? high : x;
    }
}

/* Stripes of whole tiles have a length that compilers know. */
static void scale_rows(float *to, const float *from, size_t rows, size_t n, const float *factor,
                       const float *shift, float low, float high) {
    for (size_t r = 0; r < rows; r++, to += n, from += n) {
        if (!shift && n == LANES)
            scale_row(to, from, LANES, factor[r]);
        else if (!shift)
            scale_row(to, from, n, factor[r]);
        else if (n == LANES)
            shift_row(to, from, LANES, factor[r], shift[r], low, high);
        else
            shift_row(to, from, n, factor[r], shift[r], low, high);
    }
}

void COP_ROWS_FILL(cop_kernels *kernels) {
    kernels->fold_rows_f32 = fold_rows;
    kernels->fold_taps_f32 = fold_taps;
    kernels->sum_f32 = sum_row;
    kernels->max_f32 = max_row;
    kernels->add_stripes_f32 = add_stripes;
    kernels->scale_rows_f32 = scale_rows;
}
