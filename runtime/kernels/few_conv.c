/* Products of sparse weights with a few positions, which are the lanes: inputs are turned into
 * columns first, and sums back into rows behind. Rows of a part are sorted by their number of
 * weights, so that a loop's trip count is constant over a run. */
#include "runtime/kernels/few_conv.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/vector.h"
#include "runtime/transpose.h"

enum {
    PART_ROWS = 256, /* of a task */
    ALIGN = 64
};

typedef struct few_conv {
    cop_few_f32_fn *loop;
    size_t rows, columns, positions, lanes, parts;
    float min, max;
    float *bias; /* [rows] */
    float *values;
    uint16_t *offsets; /* of each value */
    uint32_t *order;   /* [rows]: those of a part, sorted, from its first row on */
    cop_tile_run *runs;
    size_t *first_run, *first_value; /* of each part, parts + 1 */
} few_conv;

static size_t lanes_for(size_t positions) {
    size_t lanes = COP_FEW_NARROWEST;
    while (lanes < positions)
        lanes *= 2;
    return lanes;
}

bool cop_few_conv_supports(const cop_conv *c) {
    size_t positions = cop_conv_positions(c);
    return cop_conv_is_product(c) && positions > 1 && positions <= COP_FEW_MOST &&
           c->in_channels * lanes_for(positions) / COP_FEW_UNIT <= UINT16_MAX;
}

void cop_few_conv_destroy(void *state) {
    few_conv *s = state;
    if (!s)
        return;
    cop_free(s->bias);
    cop_free(s->values);
    cop_free(s->offsets);
    cop_free(s->order);
    cop_free(s->runs);
    cop_free(s->first_run);
    cop_free(s->first_value);
    cop_free(s);
}

/* ---- packing ---- */

/* Weights of a row, filled up to whole steps. */
static uint32_t count_entries(const few_conv *s, const float *weights, size_t row) {
    const float *w = weights + row * s->columns;
    uint32_t n = 0;
    for (size_t k = 0; k < s->columns; k++)
        n += w[k] != 0;
    return (uint32_t)cop_round_up(n, COP_FEW_STEP);
}

/* Sorts the rows of a part, and makes its runs. `entries`: of each row of the part. */
static void sort_part(few_conv *s, size_t part, const float *weights) {
    size_t begin = part * PART_ROWS, rows = cop_smaller(s->rows - begin, PART_ROWS);
    uint32_t entries[PART_ROWS], *order = s->order + begin;
    cop_tile_run *run = s->runs + s->first_run[part];
    size_t values = s->first_value[part], run_count = 0;
    for (size_t i = 0; i < rows; i++) {
        const uint32_t n = count_entries(s, weights, begin + i);
        size_t at = i;
        for (; at > 0 && entries[at - 1] < n; at--) {
            entries[at] = entries[at - 1];
            order[at] = order[at - 1];
        }
        entries[at] = n;
        order[at] = (uint32_t)i;
        values += n;
    }
    for (size_t i = 0; i < rows; i++) {
        if (i == 0 || entries[i] != run[run_count - 1].entries)
            run[run_count++] = (cop_tile_run){.entries = entries[i]};
        run[run_count - 1].rows++;
    }
    s->first_run[part + 1] = s->first_run[part] + run_count;
    s->first_value[part + 1] = values;
}

static void fill_values(few_conv *s, const float *weights) {
    float *value = s->values;
    uint16_t *offset = s->offsets;
    const size_t stripe = s->lanes / COP_FEW_UNIT;
    for (size_t i = 0; i < s->rows; i++) {
        const float *w = weights + (i / PART_ROWS * PART_ROWS + s->order[i]) * s->columns;
        size_t n = 0;
        for (size_t k = 0; k < s->columns; k++) {
            if (w[k] == 0)
                continue;
            *value++ = w[k];
            *offset++ = (uint16_t)(k * stripe);
            n++;
        }
        for (; n % COP_FEW_STEP; n++) { /* a column of zeros */
            *value++ = 0;
            *offset++ = (uint16_t)(s->columns * stripe);
        }
    }
}

