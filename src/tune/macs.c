/* Multiply-accumulates of the nodes that use weights, by the runtime's shape inference. */
#include "tune/macs.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "graph/subgraph.h"
#include "prune/einsum.h"
#include "runtime/op.h"

/* A graph whose shapes are known, and those around it. */
typedef struct frame {
    const struct frame *outer;
    const cop_graph *graph;
    const cop_shapes *shapes;
} frame;

typedef struct counting {
    const cop_weights *weights;
    int64_t *macs, *others;
    coppice_error *err;
} counting;

static coppice_status count_graph(const counting *c, const frame *outer, const cop_graph *graph,
                                  const cop_infer_options *options);

/* ---- one node ---- */

static const coppice_tensor *input_of(const frame *f, const cop_node *node, int input) {
    int value = input < node->input_count ? node->inputs[input] : -1;
    return value >= 0 && f->shapes->known[value] ? &f->shapes->values[value].t : NULL;
}

/* Each weight of a recurrent node is multiplied once per step and sample: X is [seq, batch, in] or
 * [batch, seq, in]. */
static int64_t recurrent_macs(const frame *f, const cop_node *node, int64_t weights) {
    const coppice_tensor *t = input_of(f, node, 0);
    int64_t macs;
    if (!t || t->rank != 3 || !cop_i64_mul(t->dims[0], t->dims[1], &macs) ||
        !cop_i64_mul(macs, weights, &macs))
        return -1;
    return macs;
}

static int64_t product_macs(const frame *f, size_t n) {
    const cop_node *node = &f->graph->nodes[n];
    if (node->domain[0] || strcmp(node->op, "Einsum") != 0)
        return cop_node_macs(f->graph, n, f->shapes);
    const coppice_tensor *a = input_of(f, node, 0), *b = input_of(f, node, 1);
    return a && b ? cop_einsum_macs(node, a, b) : -1;
}

static int64_t macs_of_use(const counting *c, const frame *f, const cop_weight_use *use) {
    if (!use->recurrent)
        return product_macs(f, use->node);
    const coppice_tensor *weight = &c->weights->items[use->weight].constant->tensor;
    return recurrent_macs(f, &f->graph->nodes[use->node], coppice_tensor_count(weight));
}

/* ---- sub-graphs ---- */

static const cop_operand *outer_operand(const frame *f, const cop_graph *graph, const char *name) {
    const cop_graph *owner;
    int value = cop_graph_resolve(graph, name, &owner);
    for (; value >= 0 && f; f = f->outer)
        if (f->graph == owner)
            return f->shapes->known[value] ? &f->shapes->values[value] : NULL;
    return NULL;
}

/* The slice of a Scan input that its body gets. */
static bool drop_axis(const cop_node *node, size_t scan, cop_operand *operand) {
    const int64_t *axes;
    size_t count;
    coppice_tensor *t = &operand->t;
    if (cop_node_ints(node, "scan_input_axes", &axes, &count, NULL) || t->rank < 1)
        return false;
    int64_t axis = axes && scan < count ? axes[scan] : 0;
    axis += axis < 0 ? t->rank : 0;
    if (axis < 0 || axis >= t->rank)
        return false;
    t->rank--;
    memmove(&t->dims[axis], &t->dims[axis + 1], (t->rank - (size_t)axis) * sizeof *t->dims);
    return true;
}

/* What input `i` of a body begins with: the first iteration stands for all. */
static bool body_input(const frame *f, const cop_node *node, const cop_graph *body, size_t i,
                       cop_operand *out) {
    bool loop = strcmp(node->op, "Loop") == 0, scan = strcmp(node->op, "Scan") == 0;
    if (loop && i < 2) {
        *out = (cop_operand){.t.type = i ? COPPICE_TYPE_BOOL : COPPICE_TYPE_INT64};
        return true;
    }
    const coppice_tensor *t = loop || scan ? input_of(f, node, (int)i) : NULL;
    if (!t)
        return false;
    *out = (cop_operand){.t = *t};
    out->t.data = NULL;
    int64_t scanned = 0;
    if (scan && cop_node_int(node, "num_scan_inputs", 0, &scanned, NULL))
        return false;
    int64_t states = (int64_t)body->input_count - scanned;
    return !scan || (int64_t)i < states || drop_axis(node, i - (size_t)states, out);
}

