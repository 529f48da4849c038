/* Four dense rows times a tile of 8 pixels in plain C, on vectors of 4 floats as any CPU has them.
 */
#include "runtime/kernels/kernels.h"

#include <string.h>

enum { ROWS = COP_GEMM_ROWS, LANES = 4, VECTORS = 2, TILE = LANES * VECTORS };

typedef float vector __attribute__((vector_size(LANES * sizeof(float))));

static inline vector load(const float *from) {
    vector v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline vector broadcast(float x) {
    return (vector){x, x, x, x};
}

static inline float clamp(float x, float min, float max) {
    x = x < min ? min : x;
    return x > max ? max : x;
}

static void four_rows(const cop_gemm_args *args, size_t row, size_t rows) {
    const float *weights = args->weights + row * args->columns;
    float *out = args->output + row * args->output_stride;
    vector acc[ROWS][VECTORS];
    for (size_t r = 0; r < ROWS; r++)
        for (int v = 0; v < VECTORS; v++)
            acc[r][v] = r >= rows    ? broadcast(0)
                        : args->bias ? broadcast(args->bias[row + r])
                                     : load(out + r * args->output_stride + v * LANES);
    for (size_t k = 0; k < args->columns; k++, weights += ROWS) {
        const float *in = (const float *)(args->input + args->offsets[k]);
        const vector x0 = load(in), x1 = load(in + LANES);
        for (size_t r = 0; r < ROWS; r++) {
            const vector weight = broadcast(weights[r]);
            acc[r][0] += weight * x0;
            acc[r][1] += weight * x1;
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (int t = 0; t < TILE; t++)
            out[r * args->output_stride + (size_t)t] =
                clamp(acc[r][t / LANES][t % LANES], args->min, args->max);
}

static void cop_gemm_f32_4x8_c(const cop_gemm_args *args) {
    for (size_t row = 0; row < args->rows; row += ROWS)
        four_rows(args, row, args->rows - row < ROWS ? args->rows - row : ROWS);
}

void cop_gemm_f32_c_fill(cop_kernels *kernels) {
    kernels->gemm_lanes = TILE;
    kernels->gemm_max_vectors = 1;
    for (int v = 0; v <= COP_SPMM_MAX_VECTORS; v++)
        kernels->gemm_f32[v] = cop_gemm_f32_4x8_c;
}
