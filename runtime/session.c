/* Sessions: a model compiled for the shapes it is run with. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "graph/edit.h"
#include "graph/mask.h"
#include "graph/model.h"
#include "runtime/passes/passes.h"
#include "runtime/plan.h"
#include "runtime/profile.h"

enum { KEPT_PLANS = 16 };

/* Plans beyond the second go, the one not used for longest first, while all take more than this. */
static const size_t KEPT_BYTES = (size_t)512 << 20;

struct coppice_session {
    const coppice_model *model;
    cop_arena arena;
    cop_graph *graph; /* a copy of the model's, simplified */
    cop_settings settings;
    coppice_threadpool *own_pool;
    cop_plan plans[KEPT_PLANS]; /* plans[0] was used last */
    cop_profile profile;
    cop_arena values;  /* what coppice_session_run_values returned last */
    cop_arena strings; /* made by the last run */
    atomic_flag busy;
};

void coppice_session_options_init(coppice_session_options *options) {
    *options = (coppice_session_options){
        .backend = COPPICE_BACKEND_AUTO,
        .sparse = COPPICE_SPARSE_AUTO,
        .tune = COPPICE_TUNE_FAST,
        .isa = COPPICE_ISA_BEST,
        .cache = true,
    };
}

/* Puts the model's path before the message. */
static coppice_status in_file(const coppice_session *session, coppice_status status,
                              coppice_error *err) {
    if (status && status != COPPICE_BUSY && status != COPPICE_INTERRUPTED) {
        cop_error_prefix(err, "%s", cop_model_path(session->model));
        cop_error_locate(err, cop_model_path(session->model), NULL, -1);
    }
    return status;
}

static coppice_status settle(coppice_session *session, const coppice_session_options *options,
                             coppice_error *err) {
    session->settings = (cop_settings){.backend = options->backend,
                                       .sparse = options->sparse,
                                       .tune = options->tune,
                                       .cache = options->cache,
                                       .pool = options->pool};
    COP_TRY(cop_isa_resolve(options->isa, &session->settings.isa, err));
    if (options->pool)
        return COPPICE_OK;
    COP_TRY(coppice_threadpool_create(options->threads, &session->own_pool, err));
    session->settings.pool = session->own_pool;
    return COPPICE_OK;
}

/* ---- plans ---- */

static void move_to_front(coppice_session *session, int index) {
    cop_plan plan = session->plans[index];
    memmove(session->plans + 1, session->plans, (size_t)index * sizeof plan);
    session->plans[0] = plan;
}

/* Makes room for one more plan, which is to take `bytes`. */
static void drop_old_plans(coppice_session *session, size_t bytes) {
    size_t sum = bytes;
    for (int i = 0; i < KEPT_PLANS; i++) {
        sum += session->plans[i].total_bytes;
        if (i == KEPT_PLANS - 1 || (i > 0 && sum > KEPT_BYTES))
            cop_plan_free(&session->plans[i]);
    }
}

/* Makes plans[0] the plan for these inputs, compiling it when there is none. */
static coppice_status use_plan(coppice_session *session, const coppice_tensor *inputs, size_t count,
                               coppice_error *err) {
    for (int i = 0; inputs && i < KEPT_PLANS; i++) {
        if (cop_plan_fits(&session->plans[i], inputs, count)) {
            move_to_front(session, i);
            return COPPICE_OK;
        }
    }
    cop_plan plan = {0};
    unsigned denormals = cop_denormals_off(); /* constants are folded as the kernels would */
    coppice_status status =
        cop_plan_build(session->graph, inputs, count, &session->settings, &plan, err);
    cop_denormals_restore(denormals);
    if (status) {
        cop_plan_free(&plan);
        return status;
    }
    drop_old_plans(session, plan.total_bytes);
    move_to_front(session, KEPT_PLANS - 1);
    session->plans[0] = plan;
    session->plans[0].strings = &session->strings;
    return COPPICE_OK;
}

/* ---- checking a model before it is run ---- */

static bool has_free_dims(const coppice_model *model) {
    for (size_t i = 0; i < coppice_model_input_count(model); i++) {
        coppice_value_info info = coppice_model_input(model, i);
        if (info.rank < 0)
            return true;
        for (int k = 0; k < info.rank; k++) {
            if (info.dims[k] < 0)
                return true;
        }
    }
    return false;
}

/* Operators and attributes inside of sub-graphs, whatever values they will get. */
static coppice_status check_sub_graphs(const cop_graph *graph, coppice_error *err) {
    static const cop_bound nothing;
    for (size_t i = 0; i < graph->node_count; i++) {
        const cop_node *node = &graph->nodes[i];
        for (size_t a = 0; a < node->attr_count; a++) {
            if (node->attrs[a].kind != COP_ATTR_GRAPH)
                continue;
            cop_shapes shapes = {0};
            const cop_infer_options options = {.bound = &nothing};
            coppice_status status = cop_infer(node->attrs[a].graph, &options, &shapes, err);
            cop_shapes_free(&shapes);
            if (!status)
                status = check_sub_graphs(node->attrs[a].graph, err);
            if (status) {
                cop_error_at_node(err, graph, node);
                return status;
            }
        }
    }
    return COPPICE_OK;
}

