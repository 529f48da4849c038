/* Data sets: binds images, arrays and labels to a model's inputs and hands out batches. */
#include <stdio.h>
#include <string.h>

#include <coppice/data.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/size.h"
#include "data/convert.h"
#include "data/source.h"

struct coppice_dataset {
    cop_source *sources; /* one per model input, in the model's order */
    size_t source_count;
    cop_image_list files;
    cop_preparer preparer;
    coppice_layout layout;
    char *image_path;
    cop_scratch decoded;
    int64_t *labels;
    int64_t total; /* samples in the files */
    int64_t count; /* samples to hand out */
    int64_t max_batch;
};

void coppice_dataset_options_init(coppice_dataset_options *options) {
    *options = (coppice_dataset_options){.scale = 1};
}

void coppice_dataset_free(coppice_dataset *dataset) {
    if (!dataset)
        return;
    for (size_t i = 0; dataset->sources && i < dataset->source_count; i++) {
        cop_free(dataset->sources[i].name);
        cop_free(dataset->sources[i].out.data);
        cop_array_close(&dataset->sources[i].array);
    }
    cop_free(dataset->sources);
    cop_image_list_close(&dataset->files);
    cop_preparer_free(&dataset->preparer);
    cop_free(dataset->image_path);
    cop_free(dataset->decoded.data);
    cop_free(dataset->labels);
    cop_free(dataset);
}

/* ---- images ---- */

/* A sample of an array of images; floats of other precisions go through `decoded`. */
static coppice_status view_array(coppice_dataset *ds, const cop_source *source, int64_t index,
                                 cop_pixels *out, coppice_error *err) {
    const coppice_tensor *t = &source->array.tensor;
    bool is_float = t->type != COPPICE_TYPE_UINT8;
    bool planes =
        ds->layout == COPPICE_LAYOUT_NCHW || (ds->layout == COPPICE_LAYOUT_AUTO && is_float);
    const int64_t *d = t->dims;
    int64_t c = t->rank == 3 ? 1 : planes ? d[1] : d[3];
    int64_t h = t->rank == 4 && planes ? d[2] : d[1];
    int64_t w = t->rank == 4 && planes ? d[3] : d[2];
    *out = (cop_pixels){.is_float = is_float, .height = h, .width = w, .channels = c};
    out->row = planes ? w : w * c;
    out->column = planes ? 1 : c;
    out->channel = planes ? h * w : 1;
    int64_t each = h * w * c;
    size_t unit = coppice_type_bits(t->type) / 8;
    out->data = (const unsigned char *)t->data + (size_t)(index * each) * unit;
    if (!is_float || t->type == COPPICE_TYPE_FLOAT)
        return COPPICE_OK;
    COP_TRY(cop_scratch_reserve(&ds->decoded, (size_t)each * sizeof(float), err));
    cop_convert(t->type, out->data, COPPICE_TYPE_FLOAT, ds->decoded.data, each);
    out->data = ds->decoded.data;
    return COPPICE_OK;
}

static coppice_status decode_file(coppice_dataset *ds, const char *path, cop_pixels *out,
                                  coppice_error *err) {
    cop_mapping file = {0};
    COP_TRY(cop_mapping_open(path, &file, err));
    coppice_status status;
    if (cop_is_jpeg(file.data, file.bytes))
        status = cop_jpeg_decode(file.data, file.bytes, path, &ds->decoded, out, err);
    else if (cop_is_png(file.data, file.bytes))
        status = cop_png_decode(file.data, file.bytes, path, &ds->decoded, out, err);
    else
        status = cop_fail(err, COPPICE_BAD_DATA, "%s: neither a JPEG nor a PNG image", path);
    cop_mapping_close(&file);
    if (status != COPPICE_OK)
        cop_error_locate(err, path, NULL, -1);
    return status;
}

static coppice_status load_image(coppice_dataset *ds, const cop_source *source, int64_t index,
                                 cop_pixels *out, coppice_error *err) {
    if (ds->files.count) {
        const char *path = ds->files.files[index].path;
        COP_TRY(decode_file(ds, path, out, err));
        return cop_prepare_view(&ds->preparer, out, path, err);
    }
    COP_TRY(view_array(ds, source, index, out, err));
    return cop_prepare_view(&ds->preparer, out, ds->image_path, err);
}

static bool same_shape(const coppice_tensor *a, const coppice_tensor *b) {
    for (uint32_t i = 1; i < a->rank; i++) {
        if (a->dims[i] != b->dims[i])
            return false;
    }
    return a->rank == b->rank;
}

