/* Layouts of values: when two are the same bytes, and turning one into another. */
#include "runtime/layout.h"

#include <string.h>

#include "base/shape.h"
#include "base/size.h"
#include "runtime/transpose.h"

enum { BLOCK = 16 }; /* elements in a square that stays in the L1 cache */

/* Both channel-innermost and channel-outermost forms of a tensor are `batch` matrices of `rows` by
 * `columns`; a change of layout transposes each. */
typedef struct transposition {
    size_t batch, rows, columns, element;
    const unsigned char *from;
    unsigned char *to;
} transposition;

const char *cop_layout_name(cop_layout layout) {
    static const char *const names[COP_LAYOUT_COUNT] = {"plain", "nhwc", "tiles", "token-tiles"};
    return names[layout];
}

/* ---- tiles ---- */

bool cop_layout_is_tiles(cop_layout layout) {
    return layout == COP_LAYOUT_TILES || layout == COP_LAYOUT_TOKEN_TILES;
}

/* A tile costs its vectors, two at least, and per weight about one and a half vectors more. Four
 * rows of four vectors are as many sums as fit the registers of AVX-512 well; wider tiles leave
 * room for fewer channels in the cache. */
size_t cop_tile_width(size_t positions) {
    size_t vectors = (positions + COP_TILE_LANES - 1) / COP_TILE_LANES;
    size_t best = 1, least = SIZE_MAX;
    for (size_t v = COP_TILE_MAX_VECTORS; v >= 1; v--) {
        size_t rest = vectors % v, last = rest == 1 ? 2 : rest;
        size_t cost = vectors / v * (2 * v + 3) + (rest ? 2 * last + 3 : 0);
        if (cost < least) {
            least = cost;
            best = v;
        }
    }
    return best * COP_TILE_LANES;
}

size_t cop_stripe_width(size_t positions) {
    return positions == 1 ? 1 : cop_tile_width(positions);
}

cop_tiles cop_tiles_of(const coppice_tensor *tensor, cop_layout layout) {
    cop_tiles t;
    uint32_t axis = layout == COP_LAYOUT_TILES ? 1 : tensor->rank - 1;
    t.channels = (size_t)tensor->dims[axis];
    t.positions = cop_dims_product(tensor->dims, 0, axis) *
                  cop_dims_product(tensor->dims, axis + 1, tensor->rank);
    t.tile = cop_tile_width(t.positions);
    t.count = (t.positions + t.tile - 1) / t.tile;
    return t;
}

static bool tiles_fit(cop_layout layout, const coppice_tensor *tensor) {
    if (tensor->type != COPPICE_TYPE_FLOAT ||
        tensor->rank < (layout == COP_LAYOUT_TILES ? 3u : 2u) || coppice_tensor_count(tensor) <= 0)
        return false;
    return cop_tiles_of(tensor, layout).positions > 1;
}

int64_t cop_layout_bytes(const coppice_tensor *tensor, cop_layout layout) {
    if (!cop_layout_is_tiles(layout) || !cop_layout_fits(layout, tensor))
        return coppice_tensor_bytes(tensor);
    cop_tiles t = cop_tiles_of(tensor, layout);
    size_t floats;
    if (!cop_size_mul(t.count, t.channels, &floats) || !cop_size_mul(floats, t.tile, &floats) ||
        floats > INT64_MAX / sizeof(float))
        return -1;
    return (int64_t)(floats * sizeof(float));
}

/* Copies between one image's channel, `pixels` floats, and its stripes. */
typedef struct tiling_job {
    cop_tiles tiles;
    size_t pixels;
    float *plain, *tiled;
    bool to_plain;
} tiling_job;

/* Items are channels of images. */
static void tile_pixels(void *context, size_t begin, size_t end) {
    const tiling_job *j = context;
    const cop_tiles *t = &j->tiles;
    for (size_t i = begin; i < end; i++) {
        size_t channel = i % t->channels;
        float *plain = j->plain + i * j->pixels;
        for (size_t p = 0; p < j->pixels;) {
            size_t q = i / t->channels * j->pixels + p, left = t->tile - q % t->tile;
            size_t n = left < j->pixels - p ? left : j->pixels - p;
            float *stripe =
                j->tiled + (q / t->tile * t->channels + channel) * t->tile + q % t->tile;
            memcpy(j->to_plain ? plain + p : stripe, j->to_plain ? stripe : plain + p,
                   n * sizeof(float));
            p += n;
        }
    }
}

