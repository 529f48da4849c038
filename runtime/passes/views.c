/* Views: where the elements of the end of a chain of movements lie. */
#include "runtime/passes/views.h"

#include <string.h>

#include "base/shape.h"

enum { LONGEST_CHAIN = 64 };

static bool is_scaling(const cop_shaped *p, const cop_node *node, int *from, double *scale) {
    bool division = cop_is_op(node, "Div");
    if (!division && !cop_is_op(node, "Mul"))
        return false;
    int at = cop_scalar_input(p, node, scale);
    if (at < 0 || (division && at == 0))
        return false;
    if (division)
        *scale = 1 / *scale;
    *from = node->inputs[1 - at];
    return true;
}

static bool is_movement(const cop_node *node) {
    static const char *const ops[] = {"Reshape",   "Transpose", "Squeeze",
                                      "Unsqueeze", "Flatten",   NULL};
    return cop_is_one_of(node, ops);
}

bool cop_view_looks_through(const cop_shaped *p, const cop_node *node, unsigned flags) {
    int from;
    double scale;
    return is_movement(node) || (flags & COP_VIEW_EXPAND && cop_is_op(node, "Expand")) ||
           (flags & COP_VIEW_SCALE && is_scaling(p, node, &from, &scale));
}

/* ---- single steps ---- */

bool cop_view_start(const cop_shaped *p, int value, cop_view *out) {
    const coppice_tensor *t = cop_variable(p, value);
    int64_t stride = t ? coppice_tensor_count(t) : 0;
    if (stride <= 0 || t->rank > COP_VIEW_FACTORS)
        return false;
    *out = (cop_view){.base = value, .scale = 1, .rank = t->rank};
    memcpy(out->dims, t->dims, sizeof out->dims);
    for (uint32_t d = 0; d < t->rank; d++) {
        stride /= t->dims[d];
        if (t->dims[d] > 1)
            out->factors[out->count++] = (cop_factor){t->dims[d], stride, (int)d};
    }
    return true;
}

void cop_view_permute(cop_view *view, const int64_t *perm) {
    cop_view from = *view;
    view->count = 0;
    for (uint32_t d = 0; d < view->rank; d++) {
        view->dims[d] = from.dims[perm[d]];
        for (int i = 0; i < from.count; i++) {
            if (from.factors[i].dim == perm[d]) {
                view->factors[view->count] = from.factors[i];
                view->factors[view->count++].dim = (int)d;
            }
        }
    }
}

bool cop_view_reshape(cop_view *view, uint32_t rank, const int64_t *dims) {
    cop_view to = *view;
    int at = 0;
    int64_t left = view->count ? view->factors[0].size : 1; /* of factor `at` */
    to.count = 0;
    to.rank = rank;
    memcpy(to.dims, dims, rank * sizeof *dims);
    for (uint32_t d = 0; d < rank; d++) {
        for (int64_t need = dims[d]; need > 1;) {
            if (at >= view->count || to.count == COP_VIEW_FACTORS)
                return false;
            int64_t take = left <= need ? left : need;
            if (need % take || left % take)
                return false;
            left /= take;
            need /= take;
            to.factors[to.count++] = (cop_factor){take, view->factors[at].stride * left, (int)d};
            if (left == 1 && ++at < view->count)
                left = view->factors[at].size;
        }
    }
    *view = to;
    return true;
}

/* Dimensions of 1 become larger, and new ones come before. */
static bool expand(cop_view *view, const coppice_tensor *to) {
    cop_view from = *view;
    uint32_t ahead = to->rank - from.rank;
    view->count = 0;
    view->rank = to->rank;
    memcpy(view->dims, to->dims, to->rank * sizeof *to->dims);
    for (uint32_t d = 0; d < to->rank; d++) {
        int64_t size = d < ahead ? 1 : from.dims[d - ahead];
        if (size == 1 && to->dims[d] > 1) {
            if (view->count == COP_VIEW_FACTORS)
                return false;
            view->factors[view->count++] = (cop_factor){to->dims[d], 0, (int)d};
        }
        for (int i = 0; i < from.count; i++) {
            if (from.factors[i].dim + (int)ahead != (int)d)
                continue;
            if (view->count == COP_VIEW_FACTORS)
                return false;
            view->factors[view->count] = from.factors[i];
            view->factors[view->count++].dim = (int)d;
        }
    }
    return true;
}

