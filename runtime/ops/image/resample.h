/* Resampling along one axis after the other: what Resize and Upsample compute with. */
#ifndef COP_RUNTIME_OPS_RESAMPLE_H
#define COP_RUNTIME_OPS_RESAMPLE_H

#include "runtime/op.h"

typedef enum cop_resample_mode {
    COP_RESAMPLE_NEAREST,
    COP_RESAMPLE_LINEAR,
    COP_RESAMPLE_CUBIC
} cop_resample_mode;

typedef enum cop_resample_coordinates {
    COP_COORDINATES_HALF_PIXEL,
    COP_COORDINATES_HALF_PIXEL_SYMMETRIC,
    COP_COORDINATES_PYTORCH_HALF_PIXEL,
    COP_COORDINATES_ALIGN_CORNERS,
    COP_COORDINATES_ASYMMETRIC,
    COP_COORDINATES_TF_HALF_PIXEL_FOR_NN,
    COP_COORDINATES_TF_CROP_AND_RESIZE
} cop_resample_coordinates;

typedef enum cop_resample_rounding {
    COP_ROUND_PREFER_FLOOR,
    COP_ROUND_PREFER_CEIL,
    COP_ROUND_FLOOR,
    COP_ROUND_CEIL,
    COP_ROUND_SIMPLE /* of opset 10 and Upsample: up when the axis shrinks, else down */
} cop_resample_rounding;

/* How positions and weights come about; the same for all axes. */
typedef struct cop_resample_rule {
    cop_resample_mode mode;
    cop_resample_coordinates coordinates;
    cop_resample_rounding rounding;
    bool antialias, exclude_outside;
    double cubic_a, extrapolation;
} cop_resample_rule;

/* One axis: the scale is numerator / denominator, so that one that follows from two sizes is exact.
 * begin and end: the part that is resampled, 0 .. 1, for TF_CROP_AND_RESIZE. */
typedef struct cop_resample_axis {
    int64_t in, out;
    double numerator, denominator, begin, end;
} cop_resample_axis;

/* Bytes that cop_resample wants for values of these shapes. */
size_t cop_resample_scratch(const cop_resample_rule *rule, const coppice_tensor *in,
                            const coppice_tensor *out);

/* Resamples `in` into `out`, both in the same layout, along each axis of `axes` (one per
 * dimension). NEAREST takes every type, the others numbers. `scratch`: as many bytes as
 * cop_resample_scratch says. Errors: LIMIT. */
coppice_status cop_resample(const cop_resample_rule *rule, const cop_resample_axis *axes,
                            const cop_operand *in, const cop_operand *out, void *scratch,
                            const coppice_threadpool *pool, coppice_error *err);

#endif
