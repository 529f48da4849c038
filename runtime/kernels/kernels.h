/* The typed table of the inner loops that exist once per instruction set. `cop_kernels_init` fills
 * every slot with plain C, then climbs the ladder of instruction sets with early returns: no slot
 * is NULL and what comes later in its text wins. */
#ifndef COP_RUNTIME_KERNELS_H
#define COP_RUNTIME_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <coppice/runtime.h>

#include "runtime/kernels/attn.h"
#include "runtime/kernels/few.h"
#include "runtime/kernels/maps.h"
#include "runtime/kernels/rows.h"
#include "runtime/kernels/spmv.h"

/* Dense rows, four at a time: for r from 0 to rows - 1 over a tile of T pixels
 *     acc[0..T) = bias ? bias[r] : output[r * output_stride + 0..T)
 *     for each column k: acc[0..T) += weight(r, k) * input[offsets[k] .. offsets[k] + T floats)
 *     output[r * output_stride + 0..T) = min(max(acc, args.min), args.max)
 * with weight(r, k) = weights[(r / 4 * columns + k) * 4 + r % 4]; rows are filled up with zeros.
 * Nothing needs an alignment beyond that of float. */
enum { COP_GEMM_ROWS = 4, COP_GEMM_MAX_VECTORS = 6 };

typedef struct cop_gemm_args {
    const char *input;
    const uint32_t *offsets; /* [columns], bytes */
    const float *weights;
    size_t rows, columns;
    const float *bias; /* [rows] or NULL: add to what is in `output` */
    float *output;
    size_t output_stride; /* floats */
    float min, max;
} cop_gemm_args;

typedef void cop_gemm_f32_fn(const cop_gemm_args *args);

/* ---- tiles (runtime/layout.h) ---- */

/* `rows` groups of rows that each have `entries` weights: the inner loop's trip count is constant
 * over a run, so that the branch predictor can learn it. */
typedef struct cop_tile_run {
    uint32_t rows, entries;
} cop_tile_run;

/* Rows of weights times the stripes of a block of columns, over a part of a tile: V vectors of
 * `tile_lanes` floats. Rows come in groups of `height` consecutive ones that share the columns of
 * their entries: 1, or COP_TILE_HEIGHT. For each group, run by run, and each of its rows r:
 *     acc[0..V) = bias ? bias[r] + (residual ? residual[r * stripe + 0..V) : 0)
 *                      : output[r * stripe + 0..V)
 *     for each entry: acc[0..V) += its value for r * input[its offset + 0..V)
 *     output[r * stripe + 0..V) = min(max(acc, args.min), args.max)
 * Rows from row_count on do not exist, though a group may reach over them. Everything but values
 * and offsets is aligned to its vectors; one position (V = 1 float): to floats. */
enum { COP_TILE_HEIGHT = 4, COP_TILE_MAX_PART = 16, COP_TILE_ALIGN = 64 };

typedef struct cop_tile_args {
    const char *input;       /* the block's first stripe, at this part */
    const float *values;     /* [entries][height], and COP_TILE_HEIGHT floats that may be read */
    const uint16_t *offsets; /* [entries], in COP_TILE_ALIGN bytes (one position: bytes); dense
                                loops: every stripe in turn, no offsets */
    const uint32_t *rows;    /* the first row of each group */
    const cop_tile_run *runs;
    size_t run_count, row_count;
    const float *bias, *residual;
    float *output;
    size_t stripe; /* floats, of input and output */
    float min, max;
} cop_tile_args;

typedef void cop_tile_f32_fn(const cop_tile_args *args);

/* The loops for parts of 1 to `max_vectors` vectors, and for one position. `half`: for parts whose
 * last vector counts only in its first half, or NULL. */
typedef struct cop_tile_loops {
    cop_tile_f32_fn *part[COP_TILE_MAX_PART + 1];
    cop_tile_f32_fn *half[COP_TILE_MAX_PART + 1];
    size_t max_vectors;
    cop_tile_f32_fn *one;
} cop_tile_loops;

