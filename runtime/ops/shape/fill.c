/* Operators that make elements: Constant, ConstantOfShape, Range, Pad. */
#include <math.h>
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

/* Writes the element at `from` everywhere. */
static void fill(const coppice_tensor *out, const void *from, const coppice_threadpool *pool) {
    size_t bytes = cop_type_bytes(out->type);
    cop_walk walk = {.rank = (int)out->rank, .inputs = 1, .out = out->data, .in = {from}};
    memcpy(walk.dims, out->dims, out->rank * sizeof *walk.dims);
    cop_plain_strides(out->rank, out->dims, walk.strides[0]);
    walk.element[0] = walk.element[1] = bytes;
    cop_walk_copy(&walk, pool);
}

/* The loader gives a Constant node's output its value, so that only what it could not read is left
 * for here. */
static coppice_status constant_infer(cop_call *call) {
    return cop_fail(call->err, COPPICE_UNSUPPORTED,
                    "the value of this Constant is of a kind that is not supported");
}

/* ---- ConstantOfShape ---- */

enum { FILLER_BYTES = 16 }; /* of an element, however wide */

/* The value, 0 as float32 when the node does not say; its data are in `element`. */
static coppice_status filler(const cop_call *call, cop_operand *out, unsigned char *element) {
    const cop_attr *attr = cop_node_attr(call->node, "value");
    *out = (cop_operand){.t = {.type = COPPICE_TYPE_FLOAT, .data = element}};
    memset(element, 0, FILLER_BYTES);
    if (!attr)
        return COPPICE_OK;
    const coppice_tensor *t = attr->kind == COP_ATTR_TENSOR ? &attr->tensor->tensor : NULL;
    if (!t || t->rank > COPPICE_MAX_RANK || coppice_tensor_count(t) != 1 || !t->data ||
        cop_type_bytes(cop_wide_type(t->type)) == 0)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "attribute 'value' is no tensor of one number");
    *out = cop_operand_of(t);
    if (attr->tensor->narrow)
        out->narrow = attr->tensor->narrow;
    out->t.data = element;
    if (cop_wide_type(t->type) == t->type)
        memcpy(element, t->data, cop_type_bytes(t->type));
    else
        cop_operand_fill(out, t);
    return COPPICE_OK;
}

static coppice_status constantofshape_infer(cop_call *call) {
    _Alignas(16) unsigned char element[FILLER_BYTES];
    int64_t dims[COPPICE_MAX_RANK];
    int count;
    cop_operand value;
    COP_TRY(filler(call, &value, element));
    COP_TRY(cop_input_ints(call, 0, dims, COPPICE_MAX_RANK, &count));
    for (int i = 0; i < count; i++) {
        if (dims[i] < 0)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "the wanted shape is %s",
                            cop_dims_text((uint32_t)count, dims).s);
    }
    cop_set_out(call, 0, value.t.type, (uint32_t)count, dims);
    call->out[0].narrow = cop_onnx_type(&value);
    return COPPICE_OK;
}

static coppice_status constantofshape_run(const cop_call *call) {
    _Alignas(16) unsigned char element[FILLER_BYTES];
    cop_operand value;
    COP_TRY(filler(call, &value, element));
    fill(cop_out(call, 0), element, call->pool);
    return COPPICE_OK;
}

/* ---- Range ---- */

typedef struct range_plan {
    bool integers;
    int64_t start_int, delta_int, count;
    double start, delta;
} range_plan;

/* Exact also where a double is not. Magnitudes as unsigned: no difference overflows there. */
static uint64_t count_integers(int64_t start, int64_t limit, int64_t delta) {
    if (delta > 0 ? limit <= start : limit >= start)
        return 0;
    uint64_t from = (uint64_t)start, to = (uint64_t)limit, step = (uint64_t)delta;
    return delta > 0 ? (to - from - 1) / step + 1 : (from - to - 1) / (0 - step) + 1;
}

