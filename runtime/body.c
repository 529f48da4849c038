/* Sub-graphs as operators run them: bound to the plan around them, compiled for their shapes. */
#include "runtime/body.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/shape.h"
#include "graph/subgraph.h"
#include "runtime/plan.h"

/* Plans for particular shapes. What comes in yet another shape runs by a plan for any shape: a loop
 * whose state grows would compile in every iteration. */
enum { SPECIAL_PLANS = 3 };

/* A value that the body reads from a graph around it. */
typedef struct outer_value {
    int value; /* in the body's graph */
    const cop_graph *owner;
    int index; /* in the owner */
} outer_value;

struct cop_body {
    const cop_graph *graph;
    cop_settings settings;
    cop_plan *enclosing; /* of the step that runs it */
    int *inputs;         /* values: graph inputs without initializers */
    outer_value *outer;
    size_t input_count, outer_count;
    cop_bound *bound; /* inputs, then outer values, as of the run at hand */
    cop_plan plans[SPECIAL_PLANS], any;
    int plan_count;
    bool has_any;
    cop_arena arena;
};

/* ---- making one ---- */

static coppice_status list_values(cop_body *body, coppice_error *err) {
    const cop_graph *graph = body->graph;
    body->inputs = cop_arena_array(&body->arena, graph->input_count + 1, sizeof *body->inputs);
    body->outer = cop_arena_array(&body->arena, graph->value_count + 1, sizeof *body->outer);
    if (!body->inputs || !body->outer)
        return cop_fail_memory(err, graph->value_count * sizeof *body->outer);
    for (size_t i = 0; i < graph->input_count; i++) {
        if (!graph->values[graph->inputs[i]].constant)
            body->inputs[body->input_count++] = graph->inputs[i];
    }
    for (size_t v = 0; v < graph->value_count; v++) {
        outer_value outer = {.value = (int)v};
        if (cop_value_defined(&graph->values[v]))
            continue;
        outer.index = cop_graph_resolve(graph, graph->values[v].name, &outer.owner);
        if (outer.index >= 0)
            body->outer[body->outer_count++] = outer;
    }
    body->bound = cop_arena_array(&body->arena, body->input_count + body->outer_count + 1,
                                  sizeof *body->bound);
    return body->bound ? COPPICE_OK : cop_fail_memory(err, sizeof *body->bound);
}

coppice_status cop_body_new(const cop_graph *graph, const cop_settings *settings, cop_body **out,
                            coppice_error *err) {
    cop_body *body = *out = cop_calloc(1, sizeof *body);
    if (!body)
        return cop_fail_memory(err, sizeof *body);
    body->graph = graph;
    body->settings = *settings;
    return list_values(body, err);
}

void cop_body_free(cop_body *body) {
    if (!body)
        return;
    for (int i = 0; i < body->plan_count; i++)
        cop_plan_free(&body->plans[i]);
    cop_plan_free(&body->any);
    cop_arena_free(&body->arena);
    cop_free(body);
}

void cop_body_enter(cop_body *body, cop_plan *plan) {
    if (body)
        body->enclosing = plan;
}

/* ---- values around it ---- */

/* The operand behind an outer value; data that are constant are so for the body too. */
static const cop_operand *look_up(const cop_body *body, const outer_value *outer, bool *constant) {
    for (const cop_plan *plan = body->enclosing; plan; plan = plan->enclosing) {
        if (plan->graph != outer->owner)
            continue;
        const cop_operand *folded = &plan->shapes.values[outer->index];
        *constant = folded->t.data != NULL;
        int slot = plan->slot_of[outer->index][COP_LAYOUT_PLAIN];
        return *constant ? folded : slot < 0 ? NULL : &plan->slots[slot].operand;
    }
    return NULL;
}

static coppice_status bind(cop_body *body, const cop_operand *const *inputs, coppice_error *err) {
    cop_bound *next = body->bound;
    for (size_t i = 0; i < body->input_count; i++)
        *next++ = (cop_bound){.value = body->inputs[i],
                              .known = inputs[i]->kind == COPPICE_KIND_TENSOR,
                              .operand = *inputs[i]};
    for (size_t i = 0; i < body->outer_count; i++) {
        bool constant = false;
        const cop_operand *operand = look_up(body, &body->outer[i], &constant);
        int value = body->outer[i].value;
        if (!operand)
            return cop_fail(err, COPPICE_INTERNAL, "'%s' is not there when a sub-graph runs",
                            body->graph->values[value].name);
        *next++ = (cop_bound){.value = value,
                              .known = operand->kind == COPPICE_KIND_TENSOR,
                              .constant = constant,
                              .operand = *operand};
    }
    return COPPICE_OK;
}

