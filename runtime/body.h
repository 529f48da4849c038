/* Sub-graphs as operators run them: the branches of If, the bodies of Loop, Scan and SequenceMap.
 *
 * A body is compiled like a model, for the shapes it is run with, and keeps the plans of the last
 * few. Values that it reads from the graphs around it are bound by whoever runs the node. */
#ifndef COP_RUNTIME_BODY_H
#define COP_RUNTIME_BODY_H

#include "runtime/op.h"

/* The body in the graph attribute `name` of the node that is run; NULL when it has none. */
cop_body *cop_call_body(const cop_call *call, const char *name);

size_t cop_body_input_count(const cop_body *body);
size_t cop_body_output_count(const cop_body *body);

/* What output `i` is declared as. */
const cop_value *cop_body_output(const cop_body *body, size_t i);

/* One run. `inputs` in the order of the graph's, borrowed during the call. `outputs` must be empty
 * and are the caller's: cop_operand_release each. Errors: INVALID_ARGUMENT when inputs do not fit
 * what the body declares, INTERRUPTED, and those of its nodes. */
coppice_status cop_body_run(cop_body *body, const cop_operand *const *inputs, size_t input_count,
                            cop_operand *outputs, size_t output_count, coppice_error *err);

#endif
