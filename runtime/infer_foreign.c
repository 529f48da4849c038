/* Shapes of what operators give that the runtime cannot run: counting multiply-accumulates needs no
 * more, and a model that is only pruned may hold them. */
#include "runtime/infer_foreign.h"

#include <stdio.h>
#include <string.h>

#include "runtime/ops/util.h"

static coppice_status unknown(const cop_call *call) {
    return cop_fail(call->err, COPPICE_UNSUPPORTED, "no shape");
}

/* ---- elements one by one ---- */

static coppice_status same_as_bool(cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0);
    cop_set_out(call, 0, COPPICE_TYPE_BOOL, x->rank, x->dims);
    return COPPICE_OK;
}

static coppice_status broadcast(cop_call *call) {
    const coppice_tensor *other = cop_in(call, 1);
    if (!other)
        return unknown(call);
    coppice_tensor shape = *cop_in(call, 0);
    COP_TRY(cop_broadcast(call, &shape, other));
    cop_set_out(call, 0, shape.type, shape.rank, shape.dims);
    return COPPICE_OK;
}

static coppice_status broadcast_to_bool(cop_call *call) {
    COP_TRY(broadcast(call));
    cop_out(call, 0)->type = COPPICE_TYPE_BOOL;
    return COPPICE_OK;
}

/* Like the second input, of the type of the first. */
static coppice_status as_indices(cop_call *call) {
    const coppice_tensor *indices = cop_in(call, 1);
    if (!indices)
        return unknown(call);
    cop_set_out(call, 0, cop_in(call, 0)->type, indices->rank, indices->dims);
    return COPPICE_OK;
}

/* To and from integers: of the type of the zero point, or of the scale. */
static coppice_status quantize(cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0), *zero = cop_in(call, 2);
    cop_set_out(call, 0, zero ? zero->type : COPPICE_TYPE_UINT8, x->rank, x->dims);
    return COPPICE_OK;
}

static coppice_status dequantize(cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0), *scale = cop_in(call, 1);
    cop_set_out(call, 0, scale ? scale->type : COPPICE_TYPE_FLOAT, x->rank, x->dims);
    return COPPICE_OK;
}

/* ---- along axes ---- */

/* The axes are an attribute or, later, input 1; none of them means all. */
static coppice_status reduce(cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0);
    int64_t axes[COPPICE_MAX_RANK], keep, dims[COPPICE_MAX_RANK], no_op;
    int count;
    bool on[COPPICE_MAX_RANK] = {false};
    COP_TRY(cop_node_int(call->node, "keepdims", 1, &keep, call->err));
    COP_TRY(cop_node_int(call->node, "noop_with_empty_axes", 0, &no_op, call->err));
    COP_TRY(cop_attr_ints(call, "axes", axes, COPPICE_MAX_RANK, &count));
    if (count < 0 && call->node->input_count > 1)
        COP_TRY(cop_input_ints(call, 1, axes, COPPICE_MAX_RANK, &count));
    if (count > 0)
        COP_TRY(cop_axis_set(call, axes, count, x->rank, on));
    uint32_t rank = 0;
    for (uint32_t d = 0; d < x->rank; d++) {
        bool reduced = on[d] || (count <= 0 && !no_op);
        if (!reduced || keep)
            dims[rank++] = reduced ? 1 : x->dims[d];
    }
    cop_set_out(call, 0, x->type, rank, dims);
    return COPPICE_OK;
}

static coppice_status index_along_axis(cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0);
    int64_t axis, keep, dims[COPPICE_MAX_RANK];
    int at;
    COP_TRY(cop_node_int(call->node, "axis", 0, &axis, call->err));
    COP_TRY(cop_node_int(call->node, "keepdims", 1, &keep, call->err));
    COP_TRY(cop_axis(call, axis, x->rank, &at));
    uint32_t rank = 0;
    for (uint32_t d = 0; d < x->rank; d++)
        if ((int)d != at || keep)
            dims[rank++] = (int)d == at ? 1 : x->dims[d];
    cop_set_out(call, 0, COPPICE_TYPE_INT64, rank, dims);
    return COPPICE_OK;
}

