/* Weights times one position in plain C: stripes of one float. */
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/vector.h"

/* Sums run beside each other, because each addition waits for the one before it. */
enum { SUMS = 4, HEIGHT = COP_TILE_HEIGHT };

static inline float input_at(const cop_tile_args *args, size_t offset) {
    return *(const float *)(args->input + offset);
}

static inline void finish(const cop_tile_args *args, size_t row, float sum) {
    float *out = args->output + row * args->stripe;
    float start = args->bias ? args->bias[row] : *out;
    if (args->bias && args->residual)
        start += args->residual[row * args->stripe];
    *out = cop_clamp(start + sum, args->min, args->max);
}

static float dot(const cop_tile_args *args, const float *value, const uint16_t *offset, size_t n) {
    float sums[SUMS] = {0};
    for (; n >= SUMS; n -= SUMS, value += SUMS, offset += SUMS)
        for (int i = 0; i < SUMS; i++)
            sums[i] += value[i] * input_at(args, offset[i]);
    for (size_t i = 0; i < n; i++)
        sums[i] += value[i] * input_at(args, offset[i]);
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

static void cop_spmm_tile_f32_1x1_c(const cop_tile_args *args) {
    const float *value = args->values;
    const uint16_t *offset = args->offsets;
    const uint32_t *row = args->rows;
    for (size_t i = 0; i < args->run_count; i++) {
        const size_t count = args->runs[i].entries;
        for (uint32_t r = args->runs[i].rows; r > 0; r--, row++) {
            finish(args, *row, dot(args, value, offset, count));
            value += count;
            offset += count;
        }
    }
}

/* Four rows are a vector. */
static inline __attribute__((always_inline)) void groups(const cop_tile_args *args, bool dense) {
    const float *value = args->values;
    const uint16_t *offset = args->offsets;
    const uint32_t *row = args->rows;
    for (size_t i = 0; i < args->run_count; i++) {
        const size_t count = args->runs[i].entries;
        for (uint32_t r = args->runs[i].rows; r > 0; r--, row++) {
            cop_vector sums[SUMS] = {{0}};
            for (size_t n = 0; n < count; n++, value += HEIGHT)
                sums[n % SUMS] +=
                    cop_vector_load(value) *
                    cop_vector_of(input_at(args, dense ? n * sizeof(float) : offset[n]));
            if (!dense)
                offset += count;
            cop_vector sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
            for (size_t h = 0; h < HEIGHT && *row + h < args->row_count; h++)
                finish(args, *row + h, sum[h]);
        }
    }
}

static void cop_spmm4_tile_f32_4x1_c(const cop_tile_args *args) {
    groups(args, false);
}

static void cop_gemm_tile_f32_4x1_c(const cop_tile_args *args) {
    groups(args, true);
}

void cop_tile_one_f32_c_fill(cop_kernels *kernels) {
    kernels->spmm_tile_f32.one = cop_spmm_tile_f32_1x1_c;
    kernels->spmm4_tile_f32.one = cop_spmm4_tile_f32_4x1_c;
    kernels->gemm_tile_f32.one = cop_gemm_tile_f32_4x1_c;
}
