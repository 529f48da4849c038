/* Recurrent networks: LSTM, GRU, RNN. The input of many steps is one matrix product; what is left
 * for each step is the product with the hidden state and the gates. */
#include "runtime/ops/recurrent/rnn_weights.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/vmath.h"

/* ---- attributes ---- */

static const struct {
    const char *name;
    bool has_alpha, has_beta;
    float alpha, beta; /* unless given */
} functions[] = {
    [COP_RNN_AFFINE] = {"Affine", true, true, 1, 0},
    [COP_RNN_ELU] = {"Elu", true, false, 1, 0},
    [COP_RNN_HARD_SIGMOID] = {"HardSigmoid", true, true, 0.2f, 0.5f},
    [COP_RNN_LEAKY_RELU] = {"LeakyRelu", true, false, 0.01f, 0},
    [COP_RNN_RELU] = {"Relu", false, false, 0, 0},
    [COP_RNN_SCALED_TANH] = {"ScaledTanh", true, true, 1, 1},
    [COP_RNN_SIGMOID] = {"Sigmoid", false, false, 0, 0},
    [COP_RNN_SOFTPLUS] = {"Softplus", false, false, 0, 0},
    [COP_RNN_SOFTSIGN] = {"Softsign", false, false, 0, 0},
    [COP_RNN_TANH] = {"Tanh", false, false, 0, 0},
    [COP_RNN_THRESHOLDED_RELU] = {"ThresholdedRelu", true, false, 1, 0},
};

enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

/* By kind: gates, activation functions of a direction, and those of a node that names none. */
static const struct {
    int gates, count;
    cop_rnn_function usual[COP_RNN_MAX_ACTIVATIONS];
} kinds[] = {
    [COP_RNN_PLAIN] = {1, 1, {COP_RNN_TANH}},
    [COP_RNN_GRU] = {3, 2, {COP_RNN_SIGMOID, COP_RNN_TANH}},
    [COP_RNN_LSTM] = {4, 3, {COP_RNN_SIGMOID, COP_RNN_TANH, COP_RNN_TANH}},
};

/* Numbers for activation functions: those that have one take them in order. */
typedef struct number_list {
    const float *values;
    size_t count, used;
} number_list;

/* Lists without elements are as good as none. */
static bool is_empty(const cop_attr *attr) {
    return attr->count == 0 && (attr->kind == COP_ATTR_FLOATS || attr->kind == COP_ATTR_INTS ||
                                attr->kind == COP_ATTR_STRINGS);
}

static coppice_status read_list(const cop_call *call, const char *name, number_list *out) {
    const cop_attr *attr = cop_node_attr(call->node, name);
    *out = (number_list){0};
    if (!attr || is_empty(attr))
        return COPPICE_OK;
    if (attr->kind != COP_ATTR_FLOATS)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute %s is no list of floats", name);
    *out = (number_list){attr->floats, attr->count, 0};
    return COPPICE_OK;
}

static float next_of(number_list *list, bool takes, float usual) {
    return takes && list->used < list->count ? list->values[list->used++] : usual;
}

static coppice_status find_function(const cop_call *call, const char *name, cop_rnn_function *out) {
    for (int i = 0; i < FUNCTIONS; i++) {
        if (!strcasecmp(name, functions[i].name)) {
            *out = (cop_rnn_function)i;
            return COPPICE_OK;
        }
    }
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "attribute activations: unknown function '%s'; there are Affine, Elu, "
                    "HardSigmoid, LeakyRelu, Relu, ScaledTanh, Sigmoid, Softplus, Softsign, Tanh, "
                    "ThresholdedRelu",
                    name);
}

