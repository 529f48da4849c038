/* Pooling over regions of interest: RoiAlign, MaxRoiPool. */
#include <math.h>
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

typedef struct roi_params {
    bool max, half_pixel;
    int64_t height, width, sampling;
    double scale;
} roi_params;

enum { LARGEST_GRID = 4096 }; /* samples per bin and dimension */

static coppice_status roialign_parse(const cop_call *call, void *params) {
    roi_params *p = params;
    const char *mode, *coordinates;
    float scale;
    COP_TRY(cop_node_string(call->node, "mode", "avg", &mode, call->err));
    COP_TRY(cop_node_string(call->node, "coordinate_transformation_mode",
                            call->opset < 16 ? "output_half_pixel" : "half_pixel", &coordinates,
                            call->err));
    COP_TRY(cop_node_int(call->node, "output_height", 1, &p->height, call->err));
    COP_TRY(cop_node_int(call->node, "output_width", 1, &p->width, call->err));
    COP_TRY(cop_node_int(call->node, "sampling_ratio", 0, &p->sampling, call->err));
    COP_TRY(cop_node_float(call->node, "spatial_scale", 1, &scale, call->err));
    p->scale = (double)scale;
    p->max = !strcmp(mode, "max");
    p->half_pixel = !strcmp(coordinates, "half_pixel");
    if ((!p->max && strcmp(mode, "avg") != 0) ||
        (!p->half_pixel && strcmp(coordinates, "output_half_pixel") != 0))
        return cop_fail(
            call->err, COPPICE_BAD_MODEL,
            "mode '%s' and coordinate_transformation_mode '%s'; avg and max, half_pixel "
            "and output_half_pixel are supported",
            mode, coordinates);
    if (p->height >= 1 && p->width >= 1 && p->height <= INT32_MAX && p->width <= INT32_MAX &&
        p->sampling >= 0 && p->sampling <= LARGEST_GRID)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "an output of %lldx%lld with a sampling_ratio of %lld", (long long)p->height,
                    (long long)p->width, (long long)p->sampling);
}

static coppice_status maxroipool_parse(const cop_call *call, void *params) {
    roi_params *p = params;
    int64_t shape[2];
    int count;
    float scale;
    COP_TRY(cop_node_float(call->node, "spatial_scale", 1, &scale, call->err));
    COP_TRY(cop_attr_ints(call, "pooled_shape", shape, 2, &count));
    if (count != 2 || shape[0] < 1 || shape[1] < 1 || shape[0] > INT32_MAX || shape[1] > INT32_MAX)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "attribute 'pooled_shape' is %s, expected two sizes",
                        cop_dims_text(count < 0 ? 0 : (uint32_t)count, shape).s);
    p->height = shape[0];
    p->width = shape[1];
    p->scale = (double)scale;
    return COPPICE_OK;
}

/* The output for [regions][columns] regions. */
static coppice_status infer_regions(cop_call *call, int64_t columns) {
    const roi_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *rois = cop_in(call, 1);
    COP_TRY(cop_need_type(call, 1, 1u << x->type));
    COP_TRY(cop_need_rank(call, 0, 4));
    COP_TRY(cop_need_rank(call, 1, 2));
    if (rois->dims[1] != columns || x->dims[2] < 1 || x->dims[3] < 1)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "input '%s' is %s and the regions '%s' are %s, expected [regions,%lld]",
                        cop_in_name(call, 0), cop_shape_text(x).s, cop_in_name(call, 1),
                        cop_shape_text(rois).s, (long long)columns);
    int64_t dims[4] = {rois->dims[0], x->dims[1], p->height, p->width};
    cop_set_out(call, 0, x->type, 4, dims);
    return COPPICE_OK;
}

static coppice_status roialign_infer(cop_call *call) {
    const coppice_tensor *rois = cop_in(call, 1), *batch = cop_in(call, 2);
    COP_TRY(infer_regions(call, 4));
    COP_TRY(cop_need_rank(call, 2, 1));
    if (cop_is_integer_type(batch->type) && batch->dims[0] == rois->dims[0])
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "input '%s' is %s %s for regions %s",
                    cop_in_name(call, 2), coppice_type_name(batch->type), cop_shape_text(batch).s,
                    cop_shape_text(rois).s);
}

static coppice_status maxroipool_infer(cop_call *call) {
    return infer_regions(call, 5);
}

/* ---- what both run with ---- */

