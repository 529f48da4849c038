/* One input of a data set from named arrays: finding the array, checking it, cutting batches. */
#include "data/source.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/shape.h"
#include "base/size.h"
#include "data/convert.h"

static cop_source *find_source(cop_source *sources, size_t count, const char *name, size_t length) {
    for (size_t i = 0; i < count; i++) {
        if (strlen(sources[i].name) == length && memcmp(sources[i].name, name, length) == 0)
            return &sources[i];
    }
    return NULL;
}

static coppice_status check_shape(cop_source *source, const char *what, coppice_error *err) {
    const coppice_tensor *t = &source->array.tensor;
    bool fits = t->rank > 0;
    source->whole = source->rank >= 0 && t->rank == (uint32_t)source->rank + 1;
    if (!source->whole && source->rank >= 0)
        fits = fits && t->rank == (uint32_t)source->rank;
    for (uint32_t i = 1; fits && source->rank >= 0 && i < t->rank; i++) {
        int64_t wanted = source->dims[source->whole ? i - 1 : i];
        fits = wanted < 0 || wanted == t->dims[i];
    }
    if (!fits)
        return cop_fail(err, COPPICE_BAD_DATA,
                        "%s: shape %s does not fit input '%s' %s; the first axis is the sample",
                        what, cop_shape_text(t).s, source->name,
                        source->rank < 0 ? ""
                                         : cop_declared_text(source->rank, source->dims, NULL).s);
    if (!cop_can_convert(t->type, source->type))
        return cop_fail(err, COPPICE_BAD_DATA,
                        "%s: type %s does not fit input '%s' of type %s; convert the array first",
                        what, coppice_type_name(t->type), source->name,
                        coppice_type_name(source->type));
    return COPPICE_OK;
}

/* Hands the array over to its source. */
static coppice_status bind_array(cop_source *source, cop_array *array, const char *what,
                                 coppice_error *err) {
    if (source->bound) {
        cop_array_close(array);
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "%s: input '%s' has data already", what,
                        source->name);
    }
    source->array = *array;
    source->bound = true;
    return check_shape(source, what, err);
}

static coppice_status bind_entry(cop_source *source, coppice_npz *npz, int64_t index,
                                 const char *path, coppice_error *err) {
    cop_array array = {0};
    COP_TRY(coppice_npz_read(npz, (size_t)index, &array.tensor, err));
    array.owned = array.tensor.data;
    return bind_array(source, &array, path, err);
}

static coppice_status bind_npz(cop_source *sources, size_t count, cop_source *only,
                               const char *path, coppice_error *err) {
    coppice_npz *npz = NULL;
    COP_TRY(coppice_npz_open(path, &npz, err));
    coppice_status status = COPPICE_OK;
    size_t found = 0;
    for (size_t i = 0; i < count && status == COPPICE_OK; i++) {
        cop_source *source = only ? only : &sources[i];
        int64_t index = coppice_npz_find(npz, source->name);
        if (index < 0 && only && coppice_npz_count(npz) == 1)
            index = 0;
        if (index < 0)
            continue;
        status = bind_entry(source, npz, index, path, err);
        found++;
        if (only)
            break;
    }
    if (status == COPPICE_OK && found == 0)
        status = cop_fail(err, COPPICE_BAD_DATA, "%s: no array is called '%s'%s", path,
                          only ? only->name : sources[0].name,
                          only || count == 1 ? "" : " or as another input of the model");
    coppice_npz_free(npz);
    return status;
}

static coppice_status is_zip(const char *path, bool *zip, coppice_error *err) {
    cop_mapping file = {0};
    COP_TRY(cop_mapping_open(path, &file, err));
    *zip = cop_is_zip(file.data, file.bytes);
    cop_mapping_close(&file);
    return COPPICE_OK;
}

static coppice_status bind_one(cop_source *sources, size_t count, const char *argument,
                               coppice_error *err) {
    const char *equals = strchr(argument, '=');
    cop_source *only =
        equals ? find_source(sources, count, argument, (size_t)(equals - argument)) : NULL;
    const char *path = only ? equals + 1 : argument;
    bool zip = false;
    coppice_status status = is_zip(path, &zip, err);
    if (status == COPPICE_NOT_FOUND && equals && !only)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "--inputs %s: the model has no input of that name (its first is '%s')",
                        argument, sources[0].name);
    COP_TRY(status);
    if (zip)
        return bind_npz(sources, count, only, path, err);
    if (!only && count > 1)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "--inputs %s: the model has %zu inputs; say which one, as '%s=%s'",
                        argument, count, sources[0].name, path);
    cop_array array = {0};
    COP_TRY(cop_array_open(path, &array, err));
    return bind_array(only ? only : &sources[0], &array, path, err);
}

coppice_status cop_sources_bind(cop_source *sources, size_t count,
                                const coppice_dataset_options *options, coppice_error *err) {
    for (size_t i = 0; i < options->input_count; i++)
        COP_TRY(bind_one(sources, count, options->inputs[i], err));
    return COPPICE_OK;
}

int64_t cop_source_rows(const cop_source *source, int64_t n) {
    bool fixed = !source->whole && source->rank > 0 && source->dims[0] > n;
    return fixed ? source->dims[0] : n;
}

coppice_status cop_source_reserve(cop_source *source, const coppice_tensor *sample, int64_t rows,
                                  coppice_tensor *out, coppice_error *err) {
    *out = *sample;
    out->dims[0] = rows;
    int64_t bytes = coppice_tensor_bytes(out);
    if (bytes < 0 || (uint64_t)bytes > SIZE_MAX)
        return cop_fail(err, COPPICE_LIMIT, "a batch of %lld samples is too large",
                        (long long)rows);
    COP_TRY(cop_scratch_reserve(&source->out, (size_t)bytes, err));
    out->data = source->out.data;
    return COPPICE_OK;
}

void cop_source_fill(const coppice_tensor *batch, int64_t n) {
    if (n >= batch->dims[0])
        return;
    size_t bytes = (size_t)(coppice_tensor_bytes(batch) / batch->dims[0]);
    unsigned char *data = batch->data;
    for (int64_t row = n; row < batch->dims[0]; row++)
        memcpy(data + (size_t)row * bytes, data + (size_t)(n - 1) * bytes, bytes);
}

coppice_status cop_source_array_batch(cop_source *source, int64_t first, int64_t n,
                                      coppice_tensor *out, coppice_error *err) {
    const coppice_tensor *array = &source->array.tensor;
    coppice_tensor sample = *array;
    sample.type = source->type;
    sample.dims[0] = 1;
    int64_t each = coppice_tensor_count(&sample);
    COP_TRY(cop_source_reserve(source, &sample, cop_source_rows(source, n), out, err));
    size_t unit = coppice_type_bits(array->type) / 8;
    const unsigned char *from = (const unsigned char *)array->data + (size_t)(first * each) * unit;
    int64_t misfit = cop_convert(array->type, from, source->type, out->data, n * each);
    if (misfit >= 0)
        return cop_fail(err, COPPICE_BAD_DATA,
                        "input '%s': sample %lld holds a number that does not fit type %s",
                        source->name, (long long)(first + misfit / each),
                        coppice_type_name(source->type));
    cop_source_fill(out, n);
    if (source->whole) {
        memmove(out->dims, out->dims + 1, (size_t)(array->rank - 1) * sizeof *out->dims);
        out->rank = array->rank - 1;
    }
    return COPPICE_OK;
}
