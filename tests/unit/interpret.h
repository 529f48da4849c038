/* Runs a graph node by node with the reference kernels: no planner, no layouts, a buffer per value.
 */
#ifndef COP_TESTS_INTERPRET_H
#define COP_TESTS_INTERPRET_H

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "graph/edit.h"
#include "graph/graph.h"
#include "runtime/eager.h"

typedef struct interpreter {
    cop_shapes shapes;
    void **buffers; /* one per value, NULL where it is constant, an input, or made by eager nodes */
    bool *counted;  /* values that own what they refer to: those of eager nodes */
    cop_arena strings;
    size_t count;
} interpreter;

static inline void interpreter_free(interpreter *it) {
    for (size_t i = 0; it->buffers && i < it->count; i++)
        free(it->buffers[i]);
    for (size_t i = 0; it->counted && i < it->count; i++) {
        if (it->counted[i])
            cop_operand_release(&it->shapes.values[i]);
    }
    free(it->buffers);
    free(it->counted);
    cop_arena_free(&it->strings);
    cop_shapes_free(&it->shapes);
    *it = (interpreter){0};
}

/* An aligned copy of an operand's data, in *copy. */
static inline void interpreter_align(cop_operand *operand, void **copy) {
    size_t bytes = (size_t)coppice_tensor_bytes(&operand->t);
    if (!operand->t.data || (uintptr_t)operand->t.data % 8 == 0)
        return;
    *copy = malloc(bytes + 64);
    memcpy(*copy, operand->t.data, bytes);
    operand->t.data = *copy;
}

static inline coppice_status interpreter_node(interpreter *it, const cop_graph *graph, size_t index,
                                              coppice_error *err) {
    const cop_node *node = &graph->nodes[index];
    const cop_op *op = it->shapes.ops[index];
    cop_operand *values = it->shapes.values;
    const cop_operand **in = calloc((size_t)node->input_count + 1, sizeof *in);
    cop_operand *aligned = calloc((size_t)node->input_count + 1, sizeof *aligned);
    void **copies = calloc((size_t)node->input_count + 1, sizeof *copies);
    cop_operand *out = calloc((size_t)node->output_count + 1, sizeof *out);
    bool done = true, eager = it->shapes.eager[index];
    for (int i = 0; i < node->input_count; i++) {
        if (node->inputs[i] < 0)
            continue;
        aligned[i] = values[node->inputs[i]];
        interpreter_align(&aligned[i], &copies[i]);
        in[i] = &aligned[i];
    }
    for (int i = 0; i < node->output_count; i++) {
        int v = node->outputs[i];
        if (v < 0 || eager)
            continue;
        out[i] = values[v];
        if (out[i].t.data)
            continue;
        done = false;
        size_t bytes = (size_t)coppice_tensor_bytes(&out[i].t);
        out[i].t.data = it->buffers[v] = malloc(bytes + 64);
    }
    cop_call call = {.graph = graph,
                     .node = node,
                     .opset = cop_node_opset(graph, node),
                     .params = it->shapes.params[index],
                     .in = in,
                     .out = out,
                     .strings = &it->strings,
                     .err = err};
    size_t scratch = op->scratch && !eager ? op->scratch(&call) : 0;
    call.scratch = scratch ? aligned_alloc(64, (scratch + 63) / 64 * 64) : NULL;
    coppice_status status = eager  ? cop_eager_call(op, &call, NULL)
                            : done ? COPPICE_OK
                                   : op->run(&call);
    for (int i = 0; i < node->output_count; i++) {
        int v = node->outputs[i];
        if (eager && v >= 0) {
            values[v] = out[i];
            it->counted[v] = true;
        } else if (eager) {
            cop_operand_release(&out[i]);
        } else if (v >= 0) {
            values[v].t.data = out[i].t.data;
        }
    }
    for (int i = 0; i < node->input_count; i++)
        free(copies[i]);
    free(call.scratch);
    free(copies);
    free(aligned);
    free(in);
    free(out);
    return status;
}

/* Computes every value; graph outputs are then it->shapes.values[graph->outputs[i]].t. `inputs`
 * must be aligned. Eager nodes without sub-graphs run too. */
static inline coppice_status interpreter_run(interpreter *it, const cop_graph *graph,
                                             const coppice_tensor *inputs, size_t count,
                                             coppice_error *err) {
    cop_infer_options options = {.inputs = inputs, .input_count = count};
    COP_TRY(cop_infer(graph, &options, &it->shapes, err));
    it->count = graph->value_count;
    it->buffers = calloc(it->count + 1, sizeof *it->buffers);
    it->counted = calloc(it->count + 1, sizeof *it->counted);
    for (size_t i = 0, next = 0; i < graph->input_count; i++) {
        int v = graph->inputs[i];
        if (graph->values[v].constant)
            continue;
        cop_operand *held = &it->shapes.values[v];
        held->t.data = inputs[next].data;
        if (held->narrow) {
            held->t.data = it->buffers[v] = malloc((size_t)coppice_tensor_bytes(&held->t) + 64);
            cop_operand_fill(held, &inputs[next]);
        }
        next++;
    }
    for (size_t i = 0; i < graph->node_count; i++) {
        if (it->shapes.ops[i]) /* a Constant node has none */
            COP_TRY(interpreter_node(it, graph, i, err));
    }
    return COPPICE_OK;
}

#endif
