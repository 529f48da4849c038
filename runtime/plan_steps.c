/* The steps of a plan: a kernel, an operator's loops, a node that waits for data. */
#include <limits.h>
#include <math.h>
#include <stdio.h>

#include "graph/subgraph.h"
#include "runtime/plan_build.h"

cop_step *cop_plan_add_step(cop_plan_builder *b, int node, int in_count, int out_count) {
    cop_plan *plan = b->plan;
    if (cop_grow(&plan->steps, plan->step_count, &plan->step_capacity, sizeof *plan->steps) != 0)
        return NULL;
    cop_step *step = &plan->steps[plan->step_count];
    *step = (cop_step){.node = node,
                       .in_count = in_count,
                       .out_count = out_count,
                       .why = "",
                       .dense_ms = -1,
                       .sparse_ms = -1};
    step->in = cop_arena_array(&plan->arena, (size_t)in_count + 1, sizeof *step->in);
    step->out = cop_arena_array(&plan->arena, (size_t)out_count + 1, sizeof *step->out);
    step->operands = cop_arena_array(&plan->arena, (size_t)in_count + 1, sizeof *step->operands);
    step->results = cop_arena_array(&plan->arena, (size_t)out_count + 1, sizeof *step->results);
    if (!step->in || !step->out || !step->operands || !step->results)
        return NULL;
    plan->step_count++;
    return step;
}

static coppice_status try_kernel(cop_plan_builder *b, const cop_conv_kernel *kernel,
                                 const cop_conv *conv, cop_step *step) {
    step->kernel = kernel;
    step->pool = cop_conv_pool(b->settings, conv, kernel);
    const cop_conv asked = cop_conv_for(conv, kernel, &step->tail);
    if (!kernel->supports(&asked))
        return COPPICE_UNSUPPORTED;
    coppice_status status = kernel->create(&asked, step->pool, &step->state, b->err);
    if (!status && kernel->scratch)
        step->scratch = kernel->scratch(step->state);
    return status;
}

/* The kernel that was taken, or, as some see only now that they cannot take these weights, another
 * one that works in the same layout. */
static coppice_status create_kernel(cop_plan_builder *b, const cop_node_choices *choices,
                                    const cop_conv *conv, cop_step *step) {
    const cop_choice *taken = &choices->list[choices->taken];
    coppice_status status = try_kernel(b, taken->kernel, conv, step);
    if (status != COPPICE_UNSUPPORTED)
        return status;
    step->why = "the wanted kernel does not take these weights";
    for (int i = 0; i < choices->count && status == COPPICE_UNSUPPORTED; i++) {
        const cop_choice *other = &choices->list[i];
        if (other != taken && other->kernel && other->layout == taken->layout)
            status = try_kernel(b, other->kernel, conv, step);
    }
    for (const cop_conv_kernel *const *row = cop_conv_kernels;
         *row && status == COPPICE_UNSUPPORTED; row++) {
        if ((*row)->form == taken->kernel->form && cop_isa_allows(b->settings->isa, (*row)->isa))
            status = try_kernel(b, *row, conv, step);
    }
    return status;
}

/* The clamp that passes gave a node, as an operator behind it. */
static const char *own_clamp(const cop_node *node) {
    float min, max;
    if (cop_node_float(node, "activation_min", -INFINITY, &min, NULL) ||
        cop_node_float(node, "activation_max", INFINITY, &max, NULL) ||
        (min < 0 && isinf(min) && isinf(max)))
        return "";
    return min == 0 && isinf(max) ? "+Relu" : "+Clip";
}

/* "Conv+Add+Relu": the operators of all nodes that a step stands for. NULL: no memory. */
static const char *name_of_all(cop_plan_builder *b, size_t node) {
    char name[256];
    const cop_node *n = &b->graph->nodes[node];
    const cop_fusion *fusion = &b->fusions[node];
    int length = snprintf(name, sizeof name, "%s%s", n->op, own_clamp(n));
    for (int i = 0; i < fusion->count && (size_t)length < sizeof name; i++)
        length += snprintf(name + length, sizeof name - (size_t)length, "+%s",
                           b->graph->nodes[fusion->nodes[i]].op);
    return cop_arena_strdup(&b->plan->arena, name);
}

