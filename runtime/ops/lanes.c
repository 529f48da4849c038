/* Softmax and normalization over the channels of tiles. */
#include "runtime/ops/lanes.h"

#include "runtime/layout.h"

typedef struct lanes_job {
    cop_tiles tiles;
    size_t parts; /* of a tile: so many lanes each that the kernels take */
    const float *x;
    float *out;
    const cop_kernels *kernels;
    bool logarithms;
    cop_lanes_norm norm;
} lanes_job;

static lanes_job job_of(const cop_call *call) {
    lanes_job j = {.tiles = cop_tiles_of(cop_in(call, 0), call->in[0]->layout),
                   .x = cop_in(call, 0)->data,
                   .out = cop_out(call, 0)->data,
                   .kernels = cop_call_kernels(call)};
    j.parts = cop_divide_up(j.tiles.tile, COP_ATTN_LANES);
    return j;
}

/* Where part `item` begins, and its lanes. */
static size_t part_of(const lanes_job *j, size_t item, size_t *lanes) {
    size_t lane = item % j->parts * COP_ATTN_LANES;
    *lanes = cop_smaller(j->tiles.tile - lane, COP_ATTN_LANES);
    return item / j->parts * j->tiles.channels * j->tiles.tile + lane;
}

/* Items are parts of tiles. */
static void softmax_parts(void *context, size_t begin, size_t end) {
    const lanes_job *j = context;
    for (size_t i = begin; i < end; i++) {
        size_t lanes, at = part_of(j, i, &lanes);
        j->kernels->lanes_softmax_f32(j->x + at, j->out + at, j->tiles.channels, j->tiles.tile,
                                      lanes, j->logarithms);
    }
}

static void norm_parts(void *context, size_t begin, size_t end) {
    const lanes_job *j = context;
    for (size_t i = begin; i < end; i++) {
        cop_lanes_norm norm = j->norm;
        size_t at = part_of(j, i, &norm.lanes);
        norm.x = j->x + at;
        norm.out = j->out + at;
        norm.rows = j->tiles.channels;
        norm.step = j->tiles.tile;
        j->kernels->lanes_norm_f32(&norm);
    }
}

void cop_run_lanes_softmax(const cop_call *call, bool logarithms) {
    lanes_job j = job_of(call);
    j.logarithms = logarithms;
    cop_parallel_for(call->pool, j.tiles.count * j.parts, 1, softmax_parts, &j);
}

void cop_run_lanes_norm(const cop_call *call, const cop_lanes_norm *norm) {
    lanes_job j = job_of(call);
    j.norm = *norm;
    cop_parallel_for(call->pool, j.tiles.count * j.parts, 1, norm_parts, &j);
}