static coppice_status plan_range(const cop_call *call, range_plan *plan) {
    double limit;
    bool present;
    coppice_type type = cop_in(call, 0)->type;
    for (int i = 1; i < 3; i++) {
        if (cop_in(call, i)->type != type)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "inputs have different types");
    }
    COP_TRY(cop_input_number(call, 0, &plan->start, &present));
    COP_TRY(cop_input_number(call, 1, &limit, &present));
    COP_TRY(cop_input_number(call, 2, &plan->delta, &present));
    plan->integers = cop_is_integer_type(type);
    plan->start_int = cop_tensor_get_int(cop_in(call, 0), 0);
    plan->delta_int = cop_tensor_get_int(cop_in(call, 2), 0);
    if (plan->delta == 0 || !isfinite(plan->start) || !isfinite(limit) || !isfinite(plan->delta))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "a range from %g to %g by %g", plan->start,
                        limit, plan->delta);
    double count = ceil((limit - plan->start) / plan->delta);
    if (plan->integers)
        count = (double)count_integers(plan->start_int, cop_tensor_get_int(cop_in(call, 1), 0),
                                       plan->delta_int);
    if (count > 1e15)
        return cop_fail(call->err, COPPICE_LIMIT, "a range of %g elements", count);
    plan->count = count > 0 ? (int64_t)count : 0;
    return COPPICE_OK;
}

static coppice_status range_infer(cop_call *call) {
    range_plan plan;
    COP_TRY(plan_range(call, &plan));
    cop_set_out(call, 0, cop_in(call, 0)->type, 1, &plan.count);
    return COPPICE_OK;
}

typedef struct range_job {
    range_plan plan;
    const coppice_tensor *out;
} range_job;

static void fill_range(void *context, size_t begin, size_t end) {
    const range_job *j = context;
    const range_plan *plan = &j->plan;
    const coppice_tensor *out = j->out;
    for (size_t i = begin; i < end; i++) {
        uint64_t whole = (uint64_t)plan->start_int + (uint64_t)i * (uint64_t)plan->delta_int;
        double real = plan->start + (double)i * plan->delta;
        if (out->type == COPPICE_TYPE_INT64)
            ((int64_t *)out->data)[i] = (int64_t)whole;
        else if (out->type == COPPICE_TYPE_INT32)
            ((int32_t *)out->data)[i] = (int32_t)whole;
        else if (out->type == COPPICE_TYPE_INT16)
            ((int16_t *)out->data)[i] = (int16_t)whole;
        else if (out->type == COPPICE_TYPE_DOUBLE)
            ((double *)out->data)[i] = real;
        else
            ((float *)out->data)[i] = (float)real;
    }
}

static coppice_status range_run(const cop_call *call) {
    range_job job = {.out = cop_out(call, 0)};
    COP_TRY(plan_range(call, &job.plan));
    cop_parallel_for(call->pool, (size_t)job.plan.count, cop_grain(4), fill_range, &job);
    return COPPICE_OK;
}

/* ---- Pad ---- */

typedef enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP, PAD_MODES } pad_mode;

typedef struct pad_plan {
    pad_mode mode;
    int64_t begin[COPPICE_MAX_RANK], end[COPPICE_MAX_RANK]; /* may be negative: cut */
} pad_plan;

static coppice_status pad_parse(const cop_call *call, void *params) {
    static const char *const names[] = {"constant", "reflect", "edge", "wrap"};
    cop_ints_params *p = params;
    const char *mode;
    COP_TRY(cop_node_string(call->node, "mode", "constant", &mode, call->err));
    for (p->axis = 0; p->axis < PAD_MODES; p->axis++) {
        if (!strcmp(mode, names[p->axis]))
            return COPPICE_OK;
    }
    return cop_fail(call->err, COPPICE_UNSUPPORTED,
                    "mode '%s'; constant, reflect, edge and wrap are supported", mode);
}

/* The 2 * rank numbers: attribute `pads` (`paddings` of opset 1) before opset 11, input 1 since,
 * for the axes of input 3 from opset 18 on. */
static coppice_status plan_pad(const cop_call *call, pad_plan *plan) {
    const cop_ints_params *p = call->params;
    uint32_t rank = cop_in(call, 0)->rank;
    int64_t pads[2 * COPPICE_MAX_RANK], axes[COPPICE_MAX_RANK];
    bool on[COPPICE_MAX_RANK];
    int count, axis_count = -1, axis;
    const char *name = call->opset < 2 ? "paddings" : "pads";
    *plan = (pad_plan){.mode = (pad_mode)p->axis};
    if (call->opset < 11)
        COP_TRY(cop_attr_ints(call, name, pads, 2 * COPPICE_MAX_RANK, &count));
    else
        COP_TRY(cop_input_ints(call, 1, pads, 2 * COPPICE_MAX_RANK, &count));
    if (call->opset >= 18)
        COP_TRY(cop_input_ints(call, 3, axes, COPPICE_MAX_RANK, &axis_count));
    int padded = axis_count < 0 ? (int)rank : axis_count;
    if (count != 2 * padded)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "%d pads for %d dimensions", count, padded);
    if (axis_count >= 0)
        COP_TRY(cop_axis_set(call, axes, axis_count, rank, on));
    for (int i = 0; i < padded; i++) {
        COP_TRY(cop_axis(call, axis_count < 0 ? i : axes[i], rank, &axis));
        plan->begin[axis] = pads[i];
        plan->end[axis] = pads[i + padded];
    }
    return COPPICE_OK;
}

