/* The form of initializers in the file: dense or sparse, whichever is wanted and smaller. */
#include <string.h>

#include "base/map.h"
#include "base/type.h"
#include "onnx/save.h"
#include "onnx/varint.h"

/* The first IR version with sparse_initializer; the first where an initializer need not be listed
 * among the inputs, and one that is may be overridden. */
enum { SPARSE_IR = 6, FREE_INITIALIZERS_IR = 4 };

bool cop_saver_may_be_sparse(const cop_origin *origin) {
    const coppice_tensor *tensor = &origin->constant->tensor;
    unsigned bits = coppice_type_bits(tensor->type);
    return (bits == 8 || bits == 16 || bits == 32 || bits == 64) && tensor->rank > 0 &&
           tensor->data && tensor->type != COPPICE_TYPE_COMPLEX64;
}

/* ---- messages ---- */

static Onnx__TensorProto *new_tensor(cop_saver *saver, int64_t *dims, size_t rank) {
    Onnx__TensorProto *tensor = cop_arena_alloc(&saver->arena, sizeof *tensor);
    if (!tensor)
        return NULL;
    onnx__tensor_proto__init(tensor);
    tensor->dims = dims;
    tensor->n_dims = rank;
    return tensor;
}

/* Measures a constant as a sparse tensor, and decides on the signs of its zeros. */
static cop_elements measure(cop_saver *saver, const cop_origin *origin, cop_sparse_size *size) {
    coppice_zero_signs signs = saver->options->zero_signs;
    cop_elements elements = {origin->constant, origin->mask, false};
    *size = cop_streams_measure(&saver->streams, elements);
    int64_t negative = (int64_t)size->negative_zeros;
    int64_t zeros =
        coppice_tensor_count(&origin->constant->tensor) - (int64_t)size->values + negative;
    elements.positive_zeros =
        cop_is_float_type(origin->constant->tensor.type) && negative > 0 &&
        (signs == COPPICE_ZERO_SIGNS_DROP ||
         (signs == COPPICE_ZERO_SIGNS_MASKED && cop_zeros_of_a_mask(zeros, negative)));
    if (!elements.positive_zeros) {
        saver->negative_zeros += negative;
        return elements;
    }
    saver->dropped_signs += negative;
    *size = cop_streams_measure(&saver->streams, elements);
    return elements;
}

/* The stream of a constant as raw_data. */
static void set_values(cop_saver *saver, cop_elements elements, size_t count,
                       Onnx__TensorProto *values) {
    size_t bytes = count * coppice_type_bits(elements.constant->tensor.type) / 8;
    cop_stream stream = {COP_STREAM_VALUES, elements, bytes, 0};
    unsigned char *data = cop_streams_add(&saver->streams, stream);
    cop_tensor_set_raw(values, data, bytes);
}

/* Varints are never larger than the eight bytes of raw_data: positions stay below 2^32, which is
 * five. A linear position takes as many bytes as its bits ask for; as a tuple each dimension is
 * rounded up to whole bytes, and only where all values lie at small indices of a wide dimension (in
 * the first columns of a matrix, say) does that come out smaller.
 *
 * protobuf-c wants numbers of a packed field as an array of 64 bits each. As an unknown field of
 * the same tag the bytes themselves can be handed over, which a stream makes. */
static bool set_indices(cop_saver *saver, cop_elements elements, const cop_sparse_size *size,
                        Onnx__TensorProto *indices) {
    enum { INT64_DATA = 7 };
    bool linear = size->linear <= size->tuples;
    size_t payload = linear ? size->linear : size->tuples;
    indices->has_data_type = 1;
    indices->data_type = COPPICE_TYPE_INT64;
    indices->n_dims = linear ? 1 : 2;
    if (!payload)
        return true;
    ProtobufCMessageUnknownField *field = cop_arena_alloc(&saver->arena, sizeof *field);
    if (!field)
        return false;
    cop_stream stream = {linear ? COP_STREAM_LINEAR : COP_STREAM_TUPLES, elements,
                         cop_varint_bytes(payload) + payload, payload};
    *field = (ProtobufCMessageUnknownField){.tag = INT64_DATA,
                                            .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
                                            .len = stream.bytes,
                                            .data = cop_streams_add(&saver->streams, stream)};
    indices->base.unknown_fields = field;
    indices->base.n_unknown_fields = 1;
    return true;
}

