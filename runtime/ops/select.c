/* Operators that choose elements: TopK, Unique, NonZero, Compress, NonMaxSuppression. */
#include "runtime/ops/ops.h"

/* ---- rows of the operator table ---- */

const cop_op cop_ops_select[] = {
    {.name = NULL},
};
