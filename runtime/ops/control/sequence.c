/* Operators on sequences and optionals. Elements are shared by counting, never copied; sequences
 * are immutable, so that inserting and erasing make new lists of the same elements. */
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

/* ---- what they share ---- */

/* BAD_MODEL unless input `i` is a sequence. */
static coppice_status need_sequence(const cop_call *call, int i) {
    if (call->in[i]->kind == COPPICE_KIND_SEQUENCE)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "input %d ('%s') is a %s, expected a sequence", i,
                    cop_in_name(call, i), coppice_kind_name(call->in[i]->kind));
}

static coppice_status need_tensor(const cop_call *call, int i) {
    if (call->in[i]->kind == COPPICE_KIND_TENSOR)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "input %d ('%s') is a %s, expected a tensor", i,
                    cop_in_name(call, i), coppice_kind_name(call->in[i]->kind));
}

static int64_t length_of(const cop_operand *sequence) {
    return sequence->items ? (int64_t)sequence->items->count : 0;
}

/* The position at input `i`, counted from the front; `absent` when it is left out. Below `limit`.
 */
static coppice_status read_position(const cop_call *call, int i, int64_t length, int64_t limit,
                                    int64_t absent, int64_t *out) {
    const coppice_tensor *position = cop_in(call, i);
    *out = absent;
    if (!position) {
        if (absent >= 0)
            return COPPICE_OK;
        return cop_fail(call->err, COPPICE_BAD_DATA, "the sequence '%s' is empty",
                        cop_in_name(call, 0));
    }
    COP_TRY(need_tensor(call, i));
    if (coppice_tensor_count(position) != 1 || !cop_is_integer_type(position->type))
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "the position '%s' is %s %s, expected one integer", cop_in_name(call, i),
                        coppice_type_name(position->type), cop_shape_text(position).s);
    int64_t given = cop_tensor_get_int(position, 0);
    if (given < -length || given >= limit)
        return cop_fail(call->err, COPPICE_BAD_DATA,
                        "position %lld ('%s') is not within the %lld elements of '%s'",
                        (long long)given, cop_in_name(call, i), (long long)length,
                        cop_in_name(call, 0));
    *out = given < 0 ? given + length : given;
    return COPPICE_OK;
}

static coppice_status share_item(const cop_call *call, const cop_operand *sequence, int64_t from,
                                 cop_operand *to) {
    return cop_operand_share(to, &sequence->items->list[from], call->err);
}

/* A sequence or an optional of elements as `like` is one, or has them. */
static coppice_status make_list(const cop_call *call, coppice_kind kind, const cop_operand *like,
                                int64_t count, cop_operand **list) {
    COP_TRY(cop_out_items(call, 0, kind, like->t.type, (size_t)count, list));
    call->out[0].narrow = like->narrow;
    return COPPICE_OK;
}

/* ---- making, changing and reading sequences ---- */

static coppice_status sequenceempty_run(const cop_call *call) {
    int64_t dtype;
    cop_operand *list;
    COP_TRY(cop_node_int(call->node, "dtype", COPPICE_TYPE_FLOAT, &dtype, call->err));
    if (dtype <= 0 || dtype >= 32)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'dtype' is %lld, no element type",
                        (long long)dtype);
    coppice_type type = (coppice_type)dtype, held = cop_wide_type(type);
    const cop_operand like = {.t = {.type = held},
                              .narrow = held == type ? COPPICE_TYPE_UNDEFINED : type};
    return make_list(call, COPPICE_KIND_SEQUENCE, &like, 0, &list);
}

static coppice_status sequenceconstruct_run(const cop_call *call) {
    const cop_operand *first = call->in[0];
    cop_operand *list;
    for (int i = 0; i < call->node->input_count; i++) {
        const cop_operand *in = call->in[i];
        if (!in || cop_onnx_type(in) != cop_onnx_type(first))
            return cop_fail(
                call->err, COPPICE_BAD_MODEL, "input %d ('%s') has type %s, the first one %s", i,
                cop_in_name(call, i), in ? coppice_type_name(cop_onnx_type(in)) : "none",
                coppice_type_name(cop_onnx_type(first)));
    }
    COP_TRY(make_list(call, COPPICE_KIND_SEQUENCE, first, call->node->input_count, &list));
    for (int i = 0; i < call->node->input_count; i++)
        COP_TRY(cop_operand_share(&list[i], call->in[i], call->err));
    return COPPICE_OK;
}

