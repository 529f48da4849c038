/* The loops of the recurrent operators for one type: included with REAL, REAL_TYPE (of ONNX),
 * NAME(x), REAL_EXP, REAL_TANH, REAL_SIGMOID, and REAL_FAST(x): x for float, else false. */

typedef struct NAME(lane) {
    cop_rnn_job *job;
    const cop_rnn_activation *activations;
    bool reverse;
    int direction;
    const REAL *w, *r, *b, *p; /* of this direction; b, p: NULL when left out */
    REAL *x;                   /* [chunk][batch][input] in the order of the steps */
    REAL *z;                   /* [chunk][batch][gates * hidden]: of the input, with biases */
    REAL *q;                   /* [batch][gates * hidden]: of the hidden state; where GRU resets it
                                  first, [batch][2 * hidden] */
    REAL *q_reset;             /* [batch][hidden]: of the state that was reset */
    REAL *h, *c, *t;           /* [batch][hidden]: state, cell, temporary */
    REAL *bias;                /* [gates * hidden] */
} NAME(lane);

/* ---- activation functions ---- */

#define EACH(expr)                                                                                 \
    for (size_t i = 0; i < n; i++) {                                                               \
        REAL x = v[i];                                                                             \
        v[i] = (expr);                                                                             \
    }                                                                                              \
    return

static void NAME(activate)(const cop_rnn_activation *f, REAL *restrict v, size_t n) {
    const REAL alpha = f->alpha, beta = f->beta;
    switch (f->function) {
    case COP_RNN_AFFINE:
        EACH(alpha * x + beta);
    case COP_RNN_ELU:
        EACH(x >= 0 ? x : alpha * (REAL_EXP(x) - 1));
    case COP_RNN_HARD_SIGMOID:
        EACH(alpha * x + beta < 0 ? 0 : alpha * x + beta > 1 ? 1 : alpha * x + beta);
    case COP_RNN_LEAKY_RELU:
        EACH(x < 0 ? alpha * x : x);
    case COP_RNN_RELU:
        EACH(x < 0 ? 0 : x);
    case COP_RNN_SCALED_TANH:
        EACH(alpha * REAL_TANH(beta * x));
    case COP_RNN_SIGMOID:
        EACH(REAL_SIGMOID(x));
    case COP_RNN_SOFTPLUS:
        EACH((REAL)log1p(exp(-fabs((double)x))) + (x > 0 ? x : 0));
    case COP_RNN_SOFTSIGN:
        EACH(x / (1 + (x < 0 ? -x : x)));
    case COP_RNN_TANH:
        EACH(REAL_TANH(x));
    case COP_RNN_THRESHOLDED_RELU:
        EACH(x >= alpha ? x : 0);
    }
}
#undef EACH

/* Clips, if asked for, and applies activation function `index`. */
static void NAME(gate)(const NAME(lane) * l, int index, REAL *restrict v, size_t n) {
    const REAL most = l->job->params->clip;
    for (size_t i = 0; most < INFINITY && i < n; i++) {
        REAL x = v[i] < -most ? -most : v[i];
        v[i] = x > most ? most : x;
    }
    if (!REAL_FAST(activate_fast(l->job->call->kernels, &l->activations[index], v, n)))
        NAME(activate)(&l->activations[index], v, n);
}

/* ---- cells: one step of one sequence; z is overwritten ---- */

static void NAME(plain_cell)(const NAME(lane) * l, REAL *restrict z, const REAL *restrict q,
                             size_t row) {
    const size_t n = l->job->sizes.hidden;
    REAL *restrict h = l->h + row * n;
    for (size_t i = 0; i < n; i++)
        z[i] += q[i];
    NAME(gate)(l, 0, z, n);
    memcpy(h, z, n * sizeof *h);
}

