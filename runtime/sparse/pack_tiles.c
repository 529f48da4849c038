/* Packing of weights into the streams that the loops over tiles read. */
#include "runtime/sparse/pack_tiles.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"

typedef struct packer {
    const cop_tile_shape *shape;
    cop_tile_pack *pack;
    size_t entry, row, run; /* written so far */
    /* Of the unit at hand: by group of rows the entries, and the groups in their new order. */
    uint32_t *counts, *order;
    uint32_t *begin; /* [block_columns + 2]: by number of entries, most first */
} packer;

/* Of the `height` rows at `weights`, is any in `column` not zero? */
static bool kept(const cop_tile_shape *s, const float *weights, size_t rows, size_t column) {
    bool any = s->dense;
    for (size_t r = 0; r < rows; r++)
        any |= weights[r * s->columns + column] != 0.0f;
    return any;
}

/* Loops over the common heights are for the compiler to vectorise, as is the width of the sum. */
static size_t count_kept(const cop_tile_shape *s, const float *weights, size_t rows,
                         size_t columns) {
    uint32_t n = 0; /* no block has more columns */
    if (s->dense)
        return columns;
    if (rows == 1) {
        for (size_t k = 0; k < columns; k++)
            n += weights[k] != 0.0f;
        return n;
    }
    if (rows == COP_TILE_HEIGHT) {
        const float *a = weights, *b = a + s->columns, *c = b + s->columns, *d = c + s->columns;
        for (size_t k = 0; k < columns; k++)
            n += (a[k] != 0.0f) | (b[k] != 0.0f) | (c[k] != 0.0f) | (d[k] != 0.0f);
        return n;
    }
    for (size_t k = 0; k < columns; k++)
        n += kept(s, weights, rows, k);
    return n;
}

size_t cop_tile_pack_kept(const cop_tile_shape *s) {
    size_t n = 0;
    for (size_t g = 0; g < s->groups; g++)
        for (size_t r = 0; r < s->rows; r += s->height)
            n += count_kept(s, s->weights + (g * s->rows + r) * s->columns,
                            cop_smaller(s->height, s->rows - r), s->columns);
    return n * s->height;
}

/* Counts the entries of each group of rows, and sorts the groups by them (stable, by counting). */
static void sort_groups(packer *p, const float *weights, size_t rows, size_t columns) {
    const cop_tile_shape *s = p->shape;
    size_t groups = cop_divide_up(rows, s->height);
    memset(p->begin, 0, (columns + 2) * sizeof *p->begin);
    for (size_t i = 0; i < groups; i++) {
        size_t row = i * s->height;
        p->counts[i] = (uint32_t)count_kept(s, weights + row * s->columns,
                                            cop_smaller(s->height, rows - row), columns);
        p->begin[columns - p->counts[i] + 1]++;
    }
    for (size_t c = 1; c <= columns + 1; c++)
        p->begin[c] += p->begin[c - 1];
    for (size_t i = 0; i < groups; i++)
        p->order[p->begin[columns - p->counts[i]]++] = (uint32_t)i;
}

/* Whether a weight is kept is not to be guessed: every one is written, and the next in its place
 * unless it is. There is room for one behind the last. */
static void pack_row(packer *p, const float *weights, size_t columns) {
    float *values = p->pack->values + p->entry;
    uint16_t *offsets = p->pack->offsets + p->entry;
    size_t n = 0, step = p->shape->column_step;
    for (size_t k = 0; k < columns; k++) {
        values[n] = weights[k];
        offsets[n] = (uint16_t)(k * step);
        n += weights[k] != 0.0f;
    }
    p->entry += n;
}

/* The same for COP_TILE_HEIGHT rows. */
static void pack_rows(packer *p, const float *weights, size_t columns) {
    float *values = p->pack->values + p->entry * COP_TILE_HEIGHT;
    uint16_t *offsets = p->pack->offsets + p->entry;
    size_t n = 0, stride = p->shape->columns, step = p->shape->column_step;
    for (size_t k = 0; k < columns; k++) {
        bool any = false;
        for (size_t r = 0; r < COP_TILE_HEIGHT; r++) {
            values[n * COP_TILE_HEIGHT + r] = weights[r * stride + k];
            any |= weights[r * stride + k] != 0.0f;
        }
        offsets[n] = (uint16_t)(k * step);
        n += any;
    }
    p->entry += n;
}

static void pack_entries(packer *p, const float *weights, size_t rows, size_t columns) {
    const cop_tile_shape *s = p->shape;
    if (!s->dense && s->height == 1) {
        pack_row(p, weights, columns);
        return;
    }
    if (!s->dense && rows == COP_TILE_HEIGHT) {
        pack_rows(p, weights, columns);
        return;
    }
    for (size_t k = 0; k < columns; k++) {
        if (!kept(s, weights, rows, k))
            continue;
        float *to = p->pack->values + p->entry * s->height;
        for (size_t r = 0; r < s->height; r++)
            to[r] = r < rows ? weights[r * s->columns + k] : 0.0f;
        if (!s->dense)
            p->pack->offsets[p->entry] = (uint16_t)(k * s->column_step);
        p->entry++;
    }
}

