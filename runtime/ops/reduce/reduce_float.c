/* Sums, means and maxima of floats with the loops of the instruction set, plain and in tiles. */
#include <math.h>

#include "runtime/kernels/kernels.h"
#include "runtime/ops/planes.h"
#include "runtime/ops/reduce/reduce.h"
#include "runtime/ops/util.h"

/* Columns that are reduced together; so many numbers in a row are added in float. */
enum { COLUMNS = 128, ADDED = 32 };

typedef struct fold_job {
    const cop_kernels *kernels;
    cop_reduction nest;
    cop_fold fold;
    cop_planes in; /* in tiles: groups of positions as images */
    cop_tiles tiles;
    size_t out_tile; /* floats of a stripe of the output; 0: plain */
} fold_job;

/* Columns in the making: sums of sums, or what is the largest so far. */
typedef struct columns {
    double sums[COLUMNS];
    float top[COLUMNS];
    bool begun;
} columns;

/* Adds `rows` rows of n columns. */
static void add_rows(const fold_job *j, columns *c, const float *from, size_t rows, size_t step,
                     size_t n) {
    float part[COLUMNS];
    if (j->fold == COP_FOLD_MAX) {
        j->kernels->fold_rows_f32(c->top, from, rows, step, n, false, c->begun);
        c->begun = true;
        return;
    }
    for (size_t m; rows > 0; rows -= m, from += m * step) {
        m = cop_smaller(rows, ADDED);
        j->kernels->fold_rows_f32(part, from, m, step, n, true, false);
        for (size_t k = 0; k < n; k++)
            c->sums[k] = (c->begun ? c->sums[k] : 0) + (double)part[k];
        c->begun = true;
    }
}

static void finish_columns(const fold_job *j, const columns *c, size_t count, size_t n,
                           float *out) {
    for (size_t k = 0; k < n; k++) {
        if (j->fold == COP_FOLD_MAX)
            out[k] = c->top[k];
        else
            out[k] = (float)(j->fold == COP_FOLD_MEAN ? c->sums[k] / (double)count : c->sums[k]);
    }
}

/* ---- plain ---- */

static void fold_columns(const fold_job *j, const float *x, size_t n, float *out) {
    const cop_reduction *r = &j->nest;
    columns c;
    c.begun = false;
    for (size_t i = 0; i < r->count; i += r->row) {
        const float *from = x + cop_reduction_place(r->rank, r->dims, r->stride, i);
        add_rows(j, &c, from, r->row, (size_t)r->step, n);
    }
    finish_columns(j, &c, r->count, n, out);
}

/* Rows that are not even or do not lie in one piece are taken one by one. */
static float fold_row(const fold_job *j, const float *x) {
    const cop_reduction *r = &j->nest;
    double sum = 0;
    float top = -INFINITY;
    for (size_t i = 0; i < r->count; i += r->row) {
        const float *from = x + cop_reduction_place(r->rank, r->dims, r->stride, i);
        size_t m = r->step == 1 ? r->row : 1;
        for (size_t k = 0; k < r->row; k += m, from += r->step) {
            if (j->fold != COP_FOLD_MAX) {
                sum += m == 1 ? (double)*from : j->kernels->sum_f32(from, m);
                continue;
            }
            float here = m == 1 ? *from : j->kernels->max_f32(from, m);
            top = here > top || here != here ? here : top;
        }
    }
    return j->fold == COP_FOLD_MAX    ? top
           : j->fold == COP_FOLD_MEAN ? (float)(sum / (double)r->count)
                                      : (float)sum;
}

/* Items are outputs. */
static void fold_range(void *context, size_t begin, size_t end) {
    const fold_job *j = context;
    const cop_reduction *r = &j->nest;
    float *out = r->out;
    for (size_t o = begin, n = 1; o < end; o += n) {
        const float *x =
            (const float *)r->in + cop_reduction_place(r->kept_rank, r->kept, r->kept_stride, o);
        if (!r->by_columns) {
            out[o] = fold_row(j, x);
            continue;
        }
        size_t width = (size_t)r->kept[r->kept_rank - 1];
        n = cop_smaller(cop_smaller(width - o % width, end - o), COLUMNS);
        fold_columns(j, x, n, out + o);
    }
}

