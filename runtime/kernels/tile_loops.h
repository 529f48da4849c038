/* The loops over tiles, written once for all instruction sets. A file that includes this defines
 * before: the type cop_lane_vector, the number COP_LANES, and cop_lanes_load, _store (aligned), _of
 * (one number everywhere), _fma(a, b, sum), _add, _clamp(x, min, max), where a NaN in x stays. */
#ifndef COP_RUNTIME_KERNELS_TILE_LOOPS_H
#define COP_RUNTIME_KERNELS_TILE_LOOPS_H

#include <math.h>

#include "runtime/kernels/kernels.h"

#define COP_ALWAYS_INLINE static inline __attribute__((always_inline))

/* The weights of a group's rows for one input. A file that multiplies by a lane of a vector defines
 * COP_LANES_OWN_WEIGHTS and these itself. */
#ifndef COP_LANES_OWN_WEIGHTS
typedef const float *cop_lane_weights;

COP_ALWAYS_INLINE cop_lane_weights cop_lanes_weights(const float *values) {
    return values;
}

COP_ALWAYS_INLINE cop_lane_vector cop_lanes_fma_weight(cop_lane_weights weights, int row,
                                                       cop_lane_vector x, cop_lane_vector sum) {
    return cop_lanes_fma(cop_lanes_of(weights[row]), x, sum);
}
#endif

/* Four weights of one row. */
#ifndef COP_LANES_OWN_FOURS
typedef cop_lane_weights cop_lane_four;

COP_ALWAYS_INLINE cop_lane_four cop_lanes_four(const float *values) {
    return cop_lanes_weights(values);
}

COP_ALWAYS_INLINE cop_lane_vector cop_lanes_fma_one(cop_lane_four weights, int i, cop_lane_vector x,
                                                    cop_lane_vector sum) {
    return cop_lanes_fma_weight(weights, i, x, sum);
}
#endif

/* What a file does with the first half of a vector alone, where that is quicker; it defines
 * COP_LANES_HALVES. The other half of the results may be anything. */
#ifndef COP_LANES_HALVES
#define cop_lanes_load_half cop_lanes_load
#define cop_lanes_store_half cop_lanes_store
#define cop_lanes_fma_weight_half cop_lanes_fma_weight
#define cop_lanes_fma_one_half cop_lanes_fma_one
#endif

/* A part of a tile, of which the last vector may be half a one. Constants. */
typedef struct cop_part {
    int vectors;
    bool half;
} cop_part;

COP_ALWAYS_INLINE bool cop_part_halves(cop_part part, int v) {
    return part.half && v + 1 == part.vectors;
}

COP_ALWAYS_INLINE cop_lane_vector cop_part_load(cop_part part, int v, const float *from) {
    from += v * COP_LANES;
    return cop_part_halves(part, v) ? cop_lanes_load_half(from) : cop_lanes_load(from);
}

/* What the accumulators of row `r` start from. */
COP_ALWAYS_INLINE void cop_tile_start(const cop_tile_args *args, size_t r, const float *out,
                                      cop_lane_vector *acc, cop_part part) {
    if (!args->bias) {
        for (int v = 0; v < part.vectors; v++)
            acc[v] = cop_part_load(part, v, out);
        return;
    }
    for (int v = 0; v < part.vectors; v++)
        acc[v] = cop_lanes_of(args->bias[r]);
    if (!args->residual)
        return;
    const float *residual = args->residual + r * args->stripe;
    for (int v = 0; v < part.vectors; v++)
        acc[v] = cop_lanes_add(acc[v], cop_part_load(part, v, residual));
}

/* `clamp` is a constant: the sums of all blocks but the last are not clamped, and minima and maxima
 * take the place of multiplications. */
