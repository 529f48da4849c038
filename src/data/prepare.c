/* From an image to a sample of a model's input: channels, resize, crop, normalisation, layout. */
#include "data/prepare.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "data/convert.h"

/* ---- options and the model's input ---- */

static bool is_pixel_channels(int64_t dim) {
    return dim == 1 || dim == 3;
}

static coppice_status take_input(cop_preparer *p, const coppice_value_info *input,
                                 coppice_error *err) {
    const int64_t *d = input->dims;
    p->type = input->type;
    p->height = p->width = p->channels = p->flat = -1;
    if (!cop_is_numpy_float(p->type) && p->type != COPPICE_TYPE_UINT8)
        return cop_fail(err, COPPICE_UNSUPPORTED,
                        "input '%s' is of type %s, which images cannot fill; give it with --inputs",
                        input->name, coppice_type_name(p->type));
    switch (input->rank) {
    case -1:
        return COPPICE_OK;
    case 2:
        p->form = COP_FORM_FLAT;
        p->flat = d[1];
        return COPPICE_OK;
    case 3:
        p->form = COP_FORM_PLANE;
        p->channels = 1;
        p->height = d[1];
        p->width = d[2];
        return COPPICE_OK;
    case 4:
        p->form =
            !is_pixel_channels(d[1]) && is_pixel_channels(d[3]) ? COP_FORM_NHWC : COP_FORM_NCHW;
        p->channels = p->form == COP_FORM_NHWC ? d[3] : d[1];
        p->height = p->form == COP_FORM_NHWC ? d[1] : d[2];
        p->width = p->form == COP_FORM_NHWC ? d[2] : d[3];
        return COPPICE_OK;
    default:
        return cop_fail(err, COPPICE_UNSUPPORTED,
                        "input '%s' has %d dimensions, which images cannot fill; give it with "
                        "--inputs",
                        input->name, input->rank);
    }
}

static coppice_status check_numbers(const coppice_dataset_options *o, coppice_error *err) {
    if (o->resize < 0 || o->resize > COP_MAX_SIDE || o->crop < 0 || o->crop > COP_MAX_SIDE)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "--resize and --crop take 1 to %d pixels",
                        COP_MAX_SIDE);
    if (o->mean_count > COPPICE_MAX_CHANNELS || o->std_count > COPPICE_MAX_CHANNELS)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "--mean and --std take at most %d numbers",
                        COPPICE_MAX_CHANNELS);
    if (!isfinite(o->scale))
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "--scale is not a finite number");
    for (size_t i = 0; i < o->mean_count; i++) {
        if (!isfinite(o->mean[i]))
            return cop_fail(err, COPPICE_INVALID_ARGUMENT, "--mean is not a finite number");
    }
    for (size_t i = 0; i < o->std_count; i++) {
        if (!isfinite(o->std[i]) || o->std[i] == 0)
            return cop_fail(err, COPPICE_INVALID_ARGUMENT, "--std is zero or not a finite number");
    }
    return COPPICE_OK;
}

coppice_status cop_preparer_init(cop_preparer *preparer, const coppice_dataset_options *options,
                                 const coppice_value_info *input, coppice_error *err) {
    COP_TRY(check_numbers(options, err));
    *preparer = (cop_preparer){.resize = options->resize,
                               .crop = options->crop,
                               .bgr = options->bgr,
                               .scale = options->scale,
                               .mean_count = options->mean_count,
                               .std_count = options->std_count};
    memcpy(preparer->mean, options->mean, sizeof preparer->mean);
    memcpy(preparer->std, options->std, sizeof preparer->std);
    return take_input(preparer, input, err);
}

void cop_preparer_free(cop_preparer *preparer) {
    cop_free(preparer->grey.data);
    cop_free(preparer->scratch.data);
    cop_free(preparer->resized.data);
    cop_free(preparer->line.data);
    cop_free(preparer->table);
    *preparer = (cop_preparer){0};
}

/* ---- geometry and channels ---- */

