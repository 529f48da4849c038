/* Lists all constants of a model and gives them unique names. */
#include "graph/constants.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

static const char *make_key(const cop_constants *out, const cop_graph *owner, const char *name) {
    cop_arena *arena = owner->arena;
    const char *key = name;
    for (; key && owner->parent; owner = owner->parent)
        key = cop_arena_printf(arena, "%s/%s", owner->name, key);
    const char *base = key;
    for (int n = 2; key && cop_map_get(&out->index, key, -1) >= 0; n++)
        key = cop_arena_printf(arena, "%s#%d", base, n);
    return key;
}

static coppice_status add(cop_constants *out, const cop_graph *graph, const cop_value *value,
                          coppice_error *err) {
    if (value->constant->key)
        return COPPICE_OK; /* shared: its first value has named it */
    if (cop_grow(&out->items, out->count, &out->capacity, sizeof *out->items) != 0)
        return cop_fail_memory(err, sizeof *out->items);
    value->constant->key = make_key(out, graph, value->name);
    if (!value->constant->key ||
        !cop_map_set(&out->index, value->constant->key, (int64_t)out->count))
        return cop_fail_memory(err, sizeof(cop_map_slot));
    out->items[out->count++] = value->constant;
    return COPPICE_OK;
}

/* Recursion is bounded by COP_MAX_GRAPH_DEPTH, which the loader enforces. */
coppice_status cop_constants_collect(cop_graph *graph, cop_constants *out, coppice_error *err) {
    for (size_t i = 0; i < graph->value_count; i++)
        if (graph->values[i].constant)
            COP_TRY(add(out, graph, &graph->values[i], err));
    for (size_t n = 0; n < graph->node_count; n++)
        for (size_t a = 0; a < graph->nodes[n].attr_count; a++)
            if (graph->nodes[n].attrs[a].kind == COP_ATTR_GRAPH)
                COP_TRY(cop_constants_collect(graph->nodes[n].attrs[a].graph, out, err));
    return COPPICE_OK;
}

void cop_constants_free(cop_constants *constants) {
    cop_free(constants->items);
    cop_map_free(&constants->index);
    *constants = (cop_constants){0};
}

cop_constant *cop_constants_find(const cop_constants *constants, const char *key) {
    int64_t at = cop_map_get(&constants->index, key, -1);
    return at < 0 ? NULL : constants->items[at];
}

void cop_constant_release(const cop_constant *constant, int64_t first, int64_t n) {
    const cop_constant *original = constant->original ? constant->original : constant;
    size_t width = coppice_type_bits(constant->tensor.type) / 8;
    if (original->mapped && !original->dirty && width &&
        original->tensor.data == constant->tensor.data)
        cop_mapping_release((const unsigned char *)constant->tensor.data + (size_t)first * width,
                            (size_t)n * width);
}
