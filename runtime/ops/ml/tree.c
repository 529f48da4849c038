/* TreeEnsemble of ai.onnx.ml: sums, averages and extremes over decision trees. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

typedef enum tree_mode {
    TREE_LEQ,
    TREE_LT,
    TREE_GTE,
    TREE_GT,
    TREE_EQ,
    TREE_NEQ,
    TREE_MEMBER,
    TREE_MODES
} tree_mode;
typedef enum tree_sum { TREE_AVERAGE, TREE_SUM, TREE_MIN, TREE_MAX, TREE_SUMS } tree_sum;
typedef enum tree_after {
    AFTER_NONE,
    AFTER_SOFTMAX,
    AFTER_LOGISTIC,
    AFTER_SOFTMAX_ZERO,
    AFTER_PROBIT,
    AFTERS
} tree_after;

/* Index i of a list that says where a node goes on: a node, or a leaf. */
typedef struct branch {
    const int64_t *ids, *leafs;
} branch;

typedef struct tree_params {
    int64_t targets, features; /* features: at least so many are needed */
    tree_sum sum;
    tree_after after;
    size_t nodes, leafs, roots;
    branch branches[2]; /* when false, when true */
    const int64_t *feature_ids, *root_ids, *leaf_targets, *missing_true;
    const coppice_tensor *splits, *modes, *weights, *members;
} tree_params;

/* ---- attributes ---- */

static coppice_status read_ints(const cop_call *call, const char *name, size_t count,
                                const int64_t **out) {
    size_t has;
    COP_TRY(cop_node_ints(call->node, name, out, &has, call->err));
    if (has == count)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute '%s' has %zu values, expected %zu",
                    name, has, count);
}

static coppice_status read_tensor(const cop_call *call, const char *name, size_t count,
                                  const coppice_tensor **out) {
    const cop_attr *attr = cop_node_attr(call->node, name);
    bool tensor = attr && attr->kind == COP_ATTR_TENSOR && attr->tensor->tensor.data;
    if (!tensor || coppice_tensor_count(&attr->tensor->tensor) != (int64_t)count)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute '%s' is no tensor of %zu values",
                        name, count);
    *out = &attr->tensor->tensor;
    return COPPICE_OK;
}

static coppice_status need_below(const cop_call *call, const char *name, const int64_t *values,
                                 size_t count, int64_t limit) {
    for (size_t i = 0; i < count; i++) {
        if (values[i] < 0 || values[i] >= limit)
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "attribute '%s' holds %lld, expected 0 .. %lld", name,
                            (long long)values[i], (long long)limit - 1);
    }
    return COPPICE_OK;
}

static coppice_status read_branch(const cop_call *call, const tree_params *p, const char *ids,
                                  const char *leafs, branch *out) {
    COP_TRY(read_ints(call, ids, p->nodes, &out->ids));
    COP_TRY(read_ints(call, leafs, p->nodes, &out->leafs));
    for (size_t i = 0; i < p->nodes; i++)
        COP_TRY(
            need_below(call, ids, &out->ids[i], 1, (int64_t)(out->leafs[i] ? p->leafs : p->nodes)));
    return COPPICE_OK;
}

static coppice_status read_nodes(const cop_call *call, tree_params *p) {
    size_t missing;
    const cop_attr *members = cop_node_attr(call->node, "membership_values");
    COP_TRY(cop_node_ints(call->node, "nodes_featureids", &p->feature_ids, &p->nodes, call->err));
    COP_TRY(cop_node_ints(call->node, "leaf_targetids", &p->leaf_targets, &p->leafs, call->err));
    COP_TRY(cop_node_ints(call->node, "tree_roots", &p->root_ids, &p->roots, call->err));
    COP_TRY(read_branch(call, p, "nodes_falsenodeids", "nodes_falseleafs", &p->branches[0]));
    COP_TRY(read_branch(call, p, "nodes_truenodeids", "nodes_trueleafs", &p->branches[1]));
    COP_TRY(read_tensor(call, "nodes_splits", p->nodes, &p->splits));
    COP_TRY(read_tensor(call, "nodes_modes", p->nodes, &p->modes));
    COP_TRY(read_tensor(call, "leaf_weights", p->leafs, &p->weights));
    COP_TRY(cop_node_ints(call->node, "nodes_missing_value_tracks_true", &p->missing_true, &missing,
                          call->err));
    if (missing && missing != p->nodes)
        return read_ints(call, "nodes_missing_value_tracks_true", p->nodes, &p->missing_true);
    if (members && members->kind == COP_ATTR_TENSOR && members->tensor->tensor.data)
        p->members = &members->tensor->tensor;
    COP_TRY(need_below(call, "tree_roots", p->root_ids, p->roots, (int64_t)p->nodes));
    COP_TRY(need_below(call, "leaf_targetids", p->leaf_targets, p->leafs, p->targets));
    return need_below(call, "nodes_featureids", p->feature_ids, p->nodes, INT32_MAX);
}