/* Items are tiles. */
static void tile_tokens(void *context, size_t begin, size_t end) {
    const tiling_job *j = context;
    const cop_tiles *t = &j->tiles;
    for (size_t i = begin; i < end; i++) {
        size_t first = i * t->tile;
        size_t tokens = t->positions - first < t->tile ? t->positions - first : t->tile;
        uint32_t *tile = (uint32_t *)(void *)(j->tiled + first * t->channels);
        uint32_t *rows = (uint32_t *)(void *)(j->plain + first * t->channels);
        if (j->to_plain)
            cop_transpose_4(rows, t->channels, tile, t->tile, t->channels, tokens);
        else
            cop_transpose_4(tile, t->tile, rows, t->channels, tokens, t->channels);
    }
}

/* What lies behind the last position becomes zero: it is computed with, and NaN may be slow. */
static void clear_tail(const tiling_job *j) {
    const cop_tiles *t = &j->tiles;
    size_t used = t->positions - (t->count - 1) * t->tile;
    float *tile = j->tiled + (t->count - 1) * t->channels * t->tile;
    for (size_t c = 0; c < t->channels; c++)
        memset(tile + c * t->tile + used, 0, (t->tile - used) * sizeof(float));
}

static void convert_tiles(const cop_operand *from, cop_operand *to,
                          const coppice_threadpool *pool) {
    bool to_plain = to->layout == COP_LAYOUT_PLAIN;
    const cop_operand *tiled = to_plain ? from : to, *plain = to_plain ? to : from;
    tiling_job j = {.tiles = cop_tiles_of(&from->t, tiled->layout),
                    .plain = plain->t.data,
                    .tiled = tiled->t.data,
                    .to_plain = to_plain};
    if (!to_plain)
        clear_tail(&j);
    if (tiled->layout == COP_LAYOUT_TOKEN_TILES) {
        cop_parallel_for(pool, j.tiles.count, 1, tile_tokens, &j);
        return;
    }
    j.pixels = cop_dims_product(from->t.dims, 2, from->t.rank);
    cop_parallel_for(pool, (size_t)from->t.dims[0] * j.tiles.channels, 8, tile_pixels, &j);
}

/* ---- matrices ---- */

bool cop_layout_fits(cop_layout layout, const coppice_tensor *tensor) {
    switch (layout) {
    case COP_LAYOUT_NHWC:
        return tensor->rank >= 3;
    case COP_LAYOUT_TILES:
    case COP_LAYOUT_TOKEN_TILES:
        return tiles_fit(layout, tensor);
    default:
        return true;
    }
}

/* The matrices that turn `plain` into `layout`. */
static transposition matrices(const coppice_tensor *tensor, cop_layout layout) {
    transposition t = {
        .batch = 1, .rows = 1, .columns = 1, .element = coppice_type_bits(tensor->type) / 8};
    if (layout == COP_LAYOUT_NHWC) {
        t.batch = (size_t)tensor->dims[0];
        t.rows = (size_t)tensor->dims[1];
        t.columns = cop_dims_product(tensor->dims, 2, tensor->rank);
    }
    return t;
}

bool cop_layout_same(const coppice_tensor *tensor, cop_layout a, cop_layout b) {
    if (a == b)
        return true;
    if (cop_layout_is_tiles(a) || cop_layout_is_tiles(b))
        return !cop_layout_fits(cop_layout_is_tiles(a) ? a : b, tensor) &&
               cop_layout_same(tensor, cop_layout_is_tiles(a) ? COP_LAYOUT_PLAIN : a,
                               cop_layout_is_tiles(b) ? COP_LAYOUT_PLAIN : b);
    if (a != COP_LAYOUT_PLAIN && b != COP_LAYOUT_PLAIN)
        return cop_layout_same(tensor, a, COP_LAYOUT_PLAIN) &&
               cop_layout_same(tensor, b, COP_LAYOUT_PLAIN);
    transposition t = matrices(tensor, a == COP_LAYOUT_PLAIN ? b : a);
    return t.rows <= 1 || t.columns <= 1;
}

/* ---- values that are moved ---- */

static bool channels_first(cop_layout layout) {
    return layout == COP_LAYOUT_NHWC || layout == COP_LAYOUT_TILES;
}

/* Dims without those of 1 from the outermost to the innermost, channels last, each as its source.
 */
static size_t dims_in_memory(const coppice_tensor *t, cop_layout layout, const int *perm,
                             int *order) {
    size_t count = 0;
    for (uint32_t i = 0; i < t->rank; i++) {
        uint32_t d = !channels_first(layout) || i == 0 ? i : i + 1 < t->rank ? i + 1 : 1;
        if (t->dims[d] != 1)
            order[count++] = perm ? perm[d] : (int)d;
    }
    return count;
}

