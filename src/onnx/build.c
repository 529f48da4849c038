/* From the unpacked message to the graph: values, nodes, attributes, sub-graphs. */
#include <stdlib.h>
#include <string.h>

#include "graph/subgraph.h"
#include "graph/quantized.h"
#include "onnx/internal.h"

typedef struct builder {
    coppice_model *model;
    coppice_error *err;
    int depth; /* of sub-graphs */
} builder;

static coppice_status build_graph(builder *b, cop_graph *graph, Onnx__GraphProto *proto);

static coppice_status no_memory(builder *b) {
    return cop_fail_memory(b->err, 0);
}

static const char *domain_of(const char *domain) {
    return !domain || strcmp(domain, "ai.onnx") == 0 ? "" : domain;
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
    int index = cop_graph_value(graph, name);
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
        status = cop_tensor_load(b->model, proto->initializer[i], proto, &constant, b->err);
        if (status == COPPICE_OK)
            status = add_initializer(b, graph, name, constant);
    }
    for (size_t i = 0; status == COPPICE_OK && i < proto->n_sparse_initializer; i++) {
        cop_constant *constant;
        Onnx__SparseTensorProto *sparse = proto->sparse_initializer[i];
        name = sparse->values ? cop_or_empty(sparse->values->name) : "";
        status = cop_sparse_load(b->model, sparse, proto, &constant, b->err);
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
        const char *name = cop_or_empty(proto->input[i]->name);
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
        int index = cop_graph_find(graph, cop_or_empty(proto->value_info[i]->name));
        if (index >= 0)
            COP_TRY(declare(b, graph, index, proto->value_info[i]->type));
    }
    for (size_t i = 0; i < proto->n_output; i++) {
        const char *name = cop_or_empty(proto->output[i]->name);
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
        return cop_tensor_load(b->model, a->t, NULL, &attr->tensor, b->err);
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH:
        if (!a->g)
            return cop_fail(b->err, COPPICE_BAD_MODEL, "is a graph but holds none");
        return build_subgraph(b, graph, a->g, attr);
    default:
        return COPPICE_OK;
    }
}

/* ---- Constant nodes ---- */

static coppice_status alias(builder *b, coppice_type type, void *data, int64_t count, bool scalar,
                            cop_constant **out) {
    coppice_tensor tensor = {.type = type, .rank = scalar ? 0 : 1, .dims = {count}, .data = data};
    size_t bytes = (size_t)count * coppice_type_bits(type) / 8;
    *out = cop_constant_new(b->model, (cop_origin){.kind = COP_ORIGIN_ALIAS}, tensor, bytes);
    return *out ? COPPICE_OK : no_memory(b);
}

/* The constant that a Constant node makes; NULL for strings. */
static coppice_status constant_of(builder *b, const cop_node *node, Onnx__NodeProto *proto,
                                  cop_constant **out) {
    for (size_t i = 0; i < proto->n_attribute; i++) {
        Onnx__AttributeProto *a = proto->attribute[i];
        const char *name = cop_or_empty(a->name);
        const cop_attr *attr = &node->attrs[i];
        if (strcmp(name, "value") == 0 && attr->kind == COP_ATTR_TENSOR) {
            *out = attr->tensor;
            return COPPICE_OK;
        }
        if (strcmp(name, "sparse_value") == 0 && a->sparse_tensor)
            return cop_sparse_load(b->model, a->sparse_tensor, NULL, out, b->err);
        if (strcmp(name, "value_float") == 0)
            return alias(b, COPPICE_TYPE_FLOAT, &a->f, 1, true, out);
        if (strcmp(name, "value_int") == 0)
            return alias(b, COPPICE_TYPE_INT64, &a->i, 1, true, out);
        if (strcmp(name, "value_floats") == 0)
            return alias(b, COPPICE_TYPE_FLOAT, a->floats, (int64_t)a->n_floats, false, out);
        if (strcmp(name, "value_ints") == 0)
            return alias(b, COPPICE_TYPE_INT64, a->ints, (int64_t)a->n_ints, false, out);
    }
    return COPPICE_OK;
}

static bool is_constant(const cop_node *node) {
    return strcmp(node->op, "Constant") == 0 && !node->domain[0] && node->input_count == 0 &&
           node->output_count == 1 && node->outputs[0] >= 0;
}

/* ---- nodes ---- */

static coppice_status name_values(builder *b, cop_graph *graph, char **names, size_t count,
                                  int *indices) {
    for (size_t i = 0; i < count; i++) {
        if (!names[i][0])
            continue;
        indices[i] = cop_graph_value(graph, names[i]);
        if (indices[i] < 0)
            return no_memory(b);
    }
    return COPPICE_OK;
}

/* Fills a node; the graph's array of nodes does not move meanwhile (sub-graphs have their own). */
static coppice_status fill_node(builder *b, cop_graph *graph, cop_node *node,
                                Onnx__NodeProto *proto) {
    node->name = cop_or_empty(proto->name);
    node->domain = domain_of(proto->domain);
    COP_TRY(name_values(b, graph, proto->input, proto->n_input, node->inputs));
    COP_TRY(name_values(b, graph, proto->output, proto->n_output, node->outputs));
    for (size_t i = 0; i < proto->n_attribute; i++) {
        coppice_status status = build_attr(b, graph, proto->attribute[i], &node->attrs[i]);
        if (status != COPPICE_OK) {
            cop_error_prefix(b->err, "attribute '%s'", cop_or_empty(proto->attribute[i]->name));
            return status;
        }
    }
    if (!is_constant(node))
        return COPPICE_OK;
    cop_constant *constant = NULL;
    COP_TRY(constant_of(b, node, proto, &constant));
    graph->values[node->outputs[0]].constant = constant;
    return COPPICE_OK;
}

static coppice_status add_node(builder *b, cop_graph *graph, Onnx__NodeProto *proto, size_t index) {
    if (!cop_or_empty(proto->op_type)[0])
        return cop_fail(b->err, COPPICE_BAD_MODEL, "node %zu ('%s') has no operator type", index,
                        cop_or_empty(proto->name));
    if (proto->n_input > INT32_MAX || proto->n_output > INT32_MAX)
        return cop_fail(b->err, COPPICE_LIMIT, "node %zu has too many inputs or outputs", index);
    cop_node *node = cop_graph_add_node(graph, proto->op_type, (int)proto->n_input,
                                        (int)proto->n_output, proto->n_attribute);
    if (!node)
        return no_memory(b);
    coppice_status status = fill_node(b, graph, node, proto);
    if (status != COPPICE_OK)
        cop_error_at_node(b->err, graph, node);
    return status;
}

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
    COP_TRY(set_opsets(&b, model->graph, proto));
    COP_TRY(build_graph(&b, model->graph, proto->graph));
    COP_TRY(cop_graph_connect(model->graph, err));
    COP_TRY(cop_constants_collect(model->graph, &model->tensors, err));
    COP_TRY(cop_graph_mark_quantized(model->graph, err));
    COP_TRY(cop_external_find_overlaps(model, err));
    return list_infos(&b, model);
}