/* ---- plans ---- */

static bool fits(const cop_body *body, const cop_plan *plan) {
    for (size_t i = 0; i < body->input_count + body->outer_count; i++) {
        const cop_bound *a = &plan->bound[i], *b = &body->bound[i];
        if (a->known != b->known ||
            (a->known && !a->constant &&
             (a->operand.t.type != b->operand.t.type || a->operand.narrow != b->operand.narrow ||
              !cop_same_shape(&a->operand.t, &b->operand.t))))
            return false;
    }
    return true;
}

/* Compiles for the values at hand, or for any (`any`). */
static coppice_status compile(cop_body *body, bool any, cop_plan *plan, coppice_error *err) {
    size_t count = body->input_count + body->outer_count;
    cop_bound *bound = cop_arena_copy(&body->arena, body->bound, (count + 1) * sizeof *bound);
    if (!bound)
        return cop_fail_memory(err, count * sizeof *bound);
    for (size_t i = 0; i < count; i++) {
        cop_operand *operand = &bound[i].operand;
        operand->block = NULL;
        operand->items = NULL;
        if (!bound[i].constant)
            operand->t.data = NULL;
        bound[i].known &= !any || bound[i].constant;
    }
    cop_settings settings = body->settings;
    if (body->plan_count) /* the shapes change: no time for measuring */
        settings.tune = COPPICE_TUNE_NONE;
    const cop_infer_options options = {.bound = bound, .bound_count = count};
    return cop_plan_compile(body->graph, &options, &settings, plan, err);
}

static coppice_status use_plan(cop_body *body, cop_plan **out, coppice_error *err) {
    for (int i = 0; i < body->plan_count; i++) {
        *out = &body->plans[i];
        if (fits(body, *out))
            return COPPICE_OK;
    }
    bool any = body->plan_count == SPECIAL_PLANS;
    *out = any ? &body->any : &body->plans[body->plan_count];
    if (any && body->has_any)
        return COPPICE_OK;
    coppice_status status = compile(body, any, *out, err);
    if (status) {
        cop_plan_free(*out);
        return status;
    }
    body->has_any |= any;
    body->plan_count += !any;
    return COPPICE_OK;
}

/* ---- a run ---- */

cop_body *cop_call_body(const cop_call *call, const char *name) {
    for (size_t i = 0; call->bodies && i < call->node->attr_count; i++) {
        if (strcmp(call->node->attrs[i].name, name) == 0)
            return call->bodies[i];
    }
    return NULL;
}

size_t cop_body_input_count(const cop_body *body) {
    return body->input_count;
}

size_t cop_body_output_count(const cop_body *body) {
    return body->graph->output_count;
}

const cop_value *cop_body_output(const cop_body *body, size_t i) {
    return &body->graph->values[body->graph->outputs[i]];
}

static coppice_status run_plan(cop_body *body, cop_plan *plan, const cop_operand *const *inputs,
                               coppice_error *err) {
    plan->enclosing = body->enclosing;
    plan->strings = body->enclosing->strings;
    cop_plan_start(plan);
    for (size_t i = 0; i < body->input_count; i++)
        COP_TRY(cop_plan_set_input(plan, i, inputs[i], err));
    for (size_t i = 0; i < body->outer_count; i++) {
        const cop_bound *bound = &body->bound[body->input_count + i];
        if (!bound->constant)
            COP_TRY(cop_plan_set_bound(plan, bound->value, &bound->operand, err));
    }
    return cop_plan_execute(plan, NULL, err);
}

coppice_status cop_body_run(cop_body *body, const cop_operand *const *inputs, size_t input_count,
                            cop_operand *outputs, size_t output_count, coppice_error *err) {
    if (input_count != body->input_count || output_count != body->graph->output_count)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "the sub-graph '%s' has %zu inputs and %zu outputs, it gets %zu and %zu",
                        body->graph->name, body->input_count, body->graph->output_count,
                        input_count, output_count);
    cop_plan *plan;
    COP_TRY(bind(body, inputs, err));
    COP_TRY(use_plan(body, &plan, err));
    coppice_status status = run_plan(body, plan, inputs, err);
    for (size_t i = 0; i < output_count && !status; i++)
        status = cop_operand_share(&outputs[i], cop_plan_output(plan, i), err);
    cop_plan_start(plan); /* let go of what was lent */
    return status;
}
