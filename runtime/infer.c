/* Shape inference of a whole graph, with everything that is constant computed on the way. */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "runtime/eager.h"
#include "runtime/op.h"
#include "runtime/ops/util.h"

/* Constants that folding makes may take this much, and as much again as the model's own, times 2:
 * what only rearranges weights fits, what a hostile shape asks for does not. */
#define FOLD_BYTES ((int64_t)256 << 20)

typedef struct inference {
    const cop_graph *graph;
    const cop_infer_options *options;
    cop_shapes *shapes;
    coppice_error *err;
    int64_t fold_left;
    const cop_operand **in; /* as many as the widest node has */
    cop_operand *out;
} inference;

/* ---- constants and inputs ---- */

/* Narrow constants of models that no session made its own (passes/widen.c) are converted here when
 * they are small, as shapes may depend on them; of large ones the type is enough. */
enum { WIDENED_ELEMENTS = 1024 };

static void widen_constant(inference *inf, const coppice_tensor *tensor, cop_operand *held) {
    int64_t count = tensor->rank <= COPPICE_MAX_RANK ? coppice_tensor_count(tensor) : -1;
    *held = cop_operand_of(tensor);
    if (count <= 0 || count > WIDENED_ELEMENTS || !tensor->data)
        return;
    held->t.data = cop_arena_array(&inf->shapes->arena, (size_t)count, sizeof(float));
    if (held->t.data)
        cop_operand_fill(held, tensor);
}

static void take_constant(inference *inf, size_t value) {
    const cop_constant *constant = inf->graph->values[value].constant;
    static _Alignas(64) unsigned char nothing[64];
    cop_operand *held = &inf->shapes->values[value];
    if (cop_wide_type(constant->tensor.type) != constant->tensor.type)
        widen_constant(inf, &constant->tensor, held);
    else
        *held = (cop_operand){.t = constant->tensor, .narrow = constant->narrow};
    if (!held->t.data && coppice_tensor_count(&held->t) == 0)
        held->t.data = nothing; /* known, if empty */
    inf->shapes->known[value] = true;
    if (constant->bytes < (size_t)INT64_MAX / 4 && inf->fold_left < INT64_MAX / 4)
        inf->fold_left += 2 * (int64_t)constant->bytes;
}

/* What the model wants of an input, as "[N,3,224,224]". */
static cop_text wanted_text(const cop_value *value) {
    int64_t dims[COPPICE_MAX_RANK];
    const char *symbols[COPPICE_MAX_RANK];
    for (int d = 0; d < value->rank && d < COPPICE_MAX_RANK; d++) {
        dims[d] = value->dims[d].size;
        symbols[d] = value->dims[d].symbol;
    }
    return cop_declared_text(value->rank, dims, symbols);
}

static coppice_status check_given(const inference *inf, const cop_value *value,
                                  const coppice_tensor *given) {
    if (value->type != COPPICE_TYPE_UNDEFINED && given->type != value->type)
        return cop_fail(inf->err, COPPICE_INVALID_ARGUMENT,
                        "input '%s' has type %s, the model wants %s", value->name,
                        coppice_type_name(given->type), coppice_type_name(value->type));
    bool fits = given->rank <= COPPICE_MAX_RANK && coppice_tensor_count(given) >= 0 &&
                (value->rank < 0 || (int)given->rank == value->rank);
    for (int d = 0; fits && d < value->rank; d++)
        fits = value->dims[d].size < 0 || value->dims[d].size == given->dims[d];
    if (fits)
        return COPPICE_OK;
    return cop_fail(inf->err, COPPICE_INVALID_ARGUMENT,
                    "input '%s' has shape %s, the model wants %s", value->name,
                    cop_shape_text(given).s, value->rank < 0 ? "another" : wanted_text(value).s);
}

