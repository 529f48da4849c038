/* Finds out how quantised weights are read: scales, zero points, axes, blocks. */
#include "graph/quantized.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/type.h"

/* The zero point of all elements; false where they have several. */
static bool common_zero(const cop_constant *zeros, int64_t *out) {
    *out = 0;
    if (!zeros)
        return true;
    int64_t count = coppice_tensor_count(&zeros->tensor);
    if (count > 0 && !zeros->tensor.data)
        return false;
    if (count > 0)
        *out = cop_tensor_get_int(&zeros->tensor, 0);
    for (int64_t i = 1; i < count; i++)
        if (cop_tensor_get_int(&zeros->tensor, i) != *out)
            return false;
    return true;
}

/* One scale per block of the axis, and per element of the others. */
static bool set_blocks(const coppice_tensor *x, const coppice_tensor *scale, int axis,
                       int64_t block, cop_quantized *q) {
    q->block = block;
    q->inner_step = 1;
    q->axis_step = q->inner_size;
    q->outer_step = q->inner_size * scale->dims[axis];
    bool fits = scale->rank == x->rank &&
                scale->dims[axis] == q->axis_size / block + (q->axis_size % block != 0);
    for (uint32_t d = 0; fits && d < x->rank; d++)
        fits = (int)d == axis || scale->dims[d] == x->dims[d];
    return fits;
}

/* Which elements a scale belongs to. False when shapes do not fit. */
static bool find_axis(const cop_node *node, const coppice_tensor *x, cop_quantized *q) {
    const coppice_tensor *scale = q->scale;
    int64_t axis, block, count = coppice_tensor_count(scale);
    q->axis_size = q->inner_size = 1;
    if (count < 1 || !scale->data || cop_node_int(node, "axis", 1, &axis, NULL) ||
        cop_node_int(node, "block_size", 0, &block, NULL))
        return false;
    if (count == 1)
        return true;
    axis += axis < 0 ? x->rank : 0;
    if (axis < 0 || axis >= x->rank || block < 0 || coppice_tensor_count(x) < 1)
        return false;
    for (uint32_t d = (uint32_t)axis + 1; d < x->rank; d++)
        q->inner_size *= x->dims[d];
    q->axis_size = x->dims[axis];
    if (block)
        return set_blocks(x, scale, (int)axis, block, q);
    q->axis_step = 1;
    return count == q->axis_size;
}

static cop_constant *input_constant(const cop_graph *graph, const cop_node *node, int input) {
    if (input >= node->input_count || node->inputs[input] < 0)
        return NULL;
    return cop_graph_constant(graph, node->inputs[input], NULL, NULL);
}

static const char *read_quantized(const cop_graph *graph, const cop_node *node,
                                  const coppice_tensor *x, cop_quantized *q) {
    const cop_constant *scale = input_constant(graph, node, 1);
    const cop_constant *zeros = input_constant(graph, node, 2);
    if (!scale)
        return "its scale is not constant";
    if (!zeros && node->input_count > 2 && node->inputs[2] >= 0)
        return "its zero point is not constant";
    q->scale = &scale->tensor;
    if (zeros && zeros->tensor.type != x->type)
        return "its zero point is of another type";
    if (!common_zero(zeros, &q->zero))
        return "its zero points differ";
    return find_axis(node, x, q) ? NULL : "its scales do not fit its shape";
}

static coppice_status mark(cop_graph *graph, const cop_node *node, coppice_error *err) {
    cop_constant *constant = input_constant(graph, node, 0);
    if (!constant || !constant->tensor.data || cop_is_float_type(constant->tensor.type))
        return COPPICE_OK;
    cop_quantized *q = cop_arena_alloc(graph->arena, sizeof *q);
    if (!q)
        return cop_fail_memory(err, sizeof *q);
    *q = (cop_quantized){.block = 1};
    q->obstacle = read_quantized(graph, node, &constant->tensor, q);
    if (coppice_type_bits(constant->tensor.type) < 8)
        q->obstacle = cop_arena_printf(graph->arena, "type %s cannot be pruned",
                                       coppice_type_name(constant->tensor.type));
    if (!constant->quantized)
        constant->quantized = q;
    else if (constant->quantized->zero != q->zero)
        constant->quantized->obstacle = "it is read with several zero points";
    return COPPICE_OK;
}

/* Recursion is bounded by COP_MAX_GRAPH_DEPTH, which the loader enforces. */
coppice_status cop_graph_mark_quantized(cop_graph *graph, coppice_error *err) {
    for (size_t n = 0; n < graph->node_count; n++) {
        const cop_node *node = &graph->nodes[n];
        if (cop_is_op(node, "DequantizeLinear"))
            COP_TRY(mark(graph, node, err));
        for (size_t a = 0; a < node->attr_count; a++)
            if (node->attrs[a].kind == COP_ATTR_GRAPH)
                COP_TRY(cop_graph_mark_quantized(node->attrs[a].graph, err));
    }
    return COPPICE_OK;
}

float cop_quantized_magnitude(const cop_constant *constant, int64_t index) {
    const cop_quantized *q = constant->quantized;
    int64_t outer = index / q->inner_size / q->axis_size;
    int64_t at = index / q->inner_size % q->axis_size, inner = index % q->inner_size;
    int64_t scale = outer * q->outer_step + at / q->block * q->axis_step + inner * q->inner_step;
    float value = (float)(cop_tensor_get(&constant->tensor, index) - (double)q->zero);
    return fabsf(value * (float)cop_tensor_get(q->scale, scale));
}

uint64_t cop_constant_zero(const cop_constant *constant) {
    return constant->quantized ? (uint64_t)constant->quantized->zero : 0;
}

bool cop_constant_maskable(const cop_constant *constant) {
    return cop_is_float_type(constant->tensor.type) ||
           (constant->quantized && !constant->quantized->obstacle);
}
