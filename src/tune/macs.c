/* Multiply-accumulates of the nodes that use weights, by the runtime's shape inference. */
#include "tune/macs.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "runtime/op.h"

/* Each weight of a recurrent node is multiplied once per step and sample: X is [seq, batch, in] or
 * [batch, seq, in]. */
static int64_t recurrent_macs(const cop_node *node, int64_t weights, const cop_shapes *shapes) {
    int x = node->inputs[0];
    const coppice_tensor *t = x >= 0 && shapes->known[x] ? &shapes->values[x].t : NULL;
    int64_t macs;
    if (!t || t->rank != 3 || !cop_i64_mul(t->dims[0], t->dims[1], &macs) ||
        !cop_i64_mul(macs, weights, &macs))
        return -1;
    return macs;
}

static int64_t macs_of_use(const cop_graph *graph, const cop_weights *weights,
                           const cop_weight_use *use, const cop_shapes *shapes) {
    if (use->graph != graph)
        return -1;
    if (!use->recurrent)
        return cop_node_macs(graph, use->node, shapes);
    const coppice_tensor *weight = &weights->items[use->weight].constant->tensor;
    return recurrent_macs(&graph->nodes[use->node], coppice_tensor_count(weight), shapes);
}

/* Adds up what no use stands for. */
static coppice_status add_others(const cop_graph *graph, const cop_weights *weights,
                                 const cop_shapes *shapes, int64_t *others, coppice_error *err) {
    bool *counted = cop_calloc(graph->node_count + 1, sizeof *counted);
    if (!counted)
        return cop_fail_memory(err, graph->node_count);
    for (size_t i = 0; i < weights->use_count; i++)
        if (weights->uses[i].graph == graph)
            counted[weights->uses[i].node] = true;
    for (size_t n = 0; n < graph->node_count; n++) {
        int64_t macs = counted[n] ? 0 : cop_node_macs(graph, n, shapes);
        if (macs > 0 && !cop_i64_add(*others, macs, others))
            *others = INT64_MAX;
    }
    cop_free(counted);
    return COPPICE_OK;
}

coppice_status cop_macs_of_uses(const cop_graph *graph, const cop_weights *weights, int64_t *macs,
                                int64_t *others, coppice_error *err) {
    cop_shapes shapes = {0};
    const cop_infer_options options = {.best_effort = true};
    coppice_status status = cop_infer(graph, &options, &shapes, err);
    if (others)
        *others = 0;
    for (size_t i = 0; status == COPPICE_OK && i < weights->use_count; i++)
        macs[i] = macs_of_use(graph, weights, &weights->uses[i], &shapes);
    if (status == COPPICE_OK && others)
        status = add_others(graph, weights, &shapes, others, err);
    cop_shapes_free(&shapes);
    if (status == COPPICE_OUT_OF_MEMORY || status == COPPICE_INTERRUPTED)
        return status;
    for (size_t i = 0; status != COPPICE_OK && i < weights->use_count; i++)
        macs[i] = -1; /* shapes that contradict each other: nothing is known */
    return COPPICE_OK;
}
