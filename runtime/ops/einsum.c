/* Einsum: any equation, as transposes, products and sums. */
#include "runtime/ops/ops.h"

/* ---- rows of the operator table ---- */

const cop_op cop_ops_einsum[] = {
    {.name = NULL},
};
