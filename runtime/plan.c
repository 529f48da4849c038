/* Building a plan as a whole: order of the steps, memory. */
#include <string.h>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/shape.h"
#include "base/size.h"
#include "graph/edit.h"
#include "runtime/kernels/kernels.h"
#include "runtime/memory.h"
#include "runtime/passes/passes.h"
#include "runtime/plan_build.h"

/* Bytes read from which a step without a kernel is worth several threads. */
static const int64_t LEAST_PARALLEL_BYTES = 256 * 1024;

/* Nodes in the order of their steps: those that wait for a residual come behind the node that makes
 * it. `order` has node_count elements. */
static bool order_nodes(const cop_plan_builder *b, size_t *order) {
    size_t count = b->graph->node_count;
    size_t *first = cop_calloc(count + 1, sizeof *first);
    if (!first)
        return false;
    for (size_t i = 0; i < count; i++)
        first[b->fusions[i].place + 1]++;
    for (size_t i = 0; i < count; i++)
        first[i + 1] += first[i];
    for (int waits = 0; waits < 2; waits++) {
        for (size_t i = 0; i < count; i++) {
            size_t place = (size_t)b->fusions[i].place;
            if ((place != i) == waits)
                order[first[place]++] = i;
        }
    }
    cop_free(first);
    return true;
}

static coppice_status emit_nodes(cop_plan_builder *b) {
    size_t *order = cop_arena_array(&b->plan->arena, b->graph->node_count + 1, sizeof *order);
    if (!order || !order_nodes(b, order))
        return cop_fail_memory(b->err, b->graph->node_count * sizeof *order);
    for (size_t i = 0; i < b->graph->node_count; i++) {
        if (!b->choices[order[i]].count)
            continue;
        coppice_status status = cop_plan_emit_node(b, order[i]);
        if (status) {
            cop_error_at_node(b->err, b->graph, &b->graph->nodes[order[i]]);
            return status;
        }
    }
    return COPPICE_OK;
}

/* ---- memory ---- */

static size_t largest_scratch(const cop_plan *plan) {
    size_t largest = 0;
    for (size_t i = 0; i < plan->step_count; i++)
        largest = plan->steps[i].scratch > largest ? plan->steps[i].scratch : largest;
    return largest;
}

static bool plan_buffers(cop_plan *plan, cop_buffer *buffers) {
    for (size_t i = 0; i < plan->slot_count; i++) {
        const cop_slot *slot = &plan->slots[i];
        int64_t bytes = slot->dynamic ? 0 : cop_layout_bytes(&slot->operand.t, slot->layout);
        if (bytes < 0)
            return false;
        bool owner = slot->root == (int)i && !slot->constant && !slot->dynamic && !slot->bound;
        buffers[i] = (cop_buffer){
            .bytes = owner ? (size_t)bytes : 0, .first = slot->first, .last = slot->last};
    }
    return cop_memory_plan(buffers, plan->slot_count, &plan->scratch_offset) &&
           cop_size_add(plan->scratch_offset, largest_scratch(plan) + 2 * COP_MEMORY_SLACK,
                        &plan->memory_bytes);
}

static coppice_status place_slots(cop_plan_builder *b) {
    cop_plan *plan = b->plan;
    cop_buffer *buffers = cop_calloc(plan->slot_count + 1, sizeof *buffers);
    if (!buffers || !plan_buffers(plan, buffers)) {
        cop_free(buffers);
        COP_TRY(cop_check_interrupt(b->err));
        return cop_fail_memory(b->err, plan->memory_bytes);
    }
    plan->memory_bytes = cop_round_up(plan->memory_bytes, COP_MEMORY_ALIGNMENT);
    plan->total_bytes += plan->memory_bytes;
    plan->memory = cop_aligned_alloc(COP_MEMORY_ALIGNMENT, plan->memory_bytes);
    for (size_t i = 0; plan->memory && i < plan->slot_count; i++) {
        cop_slot *slot = &plan->slots[i];
        const cop_slot *root = cop_plan_root(plan, (int)i);
        if (!slot->constant && !slot->dynamic && !root->bound)
            slot->operand.t.data =
                root->constant ? root->operand.t.data : plan->memory + buffers[slot->root].offset;
    }
    cop_free(buffers);
    return plan->memory ? COPPICE_OK : cop_fail_memory(b->err, plan->memory_bytes);
}

static const coppice_threadpool *pool_of(const cop_plan_builder *b, const cop_step *step) {
    int64_t bytes = 0;
    for (int k = 0; k < step->in_count; k++)
        bytes += step->operands[k] ? coppice_tensor_bytes(&step->operands[k]->t) : 0;
    return bytes >= LEAST_PARALLEL_BYTES ? b->settings->pool : NULL;
}

