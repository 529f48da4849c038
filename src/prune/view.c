/* Follows shapes and strides of a constant through Transpose, Reshape and the like. */
#include "prune/view.h"

#include <string.h>

#include "base/size.h"
#include "graph/graph.h"

bool cop_seen_merge(const cop_seen *seen, uint32_t from, uint32_t to, int64_t *size,
                    int64_t *stride) {
    *size = 1;
    *stride = 0;
    for (uint32_t d = to; d-- > from;) {
        if (seen->dims[d] == 1)
            continue;
        if (*size > 1 && seen->strides[d] != *stride * *size)
            return false;
        if (*size == 1)
            *stride = seen->strides[d];
        *size *= seen->dims[d];
    }
    return true;
}

/* The integers of an attribute or, where there is none, of a constant input; false: not known. */
static bool find_ints(const cop_link *link, const char *name, int input, int64_t *out, int *count) {
    const cop_node *node = link->node;
    const cop_attr *attr = cop_node_attr(node, name);
    *count = -1;
    if (attr) {
        if (attr->kind != COP_ATTR_INTS || attr->count > COPPICE_MAX_RANK)
            return false;
        *count = (int)attr->count;
        memcpy(out, attr->ints, attr->count * sizeof *out);
        return true;
    }
    if (input < 0 || input >= node->input_count || node->inputs[input] < 0)
        return true;
    const cop_constant *constant = cop_graph_constant(link->graph, node->inputs[input], NULL, NULL);
    int64_t n = constant ? coppice_tensor_count(&constant->tensor) : -1;
    if (n < 0 || n > COPPICE_MAX_RANK || (n && !constant->tensor.data))
        return false;
    *count = (int)n;
    for (int i = 0; i < *count; i++)
        out[i] = cop_tensor_get_int(&constant->tensor, i);
    return true;
}

static bool transpose(const cop_link *link, cop_seen *s) {
    int64_t perm[COPPICE_MAX_RANK];
    int count;
    if (!find_ints(link, "perm", -1, perm, &count) || (count >= 0 && (uint32_t)count != s->rank))
        return false;
    cop_seen from = *s;
    for (uint32_t d = 0; d < s->rank; d++) {
        int64_t source = count < 0 ? (int64_t)(s->rank - 1 - d) : perm[d];
        if (source < 0 || source >= s->rank)
            return false;
        s->dims[d] = from.dims[source];
        s->strides[d] = from.strides[source];
    }
    return true;
}

/* Gives the elements other dims in the same order: groups of old and new dims that hold as many
 * elements are matched, and the old ones of a group must be evenly apart. */
static bool reshape_to(cop_seen *s, const int64_t *dims, uint32_t rank) {
    cop_seen to = {.known = true, .rank = rank};
    uint32_t i = 0, k = 0;
    while (i < s->rank || k < rank) {
        uint32_t i0 = i, k0 = k;
        int64_t old = i < s->rank ? s->dims[i++] : 1, new = k < rank ? dims[k++] : 1;
        while (old != new) {
            bool grown = old < new ? i < s->rank &&cop_i64_mul(old, s->dims[i++], &old)
                                   : k < rank &&cop_i64_mul(new, dims[k++], &new);
            if (!grown)
                return false;
        }
        int64_t size, stride;
        if (!cop_seen_merge(s, i0, i, &size, &stride))
            return false;
        for (uint32_t d = k; d-- > k0;) {
            to.dims[d] = dims[d];
            to.strides[d] = stride;
            stride *= dims[d];
        }
    }
    *s = to;
    return true;
}

static bool reshape(const cop_link *link, cop_seen *s) {
    int64_t dims[COPPICE_MAX_RANK], total = 1, rest = 1, allow_zero;
    int count, open = -1;
    if (!find_ints(link, "shape", 1, dims, &count) || count < 0 ||
        cop_node_int(link->node, "allowzero", 0, &allow_zero, NULL))
        return false;
    for (uint32_t d = 0; d < s->rank; d++)
        total *= s->dims[d];
    for (int d = 0; d < count; d++) {
        if (dims[d] == 0 && !allow_zero && (uint32_t)d < s->rank)
            dims[d] = s->dims[d];
        if (dims[d] == -1 && open < 0)
            open = d;
        else if (dims[d] < 1 || !cop_i64_mul(rest, dims[d], &rest))
            return false;
    }
    if (open >= 0)
        dims[open] = total / rest;
    return (open < 0 ? rest == total : dims[open] > 0 && dims[open] * rest == total) &&
           reshape_to(s, dims, (uint32_t)count);
}

