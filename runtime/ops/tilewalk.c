/* Loops over outputs in tiles: stripe by stripe, or over all memory at once where the operands lie
 * alike. */
#include <string.h>

#include "runtime/kernels/kernels.h"
#include "runtime/layout.h"
#include "runtime/ops/util.h"

enum { GRAIN_ELEMENTS = 16384, LONGEST_STRIPE = COP_TILE_LANES * COP_TILE_MAX_VECTORS };

/* An operand as the output's positions and channels see it. Its own position that belongs to one of
 * the output's follows from `dims` and `stride`; position p of channel c is the element
 *     p / tile * tile_stride + p % tile + c * channel_stride */
typedef struct source {
    const char *data;
    size_t element;     /* bytes */
    bool alike, single; /* it has the output's shape and layout; it is one element */
    size_t tile, tile_stride, channel_stride;
    size_t first; /* the own position of position 0 */
    int rank;
    size_t dims[COPPICE_MAX_RANK], stride[COPPICE_MAX_RANK]; /* merged, rank > 0; may wrap */
} source;

typedef struct tile_job {
    cop_tiles tiles;
    int inputs;
    source in[COP_WALK_INPUTS];
    char *out;
    size_t element; /* bytes */
    cop_walk_fn fn;
    const void *context;
    const cop_scaling *scaling; /* of cop_walk_scaled */
} tile_job;

/* Adds a dim behind the others, merged with the last where that is even. */
static void add_dim(source *s, size_t dim, size_t stride) {
    if (s->rank > 0 && s->stride[s->rank - 1] == dim * stride) {
        s->dims[s->rank - 1] *= dim;
        s->stride[s->rank - 1] = stride;
        return;
    }
    s->dims[s->rank] = dim;
    s->stride[s->rank++] = stride;
}

static void add_dims(source *s, const coppice_tensor *out, uint32_t axis, const int64_t *strides) {
    s->channel_stride = (size_t)strides[axis];
    for (uint32_t d = 0; d < out->rank; d++) {
        if (d != axis && out->dims[d] != 1)
            add_dim(s, (size_t)out->dims[d], (size_t)strides[d]);
    }
}

/* Strides of the operand's dims in its own positions, and from one channel to the next. */
static void own_strides(const cop_operand *in, uint32_t axis, int64_t *strides, source *s) {
    cop_operand_strides(in, strides);
    s->tile = SIZE_MAX;
    if (!cop_layout_is_tiles(in->layout))
        return;
    cop_tiles tiles = cop_tiles_of(&in->t, in->layout);
    int64_t stride = 1;
    for (uint32_t d = in->t.rank; d-- > 0;) {
        strides[d] = d == axis ? (int64_t)tiles.tile : stride;
        stride *= d == axis ? 1 : in->t.dims[d];
    }
    s->tile = tiles.tile;
    s->tile_stride = tiles.tile * tiles.channels;
}

/* Of operands in tiles the rank is the output's. */
static source source_of(const cop_operand *out, const cop_operand *in, uint32_t axis) {
    source s = {.data = in->t.data,
                .element = cop_type_bytes(in->t.type),
                .alike = in->layout == out->layout && cop_same_shape(&in->t, &out->t),
                .single = coppice_tensor_count(&in->t) == 1};
    int64_t own[COPPICE_MAX_RANK], strides[COPPICE_MAX_RANK];
    own_strides(in, axis, own, &s);
    cop_broadcast_strides((int)in->t.rank, in->t.dims, own, (int)out->t.rank, strides);
    add_dims(&s, &out->t, axis, strides);
    return s;
}