static void bind_operands(cop_plan_builder *b) {
    cop_plan *plan = b->plan;
    for (size_t i = 0; i < plan->step_count; i++) {
        cop_step *step = &plan->steps[i];
        for (int k = 0; k < step->in_count; k++)
            step->operands[k] = step->in[k] < 0 ? NULL : &plan->slots[step->in[k]].operand;
        for (int k = 0; k < step->out_count; k++) {
            if (step->out[k] >= 0)
                step->results[k] = plan->slots[step->out[k]].operand;
        }
        if (step->eager)
            step->pool = b->settings->pool;
        else if (!step->kernel)
            step->pool = pool_of(b, step);
    }
}

/* What a profile will say of it, and what it holds. */
static void note_op(const cop_call *call, cop_plan *plan, cop_step *step) {
    cop_op_note note;
    if (!step->op->describe || !step->op->describe(call, &note))
        return;
    plan->total_bytes += note.weights * sizeof(float);
    step->op_kernel = note.kernel;
    step->op_sparse = note.sparse;
    step->why = note.why;
    step->sparsity = note.sparsity;
    step->macs = note.macs;
    step->dense_ms = note.dense_ms;
    step->sparse_ms = note.sparse_ms;
}

/* What operators make of constants. */
static coppice_status prepare(cop_plan_builder *b, cop_step *step) {
    cop_plan *plan = b->plan;
    const cop_node *node = &plan->graph->nodes[step->node];
    size_t count = (size_t)step->in_count;
    cop_operand *known = cop_arena_array(&plan->arena, count + 1, sizeof *known);
    const cop_operand **in = cop_arena_array(&plan->arena, count + 1, sizeof *in);
    if (!known || !in)
        return cop_fail_memory(b->err, count * sizeof *known);
    for (size_t k = 0; k < count; k++) {
        if (!step->operands[k])
            continue;
        known[k] = *step->operands[k];
        if (!plan->slots[step->in[k]].constant)
            known[k].t.data = NULL;
        in[k] = &known[k];
    }
    cop_call call = {.graph = plan->graph,
                     .node = node,
                     .opset = cop_node_opset(plan->graph, node),
                     .params = plan->shapes.params[step->node],
                     .in = in,
                     .out = step->results,
                     .kernels = plan->kernels,
                     .settings = &plan->settings,
                     .err = b->err};
    COP_TRY(step->op->prepare(&call, &step->state));
    call.state = step->state;
    note_op(&call, plan, step);
    return COPPICE_OK;
}

static coppice_status prepare_steps(cop_plan_builder *b) {
    for (size_t i = 0; i < b->plan->step_count; i++) {
        cop_step *step = &b->plan->steps[i];
        if (step->node >= 0 && !step->eager && !step->kernel && step->op->prepare)
            COP_TRY(prepare(b, step));
    }
    return COPPICE_OK;
}

/* Each eager step drops the dynamic values that were read last by it. */
static coppice_status list_dead(cop_plan_builder *b) {
    cop_plan *plan = b->plan;
    int *dead = cop_arena_array(&plan->arena, plan->slot_count + 1, sizeof *dead);
    if (!dead)
        return cop_fail_memory(b->err, plan->slot_count * sizeof *dead);
    for (int fill = 0; fill < 2; fill++) { /* count, then share out the room, then fill it */
        for (size_t k = 0; k < plan->slot_count; k++) {
            const cop_slot *slot = &plan->slots[k];
            if (!slot->dynamic || slot->last < 0 || (size_t)slot->last >= plan->step_count)
                continue;
            cop_step *step = &plan->steps[slot->last];
            if (!step->eager)
                continue;
            if (fill)
                step->dead[step->dead_count] = (int)k;
            step->dead_count++;
        }
        for (size_t i = 0; i < plan->step_count && !fill; i++) {
            plan->steps[i].dead = dead;
            dead += plan->steps[i].dead_count;
            plan->steps[i].dead_count = 0;
        }
    }
    return COPPICE_OK;
}

/* The slot whose memory `slot` has, also where that was shared. */
static int shared_root(const cop_plan *plan, int slot) {
    while (plan->slots[slot].root != slot)
        slot = plan->slots[slot].root;
    return slot;
}

