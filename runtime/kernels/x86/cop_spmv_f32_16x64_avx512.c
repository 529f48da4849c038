/* Sparse rows times one vector: 16 rows, inputs picked out of 64 in registers, AVX-512. */
#include <immintrin.h>

#include "runtime/kernels/kernels.h"

enum { LANES = 16, PARTS = COP_SPMV_COLUMNS / LANES };

static __mmask16 lanes_below(size_t count) {
    return count >= LANES ? (__mmask16)0xffff : (__mmask16)((1u << count) - 1u);
}

/* The inputs of a block; behind the last one 0. */
static inline void load_block(const cop_spmv_args *args, size_t block, __m512 *x) {
    const float *from = args->x + block * COP_SPMV_COLUMNS;
    size_t left = args->inputs - block * COP_SPMV_COLUMNS;
    for (size_t p = 0; p < PARTS; p++)
        x[p] = left >= COP_SPMV_COLUMNS ? _mm512_loadu_ps(from + p * LANES)
               : left > p * LANES
                   ? _mm512_maskz_loadu_ps(lanes_below(left - p * LANES), from + p * LANES)
                   : _mm512_setzero_ps();
}

static inline __m512 take_step(__m512 sum, const float *values, const uint8_t *columns,
                               const __m512 *x) {
    const __m128i bytes = _mm_loadu_si128((const __m128i *)columns);
    const __m512i at = _mm512_cvtepu8_epi32(bytes); /* permutations look at the low 5 bits */
    const __mmask16 kept = _mm_movepi8_mask(bytes);
    const __mmask16 high = _mm_test_epi8_mask(bytes, _mm_set1_epi8(2 * LANES));
    const __m512 low = _mm512_permutex2var_ps(x[0], at, x[1]);
    const __m512 in = _mm512_mask_mov_ps(low, high, _mm512_permutex2var_ps(x[2], at, x[3]));
    return _mm512_mask3_fmadd_ps(_mm512_load_ps(values), in, sum, kept);
}

/* The maximum and the minimum return their second operand for a NaN. */
static void store_rows(const cop_spmv_args *args, size_t group, __m512 sum) {
    const __m512 min = _mm512_set1_ps(args->min), max = _mm512_set1_ps(args->max);
    const __mmask16 rows = lanes_below(args->rows - group * COP_SPMV_ROWS);
    sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(rows, args->bias + group * COP_SPMV_ROWS));
    sum = _mm512_min_ps(max, _mm512_max_ps(min, sum));
    _mm512_mask_storeu_ps(args->out + group * COP_SPMV_ROWS, rows, sum);
}

static void cop_spmv_f32_16x64_avx512(const cop_spmv_args *args) {
    const float *values = args->values;
    const uint8_t *columns = args->columns, *steps = args->steps;
    for (size_t group = 0; group < args->groups; group++) {
        __m512 sum = _mm512_setzero_ps(), other = _mm512_setzero_ps();
        for (size_t block = 0; block < args->blocks; block++) {
            __m512 x[PARTS];
            size_t n = *steps++;
            load_block(args, block, x);
            for (; n >= 2; n -= 2, values += 2 * LANES, columns += 2 * LANES) {
                sum = take_step(sum, values, columns, x);
                other = take_step(other, values + LANES, columns + LANES, x);
            }
            if (n) {
                sum = take_step(sum, values, columns, x);
                values += LANES;
                columns += LANES;
            }
        }
        store_rows(args, group, _mm512_add_ps(sum, other));
    }
}

void cop_spmv_f32_avx512_fill(cop_kernels *kernels) {
    kernels->spmv_lanes_f32 = cop_spmv_f32_16x64_avx512;
}
