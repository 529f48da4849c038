/* Identity and inference Dropout disappear. */

#include "base/memory.h"
#include "runtime/passes/internal.h"

/* True when output 0 is input 0. A Dropout may be training only when a flag says so. */
static bool is_identity(const cop_graph *graph, const cop_node *node) {
    if (node->input_count < 1 || node->inputs[0] < 0 || node->output_count < 1 ||
        node->outputs[0] < 0)
        return false;
    if (cop_is_op(node, "Identity"))
        return true;
    if (!cop_is_op(node, "Dropout"))
        return false;
    if (node->input_count < 3 || node->inputs[2] < 0)
        return true;
    const cop_constant *training = cop_graph_constant(graph, node->inputs[2], NULL, NULL);
    return training && training->tensor.data && coppice_tensor_count(&training->tensor) == 1 &&
           !cop_tensor_get_int(&training->tensor, 0);
}

/* Nodes are in topological order: what an identity reads has its final source already. Reads inside
 * sub-graphs go by name and stay, and with them the node. */
coppice_status cop_pass_skip_identities(cop_graph *graph, coppice_error *err) {
    int *source = cop_malloc((graph->value_count + 1) * sizeof *source);
    if (!source)
        return cop_fail_memory(err, graph->value_count * sizeof *source);
    for (size_t i = 0; i < graph->value_count; i++)
        source[i] = (int)i;
    for (size_t n = 0; n < graph->node_count; n++) {
        cop_node *node = &graph->nodes[n];
        for (int i = 0; i < node->input_count; i++) {
            if (node->inputs[i] >= 0)
                node->inputs[i] = source[node->inputs[i]];
        }
        if (is_identity(graph, node))
            source[node->outputs[0]] = node->inputs[0];
    }
    /* A graph output that is an input or a constant keeps the node that makes it a value. */
    for (size_t i = 0; i < graph->output_count; i++) {
        int from = source[graph->outputs[i]];
        if (graph->values[from].producer >= 0 && !graph->values[from].constant)
            graph->outputs[i] = from;
    }
    cop_free(source);
    return COPPICE_OK;
}
