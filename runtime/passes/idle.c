/* Nodes that return what they got, once shapes are known; Expands that can wait. */
#include "base/memory.h"
#include "base/shape.h"
#include "runtime/passes/shaped.h"

/* Does the node return the elements of input 0 in their order whenever its shape is that of input
 * 0? */
static bool keeps_elements(const cop_node *node) {
    static const char *const ops[] = {"Expand",  "Flatten", "Identity",  "Reshape", "Slice",
                                      "Squeeze", "Tile",    "Unsqueeze", "Cast",    NULL};
    static const char *const of_many[] = {"Concat", "Sum", "Max", "Min", "Mean", NULL};
    return cop_is_one_of(node, ops) || (cop_is_one_of(node, of_many) && node->input_count == 1);
}

/* A Transpose whose dims of more than one element stay in order. */
static bool moves_nothing(const cop_node *node, const coppice_tensor *t) {
    const int64_t *perm;
    size_t count;
    int64_t last = -1;
    if (!cop_is_op(node, "Transpose") || cop_node_ints(node, "perm", &perm, &count, NULL) ||
        count != t->rank)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (perm[i] < 0 || perm[i] >= (int64_t)count)
            return false;
        if (t->dims[perm[i]] == 1)
            continue;
        if (perm[i] < last)
            return false;
        last = perm[i];
    }
    return true;
}

/* A Slice backwards has the shape of its input too. */
static bool goes_forward(const cop_shaped *p, const cop_node *node) {
    const coppice_tensor *steps =
        node->input_count > 4 && node->inputs[4] >= 0 ? cop_known(p, node->inputs[4]) : NULL;
    if (!cop_is_op(node, "Slice") || node->input_count < 5 || node->inputs[4] < 0)
        return true;
    for (int64_t i = 0; steps && steps->data && i < coppice_tensor_count(steps); i++) {
        if (cop_tensor_get_int(steps, i) <= 0)
            return false;
    }
    return steps && steps->data;
}

/* Are all elements of a constant this number? Large ones are not looked at. */
static bool is_uniform(const coppice_tensor *t, double number) {
    int64_t count = t && t->data ? coppice_tensor_count(t) : 0;
    for (int64_t i = 0; i < count && count <= 1 << 20; i++) {
        if (cop_tensor_get(t, i) != number)
            return false;
    }
    return count > 0 && count <= 1 << 20;
}

/* The input that the node returns, for x * 1, x / 1, x + 0, x - 0, true and x, false or x; -1
 * otherwise. */
static int neutral_input(const cop_shaped *p, const cop_node *node) {
    static const struct {
        const char *op;
        double neutral;
        bool swaps;
    } ops[] = {{"Mul", 1, true},  {"Div", 1, false}, {"Add", 0, true},
               {"Sub", 0, false}, {"And", 1, true},  {"Or", 0, true}};
    if (node->input_count != 2 || node->output_count != 1 || cop_node_opset(p->graph, node) < 7)
        return -1;
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (!cop_is_op(node, ops[i].op))
            continue;
        for (int x = 0; x < (ops[i].swaps ? 2 : 1); x++) {
            if (cop_variable(p, node->inputs[x]) &&
                is_uniform(cop_known(p, node->inputs[1 - x]), ops[i].neutral))
                return x;
        }
    }
    return -1;
}

/* A constant that changes no element, but may give the result more dimensions, or larger ones. */
static coppice_status become_expand(cop_shaped *p, int index) {
    cop_node *node = &p->graph->nodes[index];
    int x = neutral_input(p, node);
    const coppice_tensor *to = x < 0 ? NULL : cop_variable(p, node->outputs[0]);
    if (!to || !cop_same_narrow(p, node->inputs[x], node->outputs[0]))
        return COPPICE_OK;
    bool repeats = coppice_tensor_count(to) != coppice_tensor_count(cop_known(p, node->inputs[x]));
    int shape = cop_new_ints(p, "shape", to->dims, to->rank);
    if (shape < 0 || !cop_become(p, node, repeats ? "Expand" : "Reshape", 13,
                                 (int[]){node->inputs[x], shape}, 2))
        return COPPICE_OUT_OF_MEMORY;
    return COPPICE_OK;
}