static void pack_block(packer *p, size_t group, size_t block, size_t unit) {
    const cop_tile_shape *s = p->shape;
    cop_tile_pack *pack = p->pack;
    size_t row = unit * s->unit_rows, rows = cop_smaller(s->unit_rows, s->rows - row);
    size_t column = block * s->block_columns;
    size_t columns = cop_smaller(s->block_columns, s->columns - column);
    const float *weights = s->weights + (group * s->rows + row) * s->columns + column;
    bool keep_empty = block == 0 || block + 1 == pack->block_count;
    cop_tile_block *b =
        &pack->blocks[(group * pack->block_count + block) * pack->unit_count + unit];
    *b = (cop_tile_block){p->entry, p->row, p->run, 0};
    sort_groups(p, weights, rows, columns);
    for (size_t i = 0; i < cop_divide_up(rows, s->height); i++) {
        uint32_t at = p->order[i], n = p->counts[at];
        if (n == 0 && !keep_empty)
            break;
        if (b->run_count == 0 || pack->runs[p->run - 1].entries != n) {
            pack->runs[p->run++] = (cop_tile_run){0, n};
            b->run_count++;
        }
        pack->runs[p->run - 1].rows++;
        size_t first = at * s->height;
        pack->rows[p->row++] = (uint32_t)first;
        pack_entries(p, weights + first * s->columns, cop_smaller(s->height, rows - first),
                     columns);
    }
}

static coppice_status allocate(const cop_tile_shape *s, cop_tile_pack *pack, coppice_error *err) {
    size_t values = cop_tile_pack_kept(s), entries = values / s->height + 1, all, listed;
    size_t groups = cop_divide_up(s->rows, s->height), blocks;
    if (!cop_size_mul(s->groups * pack->block_count, groups, &listed) ||
        !cop_size_mul(s->groups * pack->block_count, pack->unit_count, &blocks) ||
        !cop_size_mul(listed + 1, sizeof(cop_tile_run), &all))
        return cop_fail(err, COPPICE_LIMIT, "the weights are too large to pack");
    pack->values = cop_malloc((values + COP_TILE_HEIGHT) * sizeof *pack->values);
    pack->offsets = s->dense ? NULL : cop_malloc(entries * sizeof *pack->offsets);
    pack->rows = cop_malloc((listed + 1) * sizeof *pack->rows);
    pack->runs = cop_malloc(all);
    pack->blocks = cop_calloc(blocks, sizeof *pack->blocks);
    pack->bytes = values * sizeof(float) + entries * sizeof(uint16_t) + listed * 12;
    if (!pack->values || (!s->dense && !pack->offsets) || !pack->rows || !pack->runs ||
        !pack->blocks)
        return cop_fail_memory(err, pack->bytes);
    return COPPICE_OK;
}

/* Gives back what the worst case did not need; keeping it is no error. */
static void trim(packer *p) {
    cop_tile_pack *pack = p->pack;
    cop_tile_run *runs = cop_realloc(pack->runs, (p->run + 1) * sizeof *runs);
    if (runs)
        pack->runs = runs;
    uint32_t *rows = cop_realloc(pack->rows, (p->row + 1) * sizeof *rows);
    if (rows)
        pack->rows = rows;
}

static coppice_status pack_all(packer *p, coppice_error *err) {
    const cop_tile_shape *s = p->shape;
    size_t groups = cop_divide_up(s->unit_rows, s->height);
    p->counts = cop_malloc(groups * sizeof *p->counts);
    p->order = cop_malloc(groups * sizeof *p->order);
    p->begin = cop_malloc((s->block_columns + 2) * sizeof *p->begin);
    if (!p->counts || !p->order || !p->begin)
        return cop_fail_memory(err, (groups * 2 + s->block_columns) * sizeof *p->begin);
    for (size_t group = 0; group < s->groups; group++)
        for (size_t block = 0; block < p->pack->block_count; block++)
            for (size_t unit = 0; unit < p->pack->unit_count; unit++)
                pack_block(p, group, block, unit);
    trim(p);
    return COPPICE_OK;
}

coppice_status cop_tile_pack_create(const cop_tile_shape *shape, cop_tile_pack *pack,
                                    coppice_error *err) {
    packer p = {.shape = shape, .pack = pack};
    pack->height = shape->height;
    pack->unit_count = cop_divide_up(shape->rows, shape->unit_rows);
    pack->block_count = cop_divide_up(shape->columns, shape->block_columns);
    COP_TRY(allocate(shape, pack, err));
    coppice_status status = pack_all(&p, err);
    cop_free(p.counts);
    cop_free(p.order);
    cop_free(p.begin);
    return status;
}

void cop_tile_pack_free(cop_tile_pack *pack) {
    cop_free(pack->values);
    cop_free(pack->offsets);
    cop_free(pack->rows);
    cop_free(pack->runs);
    cop_free(pack->blocks);
    *pack = (cop_tile_pack){0};
}

void cop_tile_pack_args(const cop_tile_pack *pack, size_t group, size_t block, size_t unit,
                        cop_tile_args *args) {
    const cop_tile_block *b =
        &pack->blocks[(group * pack->block_count + block) * pack->unit_count + unit];
    args->values = pack->values + b->entry * pack->height;
    args->offsets = pack->offsets ? pack->offsets + b->entry : NULL;
    args->rows = pack->rows + b->row;
    args->runs = pack->runs + b->run;
    args->run_count = b->run_count;
}
