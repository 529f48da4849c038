/* Operators that run sub-graphs: If, Loop, SequenceMap. */
#include "base/interrupt.h"
#include "base/memory.h"
#include "runtime/body.h"
#include "runtime/ops/control/pile.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

/* Element 0 of a tensor input that must have just one. */
static coppice_status one_element(const cop_call *call, const cop_operand *operand,
                                  const char *what, double *out) {
    if (operand->kind != COPPICE_KIND_TENSOR || coppice_tensor_count(&operand->t) != 1 ||
        operand->t.type == COPPICE_TYPE_STRING)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "%s is %s %s, expected one element", what,
                        operand->kind == COPPICE_KIND_TENSOR ? coppice_type_name(operand->t.type)
                                                             : coppice_kind_name(operand->kind),
                        cop_shape_text(&operand->t).s);
    *out = (double)cop_tensor_get_int(&operand->t, 0);
    return COPPICE_OK;
}

/* ---- If ---- */

static coppice_status if_parse(const cop_call *call, void *params) {
    (void)params;
    COP_TRY(cop_need_graph_outputs(call, "then_branch", (size_t)call->node->output_count));
    return cop_need_graph_outputs(call, "else_branch", (size_t)call->node->output_count);
}

static coppice_status if_run(const cop_call *call) {
    double condition;
    COP_TRY(one_element(call, call->in[0], "the condition", &condition));
    cop_body *body = cop_call_body(call, condition != 0 ? "then_branch" : "else_branch");
    return cop_body_run(body, NULL, 0, call->out, (size_t)call->node->output_count, call->err);
}

/* ---- Loop ---- */

typedef struct loop {
    const cop_call *call;
    cop_body *body;
    int states, scans;
    int64_t trips;        /* at most */
    bool condition;       /* go on? */
    cop_operand *now;     /* the states */
    cop_operand *results; /* of the body: condition, states, scan outputs */
    const cop_operand **inputs;
    cop_pile *piles;
} loop;

static coppice_status loop_parse(const cop_call *call, void *params) {
    (void)params;
    int states = call->node->input_count - 2;
    COP_TRY(cop_need_graph(call, "body"));
    const cop_graph *body = cop_node_attr(call->node, "body")->graph;
    if (call->node->output_count < states ||
        body->output_count != (size_t)call->node->output_count + 1)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "%d states and %d outputs do not fit a body with %zu outputs", states,
                        call->node->output_count, body->output_count);
    return COPPICE_OK;
}

static coppice_status loop_begin(loop *l) {
    const cop_call *call = l->call;
    double number = 1;
    l->trips = INT64_MAX;
    l->condition = true;
    if (call->in[0]) {
        COP_TRY(one_element(call, call->in[0], "the trip count", &number));
        l->trips = cop_tensor_get_int(&call->in[0]->t, 0);
    }
    if (call->node->input_count > 1 && call->in[1]) {
        COP_TRY(one_element(call, call->in[1], "the condition", &number));
        l->condition = number != 0;
    }
    for (int i = 0; i < l->states; i++) {
        if (!call->in[i + 2])
            return cop_fail(call->err, COPPICE_BAD_MODEL, "state %d has no initial value", i);
        COP_TRY(cop_operand_share(&l->now[i], call->in[i + 2], call->err));
    }
    return COPPICE_OK;
}

static coppice_status loop_turn(loop *l, int64_t iteration) {
    bool condition = l->condition;
    const cop_operand number = {.t = {.type = COPPICE_TYPE_INT64, .data = &iteration}};
    const cop_operand go_on = {.t = {.type = COPPICE_TYPE_BOOL, .data = &condition}};
    double again;
    l->inputs[0] = &number;
    l->inputs[1] = &go_on;
    for (int i = 0; i < l->states; i++)
        l->inputs[i + 2] = &l->now[i];
    coppice_error *err = l->call->err;
    COP_TRY(cop_check_interrupt(err));
    COP_TRY(cop_body_run(l->body, l->inputs, (size_t)l->states + 2, l->results,
                         1 + (size_t)(l->states + l->scans), err));
    COP_TRY(one_element(l->call, &l->results[0], "the condition that the body returns", &again));
    l->condition = again != 0;
    cop_operand_release(&l->results[0]);
    for (int i = 0; i < l->states; i++) {
        cop_operand_release(&l->now[i]);
        l->now[i] = l->results[i + 1];
        l->results[i + 1] = (cop_operand){0};
    }
    for (int i = 0; i < l->scans; i++) {
        cop_operand *piece = &l->results[1 + l->states + i];
        COP_TRY(cop_pile_add(l->call, &l->piles[i], piece));
        cop_operand_release(piece);
    }
    return COPPICE_OK;
}

static coppice_status loop_all(loop *l) {
    COP_TRY(loop_begin(l));
    for (int64_t i = 0; i < l->trips && l->condition; i++)
        COP_TRY(loop_turn(l, i));
    for (int i = 0; i < l->states; i++)
        cop_give_output(l->call, i, &l->now[i]);
    for (int i = 0; i < l->scans; i++) {
        if (!l->piles[i].count)
            COP_TRY(cop_pile_nothing(l->call, &l->piles[i],
                                     cop_body_output(l->body, (size_t)(1 + l->states + i))));
        cop_give_output(l->call, l->states + i, &l->piles[i].all);
    }
    return COPPICE_OK;
}