/* The element at position q of a channel; *n of them follow `step` elements apart. */
static const char *run_at(const source *s, size_t q, size_t channel, size_t *n, size_t *step) {
    int last = s->rank - 1;
    size_t i = q % s->dims[last], p = s->first + i * s->stride[last];
    *step = s->stride[last];
    *n = s->dims[last] - i;
    q /= s->dims[last];
    for (int d = last; d-- > 0; q /= s->dims[d])
        p += q % s->dims[d] * s->stride[d];
    size_t in_tile = p % s->tile, left = s->tile - in_tile;
    if (*step && *n > (left - 1) / *step + 1)
        *n = (left - 1) / *step + 1;
    return s->data +
           (p / s->tile * s->tile_stride + in_tile + channel * s->channel_stride) * s->element;
}

static void copy_run(char *to, const char *from, size_t n, size_t step, size_t element) {
    if (step == 1) {
        memcpy(to, from, n * element);
        return;
    }
    if (element == sizeof(float)) {
        for (size_t i = 0; i < n; i++)
            memcpy(to + i * sizeof(float), from + i * step * sizeof(float), sizeof(float));
        return;
    }
    for (size_t i = 0; i < n; i++)
        memcpy(to + i * element, from + i * step * element, element);
}

/* `count` elements of a channel from position q on: where they are, or put together in `room`. */
static const char *stripe_at(const source *s, size_t q, size_t channel, size_t count, char *room,
                             ptrdiff_t *stride) {
    size_t n, step;
    const char *from = run_at(s, q, channel, &n, &step);
    *stride = (ptrdiff_t)step;
    if (n >= count)
        return from;
    *stride = 1;
    for (size_t done = 0; done < count; done += n) {
        from = run_at(s, q + done, channel, &n, &step);
        n = cop_smaller(n, count - done);
        copy_run(room + done * s->element, from, n, step, s->element);
    }
    return room;
}

/* Items are stripes. */
static void walk_stripes(void *context, size_t begin, size_t end) {
    const tile_job *job = context;
    const cop_tiles *t = &job->tiles;
    _Alignas(64) char room[COP_WALK_INPUTS][LONGEST_STRIPE * 16];
    for (size_t item = begin; item < end; item++) {
        size_t first = item / t->channels * t->tile, channel = item % t->channels;
        size_t n = cop_smaller(t->tile, t->positions - first);
        const void *in[COP_WALK_INPUTS] = {0};
        ptrdiff_t strides[COP_WALK_INPUTS + 1] = {1, 1, 1, 1};
        for (int k = 0; k < job->inputs; k++) {
            const source *s = &job->in[k];
            in[k] = s->alike ? s->data + item * t->tile * s->element
                             : stripe_at(s, first, channel, n, room[k], &strides[k + 1]);
        }
        job->fn(job->context, n, job->out + item * t->tile * job->element, in, strides);
    }
}

/* Items are elements of memory. */
static void walk_memory(void *context, size_t begin, size_t end) {
    const tile_job *job = context;
    const void *in[COP_WALK_INPUTS] = {0};
    ptrdiff_t strides[COP_WALK_INPUTS + 1] = {1};
    for (int k = 0; k < job->inputs; k++) {
        const source *s = &job->in[k];
        in[k] = s->data + (s->single ? 0 : begin * s->element);
        strides[k + 1] = !s->single;
    }
    job->fn(job->context, end - begin, job->out + begin * job->element, in, strides);
}

static tile_job job_of(const cop_operand *out, int inputs) {
    return (tile_job){.tiles = cop_tiles_of(&out->t, out->layout),
                      .inputs = inputs,
                      .out = out->t.data,
                      .element = cop_type_bytes(out->t.type)};
}

static void run_stripes(tile_job *job, const coppice_threadpool *pool) {
    cop_parallel_for(pool, job->tiles.count * job->tiles.channels, cop_grain(job->tiles.tile),
                     walk_stripes, job);
}

void cop_walk_tiles(const cop_operand *out, const cop_operand *const *in, int inputs,
                    cop_walk_fn fn, const void *context, const coppice_threadpool *pool) {
    tile_job job = job_of(out, inputs);
    uint32_t axis = cop_channel_axis(out);
    bool flat = true;
    job.fn = fn;
    job.context = context;
    for (int k = 0; k < inputs; k++) {
        job.in[k] = source_of(out, in[k], axis);
        flat = flat && (job.in[k].alike || job.in[k].single);
    }
    if (flat)
        cop_parallel_for(pool, cop_memory_count(out), GRAIN_ELEMENTS, walk_memory, &job);
    else
        run_stripes(&job, pool);
}

