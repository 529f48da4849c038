/* How long the kernels of a layer take on this machine: measured, remembered, estimated. */
#include "runtime/measure.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/size.h"
#include "runtime/cores.h"
#include "runtime/kernels/kernels.h"

_Static_assert((int)COP_MAX_CHOICES <= (int)COP_TUNE_MOST, "a record holds all choices");

/* Relative speeds for --tune none: giga multiply-accumulates per second that a kind of kernel
 * reaches on one core, in round figures; only their order matters. */
static const double DENSE_RATE = 40, NATIVE_SPARSE_RATE = 20, XNNPACK_SPARSE_RATE = 8,
                    REFERENCE_RATE = 0.5;

/* Timed runs of a candidate whatever they cost: on a busy machine a single one says nothing. */
enum { LEAST_RUNS = 3, LEAST_LONG_RUNS = 1 };

/* From here on a run is long: it says more. */
static const double LONG_MS = 2;

static const struct {
    unsigned runs;
    double budget_ms; /* per candidate, after the first run */
} efforts[] = {[COPPICE_TUNE_FAST] = {5, 5}, [COPPICE_TUNE_FULL] = {25, 300}};

/* A candidate that is slower than the best so far by these factors is timed no further: in its
 * first run, which may be slow for other reasons, unless it takes but a moment, and later. */
static const double HOPELESS_COLD = 4, HOPELESS_WARM = 1.5, A_MOMENT_MS = 0.5;

/* With --tune fast, a kernel that is slower than the best by this factor at its rate on so many
 * layers alike is not timed at all: packing its weights alone takes longer than the others run. */
static const double HOPELESS_RATE = 1.8;
enum { LAYERS_TO_KNOW = 2 };

/* Two layers whose counts of non-zeros differ by less than about 3 % count as one. */
static const double NONZEROS_STEP = 1.03;

/* One timed kernel on one layer. */
struct cop_timing {
    cop_conv conv; /* pointers are NULL */
    const cop_conv_kernel *kernel;
    double ms;
};

double cop_conv_work(const cop_conv *c, const cop_conv_kernel *k) {
    double pixels = (double)cop_conv_positions(c);
    return pixels * (double)(k->sparse ? c->nonzeros : cop_conv_weights(c));
}

void cop_tuner_free(cop_tuner *t) {
    cop_tune_cache_close(t->cache);
    cop_block_release(t->input);
    cop_block_release(t->residual);
    cop_block_release(t->output);
    cop_block_release(t->scratch);
    cop_block_release(t->other);
    cop_free(t->timings);
    *t = (cop_tuner){0};
}

/* ---- estimates ---- */

static double by_rule(const cop_conv *c, const cop_conv_kernel *k) {
    double rate = k->backend == COPPICE_BACKEND_REFERENCE ? REFERENCE_RATE
                  : !k->sparse                            ? DENSE_RATE
                  : k->backend == COPPICE_BACKEND_NATIVE  ? NATIVE_SPARSE_RATE
                                                          : XNNPACK_SPARSE_RATE;
    return cop_conv_work(c, k) / rate * 1e-6;
}

static bool is_vector(const cop_conv *c) {
    return cop_conv_positions(c) == 1;
}

/* Layers that one kernel does at about one rate. One position leaves all but one lane of a tile
 * without work: what kernels take for it says nothing about images, in networks that have both. */
static bool alike(const cop_conv *a, const cop_conv *b) {
    return (a->groups == 1) == (b->groups == 1) && is_vector(a) == is_vector(b) &&
           cop_conv_is_depthwise(a) == cop_conv_is_depthwise(b) && a->kernel_h == b->kernel_h &&
           a->kernel_w == b->kernel_w && a->stride_h == b->stride_h && a->stride_w == b->stride_w &&
           a->tokens == b->tokens;
}

/* At the rate of the kernel on layers alike; *layers: how many there are. */
static double at_rate(const cop_tuner *t, const cop_conv *c, const cop_conv_kernel *k,
                      int *layers) {
    double ms = 0, work = 0;
    *layers = 0;
    for (size_t i = 0; i < t->timing_count; i++) {
        const cop_timing *known = &t->timings[i];
        if (known->kernel != k || !alike(&known->conv, c))
            continue;
        ms += known->ms;
        work += cop_conv_work(&known->conv, k);
        ++*layers;
    }
    return work > 0 ? cop_conv_work(c, k) * ms / work : by_rule(c, k);
}

