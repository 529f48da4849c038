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
static inline __attribute__((always_inline)) cop_lane_vector
cop_lanes_fma_one(cop_lane_four weights, int i, cop_lane_vector x, cop_lane_vector sum) {
    const cop_lane_vector weight = i == 0   ? COP_WIDE(permute)(weights, 0x00)
                                   : i == 1 ? COP_WIDE(permute)(weights, 0x55)
                                   : i == 2 ? COP_WIDE(permute)(weights, 0xaa)
                                            : COP_WIDE(permute)(weights, 0xff);
    return cop_lanes_fma(weight, x, sum);
}

#include "runtime/kernels/tile_loops.h"

#endif
