/* Scan: a sub-graph over the elements of its inputs along an axis. */
#include <string.h>

#include "base/interrupt.h"
#include "base/memory.h"
#include "runtime/body.h"
#include "runtime/ops/control/pile.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

typedef struct scan_params {
    int scans;    /* inputs that are scanned */
    bool batched; /* opset 8: axis 0 is a batch, axis 1 the sequence */
    const int64_t *in_axes, *out_axes, *in_backward, *out_backward; /* NULL: all 0 */
} scan_params;

static coppice_status scan_list(const cop_call *call, const char *name, size_t count, bool flags,
                                const int64_t **out) {
    size_t has;
    COP_TRY(cop_node_ints(call->node, name, out, &has, call->err));
    if (!*out)
        return COPPICE_OK;
    if (has != count)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute '%s' has %zu values, expected %zu",
                        name, has, count);
    for (size_t i = 0; flags && i < count; i++) {
        if ((*out)[i] != 0 && (*out)[i] != 1)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute '%s' has %lld, not 0 or 1",
                            name, (long long)(*out)[i]);
    }
    return COPPICE_OK;
}

static coppice_status scan_parse(const cop_call *call, void *params) {
    scan_params *p = params;
    const cop_node *node = call->node;
    int64_t scans;
    COP_TRY(cop_need_graph_outputs(call, "body", (size_t)node->output_count));
    COP_TRY(cop_node_int(node, "num_scan_inputs", -1, &scans, call->err));
    p->batched = call->opset < 9;
    int all = node->input_count - p->batched;
    if (scans < 1 || scans > all || node->output_count < all - scans)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "num_scan_inputs %lld does not fit %d inputs and %d outputs",
                        (long long)scans, all, node->output_count);
    p->scans = (int)scans;
    size_t outs = (size_t)(node->output_count - (all - p->scans));
    if (p->batched)
        return scan_list(call, "directions", (size_t)scans, true, &p->in_backward);
    COP_TRY(scan_list(call, "scan_input_axes", (size_t)scans, false, &p->in_axes));
    COP_TRY(scan_list(call, "scan_input_directions", (size_t)scans, true, &p->in_backward));
    COP_TRY(scan_list(call, "scan_output_axes", outs, false, &p->out_axes));
    return scan_list(call, "scan_output_directions", outs, true, &p->out_backward);
}

typedef struct scan {
    const cop_call *call;
    const scan_params *params;
    cop_body *body;
    int states, scans, outs; /* outs: scan outputs */
    const cop_operand *const *initial, *const *sequences;
    int64_t steps;
    cop_operand *slices; /* of the scanned inputs, in blocks of their own */
    cop_operand *now, *results;
    const cop_operand **inputs;
    cop_pile *piles;
} scan;

/* The sizes of what lies before and behind `axis`. */
static void around(const coppice_tensor *t, int axis, size_t *outer, size_t *inner) {
    *outer = 1;
    *inner = cop_type_bytes(t->type);
    for (int d = 0; d < axis; d++)
        *outer *= (size_t)t->dims[d];
    for (uint32_t d = (uint32_t)axis + 1; d < t->rank; d++)
        *inner *= (size_t)t->dims[d];
}

/* out: `t` at `index` of `axis`, which goes. */
static coppice_status take_slice(const cop_call *call, const cop_operand *from, int axis,
                                 int64_t index, cop_operand *out) {
    size_t outer, inner;
    const coppice_tensor *t = &from->t;
    if (!out->block) {
        *out = (cop_operand){.t = *t, .narrow = from->narrow};
        out->t.rank--;
        memmove(out->t.dims + axis, t->dims + axis + 1,
                (t->rank - (uint32_t)axis - 1) * sizeof *t->dims);
        size_t bytes = (size_t)coppice_tensor_bytes(&out->t);
        out->block = cop_block_new(bytes);
        if (!out->block)
            return cop_fail_memory(call->err, bytes);
        out->t.data = out->block->data;
    }
    around(t, axis, &outer, &inner);
    for (size_t o = 0; o < outer && inner; o++)
        memcpy((char *)out->t.data + o * inner,
               (const char *)t->data + (o * (size_t)t->dims[axis] + (size_t)index) * inner, inner);
    return COPPICE_OK;
}

