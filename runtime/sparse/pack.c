/* Packs sparse weights: per unit of rows and block of columns, rows sorted by count. */
#include "runtime/sparse/pack.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"

/* What one pass over the matrix keeps: positions in the streams, and room for sorting. */
typedef struct packer {
    const cop_spmm_shape *shape;
    cop_spmm_pack *pack;
    size_t entry, row, run;
    size_t *start;     /* [block_columns + 2]: first place of the rows with a count */
    uint32_t *counts;  /* [unit_rows] */
    uint32_t *order;   /* [unit_rows] */
    uint32_t *offsets; /* [block_columns], bytes */
    size_t block_columns, group_bytes;
} packer;

/* Sorts the rows of a block by their number of non-zeros, longest first, equal ones in order. */
static void sort_rows(packer *p, size_t row, size_t rows, size_t column, size_t columns) {
    memset(p->start, 0, (columns + 2) * sizeof *p->start);
    for (size_t r = 0; r < rows; r++) {
        const float *w = p->shape->weights + (row + r) * p->shape->columns + column;
        uint32_t n = 0;
        for (size_t k = 0; k < columns; k++)
            n += w[k] != 0.0f;
        p->counts[r] = n;
        p->start[columns - n + 1]++;
    }
    for (size_t c = 1; c <= columns + 1; c++)
        p->start[c] += p->start[c - 1];
    for (size_t r = 0; r < rows; r++)
        p->order[p->start[columns - p->counts[r]]++] = (uint32_t)r;
}

static void pack_row(packer *p, const float *weights, size_t columns, uint32_t group) {
    for (size_t k = 0; k < columns; k++)
        if (weights[k] != 0.0f)
            p->pack->entries[p->entry++] = (cop_spmm_entry){weights[k], group + p->offsets[k]};
}

static void pack_block(packer *p, size_t unit, size_t block) {
    const cop_spmm_shape *s = p->shape;
    cop_spmm_pack *pack = p->pack;
    size_t row = unit * s->unit_rows, rows = cop_smaller(s->unit_rows, s->rows - row);
    size_t column = block * p->block_columns;
    size_t columns = cop_smaller(p->block_columns, s->columns - column);
    bool keep_empty = block == 0 || block + 1 == pack->block_count;
    cop_spmm_block *b = &pack->blocks[unit * pack->block_count + block];
    *b = (cop_spmm_block){p->entry, p->row, p->run, 0};
    sort_rows(p, row, rows, column, columns);
    for (size_t i = 0; i < rows; i++) {
        uint32_t r = p->order[i], n = p->counts[r];
        if (n == 0 && !keep_empty)
            break;
        if (b->run_count == 0 || pack->runs[p->run - 1].entries != n) {
            pack->runs[p->run++] = (cop_spmm_run){0, n};
            b->run_count++;
        }
        pack->runs[p->run - 1].rows++;
        pack->rows[p->row++] = r;
        pack_row(p, s->weights + (row + r) * s->columns + column, columns,
                 (uint32_t)(r / s->group_rows * p->group_bytes));
    }
}

/* Allocates the streams; rows and runs for the worst case. */
static coppice_status allocate(const cop_spmm_shape *s, cop_spmm_pack *pack, coppice_error *err) {
    size_t weights, listed, bytes;
    if (!cop_size_mul(s->rows, s->columns, &weights) ||
        !cop_size_mul(s->rows, pack->block_count, &listed) ||
        !cop_size_mul(listed, sizeof(cop_spmm_run), &bytes))
        return cop_fail(err, COPPICE_LIMIT, "the weights are too large to pack");
    size_t nonzeros = 0;
    for (size_t i = 0; i < weights; i++)
        nonzeros += s->weights[i] != 0.0f;
    size_t blocks = pack->unit_count * pack->block_count;
    pack->entries = cop_malloc((nonzeros ? nonzeros : 1) * sizeof *pack->entries);
    pack->rows = cop_malloc(listed * sizeof *pack->rows);
    pack->runs = cop_malloc(bytes);
    pack->blocks = cop_calloc(blocks, sizeof *pack->blocks);
    if (!pack->entries || !pack->rows || !pack->runs || !pack->blocks)
        return cop_fail_memory(err, nonzeros * sizeof *pack->entries + listed * 12);
    return COPPICE_OK;
}

/* Gives back what the worst case did not need; keeping it is no error. */
static void trim(packer *p) {
    cop_spmm_pack *pack = p->pack;
    cop_spmm_run *runs = cop_realloc(pack->runs, (p->run ? p->run : 1) * sizeof *runs);
    if (runs)
        pack->runs = runs;
    uint32_t *rows = cop_realloc(pack->rows, (p->row ? p->row : 1) * sizeof *rows);
    if (rows)
        pack->rows = rows;
}

static void free_packer(packer *p) {
    cop_free(p->start);
    cop_free(p->counts);
    cop_free(p->order);
    cop_free(p->offsets);
}

static coppice_status start_packer(packer *p, coppice_error *err) {
    const cop_spmm_shape *s = p->shape;
    size_t reach, columns = p->block_columns;
    if (!cop_size_mul(s->block_channels, s->channel, &reach) || reach > UINT32_MAX / sizeof(float))
        return cop_fail(err, COPPICE_UNSUPPORTED, "the inputs of a block lie too far apart");
    p->start = cop_malloc((columns + 2) * sizeof *p->start);
    p->counts = cop_malloc(s->unit_rows * sizeof *p->counts);
    p->order = cop_malloc(s->unit_rows * sizeof *p->order);
    p->offsets = cop_malloc(columns * sizeof *p->offsets);
    if (!p->start || !p->counts || !p->order || !p->offsets)
        return cop_fail_memory(err, columns * 12 + s->unit_rows * 8);
    for (size_t k = 0; k < columns; k++)
        p->offsets[k] =
            (uint32_t)((k / s->tap_count * s->channel + s->taps[k % s->tap_count]) * sizeof(float));
    return COPPICE_OK;
}

coppice_status cop_spmm_pack_create(const cop_spmm_shape *shape, cop_spmm_pack *pack,
                                    coppice_error *err) {
    packer p = {.shape = shape, .pack = pack};
    p.block_columns = shape->block_channels * shape->tap_count;
    p.group_bytes = shape->columns / shape->tap_count * shape->channel * sizeof(float);
    pack->unit_count = cop_divide_up(shape->rows, shape->unit_rows);
    pack->block_count = cop_divide_up(shape->columns, p.block_columns);
    COP_TRY(allocate(shape, pack, err));
    coppice_status status = start_packer(&p, err);
    for (size_t unit = 0; !status && unit < pack->unit_count; unit++)
        for (size_t block = 0; block < pack->block_count; block++)
            pack_block(&p, unit, block);
    if (!status)
        trim(&p);
    free_packer(&p);
    return status;
}

void cop_spmm_pack_free(cop_spmm_pack *pack) {
    cop_free(pack->entries);
    cop_free(pack->rows);
    cop_free(pack->runs);
    cop_free(pack->blocks);
    *pack = (cop_spmm_pack){0};
}

void cop_spmm_pack_args(const cop_spmm_pack *pack, size_t unit, size_t block, cop_spmm_args *args) {
    const cop_spmm_block *b = &pack->blocks[unit * pack->block_count + block];
    args->entries = pack->entries + b->entry;
    args->rows = pack->rows + b->row;
    args->runs = pack->runs + b->run;
    args->run_count = b->run_count;
}
