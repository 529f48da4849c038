/* The kernels that could compute each node, and how long each takes on this machine. */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "runtime/measure.h"

/* A weight with fewer zeros is not worth timing sparse kernels for: a dense kernel does it at once.
 */
static const double LEAST_SPARSITY_TO_TRY = 0.2;

/* Multiply-accumulates from which a layer is worth several threads: some 5 microseconds' work. */
static const double LEAST_PARALLEL_MACS = 4e5;

/* What timing may take with --tune fast, so that a model runs at once; layers behind that are
 * estimated from those before, the first of a kind is timed all the same. Where no sparse kernel
 * is among the candidates little is to be gained. */
static const double DENSE_BUDGET_MS = 50, SPARSE_BUDGET_MS = 350;

/* A kernel must be faster by this than one that the table has before it, so that the same kernels
 * are taken again when they are measured again. */
static const double CLEARLY_FASTER = 0.97;

/* What choosing for all nodes shares. */
typedef struct chooser {
    const cop_graph *graph;
    const cop_shapes *shapes;
    const cop_fusion *fusions;
    const cop_settings *settings;
    cop_tuner tuner;
    double dense_ms, sparse_ms; /* spent on layers without sparse candidates, and with */
    cop_lowered *lowered;       /* the node at hand, when it is one; else NULL */
    coppice_error *err;
} chooser;

static double conv_sparsity(const cop_conv *c) {
    return 1 - (double)c->nonzeros / (double)cop_conv_weights(c);
}

/* ---- which kernels may be used ---- */

static bool same_family(const cop_conv_kernel *a, const cop_conv_kernel *b) {
    return a->family && b->family && strcmp(a->family, b->family) == 0;
}

/* A row of the kernel's family is among the choices already: that of a wider instruction set. */
static bool has_family(const cop_node_choices *c, const cop_conv_kernel *k) {
    for (int i = 0; i < c->count; i++) {
        if (same_family(c->list[i].kernel, k))
            return true;
    }
    return false;
}

/* Of a value whose form a kernel wants, in images and in tokens. */
static const cop_layout layouts[][2] = {
    [COP_FORM_PLANES] = {COP_LAYOUT_PLAIN, COP_LAYOUT_PLAIN},
    [COP_FORM_CHANNELS_LAST] = {COP_LAYOUT_NHWC, COP_LAYOUT_PLAIN},
    [COP_FORM_TILES] = {COP_LAYOUT_TILES, COP_LAYOUT_TOKEN_TILES},
};

/* Several tokens never lie in planes. */
static bool has_layout(const cop_conv_kernel *k, const cop_conv *c) {
    return k->form != COP_FORM_PLANES || !c->tokens || c->in_w == 1;
}

/* XNNPACK takes what the CPU has. Where less is asked for it would not be what was asked for,
 * unless it is asked for itself. */
static bool exceeds_isa(const cop_settings *s, const cop_conv_kernel *k) {
    return k->backend == COPPICE_BACKEND_XNNPACK && s->backend == COPPICE_BACKEND_AUTO &&
           s->isa != coppice_isa_best();
}

static bool usable(const cop_settings *s, const cop_conv *c, const cop_conv_kernel *k) {
    bool has_zeros = c->nonzeros < cop_conv_weights(c);
    if (exceeds_isa(s, k) || !cop_isa_allows(s->isa, k->isa) || !has_layout(k, c) ||
        !k->supports(c))
        return false;
    return !k->sparse || (has_zeros && s->sparse != COPPICE_SPARSE_NEVER);
}

static void add_choice(cop_node_choices *out, cop_choice choice) {
    if (out->count < COP_MAX_CHOICES)
        out->list[out->count++] = choice;
}

/* Adds the usable kernels of one backend. Of a family only the widest instruction set. */
static void add_backend(const cop_settings *s, const cop_conv *c, coppice_backend backend,
                        cop_node_choices *out) {
    for (const cop_conv_kernel *const *row = cop_conv_kernels; *row; row++) {
        const cop_conv_kernel *k = *row;
        if (k->backend != backend || !usable(s, c, k) || has_family(out, k))
            continue;
        add_choice(out, (cop_choice){.kernel = k, .layout = layouts[k->form][c->tokens]});
    }
}

