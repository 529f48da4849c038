/* Taking nodes out of the message: their readers read something else. */
#include <string.h>

#include "graph/model.h"
#include "onnx/internal.h"

static bool same(const char *a, const char *b) {
    return strcmp(cop_or_empty(a), cop_or_empty(b)) == 0;
}

/* ---- who reads a value ---- */

/* The search for readers of `name` in a graph and the graphs inside it. */
typedef struct readers {
    const char *name;
    char *instead;      /* put in place of `name`; NULL: only count */
    const char *shadow; /* NULL, or a name that graphs which read `name` must not define */
    size_t nodes, outputs;
    bool shadowed;
} readers;

static bool defines(const Onnx__GraphProto *graph, const char *name) {
    for (size_t i = 0; i < graph->n_input; i++)
        if (same(graph->input[i]->name, name))
            return true;
    for (size_t i = 0; i < graph->n_initializer; i++)
        if (same(graph->initializer[i]->name, name))
            return true;
    for (size_t i = 0; i < graph->n_sparse_initializer; i++)
        if (graph->sparse_initializer[i]->values &&
            same(graph->sparse_initializer[i]->values->name, name))
            return true;
    for (size_t i = 0; i < graph->n_node; i++)
        for (size_t k = 0; k < graph->node[i]->n_output; k++)
            if (same(graph->node[i]->output[k], name))
                return true;
    return false;
}

static void find_readers(Onnx__GraphProto *graph, readers *r);

static void find_inner_readers(Onnx__GraphProto *graph, readers *r) {
    if (defines(graph, r->name))
        return; /* a value of its own */
    size_t before = r->nodes + r->outputs;
    find_readers(graph, r);
    if (r->shadow && r->nodes + r->outputs > before && defines(graph, r->shadow))
        r->shadowed = true;
}

/* Recursion is bounded by the depth that loading allows. */
static void find_readers(Onnx__GraphProto *graph, readers *r) {
    for (size_t i = 0; i < graph->n_node; i++) {
        Onnx__NodeProto *node = graph->node[i];
        for (size_t k = 0; k < node->n_input; k++) {
            if (!same(node->input[k], r->name))
                continue;
            r->nodes++;
            if (r->instead)
                node->input[k] = r->instead;
        }
        for (size_t a = 0; a < node->n_attribute; a++) {
            if (node->attribute[a]->g)
                find_inner_readers(node->attribute[a]->g, r);
            for (size_t g = 0; g < node->attribute[a]->n_graphs; g++)
                find_inner_readers(node->attribute[a]->graphs[g], r);
        }
    }
    for (size_t i = 0; i < graph->n_output; i++)
        r->outputs += same(graph->output[i]->name, r->name);
}

static char *name_of(cop_value_at at) {
    return (char *)at.graph->values[at.value].name;
}

/* Is the value in the message under its name, not put there by a call of a function? */
static bool in_message(cop_value_at at) {
    for (const cop_graph *graph = at.graph; graph; graph = graph->parent)
        if (graph->origin && defines(graph->origin, name_of(at)))
            return true;
    return false;
}

bool cop_model_can_bypass(const coppice_model *model, const cop_bypass *edit) {
    (void)model;
    if (!defines(edit->graph->origin, name_of((cop_value_at){edit->graph, edit->from})) ||
        !in_message((cop_value_at){edit->graph, edit->to}))
        return false;
    readers r = {.name = name_of((cop_value_at){edit->graph, edit->from}),
                 .shadow = name_of((cop_value_at){edit->graph, edit->to})};
    find_readers(edit->graph->origin, &r);
    return r.outputs == 0 && !r.shadowed;
}

/* ---- removing ---- */

/* Takes item `at` out of an array of pointers. */
static void take_out(void *items, size_t *count, size_t at) {
    char **list = items;
    memmove(list + at, list + at + 1, (*count - at - 1) * sizeof *list);
    --*count;
}

static void remove_declarations(Onnx__ValueInfoProto **infos, size_t *count, const char *name) {
    for (size_t i = *count; i-- > 0;)
        if (same(infos[i]->name, name))
            take_out(infos, count, i);
}

