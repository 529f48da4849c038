/* Pooling of floats over windows. Plain and in tiles it goes by rows: the rows under a window are
 * folded into one, that one along its windows. Channels last it goes by pixels. */
#include <math.h>
#include <string.h>

#include "base/size.h"
#include "runtime/kernels/kernels.h"
#include "runtime/ops/image/pool.h"
#include "runtime/ops/planes.h"
#include "runtime/ops/util.h"

/* Floats: of input rows that are put together, of a row under a window, of outputs. */
enum { ROOM = 4096, MAX_EXTENT = 1024, MAX_STRIDE = 64 };
enum { ROW_ROOM = ROOM + MAX_STRIDE * COP_ROW_BLOCK };

typedef struct pool_job {
    const cop_pool *pool;
    const cop_kernels *kernels;
    cop_planes in, out;
    const float *x; /* channels last */
    float *y;
    bool by_rows;             /* output rows one by one, input rows one by one */
    size_t rows, bands;       /* output rows of a band, and bands of all rows of an image */
    size_t columns, segments; /* outputs of a row at a time, and parts of a row */
} pool_job;

/* What a thread works with. */
typedef struct workspace {
    _Alignas(64) float in[ROOM], row[ROW_ROOM], out[ROOM + COP_ROW_BLOCK];
    float scale[ROOM]; /* of AveragePool: what the sums of the segment's columns are taken times */
    int64_t scale_first, scale_rows; /* the segment and the number of rows they are for; 0: none */
} workspace;

cop_taps cop_taps_at(const cop_pool *j, int dim, int64_t out) {
    int64_t dilation = j->dilation[dim], kernel = j->kernel[dim];
    cop_taps t = {.start = out * j->stride[dim] - j->begin[dim]};
    t.first = t.start >= 0 ? 0 : (-t.start + dilation - 1) / dilation;
    int64_t room = j->in[dim] - t.start;
    t.last = room <= 0 ? 0 : (room + dilation - 1) / dilation;
    t.last = t.last < kernel ? t.last : kernel;
    room += j->end[dim];
    t.padded = room <= 0 ? 0 : (room + dilation - 1) / dilation;
    t.padded = t.padded < kernel ? t.padded : kernel;
    return t;
}

static int64_t inside(const cop_taps *t) {
    return t->last > t->first ? t->last - t->first : 0;
}

static int64_t extent(const cop_pool *p, int dim) {
    return (p->kernel[dim] - 1) * p->dilation[dim] + 1;
}

bool cop_pool_by_rows(const cop_pool *p) {
    return p->kernel[2] <= MAX_EXTENT && p->dilation[2] <= MAX_EXTENT &&
           extent(p, 2) <= MAX_EXTENT && p->stride[2] <= MAX_STRIDE;
}

/* ---- by rows ---- */

/* The columns of outputs first .. last, and what is under them: input columns from .. to, behind
 * `left` columns of padding. */
typedef struct segment {
    int64_t first, last, from, to, left;
} segment;

static segment segment_at(const pool_job *j, size_t index) {
    const cop_pool *p = j->pool;
    segment s = {.first = (int64_t)(index * j->columns)};
    s.last = s.first + (int64_t)j->columns;
    s.last = s.last < p->out[2] ? s.last : p->out[2];
    int64_t start = s.first * p->stride[2] - p->begin[2];
    int64_t end = (s.last - 1) * p->stride[2] - p->begin[2] + extent(p, 2);
    s.left = start < 0 ? -start : 0;
    s.from = start < 0 ? 0 : start < p->in[2] ? start : p->in[2];
    s.to = end < s.from ? s.from : end < p->in[2] ? end : p->in[2];
    return s;
}

