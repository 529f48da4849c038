/* Operators that cut images into blocks and put them together: DepthToSpace, SpaceToDepth, Col2Im,
 * CenterCropPad. */
#include <string.h>

#include "runtime/ops/image/patches.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

/* ---- DepthToSpace, SpaceToDepth ---- */

typedef struct depth_params {
    int64_t block;
    bool columns_first; /* CRD: the channels of a block are neighbours */
} depth_params;

static coppice_status depth_parse(const cop_call *call, void *params) {
    depth_params *p = params;
    const char *mode;
    COP_TRY(cop_node_int(call->node, "blocksize", 0, &p->block, call->err));
    COP_TRY(cop_node_string(call->node, "mode", "DCR", &mode, call->err));
    p->columns_first = !strcmp(mode, "CRD");
    if (!p->columns_first && strcmp(mode, "DCR") != 0)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "attribute 'mode' is '%s', expected DCR or CRD", mode);
    if (p->block >= 1 && p->block <= 1 << 15)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'blocksize' is %lld",
                    (long long)p->block);
}

static coppice_status depthtospace_infer(cop_call *call) {
    const depth_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    COP_TRY(cop_need_rank(call, 0, 4));
    int64_t square = p->block * p->block, dims[4] = {x->dims[0], x->dims[1] / square};
    if (!cop_type_bytes(x->type) || x->dims[1] % square ||
        !cop_i64_mul(x->dims[2], p->block, &dims[2]) ||
        !cop_i64_mul(x->dims[3], p->block, &dims[3]))
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "the channels of %s are no blocks of %lldx%lld", cop_shape_text(x).s,
                        (long long)p->block, (long long)p->block);
    cop_set_out(call, 0, x->type, 4, dims);
    return COPPICE_OK;
}

static coppice_status spacetodepth_infer(cop_call *call) {
    const depth_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    COP_TRY(cop_need_rank(call, 0, 4));
    int64_t dims[4] = {x->dims[0], 0, x->dims[2] / p->block, x->dims[3] / p->block};
    if (!cop_type_bytes(x->type) || x->dims[2] % p->block || x->dims[3] % p->block ||
        !cop_i64_mul(x->dims[1], p->block * p->block, &dims[1]))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "%s cannot be cut into blocks of %lldx%lld",
                        cop_shape_text(x).s, (long long)p->block, (long long)p->block);
    cop_set_out(call, 0, x->type, 4, dims);
    return COPPICE_OK;
}

/* The elements of `deep` [N, C * b * b, H, W] and of `flat` [N, C, H * b, W * b] side by side, as a
 * copy between them: dims N, C, row in block, column in block, H, W. */
static void copy_blocks(const cop_call *call, const coppice_tensor *deep,
                        const coppice_tensor *flat, bool to_flat) {
    const depth_params *p = call->params;
    int64_t b = p->block, c = flat->dims[1], h = deep->dims[2], w = deep->dims[3];
    int64_t in_deep = h * w, in_flat = h * w * b * b;
    const int64_t dims[6] = {deep->dims[0], c, b, b, h, w};
    const int64_t deep_strides[6] = {deep->dims[1] * in_deep,
                                     p->columns_first ? b * b * in_deep : in_deep,
                                     p->columns_first ? b * in_deep : b * c * in_deep,
                                     p->columns_first ? in_deep : c * in_deep,
                                     w,
                                     1};
    const int64_t flat_strides[6] = {c * in_flat, in_flat, w * b, 1, w * b * b, b};
    cop_walk walk = {.rank = 6,
                     .inputs = 1,
                     .out = (to_flat ? flat : deep)->data,
                     .in = {(to_flat ? deep : flat)->data}};
    memcpy(walk.dims, dims, sizeof dims);
    memcpy(walk.strides[to_flat ? 1 : 0], deep_strides, sizeof deep_strides);
    memcpy(walk.strides[to_flat ? 0 : 1], flat_strides, sizeof flat_strides);
    walk.element[0] = walk.element[1] = cop_type_bytes(deep->type);
    cop_walk_copy(&walk, call->pool);
}

/* Rows of the flat image, put together from rows of the deep one. */
typedef struct weave_job {
    const coppice_tensor *deep, *flat;
    size_t block, row_step, column_step; /* elements between rows and columns of a block */
    size_t channel_step;                 /* between channels of the flat image */
} weave_job;

