/* Pooling over windows and over whole planes, plain and channels last. */
#include <math.h>
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

typedef struct pool_params {
    cop_window_params window;
    bool count_include_pad; /* AveragePool */
    bool column_major;      /* MaxPool: storage_order 1 */
} pool_params;

static coppice_status maxpool_parse(const cop_call *call, void *params) {
    pool_params *p = params;
    COP_TRY(cop_attr_bool(call, "storage_order", false, &p->column_major));
    return cop_window_parse(call, &p->window);
}

static coppice_status averagepool_parse(const cop_call *call, void *params) {
    pool_params *p = params;
    COP_TRY(cop_attr_bool(call, "count_include_pad", false, &p->count_include_pad));
    return cop_window_parse(call, &p->window);
}

static coppice_status infer_pool(cop_call *call) {
    const pool_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    cop_window window;
    COP_TRY(cop_window_resolve(&p->window, x, NULL, &window, call->err));
    int64_t dims[COPPICE_MAX_RANK] = {x->dims[0], x->dims[1]};
    for (uint32_t i = 0; i < window.spatial; i++) {
        if (window.pad_begin[i] >= (window.kernel[i] - 1) * window.dilation[i] + 1 ||
            window.pad_end[i] >= (window.kernel[i] - 1) * window.dilation[i] + 1)
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "padding of %lld and %lld around a window of %lld: a window would lie "
                            "outside of the input",
                            (long long)window.pad_begin[i], (long long)window.pad_end[i],
                            (long long)window.kernel[i]);
        dims[2 + i] = window.out[i];
    }
    cop_set_out(call, 0, x->type, x->rank, dims);
    cop_set_out(call, 1, COPPICE_TYPE_INT64, x->rank, dims);
    return COPPICE_OK;
}

static coppice_status maxpool_infer(cop_call *call) {
    return infer_pool(call);
}

static coppice_status averagepool_infer(cop_call *call) {
    return infer_pool(call);
}

static unsigned pool_layouts(const cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0);
    bool indices = call->node->output_count > 1 && call->node->outputs[1] >= 0;
    unsigned layouts = 1u << COP_LAYOUT_PLAIN;
    if (x->rank == 4 && x->type == COPPICE_TYPE_FLOAT && !indices)
        layouts |= 1u << COP_LAYOUT_NHWC;
    return layouts;
}

/* Everything about a pooling as a loop over output pixels sees it. Spatial dims are depth, height,
 * width: missing ones come first. */
typedef struct pool_job {
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], begin[3], end[3];
    size_t channels; /* innermost ones: 1 when plain */
    bool average, include_pad, column_major;
    const void *x;
    void *y;
    int64_t *indices; /* NULL: not wanted */
    size_t planes;    /* of x: batch * channels when plain, else batch */
} pool_job;

static pool_job make_job(const cop_call *call, const cop_window *w, bool average) {
    const pool_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *indices = cop_out(call, 1);
    bool last = call->in[0]->layout == COP_LAYOUT_NHWC;
    pool_job job = {.channels = last ? (size_t)x->dims[1] : 1,
                    .average = average,
                    .include_pad = p->count_include_pad,
                    .column_major = p->column_major,
                    .x = x->data,
                    .y = cop_out(call, 0)->data,
                    .indices = indices && !average ? indices->data : NULL,
                    .planes = (size_t)x->dims[0] * (last ? 1 : (size_t)x->dims[1])};
    int lead = 3 - (int)w->spatial;
    for (int at = 0; at < 3; at++) {
        int i = at < lead ? 2 : at - lead; /* [2] of a window with fewer dims is trivial */
        job.in[at] = w->in[i];
        job.out[at] = w->out[i];
        job.kernel[at] = w->kernel[i];
        job.stride[at] = w->stride[i];
        job.dilation[at] = w->dilation[i];
        job.begin[at] = w->pad_begin[i];
        job.end[at] = w->pad_end[i];
    }
    return job;
}

/* The taps of a window along one dim that are inside the input: first <= tap < last, and how many
 * are inside the padded input. */
typedef struct taps {
    int64_t start, first, last, padded;
} taps;

static taps taps_at(const pool_job *j, int dim, int64_t out) {
    int64_t dilation = j->dilation[dim], kernel = j->kernel[dim];
    taps t = {.start = out * j->stride[dim] - j->begin[dim]};
    t.first = t.start >= 0 ? 0 : (-t.start + dilation - 1) / dilation;
    int64_t room = j->in[dim] - t.start;
    t.last = room <= 0 ? 0 : (room + dilation - 1) / dilation;
    t.last = t.last < kernel ? t.last : kernel;
    room += j->end[dim];
    t.padded = room <= 0 ? 0 : (room + dilation - 1) / dilation;
    t.padded = t.padded < kernel ? t.padded : kernel;
    return t;
}