/* The shape as declared, free dims 1. */
static coppice_status take_declared(inference *inf, const cop_value *value, cop_operand *held) {
    if (value->type == COPPICE_TYPE_UNDEFINED || value->rank < 0 || value->rank > COPPICE_MAX_RANK)
        return cop_fail(inf->err, COPPICE_UNSUPPORTED,
                        "input '%s' is declared as no tensor of a known rank up to %d: give its "
                        "shape (--shape %s:1x3x224x224)",
                        value->name, COPPICE_MAX_RANK, value->name);
    coppice_tensor declared = {.type = value->type, .rank = (uint32_t)value->rank};
    for (int d = 0; d < value->rank; d++)
        declared.dims[d] = value->dims[d].size < 0 ? 1 : value->dims[d].size;
    *held = cop_operand_of(&declared);
    if (coppice_tensor_count(&declared) < 0)
        return cop_fail(inf->err, COPPICE_BAD_MODEL, "the declared shape of input '%s' overflows",
                        value->name);
    return COPPICE_OK;
}

static void take_bound(inference *inf) {
    for (size_t i = 0; i < inf->options->bound_count; i++) {
        const cop_bound *bound = &inf->options->bound[i];
        if (!bound->known)
            continue;
        inf->shapes->values[bound->value] = bound->operand;
        inf->shapes->known[bound->value] = true;
    }
}

/* What was given, or declared. Inputs that are no tensors, and without best effort those declared
 * without rank, stay unknown. */
static coppice_status take_input(inference *inf, size_t value, const coppice_tensor *given) {
    const cop_value *declared = &inf->graph->values[value];
    cop_operand *held = &inf->shapes->values[value];
    coppice_status status;
    if (given && given->type == COPPICE_TYPE_UNDEFINED)
        return COPPICE_OK;
    if (given) {
        *held = cop_operand_of(given);
        status = check_given(inf, declared, given);
    } else if (!inf->options->best_effort &&
               (declared->type == COPPICE_TYPE_UNDEFINED || declared->rank < 0)) {
        return COPPICE_OK;
    } else {
        status = take_declared(inf, declared, held);
    }
    inf->shapes->known[value] = status == COPPICE_OK;
    return status && !inf->options->best_effort ? status : COPPICE_OK;
}

static coppice_status take_inputs(inference *inf) {
    const cop_graph *graph = inf->graph;
    const cop_infer_options *options = inf->options;
    size_t wanted = 0;
    for (size_t i = 0; i < graph->input_count; i++)
        wanted += graph->values[graph->inputs[i]].constant == NULL;
    if (options->inputs && options->input_count != wanted)
        return cop_fail(inf->err, COPPICE_INVALID_ARGUMENT,
                        "the model has %zu inputs, %zu were given", wanted, options->input_count);
    for (size_t i = 0, next = 0; i < graph->input_count; i++) {
        size_t value = (size_t)graph->inputs[i];
        if (!graph->values[value].constant)
            COP_TRY(take_input(inf, value, options->inputs ? &options->inputs[next++] : NULL));
    }
    return COPPICE_OK;
}

/* ---- one node ---- */

static coppice_status check_counts(const cop_op *op, const cop_node *node, coppice_error *err) {
    if (node->input_count < op->min_inputs ||
        (op->max_inputs >= 0 && node->input_count > op->max_inputs))
        return cop_fail(err, COPPICE_BAD_MODEL, "%d inputs, expected %d to %d", node->input_count,
                        op->min_inputs, op->max_inputs);
    if (node->output_count < 1 || (op->max_outputs >= 0 && node->output_count > op->max_outputs))
        return cop_fail(err, COPPICE_BAD_MODEL, "%d outputs, expected 1 to %d", node->output_count,
                        op->max_outputs);
    return COPPICE_OK;
}

static bool has_data(const coppice_tensor *t) {
    return t->data || coppice_tensor_count(t) == 0;
}

static coppice_status check_type(const cop_op *op, const cop_call *call) {
    const coppice_tensor *t = cop_in(call, 0);
    coppice_type type = t ? t->type : COPPICE_TYPE_UNDEFINED;
    if (!op->types || !t || call->in[0]->kind != COPPICE_KIND_TENSOR ||
        type == COPPICE_TYPE_UNDEFINED || ((unsigned)type < 32 && op->types >> type & 1))
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_UNSUPPORTED,
                    "type %s of input '%s' is not supported; supported are %s",
                    coppice_type_name(cop_onnx_type(call->in[0])), cop_in_name(call, 0),
                    cop_types_text(op->types).s);
}