/* A residual that nobody reads later becomes the sum: the output takes its memory. */
static void share_residuals(cop_plan *plan) {
    for (size_t i = 0; i < plan->step_count; i++) {
        const cop_step *step = &plan->steps[i];
        if (!step->kernel || !step->kernel->fuses || step->in_count < 2)
            continue;
        int root = shared_root(plan, step->in[1]);
        cop_slot *out = &plan->slots[step->out[0]], *residual = &plan->slots[root];
        if (residual->last != (int)i || residual->constant || residual->bound ||
            residual->dynamic || out->root != step->out[0] ||
            root == shared_root(plan, step->in[0]) ||
            cop_layout_bytes(&residual->operand.t, residual->layout) !=
                cop_layout_bytes(&out->operand.t, out->layout))
            continue;
        out->root = root;
        residual->last = out->last;
    }
    for (size_t i = 0; i < plan->slot_count; i++)
        plan->slots[i].root = shared_root(plan, (int)i);
}

/* ---- all of it ---- */

static void log_kernels(const cop_plan_builder *b) {
    for (size_t i = 0; cop_log_wanted() && i < b->plan->step_count; i++) {
        const cop_step *step = &b->plan->steps[i];
        if (!step->kernel)
            continue;
        const cop_node *node = &b->graph->nodes[step->node];
        cop_log(COPPICE_LOG_DEBUG, "node '%s' (%s): kernel %s, %s", cop_node_label(b->graph, node),
                node->op, step->kernel->name, step->why);
    }
}

/* Infers. A plan of a whole model gets a graph of its own, with the branches of Ifs in it whose
 * conditions are known then, rewritten by what shapes tell. */
static coppice_status infer(cop_plan_builder *b, const cop_infer_options *options) {
    cop_plan *plan = b->plan;
    COP_TRY(cop_infer(b->graph, options, &plan->shapes, b->err));
    if (b->graph->parent)
        return COPPICE_OK;
    plan->own_graph = cop_graph_copy(b->graph, &plan->arena, b->err);
    if (!plan->own_graph)
        return COPPICE_OUT_OF_MEMORY;
    plan->graph = b->graph = plan->own_graph;
    while (cop_has_known_if(b->graph, &plan->shapes)) {
        COP_TRY(cop_inline_known_ifs(plan->own_graph, &plan->shapes, b->err));
        cop_shapes_free(&plan->shapes);
        COP_TRY(cop_infer(b->graph, options, &plan->shapes, b->err));
    }
    return cop_passes_run_shaped(plan->own_graph, options, &plan->shapes, &plan->folded, b->err);
}

static coppice_status build(cop_plan_builder *b, const cop_infer_options *options) {
    cop_plan *plan = b->plan;
    COP_TRY(infer(b, options));
    const cop_graph *graph = b->graph;
    b->choices = cop_calloc(graph->node_count + 1, sizeof *b->choices);
    plan->slot_of = cop_arena_array(&plan->arena, graph->value_count + 1, sizeof *plan->slot_of);
    b->fusions = cop_calloc(graph->node_count + 1, sizeof *b->fusions);
    if (!b->choices || !b->fusions || !plan->slot_of)
        return cop_fail_memory(b->err, graph->node_count * sizeof *b->choices);
    memset(plan->slot_of, 0xff, graph->value_count * sizeof *plan->slot_of);
    COP_TRY(cop_fuse(graph, &plan->shapes, b->fusions, b->err));
    COP_TRY(cop_list_choices(graph, &plan->shapes, b->fusions, b->settings, b->choices, b->err));
    cop_assign(graph, &plan->shapes, b->fusions, b->choices);
    COP_TRY(cop_plan_emit_inputs(b));
    COP_TRY(cop_plan_emit_bound(b, options));
    COP_TRY(emit_nodes(b));
    COP_TRY(cop_plan_emit_outputs(b));
    share_residuals(plan);
    COP_TRY(place_slots(b));
    COP_TRY(list_dead(b));
    bind_operands(b);
    COP_TRY(prepare_steps(b));
    log_kernels(b);
    return COPPICE_OK;
}

coppice_status cop_plan_compile(const cop_graph *graph, const cop_infer_options *options,
                                const cop_settings *settings, cop_plan *plan, coppice_error *err) {
    plan->graph = graph;
    plan->kernels = cop_kernels_of(
        settings->backend == COPPICE_BACKEND_REFERENCE ? COPPICE_ISA_SCALAR : settings->isa);
    plan->bound = options->bound;
    plan->settings = *settings;
    cop_plan_builder b = {.graph = graph, .settings = settings, .plan = plan, .err = err};
    coppice_status status = build(&b, options);
    cop_free(b.choices);
    cop_free(b.fusions);
    return status;
}

coppice_status cop_plan_build(const cop_graph *graph, const coppice_tensor *inputs, size_t count,
                              const cop_settings *settings, cop_plan *plan, coppice_error *err) {
    const cop_infer_options options = {.inputs = inputs, .input_count = count};
    return cop_plan_compile(graph, &options, settings, plan, err);
}
