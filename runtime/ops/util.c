/* What operators share: operands, constant inputs, axes, broadcast shapes, layouts. */
#include "runtime/ops/util.h"

#include <string.h>

#include "base/memory.h"
#include "runtime/kernels/kernels.h"
#include "runtime/layout.h"
#include "runtime/ops/types.h"

const coppice_tensor *cop_in(const cop_call *call, int i) {
    return i < call->node->input_count && call->in[i] ? &call->in[i]->t : NULL;
}

coppice_tensor *cop_out(const cop_call *call, int i) {
    return i < call->node->output_count ? &call->out[i].t : NULL;
}

const char *cop_in_name(const cop_call *call, int i) {
    int value = i < call->node->input_count ? call->node->inputs[i] : -1;
    return value < 0 ? "" : call->graph->values[value].name;
}

void cop_set_out(cop_call *call, int i, coppice_type type, uint32_t rank, const int64_t *dims) {
    coppice_tensor *out = cop_out(call, i);
    if (!out)
        return;
    out->type = type;
    out->rank = rank;
    for (uint32_t d = 0; d < rank; d++)
        out->dims[d] = dims[d];
}

coppice_status cop_infer_same(cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0);
    cop_set_out(call, 0, in->type, in->rank, in->dims);
    return COPPICE_OK;
}

coppice_status cop_need_type(const cop_call *call, int i, uint32_t types) {
    const coppice_tensor *in = cop_in(call, i);
    if (in && (unsigned)in->type < 32 && (types >> in->type & 1))
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "input %d ('%s') has type %s, which does not fit",
                    i, cop_in_name(call, i), in ? coppice_type_name(in->type) : "none");
}

coppice_status cop_need_rank(const cop_call *call, int i, uint32_t rank) {
    const coppice_tensor *in = cop_in(call, i);
    if (in && in->rank == rank)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "input %d ('%s') is %s, expected %u dimensions",
                    i, cop_in_name(call, i), in ? cop_shape_text(in).s : "left out", rank);
}

size_t cop_type_bytes(coppice_type type) {
    unsigned bits = coppice_type_bits(type);
    if (type == COPPICE_TYPE_STRING)
        return sizeof(coppice_string);
    return bits % 8 ? 0 : bits / 8;
}

void cop_set_number(const coppice_tensor *t, size_t at, double value) {
#define SET(T, suffix, TYPE)                                                                       \
    case COPPICE_TYPE_##TYPE:                                                                      \
        ((T *)t->data)[at] = (T)value;                                                             \
        return;
    switch ((int)t->type) { EACH_NUMBER(SET) SET(uint8_t, u8, BOOL) }
#undef SET
}

/* ---- outputs that are sized while running ---- */

static bool is_read(const cop_call *call, int i) {
    return i < call->node->output_count && call->node->outputs[i] >= 0;
}

coppice_status cop_out_tensor(const cop_call *call, int i, coppice_type type, uint32_t rank,
                              const int64_t *dims) {
    if (!is_read(call, i))
        return COPPICE_OK;
    cop_operand *out = &call->out[i];
    cop_operand made = {.t = {.type = type, .rank = rank}, .narrow = out->narrow};
    for (uint32_t d = 0; d < rank; d++)
        made.t.dims[d] = dims[d];
    int64_t bytes = coppice_tensor_bytes(&made.t);
    if (bytes < 0)
        return cop_fail(call->err, COPPICE_LIMIT, "the output %s has too many elements",
                        cop_shape_text(&made.t).s);
    made.block = cop_block_new((size_t)bytes);
    if (!made.block)
        return cop_fail_memory(call->err, (size_t)bytes);
    made.t.data = made.block->data;
    cop_operand_release(out);
    *out = made;
    return COPPICE_OK;
}

coppice_status cop_out_share(const cop_call *call, int i, const cop_operand *src) {
    if (!is_read(call, i))
        return COPPICE_OK;
    cop_operand_release(&call->out[i]);
    return cop_operand_share(&call->out[i], src, call->err);
}

