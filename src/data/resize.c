/* Pixel buffers, and resizing with an antialiased triangle filter in two passes. */
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "data/image.h"

enum { FIXED_BITS = 22 }; /* 8-bit samples times weights that sum to 1 fit 31 bits */

coppice_status cop_scratch_reserve(cop_scratch *buffer, size_t bytes, coppice_error *err) {
    if (bytes <= buffer->bytes && buffer->data)
        return COPPICE_OK;
    cop_free(buffer->data);
    buffer->data = cop_malloc(bytes ? bytes : 1);
    buffer->bytes = buffer->data ? bytes : 0;
    return buffer->data ? COPPICE_OK : cop_fail_memory(err, bytes);
}

coppice_status cop_pixels_make(cop_pixels *pixels, cop_scratch *buffer, bool is_float,
                               int64_t height, int64_t width, int64_t channels, const char *what,
                               coppice_error *err) {
    if (height < 1 || width < 1 || height > COP_MAX_PIXELS / width || channels < 1 ||
        channels > COP_MAX_SIDE)
        return cop_fail(err, COPPICE_LIMIT, "%s: an image of %lld x %lld pixels", what,
                        (long long)width, (long long)height);
    size_t bytes;
    if (!cop_size_mul((size_t)(height * width), (size_t)channels * (is_float ? sizeof(float) : 1),
                      &bytes))
        return cop_fail_memory(err, SIZE_MAX);
    COP_TRY(cop_scratch_reserve(buffer, bytes, err));
    *pixels = (cop_pixels){.data = buffer->data,
                           .is_float = is_float,
                           .height = height,
                           .width = width,
                           .channels = channels,
                           .row = width * channels,
                           .column = channels,
                           .channel = 1};
    return COPPICE_OK;
}

/* For each output position the input positions it is made of: `count` from `first` on, with weights
 * that sum to 1. */
typedef struct taps {
    int64_t outputs, width; /* `width`: weights kept per output */
    int64_t *first, *count;
    double *weights;
    int32_t *fixed;
} taps;

static void taps_free(taps *t) {
    cop_free(t->first);
    cop_free(t->count);
    cop_free(t->weights);
    cop_free(t->fixed);
}

static void fill_taps(taps *t, int64_t input) {
    double scale = (double)input / (double)t->outputs;
    double reach = fmax(scale, 1);
    for (int64_t i = 0; i < t->outputs; i++) {
        double centre = ((double)i + 0.5) * scale, sum = 0;
        int64_t low = (int64_t)fmax(centre - reach + 0.5, 0);
        int64_t high = (int64_t)fmin(centre + reach + 0.5, (double)input);
        double *weights = t->weights + i * t->width;
        int64_t count = high - low < t->width ? high - low : t->width;
        for (int64_t k = 0; k < count; k++) {
            double distance = fabs(((double)(low + k) - centre + 0.5) / reach);
            weights[k] = fmax(1 - distance, 0);
            sum += weights[k];
        }
        for (int64_t k = 0; k < count; k++) {
            if (sum > 0)
                weights[k] /= sum;
            t->fixed[i * t->width + k] = (int32_t)(weights[k] * (1 << FIXED_BITS) + 0.5);
        }
        t->first[i] = low;
        t->count[i] = count;
    }
}

static coppice_status taps_make(taps *t, int64_t input, int64_t outputs, coppice_error *err) {
    double reach = fmax((double)input / (double)outputs, 1);
    *t = (taps){.outputs = outputs, .width = 2 * (int64_t)ceil(reach) + 1};
    size_t lines = (size_t)outputs, all = 0;
    bool fits = cop_size_mul(lines, (size_t)t->width, &all);
    t->first = cop_calloc(lines, sizeof *t->first);
    t->count = cop_calloc(lines, sizeof *t->count);
    t->weights = fits ? cop_calloc(all, sizeof *t->weights) : NULL;
    t->fixed = fits ? cop_calloc(all, sizeof *t->fixed) : NULL;
    if (!t->first || !t->count || !t->weights || !t->fixed) {
        taps_free(t);
        return cop_fail_memory(err, all * sizeof *t->weights);
    }
    fill_taps(t, input);
    return COPPICE_OK;
}

static uint8_t mix_bytes(const uint8_t *from, int64_t step, const int32_t *weights, int64_t count) {
    int32_t sum = 1 << (FIXED_BITS - 1);
    for (int64_t k = 0; k < count; k++)
        sum += from[k * step] * weights[k];
    sum >>= FIXED_BITS;
    return sum > 255 ? 255 : (uint8_t)sum;
}

static float mix_floats(const float *from, int64_t step, const double *weights, int64_t count) {
    double sum = 0;
    for (int64_t k = 0; k < count; k++)
        sum += from[k * step] * weights[k];
    return (float)sum;
}

/* Replaces one side of the image: its width, or its height when `vertical`. */
static coppice_status pass(cop_pixels *pixels, bool vertical, int64_t outputs, const char *what,
                           cop_scratch *store, coppice_error *err) {
    cop_pixels in = *pixels, out;
    taps t;
    COP_TRY(cop_pixels_make(&out, store, in.is_float, vertical ? outputs : in.height,
                            vertical ? in.width : outputs, in.channels, what, err));
    COP_TRY(taps_make(&t, vertical ? in.height : in.width, outputs, err));
    int64_t along = vertical ? in.row : in.column, across = vertical ? in.column : in.row;
    int64_t at = 0;
    for (int64_t y = 0; y < out.height; y++) {
        for (int64_t x = 0; x < out.width; x++) {
            int64_t i = vertical ? y : x, other = vertical ? x : y;
            int64_t from = other * across + t.first[i] * along;
            for (int64_t c = 0; c < out.channels; c++, at++, from += in.channel) {
                if (in.is_float)
                    ((float *)store->data)[at] = mix_floats((const float *)in.data + from, along,
                                                            t.weights + i * t.width, t.count[i]);
                else
                    ((uint8_t *)store->data)[at] = mix_bytes((const uint8_t *)in.data + from, along,
                                                             t.fixed + i * t.width, t.count[i]);
            }
        }
    }
    taps_free(&t);
    *pixels = out;
    return COPPICE_OK;
}

coppice_status cop_resize(cop_pixels *pixels, int64_t side, const char *what, cop_scratch *scratch,
                          cop_scratch *store, coppice_error *err) {
    int64_t shorter = pixels->height < pixels->width ? pixels->height : pixels->width;
    int64_t width = side * pixels->width / shorter, height = side * pixels->height / shorter;
    if (width > COP_MAX_SIDE || height > COP_MAX_SIDE)
        return cop_fail(err, COPPICE_LIMIT, "%s: would become %lld x %lld pixels", what,
                        (long long)width, (long long)height);
    if (width != pixels->width)
        COP_TRY(pass(pixels, false, width, what, scratch, err));
    if (height != pixels->height)
        COP_TRY(pass(pixels, true, height, what, store, err));
    return COPPICE_OK;
}
