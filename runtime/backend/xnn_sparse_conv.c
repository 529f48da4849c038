/* The sparse convolution on XNNPACK's sparse kernels: 1x1 in place, anything else tile by tile from
 * a layout of the inputs, which the operator wants as columns and the microkernel takes as it is.
 */
#include "base/memory.h"
#include "runtime/backend/xnn.h"

#if defined(COP_HAVE_XNNPACK)

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "runtime/backend/xnn_spmm.h"
#include "runtime/sparse/im2col.h"
#include "runtime/sparse/tiling.h"

enum {
    MATRIX_BYTES = 512 * 1024, /* columns of a tile: they should stay in the second level cache */
    TILE_STEP = 32,            /* the kernels take so many positions at once */
    BLOCK_BYTES = 32 * 1024,   /* columns of one step, which should stay in the first level cache */
    GRAIN = 8,                 /* channels laid out, or spread, by a thread at a time */
    SLACK = 64                 /* bytes that XNNPACK may read behind its input */
};

typedef struct sparse_conv {
    cop_conv conv;                 /* weights and bias: NULL */
    bool in_place;                 /* the input is the matrix */
    bool expand;                   /* columns are copied from planes */
    cop_tiling tiling;             /* not in place */
    size_t taps, channels, rows;   /* of a group */
    size_t blocks, block_channels; /* of a group */
    cop_xnn_spmm **steps;          /* [conv.groups][blocks] */
} sparse_conv;

static bool supports_sparse_1x1(const cop_conv *c) {
    size_t floats;
    return cop_xnn_supports(c) && cop_conv_is_product(c) &&
           cop_size_mul(c->out_h * c->out_w, c->in_channels, &floats) &&
           floats < INT32_MAX / sizeof(float);
}

static bool supports_sparse_any(const cop_conv *c) {
    size_t columns;
    return cop_xnn_supports(c) && cop_tiling_fits(c) && !cop_conv_is_product(c) &&
           !cop_conv_is_depthwise(c) &&
           cop_size_mul(c->in_channels / c->groups, c->kernel_h, &columns) &&
           cop_size_mul(columns, c->kernel_w, &columns) && columns < 1024 * 1024;
}

static void sparse_destroy(void *state) {
    sparse_conv *s = state;
    if (!s)
        return;
    for (size_t i = 0; s->steps && i < s->conv.groups * s->blocks; i++)
        cop_xnn_spmm_free(s->steps[i]);
    cop_free(s->steps);
    cop_tiling_free(&s->tiling);
    cop_free(s);
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
    size_t columns = cop_conv_positions(c), planes = cop_tiling_positions(c);
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
    size_t columns = s->channels * s->taps, *offsets = cop_malloc(columns * sizeof *offsets);
    if (!offsets)
        return cop_fail_memory(err, columns * sizeof *offsets);
    for (size_t k = 0; k < columns; k++)
        offsets[k] = k / s->taps * s->tiling.channel + s->tiling.taps[k % s->taps];
    *out = offsets;
    return COPPICE_OK;
}

/* Columns that are copied anyway are worked off in blocks. Each block beyond the first has one more
 * column per row, the sum of the blocks before it, with a weight of 1: so the kernel itself adds
 * the blocks up. */
static void choose_blocks(sparse_conv *s) {
    size_t most = BLOCK_BYTES / (TILE_STEP * sizeof(float)) / s->taps;
    most = most ? most : 1;
    s->blocks = s->expand ? cop_divide_up(s->channels, most) : 1;
    s->block_channels = cop_divide_up(s->channels, s->blocks);
    s->blocks = cop_divide_up(s->channels, s->block_channels);
}

static size_t channels_of(const sparse_conv *s, size_t block) {
    return cop_smaller(s->block_channels, s->channels - block * s->block_channels);
}

/* The weights of a block: [rows][its columns, then an identity beyond the first block]. */
static float *block_weights(const sparse_conv *s, const float *weights, size_t block,
                            size_t columns) {
    size_t own = channels_of(s, block) * s->taps, first = block * s->block_channels * s->taps;
    float *out = cop_calloc(s->rows * columns, sizeof *out);
    for (size_t r = 0; out && r < s->rows; r++) {
        memcpy(out + r * columns, weights + r * s->channels * s->taps + first, own * sizeof *out);
        if (block)
            out[r * columns + own + r] = 1;
    }
    return out;
}

static coppice_status pack_block(sparse_conv *s, size_t group, size_t block, const cop_conv *c,
                                 const size_t *offsets, const coppice_threadpool *pool,
                                 coppice_error *err) {
    bool last = block + 1 == s->blocks;
    cop_xnn_spmm_shape shape = {
        .rows = s->rows,
        .columns = channels_of(s, block) * s->taps + (block ? s->rows : 0),
        .pixels = s->in_place ? c->out_h * c->out_w : s->tiling.tile,
        .batch = s->in_place ? c->batch : 1,
        .offsets = offsets,
        .bias = c->bias && block == 0 ? c->bias + group * s->rows : NULL,
        .min = last ? c->min : -INFINITY,
        .max = last ? c->max : INFINITY,
    };
    const float *weights = c->weights + group * s->rows * s->channels * s->taps;
    float *own = s->blocks > 1 ? block_weights(s, weights, block, shape.columns) : NULL;
    if (s->blocks > 1 && !own)
        return cop_fail_memory(err, s->rows * shape.columns * sizeof *own);
    shape.weights = own ? own : weights;
    coppice_status status =
        cop_xnn_spmm_create(&shape, pool, &s->steps[group * s->blocks + block], err);
    cop_free(own);
    return status;
}

