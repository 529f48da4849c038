/* What several NEON kernels do with vectors of four floats. For files of this folder only. */
#ifndef COP_RUNTIME_KERNELS_ARM_QUADS_H
#define COP_RUNTIME_KERNELS_ARM_QUADS_H

#include <arm_neon.h>
#include <stddef.h>

enum { QUAD = 4 };

/* sum + x * weights[lane]; `lane` is a constant where it is inlined. */
static inline __attribute__((always_inline)) float32x4_t
quad_fma_lane(float32x4_t sum, float32x4_t x, float32x4_t weights, int lane) {
    switch (lane) {
    case 0:
        return vfmaq_laneq_f32(sum, x, weights, 0);
    case 1:
        return vfmaq_laneq_f32(sum, x, weights, 1);
    case 2:
        return vfmaq_laneq_f32(sum, x, weights, 2);
    default:
        return vfmaq_laneq_f32(sum, x, weights, 3);
    }
}

/* A NaN stays. */
static inline float32x4_t quad_clamp(float32x4_t x, float32x4_t min, float32x4_t max) {
    return vminq_f32(max, vmaxq_f32(min, x));
}

/* from[i * step], for steps of 1 and 2. Reads nothing before the first and behind the last. */
static inline float32x4_t quad_load(const float *from, size_t step) {
    if (step == 1)
        return vld1q_f32(from);
    const float32x4_t a = vld1q_f32(from), b = vld1q_f32(from + 3); /* 0 to 3, 3 to 6 */
    return vuzp1q_f32(a, vextq_f32(b, b, 1));
}

#endif