static coppice_status parse_activations(const cop_call *call, cop_rnn_params *p) {
    const cop_attr *names = cop_node_attr(call->node, "activations");
    const int per = kinds[p->kind].count, wanted = per * p->directions;
    number_list alphas, betas;
    COP_TRY(read_list(call, "activation_alpha", &alphas));
    COP_TRY(read_list(call, "activation_beta", &betas));
    if (names && is_empty(names))
        names = NULL;
    if (names && (names->kind != COP_ATTR_STRINGS || names->count != (size_t)wanted))
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "attribute activations has %zu entries, expected %d names", names->count,
                        wanted);
    for (int i = 0; i < wanted; i++) {
        cop_rnn_function f = kinds[p->kind].usual[i % per];
        if (names)
            COP_TRY(find_function(call, names->strings[i].data, &f));
        p->activations[i / per][i % per] =
            (cop_rnn_activation){f, next_of(&alphas, functions[f].has_alpha, functions[f].alpha),
                                 next_of(&betas, functions[f].has_beta, functions[f].beta)};
    }
    return COPPICE_OK;
}

static coppice_status parse_direction(const cop_call *call, cop_rnn_params *p) {
    const char *direction;
    COP_TRY(cop_node_string(call->node, "direction", "forward", &direction, call->err));
    p->directions = 1;
    if (!strcmp(direction, "bidirectional"))
        p->directions = 2;
    else if (!strcmp(direction, "reverse"))
        p->reverse = true;
    else if (strcmp(direction, "forward") != 0)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "attribute direction is '%s', expected forward, reverse or bidirectional",
                        direction);
    return COPPICE_OK;
}

static coppice_status parse_clip(const cop_call *call, cop_rnn_params *p) {
    p->clip = INFINITY;
    if (!cop_node_attr(call->node, "clip"))
        return COPPICE_OK;
    float clip;
    COP_TRY(cop_node_float(call->node, "clip", 0, &clip, call->err));
    if (!(clip >= 0))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute clip is %g, expected 0 or more",
                        (double)clip);
    p->clip = clip > 0 ? clip : INFINITY; /* 0 is what exporters write for none */
    return COPPICE_OK;
}

static coppice_status parse_kind(const cop_call *call, cop_rnn_params *p, cop_rnn_kind kind) {
    p->kind = kind;
    p->gates = kinds[kind].gates;
    COP_TRY(parse_direction(call, p));
    COP_TRY(parse_clip(call, p));
    COP_TRY(cop_attr_bool(call, "layout", false, &p->batch_first));
    return parse_activations(call, p);
}

static coppice_status rnn_parse(const cop_call *call, void *params) {
    return parse_kind(call, params, COP_RNN_PLAIN);
}

static coppice_status gru_parse(const cop_call *call, void *params) {
    cop_rnn_params *p = params;
    int64_t linear;
    COP_TRY(cop_node_int(call->node, "linear_before_reset", 0, &linear, call->err));
    p->linear_before_reset = call->opset >= 3 && linear != 0;
    return parse_kind(call, params, COP_RNN_GRU);
}

static coppice_status lstm_parse(const cop_call *call, void *params) {
    cop_rnn_params *p = params;
    COP_TRY(cop_attr_bool(call, "input_forget", false, &p->input_forget));
    return parse_kind(call, params, COP_RNN_LSTM);
}

/* ---- shapes ---- */

/* BAD_MODEL unless input `i`, if there, has X's type and this shape. */
static coppice_status need_shape(const cop_call *call, int i, uint32_t rank, const int64_t *dims) {
    const coppice_tensor *t = cop_in(call, i);
    if (!t)
        return COPPICE_OK;
    COP_TRY(cop_need_type(call, i, 1u << cop_in(call, 0)->type));
    coppice_tensor wanted = {.rank = rank};
    memcpy(wanted.dims, dims, rank * sizeof *dims);
    if (cop_same_shape(t, &wanted))
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "input %d ('%s') is %s, expected %s", i,
                    cop_in_name(call, i), cop_shape_text(t).s, cop_shape_text(&wanted).s);
}

/* The size of the hidden state: of R, which attribute hidden_size must agree with. */
static coppice_status hidden_size(const cop_call *call, int64_t *out) {
    int64_t given;
    COP_TRY(cop_need_rank(call, 0, 3));
    COP_TRY(cop_need_rank(call, 1, 3));
    COP_TRY(cop_need_rank(call, 2, 3));
    *out = cop_in(call, 2)->dims[2];
    COP_TRY(cop_node_int(call->node, "hidden_size", *out, &given, call->err));
    if (*out <= 0 || *out > INT32_MAX || given != *out)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "hidden size: attribute hidden_size is %lld, '%s' is %s", (long long)given,
                        cop_in_name(call, 2), cop_shape_text(cop_in(call, 2)).s);
    return COPPICE_OK;
}