/* Rows against rows, both with their elements beside each other: for m < rows, n < columns
 *     out[m * out_stride + n] = (add ? itself : 0) + sum over k of a[m * a_stride + k] * b[n *
 *     b_stride + k]
 * Strides count floats; nothing needs an alignment. */
typedef struct cop_dot_args {
    const float *a, *b;
    size_t a_stride, b_stride;
    size_t rows, columns, reduction;
    float *out;
    size_t out_stride;
    bool add;
} cop_dot_args;

typedef void cop_dot_f32_fn(const cop_dot_args *args);

/* What a tap of a convolution reads for a vector of 16 output positions: lane i of `mask` reads
 * input[offset + i * step], all other lanes 0. Where a row or a tile ends within the vector it
 * takes several pieces with the same slot, which follow each other and share no lane. */
enum { COP_PIECE_LANES = 16 };

typedef struct cop_piece {
    int32_t offset; /* floats */
    uint16_t mask;
    uint16_t slot; /* where the vector goes */
} cop_piece;

/* Columns: for each channel c and slot s
 *     output[c * output_stride + s * 16 + 0..16) = what the pieces of s read
 * from input + c * input_stride. Only lanes of masks are read. `output` is 64-byte aligned, and
 * output_stride is a multiple of 16. */
typedef struct cop_columns_args {
    const cop_piece *pieces;
    size_t count, step;
    const float *input;
    size_t input_stride, channels;
    float *output;
    size_t output_stride;
} cop_columns_args;

typedef void cop_columns_f32_fn(const cop_columns_args *args);

/* Plain C: for other kernels, where a step is not theirs. */
void cop_columns_f32_c(const cop_columns_args *args);

/* Neighbouring floats that are copied together: into the plane from stripes of the input, or from
 * the sums to stripes of the output. Places count floats, in stripes from channel 0 of tile 0. */
typedef struct cop_dwconv_copy {
    uint32_t from, to;
    uint32_t other; /* with steps of 2: where every second float goes, from the second on */
} cop_dwconv_copy;

/* Copies for each channel, by their size: 8 floats, 4 and 1, of each phase; with steps of more than
 * 2 they are of one float. */
enum { COP_DWCONV_WIDE, COP_DWCONV_NARROW, COP_DWCONV_SINGLE, COP_DWCONV_SIZES };

typedef struct cop_dwconv_copies {
    const cop_dwconv_copy *list;
    size_t counts[COP_DWCONV_SIZES]; /* they stand in this order */
} cop_dwconv_copies;

/* Depthwise: a band of rows of some channels. For each channel c
 *   1. the pixels of `in` are copied into `plane`, rows of `pitch` floats, where all else is zero.
 *   2. sums[y * width + x] = bias[c] + sum over r, s of weights[c][r][s] * plane[(y * stride + r *
 *      dilation) * pitch + columns[s] + x], `rows` rows. Fewer than COP_DWCONV_LANES floats behind
 *      the last are written, and as many are read behind what a row of the plane needs.
 *   3. the floats of `out` become min(max(sum + residual, min), max). Each is there once. */
enum { COP_DWCONV_LANES = 8 };

typedef struct cop_dwconv_args {
    const float *input;
    size_t input_stride, channels, multiplier; /* channel c reads input channel c / multiplier */
    cop_dwconv_copies in, out;
    float *plane, *sums;
    size_t step, pitch;
    size_t kernel_h, kernel_w, stride, dilation; /* of rows */
    const size_t *columns;                       /* [kernel_w] */
    size_t rows, width;
    const float *weights, *bias; /* [channels][kernel_h][kernel_w], [channels] */
    const float *residual;       /* NULL: none; may be `output` */
    float *output;
    size_t output_stride;
    float min, max;
} cop_dwconv_args;

typedef void cop_dwconv_f32_fn(const cop_dwconv_args *args);

