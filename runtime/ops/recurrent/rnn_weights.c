/* Packing constant weights of recurrent networks, and what a profile says of them. */
#include "runtime/ops/recurrent/rnn_weights.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

/* Steps whose input is multiplied at once have so many rows: as many as panels are tried for. */
enum { PROJECTED_ROWS = 96 };

/* Steps of a chunk: at most `most`, and so many that the last chunk is as full as can be, as all of
 * its rows are multiplied. */
static size_t chunk_of(size_t steps, size_t most) {
    size_t best = 1, least = SIZE_MAX;
    for (size_t chunk = cop_smaller(most, steps);
         chunk > 0 && chunk * 2 >= cop_smaller(most, steps); chunk--) {
        size_t done = cop_divide_up(steps, chunk) * chunk;
        if (done >= least)
            continue;
        least = done;
        best = chunk;
    }
    return best;
}

cop_rnn_sizes cop_rnn_sizes_of(const cop_call *call) {
    const cop_rnn_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    cop_rnn_sizes s = {.steps = (size_t)x->dims[p->batch_first],
                       .batch = (size_t)x->dims[!p->batch_first],
                       .input = (size_t)x->dims[2],
                       .hidden = (size_t)cop_in(call, 2)->dims[2],
                       .chunk = 1};
    if (s.batch)
        s.chunk = chunk_of(s.steps, PROJECTED_ROWS / s.batch);
    return s;
}

void cop_rnn_release(void *state) {
    cop_rnn_weights *s = state;
    for (int d = 0; s && d < 2; d++) {
        cop_row_product_free(&s->directions[d].input);
        cop_row_product_free(&s->directions[d].hidden[0]);
        cop_row_product_free(&s->directions[d].hidden[1]);
    }
    cop_free(s);
}

/* w: [gates * hidden][input], r: [gates * hidden][hidden] */
static coppice_status pack(const cop_call *call, const cop_settings *settings, const float *w,
                           const float *r, cop_rnn_packed *out) {
    const cop_rnn_params *p = call->params;
    const cop_rnn_sizes s = cop_rnn_sizes_of(call);
    const size_t n = s.hidden, wide = (size_t)p->gates * n;
    const size_t first = cop_rnn_resets_first(p) ? 2 * n : wide;
    COP_TRY(
        cop_row_product_new(settings, w, s.chunk * s.batch, s.input, wide, &out->input, call->err));
    COP_TRY(cop_row_product_new(settings, r, s.batch, n, first, &out->hidden[0], call->err));
    if (first == wide)
        return COPPICE_OK;
    return cop_row_product_new(settings, r + first * n, s.batch, n, wide - first, &out->hidden[1],
                               call->err);
}

static bool can_pack(const cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0), *w = cop_in(call, 1), *r = cop_in(call, 2);
    return x->type == COPPICE_TYPE_FLOAT && w->data && r->data && coppice_tensor_count(x) > 0 &&
           call->settings->backend != COPPICE_BACKEND_REFERENCE;
}

/* Two directions run beside each other, each on a thread of its own. */
coppice_status cop_rnn_prepare(const cop_call *call, void **state) {
    const cop_rnn_params *p = call->params;
    const coppice_tensor *w = cop_in(call, 1), *r = cop_in(call, 2);
    *state = NULL;
    if (!can_pack(call))
        return COPPICE_OK;
    cop_rnn_weights *s = *state = cop_calloc(1, sizeof *s);
    if (!s)
        return cop_fail_memory(call->err, sizeof *s);
    cop_settings settings = *call->settings;
    settings.pool = p->directions == 1 ? settings.pool : NULL;
    coppice_status status = COPPICE_OK;
    size_t w_count = (size_t)(w->dims[1] * w->dims[2]), r_count = (size_t)(r->dims[1] * r->dims[2]);
    for (size_t d = 0; d < (size_t)p->directions && !status; d++)
        status = pack(call, &settings, (const float *)w->data + d * w_count,
                      (const float *)r->data + d * r_count, &s->directions[d]);
    if (status) {
        cop_rnn_release(s);
        *state = NULL;
    }
    return status;
}

/* ---- for profiles ---- */

/* What products take in all; -1 when one was not measured. */
static void add_times(cop_op_note *note, const cop_row_product *p, size_t runs) {
    note->dense_ms =
        note->dense_ms < 0 || p->dense_ms < 0 ? -1 : note->dense_ms + p->dense_ms * (double)runs;
    note->sparse_ms = note->sparse_ms < 0 || p->sparse_ms < 0
                          ? -1
                          : note->sparse_ms + p->sparse_ms * (double)runs;
}

/* R's kernel first: a step waits for the one before. */
static void name_kernels(cop_rnn_weights *w) {
    const cop_conv_kernel *r = w->directions[0].hidden[0].kernel;
    const cop_conv_kernel *input = w->directions[0].input.kernel;
    bool both = r && input && r != input;
    snprintf(w->kernels, sizeof w->kernels, "%s%s%s", r ? r->name : "", both ? ", " : "",
             input && r != input ? input->name : "");
}

bool cop_rnn_describe(const cop_call *call, cop_op_note *note) {
    cop_rnn_weights *w = call->state;
    if (!w)
        return false;
    const cop_rnn_params *p = call->params;
    const cop_rnn_sizes s = cop_rnn_sizes_of(call);
    size_t weights = 0, kept = 0;
    *note = (cop_op_note){.kernel = w->kernels, .why = w->directions[0].hidden[0].why};
    for (int d = 0; d < p->directions; d++) {
        const cop_rnn_packed *packed = &w->directions[d];
        const cop_row_product *const all[] = {&packed->input, &packed->hidden[0],
                                              &packed->hidden[1]};
        for (int i = 0; i < 3; i++) {
            if (!all[i]->kernel)
                continue;
            weights += all[i]->weights;
            kept += all[i]->nonzeros;
            note->sparse |= all[i]->kernel->sparse;
            note->why = note->why ? note->why : all[i]->why; /* R has no kernel */
            add_times(note, all[i], i == 0 ? cop_divide_up(s.steps, s.chunk) : s.steps);
        }
    }
    name_kernels(w);
    note->weights = weights;
    note->sparsity = weights ? 1 - (double)kept / (double)weights : 0;
    note->macs = (int64_t)(kept * s.steps * s.batch);
    return w->kernels[0] != 0;
}
