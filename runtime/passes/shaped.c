/* The passes that know shapes: their order, what they share. */
#include "runtime/passes/shaped.h"

#include <string.h>

#include "base/memory.h"
#include "base/shape.h"
#include "runtime/passes/passes.h"

static coppice_status fold_again(cop_shaped *p) {
    COP_TRY(cop_pass_fold_batchnorm(p->graph, p->err));
    COP_TRY(cop_pass_fold_affine(p->graph, p->err));
    p->changed = true;
    return COPPICE_OK;
}

static coppice_status (*const passes[])(cop_shaped *p) = {
    cop_pass_skip_idle, cop_pass_expand_later, cop_pass_curves,
    cop_pass_norms,     cop_pass_attention,    cop_pass_moves,
    fold_again,         cop_pass_pad,          cop_pass_skip_idle, /* what the others left */
};

/* ---- constants ---- */

static coppice_status bake_value(cop_graph *graph, int index, const cop_operand *held,
                                 coppice_error *err) {
    cop_constant *constant = cop_arena_alloc(graph->arena, sizeof *constant);
    if (!constant)
        return cop_fail_memory(err, sizeof *constant);
    size_t width = coppice_type_bits(held->t.type) / 8;
    *constant = (cop_constant){.tensor = held->t,
                               .narrow = held->narrow,
                               .bytes = (size_t)coppice_tensor_bytes(&held->t),
                               .aligned = width < 2 || (uintptr_t)held->t.data % width == 0};
    graph->values[index].constant = constant;
    graph->values[index].producer = -1;
    return COPPICE_OK;
}

/* What inference computed becomes constants, which borrow the data of `shapes`. */
static coppice_status bake(cop_graph *graph, const cop_shapes *shapes, coppice_error *err) {
    for (size_t n = 0; n < graph->node_count; n++) {
        cop_node *node = &graph->nodes[n];
        for (int i = 0; i < node->output_count; i++) {
            int v = node->outputs[i];
            if (v < 0 || graph->values[v].constant || !shapes->known[v] ||
                !shapes->values[v].t.data || shapes->values[v].kind != COPPICE_KIND_TENSOR)
                continue;
            COP_TRY(bake_value(graph, v, &shapes->values[v], err));
            node->outputs[i] = -1;
        }
    }
    return cop_graph_remove_dead(graph) ? COPPICE_OK : cop_fail_memory(err, graph->node_count);
}

/* ---- running them ---- */

static coppice_status list_readers(cop_shaped *p) {
    p->readers = cop_malloc((p->value_count + 1) * sizeof *p->readers);
    if (!p->readers)
        return cop_fail_memory(p->err, p->value_count * sizeof *p->readers);
    for (size_t v = 0; v < p->value_count; v++)
        p->readers[v] = -1;
    for (size_t n = 0; n < p->node_count; n++) {
        const cop_node *node = &p->graph->nodes[n];
        for (int i = 0; i < node->input_count; i++) {
            if (node->inputs[i] >= 0)
                p->readers[node->inputs[i]] = (int)n;
        }
    }
    return COPPICE_OK;
}

static coppice_status run_one(size_t index, cop_graph *graph, const cop_shapes *shapes,
                              bool *changed, coppice_error *err) {
    cop_shaped p = {.graph = graph,
                    .shapes = shapes,
                    .value_count = graph->value_count,
                    .node_count = graph->node_count,
                    .counts = cop_graph_use_counts(graph),
                    .err = err};
    coppice_status status =
        p.counts ? list_readers(&p) : cop_fail_memory(err, graph->value_count * sizeof *p.counts);
    if (!status)
        status = passes[index](&p);
    *changed = p.changed;
    cop_free(p.counts);
    cop_free(p.readers);
    if (status || !p.changed)
        return status;
    COP_TRY(cop_graph_connect(graph, err));
    return cop_graph_remove_dead(graph) ? COPPICE_OK : cop_fail_memory(err, graph->node_count);
}

coppice_status cop_passes_run_shaped(cop_graph *graph, const cop_infer_options *options,
                                     cop_shapes *shapes, cop_shapes *folded, coppice_error *err) {
    COP_TRY(bake(graph, shapes, err));
    *folded = *shapes;
    *shapes = (cop_shapes){0};
    COP_TRY(cop_infer(graph, options, shapes, err));
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        bool changed;
        COP_TRY(run_one(i, graph, shapes, &changed, err));
        if (!changed)
            continue;
        cop_shapes_free(shapes);
        COP_TRY(cop_infer(graph, options, shapes, err));
    }
    return COPPICE_OK;
}

/* ---- what they share ---- */

const coppice_tensor *cop_known(const cop_shaped *p, int value) {
    if (value < 0 || (size_t)value >= p->value_count || !p->shapes->known[value] ||
        p->shapes->values[value].kind != COPPICE_KIND_TENSOR)
        return NULL;
    return &p->shapes->values[value].t;
}

const coppice_tensor *cop_variable(const cop_shaped *p, int value) {
    const coppice_tensor *t = cop_known(p, value);
    return t && !t->data ? t : NULL;
}

bool cop_same_narrow(const cop_shaped *p, int a, int b) {
    return p->shapes->values[a].narrow == p->shapes->values[b].narrow;
}

