/* Attention as exporters write it node by node:
 *
 *     scores = MatMul(Q, transposed K), scaled, perhaps capped by tanh, masks added
 *     y = MatMul(Softmax(scores), V)
 *
 * becomes the operator Attention, which keeps no scores. Q, K and V come out of projections as
 * [batch, tokens, heads * size] and are moved to [batch, heads, tokens, size]; where views
 * (views.h) show that, the projections themselves are the operands, and nothing is moved any more.
 * What is not so gets the form with four dimensions. */
#include <math.h>
#include <string.h>

#include "base/shape.h"
#include "runtime/passes/attention.h"

enum { LOWEST_RANK = 3, LONGEST_PATH = 16 };

/* ---- from Softmax back to the product ---- */

/* What is left when other factors come nearer to the softmax: masks are multiplied by them too. */
static bool take_mask(const cop_shaped *p, attention_match *m, int value, int level,
                      const attention_mask *kind) {
    if (m->mask_count == COP_ATTENTION_MASKS || m->softcap > 0)
        return false;
    attention_mask *mask = &m->masks[m->mask_count];
    *mask = *kind;
    mask->value = value;
    mask->level = level;
    mask->factor = m->scale;
    const coppice_tensor *t = cop_known(p, value), *at = cop_known(p, level);
    if (!t || t->rank > at->rank)
        return false;
    m->mask_count++;
    return true;
}

static bool walk_back(const cop_shaped *p, int value, attention_match *m, int depth);

static bool is_sole(const cop_shaped *p, int value) {
    return p->counts[value] == 1;
}

/* scores + mask, in either order. */
static bool walk_add(const cop_shaped *p, const cop_node *node, attention_match *m, int depth) {
    const coppice_tensor *sum = cop_known(p, node->outputs[0]);
    for (int i = 0; i < 2; i++) {
        attention_match before = *m;
        const coppice_tensor *scores = cop_variable(p, node->inputs[i]);
        if (scores && cop_same_shape(scores, sum) &&
            take_mask(p, m, node->inputs[1 - i], node->outputs[0], &(attention_mask){0}) &&
            walk_back(p, node->inputs[i], m, depth))
            return true;
        *m = before;
    }
    return false;
}

/* Where(condition, scores, a number so low that it hides), or the other way round. */
static bool walk_where(const cop_shaped *p, const cop_node *node, attention_match *m, int depth) {
    const coppice_tensor *to = cop_known(p, node->outputs[0]);
    for (int i = 1; i < 3 && node->input_count == 3; i++) {
        attention_mask mask = {.where = true, .hides = i == 2};
        const coppice_tensor *scores = cop_variable(p, node->inputs[i]);
        if (scores && cop_same_shape(scores, to) &&
            cop_scalar(p, node->inputs[3 - i], &mask.number) && mask.number <= -1e30)
            return m->scale == 1 && take_mask(p, m, node->inputs[0], node->outputs[0], &mask) &&
                   walk_back(p, node->inputs[i], m, depth);
    }
    return false;
}

/* Reshapes may put batch and heads together or take them apart. */
static bool walk_reshape(const cop_shaped *p, const cop_node *node, attention_match *m, int depth) {
    const coppice_tensor *from = cop_variable(p, node->inputs[0]);
    const coppice_tensor *to = cop_known(p, node->outputs[0]);
    if (!from || from->rank < LOWEST_RANK || to->rank < LOWEST_RANK)
        return false;
    for (uint32_t d = 1; d <= 2; d++) {
        if (from->dims[from->rank - d] != to->dims[to->rank - d])
            return false;
    }
    return walk_back(p, node->inputs[0], m, depth);
}

/* cap * Tanh(scores / cap): factors so far are the cap. */
static bool walk_tanh(const cop_shaped *p, const cop_node *node, attention_match *m, int depth) {
    if (m->softcap > 0 || !(m->scale > 0))
        return false;
    for (int i = 0; i < m->mask_count; i++) {
        if (m->masks[i].factor != 1)
            return false;
    }
    m->softcap = m->scale;
    return walk_back(p, node->inputs[0], m, depth);
}

static bool end_at_product(const cop_shaped *p, const cop_node *node, attention_match *m) {
    const coppice_tensor *q = cop_variable(p, node->inputs[0]);
    const coppice_tensor *k = cop_variable(p, node->inputs[1]);
    m->scores = node->outputs[0];
    m->q = node->inputs[0];
    m->k = node->inputs[1];
    bool fits = q && k && q->rank == k->rank && q->rank >= LOWEST_RANK;
    for (uint32_t d = 0; fits && d + 2 < q->rank; d++)
        fits = q->dims[d] == k->dims[d];
    return fits && q->type == COPPICE_TYPE_FLOAT;
}

