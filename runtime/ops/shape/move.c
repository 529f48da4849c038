/* Operators that move elements without computing: Transpose, Concat, Split, Slice, Expand. */
#include <string.h>

#include "runtime/layout.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

/* A copy nest whose output is dense and plain. */
static cop_walk copy_to(const coppice_tensor *out, const void *from) {
    cop_walk walk = {.rank = (int)out->rank, .inputs = 1, .out = out->data, .in = {from}};
    memcpy(walk.dims, out->dims, out->rank * sizeof *walk.dims);
    cop_plain_strides(out->rank, out->dims, walk.strides[0]);
    walk.element[0] = walk.element[1] = cop_type_bytes(out->type);
    return walk;
}

/* ---- Transpose ---- */

static coppice_status transpose_parse(const cop_call *call, void *params) {
    cop_ints_params *p = params;
    return cop_attr_ints(call, "perm", p->values, COPPICE_MAX_RANK, &p->count);
}

static coppice_status permutation(const cop_call *call, int *perm) {
    const cop_ints_params *p = call->params;
    int rank = (int)cop_in(call, 0)->rank;
    bool used[COPPICE_MAX_RANK] = {0};
    for (int i = 0; i < rank; i++)
        perm[i] = rank - 1 - i;
    if (p->count < 0)
        return COPPICE_OK;
    for (int i = 0; i < p->count; i++) {
        int64_t axis = p->values[i];
        if (p->count != rank || axis < 0 || axis >= rank || used[axis])
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "perm %s is no permutation of %d dimensions",
                            cop_dims_text((uint32_t)p->count, p->values).s, rank);
        used[axis] = true;
        perm[i] = (int)axis;
    }
    return p->count == rank ? COPPICE_OK
                            : cop_fail(call->err, COPPICE_BAD_MODEL,
                                       "perm has no entries for %d dimensions", rank);
}

static coppice_status transpose_infer(cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0);
    int perm[COPPICE_MAX_RANK];
    int64_t dims[COPPICE_MAX_RANK];
    COP_TRY(permutation(call, perm));
    for (uint32_t i = 0; i < in->rank; i++)
        dims[i] = in->dims[perm[i]];
    cop_set_out(call, 0, in->type, in->rank, dims);
    return COPPICE_OK;
}

static coppice_status transpose_run(const cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0);
    int perm[COPPICE_MAX_RANK];
    int64_t strides[COPPICE_MAX_RANK];
    COP_TRY(permutation(call, perm));
    cop_walk walk = copy_to(cop_out(call, 0), in->data);
    cop_plain_strides(in->rank, in->dims, strides);
    for (uint32_t i = 0; i < in->rank; i++)
        walk.strides[1][i] = strides[perm[i]];
    cop_walk_copy(&walk, call->pool);
    return COPPICE_OK;
}

/* ---- Concat, Split ---- */

static coppice_status concat_parse(const cop_call *call, void *params) {
    cop_ints_params *p = params;
    if (call->opset >= 4 && !cop_node_attr(call->node, "axis"))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'axis' is missing");
    return cop_node_int(call->node, "axis", 1, &p->axis, call->err);
}

static coppice_status concat_infer(cop_call *call) {
    const cop_ints_params *p = call->params;
    coppice_tensor out = *cop_in(call, 0);
    int axis;
    COP_TRY(cop_axis(call, p->axis, out.rank, &axis));
    for (int i = 1; i < call->node->input_count; i++) {
        const coppice_tensor *in = cop_in(call, i);
        bool fits = in && in->rank == out.rank && in->type == out.type;
        for (int d = 0; fits && d < (int)out.rank; d++)
            fits = d == axis || in->dims[d] == out.dims[d];
        if (!fits || !cop_i64_add(out.dims[axis], in->dims[axis], &out.dims[axis]))
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "input %d ('%s') is %s %s, which does not fit behind %s %s on axis %d",
                            i, cop_in_name(call, i), in ? coppice_type_name(in->type) : "none",
                            in ? cop_shape_text(in).s : "left out", coppice_type_name(out.type),
                            cop_shape_text(&out).s, axis);
    }
    cop_set_out(call, 0, out.type, out.rank, out.dims);
    return COPPICE_OK;
}

