/* Shapes of what operators give that the runtime cannot run. */
#ifndef COP_RUNTIME_INFER_FOREIGN_H
#define COP_RUNTIME_INFER_FOREIGN_H

#include "runtime/op.h"

/* Sets the outputs of call->node that follow from its inputs; the others keep type UNDEFINED.
 * Inputs that are not known are NULL. UNSUPPORTED when there is no rule for the operator, or it
 * depends on what is not known.
 * A rule moves to the row of its operator in ops/table.c when that can be run. */
coppice_status cop_infer_foreign(cop_call *call);

#endif
