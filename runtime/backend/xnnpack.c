/* Convolutions and matrix products through XNNPACK: the only file that includes its header. It
 * hides the two generations of its interface (2022: create, setup, run; 2024: reshape comes
 * between) and the two ways to its sparse kernels (the channels-first operator, the microkernel
 * itself). */
#include "base/memory.h"
#include "runtime/backend/xnn.h"

#if !defined(COP_HAVE_XNNPACK)

const char *cop_xnn_sparse_path(void) {
    return "none";
}

const char *cop_xnn_generation(void) {
    return "none";
}

#else

#include <math.h>
#include <pthread.h>
#include <string.h>

#include <xnnpack.h>

#include "base/error.h"
#include "base/size.h"
#include "runtime/backend/xnn_spmm.h"
#include "runtime/sparse/im2col.h"

const char *cop_xnn_generation(void) {
#if defined(COP_XNN_RESHAPE)
    return "2024";
#else
    return "2022";
#endif
}

const char *cop_xnn_sparse_path(void) {
#if defined(COP_XNN_SPMM_UKERNEL)
    return "microkernel xnn_f32_spmm_minmax_ukernel_32x1__sse";
#else
    return "operator xnn_create_convolution2d_nchw_f32, 1x1";
#endif
}

/* ---- what all operators share ---- */

typedef enum operator_kind { CONV_NHWC, FULLY_CONNECTED, CONV_NCHW } operator_kind;

/* An operator, and what it was last set up for. */
typedef struct xnn_op {
    operator_kind kind;
    xnn_operator_t op;
    size_t batch, height, width;
    const float *input;
    float *output;
    pthreadpool_t pool;
    bool shaped;
    void *workspace; /* only newer releases want one */
} xnn_op;

static enum xnn_status init_status;

static void init_once(void) {
    init_status = xnn_initialize(NULL);
}

static coppice_status xnn_failed(coppice_error *err, const char *what, enum xnn_status status) {
    switch (status) {
    case xnn_status_success:
        return COPPICE_OK;
    case xnn_status_out_of_memory:
        return cop_fail(err, COPPICE_OUT_OF_MEMORY, "XNNPACK: %s: out of memory", what);
    case xnn_status_unsupported_parameter:
    case xnn_status_unsupported_hardware:
    case xnn_status_invalid_parameter:
        return cop_fail(err, COPPICE_UNSUPPORTED, "XNNPACK: %s: not supported here", what);
    default:
        return cop_fail(err, COPPICE_INTERNAL, "XNNPACK: %s: status %d", what, (int)status);
    }
}

static coppice_status xnn_ready(coppice_error *err) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_once);
    return xnn_failed(err, "initialising", init_status);
}

static pthreadpool_t pool_of(const coppice_threadpool *pool) {
    return pool ? pool->pool : NULL;
}

static void op_free(xnn_op *op) {
    if (op->op)
        xnn_delete_operator(op->op);
    cop_free(op->workspace);
    *op = (xnn_op){0};
}

#if defined(COP_XNN_RESHAPE)
static coppice_status op_workspace(xnn_op *op, size_t size, size_t align, coppice_error *err) {
    cop_free(op->workspace);
    op->workspace = NULL;
    if (size == 0)
        return COPPICE_OK;
    if (align < 64)
        align = 64;
    op->workspace = cop_aligned_alloc(align, cop_round_up(size, align));
    return op->workspace ? COPPICE_OK : cop_fail_memory(err, size);
}

static coppice_status op_shape(xnn_op *op, pthreadpool_t pool, coppice_error *err) {
    size_t h, w, size = 0, align = 0;
    enum xnn_status status;
    if (op->shaped && pool == op->pool)
        return COPPICE_OK;
    if (op->kind == CONV_NHWC)
        status = xnn_reshape_convolution2d_nhwc_f32(op->op, op->batch, op->height, op->width, &size,
                                                    &align, &h, &w, pool);
    else if (op->kind == CONV_NCHW)
        status = xnn_reshape_convolution2d_nchw_f32(op->op, op->batch, op->height, op->width, &h,
                                                    &w, pool);
    else
        status = xnn_reshape_fully_connected_nc_f32(op->op, op->batch, pool);
    COP_TRY(xnn_failed(err, "shaping an operator", status));
    COP_TRY(op_workspace(op, size, align, err));
    op->shaped = true;
    op->input = NULL;
    return COPPICE_OK;
}

static enum xnn_status op_point(xnn_op *op, const float *input, float *output, pthreadpool_t pool) {
    (void)pool;
    if (op->kind == CONV_NHWC)
        return xnn_setup_convolution2d_nhwc_f32(op->op, op->workspace, input, output);
    if (op->kind == CONV_NCHW)
        return xnn_setup_convolution2d_nchw_f32(op->op, input, output);
    return xnn_setup_fully_connected_nc_f32(op->op, input, output);
}
#define XNN_CACHES NULL, NULL,
#else
static coppice_status op_shape(xnn_op *op, pthreadpool_t pool, coppice_error *err) {
    (void)pool, (void)err;
    op->shaped = true;
    return COPPICE_OK;
}

