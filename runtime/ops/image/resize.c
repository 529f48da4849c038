/* Resize and Upsample: attributes and shapes. */
#include <math.h>
#include <string.h>

#include "runtime/ops/image/resample.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

typedef enum keep_policy { KEEP_STRETCH, KEEP_NOT_LARGER, KEEP_NOT_SMALLER } keep_policy;

typedef struct resize_params {
    cop_resample_rule rule;
    keep_policy policy;
    int axis_count; /* -1: all */
    int64_t axes[COPPICE_MAX_RANK];
} resize_params;

/* Which of `names` the string attribute has. */
static coppice_status parse_choice(const cop_call *call, const char *attr, const char *const *names,
                                   int count, int *out) {
    const char *text;
    COP_TRY(cop_node_string(call->node, attr, names[0], &text, call->err));
    for (*out = 0; *out < count; ++*out) {
        if (!strcmp(text, names[*out]))
            return COPPICE_OK;
    }
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "attribute '%s' is '%s', which is none of the "
                    "%d choices ('%s', ...)",
                    attr, text, count, names[0]);
}

#define CHOICES(names) names, (int)(sizeof names / sizeof names[0])

static coppice_status parse_mode(const cop_call *call, cop_resample_rule *rule) {
    static const char *const modes[] = {"nearest", "linear", "cubic", "bilinear"};
    int mode;
    COP_TRY(parse_choice(call, "mode", CHOICES(modes), &mode));
    rule->mode = mode == 3 ? COP_RESAMPLE_LINEAR : (cop_resample_mode)mode;
    if (mode != 2 || call->opset >= 11)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "mode 'cubic' is there from opset 11 on");
}

static coppice_status parse_rule(const cop_call *call, cop_resample_rule *rule) {
    static const char *const coordinates[] = {
        "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
        "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize"};
    static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
                                            "ceil"};
    int coordinate, rounding;
    float a, extrapolation;
    COP_TRY(
        parse_choice(call, "coordinate_transformation_mode", CHOICES(coordinates), &coordinate));
    COP_TRY(parse_choice(call, "nearest_mode", CHOICES(roundings), &rounding));
    COP_TRY(cop_node_float(call->node, "cubic_coeff_a", -0.75f, &a, call->err));
    COP_TRY(cop_node_float(call->node, "extrapolation_value", 0, &extrapolation, call->err));
    COP_TRY(cop_attr_bool(call, "exclude_outside", false, &rule->exclude_outside));
    rule->coordinates = (cop_resample_coordinates)coordinate;
    rule->rounding = (cop_resample_rounding)rounding;
    rule->cubic_a = (double)a;
    rule->extrapolation = (double)extrapolation;
    return COPPICE_OK;
}

static coppice_status resize_parse(const cop_call *call, void *params) {
    static const char *const policies[] = {"stretch", "not_larger", "not_smaller"};
    resize_params *p = params;
    int policy;
    p->axis_count = -1;
    p->rule = (cop_resample_rule){.coordinates = COP_COORDINATES_ASYMMETRIC,
                                  .rounding = COP_ROUND_SIMPLE};
    COP_TRY(parse_mode(call, &p->rule));
    if (call->opset < 11)
        return COPPICE_OK;
    COP_TRY(parse_rule(call, &p->rule));
    if (call->opset < 18)
        return COPPICE_OK;
    COP_TRY(parse_choice(call, "keep_aspect_ratio_policy", CHOICES(policies), &policy));
    p->policy = (keep_policy)policy;
    COP_TRY(cop_attr_bool(call, "antialias", false, &p->rule.antialias));
    return cop_attr_ints(call, "axes", p->axes, COPPICE_MAX_RANK, &p->axis_count);
}

/* ---- sizes and scales ---- */

/* Numbers of a floating-point input; *count -1: left out or empty. */
static coppice_status input_numbers(const cop_call *call, int i, double *out, int max, int *count) {
    const coppice_tensor *t = cop_in(call, i);
    *count = -1;
    if (!t || coppice_tensor_count(t) == 0)
        return COPPICE_OK;
    COP_TRY(cop_need_data(call, i));
    if (t->rank != 1 || t->dims[0] > max || !cop_is_float_type(t->type))
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "input %d ('%s') is %s %s, expected at most %d float numbers", i,
                        cop_in_name(call, i), coppice_type_name(t->type), cop_shape_text(t).s, max);
    *count = (int)t->dims[0];
    for (int k = 0; k < *count; k++)
        out[k] = cop_tensor_get(t, k);
    return COPPICE_OK;
}

