/* Constants of narrow types become wide ones, as all values of a session are held
 * (runtime/value.h). Inputs and outputs change at the ends of a plan. */
#include "base/narrow.h"
#include "base/size.h"
#include "runtime/passes/internal.h"

/* One that several places share is done once. */
static coppice_status widen_constant(cop_graph *graph, cop_constant *constant, coppice_error *err) {
    coppice_tensor *t = &constant->tensor;
    coppice_type wide = cop_wide_type(t->type);
    if (wide == t->type)
        return COPPICE_OK;
    int64_t count = t->rank <= COPPICE_MAX_RANK ? coppice_tensor_count(t) : -1;
    if (count < 0 || (!t->data && count > 0))
        return COPPICE_OK; /* nothing that could run reads it */
    void *data = cop_arena_array(graph->arena, (size_t)count, coppice_type_bits(wide) / 8);
    if (!data)
        return cop_fail_memory(err, (size_t)count);
    cop_narrow_unpack(t->type, t->data, 0, (size_t)count, data);
    constant->narrow = t->type;
    t->type = wide;
    t->data = data;
    constant->bytes = (size_t)count * coppice_type_bits(wide) / 8;
    constant->aligned = true;
    return COPPICE_OK;
}

/* Graphs nest as deep as the loader allows. */
coppice_status cop_pass_widen(cop_graph *graph, coppice_error *err) {
    for (size_t i = 0; i < graph->value_count; i++) {
        if (graph->values[i].constant)
            COP_TRY(widen_constant(graph, graph->values[i].constant, err));
    }
    for (size_t i = 0; i < graph->node_count; i++) {
        const cop_node *node = &graph->nodes[i];
        for (size_t k = 0; k < node->attr_count; k++) {
            if (node->attrs[k].kind == COP_ATTR_TENSOR)
                COP_TRY(widen_constant(graph, node->attrs[k].tensor, err));
            if (node->attrs[k].kind == COP_ATTR_GRAPH)
                COP_TRY(cop_pass_widen(node->attrs[k].graph, err));
        }
    }
    return COPPICE_OK;
}
