/* Packs dense weights: four rows side by side, so that a kernel reads them in one stream. */
#include "runtime/sparse/pack_dense.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"

/* Floats of a unit, with its rows filled up to a multiple of four. */
static size_t unit_floats(const cop_gemm_pack *p) {
    return cop_round_up(p->unit_rows, COP_GEMM_ROWS) * p->columns;
}

static void pack_block(const cop_spmm_shape *s, cop_gemm_pack *p, size_t unit, size_t block) {
    cop_gemm_args args;
    cop_gemm_pack_args(p, unit, block, &args);
    float *to = p->weights + (args.weights - p->weights);
    size_t first = unit * p->unit_rows, column = block * p->block_columns;
    for (size_t row = 0; row < args.rows; row += COP_GEMM_ROWS)
        for (size_t k = 0; k < args.columns; k++)
            for (size_t r = row; r < row + COP_GEMM_ROWS; r++)
                *to++ = r < args.rows ? s->weights[(first + r) * s->columns + column + k] : 0.0f;
}

coppice_status cop_gemm_pack_create(const cop_spmm_shape *s, cop_gemm_pack *p, coppice_error *err) {
    size_t reach, bytes;
    p->rows = s->rows;
    p->unit_rows = s->unit_rows;
    p->columns = s->columns;
    p->block_columns = s->block_channels * s->tap_count;
    p->unit_count = cop_divide_up(s->rows, s->unit_rows);
    p->block_count = cop_divide_up(s->columns, p->block_columns);
    if (!cop_size_mul(s->block_channels, s->channel, &reach) || reach > UINT32_MAX / sizeof(float))
        return cop_fail(err, COPPICE_UNSUPPORTED, "the inputs of a block lie too far apart");
    if (!cop_size_mul(p->unit_count, unit_floats(p), &bytes) ||
        !cop_size_mul(bytes, sizeof(float), &bytes))
        return cop_fail(err, COPPICE_LIMIT, "the weights are too large to pack");
    p->weights = cop_malloc(bytes);
    p->offsets = cop_malloc(p->block_columns * sizeof *p->offsets);
    if (!p->weights || !p->offsets)
        return cop_fail_memory(err, bytes);
    for (size_t k = 0; k < p->block_columns; k++)
        p->offsets[k] =
            (uint32_t)((k / s->tap_count * s->channel + s->taps[k % s->tap_count]) * sizeof(float));
    for (size_t unit = 0; unit < p->unit_count; unit++)
        for (size_t block = 0; block < p->block_count; block++)
            pack_block(s, p, unit, block);
    return COPPICE_OK;
}

void cop_gemm_pack_free(cop_gemm_pack *p) {
    cop_free(p->weights);
    cop_free(p->offsets);
    *p = (cop_gemm_pack){0};
}

void cop_gemm_pack_args(const cop_gemm_pack *p, size_t unit, size_t block, cop_gemm_args *args) {
    size_t column = block * p->block_columns;
    args->rows = cop_smaller(p->unit_rows, p->rows - unit * p->unit_rows);
    args->columns = cop_smaller(p->block_columns, p->columns - column);
    args->offsets = p->offsets;
    args->weights =
        p->weights + unit * unit_floats(p) + cop_round_up(p->unit_rows, COP_GEMM_ROWS) * column;
}