/* One over how many elements each sum of a row has; 0 where there are none. */
static void fill_scale(const cop_pool *p, const segment *s, int64_t rows, workspace *w) {
    if (w->scale_rows == rows && w->scale_first == s->first)
        return;
    for (int64_t i = s->first; i < s->last; i++) {
        cop_taps t = cop_taps_at(p, 2, i);
        int64_t count = rows * (p->include_pad ? t.padded : inside(&t));
        w->scale[i - s->first] = count > 0 ? 1.0f / (float)count : 0;
    }
    w->scale_rows = rows;
    w->scale_first = s->first;
}

/* Folds the row under windows, in w->row, into outputs. */
static void finish_row(const pool_job *j, const segment *s, const cop_taps *d, const cop_taps *h,
                       workspace *w, float *out) {
    const cop_pool *p = j->pool;
    size_t n = (size_t)(s->last - s->first);
    j->kernels->fold_taps_f32(out, w->row, (size_t)p->kernel[2], (size_t)p->dilation[2],
                              (size_t)p->stride[2], n, p->average);
    if (!p->average)
        return;
    fill_scale(p, s, p->include_pad ? d->padded * h->padded : inside(d) * inside(h), w);
    for (size_t i = 0; i < n; i++)
        out[i] *= w->scale[i];
}

/* Padding left and right of the row under windows. */
static void pad_row(const pool_job *j, const segment *s, workspace *w) {
    size_t end = (size_t)(s->left + s->to - s->from);
    float nothing = j->pool->average ? 0 : -INFINITY;
    for (size_t i = 0; i < (size_t)s->left; i++)
        w->row[i] = nothing;
    size_t used = cop_round_up((size_t)(s->last - s->first), COP_ROW_BLOCK);
    used = used * (size_t)j->pool->stride[2] + (size_t)extent(j->pool, 2);
    for (size_t i = end; i < used; i++)
        w->row[i] = nothing;
}

/* An output row by its input rows, one by one. */
static void single_row(const pool_job *j, size_t image, size_t channel, const segment *s,
                       const cop_taps *d, const cop_taps *h, workspace *w) {
    const cop_pool *p = j->pool;
    size_t n = (size_t)(s->to - s->from);
    bool add = false;
    for (int64_t q = d->first; q < d->last; q++)
        for (int64_t r = h->first; r < h->last; r++, add = true) {
            int64_t z = d->start + q * p->dilation[0], y = h->start + r * p->dilation[1];
            size_t first = (size_t)((z * p->in[1] + y) * p->in[2] + s->from);
            const float *from = cop_planes_read(&j->in, image, channel, first, n, w->in);
            j->kernels->fold_rows_f32(w->row + s->left, from, 1, 0, n, p->average, add);
        }
    for (size_t i = 0; !add && i < n; i++)
        w->row[(size_t)s->left + i] = p->average ? 0 : -INFINITY;
    finish_row(j, s, d, h, w, w->out);
}

/* Input rows from .. to of a segment, one behind the other, *pitch floats apart. */
static const float *input_rows(const pool_job *j, size_t image, size_t channel, const segment *s,
                               int64_t from, int64_t to, size_t *pitch, workspace *w) {
    size_t wide = (size_t)j->pool->in[2], n = (size_t)(s->to - s->from);
    *pitch = wide;
    if (n == wide || j->in.tile == 0)
        return cop_planes_read(&j->in, image, channel, (size_t)from * wide + (size_t)s->from,
                               (size_t)(to - from - 1) * wide + n, w->in);
    *pitch = n;
    for (int64_t y = from; y < to; y++) {
        float *room = w->in + (size_t)(y - from) * n;
        const float *row =
            cop_planes_read(&j->in, image, channel, (size_t)y * wide + (size_t)s->from, n, room);
        if (row != room)
            memcpy(room, row, n * sizeof *room);
    }
    return w->in;
}