/* The axes that are resampled, as given; *count of them. */
static coppice_status list_axes(const cop_call *call, int *list, int *count) {
    const resize_params *p = call->params;
    uint32_t rank = cop_in(call, 0)->rank;
    bool on[COPPICE_MAX_RANK];
    *count = p->axis_count < 0 ? (int)rank : p->axis_count;
    if (p->axis_count >= 0)
        COP_TRY(cop_axis_set(call, p->axes, p->axis_count, rank, on));
    for (int i = 0; i < *count; i++) {
        list[i] = i;
        if (p->axis_count >= 0)
            COP_TRY(cop_axis(call, p->axes[i], rank, &list[i]));
    }
    return COPPICE_OK;
}

/* Sizes are whole numbers of elements, so that a scale of nearly a ratio of two sizes means it. */
static coppice_status scale_axis(const cop_call *call, cop_resample_axis *a, double scale) {
    if (!isfinite(scale) || scale <= 0)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "a scale of %g, expected more than 0", scale);
    double exact = scale * (double)a->in, out = floor((double)((float)scale * (float)a->in));
    if (fabs(exact - nearbyint(exact)) < 1e-6 * exact)
        out = nearbyint(exact);
    if (out > 1e15)
        return cop_fail(call->err, COPPICE_LIMIT, "a scale of %g for %lld elements", scale,
                        (long long)a->in);
    a->out = (int64_t)out;
    bool ratio = a->out > 0 && fabs(exact - out) < 1e-6 * exact;
    a->numerator = ratio ? out : scale;
    a->denominator = ratio ? (double)a->in : 1;
    return COPPICE_OK;
}

static coppice_status size_axis(const cop_call *call, cop_resample_axis *a, int64_t size) {
    if (size < 0 || size > (int64_t)1 << 50 || (size > 0 && a->in == 0))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "a size of %lld for %lld elements",
                        (long long)size, (long long)a->in);
    a->out = size;
    a->numerator = (double)size;
    a->denominator = (double)a->in;
    if (size == 0)
        a->numerator = a->denominator = 1;
    return COPPICE_OK;
}

/* The same scale for all axes: the smallest or the largest of those that the sizes ask for. */
static void keep_ratio(keep_policy policy, cop_resample_axis *axes, const int *list, int count) {
    const cop_resample_axis *best = &axes[list[0]];
    for (int i = 1; i < count; i++) {
        const cop_resample_axis *a = &axes[list[i]];
        double left = a->numerator * best->denominator, right = best->numerator * a->denominator;
        if (policy == KEEP_NOT_LARGER ? left < right : left > right)
            best = a;
    }
    double numerator = best->numerator, denominator = best->denominator;
    for (int i = 0; i < count; i++) {
        cop_resample_axis *a = &axes[list[i]];
        a->out = (int64_t)floor((double)a->in * numerator / denominator + 0.5);
        a->numerator = numerator;
        a->denominator = denominator;
    }
}

/* Scales of Upsample until opset 8: attributes, first of height and width alone. */
static coppice_status attribute_scales(const cop_call *call, double *scales, int *count) {
    float height, width;
    if (call->opset < 7) {
        COP_TRY(cop_node_float(call->node, "height_scale", 0, &height, call->err));
        COP_TRY(cop_node_float(call->node, "width_scale", 0, &width, call->err));
        scales[0] = scales[1] = 1;
        scales[2] = (double)height;
        scales[3] = (double)width;
        *count = 4;
        return COPPICE_OK;
    }
    const cop_attr *attr = cop_node_attr(call->node, "scales");
    if (!attr || attr->kind != COP_ATTR_FLOATS || attr->count > COPPICE_MAX_RANK)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "attribute 'scales' is no list of at most %d floats", COPPICE_MAX_RANK);
    for (size_t i = 0; i < attr->count; i++)
        scales[i] = (double)attr->floats[i];
    *count = (int)attr->count;
    return COPPICE_OK;
}

/* What is asked for: scales, else sizes; *..._count is -1 for what is not given. */
static coppice_status read_wishes(const cop_call *call, double *scales, int *scale_count,
                                  int64_t *sizes, int *size_count) {
    *size_count = *scale_count = -1;
    if (!strcmp(call->node->op, "Upsample") && call->opset < 9)
        return attribute_scales(call, scales, scale_count);
    if (call->opset < 11)
        return input_numbers(call, 1, scales, COPPICE_MAX_RANK, scale_count);
    COP_TRY(input_numbers(call, 2, scales, COPPICE_MAX_RANK, scale_count));
    COP_TRY(cop_input_ints(call, 3, sizes, COPPICE_MAX_RANK, size_count));
    if (*size_count == 0)
        *size_count = -1;
    return COPPICE_OK;
}

