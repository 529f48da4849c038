/* DeformConv: patches whose taps are moved by offsets, times weights. */
#include <math.h>
#include <string.h>

#include "runtime/ops/matrix/product.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

typedef struct deform_params {
    cop_window_params window;
    int64_t group, offset_group;
} deform_params;

static coppice_status deformconv_parse(const cop_call *call, void *params) {
    deform_params *p = params;
    COP_TRY(cop_window_parse(call, &p->window));
    COP_TRY(cop_node_int(call->node, "group", 1, &p->group, call->err));
    COP_TRY(cop_node_int(call->node, "offset_group", 1, &p->offset_group, call->err));
    if (p->group >= 1 && p->offset_group >= 1 && p->group <= INT32_MAX &&
        p->offset_group <= INT32_MAX)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "'group' is %lld and 'offset_group' %lld",
                    (long long)p->group, (long long)p->offset_group);
}

/* Input `i` must be [N, channels, output height, output width]. */
static coppice_status check_map(const cop_call *call, int i, int64_t channels,
                                const cop_window *w) {
    const coppice_tensor *t = cop_in(call, i), *x = cop_in(call, 0);
    const int64_t dims[4] = {x->dims[0], channels, w->out[0], w->out[1]};
    COP_TRY(cop_need_type(call, i, 1u << x->type));
    if (t->rank == 4 && !memcmp(t->dims, dims, sizeof dims))
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "input %d ('%s') is %s, expected %s", i,
                    cop_in_name(call, i), cop_shape_text(t).s, cop_dims_text(4, dims).s);
}

static coppice_status check_channels(const cop_call *call) {
    const deform_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *w = cop_in(call, 1), *b = cop_in(call, 3);
    if (x->dims[1] % p->group || x->dims[1] / p->group != w->dims[1] || w->dims[0] % p->group ||
        x->dims[1] % p->offset_group)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "input %s and weight %s do not fit for %lld groups and %lld offset groups",
                        cop_shape_text(x).s, cop_shape_text(w).s, (long long)p->group,
                        (long long)p->offset_group);
    if (!b)
        return COPPICE_OK;
    COP_TRY(cop_need_type(call, 3, 1u << x->type));
    COP_TRY(cop_need_rank(call, 3, 1));
    if (b->dims[0] == w->dims[0])
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "the bias '%s' is %s, expected [%lld]",
                    cop_in_name(call, 3), cop_shape_text(b).s, (long long)w->dims[0]);
}

/* Bytes of the patches of one image: [channel][tap][place]. */
static bool patch_bytes(const cop_call *call, const cop_window *w, size_t *bytes) {
    *bytes = cop_type_bytes(cop_in(call, 0)->type);
    return cop_size_mul(*bytes, (size_t)cop_in(call, 0)->dims[1], bytes) &&
           cop_size_mul(*bytes, (size_t)(w->kernel[0] * w->kernel[1]), bytes) &&
           cop_size_mul(*bytes, (size_t)(w->out[0] * w->out[1]), bytes) && *bytes < SIZE_MAX / 4;
}

static coppice_status deformconv_infer(cop_call *call) {
    const deform_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *w = cop_in(call, 1);
    cop_window window;
    size_t bytes;
    COP_TRY(cop_need_type(call, 1, 1u << x->type));
    if (x->rank != 4)
        return cop_fail(call->err, COPPICE_UNSUPPORTED,
                        "input '%s' is %s; [N,C,height,width] is supported", cop_in_name(call, 0),
                        cop_shape_text(x).s);
    COP_TRY(cop_need_rank(call, 1, 4));
    COP_TRY(check_channels(call));
    COP_TRY(cop_window_resolve(&p->window, x, w->dims + 2, &window, call->err));
    int64_t maps;
    if (!cop_i64_mul(window.kernel[0] * window.kernel[1], p->offset_group, &maps) ||
        maps > INT64_MAX / 2 || !patch_bytes(call, &window, &bytes))
        return cop_fail(call->err, COPPICE_LIMIT, "input %s and weight %s are too large together",
                        cop_shape_text(x).s, cop_shape_text(w).s);
    COP_TRY(check_map(call, 2, 2 * maps, &window));
    if (cop_in(call, 4))
        COP_TRY(check_map(call, 4, maps, &window));
    int64_t dims[4] = {x->dims[0], w->dims[0], window.out[0], window.out[1]};
    cop_set_out(call, 0, x->type, 4, dims);
    return COPPICE_OK;
}

static size_t deformconv_scratch(const cop_call *call) {
    const deform_params *p = call->params;
    cop_window window;
    size_t bytes;
    if (cop_window_resolve(&p->window, cop_in(call, 0), cop_in(call, 1)->dims + 2, &window,
                           call->err) ||
        !patch_bytes(call, &window, &bytes))
        return 0;
    return bytes;
}

typedef struct deform_job {
    const cop_window *w;
    size_t channels, per_offset_group, offset_groups, image; /* image: index in the batch */
    const void *x, *offset, *mask;
    void *columns;
} deform_job;