static coppice_status treeensemble_parse(const cop_call *call, void *params) {
    tree_params *p = params;
    int64_t sum, after, sets = 0;
    COP_TRY(cop_node_int(call->node, "aggregate_function", TREE_SUM, &sum, call->err));
    COP_TRY(cop_node_int(call->node, "post_transform", AFTER_NONE, &after, call->err));
    COP_TRY(cop_node_int(call->node, "n_targets", 0, &p->targets, call->err));
    if (sum < 0 || sum >= TREE_SUMS || after < 0 || after >= AFTERS || p->targets < 1)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "aggregate_function %lld, post_transform %lld, n_targets %lld",
                        (long long)sum, (long long)after, (long long)p->targets);
    p->sum = (tree_sum)sum;
    p->after = (tree_after)after;
    COP_TRY(read_nodes(call, p));
    for (size_t i = 0; i < p->nodes; i++) {
        int64_t mode = cop_tensor_get_int(p->modes, (int64_t)i);
        p->features = p->feature_ids[i] >= p->features ? p->feature_ids[i] + 1 : p->features;
        if (mode < 0 || mode >= TREE_MODES)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "nodes_modes holds %lld",
                            (long long)mode);
        sets += mode == TREE_MEMBER;
    }
    for (int64_t i = 0; p->members && i < coppice_tensor_count(p->members); i++)
        sets -= isnan(cop_tensor_get(p->members, i)) ? 1 : 0;
    if (sets <= 0)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "membership_values has %lld sets too few",
                    (long long)sets);
}

static coppice_status treeensemble_infer(cop_call *call) {
    const tree_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0);
    COP_TRY(cop_need_rank(call, 0, 2));
    if (in->dims[1] < p->features)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "input '%s' is %s, the trees want %lld features", cop_in_name(call, 0),
                        cop_shape_text(in).s, (long long)p->features);
    cop_set_out(call, 0, in->type, 2, (int64_t[]){in->dims[0], p->targets});
    return COPPICE_OK;
}

/* ---- one row ---- */

/* Where the set of each node with mode MEMBER begins. */
static size_t treeensemble_scratch(const cop_call *call) {
    const tree_params *p = call->params;
    return (p->nodes + 1) * sizeof(int64_t) + (size_t)p->targets * 2 * sizeof(double);
}

static void find_sets(const tree_params *p, int64_t *sets) {
    int64_t at = 0, count = p->members ? coppice_tensor_count(p->members) : 0;
    for (size_t i = 0; i < p->nodes; i++) {
        if (cop_tensor_get_int(p->modes, (int64_t)i) != TREE_MEMBER)
            continue;
        sets[i] = at;
        while (at < count && !isnan(cop_tensor_get(p->members, at)))
            at++;
        at++;
    }
}

static bool is_member(const tree_params *p, int64_t at, double value) {
    int64_t count = coppice_tensor_count(p->members);
    for (; at < count && !isnan(cop_tensor_get(p->members, at)); at++) {
        if (cop_tensor_get(p->members, at) == value)
            return true;
    }
    return false;
}

static bool goes_true(const tree_params *p, const int64_t *sets, int64_t node, double value) {
    double split = cop_tensor_get(p->splits, node);
    if (isnan(value) && p->missing_true && p->missing_true[node])
        return true;
    switch ((tree_mode)cop_tensor_get_int(p->modes, node)) {
    case TREE_LEQ:
        return value <= split;
    case TREE_LT:
        return value < split;
    case TREE_GTE:
        return value >= split;
    case TREE_GT:
        return value > split;
    case TREE_EQ:
        return value == split;
    case TREE_NEQ:
        return value != split;
    case TREE_MEMBER:
        return is_member(p, sets[node], value);
    case TREE_MODES:
        break;
    }
    return false;
}

