/* Four dense rows times one pixel in plain C, on vectors of 4 rows. */
#include "runtime/kernels/kernels.h"

#include <string.h>

enum { ROWS = COP_GEMM_ROWS, SUMS = 4 };

typedef float vector __attribute__((vector_size(ROWS * sizeof(float))));

/* `weight(0..3, k) * input(k)`. */
static inline vector product(const cop_gemm_args *args, const float *weights, size_t k) {
    float x = *(const float *)(args->input + args->offsets[k]);
    vector w;
    memcpy(&w, weights + k * ROWS, sizeof w);
    return w * (vector){x, x, x, x};
}

/* Four sums run beside each other, because each addition waits for the one before it. */
static void cop_gemv_f32_4x1_c(const cop_gemm_args *args) {
    for (size_t row = 0; row < args->rows; row += ROWS) {
        const float *weights = args->weights + row * args->columns;
        vector sums[SUMS] = {{0}};
        size_t k = 0;
        for (; k + SUMS <= args->columns; k += SUMS)
            for (size_t i = 0; i < SUMS; i++)
                sums[i] += product(args, weights, k + i);
        for (; k < args->columns; k++)
            sums[0] += product(args, weights, k);
        vector sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        for (size_t r = 0; r < ROWS && row + r < args->rows; r++) {
            float *out = args->output + (row + r) * args->output_stride;
            float x = (args->bias ? args->bias[row + r] : *out) + sum[r];
            x = x < args->min ? args->min : x;
            *out = x > args->max ? args->max : x;
        }
    }
}

void cop_gemv_f32_c_fill(cop_kernels *kernels) {
    kernels->gemv_f32 = cop_gemv_f32_4x1_c;
}
