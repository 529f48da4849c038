/* Makes an Attention of what attention.c found: where operands come from, what masks become, where
 * the result goes. */
#include <math.h>
#include <string.h>

#include "base/shape.h"
#include "runtime/passes/attention.h"

enum { OPSET = 23, FORM_3D = 1, FORM_4D = 2 };

/* An operand as rows of heads: [batch, heads, rows, size]. */
typedef struct attention_operand {
    int value; /* as the product reads it; of K with the last two dimensions exchanged */
    int base;  /* where its elements come from */
    unsigned
        forms;     /* how they lie there: [batch, rows, heads * size], [batch, heads, rows, size] */
    int64_t heads; /* there: fewer when each is used by several heads of Q */
    int64_t rows, size;
    double scale;
    bool transposed;
} attention_operand;

typedef struct attention_plan {
    cop_shaped *p;
    const attention_match *m;
    int64_t batch, heads;
    attention_operand q, k, v;
    bool flat; /* all in three dimensions */
    int mask_values[COP_ATTENTION_MASKS];
    bool mask_moves[COP_ATTENTION_MASKS]; /* to these dims */
    int64_t mask_dims[COP_ATTENTION_MASKS][4];
} attention_plan;

/* ---- batch and heads ---- */

static void split_by_factors(const attention_plan *a, int64_t size, int64_t lead, int64_t *batch,
                             int64_t *heads) {
    cop_view view;
    const cop_factor *found[2] = {NULL, NULL};
    int count = 0;
    *batch = lead;
    *heads = 1;
    if (!cop_view_of(a->p, a->m->q, COP_VIEW_SCALE, &view))
        return;
    cop_view_merge(&view, false);
    for (int i = 0; i < view.count; i++) {
        if (view.factors[i].dim == 0 && count++ < 2)
            found[count - 1] = &view.factors[i];
    }
    if (count == 2)
        *heads = found[1]->size;
    else if (count == 1 && found[0]->stride == size)
        *heads = found[0]->size;
    *batch = lead / *heads;
}

static void find_batch_and_heads(attention_plan *a) {
    const coppice_tensor *q = cop_known(a->p, a->m->q);
    int64_t lead = 1;
    for (uint32_t d = 0; d + 2 < q->rank; d++)
        lead *= q->dims[d];
    if (q->rank > 3) {
        a->heads = q->dims[q->rank - 3];
        a->batch = lead / a->heads;
        return;
    }
    for (int i = 0; i < a->m->mask_count; i++) {
        const coppice_tensor *level = cop_known(a->p, a->m->masks[i].level);
        if (level->rank == 4) {
            a->batch = level->dims[0];
            a->heads = level->dims[1];
            return;
        }
    }
    split_by_factors(a, q->dims[2], lead, &a->batch, &a->heads);
}

/* ---- operands ---- */

/* Is dimension `d`, of `size`, one factor of `stride`? Of a dimension of 1 there is none. */
static bool lies(const cop_view *view, int d, int64_t size, int64_t stride) {
    int count = 0;
    for (int i = 0; i < view->count; i++) {
        if (view->factors[i].dim != d)
            continue;
        if (view->factors[i].size != size || view->factors[i].stride != stride)
            return false;
        count++;
    }
    return count == (size > 1);
}

/* The last factor of the heads when it repeats; it is taken out. */
static int64_t take_repeats(cop_view *view) {
    for (int i = view->count - 1; i >= 0; i--) {
        if (view->factors[i].dim != 1)
            continue;
        if (view->factors[i].stride != 0)
            return 1;
        int64_t size = view->factors[i].size;
        memmove(view->factors + i, view->factors + i + 1,
                (size_t)(view->count - i - 1) * sizeof *view->factors);
        view->count--;
        return size;
    }
    return 1;
}

