/* Running a plan: its steps, one after another; and letting go of it. */
#include <string.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/shape.h"
#include "runtime/plan.h"

static cop_call call_of(const cop_plan *plan, const cop_step *step, coppice_error *err) {
    const cop_node *node = &plan->graph->nodes[step->node];
    return (cop_call){.graph = plan->graph,
                      .node = node,
                      .opset = cop_node_opset(plan->graph, node),
                      .params = plan->shapes.params[step->node],
                      .in = step->operands,
                      .out = step->results,
                      .pool = step->pool,
                      .kernels = plan->kernels,
                      .state = step->state,
                      .strings = plan->strings,
                      .bodies = step->bodies,
                      .err = err};
}

static coppice_status run_op(const cop_plan *plan, const cop_step *step, coppice_error *err) {
    cop_call call = call_of(plan, step, err);
    call.scratch = plan->memory + plan->scratch_offset;
    return step->op->run(&call);
}

/* ---- eager steps ---- */

/* Results go into their slots; those that nothing reads go at once. */
static void keep_results(cop_plan *plan, const cop_step *step) {
    for (int i = 0; i < step->out_count; i++) {
        if (step->out[i] < 0) {
            cop_spare_release(&plan->spare, &step->results[i]);
            continue;
        }
        cop_operand *kept = &plan->slots[step->out[i]].operand;
        cop_spare_release(&plan->spare, kept);
        *kept = step->results[i];
        step->results[i] = (cop_operand){0};
    }
}

static coppice_status run_eager(cop_plan *plan, cop_step *step, coppice_error *err) {
    cop_call call = call_of(plan, step, err);
    for (size_t i = 0; step->bodies && i < call.node->attr_count; i++)
        cop_body_enter(step->bodies[i], plan);
    memset(step->results, 0, (size_t)step->out_count * sizeof *step->results);
    bool done = false;
    coppice_status status = step->kept ? cop_run_kept_kernel(plan, step, &call, &done) : COPPICE_OK;
    if (!status && !done)
        status = cop_eager_call(step->op, &call, &plan->spare);
    keep_results(plan, step);
    for (int i = 0; i < step->dead_count; i++)
        cop_spare_release(&plan->spare, &plan->slots[step->dead[i]].operand);
    return status;
}

static coppice_status run_kernel(const cop_plan *plan, const cop_step *step, coppice_error *err) {
    const cop_operand *out = &step->results[0];
    const cop_conv_io io = {.input = step->operands[0]->t.data,
                            .residual = step->in_count > 1 ? step->operands[1]->t.data : NULL,
                            .output = out->t.data,
                            .scratch = plan->memory + plan->scratch_offset};
    COP_TRY(step->kernel->run(step->state, &io, step->pool, err));
    if (step->tail.there)
        cop_tail_apply(&step->tail, plan->kernels, io.residual, io.output,
                       (size_t)cop_layout_bytes(&out->t, out->layout) / sizeof(float), step->pool);
    return COPPICE_OK;
}

static coppice_status run_step(cop_plan *plan, cop_step *step, coppice_error *err) {
    coppice_status status = COPPICE_OK;
    if (step->node == COP_STEP_LAYOUT)
        cop_layout_convert(step->operands[0], &step->results[0], step->pool);
    else if (step->eager)
        status = run_eager(plan, step, err);
    else if (step->kernel)
        status = run_kernel(plan, step, err);
    else
        status = run_op(plan, step, err);
    if (status)
        cop_error_at_node(err, plan->graph, &plan->graph->nodes[step->node]);
    return status;
}

/* ---- a run ---- */

void cop_plan_start(cop_plan *plan) {
    for (size_t i = 0; i < plan->slot_count; i++) {
        if (plan->slots[i].dynamic)
            cop_spare_release(&plan->spare, &plan->slots[i].operand);
    }
}

/* A dynamic slot refers to *operand, which is borrowed or counted. */
static coppice_status lend(cop_slot *slot, const cop_operand *operand, coppice_error *err) {
    if (operand->kind != COPPICE_KIND_TENSOR || operand->block)
        return cop_operand_share(&slot->operand, operand, err);
    slot->operand = *operand;
    return COPPICE_OK;
}

