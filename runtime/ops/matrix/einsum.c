/* Einsum: any equation. Operands are strided views whose dims have labels; two at a time they are
 * contracted, by one batch of matrix products where something is summed over, else element by
 * element. Views are copied only where labels do not lie as a matrix needs them. */
#include <ctype.h>
#include <string.h>

#include "base/memory.h"
#include "runtime/ops/matrix/product.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

enum {
    LETTERS = 52, /* a-z after A-Z, as an implicit output sorts them; then dims of the ellipsis */
    LABELS = LETTERS + COPPICE_MAX_RANK
};

typedef struct term {
    int rank, labels[COPPICE_MAX_RANK];
} term;

typedef struct einsum_plan {
    int64_t sizes[LABELS];
    int uses[LABELS];
    int ellipsis; /* dims it stands for in the output */
    term out;
} einsum_plan;

/* A tensor whose dims have labels; a label that repeats has one dim, its diagonal. */
typedef struct view {
    term t;
    int64_t strides[LABELS]; /* in elements, by label */
    const char *data;
    char *owned; /* memory of `data`; NULL: another's */
} view;

/* ---- equations ---- */

static coppice_status bad_equation(const cop_call *call, const char *what) {
    const char *text = "";
    cop_node_string(call->node, "equation", "", &text, NULL);
    return cop_fail(call->err, COPPICE_BAD_MODEL, "equation '%s': %s", text, what);
}

/* Reads labels up to ',', '-' or the end. The ellipsis stands for what they leave of `rank`. */
static coppice_status read_term(const cop_call *call, const char **text, int rank, bool free_rank,
                                int ellipsis, term *out) {
    int letters = 0, dots = -1, labels[COPPICE_MAX_RANK];
    const char *p = *text;
    for (; *p && *p != ',' && *p != '-'; p++) {
        if (*p == ' ')
            continue;
        if (!strncmp(p, "...", 3) && dots < 0) {
            dots = letters;
            p += 2;
        } else if (isalpha((unsigned char)*p) && letters < COPPICE_MAX_RANK) {
            labels[letters++] = isupper((unsigned char)*p) ? *p - 'A' : *p - 'a' + 26;
        } else {
            return bad_equation(call, "expected at most 16 letters and one '...' in each term");
        }
    }
    *text = p;
    int hidden = dots < 0 ? 0 : free_rank ? ellipsis : rank - letters;
    if (hidden < 0 || letters + hidden > COPPICE_MAX_RANK ||
        (!free_rank && letters + hidden != rank))
        return bad_equation(call, "a term has another number of labels than its input dimensions");
    out->rank = 0;
    for (int i = 0; i <= letters; i++) {
        for (int h = hidden; i == dots && h-- > 0;)
            out->labels[out->rank++] = LETTERS + h;
        if (i < letters)
            out->labels[out->rank++] = labels[i];
    }
    return COPPICE_OK;
}

/* Sizes of the labels of input `i`; a size of 1 broadcasts. */
static coppice_status measure(const cop_call *call, int i, const term *t, einsum_plan *plan) {
    for (int d = 0; d < t->rank; d++) {
        int64_t size = cop_in(call, i)->dims[d], *known = &plan->sizes[t->labels[d]];
        if (plan->uses[t->labels[d]]++ == 0 || *known == 1)
            *known = size;
        if (size != *known && size != 1)
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "dimension %d of input %d ('%s', %s) is %lld where another with the "
                            "same label is %lld",
                            d, i, cop_in_name(call, i), cop_shape_text(cop_in(call, i)).s,
                            (long long)size, (long long)*known);
        if (t->labels[d] >= LETTERS && t->labels[d] - LETTERS >= plan->ellipsis)
            plan->ellipsis = t->labels[d] - LETTERS + 1;
    }
    return COPPICE_OK;
}

