/* Products of dense weights with a few positions: weights lie in panels of columns, so that they
 * are read once and in their order, whatever the number of positions. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "runtime/kernels/few_conv.h"
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/vector.h"

/* Positions up to which panels are tried; those of images soon want tiles, as their neighbours. */
enum { PANEL = COP_ATTN_LANES, MOST_TOKENS = 96, MOST_PIXELS = 16, ALIGN = 64 };

typedef struct panel_conv {
    const cop_kernels *kernels;
    size_t rows, columns, positions; /* rows: outputs */
    float min, max;
    float *bias;   /* [rows], filled up to whole vectors; NULL: none */
    float *panels; /* [panel][columns][up to PANEL rows], the last in whole vectors */
} panel_conv;

bool cop_panel_conv_supports(const cop_conv *c) {
    size_t positions = cop_conv_positions(c);
    return cop_conv_is_product(c) && positions > 0 &&
           positions <= (c->tokens ? MOST_TOKENS : MOST_PIXELS);
}

void cop_panel_conv_destroy(void *state) {
    panel_conv *s = state;
    if (!s)
        return;
    cop_free(s->bias);
    cop_free(s->panels);
    cop_free(s);
}

/* Rows of the panel that begins with `first`, in whole vectors. */
static size_t lanes_of(const panel_conv *s, size_t first) {
    return cop_smaller(cop_round_up(s->rows - first, COP_ATTN_VECTOR), PANEL);
}

static void pack_panel(panel_conv *s, const float *weights, size_t first) {
    const size_t lanes = lanes_of(s, first), rows = cop_smaller(s->rows - first, PANEL);
    float *to = s->panels + first * s->columns;
    for (size_t k = 0; k < s->columns; k++, to += lanes) {
        for (size_t r = 0; r < rows; r++)
            to[r] = weights[(first + r) * s->columns + k];
        memset(to + rows, 0, (lanes - rows) * sizeof *to);
    }
}

static coppice_status pack(panel_conv *s, const cop_conv *conv, coppice_error *err) {
    size_t rows = cop_round_up(s->rows, COP_ATTN_VECTOR), bytes;
    if (!cop_size_mul(rows, s->columns, &bytes) || !cop_size_mul(bytes, sizeof(float), &bytes) ||
        !(s->panels = cop_aligned_alloc(ALIGN, bytes + ALIGN)))
        return cop_fail_memory(err, rows * sizeof(float));
    for (size_t first = 0; first < s->rows; first += PANEL)
        pack_panel(s, conv->weights, first);
    return conv->bias ? cop_conv_copy_bias(conv, rows, &s->bias, err) : COPPICE_OK;
}

coppice_status cop_panel_conv_create(const cop_conv *conv, coppice_isa isa, void **state,
                                     coppice_error *err) {
    panel_conv *s = *state = cop_calloc(1, sizeof *s);
    if (!s)
        return cop_fail_memory(err, sizeof *s);
    s->kernels = cop_kernels_of(isa);
    s->rows = conv->out_channels;
    s->columns = conv->in_channels;
    s->positions = cop_conv_positions(conv);
    s->min = conv->min;
    s->max = conv->max;
    coppice_status status = pack(s, conv, err);
    if (status) {
        cop_panel_conv_destroy(s);
        *state = NULL;
    }
    return status;
}

/* ---- running ---- */

typedef struct panel_job {
    const panel_conv *s;
    const float *x; /* [positions][columns] */
    float *out;     /* [positions][rows] */
} panel_job;

static void clamp(const panel_conv *s, float *out, size_t count) {
    for (size_t i = 0; i < count; i++)
        out[i] = cop_clamp(out[i], s->min, s->max);
}

/* Items are panels. What is left of the last one goes through a copy, as its lanes reach further
 * than the rows. */
static void run_panels(void *context, size_t begin, size_t end) {
    const panel_job *j = context;
    const panel_conv *s = j->s;
    const bool clamped = !isinf(s->min) || !isinf(s->max);
    float copy[MOST_TOKENS * PANEL];
    for (size_t i = begin; i < end; i++) {
        const size_t first = i * PANEL, lanes = lanes_of(s, first);
        const size_t rows = cop_smaller(s->rows - first, PANEL);
        const bool whole = rows == lanes;
        float *out = whole ? j->out + first : copy;
        const size_t step = whole ? s->rows : PANEL;
        for (size_t p = 0; s->bias && p < s->positions; p++)
            memcpy(out + p * step, s->bias + first, lanes * sizeof *out);
        const cop_attn_args args = {.a = j->x,
                                    .a_row = s->columns,
                                    .a_k = 1,
                                    .x = s->panels + first * s->columns,
                                    .x_k = lanes,
                                    .out = out,
                                    .out_row = step,
                                    .rows = s->positions,
                                    .reduction = s->columns,
                                    .lanes = lanes,
                                    .add = s->bias != NULL};
        s->kernels->attn_f32(&args);
        for (size_t p = 0; clamped && p < s->positions; p++)
            clamp(s, out + p * step, rows);
        for (size_t p = 0; !whole && p < s->positions; p++)
            memcpy(j->out + p * s->rows + first, copy + p * PANEL, rows * sizeof *out);
    }
}

coppice_status cop_panel_conv_run(void *state, const cop_conv_io *io,
                                  const coppice_threadpool *pool, coppice_error *err) {
    (void)err;
    const panel_conv *s = state;
    panel_job j = {s, io->input, io->output};
    cop_parallel_for(pool, cop_divide_up(s->rows, PANEL), 1, run_panels, &j);
    return COPPICE_OK;
}
