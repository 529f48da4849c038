/* Where values lie: slots of planned memory, in each layout that a step wants. */
#include <string.h>

#include "base/memory.h"
#include "graph/constants.h"
#include "runtime/memory.h"
#include "runtime/plan_build.h"

int cop_plan_add_slot(cop_plan *plan, int value, cop_layout layout, int root, int first) {
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

/* Largest alignment an element of the type needs. */
static size_t element_alignment(coppice_type type) {
    size_t bytes = coppice_type_bits(type) / 8;
    return bytes == 0 ? 1 : bytes > 8 ? 8 : bytes;
}

static bool is_aligned(const coppice_tensor *tensor) {
    return (uintptr_t)tensor->data % element_alignment(tensor->type) == 0;
}

/* Writes a constant, aligned or not, into `to`. False: no memory. */
static bool copy_constant(const cop_operand *constant, cop_operand *to,
                          const coppice_threadpool *pool) {
    size_t bytes = (size_t)coppice_tensor_bytes(&constant->t);
    if (cop_layout_same(&constant->t, COP_LAYOUT_PLAIN, to->layout)) {
        memcpy(to->t.data, constant->t.data, bytes);
        return true;
    }
    cop_operand plain = *constant;
    void *copy = is_aligned(&constant->t) ? NULL : cop_malloc(bytes);
    if (copy)
        plain.t.data = memcpy(copy, constant->t.data, bytes);
    if (is_aligned(&plain.t))
        cop_layout_convert(&plain, to, pool);
    cop_free(copy);
    return is_aligned(&plain.t);
}

/* A constant's bytes in `layout`, aligned; those of the model where they are so already. */
static int constant_slot(cop_plan_builder *b, int value, cop_layout layout) {
    cop_plan *plan = b->plan;
    const cop_operand *constant = &plan->shapes.values[value];
    int index = cop_plan_add_slot(plan, value, layout, -1, 0);
    if (index < 0)
        return -1;
    cop_slot *slot = &plan->slots[index];
    slot->constant = true;
    if (is_aligned(&constant->t) && cop_layout_same(&constant->t, COP_LAYOUT_PLAIN, layout)) {
        slot->operand.t.data = constant->t.data;
        return index;
    }
    int64_t bytes = cop_layout_bytes(&constant->t, layout);
    slot->operand.t.data =
        bytes < 0 ? NULL : cop_arena_alloc(&plan->arena, (size_t)bytes + COP_MEMORY_SLACK);
    if (!slot->operand.t.data || !copy_constant(constant, &slot->operand, b->settings->pool))
        return -1;
    const cop_constant *source = cop_graph_constant(b->graph, value, NULL, NULL);
    if (source && source->tensor.data == constant->t.data)
        cop_constant_release(source, 0, coppice_tensor_count(&source->tensor));
    return index;
}

int cop_plan_slot_for(cop_plan_builder *b, int value, cop_layout layout) {
    cop_plan *plan = b->plan;
    if (!cop_layout_fits(layout, cop_plan_tensor(plan, value)))
        layout = COP_LAYOUT_PLAIN;
    if (plan->slot_of[value][layout] >= 0)
        return plan->slot_of[value][layout];
    if (cop_plan_tensor(plan, value)->data)
        return constant_slot(b, value, layout);
    int source = plan->slot_of[value][COP_LAYOUT_PLAIN];
    for (int l = 0; l < COP_LAYOUT_COUNT && source < 0; l++)
        source = plan->slot_of[value][l];
    if (source < 0)
        return -1;
    cop_layout from = plan->slots[source].layout;
    if (cop_layout_same(cop_plan_tensor(plan, value), from, layout))
        return cop_plan_add_slot(plan, value, layout, plan->slots[source].root, 0);
    if (from != COP_LAYOUT_PLAIN && layout != COP_LAYOUT_PLAIN) {
        source = cop_plan_slot_for(b, value, COP_LAYOUT_PLAIN);
        if (source < 0)
            return -1;
    }
    int at = (int)plan->step_count;
    cop_step *step = cop_plan_add_step(b, COP_STEP_LAYOUT, 1, 1);
    if (!step)
        return -1;
    int target = cop_plan_add_slot(plan, value, layout, -1, at);
    step->in[0] = source;
    step->out[0] = target;
    cop_plan_touch(plan, source, at);
    return target;
}

int cop_plan_kernel_slot(cop_plan_builder *b, int value, cop_layout layout) {
    cop_plan *plan = b->plan;
    int slot = cop_plan_slot_for(b, value, layout);
    if (slot < 0 || !(cop_plan_root(plan, slot)->constant || cop_plan_root(plan, slot)->bound))
        return slot;
    int at = (int)plan->step_count;
    cop_step *step = cop_plan_add_step(b, COP_STEP_LAYOUT, 1, 1);
    int copy = step ? cop_plan_add_slot(plan, value, plan->slots[slot].layout, -1, at) : -1;
    if (copy < 0)
        return -1;
    plan->slot_of[value][plan->slots[slot].layout] = slot;
    step->in[0] = slot;
    step->out[0] = copy;
    cop_plan_touch(plan, slot, at);
    return copy;
}