/* ---- factors and shifts ---- */

static void scale_run(const void *context, size_t n, void *to, const void *const *from,
                      const ptrdiff_t *strides) {
    const cop_scaling *s = context;
    const float *x = from[0], *factor = from[1], *shift = s->shift ? from[2] : NULL;
    float *out = to;
    if (strides[1] == 1 && strides[2] == 0 && (!shift || strides[3] == 0)) {
        s->kernels->scale_rows_f32(out, x, 1, n, factor, shift, s->low, s->high);
        return;
    }
    for (ptrdiff_t i = 0; !shift && i < (ptrdiff_t)n; i++)
        out[i] = x[i * strides[1]] * factor[i * strides[2]];
    for (ptrdiff_t i = 0; shift && i < (ptrdiff_t)n; i++) {
        float y = x[i * strides[1]] * factor[i * strides[2]] + shift[i * strides[3]];
        y = y < s->low ? s->low : y;
        out[i] = y > s->high ? s->high : y;
    }
}

/* Where the elements of channels from `channel` on are, one for all `count` positions from q on,
 * beside each other; NULL where they are not like that. */
static const float *vector_at(const source *s, size_t q, size_t channel, size_t count) {
    size_t n, step;
    const char *from = run_at(s, q, channel, &n, &step);
    bool fits = s->channel_stride == 1 && !s->alike && step == 0 && n >= count;
    return fits ? (const float *)(const void *)from : NULL;
}

/* Items are stripes: those of one tile at once. */
static void scale_stripes(void *context, size_t begin, size_t end) {
    const tile_job *job = context;
    const cop_scaling *scaling = job->scaling;
    const cop_tiles *t = &job->tiles;
    for (size_t item = begin, rows; item < end; item += rows) {
        size_t first = item / t->channels * t->tile, channel = item % t->channels;
        size_t n = cop_smaller(t->tile, t->positions - first), at = item * t->tile;
        const float *factor = vector_at(&job->in[1], first, channel, n);
        const float *shift = scaling->shift ? vector_at(&job->in[2], first, channel, n) : NULL;
        rows = cop_smaller(end - item, t->channels - channel);
        if (factor && (shift || !scaling->shift))
            scaling->kernels->scale_rows_f32((float *)(void *)job->out + at,
                                             (const float *)scaling->x->t.data + at, rows, t->tile,
                                             factor, shift, scaling->low, scaling->high);
        else
            walk_stripes(context, item, item + rows);
    }
}

void cop_walk_scaled(const cop_operand *out, const cop_scaling *scaling,
                     const coppice_threadpool *pool) {
    const cop_operand *in[] = {scaling->x, scaling->factor, scaling->shift};
    int inputs = scaling->shift ? 3 : 2;
    if (!cop_layout_is_tiles(out->layout)) {
        cop_walk_broadcast(out, in, inputs, scale_run, scaling, pool);
        return;
    }
    tile_job job = job_of(out, inputs);
    job.fn = scale_run;
    job.context = job.scaling = scaling;
    for (int k = 0; k < inputs; k++)
        job.in[k] = source_of(out, in[k], cop_channel_axis(out));
    cop_parallel_for(pool, job.tiles.count * job.tiles.channels, cop_grain(job.tiles.tile),
                     scale_stripes, &job);
}

/* ---- slices ---- */

static void copy_stripe(const void *context, size_t n, void *to, const void *const *from,
                        const ptrdiff_t *strides) {
    (void)context;
    copy_run(to, from[0], n, (size_t)strides[1], sizeof(float));
}