static coppice_status check_lengths(const cop_call *call, int64_t batch) {
    const coppice_tensor *lengths = cop_in(call, 4);
    if (!lengths)
        return COPPICE_OK;
    COP_TRY(cop_need_type(call, 4, INDICES));
    if (lengths->rank == 1 && lengths->dims[0] == batch)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "sequence_lens '%s' is %s, expected [%lld]",
                    cop_in_name(call, 4), cop_shape_text(lengths).s, (long long)batch);
}

static coppice_status recurrent_infer(cop_call *call) {
    const cop_rnn_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    int64_t h, d = p->directions;
    COP_TRY(hidden_size(call, &h));
    int64_t steps = x->dims[p->batch_first], batch = x->dims[!p->batch_first], g = p->gates * h;
    COP_TRY(need_shape(call, 1, 3, (int64_t[]){d, g, x->dims[2]}));
    COP_TRY(need_shape(call, 2, 3, (int64_t[]){d, g, h}));
    COP_TRY(need_shape(call, 3, 2, (int64_t[]){d, 2 * g}));
    COP_TRY(check_lengths(call, batch));
    int64_t state[3] = {p->batch_first ? batch : d, p->batch_first ? d : batch, h};
    COP_TRY(need_shape(call, 5, 3, state));
    COP_TRY(need_shape(call, 6, 3, state));
    COP_TRY(need_shape(call, 7, 2, (int64_t[]){d, 3 * h}));
    int64_t all[4] = {steps, d, batch, h}, all_first[4] = {batch, steps, d, h};
    cop_set_out(call, 0, x->type, 4, p->batch_first ? all_first : all);
    cop_set_out(call, 1, x->type, 3, state);
    cop_set_out(call, 2, x->type, 3, state);
    return COPPICE_OK;
}

/* ---- kernel ---- */

/* Elements of scratch of one direction; SIZE_MAX: more than there can be. Each part of it is filled
 * up to COP_RNN_SCRATCH_PART. */
static size_t scratch_elements(const cop_call *call) {
    const cop_rnn_params *p = call->params;
    const cop_rnn_sizes s = cop_rnn_sizes_of(call);
    size_t rows, wide = (size_t)p->gates * s.hidden, sum = wide + COP_RNN_SCRATCH_PART;
    if (!cop_size_mul(s.chunk, s.batch, &rows))
        return SIZE_MAX;
    const size_t parts[][2] = {{rows, s.input},     {rows, wide},        {s.batch, wide},
                               {s.batch, s.hidden}, {s.batch, s.hidden}, {s.batch, s.hidden},
                               {s.batch, s.hidden}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t count;
        if (!cop_size_mul(parts[i][0], parts[i][1], &count) || !cop_size_add(sum, count, &sum) ||
            !cop_size_add(sum, COP_RNN_SCRATCH_PART, &sum))
            return SIZE_MAX;
    }
    return sum < SIZE_MAX / 64 ? cop_round_up(sum, COP_RNN_SCRATCH_PART) : SIZE_MAX;
}

static size_t recurrent_scratch(const cop_call *call) {
    const cop_rnn_params *p = call->params;
    size_t elements = scratch_elements(call), bytes;
    size_t size = cop_type_bytes(cop_in(call, 0)->type) * (size_t)p->directions;
    return cop_size_mul(elements, size, &bytes) ? bytes : SIZE_MAX / 2;
}

static coppice_status check_length_values(const cop_call *call, size_t steps) {
    const coppice_tensor *lengths = cop_in(call, 4);
    for (int64_t i = 0; lengths && i < lengths->dims[0]; i++) {
        int64_t length = cop_tensor_get_int(lengths, i);
        if (length < 0 || (uint64_t)length > steps)
            return cop_fail(call->err, COPPICE_BAD_DATA,
                            "sequence_lens '%s' has %lld at %lld, the sequences have %zu steps",
                            cop_in_name(call, 4), (long long)length, (long long)i, steps);
    }
    return COPPICE_OK;
}

