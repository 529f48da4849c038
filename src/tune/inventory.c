/* Finds out what every tensor of a model is for: by the operators that read it. */
#include "tune/inventory.h"

#include <string.h>

#include "base/error.h"
#include "base/type.h"
#include "graph/constants.h"
#include "prune/constant.h"
#include "prune/pattern.h"

/* What the inputs `first` to `last` of an operator are. */
static const struct {
    const char *op;
    int first, last;
    cop_tensor_kind kind;
    bool vector; /* only when at most one dimension is larger than 1, and that one is */
} readers[] = {
    {"Conv", 2, 2, COP_KIND_BIAS, false},
    {"ConvTranspose", 2, 2, COP_KIND_BIAS, false},
    {"Gemm", 2, 2, COP_KIND_BIAS, false},
    {"LSTM", 3, 3, COP_KIND_BIAS, false},
    {"GRU", 3, 3, COP_KIND_BIAS, false},
    {"RNN", 3, 3, COP_KIND_BIAS, false},
    {"Add", 0, 1, COP_KIND_BIAS, true},
    {"BatchNormalization", 1, 4, COP_KIND_SCALE, false},
    {"InstanceNormalization", 1, 2, COP_KIND_SCALE, false},
    {"LayerNormalization", 1, 2, COP_KIND_SCALE, false},
    {"GroupNormalization", 1, 2, COP_KIND_SCALE, false},
    {"RMSNormalization", 1, 1, COP_KIND_SCALE, false},
    {"QuantizeLinear", 1, 2, COP_KIND_SCALE, false},
    {"DequantizeLinear", 1, 2, COP_KIND_SCALE, false},
    {"Mul", 0, 1, COP_KIND_SCALE, true},
    {"Gather", 0, 0, COP_KIND_EMBEDDING, false},
};

typedef struct walk {
    cop_weights *weights;
    cop_inventory *out;
    size_t capacity;
    cop_map index; /* constant: 1 + its item's index */
    cop_finder finder;
    coppice_error *err;
} walk;

static bool is_vector(const coppice_tensor *t) {
    int64_t largest = 1;
    for (uint32_t d = 0; d < t->rank; d++)
        largest = t->dims[d] > largest ? t->dims[d] : largest;
    return largest > 1 && largest == coppice_tensor_count(t);
}

static cop_tensor_kind kind_for(const cop_node *node, int input, const coppice_tensor *tensor) {
    for (size_t i = 0; !node->domain[0] && i < sizeof readers / sizeof *readers; i++)
        if (input >= readers[i].first && input <= readers[i].last &&
            strcmp(node->op, readers[i].op) == 0 && (!readers[i].vector || is_vector(tensor)))
            return readers[i].kind;
    return COP_KIND_OTHER;
}

static size_t count_constants(const cop_graph *graph) {
    size_t count = 0;
    for (size_t i = 0; i < graph->value_count; i++)
        count += graph->values[i].constant != NULL;
    for (size_t n = 0; n < graph->node_count; n++)
        for (size_t a = 0; a < graph->nodes[n].attr_count; a++)
            if (graph->nodes[n].attrs[a].kind == COP_ATTR_GRAPH)
                count += count_constants(graph->nodes[n].attrs[a].graph);
    return count;
}

/* Text and wide integers (shapes, indices) are no parameters; narrow ones are quantised. */
static bool is_parameter(const coppice_tensor *tensor) {
    return tensor->data && tensor->type != COPPICE_TYPE_STRING &&
           (cop_is_float_type(tensor->type) || coppice_type_bits(tensor->type) <= 8) &&
           tensor->type != COPPICE_TYPE_BOOL;
}

int64_t cop_sparse_bytes(int64_t count, int64_t nonzeros, int64_t width) {
    double index_bytes = 0;
    int64_t from = 0;
    for (int length = 1; from < count; length++) {
        int64_t end = length < 9 ? (int64_t)1 << 7 * length : count;
        end = end < count ? end : count;
        index_bytes += (double)length * (double)(end - from);
        from = end;
    }
    double kept = count > 0 ? (double)nonzeros / (double)count : 0;
    return nonzeros * width + (int64_t)(index_bytes * kept + 0.5);
}

static int64_t count_zero_bits(const cop_inventory_item *item) {
    const unsigned char *data = item->constant->tensor.data;
    size_t width = coppice_type_bits(item->constant->tensor.type) / 8;
    static const unsigned char zero[16];
    int64_t found = 0;
    if (!data || width == 0 || width > sizeof zero)
        return 0;
    for (int64_t i = 0; width == sizeof(uint32_t) && i < item->count; i++) {
        uint32_t bits;
        memcpy(&bits, data + sizeof bits * (size_t)i, sizeof bits);
        found += bits == 0;
    }
    for (int64_t i = 0; width != sizeof(uint32_t) && i < item->count; i++)
        found += memcmp(data + width * (size_t)i, zero, width) == 0;
    cop_constant_release(item->constant, 0, item->count);
    return found;
}

