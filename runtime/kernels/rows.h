/* Loops over rows of floats that exist once per instruction set: what pooling, reductions and
 * changes of layout are made of. They are plain C, compiled for each: rows_f32.h makes them. */
#ifndef COP_RUNTIME_KERNELS_ROWS_H
#define COP_RUNTIME_KERNELS_ROWS_H

#include <stdbool.h>
#include <stddef.h>

/* Floats that the loops take at a time. */
enum { COP_ROW_BLOCK = 16 };

/* Rows of length `n`, each `step` floats behind the last, into one: their sums or (`sums` false)
 * their largest elements, NaN where there is one. `add`: with what is in `to`. rows > 0. */
typedef void cop_fold_rows_f32_fn(float *to, const float *from, size_t rows, size_t step, size_t n,
                                  bool sums, bool add);

/* to[i] is the sum or the largest of from[i * stride + k * step] for k < taps, for i < n, and some
 * numbers up to the next multiple of COP_ROW_BLOCK: all of that is read and written. taps > 0. */
typedef void cop_fold_taps_f32_fn(float *to, const float *from, size_t taps, size_t step,
                                  size_t stride, size_t n, bool sums);

/* The sum of n elements, in parts that depend on n alone; the largest, NaN where there is one, of
 * n > 0. */
typedef double cop_sum_f32_fn(const float *x, size_t n);
typedef float cop_max_f32_fn(const float *x, size_t n);

/* lanes[s][i % COP_ROW_BLOCK] += x = from[s * step + i] for s < stripes, i < n; where there are
 * means, (x - mean[s]) squared instead. */
typedef void cop_add_stripes_f32_fn(float (*lanes)[COP_ROW_BLOCK], const float *from,
                                    size_t stripes, size_t step, size_t n, const float *mean);

/* to[r * n + i] = from[r * n + i] * factor[r] + shift[r] for r < rows, i < n, clamped to low and
 * high; a NaN stays one. May work in place. shift NULL: nothing is added, nothing clamped. */
typedef void cop_scale_rows_f32_fn(float *to, const float *from, size_t rows, size_t n,
                                   const float *factor, const float *shift, float low, float high);

#endif