static coppice_status sequenceinsert_run(const cop_call *call) {
    const cop_operand *sequence = call->in[0], *tensor = call->in[1];
    int64_t length = length_of(sequence), at;
    cop_operand *list;
    COP_TRY(need_sequence(call, 0));
    COP_TRY(need_tensor(call, 1));
    COP_TRY(read_position(call, 2, length, length + 1, length, &at));
    if (length && cop_onnx_type(&sequence->items->list[0]) != cop_onnx_type(tensor))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "'%s' has type %s, the elements of '%s' %s",
                        cop_in_name(call, 1), coppice_type_name(cop_onnx_type(tensor)),
                        cop_in_name(call, 0),
                        coppice_type_name(cop_onnx_type(&sequence->items->list[0])));
    COP_TRY(make_list(call, COPPICE_KIND_SEQUENCE, tensor, length + 1, &list));
    for (int64_t i = 0; i < length; i++)
        COP_TRY(share_item(call, sequence, i, &list[i + (i >= at)]));
    return cop_operand_share(&list[at], tensor, call->err);
}

static coppice_status sequenceerase_run(const cop_call *call) {
    const cop_operand *sequence = call->in[0];
    int64_t length = length_of(sequence), at;
    cop_operand *list;
    COP_TRY(need_sequence(call, 0));
    COP_TRY(read_position(call, 1, length, length, length - 1, &at));
    COP_TRY(make_list(call, COPPICE_KIND_SEQUENCE, sequence, length - 1, &list));
    for (int64_t i = 0; i < length - 1; i++)
        COP_TRY(share_item(call, sequence, i + (i >= at), &list[i]));
    return COPPICE_OK;
}

static coppice_status sequenceat_run(const cop_call *call) {
    int64_t length = length_of(call->in[0]), at;
    COP_TRY(need_sequence(call, 0));
    COP_TRY(read_position(call, 1, length, length, -1, &at));
    return cop_out_share(call, 0, &call->in[0]->items->list[at]);
}

static coppice_status sequencelength_run(const cop_call *call) {
    COP_TRY(need_sequence(call, 0));
    COP_TRY(cop_out_tensor(call, 0, COPPICE_TYPE_INT64, 0, NULL));
    if (cop_out(call, 0)->data)
        *(int64_t *)cop_out(call, 0)->data = length_of(call->in[0]);
    return COPPICE_OK;
}

/* ---- ConcatFromSequence ---- */

/* Shape of the result. With new_axis the elements, all of one shape, are stacked. */
static coppice_status joined_shape(const cop_call *call, bool new_axis, int axis,
                                   coppice_tensor *out) {
    const cop_items *items = call->in[0]->items;
    *out = items->list[0].t;
    if (new_axis) {
        for (int d = (int)out->rank++; d > axis; d--)
            out->dims[d] = out->dims[d - 1];
        out->dims[axis] = 0;
    } else {
        out->dims[axis] = 0;
    }
    for (size_t i = 0; i < items->count; i++) {
        const coppice_tensor *t = &items->list[i].t;
        bool fits = t->rank == items->list[0].t.rank && t->type == out->type &&
                    items->list[i].kind == COPPICE_KIND_TENSOR;
        for (int d = 0; fits && d < (int)t->rank; d++)
            fits = (!new_axis && d == axis) || t->dims[d] == items->list[0].t.dims[d];
        int64_t grow = new_axis ? 1 : fits ? t->dims[axis] : 0;
        if (!fits || !cop_i64_add(out->dims[axis], grow, &out->dims[axis]))
            return cop_fail(call->err, COPPICE_BAD_DATA,
                            "element %zu of '%s' is %s, which does not fit to %s on axis %d", i,
                            cop_in_name(call, 0), cop_shape_text(t).s,
                            cop_shape_text(&items->list[0].t).s, axis);
    }
    return COPPICE_OK;
}

