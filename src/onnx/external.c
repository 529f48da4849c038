/* External data: tensors whose bytes lie in another file of the model's folder. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/size.h"
#include "onnx/internal.h"

/* What the external_data entries of a tensor say. */
typedef struct placement {
    const char *location;
    uint64_t offset, length;
    bool has_length;
} placement;

static bool parse_decimal(const char *text, uint64_t *out) {
    uint64_t value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

static coppice_status read_entries(const Onnx__TensorProto *tensor, placement *out,
                                   coppice_error *err) {
    *out = (placement){0};
    for (size_t i = 0; i < tensor->n_external_data; i++) {
        const char *key = cop_or_empty(tensor->external_data[i]->key);
        const char *value = cop_or_empty(tensor->external_data[i]->value);
        bool length = strcmp(key, "length") == 0;
        if (strcmp(key, "location") == 0)
            out->location = value;
        else if ((length && !parse_decimal(value, &out->length)) ||
                 (strcmp(key, "offset") == 0 && !parse_decimal(value, &out->offset)))
            return cop_fail(err, COPPICE_BAD_MODEL, "external data: %s '%s' is no number", key,
                            value);
        out->has_length = out->has_length || length;
    }
    if (!out->location || !out->location[0])
        return cop_fail(err, COPPICE_BAD_MODEL, "external data without a location");
    return COPPICE_OK;
}

static bool has_parent_component(const char *path) {
    for (const char *part = path; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (part[0] == '.' && part[1] == '.' && (part[2] == '/' || part[2] == '\0'))
            return true;
    }
    return false;
}

static coppice_status check_location(const char *location, coppice_error *err) {
    if (location[0] == '/')
        return cop_fail(err, COPPICE_BAD_MODEL,
                        "external data '%s': an absolute path is not allowed, only files in the "
                        "model's folder",
                        location);
    if (has_parent_component(location))
        return cop_fail(err, COPPICE_BAD_MODEL,
                        "external data '%s': '..' is not allowed, only files in the model's folder",
                        location);
    return COPPICE_OK;
}

/* The real path of `location` beside the model; refused when it is not inside the folder. */
static coppice_status resolve(const char *model_path, const char *location, char **out,
                              coppice_error *err) {
    char *joined = cop_path_sibling(model_path, location), *here = cop_path_sibling(model_path, "");
    char *folder = here ? cop_realpath(here[0] ? here : ".") : NULL;
    *out = joined ? cop_realpath(joined) : NULL;
    coppice_status status = COPPICE_OK;
    size_t length = folder ? strlen(folder) : 0;
    if (length == 1) /* "/": every path is inside */
        length = 0;
    if (!joined || !here)
        status = cop_fail_memory(err, strlen(model_path) + strlen(location));
    else if (!folder || !*out)
        status = cop_fail_errno(err, "external data '%s': cannot open", location);
    else if (strncmp(*out, folder, length) != 0 || (*out)[length] != '/')
        status = cop_fail(err, COPPICE_BAD_MODEL,
                          "external data '%s': a link leads out of the model's folder", location);
    cop_free(joined);
    cop_free(here);
    cop_free(folder);
    return status;
}

/* Maps the file, or finds it among those that are mapped. Takes `path` over on success. */
static coppice_status map_file(coppice_model *model, char *path, const char *location,
                               const cop_mapping **out, coppice_error *err) {
    for (size_t i = 0; i < model->data_file_count; i++) {
        if (strcmp(model->data_files[i].path, path) == 0) {
            *out = &model->data_files[i].mapping;
            cop_free(path);
            return COPPICE_OK;
        }
    }
    if (cop_grow(&model->data_files, model->data_file_count, &model->data_file_capacity,
                 sizeof *model->data_files) != 0)
        return cop_fail_memory(err, sizeof *model->data_files);
    cop_data_file *file = &model->data_files[model->data_file_count];
    COP_TRY(cop_mapping_open(path, &file->mapping, err));
    file->path = path;
    file->location = location;
    model->data_file_count++;
    *out = &file->mapping;
    return COPPICE_OK;
}

static coppice_status open_location(coppice_model *model, const char *location,
                                    const cop_mapping **out, coppice_error *err) {
    for (size_t i = 0; i < model->data_file_count; i++) {
        if (strcmp(model->data_files[i].location, location) == 0) {
            *out = &model->data_files[i].mapping;
            return COPPICE_OK;
        }
    }
    char *path = NULL;
    coppice_status status = resolve(model->path, location, &path, err);
    if (status == COPPICE_OK)
        status = map_file(model, path, location, out, err);
    if (status != COPPICE_OK)
        cop_free(path);
    return status;
}

coppice_status cop_external_load(coppice_model *model, const Onnx__TensorProto *tensor,
                                 size_t bytes, unsigned char **data, size_t *found,
                                 coppice_error *err) {
    placement place;
    COP_TRY(read_entries(tensor, &place, err));
    COP_TRY(check_location(place.location, err));
    if (model->copy)
        return cop_fail(err, COPPICE_BAD_MODEL,
                        "external data '%s': a model from memory has no folder to read it from",
                        place.location);
    const cop_mapping *file = NULL;
    COP_TRY(open_location(model, place.location, &file, err));
    uint64_t offset = place.offset, size = file->bytes;
    uint64_t length = place.has_length ? place.length : offset <= size ? size - offset : 0;
    if (offset > size || length > size - offset)
        return cop_fail(err, COPPICE_BAD_MODEL,
                        "external data '%s': bytes %llu to %llu are wanted, the file has %llu",
                        place.location, (unsigned long long)offset,
                        (unsigned long long)(offset + length), (unsigned long long)size);
    if (bytes != SIZE_MAX && (place.has_length ? length != bytes : length < bytes))
        return cop_fail(err, COPPICE_BAD_MODEL,
                        "its dims want %zu bytes, external data '%s' has %llu", bytes,
                        place.location, (unsigned long long)length);
    *found = bytes == SIZE_MAX ? (size_t)length : bytes;
    *data = *found ? file->data + offset : NULL;
    return COPPICE_OK;
}

static int by_address(const void *a, const void *b) {
    const cop_constant *const *x = a, *const *y = b;
    uintptr_t left = (uintptr_t)(*x)->tensor.data, right = (uintptr_t)(*y)->tensor.data;
    return (left > right) - (left < right);
}

/* Lists the constants of data files; returns how many there are. `list` may be NULL. */
static size_t list_external(const coppice_model *model, cop_constant **list) {
    size_t count = 0;
    for (cop_origin *origin = model->constants; origin; origin = origin->next) {
        if (!origin->constant->external || !origin->constant->tensor.data)
            continue;
        if (list)
            list[count] = origin->constant;
        count++;
    }
    return count;
}

coppice_status cop_external_find_overlaps(coppice_model *model, coppice_error *err) {
    size_t count = list_external(model, NULL);
    cop_constant **list = cop_calloc(count + 1, sizeof *list);
    if (!list)
        return cop_fail_memory(err, count * sizeof *list);
    list_external(model, list);
    qsort(list, count, sizeof *list, by_address);
    cop_constant *farthest = NULL; /* of those so far, the one that ends last */
    uintptr_t farthest_end = 0;
    for (size_t i = 0; i < count; i++) {
        uintptr_t start = (uintptr_t)list[i]->tensor.data;
        if (start < farthest_end)
            list[i]->mapped = farthest->mapped = false;
        if (start + list[i]->bytes > farthest_end) {
            farthest = list[i];
            farthest_end = start + list[i]->bytes;
        }
    }
    cop_free(list);
    return COPPICE_OK;
}