static coppice_status tile(cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0);
    int64_t times[COPPICE_MAX_RANK];
    int count;
    COP_TRY(cop_input_ints(call, 1, times, COPPICE_MAX_RANK, &count));
    if (count < 0 || (uint32_t)count != x->rank)
        return unknown(call);
    for (uint32_t d = 0; d < x->rank; d++)
        if (times[d] < 0 || !cop_i64_mul(times[d], x->dims[d], &times[d]))
            return unknown(call);
    cop_set_out(call, 0, x->type, x->rank, times);
    return COPPICE_OK;
}

/* Sizes, or factors: of every axis, or of those named. */
static coppice_status resize(cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0);
    int inputs = call->node->input_count, factors = inputs > 2 ? 2 : 1, count, named;
    const coppice_tensor *scales = cop_in(call, factors);
    int64_t sizes[COPPICE_MAX_RANK], axes[COPPICE_MAX_RANK], dims[COPPICE_MAX_RANK];
    const char *policy;
    COP_TRY(cop_node_string(call->node, "keep_aspect_ratio_policy", "stretch", &policy, call->err));
    COP_TRY(cop_attr_ints(call, "axes", axes, COPPICE_MAX_RANK, &named));
    if (strcmp(policy, "stretch") != 0)
        return unknown(call);
    COP_TRY(cop_input_ints(call, 3, sizes, COPPICE_MAX_RANK, &count));
    bool by_size = count > 0;
    if (!by_size && (!scales || !scales->data || scales->rank != 1))
        return unknown(call);
    count = by_size ? count : (int)(scales->dims[0] < 99 ? scales->dims[0] : 99);
    if (count != (named < 0 ? (int)x->rank : named))
        return unknown(call);
    memcpy(dims, x->dims, sizeof dims);
    for (int i = 0; i < count; i++) {
        int at = i;
        if (named >= 0)
            COP_TRY(cop_axis(call, axes[i], x->rank, &at));
        double size = by_size ? (double)sizes[i]
                              : (double)x->dims[at] * cop_tensor_get(scales, i); /* rounded down */
        if (!(size >= 0 && size < 1e15))
            return unknown(call);
        dims[at] = (int64_t)size;
    }
    cop_set_out(call, 0, x->type, x->rank, dims);
    return COPPICE_OK;
}

/* ---- weights ---- */

/* An integer of a list that is `absent` where the node does not have it. */
static coppice_status attr_list(const cop_call *call, const char *name, int count, int64_t absent,
                                int64_t *out) {
    int given;
    COP_TRY(cop_attr_ints(call, name, out, 2 * COPPICE_MAX_RANK, &given));
    for (int i = 0; given < 0 && i < count; i++)
        out[i] = absent;
    return given < 0 || given == count ? COPPICE_OK : unknown(call);
}

/* X [batch, in, ...], W [in, out / group, ...]. */
static coppice_status transposed_convolution(cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0), *w = cop_in(call, 1);
    int64_t strides[2 * COPPICE_MAX_RANK], dilations[2 * COPPICE_MAX_RANK], group;
    int64_t pads[2 * COPPICE_MAX_RANK], extra[2 * COPPICE_MAX_RANK], size[2 * COPPICE_MAX_RANK];
    const char *auto_pad;
    if (!w || x->rank < 3 || w->rank != x->rank)
        return unknown(call);
    int axes = (int)x->rank - 2;
    COP_TRY(attr_list(call, "strides", axes, 1, strides));
    COP_TRY(attr_list(call, "dilations", axes, 1, dilations));
    COP_TRY(attr_list(call, "pads", 2 * axes, 0, pads));
    COP_TRY(attr_list(call, "output_padding", axes, 0, extra));
    COP_TRY(attr_list(call, "output_shape", axes, -1, size));
    COP_TRY(cop_node_int(call->node, "group", 1, &group, call->err));
    COP_TRY(cop_node_string(call->node, "auto_pad", "NOTSET", &auto_pad, call->err));
    int64_t dims[COPPICE_MAX_RANK] = {x->dims[0]};
    if (!cop_i64_mul(w->dims[1], group, &dims[1]))
        return unknown(call);
    for (int i = 0; i < axes; i++) {
        double in = (double)x->dims[i + 2], kernel = (double)w->dims[i + 2];
        double out = (double)strides[i] * (in - 1) + (double)extra[i] +
                     (kernel - 1) * (double)dilations[i] + 1 - (double)pads[i] -
                     (double)pads[i + axes];
        if (strncmp(auto_pad, "SAME", 4) == 0)
            out = in * (double)strides[i];
        out = size[i] >= 0 ? (double)size[i] : out;
        if (!(out >= 0 && out < 1e15))
            return unknown(call);
        dims[i + 2] = (int64_t)out;
    }
    cop_set_out(call, 0, x->type, x->rank, dims);
    return COPPICE_OK;
}