static void keep_only(cop_node_choices *c, bool sparse) {
    int kept = 0;
    for (int i = 0; i < c->count; i++) {
        if (c->list[i].kernel->sparse == sparse)
            c->list[kept++] = c->list[i];
    }
    c->count = kept;
}

static bool has_sparse(const cop_node_choices *c) {
    for (int i = 0; i < c->count; i++) {
        if (c->list[i].kernel->sparse)
            return true;
    }
    return false;
}

/* The backends to ask in turn, by the one that was asked for: a backend without a kernel falls back
 * node by node. AUTO stands for native and xnnpack together. */
static const coppice_backend fallbacks[][3] = {
    [COPPICE_BACKEND_AUTO] = {COPPICE_BACKEND_AUTO, COPPICE_BACKEND_REFERENCE,
                              COPPICE_BACKEND_REFERENCE},
    [COPPICE_BACKEND_NATIVE] = {COPPICE_BACKEND_NATIVE, COPPICE_BACKEND_XNNPACK,
                                COPPICE_BACKEND_REFERENCE},
    [COPPICE_BACKEND_XNNPACK] = {COPPICE_BACKEND_XNNPACK, COPPICE_BACKEND_NATIVE,
                                 COPPICE_BACKEND_REFERENCE},
    [COPPICE_BACKEND_REFERENCE] = {COPPICE_BACKEND_REFERENCE, COPPICE_BACKEND_REFERENCE,
                                   COPPICE_BACKEND_REFERENCE},
};

/* With --sparse always a backend that has no sparse kernel for a weight with zeros gives way to the
 * next one that has. */
static void list_kernels(const cop_settings *s, const cop_conv *c, cop_node_choices *out) {
    bool want_sparse = s->sparse == COPPICE_SPARSE_ALWAYS && c->nonzeros < cop_conv_weights(c);
    for (int pass = want_sparse ? 0 : 1; pass < 2; pass++) {
        for (int i = 0; i < 3; i++) {
            coppice_backend backend = fallbacks[s->backend][i];
            out->count = 0;
            if (backend == COPPICE_BACKEND_AUTO) {
                add_backend(s, c, COPPICE_BACKEND_NATIVE, out);
                add_backend(s, c, COPPICE_BACKEND_XNNPACK, out);
            } else {
                add_backend(s, c, backend, out);
            }
            if (pass == 0)
                keep_only(out, true);
            if (out->count)
                return;
        }
    }
}

/* ---- how fast they are ---- */

const coppice_threadpool *cop_conv_pool(const cop_settings *settings, const cop_conv *conv,
                                        const cop_conv_kernel *kernel) {
    bool reference = kernel->backend == COPPICE_BACKEND_REFERENCE;
    return reference || cop_conv_work(conv, kernel) >= LEAST_PARALLEL_MACS ? settings->pool : NULL;
}

static void drop_failed(cop_node_choices *c) {
    int kept = 0;
    for (int i = 0; i < c->count; i++) {
        if (c->list[i].ms >= 0)
            c->list[kept++] = c->list[i];
    }
    c->count = kept;
}

/* What was not timed where others were is far behind, by its rate on layers alike. */
static void note_best(cop_node_choices *c) {
    bool measured = false;
    c->dense_ms = c->sparse_ms = -1;
    for (int i = 0; i < c->count; i++)
        measured |= c->list[i].measured;
    for (int i = 0; measured && i < c->count; i++) {
        double *best = c->list[i].kernel->sparse ? &c->sparse_ms : &c->dense_ms;
        if (*best < 0 || c->list[i].ms < *best)
            *best = c->list[i].ms;
    }
}

/* Of two kernels that are about as fast the first of the table is taken. */
static void settle_ties(cop_node_choices *c) {
    for (int i = 1; i < c->count; i++) {
        for (int k = 0; k < i; k++) {
            bool tie =
                c->list[i].ms < c->list[k].ms && c->list[i].ms > CLEARLY_FASTER * c->list[k].ms;
            if (tie && c->list[i].layout == c->list[k].layout)
                c->list[i].ms = c->list[k].ms;
        }
    }
}

