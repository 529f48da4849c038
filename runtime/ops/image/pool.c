/* Pooling over windows and over whole planes. */
#include <math.h>
#include <string.h>

#include "runtime/kernels/kernels.h"
#include "runtime/ops/image/pool.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/planes.h"
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

/* What the loops over other types than float see besides. */
typedef struct pool_job {
    cop_pool window;
    bool column_major;
    const void *x;
    void *y;
    int64_t *indices; /* NULL: not wanted */
    size_t planes;    /* of x: batch * channels */
} pool_job;

static cop_pool make_pool(const pool_params *p, const cop_window *w, bool average) {
    cop_pool pool = {.average = average, .include_pad = p->count_include_pad};
    int lead = 3 - (int)w->spatial;
    for (int at = 0; at < 3; at++) {
        int i = at < lead ? 2 : at - lead; /* [2] of a window with fewer dims is trivial */
        pool.in[at] = w->in[i];
        pool.out[at] = w->out[i];
        pool.kernel[at] = w->kernel[i];
        pool.stride[at] = w->stride[i];
        pool.dilation[at] = w->dilation[i];
        pool.begin[at] = w->pad_begin[i];
        pool.end[at] = w->pad_end[i];
    }
    return pool;
}

static pool_job make_job(const cop_call *call, const cop_window *w, bool average) {
    const pool_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *indices = cop_out(call, 1);
    return (pool_job){.window = make_pool(p, w, average),
                      .column_major = p->column_major,
                      .x = x->data,
                      .y = cop_out(call, 0)->data,
                      .indices = indices && !average ? indices->data : NULL,
                      .planes = (size_t)x->dims[0] * (size_t)x->dims[1]};
}

static unsigned pool_layouts(const cop_call *call) {
    const pool_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    bool indices = call->node->output_count > 1 && call->node->outputs[1] >= 0;
    unsigned layouts = 1u << COP_LAYOUT_PLAIN;
    cop_window window;
    if (x->type != COPPICE_TYPE_FLOAT || indices ||
        cop_window_resolve(&p->window, x, NULL, &window, NULL))
        return layouts;
    if (x->rank == 4)
        layouts |= 1u << COP_LAYOUT_NHWC;
    cop_pool pool = make_pool(p, &window, false);
    if (cop_layout_fits(COP_LAYOUT_TILES, x) && cop_pool_by_rows(&pool))
        layouts |= 1u << COP_LAYOUT_TILES;
    return layouts;
}

/* Doubles, window by window. */
static void average_doubles(const pool_job *job) {
    const cop_pool *j = &job->window;
    int64_t in_plane = j->in[0] * j->in[1] * j->in[2];
    int64_t out_plane = j->out[0] * j->out[1] * j->out[2], count = (int64_t)job->planes * out_plane;
    for (int64_t i = 0; i < count; i++) {
        const double *x = (const double *)job->x + i / out_plane * in_plane;
        int64_t at = i % out_plane;
        cop_taps d = cop_taps_at(j, 0, at / (j->out[1] * j->out[2]));
        cop_taps h = cop_taps_at(j, 1, at / j->out[2] % j->out[1]),
                 w = cop_taps_at(j, 2, at % j->out[2]);
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
        ((double *)job->y)[i] = whole > 0 ? sum / (double)whole : 0;
    }
}

static coppice_status averagepool_run(const cop_call *call) {
    const pool_params *p = call->params;
    cop_window window;
    COP_TRY(cop_window_resolve(&p->window, cop_in(call, 0), NULL, &window, call->err));
    pool_job job = make_job(call, &window, true);
    if (cop_in(call, 0)->type == COPPICE_TYPE_FLOAT)
        cop_pool_floats(&job.window, call);
    else
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
static int64_t largest_place(const cop_pool *j, coppice_type type, const void *x, int64_t plane,
                             const cop_taps *t) {
    int64_t best = -1;
    for (int64_t q = t[0].first; q < t[0].last; q++) {
        int64_t z = t[0].start + q * j->dilation[0];
        for (int64_t r = t[1].first; r < t[1].last; r++) {
            int64_t row = (z * j->in[1] + t[1].start + r * j->dilation[1]) * j->in[2];
            for (int64_t s = t[2].first; s < t[2].last; s++) {
                int64_t at = plane + row + t[2].start + s * j->dilation[2];
                if (best < 0 || is_larger(type, x, at, best))
                    best = at;
            }
        }
    }
    return best;
}

/* A place counted with the first spatial dim running fastest, as storage_order 1 has it. */
static int64_t turned(const cop_pool *j, int64_t place) {
    int64_t plane = j->in[0] * j->in[1] * j->in[2], at = place % plane;
    int64_t z = at / (j->in[1] * j->in[2]), y = at / j->in[2] % j->in[1], x = at % j->in[2];
    return place - at + (x * j->in[1] + y) * j->in[0] + z;
}

static coppice_status run_any_maxpool(const cop_call *call, const pool_job *job) {
    const cop_pool *j = &job->window;
    coppice_type type = cop_in(call, 0)->type;
    size_t bytes = cop_type_bytes(type);
    int64_t in_plane = j->in[0] * j->in[1] * j->in[2];
    int64_t out_plane = j->out[0] * j->out[1] * j->out[2], count = (int64_t)job->planes * out_plane;
    for (int64_t i = 0; i < count; i++) {
        int64_t at = i % out_plane;
        cop_taps t[] = {cop_taps_at(j, 0, at / (j->out[1] * j->out[2])),
                        cop_taps_at(j, 1, at / j->out[2] % j->out[1]),
                        cop_taps_at(j, 2, at % j->out[2])};
        int64_t best = largest_place(j, type, job->x, i / out_plane * in_plane, t);
        if (best < 0)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "a window lies in the padding alone");
        memcpy((char *)job->y + (size_t)i * bytes, (const char *)job->x + (size_t)best * bytes,
               bytes);
        if (job->indices)
            job->indices[i] = job->column_major ? turned(j, best) : best;
    }
    return COPPICE_OK;
}