static void find_operand(const attention_plan *a, int value, unsigned flags, attention_operand *o) {
    const coppice_tensor *t = cop_known(a->p, value);
    const int64_t rows = t->dims[t->rank - (o->transposed ? 1 : 2)];
    const int64_t size = t->dims[t->rank - (o->transposed ? 2 : 1)];
    const int64_t dims[] = {a->batch, a->heads, rows, size};
    int64_t perm[COPPICE_MAX_RANK];
    cop_view view;
    o->value = o->base = value;
    o->heads = a->heads;
    o->rows = rows;
    o->size = size;
    o->scale = 1;
    for (uint32_t d = 0; d < t->rank; d++)
        perm[d] = d;
    perm[t->rank - 1] = t->rank - 2;
    perm[t->rank - 2] = t->rank - 1;
    if (!cop_view_of(a->p, value, flags, &view))
        return;
    if (o->transposed)
        cop_view_permute(&view, perm);
    if (!cop_view_reshape(&view, 4, dims))
        return;
    cop_view_merge(&view, false);
    int64_t heads = a->heads / (flags & COP_VIEW_EXPAND ? take_repeats(&view) : 1);
    if (!lies(&view, 3, size, 1))
        return;
    if (lies(&view, 0, a->batch, rows * heads * size) && lies(&view, 1, heads, size) &&
        lies(&view, 2, rows, heads * size))
        o->forms |= FORM_3D;
    if (lies(&view, 0, a->batch, heads * rows * size) && lies(&view, 1, heads, rows * size) &&
        lies(&view, 2, rows, size))
        o->forms |= FORM_4D;
    if (!o->forms)
        return;
    o->base = view.base;
    o->heads = heads;
    o->scale = view.scale;
}

static void find_operands(attention_plan *a) {
    const unsigned repeats = COP_VIEW_EXPAND;
    a->k.transposed = true;
    find_operand(a, a->m->q, COP_VIEW_SCALE, &a->q);
    find_operand(a, a->m->k, COP_VIEW_SCALE | repeats, &a->k);
    find_operand(a, a->m->v, repeats, &a->v);
    if (a->k.heads != a->v.heads) {
        a->k.forms = a->v.forms = 0;
        find_operand(a, a->m->k, COP_VIEW_SCALE, &a->k);
        find_operand(a, a->m->v, 0, &a->v);
    }
    a->flat = a->q.forms & a->k.forms & a->v.forms & FORM_3D;
}

/* ---- masks ---- */

/* What is expanded spreads as well without. */
static int before_expand(const cop_shaped *p, int value) {
    const cop_node *node = cop_producer_is(p, value, "Expand");
    while (node && cop_known(p, node->inputs[0])) {
        value = node->inputs[0];
        node = cop_producer_is(p, value, "Expand");
    }
    return value;
}

/* Dims of a mask beside [batch, heads, rows, keys] when beside the scores `level` they are those of
 * `t`. False when there are none: a part of the batch would have to repeat. */
static bool spread_dims(const attention_plan *a, const coppice_tensor *t,
                        const coppice_tensor *level, int64_t *dims) {
    uint32_t lead = level->rank - 2, ahead = level->rank - t->rank;
    int64_t own[COPPICE_MAX_RANK];
    bool full = true, single = true;
    for (uint32_t d = 0; d < level->rank; d++)
        own[d] = d < ahead ? 1 : t->dims[d - ahead];
    dims[2] = own[lead];
    dims[3] = own[lead + 1];
    bool together = level->dims[lead - 1] != a->heads; /* batch and heads are one dimension */
    for (uint32_t d = 0; d + (together ? 0 : 1) < lead; d++) {
        full &= own[d] == level->dims[d];
        single &= own[d] == 1;
    }
    dims[0] = full ? a->batch : 1;
    dims[1] = together ? (full ? a->heads : 1) : own[lead - 1];
    return full || single;
}

static bool place_masks(attention_plan *a) {
    for (int i = 0; i < a->m->mask_count; i++) {
        const attention_mask *mask = &a->m->masks[i];
        a->mask_values[i] = before_expand(a->p, mask->value);
        const coppice_tensor *t = cop_known(a->p, a->mask_values[i]);
        if (!mask->where && t->type != COPPICE_TYPE_FLOAT)
            return false;
        if (t->rank <= 2)
            continue;
        if (!spread_dims(a, t, cop_known(a->p, mask->level), a->mask_dims[i]))
            return false;
        a->mask_moves[i] = true;
    }
    return true;
}

static int number(const attention_plan *a, double value) {
    return cop_new_floats(a->p, a->m->scores, 0, NULL, (float)value);
}

