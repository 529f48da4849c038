/* Four dense rows times a tile of 8 pixels in plain C, on vectors of 4 floats as any CPU has them.
 */
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/vector.h"

enum { ROWS = COP_GEMM_ROWS, LANES = COP_VECTOR_LANES, VECTORS = 2, TILE = LANES * VECTORS };

static void four_rows(const cop_gemm_args *args, size_t row, size_t rows) {
    const float *weights = args->weights + row * args->columns;
    float *out = args->output + row * args->output_stride;
    cop_vector acc[ROWS][VECTORS];
    for (size_t r = 0; r < ROWS; r++)
        for (int v = 0; v < VECTORS; v++)
            acc[r][v] = r >= rows    ? cop_vector_of(0)
                        : args->bias ? cop_vector_of(args->bias[row + r])
                                     : cop_vector_load(out + r * args->output_stride + v * LANES);
    for (size_t k = 0; k < args->columns; k++, weights += ROWS) {
        const float *in = (const float *)(args->input + args->offsets[k]);
        const cop_vector x0 = cop_vector_load(in), x1 = cop_vector_load(in + LANES);
        for (size_t r = 0; r < ROWS; r++) {
            const cop_vector weight = cop_vector_of(weights[r]);
            acc[r][0] += weight * x0;
            acc[r][1] += weight * x1;
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (int t = 0; t < TILE; t++)
            out[r * args->output_stride + (size_t)t] =
                cop_clamp(acc[r][t / LANES][t % LANES], args->min, args->max);
}

static void cop_gemm_f32_4x8_c(const cop_gemm_args *args) {
    for (size_t row = 0; row < args->rows; row += ROWS)
        four_rows(args, row, args->rows - row < ROWS ? args->rows - row : ROWS);
}

void cop_gemm_f32_c_fill(cop_kernels *kernels) {
    kernels->gemm_lanes = TILE;
    kernels->gemm_max_vectors = 1;
    for (int v = 0; v <= COP_GEMM_MAX_VECTORS; v++)
        kernels->gemm_f32[v] = cop_gemm_f32_4x8_c;
}
