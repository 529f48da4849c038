/* Convolutions and matrix products of a single position: a matrix times a vector. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/vec_conv.h"

enum {
    PART_ROWS = 64, /* of a task */
    ALIGN = 16      /* floats */
};

typedef struct vec_conv {
    const cop_kernels *kernels;
    size_t rows, columns, parts;
    float min, max;
    float *bias;        /* [rows] */
    float *weights;     /* dense: [rows][columns] */
    cop_spmv_args spmv; /* sparse: all of it, but for what a run brings */
    size_t *first;      /* sparse: step of all steps that each part begins with, parts + 1 */
    uint8_t *columns_of, *steps;
} vec_conv;

bool cop_vec_conv_supports(const cop_conv *c) {
    return c->groups == 1 && c->kernel_h == 1 && c->kernel_w == 1 &&
           c->batch * c->in_h * c->in_w == 1 && c->out_h * c->out_w == 1;
}

void cop_vec_conv_destroy(void *state) {
    vec_conv *s = state;
    if (!s)
        return;
    cop_free(s->bias);
    cop_free(s->weights);
    cop_free(s->first);
    cop_free(s->columns_of);
    cop_free(s->steps);
    cop_free(s);
}

static coppice_status begin(const cop_conv *conv, coppice_isa isa, vec_conv **out,
                            coppice_error *err) {
    vec_conv *s = *out = cop_calloc(1, sizeof *s);
    if (!s)
        return cop_fail_memory(err, sizeof *s);
    s->kernels = cop_kernels_of(isa);
    s->rows = conv->out_channels;
    s->columns = conv->in_channels;
    s->parts = cop_divide_up(s->rows, PART_ROWS);
    s->min = conv->min;
    s->max = conv->max;
    return cop_conv_copy_bias(conv, s->rows, &s->bias, err);
}

/* Room for `count` floats. */
static coppice_status make_values(vec_conv *s, size_t count, coppice_error *err) {
    size_t bytes;
    s->weights = cop_size_mul(cop_round_up(count + 1, ALIGN), sizeof(float), &bytes)
                     ? cop_aligned_alloc(ALIGN * sizeof(float), bytes)
                     : NULL;
    return s->weights ? COPPICE_OK : cop_fail_memory(err, count);
}

/* ---- dense ---- */

static coppice_status make_dense(vec_conv *s, const cop_conv *conv, coppice_error *err) {
    COP_TRY(make_values(s, s->rows * s->columns, err));
    memcpy(s->weights, conv->weights, s->rows * s->columns * sizeof(float));
    return COPPICE_OK;
}

/* ---- sparse ---- */

/* Weights that row `row` has in a block. */
static size_t count_weights(const vec_conv *s, const float *weights, size_t row, size_t block) {
    size_t first = block * COP_SPMV_COLUMNS, n = 0;
    size_t count = cop_smaller(s->columns - first, COP_SPMV_COLUMNS);
    const float *w = weights + row * s->columns + first;
    for (size_t k = 0; k < count; k++)
        n += w[k] != 0;
    return n;
}

/* Counts the steps of every block, and those before each part. */
static void count_steps(vec_conv *s, const float *weights) {
    size_t total = 0;
    for (size_t group = 0; group < s->spmv.groups; group++) {
        if (group * COP_SPMV_ROWS % PART_ROWS == 0)
            s->first[group * COP_SPMV_ROWS / PART_ROWS] = total;
        for (size_t block = 0; block < s->spmv.blocks; block++) {
            size_t row = group * COP_SPMV_ROWS, most = 0;
            for (size_t end = cop_smaller(s->rows, row + COP_SPMV_ROWS); row < end; row++) {
                size_t n = count_weights(s, weights, row, block);
                most = n > most ? n : most;
            }
            s->steps[group * s->spmv.blocks + block] = (uint8_t)most;
            total += most;
        }
    }
    s->first[s->parts] = total;
}