/* Without "->" the output has the ellipsis and what occurs once, sorted. */
static coppice_status implicit_output(const cop_call *call, einsum_plan *plan) {
    for (int h = plan->ellipsis; h-- > 0;)
        plan->out.labels[plan->out.rank++] = LETTERS + h;
    for (int label = 0; label < LETTERS; label++) {
        if (plan->uses[label] != 1)
            continue;
        if (plan->out.rank == COPPICE_MAX_RANK)
            return bad_equation(call, "the output has more than 16 dimensions");
        plan->out.labels[plan->out.rank++] = label;
    }
    return COPPICE_OK;
}

static coppice_status explicit_output(const cop_call *call, const char *text, einsum_plan *plan) {
    bool seen[LABELS] = {0};
    COP_TRY(read_term(call, &text, 0, true, plan->ellipsis, &plan->out));
    if (*text)
        return bad_equation(call, "text behind the output");
    for (int d = 0; d < plan->out.rank; d++) {
        int label = plan->out.labels[d];
        if (!plan->uses[label] || seen[label])
            return bad_equation(call, "a label of the output is in no input, or repeats");
        seen[label] = true;
    }
    return COPPICE_OK;
}

/* Reads the equation; *terms, when not NULL, gets one term for each input. */
static coppice_status plan_einsum(const cop_call *call, einsum_plan *plan, term *terms) {
    const char *text;
    *plan = (einsum_plan){0};
    COP_TRY(cop_node_string(call->node, "equation", "", &text, call->err));
    for (int i = 0; i < call->node->input_count; i++) {
        term t;
        if (i > 0 && *text++ != ',')
            return bad_equation(call, "it has fewer terms than there are inputs");
        COP_TRY(read_term(call, &text, (int)cop_in(call, i)->rank, false, 0, &t));
        COP_TRY(measure(call, i, &t, plan));
        if (terms)
            terms[i] = t;
    }
    if (!*text)
        return implicit_output(call, plan);
    if (strncmp(text, "->", 2) != 0)
        return bad_equation(call, "it has more terms than there are inputs, or no '->'");
    return explicit_output(call, text + 2, plan);
}

static coppice_status einsum_infer(cop_call *call) {
    einsum_plan plan;
    int64_t dims[COPPICE_MAX_RANK];
    for (int i = 0; i < call->node->input_count; i++) {
        if (!cop_in(call, i) || cop_in(call, i)->type != cop_in(call, 0)->type)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "input %d has another type than input 0",
                            i);
    }
    COP_TRY(plan_einsum(call, &plan, NULL));
    for (int d = 0; d < plan.out.rank; d++)
        dims[d] = plan.sizes[plan.out.labels[d]];
    cop_set_out(call, 0, cop_in(call, 0)->type, (uint32_t)plan.out.rank, dims);
    return COPPICE_OK;
}

/* ---- loops ---- */

/* Integers as unsigned ones: they wrap around. */
#define EINSUM_LOOPS(T, suffix)                                                                    \
    static void add_##suffix(const void *context, size_t n, void *to, const void *const *from,     \
                             const ptrdiff_t *strides) {                                           \
        (void)context;                                                                             \
        T *out = to;                                                                               \
        const T *in = from[0];                                                                     \
        for (ptrdiff_t i = 0; i < (ptrdiff_t)n; i++)                                               \
            out[i * strides[0]] += in[i * strides[1]];                                             \
    }                                                                                              \
    static void multiply_##suffix(const void *context, size_t n, void *to,                         \
                                  const void *const *from, const ptrdiff_t *strides) {             \
        (void)context;                                                                             \
        T *out = to;                                                                               \
        const T *a = from[0], *b = from[1];                                                        \
        for (ptrdiff_t i = 0; i < (ptrdiff_t)n; i++)                                               \
            out[i * strides[0]] = a[i * strides[1]] * b[i * strides[2]];                           \
    }
EINSUM_LOOPS(float, f32)
EINSUM_LOOPS(double, f64)
EINSUM_LOOPS(uint32_t, u32)
EINSUM_LOOPS(uint64_t, u64)

#define EINSUM_ROWS(op)                                                                            \
    [COPPICE_TYPE_FLOAT] = op##_f32, [COPPICE_TYPE_DOUBLE] = op##_f64,                             \
    [COPPICE_TYPE_INT32] = op##_u32, [COPPICE_TYPE_UINT32] = op##_u32,                             \
    [COPPICE_TYPE_INT64] = op##_u64, [COPPICE_TYPE_UINT64] = op##_u64