/* Adds or maximises one input row of channels into the output's. */
static void add_row(float *restrict y, const float *restrict x, size_t n) {
    for (size_t c = 0; c < n; c++)
        y[c] += x[c];
}

static void max_row(float *restrict y, const float *restrict x, size_t n) {
    for (size_t c = 0; c < n; c++)
        y[c] = x[c] > y[c] || x[c] != x[c] ? x[c] : y[c];
}

/* All channels of one output pixel, floats, from `x`, the start of its plane. */
static void pool_pixel(const pool_job *j, const float *x, const taps *d, const taps *h,
                       const taps *w, float *y) {
    for (size_t c = 0; c < j->channels; c++)
        y[c] = j->average ? 0 : -INFINITY;
    int64_t inside = 0;
    for (int64_t q = d->first; q < d->last; q++) {
        int64_t z = d->start + q * j->dilation[0];
        for (int64_t r = h->first; r < h->last; r++) {
            int64_t row = (z * j->in[1] + h->start + r * j->dilation[1]) * j->in[2];
            for (int64_t s = w->first; s < w->last; s++, inside++) {
                const float *from = x + (size_t)(row + w->start + s * j->dilation[2]) * j->channels;
                if (j->average)
                    add_row(y, from, j->channels);
                else
                    max_row(y, from, j->channels);
            }
        }
    }
    if (!j->average)
        return;
    float count = (float)(j->include_pad ? d->padded * h->padded * w->padded : inside);
    for (size_t c = 0; c < j->channels; c++)
        y[c] = count > 0 ? y[c] / count : 0;
}

/* As add_row and max_row, from every `stride`-th input. */
static void add_strided(float *restrict y, const float *restrict x, size_t n, size_t stride) {
    for (size_t i = 0; i < n; i++)
        y[i] += x[i * stride];
}

static void max_strided(float *restrict y, const float *restrict x, size_t n, size_t stride) {
    for (size_t i = 0; i < n; i++)
        y[i] = x[i * stride] > y[i] || x[i * stride] != x[i * stride] ? x[i * stride] : y[i];
}

/* One input row of a plane into a row of outputs, tap by tap: the loops over outputs are long. */
static void pool_plain_taps(const pool_job *j, const float *x, float *y) {
    int64_t stride = j->stride[2], dilation = j->dilation[2];
    /* Taps that reach no input under any output are left out: a window may be mostly padding. */
    int64_t before = j->begin[2] - (j->out[2] - 1) * stride;
    int64_t end = (j->in[2] + j->begin[2] + dilation - 1) / dilation;
    end = end < j->kernel[2] ? end : j->kernel[2];
    for (int64_t s = before > 0 ? (before + dilation - 1) / dilation : 0; s < end; s++) {
        int64_t offset = s * dilation - j->begin[2], room = j->in[2] - offset;
        int64_t first = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
        int64_t last = room <= 0 ? 0 : (room + stride - 1) / stride;
        last = last < j->out[2] ? last : j->out[2];
        if (first >= last)
            continue;
        const float *from = x + first * stride + offset;
        size_t n = (size_t)(last - first);
        /* A stride that is a constant where it is inlined makes vectors of the loop. */
        if (j->average && stride == 1)
            add_strided(y + first, from, n, 1);
        else if (j->average && stride == 2)
            add_strided(y + first, from, n, 2);
        else if (j->average)
            add_strided(y + first, from, n, (size_t)stride);
        else if (stride == 1)
            max_strided(y + first, from, n, 1);
        else if (stride == 2)
            max_strided(y + first, from, n, 2);
        else
            max_strided(y + first, from, n, (size_t)stride);
    }
}

/* Divides a row of sums by how many elements each has. Between the borders that is one number. */
static void divide_row(const pool_job *j, const taps *d, const taps *h, float *y) {
    int64_t stride = j->stride[2], extent = (j->kernel[2] - 1) * j->dilation[2] + 1;
    int64_t first = (j->begin[2] + stride - 1) / stride, room = j->in[2] + j->begin[2] - extent;
    int64_t last = room < 0 ? 0 : room / stride + 1;
    last = last < j->out[2] ? last : j->out[2];
    int64_t rows =
        j->include_pad ? d->padded * h->padded : (d->last - d->first) * (h->last - h->first);
    float whole = (float)(rows * j->kernel[2]);
    for (int64_t i = first; whole > 0 && i < last; i++)
        y[i] /= whole;
    for (int64_t i = 0; i < j->out[2]; i++) {
        if (i == first && first < last)
            i = last;
        if (i >= j->out[2])
            break;
        taps w = taps_at(j, 2, i);
        int64_t count = rows * (j->include_pad ? w.padded : w.last - w.first);
        y[i] = count > 0 ? y[i] / (float)count : 0;
    }
}

