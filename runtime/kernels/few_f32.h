/* The loops of few.h for one instruction set: included with COP_FEW_FILL, the name of the function
 * that fills their slots. */
#include "runtime/kernels/kernels.h"

/* NAME_rows: `count` weights of each of `rows` rows, two of which run beside each other where they
 * can. */
#define COP_FEW_LOOP(name, L)                                                                      \
    typedef float name##_vector __attribute__((vector_size((L) * sizeof(float)), may_alias));      \
    static inline __attribute__((always_inline)) void name##_rows(                                 \
        const cop_few_args *args, const float *value, const uint16_t *offset, const uint32_t *row, \
        size_t count, size_t rows) {                                                               \
        name##_vector sums[2][COP_FEW_STEP] = {{{0}}};                                             \
        for (size_t n = 0; n < count; n += COP_FEW_STEP) {                                         \
            for (size_t i = 0; i < COP_FEW_STEP * rows; i++) {                                     \
                const size_t r = i % rows, k = i / rows, at = r * count + n + k;                   \
                const float *x = args->x + (size_t)offset[at] * COP_FEW_UNIT;                      \
                sums[r][k] += value[at] * *(const name##_vector *)(const void *)x;                 \
            }                                                                                      \
        }                                                                                          \
        for (size_t r = 0; r < rows; r++)                                                          \
            *(name##_vector *)(void *)(args->sums + row[r] * (L)) =                                \
                (sums[r][0] + sums[r][1]) + (sums[r][2] + sums[r][3]);                             \
    }                                                                                              \
    static void name(const cop_few_args *args) {                                                   \
        const float *value = args->values;                                                         \
        const uint16_t *offset = args->offsets;                                                    \
        const uint32_t *row = args->rows;                                                          \
        for (size_t i = 0; i < args->run_count; i++) {                                             \
            const size_t count = args->runs[i].entries, end = args->runs[i].rows;                  \
            size_t r = 0;                                                                          \
            for (; r + 2 <= end; r += 2, value += 2 * count, offset += 2 * count, row += 2)        \
                name##_rows(args, value, offset, row, count, 2);                                   \
            for (; r < end; r++, value += count, offset += count, row++)                           \
                name##_rows(args, value, offset, row, count, 1);                                   \
        }                                                                                          \
    }

COP_FEW_LOOP(few_4, 4)
COP_FEW_LOOP(few_8, 8)
COP_FEW_LOOP(few_16, 16)

void COP_FEW_FILL(cop_kernels *kernels) {
    kernels->few_f32[0] = few_4;
    kernels->few_f32[1] = few_8;
    kernels->few_f32[2] = few_16;
}
