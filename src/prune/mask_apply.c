/* Applying masks: zeros are written into the weights that they are named after. */
#include <string.h>

#include "base/error.h"
#include "base/shape.h"
#include "base/type.h"
#include "graph/mask.h"
#include "graph/model.h"

/* Elements have at most 8 bytes; the sign is the highest bit of the last one. */
static bool is_zero(const unsigned char *element, size_t width) {
    unsigned char any = element[width - 1] & 0x7f;
    for (size_t i = 0; i + 1 < width; i++)
        any |= element[i];
    return any == 0;
}

/* Writes +0.0 where the mask prunes; returns how many of these weights were not zero. */
static int64_t apply(cop_constant *constant, const cop_mask *mask) {
    size_t width = coppice_type_bits(constant->tensor.type) / 8;
    unsigned char *data = constant->tensor.data;
    int64_t violations = 0;
    for (int64_t i = 0; i < mask->count; i++) {
        if (cop_mask_keeps(mask, i))
            continue;
        violations += !is_zero(data + (size_t)i * width, width);
        memset(data + (size_t)i * width, 0, width);
    }
    constant->dirty |= mask->zeros > 0;
    return violations;
}

static coppice_status check(const cop_mask *mask, const cop_constants *constants,
                            coppice_error *err) {
    const cop_constant *constant = cop_constants_find(constants, mask->name);
    if (!constant)
        return cop_fail(err, COPPICE_NOT_FOUND,
                        "mask '%s': the model has no initializer of this name", mask->name);
    const coppice_tensor *tensor = &constant->tensor;
    if (!cop_is_float_type(tensor->type))
        return cop_fail(err, COPPICE_UNSUPPORTED, "mask '%s': the initializer is %s, no float type",
                        mask->name, coppice_type_name(tensor->type));
    if (!cop_mask_fits(mask, tensor))
        return cop_fail(err, COPPICE_BAD_DATA, "mask '%s' has the shape %s, the initializer %s",
                        mask->name, cop_declared_text((int)mask->rank, mask->dims, NULL).s,
                        cop_declared_text((int)tensor->rank, tensor->dims, NULL).s);
    return COPPICE_OK;
}

coppice_status coppice_masks_apply(const coppice_masks *masks, coppice_model *model,
                                   int64_t *violations, coppice_error *error) {
    const cop_constants *constants = cop_model_constants(model);
    int64_t sum = 0;
    for (size_t i = 0; i < masks->count; i++) {
        coppice_status status = check(&masks->items[i], constants, error);
        if (status != COPPICE_OK) {
            cop_error_locate(error, cop_model_path(model), masks->items[i].name, -1);
            return status;
        }
    }
    for (size_t i = 0; i < masks->count; i++)
        sum += apply(cop_constants_find(constants, masks->items[i].name), &masks->items[i]);
    if (violations)
        *violations = sum;
    return COPPICE_OK;
}