/* Drops sparse kernels where there are too few zeros to try them; true when it did. */
static bool drop_sparse(const cop_settings *s, const cop_conv *c, cop_node_choices *out) {
    if (s->sparse != COPPICE_SPARSE_AUTO || conv_sparsity(c) >= LEAST_SPARSITY_TO_TRY ||
        !has_sparse(out))
        return false;
    cop_node_choices all = *out;
    keep_only(out, false);
    if (out->count)
        return true;
    *out = all;
    return false;
}

/* Sets the ms of all choices; *why says how. */
static coppice_status find_times(chooser *t, const cop_conv *c, cop_node_choices *out,
                                 const char **why) {
    const cop_settings *s = t->settings;
    if (s->tune == COPPICE_TUNE_NONE || out->count == 1) {
        cop_tuner_rule(c, out);
        *why = out->count == 1 ? "only candidate" : "estimated (--tune none)";
        return COPPICE_OK;
    }
    cop_tune_source source = cop_tuner_recall(&t->tuner, c, out);
    *why = source == COP_TUNE_STORED ? "fastest measured before (cached)" : "fastest measured";
    if (source)
        return COPPICE_OK;
    bool sparse = has_sparse(out);
    double *spent = sparse ? &t->sparse_ms : &t->dense_ms;
    bool over = *spent > (sparse ? SPARSE_BUDGET_MS : DENSE_BUDGET_MS);
    if (s->tune == COPPICE_TUNE_FAST && over && cop_tuner_knows(&t->tuner, c, out)) {
        cop_tuner_estimate(&t->tuner, c, out);
        *why = "estimated from other layers";
        return COPPICE_OK;
    }
    if (t->lowered)
        COP_TRY(cop_lowered_turn(t->lowered, t->err));
    double begin = cop_now_ms();
    COP_TRY(cop_tuner_measure(&t->tuner, c, out));
    *spent += cop_now_ms() - begin;
    return COPPICE_OK;
}

static coppice_status choose_conv(chooser *t, const cop_conv *c, cop_node_choices *out) {
    const cop_settings *s = t->settings;
    list_kernels(s, c, out);
    bool has_zeros = c->nonzeros < cop_conv_weights(c), dropped = drop_sparse(s, c, out);
    out->weights = cop_conv_weights(c);
    out->nonzeros = c->nonzeros;
    COP_TRY(find_times(t, c, out, &out->why));
    drop_failed(out);
    if (!out->count)
        return cop_fail(t->err, COPPICE_INTERNAL, "no kernel runs on this machine");
    note_best(out);
    settle_ties(out);
    if (s->sparse == COPPICE_SPARSE_ALWAYS && has_sparse(out))
        out->why = "--sparse always";
    else if (s->sparse == COPPICE_SPARSE_NEVER && has_zeros)
        out->why = "--sparse never";
    else if (dropped && has_zeros)
        out->why = "too few zeros to try sparse kernels";
    else if (has_zeros && !has_sparse(out))
        out->why = "no sparse kernel takes this layer";
    return COPPICE_OK;
}

coppice_status cop_choose_kernel(const cop_settings *settings, const cop_conv *conv,
                                 cop_node_choices *out, coppice_error *err) {
    chooser t = {.settings = settings, .err = err, .tuner = {.settings = settings, .err = err}};
    *out = (cop_node_choices){.dense_ms = -1, .sparse_ms = -1};
    coppice_status status = choose_conv(&t, conv, out);
    cop_tuner_free(&t.tuner);
    return status;
}

/* ---- operators' own loops ---- */

/* The layouts in which the operator moves nothing, as what comes out are the bytes that went in. */
static coppice_status list_views(const cop_op *op, const cop_call *call, cop_node_choices *out) {
    const coppice_tensor *from = &call->in[0]->t, *to = &call->out[0].t;
    int perm[COPPICE_MAX_RANK];
    if (op->permutation)
        COP_TRY(op->permutation(call, perm));
    for (int a = 0; a < COP_LAYOUT_COUNT; a++) {
        for (int b = 0; b < COP_LAYOUT_COUNT; b++) {
            if (cop_layout_same_moved(from, (cop_layout)a, op->permutation ? perm : NULL, to,
                                      (cop_layout)b))
                add_choice(out, (cop_choice){
                                    .layout = (cop_layout)b, .view = true, .reads = (cop_layout)a});
        }
    }
    return COPPICE_OK;
}