static bool is_idle(const cop_shaped *p, const cop_node *node) {
    if (node->domain[0] || node->output_count < 1 || node->outputs[0] < 0 ||
        node->input_count < 1 || node->inputs[0] < 0)
        return false;
    for (int i = 1; i < node->output_count; i++) {
        if (node->outputs[i] >= 0 && p->counts[node->outputs[i]])
            return false;
    }
    const coppice_tensor *from = cop_variable(p, node->inputs[0]);
    const coppice_tensor *to = cop_variable(p, node->outputs[0]);
    if (!from || !to || from->type != to->type || !cop_same_shape(from, to) ||
        !cop_same_narrow(p, node->inputs[0], node->outputs[0]))
        return false;
    return (keeps_elements(node) && goes_forward(p, node)) || moves_nothing(node, from);
}

/* Reads inside sub-graphs go by name and stay, and with them the node. */
coppice_status cop_pass_skip_idle(cop_shaped *p) {
    cop_graph *graph = p->graph;
    int *source = cop_malloc((p->value_count + 1) * sizeof *source);
    if (!source)
        return cop_fail_memory(p->err, p->value_count * sizeof *source);
    for (size_t i = 0; i < p->value_count; i++)
        source[i] = (int)i;
    coppice_status status = COPPICE_OK;
    for (size_t n = 0; n < p->node_count; n++) {
        cop_node *node = &graph->nodes[n];
        for (int i = 0; i < node->input_count; i++) {
            if (node->inputs[i] >= 0)
                node->inputs[i] = source[node->inputs[i]];
        }
        if (!status)
            status = become_expand(p, (int)n);
        if (is_idle(p, node)) {
            source[node->outputs[0]] = node->inputs[0];
            p->changed = true;
        }
    }
    for (size_t i = 0; i < graph->output_count; i++) {
        int from = source[graph->outputs[i]];
        if (graph->values[from].producer >= 0)
            graph->outputs[i] = from;
    }
    cop_free(source);
    return status;
}

/* ---- Expand ---- */

/* The only input that is no single number, when an Expand makes it; -1 otherwise. */
static int expanded_input(const cop_shaped *p, const cop_node *node) {
    int at = -1;
    double number;
    for (int i = 0; i < node->input_count; i++) {
        if (cop_scalar(p, node->inputs[i], &number))
            continue;
        if (at >= 0)
            return -1;
        at = i;
    }
    const cop_node *expand = at < 0 ? NULL : cop_producer_is(p, node->inputs[at], "Expand");
    return expand && cop_variable(p, expand->inputs[0]) && cop_variable(p, node->outputs[0]) ? at
                                                                                             : -1;
}

static bool may_wait_for(const cop_node *node) {
    static const char *const ops[] = {"Where", "Not", "Cast", "Add", "Sub", "Mul", NULL};
    return cop_is_one_of(node, ops) && node->output_count == 1 && node->outputs[0] >= 0;
}

/* f(Expand(x)) becomes Expand(f(x)). */
static coppice_status expand_later(cop_shaped *p, int index, int at) {
    cop_graph *graph = p->graph;
    const cop_node node = graph->nodes[index];
    const coppice_tensor dims = *cop_known(p, node.outputs[0]);
    int value = cop_new_node(p, index, node.op, node.opset, node.inputs, node.input_count);
    int shape = value < 0 ? -1 : cop_new_ints(p, "shape", dims.dims, dims.rank);
    if (shape < 0)
        return COPPICE_OUT_OF_MEMORY;
    cop_node *early = cop_newest(p);
    early->inputs[at] = cop_producer(p, node.inputs[at])->inputs[0];
    early->attrs = node.attrs;
    early->attr_count = node.attr_count;
    if (!cop_become(p, &graph->nodes[index], "Expand", 13, (int[]){value, shape}, 2))
        return COPPICE_OUT_OF_MEMORY;
    return COPPICE_OK;
}

/* One node of a chain at a time: what was made has no known shape yet. */
coppice_status cop_pass_expand_later(cop_shaped *p) {
    for (size_t n = 0; n < p->node_count; n++) {
        const cop_node *node = &p->graph->nodes[n];
        int at = may_wait_for(node) ? expanded_input(p, node) : -1;
        if (at >= 0)
            COP_TRY(expand_later(p, (int)n, at));
    }
    return COPPICE_OK;
}
