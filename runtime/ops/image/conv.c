/* Conv: attributes, shapes, and patches times weights for what no kernel was chosen for. */
#include <math.h>
#include <string.h>

#include "runtime/conv.h"
#include "runtime/ops/image/patches.h"
#include "runtime/ops/matrix/product.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

static coppice_status conv_parse(const cop_call *call, void *params) {
    cop_conv_params *p = params;
    COP_TRY(cop_window_parse(call, &p->window));
    COP_TRY(cop_node_int(call->node, "group", 1, &p->group, call->err));
    COP_TRY(cop_activation_parse(call, &p->activation_min, &p->activation_max));
    if (p->group < 1 || p->group > INT32_MAX)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'group' is %lld",
                        (long long)p->group);
    return COPPICE_OK;
}

static coppice_status check_operands(const cop_call *call) {
    const cop_conv_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *w = cop_in(call, 1), *b = cop_in(call, 2);
    COP_TRY(cop_need_type(call, 1, 1u << x->type));
    COP_TRY(cop_need_rank(call, 1, x->rank));
    if (x->rank < 3)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "input '%s' is %s, expected [N,C,...]",
                        cop_in_name(call, 0), cop_shape_text(x).s);
    /* Compared by division: the product could overflow. */
    if (x->dims[1] % p->group || x->dims[1] / p->group != w->dims[1])
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "input '%s' is %s, the weight %s in %lld groups wants other channels",
                        cop_in_name(call, 0), cop_shape_text(x).s, cop_shape_text(w).s,
                        (long long)p->group);
    if (w->dims[0] % p->group)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "the weight '%s' has %lld output channels for %lld groups",
                        cop_in_name(call, 1), (long long)w->dims[0], (long long)p->group);
    if (!b)
        return COPPICE_OK;
    COP_TRY(cop_need_type(call, 2, 1u << x->type));
    if (b->rank == 1 && b->dims[0] == w->dims[0])
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "the bias '%s' is %s, expected [%lld]",
                    cop_in_name(call, 2), cop_shape_text(b).s, (long long)w->dims[0]);
}

static coppice_status conv_infer(cop_call *call) {
    const cop_conv_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *w = cop_in(call, 1);
    cop_window window;
    COP_TRY(check_operands(call));
    COP_TRY(cop_window_resolve(&p->window, x, w->dims + 2, &window, call->err));
    int64_t dims[COPPICE_MAX_RANK] = {x->dims[0], w->dims[0]};
    for (uint32_t i = 0; i < window.spatial; i++)
        dims[2 + i] = window.out[i];
    cop_set_out(call, 0, x->type, x->rank, dims);
    return COPPICE_OK;
}

/* ---- run ---- */

enum { TILE_BYTES = 1 << 20 }; /* of patches at a time: they stay in the cache */

static cop_patches patches_of(const cop_window *w) {
    cop_patches p = {.spatial = w->spatial};
    for (uint32_t i = 0; i < w->spatial; i++) {
        p.image[i] = w->in[i];
        p.kernel[i] = w->kernel[i];
        p.count[i] = w->out[i];
        p.stride[i] = w->stride[i];
        p.dilation[i] = w->dilation[i];
        p.begin[i] = w->pad_begin[i];
    }
    return p;
}

/* The image itself is its patches: a window of one pixel that goes everywhere. */
static bool is_pointwise(const cop_window *w) {
    for (uint32_t i = 0; i < w->spatial; i++) {
        if (w->kernel[i] != 1 || w->stride[i] != 1 || w->pad_begin[i] || w->pad_end[i])
            return false;
    }
    return true;
}

/* Places whose patches are made at a time; a multiple of what a matrix product likes. */
static size_t tile_places(const cop_patches *p, size_t element, size_t per_group) {
    size_t places = cop_patches_places(p), row;
    if (!cop_size_mul(per_group * element, cop_patches_taps(p), &row))
        row = SIZE_MAX;
    size_t tile = TILE_BYTES / (row ? row : 1) / 384 * 384;
    tile = tile ? tile : 384;
    return tile < places ? tile : places;
}

static size_t conv_scratch(const cop_call *call) {
    const cop_conv_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *w = cop_in(call, 1);
    size_t element = cop_type_bytes(x->type), bytes;
    cop_window window;
    if (cop_window_resolve(&p->window, x, w->dims + 2, &window, call->err) || is_pointwise(&window))
        return 0;
    cop_patches patches = patches_of(&window);
    size_t tile = tile_places(&patches, element, (size_t)w->dims[1]);
    bool fits = cop_size_mul(tile * element, (size_t)w->dims[1], &bytes) &&
                cop_size_mul(bytes, cop_patches_taps(&patches), &bytes);
    return fits && bytes < SIZE_MAX / 4 ? bytes : SIZE_MAX / 4;
}

/* One group of one image: patches of a tile of places, times the weights. */
static void run_group(const cop_call *call, const cop_patches *patches, bool pointwise,
                      cop_product *product, size_t channels, const char *x, char *y) {
    size_t element = cop_type_bytes(product->type), places = cop_patches_places(patches);
    size_t tile = pointwise ? places : tile_places(patches, element, channels);
    for (size_t first = 0; first < places; first += tile) {
        size_t last = cop_smaller(places, first + tile);
        product->columns = last - first;
        product->b_k = (int64_t)(pointwise ? places : last - first);
        product->b = pointwise ? (const void *)x : call->scratch;
        product->out = y + first * element;
        if (!pointwise)
            cop_patches_take(patches, element, channels, first, last, x, call->scratch, call->pool);
        cop_product_run(product, call->kernels, call->pool);
    }
}

static coppice_status conv_run(const cop_call *call) {
    const cop_conv_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *w = cop_in(call, 1), *b = cop_in(call, 2);
    cop_window window;
    COP_TRY(cop_window_resolve(&p->window, x, w->dims + 2, &window, call->err));
    cop_patches patches = patches_of(&window);
    size_t element = cop_type_bytes(x->type), groups = (size_t)p->group;
    size_t channels = (size_t)w->dims[1], rows = (size_t)w->dims[0] / groups;
    size_t reduction = channels * cop_patches_taps(&patches), places = cop_patches_places(&patches);
    size_t image = channels * cop_patches_pixels(&patches) * element;
    cop_product product = {.type = x->type,
                           .rows = rows,
                           .reduction = reduction,
                           .a_row = (int64_t)reduction,
                           .a_k = 1,
                           .b_column = 1,
                           .out_row = (int64_t)places,
                           .finish = true,
                           .alpha = 1,
                           .beta = 1,
                           .c_row = 1,
                           .min = p->activation_min,
                           .max = p->activation_max};
    for (size_t i = 0; i < (size_t)x->dims[0] * groups; i++) {
        size_t first = i % groups * rows;
        product.a = (const char *)w->data + first * reduction * element;
        product.c = b ? (const char *)b->data + first * element : NULL;
        run_group(call, &patches, is_pointwise(&window), &product, channels,
                  (const char *)x->data + i * image,
                  (char *)cop_out(call, 0)->data + i * rows * places * element);
    }
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_conv[] = {
    {.name = "Conv", .since = 1, .min_inputs = 2, .max_inputs = 3, .max_outputs = 1, .types = FLOATS,
     PARSE(conv, cop_conv_params), INFER(conv), RUN(conv), .scratch = conv_scratch},
    {.name = NULL},
};
/* clang-format on */