void cop_slice_tiles(const cop_operand *out, const cop_operand *in, const int64_t *start,
                     const int64_t *step, const coppice_threadpool *pool) {
    tile_job job = job_of(out, 1);
    source *s = &job.in[0];
    int64_t strides[COPPICE_MAX_RANK];
    uint32_t axis = cop_channel_axis(out);
    *s = (source){.data = in->t.data, .element = sizeof(float)};
    own_strides(in, axis, strides, s);
    for (uint32_t d = 0; d < in->t.rank; d++) {
        size_t skipped = (size_t)(start[d] * strides[d]);
        if (d == axis)
            s->data += skipped * s->element;
        else
            s->first += skipped;
        strides[d] *= step[d];
    }
    add_dims(s, &out->t, axis, strides);
    job.fn = copy_stripe;
    run_stripes(&job, pool);
}

/* ---- a part of a whole along one axis ---- */

/* `runs` runs of `length` positions of the part, each `pitch` behind the last in the whole. */
typedef struct part_job {
    cop_tiles whole, part;
    size_t first_channel; /* of the whole that the part's are */
    size_t length, pitch, first;
    float *in_whole, *in_part;
    bool into_whole;
} part_job;

/* One position is a tile of width 1: the channels, one after the other. */
static cop_tiles tiles_or_one(const cop_operand *operand, size_t channels) {
    if (cop_layout_is_tiles(operand->layout))
        return cop_tiles_of(&operand->t, operand->layout);
    return (cop_tiles){.channels = channels, .positions = 1, .tile = 1, .count = 1};
}

/* Items: positions of the part in pieces of its tiles. */
static void copy_pieces(void *context, size_t begin, size_t end) {
    const part_job *j = context;
    const cop_tiles *w = &j->whole, *p = &j->part;
    size_t q = begin * p->tile, last = cop_smaller(end * p->tile, p->positions);
    for (size_t n; q < last; q += n) {
        size_t there = q / j->length * j->pitch + j->first + q % j->length;
        n = cop_smaller(p->tile - q % p->tile, w->tile - there % w->tile);
        n = cop_smaller(cop_smaller(n, j->length - q % j->length), last - q);
        float *part = j->in_part + q / p->tile * p->channels * p->tile + q % p->tile;
        float *whole = j->in_whole + (there / w->tile * w->channels + j->first_channel) * w->tile;
        whole += there % w->tile;
        bool all = n == p->tile && n == w->tile; /* stripes of all channels lie in a row */
        size_t rows = all ? 1 : p->channels, bytes = (all ? p->channels : 1) * n * sizeof(float);
        for (size_t c = 0; c < rows; c++, part += p->tile, whole += w->tile)
            memcpy(j->into_whole ? whole : part, j->into_whole ? part : whole, bytes);
    }
}

void cop_copy_part_tiles(const cop_operand *whole, const cop_operand *part, uint32_t axis,
                         size_t offset, bool into_whole, const coppice_threadpool *pool) {
    const cop_operand *tiled = cop_layout_is_tiles(whole->layout) ? whole : part;
    uint32_t channel_axis = cop_channel_axis(tiled);
    part_job j = {.whole = tiles_or_one(whole, (size_t)whole->t.dims[channel_axis]),
                  .part = tiles_or_one(part, (size_t)part->t.dims[channel_axis]),
                  .in_whole = whole->t.data,
                  .in_part = part->t.data,
                  .into_whole = into_whole};
    j.length = j.pitch = j.part.positions;
    if (axis == channel_axis) {
        j.first_channel = offset;
    } else {
        size_t inner = 1;
        for (uint32_t d = axis + 1; d < whole->t.rank; d++)
            inner *= d == channel_axis ? 1 : (size_t)whole->t.dims[d];
        j.first = offset * inner;
        j.length = (size_t)part->t.dims[axis] * inner;
        j.pitch = (size_t)whole->t.dims[axis] * inner;
    }
    cop_parallel_for(pool, j.part.count, cop_grain(j.part.channels * j.part.tile), copy_pieces, &j);
}