static coppice_status count_body(const counting *c, const frame *f, const cop_node *node,
                                 const cop_graph *body) {
    cop_bound *bound = cop_calloc(body->value_count + 1, sizeof *bound);
    cop_infer_options options = {.best_effort = true, .bound = bound};
    if (!bound)
        return cop_fail_memory(c->err, body->value_count * sizeof *bound);
    for (size_t i = 0; i < body->input_count; i++) {
        cop_bound *b = &bound[options.bound_count];
        *b = (cop_bound){.value = body->inputs[i], .known = true};
        options.bound_count += body_input(f, node, body, i, &b->operand);
    }
    for (size_t v = 0; v < body->value_count; v++) {
        const cop_operand *operand =
            body->values[v].outer ? outer_operand(f, body, body->values[v].name) : NULL;
        if (operand)
            bound[options.bound_count++] =
                (cop_bound){.value = (int)v, .known = true, .operand = *operand};
    }
    coppice_status status = count_graph(c, f, body, &options);
    cop_free(bound);
    return status;
}

/* ---- a graph ---- */

static coppice_status count_nodes(const counting *c, const frame *f) {
    const cop_graph *graph = f->graph;
    bool *counted = cop_calloc(graph->node_count + 1, sizeof *counted);
    coppice_status status = COPPICE_OK;
    if (!counted)
        return cop_fail_memory(c->err, graph->node_count);
    for (size_t i = 0; i < c->weights->use_count; i++) {
        const cop_weight_use *use = &c->weights->uses[i];
        if (use->graph != graph)
            continue;
        c->macs[i] = macs_of_use(c, f, use);
        counted[use->node] = true;
    }
    for (size_t n = 0; status == COPPICE_OK && n < graph->node_count; n++) {
        const cop_node *node = &graph->nodes[n];
        int64_t macs = counted[n] ? 0 : product_macs(f, n);
        if (macs > 0 && !cop_i64_add(*c->others, macs, c->others))
            *c->others = INT64_MAX;
        for (size_t a = 0; status == COPPICE_OK && a < node->attr_count; a++)
            if (node->attrs[a].kind == COP_ATTR_GRAPH)
                status = count_body(c, f, node, node->attrs[a].graph);
    }
    cop_free(counted);
    return status;
}

/* Recursion is bounded by COP_MAX_GRAPH_DEPTH. Shapes that contradict each other: nothing is known.
 */
static coppice_status count_graph(const counting *c, const frame *outer, const cop_graph *graph,
                                  const cop_infer_options *options) {
    cop_shapes shapes = {0};
    const frame f = {outer, graph, &shapes};
    coppice_status status = cop_infer(graph, options, &shapes, c->err);
    if (status == COPPICE_OK)
        status = count_nodes(c, &f);
    cop_shapes_free(&shapes);
    return status == COPPICE_OUT_OF_MEMORY || status == COPPICE_INTERRUPTED ? status : COPPICE_OK;
}

coppice_status cop_macs_of_uses(const cop_graph *graph, const cop_weights *weights, int64_t *macs,
                                int64_t *others, coppice_error *err) {
    int64_t ignored = 0;
    const cop_infer_options options = {.best_effort = true};
    const counting c = {weights, macs, others ? others : &ignored, err};
    *c.others = 0;
    for (size_t i = 0; i < weights->use_count; i++)
        macs[i] = -1;
    return count_graph(&c, NULL, graph, &options);
}