coppice_status cop_check_operands(const cop_op *op, const cop_call *call) {
    for (int i = 0; i < call->node->input_count; i++) {
        const cop_operand *in = call->in[i];
        if (!in && i < op->min_inputs)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "input %d is missing", i);
        if (in && in->kind != COPPICE_KIND_TENSOR && !(op->flags & COP_OP_ANY_KIND))
            return cop_fail(call->err, COPPICE_BAD_MODEL, "input '%s' is a %s, expected a tensor",
                            cop_in_name(call, i), coppice_kind_name(in->kind));
        if (in && in->t.rank > COPPICE_MAX_RANK)
            return cop_fail(call->err, COPPICE_LIMIT,
                            "input '%s' has %u dimensions; at most %d are supported",
                            cop_in_name(call, i), in->t.rank, COPPICE_MAX_RANK);
    }
    return check_type(op, call);
}

coppice_status cop_check_node(const cop_graph *graph, const cop_node *node, coppice_error *err) {
    static const cop_operand unknown;
    const cop_op *op;
    COP_TRY(cop_op_of_node(graph, node, &op, err));
    COP_TRY(check_counts(op, node, err));
    cop_arena arena = {0};
    const cop_operand **in = cop_arena_array(&arena, (size_t)node->input_count + 1, sizeof *in);
    cop_operand *out = cop_arena_array(&arena, (size_t)node->output_count, sizeof *out);
    void *params = cop_arena_alloc(&arena, op->params_size + 1);
    cop_call call = {.graph = graph,
                     .node = node,
                     .opset = cop_node_opset(graph, node),
                     .in = in,
                     .out = out,
                     .err = err};
    for (int i = 0; in && i < node->input_count; i++)
        in[i] = node->inputs[i] < 0 ? NULL : &unknown;
    coppice_status status =
        in && out && params ? cop_check_operands(op, &call) : cop_fail_memory(err, op->params_size);
    if (!status && op->parse)
        status = op->parse(&call, params);
    cop_arena_free(&arena);
    return status;
}

/* Points inf->in at the operands. Unknown ones: COP_NEEDS_DATA, an error in best effort. */
static coppice_status gather_operands(inference *inf, const cop_op *op, const cop_call *call) {
    const cop_node *node = call->node;
    bool unknown = false;
    for (int i = 0; i < node->input_count; i++) {
        int value = node->inputs[i];
        inf->in[i] = value < 0 ? NULL : &inf->shapes->values[value];
        if (value < 0)
            continue;
        unknown |= !inf->shapes->known[value];
        if (!inf->shapes->known[value] && inf->options->best_effort)
            return cop_fail(inf->err, COPPICE_UNSUPPORTED, "the shape of input '%s' is not known",
                            inf->graph->values[value].name);
        const cop_constant *constant = inf->graph->values[value].constant;
        if (constant && !has_data(&constant->tensor) && !(op->flags & COP_OP_SHAPE_ONLY))
            return cop_fail(
                inf->err, COPPICE_UNSUPPORTED, "the elements of constant '%s' (%s) cannot be read",
                inf->graph->values[value].name, coppice_type_name(constant->tensor.type));
    }
    COP_TRY(cop_check_operands(op, call));
    return unknown ? COP_NEEDS_DATA : COPPICE_OK;
}

void cop_settle_narrow(cop_call *call) {
    for (int i = 0; i < call->node->output_count; i++) {
        cop_operand *out = &call->out[i];
        for (int k = 0; !out->narrow && k < call->node->input_count; k++) {
            const cop_operand *in = call->in[k];
            if (in && in->kind == COPPICE_KIND_TENSOR && in->t.type == out->t.type)
                out->narrow = cop_onnx_type(in);
        }
        if (out->narrow == out->t.type)
            out->narrow = COPPICE_TYPE_UNDEFINED;
    }
}

static bool can_fold(const cop_op *op, const cop_call *call) {
    if (op->flags & COP_OP_RANDOM || !op->run || cop_node_has_graphs(call->node))
        return false;
    if (op->flags & COP_OP_SHAPE_ONLY)
        return true;
    for (int i = 0; i < call->node->input_count; i++) {
        if (call->in[i] && !has_data(&call->in[i]->t))
            return false;
    }
    return true;
}