static coppice_status pad_infer(cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0), *value = cop_in(call, 2);
    pad_plan plan;
    int64_t dims[COPPICE_MAX_RANK];
    if (cop_type_bytes(in->type) == 0)
        return cop_need_type(call, 0, 0);
    COP_TRY(plan_pad(call, &plan));
    for (uint32_t d = 0; d < in->rank; d++) {
        int64_t begin = plan.begin[d], end = plan.end[d], dim = in->dims[d];
        bool fits = cop_i64_add(dim, begin, &dims[d]) && cop_i64_add(dims[d], end, &dims[d]) &&
                    dims[d] >= 0;
        if (plan.mode == PAD_REFLECT)
            fits = fits && begin < dim && end < dim;
        if (plan.mode == PAD_EDGE || plan.mode == PAD_WRAP)
            fits = fits && (dim > 0 || dims[d] == 0);
        if (!fits || begin < -dim || end < -dim)
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "pads of %lld and %lld on dimension %u of %s", (long long)begin,
                            (long long)end, d, cop_shape_text(in).s);
    }
    if (call->opset >= 11 && value && (value->type != in->type || coppice_tensor_count(value) != 1))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "the padding value '%s' is %s %s",
                        cop_in_name(call, 2), coppice_type_name(value->type),
                        cop_shape_text(value).s);
    cop_set_out(call, 0, in->type, in->rank, dims);
    return COPPICE_OK;
}

/* Where position `at` of the padded tensor comes from, for the modes that repeat elements. */
static int64_t pad_source(pad_mode mode, int64_t at, int64_t dim) {
    if (at >= 0 && at < dim)
        return at;
    if (mode == PAD_EDGE)
        return at < 0 ? 0 : dim - 1;
    if (mode == PAD_WRAP)
        return (at % dim + dim) % dim;
    return at < 0 ? -at : 2 * (dim - 1) - at; /* infer saw to it that this is inside */
}

/* Rows of the last dimension, each from the row it repeats. */
typedef struct pad_job {
    const coppice_tensor *in, *out;
    const pad_plan *plan;
    const void *element; /* what PAD_CONSTANT puts where there is nothing */
    size_t bytes;
    int64_t strides[COPPICE_MAX_RANK];
} pad_job;

/* `element` from place `first` to `last` of a row. */
static void pad_places(const pad_job *j, char *to, int64_t first, int64_t last) {
    if (j->bytes == sizeof(uint32_t)) {
        uint32_t v;
        memcpy(&v, j->element, sizeof v);
        for (int64_t i = first; i < last; i++)
            ((uint32_t *)to)[i] = v;
        return;
    }
    for (int64_t i = first; i < last; i++)
        memcpy(to + (size_t)i * j->bytes, j->element, j->bytes);
}

/* Places first .. last - 1 of a row, which lie outside of the input's row. */
static void repeat_places(const pad_job *j, const char *from, char *to, int64_t first,
                          int64_t last) {
    uint32_t d = j->out->rank - 1;
    if (j->plan->mode == PAD_CONSTANT) {
        pad_places(j, to, first, last);
        return;
    }
    for (int64_t i = first; i < last; i++) {
        int64_t at = pad_source(j->plan->mode, i - j->plan->begin[d], j->in->dims[d]);
        memcpy(to + (size_t)i * j->bytes, from + (size_t)at * j->bytes, j->bytes);
    }
}