static coppice_status maxpool_run(const cop_call *call) {
    const pool_params *p = call->params;
    cop_window window;
    COP_TRY(cop_window_resolve(&p->window, cop_in(call, 0), NULL, &window, call->err));
    pool_job job = make_job(call, &window, false);
    if (cop_in(call, 0)->type != COPPICE_TYPE_FLOAT || job.indices)
        return run_any_maxpool(call, &job);
    cop_pool_floats(&job.window, call);
    return COPPICE_OK;
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

static unsigned globalpool_layouts(const cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0);
    unsigned layouts = 1u << COP_LAYOUT_PLAIN;
    if (x->type == COPPICE_TYPE_FLOAT && x->rank == 4)
        layouts |= 1u << COP_LAYOUT_NHWC;
    if (cop_layout_fits(COP_LAYOUT_TILES, x))
        layouts |= 1u << COP_LAYOUT_TILES;
    return layouts;
}

typedef struct global_job {
    cop_planes in, out;
    bool average, last;
    const cop_kernels *kernels;
} global_job;

/* All channels of an image, which lie side by side. */
static void global_pixels(const global_job *j, size_t image) {
    size_t n = j->in.channels, pixels = j->in.pixels;
    const float *x = j->in.data + image * pixels * n;
    float *y = j->out.data + image * n;
    j->kernels->fold_rows_f32(y, x, pixels, n, n, j->average, false);
    for (size_t c = 0; j->average && c < n; c++)
        y[c] /= (float)pixels;
}

static void global_images(void *context, size_t begin, size_t end) {
    for (size_t image = begin; image < end; image++)
        global_pixels(context, image);
}

/* Items: planes. */
static void global_planes(void *context, size_t begin, size_t end) {
    const global_job *j = context;
    for (size_t item = begin, n; item < end; item += n) {
        size_t image = item / j->in.channels, channel = item % j->in.channels, one = 1;
        double results[COP_PLANES_AT_ONCE];
        n = cop_planes_together(&j->in, channel, end - item);
        if (j->average)
            cop_planes_sums(&j->in, j->kernels, image, channel, n, results);
        for (size_t c = 0; c < n; c++) {
            float *y = cop_planes_at(&j->out, image, channel + c, 0, &one);
            *y = j->average ? (float)(results[c] / (double)j->in.pixels)
                            : cop_planes_max(&j->in, j->kernels, image, channel + c);
        }
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
    global_job job = {.in = cop_planes_of(call->in[0]),
                      .out = cop_planes_of(&call->out[0]),
                      .average = average,
                      .last = call->in[0]->layout == COP_LAYOUT_NHWC,
                      .kernels = cop_call_kernels(call)};
    size_t items = job.in.images * (job.last ? 1 : job.in.channels);
    cop_parallel_for(call->pool, items, cop_grain(job.in.pixels * (job.last ? job.in.channels : 1)),
                     job.last ? global_images : global_planes, &job);
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
     RUN(globalpool), .layouts = globalpool_layouts},
    {.name = "GlobalMaxPool", .since = 1, ONE_TO_ONE, .types = FLOATS, INFER(globalpool),
     RUN(globalmaxpool), .layouts = globalpool_layouts},
    {.name = "MaxPool", .since = 1, .min_inputs = 1, .max_inputs = 1, .max_outputs = 2,
     .types = FLOATS | COP_TYPE_BIT(INT8) | COP_TYPE_BIT(UINT8), PARSE(maxpool, pool_params),
     INFER(maxpool), RUN(maxpool), .layouts = pool_layouts},
    {.name = NULL},
};
/* clang-format on */