/* Output rows first .. last of an image with one slice. */
static void many_rows(const pool_job *j, size_t image, size_t channel, const segment *s,
                      int64_t first, int64_t last, workspace *w) {
    const cop_pool *p = j->pool;
    cop_taps d = cop_taps_at(p, 0, 0), h = cop_taps_at(p, 1, first),
             end = cop_taps_at(p, 1, last - 1);
    int64_t from = h.start + h.first * p->dilation[1];
    int64_t to = end.start + (end.last - 1) * p->dilation[1] + 1;
    size_t pitch = 0, n = (size_t)(s->to - s->from), wide = (size_t)(s->last - s->first);
    const float *in = NULL;
    if (n > 0 && from < to && inside(&d))
        in = input_rows(j, image, channel, s, from, to, &pitch, w);
    for (int64_t row = first; row < last; row++) {
        h = cop_taps_at(p, 1, row);
        if (in && inside(&h)) {
            const float *under = in + (size_t)(h.start + h.first * p->dilation[1] - from) * pitch;
            j->kernels->fold_rows_f32(w->row + s->left, under, (size_t)inside(&h),
                                      (size_t)p->dilation[1] * pitch, n, p->average, false);
        } else {
            for (size_t i = 0; i < n; i++)
                w->row[(size_t)s->left + i] = p->average ? 0 : -INFINITY;
        }
        finish_row(j, s, &d, &h, w, w->out + (size_t)(row - first) * wide);
    }
}

static void write_rows(const pool_job *j, size_t image, size_t channel, const segment *s,
                       int64_t first, int64_t last, const workspace *w) {
    size_t wide = (size_t)j->pool->out[2], n = (size_t)(s->last - s->first);
    if (n == wide) {
        cop_planes_write(&j->out, image, channel, (size_t)first * wide, (size_t)(last - first) * n,
                         w->out);
        return;
    }
    for (int64_t row = first; row < last; row++)
        cop_planes_write(&j->out, image, channel, (size_t)row * wide + (size_t)s->first, n,
                         w->out + (size_t)(row - first) * n);
}

/* Items: [image][segment][band][channel] in tiles, where channels lie side by side, else
 * [image][channel][segment][band]. */
static void pool_bands(void *context, size_t begin, size_t end) {
    const pool_job *j = context;
    const cop_pool *p = j->pool;
    workspace w;
    size_t parts = j->bands * j->segments, padded = SIZE_MAX;
    w.scale_rows = 0;
    for (size_t item = begin; item < end; item++) {
        size_t channel = j->in.tile ? item % j->in.channels : item / parts % j->in.channels;
        size_t part = j->in.tile ? item / j->in.channels % parts : item % parts;
        size_t image = item / (parts * j->in.channels);
        segment s = segment_at(j, part / j->bands);
        int64_t first = (int64_t)(part % j->bands * j->rows), last = first + (int64_t)j->rows;
        last = last < p->out[0] * p->out[1] ? last : p->out[0] * p->out[1];
        if (padded != part / j->bands)
            pad_row(j, &s, &w);
        padded = part / j->bands;
        if (j->by_rows) {
            cop_taps d = cop_taps_at(p, 0, first / p->out[1]);
            cop_taps h = cop_taps_at(p, 1, first % p->out[1]);
            single_row(j, image, channel, &s, &d, &h, &w);
        } else {
            many_rows(j, image, channel, &s, first, last, &w);
        }
        write_rows(j, image, channel, &s, first, last, &w);
    }
}

/* ---- by pixels ---- */

/* All channels of one output pixel from `x`, the start of the image. */
static void pool_pixel(const pool_job *j, const float *x, const cop_taps *d, const cop_taps *h,
                       const cop_taps *w, float *y) {
    const cop_pool *p = j->pool;
    size_t channels = j->in.channels;
    bool add = false;
    for (int64_t q = d->first; q < d->last && inside(w); q++)
        for (int64_t r = h->first; r < h->last; r++, add = true) {
            int64_t z = d->start + q * p->dilation[0];
            int64_t row = (z * p->in[1] + h->start + r * p->dilation[1]) * p->in[2];
            row += w->start + w->first * p->dilation[2];
            j->kernels->fold_rows_f32(y, x + (size_t)row * channels, (size_t)inside(w),
                                      (size_t)p->dilation[2] * channels, channels, p->average, add);
        }
    for (size_t c = 0; !add && c < channels; c++)
        y[c] = p->average ? 0 : -INFINITY;
    if (!p->average)
        return;
    int64_t count =
        p->include_pad ? d->padded * h->padded * w->padded : inside(d) * inside(h) * inside(w);
    for (size_t c = 0; c < channels; c++)
        y[c] = count > 0 ? y[c] / (float)count : 0;
}