typedef struct roi_job {
    const roi_params *p;
    const coppice_tensor *x, *rois, *batch, *y;
} roi_job;

/* The image of region `r`. */
static double image_of(const roi_job *j, int64_t r) {
    return j->batch ? (double)cop_tensor_get_int(j->batch, r) : cop_tensor_get(j->rois, r * 5);
}

/* Bounds of region `r` in pixels: x1, y1, x2, y2. */
static void bounds_of(const roi_job *j, int64_t r, double *bounds) {
    for (int i = 0; i < 4; i++) {
        int64_t at = j->batch ? r * 4 + i : r * 5 + 1 + i;
        bounds[i] = cop_tensor_get(j->rois, at) * j->p->scale;
    }
}

static int grid_of(const roi_params *p, double size, int64_t bins) {
    double grid = p->sampling > 0 ? (double)p->sampling : ceil(size / (double)bins);
    return grid < 0 ? 0 : grid > LARGEST_GRID + 1 ? LARGEST_GRID + 1 : (int)grid;
}

static coppice_status check_regions(const cop_call *call, const roi_job *j) {
    for (int64_t r = 0; r < j->rois->dims[0]; r++) {
        double image = image_of(j, r), b[4];
        bounds_of(j, r, b);
        if (!(image >= 0 && image < (double)j->x->dims[0]))
            return cop_fail(call->err, COPPICE_BAD_DATA, "region %lld is for image %g of %lld",
                            (long long)r, image, (long long)j->x->dims[0]);
        bool finite = true;
        for (int i = 0; i < 4; i++)
            finite = finite && fabs(b[i]) < 1e9;
        if (!finite || grid_of(j->p, b[3] - b[1], j->p->height) > LARGEST_GRID ||
            grid_of(j->p, b[2] - b[0], j->p->width) > LARGEST_GRID)
            return cop_fail(call->err, COPPICE_BAD_DATA, "region %lld is from %g,%g to %g,%g",
                            (long long)r, b[0], b[1], b[2], b[3]);
    }
    return COPPICE_OK;
}

static coppice_status run_regions(const cop_call *call, const coppice_tensor *batch,
                                  void (*task)(void *, size_t, size_t)) {
    const roi_params *p = call->params;
    roi_job j = {p, cop_in(call, 0), cop_in(call, 1), batch, cop_out(call, 0)};
    COP_TRY(check_regions(call, &j));
    size_t items = (size_t)(j.y->dims[0] * j.y->dims[1]);
    cop_parallel_for(call->pool, items, cop_grain((size_t)(p->height * p->width) * 64), task, &j);
    return COPPICE_OK;
}

/* ---- RoiAlign ---- */

/* A position between pixels of one dimension: the two, and the share of the second. False when it
 * is too far outside. */
static bool between(double at, int64_t size, int64_t *low, int64_t *high, double *share) {
    if (!(at >= -1 && at <= (double)size))
        return false;
    at = at < 0 ? 0 : at;
    *low = (int64_t)at;
    if (*low >= size - 1) {
        *low = *high = size - 1;
        *share = 0;
        return true;
    }
    *high = *low + 1;
    *share = at - (double)*low;
    return true;
}

/* One sample: the weighted sum of four pixels, or for `max` the largest of the weighted four. */
static double sample(const roi_job *j, size_t plane, double y, double x) {
    int64_t w = j->x->dims[3], y0, y1, x0, x1;
    double ly, lx, v[4];
    if (!between(y, j->x->dims[2], &y0, &y1, &ly) || !between(x, w, &x0, &x1, &lx))
        return 0;
    const int64_t at[4] = {y0 * w + x0, y0 * w + x1, y1 * w + x0, y1 * w + x1};
    const double weight[4] = {(1 - ly) * (1 - lx), (1 - ly) * lx, ly * (1 - lx), ly * lx};
    for (int k = 0; k < 4; k++) {
        size_t i = plane + (size_t)at[k];
        v[k] = weight[k] * cop_float_at(j->x, i);
    }
    if (!j->p->max)
        return v[0] + v[1] + v[2] + v[3];
    return fmax(fmax(v[0], v[1]), fmax(v[2], v[3]));
}

