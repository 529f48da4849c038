/* From an image to a sample of a model's input: channels, resize, crop, normalisation, layout. */
#ifndef COP_DATA_PREPARE_H
#define COP_DATA_PREPARE_H

#include <coppice/data.h>

#include "data/image.h"

/* How the model wants its pixels. */
typedef enum cop_form {
    COP_FORM_NCHW,
    COP_FORM_NHWC,
    COP_FORM_PLANE, /* [n,h,w], one channel */
    COP_FORM_FLAT   /* [n,c*h*w], in NCHW order */
} cop_form;

/* Zero-initialise; free with cop_preparer_free. */
typedef struct cop_preparer {
    int64_t resize, crop;
    bool bgr;
    double scale, mean[COPPICE_MAX_CHANNELS], std[COPPICE_MAX_CHANNELS];
    size_t mean_count, std_count;
    cop_form form;
    coppice_type type;
    int64_t height, width, channels, flat; /* wanted by the model; -1: free */
    cop_scratch grey, scratch, resized, line;
    float *table; /* [channels][256]: what becomes of an 8-bit sample */
    int64_t table_channels;
} cop_preparer;

/* Checks the options and the model's input. */
coppice_status cop_preparer_init(cop_preparer *preparer, const coppice_dataset_options *options,
                                 const coppice_value_info *input, coppice_error *err);
void cop_preparer_free(cop_preparer *preparer);

/* Channels, resize and crop: `pixels` becomes a view of the result, which lives until the next
 * call; what does not fit the model is BAD_DATA. `what` names the image. */
coppice_status cop_prepare_view(cop_preparer *preparer, cop_pixels *pixels, const char *what,
                                coppice_error *err);

/* Type and shape of the prepared sample with a first dimension of 1; data stay NULL. */
void cop_prepare_shape(const cop_preparer *preparer, const cop_pixels *pixels, coppice_tensor *out);

/* Normalises and writes the sample in the model's layout and type. */
coppice_status cop_prepare_write(cop_preparer *preparer, const cop_pixels *pixels, void *out,
                                 coppice_error *err);

#endif
