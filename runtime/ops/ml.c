/* Operators of ai.onnx.ml: encoders, feature extraction, tree ensembles. */
#include "runtime/ops/ops.h"

/* ---- rows of the operator table ---- */

const cop_op cop_ops_ml[] = {
    {.name = NULL},
};