COP_ALWAYS_INLINE void cop_tile_end(float *out, const cop_lane_vector *acc, cop_part part,
                                    cop_lane_vector min, cop_lane_vector max, bool clamp) {
    for (int v = 0; v < part.vectors; v++) {
        const cop_lane_vector x = clamp ? cop_lanes_clamp(acc[v], min, max) : acc[v];
        if (cop_part_halves(part, v))
            cop_lanes_store_half(out + v * COP_LANES, x);
        else
            cop_lanes_store(out + v * COP_LANES, x);
    }
}

COP_ALWAYS_INLINE bool cop_tile_clamps(const cop_tile_args *args) {
    return args->min != -INFINITY || args->max != INFINITY;
}

/* Four weights of a row, or what is left of them, each times a stripe. */
COP_ALWAYS_INLINE void cop_tile_add(const char *input, const float *values, const uint16_t *offsets,
                                    size_t left, cop_lane_vector *acc, cop_part part) {
    const cop_lane_four weights = cop_lanes_four(values);
#pragma GCC unroll 4 /* so that permutations are constants */
    for (int i = 0; i < COP_TILE_HEIGHT; i++) {
        if ((size_t)i >= left)
            return;
        const float *in = (const float *)(input + offsets[i] * (size_t)COP_TILE_ALIGN);
        for (int v = 0; v < part.vectors; v++) {
            const cop_lane_vector x = cop_part_load(part, v, in);
            acc[v] = cop_part_halves(part, v) ? cop_lanes_fma_one_half(weights, i, x, acc[v])
                                              : cop_lanes_fma_one(weights, i, x, acc[v]);
        }
    }
}

/* One row at a time. Loads are what this is short of: `vectors` for each weight, and one for four
 * weights. */
COP_ALWAYS_INLINE void cop_tile_single(const cop_tile_args *args, cop_part part, bool clamp) {
    enum { STEP = COP_TILE_HEIGHT };
    const cop_lane_vector min = cop_lanes_of(args->min), max = cop_lanes_of(args->max);
    const float *value = args->values;
    const uint16_t *offset = args->offsets;
    const uint32_t *row = args->rows;
    for (size_t i = 0; i < args->run_count; i++) {
        const size_t count = args->runs[i].entries, steps = count / STEP, rest = count % STEP;
        for (uint32_t r = args->runs[i].rows; r > 0; r--, row++) {
            float *out = args->output + *row * args->stripe;
            cop_lane_vector acc[COP_TILE_MAX_PART];
            cop_tile_start(args, *row, out, acc, part);
            for (size_t n = steps; n > 0; n--, value += STEP, offset += STEP)
                cop_tile_add(args->input, value, offset, STEP, acc, part);
            if (rest)
                cop_tile_add(args->input, value, offset, rest, acc, part);
            value += rest;
            offset += rest;
            cop_tile_end(out, acc, part, min, max, clamp);
        }
    }
}

/* Groups of rows: each input is loaded once for all of them. Rows that do not exist are computed
 * into `spill`. `dense`: the entries are all columns, without offsets. */
COP_ALWAYS_INLINE void cop_tile_groups(const cop_tile_args *args, cop_part part, bool dense,
                                       bool clamp) {
    enum { HEIGHT = COP_TILE_HEIGHT };
    _Alignas(64) float spill[8 * COP_LANES] = {0};
    const cop_lane_vector min = cop_lanes_of(args->min), max = cop_lanes_of(args->max);
    const float *value = args->values;
    const uint16_t *offset = args->offsets;
    const uint32_t *row = args->rows;
    for (size_t i = 0; i < args->run_count; i++) {
        const size_t count = args->runs[i].entries;
        for (uint32_t r = args->runs[i].rows; r > 0; r--, row++) {
            float *out[HEIGHT];
            cop_lane_vector acc[HEIGHT][8];
            for (int h = 0; h < HEIGHT; h++) {
                size_t at = *row + (size_t)h;
                bool there = at < args->row_count;
                out[h] = there ? args->output + at * args->stripe : spill;
                cop_tile_start(args, there ? at : *row, out[h], acc[h], part);
            }
            const char *next = args->input;
            for (size_t n = 0; n < count; n++, value += HEIGHT) {
                const float *in =
                    (const float *)(dense ? next
                                          : args->input + offset[n] * (size_t)COP_TILE_ALIGN);
                next += args->stripe * sizeof(float);
                cop_lane_vector x[8];
                for (int v = 0; v < part.vectors; v++)
                    x[v] = cop_part_load(part, v, in);
                const cop_lane_weights weights = cop_lanes_weights(value);
                for (int h = 0; h < HEIGHT; h++)
                    for (int v = 0; v < part.vectors; v++)
                        acc[h][v] = cop_part_halves(part, v)
                                        ? cop_lanes_fma_weight_half(weights, h, x[v], acc[h][v])
                                        : cop_lanes_fma_weight(weights, h, x[v], acc[h][v]);
            }
            if (!dense)
                offset += count;
            for (int h = 0; h < HEIGHT; h++)
                cop_tile_end(out[h], acc[h], part, min, max, clamp);
        }
    }
}