/* LSTM, GRU, RNN: X [seq, batch, in], R [directions, gates * hidden, hidden];
 * Y [seq, directions, batch, hidden], Y_h and Y_c [directions, batch, hidden]. With layout 1 the
 * batch comes first everywhere. */
static coppice_status recurrent(cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0), *r = cop_in(call, 2);
    int64_t layout;
    COP_TRY(cop_node_int(call->node, "layout", 0, &layout, call->err));
    if (!r || x->rank != 3 || r->rank != 3)
        return unknown(call);
    int64_t directions = r->dims[0], hidden = r->dims[2];
    int64_t seq = x->dims[layout ? 1 : 0], batch = x->dims[layout ? 0 : 1];
    const int64_t y[2][4] = {{seq, directions, batch, hidden}, {batch, seq, directions, hidden}};
    const int64_t state[2][3] = {{directions, batch, hidden}, {batch, directions, hidden}};
    cop_set_out(call, 0, x->type, 4, y[layout != 0]);
    cop_set_out(call, 1, x->type, 3, state[layout != 0]);
    cop_set_out(call, 2, x->type, 3, state[layout != 0]);
    return COPPICE_OK;
}

static const struct {
    const char *ops; /* each with a space before and behind */
    coppice_status (*infer)(cop_call *call);
} rules[] = {
    {" LayerNormalization RMSNormalization InstanceNormalization GroupNormalization LRN "
     "LpNormalization MeanVarianceNormalization Gelu Mish Selu Celu Swish Softplus Softsign "
     "ThresholdedRelu Shrink Hardmax Log Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh "
     "Floor Ceil Round Reciprocal Sign BitwiseNot CumSum Trilu ReverseSequence Scatter "
     "ScatterElements ScatterND ",
     cop_infer_same},
    {" Not IsNaN IsInf ", same_as_bool},
    {" Mod BitShift BitwiseAnd BitwiseOr BitwiseXor ", broadcast},
    {" And Or Xor Greater GreaterOrEqual Less LessOrEqual ", broadcast_to_bool},
    {" GatherElements ", as_indices},
    {" QuantizeLinear ", quantize},
    {" DequantizeLinear ", dequantize},
    {" ReduceL1 ReduceL2 ReduceMin ReduceProd ReduceLogSum ReduceLogSumExp ReduceSumSquare ",
     reduce},
    {" ArgMax ArgMin ", index_along_axis},
    {" Tile ", tile},
    {" Resize Upsample ", resize},
    {" ConvTranspose ", transposed_convolution},
    {" LSTM GRU RNN ", recurrent},
};

coppice_status cop_infer_foreign(cop_call *call) {
    char name[64];
    int length = snprintf(name, sizeof name, " %s ", call->node->op);
    if (call->node->domain[0] || length >= (int)sizeof name || !cop_in(call, 0))
        return unknown(call);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strstr(rules[i].ops, name))
            return rules[i].infer(call);
    return unknown(call);
}
