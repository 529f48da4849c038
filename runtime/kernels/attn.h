/* Inner loops of operators over tokens, whose vector axis is the token: products in which the other
 * operand is broadcast, softmax and normalization down the channels of a tile. One token is one
 * lane, so nothing is ever summed across lanes. */
#ifndef COP_RUNTIME_KERNELS_ATTN_H
#define COP_RUNTIME_KERNELS_ATTN_H

#include <stdbool.h>
#include <stddef.h>

struct cop_kernels;

/* Lanes come in whole vectors of the widest instruction set; at most so many at once. */
enum { COP_ATTN_VECTOR = 16, COP_ATTN_LANES = 64 };

/* A product of two activations, for r < rows and l < lanes:
 *     out[r * out_row + l] = (add ? itself : 0) + sum over k < reduction of
 *                            a[r * a_row + k * a_k] * x[k * x_k + l]
 * Steps count floats. `lanes` is a multiple of COP_ATTN_VECTOR, at most COP_ATTN_LANES. */
typedef struct cop_attn_args {
    const float *a;
    size_t a_row, a_k;
    const float *x;
    size_t x_k;
    float *out;
    size_t out_row;
    size_t rows, reduction, lanes;
    bool add;
} cop_attn_args;

typedef void cop_attn_f32_fn(const cop_attn_args *args);

/* Softmax but for the division, in place: x[r][lanes] becomes e^(x + bias[r] - the largest of the
 * lane), and inverse[l] 1 over the lane's sum: 1 where all are -INFINITY, which gives zeros.
 * A bias of -INFINITY hides the row whatever is in it. bias NULL: none. `lanes` as above. */
typedef void cop_attn_softmax_fn(float *x, size_t rows, size_t lanes, const float *bias,
                                 float *inverse);

/* Softmax, or its logarithms, of each lane of a tile: x and out are [rows][step], of which `lanes`
 * (as above) are done. May work in place. */
typedef void cop_lanes_softmax_fn(const float *x, float *out, size_t rows, size_t step,
                                  size_t lanes, bool logarithms);

/* LayerNormalization of each lane of a tile: out = (x - mean) / sqrt(variance + epsilon) * scale[r]
 * + bias[r]; `centred` false: the mean is taken to be 0. scale and bias may be NULL; steps between
 * their elements are 0 or 1. May work in place. */
typedef struct cop_lanes_norm {
    const float *x;
    float *out;
    size_t rows, step, lanes;
    const float *scale, *bias;
    size_t scale_step, bias_step;
    double epsilon;
    bool centred;
} cop_lanes_norm;

typedef void cop_lanes_norm_fn(const cop_lanes_norm *args);

void cop_attn_f32_c_fill(struct cop_kernels *kernels);
void cop_lanes_f32_c_fill(struct cop_kernels *kernels);
#if defined(__x86_64__)
void cop_attn_f32_avx2_fill(struct cop_kernels *kernels);
void cop_attn_f32_avx512_fill(struct cop_kernels *kernels);
void cop_lanes_f32_avx2_fill(struct cop_kernels *kernels);
void cop_lanes_f32_avx512_fill(struct cop_kernels *kernels);
#elif defined(__aarch64__)
void cop_attn_f32_neon_fill(struct cop_kernels *kernels);
void cop_lanes_f32_neon_fill(struct cop_kernels *kernels);
#endif

#endif
