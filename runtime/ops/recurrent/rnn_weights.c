/* Packing constant weights of recurrent networks, and products with them. */
#include "runtime/ops/recurrent/rnn_weights.h"

#include <string.h>

#include "base/memory.h"
#include "runtime/kernels/vec_conv.h"

enum {
    PANEL = COP_ATTN_LANES,
    FEW_ROWS = 4, /* sequences of a batch, up to which rows of R are not worth panels */
    /* A weight of the sparse rows takes as long as this many of the dense ones, filling and the
     * zeros within blocks counted. */
    SPARSE_COST = 3
};

static const size_t LEAST_PARALLEL_MACS = 1000000;

/* ---- packing ---- */

static void pack_panels(const float *w, cop_panels *p) {
    for (size_t first = 0; first < p->columns; first += PANEL) {
        size_t n = cop_smaller(p->columns - first, PANEL);
        float *to = p->data + first * p->depth;
        for (size_t c = 0; c < n; c++)
            for (size_t k = 0; k < p->depth; k++)
                to[k * n + c] = w[(first + c) * p->depth + k];
    }
}

/* Whole vectors only: a panel's last lanes must not reach into what lies behind its columns. */
static coppice_status make_panels(const cop_call *call, const float *w, size_t columns,
                                  size_t depth, cop_panels *p) {
    *p = (cop_panels){.columns = columns, .depth = depth};
    if (columns % COP_ATTN_VECTOR || columns * depth == 0)
        return COPPICE_OK;
    size_t bytes = columns * depth * sizeof(float);
    p->data = cop_aligned_alloc(64, bytes);
    if (!p->data)
        return cop_fail_memory(call->err, bytes);
    pack_panels(w, p);
    return COPPICE_OK;
}

static bool is_sparse(const float *w, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        kept += w[i] != 0;
    return kept * SPARSE_COST < count;
}

static coppice_status make_sparse(const cop_call *call, const float *r, size_t columns,
                                  size_t depth, void **state) {
    cop_conv conv = cop_conv_of_product(1, depth, columns);
    conv.weights = r;
    return cop_vec_conv_create(&conv, COPPICE_ISA_AVX512, false, state, call->err);
}

/* R: sparse rows for a sequence or few, else panels, but for so few that rows are as good. */
static coppice_status prepare_hidden(const cop_call *call, const float *r, size_t hidden,
                                     cop_rnn_packed *out) {
    const cop_rnn_params *p = call->params;
    size_t batch = (size_t)cop_in(call, 0)->dims[!p->batch_first];
    size_t wide = (size_t)p->gates * hidden, split = p->kind == COP_RNN_GRU ? 2 * hidden : wide;
    bool whole = p->kind != COP_RNN_GRU || p->linear_before_reset;
    if (batch < FEW_ROWS && whole && call->kernels->spmv_lanes_f32 && is_sparse(r, wide * hidden))
        return make_sparse(call, r, wide, hidden, &out->sparse);
    if (batch < FEW_ROWS)
        return COPPICE_OK;
    COP_TRY(make_panels(call, r, split, hidden, &out->hidden[0]));
    return make_panels(call, r + split * hidden, wide - split, hidden, &out->hidden[1]);
}

void cop_rnn_release(void *state) {
    cop_rnn_weights *s = state;
    for (int d = 0; s && d < 2; d++) {
        cop_free(s->directions[d].input.data);
        cop_free(s->directions[d].hidden[0].data);
        cop_free(s->directions[d].hidden[1].data);
        cop_vec_conv_destroy(s->directions[d].sparse);
    }
    cop_free(s);
}

coppice_status cop_rnn_prepare(const cop_call *call, void **state) {
    const cop_rnn_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *w = cop_in(call, 1), *r = cop_in(call, 2);
    coppice_status status = COPPICE_OK;
    *state = NULL;
    if (x->type != COPPICE_TYPE_FLOAT || !w->data || !r->data)
        return COPPICE_OK;
    cop_rnn_weights *s = *state = cop_calloc(1, sizeof *s);
    if (!s)
        return cop_fail_memory(call->err, sizeof *s);
    size_t hidden = (size_t)r->dims[2], input = (size_t)x->dims[2];
    size_t wide = (size_t)p->gates * hidden;
    for (size_t d = 0; d < (size_t)p->directions && !status; d++) {
        cop_rnn_packed *packed = &s->directions[d];
        const float *from = (const float *)w->data + d * wide * input;
        status = make_panels(call, from, wide, input, &packed->input);
        if (!status)
            status =
                prepare_hidden(call, (const float *)r->data + d * wide * hidden, hidden, packed);
    }
    if (status) {
        cop_rnn_release(s);
        *state = NULL;
    }
    return status;
}

/* ---- products ---- */

typedef struct panels_job {
    const cop_panels *panels;
    const cop_kernels *kernels;
    cop_attn_args args;
} panels_job;

/* Items are panels. */
static void multiply_panels(void *context, size_t begin, size_t end) {
    const panels_job *j = context;
    for (size_t i = begin; i < end; i++) {
        cop_attn_args args = j->args;
        size_t first = i * PANEL;
        args.lanes = args.x_k = cop_smaller(j->panels->columns - first, PANEL);
        args.x = j->panels->data + first * j->panels->depth;
        args.out += first;
        j->kernels->attn_f32(&args);
    }
}

void cop_panels_multiply(const cop_panels *panels, const float *x, size_t rows, float *out,
                         size_t out_row, bool add, const cop_kernels *kernels,
                         const coppice_threadpool *pool) {
    panels_job j = {.panels = panels,
                    .kernels = kernels,
                    .args = {.a = x,
                             .a_row = panels->depth,
                             .a_k = 1,
                             .out = out,
                             .out_row = out_row,
                             .rows = rows,
                             .reduction = panels->depth,
                             .add = add}};
    bool small = rows * panels->columns * panels->depth < LEAST_PARALLEL_MACS;
    cop_parallel_for(small ? NULL : pool, cop_divide_up(panels->columns, PANEL), 1, multiply_panels,
                     &j);
}
