/* LayerNormalization and RMSNormalization as exporters write them node by node:
 *
 *     d = x - ReduceMean(x)                 (RMSNormalization: d = x)
 *     y = d / Sqrt(ReduceMean(d ^ 2) + epsilon) * scale + bias
 *
 * with d * d for the power, with Reciprocal or a power of -1/2 for the division, d made once or
 * twice, with and without scale and bias. */
#include <math.h>
#include <string.h>

#include "base/shape.h"
#include "runtime/passes/shaped.h"

typedef struct norm_match {
    int x;        /* what is normalized */
    int centred;  /* x - mean, or x itself */
    int square;   /* of that */
    int64_t axis; /* the first of the trailing axes */
    double epsilon;
    int scale, bias; /* -1: none */
    int last;        /* the node that ends the pattern */
} norm_match;

static int node_index(const cop_shaped *p, const cop_node *node) {
    return (int)(node - p->graph->nodes);
}

/* Axes of a reduction: an attribute, or an input. False when they are not known. */
static bool reduced_axes(const cop_shaped *p, const cop_node *node, bool *on, uint32_t rank) {
    const int64_t *axes;
    size_t count;
    if (cop_node_ints(node, "axes", &axes, &count, NULL))
        return false;
    const coppice_tensor *given =
        node->input_count > 1 && node->inputs[1] >= 0 ? cop_known(p, node->inputs[1]) : NULL;
    if (given && given->data && !count)
        count = (size_t)coppice_tensor_count(given);
    else
        given = NULL;
    memset(on, 0, rank);
    for (size_t i = 0; i < count; i++) {
        int64_t axis = given ? cop_tensor_get_int(given, (int64_t)i) : axes[i];
        axis += axis < 0 ? rank : 0;
        if (axis < 0 || axis >= (int64_t)rank)
            return false;
        on[axis] = true;
    }
    return count > 0;
}

/* The node when it is the mean of `of` over trailing axes that are kept as ones; the first axis
 * goes to *axis. */
static const cop_node *trailing_mean(const cop_shaped *p, int value, int64_t *axis) {
    const cop_node *node = cop_producer_is(p, value, "ReduceMean");
    const coppice_tensor *x = node ? cop_variable(p, node->inputs[0]) : NULL;
    bool on[COPPICE_MAX_RANK];
    int64_t keep;
    if (!x || x->rank == 0 || cop_node_int(node, "keepdims", 1, &keep, NULL) || !keep ||
        !reduced_axes(p, node, on, x->rank))
        return NULL;
    uint32_t first = x->rank;
    while (first > 0 && on[first - 1])
        first--;
    for (uint32_t d = 0; d < first; d++) {
        if (on[d])
            return NULL;
    }
    *axis = first;
    return first < x->rank ? node : NULL;
}

/* d ^ 2, written as a power or a product. */
static int squared(const cop_shaped *p, int value) {
    double power;
    const cop_node *node = cop_producer_is(p, value, "Pow");
    if (node && node->input_count == 2 && cop_scalar_input(p, node, &power) == 1 && power == 2)
        return node->inputs[0];
    node = cop_producer_is(p, value, "Mul");
    return node && node->input_count == 2 && node->inputs[0] == node->inputs[1] ? node->inputs[0]
                                                                                : -1;
}

/* Is `value` x - mean of x over the trailing axes from `axis` on? */
static bool is_centred(const cop_shaped *p, int value, int64_t axis, int *x) {
    const cop_node *sub = cop_producer_is(p, value, "Sub");
    int64_t other;
    if (!sub || sub->input_count != 2)
        return false;
    const cop_node *mean = trailing_mean(p, sub->inputs[1], &other);
    *x = sub->inputs[0];
    return mean && mean->inputs[0] == *x && other == axis;
}

/* How often `square`, made of d, reads it. */
static int reads_of_square(const cop_shaped *p, int square) {
    return cop_producer_is(p, square, "Pow") ? 1 : 2;
}

/* Is `d`, which is divided, the same as m->centred, which is squared, and nothing else reads them?
 */
static bool same_centred(const cop_shaped *p, int d, const norm_match *m) {
    int x, y, reads = reads_of_square(p, m->square);
    if (d == m->centred)
        return !is_centred(p, d, m->axis, &x) || p->counts[d] == reads + 1;
    return is_centred(p, d, m->axis, &x) && is_centred(p, m->centred, m->axis, &y) && x == y &&
           p->counts[d] == 1 && p->counts[m->centred] == reads;
}

/* Sqrt(mean of squares + epsilon), or that to the power 1/2; with `inverse` 1 over it, or the power
 * -1/2. Fills the match but for what is normalized. */
