/* The sparse convolution on XNNPACK's sparse kernels: 1x1 in place, anything else through im2col.
 */
#include "runtime/backend/xnn.h"

#if defined(COP_HAVE_XNNPACK)

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "runtime/backend/xnn_spmm.h"
#include "runtime/sparse/im2col.h"

enum { BAND_BYTES = 512 * 1024, MIN_BAND = 64 };

typedef struct sparse_conv {
    cop_conv conv;                /* weights and bias: NULL */
    bool in_place;                /* the input is the matrix: no im2col */
    size_t columns, pixels, band; /* pixels of an image, of a band */
    cop_xnn_spmm **groups;        /* conv.groups */
} sparse_conv;

/* XNNPACK's steps between inputs are 32-bit numbers of bytes. */
static bool steps_fit(size_t columns, size_t pixels) {
    size_t bytes;
    return cop_size_mul(columns, pixels, &bytes) && cop_size_mul(bytes, sizeof(float), &bytes) &&
           bytes < INT32_MAX;
}

static bool supports_sparse_1x1(const cop_conv *c) {
    return cop_xnn_supports(c) && cop_im2col_is_input(c) && c->groups == 1 &&
           steps_fit(c->in_channels, c->out_h * c->out_w);
}

/* Pixels of a band: what keeps its matrix within BAND_BYTES, or the whole image. */
static size_t choose_band(size_t columns, size_t pixels) {
    size_t band = BAND_BYTES / sizeof(float) / columns / 32 * 32;
    if (band < MIN_BAND)
        band = MIN_BAND;
    return band < pixels ? band : pixels;
}

static bool supports_sparse_im2col(const cop_conv *c) {
    size_t columns;
    if (!cop_xnn_supports(c) || (cop_im2col_is_input(c) && c->groups == 1) ||
        cop_xnn_is_depthwise(c))
        return false;
    return cop_size_mul(c->in_channels / c->groups, c->kernel_h, &columns) &&
           cop_size_mul(columns, c->kernel_w, &columns) &&
           steps_fit(columns, MIN_BAND + BAND_BYTES / sizeof(float) / columns);
}

static void sparse_destroy(void *state) {
    sparse_conv *s = state;
    if (!s)
        return;
    for (size_t g = 0; s->groups && g < s->conv.groups; g++)
        cop_xnn_spmm_free(s->groups[g]);
    free(s->groups);
    free(s);
}

static coppice_status sparse_create(const cop_conv *c, const coppice_threadpool *pool, void **state,
                                    coppice_error *err) {
    *state = NULL;
    sparse_conv *s = calloc(1, sizeof *s);
    if (!s)
        return cop_fail_memory(err, sizeof *s);
    s->conv = *c;
    s->conv.weights = s->conv.bias = NULL;
    s->in_place = cop_im2col_is_input(c) && c->groups == 1;
    s->columns = c->in_channels / c->groups * c->kernel_h * c->kernel_w;
    s->pixels = c->out_h * c->out_w;
    s->band = s->in_place ? s->pixels : choose_band(s->columns, s->pixels);
    s->groups = calloc(c->groups, sizeof *s->groups);
    coppice_status status = s->groups ? COPPICE_OK : cop_fail_memory(err, c->groups * 8);
    size_t rows = c->out_channels / c->groups;
    for (size_t g = 0; !status && g < c->groups; g++) {
        cop_xnn_spmm_shape shape = {.weights = c->weights + g * rows * s->columns,
                                    .bias = c->bias ? c->bias + g * rows : NULL,
                                    .rows = rows,
                                    .columns = s->columns,
                                    .pixels = s->band,
                                    .batch = s->in_place ? c->batch : 1,
                                    .min = c->min,
                                    .max = c->max};
        status = cop_xnn_spmm_create(&shape, pool, &s->groups[g], err);
    }
    if (status) {
        sparse_destroy(s);
        return status;
    }
    *state = s;
    return COPPICE_OK;
}

/* The band's matrix, and its results where they cannot go to their places at once. XNNPACK reads up
 * to 64 bytes behind the matrix. */
static size_t matrix_floats(const sparse_conv *s) {
    return cop_round_up(s->columns * s->band + 64 / sizeof(float), 16);
}

static size_t sparse_scratch(const void *state) {
    const sparse_conv *s = state;
    if (s->in_place)
        return 0;
    size_t results = s->band == s->pixels ? 0 : s->conv.out_channels / s->conv.groups * s->band;
    return (matrix_floats(s) + results) * sizeof(float);
}

typedef struct gather_job {
    const sparse_conv *s;
    const float *input;
    float *matrix;
    size_t pixel;
} gather_job;

static void gather_channels(void *context, size_t begin, size_t end) {
    const gather_job *job = context;
    const sparse_conv *s = job->s;
    size_t taps = s->conv.kernel_h * s->conv.kernel_w;
    cop_im2col(&s->conv, job->input, begin, end - begin, job->pixel, s->band,
               job->matrix + begin * taps * s->band, s->band);
}

/* One image and group, band by band. The last band begins earlier instead of being shorter: it
 * computes some pixels again, to the same values. */
static coppice_status run_bands(const sparse_conv *s, size_t group, const float *input,
                                float *output, float *scratch, const coppice_threadpool *pool,
                                coppice_error *err) {
    size_t channels = s->conv.in_channels / s->conv.groups;
    size_t rows = s->conv.out_channels / s->conv.groups;
    bool direct = s->band == s->pixels;
    float *results = direct ? output : scratch + matrix_floats(s);
    for (size_t done = 0; done < s->pixels; done += s->band) {
        size_t pixel = s->pixels - done < s->band ? s->pixels - s->band : done;
        gather_job job = {s, input, scratch, pixel};
        cop_parallel_for(pool, channels, 8, gather_channels, &job);
        COP_TRY(cop_xnn_spmm_run(s->groups[group], scratch, results, pool, err));
        for (size_t r = 0; !direct && r < rows; r++)
            memcpy(output + r * s->pixels + pixel, results + r * s->band, s->band * sizeof *output);
    }
    return COPPICE_OK;
}

static coppice_status sparse_run(void *state, const float *input, float *output, void *scratch,
                                 const coppice_threadpool *pool, coppice_error *err) {
    const sparse_conv *s = state;
    if (s->in_place)
        return cop_xnn_spmm_run(s->groups[0], input, output, pool, err);
    size_t channels = s->conv.in_channels / s->conv.groups;
    size_t rows = s->conv.out_channels / s->conv.groups;
    for (size_t i = 0; i < s->conv.batch * s->conv.groups; i++) {
        const float *from = input + i * channels * s->conv.in_h * s->conv.in_w;
        COP_TRY(run_bands(s, i % s->conv.groups, from, output + i * rows * s->pixels, scratch, pool,
                          err));
    }
    return COPPICE_OK;
}

#define SPARSE_ROW(row, full_name, supported)                                                      \
    const cop_conv_kernel row = {.name = full_name,                                                \
                                 .backend = COPPICE_BACKEND_XNNPACK,                               \
                                 .isa = COPPICE_ISA_SCALAR,                                        \
                                 .sparse = true,                                                   \
                                 .supports = supported,                                            \
                                 .create = sparse_create,                                          \
                                 .scratch = sparse_scratch,                                        \
                                 .run = sparse_run,                                                \
                                 .destroy = sparse_destroy}

SPARSE_ROW(cop_xnn_spmm_1x1, "xnn_spmm_f32_1x1", supports_sparse_1x1);
SPARSE_ROW(cop_xnn_spmm_im2col, "xnn_spmm_f32_im2col", supports_sparse_im2col);

#endif