static coppice_status check_operators(const cop_graph *graph, coppice_error *err) {
    for (size_t i = 0; i < graph->node_count; i++) {
        const cop_node *node = &graph->nodes[i];
        if (cop_node_is_constant(graph, node))
            continue;
        coppice_status status = cop_check_node(graph, node, err);
        if (status) {
            cop_error_at_node(err, graph, node);
            return status;
        }
    }
    return COPPICE_OK;
}

/* Attributes that operators do not have, in sub-graphs too. Not of operators that there are none
 * of: whether they are needed is seen later. */
static coppice_status check_attributes(const cop_graph *graph, coppice_error *err) {
    coppice_status status = COPPICE_OK;
    for (size_t i = 0; !status && i < graph->node_count; i++) {
        const cop_node *node = &graph->nodes[i];
        int64_t opset = cop_node_opset(graph, node);
        const cop_op *op = cop_op_find(node->domain, node->op, opset);
        if (op && !cop_node_is_constant(graph, node))
            status = cop_op_check_attributes(op, node, opset, err);
        for (size_t a = 0; !status && a < node->attr_count; a++) {
            if (node->attrs[a].kind == COP_ATTR_GRAPH)
                status = check_attributes(node->attrs[a].graph, err);
        }
        if (status)
            cop_error_at_node(err, graph, node);
    }
    return status;
}

/* Who reads an output goes by the type that the model declares. */
static coppice_status check_output(const coppice_session *session, size_t i,
                                   const cop_operand *operand, coppice_error *err) {
    coppice_value_info info = coppice_model_output(session->model, i);
    coppice_type type = cop_onnx_type(operand);
    if (info.kind != COPPICE_KIND_TENSOR || operand->kind != COPPICE_KIND_TENSOR || !info.type ||
        !type || info.type == type)
        return COPPICE_OK;
    return cop_fail(err, COPPICE_BAD_MODEL, "output '%s' is %s, the model declares %s", info.name,
                    coppice_type_name(type), coppice_type_name(info.type));
}

static coppice_status check_known_outputs(const coppice_session *session, const cop_shapes *shapes,
                                          coppice_error *err) {
    const cop_graph *graph = session->graph;
    for (size_t i = 0; i < graph->output_count; i++) {
        int value = graph->outputs[i];
        if (shapes->known[value])
            COP_TRY(check_output(session, i, &shapes->values[value], err));
    }
    return COPPICE_OK;
}

static coppice_status check_made_outputs(const coppice_session *session, coppice_error *err) {
    const cop_plan *plan = &session->plans[0];
    for (size_t i = 0; i < plan->output_count; i++)
        COP_TRY(check_output(session, i, cop_plan_output(plan, i), err));
    return COPPICE_OK;
}

/* Refuses what cannot run. Free dimensions of 1 may not suit the model; then only what does not
 * depend on shapes is an error now. */
static coppice_status check(coppice_session *session, coppice_error *err) {
    const cop_graph *graph = session->graph;
    COP_TRY(check_operators(graph, err));
    COP_TRY(check_sub_graphs(graph, err));
    cop_shapes shapes = {0};
    cop_infer_options options = {0};
    coppice_status status = cop_infer(graph, &options, &shapes, err);
    if (!status)
        status = check_known_outputs(session, &shapes, err);
    cop_shapes_free(&shapes);
    bool decided = status == COPPICE_UNSUPPORTED || status == COPPICE_OUT_OF_MEMORY ||
                   status == COPPICE_LIMIT || !has_free_dims(session->model);
    return decided ? status : COPPICE_OK;
}

/* Puts masked weights into the session's graph. */
static coppice_status apply_masks(coppice_session *session, const coppice_masks *masks,
                                  coppice_error *err) {
    const cop_constants *constants = cop_model_constants(session->model);
    for (size_t i = 0; masks && i < masks->count; i++) {
        const cop_mask *mask = &masks->items[i];
        const cop_constant *constant = cop_constants_find(constants, mask->name);
        if (!constant || !cop_mask_fits(mask, &constant->tensor))
            return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                            "mask '%s': the model has no initializer of this name and shape",
                            mask->name);
    }
    return !masks || cop_graph_mask(session->graph, masks, &session->arena)
               ? COPPICE_OK
               : cop_fail_memory(err, 0);
}