static coppice_status loop_run(const cop_call *call) {
    const cop_node *node = call->node;
    int states = node->input_count > 2 ? node->input_count - 2 : 0;
    loop l = {.call = call,
              .body = cop_call_body(call, "body"),
              .states = states,
              .scans = node->output_count - states};
    size_t results = 1 + (size_t)node->output_count;
    l.now = cop_calloc((size_t)states + 1, sizeof *l.now);
    l.results = cop_calloc(results, sizeof *l.results);
    l.inputs = cop_calloc((size_t)states + 2, sizeof *l.inputs);
    l.piles = cop_calloc((size_t)l.scans + 1, sizeof *l.piles);
    coppice_status status = COPPICE_OK;
    if (!l.now || !l.results || !l.inputs || !l.piles)
        status = cop_fail_memory(call->err, results * sizeof *l.results);
    else
        status = loop_all(&l);
    if (l.now)
        cop_release_all(l.now, (size_t)states);
    if (l.results)
        cop_release_all(l.results, results);
    for (int i = 0; l.piles && i < l.scans; i++)
        cop_operand_release(&l.piles[i].all);
    cop_free(l.now);
    cop_free(l.results);
    cop_free(l.inputs);
    cop_free(l.piles);
    return status;
}

/* ---- SequenceMap ---- */

static coppice_status sequence_map_parse(const cop_call *call, void *params) {
    (void)params;
    return cop_need_graph_outputs(call, "body", (size_t)call->node->output_count);
}

static const cop_operand *map_input(const cop_call *call, int i, size_t item) {
    const cop_operand *in = call->in[i];
    return in->kind == COPPICE_KIND_SEQUENCE ? &in->items->list[item] : in;
}

static coppice_status map_check(const cop_call *call, size_t *count) {
    *count = call->in[0] && call->in[0]->items ? call->in[0]->items->count : 0;
    for (int i = 0; i < call->node->input_count; i++) {
        const cop_operand *in = call->in[i];
        bool sequence = in && in->kind == COPPICE_KIND_SEQUENCE;
        if (!in || (i == 0 && !sequence) ||
            (sequence && (in->items ? in->items->count : 0) != *count))
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "input %d is not a sequence of %zu elements, or a tensor", i, *count);
    }
    return COPPICE_OK;
}

static coppice_status map_items(const cop_call *call, size_t count, const cop_operand **inputs,
                                cop_operand *results, cop_operand **lists) {
    const cop_node *node = call->node;
    cop_body *body = cop_call_body(call, "body");
    for (int i = 0; i < node->output_count; i++)
        COP_TRY(cop_out_items(call, i, COPPICE_KIND_SEQUENCE,
                              cop_wide_type(cop_body_output(body, (size_t)i)->type), count,
                              &lists[i]));
    for (size_t k = 0; k < count; k++) {
        for (int i = 0; i < node->input_count; i++)
            inputs[i] = map_input(call, i, k);
        COP_TRY(cop_check_interrupt(call->err));
        COP_TRY(cop_body_run(body, inputs, (size_t)node->input_count, results,
                             (size_t)node->output_count, call->err));
        for (int i = 0; i < node->output_count; i++) {
            call->out[i].t.type = results[i].t.type;
            lists[i][k] = results[i];
            results[i] = (cop_operand){0};
        }
    }
    return COPPICE_OK;
}

static coppice_status sequence_map_run(const cop_call *call) {
    size_t count, outputs = (size_t)call->node->output_count;
    COP_TRY(map_check(call, &count));
    const cop_operand **inputs = cop_calloc((size_t)call->node->input_count + 1, sizeof *inputs);
    cop_operand *results = cop_calloc(outputs + 1, sizeof *results);
    cop_operand **lists = cop_calloc(outputs + 1, sizeof *lists);
    coppice_status status = inputs && results && lists
                                ? map_items(call, count, inputs, results, lists)
                                : cop_fail_memory(call->err, outputs * sizeof *results);
    if (results)
        cop_release_all(results, outputs);
    cop_free(inputs);
    cop_free(results);
    cop_free(lists);
    return status;
}

/* ---- rows ---- */

#define CONTROL .flags = COP_OP_DYNAMIC | COP_OP_ANY_KIND, .max_outputs = -1

/* clang-format off */
const cop_op cop_ops_control[] = {
    {.name = "If", .since = 1, CONTROL, .min_inputs = 1, .max_inputs = 1,
     .types = COP_TYPE_BIT(BOOL), .parse = if_parse, RUN(if)},
    {.name = "Loop", .since = 1, CONTROL, .max_inputs = -1, .parse = loop_parse, RUN(loop)},
    {.name = "SequenceMap", .since = 17, CONTROL, .min_inputs = 1, .max_inputs = -1,
     .parse = sequence_map_parse, RUN(sequence_map)},
    {.name = NULL},
};
/* clang-format on */