static coppice_status emit_conv(cop_plan_builder *b, size_t node, const cop_lowered *lowered) {
    cop_plan *plan = b->plan;
    const cop_node_choices *choices = &b->choices[node];
    const cop_choice *choice = &choices->list[choices->taken];
    int in[2], count = 0; /* slots, which may take steps */
    in[count++] = cop_plan_kernel_slot(b, lowered->input, choice->layout);
    if (lowered->residual >= 0)
        in[count++] = cop_plan_kernel_slot(b, lowered->residual, choice->layout);
    int at = (int)plan->step_count;
    bool placed = in[0] >= 0 && in[count - 1] >= 0;
    cop_step *step = placed ? cop_plan_add_step(b, (int)node, count, 1) : NULL;
    int out = step ? cop_plan_add_slot(plan, lowered->output, choice->layout, -1, at) : -1;
    if (out < 0 || !(step->op_name = name_of_all(b, node)))
        return cop_fail_memory(b->err, sizeof *step);
    step->op = plan->shapes.ops[node];
    step->out[0] = out;
    for (int i = 0; i < count; i++) {
        step->in[i] = in[i];
        cop_plan_touch(plan, in[i], at);
    }
    step->why = choices->why;
    step->dense_ms = choices->dense_ms;
    step->sparse_ms = choices->sparse_ms;
    const cop_conv *c = &lowered->conv;
    step->macs = (int64_t)(c->nonzeros * cop_conv_positions(c));
    plan->total_bytes += choices->weights * sizeof(float);
    step->sparsity = 1 - (double)choices->nonzeros / (double)choices->weights;
    return create_kernel(b, choices, c, step);
}

static cop_call call_of(const cop_plan_builder *b, size_t node, const cop_step *step) {
    const cop_node *n = &b->graph->nodes[node];
    return (cop_call){.graph = b->graph,
                      .node = n,
                      .opset = cop_node_opset(b->graph, n),
                      .params = b->plan->shapes.params[node],
                      .in = step->operands,
                      .out = step->results,
                      .err = b->err};
}

/* Scratch depends on shapes only, so operands without data serve. */
static size_t scratch_of(const cop_plan_builder *b, size_t node, const cop_step *step) {
    if (!step->op->scratch)
        return 0;
    for (int i = 0; i < step->in_count; i++)
        step->operands[i] = step->in[i] < 0 ? NULL : &b->plan->slots[step->in[i]].operand;
    for (int i = 0; i < step->out_count; i++) {
        if (step->out[i] >= 0)
            step->results[i] = b->plan->slots[step->out[i]].operand;
    }
    cop_call call = call_of(b, node, step);
    return step->op->scratch(&call);
}

/* Reads of a node without a kernel. */
static coppice_status read_operands(cop_plan_builder *b, const cop_node *n, uint32_t rank,
                                    cop_layout layout, int *slots) {
    for (int i = 0; i < n->input_count; i++) {
        slots[i] = -1;
        if (n->inputs[i] < 0)
            continue;
        bool same_rank = cop_plan_tensor(b->plan, n->inputs[i])->rank == rank;
        slots[i] = cop_plan_slot_for(b, n->inputs[i], same_rank ? layout : COP_LAYOUT_PLAIN);
        if (slots[i] < 0)
            return cop_fail_memory(b->err, sizeof(cop_slot));
    }
    return COPPICE_OK;
}

/* The output is the memory of the input: no step. */
static coppice_status emit_view(cop_plan_builder *b, const cop_node *n, const cop_choice *choice) {
    int in = cop_plan_slot_for(b, n->inputs[0], choice->reads);
    int view = in < 0 ? -1
                      : cop_plan_add_slot(b->plan, n->outputs[0], choice->layout,
                                          b->plan->slots[in].root, 0);
    return view < 0 ? cop_fail_memory(b->err, sizeof(cop_slot)) : COPPICE_OK;
}

/* Zeros in weights of layers that run as their operator does: nothing skips them. */
static void note_zeros(const cop_plan_builder *b, const cop_node *n, cop_step *step) {
    static const char *const ops[] = {"Conv",   "ConvTranspose", "DeformConv", "Gemm",
                                      "MatMul", "Einsum",        NULL};
    if (!cop_is_one_of(n, ops) || n->input_count < 2 || n->inputs[1] < 0)
        return;
    const coppice_tensor *w = cop_plan_tensor(b->plan, n->inputs[1]);
    int64_t count = w->data && w->type == COPPICE_TYPE_FLOAT ? coppice_tensor_count(w) : 0;
    size_t nonzeros = count > 0 ? cop_count_nonzeros(w->data, (size_t)count) : 0;
    if (count <= 0 || nonzeros == (size_t)count)
        return;
    step->sparsity = 1 - (double)nonzeros / (double)count;
    step->macs = (int64_t)((double)step->macs * (1 - step->sparsity));
    step->why = "no sparse kernel takes this: runs dense";
}

