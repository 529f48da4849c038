/* Windows of convolution and pooling: attributes, automatic padding, output sizes. */
#include "runtime/ops/image/window.h"

#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

/* Larger values can only come from a broken file, and products of these never overflow. */
#define LARGEST INT32_MAX

static coppice_status in_range(const cop_call *call, const char *name, const int64_t *values,
                               int count, int64_t low) {
    for (int i = 0; i < count; i++) {
        if (values[i] < low || values[i] > LARGEST)
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "attribute '%s' holds %lld, expected %lld to %lld", name,
                            (long long)values[i], (long long)low, (long long)LARGEST);
    }
    return COPPICE_OK;
}

static coppice_status parse_auto_pad(const cop_call *call, cop_auto_pad *out) {
    static const char *const names[] = {[COP_PAD_NOTSET] = "NOTSET",
                                        [COP_PAD_SAME_UPPER] = "SAME_UPPER",
                                        [COP_PAD_SAME_LOWER] = "SAME_LOWER",
                                        [COP_PAD_VALID] = "VALID"};
    const char *text;
    COP_TRY(cop_node_string(call->node, "auto_pad", "NOTSET", &text, call->err));
    if (!*text)
        return COPPICE_OK;
    for (int i = 0; i < 4; i++) {
        if (!strcmp(text, names[i])) {
            *out = (cop_auto_pad)i;
            return COPPICE_OK;
        }
    }
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "attribute 'auto_pad' is '%s', expected NOTSET, "
                    "SAME_UPPER, SAME_LOWER or VALID",
                    text);
}

/* Reads `per_dim` numbers per spatial dim; all such attributes must agree on how many dims there
 * are. *given says whether the attribute is there. */
static coppice_status parse_list(const cop_call *call, const char *name, int per_dim, int64_t low,
                                 cop_window_params *window, int64_t *values, bool *given) {
    int count;
    COP_TRY(cop_attr_ints(call, name, values, per_dim * COP_MAX_SPATIAL, &count));
    *given = count > 0;
    if (!*given)
        return COPPICE_OK;
    COP_TRY(in_range(call, name, values, count, low));
    uint32_t spatial = (uint32_t)(count / per_dim);
    if (window->spatial == 0)
        window->spatial = spatial;
    if (count % per_dim || window->spatial != spatial)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute '%s' has %d values, expected %d",
                        name, count, per_dim * (int)window->spatial);
    return COPPICE_OK;
}

coppice_status cop_window_parse(const cop_call *call, cop_window_params *window) {
    int64_t pads[2 * COP_MAX_SPATIAL];
    bool given;
    for (int i = 0; i < COP_MAX_SPATIAL; i++)
        window->stride[i] = window->dilation[i] = 1;
    COP_TRY(parse_list(call, "kernel_shape", 1, 1, window, window->kernel, &window->has_kernel));
    COP_TRY(parse_list(call, "strides", 1, 1, window, window->stride, &given));
    COP_TRY(parse_list(call, "dilations", 1, 1, window, window->dilation, &given));
    COP_TRY(parse_list(call, "pads", 2, 0, window, pads, &given));
    for (uint32_t i = 0; given && i < window->spatial; i++) {
        window->pad_begin[i] = pads[i];
        window->pad_end[i] = pads[i + window->spatial];
    }
    COP_TRY(parse_auto_pad(call, &window->auto_pad));
    return cop_attr_bool(call, "ceil_mode", false, &window->ceil_mode);
}

/* Padding that makes ceil(in / stride) outputs. */
static void pad_to_same(cop_auto_pad mode, cop_window *w, uint32_t i, int64_t extent) {
    w->out[i] = (w->in[i] + w->stride[i] - 1) / w->stride[i];
    int64_t pad = (w->out[i] - 1) * w->stride[i] + extent - w->in[i];
    pad = pad > 0 ? pad : 0;
    w->pad_begin[i] = mode == COP_PAD_SAME_LOWER ? (pad + 1) / 2 : pad / 2;
    w->pad_end[i] = pad - w->pad_begin[i];
}

