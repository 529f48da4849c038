/* Where the taps of a convolution read, in tiles, and columns of them. */
#include "runtime/sparse/columns.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "runtime/layout.h"

/* Neighbouring output positions of one vector that lie in one row of an image. */
typedef struct span {
    size_t lane, end; /* lanes lane .. end - 1 */
    size_t image, y, x;
} span;

typedef struct vector {
    span spans[COP_TILE_LANES];
    size_t count;
} vector;

typedef struct builder {
    cop_columns *k;
    size_t count, capacity;
    size_t base; /* what offsets count from */
    size_t slot; /* of the pieces that are being added; they begin at `from` */
    size_t from;
    vector vectors[COP_TILE_MAX_VECTORS]; /* of a tile */
} builder;

size_t cop_columns_base(const cop_columns *k, size_t tile) {
    const cop_conv *c = &k->conv;
    size_t row = tile * k->tile / c->out_w;
    size_t y = cop_smaller(row % c->out_h * c->stride_h, c->in_h - 1);
    return (row / c->out_h * c->in_h + y) * c->in_w / k->in_tile * c->in_channels * k->in_tile;
}

static coppice_status add_piece(builder *b, ptrdiff_t offset, unsigned mask, coppice_error *err) {
    if (b->count == b->capacity) {
        size_t capacity = b->capacity + b->capacity / 2, bytes = capacity * sizeof(cop_piece);
        cop_piece *pieces = cop_realloc(b->k->pieces, bytes);
        if (!pieces)
            return cop_fail_memory(err, bytes);
        b->k->pieces = pieces;
        b->capacity = capacity;
    }
    if (offset > INT32_MAX || offset < INT32_MIN || b->count >= UINT32_MAX)
        return cop_fail(err, COPPICE_UNSUPPORTED, "taps lie too far apart for columns");
    b->k->pieces[b->count++] =
        (cop_piece){.offset = (int32_t)offset, .mask = (uint16_t)mask, .slot = (uint16_t)b->slot};
    return COPPICE_OK;
}

/* Lanes lane .. end - 1 read the input from position `p` on, one stride further each. Pieces of one
 * tap differ in where lane 0 would read. */
static coppice_status add_run(builder *b, size_t lane, size_t end, size_t p, coppice_error *err) {
    const cop_columns *k = b->k;
    size_t stride = k->conv.stride_w;
    while (lane < end) {
        size_t at = p % k->in_tile;
        size_t n = cop_smaller(end - lane, (k->in_tile - at - 1) / stride + 1);
        ptrdiff_t offset = (ptrdiff_t)(p / k->in_tile * k->conv.in_channels * k->in_tile + at) -
                           (ptrdiff_t)(b->base + lane * stride);
        unsigned mask = ((1u << n) - 1) << lane;
        size_t i = b->from;
        while (i < b->count && k->pieces[i].offset != offset)
            i++;
        if (i < b->count) {
            k->pieces[i].mask |= (uint16_t)mask;
        } else {
            coppice_status status = add_piece(b, offset, mask, err);
            if (status)
                return status;
        }
        lane += n;
        p += n * stride;
    }
    return COPPICE_OK;
}

/* Lanes of `s` from the first to behind the last that read within the rows of the input, `x` being
 * where lane 0 of them would. */
static void clip(const cop_conv *c, const span *s, ptrdiff_t x, size_t *lane, size_t *end) {
    size_t skip = x < 0 ? cop_divide_up((size_t)-x, c->stride_w) : 0;
    *lane = cop_smaller(s->lane + skip, s->end);
    *end = *lane;
    if (x < (ptrdiff_t)c->in_w)
        *end = s->lane + cop_smaller(s->end - s->lane,
                                     cop_divide_up((size_t)((ptrdiff_t)c->in_w - x), c->stride_w));
    if (*end < *lane)
        *end = *lane;
}

/* The pieces of a vector for a tap: at least one, which may be empty. */
static coppice_status add_tap(builder *b, const vector *v, size_t tap, coppice_error *err) {
    const cop_conv *c = &b->k->conv;
    size_t r = tap / c->kernel_w, s = tap % c->kernel_w;
    coppice_status status = COPPICE_OK;
    b->from = b->count;
    for (size_t i = 0; !status && i < v->count; i++) {
        const span *p = &v->spans[i];
        ptrdiff_t y = (ptrdiff_t)(p->y * c->stride_h + r * c->dilation_h) - (ptrdiff_t)c->pad_top;
        ptrdiff_t x = (ptrdiff_t)(p->x * c->stride_w + s * c->dilation_w) - (ptrdiff_t)c->pad_left;
        size_t lane, end;
        if (y < 0 || y >= (ptrdiff_t)c->in_h)
            continue;
        clip(c, p, x, &lane, &end);
        size_t row = (p->image * c->in_h + (size_t)y) * c->in_w;
        x += (ptrdiff_t)((lane - p->lane) * c->stride_w);
        if (lane < end)
            status = add_run(b, lane, end, row + (size_t)x, err);
    }
    return status || b->count > b->from ? status : add_piece(b, 0, 0, err);
}

