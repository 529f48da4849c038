/* From the unpacked message to the graph: values, nodes, attributes, sub-graphs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/subgraph.h"
#include "graph/quantized.h"
#include "onnx/functions.h"
#include "onnx/internal.h"

typedef struct builder {
    coppice_model *model;
    coppice_error *err;
    int depth; /* of sub-graphs */
    cop_functions functions;
    cop_scope *scope; /* of the call whose body is built; NULL: the model's graph */
    cop_map shared;   /* message that functions may read again to its constant, by address */
} builder;

static coppice_status build_graph(builder *b, cop_graph *graph, Onnx__GraphProto *proto);

static coppice_status no_memory(builder *b) {
    return cop_fail_memory(b->err, 0);
}

static const char *domain_of(const char *domain) {
    return !domain || strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

/* The name in the graph; NULL with an error. */
static const char *local_name(builder *b, const char *name) {
    const char *local = cop_scope_name(b->model, &b->functions, b->scope, cop_or_empty(name));
    if (!local)
        cop_fail(b->err, COPPICE_LIMIT, "names in calls of functions take too much memory");
    return local;
}

#define LOCAL_NAME(b, out, name)                                                                   \
    const char *out = local_name(b, name);                                                         \
    if (!(out))                                                                                    \
    return COPPICE_LIMIT

/* ---- constants that several calls of a function share ---- */

/* The constant that was made of `message` before, or NULL. */
static cop_constant *find_shared(const builder *b, const void *message) {
    char key[32];
    snprintf(key, sizeof key, "%p", message);
    cop_constant *constant = (cop_constant *)(intptr_t)cop_map_get(&b->shared, key, 0);
    if (constant)
        constant->shared = true;
    return constant;
}

static coppice_status share(builder *b, const void *message, cop_constant *constant) {
    const char *key = b->functions.count ? cop_arena_printf(&b->model->arena, "%p", message) : "";
    if (!b->functions.count || (key && cop_map_set(&b->shared, key, (int64_t)(intptr_t)constant)))
        return COPPICE_OK;
    return no_memory(b);
}

static coppice_status load_tensor(builder *b, Onnx__TensorProto *tensor, Onnx__GraphProto *graph,
                                  cop_constant **out) {
    *out = find_shared(b, tensor);
    if (*out)
        return COPPICE_OK;
    COP_TRY(cop_tensor_load(b->model, tensor, graph, out, b->err));
    return share(b, tensor, *out);
}

static coppice_status load_sparse(builder *b, Onnx__SparseTensorProto *sparse,
                                  Onnx__GraphProto *graph, cop_constant **out) {
    *out = find_shared(b, sparse);
    if (*out)
        return COPPICE_OK;
    COP_TRY(cop_sparse_load(b->model, sparse, graph, out, b->err));
    return share(b, sparse, *out);
}

/* ---- values ---- */

/* The type of the tensors inside sequences and optionals, which may be inside each other; NULL:
 * there are none. */
static const Onnx__TypeProto__Tensor *inner_tensor(const Onnx__TypeProto *type) {
    while (type && type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE) {
        if (type->value_case == ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE)
            type = type->sequence_type->elem_type;
        else if (type->value_case == ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE)
            type = type->optional_type->elem_type;
        else
            return NULL;
    }
    return type ? type->tensor_type : NULL;
}

static coppice_kind kind_of_type(const Onnx__TypeProto *type) {
    switch (type->value_case) {
    case ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE:
        return COPPICE_KIND_SEQUENCE;
    case ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE:
        return COPPICE_KIND_OPTIONAL;
    case ONNX__TYPE_PROTO__VALUE_MAP_TYPE:
        return COPPICE_KIND_MAP;
    default:
        return COPPICE_KIND_TENSOR;
    }
}

static coppice_status declare(builder *b, cop_graph *graph, int index,
                              const Onnx__TypeProto *type) {
    if (!type)
        return COPPICE_OK;
    cop_value *value = &graph->values[index];
    value->kind = kind_of_type(type);
    const Onnx__TypeProto__Tensor *tensor = inner_tensor(type);
    if (tensor && (coppice_type_bits((coppice_type)tensor->elem_type) ||
                   tensor->elem_type == COPPICE_TYPE_STRING))
        value->type = (coppice_type)tensor->elem_type;
    if (value->kind != COPPICE_KIND_TENSOR || !tensor || !tensor->shape ||
        tensor->shape->n_dim > INT16_MAX)
        return COPPICE_OK;
    size_t rank = tensor->shape->n_dim;
    cop_dim *dims = cop_arena_array(&b->model->arena, rank, sizeof *dims);
    if (!dims)
        return no_memory(b);
    for (size_t i = 0; i < rank; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = tensor->shape->dim[i];
        dims[i].size = -1;
        if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE)
            dims[i].size = dim->dim_value < 0 ? -1 : dim->dim_value;
        else if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM &&
                 cop_or_empty(dim->dim_param)[0])
            dims[i].symbol = dim->dim_param;
    }
    value->rank = (int)rank;
    value->dims = dims;
    return COPPICE_OK;
}