static coppice_status plan_resize(const cop_call *call, cop_resample_axis *axes) {
    const resize_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    double scales[COPPICE_MAX_RANK];
    int64_t sizes[COPPICE_MAX_RANK];
    int list[COPPICE_MAX_RANK], count, scale_count, size_count;
    COP_TRY(list_axes(call, list, &count));
    COP_TRY(read_wishes(call, scales, &scale_count, sizes, &size_count));
    for (uint32_t d = 0; d < x->rank; d++)
        axes[d] = (cop_resample_axis){x->dims[d], x->dims[d], 1, 1, 0, 1};
    if (count == 0 && scale_count <= 0 && size_count <= 0)
        return COPPICE_OK;
    if ((scale_count < 0) == (size_count < 0))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "%s scales and sizes are given",
                        scale_count < 0 ? "neither" : "both");
    if (scale_count + size_count + 1 != count)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "%d %s for %d axes",
                        scale_count + size_count + 1, scale_count < 0 ? "sizes" : "scales", count);
    for (int i = 0; i < count; i++) {
        if (scale_count >= 0)
            COP_TRY(scale_axis(call, &axes[list[i]], scales[i]));
        else
            COP_TRY(size_axis(call, &axes[list[i]], sizes[i]));
    }
    if (size_count >= 0 && p->policy != KEEP_STRETCH)
        keep_ratio(p->policy, axes, list, count);
    return COPPICE_OK;
}

/* Sets the part of each axis that tf_crop_and_resize takes: all starts, then all ends. */
static coppice_status read_roi(const cop_call *call, cop_resample_axis *axes) {
    double roi[2 * COPPICE_MAX_RANK];
    int list[COPPICE_MAX_RANK], count, given;
    COP_TRY(list_axes(call, list, &count));
    COP_TRY(input_numbers(call, 1, roi, 2 * COPPICE_MAX_RANK, &given));
    if (given != 2 * count)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "input 'roi' has %d numbers, tf_crop_and_resize of %d axes wants %d",
                        given < 0 ? 0 : given, count, 2 * count);
    for (int i = 0; i < count; i++) {
        axes[list[i]].begin = roi[i];
        axes[list[i]].end = roi[count + i];
        if (!isfinite(roi[i]) || !isfinite(roi[count + i]))
            return cop_fail(call->err, COPPICE_BAD_MODEL, "input 'roi' holds no finite number");
    }
    return COPPICE_OK;
}

static coppice_status resize_infer(cop_call *call) {
    const resize_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    cop_resample_axis axes[COPPICE_MAX_RANK];
    int64_t dims[COPPICE_MAX_RANK];
    if (p->rule.mode != COP_RESAMPLE_NEAREST || !cop_type_bytes(x->type))
        COP_TRY(cop_need_type(call, 0, NUMBERS));
    COP_TRY(plan_resize(call, axes));
    for (uint32_t d = 0; d < x->rank; d++)
        dims[d] = axes[d].out;
    cop_set_out(call, 0, x->type, x->rank, dims);
    return COPPICE_OK;
}

static coppice_status resize_run(const cop_call *call) {
    const resize_params *p = call->params;
    cop_resample_axis axes[COPPICE_MAX_RANK];
    COP_TRY(plan_resize(call, axes));
    if (p->rule.coordinates == COP_COORDINATES_TF_CROP_AND_RESIZE)
        COP_TRY(read_roi(call, axes));
    return cop_resample(&p->rule, axes, call->in[0], &call->out[0], call->scratch, call->pool,
                        call->err);
}

static size_t resize_scratch(const cop_call *call) {
    const resize_params *p = call->params;
    return cop_resample_scratch(&p->rule, cop_in(call, 0), cop_out(call, 0));
}

/* ---- rows of the operator table ---- */

/* Tables along the axes want strides. */
static unsigned resize_layouts(const cop_call *call) {
    unsigned tiles = 1u << COP_LAYOUT_TILES | 1u << COP_LAYOUT_TOKEN_TILES;
    return cop_elementwise_layouts(call) & ~tiles;
}

#define RESIZE                                                                                     \
    PARSE(resize, resize_params), INFER(resize), RUN(resize), .scratch = resize_scratch,           \
                                                              .layouts = resize_layouts

/* clang-format off */
const cop_op cop_ops_resize[] = {
    {.name = "Resize", .since = 10, .until = 10, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1, RESIZE},
    {.name = "Resize", .since = 11, .min_inputs = 1, .max_inputs = 4, .max_outputs = 1, RESIZE},
    {.name = "Upsample", .since = 1, .until = 8, ONE_TO_ONE, RESIZE},
    {.name = "Upsample", .since = 9, .until = 9, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1, RESIZE},
    {.name = NULL},
};
/* clang-format on */