/* Lists the layouts that the operator could work in here. */
static coppice_status list_layouts(const cop_op *op, const cop_call *call, cop_node_choices *out) {
    if (op->permutation)
        COP_TRY(list_views(op, call, out));
    unsigned mask = 1u << COP_LAYOUT_PLAIN | (op->layouts ? op->layouts(call) : 0);
    double bytes = op->permutation ? 2 * (double)coppice_tensor_bytes(&call->out[0].t) : 0;
    for (int l = 0; l < COP_LAYOUT_COUNT; l++) {
        if (mask >> l & 1u)
            add_choice(out,
                       (cop_choice){.layout = (cop_layout)l, .ms = bytes * COP_MOVE_MS_PER_BYTE});
    }
    return COPPICE_OK;
}

static coppice_status choose_op(chooser *t, size_t node, cop_node_choices *out) {
    const cop_op *op = t->shapes->ops[node];
    const cop_node *n = &t->graph->nodes[node];
    out->why = "only candidate";
    out->dense_ms = out->sparse_ms = -1;
    bool view = op->flags & COP_OP_VIEW;
    if (t->shapes->eager[node] || !(view || op->layouts || op->permutation)) {
        add_choice(out, (cop_choice){.layout = COP_LAYOUT_PLAIN});
        return COPPICE_OK;
    }
    const cop_operand **in = cop_calloc((size_t)n->input_count + 1, sizeof *in);
    cop_operand *results = cop_calloc((size_t)n->output_count + 1, sizeof *results);
    coppice_status status = COPPICE_OK;
    if (in && results) {
        for (int i = 0; i < n->input_count; i++)
            in[i] = n->inputs[i] < 0 ? NULL : &t->shapes->values[n->inputs[i]];
        for (int i = 0; i < n->output_count; i++) {
            if (n->outputs[i] >= 0)
                results[i] = t->shapes->values[n->outputs[i]];
        }
        const cop_call call = {.graph = t->graph,
                               .node = n,
                               .params = t->shapes->params[node],
                               .opset = cop_node_opset(t->graph, n),
                               .in = in,
                               .out = results,
                               .err = t->err};
        status = view ? list_views(op, &call, out) : list_layouts(op, &call, out);
    } else {
        status = cop_fail_memory(t->err, (size_t)n->output_count * sizeof *results);
    }
    cop_free(in);
    cop_free(results);
    return status;
}

static bool needs_a_step(const chooser *t, const cop_node *n) {
    for (int i = 0; i < n->output_count; i++) {
        if (n->outputs[i] >= 0 && !t->shapes->values[n->outputs[i]].t.data)
            return true;
    }
    return false;
}

static coppice_status choose_node(chooser *t, size_t node, cop_node_choices *out) {
    cop_lowered lowered;
    bool is_conv;
    COP_TRY(cop_lower(t->graph, t->shapes, node, &t->fusions[node], &is_conv, &lowered, t->err));
    if (!is_conv)
        return choose_op(t, node, out);
    t->lowered = &lowered;
    coppice_status status = choose_conv(t, &lowered.conv, out);
    t->lowered = NULL;
    cop_lowered_free(&lowered);
    return status;
}

coppice_status cop_list_choices(const cop_graph *graph, const cop_shapes *shapes,
                                const cop_fusion *fusions, const cop_settings *settings,
                                cop_node_choices *choices, coppice_error *err) {
    chooser t = {.graph = graph,
                 .shapes = shapes,
                 .fusions = fusions,
                 .settings = settings,
                 .err = err,
                 .tuner = {.settings = settings, .err = err}};
    coppice_status status = COPPICE_OK;
    for (size_t i = 0; i < graph->node_count && !status; i++) {
        choices[i] = (cop_node_choices){.dense_ms = -1, .sparse_ms = -1};
        if (fusions[i].by >= 0 || !needs_a_step(&t, &graph->nodes[i]))
            continue;
        status = choose_node(&t, i, &choices[i]);
        if (status)
            cop_error_at_node(err, graph, &graph->nodes[i]);
    }
    cop_tuner_free(&t.tuner);
    return status;
}