/* Adds the value of an initializer. */
static coppice_status add_initializer(builder *b, cop_graph *graph, const char *name,
                                      cop_constant *constant) {
    if (!name[0])
        return cop_fail(b->err, COPPICE_BAD_MODEL, "an initializer has no name");
    LOCAL_NAME(b, local, name);
    int index = cop_graph_value(graph, local);
    if (index < 0)
        return no_memory(b);
    cop_value *value = &graph->values[index];
    if (value->is_initializer)
        return cop_fail(b->err, COPPICE_BAD_MODEL,
                        "two initializers have this name: names must be unique");
    value->is_initializer = true;
    value->constant = constant;
    return COPPICE_OK;
}

static coppice_status add_initializers(builder *b, cop_graph *graph, Onnx__GraphProto *proto) {
    coppice_status status = COPPICE_OK;
    const char *name = "";
    for (size_t i = 0; status == COPPICE_OK && i < proto->n_initializer; i++) {
        cop_constant *constant;
        name = cop_or_empty(proto->initializer[i]->name);
        status = load_tensor(b, proto->initializer[i], proto, &constant);
        if (status == COPPICE_OK)
            status = add_initializer(b, graph, name, constant);
    }
    for (size_t i = 0; status == COPPICE_OK && i < proto->n_sparse_initializer; i++) {
        cop_constant *constant;
        Onnx__SparseTensorProto *sparse = proto->sparse_initializer[i];
        name = sparse->values ? cop_or_empty(sparse->values->name) : "";
        status = load_sparse(b, sparse, proto, &constant);
        if (status == COPPICE_OK)
            status = add_initializer(b, graph, name, constant);
    }
    if (status != COPPICE_OK) {
        cop_error_prefix(b->err, "initializer '%s'", name);
        cop_error_locate(b->err, NULL, name, -1);
    }
    return status;
}

static coppice_status add_inputs(builder *b, cop_graph *graph, Onnx__GraphProto *proto) {
    graph->inputs = cop_arena_array(&b->model->arena, proto->n_input, sizeof(int));
    if (!graph->inputs)
        return no_memory(b);
    for (size_t i = 0; i < proto->n_input; i++) {
        LOCAL_NAME(b, name, proto->input[i]->name);
        if (!name[0])
            return cop_fail(b->err, COPPICE_BAD_MODEL, "graph input %zu has no name", i);
        int index = cop_graph_value(graph, name);
        if (index < 0)
            return no_memory(b);
        cop_value *value = &graph->values[index];
        if (value->is_input)
            return cop_fail(b->err, COPPICE_BAD_MODEL,
                            "two graph inputs are named '%s': names must be unique", name);
        value->is_input = true;
        if (value->constant)
            value->constant->repeated_as_input = true;
        graph->inputs[graph->input_count++] = index;
        COP_TRY(declare(b, graph, index, proto->input[i]->type));
    }
    return COPPICE_OK;
}

