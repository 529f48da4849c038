/* The native sparse convolution: per tile of output pixels it lays out the inputs of a block of
 * channels as columns, and runs every output row's kept weights over them. */
#include "runtime/kernels/native.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "runtime/kernels/kernels.h"
#include "runtime/sparse/im2col.h"
#include "runtime/sparse/pack.h"

enum {
    BLOCK_BYTES = 32 * 1024, /* inputs of a block: they should stay in the first level cache */
    MIN_UNIT_ROWS = 16, /* below, laying out the inputs costs more than a second thread gains */
    ALIGN = 64
};

typedef struct native_conv {
    cop_conv conv; /* weights and bias: NULL */
    float *bias;   /* [out_channels] */
    cop_spmm_pack pack;
    cop_spmm_f32_fn *kernel;
    size_t tile;          /* pixels */
    size_t pixels, total; /* output pixels of an image, of all */
    size_t tiles, units;  /* units of rows, of all groups */
    size_t unit_rows, block_channels;
    size_t workers, slot_bytes; /* each worker has its own slot of scratch */
} native_conv;

/* Tile and kernel: a weight costs about as much as one and a half vectors beside its vectors. */
static void choose_tile(native_conv *s, const cop_kernels *k) {
    if (s->total == 1) {
        s->tile = 1;
        s->kernel = k->spmv_f32;
        return;
    }
    size_t vectors = (s->total + k->lanes - 1) / k->lanes, best = SIZE_MAX;
    for (size_t v = k->max_vectors; v >= 1; v--) {
        size_t cost = (vectors + v - 1) / v * (2 * v + 3);
        if (cost >= best)
            continue;
        best = cost;
        s->tile = v * k->lanes;
        s->kernel = k->spmm_f32[v];
    }
}

/* Rows of a unit: all of a group's, or fewer when there are too few tiles for the threads. Units do
 * not reach over a group's end. */
static void choose_units(native_conv *s) {
    size_t rows = s->conv.out_channels / s->conv.groups, parts = 1;
    size_t jobs = s->tiles * s->conv.groups, wanted = s->workers > 1 ? 4 * s->workers : 1;
    while (parts * jobs < wanted && rows / (parts * 2) >= MIN_UNIT_ROWS && rows % (parts * 2) == 0)
        parts *= 2;
    s->unit_rows = rows / parts;
    s->units = parts * s->conv.groups;
}

/* Channels of a block: as many as fit BLOCK_BYTES, all blocks of about one size. */
static void choose_blocks(native_conv *s) {
    size_t channels = s->conv.in_channels / s->conv.groups;
    size_t bytes = s->conv.kernel_h * s->conv.kernel_w * s->tile * sizeof(float);
    size_t most = s->tile == 1 ? channels : BLOCK_BYTES / bytes;
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
    free(s->bias);
    free(s);
}

static coppice_status pack(native_conv *s, const cop_conv *conv, coppice_error *err) {
    size_t taps = conv->kernel_h * conv->kernel_w;
    s->bias = calloc(conv->out_channels, sizeof *s->bias);
    if (!s->bias)
        return cop_fail_memory(err, conv->out_channels * sizeof *s->bias);
    if (conv->bias)
        memcpy(s->bias, conv->bias, conv->out_channels * sizeof *s->bias);
    cop_spmm_shape shape = {
        .weights = conv->weights,
        .rows = conv->out_channels,
        .columns = conv->in_channels / conv->groups * taps,
        .unit_rows = s->unit_rows,
        .block_columns = s->block_channels * taps,
        .column_bytes = s->tile * sizeof(float),
    };
    return cop_spmm_pack_create(&shape, &s->pack, err);
}

