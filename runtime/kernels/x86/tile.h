/* What the loops over tiles (runtime/kernels/tile_loops.h) are made of on x86. */
#ifndef COP_RUNTIME_KERNELS_X86_TILE_H
#define COP_RUNTIME_KERNELS_X86_TILE_H

#include "runtime/kernels/x86/wide.h"

typedef cop_wide cop_lane_vector;
#define COP_LANES LANES

static inline cop_lane_vector cop_lanes_load(const float *from) {
    return COP_WIDE(load)(from);
}
static inline void cop_lanes_store(float *to, cop_lane_vector x) {
    COP_WIDE(store)(to, x);
}
static inline cop_lane_vector cop_lanes_of(float x) {
    return COP_WIDE(set1)(x);
}
static inline cop_lane_vector cop_lanes_fma(cop_lane_vector a, cop_lane_vector b,
                                            cop_lane_vector sum) {
    return COP_WIDE(fmadd)(a, b, sum);
}
static inline cop_lane_vector cop_lanes_add(cop_lane_vector a, cop_lane_vector b) {
    return COP_WIDE(add)(a, b);
}
static inline cop_lane_vector cop_lanes_clamp(cop_lane_vector x, cop_lane_vector min,
                                              cop_lane_vector max) {
    return cop_wide_clamp(x, min, max);
}

/* One load for four weights, in each quarter of a vector: loads are what sparse rows are short of,
 * and there is a unit for permutations beside those that multiply. Blocks of four rows are not, and
 * broadcast from memory. */
#define COP_LANES_OWN_FOURS
typedef cop_wide cop_lane_four;

static inline cop_lane_four cop_lanes_four(const float *values) {
    return cop_wide_quarters(values);
}
static inline __attribute__((always_inline)) cop_lane_vector cop_lanes_one_of(cop_lane_four weights,
                                                                              int i) {
    return i == 0   ? COP_WIDE(permute)(weights, 0x00)
           : i == 1 ? COP_WIDE(permute)(weights, 0x55)
           : i == 2 ? COP_WIDE(permute)(weights, 0xaa)
                    : COP_WIDE(permute)(weights, 0xff);
}
static inline __attribute__((always_inline)) cop_lane_vector
cop_lanes_fma_one(cop_lane_four weights, int i, cop_lane_vector x, cop_lane_vector sum) {
    return cop_lanes_fma(cop_lanes_one_of(weights, i), x, sum);
}

/* CPUs that have vectors of 512 bits in two halves take half the time for one. */
#if defined(__AVX512F__)
#define COP_LANES_HALVES

static inline cop_lane_vector cop_lanes_load_half(const float *from) {
    return _mm512_castps256_ps512(_mm256_load_ps(from));
}
static inline void cop_lanes_store_half(float *to, cop_lane_vector x) {
    _mm256_store_ps(to, _mm512_castps512_ps256(x));
}
static inline cop_lane_vector cop_lanes_fma_half(cop_lane_vector a, cop_lane_vector b,
                                                 cop_lane_vector sum) {
    return _mm512_castps256_ps512(_mm256_fmadd_ps(
        _mm512_castps512_ps256(a), _mm512_castps512_ps256(b), _mm512_castps512_ps256(sum)));
}
static inline cop_lane_vector cop_lanes_fma_weight_half(const float *weights, int row,
                                                        cop_lane_vector x, cop_lane_vector sum) {
    return cop_lanes_fma_half(cop_lanes_of(weights[row]), x, sum);
}
static inline __attribute__((always_inline)) cop_lane_vector
cop_lanes_fma_one_half(cop_lane_four weights, int i, cop_lane_vector x, cop_lane_vector sum) {
    return cop_lanes_fma_half(cop_lanes_one_of(weights, i), x, sum);
}
#endif

#include "runtime/kernels/tile_loops.h"

#endif