static coppice_status emit_op(cop_plan_builder *b, size_t node) {
    cop_plan *plan = b->plan;
    const cop_node *n = &b->graph->nodes[node];
    const cop_op *op = plan->shapes.ops[node];
    const cop_choice *choice = &b->choices[node].list[b->choices[node].taken];
    cop_layout layout = choice->layout;
    if (choice->view)
        return emit_view(b, n, choice);
    int *in = cop_arena_array(&plan->arena, (size_t)n->input_count + 1, sizeof *in);
    if (!in)
        return cop_fail_memory(b->err, sizeof *in);
    uint32_t rank = cop_layout_rank(b->graph, &plan->shapes, (int)node);
    COP_TRY(read_operands(b, n, rank, layout, in));
    int at = (int)plan->step_count;
    cop_step *step = cop_plan_add_step(b, (int)node, n->input_count, n->output_count);
    if (!step)
        return cop_fail_memory(b->err, sizeof *step);
    step->op = op;
    step->in = in;
    step->why = b->choices[node].why;
    if (*own_clamp(n) && !(step->op_name = name_of_all(b, node)))
        return cop_fail_memory(b->err, sizeof *step);
    for (int i = 0; i < n->input_count; i++) {
        if (in[i] >= 0)
            cop_plan_touch(plan, in[i], at);
    }
    for (int i = 0; i < n->output_count; i++) {
        step->out[i] = -1;
        if (n->outputs[i] < 0)
            continue;
        const coppice_tensor *out = cop_plan_tensor(plan, n->outputs[i]);
        bool fits = out->rank >= rank && cop_layout_fits(layout, out);
        step->out[i] =
            cop_plan_add_slot(plan, n->outputs[i], fits ? layout : COP_LAYOUT_PLAIN, -1, at);
        if (step->out[i] < 0)
            return cop_fail_memory(b->err, sizeof(cop_slot));
    }
    int64_t macs = cop_node_macs(b->graph, node, &plan->shapes);
    step->macs = macs > 0 ? macs : 0;
    note_zeros(b, n, step);
    step->scratch = scratch_of(b, node, step);
    return COPPICE_OK;
}

/* Values that the node's sub-graphs read too (`uses`) lie plain, as its inputs do. May add steps.
 */
static coppice_status place_uses(cop_plan_builder *b, const cop_uses *uses) {
    for (size_t i = 0; i < uses->count; i++) {
        if (!cop_plan_tensor(b->plan, uses->values[i])->data &&
            cop_plan_slot_for(b, uses->values[i], COP_LAYOUT_PLAIN) < 0)
            return cop_fail_memory(b->err, sizeof(cop_slot));
    }
    return COPPICE_OK;
}

/* They live as long as step `at`. */
static void touch_uses(cop_plan_builder *b, const cop_uses *uses, int at) {
    for (size_t i = 0; i < uses->count; i++) {
        if (!cop_plan_tensor(b->plan, uses->values[i])->data)
            cop_plan_touch(b->plan, cop_plan_slot_for(b, uses->values[i], COP_LAYOUT_PLAIN), at);
    }
}

static coppice_status make_bodies(cop_plan_builder *b, const cop_node *node, cop_step *step) {
    for (size_t i = 0; i < node->attr_count; i++) {
        if (node->attrs[i].kind != COP_ATTR_GRAPH)
            continue;
        if (!step->bodies)
            step->bodies = cop_arena_array(&b->plan->arena, node->attr_count, sizeof *step->bodies);
        if (!step->bodies)
            return cop_fail_memory(b->err, node->attr_count * sizeof *step->bodies);
        COP_TRY(cop_body_new(node->attrs[i].graph, b->settings, &step->bodies[i], b->err));
    }
    return COPPICE_OK;
}