static coppice_status image_batch(coppice_dataset *ds, cop_source *source, int64_t first, int64_t n,
                                  coppice_tensor *out, coppice_error *err) {
    size_t bytes = 0;
    for (int64_t i = 0; i < n; i++) {
        cop_pixels pixels;
        coppice_tensor sample;
        COP_TRY(cop_check_interrupt(err));
        COP_TRY(load_image(ds, source, first + i, &pixels, err));
        cop_prepare_shape(&ds->preparer, &pixels, &sample);
        if (i == 0) {
            bytes = (size_t)coppice_tensor_bytes(&sample);
            COP_TRY(cop_source_reserve(source, &sample, cop_source_rows(source, n), out, err));
        }
        if (!same_shape(&sample, out))
            return cop_fail(err, COPPICE_BAD_DATA,
                            "%s: the images of a batch differ in size; use --resize and --crop",
                            ds->image_path);
        COP_TRY(cop_prepare_write(&ds->preparer, &pixels,
                                  (unsigned char *)out->data + (size_t)i * bytes, err));
    }
    cop_source_fill(out, n);
    return COPPICE_OK;
}

static coppice_status check_image_array(const coppice_tensor *t, const char *path,
                                        coppice_error *err) {
    if (t->type != COPPICE_TYPE_UINT8 && !cop_is_numpy_float(t->type))
        return cop_fail(err, COPPICE_BAD_DATA,
                        "%s: images of type %s; uint8 or a float type is needed", path,
                        coppice_type_name(t->type));
    if (t->rank != 3 && t->rank != 4)
        return cop_fail(err, COPPICE_BAD_DATA,
                        "%s: %u dimensions; images have [n,h,w,c], [n,c,h,w] or [n,h,w] (anything "
                        "else goes in with --inputs)",
                        path, t->rank);
    for (uint32_t i = 1; i < t->rank; i++) {
        if (t->dims[i] < 1 || t->dims[i] > COP_MAX_SIDE)
            return cop_fail(err, COPPICE_BAD_DATA, "%s: an image side of %lld", path,
                            (long long)t->dims[i]);
    }
    return COPPICE_OK;
}

/* ---- opening ---- */

static coppice_status open_images(coppice_dataset *ds, const coppice_dataset_options *o,
                                  const coppice_value_info *inputs, coppice_error *err) {
    size_t free_inputs = 0, index = 0;
    for (size_t i = 0; i < ds->source_count; i++) {
        if (!ds->sources[i].bound) {
            free_inputs++;
            index = i;
        }
    }
    if (free_inputs != 1)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "--images %s: the model has %zu inputs that it could fill; name all others "
                        "with --inputs",
                        o->images, free_inputs);
    cop_source *source = &ds->sources[index];
    source->bound = source->images = true;
    ds->layout = o->layout;
    ds->image_path = cop_strdup(o->images);
    if (!ds->image_path)
        return cop_fail_memory(err, strlen(o->images));
    COP_TRY(cop_preparer_init(&ds->preparer, o, &inputs[index], err));
    COP_TRY(cop_image_list_open(&ds->files, o->images, err));
    if (ds->files.count)
        return COPPICE_OK;
    COP_TRY(cop_array_open(o->images, &source->array, err));
    return check_image_array(&source->array.tensor, o->images, err);
}

static coppice_status check_options(const coppice_dataset_options *o, size_t input_count,
                                    coppice_error *err) {
    bool prepares = o->resize || o->crop || o->layout != COPPICE_LAYOUT_AUTO || o->bgr ||
                    o->scale != 1 || o->mean_count || o->std_count;
    if (input_count == 0)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "the model has no input");
    if (!o->images && o->input_count == 0)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "no data: give --images or --inputs");
    if (!o->images && prepares)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "--resize, --crop, --scale, --mean, --std, --layout and --bgr are for "
                        "--images; arrays of --inputs go in as they are");
    if (o->limit < 0)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "--limit %lld is negative",
                        (long long)o->limit);
    return COPPICE_OK;
}

static coppice_status add_sources(coppice_dataset *ds, const coppice_value_info *inputs,
                                  size_t count, coppice_error *err) {
    ds->sources = cop_calloc(count, sizeof *ds->sources);
    if (!ds->sources)
        return cop_fail_memory(err, count * sizeof *ds->sources);
    ds->source_count = count;
    for (size_t i = 0; i < count; i++) {
        cop_source *source = &ds->sources[i];
        source->name = cop_strdup(inputs[i].name ? inputs[i].name : "");
        if (!source->name)
            return cop_fail_memory(err, strlen(inputs[i].name));
        if (inputs[i].rank > COPPICE_MAX_RANK)
            return cop_fail(err, COPPICE_INVALID_ARGUMENT, "input '%s' has %d dimensions",
                            source->name, inputs[i].rank);
        source->type = inputs[i].type;
        source->rank = inputs[i].rank;
        memcpy(source->dims, inputs[i].dims, sizeof source->dims);
    }
    return COPPICE_OK;
}

