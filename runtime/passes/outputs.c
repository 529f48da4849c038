/* First outputs that the model leaves out get a value. */
#include "runtime/passes/internal.h"

coppice_status cop_pass_name_outputs(cop_graph *graph, coppice_error *err) {
    for (size_t n = 0; n < graph->node_count; n++) {
        cop_node *node = &graph->nodes[n];
        if (node->output_count == 0 || node->outputs[0] >= 0)
            continue;
        int value = cop_fresh_value(graph, cop_node_label(graph, node), "_unread");
        if (value < 0)
            return cop_fail_memory(err, sizeof *graph->values);
        graph->values[value].producer = (int)n;
        node->outputs[0] = value;
    }
    return COPPICE_OK;
}
