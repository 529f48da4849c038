/* Loop nests over strided tensors: sorted by the output's memory order, collapsed, in threads. */
#include <string.h>

#include "runtime/layout.h"
#include "runtime/ops/util.h"
#include "runtime/transpose.h"

enum { GRAIN_ELEMENTS = 16384 };

size_t cop_grain(size_t each) {
    return each >= GRAIN_ELEMENTS ? 1 : GRAIN_ELEMENTS / (each ? each : 1);
}

typedef struct walk_job {
    cop_walk walk;
    cop_walk_fn fn;
    const void *context;
} walk_job;

/* Drops dims of size 1 and sorts the rest by descending output stride. */
static void sort_dims(const cop_walk *from, cop_walk *to) {
    to->rank = 0;
    for (int d = 0; d < from->rank; d++) {
        if (from->dims[d] == 1)
            continue;
        int at = to->rank++;
        while (at > 0 && to->strides[0][at - 1] < from->strides[0][d]) {
            to->dims[at] = to->dims[at - 1];
            for (int k = 0; k <= from->inputs; k++)
                to->strides[k][at] = to->strides[k][at - 1];
            at--;
        }
        to->dims[at] = from->dims[d];
        for (int k = 0; k <= from->inputs; k++)
            to->strides[k][at] = from->strides[k][d];
    }
}

static bool can_merge(const cop_walk *walk, int outer, int inner) {
    for (int k = 0; k <= walk->inputs; k++) {
        if (walk->strides[k][outer] != walk->strides[k][inner] * walk->dims[inner])
            return false;
    }
    return true;
}

/* Merges neighbouring dims that all operands step through evenly. */
static void collapse_dims(cop_walk *walk) {
    int last = 0;
    for (int d = 1; d < walk->rank; d++) {
        if (can_merge(walk, last, d)) {
            walk->dims[last] *= walk->dims[d];
        } else {
            last++;
            walk->dims[last] = walk->dims[d];
        }
        for (int k = 0; k <= walk->inputs; k++)
            walk->strides[k][last] = walk->strides[k][d];
    }
    walk->rank = walk->rank ? last + 1 : 0;
    if (walk->rank == 0) {
        walk->rank = 1;
        walk->dims[0] = 1;
        for (int k = 0; k <= walk->inputs; k++)
            walk->strides[k][0] = 1;
    }
}

/* Elements begin .. end of the flattened loop nest. */
static void walk_range(void *context, size_t begin, size_t end) {
    const walk_job *job = context;
    const cop_walk *walk = &job->walk;
    int inner = walk->rank - 1;
    size_t row = (size_t)walk->dims[inner];
    ptrdiff_t strides[COP_WALK_INPUTS + 1];
    for (int k = 0; k <= walk->inputs; k++)
        strides[k] = (ptrdiff_t)walk->strides[k][inner];
    while (begin < end) {
        size_t column = begin % row, rest = begin / row;
        size_t n = row - column < end - begin ? row - column : end - begin;
        int64_t at[COP_WALK_INPUTS + 1];
        for (int k = 0; k <= walk->inputs; k++)
            at[k] = (int64_t)column * strides[k];
        for (int d = inner; d-- > 0;) {
            int64_t index = (int64_t)(rest % (size_t)walk->dims[d]);
            rest /= (size_t)walk->dims[d];
            for (int k = 0; k <= walk->inputs; k++)
                at[k] += index * walk->strides[k][d];
        }
        const void *in[COP_WALK_INPUTS] = {0};
        for (int k = 0; k < walk->inputs; k++)
            in[k] = (const char *)walk->in[k] + at[k + 1] * (int64_t)walk->element[k + 1];
        void *out = (char *)walk->out + at[0] * (int64_t)walk->element[0];
        job->fn(job->context, n, out, in, strides);
        begin += n;
    }
}

void cop_walk_run(const cop_walk *walk, cop_walk_fn fn, const void *context,
                  const coppice_threadpool *pool) {
    walk_job job = {.fn = fn, .context = context};
    size_t count = 1;
    for (int d = 0; d < walk->rank; d++)
        count *= (size_t)walk->dims[d];
    if (count == 0)
        return;
    job.walk.inputs = walk->inputs;
    job.walk.out = walk->out;
    memcpy(job.walk.in, walk->in, sizeof walk->in);
    memcpy(job.walk.element, walk->element, sizeof walk->element);
    sort_dims(walk, &job.walk);
    collapse_dims(&job.walk);
    cop_parallel_for(pool, count, GRAIN_ELEMENTS, walk_range, &job);
}

void cop_broadcast_strides(int rank, const int64_t *dims, const int64_t *strides, int out_rank,
                           int64_t *out) {
    int lead = out_rank - rank;
    for (int d = 0; d < out_rank; d++)
        out[d] = d < lead || dims[d - lead] == 1 ? 0 : strides[d - lead];
}