/* Copies `part` to or from where it belongs in `whole`, `offset` along the axis. */
static void copy_part(const cop_operand *whole, const cop_operand *part, int axis, int64_t offset,
                      bool into_whole, const coppice_threadpool *pool) {
    cop_walk walk = {.rank = (int)part->t.rank, .inputs = 1};
    size_t bytes = cop_type_bytes(part->t.type);
    int w = into_whole ? 0 : 1;
    memcpy(walk.dims, part->t.dims, part->t.rank * sizeof *walk.dims);
    if (coppice_tensor_count(&part->t) == 0)
        return;
    cop_operand_strides(whole, walk.strides[w]);
    cop_operand_strides(part, walk.strides[!w]);
    if (cop_layout_is_tiles(whole->layout)) {
        cop_copy_part_tiles(whole, part, (uint32_t)axis, (size_t)offset, into_whole, pool);
        return;
    }
    char *in_whole = (char *)whole->t.data + (size_t)(offset * walk.strides[w][axis]) * bytes;
    walk.out = into_whole ? in_whole : part->t.data;
    walk.in[0] = into_whole ? part->t.data : in_whole;
    walk.element[0] = walk.element[1] = bytes;
    cop_walk_copy(&walk, pool);
}

static coppice_status concat_run(const cop_call *call) {
    const cop_ints_params *p = call->params;
    int axis;
    int64_t offset = 0;
    COP_TRY(cop_axis(call, p->axis, cop_out(call, 0)->rank, &axis));
    for (int i = 0; i < call->node->input_count; i++) {
        copy_part(&call->out[0], call->in[i], axis, offset, true, call->pool);
        offset += call->in[i]->t.dims[axis];
    }
    return COPPICE_OK;
}

static coppice_status split_parse(const cop_call *call, void *params) {
    cop_ints_params *p = params;
    COP_TRY(cop_node_int(call->node, "axis", 0, &p->axis, call->err));
    COP_TRY(cop_node_int(call->node, "num_outputs", call->node->output_count, &p->values[0],
                         call->err));
    if (p->values[0] == call->node->output_count)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "num_outputs is %lld, the node has %d outputs",
                    (long long)p->values[0], call->node->output_count);
}

/* Sizes as given by the attribute `split` or input 1; *given false: equal parts. */
static coppice_status split_size(const cop_call *call, int part, int64_t *size, bool *given) {
    const coppice_tensor *sizes = cop_in(call, 1);
    const int64_t *ints;
    size_t count;
    COP_TRY(cop_node_ints(call->node, "split", &ints, &count, call->err));
    *given = sizes || ints;
    COP_TRY(cop_need_data(call, 1));
    if (sizes && (sizes->rank != 1 || !cop_is_integer_type(sizes->type)))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "the sizes '%s' are no list of integers",
                        cop_in_name(call, 1));
    if (sizes)
        count = (size_t)sizes->dims[0];
    if (*given && count != (size_t)call->node->output_count)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "%zu sizes for %d outputs", count,
                        call->node->output_count);
    if (*given)
        *size = sizes ? cop_tensor_get_int(sizes, part) : ints[part];
    return COPPICE_OK;
}

static coppice_status split_infer(cop_call *call) {
    const cop_ints_params *p = call->params;
    coppice_tensor part = *cop_in(call, 0);
    int axis, parts = call->node->output_count;
    int64_t left, size = 0;
    COP_TRY(cop_axis(call, p->axis, part.rank, &axis));
    left = part.dims[axis];
    int64_t each = (left + parts - 1) / parts;
    bool given = false, uneven = left % parts != 0;
    for (int i = 0; i < parts; i++) {
        COP_TRY(split_size(call, i, &size, &given));
        if (!given)
            size = each < left ? each : left;
        if (size < 0 || size > left || (!given && uneven && call->opset < 18))
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "%s cannot be split into %d parts on axis %d (part %d of %lld)",
                            cop_shape_text(cop_in(call, 0)).s, parts, axis, i, (long long)size);
        left -= size;
        part.dims[axis] = size;
        cop_set_out(call, i, part.type, part.rank, part.dims);
    }
    if (left == 0)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "the parts leave %lld of %s over on axis %d",
                    (long long)left, cop_shape_text(cop_in(call, 0)).s, axis);
}