static coppice_status resolve_dim(const cop_window_params *params, cop_window *w, uint32_t i,
                                  coppice_error *err) {
    int64_t extent = (w->kernel[i] - 1) * w->dilation[i] + 1;
    if (params->auto_pad == COP_PAD_SAME_UPPER || params->auto_pad == COP_PAD_SAME_LOWER) {
        pad_to_same(params->auto_pad, w, i, extent);
        return COPPICE_OK;
    }
    int64_t room = w->in[i] + w->pad_begin[i] + w->pad_end[i] - extent;
    bool partial = params->ceil_mode && room + w->stride[i] > 0; /* one window, cut off */
    if (room < 0 && !partial)
        return cop_fail(err, COPPICE_BAD_MODEL,
                        "a window of %lld does not fit into %lld padded input elements",
                        (long long)extent, (long long)(room + extent));
    w->out[i] = room < 0 ? 1 : room / w->stride[i] + 1;
    /* With ceil_mode a last, partial window counts, unless it starts in the padding at the end. */
    if (params->ceil_mode && room > 0 && room % w->stride[i] &&
        w->out[i] * w->stride[i] < w->in[i] + w->pad_begin[i])
        w->out[i]++;
    return COPPICE_OK;
}

coppice_status cop_window_resolve(const cop_window_params *params, const coppice_tensor *input,
                                  const int64_t *kernel, cop_window *out, coppice_error *err) {
    uint32_t spatial = input->rank < 2 ? 0 : input->rank - 2;
    if (spatial < 1 || spatial > COP_MAX_SPATIAL)
        return cop_fail(err, COPPICE_UNSUPPORTED,
                        "input %s; 1 to 3 dimensions behind the channels are supported",
                        cop_shape_text(input).s);
    if (params->spatial && params->spatial != spatial)
        return cop_fail(err, COPPICE_BAD_MODEL,
                        "attributes are for %u spatial dimensions, the input is %s",
                        params->spatial, cop_shape_text(input).s);
    if (!kernel && !params->has_kernel)
        return cop_fail(err, COPPICE_BAD_MODEL, "attribute 'kernel_shape' is missing");
    *out = (cop_window){.spatial = spatial};
    bool padded = params->auto_pad == COP_PAD_NOTSET;
    for (uint32_t i = 0; i < COP_MAX_SPATIAL; i++) {
        bool real = i < spatial;
        out->in[i] = real ? input->dims[i + 2] : 1;
        out->kernel[i] = !real ? 1 : params->has_kernel ? params->kernel[i] : kernel[i];
        out->stride[i] = real ? params->stride[i] : 1;
        out->dilation[i] = real ? params->dilation[i] : 1;
        out->pad_begin[i] = real && padded ? params->pad_begin[i] : 0;
        out->pad_end[i] = real && padded ? params->pad_end[i] : 0;
        if (real && kernel && kernel[i] != out->kernel[i])
            return cop_fail(err, COPPICE_BAD_MODEL,
                            "attribute 'kernel_shape' says %lld where the weight has %lld",
                            (long long)out->kernel[i], (long long)kernel[i]);
        if (out->in[i] < 1 || out->in[i] > LARGEST || out->kernel[i] < 1 ||
            out->kernel[i] > LARGEST)
            return cop_fail(err, COPPICE_BAD_MODEL, "a window of %lld on an input of %lld elements",
                            (long long)out->kernel[i], (long long)out->in[i]);
        COP_TRY(resolve_dim(params, out, i, err));
    }
    return COPPICE_OK;
}

void cop_window_geometry(const cop_window *window, cop_conv *conv) {
    int y = window->spatial == 1 ? 1 : 0, x = 1 - y; /* [1] of one dimension is trivial */
    conv->in_h = (size_t)window->in[y];
    conv->in_w = (size_t)window->in[x];
    conv->out_h = (size_t)window->out[y];
    conv->out_w = (size_t)window->out[x];
    conv->kernel_h = (size_t)window->kernel[y];
    conv->kernel_w = (size_t)window->kernel[x];
    conv->stride_h = (size_t)window->stride[y];
    conv->stride_w = (size_t)window->stride[x];
    conv->dilation_h = (size_t)window->dilation[y];
    conv->dilation_w = (size_t)window->dilation[x];
    conv->pad_top = (size_t)window->pad_begin[y];
    conv->pad_left = (size_t)window->pad_begin[x];
    conv->pad_bottom = (size_t)window->pad_end[y];
    conv->pad_right = (size_t)window->pad_end[x];
}
