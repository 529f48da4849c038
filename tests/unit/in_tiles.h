/* Runs an operator in tiles and compares with the plain layout: for tests on small graphs. */
#ifndef COP_TESTS_IN_TILES_H
#define COP_TESTS_IN_TILES_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/kernels/kernels.h"
#include "runtime/layout.h"
#include "runtime/ops/util.h"
#include "small_graph.h"

/* Instruction set whose loops the operators get. */
static coppice_isa in_tiles_isa = COPPICE_ISA_SCALAR;

/* Memory for a tensor in `layout`, every byte of it part of a NaN. */
static inline cop_operand poisoned(const coppice_tensor *t, cop_layout layout) {
    bool fits = cop_layout_fits(layout, t);
    cop_operand out = {.t = *t, .layout = fits ? layout : COP_LAYOUT_PLAIN};
    size_t bytes = ((size_t)cop_layout_bytes(t, out.layout) + 127) / 64 * 64;
    out.t.data = aligned_alloc(64, bytes);
    memset(out.t.data, 0xff, bytes);
    return out;
}

/* The same tensor in `layout`, with NaN behind the last position. */
static inline cop_operand in_tiles(const cop_operand *plain, cop_layout layout) {
    cop_operand out = poisoned(&plain->t, layout);
    cop_layout_convert(plain, &out, NULL);
    if (!cop_layout_is_tiles(out.layout))
        return out;
    cop_tiles tiles = cop_tiles_of(&out.t, out.layout);
    float *data = out.t.data;
    for (size_t q = tiles.positions; q < tiles.count * tiles.tile; q++)
        for (size_t c = 0; c < tiles.channels; c++)
            data[(q / tiles.tile * tiles.channels + c) * tiles.tile + q % tiles.tile] = NAN;
    return out;
}

static inline void expect_near(const char *op, const cop_operand *want, cop_operand *got) {
    cop_operand plain = {.t = got->t};
    size_t bytes = (size_t)coppice_tensor_bytes(&got->t);
    plain.t.data = calloc(bytes + 1, 1);
    cop_layout_convert(got, &plain, NULL);
    const float *a = plain.t.data, *b = want->t.data;
    bool floats = got->t.type == COPPICE_TYPE_FLOAT;
    for (size_t i = 0; floats && i < bytes / 4; i++)
        ck_assert_msg(fabsf(a[i] - b[i]) <= 1e-5f * (1 + fabsf(b[i])),
                      "%s in %s: element %zu is %g, not %g", op, cop_layout_name(got->layout), i,
                      (double)a[i], (double)b[i]);
    ck_assert(floats || memcmp(a, b, bytes) == 0);
    free(plain.t.data);
    free(got->t.data);
}

/* Runs the last node, all of whose inputs are constant, in `layout` and compares with what folding
 * computed in the plain one. False: the operator does not offer the layout. */
static inline bool agrees(cop_layout layout) {
    enum { MOST = 8 };
    ck_assert_msg(small_infer() == COPPICE_OK, "%s", small_error.message);
    size_t index = small_graph->node_count - 1;
    const cop_node *node = &small_graph->nodes[index];
    const cop_op *op = small_it.shapes.ops[index];
    cop_operand copies[MOST], out[MOST];
    const cop_operand *in[MOST] = {0};
    cop_call call = {.graph = small_graph,
                     .node = node,
                     .opset = small_graph->opsets[0].version,
                     .params = small_it.shapes.params[index],
                     .in = in,
                     .out = out,
                     .kernels = cop_kernels_of(in_tiles_isa),
                     .err = &small_error};
    for (int i = 0; i < node->input_count; i++)
        in[i] = node->inputs[i] < 0 ? NULL : &small_it.shapes.values[node->inputs[i]];
    for (int i = 0; i < node->output_count; i++)
        out[i] = small_it.shapes.values[node->outputs[i]];
    bool offered = op->layouts && (op->layouts(&call) >> layout & 1);
    uint32_t rank = out[0].t.rank > in[0]->t.rank ? out[0].t.rank : in[0]->t.rank;
    for (int i = 0; offered && i < node->input_count; i++) {
        if (in[i])
            copies[i] = in_tiles(in[i], in[i]->t.rank == rank ? layout : COP_LAYOUT_PLAIN);
        in[i] = in[i] ? &copies[i] : NULL;
    }
    for (int i = 0; offered && i < node->output_count; i++)
        out[i] = poisoned(&out[i].t, out[i].t.rank == rank ? layout : COP_LAYOUT_PLAIN);
    if (offered) {
        call.scratch = op->scratch ? aligned_alloc(64, (op->scratch(&call) + 127) / 64 * 64) : NULL;
        ck_assert(!op->prepare || op->prepare(&call, &call.state) == COPPICE_OK);
        ck_assert_msg(op->run(&call) == COPPICE_OK, "%s", small_error.message);
        if (call.state)
            op->release(call.state);
        for (int i = 0; i < node->output_count; i++)
            expect_near(node->op, &small_it.shapes.values[node->outputs[i]], &out[i]);
        for (int i = 0; i < node->input_count; i++)
            free(in[i] ? copies[i].t.data : NULL);
        free(call.scratch);
    }
    small_end();
    return offered;
}

static inline void expect_layout_agrees(cop_layout layout) {
    const char *op = small_graph->nodes[small_graph->node_count - 1].op;
    ck_assert_msg(agrees(layout), "%s does not work in %s", op, cop_layout_name(layout));
}

#endif