/* One mask as something that is added; -1: no memory. */
static int make_mask(const attention_plan *a, int i) {
    const attention_mask *mask = &a->m->masks[i];
    int value = a->mask_values[i];
    if (a->mask_moves[i])
        value = cop_reshaped(a->p, value, 4, a->mask_dims[i]);
    if (mask->where && value >= 0) {
        int zero = number(a, 0), low = number(a, mask->number);
        int inputs[] = {value, mask->hides ? low : zero, mask->hides ? zero : low};
        value = zero < 0 || low < 0 ? -1 : cop_new_node(a->p, a->m->product, "Where", 9, inputs, 3);
    }
    if (mask->factor != 1 && value >= 0) {
        int inputs[] = {value, number(a, mask->factor)};
        value = inputs[1] < 0 ? -1 : cop_new_node(a->p, a->m->product, "Mul", 13, inputs, 2);
    }
    return value;
}

/* All of them; *value is -1 where there are none. False: no memory. */
static bool make_masks(const attention_plan *a, int *value) {
    *value = -1;
    for (int i = a->m->mask_count - 1; i >= 0; i--) {
        int mask = make_mask(a, i);
        if (mask >= 0 && *value >= 0)
            mask = cop_new_node(a->p, a->m->product, "Add", 13, (int[]){*value, mask}, 2);
        if (mask < 0)
            return false;
        *value = mask;
    }
    return true;
}

/* ---- the operator ---- */

static int transposed(const attention_plan *a, int value, uint32_t rank, const int64_t *perm) {
    int made = cop_new_node(a->p, a->m->product, "Transpose", 13, &value, 1);
    if (made >= 0 && !cop_node_set_attr_ints(a->p->graph, cop_newest(a->p), "perm", perm, rank))
        return -1;
    return made;
}

/* The operand for a node with three or four dimensions. -1: no memory. */
static int make_operand(const attention_plan *a, const attention_operand *o) {
    static const int64_t heads_first[] = {0, 2, 1, 3};
    const int64_t flat[] = {a->batch, o->rows, o->heads * o->size};
    const int64_t rows_first[] = {a->batch, o->rows, o->heads, o->size};
    const int64_t full[] = {a->batch, o->heads, o->rows, o->size};
    if (a->flat)
        return cop_reshaped(a->p, o->base, 3, flat);
    if (o->forms & FORM_4D)
        return cop_reshaped(a->p, o->base, 4, full);
    if (o->forms & FORM_3D) {
        int value = cop_reshaped(a->p, o->base, 4, rows_first);
        return value < 0 ? -1 : transposed(a, value, 4, heads_first);
    }
    int value = o->value;
    uint32_t rank = cop_known(a->p, value)->rank;
    int64_t perm[COPPICE_MAX_RANK];
    for (uint32_t d = 0; d < rank; d++)
        perm[d] = d;
    perm[rank - 1] = rank - 2;
    perm[rank - 2] = rank - 1;
    if (o->transposed)
        value = transposed(a, value, rank, perm);
    return value < 0 || rank == 4 ? value : cop_reshaped(a->p, value, 4, full);
}

static bool set_attributes(const attention_plan *a, cop_node *node) {
    cop_graph *graph = a->p->graph;
    bool ok = cop_node_set_attr_float(graph, node, "scale",
                                      (float)(a->m->scale * a->q.scale * a->k.scale));
    if (ok && a->flat)
        ok = cop_node_set_attr_int(graph, node, "q_num_heads", a->heads) &&
             cop_node_set_attr_int(graph, node, "kv_num_heads", a->k.heads);
    if (ok && a->m->softcap > 0)
        ok = cop_node_set_attr_float(graph, node, "softcap", (float)a->m->softcap);
    if (ok && a->m->mask_count && !a->m->guarded)
        ok = cop_node_set_attr_int(graph, node, "nan_rows", 1);
    return ok;
}

/* ---- the result ---- */

/* The node whose output is the product's as [batch, rows, heads * size], whatever its dims: the
 * last of a chain. -1: none. */