/* Kernels read elements through typed pointers: constants that are not aligned are copied. */
static coppice_status align_operands(inference *inf, const cop_node *node, cop_operand *copies) {
    for (int i = 0; i < node->input_count; i++) {
        const cop_operand *in = inf->in[i];
        size_t each = in ? cop_type_bytes(in->t.type) : 0;
        if (!in || !in->t.data || each < 2 || (uintptr_t)in->t.data % each == 0)
            continue;
        size_t bytes = (size_t)coppice_tensor_bytes(&in->t);
        copies[i] = *in;
        copies[i].t.data = cop_malloc(bytes ? bytes : 1);
        if (!copies[i].t.data)
            return cop_fail_memory(inf->err, bytes);
        memcpy(copies[i].t.data, in->t.data, bytes);
        inf->in[i] = &copies[i];
    }
    return COPPICE_OK;
}

static coppice_status make_room(inference *inf, cop_operand *out) {
    int64_t bytes = coppice_tensor_bytes(&out->t);
    if (bytes > inf->fold_left)
        return cop_fail(inf->err, COPPICE_LIMIT,
                        "a constant of %lld bytes, %s %s, is more than the %lld that may still be "
                        "computed ahead of time",
                        (long long)bytes, coppice_type_name(out->t.type), cop_shape_text(&out->t).s,
                        (long long)inf->fold_left);
    inf->fold_left -= bytes;
    out->t.data = cop_arena_alloc(&inf->shapes->arena, (size_t)bytes);
    return out->t.data ? COPPICE_OK : cop_fail_memory(inf->err, (size_t)bytes);
}

/* Runs `op` on aligned inputs. */
static coppice_status run_aligned(inference *inf, const cop_op *op, cop_call *call) {
    const cop_node *node = call->node;
    cop_operand *copies = cop_calloc((size_t)node->input_count + 1, sizeof *copies);
    coppice_status status =
        copies ? align_operands(inf, node, copies) : cop_fail_memory(inf->err, sizeof *copies);
    call->strings = &inf->shapes->arena;
    if (!status)
        status = cop_eager_run(op, call, NULL);
    for (int i = 0; copies && i < node->input_count; i++) {
        if (copies[i].t.data)
            inf->in[i] = &inf->shapes->values[node->inputs[i]];
        cop_free(copies[i].t.data);
    }
    cop_free(copies);
    return status;
}

static coppice_status run_folded(inference *inf, const cop_op *op, cop_call *call) {
    for (int i = 0; i < call->node->output_count; i++)
        COP_TRY(make_room(inf, &call->out[i]));
    return run_aligned(inf, op, call);
}

/* Moves what a row made itself into the arena. Sequences and optionals stay values of run time:
 * COP_NEEDS_DATA. */
static coppice_status keep_made(inference *inf, cop_operand *out) {
    if (out->kind != COPPICE_KIND_TENSOR)
        return COP_NEEDS_DATA;
    cop_operand made = *out;
    if (!made.block)
        return COPPICE_OK;
    out->block = NULL;
    coppice_status status = make_room(inf, out);
    if (!status)
        memcpy(out->t.data, made.t.data, (size_t)coppice_tensor_bytes(&out->t));
    cop_operand_release(&made);
    return status;
}

/* A row that makes its own outputs, its inputs constant. */
static coppice_status fold_dynamic(inference *inf, const cop_op *op, cop_call *call) {
    if (inf->options->best_effort && !op->run)
        return COP_NEEDS_DATA;
    memset(inf->out, 0, (size_t)call->node->output_count * sizeof *inf->out);
    coppice_status status = run_aligned(inf, op, call);
    for (int i = 0; i < call->node->output_count; i++) {
        coppice_status kept = status ? status : keep_made(inf, &call->out[i]);
        if (kept)
            cop_operand_release(&call->out[i]);
        status = kept;
    }
    if (!status && !(op->flags & COP_OP_ANY_KIND))
        cop_settle_narrow(call);
    return status;
}

/* Computes the outputs when everything they depend on is constant. COP_NEEDS_DATA when that cannot
 * be and they are not known otherwise. */