/* One bin: the average or the largest of its samples. */
static double align_bin(const roi_job *j, size_t plane, const double *start, const double *bin,
                        const int *grid) {
    double result = 0;
    for (int iy = 0; iy < grid[0]; iy++) {
        for (int ix = 0; ix < grid[1]; ix++) {
            double v = sample(j, plane, start[0] + (iy + 0.5) * bin[0] / grid[0],
                              start[1] + (ix + 0.5) * bin[1] / grid[1]);
            result = !j->p->max ? result + v : iy + ix == 0 ? v : fmax(result, v);
        }
    }
    int count = grid[0] * grid[1];
    return j->p->max ? result : result / (count > 1 ? count : 1);
}

/* Items: [region][channel]. */
static void align_items(void *context, size_t begin, size_t end) {
    const roi_job *j = context;
    const roi_params *p = j->p;
    size_t channels = (size_t)j->x->dims[1], bins = (size_t)(p->height * p->width);
    size_t pixels = (size_t)(j->x->dims[2] * j->x->dims[3]);
    for (size_t item = begin; item < end; item++) {
        int64_t r = (int64_t)(item / channels);
        double b[4], offset = p->half_pixel ? 0.5 : 0;
        bounds_of(j, r, b);
        double height = b[3] - b[1], width = b[2] - b[0];
        if (!p->half_pixel) { /* regions are at least a pixel */
            height = height > 1 ? height : 1;
            width = width > 1 ? width : 1;
        }
        double bin[2] = {height / (double)p->height, width / (double)p->width};
        int grid[2] = {grid_of(p, height, p->height), grid_of(p, width, p->width)};
        size_t plane = ((size_t)image_of(j, r) * channels + item % channels) * pixels;
        for (size_t i = 0; i < bins; i++) {
            double start[2] = {b[1] - offset + (double)(i / (size_t)p->width) * bin[0],
                               b[0] - offset + (double)(i % (size_t)p->width) * bin[1]};
            cop_set_float(j->y, item * bins + i, align_bin(j, plane, start, bin, grid));
        }
    }
}

static coppice_status roialign_run(const cop_call *call) {
    return run_regions(call, cop_in(call, 2), align_items);
}

/* ---- MaxRoiPool ---- */

/* First and last pixel, exclusive, of bin `i` of a region of `size` from `start`. */
static void pool_range(int64_t i, double bin, double start, int64_t size, int64_t *range) {
    double first = floor((double)i * bin) + start, last = ceil((double)(i + 1) * bin) + start;
    range[0] = first < 0 ? 0 : first > (double)size ? size : (int64_t)first;
    range[1] = last < 0 ? 0 : last > (double)size ? size : (int64_t)last;
}

/* Items: [region][channel]. */
static void pool_items(void *context, size_t begin, size_t end) {
    const roi_job *j = context;
    const roi_params *p = j->p;
    int64_t h = j->x->dims[2], w = j->x->dims[3], channels = j->x->dims[1];
    for (size_t item = begin; item < end; item++) {
        int64_t r = (int64_t)item / channels, rows[2], columns[2];
        double b[4];
        bounds_of(j, r, b);
        for (int i = 0; i < 4; i++)
            b[i] = round(b[i]);
        double bin_h = fmax(b[3] - b[1] + 1, 1) / (double)p->height;
        double bin_w = fmax(b[2] - b[0] + 1, 1) / (double)p->width;
        int64_t plane = ((int64_t)image_of(j, r) * channels + (int64_t)item % channels) * h * w;
        for (int64_t i = 0; i < p->height * p->width; i++) {
            double best = -INFINITY;
            pool_range(i / p->width, bin_h, b[1], h, rows);
            pool_range(i % p->width, bin_w, b[0], w, columns);
            for (int64_t y = rows[0]; y < rows[1]; y++) {
                for (int64_t x = columns[0]; x < columns[1]; x++)
                    best = fmax(best, cop_tensor_get(j->x, plane + y * w + x));
            }
            bool empty = rows[0] >= rows[1] || columns[0] >= columns[1];
            cop_set_float(j->y, item * (size_t)(p->height * p->width) + (size_t)i,
                          empty ? 0 : best);
        }
    }
}

static coppice_status maxroipool_run(const cop_call *call) {
    return run_regions(call, NULL, pool_items);
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_roi[] = {
    {.name = "MaxRoiPool", .since = 1, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1, .types = FLOATS,
     PARSE(maxroipool, roi_params), INFER(maxroipool), RUN(maxroipool)},
    {.name = "RoiAlign", .since = 10, .min_inputs = 3, .max_inputs = 3, .max_outputs = 1, .types = FLOATS,
     PARSE(roialign, roi_params), INFER(roialign), RUN(roialign)},
    {.name = NULL},
};
/* clang-format on */
