/* Pad with zeros goes into the Conv or AveragePool that reads it. */
#include <string.h>

#include "runtime/passes/shaped.h"

enum { MAX_SPATIAL = COPPICE_MAX_RANK - 2 };

/* What is added before and behind each of `rank` dims. */
typedef struct padding {
    int64_t before[COPPICE_MAX_RANK], behind[COPPICE_MAX_RANK];
} padding;

static bool is_zero_padding(const cop_shaped *p, const cop_node *node) {
    const char *mode;
    float value;
    double number;
    if (!cop_is_op(node, "Pad") || cop_node_string(node, "mode", "constant", &mode, NULL) ||
        strcmp(mode, "constant") != 0 || cop_node_float(node, "value", 0, &value, NULL))
        return false;
    if (node->input_count > 2 && node->inputs[2] >= 0)
        return cop_scalar(p, node->inputs[2], &number) && number == 0;
    return value == 0;
}

/* Integers of an attribute, or of constant input `i`. -1: not known. */
static int64_t listed(const cop_shaped *p, const cop_node *node, int i, const char *attr,
                      int64_t *out) {
    const int64_t *values;
    size_t count;
    const coppice_tensor *t = i < node->input_count ? cop_known(p, node->inputs[i]) : NULL;
    if (t && t->data && coppice_tensor_count(t) <= 2 * COPPICE_MAX_RANK) {
        for (int64_t k = 0; k < coppice_tensor_count(t); k++)
            out[k] = cop_tensor_get_int(t, k);
        return coppice_tensor_count(t);
    }
    if (t || cop_node_ints(node, attr, &values, &count, NULL) || !count ||
        count > 2 * COPPICE_MAX_RANK)
        return -1;
    memcpy(out, values, count * sizeof *values);
    return (int64_t)count;
}

/* Nothing but zeros around the spatial dims of an image. */
static bool read_padding(const cop_shaped *p, const cop_node *node, uint32_t rank, padding *out) {
    int64_t pads[2 * COPPICE_MAX_RANK], axes[2 * COPPICE_MAX_RANK];
    bool some = node->input_count > 3 && node->inputs[3] >= 0;
    int64_t count = listed(p, node, 1, "pads", pads);
    int64_t axis_count = some ? listed(p, node, 3, "axes", axes) : rank;
    *out = (padding){0};
    if (axis_count <= 0 || count != 2 * axis_count)
        return false;
    for (int64_t i = 0; i < axis_count; i++) {
        int64_t axis = some ? axes[i] : i;
        axis += axis < 0 ? rank : 0;
        bool bad = axis < 0 || axis >= (int64_t)rank || pads[i] < 0 || pads[axis_count + i] < 0 ||
                   pads[i] > INT32_MAX || pads[axis_count + i] > INT32_MAX;
        if (bad || (axis < 2 && (pads[i] || pads[axis_count + i])))
            return false;
        out->before[axis] = pads[i];
        out->behind[axis] = pads[axis_count + i];
    }
    return true;
}

static bool any(const int64_t *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (values[i])
            return true;
    }
    return false;
}

/* Can the node pad more than it does? An average must count what it pads. */
static bool takes_padding(const cop_shaped *p, const cop_node *node, const int64_t *pads,
                          size_t count) {
    const char *mode;
    int64_t include, ceil;
    if (cop_node_string(node, "auto_pad", "NOTSET", &mode, NULL) ||
        (strcmp(mode, "NOTSET") != 0 && strcmp(mode, "VALID") != 0))
        return false;
    if (cop_is_op(node, "Conv"))
        return true;
    return cop_is_op(node, "AveragePool") && cop_node_opset(p->graph, node) >= 7 &&
           !cop_node_int(node, "count_include_pad", 0, &include, NULL) &&
           !cop_node_int(node, "ceil_mode", 0, &ceil, NULL) && !ceil &&
           (include || !any(pads, count));
}

static coppice_status absorb(cop_shaped *p, cop_node *node, const cop_node *pad) {
    const coppice_tensor *x = cop_variable(p, pad->inputs[0]);
    int64_t pads[2 * MAX_SPATIAL] = {0};
    const int64_t *own;
    size_t count;
    padding more;
    if (!x || x->rank < 3 || x->rank > COPPICE_MAX_RANK || !read_padding(p, pad, x->rank, &more) ||
        cop_node_ints(node, "pads", &own, &count, NULL))
        return COPPICE_OK;
    const size_t spatial = x->rank - 2;
    if (count && count != 2 * spatial)
        return COPPICE_OK;
    if (count)
        memcpy(pads, own, count * sizeof *own);
    if (!takes_padding(p, node, pads, 2 * spatial))
        return COPPICE_OK;
    for (size_t d = 0; d < spatial; d++) {
        pads[d] += more.before[d + 2];
        pads[spatial + d] += more.behind[d + 2];
    }
    node->inputs[0] = pad->inputs[0];
    p->changed = true;
    bool ok = cop_node_set_attr_ints(p->graph, node, "pads", pads, 2 * spatial) &&
              cop_node_set_attr_string(p->graph, node, "auto_pad", "NOTSET");
    if (ok && cop_is_op(node, "AveragePool"))
        ok = cop_node_set_attr_int(p->graph, node, "count_include_pad", 1);
    return ok ? COPPICE_OK : cop_fail_memory(p->err, sizeof *node->attrs);
}

coppice_status cop_pass_pad(cop_shaped *p) {
    for (size_t n = 0; n < p->node_count; n++) {
        cop_node *node = &p->graph->nodes[n];
        if (node->input_count < 1 || (!cop_is_op(node, "Conv") && !cop_is_op(node, "AveragePool")))
            continue;
        const cop_node *pad = cop_producer_is(p, node->inputs[0], "Pad");
        if (pad && is_zero_padding(p, pad))
            COP_TRY(absorb(p, node, pad));
    }
    return COPPICE_OK;
}
