/* What the operators share that run sub-graphs: outputs of bodies, and those put together. */
#ifndef COP_OPS_PILE_H
#define COP_OPS_PILE_H

#include "runtime/body.h"

/* BAD_MODEL unless the node has a graph in attribute `name`, with so many outputs. */
coppice_status cop_need_graph(const cop_call *call, const char *name);
coppice_status cop_need_graph_outputs(const cop_call *call, const char *name, size_t count);

void cop_release_all(cop_operand *operands, size_t count);

/* Output `i` of the node becomes *from, which is empty then. */
void cop_give_output(const cop_call *call, int i, cop_operand *from);

/* A tensor that grows by a piece per iteration: along a new axis in front. Zero-initialise; release
 * `all`. */
typedef struct cop_pile {
    cop_operand all; /* dims of a piece behind the new axis; its block may be larger */
    int64_t count, room;
    size_t piece; /* bytes */
} cop_pile;

/* BAD_MODEL when the piece is no tensor of the type and shape of those before. */
coppice_status cop_pile_add(const cop_call *call, cop_pile *pile, const cop_operand *piece);

/* Without an iteration: no elements, in the shape that the body declares. */
coppice_status cop_pile_nothing(const cop_call *call, cop_pile *pile, const cop_value *declared);

#endif