enum { ROW_BUFFER = 2048 };

/* One output row of a plane, floats, from `x`, the start of the plane. Where it has room, the input
 * rows are put together first, so that the strided loops run over one row. */
static void pool_plain_row(const pool_job *j, const float *x, const taps *d, const taps *h,
                           float *y) {
    float buffer[ROW_BUFFER];
    size_t wide = (size_t)j->in[2];
    bool joined = wide <= ROW_BUFFER && j->kernel[1] > 1 && j->kernel[2] > 1;
    const float *row = NULL;
    for (int64_t i = 0; i < j->out[2]; i++)
        y[i] = j->average ? 0 : -INFINITY;
    for (int64_t q = d->first; q < d->last; q++)
        for (int64_t r = h->first; r < h->last; r++) {
            int64_t z = d->start + q * j->dilation[0];
            const float *from = x + (z * j->in[1] + h->start + r * j->dilation[1]) * j->in[2];
            if (!joined)
                pool_plain_taps(j, from, y);
            else if (!row)
                row = memcpy(buffer, from, wide * sizeof *buffer);
            else if (j->average)
                add_row(buffer, from, wide);
            else
                max_row(buffer, from, wide);
        }
    if (row)
        pool_plain_taps(j, row, y);
    if (j->average)
        divide_row(j, d, h, y);
}

/* Items: output rows of every plane. */
static void pool_rows(void *context, size_t begin, size_t end) {
    const pool_job *j = context;
    size_t rows = (size_t)(j->out[0] * j->out[1]);
    size_t in_plane = (size_t)(j->in[0] * j->in[1] * j->in[2]) * j->channels;
    for (size_t item = begin; item < end; item++) {
        const float *x = (const float *)j->x + item / rows * in_plane;
        float *y = (float *)j->y + item * (size_t)j->out[2] * j->channels;
        int64_t row = (int64_t)(item % rows);
        taps d = taps_at(j, 0, row / j->out[1]), h = taps_at(j, 1, row % j->out[1]);
        if (j->channels == 1) {
            pool_plain_row(j, x, &d, &h, y);
            continue;
        }
        for (int64_t column = 0; column < j->out[2]; column++, y += j->channels) {
            taps w = taps_at(j, 2, column);
            pool_pixel(j, x, &d, &h, &w, y);
        }
    }
}

static coppice_status run_float_pool(const cop_call *call, bool average) {
    const pool_params *p = call->params;
    cop_window window;
    COP_TRY(cop_window_resolve(&p->window, cop_in(call, 0), NULL, &window, call->err));
    pool_job job = make_job(call, &window, average);
    size_t rows = job.planes * (size_t)(job.out[0] * job.out[1]);
    size_t each = (size_t)job.out[2] * (size_t)job.kernel[1] * (size_t)job.kernel[2] * job.channels;
    cop_parallel_for(call->pool, rows, cop_grain(each), pool_rows, &job);
    return COPPICE_OK;
}

/* Doubles, window by window. */
static void average_doubles(const pool_job *j) {
    int64_t in_plane = j->in[0] * j->in[1] * j->in[2];
    int64_t out_plane = j->out[0] * j->out[1] * j->out[2], count = (int64_t)j->planes * out_plane;
    for (int64_t i = 0; i < count; i++) {
        const double *x = (const double *)j->x + i / out_plane * in_plane;
        int64_t at = i % out_plane;
        taps d = taps_at(j, 0, at / (j->out[1] * j->out[2]));
        taps h = taps_at(j, 1, at / j->out[2] % j->out[1]), w = taps_at(j, 2, at % j->out[2]);
        int64_t inside = (d.last - d.first) * (h.last - h.first) * (w.last - w.first);
        int64_t whole = j->include_pad ? d.padded * h.padded * w.padded : inside;
        double sum = 0;
        for (int64_t k = 0; k < inside; k++) {
            int64_t columns = w.last - w.first, rows = h.last - h.first;
            int64_t z = d.start + (d.first + k / columns / rows) * j->dilation[0];
            int64_t y = h.start + (h.first + k / columns % rows) * j->dilation[1];
            int64_t c = w.start + (w.first + k % columns) * j->dilation[2];
            sum += x[(z * j->in[1] + y) * j->in[2] + c];
        }
        ((double *)j->y)[i] = whole > 0 ? sum / (double)whole : 0;
    }
}