/* All inputs have as many samples; the batch is bounded by what the model fixes. */
static coppice_status count_samples(coppice_dataset *ds, coppice_error *err) {
    ds->max_batch = INT64_MAX;
    for (size_t i = 0; i < ds->source_count; i++) {
        const cop_source *source = &ds->sources[i];
        if (!source->bound)
            return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                            "no data for input '%s': give --inputs %s=FILE.npy", source->name,
                            source->name);
        int64_t samples = source->images && ds->files.count ? (int64_t)ds->files.count
                                                            : source->array.tensor.dims[0];
        if (i > 0 && samples != ds->total)
            return cop_fail(err, COPPICE_BAD_DATA,
                            "input '%s' has %lld samples, input '%s' has %lld", ds->sources[0].name,
                            (long long)ds->total, source->name, (long long)samples);
        ds->total = samples;
        int64_t fixed = source->whole ? 1 : source->rank > 0 ? source->dims[0] : -1;
        if (fixed > 0 && fixed < ds->max_batch)
            ds->max_batch = fixed;
    }
    return ds->total > 0 ? COPPICE_OK : cop_fail(err, COPPICE_BAD_DATA, "the data has no samples");
}

static coppice_status open_labels(coppice_dataset *ds, const char *path, coppice_error *err) {
    bool folders = ds->files.count && ds->files.files[0].label >= 0;
    if (!path && !folders)
        return COPPICE_OK;
    size_t bytes;
    if (!cop_size_mul((size_t)ds->total, sizeof *ds->labels, &bytes) ||
        !(ds->labels = cop_malloc(bytes)))
        return cop_fail_memory(err, (size_t)ds->total);
    if (path)
        return cop_labels_read(path, ds->files.files, ds->total, ds->labels, err);
    for (int64_t i = 0; i < ds->total; i++)
        ds->labels[i] = ds->files.files[i].label;
    return COPPICE_OK;
}

coppice_status coppice_dataset_open(const coppice_dataset_options *options,
                                    const coppice_value_info *inputs, size_t input_count,
                                    coppice_dataset **out, coppice_error *error) {
    *out = NULL;
    coppice_status status;
    COP_TRY(check_options(options, input_count, error));
    coppice_dataset *ds = cop_calloc(1, sizeof *ds);
    if (!ds)
        return cop_fail_memory(error, sizeof *ds);
    COP_TRY_OR_FAIL(add_sources(ds, inputs, input_count, error));
    COP_TRY_OR_FAIL(cop_sources_bind(ds->sources, input_count, options, error));
    if (options->images)
        COP_TRY_OR_FAIL(open_images(ds, options, inputs, error));
    COP_TRY_OR_FAIL(count_samples(ds, error));
    COP_TRY_OR_FAIL(open_labels(ds, options->labels, error));
    ds->count = options->limit && options->limit < ds->total ? options->limit : ds->total;
    for (size_t i = 0; i < input_count; i++) {
        cop_pixels pixels; /* the first image tells most mistakes in the options */
        if (ds->sources[i].images)
            COP_TRY_OR_FAIL(load_image(ds, &ds->sources[i], 0, &pixels, error));
    }
    *out = ds;
    return COPPICE_OK;
fail:
    coppice_dataset_free(ds);
    return status;
}

/* ---- use ---- */

int64_t coppice_dataset_count(const coppice_dataset *dataset) {
    return dataset->count;
}

bool coppice_dataset_has_labels(const coppice_dataset *dataset) {
    return dataset->labels != NULL;
}

int64_t coppice_dataset_max_batch(const coppice_dataset *dataset) {
    return dataset->max_batch;
}

coppice_status coppice_dataset_batch(coppice_dataset *dataset, int64_t first, int64_t n,
                                     coppice_tensor *tensors, int64_t *labels,
                                     coppice_error *error) {
    if (n < 1 || n > dataset->max_batch || first < 0 || first > dataset->count - n)
        return cop_fail(
            error, COPPICE_INVALID_ARGUMENT,
            "samples %lld to %lld: the data set has %lld, and at most %lld make a batch",
            (long long)first, (long long)first + n - 1, (long long)dataset->count,
            (long long)dataset->max_batch);
    for (size_t i = 0; i < dataset->source_count; i++) {
        cop_source *source = &dataset->sources[i];
        if (source->images)
            COP_TRY(image_batch(dataset, source, first, n, &tensors[i], error));
        else
            COP_TRY(cop_source_array_batch(source, first, n, &tensors[i], error));
    }
    for (int64_t i = 0; labels && i < n; i++)
        labels[i] = dataset->labels ? dataset->labels[first + i] : -1;
    return COPPICE_OK;
}
