/* Convolutions and matrix products with constant weights: what they compute, and the table of the
 * kernels that can compute them.
 *
 * A Gemm or MatMul whose weight is constant is a 1x1 convolution over a row of tokens: batch 1,
 * height 1, width = tokens, channels = the reduction axis. So there is one description, and every
 * dense or sparse kernel serves both. */
#ifndef COP_RUNTIME_CONV_H
#define COP_RUNTIME_CONV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <coppice/runtime.h>

#include "runtime/parallel.h"

struct cop_kernels;

/* A function of each element, as in runtime/kernels/maps.h. */
typedef struct cop_activation {
    bool there;
    int map; /* cop_map_id */
    float alpha, beta;
} cop_activation;

typedef struct cop_conv {
    size_t batch, groups;
    size_t in_channels, out_channels; /* of all groups together */
    size_t in_h, in_w, out_h, out_w;
    size_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    size_t pad_top, pad_left, pad_bottom, pad_right;
    const float *weights; /* [out_channels][in_channels / groups][kernel_h][kernel_w], borrowed
                             during `create` */
    const float *bias;    /* [out_channels] or NULL; as weights */
    float min, max;       /* the result is clamped to these; -INFINITY and INFINITY: not */
    /* Behind the sum, in this order: `residual`, a tensor as the output is added; the clamp; a
     * function of each element. A kernel that does not `fuse` is never asked for the first and the
     * last. */
    bool residual;
    cop_activation activation;
    size_t nonzeros;    /* of weights */
    const void *turned; /* weights as [in_channels][out_channels], aligned to nothing, while
                           `weights` is NULL: kernels do not get such */
    bool tokens;        /* it stands for a matrix product: in_h == 1, kernel 1x1 */
} cop_conv;

/* A matrix product as a convolution: [tokens][inputs] by weights [outputs][inputs], which the
 * caller sets, with their count, the bias and the clamp. */
cop_conv cop_conv_of_product(size_t tokens, size_t inputs, size_t outputs);

/* Has each input channel a group of its own? */
bool cop_conv_is_depthwise(const cop_conv *conv);

/* Does a position of the output read the same position of the input, and no other? 1x1 without
 * strides and padding. */
bool cop_conv_is_pointwise(const cop_conv *conv);

/* A matrix product: pointwise without groups. */
bool cop_conv_is_product(const cop_conv *conv);

/* Of the output, those of all images. */
size_t cop_conv_positions(const cop_conv *conv);

/* Weights, zeros too. */
size_t cop_conv_weights(const cop_conv *conv);

/* *out: the bias, or zeros where there is none, in `count` >= out_channels floats of which those
 * behind are zero. Free with cop_free. OUT_OF_MEMORY. */
coppice_status cop_conv_copy_bias(const cop_conv *conv, size_t count, float **out,
                                  coppice_error *err);

/* Applies the activation, if there is one, to `count` floats in place. */
void cop_activate(const cop_activation *activation, const struct cop_kernels *kernels, float *x,
                  size_t count);

/* How a kernel wants its activations, input and output alike. */
typedef enum cop_conv_form {
    COP_FORM_PLANES,        /* [batch][channels][h][w] */
    COP_FORM_CHANNELS_LAST, /* [batch][h][w][channels] */
    COP_FORM_TILES          /* cop_tiles (layout.h): [tile][channel][width]; where an image and the
                               batch have one position alone, [channels] */
} cop_conv_form;

/* What a run reads and writes. Buffers have 64 readable bytes behind them, do not overlap (but
 * `residual` may be `output`), and are 64-byte aligned. */
typedef struct cop_conv_io {
    const float *input;
    const float *residual; /* NULL unless conv.residual */
    float *output;
    void *scratch;
} cop_conv_io;

/* One way to compute a convolution. Activations are float32. */
typedef struct cop_conv_kernel {
    const char *family;      /* rows of one differ in instruction set alone; NULL: none */
    const char *name;        /* as in --profile: its full address, "xnn_conv2d_nhwc_f32" */
    coppice_backend backend; /* NATIVE, XNNPACK or REFERENCE */
    coppice_isa isa;         /* needed; SCALAR: none in particular */
    bool sparse;             /* skips zero weights */
    cop_conv_form form;
    bool fuses; /* adds a residual and applies an activation itself */
    /* Cheap: can it compute this? Looks at no weights. */
    bool (*supports)(const cop_conv *conv);
    /* Packs the weights. *state is freed with `destroy`; NULL on failure. UNSUPPORTED: not on this
     * machine, the caller takes another kernel. */
    coppice_status (*create)(const cop_conv *conv, const coppice_threadpool *pool, void **state,
                             coppice_error *err);
    /* Bytes of 64-byte aligned scratch that `run` needs. NULL: none. */
    size_t (*scratch)(const void *state);
    coppice_status (*run)(void *state, const cop_conv_io *io, const coppice_threadpool *pool,
                          coppice_error *err);
    void (*destroy)(void *state);
} cop_conv_kernel;

/* Every kernel there is in this build, best first; NULL ends them. Rows of one family for several
 * instruction sets stand together, the widest first: the planner takes the first that is allowed.
 */
extern const cop_conv_kernel *const cop_conv_kernels[];

/* True when the CPU can run code for `isa`. */
bool cop_isa_available(coppice_isa isa);

/* Resolves BEST: the environment variable COPPICE_ISA if set (an error when it is unknown or the
 * CPU lacks it), else the best of the CPU. */
coppice_status cop_isa_resolve(coppice_isa wanted, coppice_isa *out, coppice_error *err);

/* True when code for `isa` may run under the limit `allowed` (x86: the ladder SCALAR < SSE2 < AVX2
 * < AVX512). */
bool cop_isa_allows(coppice_isa allowed, coppice_isa isa);

/* The specification: plain loops, float sums in the order of the weights, channels first or last.
 */
void cop_conv_reference(const cop_conv *conv, bool channels_last, const float *input, float *output,
                        const coppice_threadpool *pool);

#endif