static void fill_steps(vec_conv *s, const float *weights) {
    float *values = s->weights;
    uint8_t *columns = s->columns_of;
    for (size_t i = 0; i < s->spmv.groups * s->spmv.blocks; i++) {
        size_t group = i / s->spmv.blocks, first = i % s->spmv.blocks * COP_SPMV_COLUMNS;
        size_t count = cop_smaller(s->columns - first, COP_SPMV_COLUMNS);
        for (size_t lane = 0; lane < COP_SPMV_ROWS; lane++) {
            size_t row = group * COP_SPMV_ROWS + lane, n = 0;
            const float *w = weights + row * s->columns + first;
            for (size_t k = 0; k < count && row < s->rows; k++) {
                if (w[k] == 0)
                    continue;
                values[n * COP_SPMV_ROWS + lane] = w[k];
                columns[n++ * COP_SPMV_ROWS + lane] = (uint8_t)(COP_SPMV_KEPT + k);
            }
        }
        values += (size_t)s->steps[i] * COP_SPMV_ROWS;
        columns += (size_t)s->steps[i] * COP_SPMV_ROWS;
    }
}

static coppice_status make_sparse(vec_conv *s, const cop_conv *conv, coppice_error *err) {
    s->spmv.groups = cop_divide_up(s->rows, COP_SPMV_ROWS);
    s->spmv.blocks = cop_divide_up(s->columns, COP_SPMV_COLUMNS);
    s->steps = cop_calloc(s->spmv.groups * s->spmv.blocks + 1, 1);
    s->first = cop_calloc(s->parts + 1, sizeof *s->first);
    if (!s->steps || !s->first)
        return cop_fail_memory(err, s->parts * sizeof *s->first);
    count_steps(s, conv->weights);
    size_t count = s->first[s->parts] * COP_SPMV_ROWS;
    COP_TRY(make_values(s, count, err));
    memset(s->weights, 0, count * sizeof(float));
    s->columns_of = cop_calloc(count + 1, 1);
    if (!s->columns_of)
        return cop_fail_memory(err, count);
    fill_steps(s, conv->weights);
    return COPPICE_OK;
}

coppice_status cop_vec_conv_create(const cop_conv *conv, coppice_isa isa, bool dense, void **state,
                                   coppice_error *err) {
    vec_conv *s;
    *state = NULL;
    coppice_status status = begin(conv, isa, &s, err);
    if (!status)
        status = dense ? make_dense(s, conv, err) : make_sparse(s, conv, err);
    if (status) {
        cop_vec_conv_destroy(s);
        return status;
    }
    *state = s;
    return COPPICE_OK;
}

/* ---- running ---- */

typedef struct run_job {
    const vec_conv *s;
    const float *x;
    float *out;
} run_job;

static void run_dense(const run_job *j, size_t row, size_t rows) {
    const vec_conv *s = j->s;
    float *out = j->out + row;
    const cop_dot_args args = {.a = j->x,
                               .b = s->weights + row * s->columns,
                               .a_stride = s->columns,
                               .b_stride = s->columns,
                               .rows = 1,
                               .columns = rows,
                               .reduction = s->columns,
                               .out = out,
                               .out_stride = rows};
    s->kernels->dot_f32(&args);
    for (size_t r = 0; r < rows; r++) {
        float y = out[r] + s->bias[row + r];
        y = y < s->min ? s->min : y;
        out[r] = y > s->max ? s->max : y;
    }
}

static void run_sparse(const run_job *j, size_t part, size_t rows) {
    const vec_conv *s = j->s;
    cop_spmv_args args = s->spmv;
    size_t row = part * PART_ROWS;
    args.x = j->x;
    args.inputs = s->columns;
    args.values = s->weights + s->first[part] * COP_SPMV_ROWS;
    args.columns = s->columns_of + s->first[part] * COP_SPMV_ROWS;
    args.steps = s->steps + row / COP_SPMV_ROWS * args.blocks;
    args.bias = s->bias + row;
    args.out = j->out + row;
    args.rows = rows;
    args.groups = cop_divide_up(rows, COP_SPMV_ROWS);
    args.min = s->min;
    args.max = s->max;
    s->kernels->spmv_lanes_f32(&args);
}

/* Items are parts of the rows. */
static void run_parts(void *context, size_t begin, size_t end) {
    const run_job *j = context;
    for (size_t part = begin; part < end; part++) {
        size_t rows = cop_smaller(j->s->rows - part * PART_ROWS, PART_ROWS);
        if (j->s->steps)
            run_sparse(j, part, rows);
        else
            run_dense(j, part * PART_ROWS, rows);
    }
}

coppice_status cop_vec_conv_run(void *state, const cop_conv_io *io, const coppice_threadpool *pool,
                                coppice_error *err) {
    (void)err;
    run_job j = {state, io->input, io->output};
    cop_parallel_for(pool, j.s->parts, 1, run_parts, &j);
    return COPPICE_OK;
}
