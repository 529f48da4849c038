/* The native convolutions, sparse and dense: per tile of outputs they lay out the inputs of a block
 * of channels, and run every output row's weights over them. */
#include "base/memory.h"
#include "runtime/kernels/native.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "runtime/kernels/kernels.h"
#include "runtime/sparse/pack.h"
#include "runtime/sparse/pack_dense.h"
#include "runtime/sparse/tiling.h"

enum {
    BLOCK_BYTES = 32 * 1024, /* inputs of a block: they should stay in the first level cache */
    MIN_UNIT_ROWS = 16, /* below, laying out the inputs costs more than a second thread gains */
    MAX_STEPS = 4,      /* more of them leave room for fewer channels in a block */
    MIN_COLUMN_TILE = 48,
    ALIGN = 64
};

typedef struct native_conv {
    cop_tiling tiling;
    float *bias; /* [out_channels] */
    bool dense;
    cop_spmm_pack pack;
    cop_spmm_f32_fn *spmm;
    cop_gemm_pack dense_pack;
    cop_gemm_f32_fn *gemm;
    size_t units, unit_rows; /* units of rows, of all groups */
    size_t unit_channels;    /* input channels that a unit reads */
    size_t block_channels;
    size_t step, steps;         /* positions of a call of the kernel, calls per tile */
    size_t workers, slot_bytes; /* each worker has its own slot of scratch */
} native_conv;

/* Vectors that all tiles of a choice take, with what a weight costs beside them: about one and a
 * half vectors per tile. *vectors: the best number of vectors of a tile. */
static size_t tile_cost(const cop_conv *c, bool planes, size_t lanes, size_t most,
                        size_t *vectors) {
    size_t spans = planes ? c->batch : 1, best = SIZE_MAX;
    size_t all = (cop_tiling_positions(c, planes) / spans + lanes - 1) / lanes;
    for (size_t v = most; v >= 1; v--) {
        size_t cost = spans * ((all + v - 1) / v) * (2 * v + 3);
        if (cost < best) {
            best = cost;
            *vectors = v;
        }
    }
    return best;
}

/* Calls of the kernel per tile. With more of them, the rows that neighbouring tiles of planes have
 * in common are copied less often; columns get them where the kernel's own tile is too narrow to
 * copy well. All tiles get about the same number. */
static size_t choose_steps(const cop_conv *c, bool planes, size_t step, size_t workers) {
    size_t span = cop_tiling_positions(c, planes) / (planes ? c->batch : 1);
    size_t calls = (span + step - 1) / step, jobs = (planes ? c->batch : 1) * c->groups;
    size_t most = planes ? MAX_STEPS : (MIN_COLUMN_TILE + step - 1) / step;
    while (most > 1 && workers > 1 && (calls + most - 1) / most * jobs < 2 * workers)
        most /= 2;
    size_t tiles = (calls + most - 1) / most;
    return (calls + tiles - 1) / tiles;
}

/* Columns cost a copy of the input per tap, which sparse rows make much less use of: planes may
 * compute half as much again before columns pay, a twelfth for dense weights. */
static coppice_status choose_tiling(native_conv *s, const cop_conv *c, const cop_kernels *k,
                                    coppice_error *err) {
    size_t lanes = s->dense ? k->gemm_lanes : k->lanes;
    size_t most = s->dense ? k->gemm_max_vectors : k->max_vectors;
    s->steps = s->step = 1;
    s->spmm = k->spmv_f32;
    s->gemm = k->gemv_f32;
    if (cop_tiling_positions(c, false) == 1)
        return cop_tiling_create(c, false, 1, &s->tiling, err);
    size_t vectors = 1, plane_vectors = 1, cost = tile_cost(c, false, lanes, most, &vectors);
    bool planes = c->kernel_h * c->kernel_w > 1 && tile_cost(c, true, lanes, most, &plane_vectors) <
                                                       cost + cost / (s->dense ? 12 : 2);
    if (planes)
        vectors = plane_vectors;
    s->step = vectors * lanes;
    s->steps = choose_steps(c, planes, s->step, s->workers);
    s->spmm = k->spmm_f32[vectors];
    s->gemm = k->gemm_f32[vectors];
    return cop_tiling_create(c, planes, s->step * s->steps, &s->tiling, err);
}

