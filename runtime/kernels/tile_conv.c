/* Convolutions and matrix products in tiles: for each tile, the stripes of a block of columns stay
 * in the first level cache while the weights of all rows run over them. The stripes of a 1x1
 * convolution are its input tile; others are laid out in scratch (runtime/sparse/columns.h). */
#include "runtime/kernels/tile.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "runtime/cores.h"
#include "runtime/kernels/kernels.h"
#include "runtime/layout.h"
#include "runtime/sparse/columns.h"
#include "runtime/sparse/pack_tiles.h"
#include "runtime/sparse/tiling.h"

enum {
    OFFSETS = 65536,      /* that there are */
    LEAST_UNIT_ROWS = 64, /* rows are sorted within a unit: the more, the longer the runs */
    ALIGN = 64
};

/* Bytes of a block's stripes, in 32nds of the first level cache and of the second. Single rows load
 * each stripe for themselves, from the first level, or from a little more for fewer partial sums;
 * four rows share their loads, so that those may come from the second. */
static const struct {
    size_t l1, l2;
} BLOCK_SHARES[COP_TILE_KINDS][2] = {
    /* direct, laid out */
    [COP_TILE_SPARSE] = {{48, 0}, {32, 0}},
    [COP_TILE_BLOCKS] = {{0, 8}, {0, 4}},
    [COP_TILE_DENSE] = {{0, 4}, {0, 4}},
};

/* Blocks of 4x1 pay up to so many multiplications per weight. */
static const double MOST_FILLED = 1.75;

typedef struct tile_conv {
    cop_conv conv; /* weights and bias: NULL */
    const cop_kernels *kernels;
    const cop_tile_loops *loops;
    cop_columns columns;
    bool direct; /* input tiles are the stripes */
    size_t tile; /* floats of a stripe; 1: one position */
    float *bias; /* [out_channels] */
    cop_tile_pack pack;
    size_t group_rows, group_columns, unit_rows, column_step;
    size_t block_channels;
    size_t workers, work_offset, slot_bytes;
} tile_conv;

static const cop_tile_loops *loops_of(const cop_kernels *k, cop_tile_kind kind) {
    const cop_tile_loops *const loops[] = {[COP_TILE_SPARSE] = &k->spmm_tile_f32,
                                           [COP_TILE_BLOCKS] = &k->spmm4_tile_f32,
                                           [COP_TILE_DENSE] = &k->gemm_tile_f32};
    return loops[kind];
}

bool cop_tile_conv_supports(const cop_conv *conv) {
    return cop_tiling_fits(conv) && conv->in_channels > 0;
}

/* As many channels as fit, all blocks of about one size. Offsets reach over all taps of a channel:
 * columns have no more. */
static void choose_blocks(tile_conv *s, cop_tile_kind kind) {
    size_t taps = s->columns.taps, reach = OFFSETS / s->column_step;
    cop_caches caches = cop_cache_sizes();
    size_t l1 = BLOCK_SHARES[kind][!s->direct].l1, l2 = BLOCK_SHARES[kind][!s->direct].l2;
    size_t columns = (caches.l1 * l1 + caches.l2 * l2) / 32 / (s->tile * sizeof(float));
    size_t channels = s->group_columns / taps;
    size_t most = (s->tile == 1 ? reach : cop_smaller(columns, reach)) / taps;
    size_t blocks = cop_divide_up(channels, most ? most : 1);
    s->block_channels = cop_divide_up(channels, blocks);
}

/* Threads take units of a tile's rows when there are fewer tiles than threads: each unit lays the
 * tile's columns out again. Sums do not depend on it. */
static void choose_units(tile_conv *s) {
    size_t jobs = s->columns.tiles * s->conv.groups, rows = s->group_rows;
    size_t wanted = s->workers > 1 ? cop_divide_up(s->workers, jobs) : 1;
    size_t most = rows / LEAST_UNIT_ROWS ? rows / LEAST_UNIT_ROWS : 1;
    s->unit_rows = cop_round_up(cop_divide_up(rows, cop_smaller(wanted, most)), COP_TILE_HEIGHT);
}

