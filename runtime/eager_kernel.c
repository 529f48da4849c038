/* Eager convolutions and matrix products with constant weights: packed for the shapes that came
 * last, as a plan would be. */
#include <string.h>

#include "base/error.h"
#include "base/shape.h"
#include "runtime/plan.h"
#include "runtime/row_product.h"

void cop_free_kept_kernels(cop_step *step) {
    for (int i = 0; step->kept && i < step->kept_count; i++) {
        if (step->kept[i].state)
            step->kept[i].kernel->destroy(step->kept[i].state);
    }
    step->kept_count = 0;
}

static coppice_status make_kernel(const cop_plan *plan, const cop_step *step, const cop_conv *conv,
                                  const cop_call *call, cop_kept_kernel *kept) {
    cop_node_choices choices;
    cop_settings settings = plan->settings;
    if (step->kept_count) /* shapes change: no time for measuring */
        settings.tune = COPPICE_TUNE_NONE;
    COP_TRY(cop_choose_kernel(&settings, conv, &choices, call->err));
    const cop_choice *choice = cop_plain_choice(&choices, &call->in[0]->t, &call->out[0].t);
    kept->kernel = choice->kernel;
    kept->layout = choice->layout;
    kept->pool = cop_conv_pool(&plan->settings, conv, choice->kernel);
    coppice_status status = choice->kernel->create(conv, kept->pool, &kept->state, call->err);
    if (status == COPPICE_UNSUPPORTED) { /* not on this machine: the operator's own loops */
        kept->kernel = NULL;
        status = COPPICE_OK;
    }
    return status;
}

/* Sees the node as a convolution, for the input at hand. */
static coppice_status make_kept(cop_plan *plan, const cop_step *step, const cop_call *call,
                                cop_kept_kernel *kept) {
    int value = call->node->inputs[0];
    cop_operand *known = &plan->shapes.values[value];
    const cop_operand before = *known;
    cop_lowered lowered;
    bool is_conv;
    known->t = call->in[0]->t;
    known->t.data = NULL;
    coppice_status status = cop_lower(plan->graph, &plan->shapes, (size_t)step->node, NULL,
                                      &is_conv, &lowered, call->err);
    *known = before;
    kept->input = call->in[0]->t;
    if (status || !is_conv)
        return status;
    status = cop_lowered_turn(&lowered, call->err);
    if (!status)
        status = make_kernel(plan, step, &lowered.conv, call, kept);
    cop_lowered_free(&lowered);
    return status;
}

/* The kernel for the input's shape, which is the first then. */
static coppice_status use_kept(cop_plan *plan, cop_step *step, const cop_call *call) {
    cop_kept_kernel found = {0};
    int at = 0;
    for (; at < step->kept_count; at++) {
        found = step->kept[at];
        if (found.input.type == call->in[0]->t.type &&
            cop_same_shape(&found.input, &call->in[0]->t))
            break;
    }
    if (at == step->kept_count) {
        found = (cop_kept_kernel){0};
        COP_TRY(make_kept(plan, step, call, &found));
        if (at == COP_KEPT_KERNELS) {
            cop_kept_kernel *oldest = &step->kept[--at];
            if (oldest->state)
                oldest->kernel->destroy(oldest->state);
        } else {
            step->kept_count++;
        }
    }
    memmove(step->kept + 1, step->kept, (size_t)at * sizeof found);
    step->kept[0] = found;
    return COPPICE_OK;
}

/* A copy of *from in `layout`, in a block; `from` NULL: room for it. */
static coppice_status make_copy(cop_plan *plan, const cop_operand *from, const coppice_tensor *like,
                                cop_layout layout, cop_operand *out, coppice_error *err) {
    size_t bytes = (size_t)cop_layout_bytes(like, layout);
    *out = (cop_operand){.t = *like, .layout = layout};
    out->block = cop_spare_take(&plan->spare, bytes);
    if (!out->block)
        return cop_fail_memory(err, bytes);
    out->t.data = out->block->data;
    if (from && from->layout == layout)
        memcpy(out->t.data, from->t.data, bytes);
    else if (from)
        cop_layout_convert(from, out, plan->settings.pool);
    return COPPICE_OK;
}

/* Kernels want aligned inputs that may be read past the end: planned ones, and blocks. */
static bool may_be_read(const cop_plan *plan, const cop_step *step, const cop_call *call) {
    const cop_slot *slot = &plan->slots[step->in[0]];
    return call->in[0]->block || (!slot->dynamic && !slot->constant);
}

static coppice_status run_kernel(cop_plan *plan, const cop_step *step, cop_call *call,
                                 cop_operand *copy, cop_operand *result, cop_operand *scratch) {
    const cop_kept_kernel *kept = &step->kept[0];
    const cop_operand *in = call->in[0];
    bool same_in = cop_layout_same(&in->t, kept->layout, COP_LAYOUT_PLAIN);
    bool same_out = cop_layout_same(&call->out[0].t, kept->layout, COP_LAYOUT_PLAIN);
    if (!same_in || !may_be_read(plan, step, call)) {
        COP_TRY(make_copy(plan, in, &in->t, same_in ? COP_LAYOUT_PLAIN : kept->layout, copy,
                          call->err));
        in = copy;
    }
    if (!same_out)
        COP_TRY(make_copy(plan, NULL, &call->out[0].t, kept->layout, result, call->err));
    size_t bytes = kept->kernel->scratch ? kept->kernel->scratch(kept->state) : 0;
    scratch->block = cop_spare_take(&plan->spare, bytes);
    if (!scratch->block)
        return cop_fail_memory(call->err, bytes);
    const cop_conv_io io = {.input = in->t.data,
                            .output = same_out ? call->out[0].t.data : result->t.data,
                            .scratch = scratch->block->data};
    COP_TRY(kept->kernel->run(kept->state, &io, kept->pool, call->err));
    if (!same_out)
        cop_layout_convert(result, &call->out[0], plan->settings.pool);
    return COPPICE_OK;
}

coppice_status cop_run_kept_kernel(cop_plan *plan, cop_step *step, cop_call *call, bool *done) {
    *done = false;
    COP_TRY(cop_check_operands(step->op, call));
    if (call->in[0]->t.type != COPPICE_TYPE_FLOAT)
        return COPPICE_OK;
    COP_TRY(step->op->infer(call));
    COP_TRY(use_kept(plan, step, call));
    if (!step->kept[0].kernel) {
        memset(call->out, 0, (size_t)call->node->output_count * sizeof *call->out);
        return COPPICE_OK;
    }
    cop_settle_narrow(call);
    COP_TRY(cop_eager_outputs(call, &plan->spare));
    cop_operand copy = {0}, result = {0}, scratch = {0};
    coppice_status status = run_kernel(plan, step, call, &copy, &result, &scratch);
    cop_spare_release(&plan->spare, &copy);
    cop_spare_release(&plan->spare, &result);
    cop_spare_release(&plan->spare, &scratch);
    *done = true;
    return status;
}
