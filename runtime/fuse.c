/* What goes into the store of a convolution or matrix product: a residual that is added, a clamp, a
 * function of each element; and the same behind kernels that do not do it themselves. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/shape.h"
#include "graph/edit.h"
#include "runtime/kernels/kernels.h"
#include "runtime/ops/elementwise/unary.h"
#include "runtime/plan.h"

/* ---- what may be fused ---- */

/* Functions of each element by operator. Parameters are those of the operator's row. */
static const struct {
    const char *op;
    cop_map_id map;
} activations[] = {
    {"Celu", COP_MAP_celu},
    {"Elu", COP_MAP_elu},
    {"Erf", COP_MAP_erf},
    {"Gelu", COP_MAP_gelu},
    {"HardSigmoid", COP_MAP_hardsigmoid},
    {"HardSwish", COP_MAP_hardswish},
    {"LeakyRelu", COP_MAP_leakyrelu},
    {"Mish", COP_MAP_mish},
    {"Selu", COP_MAP_selu},
    {"Sigmoid", COP_MAP_sigmoid},
    {"Softplus", COP_MAP_softplus},
    {"Softsign", COP_MAP_softsign},
    {"Swish", COP_MAP_swish},
    {"Tanh", COP_MAP_tanh},
    {"ThresholdedRelu", COP_MAP_thresholdedrelu},
};

typedef struct fuser {
    const cop_graph *graph;
    const cop_shapes *shapes;
    cop_fusion *fusions;
    int *uses;   /* by value: how often it is read in all */
    int *reader; /* by value: the last node that has it as an input; -1: none */
} fuser;

static const coppice_tensor *tensor_of(const fuser *f, int value) {
    return &f->shapes->values[value].t;
}

/* The node that alone reads `value`, when it makes one float32 tensor of the same shape while the
 * plan runs; else -1. */
static int sole_reader(const fuser *f, int value) {
    int at = f->uses[value] == 1 ? f->reader[value] : -1;
    if (at < 0 || f->shapes->eager[at] || f->fusions[at].by >= 0)
        return -1;
    const cop_node *node = &f->graph->nodes[at];
    if (node->output_count != 1 || node->outputs[0] < 0)
        return -1;
    const coppice_tensor *made = tensor_of(f, node->outputs[0]);
    bool same = f->shapes->known[node->outputs[0]] && !made->data &&
                made->type == COPPICE_TYPE_FLOAT && cop_same_shape(made, tensor_of(f, value));
    return same ? at : -1;
}

/* Can `value` be a residual of something like `like`? Not what may lie unaligned: constants, and
 * values of the graph around this one. */
static bool is_residual(const fuser *f, int value, const coppice_tensor *like) {
    if (value < 0 || !f->shapes->known[value])
        return false;
    const cop_value *v = &f->graph->values[value];
    const coppice_tensor *t = tensor_of(f, value);
    return (v->producer >= 0 || v->is_input) && !t->data && t->type == COPPICE_TYPE_FLOAT &&
           cop_same_shape(t, like);
}

static bool take_residual(const fuser *f, const cop_node *node, int value, cop_fusion *fusion) {
    if (!(cop_is_op(node, "Add") || cop_is_op(node, "Sum")) || node->input_count != 2 ||
        fusion->residual >= 0 || fusion->activation.there || isfinite(fusion->min) ||
        isfinite(fusion->max))
        return false;
    int other = node->inputs[node->inputs[0] == value ? 1 : 0];
    if (!is_residual(f, other, tensor_of(f, value)))
        return false;
    int producer = f->graph->values[other].producer;
    fusion->residual = other;
    fusion->place = producer > fusion->place ? producer : fusion->place;
    return true;
}

/* The one float of a constant; `absent` where the input is left out. False: not known. */
static bool bound_of(const fuser *f, const cop_node *node, int i, float absent, float *out) {
    *out = absent;
    if (i >= node->input_count || node->inputs[i] < 0)
        return true;
    const coppice_tensor *t = tensor_of(f, node->inputs[i]);
    if (!t->data || t->type != COPPICE_TYPE_FLOAT || coppice_tensor_count(t) != 1)
        return false;
    *out = (float)cop_tensor_get(t, 0);
    return true;
}

static bool clamp_bounds(const fuser *f, int at, float *low, float *high) {
    const cop_node *node = &f->graph->nodes[at];
    *low = 0;
    *high = INFINITY;
    if (cop_is_op(node, "Relu"))
        return true;
    if (!cop_is_op(node, "Clip"))
        return false;
    if (cop_node_opset(f->graph, node) < 11) {
        const cop_unary_params *p = f->shapes->params[at];
        *low = p->alpha;
        *high = p->beta;
        return *low <= *high;
    }
    return bound_of(f, node, 1, -INFINITY, low) && bound_of(f, node, 2, INFINITY, high) &&
           *low <= *high;
}

static float clamp(float v, float low, float high) {
    return v < low ? low : v > high ? high : v;
}