bool cop_tuner_knows(const cop_tuner *t, const cop_conv *c, const cop_node_choices *choices) {
    int layers = 0;
    for (int i = 0; i < choices->count && layers == 0; i++)
        at_rate(t, c, choices->list[i].kernel, &layers);
    return layers > 0;
}

/* Sparse kernels must look faster by this before an estimate prefers them: a pruned model is not to
 * be slower than it was. */
static const double DOUBT = 1.2;

/* Kernels that ran on no layer alike, where others did, get a negative time: it may be that they do
 * not take such weights. */
void cop_tuner_estimate(const cop_tuner *t, const cop_conv *c, cop_node_choices *choices) {
    int layers[COP_MAX_CHOICES], most = 0;
    for (int i = 0; i < choices->count; i++) {
        choices->list[i].ms = at_rate(t, c, choices->list[i].kernel, &layers[i]);
        if (choices->list[i].kernel->sparse)
            choices->list[i].ms *= DOUBT;
        choices->list[i].measured = false;
        most = layers[i] > most ? layers[i] : most;
    }
    for (int i = 0; i < choices->count; i++) {
        if (most > 0 && layers[i] == 0)
            choices->list[i].ms = -1;
    }
}

void cop_tuner_rule(const cop_conv *c, cop_node_choices *choices) {
    for (int i = 0; i < choices->count; i++) {
        choices->list[i].ms = by_rule(c, choices->list[i].kernel);
        choices->list[i].measured = false;
    }
}

/* ---- what is remembered ---- */

/* Of the weights in blocks of four rows at one column that are not all zero, how many are kept, in
 * steps of a sixteenth: 4 without blocks at high sparsity, 16 with. Looks at some of the rows. */
static uint64_t block_share(const cop_conv *c) {
    enum { ROWS = 4, LOOKED_AT = 8, STEPS = 16 };
    size_t group_rows = c->out_channels / c->groups;
    size_t columns = cop_conv_weights(c) / c->out_channels, blocks = 0, kept = 0;
    const unsigned char *weights = c->turned ? c->turned : (const void *)c->weights;
    if (!weights || group_rows % ROWS != 0)
        return 0;
    size_t row = sizeof(float) * (c->turned ? 1 : columns);
    size_t column = sizeof(float) * (c->turned ? c->out_channels : 1);
    size_t all = c->out_channels / ROWS, step = all > LOOKED_AT ? all / LOOKED_AT : 1;
    for (size_t b = 0; b < all; b += step) {
        for (size_t i = 0; i < columns; i++) {
            size_t n = 0;
            for (size_t r = 0; r < ROWS; r++) {
                float w;
                memcpy(&w, weights + (b * ROWS + r) * row + i * column, sizeof w);
                n += w != 0;
            }
            blocks += n > 0;
            kept += n;
        }
    }
    return blocks ? (kept * STEPS + 2 * blocks) / (ROWS * blocks) : 0;
}