static int64_t channels_of(const coppice_tensor *t, cop_layout layout) {
    return t->dims[channels_first(layout) ? 1 : t->rank - 1];
}

static bool same_cut_up(const coppice_tensor *in, const coppice_tensor *out, cop_layout layout) {
    if (layout == COP_LAYOUT_PLAIN)
        return true;
    return channels_of(in, layout) == channels_of(out, layout) &&
           (!channels_first(layout) || in->dims[0] == out->dims[0]);
}

bool cop_layout_same_moved(const coppice_tensor *in, cop_layout a, const int *perm,
                           const coppice_tensor *out, cop_layout b) {
    int from[COPPICE_MAX_RANK], to[COPPICE_MAX_RANK];
    if (!cop_layout_fits(a, in) || !cop_layout_fits(b, out))
        return false;
    if (!perm)
        return a == b && same_cut_up(in, out, a);
    bool tiles = cop_layout_is_tiles(a);
    if (tiles != cop_layout_is_tiles(b) || (tiles && channels_of(in, a) != channels_of(out, b)))
        return false;
    size_t count = dims_in_memory(in, a, NULL, from);
    return dims_in_memory(out, b, perm, to) == count && !memcmp(from, to, count * sizeof *from);
}

#define TRANSPOSE_BLOCK(type)                                                                      \
    static void transpose_##type(const transposition *t, size_t matrix, size_t row, size_t rows) { \
        size_t plane = t->rows * t->columns;                                                       \
        const type *from = (const type *)t->from + matrix * plane;                                 \
        type *to = (type *)t->to + matrix * plane;                                                 \
        for (size_t column = 0; column < t->columns; column += BLOCK) {                            \
            size_t columns = t->columns - column < BLOCK ? t->columns - column : BLOCK;            \
            for (size_t c = column; c < column + columns; c++) {                                   \
                for (size_t r = row; r < row + rows; r++)                                          \
                    to[c * t->rows + r] = from[r * t->columns + c];                                \
            }                                                                                      \
        }                                                                                          \
    }

TRANSPOSE_BLOCK(uint8_t)
TRANSPOSE_BLOCK(uint16_t)
TRANSPOSE_BLOCK(uint64_t)

static void transpose_words(const transposition *t, size_t matrix, size_t row, size_t rows) {
    size_t plane = t->rows * t->columns;
    const uint32_t *from = (const uint32_t *)(const void *)t->from + matrix * plane;
    uint32_t *to = (uint32_t *)(void *)t->to + matrix * plane;
    cop_transpose_4(to + row, t->rows, from + row * t->columns, t->columns, rows, t->columns);
}

/* Items are bands of BLOCK rows. */
static void transpose_bands(void *context, size_t begin, size_t end) {
    const transposition *t = context;
    size_t bands = (t->rows + BLOCK - 1) / BLOCK;
    for (size_t i = begin; i < end; i++) {
        size_t row = i % bands * BLOCK;
        size_t rows = t->rows - row < BLOCK ? t->rows - row : BLOCK;
        switch (t->element) {
        case 1:
            transpose_uint8_t(t, i / bands, row, rows);
            break;
        case 2:
            transpose_uint16_t(t, i / bands, row, rows);
            break;
        case 4:
            transpose_words(t, i / bands, row, rows);
            break;
        default:
            transpose_uint64_t(t, i / bands, row, rows);
        }
    }
}

static void transpose(const coppice_tensor *tensor, cop_layout layout, bool to_plain,
                      const void *from, void *to, const coppice_threadpool *pool) {
    transposition t = matrices(tensor, layout);
    t.from = from;
    t.to = to;
    if (to_plain) {
        size_t rows = t.rows;
        t.rows = t.columns;
        t.columns = rows;
    }
    size_t bands = (t.rows + BLOCK - 1) / BLOCK;
    if (t.columns > 0)
        cop_parallel_for(pool, t.batch * bands, 1, transpose_bands, &t);
}

/* The planner never asks for a change between two layouts that are both not plain. */
void cop_layout_convert(const cop_operand *from, cop_operand *to, const coppice_threadpool *pool) {
    if (cop_layout_same(&from->t, from->layout, to->layout)) {
        size_t bytes = (size_t)coppice_tensor_bytes(&from->t);
        if (bytes)
            memcpy(to->t.data, from->t.data, bytes);
        return;
    }
    if (cop_layout_is_tiles(from->layout) || cop_layout_is_tiles(to->layout)) {
        convert_tiles(from, to, pool);
        return;
    }
    bool to_plain = to->layout == COP_LAYOUT_PLAIN;
    transpose(&from->t, to_plain ? from->layout : to->layout, to_plain, from->t.data, to->t.data,
              pool);
}
