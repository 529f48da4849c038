/* Shapes of what operators give that the runtime cannot run. */
#ifndef COP_RUNTIME_INFER_FOREIGN_H
#define COP_RUNTIME_INFER_FOREIGN_H

#include "runtime/op.h"

/* Fills the shapes of the node's outputs that follow from those of its inputs; leaves alone what is
 * known, and what does not follow. Knows the recurrent operators and quantisation. */
void cop_infer_foreign(const cop_node *node, cop_shapes *shapes);

#endif
