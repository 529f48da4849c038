/* What the operators share that run sub-graphs. */
#include "runtime/ops/control/pile.h"

#include <string.h>

#include "base/size.h"
#include "runtime/ops/util.h"

coppice_status cop_need_graph(const cop_call *call, const char *name) {
    const cop_attr *attr = cop_node_attr(call->node, name);
    if (attr && attr->kind == COP_ATTR_GRAPH)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute '%s' is %s", name,
                    attr ? "no graph" : "missing");
}

coppice_status cop_need_graph_outputs(const cop_call *call, const char *name, size_t count) {
    COP_TRY(cop_need_graph(call, name));
    size_t has = cop_node_attr(call->node, name)->graph->output_count;
    if (has == count)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "the graph '%s' has %zu outputs, expected %zu",
                    name, has, count);
}

void cop_release_all(cop_operand *operands, size_t count) {
    for (size_t i = 0; i < count; i++)
        cop_operand_release(&operands[i]);
}

/* Output `i` of the node becomes *from, which is empty then. */
void cop_give_output(const cop_call *call, int i, cop_operand *from) {
    cop_operand_release(&call->out[i]);
    call->out[i] = *from;
    *from = (cop_operand){0};
}

/* ---- pieces put together ---- */

static coppice_status pile_first(const cop_call *call, cop_pile *pile, const cop_operand *piece) {
    if (piece->kind != COPPICE_KIND_TENSOR || piece->t.rank >= COPPICE_MAX_RANK)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "a scan output is a %s of rank %u",
                        coppice_kind_name(piece->kind), piece->t.rank);
    cop_operand *all = &pile->all;
    *all = (cop_operand){.t = {.type = piece->t.type, .rank = piece->t.rank + 1},
                         .narrow = piece->narrow};
    memcpy(all->t.dims + 1, piece->t.dims, piece->t.rank * sizeof *piece->t.dims);
    pile->piece = (size_t)coppice_tensor_bytes(&piece->t);
    return COPPICE_OK;
}

static coppice_status pile_grow(const cop_call *call, cop_pile *pile) {
    int64_t room = pile->room ? 2 * pile->room : 8;
    size_t bytes;
    if (!cop_size_mul((size_t)room, pile->piece, &bytes))
        return cop_fail(call->err, COPPICE_LIMIT, "a scan output has too many elements");
    cop_block *block = cop_block_new(bytes);
    if (!block)
        return cop_fail_memory(call->err, bytes);
    if (pile->count)
        memcpy(block->data, pile->all.t.data, (size_t)pile->count * pile->piece);
    cop_block_release(pile->all.block);
    pile->all.block = block;
    pile->all.t.data = block->data;
    pile->room = room;
    return COPPICE_OK;
}

coppice_status cop_pile_add(const cop_call *call, cop_pile *pile, const cop_operand *piece) {
    cop_operand *all = &pile->all;
    if (pile->count == 0)
        COP_TRY(pile_first(call, pile, piece));
    bool same = piece->kind == COPPICE_KIND_TENSOR && piece->t.type == all->t.type &&
                piece->t.rank + 1 == all->t.rank;
    for (uint32_t d = 0; same && d < piece->t.rank; d++)
        same = piece->t.dims[d] == all->t.dims[d + 1];
    if (!same)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "a scan output has shape %s in one iteration and another before",
                        cop_shape_text(&piece->t).s);
    if (pile->count == pile->room)
        COP_TRY(pile_grow(call, pile));
    if (pile->piece)
        memcpy((char *)all->t.data + (size_t)pile->count * pile->piece, piece->t.data, pile->piece);
    all->t.dims[0] = ++pile->count;
    return COPPICE_OK;
}

/* Without an iteration: no elements, in the shape that the body declares. */
coppice_status cop_pile_nothing(const cop_call *call, cop_pile *pile, const cop_value *declared) {
    cop_operand piece = {.t = {.type = cop_wide_type(declared->type)}};
    if (piece.t.type == COPPICE_TYPE_UNDEFINED)
        return cop_fail(call->err, COPPICE_UNSUPPORTED,
                        "there is no iteration, and scan output '%s' has no declared type",
                        declared->name);
    if (piece.t.type != declared->type)
        piece.narrow = declared->type;
    piece.t.rank = declared->rank > 0 ? (uint32_t)declared->rank : 0;
    if (piece.t.rank >= COPPICE_MAX_RANK)
        return cop_fail(call->err, COPPICE_LIMIT, "scan output '%s' has %u dimensions",
                        declared->name, piece.t.rank);
    for (uint32_t d = 0; d < piece.t.rank; d++)
        piece.t.dims[d] = declared->dims[d].size > 0 ? declared->dims[d].size : 0;
    COP_TRY(pile_first(call, pile, &piece));
    return pile_grow(call, pile);
}
