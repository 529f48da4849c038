/* Building a plan: steps, changes of layout, packed weights, memory. */
#include "runtime/plan.h"

#include <limits.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/shape.h"
#include "base/size.h"
#include "graph/edit.h"
#include "graph/subgraph.h"
#include "runtime/kernels/kernels.h"
#include "runtime/memory.h"
#include "runtime/passes/passes.h"

/* Bytes read from which a step without a kernel is worth several threads. */
static const int64_t LEAST_PARALLEL_BYTES = 256 * 1024;

typedef struct builder {
    const cop_graph *graph;
    const cop_settings *settings;
    cop_node_choices *choices;
    cop_plan *plan;
    coppice_error *err;
} builder;

static const coppice_tensor *tensor_of(const cop_plan *plan, int value) {
    return &plan->shapes.values[value].t;
}

/* ---- slots ---- */

/* A new slot for `value` in `layout`, its memory that of `root` or its own (-1). The index, or -1
 * without memory. */
static int add_slot(cop_plan *plan, int value, cop_layout layout, int root, int first) {
    if (cop_grow(&plan->slots, plan->slot_count, &plan->slot_capacity, sizeof *plan->slots) != 0)
        return -1;
    int index = (int)plan->slot_count++;
    cop_slot *slot = &plan->slots[index];
    *slot = (cop_slot){.value = value,
                       .layout = layout,
                       .root = root < 0 ? index : root,
                       .first = first,
                       .last = first,
                       .dynamic = !plan->shapes.known[value],
                       .operand = plan->shapes.values[value]};
    slot->operand.layout = layout;
    slot->operand.t.data = NULL;
    plan->slot_of[value][layout] = index;
    return index;
}

static cop_slot *root_of(const cop_plan *plan, int slot) {
    return &plan->slots[plan->slots[slot].root];
}

static void touch(cop_plan *plan, int slot, int step) {
    cop_slot *root = root_of(plan, slot);
    root->last = step > root->last ? step : root->last;
}

