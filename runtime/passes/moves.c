/* Chains of Transpose, Reshape, Squeeze and Unsqueeze become the least that does the same: nothing,
 * one Reshape, or one Transpose between Reshapes, which move nothing themselves. */
#include <string.h>

#include "base/shape.h"
#include "runtime/passes/views.h"

/* The nodes of a chain that nothing else needs, its end included. */
typedef struct chain_cost {
    int nodes, transposes;
} chain_cost;

static bool is_chain_node(const cop_shaped *p, const cop_node *node) {
    return node && node->output_count == 1 && node->outputs[0] >= 0 &&
           cop_view_looks_through(p, node, 0);
}

static chain_cost cost_of(const cop_shaped *p, const cop_node *end, int base) {
    chain_cost cost = {0};
    for (const cop_node *node = end; is_chain_node(p, node) && node->outputs[0] != base;
         node = cop_producer(p, node->inputs[0])) {
        if (node != end && p->counts[node->outputs[0]] != 1)
            break;
        cost.nodes++;
        cost.transposes += cop_is_op(node, "Transpose");
    }
    return cost;
}

/* Where a chain goes on its end does not matter. */
static bool ends_chain(const cop_shaped *p, const cop_node *node) {
    return is_chain_node(p, node) && !is_chain_node(p, cop_sole_reader(p, node->outputs[0]));
}

static coppice_status become_reshape(cop_shaped *p, int index, int value) {
    const coppice_tensor to = *cop_known(p, p->graph->nodes[index].outputs[0]);
    int shape = cop_new_ints(p, "shape", to.dims, to.rank);
    return shape >= 0 &&
                   cop_become(p, &p->graph->nodes[index], "Reshape", 13, (int[]){value, shape}, 2)
               ? COPPICE_OK
               : COPPICE_OUT_OF_MEMORY;
}

/* The base as its factors in their order, what moves them, and what comes out. */
typedef struct transposition {
    uint32_t rank;
    int64_t from[COP_VIEW_FACTORS], to[COP_VIEW_FACTORS], perm[COP_VIEW_FACTORS];
} transposition;

static void transposition_of(const cop_view *view, transposition *t) {
    t->rank = (uint32_t)view->count;
    for (int i = 0; i < view->count; i++) {
        int place = 0; /* in the base: behind all of larger strides */
        for (int k = 0; k < view->count; k++)
            place += view->factors[k].stride > view->factors[i].stride;
        t->perm[i] = place;
        t->to[i] = view->factors[i].size;
        t->from[place] = view->factors[i].size;
    }
}

static bool same_dims(const coppice_tensor *t, uint32_t rank, const int64_t *dims) {
    return t->rank == rank && (!rank || !memcmp(t->dims, dims, rank * sizeof *dims));
}

/* Nodes that it takes. */
static int nodes_of(const cop_shaped *p, const transposition *t, int base, int end) {
    return 1 + !same_dims(cop_known(p, base), t->rank, t->from) +
           !same_dims(cop_known(p, end), t->rank, t->to);
}

static coppice_status become_transposition(cop_shaped *p, int index, int base,
                                           const transposition *t) {
    const coppice_tensor to = *cop_known(p, p->graph->nodes[index].outputs[0]);
    bool last = same_dims(&to, t->rank, t->to);
    int from = cop_reshaped(p, base, t->rank, t->from);
    if (from < 0)
        return COPPICE_OUT_OF_MEMORY;
    if (last)
        return cop_become(p, &p->graph->nodes[index], "Transpose", 13, &from, 1) &&
                       cop_node_set_attr_ints(p->graph, &p->graph->nodes[index], "perm", t->perm,
                                              t->rank)
                   ? COPPICE_OK
                   : COPPICE_OUT_OF_MEMORY;
    int moved = cop_new_node(p, index, "Transpose", 13, &from, 1);
    if (moved < 0 || !cop_node_set_attr_ints(p->graph, cop_newest(p), "perm", t->perm, t->rank))
        return COPPICE_OUT_OF_MEMORY;
    return become_reshape(p, index, moved);
}

static coppice_status shorten(cop_shaped *p, int index) {
    const cop_node *node = &p->graph->nodes[index];
    int end = node->outputs[0];
    cop_view view;
    transposition t;
    if (!cop_view_of(p, end, 0, &view) || view.base == end)
        return COPPICE_OK;
    chain_cost cost = cost_of(p, node, view.base);
    cop_view_merge(&view, true);
    if (cop_view_in_order(&view))
        return cost.nodes > 1 || cost.transposes ? become_reshape(p, index, view.base) : COPPICE_OK;
    transposition_of(&view, &t);
    if (t.rank > COPPICE_MAX_RANK)
        return COPPICE_OK;
    bool fewer = cost.transposes == 1 && nodes_of(p, &t, view.base, end) < cost.nodes;
    if (cost.transposes > 1 || fewer)
        return become_transposition(p, index, view.base, &t);
    return COPPICE_OK;
}

coppice_status cop_pass_moves(cop_shaped *p) {
    for (size_t n = 0; n < p->node_count; n++) {
        if (ends_chain(p, &p->graph->nodes[n]))
            COP_TRY(shorten(p, (int)n));
    }
    return COPPICE_OK;
}
