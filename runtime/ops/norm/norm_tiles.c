/* InstanceNormalization and GroupNormalization of images in tiles. */
#include "runtime/ops/norm/norm_tiles.h"

#include <math.h>

#include "base/size.h"
#include "runtime/kernels/kernels.h"
#include "runtime/ops/planes.h"
#include "runtime/ops/util.h"

typedef struct norm_job {
    cop_planes in, out;
    const cop_kernels *kernels;
    const cop_group_norm *norm;
    size_t group_channels;
    size_t groups, blocks; /* that are done at once, and how many of these an image has */
} norm_job;

/* Of one image: channels from `first` on, in groups of which no more are done at once than planes.
 */
typedef struct norm_block {
    size_t image, first, channels, groups;
    double mean[COP_PLANES_AT_ONCE], inverse[COP_PLANES_AT_ONCE]; /* by group */
} norm_block;

/* Sums of the channels' elements, or (`squares`) of the squares of what is left without the mean,
 * into sums[group]. */
static void sum_groups(const norm_job *j, const norm_block *b, bool squares, double *sums) {
    double planes[COP_PLANES_AT_ONCE];
    float mean[COP_PLANES_AT_ONCE];
    for (size_t g = 0; g < b->groups; g++)
        sums[g] = 0;
    for (size_t done = 0, n; done < b->channels; done += n) {
        n = cop_smaller(b->channels - done, COP_PLANES_AT_ONCE);
        for (size_t c = 0; squares && c < n; c++)
            mean[c] = (float)b->mean[(done + c) / j->group_channels];
        if (squares)
            cop_planes_squares(&j->in, j->kernels, b->image, b->first + done, n, mean, planes);
        else
            cop_planes_sums(&j->in, j->kernels, b->image, b->first + done, n, planes);
        for (size_t c = 0; c < n; c++)
            sums[(done + c) / j->group_channels] += planes[c];
    }
}

/* Every stripe of a piece of a tile, or, where the piece is the whole of it, all at once. */
static void scale_piece(const norm_job *j, const float *from, float *to, size_t channels, size_t n,
                        const float *factor, const float *shift) {
    bool whole = n == j->in.tile;
    size_t rows = whole ? channels : 1;
    for (size_t c = 0; c < channels; c += rows, from += j->in.tile, to += j->in.tile)
        j->kernels->scale_rows_f32(to, from, rows, n, factor + c, shift + c, -INFINITY, INFINITY);
}

static void scale_block(const norm_job *j, const norm_block *b) {
    float factor[COP_PLANES_AT_ONCE], shift[COP_PLANES_AT_ONCE];
    for (size_t begin = 0, count; begin < b->channels; begin += count) {
        count = cop_smaller(b->channels - begin, COP_PLANES_AT_ONCE);
        for (size_t c = 0; c < count; c++) {
            size_t group = (begin + c) / j->group_channels, channel = b->first + begin + c;
            size_t at = channel * j->norm->scales / j->in.channels;
            factor[c] = (float)(b->inverse[group] * (double)j->norm->scale[at]);
            shift[c] = (float)((double)j->norm->bias[at] - b->mean[group] * (double)factor[c]);
        }
        for (size_t done = 0, n; done < j->in.pixels; done += n) {
            n = j->in.pixels - done;
            const float *from = cop_planes_at(&j->in, b->image, b->first + begin, done, &n);
            float *to = cop_planes_at(&j->out, b->image, b->first + begin, done, &n);
            scale_piece(j, from, to, count, n, factor, shift);
        }
    }
}

/* Items: [image][block of groups]. */
static void norm_range(void *context, size_t begin, size_t end) {
    const norm_job *j = context;
    double elements = (double)(j->group_channels * j->in.pixels);
    for (size_t item = begin; item < end; item++) {
        size_t first = item % j->blocks * j->groups;
        norm_block b = {.image = item / j->blocks, .first = first * j->group_channels};
        b.groups = cop_smaller(j->groups, j->in.channels / j->group_channels - first);
        b.channels = b.groups * j->group_channels;
        double sums[COP_PLANES_AT_ONCE];
        sum_groups(j, &b, false, sums);
        for (size_t g = 0; g < b.groups; g++)
            b.mean[g] = sums[g] / elements;
        sum_groups(j, &b, true, sums);
        for (size_t g = 0; g < b.groups; g++)
            b.inverse[g] = 1 / sqrt(sums[g] / elements + j->norm->epsilon);
        scale_block(j, &b);
    }
}

void cop_run_group_norm_tiles(const cop_call *call, const cop_group_norm *norm) {
    norm_job j = {.in = cop_planes_of(call->in[0]),
                  .out = cop_planes_of(&call->out[0]),
                  .kernels = cop_call_kernels(call),
                  .norm = norm};
    j.group_channels = j.in.channels / norm->groups;
    j.groups = j.group_channels < COP_PLANES_AT_ONCE ? COP_PLANES_AT_ONCE / j.group_channels : 1;
    j.blocks = cop_divide_up(norm->groups, j.groups);
    cop_parallel_for(call->pool, j.in.images * j.blocks,
                     cop_grain(j.groups * j.group_channels * j.in.pixels), norm_range, &j);
}
