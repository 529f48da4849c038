/* ConvTranspose: a matrix product that makes patches, and adding them up. */
#include <string.h>

#include "runtime/ops/image/patches.h"
#include "runtime/ops/matrix/product.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

typedef struct convtranspose_params {
    cop_window_params window;
    int64_t group;
    int64_t padding[COP_MAX_SPATIAL]; /* output_padding */
    int64_t shape[COP_MAX_SPATIAL];   /* output_shape */
    bool has_shape;
    uint32_t spatial; /* that the two are given for; 0: neither */
} convtranspose_params;

/* A list with one number of at least `low` per spatial dimension. A longer one of `output_shape`
 * gives batch and channels too. */
static coppice_status parse_sizes(const cop_call *call, const char *name, int64_t low,
                                  uint32_t *spatial, int64_t *out, bool *given) {
    int64_t values[COP_MAX_SPATIAL + 2];
    int count, skip;
    COP_TRY(cop_attr_ints(call, name, values, COP_MAX_SPATIAL + 2, &count));
    *given = count > 0;
    if (!*given)
        return COPPICE_OK;
    skip = count > COP_MAX_SPATIAL || (*spatial && count == (int)*spatial + 2) ? 2 : 0;
    for (int i = skip; i < count; i++) {
        out[i - skip] = values[i];
        if (values[i] < low || values[i] > INT32_MAX)
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "attribute '%s' holds %lld, expected %lld to %lld", name,
                            (long long)values[i], (long long)low, (long long)INT32_MAX);
    }
    if (*spatial && (int)*spatial != count - skip)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute '%s' has %d values, expected %u",
                        name, count, *spatial);
    *spatial = (uint32_t)(count - skip);
    return COPPICE_OK;
}

static coppice_status convtranspose_parse(const cop_call *call, void *params) {
    convtranspose_params *p = params;
    bool given;
    COP_TRY(cop_window_parse(call, &p->window));
    p->spatial = p->window.spatial;
    COP_TRY(parse_sizes(call, "output_padding", 0, &p->spatial, p->padding, &given));
    COP_TRY(parse_sizes(call, "output_shape", 1, &p->spatial, p->shape, &p->has_shape));
    COP_TRY(cop_node_int(call->node, "group", 1, &p->group, call->err));
    if (p->group >= 1 && p->group <= INT32_MAX)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'group' is %lld", (long long)p->group);
}

static coppice_status check_operands(const cop_call *call) {
    const convtranspose_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *w = cop_in(call, 1), *b = cop_in(call, 2);
    uint32_t type = 1u << x->type;
    COP_TRY(cop_need_type(call, 1, type));
    COP_TRY(cop_need_rank(call, 1, x->rank));
    if (x->rank < 3 || x->rank > 2 + COP_MAX_SPATIAL || (p->spatial && p->spatial != x->rank - 2))
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "input '%s' is %s, expected [N,C,...] with %u spatial dimensions (at most "
                        "%d)",
                        cop_in_name(call, 0), cop_shape_text(x).s, p->spatial, COP_MAX_SPATIAL);
    if (x->dims[1] != w->dims[0] || x->dims[1] % p->group)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "input '%s' is %s, the weight %s in %lld groups wants other channels",
                        cop_in_name(call, 0), cop_shape_text(x).s, cop_shape_text(w).s,
                        (long long)p->group);
    if (!b)
        return COPPICE_OK;
    COP_TRY(cop_need_type(call, 2, type));
    if (b->rank == 1 && b->dims[0] % p->group == 0 && b->dims[0] / p->group == w->dims[1])
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "the bias '%s' is %s, expected %lld in %lld groups", cop_in_name(call, 2),
                    cop_shape_text(b).s, (long long)w->dims[1], (long long)p->group);
}

/* Size and padding of the output in dimension `i`: as given, or as auto_pad has it. */
static coppice_status resolve_dim(const cop_call *call, cop_patches *g, uint32_t i) {
    const convtranspose_params *p = call->params;
    const cop_window_params *w = &p->window;
    int64_t extent = (g->kernel[i] - 1) * g->dilation[i] + 1;
    int64_t full = g->stride[i] * (g->count[i] - 1) + p->padding[i] + extent;
    bool same = w->auto_pad == COP_PAD_SAME_UPPER || w->auto_pad == COP_PAD_SAME_LOWER;
    if (!p->has_shape && !same) {
        bool padded = w->auto_pad == COP_PAD_NOTSET;
        g->begin[i] = padded ? w->pad_begin[i] : 0;
        g->image[i] = full - g->begin[i] - (padded ? w->pad_end[i] : 0);
    } else {
        g->image[i] = p->has_shape ? p->shape[i] : g->count[i] * g->stride[i];
        int64_t total = full - g->image[i];
        total = total > 0 ? total : 0;
        g->begin[i] = w->auto_pad == COP_PAD_SAME_UPPER ? total / 2 : total - total / 2;
    }
    if (g->image[i] >= 1 && g->image[i] <= INT32_MAX)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "dimension %u of the output would have %lld elements", i + 2,
                    (long long)g->image[i]);
}

