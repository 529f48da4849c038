/* BatchNormalization with fixed statistics. */
#include <math.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

static coppice_status batchnorm_parse(const cop_call *call, void *params) {
    cop_unary_params *p = params;
    bool training = false, spatial = true;
    COP_TRY(cop_node_float(call->node, "epsilon", 1e-5f, &p->alpha, call->err));
    if (call->opset >= 14)
        COP_TRY(cop_attr_bool(call, "training_mode", false, &training));
    if (call->opset < 9)
        COP_TRY(cop_attr_bool(call, "spatial", true, &spatial));
    if (training || call->node->output_count > 1)
        return cop_fail(call->err, COPPICE_UNSUPPORTED, "training is not supported");
    if (!spatial)
        return cop_fail(call->err, COPPICE_UNSUPPORTED, "spatial 0 is not supported");
    return COPPICE_OK;
}

static coppice_status batchnorm_infer(cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0);
    if (x->rank < 2)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "input '%s' is %s, expected [N,C,...]",
                        cop_in_name(call, 0), cop_shape_text(x).s);
    for (int i = 1; i < 5; i++) {
        const coppice_tensor *t = cop_in(call, i);
        if (!t || t->type != COPPICE_TYPE_FLOAT || t->rank != 1 || t->dims[0] != x->dims[1])
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "input %d ('%s') is %s %s, expected float32 [%lld]", i,
                            cop_in_name(call, i), t ? coppice_type_name(t->type) : "none",
                            t ? cop_shape_text(t).s : "left out", (long long)x->dims[1]);
    }
    return cop_infer_same(call);
}

/* A scale and a shift per channel. */
static size_t batchnorm_scratch(const cop_call *call) {
    return 2 * sizeof(float) * (size_t)cop_in(call, 0)->dims[1];
}

static void scale_and_shift(const void *context, size_t n, void *to, const void *const *from,
                            const ptrdiff_t *strides) {
    (void)context;
    const float *restrict x = from[0], *restrict scale = from[1], *restrict shift = from[2];
    float *restrict out = to;
    ptrdiff_t sx = strides[1], sc = strides[2], count = (ptrdiff_t)n;
    if (sx == 1 && sc == 0) {
        float a = scale[0], b = shift[0];
        for (ptrdiff_t i = 0; i < count; i++)
            out[i] = x[i] * a + b;
        return;
    }
    for (ptrdiff_t i = 0; i < count; i++)
        out[i] = x[i * sx] * scale[i * sc] + shift[i * sc];
}

static coppice_status batchnorm_run(const cop_call *call) {
    const cop_unary_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    const float *scale = cop_in(call, 1)->data, *bias = cop_in(call, 2)->data;
    const float *mean = cop_in(call, 3)->data, *variance = cop_in(call, 4)->data;
    size_t channels = (size_t)x->dims[1];
    float *a = call->scratch, *b = a + channels;
    for (size_t c = 0; c < channels; c++) {
        double factor = scale[c] / sqrt((double)variance[c] + (double)p->alpha);
        a[c] = (float)factor;
        b[c] = (float)(bias[c] - mean[c] * factor);
    }
    cop_operand scales = {.t = {.type = COPPICE_TYPE_FLOAT, .rank = x->rank - 1, .data = a}};
    for (uint32_t d = 0; d < scales.t.rank; d++)
        scales.t.dims[d] = d == 0 ? x->dims[1] : 1;
    cop_operand shifts = scales;
    shifts.t.data = b;
    const cop_operand *in[] = {call->in[0], &scales, &shifts};
    cop_walk_broadcast(&call->out[0], in, 3, scale_and_shift, NULL, call->pool);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_norm[] = {
    {.name = "BatchNormalization", .since = 1, .min_inputs = 5, .max_inputs = 5, .max_outputs = 5,
     .types = F32, PARSE(batchnorm, cop_unary_params), INFER(batchnorm), RUN(batchnorm), ANY_LAYOUT,
     .scratch = batchnorm_scratch},
    {.name = NULL},
};
/* clang-format on */