/* Gates z, r, h. Without linear_before_reset z and r are done by then, and q is q_reset. */
static void NAME(gru_cell)(const NAME(lane) * l, REAL *restrict z, const REAL *restrict q,
                           size_t row) {
    const size_t n = l->job->sizes.hidden;
    REAL *restrict h = l->h + row * n, *restrict g = z + 2 * n;
    if (l->job->params->linear_before_reset) {
        const REAL *restrict reset = z + n;
        const REAL *rb = l->b ? l->b + 5 * n : NULL;
        for (size_t i = 0; i < 2 * n; i++)
            z[i] += q[i];
        NAME(gate)(l, 0, z, 2 * n);
        for (size_t i = 0; rb && i < n; i++)
            g[i] += reset[i] * (q[2 * n + i] + rb[i]);
        for (size_t i = 0; !rb && i < n; i++)
            g[i] += reset[i] * q[2 * n + i];
    } else {
        for (size_t i = 0; i < n; i++)
            g[i] += q[i];
    }
    NAME(gate)(l, 1, g, n);
    for (size_t i = 0; i < n; i++)
        h[i] = (1 - z[i]) * g[i] + z[i] * h[i];
}

/* Gates i, o, f, c; peepholes i, o, f. */
static void NAME(lstm_cell)(const NAME(lane) * l, REAL *restrict z, const REAL *restrict q,
                            size_t row) {
    const size_t n = l->job->sizes.hidden;
    REAL *restrict h = l->h + row * n, *restrict c = l->c + row * n;
    REAL *restrict in = z, *restrict out = z + n, *restrict forget = z + 2 * n;
    REAL *restrict g = z + 3 * n;
    const REAL *p = l->p;
    for (size_t i = 0; i < 4 * n; i++)
        z[i] += q[i];
    for (size_t i = 0; p && i < n; i++) {
        in[i] += p[i] * c[i];
        forget[i] += p[2 * n + i] * c[i];
    }
    NAME(gate)(l, 0, in, n);
    if (l->job->params->input_forget) {
        for (size_t i = 0; i < n; i++)
            forget[i] = 1 - in[i];
    } else {
        NAME(gate)(l, 0, forget, n);
    }
    NAME(gate)(l, 1, g, n);
    for (size_t i = 0; i < n; i++)
        c[i] = forget[i] * c[i] + in[i] * g[i];
    for (size_t i = 0; p && i < n; i++)
        out[i] += p[n + i] * c[i];
    NAME(gate)(l, 0, out, n);
    memcpy(g, c, n * sizeof *c);
    if (!REAL_FAST(activate_fast(l->job->call->kernels, &l->activations[2], g, n)))
        NAME(activate)(&l->activations[2], g, n);
    for (size_t i = 0; i < n; i++)
        h[i] = out[i] * g[i];
}

/* ---- steps ---- */

/* out[rows][columns] = x[rows][depth] * weight[columns][depth], transposed. */
static void NAME(multiply)(const NAME(lane) * l, const REAL *x, size_t rows, size_t depth,
                           const REAL *weight, size_t columns, REAL *out) {
    cop_product p = {.type = REAL_TYPE,
                     .rows = rows,
                     .columns = columns,
                     .reduction = depth,
                     .a_row = (int64_t)depth,
                     .a_k = 1,
                     .b_k = 1,
                     .b_column = (int64_t)depth,
                     .out_row = (int64_t)columns,
                     .a = x,
                     .b = weight,
                     .out = out};
    cop_product_run(&p, l->job->call->kernels, l->job->pool);
}

static size_t NAME(length)(const NAME(lane) * l, size_t row) {
    const coppice_tensor *lengths = cop_in(l->job->call, 4);
    return lengths ? (size_t)cop_tensor_get_int(lengths, (int64_t)row) : l->job->sizes.steps;
}

/* The position in time of a step; false where the sequence is over. */
static bool NAME(time_of)(const NAME(lane) * l, size_t row, size_t step, size_t *time) {
    size_t length = NAME(length)(l, row);
    *time = l->reverse ? length - 1 - step : step;
    return step < length;
}

/* Inputs of a chunk of steps in their order, and what the input adds to the gates. Behind the last
 * step of all there are zeros. */
