/* Kernels and layouts for all nodes together: the least sum of kernel times and layout changes.
 *
 * Each node's choice fixes the layout of its operands and outputs. A value that is read in another
 * layout than it was written in costs one change of layout. The search starts from several
 * assignments (every node's fastest; all channels-last; all plain; all tiles) and improves each
 * node by node until nothing changes; the best end is taken. */
#include <string.h>

#include "base/memory.h"
#include "runtime/plan.h"

/* What a step takes beside its work. */
static const double LAYOUT_MS_PER_STEP = 0.005;

enum { MAX_SWEEPS = 8 };

typedef struct assignment {
    const cop_graph *graph;
    const cop_shapes *shapes;
    const cop_fusion *fusions;
    cop_node_choices *choices;
    int *readers;         /* node indices, grouped by value */
    size_t *first_reader; /* by value, value_count + 1 */
    bool *is_output;
} assignment;

static const cop_choice *taken(const assignment *a, int node) {
    const cop_node_choices *c = &a->choices[node];
    return c->count ? &c->list[c->taken] : NULL;
}

/* The layout a value is written in; plain for inputs and constants. */
static cop_layout written(const assignment *a, int value) {
    int producer = a->graph->values[value].producer;
    if (producer >= 0 && a->fusions[producer].by >= 0)
        producer = a->fusions[producer].by;
    const cop_choice *choice = producer < 0 ? NULL : taken(a, producer);
    const coppice_tensor *tensor = &a->shapes->values[value].t;
    bool fits = choice && cop_layout_fits(choice->layout, tensor) &&
                (choice->view || tensor->rank >= cop_layout_rank(a->graph, a->shapes, producer));
    return fits ? choice->layout : COP_LAYOUT_PLAIN;
}

uint32_t cop_layout_rank(const cop_graph *graph, const cop_shapes *shapes, int node) {
    const cop_node *n = &graph->nodes[node];
    uint32_t rank = shapes->values[n->outputs[0]].t.rank;
    if (n->input_count == 0 || n->inputs[0] < 0)
        return rank;
    uint32_t first = shapes->values[n->inputs[0]].t.rank;
    return first > rank ? first : rank;
}

/* The layout in which `node` reads `value`. */
static cop_layout wanted(const assignment *a, int node, int value) {
    const cop_choice *choice = taken(a, node);
    if (choice && choice->view)
        return value == a->graph->nodes[node].inputs[0] ? choice->reads : COP_LAYOUT_PLAIN;
    uint32_t rank = cop_layout_rank(a->graph, a->shapes, node);
    bool same_rank = a->shapes->values[value].t.rank == rank;
    return choice && same_rank ? choice->layout : COP_LAYOUT_PLAIN;
}

/* Cost of all changes of layout that readers of `value` need. */
static double change_cost(const assignment *a, int value) {
    const cop_operand *operand = &a->shapes->values[value];
    if (operand->t.data) /* constants are changed when the plan is made */
        return 0;
    cop_layout layout = written(a, value);
    bool needed[COP_LAYOUT_COUNT] = {false};
    needed[COP_LAYOUT_PLAIN] = a->is_output[value];
    for (size_t i = a->first_reader[value]; i < a->first_reader[value + 1]; i++) {
        if (a->choices[a->readers[i]].count)
            needed[wanted(a, a->readers[i], value)] = true;
    }
    double cost = 0, bytes = (double)coppice_tensor_bytes(&operand->t);
    for (int l = 0; l < COP_LAYOUT_COUNT; l++) /* from one that is not plain to another: by plain */
        needed[COP_LAYOUT_PLAIN] |=
            needed[l] && layout != COP_LAYOUT_PLAIN &&
            !cop_layout_same(&operand->t, COP_LAYOUT_PLAIN, (cop_layout)l) &&
            !cop_layout_same(&operand->t, layout, (cop_layout)l);
    for (int l = 0; l < COP_LAYOUT_COUNT; l++) {
        if (needed[l] && !cop_layout_same(&operand->t, layout, (cop_layout)l))
            cost += bytes * COP_MOVE_MS_PER_BYTE + LAYOUT_MS_PER_STEP;
    }
    return cost;
}

/* The part of the total that depends on `node`'s choice. */
static double local_cost(const assignment *a, int node) {
    const cop_node *n = &a->graph->nodes[node];
    double cost = taken(a, node)->ms;
    for (int i = 0; i < n->input_count; i++)
        cost += n->inputs[i] < 0 ? 0 : change_cost(a, n->inputs[i]);
    for (int i = 0; i < n->output_count; i++)
        cost += n->outputs[i] < 0 ? 0 : change_cost(a, n->outputs[i]);
    const cop_fusion *fusion = &a->fusions[node];
    if (fusion->residual >= 0)
        cost += change_cost(a, fusion->residual);
    if (fusion->output >= 0)
        cost += change_cost(a, fusion->output);
    return cost;
}

static double total_cost(const assignment *a) {
    double cost = 0;
    for (size_t i = 0; i < a->graph->node_count; i++)
        cost += a->choices[i].count ? taken(a, (int)i)->ms : 0;
    for (size_t v = 0; v < a->graph->value_count; v++)
        cost += change_cost(a, (int)v);
    return cost;
}