static bool permute_as(const cop_node *node, cop_view *view) {
    const int64_t *perm;
    size_t count;
    int64_t reversed[COPPICE_MAX_RANK];
    if (cop_node_ints(node, "perm", &perm, &count, NULL))
        return false;
    for (uint32_t d = 0; d < view->rank; d++)
        reversed[d] = view->rank - 1 - d;
    if (count && count != view->rank)
        return false;
    for (size_t d = 0; d < count; d++) {
        if (perm[d] < 0 || perm[d] >= (int64_t)count)
            return false;
    }
    cop_view_permute(view, count ? perm : reversed);
    return true;
}

static bool step_through(const cop_shaped *p, const cop_node *node, cop_view *view) {
    const coppice_tensor *to = cop_variable(p, node->outputs[0]);
    int from;
    double scale;
    if (!to || coppice_tensor_count(to) <= 0)
        return false;
    if (is_scaling(p, node, &from, &scale)) {
        view->scale *= scale;
        return true;
    }
    if (cop_is_op(node, "Transpose"))
        return permute_as(node, view);
    return cop_is_op(node, "Expand") ? expand(view, to)
                                     : cop_view_reshape(view, to->rank, to->dims);
}

/* ---- chains ---- */

static int source_of(const cop_shaped *p, const cop_node *node) {
    int from;
    double scale;
    return is_scaling(p, node, &from, &scale) ? from : node->inputs[0];
}

/* The chain that ends in `value`, its first node last; at most up to the value `stop`. */
static int chain_of(const cop_shaped *p, int value, int stop, unsigned flags,
                    const cop_node **chain) {
    int count = 0;
    while (count < LONGEST_CHAIN && value != stop) {
        const cop_node *node = cop_producer(p, value);
        if (!node || node->output_count != 1 || !cop_view_looks_through(p, node, flags) ||
            !cop_variable(p, source_of(p, node)))
            break;
        chain[count++] = node;
        value = source_of(p, node);
    }
    return count;
}

bool cop_view_of(const cop_shaped *p, int value, unsigned flags, cop_view *out) {
    const cop_node *chain[LONGEST_CHAIN];
    int count = chain_of(p, value, -1, flags, chain);
    bool ok = cop_view_start(p, count ? source_of(p, chain[count - 1]) : value, out);
    for (int i = count - 1; i >= 0 && ok; i--) {
        if (!step_through(p, chain[i], out))
            ok = cop_view_start(p, chain[i]->outputs[0], out);
    }
    return ok;
}

bool cop_view_from(const cop_shaped *p, int value, int base, unsigned flags, cop_view *out) {
    const cop_node *chain[LONGEST_CHAIN];
    int count = chain_of(p, value, base, flags, chain);
    int first = count ? source_of(p, chain[count - 1]) : value;
    if (first != base || !cop_view_start(p, base, out))
        return false;
    for (int i = count - 1; i >= 0; i--) {
        if (!step_through(p, chain[i], out))
            return false;
    }
    return true;
}

/* ---- asking ---- */

void cop_view_merge(cop_view *view, bool across) {
    int count = 0;
    for (int i = 0; i < view->count; i++) {
        cop_factor f = view->factors[i], *last = &view->factors[count ? count - 1 : 0];
        if (count && (across || last->dim == f.dim) && last->stride == f.size * f.stride) {
            last->size *= f.size;
            last->stride = f.stride;
            last->dim = f.dim;
        } else {
            view->factors[count++] = f;
        }
    }
    view->count = count;
}

bool cop_view_in_order(const cop_view *view) {
    return view->count == 0 || (view->count == 1 && view->factors[0].stride == 1);
}
