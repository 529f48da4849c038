/* Weights times tiles in plain C, on vectors of 4 floats as any CPU has them: sparse ones over 1 to
 * 8 vectors, blocks of 4x1 and dense ones over 1 or 2. */
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/vector.h"

typedef cop_vector cop_lane_vector;
#define COP_LANES COP_VECTOR_LANES

static inline cop_lane_vector cop_lanes_load(const float *from) {
    return *(const cop_lane_vector *)(const void *)from;
}
static inline void cop_lanes_store(float *to, cop_lane_vector x) {
    *(cop_lane_vector *)(void *)to = x;
}
static inline cop_lane_vector cop_lanes_of(float x) {
    return cop_vector_of(x);
}
static inline cop_lane_vector cop_lanes_fma(cop_lane_vector a, cop_lane_vector b,
                                            cop_lane_vector sum) {
    return sum + a * b;
}
static inline cop_lane_vector cop_lanes_add(cop_lane_vector a, cop_lane_vector b) {
    return a + b;
}
static inline cop_lane_vector cop_lanes_clamp(cop_lane_vector x, cop_lane_vector min,
                                              cop_lane_vector max) {
    for (int i = 0; i < COP_LANES; i++)
        x[i] = cop_clamp(x[i], min[i], max[i]);
    return x;
}

#include "runtime/kernels/tile_loops.h"

/* clang-format off */
#define SINGLE(X) X(1, c) X(2, c) X(3, c) X(4, c) X(5, c) X(6, c) X(7, c) X(8, c)
#define GROUPS(X) X(1, c) X(2, c)
/* clang-format on */

SINGLE(COP_TILE_SINGLE)
GROUPS(COP_TILE_GROUPS)

void cop_tile_f32_c_fill(cop_kernels *kernels) {
    kernels->tile_lanes = COP_LANES;
    SINGLE(COP_TILE_FILL_SINGLE)
    GROUPS(COP_TILE_FILL_GROUPS)
}
