/* Steps of optimizers: Adagrad, Adam, Momentum of domain ai.onnx.preview.training. Inputs are the
 * rate R, the count T, then lists of tensors: all X, all gradients, all of each state. Outputs are
 * the new X and states, in lists too. */
#include <math.h>
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

enum { R, T, LISTS }; /* inputs; LISTS: where the lists begin */

typedef struct step_params {
    int states; /* lists of states: 1 or 2 */
    bool nesterov;
    float norm, norm_post, alpha, beta, epsilon, decay;
} step_params;

/* What is the same for all elements. */
typedef struct step {
    const step_params *p;
    double rate, alpha, beta; /* adjusted by the count */
} step;

static coppice_status read(const cop_call *call, const char *name, float absent, float *out) {
    return cop_node_float(call->node, name, absent, out, call->err);
}

static coppice_status adagrad_parse(const cop_call *call, void *params) {
    step_params *p = params;
    p->states = 1;
    COP_TRY(read(call, "norm_coefficient", 0, &p->norm));
    COP_TRY(read(call, "decay_factor", 0, &p->decay));
    return read(call, "epsilon", 1e-6f, &p->epsilon);
}

static coppice_status adam_parse(const cop_call *call, void *params) {
    step_params *p = params;
    p->states = 2;
    COP_TRY(read(call, "norm_coefficient", 0, &p->norm));
    COP_TRY(read(call, "norm_coefficient_post", 0, &p->norm_post));
    COP_TRY(read(call, "alpha", 0.9f, &p->alpha));
    COP_TRY(read(call, "beta", 0.999f, &p->beta));
    return read(call, "epsilon", 1e-6f, &p->epsilon);
}

static coppice_status momentum_parse(const cop_call *call, void *params) {
    step_params *p = params;
    const char *mode;
    p->states = 1;
    COP_TRY(read(call, "norm_coefficient", 0, &p->norm));
    COP_TRY(read(call, "alpha", 0, &p->alpha));
    COP_TRY(read(call, "beta", 0, &p->beta));
    COP_TRY(cop_node_string(call->node, "mode", "standard", &mode, call->err));
    p->nesterov = !strcmp(mode, "nesterov");
    if (p->nesterov || !strcmp(mode, "standard"))
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "attribute mode is '%s', expected nesterov or standard", mode);
}

/* How many tensors are optimized. */
static int tensors_of(const cop_call *call) {
    const step_params *p = call->params;
    return (call->node->input_count - LISTS) / (2 + p->states);
}

static coppice_status step_infer(cop_call *call) {
    const step_params *p = call->params;
    int lists = 2 + p->states, count = tensors_of(call);
    if (call->node->input_count != LISTS + lists * count || count == 0)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "%d inputs, expected 2 and a multiple of %d",
                        call->node->input_count, lists);
    for (int i = R; i <= T; i++)
        if (!cop_in(call, i) || coppice_tensor_count(cop_in(call, i)) != 1)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "input %d ('%s') is no scalar", i,
                            cop_in_name(call, i));
    for (int i = 0; i < lists * count; i++) {
        const coppice_tensor *t = cop_in(call, LISTS + i), *x = cop_in(call, LISTS + i % count);
        COP_TRY(cop_need_type(call, LISTS + i, FLOATS));
        if (!cop_same_shape(t, x) || t->type != x->type)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "'%s' is %s %s, expected %s %s",
                            cop_in_name(call, LISTS + i), coppice_type_name(t->type),
                            cop_shape_text(t).s, coppice_type_name(x->type), cop_shape_text(x).s);
    }
    for (int i = 0; i < (1 + p->states) * count; i++) {
        const coppice_tensor *x = cop_in(call, LISTS + i % count);
        cop_set_out(call, i, x->type, x->rank, x->dims);
    }
    return COPPICE_OK;
}

/* One element: x, its gradient, and its states, which are replaced. */
typedef double (*update_fn)(const step *s, double x, double g, double *states);

static double adagrad_update(const step *s, double x, double g, double *states) {
    g += (double)s->p->norm * x;
    states[0] += g * g;
    return x - s->rate * g / (sqrt(states[0]) + (double)s->p->epsilon);
}

static double adam_update(const step *s, double x, double g, double *states) {
    g += (double)s->p->norm * x;
    states[0] = s->alpha * states[0] + (1 - s->alpha) * g;
    states[1] = s->beta * states[1] + (1 - s->beta) * g * g;
    x -= s->rate * states[0] / (sqrt(states[1]) + (double)s->p->epsilon);
    return (1 - (double)s->p->norm_post) * x;
}

static double momentum_update(const step *s, double x, double g, double *states) {
    g += (double)s->p->norm * x;
    states[0] = s->alpha * states[0] + s->beta * g;
    return x - s->rate * (s->p->nesterov ? g + s->alpha * states[0] : states[0]);
}

static coppice_status run_step(const cop_call *call, const step *s, update_fn update) {
    const int count = tensors_of(call), states = s->p->states;
    for (int i = 0; i < count; i++) {
        const coppice_tensor *x = cop_in(call, LISTS + i), *g = cop_in(call, LISTS + count + i);
        for (int64_t at = 0; at < coppice_tensor_count(x); at++) {
            double state[2] = {0, 0};
            for (int k = 0; k < states; k++)
                state[k] = cop_tensor_get(cop_in(call, LISTS + (2 + k) * count + i), at);
            cop_set_float(cop_out(call, i), at,
                          update(s, cop_tensor_get(x, at), cop_tensor_get(g, at), state));
            for (int k = 0; k < states; k++)
                cop_set_float(cop_out(call, (1 + k) * count + i), at, state[k]);
        }
    }
    return COPPICE_OK;
}

static coppice_status adagrad_run(const cop_call *call) {
    const step_params *p = call->params;
    double rate = cop_tensor_get(cop_in(call, R), 0), t = cop_tensor_get(cop_in(call, T), 0);
    step s = {.p = p, .rate = rate / (1 + t * (double)p->decay)};
    return run_step(call, &s, adagrad_update);
}

static coppice_status adam_run(const cop_call *call) {
    const step_params *p = call->params;
    double rate = cop_tensor_get(cop_in(call, R), 0), t = cop_tensor_get(cop_in(call, T), 0);
    step s = {.p = p, .rate = rate, .alpha = (double)p->alpha, .beta = (double)p->beta};
    if (t > 0)
        s.rate = rate * sqrt(1 - pow(s.beta, t)) / (1 - pow(s.alpha, t));
    return run_step(call, &s, adam_update);
}

static coppice_status momentum_run(const cop_call *call) {
    const step_params *p = call->params;
    double t = cop_tensor_get(cop_in(call, T), 0);
    step s = {.p = p,
              .rate = cop_tensor_get(cop_in(call, R), 0),
              .alpha = (double)p->alpha,
              .beta = t > 0 ? (double)p->beta : 1};
    return run_step(call, &s, momentum_update);
}

/* ---- rows of the operator table ---- */

#define ROW(op, fn)                                                                                \
    {                                                                                              \
        .domain = "ai.onnx.preview.training", .name = op, .since = 1, .min_inputs = 5,             \
        .max_inputs = -1, .max_outputs = -1, .types = FLOATS, PARSE(fn, step_params), INFER(step), \
        RUN(fn)                                                                                    \
    }

/* clang-format off */
const cop_op cop_ops_training[] = {
    ROW("Adagrad", adagrad),
    ROW("Adam", adam),
    ROW("Momentum", momentum),
    {.name = NULL},
};
/* clang-format on */
