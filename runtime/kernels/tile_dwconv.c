/* Depthwise convolutions in tiles: each vector of outputs is summed from what its taps read, with
 * no columns in between. */
#include "runtime/kernels/tile_dwconv.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "runtime/kernels/vector.h"
#include "runtime/layout.h"
#include "runtime/sparse/columns.h"
#include "runtime/sparse/tiling.h"

enum { MAX_CHUNK = 32 }; /* output channels that a thread takes at a time */

typedef struct tile_dwconv {
    cop_columns taps;
    size_t multiplier; /* output channels of an input channel */
    float *weights;    /* [out_channels / 8][taps][8] */
    float *bias;       /* [out_channels] */
    size_t chunk, chunks;
} tile_dwconv;

bool cop_tile_dwconv_supports(const cop_conv *conv) {
    return cop_tiling_fits(conv) && cop_conv_is_depthwise(conv);
}

void cop_tile_dwconv_destroy(void *state) {
    tile_dwconv *s = state;
    if (!s)
        return;
    cop_columns_free(&s->taps);
    cop_free(s->weights);
    cop_free(s->bias);
    cop_free(s);
}

static coppice_status pack(tile_dwconv *s, const cop_conv *c, coppice_error *err) {
    size_t taps = s->taps.taps, count = cop_round_up(c->out_channels, COP_DWCONV_CHANNELS);
    s->weights = cop_calloc(count * taps, sizeof *s->weights);
    if (!s->weights)
        return cop_fail_memory(err, count * taps * sizeof *s->weights);
    for (size_t o = 0; o < c->out_channels; o++) {
        float *block = s->weights + o / COP_DWCONV_CHANNELS * taps * COP_DWCONV_CHANNELS;
        for (size_t t = 0; t < taps; t++)
            block[t * COP_DWCONV_CHANNELS + o % COP_DWCONV_CHANNELS] = c->weights[o * taps + t];
    }
    return cop_conv_copy_bias(c, count, &s->bias, err);
}

coppice_status cop_tile_dwconv_create(const cop_conv *conv, coppice_isa isa, void **state,
                                      coppice_error *err) {
    *state = NULL;
    tile_dwconv *s = cop_calloc(1, sizeof *s);
    if (!s)
        return cop_fail_memory(err, sizeof *s);
    s->multiplier = conv->out_channels / conv->groups;
    coppice_status status = cop_taps_create(conv, cop_kernels_of(isa), &s->taps, err);
    if (!status)
        status = pack(s, conv, err);
    if (status) {
        cop_tile_dwconv_destroy(s);
        return status;
    }
    /* A block of weights, and the outputs of an input channel, stay in one chunk. */
    size_t unit = s->multiplier == 1 ? COP_DWCONV_CHANNELS : s->multiplier * COP_DWCONV_CHANNELS;
    s->chunk = unit > MAX_CHUNK ? unit : MAX_CHUNK / unit * unit;
    s->chunks = cop_divide_up(conv->out_channels, s->chunk);
    *state = s;
    return COPPICE_OK;
}

/* Inputs of a channel for the only output position. */
static size_t column_floats(const tile_dwconv *s) {
    return s->taps.tile == 1 ? s->taps.taps : 0;
}

size_t cop_tile_dwconv_scratch(const void *state) {
    return column_floats(state) * sizeof(float);
}

typedef struct run_job {
    const tile_dwconv *s;
    const cop_conv_io *io;
} run_job;

/* Some output channels of a tile. */
static void run_chunk(const run_job *job, size_t tile, size_t channel) {
    const tile_dwconv *s = job->s;
    const cop_columns *k = &s->taps;
    const cop_conv *c = &k->conv;
    size_t vectors = k->tile / COP_TILE_LANES, first = tile * k->tile;
    size_t at = tile * c->out_channels * k->tile + channel * k->tile;
    cop_dwconv_args args = {
        .pieces = k->pieces,
        .first = k->first + tile * vectors,
        .vectors = cop_smaller(vectors, cop_divide_up(k->positions - first, COP_TILE_LANES)),
        .taps = k->taps,
        .step = c->stride_w,
        .input = job->io->input + cop_columns_base(k, tile) + channel / s->multiplier * k->in_tile,
        .input_stride = k->in_tile,
        .channels = cop_smaller(s->chunk, c->out_channels - channel),
        .multiplier = s->multiplier,
        .weights = s->weights + channel * k->taps,
        .bias = s->bias + channel,
        .residual = c->residual ? job->io->residual + at : NULL,
        .output = job->io->output + at,
        .output_stride = k->tile,
        .min = c->min,
        .max = c->max,
    };
    k->kernels->dwconv_f32(&args);
    for (size_t i = 0; c->activation.there && i < args.channels; i++)
        cop_activate(&c->activation, k->kernels, args.output + i * k->tile,
                     args.vectors * COP_TILE_LANES);
}

static void run_chunks(void *context, size_t begin, size_t end) {
    const run_job *job = context;
    for (size_t i = begin; i < end; i++)
        run_chunk(job, i / job->s->chunks, i % job->s->chunks * job->s->chunk);
}

/* One output position: a dot product per channel. */
static void run_position(const run_job *job, float *column) {
    const tile_dwconv *s = job->s;
    const cop_conv *c = &s->taps.conv;
    size_t taps = s->taps.taps;
    for (size_t o = 0; o < c->out_channels; o++) {
        const float *weights = s->weights + o / COP_DWCONV_CHANNELS * taps * COP_DWCONV_CHANNELS +
                               o % COP_DWCONV_CHANNELS;
        float sum = s->bias[o];
        cop_columns_lay_out(&s->taps, 0, o / s->multiplier, 1, job->io->input, column, NULL);
        for (size_t t = 0; t < taps; t++)
            sum += weights[t * COP_DWCONV_CHANNELS] * column[t];
        if (c->residual)
            sum += job->io->residual[o];
        job->io->output[o] = cop_clamp(sum, c->min, c->max);
    }
    cop_activate(&c->activation, s->taps.kernels, job->io->output, c->out_channels);
}

static void run_positions(void *context, size_t begin, size_t end) {
    const run_job *job = context;
    (void)begin;
    (void)end;
    run_position(job, job->io->scratch);
}

coppice_status cop_tile_dwconv_run(void *state, const cop_conv_io *io,
                                   const coppice_threadpool *pool, coppice_error *err) {
    (void)err;
    const tile_dwconv *s = state;
    run_job job = {.s = s, .io = io};
    if (s->taps.tile == 1)
        cop_parallel_for(pool, 1, 1, run_positions, &job);
    else
        cop_parallel_for(pool, s->taps.tiles * s->chunks, 1, run_chunks, &job);
    return COPPICE_OK;
}
