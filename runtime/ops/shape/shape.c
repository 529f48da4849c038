/* Operators about shapes: views of the same bytes (Reshape, Flatten, Squeeze, Unsqueeze, Identity)
 * and what tells a shape (Shape, Size). */
#include <string.h>

#include "runtime/layout.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

/* Output 0 has the bytes of input 0; nothing to do where the planner gave both one buffer. */
coppice_status cop_view_run(const cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0), *out = cop_out(call, 0);
    int64_t bytes = cop_layout_bytes(in, call->in[0]->layout);
    if (bytes > 0 && out->data && out->data != in->data)
        memcpy(out->data, in->data, (size_t)bytes);
    return COPPICE_OK;
}

/* ---- Reshape ---- */

/* The attribute that became an input: read here, or later by read_ints. */
static coppice_status parse_ints(const cop_call *call, const char *name, cop_ints_params *p) {
    return cop_attr_ints(call, name, p->values, COPPICE_MAX_RANK, &p->count);
}

/* The numbers of attribute or input 1. *count is -1 when neither is there. */
static coppice_status read_ints(const cop_call *call, int64_t *values, int *count) {
    const cop_ints_params *p = call->params;
    if (cop_in(call, 1))
        return cop_input_ints(call, 1, values, COPPICE_MAX_RANK, count);
    memcpy(values, p->values, sizeof p->values);
    *count = p->count;
    return COPPICE_OK;
}

static coppice_status reshape_parse(const cop_call *call, void *params) {
    cop_ints_params *p = params;
    COP_TRY(cop_attr_bool(call, "allowzero", false, &p->flag));
    return parse_ints(call, "shape", p);
}

static coppice_status refuse_reshape(const cop_call *call, const int64_t *dims, int count) {
    return cop_fail(call->err, COPPICE_BAD_MODEL, "%s cannot be reshaped to %s",
                    cop_shape_text(cop_in(call, 0)).s, cop_dims_text((uint32_t)count, dims).s);
}

static coppice_status reshape_infer(cop_call *call) {
    const cop_ints_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0);
    int64_t wanted[COPPICE_MAX_RANK], dims[COPPICE_MAX_RANK], known = 1;
    int count, unknown = -1;
    COP_TRY(read_ints(call, wanted, &count));
    if (count < 0)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "the wanted shape is missing");
    for (int i = 0; i < count; i++) {
        dims[i] = wanted[i];
        if (wanted[i] == 0 && !p->flag) {
            if (i >= (int)in->rank)
                return refuse_reshape(call, wanted, count);
            dims[i] = in->dims[i];
        }
        if (dims[i] == -1 && unknown < 0) {
            unknown = i;
            dims[i] = 1;
        }
        if (dims[i] < 0 || !cop_i64_mul(known, dims[i], &known))
            return refuse_reshape(call, wanted, count);
    }
    int64_t elements = coppice_tensor_count(in);
    if (unknown >= 0) {
        if (known == 0 || elements % known)
            return refuse_reshape(call, wanted, count);
        dims[unknown] = elements / known;
    } else if (known != elements) {
        return refuse_reshape(call, wanted, count);
    }
    cop_set_out(call, 0, in->type, (uint32_t)count, dims);
    return COPPICE_OK;
}

/* ---- Flatten ---- */

static coppice_status flatten_parse(const cop_call *call, void *params) {
    cop_ints_params *p = params;
    return cop_node_int(call->node, "axis", 1, &p->axis, call->err);
}

static coppice_status flatten_infer(cop_call *call) {
    const cop_ints_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0);
    int axis = (int)in->rank;
    if (p->axis != in->rank) /* behind the last dim is allowed too */
        COP_TRY(cop_axis(call, p->axis, in->rank, &axis));
    int64_t dims[] = {1, 1};
    for (int i = 0; i < (int)in->rank; i++) { /* no overflow: the element count has none */
        int64_t *side = &dims[i >= axis];
        if (!cop_i64_mul(*side, in->dims[i], side))
            return cop_fail(call->err, COPPICE_LIMIT, "the sizes of %s overflow",
                            cop_shape_text(in).s);
    }
    cop_set_out(call, 0, in->type, 2, dims);
    return COPPICE_OK;
}

/* ---- Squeeze, Unsqueeze ---- */

static coppice_status squeeze_parse(const cop_call *call, void *params) {
    return parse_ints(call, "axes", params);
}

static coppice_status squeeze_infer(cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0);
    int64_t axes[COPPICE_MAX_RANK], dims[COPPICE_MAX_RANK];
    bool drop[COPPICE_MAX_RANK] = {0};
    int count;
    COP_TRY(read_ints(call, axes, &count));
    COP_TRY(cop_axis_set(call, axes, count, in->rank, drop));
    uint32_t rank = 0;
    for (uint32_t i = 0; i < in->rank; i++) {
        if (drop[i] && in->dims[i] != 1)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "dimension %u of %s is not 1", i,
                            cop_shape_text(in).s);
        if (!drop[i] && !(count < 0 && in->dims[i] == 1))
            dims[rank++] = in->dims[i];
    }
    cop_set_out(call, 0, in->type, rank, dims);
    return COPPICE_OK;
}

static coppice_status unsqueeze_parse(const cop_call *call, void *params) {
    return parse_ints(call, "axes", params);
}

