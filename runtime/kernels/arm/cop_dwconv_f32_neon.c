/* Depthwise convolutions in tiles, NEON. */
#include "runtime/kernels/arm/quads.h"

typedef float32x4_t dw_vector;
#define DW_LANES QUAD
#define DW_ROWS 7

static inline dw_vector dw_load(const float *from) {
    return vld1q_f32(from);
}
static inline void dw_store(float *to, dw_vector x) {
    vst1q_f32(to, x);
}
static inline dw_vector dw_of(float x) {
    return vdupq_n_f32(x);
}
static inline dw_vector dw_fma(dw_vector a, dw_vector b, dw_vector sum) {
    return vfmaq_f32(sum, a, b);
}
static inline dw_vector dw_add(dw_vector a, dw_vector b) {
    return vaddq_f32(a, b);
}
static inline dw_vector dw_clamp(dw_vector x, dw_vector min, dw_vector max) {
    return quad_clamp(x, min, max);
}
static inline void dw_halves(const float *from, dw_vector *even, dw_vector *odd) {
    const float32x4x2_t x = vld2q_f32(from);
    *even = x.val[0];
    *odd = x.val[1];
}

#include "runtime/kernels/dwconv_loops.h"

static void cop_dwconv_f32_neon(const cop_dwconv_args *args) {
    dw_channels(args);
}

void cop_dwconv_f32_neon_fill(cop_kernels *kernels) {
    kernels->dwconv_f32 = cop_dwconv_f32_neon;
    kernels->dwconv_rows = DW_ROWS;
}