/* Outputs and value_info come behind the nodes, so that a declaration alone makes no value. */
static coppice_status add_outputs(builder *b, cop_graph *graph, Onnx__GraphProto *proto) {
    graph->outputs = cop_arena_array(&b->model->arena, proto->n_output, sizeof(int));
    if (!graph->outputs)
        return no_memory(b);
    for (size_t i = 0; i < proto->n_value_info; i++) {
        LOCAL_NAME(b, name, proto->value_info[i]->name);
        int index = cop_graph_find(graph, name);
        if (index >= 0)
            COP_TRY(declare(b, graph, index, proto->value_info[i]->type));
    }
    for (size_t i = 0; i < proto->n_output; i++) {
        LOCAL_NAME(b, name, proto->output[i]->name);
        if (!name[0])
            return cop_fail(b->err, COPPICE_BAD_MODEL, "graph output %zu has no name", i);
        int index = cop_graph_value(graph, name);
        if (index < 0)
            return no_memory(b);
        if (graph->values[index].constant)
            graph->values[index].constant->is_output = true;
        graph->outputs[graph->output_count++] = index;
        COP_TRY(declare(b, graph, index, proto->output[i]->type));
    }
    return COPPICE_OK;
}

/* ---- attributes ---- */

/* The kind of an attribute; files of 2017 leave `type` out. */
static Onnx__AttributeProto__AttributeType kind_of(const Onnx__AttributeProto *a) {
    if (a->has_type && a->type != ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED)
        return a->type;
    return a->has_f     ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT
           : a->has_i   ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT
           : a->has_s   ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING
           : a->t       ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR
           : a->g       ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH
           : a->floats  ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS
           : a->strings ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS
                        : ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
}

static bool copy_string(builder *b, ProtobufCBinaryData from, cop_string *to) {
    to->data = cop_arena_strndup(&b->model->arena, (const char *)from.data, from.len);
    to->length = from.len;
    return to->data != NULL;
}

static coppice_status copy_strings(builder *b, const Onnx__AttributeProto *a, cop_attr *attr) {
    cop_string *strings = cop_arena_array(&b->model->arena, a->n_strings, sizeof *strings);
    if (!strings)
        return no_memory(b);
    for (size_t i = 0; i < a->n_strings; i++) {
        if (!copy_string(b, a->strings[i], &strings[i]))
            return no_memory(b);
    }
    attr->strings = strings;
    attr->count = a->n_strings;
    attr->kind = COP_ATTR_STRINGS;
    return COPPICE_OK;
}

static coppice_status build_subgraph(builder *b, cop_graph *graph, Onnx__GraphProto *proto,
                                     cop_attr *attr) {
    if (b->depth >= COP_MAX_GRAPH_DEPTH)
        return cop_fail(b->err, COPPICE_LIMIT, "more than %d graphs inside each other",
                        COP_MAX_GRAPH_DEPTH);
    cop_graph *inner = cop_graph_new(&b->model->arena, graph, cop_or_empty(proto->name));
    if (!inner)
        return no_memory(b);
    attr->kind = COP_ATTR_GRAPH;
    attr->graph = inner;
    b->depth++;
    coppice_status status = build_graph(b, inner, proto);
    b->depth--;
    return status;
}

static coppice_status build_attr(builder *b, cop_graph *graph, Onnx__AttributeProto *a,
                                 cop_attr *attr) {
    attr->name = cop_or_empty(a->name);
    attr->kind = COP_ATTR_OTHER;
    switch (kind_of(a)) {
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT:
        attr->kind = COP_ATTR_FLOAT;
        attr->f = a->f;
        return COPPICE_OK;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT:
        attr->kind = COP_ATTR_INT;
        attr->i = a->i;
        return COPPICE_OK;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING:
        attr->kind = COP_ATTR_STRING;
        return copy_string(b, a->s, &attr->s) ? COPPICE_OK : no_memory(b);
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS:
        attr->kind = COP_ATTR_FLOATS;
        attr->floats = a->floats;
        attr->count = a->n_floats;
        return COPPICE_OK;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
        attr->kind = COP_ATTR_INTS;
        attr->ints = a->ints;
        attr->count = a->n_ints;
        return COPPICE_OK;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS:
        return copy_strings(b, a, attr);
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR:
        if (!a->t)
            return cop_fail(b->err, COPPICE_BAD_MODEL, "is a tensor but holds none");
        attr->kind = COP_ATTR_TENSOR;
        return load_tensor(b, a->t, NULL, &attr->tensor);
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH:
        if (!a->g)
            return cop_fail(b->err, COPPICE_BAD_MODEL, "is a graph but holds none");
        return build_subgraph(b, graph, a->g, attr);
    default:
        return COPPICE_OK;
    }
}

