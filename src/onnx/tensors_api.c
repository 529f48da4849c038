/* Initializers and Constant nodes for callers: names, shapes, elements; values of another model. */
#include <coppice/model.h>

#include <math.h>
#include <string.h>

#include "base/shape.h"
#include "graph/model.h"
#include "onnx/internal.h"

size_t coppice_model_tensor_count(const coppice_model *model) {
    return model->tensors.count;
}

const char *coppice_model_tensor_name(const coppice_model *model, size_t index) {
    return model->tensors.items[index]->key;
}

int64_t coppice_model_tensor_find(const coppice_model *model, const char *name) {
    return cop_map_get(&model->tensors.index, name, -1);
}

coppice_tensor coppice_model_tensor_info(const coppice_model *model, size_t index) {
    coppice_tensor info = model->tensors.items[index]->tensor;
    info.data = NULL;
    return info;
}

static coppice_status check_elements(const coppice_model *model, const cop_constant *constant,
                                     coppice_error *err) {
    if (coppice_type_bits(constant->tensor.type))
        return COPPICE_OK;
    return cop_fail(err, COPPICE_UNSUPPORTED,
                    "%s: tensor '%s' is %s: its elements cannot be read or written", model->path,
                    constant->key,
                    constant->tensor.type == COPPICE_TYPE_STRING
                        ? "of strings"
                        : "of a type or rank that coppice does not compute with");
}

coppice_status coppice_model_tensor_read(const coppice_model *model, size_t index, void *data,
                                         coppice_error *error) {
    const cop_constant *constant = model->tensors.items[index];
    COP_TRY(check_elements(model, constant, error));
    if (constant->bytes)
        memcpy(data, constant->tensor.data, constant->bytes);
    return COPPICE_OK;
}

/* Equal bytes are not written again: the pages of a mapped file stay shared. */
static void assign(cop_constant *constant, const void *data) {
    if (!constant->bytes || memcmp(constant->tensor.data, data, constant->bytes) == 0)
        return;
    memcpy(constant->tensor.data, data, constant->bytes);
    constant->dirty = true;
}

coppice_status coppice_model_tensor_write(coppice_model *model, size_t index, const void *data,
                                          coppice_error *error) {
    cop_constant *constant = model->tensors.items[index];
    COP_TRY(check_elements(model, constant, error));
    assign(constant, data);
    return COPPICE_OK;
}

/* ---- values of another model ---- */

static bool is_float(coppice_type type) {
    static const coppice_type floats[] = {COPPICE_TYPE_FLOAT,        COPPICE_TYPE_FLOAT16,
                                          COPPICE_TYPE_BFLOAT16,     COPPICE_TYPE_DOUBLE,
                                          COPPICE_TYPE_FLOAT8E4M3FN, COPPICE_TYPE_FLOAT8E4M3FNUZ,
                                          COPPICE_TYPE_FLOAT8E5M2,   COPPICE_TYPE_FLOAT8E5M2FNUZ,
                                          COPPICE_TYPE_FLOAT4E2M1,   COPPICE_TYPE_FLOAT8E8M0};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        if (floats[i] == type)
            return true;
    }
    return false;
}

static bool is_initializer(const cop_constant *constant) {
    return ((const cop_origin *)constant->origin)->graph != NULL;
}

/* The tensor of `from` that `constant` takes its values from; NULL: it keeps its own. What an
 * initializer needs is checked before; a Constant node changes where both models have it alike. */
static const cop_constant *source_of(const cop_constant *constant, const coppice_model *from) {
    const cop_constant *source = cop_constants_find(&from->tensors, constant->key);
    bool fits = is_float(constant->tensor.type) && source &&
                source->tensor.type == constant->tensor.type &&
                cop_same_shape(&source->tensor, &constant->tensor);
    return fits ? source : NULL;
}