static coppice_status compile(coppice_session *session, const coppice_masks *masks,
                              coppice_error *err) {
    const cop_graph *source = cop_model_graph_const(session->model);
    session->graph = cop_graph_copy(source, &session->arena, err);
    if (!session->graph)
        return COPPICE_OUT_OF_MEMORY;
    COP_TRY(apply_masks(session, masks, err));
    COP_TRY(check_attributes(session->graph, err));
    COP_TRY(cop_passes_run(session->graph, err));
    return check(session, err);
}

/* ---- the public functions ---- */

static coppice_status create(const coppice_model *model, const coppice_session_options *options,
                             coppice_session **out, coppice_error *err) {
    coppice_session *session = cop_calloc(1, sizeof *session);
    if (!session)
        return cop_fail_memory(err, sizeof *session);
    session->model = model;
    coppice_status status = settle(session, options, err);
    if (!status)
        status = in_file(session, compile(session, options->masks, err), err);
    if (status) {
        coppice_session_free(session);
        return status;
    }
    *out = session;
    return COPPICE_OK;
}

coppice_status coppice_session_create(const coppice_model *model,
                                      const coppice_session_options *options, coppice_session **out,
                                      coppice_error *err) {
    coppice_session_options defaults;
    coppice_session_options_init(&defaults);
    *out = NULL;
    const coppice_host *before = cop_memory_enter(cop_model_host(model));
    return cop_memory_leave(before, create(model, options ? options : &defaults, out, err));
}

void coppice_session_free(coppice_session *session) {
    if (!session)
        return;
    for (int i = 0; i < KEPT_PLANS; i++)
        cop_plan_free(&session->plans[i]);
    cop_profile_free(&session->profile);
    cop_arena_free(&session->values);
    cop_arena_free(&session->strings);
    if (session->graph)
        cop_graph_free(session->graph);
    cop_arena_free(&session->arena);
    coppice_threadpool_free(session->own_pool);
    cop_free(session);
}

static coppice_status check_count(const coppice_session *session, size_t count,
                                  coppice_error *err) {
    size_t wanted = coppice_model_input_count(session->model);
    if (count == wanted)
        return COPPICE_OK;
    return cop_fail(err, COPPICE_INVALID_ARGUMENT, "%zu inputs given, the model wants %zu", count,
                    wanted);
}

static coppice_status check_inputs(const coppice_session *session, const coppice_tensor *inputs,
                                   size_t count, coppice_error *err) {
    COP_TRY(check_count(session, count, err));
    for (size_t i = 0; i < count; i++) {
        const coppice_value value = {.tensor = inputs[i]};
        COP_TRY(cop_check_value(&value, coppice_model_input(session->model, i).name, err));
    }
    return COPPICE_OK;
}

/* Between `enter`, when it succeeds, and `leave` a session is this call's. */
static coppice_status enter(coppice_session *session, const coppice_host **before,
                            coppice_error *err) {
    *before = cop_memory_host();
    if (atomic_flag_test_and_set(&session->busy))
        return cop_fail(err, COPPICE_BUSY,
                        "the session is running already; use one session per thread");
    cop_memory_enter(cop_model_host(session->model));
    return COPPICE_OK;
}

static coppice_status leave(coppice_session *session, const coppice_host *before,
                            coppice_status status, coppice_error *err) {
    cop_memory_enter(before);
    atomic_flag_clear(&session->busy);
    return in_file(session, status, err);
}

coppice_status coppice_session_prepare(coppice_session *session, const coppice_tensor *inputs,
                                       size_t count, coppice_error *err) {
    const coppice_host *before;
    COP_TRY(enter(session, &before, err));
    return leave(session, before, use_plan(session, inputs, count, err), err);
}

static coppice_status only_tensors(const coppice_session *session, coppice_error *err) {
    const cop_plan *plan = &session->plans[0];
    for (size_t i = 0; i < plan->output_count; i++) {
        if (plan->outputs[i].type == COPPICE_TYPE_UNDEFINED)
            return cop_fail(err, COPPICE_UNSUPPORTED,
                            "output '%s' is a %s: use coppice_session_run_values",
                            coppice_model_output(session->model, i).name,
                            coppice_kind_name(cop_plan_output(plan, i)->kind));
    }
    return COPPICE_OK;
}

static coppice_status run(coppice_session *session, const coppice_tensor *inputs, size_t count,
                          coppice_error *err) {
    COP_TRY(check_inputs(session, inputs, count, err));
    COP_TRY(use_plan(session, inputs, count, err));
    cop_arena_free(&session->strings);
    COP_TRY(cop_plan_run(&session->plans[0], inputs, NULL, err));
    return check_made_outputs(session, err);
}