static coppice_status unsqueeze_infer(cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0);
    int64_t axes[COPPICE_MAX_RANK], dims[COPPICE_MAX_RANK];
    bool added[COPPICE_MAX_RANK];
    int count;
    COP_TRY(read_ints(call, axes, &count));
    if (count < 0)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "'axes' is missing");
    uint32_t rank = in->rank + (uint32_t)count;
    if (rank > COPPICE_MAX_RANK)
        return cop_fail(call->err, COPPICE_LIMIT, "%u dimensions; at most %d are supported", rank,
                        COPPICE_MAX_RANK);
    COP_TRY(cop_axis_set(call, axes, count, rank, added));
    for (uint32_t i = 0, from = 0; i < rank; i++)
        dims[i] = added[i] ? 1 : in->dims[from++];
    cop_set_out(call, 0, in->type, rank, dims);
    return COPPICE_OK;
}

/* ---- Identity ---- */

static coppice_status identity_infer(cop_call *call) {
    return cop_infer_same(call);
}

/* ---- Shape, Size ---- */

static coppice_status shape_parse(const cop_call *call, void *params) {
    cop_ints_params *p = params;
    p->count = cop_node_attr(call->node, "end") ? 1 : 0;
    COP_TRY(cop_node_int(call->node, "start", 0, &p->axis, call->err));
    return cop_node_int(call->node, "end", 0, &p->values[0], call->err);
}

static int64_t clamp_axis(int64_t axis, int64_t rank) {
    axis = axis < 0 ? (axis < -rank ? 0 : axis + rank) : axis;
    return axis > rank ? rank : axis;
}

/* The dims that are asked for: first <= i < last. */
static void shape_range(const cop_call *call, int64_t *first, int64_t *last) {
    const cop_ints_params *p = call->params;
    int64_t rank = cop_in(call, 0)->rank;
    *first = clamp_axis(p->axis, rank);
    *last = p->count ? clamp_axis(p->values[0], rank) : rank;
    *last = *last < *first ? *first : *last;
}

static coppice_status shape_infer(cop_call *call) {
    int64_t first, last;
    shape_range(call, &first, &last);
    cop_set_out(call, 0, COPPICE_TYPE_INT64, 1, (int64_t[]){last - first});
    return COPPICE_OK;
}

static coppice_status shape_run(const cop_call *call) {
    int64_t first, last, *out = cop_out(call, 0)->data;
    shape_range(call, &first, &last);
    for (int64_t i = first; i < last; i++)
        out[i - first] = cop_in(call, 0)->dims[i];
    return COPPICE_OK;
}

static coppice_status size_infer(cop_call *call) {
    cop_set_out(call, 0, COPPICE_TYPE_INT64, 0, NULL);
    return COPPICE_OK;
}

static coppice_status size_run(const cop_call *call) {
    *(int64_t *)cop_out(call, 0)->data = coppice_tensor_count(cop_in(call, 0));
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_shape[] = {
    {.name = "Flatten", .since = 1, ONE_TO_ONE, .types = WHOLE_BYTES, .flags = COP_OP_VIEW,
     PARSE(flatten, cop_ints_params), INFER(flatten), .run = cop_view_run},
    {.name = "Identity", .since = 1, ONE_TO_ONE, .types = WHOLE_BYTES,
     .flags = COP_OP_VIEW | COP_OP_ANY_KIND, INFER(identity), .run = cop_view_run},
    {.name = "Reshape", .since = 1, .until = 4, ONE_TO_ONE, .types = WHOLE_BYTES,
     .flags = COP_OP_VIEW, PARSE(reshape, cop_ints_params), INFER(reshape), .run = cop_view_run},
    {.name = "Reshape", .since = 5, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = WHOLE_BYTES, .flags = COP_OP_VIEW, PARSE(reshape, cop_ints_params), INFER(reshape),
     .run = cop_view_run},
    {.name = "Shape", .since = 1, ONE_TO_ONE, .flags = COP_OP_SHAPE_ONLY,
     PARSE(shape, cop_ints_params), INFER(shape), RUN(shape)},
    {.name = "Size", .since = 1, ONE_TO_ONE, .flags = COP_OP_SHAPE_ONLY, INFER(size), RUN(size)},
    {.name = "Squeeze", .since = 1, .until = 12, ONE_TO_ONE, .types = WHOLE_BYTES,
     .flags = COP_OP_VIEW, PARSE(squeeze, cop_ints_params), INFER(squeeze), .run = cop_view_run},
    {.name = "Squeeze", .since = 13, .min_inputs = 1, .max_inputs = 2, .max_outputs = 1,
     .types = WHOLE_BYTES, .flags = COP_OP_VIEW, PARSE(squeeze, cop_ints_params), INFER(squeeze),
     .run = cop_view_run},
    {.name = "Unsqueeze", .since = 1, .until = 12, ONE_TO_ONE, .types = WHOLE_BYTES,
     .flags = COP_OP_VIEW, PARSE(unsqueeze, cop_ints_params), INFER(unsqueeze), .run = cop_view_run},
    {.name = "Unsqueeze", .since = 13, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = WHOLE_BYTES, .flags = COP_OP_VIEW, PARSE(unsqueeze, cop_ints_params),
     INFER(unsqueeze), .run = cop_view_run},
    {.name = NULL},
};
/* clang-format on */