static coppice_status check_form(const coppice_model *model, const cop_constant *constant,
                                 const coppice_model *from, coppice_error *err) {
    const coppice_tensor *expected = &constant->tensor;
    const cop_constant *source = cop_constants_find(&from->tensors, constant->key);
    if (!source)
        return cop_fail(err, COPPICE_BAD_DATA,
                        "%s: initializer '%s' of %s is missing: write every weight back under its "
                        "old name",
                        from->path, constant->key, model->path);
    if (source->tensor.type != expected->type)
        return cop_fail(err, COPPICE_BAD_DATA,
                        "%s: initializer '%s' is %s, expected %s: write weights in the type they "
                        "had",
                        from->path, constant->key, coppice_type_name(source->tensor.type),
                        coppice_type_name(expected->type));
    if (!cop_same_shape(&source->tensor, expected))
        return cop_fail(err, COPPICE_BAD_DATA,
                        "%s: initializer '%s' has shape %s, expected %s: write weights in the "
                        "shape they had",
                        from->path, constant->key, cop_shape_text(&source->tensor).s,
                        cop_shape_text(expected).s);
    return COPPICE_OK;
}

/* A quick look: true when all of `count` floats are finite. */
static bool all_finite(const unsigned char *data, int64_t count) {
    uint32_t worst = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, data + (size_t)i * sizeof bits, sizeof bits);
        bits &= 0x7f800000u;
        worst = bits > worst ? bits : worst;
    }
    return worst < 0x7f800000u;
}

/* Refuses a NaN or an infinity that was not there before. */
static coppice_status check_values(const coppice_model *from, const cop_constant *constant,
                                   const cop_constant *source, coppice_error *err) {
    int64_t count = constant->bytes ? coppice_tensor_count(&constant->tensor) : 0;
    if (constant->tensor.type == COPPICE_TYPE_FLOAT && all_finite(source->tensor.data, count))
        return COPPICE_OK;
    for (int64_t i = 0; i < count; i++) {
        double value = cop_tensor_get(&source->tensor, i);
        if (isfinite(value))
            continue;
        double before = cop_tensor_get(&constant->tensor, i);
        if (isnan(value) ? isnan(before) : value == before)
            continue;
        return cop_fail(err, COPPICE_BAD_DATA,
                        "%s: initializer '%s': element %lld is %s and was %g: the training "
                        "diverged, try a smaller learning rate",
                        from->path, constant->key, (long long)i, isnan(value) ? "NaN" : "infinite",
                        before);
    }
    return COPPICE_OK;
}

static coppice_status check_tensors(const coppice_model *model, const coppice_model *from,
                                    coppice_error *err) {
    for (size_t i = 0; i < model->tensors.count; i++) {
        const cop_constant *constant = model->tensors.items[i];
        if (is_float(constant->tensor.type) && is_initializer(constant))
            COP_TRY(check_form(model, constant, from, err));
        const cop_constant *source = source_of(constant, from);
        if (source)
            COP_TRY(check_values(from, constant, source, err));
    }
    for (size_t i = 0; i < from->tensors.count; i++) {
        const cop_constant *source = from->tensors.items[i];
        if (is_float(source->tensor.type) && is_initializer(source) &&
            !cop_constants_find(&model->tensors, source->key))
            return cop_fail(err, COPPICE_BAD_DATA,
                            "%s: initializer '%s' is new, %s has none of this name: change values "
                            "of weights only",
                            from->path, source->key, model->path);
    }
    return COPPICE_OK;
}

coppice_status coppice_model_copy_tensors(coppice_model *model, const coppice_model *from,
                                          coppice_error *error) {
    coppice_status status = check_tensors(model, from, error);
    if (status != COPPICE_OK) {
        cop_error_locate(error, from->path, NULL, -1);
        return status;
    }
    for (size_t i = 0; i < model->tensors.count; i++) {
        const cop_constant *source = source_of(model->tensors.items[i], from);
        if (source)
            assign(model->tensors.items[i], source->tensor.data);
    }
    return COPPICE_OK;
}
