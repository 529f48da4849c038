/* Weights times tiles, NEON: sparse ones over 1 to 14 vectors of 4 positions (more than
 * that spill, as compilers load all inputs first), blocks of 4x1 and dense ones over 1 to 5, which
 * with their inputs and the weights take 26 of the 32 registers. */
#include "runtime/kernels/arm/quads.h"
#include "runtime/kernels/kernels.h"

typedef float32x4_t cop_lane_vector;
#define COP_LANES QUAD

static inline cop_lane_vector cop_lanes_load(const float *from) {
    return vld1q_f32(from);
}
static inline void cop_lanes_store(float *to, cop_lane_vector x) {
    vst1q_f32(to, x);
}
static inline cop_lane_vector cop_lanes_of(float x) {
    return vdupq_n_f32(x);
}
static inline cop_lane_vector cop_lanes_fma(cop_lane_vector a, cop_lane_vector b,
                                            cop_lane_vector sum) {
    return vfmaq_f32(sum, a, b);
}
static inline cop_lane_vector cop_lanes_add(cop_lane_vector a, cop_lane_vector b) {
    return vaddq_f32(a, b);
}
static inline cop_lane_vector cop_lanes_clamp(cop_lane_vector x, cop_lane_vector min,
                                              cop_lane_vector max) {
    return quad_clamp(x, min, max);
}

/* One load for the weights of four rows. */
#define COP_LANES_OWN_WEIGHTS
typedef float32x4_t cop_lane_weights;

static inline cop_lane_weights cop_lanes_weights(const float *values) {
    return vld1q_f32(values);
}
static inline __attribute__((always_inline)) cop_lane_vector
cop_lanes_fma_weight(cop_lane_weights weights, int row, cop_lane_vector x, cop_lane_vector sum) {
    return quad_fma_lane(sum, x, weights, row);
}

#include "runtime/kernels/tile_loops.h"

/* clang-format off */
#define SINGLE(X) X(1, neon) X(2, neon) X(3, neon) X(4, neon) X(5, neon) X(6, neon) X(7, neon)     \
    X(8, neon) X(9, neon) X(10, neon) X(11, neon) X(12, neon) X(13, neon) X(14, neon)
#define GROUPS(X) X(1, neon) X(2, neon) X(3, neon) X(4, neon) X(5, neon)
/* clang-format on */

SINGLE(COP_TILE_SINGLE)
GROUPS(COP_TILE_GROUPS)

void cop_tile_f32_neon_fill(cop_kernels *kernels) {
    kernels->tile_lanes = COP_LANES;
    SINGLE(COP_TILE_FILL_SINGLE)
    GROUPS(COP_TILE_FILL_GROUPS)
}