static coppice_status averagepool_run(const cop_call *call) {
    const pool_params *p = call->params;
    cop_window window;
    if (cop_in(call, 0)->type == COPPICE_TYPE_FLOAT)
        return run_float_pool(call, true);
    COP_TRY(cop_window_resolve(&p->window, cop_in(call, 0), NULL, &window, call->err));
    pool_job job = make_job(call, &window, true);
    average_doubles(&job);
    return COPPICE_OK;
}

/* ---- MaxPool of other types, and with the places of the maxima ---- */

/* Element `at` of x is larger than `best`. */
static bool is_larger(coppice_type type, const void *x, int64_t at, int64_t best) {
    if (type == COPPICE_TYPE_FLOAT)
        return ((const float *)x)[at] > ((const float *)x)[best];
    if (type == COPPICE_TYPE_DOUBLE)
        return ((const double *)x)[at] > ((const double *)x)[best];
    if (type == COPPICE_TYPE_INT8)
        return ((const int8_t *)x)[at] > ((const int8_t *)x)[best];
    return ((const uint8_t *)x)[at] > ((const uint8_t *)x)[best];
}

/* Place of the maximum under a window, counted over the whole input; `plane` is where its plane
 * starts. */
static int64_t largest_place(const pool_job *j, coppice_type type, int64_t plane, const taps *t) {
    int64_t best = -1;
    for (int64_t q = t[0].first; q < t[0].last; q++) {
        int64_t z = t[0].start + q * j->dilation[0];
        for (int64_t r = t[1].first; r < t[1].last; r++) {
            int64_t row = (z * j->in[1] + t[1].start + r * j->dilation[1]) * j->in[2];
            for (int64_t s = t[2].first; s < t[2].last; s++) {
                int64_t at = plane + row + t[2].start + s * j->dilation[2];
                if (best < 0 || is_larger(type, j->x, at, best))
                    best = at;
            }
        }
    }
    return best;
}

/* A place counted with the first spatial dim running fastest, as storage_order 1 has it. */
static int64_t turned(const pool_job *j, int64_t place) {
    int64_t plane = j->in[0] * j->in[1] * j->in[2], at = place % plane;
    int64_t z = at / (j->in[1] * j->in[2]), y = at / j->in[2] % j->in[1], x = at % j->in[2];
    return place - at + (x * j->in[1] + y) * j->in[0] + z;
}

static coppice_status run_any_maxpool(const cop_call *call, const pool_job *j) {
    coppice_type type = cop_in(call, 0)->type;
    size_t bytes = cop_type_bytes(type);
    int64_t in_plane = j->in[0] * j->in[1] * j->in[2];
    int64_t out_plane = j->out[0] * j->out[1] * j->out[2], count = (int64_t)j->planes * out_plane;
    for (int64_t i = 0; i < count; i++) {
        int64_t at = i % out_plane;
        taps t[] = {taps_at(j, 0, at / (j->out[1] * j->out[2])),
                    taps_at(j, 1, at / j->out[2] % j->out[1]), taps_at(j, 2, at % j->out[2])};
        int64_t best = largest_place(j, type, i / out_plane * in_plane, t);
        if (best < 0)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "a window lies in the padding alone");
        memcpy((char *)j->y + (size_t)i * bytes, (const char *)j->x + (size_t)best * bytes, bytes);
        if (j->indices)
            j->indices[i] = j->column_major ? turned(j, best) : best;
    }
    return COPPICE_OK;
}

static coppice_status maxpool_run(const cop_call *call) {
    const pool_params *p = call->params;
    cop_window window;
    COP_TRY(cop_window_resolve(&p->window, cop_in(call, 0), NULL, &window, call->err));
    pool_job job = make_job(call, &window, false);
    if (cop_in(call, 0)->type == COPPICE_TYPE_FLOAT && !job.indices)
        return run_float_pool(call, false);
    return run_any_maxpool(call, &job);
}

/* ---- over whole planes ---- */

static coppice_status globalpool_infer(cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0);
    int64_t dims[COPPICE_MAX_RANK];
    if (x->rank < 3)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "input '%s' is %s, expected [N,C,...]",
                        cop_in_name(call, 0), cop_shape_text(x).s);
    for (uint32_t i = 0; i < x->rank; i++) {
        dims[i] = i < 2 ? x->dims[i] : 1;
        if (i >= 2 && x->dims[i] < 1)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "pooling over the empty plane of %s",
                            cop_shape_text(x).s);
    }
    cop_set_out(call, 0, x->type, x->rank, dims);
    return COPPICE_OK;
}