/* A constant as the smallest sparse tensor. Name, doc string and the like are those of the dense
 * one, or of the values that it had. */
static coppice_status make_sparse(cop_saver *saver, const cop_origin *origin,
                                  Onnx__SparseTensorProto **out) {
    const coppice_tensor *tensor = &origin->constant->tensor;
    cop_sparse_size size;
    cop_elements elements = measure(saver, origin, &size);
    int64_t shape[2] = {(int64_t)size.values, tensor->rank};
    Onnx__SparseTensorProto *sparse = cop_arena_alloc(&saver->arena, sizeof *sparse);
    int64_t *dims = cop_arena_copy(&saver->arena, shape, sizeof shape);
    int64_t *dense_dims =
        cop_arena_copy(&saver->arena, tensor->dims, tensor->rank * sizeof *tensor->dims);
    Onnx__TensorProto *values = new_tensor(saver, dims, 1), *indices = new_tensor(saver, dims, 1);
    if (!sparse || !dims || !dense_dims || !values || !indices ||
        !set_indices(saver, elements, &size, indices))
        return cop_fail_memory(saver->err, sizeof *sparse);
    onnx__sparse_tensor_proto__init(sparse);
    *values = *origin->tensor;
    values->dims = dims;
    values->n_dims = 1;
    set_values(saver, elements, size.values, values);
    sparse->values = values;
    sparse->indices = indices;
    sparse->dims = dense_dims;
    sparse->n_dims = tensor->rank;
    *out = sparse;
    return COPPICE_OK;
}

coppice_status cop_saver_make_dense(cop_saver *saver, cop_origin *origin) {
    Onnx__TensorProto *dense = cop_arena_alloc(&saver->arena, sizeof *dense);
    if (!dense)
        return cop_fail_memory(saver->err, sizeof *dense);
    *dense = *origin->tensor; /* name, type, doc string */
    dense->dims = origin->sparse->dims;
    dense->n_dims = origin->sparse->n_dims;
    cop_saver_stream_dense(saver, origin, dense);
    origin->as_dense = dense;
    return COPPICE_OK;
}

/* ---- choice ---- */

static size_t packed(const Onnx__SparseTensorProto *sparse) {
    return onnx__sparse_tensor_proto__get_packed_size(sparse);
}

/* Dense to sparse. A tensor of a few bytes is not looked at: dims and types alone take more. An
 * output of the graph stays dense: ONNX Runtime would hand out a sparse tensor. */
static coppice_status choose_for_dense(cop_saver *saver, cop_origin *origin) {
    enum { MIN_BYTES = 16 };
    size_t streams = saver->streams.count;
    int64_t dropped_signs = saver->dropped_signs;
    if (saver->options->weights != COPPICE_WEIGHTS_SPARSE || !cop_saver_may_be_sparse(origin) ||
        origin->constant->bytes < MIN_BYTES || origin->constant->is_output)
        return COPPICE_OK;
    COP_TRY(make_sparse(saver, origin, &origin->as_sparse));
    if (packed(origin->as_sparse) >= onnx__tensor_proto__get_packed_size(origin->tensor)) {
        origin->as_sparse = NULL;
        saver->streams.count = streams;
        saver->dropped_signs = dropped_signs; /* dense, it keeps them */
    }
    return COPPICE_OK;
}

