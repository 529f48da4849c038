/* Constants of integers that DequantizeLinear nodes turn into weights. */
#ifndef COP_GRAPH_QUANTIZED_H
#define COP_GRAPH_QUANTIZED_H

#include "graph/graph.h"

/* How the elements q of a constant stand for numbers: (q - zero) * scale. */
struct cop_quantized {
    int64_t zero; /* the zero point, the same for all elements */
    /* The scale of element (outer, at, inner), counted around the axis of the scales, is number
     * outer * outer_step + at / block * axis_step + inner * inner_step. */
    const coppice_tensor *scale;
    int64_t axis_size, inner_size, block;
    int64_t outer_step, axis_step, inner_step;
    const char *obstacle; /* why zeros cannot be written into it; NULL: they can */
};

/* Finds the constants that DequantizeLinear nodes of the graph and its sub-graphs read, and sets
 * `quantized` of each. Errors: OUT_OF_MEMORY. */
coppice_status cop_graph_mark_quantized(cop_graph *graph, coppice_error *err);

/* |(q - zero) * scale| of an element, as float32, which is what DequantizeLinear computes in. */
float cop_quantized_magnitude(const cop_constant *constant, int64_t index);

/* The bits of an element that stands for 0, in the lowest bytes. */
uint64_t cop_constant_zero(const cop_constant *constant);

/* Can masks be applied to it: is it of a float type, or quantised? */
bool cop_constant_maskable(const cop_constant *constant);

#endif