/* ---- Constant nodes ---- */

static coppice_status alias(builder *b, coppice_type type, void *data, size_t count, bool scalar,
                            cop_constant **out) {
    *out = data ? find_shared(b, data) : NULL;
    if (*out)
        return COPPICE_OK;
    coppice_tensor tensor = {
        .type = type, .rank = scalar ? 0 : 1, .dims = {(int64_t)count}, .data = data};
    size_t bytes = (size_t)coppice_tensor_bytes(&tensor);
    *out = cop_constant_new(b->model, (cop_origin){.kind = COP_ORIGIN_ALIAS}, tensor, bytes);
    return *out ? share(b, data, *out) : no_memory(b);
}

static coppice_status alias_strings(builder *b, const ProtobufCBinaryData *from, size_t count,
                                    bool scalar, cop_constant **out) {
    coppice_string *strings = cop_arena_array(&b->model->arena, count, sizeof *strings);
    if (!strings)
        return no_memory(b);
    for (size_t i = 0; i < count; i++)
        strings[i] = (coppice_string){(const char *)from[i].data, from[i].len};
    return alias(b, COPPICE_TYPE_STRING, strings, count, scalar, out);
}

/* The constant that a Constant node makes of its attribute; NULL when it is of no known kind. */
static coppice_status constant_of(builder *b, const cop_attr *attr, Onnx__AttributeProto *a,
                                  cop_constant **out) {
    if (!strcmp(attr->name, "value") && attr->kind == COP_ATTR_TENSOR)
        *out = attr->tensor;
    else if (!strcmp(attr->name, "sparse_value") && a->sparse_tensor)
        return load_sparse(b, a->sparse_tensor, NULL, out);
    else if (!strcmp(attr->name, "value_float"))
        return alias(b, COPPICE_TYPE_FLOAT, &a->f, 1, true, out);
    else if (!strcmp(attr->name, "value_int"))
        return alias(b, COPPICE_TYPE_INT64, &a->i, 1, true, out);
    else if (!strcmp(attr->name, "value_string"))
        return alias_strings(b, &a->s, 1, true, out);
    else if (!strcmp(attr->name, "value_floats"))
        return alias(b, COPPICE_TYPE_FLOAT, a->floats, a->n_floats, false, out);
    else if (!strcmp(attr->name, "value_ints"))
        return alias(b, COPPICE_TYPE_INT64, a->ints, a->n_ints, false, out);
    else if (!strcmp(attr->name, "value_strings"))
        return alias_strings(b, a->strings, a->n_strings, false, out);
    return COPPICE_OK;
}

static bool is_constant(const cop_node *node) {
    return cop_is_op(node, "Constant") && node->input_count == 0 && node->output_count == 1 &&
           node->outputs[0] >= 0;
}

/* ---- nodes ---- */

static coppice_status name_values(builder *b, cop_graph *graph, char **names, size_t count,
                                  int *indices) {
    for (size_t i = 0; i < count; i++) {
        LOCAL_NAME(b, name, names[i]);
        if (!name[0])
            continue;
        indices[i] = cop_graph_value(graph, name);
        if (indices[i] < 0)
            return no_memory(b);
    }
    return COPPICE_OK;
}

/* Adds an attribute of the node, and what a Constant makes of it. One that refers to an attribute
 * of the function which neither the call nor the function gives is left out. */
static coppice_status add_attr(builder *b, cop_graph *graph, cop_node *node,
                               Onnx__AttributeProto *a) {
    cop_attr *attr = &node->attrs[node->attr_count];
    cop_scope *own = b->scope, *where;
    Onnx__AttributeProto *value = cop_scope_attribute(own, a, &where);
    if (!value)
        return COPPICE_OK;
    b->scope = where;
    coppice_status status = build_attr(b, graph, value, attr);
    b->scope = own;
    attr->name = cop_or_empty(a->name);
    node->attr_count++; /* also of one that failed, whose graph is to be freed */
    if (status) {
        cop_error_prefix(b->err, "attribute '%s'", attr->name);
        return status;
    }
    if (!is_constant(node) || graph->values[node->outputs[0]].constant)
        return COPPICE_OK;
    return constant_of(b, attr, value, &graph->values[node->outputs[0]].constant);
}

