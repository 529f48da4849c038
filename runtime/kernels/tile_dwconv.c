/* Depthwise convolutions in tiles. A channel of a band of rows is laid out as a padded plane that
 * stays in the first level cache, one plane for each phase of the stride, so that every tap of
 * neighbouring outputs reads neighbouring floats and what is loaded serves several output rows. */
#include "runtime/kernels/tile_dwconv.h"

#include <stdatomic.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "runtime/kernels/kernels.h"
#include "runtime/layout.h"
#include "runtime/sparse/tiling.h"

enum {
    ALIGN = 64,
    NEAR = 20 << 10,     /* bytes of a band that stay in the first level cache */
    MAX_PLANE = 1 << 22, /* floats of the smallest band */
    CHANNELS = 16        /* that a thread takes at a time */
};

/* Floats of a copy of each size. */
static const size_t widths[COP_DWCONV_SIZES] = {[COP_DWCONV_WIDE] = COP_DWCONV_LANES,
                                                [COP_DWCONV_NARROW] = COP_DWCONV_LANES / 2,
                                                [COP_DWCONV_SINGLE] = 1};

/* What is copied for each channel, by image and band, then by size. */
typedef struct copies {
    cop_dwconv_copy *list; /* NULL: only counted so far */
    size_t count;
    size_t *first; /* [batch * bands * COP_DWCONV_SIZES + 1] */
} copies;

typedef struct tile_dwconv {
    cop_conv conv; /* weights and bias: NULL */
    const cop_kernels *kernels;
    size_t multiplier; /* output channels of an input channel */
    float *weights;    /* [out_channels][taps] */
    float *bias;       /* [out_channels] */
    size_t in_tile, out_tile;
    size_t rows, bands; /* output rows of a band, bands of an image */
    size_t chunk, chunks;
    size_t lead;  /* floats of a phase before column 0: its first pixel is aligned */
    size_t phase; /* floats from a phase of a row to the next */
    size_t *columns;
    size_t workers, slot_bytes, plane_bytes;
    copies in, out;
} tile_dwconv;

/* Floats of a phase: its pixels and padding, and as far as taps of the last outputs reach. */
static size_t phase_floats(const cop_conv *c) {
    size_t reach = c->out_w + (c->kernel_w - 1) * c->dilation_w / c->stride_w;
    size_t wide = (c->pad_left + c->in_w + c->pad_right) / c->stride_w;
    return cop_round_up((reach > wide ? reach : wide) + 2 * (size_t)COP_DWCONV_LANES,
                        COP_DWCONV_LANES);
}

/* Input rows of `rows` output rows. */
static size_t input_rows(const cop_conv *c, size_t rows) {
    return (rows - 1) * c->stride_h + (c->kernel_h - 1) * c->dilation_h + 1;
}

/* Places in tiles fit 32 bits. */
static bool small_tensor(size_t pixels, size_t planes) {
    return planes < UINT32_MAX && pixels < UINT32_MAX / 2 / planes;
}

bool cop_tile_dwconv_supports(const cop_conv *c) {
    size_t floats;
    return cop_tiling_fits(c) && cop_conv_is_depthwise(c) && c->stride_w < MAX_PLANE &&
           small_tensor(c->in_h * c->in_w, c->in_channels * c->batch) &&
           small_tensor(c->out_h * c->out_w, c->out_channels * c->batch) && c->out_w < MAX_PLANE &&
           c->pad_left + c->pad_right + c->in_w < MAX_PLANE &&
           (c->kernel_w - 1) * c->dilation_w < MAX_PLANE &&
           cop_size_mul(input_rows(c, 1), phase_floats(c) * c->stride_w, &floats) &&
           floats < MAX_PLANE;
}

void cop_tile_dwconv_destroy(void *state) {
    tile_dwconv *s = state;
    if (!s)
        return;
    cop_free(s->weights);
    cop_free(s->bias);
    cop_free(s->columns);
    cop_free(s->in.list);
    cop_free(s->in.first);
    cop_free(s->out.list);
    cop_free(s->out.first);
    cop_free(s);
}

/* Bands that stay near, in whole blocks of rows; for each thread one where there are enough rows.
 */