typedef struct cop_kernels {
    /* Products of activations: gemm_f32[V] takes tiles of V vectors of `gemm_lanes` floats, for V
     * from 1 to `gemm_max_vectors`. */
    cop_gemm_f32_fn *gemm_f32[COP_GEMM_MAX_VECTORS + 1];
    size_t gemm_lanes, gemm_max_vectors;
    /* Sparse weights, sparse weights in blocks of 4x1, dense weights times tiles. */
    cop_tile_loops spmm_tile_f32, spmm4_tile_f32, gemm_tile_f32;
    size_t tile_lanes;
    cop_dot_f32_fn *dot_f32;
    cop_columns_f32_fn *columns_f32;
    cop_dwconv_f32_fn *dwconv_f32;
    size_t dwconv_rows; /* it works on so many rows at a time: bands had best be multiples */
    cop_map_f32_fn *map_f32[COP_MAP_COUNT];
    cop_softmax_f32_fn *softmax_f32;
    cop_fold_rows_f32_fn *fold_rows_f32; /* rows.h */
    cop_fold_taps_f32_fn *fold_taps_f32;
    cop_sum_f32_fn *sum_f32;
    cop_max_f32_fn *max_f32;
    cop_add_stripes_f32_fn *add_stripes_f32;
    cop_scale_rows_f32_fn *scale_rows_f32;
    cop_spmv_f32_fn *spmv_lanes_f32;         /* spmv.h; NULL: none */
    cop_few_f32_fn *few_f32[COP_FEW_WIDTHS]; /* few.h: of 4, 8 and 16 lanes */
    cop_attn_f32_fn *attn_f32;               /* attn.h */
    cop_attn_softmax_fn *attn_softmax_f32;
    cop_lanes_softmax_fn *lanes_softmax_f32;
    cop_lanes_norm_fn *lanes_norm_f32;
} cop_kernels;

/* The kernels for `isa`, which the CPU has. */
void cop_kernels_init(cop_kernels *kernels, coppice_isa isa);

/* The same, filled once and kept; `isa` must not be BEST. Thread-safe. */
const cop_kernels *cop_kernels_of(coppice_isa isa);

/* Fill the slots that a file of kernels has. */
void cop_gemm_f32_c_fill(cop_kernels *kernels);
void cop_tile_f32_c_fill(cop_kernels *kernels);
void cop_tile_one_f32_c_fill(cop_kernels *kernels);
void cop_dot_f32_c_fill(cop_kernels *kernels);
void cop_maps_f32_c_fill(cop_kernels *kernels);
void cop_columns_f32_c_fill(cop_kernels *kernels);
void cop_dwconv_f32_c_fill(cop_kernels *kernels);
void cop_rows_f32_c_fill(cop_kernels *kernels);
#if defined(__x86_64__)
void cop_gemm_f32_avx2_fill(cop_kernels *kernels);
void cop_gemm_f32_avx512_fill(cop_kernels *kernels);
void cop_tile_f32_avx2_fill(cop_kernels *kernels);
void cop_tile_f32_avx512_fill(cop_kernels *kernels);
void cop_dot_f32_avx2_fill(cop_kernels *kernels);
void cop_dot_f32_avx512_fill(cop_kernels *kernels);
void cop_maps_f32_avx2_fill(cop_kernels *kernels);
void cop_maps_f32_avx512_fill(cop_kernels *kernels);
void cop_columns_f32_avx2_fill(cop_kernels *kernels);
void cop_dwconv_f32_avx2_fill(cop_kernels *kernels);
void cop_columns_f32_avx512_fill(cop_kernels *kernels);
void cop_dwconv_f32_avx512_fill(cop_kernels *kernels);
void cop_rows_f32_avx2_fill(cop_kernels *kernels);
void cop_rows_f32_avx512_fill(cop_kernels *kernels);
void cop_spmv_f32_avx512_fill(cop_kernels *kernels);
#elif defined(__aarch64__)
void cop_tile_f32_neon_fill(cop_kernels *kernels);
void cop_dot_f32_neon_fill(cop_kernels *kernels);
void cop_maps_f32_neon_fill(cop_kernels *kernels);
void cop_rows_f32_neon_fill(cop_kernels *kernels);
void cop_columns_f32_neon_fill(cop_kernels *kernels);
void cop_dwconv_f32_neon_fill(cop_kernels *kernels);
#endif

#endif