/* Fills a node; the graph's array of nodes does not move meanwhile (sub-graphs have their own). */
static coppice_status fill_node(builder *b, cop_graph *graph, cop_node *node,
                                Onnx__NodeProto *proto) {
    node->name = cop_or_empty(proto->name);
    node->domain = domain_of(proto->domain);
    node->attr_count = 0;
    if (b->scope) {
        LOCAL_NAME(b, name, proto->name);
        node->name = name;
        node->opset = cop_scope_opset(b->scope, node->domain);
    }
    COP_TRY(name_values(b, graph, proto->input, proto->n_input, node->inputs));
    COP_TRY(name_values(b, graph, proto->output, proto->n_output, node->outputs));
    for (size_t i = 0; i < proto->n_attribute; i++)
        COP_TRY(add_attr(b, graph, node, proto->attribute[i]));
    return COPPICE_OK;
}

static coppice_status inline_call(builder *b, cop_graph *graph, const Onnx__NodeProto *proto,
                                  const cop_function *function);

static coppice_status add_node(builder *b, cop_graph *graph, Onnx__NodeProto *proto, size_t index) {
    if (!cop_or_empty(proto->op_type)[0])
        return cop_fail(b->err, COPPICE_BAD_MODEL, "node %zu ('%s') has no operator type", index,
                        cop_or_empty(proto->name));
    if (proto->n_input > INT32_MAX || proto->n_output > INT32_MAX)
        return cop_fail(b->err, COPPICE_LIMIT, "node %zu has too many inputs or outputs", index);
    const cop_function *function = cop_functions_find(&b->functions, proto);
    if (function)
        return inline_call(b, graph, proto, function);
    cop_node *node = cop_graph_add_node(graph, proto->op_type, (int)proto->n_input,
                                        (int)proto->n_output, proto->n_attribute);
    if (!node)
        return no_memory(b);
    coppice_status status = fill_node(b, graph, node, proto);
    if (status != COPPICE_OK)
        cop_error_at_node(b->err, graph, node);
    return status;
}

/* ---- functions ---- */

/* Output `i` of the call is a value that the body does not make under this name. */
static coppice_status hand_through(builder *b, cop_graph *graph, const cop_scope *scope, size_t i) {
    LOCAL_NAME(b, from, scope->function->proto->output[i]);
    b->scope = (cop_scope *)scope->outer;
    const char *to = local_name(b, scope->call->output[i]);
    b->scope = (cop_scope *)scope;
    cop_node *node = to && from[0] ? cop_graph_add_node(graph, "Identity", 1, 1, 0) : NULL;
    if (to && !from[0])
        return COPPICE_OK; /* an input that the call leaves out */
    if (!node)
        return no_memory(b);
    node->inputs[0] = cop_graph_value(graph, from);
    node->outputs[0] = cop_graph_value(graph, to);
    return node->inputs[0] < 0 || node->outputs[0] < 0 ? no_memory(b) : COPPICE_OK;
}

static coppice_status build_body(builder *b, cop_graph *graph, const cop_scope *scope) {
    const Onnx__FunctionProto *f = scope->function->proto;
    for (size_t i = 0; i < f->n_node; i++)
        COP_TRY(add_node(b, graph, f->node[i], i));
    for (size_t i = 0; i < scope->call->n_output; i++) {
        if (scope->call->output[i][0] && cop_scope_hands_through(scope, i))
            COP_TRY(hand_through(b, graph, scope, i));
    }
    return COPPICE_OK;
}

/* The body of the function in place of the call. Recursion is bounded: cop_scope_enter. */
static coppice_status inline_call(builder *b, cop_graph *graph, const Onnx__NodeProto *proto,
                                  const cop_function *function) {
    cop_scope scope, *outer = b->scope;
    coppice_status status =
        cop_scope_enter(b->model, &b->functions, outer, function, proto, &scope, b->err);
    if (!status) {
        b->scope = &scope;
        status = build_body(b, graph, &scope);
        b->scope = outer;
    }
    cop_scope_leave(&scope);
    if (status && !outer) /* calls inside of it are in the names */
        cop_error_prefix(b->err, "call '%s' of function '%s'",
                         proto->n_output ? proto->output[0] : cop_or_empty(proto->name),
                         function->name);
    return status;
}