/* Sigmoid and tanh in vectors of the instruction set. */
static bool activate_fast(const cop_kernels *kernels, const cop_rnn_activation *f, float *v,
                          size_t n) {
    bool sigmoid = f->function == COP_RNN_SIGMOID;
    if (!kernels || (!sigmoid && f->function != COP_RNN_TANH))
        return false;
    kernels->map_f32[sigmoid ? COP_MAP_sigmoid : COP_MAP_tanh](v, v, n, 0, 0);
    return true;
}

/* With packed weights of this direction; false: there are none. */
static bool multiply_packed(cop_rnn_job *job, int direction, const cop_row_product *product,
                            const float *x, float *out) {
    if (!product || !product->kernel)
        return false;
    coppice_status status = cop_row_product_run(product, x, out);
    job->status[direction] = job->status[direction] ? job->status[direction] : status;
    return true;
}

static bool multiply_input(cop_rnn_job *job, int direction, const float *x, float *out) {
    const cop_rnn_weights *w = job->call->state;
    return multiply_packed(job, direction, w ? &w->directions[direction].input : NULL, x, out);
}

/* With the first or second part of R. */
static bool multiply_hidden(cop_rnn_job *job, int direction, int part, const float *h, float *out) {
    const cop_rnn_weights *w = job->call->state;
    return multiply_packed(job, direction, w ? &w->directions[direction].hidden[part] : NULL, h,
                           out);
}

#define REAL float
#define REAL_TYPE COPPICE_TYPE_FLOAT
#define NAME(x) x##_f32
#define REAL_EXP cop_expf
#define REAL_TANH cop_tanhf
#define REAL_SIGMOID cop_sigmoidf
#define REAL_FAST(...) __VA_ARGS__
#include "runtime/ops/recurrent/rnn_cells.h"
#undef REAL
#undef REAL_TYPE
#undef NAME
#undef REAL_EXP
#undef REAL_TANH
#undef REAL_SIGMOID
#undef REAL_FAST

#define REAL double
#define REAL_TYPE COPPICE_TYPE_DOUBLE
#define NAME(x) x##_f64
#define REAL_EXP exp
#define REAL_TANH tanh
#define REAL_SIGMOID(x) (1 / (1 + exp(-(x))))
#define REAL_FAST(...) false
#include "runtime/ops/recurrent/rnn_cells.h"

static coppice_status recurrent_run(const cop_call *call) {
    const cop_rnn_params *p = call->params;
    cop_rnn_job job = {.call = call,
                       .params = p,
                       .sizes = cop_rnn_sizes_of(call),
                       .scratch_step = scratch_elements(call),
                       .pool = p->directions == 1 ? call->pool : NULL};
    COP_TRY(check_length_values(call, job.sizes.steps));
    bool wide = cop_in(call, 0)->type == COPPICE_TYPE_DOUBLE;
    cop_parallel_for(p->directions == 1 ? NULL : call->pool, (size_t)p->directions, 1,
                     wide ? directions_f64 : directions_f32, &job);
    for (int d = 0; d < p->directions; d++) {
        if (job.status[d])
            return cop_fail(call->err, job.status[d], "a matrix product failed");
    }
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

#define ROW(op, fn, first, last, inputs, outputs)                                                  \
    {                                                                                              \
        .name = op, .since = first, .until = last, .min_inputs = 3, .max_inputs = inputs,          \
        .max_outputs = outputs, .types = FLOATS, PARSE(fn, cop_rnn_params), INFER(recurrent),      \
        RUN(recurrent), .scratch = recurrent_scratch, .prepare = cop_rnn_prepare,                  \
        .release = cop_rnn_release, .describe = cop_rnn_describe                                   \
    }

/* clang-format off */
const cop_op cop_ops_rnn[] = {
    ROW("GRU", gru, 1, 0, 6, 2),
    ROW("LSTM", lstm, 1, 0, 8, 3),
    ROW("RNN", rnn, 1, 0, 6, 2),
    {.name = NULL},
};
/* clang-format on */