static const cop_walk_fn add_by_type[] = {EINSUM_ROWS(add)};
static const cop_walk_fn multiply_by_type[] = {EINSUM_ROWS(multiply)};

/* ---- views ---- */

typedef struct einsum {
    const cop_call *call;
    einsum_plan plan;
    coppice_type type;
    size_t bytes; /* of an element */
} einsum;

static bool has_label(const term *t, int label) {
    for (int d = 0; d < t->rank; d++) {
        if (t->labels[d] == label)
            return true;
    }
    return false;
}

static view view_of_input(const einsum *e, int i, const term *t) {
    const coppice_tensor *in = cop_in(e->call, i);
    int64_t strides[COPPICE_MAX_RANK];
    view v = {.data = in->data};
    cop_plain_strides(in->rank, in->dims, strides);
    for (int d = 0; d < t->rank; d++) {
        int label = t->labels[d];
        if (!has_label(&v.t, label))
            v.t.labels[v.t.rank++] = label;
        v.strides[label] += in->dims[d] == 1 ? 0 : strides[d];
    }
    return v;
}

static void drop_view(view *v) {
    cop_free(v->owned);
    *v = (view){0};
}

/* Gives `v` the labels of `t`, row-major, and memory of its own unless `target` is given; zeroed.
 */
static coppice_status make_view(const einsum *e, const term *t, void *target, view *v) {
    int64_t count = 1;
    size_t bytes;
    *v = (view){.t = *t};
    for (int d = t->rank; d-- > 0;) {
        v->strides[t->labels[d]] = count;
        if (!cop_i64_mul(count, e->plan.sizes[t->labels[d]], &count))
            return cop_fail(e->call->err, COPPICE_LIMIT, "an intermediate result is too large");
    }
    if (!cop_size_mul((size_t)count, e->bytes, &bytes))
        return cop_fail(e->call->err, COPPICE_LIMIT, "an intermediate result is too large");
    v->owned = target ? NULL : cop_malloc(bytes ? bytes : 1);
    v->data = target ? target : v->owned;
    if (!v->data)
        return cop_fail_memory(e->call->err, bytes);
    memset((char *)v->data, 0, bytes);
    return COPPICE_OK;
}

/* A loop nest over the labels of `t`, for an output and up to two inputs. */
static cop_walk walk_views(const einsum *e, const term *t, const view *out, const view *a,
                           const view *b) {
    cop_walk walk = {.rank = t->rank, .inputs = b ? 2 : 1, .out = (char *)out->data};
    walk.element[0] = walk.element[1] = walk.element[2] = e->bytes;
    walk.in[0] = a->data;
    walk.in[1] = b ? b->data : NULL;
    for (int d = 0; d < t->rank; d++) {
        int label = t->labels[d];
        walk.dims[d] = e->plan.sizes[label];
        walk.strides[0][d] = out->strides[label];
        walk.strides[1][d] = a->strides[label];
        walk.strides[2][d] = b ? b->strides[label] : 0;
    }
    return walk;
}

/* *v with the labels of `t` only, row-major; others are summed over. */
static coppice_status arrange(const einsum *e, const term *t, void *target, view *v) {
    view made;
    COP_TRY(make_view(e, t, target, &made));
    cop_walk walk = walk_views(e, &v->t, &made, v, NULL);
    if (v->t.rank == t->rank)
        cop_walk_copy(&walk, e->call->pool);
    else /* several elements meet in one: on one thread */
        cop_walk_run(&walk, add_by_type[e->type], NULL, NULL);
    drop_view(v);
    *v = made;
    return COPPICE_OK;
}

/* ---- two views become one ---- */

typedef struct groups {
    term batch, rows, columns, sums; /* labels of both, of a, of b; of both and summed over */
} groups;

static void add_label(term *t, int label) {
    t->labels[t->rank++] = label;
}

static term join(const term *a, const term *b, const term *c) {
    term out = *a;
    for (int i = 0; i < b->rank; i++)
        add_label(&out, b->labels[i]);
    for (int i = 0; c && i < c->rank; i++)
        add_label(&out, c->labels[i]);
    return out;
}