static void cut_bands(tile_dwconv *s) {
    const cop_conv *c = &s->conv;
    size_t block = s->kernels->dwconv_rows, pitch = s->phase * c->stride_w;
    size_t more = input_rows(c, 1) * pitch;
    size_t floats = NEAR / sizeof(float), row = c->stride_h * pitch + c->out_w;
    size_t share = cop_divide_up(c->out_h, s->workers);
    s->rows = floats > more ? (floats - more) / row : 0;
    s->rows = cop_smaller(s->rows, share);
    s->rows = s->rows < block ? block : s->rows / block * block;
    while (s->rows > 1 && input_rows(c, s->rows) * pitch > MAX_PLANE)
        s->rows /= 2;
    s->rows = cop_smaller(s->rows, c->out_h);
    s->bands = cop_divide_up(c->out_h, s->rows);
}

static void describe(tile_dwconv *s) {
    const cop_conv *c = &s->conv;
    s->multiplier = c->out_channels / c->groups;
    s->in_tile = cop_stripe_width(c->batch * c->in_h * c->in_w);
    s->out_tile = cop_stripe_width(cop_conv_positions(c));
    size_t before = c->pad_left / c->stride_w;
    s->lead = cop_round_up(before, COP_DWCONV_LANES) - before;
    s->phase = phase_floats(c);
    cut_bands(s);
    size_t unit = s->multiplier, pitch = s->phase * c->stride_w;
    s->chunk = unit > CHANNELS ? unit : CHANNELS / unit * unit;
    s->chunks = cop_divide_up(c->out_channels, s->chunk);
    s->plane_bytes = cop_round_up(input_rows(c, s->rows) * pitch * sizeof(float), ALIGN);
    size_t sums = (s->rows * c->out_w + COP_DWCONV_LANES) * sizeof(float);
    s->slot_bytes = ALIGN + s->plane_bytes + cop_round_up(sums, ALIGN);
}

static coppice_status pack(tile_dwconv *s, const cop_conv *c, coppice_error *err) {
    size_t taps = c->kernel_h * c->kernel_w, bytes = c->out_channels * taps * sizeof(float);
    s->weights = cop_malloc(bytes);
    s->columns = cop_calloc(c->kernel_w, sizeof *s->columns);
    if (!s->weights || !s->columns)
        return cop_fail_memory(err, bytes);
    memcpy(s->weights, c->weights, bytes);
    for (size_t k = 0; k < c->kernel_w; k++) {
        size_t x = k * c->dilation_w;
        s->columns[k] = s->lead + x % c->stride_w * s->phase + x / c->stride_w;
    }
    return cop_conv_copy_bias(c, c->out_channels, &s->bias, err);
}

/* The band reads input rows begin .. end - 1; `skip` rows of padding stand before them in its
 * plane.
 */
static void band_inputs(const tile_dwconv *s, size_t band, size_t *begin, size_t *end,
                        size_t *skip) {
    const cop_conv *c = &s->conv;
    size_t first = band * s->rows, rows = cop_smaller(s->rows, c->out_h - first);
    size_t top = first * c->stride_h, bottom = top + input_rows(c, rows);
    *skip = top < c->pad_top ? cop_smaller(c->pad_top, bottom) - top : 0;
    *begin = cop_smaller(top + *skip < c->pad_top ? 0 : top + *skip - c->pad_top, c->in_h);
    *end = cop_smaller(bottom < c->pad_top ? 0 : bottom - c->pad_top, c->in_h);
}

static void add_copy(copies *c, size_t from, size_t to, size_t other) {
    if (c->list)
        c->list[c->count] =
            (cop_dwconv_copy){.from = (uint32_t)from, .to = (uint32_t)to, .other = (uint32_t)other};
    c->count++;
}

/* Where a pixel in this column of a padded row goes. */
static size_t place_in_plane(const tile_dwconv *s, size_t row, size_t column) {
    size_t step = s->conv.stride_w;
    return (row * step + column % step) * s->phase + s->lead + column / step;
}

/* Floats of the input that a copy takes: of all phases, but where it takes one. */
static size_t copy_width(const tile_dwconv *s, int size) {
    return size == COP_DWCONV_SINGLE ? 1 : widths[size] * s->conv.stride_w;
}

static int largest_size(const tile_dwconv *s, size_t count) {
    int size = s->conv.stride_w > 2 ? COP_DWCONV_SINGLE : COP_DWCONV_WIDE;
    while (size < COP_DWCONV_SINGLE && copy_width(s, size) > count)
        size++;
    return size;
}