/* Sparse to whatever is smallest, or dense when that is asked for. */
static coppice_status choose_for_sparse(cop_saver *saver, cop_origin *origin) {
    const cop_constant *constant = origin->constant;
    coppice_weights_form form = saver->options->weights;
    bool changed = constant->dirty || origin->mask;
    int64_t dropped_signs = saver->dropped_signs;
    if (constant->tensor.type == COPPICE_TYPE_UNDEFINED ||
        (form == COPPICE_WEIGHTS_AS_LOADED && !changed))
        return COPPICE_OK;
    COP_TRY(cop_saver_make_dense(saver, origin));
    if (form == COPPICE_WEIGHTS_DENSE || !cop_saver_may_be_sparse(origin))
        return COPPICE_OK;
    COP_TRY(make_sparse(saver, origin, &origin->as_sparse));
    if (!changed && packed(origin->sparse) <= packed(origin->as_sparse)) {
        origin->as_sparse = origin->sparse;
        saver->dropped_signs = dropped_signs;
    }
    if (packed(origin->as_sparse) < onnx__tensor_proto__get_packed_size(origin->as_dense)) {
        origin->as_dense = NULL;
        return COPPICE_OK;
    }
    origin->as_sparse = NULL;
    saver->dropped_signs = dropped_signs;
    return COPPICE_OK;
}

coppice_status cop_saver_choose_form(cop_saver *saver, cop_origin *origin) {
    return origin->kind == COP_ORIGIN_SPARSE ? choose_for_sparse(saver, origin)
                                             : choose_for_dense(saver, origin);
}

coppice_status cop_saver_store_sparse_value(cop_saver *saver, cop_origin *origin) {
    Onnx__SparseTensorProto *made;
    if (!cop_saver_may_be_sparse(origin))
        return COPPICE_OK;
    COP_TRY(make_sparse(saver, origin, &made));
    COP_TRY(cop_saver_remember(saver, origin->sparse, sizeof *origin->sparse));
    origin->sparse->values = made->values;
    origin->sparse->indices = made->indices;
    return COPPICE_OK;
}

/* ---- lists of graphs ---- */

/* The sparse message of an initializer in the file, or NULL. */
static Onnx__SparseTensorProto *sparse_form(const cop_origin *origin) {
    if (origin->as_sparse || origin->kind != COP_ORIGIN_SPARSE)
        return origin->as_sparse;
    return origin->as_dense ? NULL : origin->sparse;
}

/* Removes the inputs that only repeat an initializer which is now sparse (an input is a dense
 * tensor). Before IR version 4 all initializers had to be repeated and meant constants; in the
 * version that they are raised to, what is still repeated could be overridden. */
static coppice_status drop_inputs(cop_saver *saver, Onnx__GraphProto *graph, const cop_map *drop) {
    Onnx__ValueInfoProto **inputs =
        cop_arena_array(&saver->arena, graph->n_input, sizeof(Onnx__ValueInfoProto *));
    size_t count = 0;
    if (!inputs)
        return cop_fail_memory(saver->err, graph->n_input * sizeof *inputs);
    for (size_t i = 0; i < graph->n_input; i++) {
        if (cop_map_get(drop, cop_or_empty(graph->input[i]->name), 0) == 0)
            inputs[count++] = graph->input[i];
    }
    graph->input = inputs;
    graph->n_input = count;
    return COPPICE_OK;
}

/* Lists the initializers from `first` on that belong to `graph`. */
static coppice_status fill_graph(cop_saver *saver, cop_origin *first, bool raised, cop_map *drop) {
    Onnx__GraphProto *graph = first->graph;
    size_t total = graph->n_initializer + graph->n_sparse_initializer;
    Onnx__TensorProto **dense = cop_arena_array(&saver->arena, total, sizeof *dense);
    Onnx__SparseTensorProto **sparse = cop_arena_array(&saver->arena, total, sizeof *sparse);
    size_t dense_count = 0, sparse_count = 0;
    bool wanted = saver->options->weights == COPPICE_WEIGHTS_SPARSE;
    if (!dense || !sparse)
        return cop_fail_memory(saver->err, total * sizeof *dense);
    for (cop_origin *origin = first; origin && origin->graph == graph; origin = origin->next) {
        Onnx__SparseTensorProto *form = sparse_form(origin);
        if (!origin->listed)
            continue;
        if (form)
            sparse[sparse_count++] = form;
        else
            dense[dense_count++] =
                origin->kind == COP_ORIGIN_SPARSE ? origin->as_dense : origin->tensor;
        if (origin->constant->repeated_as_input && (raised || (wanted && origin->as_sparse)) &&
            !cop_map_set(drop, cop_or_empty(origin->tensor->name), 1))
            return cop_fail_memory(saver->err, sizeof(cop_map_slot));
    }
    COP_TRY(cop_saver_remember(saver, graph, sizeof *graph));
    graph->initializer = dense;
    graph->n_initializer = dense_count;
    graph->sparse_initializer = sparse;
    graph->n_sparse_initializer = sparse_count;
    return drop->count ? drop_inputs(saver, graph, drop) : COPPICE_OK;
}

