/* Made-up inputs for measuring: shapes from the model's declarations and options, and data. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <coppice/bench.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/shape.h"
#include "data/convert.h"
#include "graph/model.h"

/* ---- shapes ---- */

static const coppice_input_shape *find_shape(const coppice_shape_options *options,
                                             const char *name) {
    for (size_t i = options->shape_count; i-- > 0;) {
        if (strcmp(options->shapes[i].name, name) == 0)
            return &options->shapes[i];
    }
    return NULL;
}

static const coppice_dim_value *find_dim(const coppice_shape_options *options, const char *symbol) {
    for (size_t i = options->dim_count; symbol && i-- > 0;) {
        if (strcmp(options->dims[i].symbol, symbol) == 0)
            return &options->dims[i];
    }
    return NULL;
}

/* The shape that the caller gave, checked against what the model declares. */
static coppice_status apply_shape(const coppice_value_info *info, const coppice_input_shape *shape,
                                  coppice_tensor *tensor, coppice_error *err) {
    bool fits = info->rank < 0 || shape->rank == (uint32_t)info->rank;
    for (int i = 0; fits && i < info->rank; i++)
        fits = info->dims[i] < 0 || info->dims[i] == shape->dims[i];
    if (!fits)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "the shape given for input '%s' does not fit what the model declares, %s",
                        info->name, cop_declared_text(info->rank, info->dims, info->symbols).s);
    tensor->rank = shape->rank;
    memcpy(tensor->dims, shape->dims, shape->rank * sizeof *shape->dims);
    return COPPICE_OK;
}

/* What `batch` sets: a name of a dimension, or every free first dimension. */
typedef struct batch_rule {
    int64_t size; /* 0: none */
    const char *symbol;
    bool every_first;
} batch_rule;

static coppice_status make_batch_rule(const coppice_model *model,
                                      const coppice_shape_options *options, batch_rule *rule,
                                      coppice_error *err) {
    *rule = (batch_rule){0};
    if (options->batch == 0)
        return COPPICE_OK;
    if (options->batch < 0)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "the batch must be at least 1, not %lld",
                        (long long)options->batch);
    if (coppice_model_input_count(model) == 0)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "the model has no inputs, so there is no batch to set");
    coppice_value_info first = coppice_model_input(model, 0);
    if (first.rank < 1)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "input '%s' has no declared first dimension to set to %lld: give its shape",
                        first.name, (long long)options->batch);
    if (first.dims[0] >= 0 && first.dims[0] != options->batch)
        return cop_fail(
            err, COPPICE_INVALID_ARGUMENT,
            "a batch of %lld does not fit: the model fixes the first dimension of input '%s' to "
            "%lld (export it with a dynamic batch)",
            (long long)options->batch, first.name, (long long)first.dims[0]);
    rule->size = options->batch;
    rule->symbol = first.dims[0] < 0 ? first.symbols[0] : NULL;
    rule->every_first = first.dims[0] < 0 && !first.symbols[0];
    return COPPICE_OK;
}

static int64_t free_dim(const coppice_value_info *info, int axis,
                        const coppice_shape_options *options, const batch_rule *batch) {
    const coppice_dim_value *named = find_dim(options, info->symbols[axis]);
    if (named)
        return named->size;
    if (batch->symbol && info->symbols[axis] && strcmp(batch->symbol, info->symbols[axis]) == 0)
        return batch->size;
    return batch->every_first && axis == 0 ? batch->size : 1;
}

static coppice_status input_shape(const coppice_value_info *info,
                                  const coppice_shape_options *options, const batch_rule *batch,
                                  coppice_tensor *tensor, coppice_error *err) {
    *tensor = (coppice_tensor){.type = info->type};
    if (info->type == COPPICE_TYPE_UNDEFINED)
        return cop_fail(err, COPPICE_UNSUPPORTED, "input '%s' is not a tensor", info->name);
    const coppice_input_shape *shape = find_shape(options, info->name);
    if (shape)
        return apply_shape(info, shape, tensor, err);
    if (info->rank < 0)
        return cop_fail(err, COPPICE_UNSUPPORTED,
                        "the model does not declare the shape of input '%s': give it", info->name);
    tensor->rank = (uint32_t)info->rank;
    for (int i = 0; i < info->rank; i++)
        tensor->dims[i] = info->dims[i] >= 0 ? info->dims[i] : free_dim(info, i, options, batch);
    return COPPICE_OK;
}

/* The inputs, or the names of the free dimensions, as "a, b". */
static void list_names(const coppice_model *model, bool symbols, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < coppice_model_input_count(model); i++) {
        coppice_value_info info = coppice_model_input(model, i);
        for (int d = 0; d < (symbols ? info.rank : 1); d++) {
            const char *name = symbols ? info.symbols[d] : info.name;
            if (!name || used >= size || (symbols && strstr(text, name)))
                continue;
            int n = snprintf(text + used, size - used, "%s%s", used ? ", " : "", name);
            used += n > 0 ? (size_t)n : 0;
        }
    }
}

