/* Nodes that are inferred while the model runs, as their shapes depend on data: memory for what
 * they make, and the way from inputs to outputs. */
#ifndef COP_RUNTIME_EAGER_H
#define COP_RUNTIME_EAGER_H

#include "runtime/op.h"

enum { COP_SPARE_BLOCKS = 16 };

/* Blocks that nothing refers to any more, to be used again. Zero-initialise. */
typedef struct cop_spare {
    cop_block *blocks[COP_SPARE_BLOCKS];
    size_t count;
} cop_spare;

void cop_spare_free(cop_spare *spare);

/* Drops what the operand owns and zeroes it; a block without other users becomes spare. */
void cop_spare_release(cop_spare *spare, cop_operand *operand);

/* A block of at least `bytes`, a spare one if there is one. NULL: no memory. */
cop_block *cop_spare_take(cop_spare *spare, size_t bytes);

/* Makes the outputs that are read, shapes given. */
coppice_status cop_eager_outputs(cop_call *call, cop_spare *spare);

/* Runs `op` with scratch; outputs must be there unless the row makes them. */
coppice_status cop_eager_run(const cop_op *op, cop_call *call, cop_spare *spare);

/* Checks the inputs, all with data; infers; makes the outputs that are read; runs. call->out must
 * be zeroed and is the caller's then, also on failure. `spare` may be NULL. */
coppice_status cop_eager_call(const cop_op *op, cop_call *call, cop_spare *spare);

#endif