static void add_to_group(groups *g, const view *a, const view *b, const bool *keep, int label) {
    bool in_a = has_label(&a->t, label), in_b = has_label(&b->t, label);
    if (in_a && in_b)
        add_label(keep[label] ? &g->batch : &g->sums, label);
    else if (in_a || in_b)
        add_label(in_a ? &g->rows : &g->columns, label);
}

/* Labels in the order of the output, then the others. */
static groups group_labels(const einsum *e, const view *a, const view *b, const bool *keep) {
    groups g = {0};
    const term *out = &e->plan.out;
    for (int d = 0; d < out->rank; d++)
        add_to_group(&g, a, b, keep, out->labels[d]);
    for (int d = 0; d < a->t.rank; d++) {
        if (!has_label(out, a->t.labels[d]))
            add_to_group(&g, a, b, keep, a->t.labels[d]);
    }
    for (int d = 0; d < b->t.rank; d++) {
        if (!has_label(out, b->t.labels[d]) && !has_label(&a->t, b->t.labels[d]))
            add_to_group(&g, a, b, keep, b->t.labels[d]);
    }
    return g;
}

/* Steps of `v` along a group as if it were one dim; false when they are not even. */
static bool even_steps(const einsum *e, const view *v, const term *group, int64_t *step) {
    int64_t size = 0;
    *step = 0;
    for (int d = group->rank; d-- > 0;) {
        int label = group->labels[d];
        if (e->plan.sizes[label] == 1)
            continue;
        if (size && v->strides[label] != *step * size)
            return false;
        if (!size)
            *step = v->strides[label];
        size = (size ? size : 1) * e->plan.sizes[label];
    }
    return true;
}

static int64_t group_size(const einsum *e, const term *group) {
    int64_t size = 1;
    for (int d = 0; d < group->rank; d++)
        size *= e->plan.sizes[group->labels[d]];
    return size;
}

/* Drops labels that nothing needs; `t` gets what is left. */
static coppice_status sum_unneeded(const einsum *e, view *v, const view *other, const bool *keep) {
    term left = {0};
    for (int d = 0; d < v->t.rank; d++) {
        if (keep[v->t.labels[d]] || has_label(&other->t, v->t.labels[d]))
            add_label(&left, v->t.labels[d]);
    }
    return left.rank == v->t.rank ? COPPICE_OK : arrange(e, &left, NULL, v);
}

static coppice_status multiply_matrices(const einsum *e, const groups *g, view *a, view *b,
                                        const view *out) {
    cop_product p = {.type = e->type,
                     .rows = (size_t)group_size(e, &g->rows),
                     .columns = (size_t)group_size(e, &g->columns),
                     .reduction = (size_t)group_size(e, &g->sums),
                     .rank = g->batch.rank,
                     .out = (char *)out->data};
    if (!even_steps(e, a, &g->rows, &p.a_row) || !even_steps(e, a, &g->sums, &p.a_k)) {
        term order = join(&g->batch, &g->rows, &g->sums);
        COP_TRY(arrange(e, &order, NULL, a));
        even_steps(e, a, &g->rows, &p.a_row);
        even_steps(e, a, &g->sums, &p.a_k);
    }
    if (!even_steps(e, b, &g->columns, &p.b_column) || !even_steps(e, b, &g->sums, &p.b_k)) {
        term order = join(&g->batch, &g->sums, &g->columns);
        COP_TRY(arrange(e, &order, NULL, b));
        even_steps(e, b, &g->columns, &p.b_column);
        even_steps(e, b, &g->sums, &p.b_k);
    }
    p.a = a->data;
    p.b = b->data;
    for (int d = 0; d < g->batch.rank; d++) {
        p.batch[d] = e->plan.sizes[g->batch.labels[d]];
        p.a_batch[d] = a->strides[g->batch.labels[d]];
        p.b_batch[d] = b->strides[g->batch.labels[d]];
    }
    if (p.rows && p.columns && p.reduction && group_size(e, &g->batch))
        cop_product_run(&p, e->call->kernels, e->call->pool);
    return COPPICE_OK;
}