static coppice_status scan_axis(const scan *s, const int64_t *axes, int i, uint32_t rank,
                                int *axis) {
    return cop_axis(s->call, axes ? axes[i] : 0, rank, axis);
}

/* All scanned inputs are as long as the first; sets s->steps. */
static coppice_status scan_length(scan *s, int64_t limit) {
    for (int i = 0; i < s->scans; i++) {
        const cop_operand *in = s->sequences[i];
        int axis;
        if (!in || in->t.rank < 1)
            return cop_fail(s->call->err, COPPICE_BAD_MODEL, "scan input %d has no dimension", i);
        COP_TRY(scan_axis(s, s->params->in_axes, i, in->t.rank, &axis));
        int64_t length = in->t.dims[axis];
        if (i > 0 && length != s->steps)
            return cop_fail(s->call->err, COPPICE_BAD_MODEL,
                            "scan inputs have %lld and %lld elements along their axes",
                            (long long)s->steps, (long long)length);
        s->steps = length;
    }
    if (limit > s->steps)
        return cop_fail(s->call->err, COPPICE_BAD_MODEL, "sequence length %lld is more than %lld",
                        (long long)limit, (long long)s->steps);
    s->steps = limit >= 0 ? limit : s->steps;
    return COPPICE_OK;
}

static coppice_status scan_turn(scan *s, int64_t step) {
    coppice_error *err = s->call->err;
    for (int i = 0; i < s->states; i++)
        s->inputs[i] = &s->now[i];
    for (int i = 0; i < s->scans; i++) {
        int axis;
        bool backward = s->params->in_backward && s->params->in_backward[i];
        COP_TRY(scan_axis(s, s->params->in_axes, i, s->sequences[i]->t.rank, &axis));
        COP_TRY(take_slice(s->call, s->sequences[i], axis, backward ? s->steps - 1 - step : step,
                           &s->slices[i]));
        s->inputs[s->states + i] = &s->slices[i];
    }
    COP_TRY(cop_check_interrupt(err));
    COP_TRY(cop_body_run(s->body, s->inputs, (size_t)(s->states + s->scans), s->results,
                         (size_t)(s->states + s->outs), err));
    for (int i = 0; i < s->states; i++) {
        cop_operand_release(&s->now[i]);
        s->now[i] = s->results[i];
        s->results[i] = (cop_operand){0};
    }
    for (int i = 0; i < s->outs; i++) {
        COP_TRY(cop_pile_add(s->call, &s->piles[i], &s->results[s->states + i]));
        cop_operand_release(&s->results[s->states + i]);
    }
    return COPPICE_OK;
}

/* The pile has its pieces along axis 0, in order: moves them to where they belong. */
static coppice_status arrange(const scan *s, int i, cop_operand *out) {
    const cop_pile *pile = &s->piles[i];
    const coppice_tensor *t = &pile->all.t;
    bool backward = s->params->out_backward && s->params->out_backward[i];
    int axis;
    size_t outer, inner;
    COP_TRY(scan_axis(s, s->params->out_axes, i, t->rank, &axis));
    cop_operand made = {.t = *t, .narrow = pile->all.narrow};
    memmove(made.t.dims, t->dims + 1, (size_t)axis * sizeof *t->dims);
    made.t.dims[axis] = t->dims[0];
    size_t bytes = (size_t)coppice_tensor_bytes(&made.t);
    made.block = cop_block_new(bytes);
    if (!made.block)
        return cop_fail_memory(s->call->err, bytes);
    made.t.data = made.block->data;
    around(&made.t, axis, &outer, &inner);
    for (int64_t k = 0; k < t->dims[0]; k++) {
        const char *piece = (const char *)t->data + (size_t)k * pile->piece;
        int64_t at = backward ? t->dims[0] - 1 - k : k;
        for (size_t o = 0; o < outer && inner; o++)
            memcpy((char *)made.t.data + (o * (size_t)t->dims[0] + (size_t)at) * inner,
                   piece + o * inner, inner);
    }
    cop_operand_release(out);
    *out = made;
    return COPPICE_OK;
}