static cop_tune_key key_of(const cop_conv *c, const cop_node_choices *choices) {
    cop_tune_key key = cop_tune_key_start();
    const size_t sizes[] = {
        c->batch,
        c->groups,
        c->in_channels,
        c->out_channels,
        c->in_h,
        c->in_w,
        c->out_h,
        c->out_w,
        c->kernel_h,
        c->kernel_w,
        c->stride_h,
        c->stride_w,
        c->dilation_h,
        c->dilation_w,
        c->pad_top,
        c->pad_left,
        c->pad_bottom,
        c->pad_right,
        c->tokens,
        c->bias != NULL,
        c->residual,
        isfinite(c->min),
        isfinite(c->max),
        c->activation.there ? 1 + (size_t)c->activation.map : 0,
        c->nonzeros ? 1 + (size_t)(log((double)c->nonzeros) / log(NONZEROS_STEP)) : 0,
        c->nonzeros < cop_conv_weights(c) ? block_share(c) : 0,
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        cop_tune_key_number(&key, sizes[i]);
    for (int i = 0; i < choices->count; i++)
        cop_tune_key_text(&key, choices->list[i].kernel->name);
    return key;
}

/* For estimates of layers behind. Without memory there are none. */
static void note_timing(cop_tuner *t, const cop_conv *c, const cop_choice *choice) {
    if (choice->ms < 0 || !choice->measured ||
        cop_grow(&t->timings, t->timing_count, &t->timing_capacity, sizeof *t->timings) != 0)
        return;
    cop_timing *timing = &t->timings[t->timing_count++];
    *timing = (cop_timing){.conv = *c, .kernel = choice->kernel, .ms = choice->ms};
    timing->conv.weights = timing->conv.bias = NULL;
    timing->conv.turned = NULL;
}

static void open_cache(cop_tuner *t) {
    if (!t->cache)
        t->cache = cop_tune_cache_open(t->settings->cache);
}

cop_tune_source cop_tuner_recall(cop_tuner *t, const cop_conv *c, cop_node_choices *choices) {
    open_cache(t);
    cop_tune_times times;
    cop_tune_source source = cop_tune_cache_find(t->cache, key_of(c, choices),
                                                 t->settings->tune == COPPICE_TUNE_FULL, &times);
    bool runs = false;
    if (source == COP_TUNE_UNKNOWN || times.count != choices->count)
        return COP_TUNE_UNKNOWN;
    for (int i = 0; i < times.count; i++)
        runs |= times.ms[i] >= 0;
    if (!runs)
        return COP_TUNE_UNKNOWN;
    for (int i = 0; i < times.count; i++) {
        choices->list[i].ms = (double)times.ms[i];
        choices->list[i].measured = times.measured >> i & 1;
        if (source == COP_TUNE_STORED)
            note_timing(t, c, &choices->list[i]);
    }
    return source;
}

static void remember(cop_tuner *t, const cop_conv *c, const cop_node_choices *choices) {
    cop_tune_times times = {.effort = t->settings->tune == COPPICE_TUNE_FULL,
                            .count = (uint8_t)choices->count};
    for (int i = 0; i < choices->count; i++) {
        times.ms[i] = (float)choices->list[i].ms;
        times.measured |= (uint32_t)choices->list[i].measured << i;
        note_timing(t, c, &choices->list[i]);
    }
    cop_tune_cache_add(t->cache, key_of(c, choices), &times);
}

/* ---- measuring ---- */

/* Numbers between -1 and 1 that are neither all the same nor denormal. */
static void fill_activations(float *x, size_t count) {
    uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)state * 0x1p-31f;
    }
}

/* Makes *block at least as large. Blocks have room behind their ends. */
static bool make_large(cop_block **block, size_t bytes, bool fill) {
    if (*block && (*block)->bytes >= bytes)
        return true;
    cop_block_release(*block);
    *block = cop_block_new(bytes);
    if (*block && fill)
        fill_activations((*block)->data, bytes / sizeof(float));
    return *block != NULL;
}

/* Of activations in any form. */
static size_t buffer_bytes(size_t channels, size_t positions) {
    size_t tile = cop_tile_width(positions);
    return channels * cop_divide_up(positions, tile) * tile * sizeof(float);
}

static coppice_status make_buffers(cop_tuner *t, const cop_conv *c, size_t scratch) {
    size_t in = buffer_bytes(c->in_channels, c->batch * c->in_h * c->in_w);
    size_t out = buffer_bytes(c->out_channels, cop_conv_positions(c));
    if (!make_large(&t->input, in, true) || !make_large(&t->output, out, false) ||
        (c->residual && !make_large(&t->residual, out, true)) ||
        !make_large(&t->scratch, scratch, false))
        return cop_fail_memory(t->err, in + 2 * out + scratch);
    return COPPICE_OK;
}

typedef struct reading {
    const float *from;
    size_t count;
    volatile float sum; /* so that it is wanted */
} reading;

/* One float of each cache line. */
static void read_all(reading *r) {
    for (size_t i = 0; i < r->count; i += COP_TILE_LANES)
        r->sum += r->from[i];
}

/* In a network other layers run between two runs of this one: its weights are in no near cache
 * then, its input is, as the layer before has just written it. */
static coppice_status cool_down(cop_tuner *t) {
    cop_caches caches = cop_cache_sizes();
    if (!make_large(&t->other, caches.l2, true))
        return cop_fail_memory(t->err, caches.l2);
    reading others = {.from = t->other->data, .count = caches.l2 / sizeof(float)};
    reading input = {.from = t->input->data,
                     .count = cop_smaller(t->input->bytes, caches.l2 / 2) / sizeof(float)};
    read_all(&others);
    read_all(&input);
    return COPPICE_OK;
}