static void NAME(project)(const NAME(lane) * l, size_t first) {
    const cop_rnn_sizes *s = &l->job->sizes;
    const REAL *from = cop_in(l->job->call, 0)->data;
    const size_t wide = (size_t)l->job->params->gates * s->hidden, rows = s->chunk * s->batch;
    for (size_t i = 0; i < rows; i++) {
        REAL *x = l->x + i * s->input;
        size_t row = i % s->batch, time;
        if (NAME(time_of)(l, row, first + i / s->batch, &time)) {
            size_t at = l->job->params->batch_first ? row * s->steps + time : time * s->batch + row;
            memcpy(x, from + at * s->input, s->input * sizeof *x);
        } else {
            memset(x, 0, s->input * sizeof *x);
        }
    }
    if (!REAL_FAST(multiply_input(l->job, l->direction, l->x, l->z)))
        NAME(multiply)(l, l->x, rows, s->input, l->w, wide, l->z);
    for (size_t i = 0; i < rows; i++) {
        REAL *restrict z = l->z + i * wide;
        const REAL *restrict bias = l->bias;
        for (size_t k = 0; k < wide; k++)
            z[k] += bias[k];
    }
}

/* Where the state of a step goes in output 0. */
static REAL *NAME(output_row)(const NAME(lane) * l, size_t row, size_t time) {
    const cop_rnn_sizes *s = &l->job->sizes;
    const coppice_tensor *y = cop_out(l->job->call, 0);
    const size_t directions = (size_t)l->job->params->directions, d = (size_t)l->direction;
    if (!y || !y->data)
        return NULL;
    size_t at = l->job->params->batch_first ? (row * s->steps + time) * directions + d
                                            : (time * directions + d) * s->batch + row;
    return (REAL *)y->data + at * s->hidden;
}

/* What GRU does before the hidden gate of the usual form: reset the state, then multiply. */
static void NAME(gru_reset)(const NAME(lane) * l, REAL *z) {
    const cop_rnn_sizes *s = &l->job->sizes;
    const size_t n = s->hidden;
    if (!REAL_FAST(multiply_hidden(l->job, l->direction, 0, l->h, l->q)))
        NAME(multiply)(l, l->h, s->batch, n, l->r, 2 * n, l->q);
    for (size_t row = 0; row < s->batch; row++) {
        REAL *restrict gates = z + row * 3 * n, *restrict t = l->t + row * n;
        const REAL *restrict q = l->q + row * 2 * n, *restrict h = l->h + row * n;
        for (size_t i = 0; i < 2 * n; i++)
            gates[i] += q[i];
        NAME(gate)(l, 0, gates, 2 * n);
        for (size_t i = 0; i < n; i++)
            t[i] = gates[n + i] * h[i];
    }
    if (!REAL_FAST(multiply_hidden(l->job, l->direction, 1, l->t, l->q_reset)))
        NAME(multiply)(l, l->t, s->batch, n, l->r + 2 * n * n, n, l->q_reset);
}

static void NAME(advance)(const NAME(lane) * l, size_t step, REAL *z) {
    static void (*const cells[])(const NAME(lane) *, REAL *, const REAL *,
                                 size_t) = {NAME(plain_cell), NAME(gru_cell), NAME(lstm_cell)};
    const cop_rnn_params *p = l->job->params;
    const cop_rnn_sizes *s = &l->job->sizes;
    const size_t wide = (size_t)p->gates * s->hidden;
    const bool resets = cop_rnn_resets_first(p);
    if (resets)
        NAME(gru_reset)(l, z);
    else if (!REAL_FAST(multiply_hidden(l->job, l->direction, 0, l->h, l->q)))
        NAME(multiply)(l, l->h, s->batch, s->hidden, l->r, wide, l->q);
    for (size_t row = 0; row < s->batch; row++) {
        size_t time;
        if (!NAME(time_of)(l, row, step, &time))
            continue;
        const REAL *q = resets ? l->q_reset + row * s->hidden : l->q + row * wide;
        cells[p->kind](l, z + row * wide, q, row);
        REAL *y = NAME(output_row)(l, row, time);
        if (y)
            memcpy(y, l->h + row * s->hidden, s->hidden * sizeof *y);
    }
}

/* ---- one direction ---- */

/* Sums of both biases; what GRU resets keeps its own. */
static void NAME(begin_bias)(NAME(lane) * l) {
    const size_t n = (size_t)l->job->params->gates * l->job->sizes.hidden;
    const size_t apart = l->job->params->linear_before_reset ? l->job->sizes.hidden : 0;
    for (size_t i = 0; i < n; i++)
        l->bias[i] = l->b ? l->b[i] + (i < n - apart ? l->b[n + i] : 0) : 0;
}

