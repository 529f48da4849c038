/* The loops of depthwise convolutions, written once for all instruction sets. A file that includes
 * this defines before: the type dw_vector, the number DW_LANES (COP_DWCONV_LANES or a divisor of
 * it), dw_load and dw_store (any address), dw_of (one number everywhere), dw_fma(a, b, sum),
 * dw_add, dw_clamp(x, min, max), where a NaN in x stays, dw_halves(from, &even, &odd), which splits
 * 2 * DW_LANES floats, and DW_ROWS: how many output rows are summed at a time. */
#ifndef COP_RUNTIME_KERNELS_DWCONV_LOOPS_H
#define COP_RUNTIME_KERNELS_DWCONV_LOOPS_H

#include "runtime/kernels/kernels.h"
#include "runtime/kernels/vector.h"

#define DW_INLINE static inline __attribute__((always_inline))

/* ---- 1. a channel's rows into the plane ---- */

enum { DW_PARTS = COP_DWCONV_LANES / DW_LANES };

DW_INLINE void dw_copy(const cop_dwconv_copy *copy, const size_t *counts, const float *from,
                       size_t stride, float *to) {
    for (size_t i = counts[COP_DWCONV_WIDE]; i > 0; i--, copy++) {
        __builtin_prefetch(from + copy->from + stride);
        for (int n = 0; n < DW_PARTS; n++)
            dw_store(to + copy->to + n * DW_LANES, dw_load(from + copy->from + n * DW_LANES));
    }
    for (size_t i = counts[COP_DWCONV_NARROW]; i > 0; i--, copy++)
        memcpy(to + copy->to, from + copy->from, COP_DWCONV_LANES / 2 * sizeof *to);
    for (size_t i = counts[COP_DWCONV_SINGLE]; i > 0; i--, copy++)
        to[copy->to] = from[copy->from];
}

/* Step 2. */
DW_INLINE void dw_split(const cop_dwconv_copy *copy, const size_t *counts, const float *from,
                        size_t stride, float *to) {
    for (size_t i = counts[COP_DWCONV_WIDE]; i > 0; i--, copy++) {
        __builtin_prefetch(from + copy->from + stride);
        for (int n = 0; n < DW_PARTS; n++) {
            dw_vector even, odd;
            dw_halves(from + copy->from + 2 * n * DW_LANES, &even, &odd);
            dw_store(to + copy->to + n * DW_LANES, even);
            dw_store(to + copy->other + n * DW_LANES, odd);
        }
    }
    for (size_t i = counts[COP_DWCONV_NARROW]; i > 0; i--, copy++) {
        const cop_vector a = cop_vector_load(from + copy->from);
        const cop_vector b = cop_vector_load(from + copy->from + COP_VECTOR_LANES);
        const cop_vector even = __builtin_shufflevector(a, b, 0, 2, 4, 6);
        const cop_vector odd = __builtin_shufflevector(a, b, 1, 3, 5, 7);
        memcpy(to + copy->to, &even, sizeof even);
        memcpy(to + copy->other, &odd, sizeof odd);
    }
    for (size_t i = counts[COP_DWCONV_SINGLE]; i > 0; i--, copy++)
        to[copy->to] = from[copy->from];
}

/* ---- 2. sums ---- */

/* `rows` rows of one vector, a constant as the sizes are: what is loaded serves every row that it
 * is a tap of. */