/* Defines the loops for parts of `v` vectors, the last of which is half a one if `half`. */
#define COP_TILE_SINGLE_OF(name, v, half)                                                          \
    static void name(const cop_tile_args *args) {                                                  \
        if (cop_tile_clamps(args))                                                                 \
            cop_tile_single(args, (cop_part){v, half}, true);                                      \
        else                                                                                       \
            cop_tile_single(args, (cop_part){v, half}, false);                                     \
    }
#define COP_TILE_GROUPS_OF(name, v, half, dense)                                                   \
    static void name(const cop_tile_args *args) {                                                  \
        if (cop_tile_clamps(args))                                                                 \
            cop_tile_groups(args, (cop_part){v, half}, dense, true);                               \
        else                                                                                       \
            cop_tile_groups(args, (cop_part){v, half}, dense, false);                              \
    }
#define COP_TILE_SINGLE(v, isa) COP_TILE_SINGLE_OF(cop_spmm_tile_f32_1x##v##_##isa, v, false)
#define COP_TILE_GROUPS(v, isa)                                                                    \
    COP_TILE_GROUPS_OF(cop_spmm4_tile_f32_4x##v##_##isa, v, false, false)                          \
    COP_TILE_GROUPS_OF(cop_gemm_tile_f32_4x##v##_##isa, v, false, true)
#define COP_TILE_HALVES(v, isa)                                                                    \
    COP_TILE_SINGLE_OF(cop_spmm_tile_f32_1x##v##_half_##isa, v, true)                              \
    COP_TILE_GROUPS_OF(cop_spmm4_tile_f32_4x##v##_half_##isa, v, true, false)                      \
    COP_TILE_GROUPS_OF(cop_gemm_tile_f32_4x##v##_half_##isa, v, true, true)

/* Puts them into the table. */
#define COP_TILE_FILL_SINGLE(v, isa)                                                               \
    kernels->spmm_tile_f32.part[v] = cop_spmm_tile_f32_1x##v##_##isa;                              \
    kernels->spmm_tile_f32.max_vectors = v;
#define COP_TILE_FILL_GROUPS(v, isa)                                                               \
    kernels->spmm4_tile_f32.part[v] = cop_spmm4_tile_f32_4x##v##_##isa;                            \
    kernels->spmm4_tile_f32.max_vectors = v;                                                       \
    kernels->gemm_tile_f32.part[v] = cop_gemm_tile_f32_4x##v##_##isa;                              \
    kernels->gemm_tile_f32.max_vectors = v;
#define COP_TILE_FILL_HALVES(v, isa)                                                               \
    kernels->spmm_tile_f32.half[v] = cop_spmm_tile_f32_1x##v##_half_##isa;                         \
    kernels->spmm4_tile_f32.half[v] = cop_spmm4_tile_f32_4x##v##_half_##isa;                       \
    kernels->gemm_tile_f32.half[v] = cop_gemm_tile_f32_4x##v##_half_##isa;

#endif
