/* Det: determinants of square matrices. */
#include <math.h>
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

static coppice_status det_infer(cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0);
    if (in->rank < 2 || in->dims[in->rank - 1] != in->dims[in->rank - 2])
        return cop_fail(call->err, COPPICE_BAD_MODEL, "input %s holds no square matrices",
                        cop_shape_text(in).s);
    cop_set_out(call, 0, in->type, in->rank - 2, in->dims);
    return COPPICE_OK;
}

/* One matrix of doubles; infer saw to it that the input's bytes, and so these, have a size. */
static size_t det_scratch(const cop_call *call) {
    int64_t n = cop_in(call, 0)->dims[cop_in(call, 0)->rank - 1];
    size_t bytes;
    return cop_size_mul((size_t)n, (size_t)n, &bytes) && cop_size_mul(bytes, sizeof(double), &bytes)
               ? bytes
               : SIZE_MAX;
}

/* Elimination with the largest pivot of each column. */
static double determinant(double *m, int64_t n) {
    double product = 1;
    for (int64_t k = 0; k < n; k++) {
        int64_t pivot = k;
        for (int64_t i = k + 1; i < n; i++)
            pivot = fabs(m[i * n + k]) > fabs(m[pivot * n + k]) ? i : pivot;
        double top = m[pivot * n + k];
        if (top == 0)
            return 0;
        product *= pivot == k ? top : -top;
        for (int64_t j = k; j < n; j++) {
            double swap = m[k * n + j];
            m[k * n + j] = m[pivot * n + j];
            m[pivot * n + j] = swap;
        }
        for (int64_t i = k + 1; i < n; i++) {
            double factor = m[i * n + k] / top;
            for (int64_t j = k; j < n; j++)
                m[i * n + j] -= factor * m[k * n + j];
        }
    }
    return product;
}

static coppice_status det_run(const cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0), *out = cop_out(call, 0);
    int64_t n = in->dims[in->rank - 1], count = coppice_tensor_count(out);
    double *m = call->scratch;
    for (int64_t i = 0; i < count; i++) {
        for (int64_t j = 0; j < n * n; j++)
            m[j] = cop_tensor_get(in, i * n * n + j);
        cop_set_float(out, (size_t)i, determinant(m, n));
    }
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_det[] = {
    {.name = "Det", .since = 11, ONE_TO_ONE, .types = FLOATS, INFER(det), RUN(det),
     .scratch = det_scratch},
    {.name = NULL},
};
/* clang-format on */