/* A unit is several small groups, so that they share the work that a tile costs, or a group's rows,
 * or a part of them when there are too few tiles for the threads. It never reaches over a group's
 * end otherwise. */
static void choose_units(native_conv *s) {
    const cop_conv *c = &s->tiling.conv;
    size_t rows = c->out_channels / c->groups, channels = c->in_channels / c->groups;
    size_t group_bytes = (channels * s->tiling.channel + rows * s->tiling.tile) * sizeof(float);
    size_t merge = BLOCK_BYTES / group_bytes, parts = 1;
    while (s->workers > 1 && merge > 1 && s->tiling.tiles * c->groups / merge < 4 * s->workers)
        merge /= 2;
    if (!s->dense && c->groups > 1 && merge > 1) {
        s->unit_rows = (merge < c->groups ? merge : c->groups) * rows;
        s->units = (c->out_channels + s->unit_rows - 1) / s->unit_rows;
        s->unit_channels = s->unit_rows / rows * channels;
        return;
    }
    size_t jobs = s->tiling.tiles * c->groups, wanted = s->workers > 1 ? 4 * s->workers : 1;
    while (parts * jobs < wanted && rows / (parts * 2) >= MIN_UNIT_ROWS && rows % (parts * 2) == 0)
        parts *= 2;
    s->unit_rows = rows / parts;
    s->units = parts * c->groups;
    s->unit_channels = channels;
}

/* Channels of a block: as many as fit BLOCK_BYTES, all blocks of about one size. */
static void choose_blocks(native_conv *s) {
    size_t channels = s->unit_channels;
    size_t most = BLOCK_BYTES / (s->tiling.channel * sizeof(float));
    if (s->tiling.tile == 1 || channels > s->tiling.conv.in_channels / s->tiling.conv.groups)
        most = channels;
    if (most == 0)
        most = 1;
    size_t blocks = (channels + most - 1) / most;
    s->block_channels = (channels + blocks - 1) / blocks;
}

void cop_native_conv_destroy(void *state) {
    native_conv *s = state;
    if (!s)
        return;
    cop_spmm_pack_free(&s->pack);
    cop_gemm_pack_free(&s->dense_pack);
    cop_tiling_free(&s->tiling);
    cop_free(s->bias);
    cop_free(s);
}

static coppice_status pack(native_conv *s, const cop_conv *conv, coppice_error *err) {
    size_t taps = conv->kernel_h * conv->kernel_w;
    s->bias = cop_calloc(conv->out_channels, sizeof *s->bias);
    if (!s->bias)
        return cop_fail_memory(err, conv->out_channels * sizeof *s->bias);
    if (conv->bias)
        memcpy(s->bias, conv->bias, conv->out_channels * sizeof *s->bias);
    cop_spmm_shape shape = {
        .weights = conv->weights,
        .rows = conv->out_channels,
        .columns = conv->in_channels / conv->groups * taps,
        .group_rows = conv->out_channels / conv->groups,
        .unit_rows = s->unit_rows,
        .block_channels = s->block_channels,
        .tap_count = taps,
        .channel = s->tiling.channel,
        .taps = s->tiling.taps,
    };
    return s->dense ? cop_gemm_pack_create(&shape, &s->dense_pack, err)
                    : cop_spmm_pack_create(&shape, &s->pack, err);
}

coppice_status cop_native_conv_create(const cop_conv *conv, coppice_isa isa, bool dense,
                                      const coppice_threadpool *pool, void **state,
                                      coppice_error *err) {
    *state = NULL;
    native_conv *s = cop_calloc(1, sizeof *s);
    if (!s)
        return cop_fail_memory(err, sizeof *s);
    cop_kernels kernels;
    cop_kernels_init(&kernels, isa);
    s->dense = dense;
    s->workers = coppice_threadpool_threads(pool);
    coppice_status status = choose_tiling(s, conv, &kernels, err);
    if (!status) {
        choose_units(s);
        choose_blocks(s);
        size_t floats = s->block_channels * s->tiling.channel + s->unit_rows * s->tiling.tile;
        s->slot_bytes = cop_round_up(floats * sizeof(float), ALIGN);
        status = pack(s, conv, err);
    }
    if (status) {
        cop_native_conv_destroy(s);
        return status;
    }
    *state = s;
    return COPPICE_OK;
}

size_t cop_native_conv_scratch(const void *state) {
    const native_conv *s = state;
    return s->workers * s->slot_bytes;
}