static bool flatten(const cop_link *link, cop_seen *s) {
    int64_t axis, dims[2] = {1, 1};
    if (cop_node_int(link->node, "axis", 1, &axis, NULL))
        return false;
    axis += axis < 0 ? s->rank : 0;
    for (uint32_t d = 0; d < s->rank; d++)
        dims[d >= axis] *= s->dims[d];
    return axis >= 0 && reshape_to(s, dims, 2);
}

/* Which of `rank` dims the axes name; false: not known. */
static bool find_axes(const cop_link *link, uint32_t rank, bool *on, int *count) {
    int64_t axes[COPPICE_MAX_RANK];
    if (!find_ints(link, "axes", 1, axes, count))
        return false;
    for (int i = 0; i < *count; i++) {
        axes[i] += axes[i] < 0 ? rank : 0;
        if (axes[i] < 0 || axes[i] >= rank)
            return false;
        on[axes[i]] = true;
    }
    return true;
}

static bool squeeze(const cop_link *link, cop_seen *s) {
    bool on[COPPICE_MAX_RANK] = {false};
    int count;
    if (!find_axes(link, s->rank, on, &count))
        return false;
    cop_seen from = *s;
    s->rank = 0;
    for (uint32_t d = 0; d < from.rank; d++) {
        if (count < 0 ? from.dims[d] == 1 : on[d])
            continue;
        s->dims[s->rank] = from.dims[d];
        s->strides[s->rank++] = from.strides[d];
    }
    return true;
}

static bool unsqueeze(const cop_link *link, cop_seen *s) {
    bool on[COPPICE_MAX_RANK] = {false};
    int64_t axes[COPPICE_MAX_RANK];
    int count;
    if (!find_ints(link, "axes", 1, axes, &count) || count < 0 ||
        s->rank + (uint32_t)count > COPPICE_MAX_RANK ||
        !find_axes(link, s->rank + (uint32_t)count, on, &count))
        return false;
    cop_seen from = *s;
    s->rank += (uint32_t)count;
    for (uint32_t d = 0, next = 0; d < s->rank; d++) {
        bool kept = !on[d] && next < from.rank;
        s->dims[d] = kept ? from.dims[next] : 1;
        s->strides[d] = kept ? from.strides[next++] : 0;
    }
    return true;
}

static bool keep(const cop_link *link, cop_seen *s) {
    (void)link;
    (void)s;
    return true;
}

static const struct {
    const char *op;
    bool (*see)(const cop_link *link, cop_seen *s);
} steps[] = {{"Transpose", transpose},
             {"Reshape", reshape},
             {"Flatten", flatten},
             {"Squeeze", squeeze},
             {"Unsqueeze", unsqueeze},
             {"Identity", keep},
             {"Cast", keep},
             {"CastLike", keep},
             {"QuantizeLinear", keep},
             {"DequantizeLinear", keep},
             {"Mul", keep},
             {"Div", keep},
             {"Neg", keep}};

static bool see(const cop_link *link, cop_seen *s) {
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (strcmp(link->node->op, steps[i].op) == 0)
            return steps[i].see(link, s);
    return false;
}

cop_seen cop_see_through(const cop_found *found) {
    const coppice_tensor *t = &found->constant->tensor;
    cop_seen s = {.known = found->link_count <= COP_MAX_LINKS && t->rank <= COPPICE_MAX_RANK &&
                           coppice_tensor_count(t) > 0,
                  .rank = t->rank};
    int64_t stride = 1;
    for (uint32_t d = t->rank; s.known && d-- > 0;) {
        s.dims[d] = t->dims[d];
        s.strides[d] = stride;
        stride *= t->dims[d];
    }
    for (int i = found->link_count; s.known && i-- > 0;)
        s.known = see(&found->links[i], &s);
    return s;
}