/* ITU-R 601-2 luma in 16-bit fixed point, as Pillow's mode L; floats with the same weights. */
static coppice_status to_grey(cop_preparer *p, cop_pixels *pixels, const char *what,
                              coppice_error *err) {
    cop_pixels in = *pixels, out;
    COP_TRY(cop_pixels_make(&out, &p->grey, in.is_float, in.height, in.width, 1, what, err));
    int64_t at = 0;
    for (int64_t y = 0; y < in.height; y++) {
        for (int64_t x = 0; x < in.width; x++, at++) {
            int64_t from = y * in.row + x * in.column;
            if (in.is_float) {
                const float *s = (const float *)in.data + from;
                ((float *)p->grey.data)[at] =
                    0.299f * s[0] + 0.587f * s[in.channel] + 0.114f * s[2 * in.channel];
            } else {
                const uint8_t *s = (const uint8_t *)in.data + from;
                uint32_t sum = s[0] * 19595u + s[in.channel] * 38470u + s[2 * in.channel] * 7471u;
                ((uint8_t *)p->grey.data)[at] = (uint8_t)((sum + 0x8000) >> 16);
            }
        }
    }
    *pixels = out;
    return COPPICE_OK;
}

static coppice_status fit_channels(cop_preparer *p, cop_pixels *pixels, const char *what,
                                   coppice_error *err) {
    if (p->channels < 0 || p->channels == pixels->channels)
        return COPPICE_OK;
    if (p->channels == 1 && pixels->channels == 3)
        return to_grey(p, pixels, what, err);
    if (p->channels == 3 && pixels->channels == 1) {
        pixels->channels = 3;
        pixels->channel = 0;
        return COPPICE_OK;
    }
    return cop_fail(err, COPPICE_BAD_DATA,
                    "%s: %lld channels where the model wants %lld; is --layout right?", what,
                    (long long)pixels->channels, (long long)p->channels);
}

static coppice_status crop(const cop_preparer *p, cop_pixels *pixels, const char *what,
                           coppice_error *err) {
    if (p->crop > pixels->height || p->crop > pixels->width)
        return cop_fail(err, COPPICE_BAD_DATA,
                        "%s: %lld x %lld pixels are too few for --crop %lld; use --resize", what,
                        (long long)pixels->width, (long long)pixels->height, (long long)p->crop);
    int64_t from = (pixels->height - p->crop) / 2 * pixels->row +
                   (pixels->width - p->crop) / 2 * pixels->column;
    pixels->data = (const char *)pixels->data +
                   from * (int64_t)(pixels->is_float ? sizeof(float) : sizeof(uint8_t));
    pixels->height = pixels->width = p->crop;
    return COPPICE_OK;
}

static coppice_status check_size(const cop_preparer *p, const cop_pixels *pixels, const char *what,
                                 coppice_error *err) {
    int64_t samples = pixels->height * pixels->width * pixels->channels;
    if (p->form == COP_FORM_FLAT && p->flat >= 0 && samples != p->flat)
        return cop_fail(err, COPPICE_BAD_DATA,
                        "%s: %lld x %lld x %lld samples where the model wants %lld; use --resize "
                        "and --crop",
                        what, (long long)pixels->width, (long long)pixels->height,
                        (long long)pixels->channels, (long long)p->flat);
    if ((p->height < 0 || p->height == pixels->height) &&
        (p->width < 0 || p->width == pixels->width))
        return COPPICE_OK;
    return cop_fail(err, COPPICE_BAD_DATA,
                    "%s: %lld x %lld pixels%s, where the model wants %lld x %lld; use --resize and "
                    "--crop",
                    what, (long long)pixels->width, (long long)pixels->height,
                    p->resize || p->crop ? " after --resize and --crop" : "",
                    (long long)(p->width < 0 ? pixels->width : p->width),
                    (long long)(p->height < 0 ? pixels->height : p->height));
}

coppice_status cop_prepare_view(cop_preparer *preparer, cop_pixels *pixels, const char *what,
                                coppice_error *err) {
    COP_TRY(fit_channels(preparer, pixels, what, err));
    if (preparer->resize)
        COP_TRY(cop_resize(pixels, preparer->resize, what, &preparer->scratch, &preparer->resized,
                           err));
    if (preparer->crop)
        COP_TRY(crop(preparer, pixels, what, err));
    COP_TRY(check_size(preparer, pixels, what, err));
    size_t channels = (size_t)pixels->channels;
    if ((preparer->mean_count > 1 && preparer->mean_count != channels) ||
        (preparer->std_count > 1 && preparer->std_count != channels))
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "--mean and --std take one number or one per channel (%zu)", channels);
    return COPPICE_OK;
}