static coppice_status pack(few_conv *s, const cop_conv *conv, coppice_error *err) {
    s->order = cop_calloc(s->rows + 1, sizeof *s->order);
    s->runs = cop_calloc(s->rows + 1, sizeof *s->runs);
    s->first_run = cop_calloc(s->parts + 1, sizeof *s->first_run);
    s->first_value = cop_calloc(s->parts + 1, sizeof *s->first_value);
    if (!s->order || !s->runs || !s->first_run || !s->first_value)
        return cop_fail_memory(err, s->rows * sizeof *s->runs);
    for (size_t part = 0; part < s->parts; part++)
        sort_part(s, part, conv->weights);
    size_t count = s->first_value[s->parts];
    s->values = cop_calloc(count + 1, sizeof *s->values);
    s->offsets = cop_calloc(count + 1, sizeof *s->offsets);
    if (!s->values || !s->offsets)
        return cop_fail_memory(err, count * (sizeof *s->values + sizeof *s->offsets));
    fill_values(s, conv->weights);
    return cop_conv_copy_bias(conv, s->rows, &s->bias, err);
}

coppice_status cop_few_conv_create(const cop_conv *conv, coppice_isa isa, void **state,
                                   coppice_error *err) {
    few_conv *s = *state = cop_calloc(1, sizeof *s);
    if (!s)
        return cop_fail_memory(err, sizeof *s);
    s->rows = conv->out_channels;
    s->columns = conv->in_channels;
    s->positions = cop_conv_positions(conv);
    s->parts = cop_divide_up(s->rows, PART_ROWS);
    s->min = conv->min;
    s->max = conv->max;
    s->lanes = lanes_for(s->positions);
    s->loop = cop_kernels_of(isa)->few_f32[s->lanes / 8];
    coppice_status status = pack(s, conv, err);
    if (status) {
        cop_few_conv_destroy(s);
        *state = NULL;
    }
    return status;
}

/* ---- running ---- */

size_t cop_few_conv_scratch(const void *state) {
    const few_conv *s = state;
    return (s->columns + 1) * s->lanes * sizeof(float);
}

typedef struct few_job {
    const few_conv *s;
    const float *x; /* [columns + 1][lanes] */
    float *out;     /* [positions][rows] */
} few_job;

static void store_rows(const few_job *j, size_t first, size_t rows, const float *sums) {
    const few_conv *s = j->s;
    float *to = j->out + first;
    const float *restrict bias = s->bias + first;
    cop_transpose_4((uint32_t *)(void *)to, s->rows, sums, s->lanes, rows, s->positions);
    for (size_t p = 0; p < s->positions; p++) {
        float *restrict out = to + p * s->rows;
        for (size_t i = 0; i < rows; i++)
            out[i] = cop_clamp(out[i] + bias[i], s->min, s->max);
    }
}

/* Items are parts of the rows. */
static void run_parts(void *context, size_t begin, size_t end) {
    const few_job *j = context;
    const few_conv *s = j->s;
    _Alignas(ALIGN) float sums[PART_ROWS * COP_FEW_MOST];
    for (size_t part = begin; part < end; part++) {
        const size_t row = part * PART_ROWS, value = s->first_value[part];
        const cop_few_args args = {.x = j->x,
                                   .values = s->values + value,
                                   .offsets = s->offsets + value,
                                   .rows = s->order + row,
                                   .runs = s->runs + s->first_run[part],
                                   .run_count = s->first_run[part + 1] - s->first_run[part],
                                   .sums = sums};
        s->loop(&args);
        store_rows(j, row, cop_smaller(s->rows - row, PART_ROWS), sums);
    }
}

/* Lanes without a position are anything. */
coppice_status cop_few_conv_run(void *state, const cop_conv_io *io, const coppice_threadpool *pool,
                                coppice_error *err) {
    (void)err;
    const few_conv *s = state;
    float *x = io->scratch;
    cop_transpose_4((uint32_t *)(void *)x, s->lanes, io->input, s->columns, s->positions,
                    s->columns);
    memset(x + s->columns * s->lanes, 0, s->lanes * sizeof *x);
    few_job j = {s, x, io->output};
    cop_parallel_for(pool, s->parts, 1, run_parts, &j);
    return COPPICE_OK;
}