/* True when a candidate that took `taken` in run `i` cannot become the best. */
static bool hopeless(unsigned i, double taken, double best, double limit) {
    if (limit < 0)
        return false;
    if (i == 0)
        return taken > A_MOMENT_MS && taken > HOPELESS_COLD * limit;
    return i >= 2 && best > HOPELESS_WARM * limit;
}

/* One run of a kernel, and what it leaves to do behind it. */
static coppice_status run_once(const cop_tuner *t, const cop_conv *c, const cop_conv_kernel *k,
                               const cop_tail *tail, void *state) {
    const cop_conv_io io = {.input = t->input->data,
                            .residual = c->residual ? t->residual->data : NULL,
                            .output = t->output->data,
                            .scratch = t->scratch->data};
    COP_TRY(k->run(state, &io, NULL, t->err));
    if (tail->there)
        cop_tail_apply(tail, cop_kernels_of(t->settings->isa), io.residual, io.output,
                       c->out_channels * cop_conv_positions(c), NULL);
    return COPPICE_OK;
}

/* On one thread, by what that thread computes: what else runs on the machine would decide
 * otherwise, and be remembered; and results would depend on the number of threads, as kernels round
 * differently. `limit`: the least time of the candidates before, -1 for the first. */
static coppice_status run_timed(cop_tuner *t, const cop_conv *c, const cop_conv_kernel *k,
                                const cop_tail *tail, void *state, double limit, double *ms) {
    COP_TRY(make_buffers(t, c, k->scratch ? k->scratch(state) : 0));
    double best = INFINITY, spent = 0;
    unsigned runs = efforts[t->settings->tune].runs, least = LEAST_RUNS;
    double budget = efforts[t->settings->tune].budget_ms;
    for (unsigned i = 0; i <= runs && (i <= least || spent < budget); i++) {
        COP_TRY(cool_down(t));
        double begin = cop_thread_ms();
        COP_TRY(run_once(t, c, k, tail, state));
        double taken = cop_thread_ms() - begin;
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

/* Sets choice->ms: negative when the kernel does not run on this machine. */
static coppice_status time_choice(cop_tuner *t, const cop_conv *c, double limit,
                                  cop_choice *choice) {
    const cop_conv_kernel *k = choice->kernel;
    choice->ms = -1;
    choice->measured = true;
    COP_TRY(cop_check_interrupt(t->err));
    void *state = NULL;
    cop_tail tail;
    const cop_conv asked = cop_conv_for(c, k, &tail);
    coppice_status status = k->create(&asked, NULL, &state, t->err);
    if (status == COPPICE_UNSUPPORTED)
        return COPPICE_OK;
    if (!status)
        status = run_timed(t, c, k, &tail, state, limit, &choice->ms);
    if (state)
        k->destroy(state);
    return status;
}

/* The best of the choices that are still to be timed, as estimated. */
static int next_choice(const cop_node_choices *choices, const bool *done) {
    int next = -1;
    for (int i = 0; i < choices->count; i++) {
        if (!done[i] && (next < 0 || choices->list[i].ms < choices->list[next].ms))
            next = i;
    }
    return next;
}

/* Best first as far as that is known, so that what is hopeless is seen early. */
coppice_status cop_tuner_measure(cop_tuner *t, const cop_conv *c, cop_node_choices *choices) {
    bool done[COP_MAX_CHOICES] = {false};
    double best = -1;
    int ignored;
    open_cache(t);
    for (int i = 0; i < choices->count; i++) {
        choices->list[i].ms = at_rate(t, c, choices->list[i].kernel, &ignored);
        choices->list[i].measured = false;
    }
    for (int i; (i = next_choice(choices, done)) >= 0;) {
        cop_choice *choice = &choices->list[i];
        int layers;
        double expected = at_rate(t, c, choice->kernel, &layers);
        done[i] = true;
        if (t->settings->tune == COPPICE_TUNE_FAST && layers >= LAYERS_TO_KNOW && best >= 0 &&
            expected > HOPELESS_RATE * best)
            continue;
        COP_TRY(time_choice(t, c, best, choice));
        if (choice->ms >= 0)
            best = best < 0 || choice->ms < best ? choice->ms : best;
    }
    remember(t, c, choices);
    return COPPICE_OK;
}