static bool same_labels(const term *a, const term *b) {
    return a->rank == b->rank && !memcmp(a->labels, b->labels, (size_t)a->rank * sizeof *a->labels);
}

/* *a becomes the product of *a and *b, summed over all labels that are in `keep` no more. `target`:
 * where the last result belongs, else NULL. */
static coppice_status contract(const einsum *e, view *a, view *b, const bool *keep, void *target) {
    const term *wanted = &e->plan.out;
    view out = {0};
    COP_TRY(sum_unneeded(e, a, b, keep));
    COP_TRY(sum_unneeded(e, b, a, keep));
    if (wanted->rank && has_label(&a->t, wanted->labels[wanted->rank - 1]) &&
        !has_label(&b->t, wanted->labels[wanted->rank - 1])) {
        view swap = *a; /* columns are what lies innermost in the output */
        *a = *b;
        *b = swap;
    }
    groups g = group_labels(e, a, b, keep);
    if (g.batch.rank + g.rows.rank + g.columns.rank > COPPICE_MAX_RANK)
        return cop_fail(e->call->err, COPPICE_LIMIT,
                        "an intermediate result has more than %d dimensions", COPPICE_MAX_RANK);
    term order = join(&g.batch, &g.rows, &g.columns);
    if (g.sums.rank == 0 && target)
        order = *wanted;
    COP_TRY(make_view(e, &order, target && same_labels(&order, wanted) ? target : NULL, &out));
    coppice_status status = COPPICE_OK;
    if (g.sums.rank == 0) {
        cop_walk walk = walk_views(e, &order, &out, a, b);
        cop_walk_run(&walk, multiply_by_type[e->type], NULL, e->call->pool);
    } else {
        status = multiply_matrices(e, &g, a, b, &out);
    }
    drop_view(a);
    drop_view(b);
    *a = out;
    return status;
}

/* ---- Einsum ---- */

/* Labels that the output or an input behind the first `used` ones has. */
static void find_needed(const einsum *e, const term *terms, int used, bool *keep) {
    memset(keep, 0, LABELS * sizeof *keep);
    for (int d = 0; d < e->plan.out.rank; d++)
        keep[e->plan.out.labels[d]] = true;
    for (int i = used; i < e->call->node->input_count; i++) {
        for (int d = 0; d < terms[i].rank; d++)
            keep[terms[i].labels[d]] = true;
    }
}

static coppice_status run_terms(const einsum *e, const term *terms, view *all) {
    void *target = cop_out(e->call, 0)->data;
    int count = e->call->node->input_count;
    bool keep[LABELS];
    *all = view_of_input(e, 0, &terms[0]);
    for (int i = 1; i < count; i++) {
        view next = view_of_input(e, i, &terms[i]);
        find_needed(e, terms, i + 1, keep);
        coppice_status status = contract(e, all, &next, keep, i == count - 1 ? target : NULL);
        drop_view(&next);
        COP_TRY(status);
    }
    return all->data == target && count > 1 ? COPPICE_OK : arrange(e, &e->plan.out, target, all);
}

static coppice_status einsum_run(const cop_call *call) {
    einsum e = {.call = call,
                .type = cop_out(call, 0)->type,
                .bytes = cop_type_bytes(cop_out(call, 0)->type)};
    view all = {0};
    term *terms = cop_calloc((size_t)call->node->input_count, sizeof *terms);
    if (!terms)
        return cop_fail_memory(call->err, sizeof *terms);
    coppice_status status = plan_einsum(call, &e.plan, terms);
    if (!status && coppice_tensor_count(cop_out(call, 0)) > 0)
        status = run_terms(&e, terms, &all);
    drop_view(&all);
    cop_free(terms);
    return status;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_einsum[] = {
    {.name = "Einsum", .since = 12, .min_inputs = 1, .max_inputs = -1, .max_outputs = 1,
     .types = FLOATS | WIDE_INTEGERS,
     INFER(einsum), RUN(einsum)},
    {.name = NULL},
};
/* clang-format on */