/* One clamp behind another is a clamp to what the second makes of the first one's bounds. */
static bool take_clamp(const fuser *f, int at, cop_fusion *fusion) {
    float low, high;
    if (fusion->activation.there || !clamp_bounds(f, at, &low, &high))
        return false;
    fusion->min = clamp(fusion->min, low, high);
    fusion->max = clamp(fusion->max, low, high);
    return true;
}

static bool take_activation(const fuser *f, int at, cop_fusion *fusion) {
    const cop_node *node = &f->graph->nodes[at];
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++) {
        if (fusion->activation.there || !cop_is_op(node, activations[i].op))
            continue;
        const cop_unary_params *p = f->shapes->params[at];
        bool approximate = activations[i].map == COP_MAP_gelu && p->alpha > 0;
        fusion->activation = (cop_activation){
            .there = true,
            .map = approximate ? (int)COP_MAP_gelu_tanh : (int)activations[i].map,
            .alpha = p ? p->alpha : 0,
            .beta = p ? p->beta : 0,
        };
        return true;
    }
    return false;
}

/* Nodes behind `node` go into its store, one after another. */
static void fuse_behind(const fuser *f, int node) {
    cop_fusion *fusion = &f->fusions[node];
    if (!cop_lowers(f->graph, f->shapes, (size_t)node, &fusion->min, &fusion->max))
        return;
    int value = f->graph->nodes[node].outputs[0];
    while (fusion->count < COP_MAX_FUSED) {
        int at = sole_reader(f, value);
        if (at < 0 || !(take_residual(f, &f->graph->nodes[at], value, fusion) ||
                        take_clamp(f, at, fusion) || take_activation(f, at, fusion)))
            return;
        f->fusions[at].by = node;
        fusion->nodes[fusion->count++] = at;
        fusion->output = value = f->graph->nodes[at].outputs[0];
    }
}

static bool index_uses(fuser *f) {
    f->uses = cop_graph_use_counts(f->graph);
    f->reader = cop_malloc((f->graph->value_count + 1) * sizeof *f->reader);
    if (!f->uses || !f->reader)
        return false;
    memset(f->reader, 0xff, f->graph->value_count * sizeof *f->reader);
    for (size_t n = 0; n < f->graph->node_count; n++) {
        const cop_node *node = &f->graph->nodes[n];
        for (int i = 0; i < node->input_count; i++) {
            if (node->inputs[i] >= 0)
                f->reader[node->inputs[i]] = (int)n;
        }
    }
    return true;
}

coppice_status cop_fuse(const cop_graph *graph, const cop_shapes *shapes, cop_fusion *fusions,
                        coppice_error *err) {
    fuser f = {.graph = graph, .shapes = shapes, .fusions = fusions};
    for (size_t n = 0; n < graph->node_count; n++)
        fusions[n] = (cop_fusion){.by = -1, .residual = -1, .output = -1, .place = (int)n};
    coppice_status status =
        index_uses(&f) ? COPPICE_OK : cop_fail_memory(err, graph->value_count * sizeof *f.reader);
    /* From the end: of two that are added, the later one takes the sum, and needs not wait. */
    for (size_t n = graph->node_count; !status && n-- > 0;)
        fuse_behind(&f, (int)n);
    cop_free(f.uses);
    cop_free(f.reader);
    return status;
}

/* ---- behind a kernel that does not fuse ---- */

cop_conv cop_conv_for(const cop_conv *conv, const cop_conv_kernel *kernel, cop_tail *tail) {
    cop_conv asked = *conv;
    *tail = (cop_tail){.min = -INFINITY, .max = INFINITY};
    if (kernel->fuses || (!conv->residual && !conv->activation.there))
        return asked;
    tail->there = true;
    tail->residual = conv->residual;
    tail->activation = conv->activation;
    asked.residual = false;
    asked.activation = (cop_activation){0};
    if (conv->residual) { /* the clamp comes behind it */
        tail->min = conv->min;
        tail->max = conv->max;
        asked.min = -INFINITY;
        asked.max = INFINITY;
    }
    return asked;
}

typedef struct tail_job {
    const cop_tail *tail;
    const cop_kernels *kernels;
    const float *residual;
    float *output;
} tail_job;

/* Floats that one task works on: they stay in the L1 cache between one loop and the next. */
enum { TAIL_GRAIN = 4096 };

static void tail_range(void *context, size_t begin, size_t end) {
    const tail_job *job = context;
    float *out = job->output + begin;
    size_t n = end - begin;
    if (job->residual) {
        const float *restrict residual = job->residual + begin;
        float low = job->tail->min, high = job->tail->max;
        for (size_t i = 0; i < n; i++) { /* NaN stays NaN */
            float x = out[i] + residual[i];
            x = x < low ? low : x;
            out[i] = x > high ? high : x;
        }
    }
    cop_activate(&job->tail->activation, job->kernels, out, n);
}

void cop_tail_apply(const cop_tail *tail, const cop_kernels *kernels, const float *residual,
                    float *output, size_t count, const coppice_threadpool *pool) {
    const tail_job job = {.tail = tail,
                          .kernels = kernels,
                          .residual = tail->residual ? residual : NULL,
                          .output = output};
    cop_parallel_for(pool, count, TAIL_GRAIN, tail_range, (void *)&job);
}