typedef struct run_job {
    const native_conv *s;
    const float *input;
    float *output;
    char *scratch;
    atomic_size_t next; /* unit-major number of the next tile to do */
} run_job;

/* One block of channels of a unit, over the positions of a tile. */
static void run_sparse(const native_conv *s, size_t unit, size_t block, size_t steps,
                       cop_spmm_args args) {
    cop_spmm_pack_args(&s->pack, unit, block, &args);
    for (size_t i = 0; i < steps; i++) {
        s->spmm(&args);
        args.input += s->step * sizeof(float);
        args.output += s->step;
    }
}

static void run_dense(const native_conv *s, size_t unit, size_t block, size_t steps,
                      const cop_spmm_args *from) {
    cop_gemm_args args = {.input = from->input,
                          .bias = from->bias,
                          .output = from->output,
                          .output_stride = from->output_stride,
                          .min = from->min,
                          .max = from->max};
    cop_gemm_pack_args(&s->dense_pack, unit, block, &args);
    for (size_t i = 0; i < steps; i++) {
        s->gemm(&args);
        args.input += s->step * sizeof(float);
        args.output += s->step;
    }
}

static void run_tile(const run_job *job, size_t unit, size_t tile, float *slot) {
    const native_conv *s = job->s;
    const cop_conv *c = &s->tiling.conv;
    size_t row = unit * s->unit_rows, group_rows = c->out_channels / c->groups;
    size_t rows = cop_smaller(s->unit_rows, c->out_channels - row);
    size_t group_channels = c->in_channels / c->groups, first = row / group_rows * group_channels;
    size_t channels = cop_smaller(s->unit_channels, c->in_channels - first);
    float *results = slot + s->block_channels * s->tiling.channel;
    float *place = cop_tiling_in_place(&s->tiling, tile, row, job->output);
    cop_spmm_args args = {.input = (const char *)slot,
                          .output = place ? place : results,
                          .output_stride = place ? c->out_h * c->out_w : s->tiling.tile};
    size_t left = s->tiling.span - tile % s->tiling.image_tiles * s->tiling.tile;
    size_t steps = cop_smaller(s->steps, (left + s->step - 1) / s->step);
    size_t blocks = (channels + s->block_channels - 1) / s->block_channels;
    for (size_t block = 0; block < blocks; block++) {
        size_t channel = block * s->block_channels;
        bool last = block + 1 == blocks;
        cop_tiling_lay_out(&s->tiling, tile, first + channel,
                           cop_smaller(s->block_channels, channels - channel), job->input, slot);
        args.bias = block == 0 ? s->bias + row : NULL;
        args.min = last ? c->min : -INFINITY;
        args.max = last ? c->max : INFINITY;
        if (s->dense)
            run_dense(s, unit, block, steps, &args);
        else
            run_sparse(s, unit, block, steps, args);
    }
    if (!place)
        cop_tiling_spread(&s->tiling, tile, row, rows, results, job->output);
}

/* A worker takes tiles until none is left: which worker does which changes no result. */
static void work(void *context, size_t begin, size_t end) {
    run_job *job = context;
    const native_conv *s = job->s;
    for (size_t worker = begin; worker < end; worker++) {
        float *slot = (float *)(job->scratch + worker * s->slot_bytes);
        size_t n, tiles = s->tiling.tiles;
        while ((n = atomic_fetch_add(&job->next, 1)) < s->units * tiles)
            run_tile(job, n / tiles, n % tiles, slot);
    }
}

coppice_status cop_native_conv_run(void *state, const cop_conv_io *io,
                                   const coppice_threadpool *pool, coppice_error *err) {
    (void)err;
    run_job job = {.s = state, .input = io->input, .output = io->output, .scratch = io->scratch};
    atomic_init(&job.next, 0);
    cop_parallel_for(pool, job.s->workers, 1, work, &job);
    return COPPICE_OK;
}

bool cop_native_conv_supports(const cop_conv *conv) {
    return cop_tiling_fits(conv);
}

bool cop_native_dense_supports(const cop_conv *conv) {
    return cop_tiling_fits(conv) && !cop_native_depthwise_supports(conv);
}

bool cop_native_depthwise_supports(const cop_conv *conv) {
    return cop_tiling_fits(conv) && conv->groups > 1 && conv->groups == conv->in_channels;
}
