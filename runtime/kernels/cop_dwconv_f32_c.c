/* Depthwise convolutions in tiles, plain C. */
#include "runtime/kernels/vector.h"

typedef cop_vector dw_vector;
#define DW_LANES COP_VECTOR_LANES
#define DW_ROWS 2

static inline dw_vector dw_load(const float *from) {
    return cop_vector_load(from);
}
static inline void dw_store(float *to, dw_vector x) {
    memcpy(to, &x, sizeof x);
}
static inline dw_vector dw_of(float x) {
    return cop_vector_of(x);
}
static inline dw_vector dw_fma(dw_vector a, dw_vector b, dw_vector sum) {
    return sum + a * b;
}
static inline dw_vector dw_add(dw_vector a, dw_vector b) {
    return a + b;
}
static inline dw_vector dw_clamp(dw_vector x, dw_vector min, dw_vector max) {
    for (int i = 0; i < DW_LANES; i++)
        x[i] = cop_clamp(x[i], min[i], max[i]);
    return x;
}
static inline void dw_halves(const float *from, dw_vector *even, dw_vector *odd) {
    const dw_vector a = dw_load(from), b = dw_load(from + DW_LANES);
    *even = __builtin_shufflevector(a, b, 0, 2, 4, 6);
    *odd = __builtin_shufflevector(a, b, 1, 3, 5, 7);
}

#include "runtime/kernels/dwconv_loops.h"

static void cop_dwconv_f32_c(const cop_dwconv_args *args) {
    dw_channels(args);
}

void cop_dwconv_f32_c_fill(cop_kernels *kernels) {
    kernels->dwconv_f32 = cop_dwconv_f32_c;
    kernels->dwconv_rows = DW_ROWS;
}