static void pad_row(const pad_job *j, const char *from, char *to) {
    uint32_t last = j->out->rank - 1;
    int64_t begin = j->plan->begin[last], dim = j->in->dims[last], size = j->out->dims[last];
    int64_t first = begin > 0 ? begin : 0, stop = begin + dim; /* what is copied as it stands */
    first = first < size ? first : size;
    stop = stop < size ? stop : size;
    stop = stop < first ? first : stop;
    repeat_places(j, from, to, 0, first);
    if (stop > first)
        memcpy(to + (size_t)first * j->bytes, from + (size_t)(first - begin) * j->bytes,
               (size_t)(stop - first) * j->bytes);
    repeat_places(j, from, to, stop, size);
}

/* Items: rows of the output. */
static void pad_rows(void *context, size_t begin, size_t end) {
    const pad_job *j = context;
    uint32_t last = j->out->rank - 1;
    for (size_t row = begin; row < end; row++) {
        char *to = (char *)j->out->data + row * (size_t)j->out->dims[last] * j->bytes;
        int64_t rest = (int64_t)row, from = 0;
        bool outside = false;
        for (uint32_t d = last; d-- > 0;) {
            int64_t at = rest % j->out->dims[d] - j->plan->begin[d], dim = j->in->dims[d];
            rest /= j->out->dims[d];
            outside = outside || (j->plan->mode == PAD_CONSTANT && (at < 0 || at >= dim));
            from += outside ? 0 : pad_source(j->plan->mode, at, dim) * j->strides[d];
        }
        if (outside)
            pad_places(j, to, 0, j->out->dims[last]);
        else
            pad_row(j, (const char *)j->in->data + (size_t)from * j->bytes, to);
    }
}

static void pad_all(const coppice_tensor *in, const coppice_tensor *out, const pad_plan *plan,
                    const void *element, const coppice_threadpool *pool) {
    pad_job j = {in, out, plan, element, cop_type_bytes(in->type), {0}};
    if (out->rank == 0) {
        memcpy(out->data, in->data, j.bytes);
        return;
    }
    size_t wide = (size_t)out->dims[out->rank - 1];
    cop_plain_strides(in->rank, in->dims, j.strides);
    cop_parallel_for(pool, (size_t)coppice_tensor_count(out) / wide, cop_grain(wide), pad_rows, &j);
}

static coppice_status pad_run(const cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0), *out = cop_out(call, 0), *value = cop_in(call, 2);
    pad_plan plan;
    _Alignas(16) unsigned char element[16] = {0};
    float attribute = 0;
    if (coppice_tensor_count(out) == 0)
        return COPPICE_OK;
    COP_TRY(plan_pad(call, &plan));
    if (call->opset >= 11 && value)
        memcpy(element, value->data, cop_type_bytes(value->type));
    if (call->opset < 11)
        COP_TRY(cop_node_float(call->node, "value", 0, &attribute, call->err));
    double wide = attribute;
    if (in->type == COPPICE_TYPE_FLOAT && call->opset < 11)
        memcpy(element, &attribute, sizeof attribute);
    if (in->type == COPPICE_TYPE_DOUBLE && call->opset < 11)
        memcpy(element, &wide, sizeof wide);
    pad_all(in, out, &plan, element, call->pool);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_fill[] = {
    {.name = "Constant", .since = 1, .max_outputs = 1, INFER(constant)},
    {.name = "ConstantOfShape", .since = 9, ONE_TO_ONE, .types = COP_TYPE_BIT(INT64),
     INFER(constantofshape), RUN(constantofshape)},
    {.name = "Pad", .since = 1, .until = 10, ONE_TO_ONE, .types = FLOATS, PARSE(pad, cop_ints_params),
     INFER(pad), RUN(pad)},
    {.name = "Pad", .since = 11, .until = 17, .min_inputs = 2, .max_inputs = 3, .max_outputs = 1,
     .types = WHOLE_BYTES, PARSE(pad, cop_ints_params), INFER(pad), RUN(pad)},
    {.name = "Pad", .since = 18, .min_inputs = 2, .max_inputs = 4, .max_outputs = 1,
     .types = WHOLE_BYTES, PARSE(pad, cop_ints_params), INFER(pad), RUN(pad)},
    {.name = "Range", .since = 11, .min_inputs = 3, .max_inputs = 3, .max_outputs = 1,
     .types = FLOATS | COP_TYPE_BIT(INT16) | COP_TYPE_BIT(INT32) | COP_TYPE_BIT(INT64),
     INFER(range), RUN(range)},
    {.name = NULL},
};
/* clang-format on */
