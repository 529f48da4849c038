/* Timing each step of a plan. */
#include "runtime/profile.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/statistics.h"

static void free_inputs(coppice_tensor *inputs, size_t count) {
    for (size_t i = 0; inputs && i < count; i++)
        cop_free(inputs[i].data);
    cop_free(inputs);
}

static coppice_tensor *make_inputs(const cop_plan *plan) {
    coppice_tensor *inputs = cop_calloc(plan->input_count + 1, sizeof *inputs);
    uint64_t seed = 0;
    for (size_t i = 0; inputs && i < plan->input_count; i++) {
        inputs[i] = plan->slots[plan->input_slots[i]].operand.t;
        int64_t bytes = coppice_tensor_bytes(&inputs[i]);
        inputs[i].data = cop_calloc(1, bytes > 0 ? (size_t)bytes : 1);
        if (!inputs[i].data) {
            free_inputs(inputs, i);
            return NULL;
        }
        if (inputs[i].type == COPPICE_TYPE_FLOAT)
            cop_random_normal(inputs[i].data, (size_t)coppice_tensor_count(&inputs[i]), &seed);
    }
    return inputs;
}

static const char *layout_text(const cop_operand *operand) {
    if (operand->layout == COP_LAYOUT_PLAIN && operand->t.rank == 4)
        return "nchw";
    return cop_layout_name(operand->layout);
}

/* The sparsity from which the sparse kernel would be as fast as the dense one: its time goes with
 * the weights that are kept. Negative: it was not timed, or is as fast already. */
static double break_even(const cop_step *step) {
    if (!(step->dense_ms > 0) || !(step->sparse_ms > step->dense_ms))
        return -1;
    return 1 - (1 - step->sparsity) * step->dense_ms / step->sparse_ms;
}

static bool is_sparse(const cop_step *step) {
    return step->kernel ? step->kernel->sparse : step->op_sparse;
}

static const char *explain(const cop_step *step, cop_arena *texts) {
    double pays_from = break_even(step);
    if (is_sparse(step) || step->sparsity <= 0 || pays_from < 0)
        return step->why;
    const char *text =
        cop_arena_printf(texts, "too dense: pays from %.0f %% here", ceil(100 * pays_from));
    return text ? text : step->why;
}

static coppice_profile_row describe(const cop_plan *plan, const cop_step *step, cop_arena *texts) {
    const cop_operand *out =
        step->out[0] < 0 ? &step->results[0] : &plan->slots[step->out[0]].operand;
    bool layout = step->node == COP_STEP_LAYOUT;
    const cop_node *node = layout ? NULL : &plan->graph->nodes[step->node];
    coppice_profile_row row = {
        .node = layout ? "" : cop_node_label(plan->graph, node),
        .op = layout          ? "Layout"
              : step->op_name ? step->op_name
                              : node->op,
        .kernel = layout            ? "layout"
                  : step->kernel    ? step->kernel->name
                  : step->op_kernel ? step->op_kernel
                                    : "reference",
        .layout = layout_text(out),
        .rank = out->t.rank,
        .sparsity = step->sparsity,
        .sparse = is_sparse(step),
        .macs = step->macs,
        .dense_ms = step->dense_ms,
        .sparse_ms = step->sparse_ms,
        .why = layout ? "the next step wants another layout" : explain(step, texts),
    };
    memcpy(row.dims, out->t.dims, sizeof row.dims);
    return row;
}

/* times: [runs][step_count] */
static void fill_rows(const cop_plan *plan, const double *times, unsigned runs, double *column,
                      cop_profile *profile) {
    coppice_profile_row *rows = profile->rows;
    for (size_t i = 0; i < plan->step_count; i++) {
        for (unsigned r = 0; r < runs; r++)
            column[r] = times[r * plan->step_count + i];
        rows[i] = describe(plan, &plan->steps[i], &profile->texts);
        cop_sort_doubles(column, runs);
        rows[i].ms = cop_percentile(column, runs, 0.5);
    }
}

coppice_status cop_profile_run(cop_plan *plan, const coppice_tensor *inputs, unsigned runs,
                               cop_profile *profile, coppice_error *err) {
    cop_profile_free(profile);
    for (size_t i = 0; !inputs && i < plan->input_count; i++) {
        const cop_slot *slot = &plan->slots[plan->input_slots[i]];
        if (slot->dynamic)
            return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                            "input '%s' is declared without a shape, or is no tensor: give it",
                            plan->graph->values[slot->value].name);
    }
    runs = runs ? runs : 1;
    double *times = cop_calloc((plan->step_count + 1) * runs, sizeof *times);
    double *column = cop_calloc(runs, sizeof *column);
    profile->rows = cop_calloc(plan->step_count + 1, sizeof *profile->rows);
    coppice_tensor *made = inputs ? NULL : make_inputs(plan);
    coppice_status status = COPPICE_OK;
    if (!times || !column || !profile->rows || (!inputs && !made))
        status = cop_fail_memory(err, (plan->step_count + 1) * runs * sizeof *times);
    if (!status)
        status = cop_plan_run(plan, inputs ? inputs : made, NULL, err);
    for (unsigned r = 0; r < runs && !status; r++)
        status = cop_plan_run(plan, inputs ? inputs : made, times + r * plan->step_count, err);
    if (!status)
        fill_rows(plan, times, runs, column, profile);
    free_inputs(made, plan->input_count);
    cop_free(times);
    cop_free(column);
    return status;
}

void cop_profile_free(cop_profile *profile) {
    cop_free(profile->rows);
    cop_arena_free(&profile->texts);
    *profile = (cop_profile){0};
}