/* Items: rows of the flat image. */
static void weave_rows(void *context, size_t begin, size_t end) {
    const weave_job *j = context;
    size_t b = j->block, h = (size_t)j->deep->dims[2], w = (size_t)j->deep->dims[3];
    size_t channels = (size_t)j->flat->dims[1];
    for (size_t item = begin; item < end; item++) {
        size_t plane = item / (h * b), row = item % (h * b), n = plane / channels;
        const uint32_t *from = (const uint32_t *)j->deep->data + n * channels * b * b * h * w +
                               plane % channels * j->channel_step + row % b * j->row_step +
                               row / b * w;
        uint32_t *restrict to = (uint32_t *)j->flat->data + item * w * b;
        if (b == 2) {
            const uint32_t *restrict even = from, *restrict odd = from + j->column_step;
            for (size_t i = 0; i < w; i++) {
                to[2 * i] = even[i];
                to[2 * i + 1] = odd[i];
            }
            continue;
        }
        for (size_t k = 0; k < b; k++, from += j->column_step) {
            for (size_t i = 0; i < w; i++)
                to[i * b + k] = from[i];
        }
    }
}

static coppice_status depthtospace_run(const cop_call *call) {
    const depth_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *y = cop_out(call, 0);
    size_t b = (size_t)p->block, pixels = (size_t)(x->dims[2] * x->dims[3]);
    size_t channels = (size_t)y->dims[1];
    if (cop_type_bytes(x->type) != sizeof(uint32_t)) {
        copy_blocks(call, x, y, true);
        return COPPICE_OK;
    }
    weave_job j = {.deep = x,
                   .flat = y,
                   .block = b,
                   .row_step = b * (p->columns_first ? 1 : channels) * pixels,
                   .column_step = (p->columns_first ? 1 : channels) * pixels,
                   .channel_step = (p->columns_first ? b * b : 1) * pixels};
    cop_parallel_for(call->pool, (size_t)(y->dims[0] * y->dims[1] * y->dims[2]),
                     cop_grain((size_t)y->dims[3]), weave_rows, &j);
    return COPPICE_OK;
}

static coppice_status spacetodepth_run(const cop_call *call) {
    copy_blocks(call, cop_out(call, 0), cop_in(call, 0), false);
    return COPPICE_OK;
}

/* ---- Col2Im ---- */

/* `count` numbers of attribute `name`, at least `low`; `absent` where it is not given. */
static coppice_status block_list(const cop_call *call, const char *name, int count, int64_t low,
                                 int64_t absent, int64_t *out) {
    int given;
    COP_TRY(cop_attr_ints(call, name, out, 2 * COPPICE_MAX_RANK, &given));
    for (int i = 0; given < 0 && i < count; i++)
        out[i] = absent;
    for (int i = 0; i < count; i++) {
        if ((given >= 0 && given != count) || out[i] < low || out[i] > INT32_MAX)
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "attribute '%s' has %d values, expected %d from %lld to %lld", name,
                            given < 0 ? count : given, count, (long long)low, (long long)INT32_MAX);
    }
    return COPPICE_OK;
}

static coppice_status plan_col2im(const cop_call *call, cop_patches *p) {
    int64_t pads[2 * COPPICE_MAX_RANK], strides[2 * COPPICE_MAX_RANK];
    int64_t dilations[2 * COPPICE_MAX_RANK];
    int count, blocks;
    *p = (cop_patches){0};
    COP_TRY(cop_input_ints(call, 1, p->image, COPPICE_MAX_RANK - 2, &count));
    COP_TRY(cop_input_ints(call, 2, p->kernel, COPPICE_MAX_RANK - 2, &blocks));
    if (count < 1 || count != blocks)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "an image of %d dimensions in blocks of %d",
                        count, blocks);
    p->spatial = (uint32_t)count;
    COP_TRY(block_list(call, "strides", count, 1, 1, strides));
    COP_TRY(block_list(call, "dilations", count, 1, 1, dilations));
    COP_TRY(block_list(call, "pads", 2 * count, 0, 0, pads));
    for (int i = 0; i < count; i++) {
        p->stride[i] = strides[i];
        p->dilation[i] = dilations[i];
        p->begin[i] = pads[i];
        if (p->image[i] < 1 || p->image[i] > INT32_MAX || p->kernel[i] < 1 ||
            p->kernel[i] > INT32_MAX)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "an image of %s in blocks of %s",
                            cop_dims_text(p->spatial, p->image).s,
                            cop_dims_text(p->spatial, p->kernel).s);
        int64_t room =
            p->image[i] + pads[i] + pads[i + count] - (p->kernel[i] - 1) * p->dilation[i] - 1;
        if (room < 0)
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "a block of %lld does not fit into %lld padded elements",
                            (long long)p->kernel[i],
                            (long long)(p->image[i] + pads[i] + pads[i + count]));
        p->count[i] = room / p->stride[i] + 1;
    }
    return COPPICE_OK;
}