/* Cuts the 16 output positions from `q` on into spans. */
static void find_spans(const cop_columns *k, size_t q, vector *v) {
    size_t lanes = q < k->positions ? cop_smaller(COP_TILE_LANES, k->positions - q) : 0;
    v->count = 0;
    for (size_t lane = 0; lane < lanes;) {
        size_t row = (q + lane) / k->conv.out_w, x = (q + lane) % k->conv.out_w;
        size_t n = cop_smaller(k->conv.out_w - x, lanes - lane);
        v->spans[v->count++] = (span){.lane = lane,
                                      .end = lane + n,
                                      .image = row / k->conv.out_h,
                                      .y = row % k->conv.out_h,
                                      .x = x};
        lane += n;
    }
}

static coppice_status add_tile(builder *b, size_t tile, coppice_error *err) {
    cop_columns *k = b->k;
    size_t vectors = k->tile / COP_TILE_LANES;
    coppice_status status = COPPICE_OK;
    k->first[tile] = (uint32_t)b->count;
    for (b->slot = 0; !status && b->slot < k->taps * vectors; b->slot++)
        status = add_tap(b, &b->vectors[b->slot % vectors], b->slot / vectors, err);
    return status;
}

static coppice_status build(cop_columns *k, coppice_error *err) {
    builder b = {.k = k};
    size_t vectors = k->tile / COP_TILE_LANES;
    size_t count = k->tiles * vectors * k->taps;
    b.capacity = count + count / 4 + COP_TILE_LANES;
    k->pieces = cop_calloc(b.capacity, sizeof *k->pieces);
    k->first = cop_calloc(k->tiles + 1, sizeof *k->first);
    if (!k->pieces || !k->first)
        return cop_fail_memory(err, b.capacity * sizeof *k->pieces);
    for (size_t tile = 0; tile < k->tiles; tile++) {
        b.base = cop_columns_base(k, tile);
        for (size_t v = 0; v < vectors; v++)
            find_spans(k, tile * k->tile + v * COP_TILE_LANES, &b.vectors[v]);
        coppice_status status = add_tile(&b, tile, err);
        if (status)
            return status;
    }
    k->first[k->tiles] = (uint32_t)b.count;
    return COPPICE_OK;
}

coppice_status cop_columns_create(const cop_conv *conv, const cop_kernels *kernels,
                                  cop_columns *out, coppice_error *err) {
    *out = (cop_columns){.conv = *conv, .kernels = kernels};
    out->conv.weights = out->conv.bias = NULL;
    out->taps = conv->kernel_h * conv->kernel_w;
    out->positions = cop_conv_positions(conv);
    out->tile = cop_stripe_width(out->positions);
    out->tiles = cop_divide_up(out->positions, out->tile);
    out->in_tile = cop_stripe_width(conv->batch * conv->in_h * conv->in_w);
    if (out->taps > UINT16_MAX / COP_TILE_MAX_VECTORS)
        return cop_fail(err, COPPICE_UNSUPPORTED, "too many taps for columns");
    return out->tile == 1 ? COPPICE_OK : build(out, err);
}

void cop_columns_free(cop_columns *columns) {
    cop_free(columns->pieces);
    cop_free(columns->first);
    *columns = (cop_columns){0};
}

size_t cop_columns_work(const cop_columns *columns) {
    (void)columns;
    return 0;
}

/* Of a single output position: [taps] of one channel. */
static void lay_out_position(const cop_columns *k, size_t channel, const float *input,
                             float *column) {
    const cop_conv *c = &k->conv;
    for (size_t tap = 0; tap < k->taps; tap++) {
        ptrdiff_t y = (ptrdiff_t)(tap / c->kernel_w * c->dilation_h) - (ptrdiff_t)c->pad_top;
        ptrdiff_t x = (ptrdiff_t)(tap % c->kernel_w * c->dilation_w) - (ptrdiff_t)c->pad_left;
        column[tap] = 0.0f;
        if (y < 0 || x < 0 || y >= (ptrdiff_t)c->in_h || x >= (ptrdiff_t)c->in_w)
            continue;
        size_t p = (size_t)y * c->in_w + (size_t)x;
        column[tap] =
            input[(p / k->in_tile * c->in_channels + channel) * k->in_tile + p % k->in_tile];
    }
}

void cop_columns_lay_out(const cop_columns *k, size_t tile, size_t channel, size_t channels,
                         const float *input, float *stripes, void *work) {
    (void)work;
    if (k->tile == 1) {
        for (size_t c = 0; c < channels; c++)
            lay_out_position(k, channel + c, input, stripes + c * k->taps);
        return;
    }
    k->kernels->columns_f32(&(cop_columns_args){
        .pieces = k->pieces + k->first[tile],
        .count = k->first[tile + 1] - k->first[tile],
        .step = k->conv.stride_w,
        .input = input + cop_columns_base(k, tile) + channel * k->in_tile,
        .input_stride = k->in_tile,
        .channels = channels,
        .output = stripes,
        .output_stride = k->taps * k->tile,
    });
}
