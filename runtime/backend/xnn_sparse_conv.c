/* The sparse convolution on XNNPACK's sparse kernels: 1x1 in place, anything else tile by tile from
 * a layout of the inputs, which the operator wants as columns and the microkernel takes as it is.
 */
#include "runtime/backend/xnn.h"

#if defined(COP_HAVE_XNNPACK)

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "runtime/backend/xnn_spmm.h"
#include "runtime/sparse/im2col.h"
#include "runtime/sparse/tiling.h"

enum {
    MATRIX_BYTES = 512 * 1024, /* columns of a tile: they should stay in the second level cache */
    TILE_STEP = 32,            /* the kernels take so many positions at once */
    GRAIN = 8,                 /* channels laid out, or spread, by a thread at a time */
    SLACK = 64                 /* bytes that XNNPACK may read behind its input */
};

typedef struct sparse_conv {
    cop_conv conv;               /* weights and bias: NULL */
    bool in_place;               /* the input is the matrix */
    bool expand;                 /* columns are copied from planes */
    cop_tiling tiling;           /* not in place */
    size_t taps, channels, rows; /* of a group */
    cop_xnn_spmm **groups;       /* [conv.groups] */
} sparse_conv;

static bool is_in_place(const cop_conv *c) {
    return cop_im2col_is_input(c) && c->groups == 1;
}

static bool supports_sparse_1x1(const cop_conv *c) {
    size_t floats;
    return cop_xnn_supports(c) && is_in_place(c) &&
           cop_size_mul(c->out_h * c->out_w, c->in_channels, &floats) &&
           floats < INT32_MAX / sizeof(float);
}

static bool supports_sparse_any(const cop_conv *c) {
    size_t columns;
    return cop_xnn_supports(c) && cop_tiling_fits(c) && !is_in_place(c) &&
           !cop_xnn_is_depthwise(c) &&
           cop_size_mul(c->in_channels / c->groups, c->kernel_h, &columns) &&
           cop_size_mul(columns, c->kernel_w, &columns) && columns < 1024 * 1024;
}

static void sparse_destroy(void *state) {
    sparse_conv *s = state;
    if (!s)
        return;
    for (size_t g = 0; s->groups && g < s->conv.groups; g++)
        cop_xnn_spmm_free(s->groups[g]);
    free(s->groups);
    cop_tiling_free(&s->tiling);
    free(s);
}

/* Positions of a tile: a multiple of what all threads' kernels take at once, such that the columns
 * fit MATRIX_BYTES and the last tile is as full as can be. */
static size_t choose_tile(size_t columns, size_t all, unsigned threads) {
    size_t step = TILE_STEP * threads, steps = (all + step - 1) / step;
    size_t most = MATRIX_BYTES / sizeof(float) / columns / step, best = 1;
    for (size_t n = 2; n <= most && n <= steps; n++)
        if ((steps + n - 1) / n * n <= (steps + best - 1) / best * best)
            best = n;
    return best * step;
}

/* Planes where they add little work, columns else. */
static coppice_status choose_tiling(sparse_conv *s, const cop_conv *c, unsigned threads,
                                    coppice_error *err) {
    size_t columns = cop_tiling_positions(c, false), planes = cop_tiling_positions(c, true);
    bool use_planes = s->taps > 1 && planes / 5 * 4 <= columns;
    size_t all = use_planes ? planes / c->batch : columns;
    s->expand = use_planes && !cop_xnn_spmm_takes_offsets();
    return cop_tiling_create(c, use_planes, choose_tile(s->channels * s->taps, all, threads),
                             &s->tiling, err);
}

/* Where the columns of a group lie; NULL: one after the other. Free with free. */
static coppice_status column_offsets(const sparse_conv *s, size_t **out, coppice_error *err) {
    *out = NULL;
    if (s->in_place || s->expand || !s->tiling.planes)
        return COPPICE_OK;
    size_t columns = s->channels * s->taps, *offsets = malloc(columns * sizeof *offsets);
    if (!offsets)
        return cop_fail_memory(err, columns * sizeof *offsets);
    for (size_t k = 0; k < columns; k++)
        offsets[k] = k / s->taps * s->tiling.channel + s->tiling.taps[k % s->taps];
    *out = offsets;
    return COPPICE_OK;
}

static coppice_status pack_groups(sparse_conv *s, const cop_conv *c, const coppice_threadpool *pool,
                                  coppice_error *err) {
    size_t *offsets;
    COP_TRY(column_offsets(s, &offsets, err));
    coppice_status status = COPPICE_OK;
    cop_xnn_spmm_shape shape = {.rows = s->rows,
                                .columns = s->channels * s->taps,
                                .pixels = s->in_place ? c->out_h * c->out_w : s->tiling.tile,
                                .batch = s->in_place ? c->batch : 1,
                                .offsets = offsets,
                                .min = c->min,
                                .max = c->max};
    for (size_t g = 0; !status && g < c->groups; g++) {
        shape.weights = c->weights + g * s->rows * shape.columns;
        shape.bias = c->bias ? c->bias + g * s->rows : NULL;
        status = cop_xnn_spmm_create(&shape, pool, &s->groups[g], err);
    }
    free(offsets);
    return status;
}

