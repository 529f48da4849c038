/* The kernels that could compute each node, and how long each takes on this machine. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/size.h"
#include "runtime/memory.h"
#include "runtime/plan.h"

/* Relative speeds for --tune none: giga multiply-accumulates per second that a kind of kernel
 * reaches on one core, in round figures; only their order matters. */
static const double DENSE_RATE = 40, NATIVE_SPARSE_RATE = 20, XNNPACK_SPARSE_RATE = 8,
                    REFERENCE_RATE = 0.5;

/* A weight with fewer zeros is not worth timing sparse kernels for: a dense kernel does it at once.
 */
static const double LEAST_SPARSITY_TO_TRY = 0.2;

/* Multiply-accumulates from which a layer is worth several threads: some 20 microseconds' work. */
static const double LEAST_PARALLEL_MACS = 2e6;

/* Timed runs of a candidate whatever they cost: on a busy machine a single one says nothing. */
enum { LEAST_RUNS = 3, LEAST_LONG_RUNS = 1 };

/* From here on a run is long: it says more. */
static const double LONG_MS = 2;

static const struct {
    unsigned runs;
    double budget_ms; /* per candidate, after the first run */
} efforts[] = {[COPPICE_TUNE_FAST] = {5, 5}, [COPPICE_TUNE_FULL] = {25, 300}};

/* What timing layers with few zeros may take in all, with --tune fast: a model that was not pruned
 * is to run at once. Layers behind that are estimated from those before. */
static const double DENSE_BUDGET_MS = 50;
static const double FEW_ZEROS = 0.4;

/* A candidate that is slower than the best so far by these factors is timed no further: in its
 * first run, which may be slow for other reasons, unless it takes but a moment, and later. */
static const double HOPELESS_COLD = 4, HOPELESS_WARM = 1.5, A_MOMENT_MS = 0.5;

/* One timed kernel on one geometry: layers that repeat are timed once. */
typedef struct timing {
    cop_conv conv; /* pointers are NULL */
    const cop_conv_kernel *kernel;
    double ms;
} timing;

typedef struct tuner {
    const cop_graph *graph;
    const cop_shapes *shapes;
    const cop_settings *settings;
    timing *timings;
    size_t timing_count, timing_capacity;
    cop_block *x, *y, *scratch; /* that kernels are timed on */
    double dense_ms;            /* spent on layers with few zeros */
    coppice_error *err;
} tuner;

static size_t conv_weights(const cop_conv *c) {
    return c->out_channels * (c->in_channels / c->groups) * c->kernel_h * c->kernel_w;
}