/* Adds the copies of an input row that have `size`: a run within one stripe is copied by the
 * largest that fits, the last of which ends with it. */
static void add_row(tile_dwconv *s, size_t image, size_t y, size_t row, int size) {
    const cop_conv *c = &s->conv;
    size_t q = (image * c->in_h + y) * c->in_w, width = copy_width(s, size);
    for (size_t x = 0, n; x < c->in_w; x += n) {
        size_t at = (q + x) % s->in_tile;
        n = cop_smaller(s->in_tile - at, c->in_w - x);
        size_t from = (q + x) / s->in_tile * c->in_channels * s->in_tile + at;
        for (size_t i = 0; size == largest_size(s, n) && i < n; i += width) {
            size_t first = cop_smaller(i, n - width), column = c->pad_left + x + first;
            add_copy(&s->in, from + first, place_in_plane(s, row, column),
                     place_in_plane(s, row, column + 1));
        }
    }
}

/* Adds the copies of a band's sums that have `size`; they do not overlap. */
static void add_sums(tile_dwconv *s, size_t image, size_t band, int size) {
    const cop_conv *c = &s->conv;
    size_t first = band * s->rows, count = cop_smaller(s->rows, c->out_h - first) * c->out_w;
    size_t q = (image * c->out_h + first) * c->out_w, width = widths[size];
    for (size_t done = 0, n; done < count; done += n) {
        size_t at = (q + done) % s->out_tile;
        n = cop_smaller(s->out_tile - at, count - done);
        size_t to = (q + done) / s->out_tile * c->out_channels * s->out_tile + at;
        size_t i = size == COP_DWCONV_WIDE ? 0 : n / widths[size - 1] * widths[size - 1];
        for (; i + width <= n; i += width)
            add_copy(&s->out, done + i, to + i, 0);
    }
}

/* Of all images and bands; the first time, without lists, only their number. */
static void add_copies(tile_dwconv *s) {
    size_t ranges = s->conv.batch * s->bands * COP_DWCONV_SIZES;
    s->in.count = s->out.count = 0;
    for (size_t i = 0; i < ranges; i++) {
        size_t begin, end, skip, band = i / COP_DWCONV_SIZES, image = band / s->bands;
        int size = (int)(i % COP_DWCONV_SIZES);
        s->in.first[i] = s->in.count;
        s->out.first[i] = s->out.count;
        band_inputs(s, band % s->bands, &begin, &end, &skip);
        for (size_t y = begin; y < end; y++)
            add_row(s, image, y, skip + y - begin, size);
        add_sums(s, image, band % s->bands, size);
    }
    s->in.first[ranges] = s->in.count;
    s->out.first[ranges] = s->out.count;
}

static coppice_status find_copies(tile_dwconv *s, coppice_error *err) {
    size_t ranges = s->conv.batch * s->bands * COP_DWCONV_SIZES + 1;
    s->in.first = cop_calloc(ranges, sizeof *s->in.first);
    s->out.first = cop_calloc(ranges, sizeof *s->out.first);
    if (!s->in.first || !s->out.first)
        return cop_fail_memory(err, ranges * sizeof *s->in.first);
    add_copies(s);
    s->in.list = cop_calloc(s->in.count + 1, sizeof *s->in.list);
    s->out.list = cop_calloc(s->out.count + 1, sizeof *s->out.list);
    if (!s->in.list || !s->out.list)
        return cop_fail_memory(err, (s->in.count + s->out.count) * sizeof *s->in.list);
    add_copies(s);
    return COPPICE_OK;
}

coppice_status cop_tile_dwconv_create(const cop_conv *conv, coppice_isa isa,
                                      const coppice_threadpool *pool, void **state,
                                      coppice_error *err) {
    *state = NULL;
    tile_dwconv *s = cop_calloc(1, sizeof *s);
    if (!s)
        return cop_fail_memory(err, sizeof *s);
    s->conv = *conv;
    s->conv.weights = s->conv.bias = NULL;
    s->kernels = cop_kernels_of(isa);
    s->workers = coppice_threadpool_threads(pool);
    describe(s);
    coppice_status status = pack(s, conv, err);
    if (!status)
        status = find_copies(s, err);
    if (status) {
        cop_tile_dwconv_destroy(s);
        return status;
    }
    *state = s;
    return COPPICE_OK;
}