/* Items: output rows of every image. */
static void pool_pixels(void *context, size_t begin, size_t end) {
    const pool_job *j = context;
    const cop_pool *p = j->pool;
    size_t rows = (size_t)(p->out[0] * p->out[1]);
    for (size_t item = begin; item < end; item++) {
        const float *x = j->x + item / rows * j->in.pixels * j->in.channels;
        float *y = j->y + item * (size_t)p->out[2] * j->in.channels;
        int64_t row = (int64_t)(item % rows);
        cop_taps d = cop_taps_at(p, 0, row / p->out[1]), h = cop_taps_at(p, 1, row % p->out[1]);
        for (int64_t column = 0; column < p->out[2]; column++, y += j->in.channels) {
            cop_taps w = cop_taps_at(p, 2, column);
            pool_pixel(j, x, &d, &h, &w, y);
        }
    }
}

/* ---- run ---- */

static size_t at_least_one(size_t n) {
    return n > 0 ? n : 1;
}

/* Bands whose input rows and outputs have room; by rows where not even one output row has. */
static void plan_bands(pool_job *j) {
    const cop_pool *p = j->pool;
    size_t wide = (size_t)p->in[2], out = (size_t)p->out[2], stride = (size_t)p->stride[2];
    j->columns = cop_smaller(out, (ROOM - (size_t)extent(p, 2)) / stride);
    j->segments = (out + j->columns - 1) / j->columns;
    wide = cop_smaller(wide, (j->columns - 1) * stride + (size_t)extent(p, 2));
    int64_t room = (int64_t)(ROOM / at_least_one(wide)) - extent(p, 1);
    j->by_rows = p->out[0] > 1 || p->kernel[0] > 1 || p->in[0] > 1 || room < 0 || wide > ROOM;
    j->rows = 1;
    if (!j->by_rows)
        j->rows = cop_smaller((size_t)(room / p->stride[1]) + 1, ROOM / j->columns);
    j->rows = cop_smaller(at_least_one(j->rows), (size_t)p->out[1]);
    j->bands = ((size_t)(p->out[0] * p->out[1]) + j->rows - 1) / j->rows;
}

void cop_pool_floats(const cop_pool *p, const cop_call *call) {
    bool last = call->in[0]->layout == COP_LAYOUT_NHWC;
    pool_job j = {.pool = p,
                  .kernels = cop_call_kernels(call),
                  .in = cop_planes_of(call->in[0]),
                  .out = cop_planes_of(&call->out[0]),
                  .x = call->in[0]->t.data,
                  .y = call->out[0].t.data};
    size_t taps = (size_t)p->kernel[1] + (size_t)p->kernel[2];
    if (coppice_tensor_count(&call->out[0].t) == 0)
        return;
    if (last || !cop_pool_by_rows(p)) {
        size_t images = j.in.images * (last ? 1 : j.in.channels);
        j.in.channels = last ? j.in.channels : 1;
        cop_parallel_for(call->pool, images * (size_t)(p->out[0] * p->out[1]),
                         cop_grain((size_t)p->out[2] * j.in.channels * taps), pool_pixels, &j);
        return;
    }
    plan_bands(&j);
    cop_parallel_for(call->pool, j.in.images * j.in.channels * j.segments * j.bands,
                     cop_grain(j.rows * j.columns * taps), pool_bands, &j);
}