DW_INLINE void dw_block(const cop_dwconv_args *a, const float *in, float *out,
                        const dw_vector *weights, dw_vector bias, int size, int stride, int rows) {
    dw_vector acc[DW_ROWS];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        acc[r] = bias;
#pragma GCC unroll 8
    for (int s = 0; s < size; s++) {
        const float *at = in + a->columns[s];
#pragma GCC unroll 24
        for (int i = 0; i < (rows - 1) * stride + size; i++, at += a->pitch) {
            const dw_vector x = dw_load(at);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++)
                if (i >= r * stride && i < r * stride + size)
                    acc[r] = dw_fma(weights[(i - r * stride) * size + s], x, acc[r]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        dw_store(out + (size_t)r * a->width, acc[r]);
}

/* The same for windows and strides of any size. */
DW_INLINE void dw_any_block(const cop_dwconv_args *a, const float *in, float *out,
                            const float *weights, dw_vector bias, int rows) {
    dw_vector acc[DW_ROWS];
    for (int r = 0; r < rows; r++)
        acc[r] = bias;
    for (size_t s = 0; s < a->kernel_w; s++) {
        const float *at = in + a->columns[s];
        for (size_t k = 0; k < a->kernel_h; k++, at += a->dilation * a->pitch) {
            const dw_vector weight = dw_of(weights[k * a->kernel_w + s]);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++)
                acc[r] = dw_fma(weight, dw_load(at + (size_t)r * a->stride * a->pitch), acc[r]);
        }
    }
    for (int r = 0; r < rows; r++)
        dw_store(out + (size_t)r * a->width, acc[r]);
}

/* The rows from `y` on. The last vector of a row ends with it; in a row that is shorter than one it
 * reaches into the next, which is stored later. `size`: 0 for any window. */
DW_INLINE void dw_some_rows(const cop_dwconv_args *a, size_t y, const dw_vector *broadcast,
                            const float *weights, float bias, int size, int stride, int rows) {
    const float *in = a->plane + y * a->stride * a->pitch;
    float *out = a->sums + y * a->width;
    const size_t last = a->width > DW_LANES ? a->width - DW_LANES : 0;
    for (size_t x = 0;; x += DW_LANES) {
        const size_t at = x < last ? x : last;
        if (size)
            dw_block(a, in + at, out + at, broadcast, dw_of(bias), size, stride, rows);
        else
            dw_any_block(a, in + at, out + at, weights, dw_of(bias), rows);
        if (at == last)
            return;
    }
}

DW_INLINE void dw_rows(const cop_dwconv_args *a, const float *weights, float bias, int size,
                       int stride) {
    dw_vector broadcast[7 * 7];
    for (int i = 0; i < size * size; i++)
        broadcast[i] = dw_of(weights[i]);
    if (a->rows < DW_ROWS) {
        for (size_t y = 0; y < a->rows; y++)
            dw_some_rows(a, y, broadcast, weights, bias, size, stride, 1);
        return;
    }
    const size_t last = a->rows - DW_ROWS;
    for (size_t y = 0;; y += DW_ROWS) {
        const size_t at = y < last ? y : last;
        dw_some_rows(a, at, broadcast, weights, bias, size, stride, DW_ROWS);
        if (at == last)
            return;
    }
}

/* Windows and strides that have loops of their own. */
#define DW_SIZES(X) X(3, 1) X(3, 2) X(5, 1) X(5, 2) X(7, 1) X(7, 2) X(0, 0)
#define DW_SIZE(size, stride)                                                                      \
    static void dw_rows_##size##_##stride(const cop_dwconv_args *a, const float *weights,          \
                                          float bias) {                                            \
        dw_rows(a, weights, bias, size, stride);                                                   \
    }
DW_SIZES(DW_SIZE)

typedef void dw_rows_fn(const cop_dwconv_args *a, const float *weights, float bias);

DW_INLINE dw_rows_fn *dw_rows_of(const cop_dwconv_args *a) {
    if (a->kernel_h == a->kernel_w && a->dilation == 1) {
#define DW_CASE(size, step)                                                                        \
    if (a->kernel_w == (size) && a->stride == (step))                                              \
        return dw_rows_##size##_##step;
        DW_SIZES(DW_CASE)
    }
    return dw_rows_0_0;
}

/* ---- 3. into the tiles ---- */

DW_INLINE void dw_finish(const cop_dwconv_args *a, float *to, const float *more) {
    const dw_vector min = dw_of(a->min), max = dw_of(a->max);
    const cop_dwconv_copy *copy = a->out.list;
    for (size_t i = a->out.counts[COP_DWCONV_WIDE]; i > 0; i--, copy++)
        for (int n = 0; n < COP_DWCONV_LANES; n += DW_LANES) {
            dw_vector x = dw_load(a->sums + copy->from + n);
            if (more)
                x = dw_add(x, dw_load(more + copy->to + n));
            dw_store(to + copy->to + n, dw_clamp(x, min, max));
        }
    size_t rest = a->out.counts[COP_DWCONV_NARROW];
    int width = COP_DWCONV_LANES / 2;
    for (int size = COP_DWCONV_NARROW; size < COP_DWCONV_SIZES; size++) {
        for (size_t i = rest; i > 0; i--, copy++)
            for (int n = 0; n < width; n++) {
                float x = a->sums[copy->from + (size_t)n];
                x = more ? x + more[copy->to + (size_t)n] : x;
                to[copy->to + (size_t)n] = cop_clamp(x, a->min, a->max);
            }
        rest = a->out.counts[COP_DWCONV_SINGLE];
        width = 1;
    }
}

DW_INLINE void dw_channels(const cop_dwconv_args *args) {
    const cop_dwconv_args a = *args;
    const size_t taps = a.kernel_h * a.kernel_w;
    dw_rows_fn *rows = dw_rows_of(&a);
    for (size_t c = 0; c < a.channels; c++) {
        const float *input = a.input + c / a.multiplier * a.input_stride;
        if (c % a.multiplier == 0 && a.step == 2)
            dw_split(a.in.list, a.in.counts, input, a.input_stride, a.plane);
        else if (c % a.multiplier == 0)
            dw_copy(a.in.list, a.in.counts, input, a.input_stride, a.plane);
        rows(&a, a.weights + c * taps, a.bias[c]);
        dw_finish(&a, a.output + c * a.output_stride,
                  a.residual ? a.residual + c * a.output_stride : NULL);
    }
}

#endif