static coppice_status col2im_infer(cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0);
    cop_patches p;
    COP_TRY(cop_need_rank(call, 0, 3));
    COP_TRY(plan_col2im(call, &p));
    size_t taps = cop_patches_taps(&p), places = cop_patches_places(&p);
    if (taps > INT64_MAX || x->dims[1] % (int64_t)taps || (size_t)x->dims[2] != places)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "input '%s' is %s, expected [N, C * %zu, %zu] for an image of %s",
                        cop_in_name(call, 0), cop_shape_text(x).s, taps, places,
                        cop_dims_text(p.spatial, p.image).s);
    int64_t dims[COPPICE_MAX_RANK] = {x->dims[0], x->dims[1] / (int64_t)taps};
    memcpy(dims + 2, p.image, p.spatial * sizeof *dims);
    cop_set_out(call, 0, x->type, p.spatial + 2, dims);
    return COPPICE_OK;
}

static coppice_status col2im_run(const cop_call *call) {
    const coppice_tensor *out = cop_out(call, 0);
    cop_patches p;
    COP_TRY(plan_col2im(call, &p));
    memset(out->data, 0, (size_t)coppice_tensor_bytes(out));
    cop_patches_add(&p, out->type, (size_t)(out->dims[0] * out->dims[1]), cop_in(call, 0)->data,
                    out->data, call->pool);
    return COPPICE_OK;
}

/* ---- CenterCropPad ---- */

static coppice_status centercroppad_parse(const cop_call *call, void *params) {
    cop_ints_params *p = params;
    return cop_attr_ints(call, "axes", p->values, COPPICE_MAX_RANK, &p->count);
}

static coppice_status centercroppad_infer(cop_call *call) {
    const cop_ints_params *p = call->params;
    coppice_tensor shape = *cop_in(call, 0);
    int64_t wanted[COPPICE_MAX_RANK];
    bool on[COPPICE_MAX_RANK];
    int count, axes = p->count < 0 ? (int)shape.rank : p->count, axis;
    if (!cop_type_bytes(shape.type))
        return cop_need_type(call, 0, 0);
    COP_TRY(cop_input_ints(call, 1, wanted, COPPICE_MAX_RANK, &count));
    if (count != axes)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "%d sizes for %d axes", count, axes);
    if (p->count >= 0)
        COP_TRY(cop_axis_set(call, p->values, axes, shape.rank, on));
    for (int i = 0; i < axes; i++) {
        COP_TRY(cop_axis(call, p->count < 0 ? i : p->values[i], shape.rank, &axis));
        if (wanted[i] < 0)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "a size of %lld on axis %d",
                            (long long)wanted[i], axis);
        shape.dims[axis] = wanted[i];
    }
    cop_set_out(call, 0, shape.type, shape.rank, shape.dims);
    return COPPICE_OK;
}

static coppice_status centercroppad_run(const cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0), *y = cop_out(call, 0);
    cop_walk walk = {.rank = (int)x->rank, .inputs = 1};
    size_t bytes = cop_type_bytes(x->type);
    int64_t from = 0, to = 0;
    memset(y->data, 0, (size_t)coppice_tensor_count(y) * bytes);
    cop_plain_strides(y->rank, y->dims, walk.strides[0]);
    cop_plain_strides(x->rank, x->dims, walk.strides[1]);
    for (uint32_t d = 0; d < x->rank; d++) {
        int64_t more = y->dims[d] - x->dims[d];
        walk.dims[d] = more < 0 ? y->dims[d] : x->dims[d];
        from += more < 0 ? -more / 2 * walk.strides[1][d] : 0;
        to += more > 0 ? more / 2 * walk.strides[0][d] : 0;
    }
    walk.element[0] = walk.element[1] = bytes;
    walk.out = (char *)y->data + (size_t)to * bytes;
    walk.in[0] = (const char *)x->data + (size_t)from * bytes;
    cop_walk_copy(&walk, call->pool);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_blocks[] = {
    {.name = "CenterCropPad", .since = 18, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     PARSE(centercroppad, cop_ints_params), INFER(centercroppad), RUN(centercroppad)},
    {.name = "Col2Im", .since = 18, .min_inputs = 3, .max_inputs = 3, .max_outputs = 1, .types = NUMBERS,
     INFER(col2im), RUN(col2im)},
    {.name = "DepthToSpace", .since = 1, ONE_TO_ONE, PARSE(depth, depth_params), INFER(depthtospace),
     RUN(depthtospace)},
    {.name = "SpaceToDepth", .since = 1, ONE_TO_ONE, PARSE(depth, depth_params), INFER(spacetodepth),
     RUN(spacetodepth)},
    {.name = NULL},
};
/* clang-format on */