static bool model_has_input(const coppice_model *model, const char *name) {
    for (size_t i = 0; i < coppice_model_input_count(model); i++) {
        if (strcmp(coppice_model_input(model, i).name, name) == 0)
            return true;
    }
    return false;
}

static bool model_has_symbol(const coppice_model *model, const char *symbol) {
    for (size_t i = 0; i < coppice_model_input_count(model); i++) {
        coppice_value_info info = coppice_model_input(model, i);
        for (int d = 0; d < info.rank; d++) {
            if (info.dims[d] < 0 && info.symbols[d] && strcmp(info.symbols[d], symbol) == 0)
                return true;
        }
    }
    return false;
}

/* Every name in the options must mean something: a misspelled one would silently do nothing. */
static coppice_status check_names(const coppice_model *model, const coppice_shape_options *options,
                                  coppice_error *err) {
    char names[512];
    for (size_t i = 0; i < options->shape_count; i++) {
        if (model_has_input(model, options->shapes[i].name))
            continue;
        list_names(model, false, names, sizeof names);
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "the model has no input '%s' (it has: %s)",
                        options->shapes[i].name, names);
    }
    for (size_t i = 0; i < options->dim_count; i++) {
        if (options->dims[i].size < 0)
            return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                            "dimension '%s' cannot be negative (%lld)", options->dims[i].symbol,
                            (long long)options->dims[i].size);
        if (model_has_symbol(model, options->dims[i].symbol))
            continue;
        list_names(model, true, names, sizeof names);
        return cop_fail(
            err, COPPICE_INVALID_ARGUMENT, "the model's inputs have no free dimension '%s' (%s%s)",
            options->dims[i].symbol, names[0] ? "they have: " : "they have none", names);
    }
    return COPPICE_OK;
}

static coppice_status input_shapes(const coppice_model *model, const coppice_shape_options *options,
                                   coppice_tensor *tensors, coppice_error *err) {
    batch_rule batch;
    COP_TRY(check_names(model, options, err));
    COP_TRY(make_batch_rule(model, options, &batch, err));
    for (size_t i = 0; i < coppice_model_input_count(model); i++) {
        coppice_value_info info = coppice_model_input(model, i);
        COP_TRY(input_shape(&info, options, &batch, &tensors[i], err));
        if (coppice_tensor_count(&tensors[i]) < 0)
            return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                            "the shape of input '%s' is negative or too large", info.name);
    }
    return COPPICE_OK;
}

coppice_status coppice_model_input_shapes(const coppice_model *model,
                                          const coppice_shape_options *options,
                                          coppice_tensor *tensors, coppice_error *error) {
    static const coppice_shape_options defaults;
    coppice_status status = input_shapes(model, options ? options : &defaults, tensors, error);
    if (status != COPPICE_OK) {
        cop_error_prefix(error, "%s", cop_model_path(model));
        cop_error_locate(error, cop_model_path(model), NULL, -1);
    }
    return status;
}

/* ---- data ---- */

static void fill_normal(coppice_tensor *tensor, int64_t count, uint64_t seed) {
    enum { BLOCK = 256 };
    float block[BLOCK];
    char *out = tensor->data;
    size_t element = coppice_type_bits(tensor->type) / 8;
    for (int64_t done = 0; done < count; done += BLOCK) {
        int64_t n = count - done < BLOCK ? count - done : BLOCK;
        cop_random_normal(block, BLOCK, &seed);
        cop_store_floats(tensor->type, block, n, out + (size_t)done * element);
    }
}

static void fill_ones(coppice_tensor *tensor, int64_t count) {
    static const float one = 1;
    size_t element = coppice_type_bits(tensor->type) / 8;
    char value[8] = {1}; /* integers and bool, little-endian */
    if (cop_is_numpy_float(tensor->type))
        cop_store_floats(tensor->type, &one, 1, value);
    for (int64_t i = 0; i < count; i++)
        memcpy((char *)tensor->data + (size_t)i * element, value, element);
}

static bool is_mask(const char *name) {
    return name && strcasestr(name, "mask") != NULL;
}

coppice_status coppice_input_fill(const char *name, uint64_t seed, coppice_tensor *tensor,
                                  coppice_error *error) {
    tensor->data = NULL;
    if (!cop_is_numpy_float(tensor->type) && !cop_is_numpy_integer(tensor->type))
        return cop_fail(error, COPPICE_UNSUPPORTED, "input '%s': cannot make data of type %s",
                        name ? name : "", coppice_type_name(tensor->type));
    int64_t count = coppice_tensor_count(tensor), bytes = coppice_tensor_bytes(tensor);
    if (count < 0 || bytes < 0)
        return cop_fail(error, COPPICE_LIMIT, "input '%s' is too large", name ? name : "");
    tensor->data = cop_calloc(1, bytes > 0 ? (size_t)bytes : 1);
    if (!tensor->data)
        return cop_fail_memory(error, (size_t)bytes);
    if (is_mask(name))
        fill_ones(tensor, count);
    else if (cop_is_numpy_float(tensor->type))
        fill_normal(tensor, count, seed);
    return COPPICE_OK;
}