static void choose_scratch(tile_conv *s) {
    size_t stripes = s->block_channels * s->columns.taps * s->tile;
    s->work_offset = s->direct ? 0 : cop_round_up(stripes * sizeof(float), ALIGN);
    s->slot_bytes = ALIGN + s->work_offset + cop_round_up(cop_columns_work(&s->columns), ALIGN);
}

void cop_tile_conv_destroy(void *state) {
    tile_conv *s = state;
    if (!s)
        return;
    cop_tile_pack_free(&s->pack);
    cop_columns_free(&s->columns);
    cop_free(s->bias);
    cop_free(s);
}

static coppice_status pack(tile_conv *s, const cop_conv *conv, cop_tile_kind kind,
                           coppice_error *err) {
    cop_tile_shape shape = {.weights = conv->weights,
                            .groups = conv->groups,
                            .rows = s->group_rows,
                            .columns = s->group_columns,
                            .unit_rows = s->unit_rows,
                            .block_columns = s->block_channels * s->columns.taps,
                            .column_step = s->column_step,
                            .height = kind == COP_TILE_SPARSE ? 1 : COP_TILE_HEIGHT,
                            .dense = kind == COP_TILE_DENSE};
    if (kind == COP_TILE_BLOCKS &&
        (double)cop_tile_pack_kept(&shape) > MOST_FILLED * (double)conv->nonzeros)
        return cop_fail(err, COPPICE_UNSUPPORTED, "too few of the weights lie in blocks");
    COP_TRY(cop_conv_copy_bias(conv, conv->out_channels, &s->bias, err));
    return cop_tile_pack_create(&shape, &s->pack, err);
}

static coppice_status prepare(tile_conv *s, const cop_conv *conv, cop_tile_kind kind,
                              coppice_error *err) {
    COP_TRY(cop_columns_create(conv, s->kernels, &s->columns, err));
    s->conv = *conv;
    s->conv.weights = s->conv.bias = NULL;
    s->direct = cop_conv_is_pointwise(conv);
    s->tile = s->columns.tile;
    s->group_rows = conv->out_channels / conv->groups;
    s->group_columns = conv->in_channels / conv->groups * s->columns.taps;
    choose_units(s);
    s->column_step = s->tile == 1 ? sizeof(float) : s->tile * sizeof(float) / COP_TILE_ALIGN;
    choose_blocks(s, kind);
    choose_scratch(s);
    return pack(s, conv, kind, err);
}

coppice_status cop_tile_conv_create(const cop_conv *conv, coppice_isa isa, cop_tile_kind kind,
                                    const coppice_threadpool *pool, void **state,
                                    coppice_error *err) {
    *state = NULL;
    tile_conv *s = cop_calloc(1, sizeof *s);
    if (!s)
        return cop_fail_memory(err, sizeof *s);
    s->kernels = cop_kernels_of(isa);
    s->loops = loops_of(s->kernels, kind);
    s->workers = coppice_threadpool_threads(pool);
    coppice_status status = prepare(s, conv, kind, err);
    if (status) {
        cop_tile_conv_destroy(s);
        return status;
    }
    *state = s;
    return COPPICE_OK;
}

size_t cop_tile_conv_scratch(const void *state) {
    const tile_conv *s = state;
    return s->workers * s->slot_bytes;
}

typedef struct run_job {
    const tile_conv *s;
    const cop_conv_io *io;
} run_job;

/* Each worker's share of the jobs: the same part of the tiles in every layer, so that it finds in
 * its own cache what it wrote in the layer before. At the begin of its scratch. */
typedef struct share {
    atomic_size_t next;
    size_t end;
} share;

_Static_assert(sizeof(share) <= (size_t)ALIGN, "a share has a line of its own");

/* A unit of a group's rows over a tile. */
typedef struct tile_job {
    size_t tile, group, unit;
    char *slot;
} tile_job;