static coppice_status concatfromsequence_run(const cop_call *call) {
    const cop_items *items = call->in[0]->items;
    coppice_tensor shape;
    int64_t given, outer = 1;
    bool new_axis;
    int axis;
    COP_TRY(need_sequence(call, 0));
    if (length_of(call->in[0]) == 0)
        return cop_fail(call->err, COPPICE_BAD_DATA, "the sequence '%s' is empty",
                        cop_in_name(call, 0));
    COP_TRY(cop_attr_bool(call, "new_axis", false, &new_axis));
    COP_TRY(cop_node_int(call->node, "axis", INT64_MAX, &given, call->err));
    COP_TRY(cop_axis(call, given, (int64_t)items->list[0].t.rank + new_axis, &axis));
    if (items->list[0].t.rank + (uint32_t)new_axis > COPPICE_MAX_RANK)
        return cop_fail(call->err, COPPICE_LIMIT, "more than %d dimensions", COPPICE_MAX_RANK);
    COP_TRY(joined_shape(call, new_axis, axis, &shape));
    COP_TRY(cop_out_tensor(call, 0, shape.type, shape.rank, shape.dims));
    call->out[0].narrow = items->list[0].narrow;
    char *out = cop_out(call, 0)->data;
    if (!out || coppice_tensor_count(&shape) == 0)
        return COPPICE_OK;
    for (int d = 0; d < axis; d++)
        outer *= shape.dims[d];
    size_t row = (size_t)coppice_tensor_bytes(&shape) / (size_t)outer;
    for (size_t i = 0; i < items->count; i++) {
        size_t part = (size_t)coppice_tensor_bytes(&items->list[i].t) / (size_t)outer;
        for (int64_t o = 0; part && o < outer; o++)
            memcpy(out + (size_t)o * row, (const char *)items->list[i].t.data + (size_t)o * part,
                   part);
        out += part;
    }
    return COPPICE_OK;
}

/* ---- SplitToSequence ---- */

typedef struct split_plan {
    int axis;
    int64_t parts, each; /* each: size of all parts but the last; -1: listed in input 1 */
    bool squeeze;
} split_plan;

static coppice_status plan_split(const cop_call *call, split_plan *plan) {
    const coppice_tensor *in = cop_in(call, 0), *split = cop_in(call, 1);
    int64_t axis, sum = 0;
    bool keep;
    COP_TRY(cop_node_int(call->node, "axis", 0, &axis, call->err));
    COP_TRY(cop_attr_bool(call, "keepdims", true, &keep));
    COP_TRY(cop_axis(call, axis, in->rank, &plan->axis));
    int64_t dim = in->dims[plan->axis];
    *plan = (split_plan){plan->axis, dim, 1, !keep && !split};
    if (!split)
        return COPPICE_OK;
    if (!cop_is_integer_type(split->type) || split->rank > 1)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "'%s' is %s %s, expected one integer or some",
                        cop_in_name(call, 1), coppice_type_name(split->type),
                        cop_shape_text(split).s);
    if (split->rank == 0) {
        plan->each = cop_tensor_get_int(split, 0);
        if (plan->each <= 0)
            return cop_fail(call->err, COPPICE_BAD_DATA, "parts of %lld ('%s')",
                            (long long)plan->each, cop_in_name(call, 1));
        plan->parts = dim / plan->each + (dim % plan->each != 0);
        return COPPICE_OK;
    }
    plan->each = -1;
    plan->parts = split->dims[0];
    for (int64_t i = 0; i < plan->parts; i++) {
        int64_t size = cop_tensor_get_int(split, i);
        if (size < 0 || size > dim - sum)
            return cop_fail(call->err, COPPICE_BAD_DATA,
                            "part %lld in '%s' is %lld, of %lld elements %lld are left",
                            (long long)i, cop_in_name(call, 1), (long long)size, (long long)dim,
                            (long long)(dim - sum));
        sum += size;
    }
    if (sum == dim)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_DATA, "the parts in '%s' leave %lld of %lld over",
                    cop_in_name(call, 1), (long long)(dim - sum), (long long)dim);
}

/* Part of `size` elements from `offset` on, in memory of its own. */
static coppice_status cut_part(const cop_call *call, const split_plan *plan, int64_t offset,
                               int64_t size, cop_operand *out) {
    const cop_operand *in = call->in[0];
    int64_t dim = in->t.dims[plan->axis], outer = 1;
    cop_operand part = {.t = in->t, .narrow = in->narrow};
    part.t.dims[plan->axis] = size;
    int64_t bytes = coppice_tensor_bytes(&part.t);
    part.block = cop_block_new((size_t)bytes);
    if (!part.block)
        return cop_fail_memory(call->err, (size_t)bytes);
    part.t.data = part.block->data;
    for (int d = 0; d < plan->axis; d++)
        outer *= in->t.dims[d];
    size_t row = bytes ? (size_t)(bytes / outer / size) : 0;
    for (int64_t o = 0; row && o < outer; o++)
        memcpy((char *)part.t.data + (size_t)(o * size) * row,
               (const char *)in->t.data + (size_t)(o * dim + offset) * row, (size_t)size * row);
    if (plan->squeeze) {
        for (uint32_t d = (uint32_t)plan->axis; d + 1 < part.t.rank; d++)
            part.t.dims[d] = part.t.dims[d + 1];
        part.t.rank--;
    }
    *out = part;
    return COPPICE_OK;
}