static int64_t stored_bytes(const cop_inventory_item *item) {
    const cop_constant *constant = item->constant;
    if (!constant->sparse)
        return (int64_t)constant->bytes;
    return cop_sparse_bytes(item->count, item->count - item->zero_bits,
                            coppice_type_bits(constant->tensor.type) / 8);
}

static bool add(walk *w, const cop_value *value) {
    const cop_constant *constant = value->constant;
    cop_inventory *out = w->out;
    if (cop_map_get(&w->index, cop_key_of(constant).text, 0))
        return true;
    cop_inventory_item *item = &out->items[out->count++];
    *item = (cop_inventory_item){.constant = constant,
                                 .kind = is_parameter(&constant->tensor) ? COP_KIND_OTHER
                                                                         : COP_KIND_SHAPE,
                                 .weight = -1,
                                 .initializer = value->is_initializer,
                                 .count = coppice_tensor_count(&constant->tensor)};
    item->count = item->count > 0 ? item->count : 0;
    item->zero_bits = count_zero_bits(item);
    item->stored = stored_bytes(item);
    return cop_note_pointer(&w->index, &w->weights->arena, constant, (int64_t)out->count);
}

/* Recursion is bounded by COP_MAX_GRAPH_DEPTH, which the loader enforces. */
static bool collect(walk *w, const cop_graph *graph) {
    for (size_t i = 0; i < graph->value_count; i++)
        if (graph->values[i].constant && !add(w, &graph->values[i]))
            return false;
    for (size_t n = 0; n < graph->node_count; n++)
        for (size_t a = 0; a < graph->nodes[n].attr_count; a++)
            if (graph->nodes[n].attrs[a].kind == COP_ATTR_GRAPH &&
                !collect(w, graph->nodes[n].attrs[a].graph))
                return false;
    return true;
}

static cop_inventory_item *item_of(walk *w, const cop_constant *constant) {
    int64_t at = constant ? cop_map_get(&w->index, cop_key_of(constant).text, 0) : 0;
    return at ? &w->out->items[at - 1] : NULL;
}

static void mark_weights(walk *w) {
    for (size_t i = 0; i < w->weights->count; i++) {
        const cop_weight *weight = &w->weights->items[i];
        cop_inventory_item *item = item_of(w, weight->constant);
        cop_inventory_item *mask = item_of(w, weight->mask);
        if (item) {
            item->kind = COP_KIND_WEIGHT;
            item->weight = (int64_t)i;
        }
        if (mask && mask->kind != COP_KIND_WEIGHT)
            mask->kind = COP_KIND_MASK;
    }
}

static void classify(walk *w, const cop_graph *graph) {
    for (size_t n = 0; n < graph->node_count; n++) {
        const cop_node *node = &graph->nodes[n];
        for (int i = 0; i < node->input_count; i++) {
            cop_inventory_item *item =
                item_of(w, cop_find_constant(&w->finder, graph, node->inputs[i]).constant);
            if (!item || (item->kind != COP_KIND_OTHER && item->kind != COP_KIND_SHAPE))
                continue;
            cop_tensor_kind kind = kind_for(node, i, &item->constant->tensor);
            if (kind != COP_KIND_OTHER && is_parameter(&item->constant->tensor))
                item->kind = kind;
        }
        for (size_t a = 0; a < node->attr_count; a++)
            if (node->attrs[a].kind == COP_ATTR_GRAPH)
                classify(w, node->attrs[a].graph);
    }
}

coppice_status cop_inventory_make(const cop_graph *graph, cop_weights *weights, cop_inventory *out,
                                  coppice_error *err) {
    walk w = {.weights = weights, .out = out, .finder.arena = &weights->arena, .err = err};
    size_t capacity = count_constants(graph);
    *out = (cop_inventory){.items =
                               cop_arena_array(&weights->arena, capacity + 1, sizeof *out->items)};
    bool ok = out->items && collect(&w, graph);
    if (ok) {
        mark_weights(&w);
        classify(&w, graph);
    }
    for (size_t i = 0; ok && i < out->count; i++) {
        cop_inventory_item *item = &out->items[i];
        const cop_weight plain = {.constant = (cop_constant *)item->constant};
        if (is_parameter(&item->constant->tensor))
            item->zeros = cop_nonzero_map(&plain, item->count, NULL);
    }
    cop_map_free(&w.index);
    cop_finder_free(&w.finder);
    return ok ? COPPICE_OK : cop_fail_memory(err, capacity * sizeof *out->items);
}