static coppice_status sparse_create(const cop_conv *c, const coppice_threadpool *pool, void **state,
                                    coppice_error *err) {
    *state = NULL;
    sparse_conv *s = calloc(1, sizeof *s);
    if (!s)
        return cop_fail_memory(err, sizeof *s);
    s->conv = *c;
    s->conv.weights = s->conv.bias = NULL;
    s->in_place = is_in_place(c);
    s->taps = c->kernel_h * c->kernel_w;
    s->channels = c->in_channels / c->groups;
    s->rows = c->out_channels / c->groups;
    s->groups = calloc(c->groups, sizeof *s->groups);
    coppice_status status =
        s->groups ? COPPICE_OK : cop_fail_memory(err, c->groups * sizeof *s->groups);
    if (!status && !s->in_place)
        status = choose_tiling(s, c, coppice_threadpool_threads(pool), err);
    if (!status)
        status = pack_groups(s, c, pool, err);
    if (status) {
        sparse_destroy(s);
        return status;
    }
    *state = s;
    return COPPICE_OK;
}

/* ---- running ---- */

/* Scratch holds, in this order: the results of a tile, its layout, the columns made of that. */
static size_t result_floats(const sparse_conv *s) {
    return cop_round_up(s->rows * s->tiling.tile, 16);
}

static size_t layout_floats(const sparse_conv *s) {
    return cop_round_up(s->channels * s->tiling.channel + SLACK / sizeof(float), 16);
}

static size_t sparse_scratch(const void *state) {
    const sparse_conv *s = state;
    if (s->in_place)
        return 0;
    size_t columns = s->expand ? s->channels * s->taps * s->tiling.tile + SLACK / sizeof(float) : 0;
    return (result_floats(s) + layout_floats(s) + columns) * sizeof(float);
}

typedef struct tile_job {
    const sparse_conv *s;
    const float *input;
    float *output, *results, *layout, *columns;
    size_t tile, group;
} tile_job;

static void lay_out(void *context, size_t begin, size_t end) {
    const tile_job *job = context;
    const sparse_conv *s = job->s;
    const cop_tiling *t = &s->tiling;
    float *layout = job->layout + begin * t->channel;
    cop_tiling_lay_out(t, job->tile, job->group * s->channels + begin, end - begin, job->input,
                       layout);
    if (!s->expand)
        return;
    for (size_t k = begin * s->taps; k < end * s->taps; k++)
        memcpy(job->columns + k * t->tile,
               layout + (k / s->taps - begin) * t->channel + t->taps[k % s->taps],
               t->tile * sizeof(float));
}

static void spread(void *context, size_t begin, size_t end) {
    const tile_job *job = context;
    cop_tiling_spread(&job->s->tiling, job->tile, job->group * job->s->rows + begin, end - begin,
                      job->results + begin * job->s->tiling.tile, job->output);
}

static coppice_status sparse_run(void *state, const float *input, float *output, void *scratch,
                                 const coppice_threadpool *pool, coppice_error *err) {
    const sparse_conv *s = state;
    if (s->in_place)
        return cop_xnn_spmm_run(s->groups[0], input, output, pool, err);
    tile_job job = {.s = s, .input = input, .output = output, .results = scratch};
    job.layout = job.results + result_floats(s);
    job.columns = job.layout + layout_floats(s);
    const float *matrix = s->expand ? job.columns : job.layout;
    for (job.tile = 0; job.tile < s->tiling.tiles; job.tile++)
        for (job.group = 0; job.group < s->conv.groups; job.group++) {
            cop_parallel_for(pool, s->channels, GRAIN, lay_out, &job);
            COP_TRY(cop_xnn_spmm_run(s->groups[job.group], matrix, job.results, pool, err));
            cop_parallel_for(pool, s->rows, GRAIN, spread, &job);
        }
    return COPPICE_OK;
}

#define SPARSE_ROW(row, full_name, supported)                                                      \
    const cop_conv_kernel row = {.name = full_name,                                                \
                                 .backend = COPPICE_BACKEND_XNNPACK,                               \
                                 .isa = COPPICE_ISA_SCALAR,                                        \
                                 .sparse = true,                                                   \
                                 .supports = supported,                                            \
                                 .create = sparse_create,                                          \
                                 .scratch = sparse_scratch,                                        \
                                 .run = sparse_run,                                                \
                                 .destroy = sparse_destroy}

SPARSE_ROW(cop_xnn_spmm_1x1, "xnn_spmm_f32_1x1", supports_sparse_1x1);
SPARSE_ROW(cop_xnn_spmm_im2col, "xnn_spmm_f32_im2col", supports_sparse_any);

#endif