static coppice_status splittosequence_run(const cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0), *split = cop_in(call, 1);
    split_plan plan;
    cop_operand *list;
    COP_TRY(plan_split(call, &plan));
    COP_TRY(make_list(call, COPPICE_KIND_SEQUENCE, call->in[0], plan.parts, &list));
    int64_t offset = 0;
    for (int64_t i = 0; i < plan.parts; i++) {
        int64_t left = in->dims[plan.axis] - offset;
        int64_t size = plan.each < 0      ? cop_tensor_get_int(split, i)
                       : plan.each < left ? plan.each
                                          : left;
        COP_TRY(cut_part(call, &plan, offset, size, &list[i]));
        offset += size;
    }
    return COPPICE_OK;
}

/* ---- optionals ---- */

static coppice_status optional_run(const cop_call *call) {
    const cop_operand *in = call->node->input_count > 0 ? call->in[0] : NULL, nothing = {0};
    cop_operand *list;
    COP_TRY(make_list(call, COPPICE_KIND_OPTIONAL, in ? in : &nothing, in != NULL, &list));
    return in ? cop_operand_share(&list[0], in, call->err) : COPPICE_OK;
}

/* What is no optional is there. */
static coppice_status optionalgetelement_run(const cop_call *call) {
    const cop_operand *in = call->in[0];
    if (in->kind != COPPICE_KIND_OPTIONAL)
        return cop_out_share(call, 0, in);
    if (length_of(in) == 0)
        return cop_fail(call->err, COPPICE_BAD_DATA, "the optional '%s' is empty",
                        cop_in_name(call, 0));
    return cop_out_share(call, 0, &in->items->list[0]);
}

static coppice_status optionalhaselement_run(const cop_call *call) {
    const cop_operand *in = call->node->input_count > 0 ? call->in[0] : NULL;
    COP_TRY(cop_out_tensor(call, 0, COPPICE_TYPE_BOOL, 0, NULL));
    if (cop_out(call, 0)->data)
        *(uint8_t *)cop_out(call, 0)->data =
            in && (in->kind != COPPICE_KIND_OPTIONAL || length_of(in) > 0);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_sequence[] = {
    {.name = "ConcatFromSequence", .since = 11, ONE_TO_ONE,
     .flags = COP_OP_DYNAMIC | COP_OP_ANY_KIND, RUN(concatfromsequence)},
    {.name = "Optional", .since = 15, .max_inputs = 1, .max_outputs = 1,
     .flags = COP_OP_DYNAMIC | COP_OP_ANY_KIND, RUN(optional)},
    {.name = "OptionalGetElement", .since = 15, ONE_TO_ONE,
     .flags = COP_OP_DYNAMIC | COP_OP_ANY_KIND, RUN(optionalgetelement)},
    {.name = "OptionalHasElement", .since = 15, .max_inputs = 1, .max_outputs = 1,
     .flags = COP_OP_DYNAMIC | COP_OP_ANY_KIND, RUN(optionalhaselement)},
    {.name = "SequenceAt", .since = 11, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .flags = COP_OP_DYNAMIC | COP_OP_ANY_KIND, RUN(sequenceat)},
    {.name = "SequenceConstruct", .since = 11, .min_inputs = 1, .max_inputs = -1, .max_outputs = 1,
     .types = WHOLE_BYTES, .flags = COP_OP_DYNAMIC, RUN(sequenceconstruct)},
    {.name = "SequenceEmpty", .since = 11, .max_outputs = 1, .flags = COP_OP_DYNAMIC,
     RUN(sequenceempty)},
    {.name = "SequenceErase", .since = 11, .min_inputs = 1, .max_inputs = 2, .max_outputs = 1,
     .flags = COP_OP_DYNAMIC | COP_OP_ANY_KIND, RUN(sequenceerase)},
    {.name = "SequenceInsert", .since = 11, .min_inputs = 2, .max_inputs = 3, .max_outputs = 1,
     .flags = COP_OP_DYNAMIC | COP_OP_ANY_KIND, RUN(sequenceinsert)},
    {.name = "SequenceLength", .since = 11, ONE_TO_ONE, .flags = COP_OP_DYNAMIC | COP_OP_ANY_KIND,
     RUN(sequencelength)},
    {.name = "SplitToSequence", .since = 11, .min_inputs = 1, .max_inputs = 2, .max_outputs = 1,
     .types = WHOLE_BYTES, .flags = COP_OP_DYNAMIC, RUN(splittosequence)},
    {.name = NULL},
};
/* clang-format on */
