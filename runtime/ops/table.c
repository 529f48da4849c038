/* The operator table: the rows of all families (ops/<group>/<family>.c), found by name. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

/* X(family): each ends with its rows, cop_ops_<family>. */
#define FAMILY_LIST(X)                                                                             \
    X(along)                                                                                       \
    X(attention)                                                                                   \
    X(batchnorm)                                                                                   \
    X(binary)                                                                                      \
    X(blocks)                                                                                      \
    X(cast)                                                                                        \
    X(control)                                                                                     \
    X(conv)                                                                                        \
    X(convtranspose)                                                                               \
    X(deform)                                                                                      \
    X(det)                                                                                         \
    X(einsum)                                                                                      \
    X(fill)                                                                                        \
    X(flex)                                                                                        \
    X(gather)                                                                                      \
    X(integer)                                                                                     \
    X(logic)                                                                                       \
    X(loss)                                                                                        \
    X(lppool)                                                                                      \
    X(math)                                                                                        \
    X(matrix)                                                                                      \
    X(ml)                                                                                          \
    X(move)                                                                                        \
    X(nms)                                                                                         \
    X(norm)                                                                                        \
    X(normaxes)                                                                                    \
    X(pattern)                                                                                     \
    X(pool)                                                                                        \
    X(pow)                                                                                         \
    X(quantize)                                                                                    \
    X(random)                                                                                      \
    X(recurrence)                                                                                  \
    X(reduce)                                                                                      \
    X(resize)                                                                                      \
    X(rnn)                                                                                         \
    X(roi)                                                                                         \
    X(rotary)                                                                                      \
    X(sample)                                                                                      \
    X(scan)                                                                                        \
    X(scatter)                                                                                     \
    X(select)                                                                                      \
    X(sequence)                                                                                    \
    X(shape)                                                                                       \
    X(signal)                                                                                      \
    X(softmax)                                                                                     \
    X(string)                                                                                      \
    X(tfidf)                                                                                       \
    X(training)                                                                                    \
    X(tree)                                                                                        \
    X(unary)                                                                                       \
    X(unique)

#define DECLARE_ROWS(family) extern const cop_op cop_ops_##family[];
FAMILY_LIST(DECLARE_ROWS)

#define ROWS_OF(family) cop_ops_##family,
static const cop_op *const families[] = {FAMILY_LIST(ROWS_OF)};

enum { FAMILIES = sizeof families / sizeof families[0] };

/* ---- all rows in one list, by name ---- */

enum { MAX_ROWS = 640, TYPE_TEXT = 384 };

static struct {
    const cop_op *rows[MAX_ROWS + 1]; /* sorted by name, domain and opset; NULL ends them */
    coppice_operator_info infos[MAX_ROWS + 1];
    char types[MAX_ROWS][TYPE_TEXT];
    size_t count;
} all;

static const char *domain_of(const cop_op *op) {
    return op->domain ? op->domain : "";
}

static int by_name(const void *a, const void *b) {
    const cop_op *x = *(const cop_op *const *)a, *y = *(const cop_op *const *)b;
    int order = strcmp(x->name, y->name);
    if (!order)
        order = strcmp(domain_of(x), domain_of(y));
    return order ? order : x->since - y->since;
}

cop_type_names cop_types_text(uint32_t types) {
    cop_type_names names = {""};
    size_t used = 0;
    for (int type = 0; type < 32; type++) {
        if (types >> type & 1)
            used += (size_t)snprintf(names.s + used, sizeof names.s - used, "%s%s", used ? " " : "",
                                     coppice_type_name((coppice_type)type));
    }
    return names;
}

static void describe(size_t index) {
    const cop_op *op = all.rows[index];
    char *text = all.types[index];
    snprintf(text, TYPE_TEXT, "%s", cop_types_text(op->types).s);
    if (!op->types)
        snprintf(text, TYPE_TEXT, "all");
    all.infos[index] = (coppice_operator_info){.domain = domain_of(op),
                                               .op = op->name,
                                               .min_opset = op->since,
                                               .max_opset = op->until,
                                               .types = text};
}

static void fill(void) {
    for (int f = 0; f < FAMILIES; f++) {
        for (const cop_op *op = families[f]; op->name && all.count < MAX_ROWS; op++)
            all.rows[all.count++] = op;
    }
    qsort(all.rows, all.count, sizeof *all.rows, by_name);
    for (size_t i = 0; i < all.count; i++)
        describe(i);
}

static void once(void) {
    static pthread_once_t done = PTHREAD_ONCE_INIT;
    pthread_once(&done, fill);
}

const cop_op *const *cop_op_rows(void) {
    once();
    return all.rows;
}

const coppice_operator_info *coppice_operators(void) {
    once();
    return all.infos;
}

/* ---- finding a row ---- */

/* Index of the first row called `name`, or of where it would be. */
static size_t first_of(const char *name) {
    once();
    size_t low = 0, high = all.count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(all.rows[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_row(size_t index, const char *domain, const char *name) {
    const cop_op *op = all.rows[index];
    if (!strcmp(domain, "ai.onnx"))
        domain = "";
    return op && !strcmp(op->name, name) && !strcmp(domain_of(op), domain);
}

const cop_op *cop_op_find(const char *domain, const char *name, int64_t opset) {
    for (size_t i = first_of(name); all.rows[i] && !strcmp(all.rows[i]->name, name); i++) {
        const cop_op *op = all.rows[i];
        if (is_row(i, domain, name) && opset >= op->since && (!op->until || opset <= op->until))
            return op;
    }
    return NULL;
}

coppice_status cop_op_of_node(const cop_graph *graph, const cop_node *node, const cop_op **out,
                              coppice_error *err) {
    int64_t opset = cop_node_opset(graph, node);
    const char *domain = node->domain[0] ? node->domain : "ai.onnx";
    *out = cop_op_find(node->domain, node->op, opset);
    if (*out)
        return COPPICE_OK;
    for (size_t i = first_of(node->op); all.rows[i] && !strcmp(all.rows[i]->name, node->op); i++) {
        if (is_row(i, node->domain, node->op))
            return cop_fail(
                err, COPPICE_UNSUPPORTED,
                "operator %s of domain %s is there from opset %d on, the model imports %lld",
                node->op, domain, all.rows[i]->since, (long long)opset);
    }
    return cop_fail(err, COPPICE_UNSUPPORTED,
                    "operator %s of domain %s, opset %lld is not supported ('coppice info "
                    "--operators' lists those that are)",
                    node->op, domain, (long long)opset);
}
