/* Operators on strings. */
#include "runtime/ops/ops.h"

/* ---- rows of the operator table ---- */

const cop_op cop_ops_string[] = {
    {.name = NULL},
};