static int find_flat_end(const attention_plan *a) {
    const cop_shaped *p = a->p;
    int value = p->graph->nodes[a->m->product].outputs[0], first = value, end = -1;
    const int64_t rows = a->q.rows, size = a->v.size;
    const int64_t strides[] = {a->heads * rows * size, size, rows * size, 1};
    const int64_t sizes[] = {a->batch, rows, a->heads, size};
    cop_view wanted = {0}, view;
    for (int d = 0; d < 4; d++) {
        if (sizes[d] > 1)
            wanted.factors[wanted.count++] = (cop_factor){sizes[d], strides[d], d};
    }
    cop_view_merge(&wanted, true);
    for (const cop_node *node = &p->graph->nodes[a->m->product]; node;) {
        if (!cop_view_from(p, value, first, 0, &view))
            break;
        cop_view_merge(&view, true);
        bool same = view.count == wanted.count;
        for (int i = 0; same && i < view.count; i++)
            same = view.factors[i].size == wanted.factors[i].size &&
                   view.factors[i].stride == wanted.factors[i].stride;
        end = same ? (int)(node - p->graph->nodes) : end;
        node = cop_sole_reader(p, value);
        if (node && (!cop_view_looks_through(p, node, 0) || node->inputs[0] != value ||
                     node->output_count != 1))
            node = NULL;
        value = node ? node->outputs[0] : -1;
    }
    return end;
}

/* `node` becomes an Attention where its output has these dims, else a Reshape of one. */
static bool finish(const attention_plan *a, int node, const int *inputs, int count, uint32_t rank,
                   const int64_t *dims) {
    cop_shaped *p = a->p;
    coppice_tensor own = *cop_known(p, p->graph->nodes[node].outputs[0]), made = {.rank = rank};
    memcpy(made.dims, dims, rank * sizeof *dims);
    if (cop_same_shape(&own, &made))
        return cop_become(p, &p->graph->nodes[node], "Attention", OPSET, inputs, count) &&
               set_attributes(a, &p->graph->nodes[node]);
    int result = cop_new_node(p, node, "Attention", OPSET, inputs, count);
    if (result < 0 || !set_attributes(a, cop_newest(p)))
        return false;
    int shape = cop_new_ints(p, "shape", own.dims, own.rank);
    return shape >= 0 &&
           cop_become(p, &p->graph->nodes[node], "Reshape", 13, (int[]){result, shape}, 2);
}

/* The product's own output out of a result in three dimensions that nothing else moves. */
static bool finish_moved(const attention_plan *a, const int *inputs, int count) {
    static const int64_t heads_first[] = {0, 2, 1, 3};
    cop_shaped *p = a->p;
    int product = a->m->product;
    const coppice_tensor own = *cop_known(p, p->graph->nodes[product].outputs[0]);
    const int64_t rows_first[] = {a->batch, a->q.rows, a->heads, a->v.size};
    int result = cop_new_node(p, product, "Attention", OPSET, inputs, count);
    if (result < 0 || !set_attributes(a, cop_newest(p)))
        return false;
    int split = cop_reshaped(p, result, 4, rows_first);
    int moved = split < 0 ? -1 : transposed(a, split, 4, heads_first);
    int shape = moved < 0 ? -1 : cop_new_ints(p, "shape", own.dims, own.rank);
    return shape >= 0 &&
           cop_become(p, &p->graph->nodes[product], "Reshape", 13, (int[]){moved, shape}, 2);
}

static bool make(attention_plan *a) {
    int mask, end = a->flat ? find_flat_end(a) : -1;
    if (!make_masks(a, &mask))
        return false;
    int inputs[] = {make_operand(a, &a->q), make_operand(a, &a->k), make_operand(a, &a->v), mask};
    int count = mask < 0 ? 3 : 4;
    if (inputs[0] < 0 || inputs[1] < 0 || inputs[2] < 0)
        return false;
    if (a->flat && end < 0)
        return finish_moved(a, inputs, count);
    if (a->flat)
        return finish(a, end, inputs, count, 3,
                      (int64_t[]){a->batch, a->q.rows, a->heads * a->v.size});
    return finish(a, a->m->product, inputs, count, 4,
                  (int64_t[]){a->batch, a->heads, a->q.rows, a->v.size});
}

coppice_status cop_make_attention(cop_shaped *p, const attention_match *m) {
    attention_plan a = {.p = p, .m = m};
    find_batch_and_heads(&a);
    find_operands(&a);
    double scale = m->scale * a.q.scale * a.k.scale;
    if (!place_masks(&a) || !(scale >= 0) || !isfinite(scale))
        return COPPICE_OK;
    return make(&a) ? COPPICE_OK : cop_fail_memory(p->err, sizeof(cop_node));
}
