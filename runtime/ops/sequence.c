/* Operators on sequences and optionals. */
#include "runtime/ops/ops.h"

/* ---- rows of the operator table ---- */

const cop_op cop_ops_sequence[] = {
    {.name = NULL},
};
