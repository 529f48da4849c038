/* Rows, columns and taps of a weight, as the operator that uses it sees them. */
#include <string.h>

#include "prune/einsum.h"
#include "prune/targets.h"

/* Conv: [out][in / group][taps]; ConvTranspose: [in][out / group][taps]. */
static bool view_of_conv(const cop_seen *s, bool transposed, cop_weight_view *out) {
    uint32_t row = transposed, column = !transposed;
    *out = (cop_weight_view){.groups = 1};
    if (s->rank < 3 || !cop_seen_merge(s, 2, s->rank, &out->taps, &out->tap_stride))
        return false;
    out->rows = s->dims[row];
    out->row_stride = s->strides[row];
    out->columns = s->dims[column];
    out->column_stride = s->strides[column];
    return true;
}

/* A matrix product: the reduction axis is the last of the left operand and the last but one of the
 * right one, the other way round when transposed. */
static bool view_of_product(const cop_seen *s, bool right, bool transposed, cop_weight_view *out) {
    bool vector = s->rank < 2;
    uint32_t inner = s->rank - 1, outer = vector ? inner : inner - 1;
    bool reduce_inner = vector || right == transposed;
    uint32_t row = reduce_inner ? outer : inner, column = reduce_inner ? inner : outer;
    *out = (cop_weight_view){.taps = 1,
                             .rows = vector ? 1 : s->dims[row],
                             .row_stride = vector ? 0 : s->strides[row],
                             .columns = s->dims[column],
                             .column_stride = s->strides[column]};
    return cop_seen_merge(s, 0, vector ? 0 : outer, &out->groups, &out->group_stride);
}

/* A recurrent weight: [directions][gates * hidden][input]. */
static bool view_of_recurrent(const cop_seen *s, cop_weight_view *out) {
    if (s->rank != 3)
        return false;
    *out = (cop_weight_view){.groups = s->dims[0],
                             .rows = s->dims[1],
                             .columns = s->dims[2],
                             .taps = 1,
                             .group_stride = s->strides[0],
                             .row_stride = s->strides[1],
                             .column_stride = s->strides[2]};
    return true;
}

bool cop_weight_view_of(const cop_weight_use *use, cop_weight_view *out) {
    const cop_node *node = &use->graph->nodes[use->node];
    const cop_seen *seen = &use->seen;
    bool right = use->input == 1;
    if (!seen->known || seen->rank < 1)
        return false;
    if (use->recurrent)
        return view_of_recurrent(seen, out);
    if (strcmp(node->op, "MatMul") == 0)
        return view_of_product(seen, right, false, out);
    if (strcmp(node->op, "Einsum") == 0)
        return cop_einsum_view(use, out);
    if (strcmp(node->op, "Gemm") != 0)
        return view_of_conv(seen, strcmp(node->op, "ConvTranspose") == 0, out);
    const cop_attr *attr = cop_node_attr(node, right ? "transB" : "transA");
    bool transposed = attr && attr->kind == COP_ATTR_INT && attr->i != 0;
    return view_of_product(seen, right, transposed, out);
}