/* Marks the origins whose message its graph lists: a graph may have lost some since it was loaded,
 * but keeps the order. */
static coppice_status mark_listed(cop_saver *saver, cop_origin *first) {
    const Onnx__GraphProto *graph = first->graph;
    size_t dense = 0, sparse = 0;
    for (cop_origin *origin = first; origin && origin->graph == graph; origin = origin->next) {
        if (origin->kind == COP_ORIGIN_SPARSE) {
            origin->listed = sparse < graph->n_sparse_initializer &&
                             graph->sparse_initializer[sparse] == origin->sparse;
            sparse += origin->listed;
        } else {
            origin->listed =
                dense < graph->n_initializer && graph->initializer[dense] == origin->tensor;
            dense += origin->listed;
        }
    }
    if (dense != graph->n_initializer || sparse != graph->n_sparse_initializer)
        return cop_fail(saver->err, COPPICE_INTERNAL, "a graph lists an unknown initializer");
    return COPPICE_OK;
}

/* The initializers of a graph stand in a row. */
static cop_origin *next_graph(cop_origin *origin) {
    const Onnx__GraphProto *graph = origin->graph;
    while (origin && origin->graph == graph)
        origin = origin->next;
    while (origin && !origin->graph)
        origin = origin->next;
    return origin;
}

static cop_origin *first_graph(const cop_saver *saver) {
    cop_origin *origin = saver->model->constants;
    return origin && !origin->graph ? next_graph(origin) : origin;
}

coppice_status cop_saver_find_listed(cop_saver *saver) {
    for (cop_origin *origin = first_graph(saver); origin; origin = next_graph(origin))
        COP_TRY(mark_listed(saver, origin));
    return COPPICE_OK;
}

coppice_status cop_saver_update_graphs(cop_saver *saver) {
    Onnx__ModelProto *proto = saver->model->proto;
    bool wanted = saver->options->weights == COPPICE_WEIGHTS_SPARSE;
    bool changed = false, raised = false;
    saver->sparse_count = saver->dense_count = 0;
    for (const cop_origin *o = saver->model->constants; o; o = o->next) {
        if (o->graph && o->listed)
            *(sparse_form(o) ? &saver->sparse_count : &saver->dense_count) += 1;
        changed = changed || o->as_sparse || o->as_dense;
        raised = raised || (wanted && o->as_sparse && proto->ir_version < FREE_INITIALIZERS_IR);
    }
    saver->lists_changed = saver->lists_changed || changed;
    if (!saver->lists_changed)
        return COPPICE_OK;
    if (wanted && saver->sparse_count && proto->ir_version < SPARSE_IR) {
        COP_TRY(cop_saver_remember(saver, proto, sizeof *proto));
        proto->has_ir_version = 1;
        proto->ir_version = SPARSE_IR;
    }
    coppice_status status = COPPICE_OK;
    for (cop_origin *o = first_graph(saver); o && status == COPPICE_OK; o = next_graph(o)) {
        cop_map drop = {0};
        status = fill_graph(saver, o, raised, &drop);
        cop_map_free(&drop);
    }
    return status;
}
