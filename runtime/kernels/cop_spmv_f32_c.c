/* Sparse rows times one pixel in plain C. */
#include "runtime/kernels/kernels.h"

/* Four sums run beside each other, because each addition waits for the one before it. */
enum { SUMS = 4 };

static float input_of(const cop_spmm_args *args, const cop_spmm_entry *entry) {
    return *(const float *)(args->input + entry->offset);
}

static float dot(const cop_spmm_args *args, const cop_spmm_entry *entry, uint32_t n) {
    float sums[SUMS] = {0};
    for (; n >= SUMS; n -= SUMS, entry += SUMS)
        for (int i = 0; i < SUMS; i++)
            sums[i] += entry[i].value * input_of(args, &entry[i]);
    for (uint32_t i = 0; i < n; i++)
        sums[i] += entry[i].value * input_of(args, &entry[i]);
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

static void cop_spmv_f32_c(const cop_spmm_args *args) {
    const cop_spmm_entry *entry = args->entries;
    const uint32_t *row = args->rows;
    for (size_t i = 0; i < args->run_count; i++) {
        const uint32_t count = args->runs[i].entries;
        for (uint32_t r = args->runs[i].rows; r > 0; r--, row++, entry += count) {
            float *out = args->output + *row * args->output_stride;
            float x = (args->bias ? args->bias[*row] : *out) + dot(args, entry, count);
            x = x < args->min ? args->min : x;
            *out = x > args->max ? args->max : x;
        }
    }
}

void cop_spmv_f32_c_fill(cop_kernels *kernels) {
    kernels->spmv_f32 = cop_spmv_f32_c;
}