/* The leaf that a row ends in; -1 when the branches go round. */
static int64_t find_leaf(const tree_params *p, const int64_t *sets, const coppice_tensor *in,
                         int64_t row, int64_t node) {
    for (size_t steps = 0; steps <= p->nodes; steps++) {
        double value = cop_tensor_get(in, row * in->dims[1] + p->feature_ids[node]);
        const branch *b = &p->branches[goes_true(p, sets, node, value)];
        if (b->leafs[node])
            return b->ids[node];
        node = b->ids[node];
    }
    return -1;
}

static void add_leaf(const tree_params *p, double *sums, double *counts, int64_t target,
                     double weight) {
    bool first = counts[target]++ == 0;
    if (first || p->sum == TREE_SUM || p->sum == TREE_AVERAGE)
        sums[target] += weight;
    else
        sums[target] = p->sum == TREE_MIN ? fmin(sums[target], weight) : fmax(sums[target], weight);
}

/* The inverse of the error function, close enough for PROBIT as other runtimes have it. */
static double inverse_erf(double x) {
    double log_term = log((1 - x) * (1 + x)), v = 2 / (3.14159 * 0.147) + 0.5 * log_term;
    double root = sqrt(-v + sqrt(v * v - log_term / 0.147));
    return x < 0 ? -root : root;
}

static void transform(const tree_params *p, double *sums) {
    double largest = sums[0], total = 0;
    for (int64_t i = 0; i < p->targets; i++) {
        largest = fmax(largest, sums[i]);
        if (p->after == AFTER_LOGISTIC)
            sums[i] = 1 / (1 + exp(-sums[i]));
        if (p->after == AFTER_PROBIT)
            sums[i] = 1.41421356 * inverse_erf(2 * sums[i] - 1);
    }
    if (p->after != AFTER_SOFTMAX && p->after != AFTER_SOFTMAX_ZERO)
        return;
    for (int64_t i = 0; i < p->targets; i++) { /* a score of 0 stays 0 with SOFTMAX_ZERO */
        bool zero = p->after == AFTER_SOFTMAX_ZERO && sums[i] == 0;
        sums[i] = zero ? 0 : exp(sums[i] - largest);
        total += sums[i];
    }
    for (int64_t i = 0; i < p->targets && total > 0; i++)
        sums[i] /= total;
}

static coppice_status treeensemble_run(const cop_call *call) {
    const tree_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0), *out = cop_out(call, 0);
    int64_t *sets = call->scratch;
    double *sums = (double *)(void *)(sets + p->nodes + 1), *counts = sums + p->targets;
    find_sets(p, sets);
    for (int64_t row = 0; row < in->dims[0]; row++) {
        memset(sums, 0, (size_t)p->targets * 2 * sizeof *sums);
        for (size_t tree = 0; tree < p->roots; tree++) {
            int64_t leaf = find_leaf(p, sets, in, row, p->root_ids[tree]);
            if (leaf < 0)
                return cop_fail(call->err, COPPICE_BAD_MODEL, "the branches of tree %zu go round",
                                tree);
            add_leaf(p, sums, counts, p->leaf_targets[leaf], cop_tensor_get(p->weights, leaf));
        }
        for (int64_t i = 0; p->sum == TREE_AVERAGE && p->roots && i < p->targets; i++)
            sums[i] /= (double)p->roots;
        transform(p, sums);
        for (int64_t i = 0; i < p->targets; i++)
            cop_set_float(out, (size_t)(row * p->targets + i), sums[i]);
    }
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_tree[] = {
    {.domain = "ai.onnx.ml", .name = "TreeEnsemble", .since = 5, ONE_TO_ONE, .types = FLOATS,
     PARSE(treeensemble, tree_params), INFER(treeensemble), RUN(treeensemble),
     .scratch = treeensemble_scratch},
    {.name = NULL},
};
/* clang-format on */