/* Tries every choice of `node`; true when another one became better. */
static bool improve(const assignment *a, int node) {
    cop_node_choices *c = &a->choices[node];
    int before = c->taken, best = before;
    double best_cost = local_cost(a, node);
    for (int i = 0; i < c->count; i++) {
        c->taken = i;
        double cost = i == before ? best_cost : local_cost(a, node);
        if (cost < best_cost - 1e-9) {
            best_cost = cost;
            best = i;
        }
    }
    c->taken = best;
    return best != before;
}

static void descend(const assignment *a) {
    bool changed = true;
    for (int sweep = 0; changed && sweep < MAX_SWEEPS; sweep++) {
        changed = false;
        for (size_t i = 0; i < a->graph->node_count; i++) {
            /* forth and back in turn, so that a layout spreads along a chain both ways */
            size_t node = sweep % 2 ? a->graph->node_count - 1 - i : i;
            changed |= a->choices[node].count > 1 && improve(a, (int)node);
        }
    }
}

/* Every node takes its fastest choice among those in a layout of `mask`, or its fastest at all. */
static void start(const assignment *a, unsigned mask) {
    for (size_t i = 0; i < a->graph->node_count; i++) {
        cop_node_choices *c = &a->choices[i];
        int best = -1;
        for (int pass = 0; pass < 2 && best < 0; pass++) {
            for (int k = 0; k < c->count; k++) {
                bool allowed = pass || (mask >> c->list[k].layout & 1u);
                if (allowed && (best < 0 || c->list[k].ms < c->list[best].ms))
                    best = k;
            }
        }
        c->taken = best < 0 ? 0 : best;
    }
}

/* What a node's step reads: its inputs, then the residual that is fused into it. */
static size_t reads(const assignment *a, size_t node) {
    return (size_t)a->graph->nodes[node].input_count + (a->fusions[node].residual >= 0);
}

static int read_value(const assignment *a, size_t node, size_t k) {
    const cop_node *n = &a->graph->nodes[node];
    return k < (size_t)n->input_count ? n->inputs[k] : a->fusions[node].residual;
}

/* Groups the nodes by the values they read (counting sort). False: no memory. */
static bool index_readers(assignment *a) {
    const cop_graph *g = a->graph;
    size_t total = 0;
    for (size_t i = 0; i < g->node_count; i++)
        total += reads(a, i);
    a->readers = cop_calloc(total + 1, sizeof *a->readers);
    a->first_reader = cop_calloc(g->value_count + 2, sizeof *a->first_reader);
    a->is_output = cop_calloc(g->value_count + 1, sizeof *a->is_output);
    if (!a->readers || !a->first_reader || !a->is_output)
        return false;
    size_t *end = a->first_reader + 1; /* end[v] counts up while v's readers are filled in */
    for (size_t i = 0; i < g->node_count; i++) {
        for (size_t k = 0; k < reads(a, i); k++) {
            if (read_value(a, i, k) >= 0)
                a->first_reader[read_value(a, i, k) + 2]++;
        }
    }
    for (size_t v = 1; v <= g->value_count + 1; v++)
        a->first_reader[v] += a->first_reader[v - 1];
    for (size_t i = 0; i < g->node_count; i++) {
        for (size_t k = 0; k < reads(a, i); k++) {
            if (read_value(a, i, k) >= 0)
                a->readers[end[read_value(a, i, k)]++] = (int)i;
        }
    }
    for (size_t i = 0; i < g->output_count; i++)
        a->is_output[g->outputs[i]] = true;
    return true;
}

static void explain(assignment *a) {
    for (size_t i = 0; i < a->graph->node_count; i++) {
        cop_node_choices *c = &a->choices[i];
        for (int k = 0; k < c->count; k++) {
            if (c->list[k].ms < c->list[c->taken].ms * 0.98)
                c->why = "fits the layout of its neighbours";
        }
    }
}

void cop_assign(const cop_graph *graph, const cop_shapes *shapes, const cop_fusion *fusions,
                cop_node_choices *choices) {
    static const unsigned starts[] = {
        ~0u,
        1u << COP_LAYOUT_NHWC,
        1u << COP_LAYOUT_PLAIN,
        1u << COP_LAYOUT_TILES | 1u << COP_LAYOUT_TOKEN_TILES,
    };
    assignment a = {.graph = graph, .shapes = shapes, .fusions = fusions, .choices = choices};
    int *best = cop_calloc(graph->node_count + 1, sizeof *best);
    if (best && index_readers(&a)) { /* without memory every node keeps its first choice */
        double best_cost = -1;
        for (size_t s = 0; s < sizeof starts / sizeof starts[0]; s++) {
            start(&a, starts[s]);
            descend(&a);
            double cost = total_cost(&a);
            if (best_cost >= 0 && cost >= best_cost)
                continue;
            best_cost = cost;
            for (size_t i = 0; i < graph->node_count; i++)
                best[i] = choices[i].taken;
        }
        for (size_t i = 0; i < graph->node_count; i++)
            choices[i].taken = best[i];
        explain(&a);
    }
    cop_free(best);
    cop_free(a.readers);
    cop_free(a.first_reader);
    cop_free(a.is_output);
}