/* One sequence: states go on from `initial`; results in s->now and out[0 .. outs-1]. */
static coppice_status scan_sequence(scan *s, int64_t limit, cop_operand *out) {
    COP_TRY(scan_length(s, limit));
    for (int i = 0; i < s->states; i++)
        COP_TRY(cop_operand_share(&s->now[i], s->initial[i], s->call->err));
    for (int64_t step = 0; step < s->steps; step++)
        COP_TRY(scan_turn(s, step));
    for (int i = 0; i < s->outs; i++) {
        if (!s->piles[i].count)
            COP_TRY(cop_pile_nothing(s->call, &s->piles[i],
                                     cop_body_output(s->body, (size_t)(s->states + i))));
        COP_TRY(arrange(s, i, &out[i]));
    }
    return COPPICE_OK;
}

/* Makes ready for the next sequence. */
static void scan_clear(scan *s) {
    cop_release_all(s->slices, (size_t)s->scans);
    cop_release_all(s->now, (size_t)s->states);
    cop_release_all(s->results, (size_t)(s->states + s->outs));
    for (int i = 0; i < s->outs; i++) {
        cop_operand_release(&s->piles[i].all);
        s->piles[i] = (cop_pile){0};
    }
}

static coppice_status scan_plain(scan *s) {
    COP_TRY(scan_sequence(s, -1, s->call->out + s->states));
    for (int i = 0; i < s->states; i++)
        cop_give_output(s->call, i, &s->now[i]);
    return COPPICE_OK;
}

/* ---- Scan of opset 8: batches ---- */

/* A piece of a batch may be shorter than the longest: it is filled up with zeros. */
static coppice_status pad_piece(const scan *s, cop_operand *piece, int64_t length) {
    if (piece->t.rank < 1 || piece->t.dims[0] == length)
        return COPPICE_OK;
    cop_operand made = {.t = piece->t, .narrow = piece->narrow};
    made.t.dims[0] = length;
    int64_t bytes = coppice_tensor_bytes(&made.t);
    made.block = bytes < 0 ? NULL : cop_block_new((size_t)bytes);
    if (!made.block)
        return cop_fail_memory(s->call->err, (size_t)bytes);
    size_t has = (size_t)coppice_tensor_bytes(&piece->t);
    made.t.data = made.block->data;
    memcpy(made.t.data, piece->t.data, has);
    memset((char *)made.t.data + has, 0, (size_t)bytes - has);
    cop_operand_release(piece);
    *piece = made;
    return COPPICE_OK;
}

/* One sequence of the batch, its results on the piles of the node's outputs. */
static coppice_status scan_item(scan *s, int64_t item, int64_t length, int64_t longest,
                                cop_operand *parts, const cop_operand **views, cop_operand *out,
                                cop_pile *piles) {
    int all = s->states + s->scans;
    for (int i = 0; i < all; i++) {
        const cop_operand *in = s->call->in[1 + i];
        if (!in || in->t.rank < 1 || item >= in->t.dims[0])
            return cop_fail(s->call->err, COPPICE_BAD_MODEL, "input %d has no batch item %lld",
                            1 + i, (long long)item);
        COP_TRY(take_slice(s->call, in, 0, item, &parts[i]));
        views[i] = &parts[i];
    }
    s->initial = views;
    s->sequences = views + s->states;
    COP_TRY(scan_sequence(s, length, out));
    for (int i = 0; i < s->states; i++)
        COP_TRY(cop_pile_add(s->call, &piles[i], &s->now[i]));
    for (int i = 0; i < s->outs; i++) {
        COP_TRY(pad_piece(s, &out[i], longest));
        COP_TRY(cop_pile_add(s->call, &piles[s->states + i], &out[i]));
    }
    return COPPICE_OK;
}