static double conv_sparsity(const cop_conv *c) {
    return 1 - (double)c->nonzeros / (double)conv_weights(c);
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

static bool usable(const cop_settings *s, const cop_conv *c, const cop_conv_kernel *k) {
    bool has_zeros = c->nonzeros < conv_weights(c);
    if (!cop_isa_allows(s->isa, k->isa) || !k->supports(c))
        return false;
    return !k->sparse || (has_zeros && s->sparse != COPPICE_SPARSE_NEVER);
}

/* Of a value whose form a kernel wants, in images and in tokens. */
static const cop_layout layouts[][2] = {
    [COP_FORM_PLANES] = {COP_LAYOUT_PLAIN, COP_LAYOUT_CHANNELS_FIRST},
    [COP_FORM_CHANNELS_LAST] = {COP_LAYOUT_NHWC, COP_LAYOUT_PLAIN},
    [COP_FORM_TILES] = {COP_LAYOUT_TILES, COP_LAYOUT_TOKEN_TILES},
};

/* Adds the usable kernels of one backend. Of a family only the widest instruction set. */
static void add_backend(const cop_settings *s, const cop_conv *c, coppice_backend backend,
                        cop_node_choices *out) {
    for (const cop_conv_kernel *const *row = cop_conv_kernels; *row; row++) {
        const cop_conv_kernel *k = *row;
        if (k->backend != backend || !usable(s, c, k) || has_family(out, k))
            continue;
        if (out->count < COP_MAX_CHOICES)
            out->list[out->count++] =
                (cop_choice){.kernel = k, .layout = layouts[k->form][c->tokens]};
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
    bool want_sparse = s->sparse == COPPICE_SPARSE_ALWAYS && c->nonzeros < conv_weights(c);
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

/* Multiply-accumulates that the kernel does. */
static double work_of(const cop_conv *c, const cop_conv_kernel *k) {
    double pixels = (double)(c->batch * c->out_h * c->out_w);
    return pixels * (double)(k->sparse ? c->nonzeros : conv_weights(c));
}

const coppice_threadpool *cop_conv_pool(const cop_settings *settings, const cop_conv *conv,
                                        const cop_conv_kernel *kernel) {
    bool reference = kernel->backend == COPPICE_BACKEND_REFERENCE;
    return reference || work_of(conv, kernel) >= LEAST_PARALLEL_MACS ? settings->pool : NULL;
}

static double estimate_ms(const cop_conv *c, const cop_conv_kernel *k) {
    double rate = k->backend == COPPICE_BACKEND_REFERENCE ? REFERENCE_RATE
                  : !k->sparse                            ? DENSE_RATE
                  : k->backend == COPPICE_BACKEND_NATIVE  ? NATIVE_SPARSE_RATE
                                                          : XNNPACK_SPARSE_RATE;
    return work_of(c, k) / rate * 1e-6;
}

static cop_conv geometry_of(const cop_conv *c) {
    cop_conv g = *c;
    g.weights = g.bias = NULL;
    return g;
}

/* Field by field: structures have padding, and counts of non-zeros may differ a little. */
static bool same_geometry(const cop_conv *a, const cop_conv *b) {
    const size_t x[] = {a->batch,    a->groups,   a->in_channels, a->out_channels,
                        a->in_h,     a->in_w,     a->kernel_h,    a->kernel_w,
                        a->stride_h, a->stride_w, a->dilation_h,  a->dilation_w,
                        a->pad_top,  a->pad_left, a->pad_bottom,  a->pad_right};
    const size_t y[] = {b->batch,    b->groups,   b->in_channels, b->out_channels,
                        b->in_h,     b->in_w,     b->kernel_h,    b->kernel_w,
                        b->stride_h, b->stride_w, b->dilation_h,  b->dilation_w,
                        b->pad_top,  b->pad_left, b->pad_bottom,  b->pad_right};
    double difference = fabs((double)a->nonzeros - (double)b->nonzeros);
    return memcmp(x, y, sizeof x) == 0 && difference <= 0.02 * (double)a->nonzeros;
}

static const timing *find_timing(const tuner *t, const cop_conv *c, const cop_conv_kernel *k) {
    for (size_t i = 0; i < t->timing_count; i++) {
        if (t->timings[i].kernel == k && same_geometry(&t->timings[i].conv, c))
            return &t->timings[i];
    }
    return NULL;
}

/* Numbers between -1 and 1 that are neither all the same nor denormal. */
static void fill_activations(float *x, size_t count) {
    uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)state * 0x1p-31f;
    }
}

/* Makes *block at least as large. Blocks have room behind their ends. */
static bool make_large(cop_block **block, size_t bytes, bool *grown) {
    *grown = !*block || (*block)->bytes < bytes;
    if (!*grown)
        return true;
    cop_block_release(*block);
    *block = cop_block_new(bytes);
    return *block != NULL;
}

/* Of activations in any form. */
static size_t buffer_bytes(size_t channels, size_t positions) {
    return channels * cop_round_up(positions, cop_tile_width(positions)) * sizeof(float);
}

static coppice_status make_buffers(tuner *t, const cop_conv *c, size_t scratch) {
    size_t in = buffer_bytes(c->in_channels, c->batch * c->in_h * c->in_w);
    size_t out = buffer_bytes(c->out_channels, c->batch * c->out_h * c->out_w);
    bool grown, ignored;
    if (!make_large(&t->x, in, &grown) || !make_large(&t->y, out, &ignored) ||
        !make_large(&t->scratch, scratch, &ignored))
        return cop_fail_memory(t->err, in + out + scratch);
    if (grown)
        fill_activations(t->x->data, in / sizeof(float));
    return COPPICE_OK;
}

static void free_tuner(tuner *t) {
    cop_block_release(t->x);
    cop_block_release(t->y);
    cop_block_release(t->scratch);
    cop_free(t->timings);
}

/* True when a candidate that took `taken` in run `i` cannot become the best. */
static bool hopeless(unsigned i, double taken, double best, double limit) {
    if (limit < 0)
        return false;
    if (i == 0)
        return taken > A_MOMENT_MS && taken > HOPELESS_COLD * limit;
    return i >= 2 && best > HOPELESS_WARM * limit;
}

/* `limit`: the least time of the candidates before, -1 for the first. */
static coppice_status measure(tuner *t, const cop_conv *c, const cop_conv_kernel *k, void *state,
                              double limit, double *ms) {
    COP_TRY(make_buffers(t, c, k->scratch ? k->scratch(state) : 0));
    double best = INFINITY, spent = 0;
    unsigned runs = efforts[t->settings->tune].runs, least = LEAST_RUNS;
    double budget = efforts[t->settings->tune].budget_ms;
    const coppice_threadpool *pool = cop_conv_pool(t->settings, c, k);
    const cop_conv_io io = {.input = t->x->data, .output = t->y->data, .scratch = t->scratch->data};
    for (unsigned i = 0; i <= runs && (i <= least || spent < budget); i++) {
        double begin = cop_now_ms();
        COP_TRY(k->run(state, &io, pool, t->err));
        double taken = cop_now_ms() - begin;
        bool stop = hopeless(i, taken, best, limit);
        if (i > 0 || stop) /* the first run warms caches and indirection tables */
            best = taken < best ? taken : best;
        if (i > 0)
            spent += taken;
        if (taken > LONG_MS)
            least = LEAST_LONG_RUNS;
        if (stop)
            break;
    }
    *ms = best;
    return COPPICE_OK;
}

/* Sets choice->ms; drops the kernel (ms stays negative) when it does not run on this machine. */
static coppice_status time_choice(tuner *t, const cop_conv *c, double limit, cop_choice *choice) {
    const timing *known = find_timing(t, c, choice->kernel);
    choice->ms = known ? known->ms : -1;
    choice->measured = true;
    if (known)
        return COPPICE_OK;
    COP_TRY(cop_check_interrupt(t->err));
    void *state = NULL;
    coppice_status status =
        choice->kernel->create(c, cop_conv_pool(t->settings, c, choice->kernel), &state, t->err);
    if (status == COPPICE_UNSUPPORTED)
        return COPPICE_OK;
    if (!status)
        status = measure(t, c, choice->kernel, state, limit, &choice->ms);
    if (state)
        choice->kernel->destroy(state);
    if (!status &&
        cop_grow(&t->timings, t->timing_count, &t->timing_capacity, sizeof *t->timings) == 0)
        t->timings[t->timing_count++] =
            (timing){.conv = geometry_of(c), .kernel = choice->kernel, .ms = choice->ms};
    return status;
}

static coppice_status time_choices(tuner *t, const cop_conv *c, cop_node_choices *out) {
    double best = -1;
    for (int i = 0; i < out->count; i++) {
        cop_choice *choice = &out->list[i];
        COP_TRY(time_choice(t, c, best, choice));
        if (choice->ms >= 0 && (best < 0 || choice->ms < best))
            best = choice->ms;
    }
    return COPPICE_OK;
}

/* Layers that one kernel does at about one rate. */
static bool alike(const cop_conv *a, const cop_conv *b) {
    return (a->groups == 1) == (b->groups == 1) && a->kernel_h == b->kernel_h &&
           a->kernel_w == b->kernel_w && a->tokens == b->tokens;
}

/* From the rate of the kernel on the layers that were timed; by rule where there are none. */
static double extrapolate_ms(const tuner *t, const cop_conv *c, const cop_conv_kernel *k) {
    double ms = 0, work = 0;
    for (size_t i = 0; i < t->timing_count; i++) {
        const timing *known = &t->timings[i];
        if (known->kernel != k || known->ms < 0 || !alike(&known->conv, c))
            continue;
        ms += known->ms;
        work += work_of(&known->conv, k);
    }
    return work > 0 ? work_of(c, k) * ms / work : estimate_ms(c, k);
}

static void drop_failed(cop_node_choices *c) {
    int kept = 0;
    for (int i = 0; i < c->count; i++) {
        if (c->list[i].ms >= 0)
            c->list[kept++] = c->list[i];
    }
    c->count = kept;
}

static void note_best(cop_node_choices *c) {
    c->dense_ms = c->sparse_ms = -1;
    for (int i = 0; i < c->count; i++) {
        double *best = c->list[i].kernel->sparse ? &c->sparse_ms : &c->dense_ms;
        if (c->list[i].measured && (*best < 0 || c->list[i].ms < *best))
            *best = c->list[i].ms;
    }
}

static coppice_status choose_conv(tuner *t, const cop_conv *c, cop_node_choices *out) {
    const cop_settings *s = t->settings;
    list_kernels(s, c, out);
    bool try_sparse = conv_sparsity(c) >= LEAST_SPARSITY_TO_TRY;
    if (s->sparse == COPPICE_SPARSE_AUTO && !try_sparse && out->count > 1) {
        cop_node_choices all = *out;
        keep_only(out, false);
        if (!out->count)
            *out = all;
    }
    out->weights = conv_weights(c);
    out->nonzeros = c->nonzeros;
    bool dense = !has_sparse(out) || conv_sparsity(c) < FEW_ZEROS;
    bool rule = s->tune == COPPICE_TUNE_NONE;
    bool late = dense && s->tune == COPPICE_TUNE_FAST && t->dense_ms > DENSE_BUDGET_MS;
    bool timed = !rule && !late && out->count > 1;
    for (int i = 0; i < out->count; i++)
        out->list[i].ms =
            rule ? estimate_ms(c, out->list[i].kernel) : extrapolate_ms(t, c, out->list[i].kernel);
    double begin = cop_now_ms();
    if (timed)
        COP_TRY(time_choices(t, c, out));
    if (timed && dense)
        t->dense_ms += cop_now_ms() - begin;
    drop_failed(out);
    if (!out->count)
        return cop_fail(t->err, COPPICE_INTERNAL, "no kernel runs on this machine");
    note_best(out);
    bool forced = s->sparse == COPPICE_SPARSE_ALWAYS && has_sparse(out);
    out->why = forced            ? "--sparse always"
               : out->count == 1 ? "only candidate"
               : timed           ? "fastest measured"
               : late            ? "estimated from other layers"
                                 : "estimated (--tune none)";
    return COPPICE_OK;
}

coppice_status cop_choose_kernel(const cop_settings *settings, const cop_conv *conv,
                                 cop_node_choices *out, coppice_error *err) {
    tuner t = {.settings = settings, .err = err};
    *out = (cop_node_choices){.dense_ms = -1, .sparse_ms = -1};
    coppice_status status = choose_conv(&t, conv, out);
    free_tuner(&t);
    return status;
}

/* ---- operators' own loops ---- */

/* Adds to *mask the layouts that the operator could work in here. */
static coppice_status ask_layouts(tuner *t, size_t node, unsigned *mask) {
    const cop_op *op = t->shapes->ops[node];
    const cop_node *n = &t->graph->nodes[node];
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
        cop_call call = {.graph = t->graph,
                         .node = n,
                         .params = t->shapes->params[node],
                         .opset = cop_node_opset(t->graph, n),
                         .in = in,
                         .out = results};
        *mask |= op->layouts(&call);
    } else {
        status = cop_fail_memory(t->err, (size_t)n->output_count * sizeof *results);
    }
    cop_free(in);
    cop_free(results);
    return status;
}

