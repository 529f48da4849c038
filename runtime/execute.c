/* Running a plan: its steps, one after another. */
#include <string.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "runtime/plan.h"

static coppice_status run_op(const cop_plan *plan, const cop_step *step, coppice_error *err) {
    const cop_node *node = &plan->graph->nodes[step->node];
    cop_call call = {.graph = plan->graph,
                     .node = node,
                     .opset = cop_node_opset(plan->graph, node),
                     .params = plan->shapes.params[step->node],
                     .in = step->operands,
                     .out = step->results,
                     .pool = step->pool,
                     .scratch = plan->memory + plan->scratch_offset,
                     .err = err};
    return step->op->run(&call);
}

static coppice_status run_step(const cop_plan *plan, const cop_step *step, coppice_error *err) {
    coppice_status status = COPPICE_OK;
    if (step->node == COP_STEP_LAYOUT)
        cop_layout_convert(step->operands[0], &step->results[0], step->pool);
    else if (step->kernel)
        status = step->kernel->run(step->state, step->operands[0]->t.data, step->results[0].t.data,
                                   plan->memory + plan->scratch_offset, step->pool, err);
    else
        status = run_op(plan, step, err);
    if (status)
        cop_error_at_node(err, plan->graph, &plan->graph->nodes[step->node]);
    return status;
}

coppice_status cop_plan_run(cop_plan *plan, const coppice_tensor *inputs, double *step_ms,
                            coppice_error *err) {
    for (size_t i = 0; i < plan->input_count; i++) {
        const cop_slot *slot = &plan->slots[plan->input_slots[i]];
        size_t bytes = (size_t)coppice_tensor_bytes(&inputs[i]);
        if (bytes)
            memcpy(slot->operand.t.data, inputs[i].data, bytes);
    }
    unsigned denormals = cop_denormals_off();
    coppice_status status = COPPICE_OK;
    for (size_t i = 0; i < plan->step_count && !status; i++) {
        double begin = step_ms ? cop_now_ms() : 0;
        status = cop_check_interrupt(err);
        if (status == COPPICE_OK)
            status = run_step(plan, &plan->steps[i], err);
        if (step_ms)
            step_ms[i] = cop_now_ms() - begin;
    }
    cop_denormals_restore(denormals);
    return status;
}
