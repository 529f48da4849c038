/* Windows that slide over an image: the geometry shared by convolutions and pooling. */
#ifndef COP_RUNTIME_OPS_WINDOW_H
#define COP_RUNTIME_OPS_WINDOW_H

#include "runtime/conv.h"
#include "runtime/op.h"

enum { COP_MAX_SPATIAL = 3 };

typedef enum cop_auto_pad {
    COP_PAD_NOTSET,
    COP_PAD_SAME_UPPER,
    COP_PAD_SAME_LOWER,
    COP_PAD_VALID
} cop_auto_pad;

/* Attributes of Conv and the pooling operators, as `parse` leaves them. */
typedef struct cop_window_params {
    uint32_t spatial; /* dimensions named by the attributes; 0: none was, take the input's */
    bool has_kernel;
    int64_t kernel[COP_MAX_SPATIAL], stride[COP_MAX_SPATIAL], dilation[COP_MAX_SPATIAL];
    int64_t pad_begin[COP_MAX_SPATIAL], pad_end[COP_MAX_SPATIAL];
    cop_auto_pad auto_pad;
    bool ceil_mode;
} cop_window_params;

/* What Conv's `parse` fills. */
typedef struct cop_conv_params {
    cop_window_params window;
    int64_t group;
    float activation_min, activation_max; /* put there by fusion; else -INFINITY, INFINITY */
} cop_conv_params;

/* The same with everything resolved for one input. Entries beyond `spatial` are those of a
 * dimension of size 1 with a window of 1. */
typedef struct cop_window {
    uint32_t spatial; /* 1 .. 3 */
    int64_t in[COP_MAX_SPATIAL], out[COP_MAX_SPATIAL];
    int64_t kernel[COP_MAX_SPATIAL], stride[COP_MAX_SPATIAL], dilation[COP_MAX_SPATIAL];
    int64_t pad_begin[COP_MAX_SPATIAL], pad_end[COP_MAX_SPATIAL];
} cop_window;

/* Resolves the window for an input whose dims are [N, C, spatial...]; `kernel` gives the window's
 * size where the attributes do not (weight dims of Conv), or NULL. Errors: BAD_MODEL for sizes that
 * make no sense (stride or dilation < 1, negative pads, a window larger than the padded input). */
coppice_status cop_window_resolve(const cop_window_params *params, const coppice_tensor *input,
                                  const int64_t *kernel, cop_window *out, coppice_error *err);

/* Reads the attributes of Conv and the pooling operators. */
coppice_status cop_window_parse(const cop_call *call, cop_window_params *window);

/* Sizes, strides, dilations and pads of a window of 1 or 2 dimensions into *conv; the others stay.
 * One dimension is an image of height 1. */
void cop_window_geometry(const cop_window *window, cop_conv *conv);

#endif