void cop_prepare_shape(const cop_preparer *preparer, const cop_pixels *pixels,
                       coppice_tensor *out) {
    const int64_t c = pixels->channels, h = pixels->height, w = pixels->width;
    static const uint32_t ranks[] = {
        [COP_FORM_NCHW] = 4, [COP_FORM_NHWC] = 4, [COP_FORM_PLANE] = 3, [COP_FORM_FLAT] = 2};
    const int64_t dims[][4] = {[COP_FORM_NCHW] = {1, c, h, w},
                               [COP_FORM_NHWC] = {1, h, w, c},
                               [COP_FORM_PLANE] = {1, h, w, 0},
                               [COP_FORM_FLAT] = {1, c * h * w, 0, 0}};
    *out = (coppice_tensor){.type = preparer->type, .rank = ranks[preparer->form]};
    memcpy(out->dims, dims[preparer->form], sizeof dims[0]);
}

/* ---- samples ---- */

static float normalise(const cop_preparer *p, double sample, int64_t channel) {
    double mean = p->mean_count == 0 ? 0 : p->mean[p->mean_count == 1 ? 0 : channel];
    double std = p->std_count == 0 ? 1 : p->std[p->std_count == 1 ? 0 : channel];
    return (float)((sample * p->scale - mean) / std);
}

static coppice_status make_table(cop_preparer *p, int64_t channels, coppice_error *err) {
    if (p->table_channels == channels)
        return COPPICE_OK;
    cop_free(p->table);
    p->table_channels = 0;
    p->table = cop_calloc((size_t)channels, 256 * sizeof *p->table);
    if (!p->table)
        return cop_fail_memory(err, (size_t)channels * 256 * sizeof *p->table);
    for (int64_t c = 0; c < channels; c++) {
        for (int sample = 0; sample < 256; sample++)
            p->table[c * 256 + sample] = normalise(p, sample, c);
    }
    p->table_channels = channels;
    return COPPICE_OK;
}

/* One row of one channel of the model, its samples `step` apart. */
static void fill_row(const cop_preparer *p, const cop_pixels *pixels, int64_t channel, int64_t y,
                     float *out, int64_t step) {
    int64_t source = p->bgr && pixels->channels == 3 ? 2 - channel : channel;
    int64_t from = y * pixels->row + source * pixels->channel;
    if (!pixels->is_float) {
        const uint8_t *samples = (const uint8_t *)pixels->data + from;
        const float *table = p->table + channel * 256;
        for (int64_t x = 0; x < pixels->width; x++)
            out[x * step] = table[samples[x * pixels->column]];
        return;
    }
    const float *samples = (const float *)pixels->data + from;
    bool as_is = p->scale == 1 && p->mean_count == 0 && p->std_count == 0;
    for (int64_t x = 0; x < pixels->width; x++) {
        float sample = samples[x * pixels->column];
        out[x * step] = as_is ? sample : normalise(p, sample, channel);
    }
}

coppice_status cop_prepare_write(cop_preparer *preparer, const cop_pixels *pixels, void *out,
                                 coppice_error *err) {
    const int64_t c = pixels->channels, h = pixels->height, w = pixels->width;
    bool interleaved = preparer->form == COP_FORM_NHWC;
    if (!pixels->is_float)
        COP_TRY(make_table(preparer, c, err));
    int64_t length = interleaved ? w * c : w;
    COP_TRY(cop_scratch_reserve(&preparer->line, (size_t)length * sizeof(float), err));
    float *line = preparer->line.data;
    size_t line_bytes = (size_t)length * (coppice_type_bits(preparer->type) / 8);
    unsigned char *at = out;
    for (int64_t outer = 0; outer < (interleaved ? h : c); outer++) {
        for (int64_t inner = 0; inner < (interleaved ? 1 : h); inner++, at += line_bytes) {
            for (int64_t k = 0; interleaved && k < c; k++)
                fill_row(preparer, pixels, k, outer, line + k, c);
            if (!interleaved)
                fill_row(preparer, pixels, outer, inner, line, 1);
            cop_store_floats(preparer->type, line, length, at);
        }
    }
    return COPPICE_OK;
}