size_t cop_tile_dwconv_scratch(const void *state) {
    const tile_dwconv *s = state;
    return s->workers * s->slot_bytes;
}

typedef struct run_job {
    const tile_dwconv *s;
    const cop_conv_io *io;
} run_job;

/* The flag at the begin of a worker's scratch. */
static atomic_flag *flag_of(const run_job *job, size_t worker) {
    return (atomic_flag *)(void *)((char *)job->io->scratch + worker * job->s->slot_bytes);
}

/* Scratch that nobody uses: there is some for each thread. */
static atomic_flag *take_slot(const run_job *job) {
    for (size_t worker = 0;; worker = (worker + 1) % job->s->workers)
        if (!atomic_flag_test_and_set(flag_of(job, worker)))
            return flag_of(job, worker);
}

static cop_dwconv_copies copies_of(const copies *c, size_t band) {
    const size_t *first = c->first + band * COP_DWCONV_SIZES;
    cop_dwconv_copies of = {.list = c->list + first[0]};
    for (int size = 0; size < COP_DWCONV_SIZES; size++)
        of.counts[size] = first[size + 1] - first[size];
    return of;
}

/* Applies the activation to what a channel has in the stripes. */
static void activate(const tile_dwconv *s, const cop_dwconv_copies *out, float *channel) {
    size_t done = 0;
    for (int size = 0; size < COP_DWCONV_SIZES; size++) {
        const cop_dwconv_copy *copy = out->list + done, *end = copy + out->counts[size];
        size_t width = widths[size];
        while (copy < end) {
            const cop_dwconv_copy *next = copy + 1;
            while (next < end && next->to == next[-1].to + width)
                next++;
            cop_activate(&s->conv.activation, s->kernels, channel + copy->to,
                         (size_t)(next - copy) * width);
            copy = next;
        }
        done += out->counts[size];
    }
}

/* Some output channels of a band. */
static void run_chunk(const run_job *job, size_t band, size_t channel, char *scratch) {
    const tile_dwconv *s = job->s;
    const cop_conv *c = &s->conv;
    size_t to = channel * s->out_tile, first = band % s->bands * s->rows;
    cop_dwconv_args args = {
        .input = job->io->input + channel / s->multiplier * s->in_tile,
        .input_stride = s->in_tile,
        .channels = cop_smaller(s->chunk, c->out_channels - channel),
        .multiplier = s->multiplier,
        .in = copies_of(&s->in, band),
        .out = copies_of(&s->out, band),
        .plane = (float *)(void *)scratch,
        .sums = (float *)(void *)(scratch + s->plane_bytes),
        .step = c->stride_w,
        .pitch = s->phase * c->stride_w,
        .kernel_h = c->kernel_h,
        .kernel_w = c->kernel_w,
        .stride = c->stride_h,
        .dilation = c->dilation_h,
        .columns = s->columns,
        .rows = cop_smaller(s->rows, c->out_h - first),
        .width = c->out_w,
        .weights = s->weights + channel * c->kernel_h * c->kernel_w,
        .bias = s->bias + channel,
        .residual = c->residual ? job->io->residual + to : NULL,
        .output = job->io->output + to,
        .output_stride = s->out_tile,
        .min = c->min,
        .max = c->max,
    };
    memset(scratch, 0, s->plane_bytes);
    s->kernels->dwconv_f32(&args);
    for (size_t i = 0; c->activation.there && i < args.channels; i++)
        activate(s, &args.out, args.output + i * s->out_tile);
}

static void run_chunks(void *context, size_t begin, size_t end) {
    const run_job *job = context;
    atomic_flag *slot = take_slot(job);
    for (size_t i = begin; i < end; i++)
        run_chunk(job, i / job->s->chunks, i % job->s->chunks * job->s->chunk,
                  (char *)slot + ALIGN);
    atomic_flag_clear(slot);
}

coppice_status cop_tile_dwconv_run(void *state, const cop_conv_io *io,
                                   const coppice_threadpool *pool, coppice_error *err) {
    (void)err;
    const tile_dwconv *s = state;
    run_job job = {.s = s, .io = io};
    for (size_t worker = 0; worker < s->workers; worker++)
        atomic_flag_clear(flag_of(&job, worker));
    cop_parallel_for(pool, s->conv.batch * s->bands * s->chunks, 1, run_chunks, &job);
    return COPPICE_OK;
}