cop_node *cop_producer(const cop_shaped *p, int value) {
    if (value < 0 || (size_t)value >= p->value_count || p->graph->values[value].producer < 0)
        return NULL;
    return &p->graph->nodes[p->graph->values[value].producer];
}

cop_node *cop_producer_is(const cop_shaped *p, int value, const char *op) {
    cop_node *node = cop_producer(p, value);
    bool fits = node && cop_is_op(node, op) && node->input_count > 0 && node->inputs[0] >= 0 &&
                node->outputs[0] == value;
    return fits ? node : NULL;
}

cop_node *cop_sole_reader(const cop_shaped *p, int value) {
    if (value < 0 || (size_t)value >= p->value_count || p->counts[value] != 1 ||
        p->readers[value] < 0)
        return NULL;
    return &p->graph->nodes[p->readers[value]];
}

bool cop_scalar(const cop_shaped *p, int value, double *number) {
    const coppice_tensor *t = cop_known(p, value);
    if (!t || !t->data || coppice_tensor_count(t) != 1 ||
        (t->type != COPPICE_TYPE_FLOAT && t->type != COPPICE_TYPE_DOUBLE))
        return false;
    *number = cop_tensor_get(t, 0);
    return true;
}

int cop_scalar_input(const cop_shaped *p, const cop_node *node, double *number) {
    if (node->input_count != 2)
        return -1;
    for (int i = 1; i >= 0; i--) {
        const coppice_tensor *other = cop_known(p, node->inputs[1 - i]);
        if (other && cop_scalar(p, node->inputs[i], number) &&
            cop_known(p, node->inputs[i])->rank <= other->rank)
            return i;
    }
    return -1;
}

bool cop_become(cop_shaped *p, cop_node *node, const char *op, int64_t opset, const int *inputs,
                int count) {
    char *name = cop_arena_strdup(p->graph->arena, op);
    int *copy = cop_arena_copy(p->graph->arena, inputs, (size_t)count * sizeof *inputs);
    if (!name || !copy) {
        cop_fail_memory(p->err, (size_t)count * sizeof *inputs);
        return false;
    }
    node->op = name;
    node->domain = "";
    node->opset = opset;
    node->inputs = copy;
    node->input_count = count;
    node->output_count = 1;
    node->attr_count = 0;
    p->changed = true;
    return true;
}

int cop_new_node(cop_shaped *p, int like, const char *op, int64_t opset, const int *inputs,
                 int count) {
    cop_graph *graph = p->graph;
    const char *label = cop_node_label(graph, &graph->nodes[like]);
    int value = cop_fresh_value(graph, label, "");
    cop_node *node = value < 0 ? NULL : cop_graph_add_node(graph, op, count, 1, 0);
    if (!node) {
        cop_fail_memory(p->err, sizeof *node);
        return -1;
    }
    graph->values[value].producer = (int)graph->node_count - 1;
    node->name = label;
    node->opset = opset;
    node->outputs[0] = value;
    for (int i = 0; i < count; i++)
        node->inputs[i] = inputs[i];
    p->changed = true;
    return value;
}

cop_node *cop_newest(const cop_shaped *p) {
    return &p->graph->nodes[p->graph->node_count - 1];
}

static int new_constant(cop_shaped *p, const char *name, const coppice_tensor *tensor) {
    int value = tensor->data ? cop_graph_add_constant(p->graph, name, tensor) : -1;
    if (value < 0)
        cop_fail_memory(p->err, sizeof *p->graph->values);
    return value;
}

int cop_new_ints(cop_shaped *p, const char *name, const int64_t *values, size_t count) {
    coppice_tensor tensor = {.type = COPPICE_TYPE_INT64,
                             .rank = 1,
                             .dims = {(int64_t)count},
                             .data =
                                 cop_arena_copy(p->graph->arena, values, count * sizeof *values)};
    return new_constant(p, name, &tensor);
}

int cop_new_floats(cop_shaped *p, int like, uint32_t rank, const int64_t *dims, float number) {
    coppice_tensor tensor = {.type = COPPICE_TYPE_FLOAT, .rank = rank};
    if (rank)
        memcpy(tensor.dims, dims, rank * sizeof *dims);
    size_t count = (size_t)coppice_tensor_count(&tensor);
    float *data = cop_arena_array(p->graph->arena, count, sizeof *data);
    for (size_t i = 0; data && i < count; i++)
        data[i] = number;
    tensor.data = data;
    int value = new_constant(p, "number", &tensor);
    if (value >= 0)
        p->graph->values[value].constant->narrow = p->shapes->values[like].narrow;
    return value;
}

int cop_reshaped(cop_shaped *p, int value, uint32_t rank, const int64_t *dims) {
    const coppice_tensor *t = cop_known(p, value);
    coppice_tensor wanted = {.rank = rank};
    memcpy(wanted.dims, dims, rank * sizeof *dims);
    if (t && cop_same_shape(t, &wanted))
        return value;
    int shape = cop_new_ints(p, "shape", dims, rank);
    int producer = p->graph->values[value].producer;
    if (shape < 0)
        return -1;
    return cop_new_node(p, producer < 0 ? 0 : producer, "Reshape", 13, (int[]){value, shape}, 2);
}
