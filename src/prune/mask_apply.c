/* Applying masks: zeros are written into the weights that they are named after. */
#include <string.h>

#include "base/error.h"
#include "base/shape.h"
#include "base/type.h"
#include "graph/mask.h"
#include "graph/model.h"
#include "graph/quantized.h"

/* How many of up to 64 elements are pruned but not zero. -0.0 is zero: the sign is shifted out. */
#define COUNT_VIOLATIONS(name, type)                                                               \
    static int64_t name(const unsigned char *data, uint64_t kept, int64_t n) {                     \
        int64_t sum = 0;                                                                           \
        for (int64_t i = 0; i < n; i++) {                                                          \
            type bits;                                                                             \
            memcpy(&bits, data + (size_t)i * sizeof bits, sizeof bits);                            \
            sum += (~kept >> i & 1) & ((type)(bits << 1) != 0);                                    \
        }                                                                                          \
        return sum;                                                                                \
    }

COUNT_VIOLATIONS(count_2_bytes, uint16_t)
COUNT_VIOLATIONS(count_4_bytes, uint32_t)
COUNT_VIOLATIONS(count_8_bytes, uint64_t)

static int64_t apply_quantised(cop_constant *constant, const cop_mask *mask) {
    int64_t violations = 0;
    for (int64_t i = 0; i < mask->count; i++)
        violations += !cop_mask_keeps(mask, i) &&
                      cop_tensor_get(&constant->tensor, i) != (double)constant->quantized->zero;
    cop_mask_copy(mask, constant, 0, mask->count, constant->tensor.data, constant->tensor.data);
    return violations;
}

/* Writes zeros where the mask prunes; returns how many of these weights were not zero. */
static int64_t apply_floats(cop_constant *constant, const cop_mask *mask) {
    enum { WORD = 64 };
    size_t width = coppice_type_bits(constant->tensor.type) / 8;
    int64_t (*count)(const unsigned char *, uint64_t, int64_t) = width == 2   ? count_2_bytes
                                                                 : width == 4 ? count_4_bytes
                                                                              : count_8_bytes;
    int64_t violations = 0;
    for (int64_t i = 0; i < mask->count; i += WORD) {
        unsigned char *at = (unsigned char *)constant->tensor.data + (size_t)i * width;
        int64_t n = mask->count - i < WORD ? mask->count - i : WORD;
        violations += count(at, mask->kept[i / WORD], n);
        cop_mask_copy(mask, constant, i, n, at, at);
    }
    return violations;
}

static int64_t apply(cop_constant *constant, const cop_mask *mask) {
    bool is_float = cop_is_float_type(constant->tensor.type);
    int64_t violations = is_float ? apply_floats(constant, mask) : apply_quantised(constant, mask);
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
    if (!cop_constant_maskable(constant))
        return cop_fail(err, COPPICE_UNSUPPORTED,
                        "mask '%s': the initializer is %s, neither of a float type nor quantized",
                        mask->name, coppice_type_name(tensor->type));
    if (!cop_mask_fits(mask, tensor))
        return cop_fail(err, COPPICE_BAD_DATA, "mask '%s' has the shape %s, the initializer %s",
                        mask->name, cop_dims_text(mask->rank, mask->dims).s,
                        cop_shape_text(tensor).s);
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