static cop_step *add_step(builder *b, int node, int in_count, int out_count) {
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

/* Largest alignment an element of the type needs. */
static size_t element_alignment(coppice_type type) {
    size_t bytes = coppice_type_bits(type) / 8;
    return bytes == 0 ? 1 : bytes > 8 ? 8 : bytes;
}

/* A constant's bytes in `layout`, aligned; those of the model where they are so already. */
static int constant_slot(builder *b, int value, cop_layout layout) {
    cop_plan *plan = b->plan;
    const cop_operand *constant = &plan->shapes.values[value];
    int index = add_slot(plan, value, layout, -1, 0);
    if (index < 0)
        return -1;
    cop_slot *slot = &plan->slots[index];
    slot->constant = true;
    bool same = cop_layout_same(&constant->t, COP_LAYOUT_PLAIN, layout);
    if (same && (uintptr_t)constant->t.data % element_alignment(constant->t.type) == 0) {
        slot->operand.t.data = constant->t.data;
        return index;
    }
    int64_t bytes = coppice_tensor_bytes(&constant->t);
    int64_t room = cop_layout_bytes(&constant->t, layout);
    unsigned char *copy =
        bytes < 0 || room < 0
            ? NULL
            : cop_arena_alloc(&plan->arena, (size_t)bytes + (size_t)room + 2 * 64);
    if (!copy)
        return -1;
    cop_operand plain = *constant;
    plain.t.data = copy + cop_round_up((size_t)room, 64);
    memcpy(plain.t.data, constant->t.data, (size_t)bytes);
    slot->operand.t.data = copy;
    cop_layout_convert(&plain, &slot->operand, b->settings->pool);
    return index;
}

/* The slot that holds `value` in `layout`, with a change of layout planned where there is none yet.
 * -1: no memory. */
static int slot_for(builder *b, int value, cop_layout layout) {
    cop_plan *plan = b->plan;
    if (!cop_layout_fits(layout, tensor_of(plan, value)))
        layout = COP_LAYOUT_PLAIN;
    if (plan->slot_of[value][layout] >= 0)
        return plan->slot_of[value][layout];
    if (tensor_of(plan, value)->data)
        return constant_slot(b, value, layout);
    int source = plan->slot_of[value][COP_LAYOUT_PLAIN];
    for (int l = 0; l < COP_LAYOUT_COUNT && source < 0; l++)
        source = plan->slot_of[value][l];
    if (source < 0)
        return -1;
    cop_layout from = plan->slots[source].layout;
    if (cop_layout_same(tensor_of(plan, value), from, layout))
        return add_slot(plan, value, layout, plan->slots[source].root, 0);
    if (from != COP_LAYOUT_PLAIN && layout != COP_LAYOUT_PLAIN) {
        source = slot_for(b, value, COP_LAYOUT_PLAIN);
        if (source < 0)
            return -1;
    }
    int at = (int)plan->step_count;
    cop_step *step = add_step(b, COP_STEP_LAYOUT, 1, 1);
    if (!step)
        return -1;
    int target = add_slot(plan, value, layout, -1, at);
    step->in[0] = source;
    step->out[0] = target;
    touch(plan, source, at);
    return target;
}

/* ---- steps ---- */

static const cop_conv_kernel *reference_kernel(cop_conv_form form) {
    for (const cop_conv_kernel *const *row = cop_conv_kernels; *row; row++) {
        if ((*row)->backend == COPPICE_BACKEND_REFERENCE && (*row)->form == form)
            return *row;
    }
    return NULL;
}

static coppice_status create_kernel(builder *b, const cop_choice *choice, const cop_conv *conv,
                                    cop_step *step) {
    step->kernel = choice->kernel;
    step->pool = cop_conv_pool(b->settings, conv, choice->kernel);
    coppice_status status = choice->kernel->create(conv, step->pool, &step->state, b->err);
    if (status == COPPICE_UNSUPPORTED) {
        step->kernel =
            reference_kernel(choice->kernel->form == COP_FORM_CHANNELS_LAST ? COP_FORM_CHANNELS_LAST
                                                                            : COP_FORM_PLANES);
        step->why = "the wanted kernel does not run on this machine";
        status = step->kernel->create(conv, step->pool, &step->state, b->err);
    }
    if (!status && step->kernel->scratch)
        step->scratch = step->kernel->scratch(step->state);
    return status;
}

static coppice_status emit_conv(builder *b, size_t node, const cop_lowered *lowered) {
    cop_plan *plan = b->plan;
    const cop_node_choices *choices = &b->choices[node];
    const cop_choice *choice = &choices->list[choices->taken];
    int in = slot_for(b, lowered->input, choice->layout); /* may add a step */
    int at = (int)plan->step_count;
    cop_step *step = in < 0 ? NULL : add_step(b, (int)node, 1, 1);
    int out = step ? add_slot(plan, lowered->output, choice->layout, -1, at) : -1;
    if (out < 0)
        return cop_fail_memory(b->err, sizeof *step);
    step->op = plan->shapes.ops[node];
    step->in[0] = in;
    step->out[0] = out;
    touch(plan, in, at);
    step->why = choices->why;
    step->dense_ms = choices->dense_ms;
    step->sparse_ms = choices->sparse_ms;
    const cop_conv *c = &lowered->conv;
    step->macs = (int64_t)(c->nonzeros * c->batch * c->out_h * c->out_w);
    plan->total_bytes += choices->weights * sizeof(float);
    step->sparsity = 1 - (double)choices->nonzeros / (double)choices->weights;
    return create_kernel(b, choice, c, step);
}

static cop_call call_of(const builder *b, size_t node, const cop_step *step) {
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
static size_t scratch_of(const builder *b, size_t node, const cop_step *step) {
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

/* Reads of a node without a kernel: operands of the output's rank are in the chosen layout. */
static coppice_status read_operands(builder *b, const cop_node *n, cop_layout layout, int *slots) {
    uint32_t rank = tensor_of(b->plan, n->outputs[0])->rank;
    for (int i = 0; i < n->input_count; i++) {
        slots[i] = -1;
        if (n->inputs[i] < 0)
            continue;
        bool same_rank = tensor_of(b->plan, n->inputs[i])->rank == rank;
        slots[i] = slot_for(b, n->inputs[i], same_rank ? layout : COP_LAYOUT_PLAIN);
        if (slots[i] < 0)
            return cop_fail_memory(b->err, sizeof(cop_slot));
    }
    return COPPICE_OK;
}

static coppice_status emit_op(builder *b, size_t node) {
    cop_plan *plan = b->plan;
    const cop_node *n = &b->graph->nodes[node];
    const cop_op *op = plan->shapes.ops[node];
    cop_layout layout = b->choices[node].list[b->choices[node].taken].layout;
    int *in = cop_arena_array(&plan->arena, (size_t)n->input_count + 1, sizeof *in);
    if (!in)
        return cop_fail_memory(b->err, sizeof *in);
    COP_TRY(read_operands(b, n, layout, in));
    if (op->flags & COP_OP_VIEW) { /* such rows have no layouts but the plain one */
        int view = add_slot(plan, n->outputs[0], COP_LAYOUT_PLAIN, plan->slots[in[0]].root, 0);
        return view < 0 ? cop_fail_memory(b->err, sizeof(cop_slot)) : COPPICE_OK;
    }
    int at = (int)plan->step_count;
    cop_step *step = add_step(b, (int)node, n->input_count, n->output_count);
    if (!step)
        return cop_fail_memory(b->err, sizeof *step);
    step->op = op;
    step->in = in;
    step->why = b->choices[node].why;
    for (int i = 0; i < n->input_count; i++) {
        if (in[i] >= 0)
            touch(plan, in[i], at);
    }
    for (int i = 0; i < n->output_count; i++) {
        step->out[i] = -1;
        if (n->outputs[i] < 0)
            continue;
        bool fits = cop_layout_fits(layout, tensor_of(plan, n->outputs[i]));
        step->out[i] = add_slot(plan, n->outputs[i], fits ? layout : COP_LAYOUT_PLAIN, -1, at);
        if (step->out[i] < 0)
            return cop_fail_memory(b->err, sizeof(cop_slot));
    }
    int64_t macs = cop_node_macs(b->graph, node, &plan->shapes);
    step->macs = macs > 0 ? macs : 0;
    step->scratch = scratch_of(b, node, step);
    return COPPICE_OK;
}

/* Values that the node's sub-graphs read too (`uses`) lie plain, as its inputs do. May add steps.
 */
static coppice_status place_uses(builder *b, const cop_uses *uses) {
    for (size_t i = 0; i < uses->count; i++) {
        if (!tensor_of(b->plan, uses->values[i])->data &&
            slot_for(b, uses->values[i], COP_LAYOUT_PLAIN) < 0)
            return cop_fail_memory(b->err, sizeof(cop_slot));
    }
    return COPPICE_OK;
}

/* They live as long as step `at`. */
static void touch_uses(builder *b, const cop_uses *uses, int at) {
    for (size_t i = 0; i < uses->count; i++) {
        if (!tensor_of(b->plan, uses->values[i])->data)
            touch(b->plan, slot_for(b, uses->values[i], COP_LAYOUT_PLAIN), at);
    }
}

static coppice_status make_bodies(builder *b, const cop_node *node, cop_step *step) {
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

static coppice_status emit_eager(builder *b, size_t node) {
    cop_plan *plan = b->plan;
    const cop_node *n = &b->graph->nodes[node];
    int *in = cop_arena_array(&plan->arena, (size_t)n->input_count + 1, sizeof *in);
    if (!in)
        return cop_fail_memory(b->err, sizeof *in);
    for (int i = 0; i < n->input_count; i++) {
        in[i] = n->inputs[i] < 0 ? -1 : slot_for(b, n->inputs[i], COP_LAYOUT_PLAIN);
        if (n->inputs[i] >= 0 && in[i] < 0)
            return cop_fail_memory(b->err, sizeof(cop_slot));
    }
    cop_uses uses;
    if (!cop_node_uses(b->graph, n, &plan->arena, &uses))
        return cop_fail_memory(b->err, sizeof *uses.values);
    COP_TRY(place_uses(b, &uses));
    int at = (int)plan->step_count;
    touch_uses(b, &uses, at);
    cop_step *step = add_step(b, (int)node, n->input_count, n->output_count);
    if (!step)
        return cop_fail_memory(b->err, sizeof *step);
    step->op = plan->shapes.ops[node];
    step->in = in;
    step->eager = true;
    step->why = "its shape depends on data";
    COP_TRY(make_bodies(b, n, step));
    if (cop_may_lower(n) && n->inputs[1] >= 0 && tensor_of(plan, n->inputs[1])->data) {
        step->kept = cop_arena_array(&plan->arena, COP_KEPT_KERNELS, sizeof *step->kept);
        if (!step->kept)
            return cop_fail_memory(b->err, sizeof *step->kept);
    }
    for (int i = 0; i < n->input_count; i++) {
        if (in[i] >= 0)
            touch(plan, in[i], at);
    }
    for (int i = 0; i < n->output_count; i++) {
        step->out[i] =
            n->outputs[i] < 0 ? -1 : add_slot(plan, n->outputs[i], COP_LAYOUT_PLAIN, -1, at);
        if (n->outputs[i] >= 0 && step->out[i] < 0)
            return cop_fail_memory(b->err, sizeof(cop_slot));
    }
    return COPPICE_OK;
}

static coppice_status emit_node(builder *b, size_t node) {
    if (b->plan->shapes.eager[node])
        return emit_eager(b, node);
    cop_lowered lowered;
    bool is_conv;
    COP_TRY(cop_lower(b->graph, &b->plan->shapes, node, &is_conv, &lowered, b->err));
    if (!is_conv)
        return emit_op(b, node);
    coppice_status status = emit_conv(b, node, &lowered);
    cop_lowered_free(&lowered);
    return status;
}

static coppice_status emit_inputs(builder *b) {
    cop_plan *plan = b->plan;
    plan->input_slots =
        cop_arena_array(&plan->arena, b->graph->input_count + 1, sizeof *plan->input_slots);
    if (!plan->input_slots)
        return cop_fail_memory(b->err, sizeof(int));
    for (size_t i = 0; i < b->graph->input_count; i++) {
        int value = b->graph->inputs[i];
        if (b->graph->values[value].is_initializer)
            continue;
        int slot = add_slot(plan, value, COP_LAYOUT_PLAIN, -1, 0);
        if (slot < 0)
            return cop_fail_memory(b->err, sizeof(cop_slot));
        plan->slots[slot].first = -1; /* written before the first step */
        plan->input_slots[plan->input_count++] = slot;
    }
    return COPPICE_OK;
}

/* What a sub-graph reads from the graphs around it. */
static coppice_status emit_bound(builder *b, const cop_infer_options *options) {
    for (size_t i = 0; i < options->bound_count; i++) {
        const cop_bound *bound = &options->bound[i];
        if (bound->constant || b->graph->values[bound->value].is_input)
            continue;
        int slot = add_slot(b->plan, bound->value, COP_LAYOUT_PLAIN, -1, -1);
        if (slot < 0)
            return cop_fail_memory(b->err, sizeof(cop_slot));
        b->plan->slots[slot].bound = bound->known;
    }
    return COPPICE_OK;
}

static coppice_status emit_outputs(builder *b) {
    cop_plan *plan = b->plan;
    plan->output_count = b->graph->output_count;
    plan->output_slots =
        cop_arena_array(&plan->arena, plan->output_count + 1, sizeof *plan->output_slots);
    plan->outputs = cop_arena_array(&plan->arena, plan->output_count + 1, sizeof *plan->outputs);
    if (!plan->output_slots || !plan->outputs)
        return cop_fail_memory(b->err, sizeof(int));
    for (size_t i = 0; i < plan->output_count; i++) {
        int slot = slot_for(b, b->graph->outputs[i], COP_LAYOUT_PLAIN);
        if (slot < 0)
            return cop_fail_memory(b->err, sizeof(cop_slot));
        plan->output_slots[i] = slot;
        touch(plan, slot, INT_MAX);
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

static coppice_status place_slots(builder *b) {
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
        const cop_slot *root = root_of(plan, (int)i);
        if (!slot->constant && !slot->dynamic && !root->bound)
            slot->operand.t.data =
                root->constant ? root->operand.t.data : plan->memory + buffers[slot->root].offset;
    }
    cop_free(buffers);
    return plan->memory ? COPPICE_OK : cop_fail_memory(b->err, plan->memory_bytes);
}

static const coppice_threadpool *pool_of(const builder *b, const cop_step *step) {
    int64_t bytes = 0;
    for (int k = 0; k < step->in_count; k++)
        bytes += step->operands[k] ? coppice_tensor_bytes(&step->operands[k]->t) : 0;
    return bytes >= LEAST_PARALLEL_BYTES ? b->settings->pool : NULL;
}

static void bind_operands(builder *b) {
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

/* Each eager step drops the dynamic values that were read last since the one before. */
static coppice_status list_dead(builder *b) {
    cop_plan *plan = b->plan;
    int *next = cop_arena_array(&plan->arena, plan->slot_count + 1, sizeof *next);
    if (!next)
        return cop_fail_memory(b->err, plan->slot_count * sizeof *next);
    for (size_t i = 0; i < plan->step_count; i++) {
        cop_step *step = &plan->steps[i];
        if (!step->eager)
            continue;
        step->dead = next;
        for (size_t k = 0; k < plan->slot_count; k++) {
            if (plan->slots[k].dynamic && plan->slots[k].last == (int)i)
                step->dead[step->dead_count++] = (int)k;
        }
        next += step->dead_count;
    }
    return COPPICE_OK;
}

/* ---- all of it ---- */

static void log_kernels(const builder *b) {
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
static coppice_status infer(builder *b, const cop_infer_options *options) {
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

static coppice_status build(builder *b, const cop_infer_options *options) {
    cop_plan *plan = b->plan;
    COP_TRY(infer(b, options));
    const cop_graph *graph = b->graph;
    b->choices = cop_calloc(graph->node_count + 1, sizeof *b->choices);
    plan->slot_of = cop_arena_array(&plan->arena, graph->value_count + 1, sizeof *plan->slot_of);
    if (!b->choices || !plan->slot_of)
        return cop_fail_memory(b->err, graph->node_count * sizeof *b->choices);
    memset(plan->slot_of, 0xff, graph->value_count * sizeof *plan->slot_of);
    COP_TRY(cop_list_choices(graph, &plan->shapes, b->settings, b->choices, b->err));
    cop_assign(graph, &plan->shapes, b->choices);
    COP_TRY(emit_inputs(b));
    COP_TRY(emit_bound(b, options));
    for (size_t i = 0; i < graph->node_count; i++) {
        if (!b->choices[i].count)
            continue;
        coppice_status status = emit_node(b, i);
        if (status) {
            cop_error_at_node(b->err, graph, &graph->nodes[i]);
            return status;
        }
    }
    COP_TRY(emit_outputs(b));
    COP_TRY(place_slots(b));
    COP_TRY(list_dead(b));
    bind_operands(b);
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
    builder b = {.graph = graph, .settings = settings, .plan = plan, .err = err};
    coppice_status status = build(&b, options);
    cop_free(b.choices);
    return status;
}

coppice_status cop_plan_build(const cop_graph *graph, const coppice_tensor *inputs, size_t count,
                              const cop_settings *settings, cop_plan *plan, coppice_error *err) {
    const cop_infer_options options = {.inputs = inputs, .input_count = count};
    return cop_plan_compile(graph, &options, settings, plan, err);
}