/* Runs the weights of one block over the whole width of a tile, in parts of about one width. */
static void run_parts(const tile_conv *s, const tile_job *j, size_t block, const float *stripes,
                      const cop_conv_io *io) {
    size_t begin = j->unit * s->unit_rows, row = j->group * s->group_rows + begin;
    size_t place = (j->tile * s->conv.out_channels + row) * s->tile;
    bool first = block == 0, last = block + 1 == s->pack.block_count;
    cop_tile_args args = {.input = (const char *)stripes,
                          .row_count = cop_smaller(s->unit_rows, s->group_rows - begin),
                          .bias = first ? s->bias + row : NULL,
                          .residual = first && io->residual ? io->residual + place : NULL,
                          .output = io->output + place,
                          .stripe = s->tile,
                          .min = last ? s->conv.min : -INFINITY,
                          .max = last ? s->conv.max : INFINITY};
    cop_tile_pack_args(&s->pack, j->group, block, j->unit, &args);
    if (s->tile == 1) {
        s->loops->one(&args);
        return;
    }
    size_t lanes = s->kernels->tile_lanes;
    size_t positions = cop_smaller(s->tile, s->columns.positions - j->tile * s->tile);
    size_t vectors = cop_divide_up(positions, lanes);
    for (size_t parts = cop_divide_up(vectors, s->loops->max_vectors); parts > 0; parts--) {
        size_t width = vectors / parts;
        bool half = parts == 1 && (positions - 1) % lanes < lanes / 2 && s->loops->half[width];
        (half ? s->loops->half : s->loops->part)[width](&args);
        vectors -= width;
        args.input += width * lanes * sizeof(float);
        args.output += width * lanes;
        args.residual = args.residual ? args.residual + width * lanes : NULL;
    }
}

/* The stripes of a block. */
static const float *stripes_of(const tile_conv *s, const tile_job *j, size_t block,
                               const cop_conv_io *io) {
    size_t channels = s->conv.in_channels / s->conv.groups, first = block * s->block_channels;
    size_t channel = j->group * channels + first;
    if (s->direct)
        return io->input + (j->tile * s->conv.in_channels + channel) * s->tile;
    float *stripes = (float *)(void *)j->slot;
    cop_columns_lay_out(&s->columns, j->tile, channel,
                        cop_smaller(s->block_channels, channels - first), io->input, stripes,
                        j->slot + s->work_offset);
    return stripes;
}

static void run_tile(const tile_conv *s, const tile_job *j, const cop_conv_io *io) {
    for (size_t block = 0; block < s->pack.block_count; block++)
        run_parts(s, j, block, stripes_of(s, j, block, io), io);
    size_t begin = j->unit * s->unit_rows;
    size_t rows = cop_smaller(s->unit_rows, s->group_rows - begin);
    begin += j->group * s->group_rows;
    float *x = io->output + (j->tile * s->conv.out_channels + begin) * s->tile;
    cop_activate(&s->conv.activation, s->kernels, x, rows * s->tile);
}

static share *share_of(const run_job *job, size_t worker) {
    return (share *)(void *)((char *)job->io->scratch + worker * job->s->slot_bytes);
}

/* A worker does its own share, then what others have left: who does what changes no result. */
static void work(void *context, size_t begin, size_t end) {
    const run_job *job = context;
    const tile_conv *s = job->s;
    size_t units = s->pack.unit_count, groups = s->conv.groups;
    for (size_t worker = begin; worker < end; worker++) {
        char *slot = (char *)share_of(job, worker) + ALIGN;
        for (size_t i = 0; i < s->workers; i++) {
            share *from = share_of(job, (worker + i) % s->workers);
            for (size_t n; (n = atomic_fetch_add(&from->next, 1)) < from->end;) {
                const tile_job j = {n / units / groups, n / units % groups, n % units, slot};
                run_tile(s, &j, job->io);
            }
        }
    }
}

coppice_status cop_tile_conv_run(void *state, const cop_conv_io *io, const coppice_threadpool *pool,
                                 coppice_error *err) {
    (void)err;
    const tile_conv *s = state;
    run_job job = {.s = s, .io = io};
    size_t jobs = s->columns.tiles * s->conv.groups * s->pack.unit_count;
    for (size_t worker = 0; worker < s->workers; worker++) {
        share *own = share_of(&job, worker);
        atomic_init(&own->next, jobs * worker / s->workers);
        own->end = jobs * (worker + 1) / s->workers;
    }
    cop_parallel_for(pool, s->workers, 1, work, &job);
    return COPPICE_OK;
}