coppice_status coppice_session_run(coppice_session *session, const coppice_tensor *inputs,
                                   size_t count, const coppice_tensor **outputs,
                                   coppice_error *err) {
    *outputs = NULL;
    const coppice_host *before;
    COP_TRY(enter(session, &before, err));
    coppice_status status = run(session, inputs, count, err);
    if (!status)
        status = only_tensors(session, err);
    if (!status)
        *outputs = session->plans[0].outputs;
    return leave(session, before, status, err);
}

/* Runs plans[0] on values. */
static coppice_status run_plan(coppice_session *session, const coppice_value *inputs,
                               coppice_error *err) {
    cop_plan *plan = &session->plans[0];
    cop_plan_start(plan);
    for (size_t i = 0; i < plan->input_count; i++) {
        cop_operand operand;
        coppice_status status =
            cop_operand_from_value(&inputs[i], &session->strings, &operand, err);
        if (!status)
            status = cop_plan_set_input(plan, i, &operand, err);
        cop_operand_release(&operand);
        COP_TRY(status);
    }
    return cop_plan_execute(plan, NULL, err);
}

/* An optional may be given as what is in it. */
static coppice_status check_kind(const coppice_value *value, const coppice_value_info *info,
                                 coppice_error *err) {
    bool declared = info->kind != COPPICE_KIND_TENSOR || info->type != COPPICE_TYPE_UNDEFINED;
    if (!declared || value->kind == info->kind || info->kind == COPPICE_KIND_OPTIONAL)
        return COPPICE_OK;
    return cop_fail(err, COPPICE_INVALID_ARGUMENT, "input '%s' is a %s, the model wants a %s",
                    info->name, coppice_kind_name(value->kind), coppice_kind_name(info->kind));
}

/* Shapes of inputs; those that are no tensors have an UNDEFINED type. */
static coppice_status shapes_of(const coppice_session *session, const coppice_value *values,
                                size_t count, coppice_tensor **out, coppice_error *err) {
    COP_TRY(check_count(session, count, err));
    *out = cop_calloc(count + 1, sizeof **out);
    if (!*out)
        return cop_fail_memory(err, count * sizeof **out);
    for (size_t i = 0; i < count; i++) {
        coppice_value_info info = coppice_model_input(session->model, i);
        COP_TRY(cop_check_value(&values[i], info.name, err));
        COP_TRY(check_kind(&values[i], &info, err));
        if (values[i].kind == COPPICE_KIND_TENSOR)
            (*out)[i] = values[i].tensor;
    }
    return COPPICE_OK;
}

static coppice_status run_values(coppice_session *session, const coppice_value *inputs,
                                 size_t count, const coppice_value **outputs, coppice_error *err) {
    coppice_tensor *shapes = NULL;
    coppice_status status = shapes_of(session, inputs, count, &shapes, err);
    if (!status)
        status = use_plan(session, shapes, count, err);
    cop_free(shapes);
    COP_TRY(status);
    cop_arena_free(&session->strings);
    cop_arena_free(&session->values);
    COP_TRY(run_plan(session, inputs, err));
    COP_TRY(check_made_outputs(session, err));
    const cop_plan *plan = &session->plans[0];
    coppice_value *made = cop_arena_array(&session->values, plan->output_count + 1, sizeof *made);
    if (!made)
        return cop_fail_memory(err, plan->output_count * sizeof *made);
    for (size_t i = 0; i < plan->output_count; i++)
        COP_TRY(cop_value_from_operand(cop_plan_output(plan, i), &session->values, &made[i], err));
    *outputs = made;
    return COPPICE_OK;
}

coppice_status coppice_session_run_values(coppice_session *session, const coppice_value *inputs,
                                          size_t count, const coppice_value **outputs,
                                          coppice_error *err) {
    *outputs = NULL;
    const coppice_host *before;
    COP_TRY(enter(session, &before, err));
    coppice_status status = run_values(session, inputs, count, outputs, err);
    return leave(session, before, status, err);
}

static coppice_status profile(coppice_session *session, const coppice_tensor *inputs, size_t count,
                              unsigned runs, coppice_error *err) {
    if (inputs)
        COP_TRY(check_inputs(session, inputs, count, err));
    if (inputs || !session->plans[0].memory)
        COP_TRY(use_plan(session, inputs, count, err));
    return cop_profile_run(&session->plans[0], inputs, runs, &session->profile, err);
}

coppice_status coppice_session_profile(coppice_session *session, const coppice_tensor *inputs,
                                       size_t count, unsigned runs,
                                       const coppice_profile_row **rows, size_t *row_count,
                                       coppice_error *err) {
    *rows = NULL;
    *row_count = 0;
    const coppice_host *before;
    COP_TRY(enter(session, &before, err));
    coppice_status status = profile(session, inputs, count, runs, err);
    if (!status) {
        *rows = session->profile.rows;
        *row_count = session->plans[0].step_count;
    }
    return leave(session, before, status, err);
}
