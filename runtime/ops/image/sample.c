/* GridSample and AffineGrid. */
#include <math.h>
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

/* ---- GridSample ---- */

typedef enum grid_mode { GRID_LINEAR, GRID_NEAREST, GRID_CUBIC } grid_mode;
typedef enum grid_padding { GRID_ZEROS, GRID_BORDER, GRID_REFLECTION } grid_padding;

typedef struct grid_params {
    grid_mode mode;
    grid_padding padding;
    bool align;
} grid_params;

static int find_name(const char *text, const char *const *names, int count) {
    for (int i = 0; i < count; i++) {
        if (!strcmp(text, names[i]))
            return i;
    }
    return -1;
}

/* The modes have other names in opset 16; both are taken. */
static coppice_status gridsample_parse(const cop_call *call, void *params) {
    static const char *const modes[] = {"linear", "nearest", "cubic", "bilinear", "?", "bicubic"};
    static const char *const paddings[] = {"zeros", "border", "reflection"};
    grid_params *p = params;
    const char *mode, *padding;
    COP_TRY(cop_node_string(call->node, "mode", "linear", &mode, call->err));
    COP_TRY(cop_node_string(call->node, "padding_mode", "zeros", &padding, call->err));
    int m = find_name(mode, modes, 6), k = find_name(padding, paddings, 3);
    if (m < 0)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "attribute 'mode' is '%s', expected linear, nearest or cubic", mode);
    if (k < 0)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "attribute 'padding_mode' is '%s', expected zeros, border or reflection",
                        padding);
    p->mode = (grid_mode)(m % 3);
    p->padding = (grid_padding)k;
    return cop_attr_bool(call, "align_corners", false, &p->align);
}

static coppice_status gridsample_infer(cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0), *grid = cop_in(call, 1);
    COP_TRY(cop_need_type(call, 1, FLOATS));
    if (x->rank < 3 || x->rank > 5 || grid->rank != x->rank || grid->dims[0] != x->dims[0] ||
        grid->dims[x->rank - 1] != x->rank - 2)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "input '%s' is %s and the grid '%s' is %s, expected [N,C,...] of 3 to 5 "
                        "dimensions and [N,...,%d]",
                        cop_in_name(call, 0), cop_shape_text(x).s, cop_in_name(call, 1),
                        cop_shape_text(grid).s, (int)x->rank - 2);
    int64_t dims[COPPICE_MAX_RANK] = {x->dims[0], x->dims[1]};
    for (uint32_t d = 2; d < x->rank; d++) {
        dims[d] = grid->dims[d - 1];
        if (x->dims[d] < 1)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "input '%s' is %s, which has no pixels",
                            cop_in_name(call, 0), cop_shape_text(x).s);
    }
    cop_set_out(call, 0, x->type, x->rank, dims);
    return COPPICE_OK;
}

enum { GRID_STRIP = 16, GRID_TAPS = 64 };

typedef struct grid_job {
    const grid_params *p;
    const coppice_tensor *x, *grid;
    void *y;
    uint32_t spatial;
    size_t channels, pixels, places, strips;
} grid_job;

/* From -1 .. 1 to pixels; in the precision of the grid, so that ties are where others have them. */
static double to_pixel(const grid_job *j, size_t at, int64_t size) {
    if (j->grid->type == COPPICE_TYPE_DOUBLE) {
        double v = ((const double *)j->grid->data)[at], n = (double)size;
        return j->p->align ? (v + 1) / 2 * (n - 1) : ((v + 1) * n - 1) / 2;
    }
    float v = ((const float *)j->grid->data)[at], n = (float)size;
    float pixel = j->p->align ? (v + 1) / 2 * (n - 1) : ((v + 1) * n - 1) / 2;
    return (double)pixel;
}

static double reflect(double x, double low, double high) {
    double range = high - low;
    if (range <= 0)
        return low;
    if (x < low || x > high) {
        double over = x < low ? low - x : x - high, turns = floor(over / range);
        double rest = over - turns * range;
        bool even = fmod(turns, 2) == 0;
        return (x < low) == even ? low + rest : high - rest;
    }
    return x;
}