static coppice_status fold(inference *inf, const cop_op *op, cop_call *call) {
    if (!can_fold(op, call))
        return op->flags & COP_OP_DYNAMIC ? COP_NEEDS_DATA : COPPICE_OK;
    if (op->flags & COP_OP_DYNAMIC)
        return fold_dynamic(inf, op, call);
    if (op->flags & COP_OP_VIEW && call->node->output_count == 1) {
        call->out[0].t.data = call->in[0]->t.data;
        return COPPICE_OK;
    }
    return run_folded(inf, op, call);
}

static coppice_status parse_node(inference *inf, size_t index, cop_call *call) {
    const cop_op *op = inf->shapes->ops[index];
    if (!op->parse)
        return COPPICE_OK;
    void *params = cop_arena_alloc(&inf->shapes->arena, op->params_size);
    if (!params)
        return cop_fail_memory(inf->err, op->params_size);
    COP_TRY(op->parse(call, params));
    call->params = inf->shapes->params[index] = params;
    return COPPICE_OK;
}

static coppice_status infer_outputs(inference *inf, const cop_op *op, cop_call *call) {
    if (op->infer)
        COP_TRY(op->infer(call));
    for (int i = 0; i < call->node->output_count && !(op->flags & COP_OP_DYNAMIC); i++) {
        if (coppice_tensor_bytes(&call->out[i].t) < 0)
            return cop_fail(inf->err, COPPICE_LIMIT, "the output %s has too many elements",
                            cop_shape_text(&call->out[i].t).s);
    }
    return COPPICE_OK;
}

/* Outputs get known; their data only when folding succeeded. */
static void keep_outputs(inference *inf, cop_call *call, bool folded) {
    for (int i = 0; i < call->node->output_count; i++) {
        int value = call->node->outputs[i];
        if (value < 0)
            continue;
        cop_operand *operand = &inf->shapes->values[value];
        *operand = call->out[i];
        inf->shapes->known[value] = true;
        if (!folded)
            operand->t.data = NULL;
    }
}

static coppice_status infer_node(inference *inf, size_t index) {
    const cop_graph *graph = inf->graph;
    const cop_node *node = &graph->nodes[index];
    const cop_op *op;
    if (cop_node_is_constant(graph, node))
        return COPPICE_OK;
    COP_TRY(cop_op_of_node(graph, node, &op, inf->err));
    COP_TRY(check_counts(op, node, inf->err));
    cop_call call = {.graph = graph,
                     .node = node,
                     .opset = cop_node_opset(graph, node),
                     .in = inf->in,
                     .out = inf->out,
                     .err = inf->err};
    inf->shapes->ops[index] = op;
    memset(inf->out, 0, (size_t)node->output_count * sizeof *inf->out);
    coppice_status gathered = gather_operands(inf, op, &call);
    if (gathered && gathered != COP_NEEDS_DATA)
        return gathered;
    COP_TRY(parse_node(inf, index, &call));
    COP_TRY(gathered);
    COP_TRY(infer_outputs(inf, op, &call));
    if (!(op->flags & COP_OP_DYNAMIC))
        cop_settle_narrow(&call);
    coppice_status status = fold(inf, op, &call);
    if (status != COP_NEEDS_DATA && !(status && op->flags & COP_OP_DYNAMIC))
        keep_outputs(inf, &call, status == COPPICE_OK);
    return status;
}

/* What value_info and outputs declare, as far as it says everything. */
static void use_declared(inference *inf, const cop_node *node) {
    for (int i = 0; i < node->output_count; i++) {
        int v = node->outputs[i];
        if (v < 0 || inf->shapes->known[v])
            continue;
        inf->shapes->known[v] =
            take_declared(inf, &inf->graph->values[v], &inf->shapes->values[v]) == COPPICE_OK;
    }
}

/* ---- the graph ---- */