coppice_status cop_out_items(const cop_call *call, int i, coppice_kind kind, coppice_type type,
                             size_t count, cop_operand **list) {
    cop_items *items = cop_items_new(count);
    *list = NULL;
    if (!items)
        return cop_fail_memory(call->err, count);
    cop_operand_release(&call->out[i]);
    call->out[i] = (cop_operand){.t = {.type = type}, .kind = kind, .items = items};
    *list = items->list;
    return COPPICE_OK;
}

coppice_string cop_call_string(const cop_call *call, const char *data, size_t length) {
    char *copy = cop_arena_alloc(call->strings, length + 1);
    if (copy && length)
        memcpy(copy, data, length);
    return (coppice_string){copy, copy ? length : 0};
}

const cop_kernels *cop_call_kernels(const cop_call *call) {
    return call->kernels ? call->kernels : cop_kernels_of(COPPICE_ISA_SCALAR);
}

/* ---- numbers from attributes and constant inputs ---- */

coppice_status cop_need_data(const cop_call *call, int i) {
    const coppice_tensor *in = cop_in(call, i);
    if (!in || in->data || coppice_tensor_count(in) == 0)
        return COPPICE_OK;
    return COP_NEEDS_DATA;
}

coppice_status cop_input_ints(const cop_call *call, int i, int64_t *out, int max, int *count) {
    const coppice_tensor *in = cop_in(call, i);
    *count = -1;
    if (!in)
        return COPPICE_OK;
    COP_TRY(cop_need_data(call, i));
    int64_t n = coppice_tensor_count(in);
    if (!cop_is_integer_type(in->type) || in->rank > 1 || n < 0 || n > max)
        return cop_fail(
            call->err, COPPICE_BAD_MODEL, "input %d ('%s') is %s %s, expected at most %d integers",
            i, cop_in_name(call, i), coppice_type_name(in->type), cop_shape_text(in).s, max);
    for (int64_t j = 0; j < n; j++)
        out[j] = cop_tensor_get_int(in, j);
    *count = (int)n;
    return COPPICE_OK;
}

coppice_status cop_attr_ints(const cop_call *call, const char *name, int64_t *out, int max,
                             int *count) {
    const int64_t *ints;
    size_t n;
    *count = -1;
    COP_TRY(cop_node_ints(call->node, name, &ints, &n, call->err));
    if (!cop_node_attr(call->node, name))
        return COPPICE_OK;
    if (n > (size_t)max)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "attribute '%s' has %zu values, expected at most %d", name, n, max);
    if (n)
        memcpy(out, ints, n * sizeof *out);
    *count = (int)n;
    return COPPICE_OK;
}

coppice_status cop_attr_bool(const cop_call *call, const char *name, bool absent, bool *out) {
    int64_t value;
    COP_TRY(cop_node_int(call->node, name, absent, &value, call->err));
    if (value != 0 && value != 1)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute '%s' is %lld, expected 0 or 1",
                        name, (long long)value);
    *out = value != 0;
    return COPPICE_OK;
}

coppice_status cop_input_number(const cop_call *call, int i, double *out, bool *present) {
    const coppice_tensor *in = cop_in(call, i);
    *present = in != NULL;
    if (!in)
        return COPPICE_OK;
    COP_TRY(cop_need_data(call, i));
    if (coppice_tensor_count(in) != 1 || in->type == COPPICE_TYPE_STRING)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "input %d ('%s') is %s %s, expected a number",
                        i, cop_in_name(call, i), coppice_type_name(in->type), cop_shape_text(in).s);
    *out = cop_tensor_get(in, 0);
    return COPPICE_OK;
}

/* ---- axes ---- */