/* Copies the state from an input to `state`, or back to an output. */
static void NAME(move_state)(const NAME(lane) * l, const coppice_tensor *t, REAL *state, bool out) {
    const cop_rnn_sizes *s = &l->job->sizes;
    const size_t directions = (size_t)l->job->params->directions, d = (size_t)l->direction;
    if (!out && !t)
        memset(state, 0, s->batch * s->hidden * sizeof *state);
    if (!t || !t->data)
        return;
    for (size_t row = 0; row < s->batch; row++) {
        size_t at = l->job->params->batch_first ? row * directions + d : d * s->batch + row;
        REAL *there = (REAL *)t->data + at * s->hidden, *here = state + row * s->hidden;
        memcpy(out ? there : here, out ? here : there, s->hidden * sizeof *here);
    }
}

static const REAL *NAME(part)(const cop_call *call, int input, int direction, size_t count) {
    const coppice_tensor *t = cop_in(call, input);
    return t ? (const REAL *)t->data + (size_t)direction * count : NULL;
}

static REAL *NAME(take)(REAL **scratch, size_t count) {
    REAL *part = *scratch;
    *scratch += cop_round_up(count, COP_RNN_SCRATCH_PART);
    return part;
}

static void NAME(begin)(NAME(lane) * l) {
    const cop_rnn_job *job = l->job;
    const cop_rnn_sizes *s = &job->sizes;
    const size_t wide = (size_t)job->params->gates * s->hidden, state = s->batch * s->hidden;
    l->w = NAME(part)(job->call, 1, l->direction, wide * s->input);
    l->r = NAME(part)(job->call, 2, l->direction, wide * s->hidden);
    l->b = NAME(part)(job->call, 3, l->direction, 2 * wide);
    l->p = NAME(part)(job->call, 7, l->direction, 3 * s->hidden);
    REAL *scratch = (REAL *)job->call->scratch + (size_t)l->direction * job->scratch_step;
    l->x = NAME(take)(&scratch, s->chunk * s->batch * s->input);
    l->z = NAME(take)(&scratch, s->chunk * s->batch * wide);
    l->q = NAME(take)(&scratch, s->batch * wide);
    l->q_reset = NAME(take)(&scratch, state);
    l->h = NAME(take)(&scratch, state);
    l->c = NAME(take)(&scratch, state);
    l->t = NAME(take)(&scratch, state);
    l->bias = NAME(take)(&scratch, wide);
    NAME(begin_bias)(l);
    NAME(move_state)(l, cop_in(job->call, 5), l->h, false);
    NAME(move_state)(l, cop_in(job->call, 6), l->c, false);
}

/* Output 0 is zero behind the end of a sequence. */
static void NAME(clear_rest)(const NAME(lane) * l) {
    const cop_rnn_sizes *s = &l->job->sizes;
    for (size_t row = 0; row < s->batch; row++) {
        for (size_t time = NAME(length)(l, row); time < s->steps; time++) {
            REAL *y = NAME(output_row)(l, row, time);
            if (y)
                memset(y, 0, s->hidden * sizeof *y);
        }
    }
}

/* Items: directions. */
static void NAME(directions)(void *context, size_t begin, size_t end) {
    cop_rnn_job *job = context;
    const cop_rnn_sizes *s = &job->sizes;
    const size_t wide = (size_t)job->params->gates * s->hidden;
    for (size_t d = begin; d < end; d++) {
        NAME(lane)
        l = {.job = job,
             .activations = job->params->activations[d],
             .reverse = d == 1 || job->params->reverse,
             .direction = (int)d};
        NAME(begin)(&l);
        for (size_t step = 0; step < s->steps; step++) {
            size_t in_chunk = step % s->chunk;
            if (in_chunk == 0)
                NAME(project)(&l, step);
            NAME(advance)(&l, step, l.z + in_chunk * s->batch * wide);
        }
        NAME(clear_rest)(&l);
        NAME(move_state)(&l, cop_out(job->call, 1), l.h, true);
        if (job->params->kind == COP_RNN_LSTM)
            NAME(move_state)(&l, cop_out(job->call, 2), l.c, true);
    }
}