coppice_status cop_plan_set_bound(cop_plan *plan, int value, const cop_operand *operand,
                                  coppice_error *err) {
    int index = plan->slot_of[value][COP_LAYOUT_PLAIN];
    cop_slot *slot = &plan->slots[index];
    if (slot->dynamic)
        return lend(slot, operand, err);
    if (slot->operand.t.data == operand->t.data) /* as in the turn before */
        return COPPICE_OK;
    for (size_t i = 0; i < plan->slot_count; i++) { /* it and its views */
        if (plan->slots[i].root == index)
            plan->slots[i].operand.t.data = operand->t.data;
    }
    return COPPICE_OK;
}

coppice_status cop_plan_set_input(cop_plan *plan, size_t i, const cop_operand *input,
                                  coppice_error *err) {
    cop_slot *slot = &plan->slots[plan->input_slots[i]];
    if (slot->dynamic)
        return lend(slot, input, err);
    size_t bytes = (size_t)coppice_tensor_bytes(&input->t);
    if (bytes)
        memcpy(slot->operand.t.data, input->t.data, bytes);
    return COPPICE_OK;
}

const cop_operand *cop_plan_output(const cop_plan *plan, size_t i) {
    return &plan->slots[plan->output_slots[i]].operand;
}

coppice_status cop_plan_execute(cop_plan *plan, double *step_ms, coppice_error *err) {
    unsigned denormals = cop_denormals_off();
    coppice_status status = COPPICE_OK;
    for (size_t i = 0; i < plan->step_count && !status; i++) {
        double begin = step_ms ? cop_now_ms() : 0;
        status = cop_check_interrupt(err);
        if (status == COPPICE_OK)
            status = run_step(plan, &plan->steps[i], err);
        if (cop_check_interrupt(err)) /* whatever else a step that was cut short says */
            status = COPPICE_INTERRUPTED;
        if (step_ms)
            step_ms[i] = cop_now_ms() - begin;
    }
    cop_denormals_restore(denormals);
    return status;
}

coppice_status cop_plan_run(cop_plan *plan, const coppice_tensor *inputs, double *step_ms,
                            coppice_error *err) {
    cop_plan_start(plan);
    for (size_t i = 0; i < plan->input_count; i++) {
        cop_operand held;
        COP_TRY(cop_operand_hold(&inputs[i], &held, err));
        coppice_status status = cop_plan_set_input(plan, i, &held, err);
        cop_operand_release(&held);
        COP_TRY(status);
    }
    COP_TRY(cop_plan_execute(plan, step_ms, err));
    cop_arena_free(&plan->narrowed);
    for (size_t i = 0; i < plan->output_count; i++) {
        const cop_operand *held = cop_plan_output(plan, i);
        plan->outputs[i] = (coppice_tensor){0};
        if (held->kind == COPPICE_KIND_TENSOR)
            COP_TRY(cop_operand_return(held, &plan->narrowed, &plan->outputs[i], err));
    }
    return COPPICE_OK;
}

/* ---- plans as a whole ---- */

void cop_plan_free(cop_plan *plan) {
    cop_plan_start(plan);
    cop_spare_free(&plan->spare);
    for (size_t i = 0; i < plan->step_count; i++) {
        cop_step *step = &plan->steps[i];
        if (step->state)
            (step->kernel ? step->kernel->destroy : step->op->release)(step->state);
        cop_free_kept_kernels(step);
        for (size_t k = 0; step->bodies && k < plan->graph->nodes[step->node].attr_count; k++)
            cop_body_free(step->bodies[k]);
    }
    if (plan->own_graph)
        cop_graph_free(plan->own_graph);
    cop_free(plan->steps);
    cop_free(plan->slots);
    cop_free(plan->memory);
    cop_shapes_free(&plan->shapes);
    cop_shapes_free(&plan->folded);
    cop_arena_free(&plan->arena);
    cop_arena_free(&plan->narrowed);
    *plan = (cop_plan){0};
}

bool cop_plan_fits(const cop_plan *plan, const coppice_tensor *inputs, size_t count) {
    if (!plan->memory || count != plan->input_count)
        return false;
    for (size_t i = 0; i < count; i++) {
        const cop_slot *slot = &plan->slots[plan->input_slots[i]];
        const coppice_tensor *t = &slot->operand.t;
        if (slot->dynamic != (inputs[i].type == COPPICE_TYPE_UNDEFINED))
            return false;
        if (slot->dynamic)
            continue;
        if (cop_onnx_type(&slot->operand) != inputs[i].type || !cop_same_shape(t, &inputs[i]))
            return false;
    }
    return true;
}