coppice_status cop_axis(const cop_call *call, int64_t axis, int64_t rank, int *out) {
    if (axis < -rank || axis >= rank)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "axis %lld is not within %lld dimensions",
                        (long long)axis, (long long)rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return COPPICE_OK;
}

coppice_status cop_axis_set(const cop_call *call, const int64_t *axes, int count, int64_t rank,
                            bool *on) {
    memset(on, 0, (size_t)rank * sizeof *on);
    for (int i = 0; i < count; i++) {
        int axis = 0;
        COP_TRY(cop_axis(call, axes[i], rank, &axis));
        if (on[axis])
            return cop_fail(call->err, COPPICE_BAD_MODEL, "axis %lld is given twice",
                            (long long)axes[i]);
        on[axis] = true;
    }
    return COPPICE_OK;
}

/* ---- broadcasting ---- */

coppice_status cop_broadcast(const cop_call *call, coppice_tensor *shape,
                             const coppice_tensor *other) {
    uint32_t rank = shape->rank > other->rank ? shape->rank : other->rank;
    int64_t dims[COPPICE_MAX_RANK];
    for (uint32_t i = 1; i <= rank; i++) { /* counted from the last */
        int64_t a = i <= shape->rank ? shape->dims[shape->rank - i] : 1;
        int64_t b = i <= other->rank ? other->dims[other->rank - i] : 1;
        if (a != b && a != 1 && b != 1)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "shapes %s and %s do not broadcast",
                            cop_shape_text(shape).s, cop_shape_text(other).s);
        dims[rank - i] = a == 1 ? b : a;
    }
    shape->rank = rank;
    memcpy(shape->dims, dims, rank * sizeof *dims);
    return COPPICE_OK;
}

unsigned cop_elementwise_layouts(const cop_call *call) {
    unsigned layouts = 1u << COP_LAYOUT_PLAIN;
    uint32_t rank = call->out[0].t.rank;
    if (rank == 4)
        layouts |= 1u << COP_LAYOUT_NHWC;
    return layouts | cop_tile_layouts(call, 0);
}

unsigned cop_tile_layouts(const cop_call *call, int inputs) {
    unsigned layouts = 1u << COP_LAYOUT_TILES | 1u << COP_LAYOUT_TOKEN_TILES;
    for (int i = -1; i < inputs; i++) {
        const coppice_tensor *t = i < 0 ? cop_out(call, 0) : cop_in(call, i);
        for (int l = COP_LAYOUT_TILES; l <= COP_LAYOUT_TOKEN_TILES; l++) {
            if (!t || t->rank != call->out[0].t.rank || !cop_layout_fits((cop_layout)l, t))
                layouts &= ~(1u << l);
        }
    }
    return layouts;
}

uint32_t cop_channel_axis(const cop_operand *operand) {
    return operand->layout == COP_LAYOUT_TILES ? 1 : operand->t.rank - 1;
}

size_t cop_memory_count(const cop_operand *operand) {
    if (!cop_layout_is_tiles(operand->layout))
        return (size_t)coppice_tensor_count(&operand->t);
    cop_tiles tiles = cop_tiles_of(&operand->t, operand->layout);
    return tiles.count * tiles.channels * tiles.tile;
}

/* ---- strides ---- */

void cop_plain_strides(uint32_t rank, const int64_t *dims, int64_t *strides) {
    int64_t stride = 1;
    for (uint32_t i = rank; i-- > 0;) {
        strides[i] = stride;
        stride *= dims[i] ? dims[i] : 1;
    }
}

void cop_operand_strides(const cop_operand *operand, int64_t *strides) {
    const coppice_tensor *t = &operand->t;
    const int64_t *dims = t->dims;
    if (operand->layout == COP_LAYOUT_NHWC && t->rank == 4) {
        strides[1] = 1;
        strides[3] = dims[1];
        strides[2] = dims[1] * dims[3];
        strides[0] = dims[1] * dims[3] * dims[2];
        return;
    }
    cop_plain_strides(t->rank, dims, strides);
}