static coppice_status split_run(const cop_call *call) {
    const cop_ints_params *p = call->params;
    int axis;
    int64_t offset = 0;
    COP_TRY(cop_axis(call, p->axis, cop_in(call, 0)->rank, &axis));
    for (int i = 0; i < call->node->output_count; i++) {
        if (call->out[i].t.data)
            copy_part(call->in[0], &call->out[i], axis, offset, false, call->pool);
        offset += call->out[i].t.dims[axis];
    }
    return COPPICE_OK;
}

static unsigned part_layouts(const cop_call *call) {
    return 1u << COP_LAYOUT_PLAIN | cop_tile_layouts(call, 1);
}

/* ---- Slice ---- */

typedef struct slice_plan {
    int64_t start[COPPICE_MAX_RANK], step[COPPICE_MAX_RANK], size[COPPICE_MAX_RANK];
} slice_plan;

/* List `name`: attribute before opset 10, input `i` since. */
static coppice_status slice_list(const cop_call *call, const char *name, int i, int64_t *out,
                                 int *count) {
    if (call->opset < 10)
        return cop_attr_ints(call, name, out, COPPICE_MAX_RANK, count);
    return cop_input_ints(call, i, out, COPPICE_MAX_RANK, count);
}

/* One axis by the standard's rules: Python's, but that a start before the first element counts as
 * the first one also where the step is negative. */
static void slice_axis(slice_plan *plan, int axis, int64_t dim, int64_t start, int64_t end,
                       int64_t step) {
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? dim : dim - 1;
    start = start < 0 ? (start < -dim ? 0 : start + dim) : start;
    start = start > high ? high : start;
    end = end < 0 ? (end < -dim ? low : end + dim) : end;
    end = end > high ? high : end;
    /* Magnitudes as unsigned: the smallest int64 has no positive twin. */
    uint64_t distance = 0, stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    if (step > 0 && end > start)
        distance = (uint64_t)(end - start);
    if (step < 0 && start > end)
        distance = (uint64_t)(start - end);
    plan->size[axis] = (int64_t)(distance / stride + (distance % stride != 0));
    plan->start[axis] = start;
    plan->step[axis] = plan->size[axis] > 1 ? step : 1;
}

static coppice_status plan_slice(const cop_call *call, slice_plan *plan) {
    const coppice_tensor *in = cop_in(call, 0);
    int64_t starts[COPPICE_MAX_RANK], ends[COPPICE_MAX_RANK], axes[COPPICE_MAX_RANK];
    int64_t steps[COPPICE_MAX_RANK];
    bool on[COPPICE_MAX_RANK];
    int count, end_count, axis_count, step_count = -1, axis;
    COP_TRY(slice_list(call, "starts", 1, starts, &count));
    COP_TRY(slice_list(call, "ends", 2, ends, &end_count));
    COP_TRY(slice_list(call, "axes", 3, axes, &axis_count));
    if (call->opset >= 10)
        COP_TRY(cop_input_ints(call, 4, steps, COPPICE_MAX_RANK, &step_count));
    if (count < 0 || count != end_count || (axis_count >= 0 && axis_count != count) ||
        (step_count >= 0 && step_count != count) || (axis_count < 0 && count > (int)in->rank))
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "%d starts, %d ends, %d axes and %d steps for %s (-1: none)", count,
                        end_count, axis_count, step_count, cop_shape_text(in).s);
    for (uint32_t d = 0; d < in->rank; d++) {
        plan->start[d] = 0;
        plan->step[d] = 1;
        plan->size[d] = in->dims[d];
    }
    if (axis_count >= 0)
        COP_TRY(cop_axis_set(call, axes, count, in->rank, on));
    for (int i = 0; i < count; i++) {
        COP_TRY(cop_axis(call, axis_count < 0 ? i : axes[i], in->rank, &axis));
        int64_t step = step_count < 0 ? 1 : steps[i];
        if (step == 0)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "a step of 0 on axis %d", axis);
        slice_axis(plan, axis, in->dims[axis], starts[i], ends[i], step);
    }
    return COPPICE_OK;
}