static enum xnn_status op_point(xnn_op *op, const float *input, float *output, pthreadpool_t pool) {
    if (op->kind == CONV_NHWC)
        return xnn_setup_convolution2d_nhwc_f32(op->op, op->batch, op->height, op->width, input,
                                                output, pool);
    if (op->kind == CONV_NCHW)
        return xnn_setup_convolution2d_nchw_f32(op->op, op->batch, op->height, op->width, input,
                                                output, pool);
    return xnn_setup_fully_connected_nc_f32(op->op, op->batch, input, output, pool);
}
#define XNN_CACHES
#endif

/* Sets up what changed since the last time, and runs. XNNPACK's jobs flush denormals on the pool's
 * threads by themselves; without a pool it runs here. */
static coppice_status op_run(xnn_op *op, const float *input, float *output,
                             const coppice_threadpool *pool, coppice_error *err) {
    pthreadpool_t p = pool_of(pool);
    COP_TRY(op_shape(op, p, err));
    if (op->input != input || op->output != output || op->pool != p) {
        COP_TRY(xnn_failed(err, "setting up an operator", op_point(op, input, output, p)));
        op->input = input;
        op->output = output;
        op->pool = p;
    }
    unsigned saved = cop_denormals_off();
    enum xnn_status status = xnn_run_operator(op->op, p);
    cop_denormals_restore(saved);
    return xnn_failed(err, "running an operator", status);
}

/* Sizes fit XNNPACK's 32-bit parameters and the clamp is a range. */
bool cop_xnn_supports(const cop_conv *c) {
    const size_t limit = INT32_MAX / 2;
    return c->batch && c->groups && c->in_channels && c->out_channels && c->in_h && c->in_w &&
           c->out_h && c->out_w && c->kernel_h < limit && c->kernel_w < limit &&
           c->stride_h < limit && c->stride_w < limit && c->dilation_h < limit &&
           c->dilation_w < limit && c->pad_top < limit && c->pad_left < limit &&
           c->pad_bottom < limit && c->pad_right < limit && c->groups < limit &&
           c->in_channels % c->groups == 0 && c->out_channels % c->groups == 0 && c->min < c->max;
}

/* ---- dense convolution, channels last ---- */

static bool supports_conv(const cop_conv *c) {
    return cop_xnn_supports(c) && !c->tokens && !cop_conv_is_depthwise(c);
}

static bool supports_depthwise(const cop_conv *c) {
    return cop_xnn_supports(c) && !c->tokens && cop_conv_is_depthwise(c);
}

static bool supports_fully_connected(const cop_conv *c) {
    return cop_xnn_supports(c) && c->tokens && cop_conv_is_product(c);
}

/* Weights as XNNPACK wants them: [out_channels][kernel_h][kernel_w][in_channels / groups]. Free
 * with free. NULL: out of memory. */
static float *weights_channels_last(const cop_conv *c, size_t *bytes) {
    size_t channels = c->in_channels / c->groups, taps = c->kernel_h * c->kernel_w, count;
    if (!cop_size_mul(channels, taps, &count) || !cop_size_mul(count, c->out_channels, &count) ||
        !cop_size_mul(count, sizeof(float), bytes))
        return NULL;
    float *to = cop_malloc(*bytes);
    if (!to)
        return NULL;
    for (size_t o = 0; o < c->out_channels; o++)
        for (size_t tap = 0; tap < taps; tap++)
            for (size_t i = 0; i < channels; i++)
                to[(o * taps + tap) * channels + i] = c->weights[(o * channels + i) * taps + tap];
    return to;
}

static enum xnn_status create_nhwc(const cop_conv *c, const float *weights, xnn_operator_t *op) {
    return xnn_create_convolution2d_nhwc_f32(
        (uint32_t)c->pad_top, (uint32_t)c->pad_right, (uint32_t)c->pad_bottom,
        (uint32_t)c->pad_left, (uint32_t)c->kernel_h, (uint32_t)c->kernel_w, (uint32_t)c->stride_h,
        (uint32_t)c->stride_w, (uint32_t)c->dilation_h, (uint32_t)c->dilation_w,
        (uint32_t)c->groups, c->in_channels / c->groups, c->out_channels / c->groups,
        c->in_channels, c->out_channels, weights, c->bias, c->min, c->max, 0, XNN_CACHES op);
}

static void dense_destroy(void *state) {
    if (state)
        op_free(state);
    cop_free(state);
}

