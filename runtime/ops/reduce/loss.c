/* Losses of scores [N, C, ...] against labels [N, ...]: NegativeLogLikelihoodLoss and
 * SoftmaxCrossEntropyLoss. */
#include <math.h>
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/types.h"
#include "runtime/ops/util.h"

typedef struct loss_params {
    enum { LOSS_NONE, LOSS_SUM, LOSS_MEAN } reduction;
    bool has_ignored;
    int64_t ignored;
} loss_params;

static coppice_status loss_parse(const cop_call *call, void *params) {
    static const char *const names[] = {"none", "sum", "mean"};
    loss_params *p = params;
    const char *reduction;
    COP_TRY(cop_node_string(call->node, "reduction", "mean", &reduction, call->err));
    p->has_ignored = cop_node_attr(call->node, "ignore_index") != NULL;
    COP_TRY(cop_node_int(call->node, "ignore_index", 0, &p->ignored, call->err));
    for (int i = 0; i < 3; i++) {
        p->reduction = i;
        if (strcmp(reduction, names[i]) == 0)
            return COPPICE_OK;
    }
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "attribute 'reduction' is '%s', expected 'none', 'sum' or 'mean'", reduction);
}

static coppice_status loss_infer(cop_call *call) {
    const loss_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *labels = cop_in(call, 1), *w = cop_in(call, 2);
    COP_TRY(cop_need_type(call, 1, INDICES));
    bool fits = x->rank >= 2 && labels->rank + 1 == x->rank && labels->dims[0] == x->dims[0];
    for (uint32_t d = 2; fits && d < x->rank; d++)
        fits = labels->dims[d - 1] == x->dims[d];
    if (!fits)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "labels '%s' are %s, which does not fit scores %s of [N,C,...]",
                        cop_in_name(call, 1), cop_shape_text(labels).s, cop_shape_text(x).s);
    if (w && (w->type != x->type || w->rank != 1 || w->dims[0] != x->dims[1]))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "weights '%s' are %s %s, expected %s [%lld]",
                        cop_in_name(call, 2), coppice_type_name(w->type), cop_shape_text(w).s,
                        coppice_type_name(x->type), (long long)x->dims[1]);
    cop_set_out(call, 0, x->type, p->reduction == LOSS_NONE ? labels->rank : 0, labels->dims);
    cop_set_out(call, 1, x->type, x->rank, x->dims);
    return COPPICE_OK;
}

/* Sizes of the scores as [batch][classes][inner], and what to do with them. */
typedef struct loss_job {
    const void *scores, *weights;
    const coppice_tensor *labels;
    void *losses;        /* NULL: only their sum */
    void *probabilities; /* logarithms of them, NULL: not wanted */
    int64_t batch, classes, inner;
    bool softmax;
    const loss_params *params;
    double total, weight;
} loss_job;

/* The label at `index`, -1 where it is ignored. */
static coppice_status label_at(const cop_call *call, const loss_job *j, int64_t index,
                               int64_t *out) {
    int64_t label = cop_tensor_get_int(j->labels, index);
    *out = -1;
    if (j->params->has_ignored && label == j->params->ignored)
        return COPPICE_OK;
    if (label < 0 || label >= j->classes)
        return cop_fail(call->err, COPPICE_BAD_DATA,
                        "label %lld of '%s' is not within %lld classes", (long long)label,
                        cop_in_name(call, 1), (long long)j->classes);
    *out = label;
    return COPPICE_OK;
}

/* All of one place in a sample: its scores lie `inner` apart. */
#define LOSS(T, suffix, TYPE)                                                                      \
    static double log_of_sum_##suffix(const T *x, int64_t classes, int64_t inner) {                \
        double top = -INFINITY, sum = 0;                                                           \
        for (int64_t c = 0; c < classes; c++)                                                      \
            top = (double)x[c * inner] > top ? (double)x[c * inner] : top;                         \
        for (int64_t c = 0; c < classes; c++)                                                      \
            sum += exp((double)x[c * inner] - top);                                                \
        return log(sum) + top;                                                                     \
    }                                                                                              \
    static coppice_status losses_##suffix(const cop_call *call, loss_job *j) {                     \
        const T *weights = j->weights;                                                             \
        T *losses = j->losses, *logs = j->probabilities;                                           \
        for (int64_t i = 0; i < j->batch * j->inner; i++) {                                        \
            int64_t at = i / j->inner * j->classes * j->inner + i % j->inner, label;               \
            const T *x = (const T *)j->scores + at;                                                \
            double shift = j->softmax ? log_of_sum_##suffix(x, j->classes, j->inner) : 0;          \
            for (int64_t c = 0; logs && c < j->classes; c++)                                       \
                logs[at + c * j->inner] = (T)((double)x[c * j->inner] - shift);                    \
            COP_TRY(label_at(call, j, i, &label));                                                 \
            double weight = label < 0 ? 0 : weights ? (double)weights[label] : 1;                  \
            double loss = label < 0 ? 0 : (shift - (double)x[label * j->inner]) * weight;          \
            if (losses)                                                                            \
                losses[i] = (T)loss;                                                               \
            j->total += loss;                                                                      \
            j->weight += weight;                                                                   \
        }                                                                                          \
        return COPPICE_OK;                                                                         \
    }
EACH_FLOAT(LOSS)

static coppice_status run_loss(const cop_call *call, bool softmax) {
    const loss_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *w = cop_in(call, 2);
    const coppice_tensor *out = cop_out(call, 0), *logs = cop_out(call, 1);
    loss_job j = {.scores = x->data,
                  .weights = w ? w->data : NULL,
                  .labels = cop_in(call, 1),
                  .losses = p->reduction == LOSS_NONE ? out->data : NULL,
                  .probabilities = logs ? logs->data : NULL,
                  .batch = x->dims[0],
                  .classes = x->dims[1],
                  .inner = 1,
                  .softmax = softmax,
                  .params = p};
    for (uint32_t d = 2; d < x->rank; d++)
        j.inner *= x->dims[d];
    bool wide = x->type == COPPICE_TYPE_DOUBLE;
    if (coppice_tensor_count(j.labels) > 0)
        COP_TRY(wide ? losses_f64(call, &j) : losses_f32(call, &j));
    if (p->reduction == LOSS_NONE || !out->data)
        return COPPICE_OK;
    double result = p->reduction == LOSS_MEAN ? j.total / j.weight : j.total;
    cop_set_float(out, 0, result);
    return COPPICE_OK;
}

static coppice_status nll_run(const cop_call *call) {
    return run_loss(call, false);
}

static coppice_status crossentropy_run(const cop_call *call) {
    return run_loss(call, true);
}

/* ---- rows of the operator table ---- */

#define ROW(op, fn, outputs)                                                                       \
    {                                                                                              \
        .name = op, .since = 12, .min_inputs = 2, .max_inputs = 3, .max_outputs = outputs,         \
        .types = FLOATS, PARSE(loss, loss_params), INFER(loss), RUN(fn)                            \
    }

/* clang-format off */
const cop_op cop_ops_loss[] = {
    ROW("NegativeLogLikelihoodLoss", nll, 1),
    ROW("SoftmaxCrossEntropyLoss", crossentropy, 2),
    {.name = NULL},
};
/* clang-format on */