/* `value` leads to the softmax and to nothing else. */
static bool walk_back(const cop_shaped *p, int value, attention_match *m, int depth) {
    const cop_node *node = cop_producer(p, value);
    double factor;
    if (!node || depth == LONGEST_PATH || !is_sole(p, value) || node->output_count != 1)
        return false;
    depth++;
    if (cop_is_op(node, "MatMul"))
        return end_at_product(p, node, m);
    if (cop_is_op(node, "Add") && cop_scalar_input(p, node, &factor) < 0)
        return walk_add(p, node, m, depth);
    if (cop_is_op(node, "Where"))
        return walk_where(p, node, m, depth);
    if (cop_is_op(node, "Reshape"))
        return walk_reshape(p, node, m, depth);
    if (cop_is_op(node, "Tanh"))
        return walk_tanh(p, node, m, depth);
    bool division = cop_is_op(node, "Div");
    int at = division || cop_is_op(node, "Mul") ? cop_scalar_input(p, node, &factor) : -1;
    if (at < 0 || (division && at == 0))
        return false;
    m->scale *= division ? 1 / factor : factor;
    return walk_back(p, node->inputs[1 - at], m, depth);
}

/* ---- from Softmax on ---- */

/* Where(IsNaN(probabilities), 0, probabilities): rows that see nothing are 0. */
static int past_guard(const cop_shaped *p, int value, attention_match *m) {
    if (p->counts[value] != 2)
        return value;
    for (size_t n = 0; n < p->node_count; n++) {
        const cop_node *where = &p->graph->nodes[n];
        double number;
        if (!cop_is_op(where, "Where") || where->input_count != 3 || where->inputs[2] != value)
            continue;
        const cop_node *test = cop_producer_is(p, where->inputs[0], "IsNaN");
        if (!test || test->inputs[0] != value || !is_sole(p, where->inputs[0]) ||
            !cop_scalar(p, where->inputs[1], &number) || number != 0 ||
            cop_known(p, where->inputs[1])->rank > cop_known(p, value)->rank)
            return value;
        m->guarded = true;
        return where->outputs[0];
    }
    return value;
}

static bool is_last_axis(const cop_shaped *p, const cop_node *softmax) {
    const coppice_tensor *t = cop_variable(p, softmax->inputs[0]);
    int64_t axis, usual = cop_node_opset(p->graph, softmax) >= 13 ? -1 : 1;
    return t && t->type == COPPICE_TYPE_FLOAT && t->rank >= LOWEST_RANK &&
           coppice_tensor_count(t) > 0 && !cop_node_int(softmax, "axis", usual, &axis, NULL) &&
           (axis == -1 || axis == (int64_t)t->rank - 1);
}

static bool find_attention(const cop_shaped *p, size_t index, attention_match *m) {
    const cop_node *softmax = &p->graph->nodes[index];
    *m = (attention_match){.scale = 1};
    if (!cop_is_op(softmax, "Softmax") || softmax->output_count != 1 || softmax->outputs[0] < 0 ||
        !is_last_axis(p, softmax))
        return false;
    int value = past_guard(p, softmax->outputs[0], m);
    const cop_node *product = cop_sole_reader(p, value);
    if (!product || !cop_is_op(product, "MatMul") || product->inputs[0] != value)
        return false;
    m->v = product->inputs[1];
    m->product = (int)(product - p->graph->nodes);
    const coppice_tensor *v = cop_variable(p, m->v), *probabilities = cop_known(p, value);
    bool fits = v && v->rank == probabilities->rank;
    for (uint32_t d = 0; fits && d + 2 < v->rank; d++)
        fits = v->dims[d] == probabilities->dims[d];
    return fits && walk_back(p, softmax->inputs[0], m, 0) && !(m->scale < 0) &&
           isfinite(m->scale) && cop_same_narrow(p, m->q, product->outputs[0]);
}

/* ---- the pass ---- */

coppice_status cop_pass_attention(cop_shaped *p) {
    for (size_t n = 0; n < p->node_count; n++) {
        attention_match m;
        if (find_attention(p, n, &m))
            COP_TRY(cop_make_attention(p, &m));
    }
    return COPPICE_OK;
}