void cop_walk_broadcast(const cop_operand *out, const cop_operand *const *in, int inputs,
                        cop_walk_fn fn, const void *context, const coppice_threadpool *pool) {
    if (cop_layout_is_tiles(out->layout)) {
        cop_walk_tiles(out, in, inputs, fn, context, pool);
        return;
    }
    cop_walk walk = {.rank = (int)out->t.rank, .inputs = inputs, .out = out->t.data};
    memcpy(walk.dims, out->t.dims, out->t.rank * sizeof *walk.dims);
    cop_operand_strides(out, walk.strides[0]);
    walk.element[0] = cop_type_bytes(out->t.type);
    for (int k = 0; k < inputs; k++) {
        const coppice_tensor *t = &in[k]->t;
        int64_t strides[COPPICE_MAX_RANK];
        cop_operand_strides(in[k], strides);
        cop_broadcast_strides((int)t->rank, t->dims, strides, walk.rank, walk.strides[k + 1]);
        walk.in[k] = t->data;
        walk.element[k + 1] = cop_type_bytes(t->type);
    }
    cop_walk_run(&walk, fn, context, pool);
}

#define COPY_ROW(name, T)                                                                          \
    static void name(const void *context, size_t n, void *to, const void *const *from,             \
                     const ptrdiff_t *strides) {                                                   \
        (void)context;                                                                             \
        T *restrict out = to;                                                                      \
        const T *restrict in = from[0];                                                            \
        ptrdiff_t so = strides[0], si = strides[1];                                                \
        if (so == 1 && si == 1) {                                                                  \
            memcpy(out, in, n * sizeof *out);                                                      \
            return;                                                                                \
        }                                                                                          \
        for (ptrdiff_t j = 0; j < (ptrdiff_t)n; j++)                                               \
            out[j * so] = in[j * si];                                                              \
    }

typedef struct pair64 {
    uint64_t a, b;
} pair64;

COPY_ROW(copy_row_1, uint8_t)
COPY_ROW(copy_row_2, uint16_t)
COPY_ROW(copy_row_4, uint32_t)
COPY_ROW(copy_row_8, uint64_t)
COPY_ROW(copy_row_16, pair64)

/* A copy whose rows are columns where they come from: along dim `across` the input lies in a row.
 */
typedef struct turn_job {
    cop_walk walk;
    int across;
    size_t parts; /* of that dim, of TURNED elements each */
} turn_job;

enum { TURNED = 64 };

/* Items: parts of matrices. */
static void turn_parts(void *context, size_t begin, size_t end) {
    const turn_job *j = context;
    const cop_walk *w = &j->walk;
    int inner = w->rank - 1;
    for (size_t item = begin; item < end; item++) {
        size_t first = item % j->parts * TURNED, rest = item / j->parts;
        int64_t to = (int64_t)first * w->strides[0][j->across], from = (int64_t)first;
        for (int d = inner; d-- > 0;) {
            if (d == j->across)
                continue;
            int64_t index = (int64_t)(rest % (size_t)w->dims[d]);
            rest /= (size_t)w->dims[d];
            to += index * w->strides[0][d];
            from += index * w->strides[1][d];
        }
        cop_transpose_4((uint32_t *)w->out + to, (size_t)w->strides[0][j->across],
                        (const uint32_t *)w->in[0] + from, (size_t)w->strides[1][inner],
                        (size_t)w->dims[inner],
                        cop_smaller((size_t)w->dims[j->across] - first, TURNED));
    }
}

/* Copies a walk of 4-byte elements as matrices that are turned. False: it is not made of such. */
static bool turn(const cop_walk *walk, const coppice_threadpool *pool) {
    turn_job j = {.across = -1};
    size_t count = 1;
    for (int d = 0; d < walk->rank; d++)
        count *= (size_t)walk->dims[d];
    if (count == 0 || walk->element[0] != sizeof(uint32_t))
        return false;
    j.walk = (cop_walk){.inputs = 1, .out = walk->out, .in = {walk->in[0]}};
    sort_dims(walk, &j.walk);
    collapse_dims(&j.walk);
    int inner = j.walk.rank - 1;
    for (int d = 0; d < inner; d++) {
        if (j.walk.strides[1][d] == 1)
            j.across = d;
        if (j.walk.strides[1][d] < 0 || j.walk.strides[0][d] < 0)
            return false;
    }
    if (j.across < 0 || j.walk.strides[0][inner] != 1 || j.walk.strides[1][inner] <= 1)
        return false;
    size_t across = (size_t)j.walk.dims[j.across];
    j.parts = (across + TURNED - 1) / TURNED;
    cop_parallel_for(pool, count / across / (size_t)j.walk.dims[inner] * j.parts,
                     cop_grain((size_t)j.walk.dims[inner] * TURNED), turn_parts, &j);
    return true;
}

void cop_walk_copy(const cop_walk *walk, const coppice_threadpool *pool) {
    if (turn(walk, pool))
        return;
    static const cop_walk_fn by_size[] = {
        [1] = copy_row_1, [2] = copy_row_2, [4] = copy_row_4, [8] = copy_row_8, [16] = copy_row_16};
    cop_walk_run(walk, by_size[walk->element[0]], NULL, pool);
}
