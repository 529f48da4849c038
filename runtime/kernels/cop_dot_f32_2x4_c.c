/* Dot products of rows with rows in plain C, two by four, on vectors of 4 floats. */
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/vector.h"

enum { ROWS = 2, COLUMNS = 4, LANES = COP_VECTOR_LANES };

static inline float sum_of(cop_vector v) {
    return (v[0] + v[2]) + (v[1] + v[3]);
}

/* `rows` and `columns` are constants where it is inlined. */
static inline __attribute__((always_inline)) void tile(const cop_dot_args *args, size_t m, size_t n,
                                                       size_t rows, size_t columns) {
    const float *a = args->a + m * args->a_stride, *b = args->b + n * args->b_stride;
    float *out = args->out + m * args->out_stride + n;
    cop_vector acc[ROWS][COLUMNS] = {{{0}}};
    size_t k = 0;
    for (; k + LANES <= args->reduction; k += LANES) {
        for (size_t r = 0; r < rows; r++) {
            const cop_vector x = cop_vector_load(a + r * args->a_stride + k);
            for (size_t c = 0; c < columns; c++)
                acc[r][c] += x * cop_vector_load(b + c * args->b_stride + k);
        }
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < columns; c++) {
            float sum = sum_of(acc[r][c]);
            for (size_t i = k; i < args->reduction; i++)
                sum += a[r * args->a_stride + i] * b[c * args->b_stride + i];
            float *to = out + r * args->out_stride + c;
            *to = args->add ? *to + sum : sum;
        }
    }
}

static inline __attribute__((always_inline)) void columns_of(const cop_dot_args *args, size_t n,
                                                             size_t columns) {
    size_t m = 0;
    for (; m + 2 <= args->rows; m += 2)
        tile(args, m, n, 2, columns);
    for (; m < args->rows; m++)
        tile(args, m, n, 1, columns);
}

static void cop_dot_f32_2x4_c(const cop_dot_args *args) {
    size_t n = 0;
    for (; n + COLUMNS <= args->columns; n += COLUMNS)
        columns_of(args, n, COLUMNS);
    for (; n < args->columns; n++)
        columns_of(args, n, 1);
}

void cop_dot_f32_c_fill(cop_kernels *kernels) {
    kernels->dot_f32 = cop_dot_f32_2x4_c;
}