static coppice_status dense_create(const cop_conv *c, const coppice_threadpool *pool, void **state,
                                   coppice_error *err) {
    *state = NULL;
    COP_TRY(xnn_ready(err));
    xnn_op *op = cop_calloc(1, sizeof *op);
    if (!op)
        return cop_fail_memory(err, sizeof *op);
    enum xnn_status status;
    if (c->tokens) {
        op->kind = FULLY_CONNECTED;
        op->batch = c->batch * c->in_w;
        status = xnn_create_fully_connected_nc_f32(c->in_channels, c->out_channels, c->in_channels,
                                                   c->out_channels, c->weights, c->bias, c->min,
                                                   c->max, 0, XNN_CACHES & op->op);
    } else {
        op->kind = CONV_NHWC;
        op->batch = c->batch;
        op->height = c->in_h;
        op->width = c->in_w;
        size_t bytes = SIZE_MAX;
        float *weights = weights_channels_last(c, &bytes);
        if (!weights) {
            cop_free(op);
            return cop_fail_memory(err, bytes);
        }
        status = create_nhwc(c, weights, &op->op);
        cop_free(weights);
    }
    coppice_status result = xnn_failed(err, "making a dense operator", status);
    if (!result)
        result = op_shape(op, pool_of(pool), err);
    if (result) {
        dense_destroy(op);
        return result;
    }
    op->pool = pool_of(pool);
    *state = op;
    return COPPICE_OK;
}

static coppice_status dense_run(void *state, const cop_conv_io *io, const coppice_threadpool *pool,
                                coppice_error *err) {
    return op_run(state, io->input, io->output, pool, err);
}

#define DENSE_ROW(row, full_name, supported)                                                       \
    const cop_conv_kernel row = {.name = full_name,                                                \
                                 .backend = COPPICE_BACKEND_XNNPACK,                               \
                                 .isa = COPPICE_ISA_SCALAR,                                        \
                                 .form = COP_FORM_CHANNELS_LAST,                                   \
                                 .supports = supported,                                            \
                                 .create = dense_create,                                           \
                                 .run = dense_run,                                                 \
                                 .destroy = dense_destroy}

DENSE_ROW(cop_xnn_conv2d_nhwc, "xnn_conv2d_nhwc_f32", supports_conv);
DENSE_ROW(cop_xnn_dwconv2d_nhwc, "xnn_dwconv2d_nhwc_f32", supports_depthwise);
DENSE_ROW(cop_xnn_fully_connected, "xnn_fully_connected_nc_f32", supports_fully_connected);

/* ---- sparse weights times a matrix of pixels ---- */

#if defined(COP_XNN_SPMM_UKERNEL)

struct spmm_minmax {
    float min, max;
};

/* In the installed archive without a header; backend/spmm_probe.c has tried it. `mc` and strides
 * are in bytes; `steps` leads from the input of one weight to that of the next, and from the last
 * back to the first; weights of a row follow its bias. Hidden, so that the library does not export
 * it. */
__attribute__((visibility("hidden"))) void xnn_f32_spmm_minmax_ukernel_32x1__sse(
    size_t mc, size_t nc, const float *input, const float *weights, const int32_t *steps,
    const uint32_t *counts, float *output, size_t output_stride, const struct spmm_minmax *params);

enum { UKERNEL_PIXELS = 32, GRAIN_TILES = 4 };

struct cop_xnn_spmm {
    float *weights;
    int32_t *steps;
    uint32_t *counts;
    size_t rows, columns, pixels, batch, first; /* first: input of the first weight, in floats */
    struct spmm_minmax limits;
};

void cop_xnn_spmm_free(cop_xnn_spmm *s) {
    if (!s)
        return;
    cop_free(s->weights);
    cop_free(s->steps);
    cop_free(s->counts);
    cop_free(s);
}

bool cop_xnn_spmm_takes_offsets(void) {
    return true;
}

/* From one input to another; false when the kernel's 32 bits do not hold it. */
static bool step_between(size_t from, size_t to, int32_t *step) {
    int64_t bytes = ((int64_t)to - (int64_t)from) * (int64_t)sizeof(float);
    *step = (int32_t)bytes;
    return *step == bytes;
}

static bool spmm_pack(cop_xnn_spmm *s, const cop_xnn_spmm_shape *shape) {
    float *w = s->weights;
    size_t n = 0, at = 0;
    bool fits = true;
    for (size_t r = 0; r < s->rows; r++) {
        *w++ = shape->bias ? shape->bias[r] : 0.0f;
        for (size_t k = 0; k < s->columns; k++) {
            float value = shape->weights[r * s->columns + k];
            if (value == 0.0f)
                continue;
            size_t offset = shape->offsets ? shape->offsets[k] : k * s->pixels;
            if (n == 0)
                s->first = offset;
            else
                fits = step_between(at, offset, &s->steps[n - 1]) && fits;
            at = offset;
            n++;
            s->counts[r]++;
            *w++ = value;
        }
    }
    return (n == 0 || step_between(at, s->first, &s->steps[n - 1])) && fits;
}