/* Pixels and weights along one dimension; the number of them. A pixel of -1 counts as 0. */
static int axis_taps(const grid_params *p, double x, int64_t size, int64_t *pixel, double *weight) {
    double low = p->align ? 0 : -0.5, high = p->align ? (double)(size - 1) : (double)size - 0.5;
    int count = p->mode == GRID_NEAREST ? 1 : p->mode == GRID_LINEAR ? 2 : 4;
    if (!(fabs(x) < 1e9)) /* far outside, and what is no number */
        x = x > 0 ? 1e9 : -1e9;
    if (p->mode == GRID_NEAREST)
        x = nearbyint(x);
    if ((x < low || x > high) && p->padding == GRID_BORDER && p->mode != GRID_CUBIC)
        x = x < low ? 0 : (double)(size - 1);
    if (p->padding == GRID_REFLECTION)
        x = reflect(x, low, high);
    double base = floor(x), t = x - base;
    const double a = -0.75, s = 1 - t;
    if (count == 1)
        weight[0] = 1;
    if (count == 2) {
        weight[0] = s;
        weight[1] = t;
    }
    if (count == 4) {
        weight[0] = ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a;
        weight[1] = ((a + 2) * t - (a + 3)) * t * t + 1;
        weight[2] = ((a + 2) * s - (a + 3)) * s * s + 1;
        weight[3] = ((a * (s + 1) - 5 * a) * (s + 1) + 8 * a) * (s + 1) - 4 * a;
    }
    for (int k = 0; k < count; k++) {
        double at = base + k - (count == 4);
        if (p->padding == GRID_REFLECTION)
            at = reflect(at, low, high);
        bool outside = at < 0 || at > (double)(size - 1);
        if (p->padding != GRID_ZEROS && outside)
            at = at < 0 ? 0 : (double)(size - 1);
        pixel[k] = p->padding == GRID_ZEROS && outside ? -1 : (int64_t)at;
    }
    return count;
}

/* All taps of one place: offsets in a plane, and weights. */
static int place_taps(const grid_job *j, size_t place, size_t *offset, double *weight) {
    int total = 1;
    offset[0] = 0;
    weight[0] = 1;
    for (uint32_t d = 0; d < j->spatial; d++) {
        int64_t size = j->x->dims[2 + d], pixel[4];
        double part[4];
        /* The grid names the last dimension first. */
        double x = to_pixel(j, place * j->spatial + (j->spatial - 1 - d), size);
        int count = axis_taps(j->p, x, size, pixel, part);
        for (int i = total; i-- > 0;) {
            for (int k = count; k-- > 0;) {
                offset[i * count + k] =
                    offset[i] * (size_t)size + (size_t)(pixel[k] < 0 ? 0 : pixel[k]);
                weight[i * count + k] = pixel[k] < 0 ? 0 : weight[i] * part[k];
            }
        }
        total *= count;
    }
    return total;
}

