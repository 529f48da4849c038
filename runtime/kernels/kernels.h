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

/* The loops for parts of 1 to `max_vectors` vectors, and for one position. */
typedef struct cop_tile_loops {
    cop_tile_f32_fn *part[COP_TILE_MAX_PART + 1];
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

/* Depthwise: for each channel c and vector v, x(s) being what the pieces of slot s < taps read from
 * input + c * input_stride (or of c / multiplier)
 *     acc[0..16) = bias[c] + sum over s of weights[(c / 8 * taps + s) * 8 + c % 8] * x(s)
 *     output[c * output_stride + v * 16 + 0..16) = min(max(acc + residual[the same], min), max)
 * Stripes are 64-byte aligned. Only lanes of masks are read of the input. Pieces are in any order;
 * neighbours that begin one float apart may be read together when `step` is 2. */
enum { COP_DWCONV_CHANNELS = 8 };

typedef struct cop_dwconv_args {
    const cop_piece *pieces;
    const uint32_t *first; /* [vectors + 1]: where the pieces of each vector begin */
    size_t vectors, taps, step;
    const float *input;
    size_t input_stride, channels, multiplier;
    const float *weights, *bias;
    const float *residual; /* NULL: none; may be `output` */
    float *output;
    size_t output_stride;
    float min, max;
} cop_dwconv_args;

typedef void cop_dwconv_f32_fn(const cop_dwconv_args *args);

void cop_dwconv_f32_c(const cop_dwconv_args *args);

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
    cop_map_f32_fn *map_f32[COP_MAP_COUNT];
    cop_softmax_f32_fn *softmax_f32;
    cop_fold_rows_f32_fn *fold_rows_f32; /* rows.h */
    cop_fold_taps_f32_fn *fold_taps_f32;
    cop_sum_f32_fn *sum_f32;
    cop_max_f32_fn *max_f32;
    cop_add_stripes_f32_fn *add_stripes_f32;
    cop_scale_rows_f32_fn *scale_rows_f32;
    cop_spmv_f32_fn *spmv_lanes_f32; /* spmv.h; NULL: none */
    cop_attn_f32_fn *attn_f32;       /* attn.h */
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
