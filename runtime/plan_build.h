/* Building a plan in parts: plan.c calls plan_steps.c, both call plan_slots.c. */
#ifndef COP_RUNTIME_PLAN_BUILD_H
#define COP_RUNTIME_PLAN_BUILD_H

#include "base/error.h"
#include "runtime/plan.h"

typedef struct cop_plan_builder {
    const cop_graph *graph;
    const cop_settings *settings;
    cop_fusion *fusions;
    cop_node_choices *choices;
    cop_plan *plan;
    coppice_error *err;
} cop_plan_builder;

static inline const coppice_tensor *cop_plan_tensor(const cop_plan *plan, int value) {
    return &plan->shapes.values[value].t;
}

/* ---- slots (plan_slots.c) ---- */

/* A new slot for `value` in `layout`, its memory that of `root` or its own (-1), in use from step
 * `first` on. The index, or -1 without memory. */
int cop_plan_add_slot(cop_plan *plan, int value, cop_layout layout, int root, int first);

static inline cop_slot *cop_plan_root(const cop_plan *plan, int slot) {
    return &plan->slots[plan->slots[slot].root];
}

/* The slot's memory is in use up to `step`. */
static inline void cop_plan_touch(cop_plan *plan, int slot, int step) {
    cop_slot *root = cop_plan_root(plan, slot);
    root->last = step > root->last ? step : root->last;
}

/* The slot that holds `value` in `layout`, with a change of layout planned where there is none yet.
 * -1: no memory. */
int cop_plan_slot_for(cop_plan_builder *b, int value, cop_layout layout);

/* The same for a kernel: aligned, with room behind it, which constants and what lies in the graph
 * around this one may not be. */
int cop_plan_kernel_slot(cop_plan_builder *b, int value, cop_layout layout);

/* ---- steps (plan_steps.c) ---- */

/* A step with room for operands. NULL: no memory. Good until the next one. */
cop_step *cop_plan_add_step(cop_plan_builder *b, int node, int in_count, int out_count);

/* The ends of the graph, and its nodes. */
coppice_status cop_plan_emit_inputs(cop_plan_builder *b);
coppice_status cop_plan_emit_bound(cop_plan_builder *b, const cop_infer_options *options);
coppice_status cop_plan_emit_node(cop_plan_builder *b, size_t node);
coppice_status cop_plan_emit_outputs(cop_plan_builder *b);

#endif
