/* Reading the attributes of nodes. */
#include <string.h>

#include "base/error.h"
#include "graph/graph.h"

static const char *const kind_names[] = {
    [COP_ATTR_FLOAT] = "a float",         [COP_ATTR_INT] = "an int",
    [COP_ATTR_STRING] = "a string",       [COP_ATTR_TENSOR] = "a tensor",
    [COP_ATTR_GRAPH] = "a graph",         [COP_ATTR_FLOATS] = "a list of floats",
    [COP_ATTR_INTS] = "a list of ints",   [COP_ATTR_STRINGS] = "a list of strings",
    [COP_ATTR_OTHER] = "of another kind",
};

const cop_attr *cop_node_attr(const cop_node *node, const char *name) {
    for (size_t i = 0; i < node->attr_count; i++) {
        if (strcmp(node->attrs[i].name, name) == 0)
            return &node->attrs[i];
    }
    return NULL;
}

bool cop_node_has_graphs(const cop_node *node) {
    for (size_t i = 0; i < node->attr_count; i++) {
        if (node->attrs[i].kind == COP_ATTR_GRAPH)
            return true;
    }
    return false;
}

/* Finds an attribute of one kind; *out is NULL when the node does not have it. */
static coppice_status find(const cop_node *node, const char *name, cop_attr_kind kind,
                           const cop_attr **out, coppice_error *err) {
    *out = cop_node_attr(node, name);
    if (*out && (*out)->kind != kind)
        return cop_fail(err, COPPICE_BAD_MODEL, "attribute '%s' is %s, not %s", name,
                        kind_names[(*out)->kind], kind_names[kind]);
    return COPPICE_OK;
}

coppice_status cop_node_int(const cop_node *node, const char *name, int64_t absent, int64_t *out,
                            coppice_error *err) {
    const cop_attr *attr;
    COP_TRY(find(node, name, COP_ATTR_INT, &attr, err));
    *out = attr ? attr->i : absent;
    return COPPICE_OK;
}

coppice_status cop_node_float(const cop_node *node, const char *name, float absent, float *out,
                              coppice_error *err) {
    const cop_attr *attr;
    COP_TRY(find(node, name, COP_ATTR_FLOAT, &attr, err));
    *out = attr ? attr->f : absent;
    return COPPICE_OK;
}

coppice_status cop_node_string(const cop_node *node, const char *name, const char *absent,
                               const char **out, coppice_error *err) {
    const cop_attr *attr;
    COP_TRY(find(node, name, COP_ATTR_STRING, &attr, err));
    *out = attr ? attr->s.data : absent;
    return COPPICE_OK;
}

coppice_status cop_node_ints(const cop_node *node, const char *name, const int64_t **out,
                             size_t *count, coppice_error *err) {
    const cop_attr *attr;
    COP_TRY(find(node, name, COP_ATTR_INTS, &attr, err));
    *out = attr ? attr->ints : NULL;
    *count = attr ? attr->count : 0;
    return COPPICE_OK;
}