static coppice_status make_tables(inference *inf) {
    const cop_graph *graph = inf->graph;
    cop_shapes *s = inf->shapes;
    size_t inputs = 1, outputs = 1;
    for (size_t i = 0; i < graph->node_count; i++) {
        const cop_node *node = &graph->nodes[i];
        inputs = (size_t)node->input_count > inputs ? (size_t)node->input_count : inputs;
        outputs = (size_t)node->output_count > outputs ? (size_t)node->output_count : outputs;
    }
    s->values = cop_arena_array(&s->arena, graph->value_count, sizeof *s->values);
    s->known = cop_arena_array(&s->arena, graph->value_count, sizeof *s->known);
    s->ops = cop_arena_array(&s->arena, graph->node_count, sizeof *s->ops);
    s->params = cop_arena_array(&s->arena, graph->node_count, sizeof *s->params);
    s->eager = cop_arena_array(&s->arena, graph->node_count, sizeof *s->eager);
    inf->in = cop_arena_array(&s->arena, inputs, sizeof *inf->in);
    inf->out = cop_arena_array(&s->arena, outputs, sizeof *inf->out);
    if (s->values && s->known && s->ops && s->params && s->eager && inf->in && inf->out)
        return COPPICE_OK;
    return cop_fail_memory(inf->err, graph->value_count * sizeof *s->values);
}

coppice_status cop_infer(const cop_graph *graph, const cop_infer_options *options,
                         cop_shapes *shapes, coppice_error *err) {
    static const cop_infer_options defaults = {0};
    coppice_error ignored;
    inference inf = {.graph = graph,
                     .options = options ? options : &defaults,
                     .shapes = shapes,
                     .err = err ? err : &ignored,
                     .fold_left = FOLD_BYTES};
    COP_TRY(make_tables(&inf));
    for (size_t i = 0; i < graph->value_count; i++) {
        if (graph->values[i].constant)
            take_constant(&inf, i);
    }
    take_bound(&inf);
    if (!inf.options->bound)
        COP_TRY(take_inputs(&inf));
    for (size_t i = 0; i < graph->node_count; i++) {
        coppice_status status = infer_node(&inf, i);
        if (!status)
            continue;
        if (status == COP_NEEDS_DATA && !inf.options->best_effort) {
            shapes->eager[i] = true;
            continue;
        }
        if (!inf.options->best_effort || status == COPPICE_OUT_OF_MEMORY) {
            cop_error_at_node(err, graph, &graph->nodes[i]);
            return status;
        }
        use_declared(&inf, &graph->nodes[i]);
    }
    return COPPICE_OK;
}

void cop_shapes_free(cop_shapes *shapes) {
    if (!shapes)
        return;
    cop_arena_free(&shapes->arena);
    *shapes = (cop_shapes){0};
}

/* ---- work ---- */

/* Product of dims from `first` on. */
static int64_t product_from(const coppice_tensor *t, uint32_t first) {
    int64_t product = 1;
    for (uint32_t d = first; d < t->rank; d++) {
        if (!cop_i64_mul(product, t->dims[d], &product))
            return -1;
    }
    return product;
}

int64_t cop_node_macs(const cop_graph *graph, size_t index, const cop_shapes *shapes) {
    const cop_node *node = &graph->nodes[index];
    int64_t per_element = -1, elements = -1, macs;
    if (node->domain[0] || node->input_count < 2 || node->output_count < 1 || node->inputs[0] < 0 ||
        node->inputs[1] < 0 || node->outputs[0] < 0 || !shapes->known[node->inputs[0]] ||
        !shapes->known[node->inputs[1]] || !shapes->known[node->outputs[0]])
        return -1;
    const coppice_tensor *x = &shapes->values[node->inputs[0]].t;
    const coppice_tensor *w = &shapes->values[node->inputs[1]].t;
    const coppice_tensor *y = &shapes->values[node->outputs[0]].t;
    if (!strcmp(node->op, "Conv")) { /* weight [out, in / group, kernel...] */
        per_element = product_from(w, 1);
        elements = coppice_tensor_count(y);
    } else if (!strcmp(node->op, "ConvTranspose")) { /* weight [in, out / group, kernel...] */
        per_element = product_from(w, 1);
        elements = coppice_tensor_count(x);
    } else if (!strcmp(node->op, "MatMul") && x->rank > 0) {
        per_element = x->dims[x->rank - 1];
        elements = coppice_tensor_count(y);
    } else if (!strcmp(node->op, "Gemm") && w->rank == 2) {
        int64_t transposed = 0;
        if (cop_node_int(node, "transB", 0, &transposed, NULL))
            return -1;
        per_element = w->dims[transposed ? 1 : 0];
        elements = coppice_tensor_count(y);
    }
    if (per_element < 0 || elements < 0 || !cop_i64_mul(per_element, elements, &macs))
        return -1;
    return macs;
}
