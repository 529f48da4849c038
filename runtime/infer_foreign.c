/* Shapes of what operators give that the runtime cannot run: counting multiply-accumulates needs no
 * more, and a model that is only pruned may hold them. */
#include "runtime/infer_foreign.h"

#include <string.h>

static const coppice_tensor *shape_of(const cop_shapes *shapes, const cop_node *node, int input) {
    int value = input < node->input_count ? node->inputs[input] : -1;
    return value >= 0 && shapes->known[value] ? &shapes->values[value].t : NULL;
}

/* Gives output `output` a shape, unless it is left out or known. */
static void set_output(cop_shapes *shapes, const cop_node *node, int output, coppice_type type,
                       uint32_t rank, const int64_t *dims) {
    int value = output < node->output_count ? node->outputs[output] : -1;
    if (value < 0 || shapes->known[value])
        return;
    shapes->values[value] = (cop_operand){.t = {.type = type, .rank = rank}};
    memcpy(shapes->values[value].t.dims, dims, rank * sizeof *dims);
    shapes->known[value] = coppice_tensor_bytes(&shapes->values[value].t) >= 0;
}

/* LSTM, GRU, RNN: X [seq, batch, in], R [directions, gates * hidden, hidden];
 * Y [seq, directions, batch, hidden], Y_h and Y_c [directions, batch, hidden]. With layout 1 the
 * batch comes first everywhere. */
static void infer_recurrent(const cop_node *node, cop_shapes *shapes) {
    const coppice_tensor *x = shape_of(shapes, node, 0), *r = shape_of(shapes, node, 2);
    int64_t layout;
    if (!x || !r || x->rank != 3 || r->rank != 3 ||
        cop_node_int(node, "layout", 0, &layout, NULL) != COPPICE_OK)
        return;
    int64_t directions = r->dims[0], hidden = r->dims[2];
    int64_t seq = x->dims[layout ? 1 : 0], batch = x->dims[layout ? 0 : 1];
    const int64_t y[2][4] = {{seq, directions, batch, hidden}, {batch, seq, directions, hidden}};
    const int64_t state[2][3] = {{directions, batch, hidden}, {batch, directions, hidden}};
    set_output(shapes, node, 0, x->type, 4, y[layout != 0]);
    set_output(shapes, node, 1, x->type, 3, state[layout != 0]);
    set_output(shapes, node, 2, x->type, 3, state[layout != 0]);
}

/* To and from integers: the shape stays. The type: of the zero point, or of the scale. */
static void infer_quantize(const cop_node *node, cop_shapes *shapes) {
    const coppice_tensor *x = shape_of(shapes, node, 0), *zero = shape_of(shapes, node, 2);
    if (x)
        set_output(shapes, node, 0, zero ? zero->type : COPPICE_TYPE_UINT8, x->rank, x->dims);
}

static void infer_dequantize(const cop_node *node, cop_shapes *shapes) {
    const coppice_tensor *x = shape_of(shapes, node, 0), *scale = shape_of(shapes, node, 1);
    if (x)
        set_output(shapes, node, 0, scale ? scale->type : COPPICE_TYPE_FLOAT, x->rank, x->dims);
}

static const struct {
    const char *op;
    void (*infer)(const cop_node *node, cop_shapes *shapes);
} rules[] = {
    {"LSTM", infer_recurrent},
    {"GRU", infer_recurrent},
    {"RNN", infer_recurrent},
    {"QuantizeLinear", infer_quantize},
    {"DequantizeLinear", infer_dequantize},
};

void cop_infer_foreign(const cop_node *node, cop_shapes *shapes) {
    for (size_t i = 0; !node->domain[0] && i < sizeof rules / sizeof *rules; i++)
        if (strcmp(node->op, rules[i].op) == 0)
            rules[i].infer(node, shapes);
}