typedef struct global_job {
    size_t pixels, channels; /* channels innermost: 1 when plain */
    bool average;
    const float *x;
    float *y;
} global_job;

/* Sum of a contiguous plane, in eight partial sums so that it vectorises. */
static float plane_sum(const float *x, size_t n) {
    float part[8] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (size_t k = 0; k < 8; k++)
            part[k] += x[i + k];
    }
    for (; i < n; i++)
        sum += x[i];
    for (size_t k = 0; k < 8; k++)
        sum += part[k];
    return sum;
}

static float plane_max(const float *x, size_t n) {
    float best = x[0];
    for (size_t i = 1; i < n; i++)
        best = x[i] > best || x[i] != x[i] ? x[i] : best;
    return best;
}

/* Items: planes when plain, images when channels are innermost. */
static void global_range(void *context, size_t begin, size_t end) {
    const global_job *j = context;
    for (size_t item = begin; item < end; item++) {
        const float *x = j->x + item * j->pixels * j->channels;
        float *y = j->y + item * j->channels;
        if (j->channels == 1) {
            y[0] =
                j->average ? plane_sum(x, j->pixels) / (float)j->pixels : plane_max(x, j->pixels);
            continue;
        }
        memcpy(y, x, j->channels * sizeof *y);
        for (size_t i = 1; i < j->pixels; i++) {
            if (j->average)
                add_row(y, x + i * j->channels, j->channels);
            else
                max_row(y, x + i * j->channels, j->channels);
        }
        for (size_t c = 0; j->average && c < j->channels; c++)
            y[c] /= (float)j->pixels;
    }
}

/* Doubles, plain. */
static void global_doubles(const coppice_tensor *x, const coppice_tensor *y, bool average) {
    size_t planes = (size_t)coppice_tensor_count(y);
    size_t pixels = planes ? (size_t)coppice_tensor_count(x) / planes : 0;
    const double *from = x->data;
    for (size_t i = 0; i < planes; i++, from += pixels) {
        double result = from[0];
        for (size_t k = 1; k < pixels; k++)
            result = average                                  ? result + from[k]
                     : from[k] > result || from[k] != from[k] ? from[k]
                                                              : result;
        ((double *)y->data)[i] = average ? result / (double)pixels : result;
    }
}

static coppice_status run_global(const cop_call *call, bool average) {
    const coppice_tensor *x = cop_in(call, 0);
    if (x->type == COPPICE_TYPE_DOUBLE) {
        global_doubles(x, cop_out(call, 0), average);
        return COPPICE_OK;
    }
    bool last = call->in[0]->layout == COP_LAYOUT_NHWC;
    global_job job = {.pixels = 1,
                      .channels = last ? (size_t)x->dims[1] : 1,
                      .average = average,
                      .x = x->data,
                      .y = cop_out(call, 0)->data};
    for (uint32_t i = 2; i < x->rank; i++)
        job.pixels *= (size_t)x->dims[i];
    size_t items = (size_t)x->dims[0] * (last ? 1 : (size_t)x->dims[1]);
    cop_parallel_for(call->pool, items, cop_grain(job.pixels * job.channels), global_range, &job);
    return COPPICE_OK;
}

static coppice_status globalpool_run(const cop_call *call) {
    return run_global(call, true);
}

static coppice_status globalmaxpool_run(const cop_call *call) {
    return run_global(call, false);
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_pool[] = {
    {.name = "AveragePool", .since = 1, ONE_TO_ONE, .types = FLOATS, PARSE(averagepool, pool_params),
     INFER(averagepool), RUN(averagepool), .layouts = pool_layouts},
    {.name = "GlobalAveragePool", .since = 1, ONE_TO_ONE, .types = FLOATS, INFER(globalpool),
     RUN(globalpool), .layouts = pool_layouts},
    {.name = "GlobalMaxPool", .since = 1, ONE_TO_ONE, .types = FLOATS, INFER(globalpool),
     RUN(globalmaxpool), .layouts = pool_layouts},
    {.name = "MaxPool", .since = 1, .min_inputs = 1, .max_inputs = 1, .max_outputs = 2,
     .types = FLOATS | COP_TYPE_BIT(INT8) | COP_TYPE_BIT(UINT8), PARSE(maxpool, pool_params),
     INFER(maxpool), RUN(maxpool), .layouts = pool_layouts},
    {.name = NULL},
};
/* clang-format on */