static bool is_deviation(const cop_shaped *p, int value, bool inverse, norm_match *m) {
    const cop_node *node = inverse ? cop_producer_is(p, value, "Reciprocal") : NULL;
    double power, number;
    if (inverse && !node) {
        const cop_node *division = cop_producer_is(p, value, "Div");
        if (division && cop_scalar_input(p, division, &number) == 0 && number == 1)
            return is_deviation(p, division->inputs[1], false, m);
    }
    if (node)
        return is_deviation(p, node->inputs[0], false, m);
    node = cop_producer_is(p, value, "Pow");
    if (node && (cop_scalar_input(p, node, &power) != 1 || power != (inverse ? -0.5 : 0.5)))
        return false;
    if (!node && !inverse)
        node = cop_producer_is(p, value, "Sqrt");
    const cop_node *sum = node ? cop_producer_is(p, node->inputs[0], "Add") : NULL;
    int at = sum ? cop_scalar_input(p, sum, &m->epsilon) : -1;
    const cop_node *mean = at < 0 ? NULL : trailing_mean(p, sum->inputs[1 - at], &m->axis);
    m->square = mean ? mean->inputs[0] : -1;
    m->centred = mean ? squared(p, m->square) : -1;
    return m->centred >= 0 && m->epsilon >= 0;
}

/* d / deviation, or d * (1 / deviation) */
static bool is_normalized(const cop_shaped *p, const cop_node *node, norm_match *m) {
    bool inverse = cop_is_op(node, "Mul");
    if ((!inverse && !cop_is_op(node, "Div")) || node->input_count != 2)
        return false;
    for (int i = 1; i >= (inverse ? 0 : 1); i--) {
        if (is_deviation(p, node->inputs[i], inverse, m) && same_centred(p, node->inputs[1 - i], m))
            return true;
    }
    return false;
}

/* The other input of the only reader of `value`, an `op`, when it spreads over it and is known; -1
 * otherwise. */
static int follower(const cop_shaped *p, int value, const char *op, int *last) {
    const cop_node *node = cop_sole_reader(p, value);
    if (!node || !cop_is_op(node, op) || node->input_count != 2)
        return -1;
    int other = node->inputs[node->inputs[0] == value ? 1 : 0];
    const coppice_tensor *x = cop_known(p, value), *t = cop_known(p, other);
    const coppice_tensor *y = cop_known(p, node->outputs[0]);
    if (!x || !t || !y || other == value || t->type != x->type || !t->data ||
        !cop_same_shape(x, y) || t->rank > x->rank)
        return -1;
    *last = node_index(p, node);
    return other;
}

/* A scale may be one number of its own shape; what is one per row would not be seen as such by an
 * operator that knows columns. */
static bool spreads_over_columns(const cop_shaped *p, int value, const norm_match *m) {
    const coppice_tensor *t = cop_known(p, value), *x = cop_known(p, m->x);
    for (uint32_t d = 0; d < t->rank; d++) {
        uint32_t at = x->rank - t->rank + d;
        if (at < m->axis && t->dims[d] != 1)
            return false;
    }
    return true;
}

static void find_scale_and_bias(const cop_shaped *p, norm_match *m) {
    int last = m->last, end;
    int scale = follower(p, p->graph->nodes[last].outputs[0], "Mul", &end);
    m->scale = m->bias = -1;
    if (scale >= 0 && spreads_over_columns(p, scale, m)) {
        m->scale = scale;
        m->last = last = end;
    }
    if (m->x == m->centred)
        return; /* RMSNormalization has no bias */
    int bias = follower(p, p->graph->nodes[last].outputs[0], "Add", &end);
    if (bias >= 0 && spreads_over_columns(p, bias, m)) {
        m->bias = bias;
        m->last = end;
    }
}

static bool find_norm(const cop_shaped *p, size_t index, norm_match *m) {
    const cop_node *node = &p->graph->nodes[index];
    *m = (norm_match){.last = (int)index};
    if (node->domain[0] || node->output_count != 1 || !is_normalized(p, node, m))
        return false;
    if (!is_centred(p, m->centred, m->axis, &m->x))
        m->x = m->centred;
    const coppice_tensor *x = cop_variable(p, m->x);
    if (!x || x->type != COPPICE_TYPE_FLOAT || coppice_tensor_count(x) <= 0)
        return false;
    find_scale_and_bias(p, m);
    return cop_same_narrow(p, m->x, p->graph->nodes[m->last].outputs[0]);
}

static int ones(cop_shaped *p, const norm_match *m) {
    const coppice_tensor *x = cop_known(p, m->x);
    return cop_new_floats(p, m->x, x->rank - (uint32_t)m->axis, x->dims + m->axis, 1);
}

static coppice_status become_norm(cop_shaped *p, const norm_match *m) {
    bool centred = m->x != m->centred;
    int64_t rank = cop_known(p, m->x)->rank;
    int inputs[3] = {m->x, m->scale < 0 ? ones(p, m) : m->scale, m->bias};
    if (inputs[1] < 0)
        return COPPICE_OUT_OF_MEMORY;
    cop_node *node = &p->graph->nodes[m->last];
    if (!cop_become(p, node, centred ? "LayerNormalization" : "RMSNormalization", centred ? 17 : 23,
                    inputs, m->bias < 0 ? 2 : 3) ||
        !cop_node_set_attr_int(p->graph, node, "axis", m->axis - rank) ||
        !cop_node_set_attr_float(p->graph, node, "epsilon", (float)m->epsilon))
        return cop_fail_memory(p->err, sizeof *node);
    return COPPICE_OK;
}

coppice_status cop_pass_norms(cop_shaped *p) {
    for (size_t n = 0; n < p->node_count; n++) {
        norm_match m;
        if (find_norm(p, n, &m))
            COP_TRY(become_norm(p, &m));
    }
    return COPPICE_OK;
}