static coppice_status pack_groups(sparse_conv *s, const cop_conv *c, const coppice_threadpool *pool,
                                  coppice_error *err) {
    s->steps = cop_calloc(c->groups * s->blocks, sizeof *s->steps);
    if (!s->steps)
        return cop_fail_memory(err, c->groups * s->blocks * sizeof *s->steps);
    size_t *offsets;
    COP_TRY(column_offsets(s, &offsets, err));
    coppice_status status = COPPICE_OK;
    for (size_t i = 0; !status && i < c->groups * s->blocks; i++)
        status = pack_block(s, i / s->blocks, i % s->blocks, c, offsets, pool, err);
    cop_free(offsets);
    return status;
}

static coppice_status sparse_create(const cop_conv *c, const coppice_threadpool *pool, void **state,
                                    coppice_error *err) {
    *state = NULL;
    sparse_conv *s = cop_calloc(1, sizeof *s);
    if (!s)
        return cop_fail_memory(err, sizeof *s);
    s->conv = *c;
    s->conv.weights = s->conv.bias = NULL;
    s->in_place = cop_conv_is_product(c);
    s->taps = c->kernel_h * c->kernel_w;
    s->channels = c->in_channels / c->groups;
    s->rows = c->out_channels / c->groups;
    coppice_status status = COPPICE_OK;
    if (!s->in_place)
        status = choose_tiling(s, c, coppice_threadpool_threads(pool), err);
    choose_blocks(s);
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

/* Scratch holds, in this order: the results of a tile, its layout, the columns made of that: twice,
 * as the sums of one block are columns of the next. */
static size_t result_floats(const sparse_conv *s) {
    return cop_round_up(s->rows * s->tiling.tile, 16);
}

static size_t layout_floats(const sparse_conv *s) {
    return cop_round_up(s->channels * s->tiling.channel + SLACK / sizeof(float), 16);
}

static size_t block_floats(const sparse_conv *s) {
    size_t columns = s->block_channels * s->taps + (s->blocks > 1 ? s->rows : 0);
    return cop_round_up(columns * s->tiling.tile + SLACK / sizeof(float), 16);
}

static size_t sparse_scratch(const void *state) {
    const sparse_conv *s = state;
    if (s->in_place)
        return 0;
    size_t columns = s->expand ? block_floats(s) * (s->blocks > 1 ? 2 : 1) : 0;
    return (result_floats(s) + layout_floats(s) + columns) * sizeof(float);
}

typedef struct tile_job {
    const sparse_conv *s;
    const float *input;
    float *output, *results, *layout, *columns;
    size_t tile, group, block;
} tile_job;

static void lay_out(void *context, size_t begin, size_t end) {
    const tile_job *job = context;
    const sparse_conv *s = job->s;
    const cop_tiling *t = &s->tiling;
    float *layout = job->layout + begin * t->channel;
    cop_tiling_lay_out(t, job->tile, job->group * s->channels + begin, end - begin, job->input,
                       layout);
}

/* Copies the columns of channels begin .. end of the block out of the layout. */
static void expand(void *context, size_t begin, size_t end) {
    const tile_job *job = context;
    const sparse_conv *s = job->s;
    const cop_tiling *t = &s->tiling;
    const float *layout = job->layout + job->block * s->block_channels * t->channel;
    for (size_t k = begin * s->taps; k < end * s->taps; k++)
        memcpy(job->columns + k * t->tile, layout + k / s->taps * t->channel + t->taps[k % s->taps],
               t->tile * sizeof(float));
}

static void spread(void *context, size_t begin, size_t end) {
    const tile_job *job = context;
    cop_tiling_spread(&job->s->tiling, job->tile, job->group * job->s->rows + begin, end - begin,
                      job->results + begin * job->s->tiling.tile, job->output);
}

/* All blocks of a group: the sums of one are written behind the columns of the next. */
static coppice_status run_blocks(tile_job *job, const coppice_threadpool *pool,
                                 coppice_error *err) {
    const sparse_conv *s = job->s;
    float *buffers[2] = {job->columns, job->columns + block_floats(s)};
    for (job->block = 0; job->block < s->blocks; job->block++) {
        size_t channels = channels_of(s, job->block);
        job->columns = buffers[job->block % 2];
        cop_parallel_for(pool, channels, GRAIN, expand, job);
        bool last = job->block + 1 == s->blocks;
        float *sums = last ? job->results
                           : buffers[(job->block + 1) % 2] +
                                 channels_of(s, job->block + 1) * s->taps * s->tiling.tile;
        COP_TRY(cop_xnn_spmm_run(s->steps[job->group * s->blocks + job->block], job->columns, sums,
                                 pool, err));
    }
    job->columns = buffers[0];
    return COPPICE_OK;
}

static coppice_status sparse_run(void *state, const cop_conv_io *io, const coppice_threadpool *pool,
                                 coppice_error *err) {
    const sparse_conv *s = state;
    if (s->in_place)
        return cop_xnn_spmm_run(s->steps[0], io->input, io->output, pool, err);
    tile_job job = {.s = s, .input = io->input, .output = io->output, .results = io->scratch};
    job.layout = job.results + result_floats(s);
    job.columns = job.layout + layout_floats(s);
    for (job.tile = 0; job.tile < s->tiling.tiles; job.tile++)
        for (job.group = 0; job.group < s->conv.groups; job.group++) {
            cop_parallel_for(pool, s->channels, GRAIN, lay_out, &job);
            if (s->expand)
                COP_TRY(run_blocks(&job, pool, err));
            else
                COP_TRY(cop_xnn_spmm_run(s->steps[job.group], job.layout, job.results, pool, err));
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
