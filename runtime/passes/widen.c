/* float16 and bfloat16 become float32: no kernel computes in them. */
#include <string.h>

#include "runtime/passes/internal.h"

static bool is_half(coppice_type type) {
    return type == COPPICE_TYPE_FLOAT16 || type == COPPICE_TYPE_BFLOAT16;
}

/* Gives a constant float32 data in the arena. One that several places share is done once. */
static coppice_status widen_constant(cop_graph *graph, cop_constant *constant, coppice_error *err) {
    coppice_tensor *t = &constant->tensor;
    if (!is_half(t->type))
        return COPPICE_OK;
    int64_t count = t->rank <= COPPICE_MAX_RANK ? coppice_tensor_count(t) : -1;
    if (count < 0 || (!t->data && count > 0))
        return COPPICE_OK; /* nothing that could run reads it */
    float *wide = cop_arena_array(graph->arena, (size_t)count, sizeof *wide);
    if (!wide)
        return cop_fail_memory(err, (size_t)count * sizeof *wide);
    for (int64_t i = 0; i < count; i++)
        wide[i] = (float)cop_tensor_get(t, i);
    t->type = COPPICE_TYPE_FLOAT;
    t->data = wide;
    constant->bytes = (size_t)count * sizeof *wide;
    constant->aligned = true;
    return COPPICE_OK;
}

static coppice_status widen_node(cop_graph *graph, cop_node *node, coppice_error *err) {
    for (size_t i = 0; i < node->attr_count; i++) {
        if (node->attrs[i].kind == COP_ATTR_TENSOR)
            COP_TRY(widen_constant(graph, node->attrs[i].tensor, err));
    }
    const cop_attr *to = cop_is_op(node, "Cast") ? cop_node_attr(node, "to") : NULL;
    bool half = to && ((to->kind == COP_ATTR_INT && is_half((coppice_type)to->i)) ||
                       (to->kind == COP_ATTR_STRING && (!strcmp(to->s.data, "FLOAT16"))));
    if (half && cop_graph_opset(graph, "") >= 6 &&
        !cop_node_set_attr_int(graph, node, "to", COPPICE_TYPE_FLOAT))
        return cop_fail_memory(err, sizeof *to);
    return COPPICE_OK;
}

/* A Cast node from one value to another. */
static coppice_status add_cast(cop_graph *graph, int from, int to, coppice_type type,
                               coppice_error *err) {
    cop_node *node = cop_graph_add_node(graph, "Cast", 1, 1, 0);
    if (!node)
        return cop_fail_memory(err, sizeof *node);
    node->inputs[0] = from;
    node->outputs[0] = to;
    if (!cop_node_set_attr_int(graph, node, "to", type))
        return cop_fail_memory(err, sizeof *node);
    graph->values[to].type = type;
    return COPPICE_OK;
}

/* The readers of a float16 input read its widened form. */
static coppice_status widen_input(cop_graph *graph, int input, coppice_error *err) {
    int wide = cop_fresh_value(graph, graph->values[input].name, "_float32");
    if (wide < 0 || !cop_graph_replace_value(graph, input, wide))
        return cop_fail_memory(err, sizeof *graph->values);
    return add_cast(graph, input, wide, COPPICE_TYPE_FLOAT, err);
}

/* A float16 output is made of the float32 value that a node now returns. */
static coppice_status narrow_output(cop_graph *graph, size_t index, coppice_type type,
                                    coppice_error *err) {
    int wide = graph->outputs[index];
    int narrow = cop_fresh_value(graph, graph->values[wide].name, "_narrow");
    if (narrow < 0)
        return cop_fail_memory(err, sizeof *graph->values);
    graph->outputs[index] = narrow;
    return add_cast(graph, wide, narrow, type, err);
}

static coppice_status widen_ends(cop_graph *graph, const coppice_type *output_types,
                                 coppice_error *err) {
    for (size_t i = 0; i < graph->output_count; i++) {
        if (is_half(output_types[i]))
            COP_TRY(narrow_output(graph, i, output_types[i], err));
    }
    for (size_t i = 0; i < graph->input_count; i++) {
        const cop_value *value = &graph->values[graph->inputs[i]];
        if (!value->constant && is_half(value->type))
            COP_TRY(widen_input(graph, graph->inputs[i], err));
    }
    return COPPICE_OK;
}

coppice_status cop_pass_widen(cop_graph *graph, coppice_error *err) {
    coppice_type *types = cop_arena_array(graph->arena, graph->output_count, sizeof *types);
    if (!types)
        return cop_fail_memory(err, graph->output_count * sizeof *types);
    for (size_t i = 0; i < graph->output_count; i++)
        types[i] = graph->values[graph->outputs[i]].type;
    for (size_t i = 0; i < graph->node_count; i++)
        COP_TRY(widen_node(graph, &graph->nodes[i], err));
    for (size_t i = 0; i < graph->value_count; i++) {
        cop_value *value = &graph->values[i];
        if (value->constant)
            COP_TRY(widen_constant(graph, value->constant, err));
        bool given = value->is_input && !value->constant;
        if (is_half(value->type) && !given)
            value->type = COPPICE_TYPE_FLOAT;
    }
    size_t nodes = graph->node_count;
    COP_TRY(widen_ends(graph, types, err));
    return nodes == graph->node_count ? COPPICE_OK : cop_graph_connect(graph, err);
}