coppice_status cop_native_conv_create(const cop_conv *conv, coppice_isa isa,
                                      const coppice_threadpool *pool, void **state,
                                      coppice_error *err) {
    *state = NULL;
    native_conv *s = calloc(1, sizeof *s);
    if (!s)
        return cop_fail_memory(err, sizeof *s);
    cop_kernels kernels;
    cop_kernels_init(&kernels, isa);
    s->conv = *conv;
    s->conv.weights = s->conv.bias = NULL;
    s->pixels = conv->out_h * conv->out_w;
    s->total = s->pixels * conv->batch;
    s->workers = coppice_threadpool_threads(pool);
    choose_tile(s, &kernels);
    s->tiles = (s->total + s->tile - 1) / s->tile;
    choose_units(s);
    choose_blocks(s);
    size_t columns = s->block_channels * conv->kernel_h * conv->kernel_w;
    s->slot_bytes = cop_round_up((columns + s->unit_rows) * s->tile * sizeof(float), ALIGN);
    coppice_status status = pack(s, conv, err);
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

/* Lays out the inputs of a block for the pixels first .. first + count - 1, numbered over the
 * batch. Behind them the tile is filled with zeros. */
static void lay_out(const native_conv *s, const float *input, size_t group, size_t block,
                    size_t first, size_t count, float *columns) {
    const cop_conv *c = &s->conv;
    size_t group_channels = c->in_channels / c->groups, channel = block * s->block_channels;
    size_t channels = group_channels - channel;
    if (channels > s->block_channels)
        channels = s->block_channels;
    for (size_t done = 0; done < count;) {
        size_t image = (first + done) / s->pixels, pixel = (first + done) % s->pixels;
        size_t n = s->pixels - pixel < count - done ? s->pixels - pixel : count - done;
        const float *from =
            input + (image * c->in_channels + group * group_channels) * c->in_h * c->in_w;
        cop_im2col(c, from, channel, channels, pixel, n, columns + done, s->tile);
        done += n;
    }
    size_t rows = channels * c->kernel_h * c->kernel_w;
    for (size_t k = 0; count < s->tile && k < rows; k++)
        memset(columns + k * s->tile + count, 0, (s->tile - count) * sizeof *columns);
}

/* Copies the results of a tile that is not whole, or spans images, to their places. */
static void spread(const native_conv *s, const float *tile, size_t row, size_t rows, size_t first,
                   size_t count, float *output) {
    for (size_t done = 0; done < count;) {
        size_t image = (first + done) / s->pixels, pixel = (first + done) % s->pixels;
        size_t n = s->pixels - pixel < count - done ? s->pixels - pixel : count - done;
        float *to = output + (image * s->conv.out_channels + row) * s->pixels + pixel;
        for (size_t r = 0; r < rows; r++)
            memcpy(to + r * s->pixels, tile + r * s->tile + done, n * sizeof *to);
        done += n;
    }
}

static void run_tile(const run_job *job, size_t unit, size_t tile, float *slot) {
    const native_conv *s = job->s;
    size_t row = unit * s->unit_rows, group = row / (s->conv.out_channels / s->conv.groups);
    size_t first = tile * s->tile, image = first / s->pixels, pixel = first % s->pixels;
    size_t count = s->total - first < s->tile ? s->total - first : s->tile;
    bool in_place = count == s->tile && pixel + count <= s->pixels;
    float *results = slot + s->block_channels * s->conv.kernel_h * s->conv.kernel_w * s->tile;
    cop_spmm_args args = {.input = (const char *)slot};
    args.output =
        in_place ? job->output + (image * s->conv.out_channels + row) * s->pixels + pixel : results;
    args.output_stride = in_place ? s->pixels : s->tile;
    for (size_t block = 0; block < s->pack.block_count; block++) {
        bool last = block + 1 == s->pack.block_count;
        lay_out(s, job->input, group, block, first, count, slot);
        cop_spmm_pack_args(&s->pack, unit, block, &args);
        args.bias = block == 0 ? s->bias + row : NULL;
        args.min = last ? s->conv.min : -INFINITY;
        args.max = last ? s->conv.max : INFINITY;
        s->kernel(&args);
    }
    if (!in_place)
        spread(s, results, row, s->unit_rows, first, count, job->output);
}

/* A worker takes tiles until none is left: which worker does which changes no result. */
static void work(void *context, size_t begin, size_t end) {
    run_job *job = context;
    const native_conv *s = job->s;
    for (size_t worker = begin; worker < end; worker++) {
        float *slot = (float *)(job->scratch + worker * s->slot_bytes);
        size_t n;
        while ((n = atomic_fetch_add(&job->next, 1)) < s->units * s->tiles)
            run_tile(job, n / s->tiles, n % s->tiles, slot);
    }
}

coppice_status cop_native_conv_run(void *state, const float *input, float *output, void *scratch,
                                   const coppice_threadpool *pool, coppice_error *err) {
    (void)err;
    run_job job = {.s = state, .input = input, .output = output, .scratch = scratch};
    atomic_init(&job.next, 0);
    cop_parallel_for(pool, job.s->workers, 1, work, &job);
    return COPPICE_OK;
}

/* No size that depends on `conv` overflows: the arithmetic above need not ask. */
static bool sizes_fit(const cop_conv *conv) {
    const size_t limit = SIZE_MAX / 4096;
    size_t in, out, columns;
    return cop_size_mul(conv->in_h, conv->in_w, &in) && cop_size_mul(in, conv->in_channels, &in) &&
           cop_size_mul(in, conv->batch, &in) && in < limit &&
           cop_size_mul(conv->out_h, conv->out_w, &out) &&
           cop_size_mul(out, conv->out_channels, &out) && cop_size_mul(out, conv->batch, &out) &&
           out < limit && cop_size_mul(conv->kernel_h, conv->kernel_w, &columns) &&
           cop_size_mul(columns, conv->in_channels, &columns) &&
           columns < UINT32_MAX / (COP_SPMM_MAX_TILE * sizeof(float)) && in && out && columns;
}

bool cop_native_supports_sizes(const cop_conv *conv) {
    return sizes_fit(conv) && conv->groups && conv->in_channels % conv->groups == 0 &&
           conv->out_channels % conv->groups == 0;
}

bool cop_native_conv_supports(const cop_conv *conv) {
    return cop_native_supports_sizes(conv);
}