static coppice_status emit_eager(cop_plan_builder *b, size_t node) {
    cop_plan *plan = b->plan;
    const cop_node *n = &b->graph->nodes[node];
    int *in = cop_arena_array(&plan->arena, (size_t)n->input_count + 1, sizeof *in);
    if (!in)
        return cop_fail_memory(b->err, sizeof *in);
    for (int i = 0; i < n->input_count; i++) {
        in[i] = n->inputs[i] < 0 ? -1 : cop_plan_slot_for(b, n->inputs[i], COP_LAYOUT_PLAIN);
        if (n->inputs[i] >= 0 && in[i] < 0)
            return cop_fail_memory(b->err, sizeof(cop_slot));
    }
    cop_uses uses;
    if (!cop_node_uses(b->graph, n, &plan->arena, &uses))
        return cop_fail_memory(b->err, sizeof *uses.values);
    COP_TRY(place_uses(b, &uses));
    int at = (int)plan->step_count;
    touch_uses(b, &uses, at);
    cop_step *step = cop_plan_add_step(b, (int)node, n->input_count, n->output_count);
    if (!step)
        return cop_fail_memory(b->err, sizeof *step);
    step->op = plan->shapes.ops[node];
    step->in = in;
    step->eager = true;
    step->why = "its shape depends on data";
    COP_TRY(make_bodies(b, n, step));
    if (cop_may_lower(n) && n->inputs[1] >= 0 && cop_plan_tensor(plan, n->inputs[1])->data) {
        step->kept = cop_arena_array(&plan->arena, COP_KEPT_KERNELS, sizeof *step->kept);
        if (!step->kept)
            return cop_fail_memory(b->err, sizeof *step->kept);
    }
    for (int i = 0; i < n->input_count; i++) {
        if (in[i] >= 0)
            cop_plan_touch(plan, in[i], at);
    }
    for (int i = 0; i < n->output_count; i++) {
        step->out[i] = n->outputs[i] < 0
                           ? -1
                           : cop_plan_add_slot(plan, n->outputs[i], COP_LAYOUT_PLAIN, -1, at);
        if (n->outputs[i] >= 0 && step->out[i] < 0)
            return cop_fail_memory(b->err, sizeof(cop_slot));
    }
    return COPPICE_OK;
}

coppice_status cop_plan_emit_node(cop_plan_builder *b, size_t node) {
    if (b->plan->shapes.eager[node])
        return emit_eager(b, node);
    cop_lowered lowered;
    bool is_conv;
    COP_TRY(
        cop_lower(b->graph, &b->plan->shapes, node, &b->fusions[node], &is_conv, &lowered, b->err));
    if (!is_conv)
        return emit_op(b, node);
    coppice_status status = cop_lowered_turn(&lowered, b->err);
    if (!status)
        status = emit_conv(b, node, &lowered);
    cop_lowered_free(&lowered);
    return status;
}

/* ---- the ends of the graph ---- */

coppice_status cop_plan_emit_inputs(cop_plan_builder *b) {
    cop_plan *plan = b->plan;
    plan->input_slots =
        cop_arena_array(&plan->arena, b->graph->input_count + 1, sizeof *plan->input_slots);
    if (!plan->input_slots)
        return cop_fail_memory(b->err, sizeof(int));
    for (size_t i = 0; i < b->graph->input_count; i++) {
        int value = b->graph->inputs[i];
        if (b->graph->values[value].is_initializer)
            continue;
        int slot = cop_plan_add_slot(plan, value, COP_LAYOUT_PLAIN, -1, 0);
        if (slot < 0)
            return cop_fail_memory(b->err, sizeof(cop_slot));
        plan->slots[slot].first = -1; /* written before the first step */
        plan->input_slots[plan->input_count++] = slot;
    }
    return COPPICE_OK;
}

/* What a sub-graph reads from the graphs around it. */
coppice_status cop_plan_emit_bound(cop_plan_builder *b, const cop_infer_options *options) {
    for (size_t i = 0; i < options->bound_count; i++) {
        const cop_bound *bound = &options->bound[i];
        if (bound->constant || b->graph->values[bound->value].is_input)
            continue;
        int slot = cop_plan_add_slot(b->plan, bound->value, COP_LAYOUT_PLAIN, -1, -1);
        if (slot < 0)
            return cop_fail_memory(b->err, sizeof(cop_slot));
        b->plan->slots[slot].bound = bound->known;
    }
    return COPPICE_OK;
}

coppice_status cop_plan_emit_outputs(cop_plan_builder *b) {
    cop_plan *plan = b->plan;
    plan->output_count = b->graph->output_count;
    plan->output_slots =
        cop_arena_array(&plan->arena, plan->output_count + 1, sizeof *plan->output_slots);
    plan->outputs = cop_arena_array(&plan->arena, plan->output_count + 1, sizeof *plan->outputs);
    if (!plan->output_slots || !plan->outputs)
        return cop_fail_memory(b->err, sizeof(int));
    for (size_t i = 0; i < plan->output_count; i++) {
        int slot = cop_plan_slot_for(b, b->graph->outputs[i], COP_LAYOUT_PLAIN);
        if (slot < 0)
            return cop_fail_memory(b->err, sizeof(cop_slot));
        plan->output_slots[i] = slot;
        cop_plan_touch(plan, slot, INT_MAX);
    }
    return COPPICE_OK;
}