static void forget_external(coppice_model *model, const Onnx__TensorProto *tensor) {
    for (size_t i = model->external_count; i-- > 0;)
        if (model->external[i] == tensor)
            take_out(model->external, &model->external_count, i);
}

static bool remove_initializer(coppice_model *model, Onnx__GraphProto *graph, const char *name) {
    for (size_t i = 0; i < graph->n_initializer; i++) {
        if (!same(graph->initializer[i]->name, name))
            continue;
        forget_external(model, graph->initializer[i]);
        take_out(graph->initializer, &graph->n_initializer, i);
        return true;
    }
    for (size_t i = 0; i < graph->n_sparse_initializer; i++) {
        Onnx__SparseTensorProto *sparse = graph->sparse_initializer[i];
        if (!sparse->values || !same(sparse->values->name, name))
            continue;
        forget_external(model, sparse->values);
        forget_external(model, sparse->indices);
        take_out(graph->sparse_initializer, &graph->n_sparse_initializer, i);
        return true;
    }
    return false;
}

static bool remove_node(coppice_model *model, Onnx__GraphProto *graph, const char *output) {
    for (size_t i = 0; i < graph->n_node; i++) {
        Onnx__NodeProto *node = graph->node[i];
        if (node->n_output != 1 || !same(node->output[0], output))
            continue;
        for (size_t a = 0; a < node->n_attribute; a++)
            if (node->attribute[a]->t)
                forget_external(model, node->attribute[a]->t);
        take_out(graph->node, &graph->n_node, i);
        return true;
    }
    return false;
}

/* Removes what defines a value; false when nothing does that could be removed. */
static bool remove_value(coppice_model *model, Onnx__GraphProto *graph, const char *name) {
    bool initializer = remove_initializer(model, graph, name);
    if (initializer)
        remove_declarations(graph->input, &graph->n_input, name);
    if (!initializer && !remove_node(model, graph, name))
        return false;
    remove_declarations(graph->value_info, &graph->n_value_info, name);
    return true;
}

static void bypass(coppice_model *model, const cop_bypass *edit) {
    const char *from = name_of((cop_value_at){edit->graph, edit->from});
    readers r = {.name = from, .instead = name_of((cop_value_at){edit->graph, edit->to})};
    if (!remove_value(model, edit->graph->origin, from))
        return;
    find_readers(edit->graph->origin, &r);
    for (size_t i = 0; i < edit->leftover_count; i++) {
        cop_value_at left = edit->leftovers[i];
        readers still = {.name = name_of(left)};
        if (left.graph->values[left.value].outer)
            continue; /* the same value as the next one */
        find_readers(left.graph->origin, &still);
        if (still.nodes + still.outputs > 0 ||
            !remove_value(model, left.graph->origin, name_of(left)))
            return;
    }
}

/* ---- the graph ---- */

static bool same_origin(const cop_origin *a, const cop_origin *b) {
    return a->kind == b->kind && a->tensor == b->tensor && a->sparse == b->sparse &&
           (a->kind != COP_ORIGIN_ALIAS || a->constant->tensor.data == b->constant->tensor.data);
}

/* Builds the graph from the message; constants keep their data, with all edits. The new list of
 * constants is the old one with some left out. */
static coppice_status rebuild(coppice_model *model, coppice_error *err) {
    cop_origin *old = model->constants;
    cop_graph_free(model->graph);
    cop_constants_free(&model->tensors);
    model->graph = NULL;
    model->constants = NULL;
    model->constants_end = NULL;
    model->note_count = model->input_count = model->output_count = 0;
    COP_TRY(cop_model_build(model, err));
    for (cop_origin *new = model->constants; new; new = new->next) {
        while (old && !same_origin(old, new))
            old = old->next;
        if (!old)
            return cop_fail(err, COPPICE_INTERNAL, "the graph's constants came in another order");
        new->constant->tensor = old->constant->tensor;
        new->constant->bytes = old->constant->bytes;
        new->constant->aligned = old->constant->aligned;
        new->constant->dirty = old->constant->dirty;
        old = old->next;
    }
    return COPPICE_OK;
}

coppice_status cop_model_bypass(coppice_model *model, const cop_bypass *edits, size_t count,
                                coppice_error *err) {
    for (size_t i = 0; i < count; i++)
        bypass(model, &edits[i]);
    return rebuild(model, err);
}