static coppice_status fill(cop_xnn_spmm *s, const cop_xnn_spmm_shape *shape,
                           const coppice_threadpool *pool, coppice_error *err) {
    (void)pool;
    size_t nonzeros = 0;
    for (size_t i = 0; i < shape->rows * shape->columns; i++)
        nonzeros += shape->weights[i] != 0.0f;
    s->rows = shape->rows;
    s->columns = shape->columns;
    s->pixels = shape->pixels;
    s->batch = shape->batch;
    s->limits = (struct spmm_minmax){shape->min, shape->max};
    s->weights = cop_malloc((nonzeros + s->rows) * sizeof *s->weights);
    s->steps = cop_calloc(nonzeros + 1, sizeof *s->steps);
    s->counts = cop_calloc(s->rows, sizeof *s->counts);
    if (!s->weights || !s->steps || !s->counts)
        return cop_fail_memory(err, nonzeros * 8);
    if (!spmm_pack(s, shape))
        return cop_fail(err, COPPICE_UNSUPPORTED, "XNNPACK: the inputs lie too far apart");
    return COPPICE_OK;
}

typedef struct spmm_job {
    const cop_xnn_spmm *s;
    const float *input;
    float *output;
} spmm_job;

/* Tiles of GRAIN_TILES * 32 pixels, numbered over the batch. */
static void spmm_tiles(void *context, size_t begin, size_t end) {
    const spmm_job *job = context;
    const cop_xnn_spmm *s = job->s;
    const size_t step = UKERNEL_PIXELS * GRAIN_TILES, tiles = (s->pixels + step - 1) / step;
    for (size_t i = begin; i < end; i++) {
        size_t image = i / tiles, pixel = i % tiles * step;
        size_t n = s->pixels - pixel < step ? s->pixels - pixel : step;
        xnn_f32_spmm_minmax_ukernel_32x1__sse(
            n * sizeof(float), s->rows,
            job->input + image * s->columns * s->pixels + s->first + pixel, s->weights, s->steps,
            s->counts, job->output + image * s->rows * s->pixels + pixel, s->pixels * sizeof(float),
            &s->limits);
    }
}

coppice_status cop_xnn_spmm_run(cop_xnn_spmm *s, const float *input, float *output,
                                const coppice_threadpool *pool, coppice_error *err) {
    (void)err;
    const size_t step = UKERNEL_PIXELS * GRAIN_TILES;
    spmm_job job = {s, input, output};
    cop_parallel_for(pool, s->batch * ((s->pixels + step - 1) / step), 1, spmm_tiles, &job);
    return COPPICE_OK;
}

#else

struct cop_xnn_spmm {
    xnn_op op;
};

bool cop_xnn_spmm_takes_offsets(void) {
    return false;
}

void cop_xnn_spmm_free(cop_xnn_spmm *s) {
    if (!s)
        return;
    op_free(&s->op);
    cop_free(s);
}

static coppice_status fill(cop_xnn_spmm *s, const cop_xnn_spmm_shape *shape,
                           const coppice_threadpool *pool, coppice_error *err) {
    COP_TRY(xnn_ready(err));
    enum xnn_status status = xnn_create_convolution2d_nchw_f32(
        0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, shape->columns, shape->rows, shape->columns, shape->rows,
        shape->weights, shape->bias, shape->min, shape->max, 0, XNN_CACHES & s->op.op);
    COP_TRY(xnn_failed(err, "making a sparse operator", status));
    s->op.kind = CONV_NCHW;
    s->op.batch = shape->batch;
    s->op.height = 1;
    s->op.width = shape->pixels;
    COP_TRY(op_shape(&s->op, pool_of(pool), err));
    s->op.pool = pool_of(pool);
    return COPPICE_OK;
}

coppice_status cop_xnn_spmm_run(cop_xnn_spmm *s, const float *input, float *output,
                                const coppice_threadpool *pool, coppice_error *err) {
    return op_run(&s->op, input, output, pool, err);
}

#endif

coppice_status cop_xnn_spmm_create(const cop_xnn_spmm_shape *shape, const coppice_threadpool *pool,
                                   cop_xnn_spmm **out, coppice_error *err) {
    *out = NULL;
    cop_xnn_spmm *s = cop_calloc(1, sizeof *s);
    if (!s)
        return cop_fail_memory(err, sizeof *s);
    coppice_status status = fill(s, shape, pool, err);
    if (status) {
        cop_xnn_spmm_free(s);
        return status;
    }
    *out = s;
    return COPPICE_OK;
}

#endif
