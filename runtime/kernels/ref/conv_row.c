/* The reference convolution as rows of the kernel table. */
#include "runtime/kernels/ref/conv_row.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"

/* A copy of the description with its own weights and bias behind it. */
typedef struct ref_conv {
    cop_conv conv;
    float data[];
} ref_conv;

static bool supports(const cop_conv *conv) {
    return conv->groups != 0;
}

static coppice_status create(const cop_conv *conv, const coppice_threadpool *pool, void **state,
                             coppice_error *err) {
    (void)pool;
    *state = NULL;
    size_t weights, bytes;
    if (!cop_size_mul(conv->in_channels / conv->groups, conv->out_channels, &weights) ||
        !cop_size_mul(weights, conv->kernel_h, &weights) ||
        !cop_size_mul(weights, conv->kernel_w, &weights) ||
        !cop_size_add(weights, conv->out_channels, &bytes) ||
        !cop_size_mul(bytes, sizeof(float), &bytes) ||
        !cop_size_add(bytes, sizeof(ref_conv), &bytes))
        return cop_fail(err, COPPICE_LIMIT, "the weights are too large");
    ref_conv *s = cop_malloc(bytes);
    if (!s)
        return cop_fail_memory(err, bytes);
    s->conv = *conv;
    s->conv.weights = memcpy(s->data, conv->weights, weights * sizeof(float));
    if (conv->bias)
        s->conv.bias = memcpy(s->data + weights, conv->bias, conv->out_channels * sizeof(float));
    *state = s;
    return COPPICE_OK;
}

static coppice_status run_first(void *state, const cop_conv_io *io, const coppice_threadpool *pool,
                                coppice_error *err) {
    (void)err;
    const ref_conv *s = state;
    cop_conv_reference(&s->conv, false, io->input, io->output, pool);
    return COPPICE_OK;
}

static coppice_status run_last(void *state, const cop_conv_io *io, const coppice_threadpool *pool,
                               coppice_error *err) {
    (void)err;
    const ref_conv *s = state;
    cop_conv_reference(&s->conv, true, io->input, io->output, pool);
    return COPPICE_OK;
}

const cop_conv_kernel cop_conv_reference_first = {
    .name = "reference",
    .backend = COPPICE_BACKEND_REFERENCE,
    .isa = COPPICE_ISA_SCALAR,
    .supports = supports,
    .create = create,
    .run = run_first,
    .destroy = cop_free,
};

const cop_conv_kernel cop_conv_reference_last = {
    .name = "reference",
    .backend = COPPICE_BACKEND_REFERENCE,
    .isa = COPPICE_ISA_SCALAR,
    .form = COP_FORM_CHANNELS_LAST,
    .supports = supports,
    .create = create,
    .run = run_last,
    .destroy = cop_free,
};