/* ---- the graph ---- */

static coppice_status build_graph(builder *b, cop_graph *graph, Onnx__GraphProto *proto) {
    graph->origin = proto;
    COP_TRY(add_initializers(b, graph, proto));
    COP_TRY(add_inputs(b, graph, proto));
    for (size_t i = 0; i < proto->n_node; i++)
        COP_TRY(add_node(b, graph, proto->node[i], i));
    return add_outputs(b, graph, proto);
}

/* ---- the model ---- */

static coppice_status set_opsets(builder *b, cop_graph *graph, const Onnx__ModelProto *proto) {
    if (!proto->n_opset_import && proto->ir_version >= 3)
        return cop_fail(b->err, COPPICE_BAD_MODEL,
                        "imports no operator set: opset_import is empty at IR version %lld",
                        (long long)proto->ir_version);
    size_t count = proto->n_opset_import ? proto->n_opset_import : 1;
    cop_opset *opsets = cop_arena_array(&b->model->arena, count, sizeof *opsets);
    if (!opsets)
        return no_memory(b);
    opsets[0] = (cop_opset){"", 1}; /* what files without imports mean */
    for (size_t i = 0; i < proto->n_opset_import; i++)
        opsets[i] =
            (cop_opset){domain_of(proto->opset_import[i]->domain), proto->opset_import[i]->version};
    graph->opsets = opsets;
    graph->opset_count = count;
    return COPPICE_OK;
}

static coppice_value_info info_of(const cop_value *value) {
    coppice_value_info info = {
        .name = value->name, .kind = value->kind, .type = value->type, .rank = value->rank};
    if (info.rank > COPPICE_MAX_RANK)
        info.rank = -1;
    for (int i = 0; i < info.rank; i++) {
        info.dims[i] = value->dims[i].size;
        info.symbols[i] = value->dims[i].symbol;
    }
    return info;
}

static coppice_status list_infos(builder *b, coppice_model *model) {
    const cop_graph *graph = model->graph;
    model->inputs = cop_arena_array(&model->arena, graph->input_count, sizeof *model->inputs);
    model->outputs = cop_arena_array(&model->arena, graph->output_count, sizeof *model->outputs);
    if (!model->inputs || !model->outputs)
        return no_memory(b);
    for (size_t i = 0; i < graph->input_count; i++) {
        const cop_value *value = &graph->values[graph->inputs[i]];
        if (!value->is_initializer)
            model->inputs[model->input_count++] = info_of(value);
    }
    for (size_t i = 0; i < graph->output_count; i++)
        model->outputs[model->output_count++] = info_of(&graph->values[graph->outputs[i]]);
    return COPPICE_OK;
}

static coppice_status build_model(builder *b) {
    coppice_model *model = b->model;
    COP_TRY(set_opsets(b, model->graph, model->proto));
    COP_TRY(cop_functions_read(model, &b->functions, b->err));
    COP_TRY(build_graph(b, model->graph, model->proto->graph));
    COP_TRY(cop_graph_connect(model->graph, b->err));
    COP_TRY(cop_constants_collect(model->graph, &model->tensors, b->err));
    COP_TRY(cop_graph_mark_quantized(model->graph, b->err));
    COP_TRY(cop_external_find_overlaps(model, b->err));
    return list_infos(b, model);
}

coppice_status cop_model_build(coppice_model *model, coppice_error *err) {
    builder b = {.model = model, .err = err};
    Onnx__ModelProto *proto = model->proto;
    if (proto->ir_version > COP_ONNX_NEWEST_IR)
        COP_TRY(cop_model_add_note(model, err,
                                   "IR version %lld is newer than %d, the newest that is known: "
                                   "new parts of the format are kept but not understood",
                                   (long long)proto->ir_version, COP_ONNX_NEWEST_IR));
    model->graph = cop_graph_new(&model->arena, NULL, cop_or_empty(proto->graph->name));
    if (!model->graph)
        return no_memory(&b);
    coppice_status status = build_model(&b);
    cop_functions_free(&b.functions);
    cop_map_free(&b.shared);
    return status;
}