static coppice_status resolve(const cop_call *call, cop_patches *g) {
    const convtranspose_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *w = cop_in(call, 1);
    *g = (cop_patches){.spatial = x->rank - 2};
    for (uint32_t i = 0; i < g->spatial; i++) {
        g->kernel[i] = w->dims[2 + i];
        g->count[i] = x->dims[2 + i];
        g->stride[i] = p->window.stride[i];
        g->dilation[i] = p->window.dilation[i];
        if (p->window.has_kernel && p->window.kernel[i] != g->kernel[i])
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "attribute 'kernel_shape' says %lld where the weight has %lld",
                            (long long)p->window.kernel[i], (long long)g->kernel[i]);
        if (g->kernel[i] < 1 || g->kernel[i] > INT32_MAX || g->count[i] < 1 ||
            g->count[i] > INT32_MAX)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "a window of %lld on an input of %lld",
                            (long long)g->kernel[i], (long long)g->count[i]);
        COP_TRY(resolve_dim(call, g, i));
    }
    return COPPICE_OK;
}

/* Bytes of the patches of one image; false: too many. */
static bool patch_bytes(const cop_call *call, const cop_patches *g, size_t *bytes) {
    const convtranspose_params *p = call->params;
    *bytes = cop_type_bytes(cop_in(call, 0)->type);
    return cop_size_mul(*bytes, (size_t)cop_in(call, 1)->dims[1], bytes) &&
           cop_size_mul(*bytes, (size_t)p->group, bytes) &&
           cop_size_mul(*bytes, cop_patches_taps(g), bytes) &&
           cop_size_mul(*bytes, cop_patches_places(g), bytes) && *bytes < SIZE_MAX / 4;
}

static coppice_status convtranspose_infer(cop_call *call) {
    const convtranspose_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *w = cop_in(call, 1);
    cop_patches g;
    size_t bytes;
    COP_TRY(check_operands(call));
    COP_TRY(resolve(call, &g));
    int64_t dims[COPPICE_MAX_RANK] = {x->dims[0]};
    if (!cop_i64_mul(w->dims[1], p->group, &dims[1]) || !patch_bytes(call, &g, &bytes))
        return cop_fail(call->err, COPPICE_LIMIT, "input %s and weight %s are too large together",
                        cop_shape_text(x).s, cop_shape_text(w).s);
    memcpy(dims + 2, g.image, g.spatial * sizeof *dims);
    cop_set_out(call, 0, x->type, x->rank, dims);
    return COPPICE_OK;
}

static size_t convtranspose_scratch(const cop_call *call) {
    cop_patches g;
    size_t bytes;
    if (resolve(call, &g) || !patch_bytes(call, &g, &bytes))
        return 0;
    return bytes;
}

/* Every channel starts as its bias. */
static void spread_bias(const coppice_tensor *bias, size_t channels, size_t pixels, size_t element,
                        char *to) {
    if (!bias) {
        memset(to, 0, channels * pixels * element);
        return;
    }
    for (size_t c = 0; c < channels; c++) {
        const char *value = (const char *)bias->data + c * element;
        for (size_t i = 0; i < pixels; i++, to += element)
            memcpy(to, value, element);
    }
}

static coppice_status convtranspose_run(const cop_call *call) {
    const convtranspose_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *w = cop_in(call, 1), *y = cop_out(call, 0);
    cop_patches g;
    COP_TRY(resolve(call, &g));
    size_t element = cop_type_bytes(x->type), groups = (size_t)p->group;
    size_t taps = cop_patches_taps(&g), places = cop_patches_places(&g);
    size_t pixels = cop_patches_pixels(&g), in_channels = (size_t)x->dims[1];
    size_t per_group = (size_t)w->dims[1], channels = per_group * groups;
    cop_product product = {.type = x->type,
                           .rows = per_group * taps,
                           .columns = places,
                           .reduction = in_channels / groups,
                           .rank = 1,
                           .batch = {(int64_t)groups},
                           .a = w->data,
                           .out = call->scratch};
    cop_product_plain(&product, true, false);
    product.a_batch[0] = (int64_t)(product.reduction * product.rows);
    product.b_batch[0] = (int64_t)(product.reduction * places);
    for (int64_t n = 0; n < x->dims[0]; n++) {
        char *image = (char *)y->data + (size_t)n * channels * pixels * element;
        product.b = (const char *)x->data + (size_t)n * in_channels * places * element;
        cop_product_run(&product, call->kernels, call->pool);
        spread_bias(cop_in(call, 2), channels, pixels, element, image);
        cop_patches_add(&g, x->type, channels, call->scratch, image, call->pool);
    }
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_convtranspose[] = {
    {.name = "ConvTranspose", .since = 1, .min_inputs = 2, .max_inputs = 3, .max_outputs = 1,
     .types = FLOATS, PARSE(convtranspose, convtranspose_params), INFER(convtranspose),
     RUN(convtranspose), .scratch = convtranspose_scratch},
    {.name = NULL},
};
/* clang-format on */