static coppice_status slice_infer(cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0);
    slice_plan plan;
    COP_TRY(plan_slice(call, &plan));
    cop_set_out(call, 0, in->type, in->rank, plan.size);
    return COPPICE_OK;
}

static coppice_status slice_run(const cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0), *out = cop_out(call, 0);
    slice_plan plan;
    int64_t strides[COPPICE_MAX_RANK], offset = 0;
    if (coppice_tensor_count(out) == 0)
        return COPPICE_OK;
    COP_TRY(plan_slice(call, &plan));
    if (cop_layout_is_tiles(call->out[0].layout)) {
        cop_slice_tiles(&call->out[0], call->in[0], plan.start, plan.step, call->pool);
        return COPPICE_OK;
    }
    cop_walk walk = copy_to(out, NULL);
    cop_plain_strides(in->rank, in->dims, strides);
    for (uint32_t d = 0; d < in->rank; d++) {
        offset += plan.start[d] * strides[d];
        walk.strides[1][d] = plan.step[d] * strides[d];
    }
    walk.in[0] = (const char *)in->data + (size_t)offset * walk.element[1];
    cop_walk_copy(&walk, call->pool);
    return COPPICE_OK;
}

/* ---- Expand ---- */

static coppice_status expand_infer(cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0);
    coppice_tensor shape = *in, wanted = {0};
    int count;
    COP_TRY(cop_input_ints(call, 1, wanted.dims, COPPICE_MAX_RANK, &count));
    wanted.rank = count < 0 ? 0 : (uint32_t)count;
    for (uint32_t i = 0; i < wanted.rank; i++) {
        if (wanted.dims[i] < 0)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "the wanted shape is %s",
                            cop_shape_text(&wanted).s);
    }
    COP_TRY(cop_broadcast(call, &shape, &wanted));
    cop_set_out(call, 0, in->type, shape.rank, shape.dims);
    return COPPICE_OK;
}

static coppice_status expand_run(const cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0), *out = cop_out(call, 0);
    int64_t strides[COPPICE_MAX_RANK];
    cop_walk walk = copy_to(out, in->data);
    cop_plain_strides(in->rank, in->dims, strides);
    uint32_t lead = out->rank - in->rank;
    for (uint32_t d = 0; d < out->rank; d++)
        walk.strides[1][d] = d < lead || in->dims[d - lead] == 1 ? 0 : strides[d - lead];
    cop_walk_copy(&walk, call->pool);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_move[] = {
    {.name = "Concat", .since = 1, .min_inputs = 1, .max_inputs = -1, .max_outputs = 1,
     .types = WHOLE_BYTES, PARSE(concat, cop_ints_params), INFER(concat), RUN(concat),
     ANY_LAYOUT},
    {.name = "Expand", .since = 8, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = WHOLE_BYTES, INFER(expand), RUN(expand)},
    {.name = "Slice", .since = 1, .until = 9, ONE_TO_ONE, .types = WHOLE_BYTES, INFER(slice),
     RUN(slice), .layouts = part_layouts},
    {.name = "Slice", .since = 10, .min_inputs = 3, .max_inputs = 5, .max_outputs = 1,
     .types = WHOLE_BYTES, INFER(slice), RUN(slice), .layouts = part_layouts},
    {.name = "Split", .since = 1, .min_inputs = 1, .max_inputs = 2, .max_outputs = -1,
     .types = WHOLE_BYTES, PARSE(split, cop_ints_params), INFER(split), RUN(split),
     .layouts = part_layouts},
    {.name = "Transpose", .since = 1, ONE_TO_ONE, .types = WHOLE_BYTES,
     PARSE(transpose, cop_ints_params), INFER(transpose), RUN(transpose),
     .permutation = permutation},
    {.name = NULL},
};
/* clang-format on */
