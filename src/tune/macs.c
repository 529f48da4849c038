/* Multiply-accumulates of the nodes that use weights, by the runtime's shape inference. */
#include "tune/macs.h"

#include "base/error.h"
#include "runtime/op.h"

coppice_status cop_macs_of_uses(const cop_graph *graph, const cop_weights *weights, int64_t *macs,
                                coppice_error *err) {
    cop_shapes shapes = {0};
    const cop_infer_options options = {.best_effort = true};
    coppice_status status = cop_infer(graph, &options, &shapes, err);
    for (size_t i = 0; status == COPPICE_OK && i < weights->use_count; i++)
        macs[i] = weights->uses[i].graph == graph
                      ? cop_node_macs(graph, weights->uses[i].node, &shapes)
                      : -1;
    cop_shapes_free(&shapes);
    if (status == COPPICE_OUT_OF_MEMORY || status == COPPICE_INTERRUPTED)
        return status;
    for (size_t i = 0; status != COPPICE_OK && i < weights->use_count; i++)
        macs[i] = -1; /* shapes that contradict each other: nothing is known */
    return COPPICE_OK;
}