static coppice_status scan_batch(scan *s) {
    const cop_call *call = s->call;
    size_t all = (size_t)(s->states + s->scans), made = (size_t)(s->states + s->outs);
    const coppice_tensor *first = cop_in(call, 1 + s->states);
    const coppice_tensor *lengths = cop_in(call, 0);
    int64_t longest = first && first->rank >= 2 ? first->dims[1] : 0;
    int64_t batch = first && first->rank >= 2 ? first->dims[0] : 0;
    if (batch < 1 || (lengths && coppice_tensor_count(lengths) != batch))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "scan inputs want a batch and a sequence");
    cop_operand *parts = cop_calloc(all + 1, sizeof *parts),
                *out = cop_calloc(made + 1, sizeof *out);
    const cop_operand **views = cop_calloc(all + 1, sizeof *views);
    cop_pile *piles = cop_calloc(made + 1, sizeof *piles);
    coppice_status status = COPPICE_OK;
    if (!parts || !out || !views || !piles)
        status = cop_fail_memory(call->err, all * sizeof *parts);
    for (int64_t b = 0; b < batch && !status; b++) {
        int64_t length = lengths ? cop_tensor_get_int(lengths, b) : longest;
        status = scan_item(s, b, length < 0 ? 0 : length, longest, parts, views, out, piles);
        scan_clear(s);
        cop_release_all(out, made);
    }
    for (size_t i = 0; i < made && !status; i++)
        cop_give_output(call, (int)i, &piles[i].all);
    if (parts)
        cop_release_all(parts, all);
    for (size_t i = 0; piles && i < made; i++)
        cop_operand_release(&piles[i].all);
    cop_free(parts);
    cop_free(out);
    cop_free(views);
    cop_free(piles);
    return status;
}

static coppice_status scan_run(const cop_call *call) {
    const scan_params *p = call->params;
    const cop_node *node = call->node;
    int states = node->input_count - p->batched - p->scans;
    scan s = {.call = call,
              .params = p,
              .body = cop_call_body(call, "body"),
              .states = states,
              .scans = p->scans,
              .outs = node->output_count - states,
              .initial = call->in,
              .sequences = call->in + states};
    s.slices = cop_calloc((size_t)p->scans + 1, sizeof *s.slices);
    s.now = cop_calloc((size_t)states + 1, sizeof *s.now);
    s.results = cop_calloc((size_t)node->output_count + 1, sizeof *s.results);
    s.inputs = cop_calloc((size_t)node->input_count + 1, sizeof *s.inputs);
    s.piles = cop_calloc((size_t)s.outs + 1, sizeof *s.piles);
    coppice_status status;
    if (!s.slices || !s.now || !s.results || !s.inputs || !s.piles) {
        status = cop_fail_memory(call->err, sizeof *s.results);
    } else {
        status = p->batched ? scan_batch(&s) : scan_plain(&s);
        scan_clear(&s);
    }
    cop_free(s.slices);
    cop_free(s.now);
    cop_free(s.results);
    cop_free(s.inputs);
    cop_free(s.piles);
    return status;
}

/* ---- rows ---- */

#define CONTROL                                                                                    \
    .flags = COP_OP_DYNAMIC | COP_OP_ANY_KIND, .max_inputs = -1, .max_outputs = -1,                \
    PARSE(scan, scan_params), RUN(scan)

/* clang-format off */
const cop_op cop_ops_scan[] = {
    {.name = "Scan", .since = 8, .until = 8, CONTROL},
    {.name = "Scan", .since = 9, CONTROL, .min_inputs = 1},
    {.name = NULL},
};
/* clang-format on */
