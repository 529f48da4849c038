/* Images channel by channel, plain or in tiles. */
#include "runtime/ops/planes.h"

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/vector.h"

cop_planes cop_planes_of(const cop_operand *operand) {
    const coppice_tensor *t = &operand->t;
    cop_planes p = {
        .data = t->data, .images = (size_t)t->dims[0], .channels = (size_t)t->dims[1], .pixels = 1};
    for (uint32_t d = 2; d < t->rank; d++)
        p.pixels *= (size_t)t->dims[d];
    if (operand->layout == COP_LAYOUT_TILES)
        p.tile = cop_tile_width(p.images * p.pixels);
    return p;
}

float *cop_planes_at(const cop_planes *planes, size_t image, size_t channel, size_t first,
                     size_t *n) {
    if (planes->tile == 0)
        return planes->data + (image * planes->channels + channel) * planes->pixels + first;
    size_t q = image * planes->pixels + first, in_tile = q % planes->tile;
    *n = cop_smaller(*n, planes->tile - in_tile);
    return planes->data + (q / planes->tile * planes->channels + channel) * planes->tile + in_tile;
}

const float *cop_planes_read(const cop_planes *planes, size_t image, size_t channel, size_t first,
                             size_t n, float *room) {
    size_t there = n;
    const float *from = cop_planes_at(planes, image, channel, first, &there);
    if (there == n)
        return from;
    for (size_t done = 0; done < n; done += there) {
        there = n - done;
        from = cop_planes_at(planes, image, channel, first + done, &there);
        memcpy(room + done, from, there * sizeof *room);
    }
    return room;
}

void cop_planes_write(const cop_planes *planes, size_t image, size_t channel, size_t first,
                      size_t n, const float *from) {
    for (size_t there; n > 0; n -= there, first += there, from += there) {
        there = n;
        float *to = cop_planes_at(planes, image, channel, first, &there);
        memcpy(to, from, there * sizeof *to);
    }
}

size_t cop_planes_together(const cop_planes *planes, size_t channel, size_t count) {
    return cop_smaller(cop_smaller(count, planes->channels - channel), COP_PLANES_AT_ONCE);
}

/* Stripes that are added in float before their sum is. */
enum { ADDED = 16 };

/* The sums of lanes go to `sums`, zero to the lanes. */
static void take_lanes(float (*lanes)[COP_ROW_BLOCK], size_t count, double *sums) {
    for (size_t c = 0; c < count; c++) {
        const float *l = lanes[c];
        cop_vector v = (cop_vector_load(l) + cop_vector_load(l + 8)) +
                       (cop_vector_load(l + 4) + cop_vector_load(l + 12));
        sums[c] += (double)((v[0] + v[2]) + (v[1] + v[3]));
    }
    memset(lanes, 0, count * sizeof *lanes);
}

/* Tile by tile: the stripes of several channels lie side by side. */
static void sum_tiles(const cop_planes *planes, const cop_kernels *kernels, size_t image,
                      size_t channel, size_t count, const float *mean, double *sums) {
    _Alignas(64) float lanes[COP_PLANES_AT_ONCE][COP_ROW_BLOCK];
    size_t added = 0;
    memset(lanes, 0, count * sizeof *lanes);
    for (size_t done = 0, n; done < planes->pixels; done += n) {
        n = planes->pixels - done;
        const float *from = cop_planes_at(planes, image, channel, done, &n);
        kernels->add_stripes_f32(lanes, from, count, planes->tile, n, mean);
        if (++added % ADDED == 0)
            take_lanes(lanes, count, sums);
    }
    take_lanes(lanes, count, sums);
}

void cop_planes_sums(const cop_planes *planes, const cop_kernels *kernels, size_t image,
                     size_t channel, size_t count, double *sums) {
    memset(sums, 0, count * sizeof *sums);
    if (planes->tile) {
        sum_tiles(planes, kernels, image, channel, count, NULL, sums);
        return;
    }
    size_t n = planes->pixels;
    for (size_t c = 0; c < count; c++)
        sums[c] = kernels->sum_f32(cop_planes_at(planes, image, channel + c, 0, &n), n);
}

void cop_planes_squares(const cop_planes *planes, const cop_kernels *kernels, size_t image,
                        size_t channel, size_t count, const float *mean, double *sums) {
    memset(sums, 0, count * sizeof *sums);
    sum_tiles(planes, kernels, image, channel, count, mean, sums);
}

float cop_planes_max(const cop_planes *planes, const cop_kernels *kernels, size_t image,
                     size_t channel) {
    float top = -INFINITY;
    for (size_t done = 0, n; done < planes->pixels; done += n) {
        n = planes->pixels - done;
        const float *from = cop_planes_at(planes, image, channel, done, &n);
        float here = kernels->max_f32(from, n);
        top = here > top || here != here ? here : top;
    }
    return top;
}