static coppice_status choose_op(tuner *t, size_t node, cop_node_choices *out) {
    unsigned mask = 1u << COP_LAYOUT_PLAIN;
    if (t->shapes->ops[node]->layouts)
        COP_TRY(ask_layouts(t, node, &mask));
    for (int l = 0; l < COP_LAYOUT_COUNT; l++) {
        if (mask >> l & 1u)
            out->list[out->count++] = (cop_choice){.layout = (cop_layout)l};
    }
    out->why = "only candidate";
    out->dense_ms = out->sparse_ms = -1;
    return COPPICE_OK;
}

static bool needs_a_step(const tuner *t, const cop_node *n) {
    for (int i = 0; i < n->output_count; i++) {
        if (n->outputs[i] >= 0 && !t->shapes->values[n->outputs[i]].t.data)
            return true;
    }
    return false;
}

static coppice_status choose_node(tuner *t, size_t node, cop_node_choices *out) {
    cop_lowered lowered;
    bool is_conv;
    COP_TRY(cop_lower(t->graph, t->shapes, node, &is_conv, &lowered, t->err));
    if (!is_conv)
        return choose_op(t, node, out);
    coppice_status status = choose_conv(t, &lowered.conv, out);
    cop_lowered_free(&lowered);
    return status;
}

coppice_status cop_list_choices(const cop_graph *graph, const cop_shapes *shapes,
                                const cop_settings *settings, cop_node_choices *choices,
                                coppice_error *err) {
    tuner t = {.graph = graph, .shapes = shapes, .settings = settings, .err = err};
    coppice_status status = COPPICE_OK;
    for (size_t i = 0; i < graph->node_count && !status; i++) {
        choices[i] = (cop_node_choices){.dense_ms = -1, .sparse_ms = -1};
        if (!needs_a_step(&t, &graph->nodes[i]))
            continue;
        status = choose_node(&t, i, &choices[i]);
        if (status)
            cop_error_at_node(err, graph, &graph->nodes[i]);
    }
    free_tuner(&t);
    return status;
}