#define GRID_ITEMS(T)                                                                              \
    static void grid_items_##T(void *context, size_t begin, size_t end) {                          \
        const grid_job *j = context;                                                               \
        size_t offset[GRID_STRIP][GRID_TAPS];                                                      \
        double exact[GRID_TAPS];                                                                   \
        T weight[GRID_STRIP][GRID_TAPS];                                                           \
        for (size_t item = begin; item < end; item++) {                                            \
            size_t n = item / j->strips, first = item % j->strips * GRID_STRIP;                    \
            size_t wide = cop_smaller(GRID_STRIP, j->places - first);                              \
            int taps = 1;                                                                          \
            for (size_t i = 0; i < wide; i++) {                                                    \
                taps = place_taps(j, n * j->places + first + i, offset[i], exact);                 \
                for (int k = 0; k < taps; k++)                                                     \
                    weight[i][k] = (T)exact[k];                                                    \
            }                                                                                      \
            const T *x = (const T *)j->x->data + n * j->channels * j->pixels;                      \
            T *y = (T *)j->y + n * j->channels * j->places + first;                                \
            for (size_t c = 0; c < j->channels; c++, x += j->pixels, y += j->places) {             \
                for (size_t i = 0; i < wide; i++) {                                                \
                    T sum = 0;                                                                     \
                    for (int k = 0; k < taps; k++)                                                 \
                        sum += weight[i][k] == 0 ? 0 : weight[i][k] * x[offset[i][k]];             \
                    y[i] = sum;                                                                    \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

GRID_ITEMS(float)
GRID_ITEMS(double)

static coppice_status gridsample_run(const cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0), *y = cop_out(call, 0);
    grid_job j = {.p = call->params,
                  .x = x,
                  .grid = cop_in(call, 1),
                  .y = y->data,
                  .spatial = x->rank - 2,
                  .channels = (size_t)x->dims[1],
                  .pixels = 1,
                  .places = 1};
    for (uint32_t d = 2; d < x->rank; d++) {
        j.pixels *= (size_t)x->dims[d];
        j.places *= (size_t)y->dims[d];
    }
    j.strips = cop_divide_up(j.places, GRID_STRIP);
    cop_parallel_for(call->pool, (size_t)x->dims[0] * j.strips,
                     cop_grain(GRID_STRIP * (j.channels + 8) * 4),
                     x->type == COPPICE_TYPE_FLOAT ? grid_items_float : grid_items_double, &j);
    return COPPICE_OK;
}

/* ---- AffineGrid ---- */

typedef struct affine_params {
    bool align;
} affine_params;

static coppice_status affinegrid_parse(const cop_call *call, void *params) {
    affine_params *p = params;
    return cop_attr_bool(call, "align_corners", false, &p->align);
}

static coppice_status affinegrid_infer(cop_call *call) {
    const coppice_tensor *theta = cop_in(call, 0);
    int64_t size[5], dims[5];
    int count;
    COP_TRY(cop_input_ints(call, 1, size, 5, &count));
    int spatial = count - 2;
    bool fits = (spatial == 2 || spatial == 3) && theta->rank == 3 && theta->dims[0] == size[0] &&
                theta->dims[1] == spatial && theta->dims[2] == spatial + 1;
    for (int d = 0; fits && d < spatial; d++) {
        dims[1 + d] = size[2 + d];
        fits = size[2 + d] >= 0;
    }
    if (!fits)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "input '%s' is %s for the size %s",
                        cop_in_name(call, 0), cop_shape_text(theta).s,
                        cop_dims_text(count < 0 ? 0 : (uint32_t)count, size).s);
    dims[0] = size[0];
    dims[spatial + 1] = spatial;
    cop_set_out(call, 0, theta->type, (uint32_t)spatial + 2, dims);
    return COPPICE_OK;
}

/* Where pixel `at` of `size` lies between -1 and 1. */
static double normalized(bool align, int64_t at, int64_t size) {
    if (align)
        return size > 1 ? 2 * (double)at / (double)(size - 1) - 1 : 0;
    return (2 * (double)at + 1) / (double)size - 1;
}

static coppice_status affinegrid_run(const cop_call *call) {
    const affine_params *p = call->params;
    const coppice_tensor *theta = cop_in(call, 0), *y = cop_out(call, 0);
    int spatial = (int)y->rank - 2;
    int64_t places = 1;
    for (int d = 0; d < spatial; d++)
        places *= y->dims[1 + d];
    for (int64_t i = 0; i < y->dims[0] * places; i++) {
        double at[4] = {0};
        int64_t rest = i % places;
        for (int d = spatial; d-- > 0; rest /= y->dims[1 + d]) /* x is the last dimension */
            at[spatial - 1 - d] = normalized(p->align, rest % y->dims[1 + d], y->dims[1 + d]);
        at[spatial] = 1;
        for (int r = 0; r < spatial; r++) {
            double sum = 0;
            for (int c = 0; c <= spatial; c++)
                sum +=
                    at[c] * cop_tensor_get(theta, (i / places * spatial + r) * (spatial + 1) + c);
            cop_set_float(y, (size_t)(i * spatial + r), sum);
        }
    }
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_sample[] = {
    {.name = "AffineGrid", .since = 20, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1, .types = FLOATS,
     PARSE(affinegrid, affine_params), INFER(affinegrid), RUN(affinegrid)},
    {.name = "GridSample", .since = 16, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1, .types = FLOATS,
     PARSE(gridsample, grid_params), INFER(gridsample), RUN(gridsample)},
    {.name = NULL},
};
/* clang-format on */