void cop_fold_floats(const cop_call *call, const cop_reduction *nest, cop_fold fold,
                     size_t outputs) {
    fold_job j = {.kernels = cop_call_kernels(call), .nest = *nest, .fold = fold};
    cop_parallel_for(call->pool, outputs, cop_grain(nest->count), fold_range, &j);
}

/* ---- tiles ---- */

bool cop_folds_tiles(const cop_call *call, cop_layout layout, const bool *on) {
    const coppice_tensor *in = cop_in(call, 0), *out = cop_out(call, 0);
    if (in->rank == 0 || in->rank > COPPICE_MAX_RANK || !cop_layout_fits(layout, in))
        return false;
    const uint32_t axis = layout == COP_LAYOUT_TILES ? 1 : in->rank - 1;
    bool any = false, gap = false, channels = on[axis];
    for (uint32_t d = 0; d < in->rank; d++) {
        if (d == axis)
            continue;
        if (channels && on[d] && in->dims[d] != 1)
            return false;
        gap = gap || (any && !on[d] && in->dims[d] != 1);
        any = any || on[d];
    }
    /* Without its reduced dims an output is plain, and in the order of groups and channels only
     * where no kept position lies behind the channels. */
    if (!channels && layout == COP_LAYOUT_TILES && out->rank < in->rank) {
        for (uint32_t d = 2; d < in->rank; d++)
            gap = gap || (!on[d] && in->dims[d] != 1);
    }
    return channels || (any && !gap);
}

/* Items: [group][channel]. */
static void fold_groups(void *context, size_t begin, size_t end) {
    const fold_job *j = context;
    for (size_t item = begin, n; item < end; item += n) {
        size_t group = item / j->in.channels, channel = item % j->in.channels, tile = j->out_tile;
        float *out = (float *)j->nest.out + item;
        double sums[COP_PLANES_AT_ONCE];
        if (tile)
            out = (float *)j->nest.out + (group / tile * j->in.channels + channel) * tile +
                  group % tile;
        n = cop_planes_together(&j->in, channel, end - item);
        if (j->fold != COP_FOLD_MAX)
            cop_planes_sums(&j->in, j->kernels, group, channel, n, sums);
        for (size_t c = 0; c < n; c++, out += tile ? tile : 1) {
            double sum = j->fold == COP_FOLD_MAX
                             ? (double)cop_planes_max(&j->in, j->kernels, group, channel + c)
                             : sums[c];
            *out = (float)(j->fold == COP_FOLD_MEAN ? sum / (double)j->in.pixels : sum);
        }
    }
}

/* Items are tiles. A tile of one channel is a stripe, and so is what is plain. */
static void fold_channels(void *context, size_t begin, size_t end) {
    const fold_job *j = context;
    const cop_tiles *t = &j->tiles;
    for (size_t i = begin; i < end; i++) {
        const float *x = (const float *)j->nest.in + i * t->channels * t->tile;
        size_t n = cop_smaller(t->tile, t->positions - i * t->tile);
        columns c;
        c.begun = false;
        add_rows(j, &c, x, t->channels, t->tile, n);
        finish_columns(j, &c, t->channels, n, (float *)j->nest.out + i * t->tile);
    }
}

void cop_fold_tiles(const cop_call *call, cop_fold fold, const bool *on) {
    const cop_operand *in = call->in[0], *out = &call->out[0];
    uint32_t axis = cop_channel_axis(in);
    fold_job j = {.kernels = cop_call_kernels(call),
                  .nest = {.in = in->t.data, .out = out->t.data},
                  .fold = fold,
                  .tiles = cop_tiles_of(&in->t, in->layout)};
    if (on[axis]) {
        cop_parallel_for(call->pool, j.tiles.count, cop_grain(j.tiles.tile * j.tiles.channels),
                         fold_channels, &j);
        return;
    }
    size_t span = 1;
    for (uint32_t d = 0; d < in->t.rank; d++)
        span *= on[d] ? (size_t)in->t.dims[d] : 1;
    j.in = (cop_planes){.data = in->t.data,
                        .images = j.tiles.positions / span,
                        .channels = j.tiles.channels,
                        .pixels = span,
                        .tile = j.tiles.tile};
    if (cop_layout_is_tiles(out->layout))
        j.out_tile = cop_tile_width(j.in.images);
    cop_parallel_for(call->pool, j.in.images * j.in.channels, cop_grain(span), fold_groups, &j);
}