/* Bilinear, zero outside. */
#define DEFORM(T)                                                                                  \
    static T pixel_##T(const T *x, const int64_t *size, double row, double column) {               \
        if (!(row > -1 && row < (double)size[0] && column > -1 && column < (double)size[1]))       \
            return 0;                                                                              \
        int64_t y = (int64_t)floor(row), c = (int64_t)floor(column);                               \
        T ly = (T)(row - (double)y), lx = (T)(column - (double)c), sum = 0;                        \
        for (int64_t k = 0; k < 4; k++) {                                                          \
            int64_t py = y + k / 2, px = c + k % 2;                                                \
            T weight = (k / 2 ? ly : 1 - ly) * (k % 2 ? lx : 1 - lx);                              \
            if (py >= 0 && py < size[0] && px >= 0 && px < size[1])                                \
                sum += weight * x[py * size[1] + px];                                              \
        }                                                                                          \
        return sum;                                                                                \
    }                                                                                              \
                                                                                                   \
    /* Items: [channel][tap]. */                                                                   \
    static void deform_items_##T(void *context, size_t begin, size_t end) {                        \
        const deform_job *j = context;                                                             \
        const cop_window *w = j->w;                                                                \
        size_t taps = (size_t)(w->kernel[0] * w->kernel[1]);                                       \
        size_t places = (size_t)(w->out[0] * w->out[1]), pixels = (size_t)(w->in[0] * w->in[1]);   \
        for (size_t item = begin; item < end; item++) {                                            \
            size_t channel = item / taps, tap = item % taps;                                       \
            size_t map =                                                                           \
                (j->image * j->offset_groups + channel / j->per_offset_group) * taps + tap;        \
            const T *dy = (const T *)j->offset + 2 * map * places, *dx = dy + places;              \
            const T *mask = j->mask ? (const T *)j->mask + map * places : NULL;                    \
            const T *x = (const T *)j->x + (j->image * j->channels + channel) * pixels;            \
            T *to = (T *)j->columns + item * places;                                               \
            double top = (double)((int64_t)tap / w->kernel[1] * w->dilation[0] - w->pad_begin[0]); \
            double left =                                                                          \
                (double)((int64_t)tap % w->kernel[1] * w->dilation[1] - w->pad_begin[1]);          \
            for (size_t i = 0; i < places; i++) {                                                  \
                double row =                                                                       \
                    top + (double)((int64_t)i / w->out[1] * w->stride[0]) + (double)dy[i];         \
                double column =                                                                    \
                    left + (double)((int64_t)i % w->out[1] * w->stride[1]) + (double)dx[i];        \
                to[i] = pixel_##T(x, w->in, row, column) * (mask ? mask[i] : 1);                   \
            }                                                                                      \
        }                                                                                          \
    }

DEFORM(float)
DEFORM(double)

static coppice_status deformconv_run(const cop_call *call) {
    const deform_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *w = cop_in(call, 1), *b = cop_in(call, 3);
    cop_window window;
    COP_TRY(cop_window_resolve(&p->window, x, w->dims + 2, &window, call->err));
    size_t element = cop_type_bytes(x->type), groups = (size_t)p->group;
    size_t places = (size_t)(window.out[0] * window.out[1]);
    size_t taps = (size_t)(window.kernel[0] * window.kernel[1]);
    size_t rows = (size_t)w->dims[0] / groups, reduction = (size_t)w->dims[1] * taps;
    deform_job j = {.w = &window,
                    .channels = (size_t)x->dims[1],
                    .per_offset_group = (size_t)(x->dims[1] / p->offset_group),
                    .offset_groups = (size_t)p->offset_group,
                    .x = x->data,
                    .offset = cop_in(call, 2)->data,
                    .mask = cop_in(call, 4) ? cop_in(call, 4)->data : NULL,
                    .columns = call->scratch};
    for (size_t n = 0; n < (size_t)x->dims[0]; n++) {
        j.image = n;
        cop_parallel_for(call->pool, j.channels * taps, cop_grain(places * 8),
                         x->type == COPPICE_TYPE_FLOAT ? deform_items_float : deform_items_double,
                         &j);
        for (size_t g = 0; g < groups; g++) {
            cop_product product = {
                .type = x->type,
                .rows = rows,
                .columns = places,
                .reduction = reduction,
                .a = (const char *)w->data + g * rows * reduction * element,
                .b = (const char *)call->scratch + g * reduction * places * element,
                .out = (char *)cop_out(call, 0)->data + (n * groups + g) * rows * places * element,
                .finish = true,
                .alpha = 1,
                .beta = 1,
                .c = b ? (const char *)b->data + g * rows * element : NULL,
                .c_row = 1,
                .min = -INFINITY,
                .max = INFINITY};
            cop_product_plain(&product, false, false);
            cop_product_run(&product, call->kernels, call->pool);
        }
    }
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_deform[] = {
    {.name = "DeformConv", .since = 19, .min_inputs = 3, .max_inputs = 5, .max_outputs = 1, .types = FLOATS,
     PARSE(deformconv, deform_params), INFER(deformconv), RUN(deformconv), .scratch = deformconv_scratch},
    {.name = NULL},
};
/* clang-format on */
