/* Operators that lay out elements by a pattern: EyeLike, OneHot, ReverseSequence, Tile, Trilu. */
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/shape/index.h"

/* Writes the element at `from` to all of `out`. */
static void fill_with(const coppice_tensor *out, const void *from, const coppice_threadpool *pool) {
    size_t bytes = cop_type_bytes(out->type);
    cop_walk walk = {.rank = 1, .inputs = 1, .out = out->data, .in = {from}};
    walk.dims[0] = coppice_tensor_count(out);
    walk.strides[0][0] = 1;
    walk.element[0] = walk.element[1] = bytes;
    cop_walk_copy(&walk, pool);
}

/* ---- EyeLike ---- */

typedef struct eyelike_params {
    int64_t dtype, k; /* dtype 0: that of the input */
} eyelike_params;

static coppice_status eyelike_parse(const cop_call *call, void *params) {
    eyelike_params *p = params;
    COP_TRY(cop_node_int(call->node, "k", 0, &p->k, call->err));
    return cop_node_int(call->node, "dtype", 0, &p->dtype, call->err);
}

/* The bytes of a 1; false for types that have none. */
static bool one_of_type(coppice_type type, void *to) {
    static const float one_float = 1;
    static const double one_double = 1;
    static const uint64_t one = 1; /* its low bytes, on hosts of either order, see below */
    const union {
        uint16_t word;
        uint8_t bytes[2];
    } order = {1};
    size_t bytes = cop_type_bytes(type);
    if (type == COPPICE_TYPE_FLOAT)
        memcpy(to, &one_float, sizeof one_float);
    else if (type == COPPICE_TYPE_DOUBLE)
        memcpy(to, &one_double, sizeof one_double);
    else if (cop_is_integer_type(type) || type == COPPICE_TYPE_BOOL)
        memcpy(to, (const char *)&one + (order.bytes[0] ? 0 : sizeof one - bytes), bytes);
    else
        return false;
    return true;
}

static coppice_status eyelike_infer(cop_call *call) {
    const eyelike_params *p = call->params;
    coppice_type wanted = p->dtype ? (coppice_type)p->dtype : cop_onnx_type(call->in[0]);
    const coppice_tensor *in = cop_in(call, 0);
    uint64_t one;
    COP_TRY(cop_need_rank(call, 0, 2));
    if (p->dtype < 0 || p->dtype > INT32_MAX || !one_of_type(cop_wide_type(wanted), &one))
        return cop_fail(call->err, COPPICE_UNSUPPORTED, "a result of type %lld (%s)",
                        (long long)p->dtype, coppice_type_name(wanted));
    cop_set_out(call, 0, cop_wide_type(wanted), 2, in->dims);
    call->out[0].narrow = wanted;
    return COPPICE_OK;
}

static coppice_status eyelike_run(const cop_call *call) {
    const eyelike_params *p = call->params;
    const coppice_tensor *out = cop_out(call, 0);
    size_t bytes = cop_type_bytes(out->type);
    int64_t rows = out->dims[0], columns = out->dims[1];
    uint64_t one = 0;
    one_of_type(out->type, &one);
    if (rows == 0 || columns == 0)
        return COPPICE_OK;
    memset(out->data, 0, (size_t)coppice_tensor_bytes(out));
    if (p->k <= -rows || p->k >= columns)
        return COPPICE_OK;
    for (int64_t row = p->k < 0 ? -p->k : 0; row < rows && row + p->k < columns; row++)
        memcpy((char *)out->data + (size_t)(row * columns + row + p->k) * bytes, &one, bytes);
    return COPPICE_OK;
}

/* ---- OneHot ---- */

static coppice_status onehot_parse(const cop_call *call, void *params) {
    cop_ints_params *p = params;
    return cop_node_int(call->node, "axis", -1, &p->axis, call->err);
}

static coppice_status onehot_infer(cop_call *call) {
    const cop_ints_params *p = call->params;
    const coppice_tensor *indices = cop_in(call, 0), *values = cop_in(call, 2);
    int64_t dims[COPPICE_MAX_RANK];
    double depth;
    bool present;
    int axis;
    if (indices->rank >= COPPICE_MAX_RANK)
        return cop_fail(call->err, COPPICE_LIMIT, "%u dimensions; at most %d are supported",
                        indices->rank + 1, COPPICE_MAX_RANK);
    COP_TRY(cop_axis(call, p->axis, (int64_t)indices->rank + 1, &axis));
    COP_TRY(cop_need_type(call, 1, NUMBERS));
    COP_TRY(cop_need_type(call, 2, WHOLE_BYTES));
    if (values->rank != 1 || values->dims[0] != 2)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "the values '%s' are %s, expected [2]: off and on", cop_in_name(call, 2),
                        cop_shape_text(values).s);
    COP_TRY(cop_input_number(call, 1, &depth, &present));
    if (!(depth >= 0 && depth < 9e15))
        return cop_fail(call->err, COPPICE_BAD_DATA, "the depth '%s' is %g", cop_in_name(call, 1),
                        depth);
    for (int d = 0; d <= (int)indices->rank; d++)
        dims[d] = d == axis ? (int64_t)depth : indices->dims[d - (d > axis)];
    cop_set_out(call, 0, values->type, indices->rank + 1, dims);
    call->out[0].narrow = cop_onnx_type(call->in[2]);
    return COPPICE_OK;
}

static coppice_status onehot_run(const cop_call *call) {
    const cop_ints_params *p = call->params;
    const coppice_tensor *indices = cop_in(call, 0), *out = cop_out(call, 0);
    const char *off = cop_in(call, 2)->data;
    size_t bytes = cop_type_bytes(out->type);
    int64_t inner = 1;
    int axis;
    COP_TRY(cop_axis(call, p->axis, out->rank, &axis));
    int64_t depth = out->dims[axis], count = coppice_tensor_count(indices);
    for (int d = axis + 1; d < (int)out->rank; d++)
        inner *= out->dims[d];
    if (coppice_tensor_count(out) == 0)
        return COPPICE_OK;
    fill_with(out, off, call->pool);
    for (int64_t i = 0; i < count; i++) {
        bool real = cop_is_float_type(indices->type);
        double wide = real ? cop_tensor_get(indices, i) : 0;
        if (real && !(wide > -9e18 && wide < 9e18))
            continue;
        int64_t at = real ? (int64_t)wide : cop_tensor_get_int(indices, i);
        if (at < 0 && call->opset >= 11)
            at += depth;
        if (at < 0 || at >= depth)
            continue; /* outside: all off */
        int64_t to = (i / inner * depth + at) * inner + i % inner;
        memcpy((char *)out->data + (size_t)to * bytes, off + bytes, bytes);
    }
    return COPPICE_OK;
}

/* ---- ReverseSequence ---- */

typedef struct reverse_params {
    int64_t batch_axis, time_axis;
} reverse_params;

static coppice_status reversesequence_parse(const cop_call *call, void *params) {
    reverse_params *p = params;
    COP_TRY(cop_node_int(call->node, "batch_axis", 1, &p->batch_axis, call->err));
    COP_TRY(cop_node_int(call->node, "time_axis", 0, &p->time_axis, call->err));
    if ((p->batch_axis == 0 && p->time_axis == 1) || (p->batch_axis == 1 && p->time_axis == 0))
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "batch_axis is %lld and time_axis %lld, expected 0 and 1 or 1 and 0",
                    (long long)p->batch_axis, (long long)p->time_axis);
}

static coppice_status reversesequence_infer(cop_call *call) {
    const reverse_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0), *lengths = cop_in(call, 1);
    COP_TRY(cop_need_indices(call, 1));
    if (in->rank < 2)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "input %s has less than 2 dimensions",
                        cop_shape_text(in).s);
    if (lengths->rank != 1 || lengths->dims[0] != in->dims[p->batch_axis])
        return cop_fail(call->err, COPPICE_BAD_MODEL, "the lengths '%s' are %s, expected [%lld]",
                        cop_in_name(call, 1), cop_shape_text(lengths).s,
                        (long long)in->dims[p->batch_axis]);
    return cop_infer_same(call);
}

static coppice_status reversesequence_run(const cop_call *call) {
    const reverse_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0), *lengths = cop_in(call, 1);
    int64_t batches = in->dims[p->batch_axis], steps = in->dims[p->time_axis];
    size_t row = cop_type_bytes(in->type);
    for (uint32_t d = 2; d < in->rank; d++)
        row *= (size_t)in->dims[d];
    size_t per_batch = p->batch_axis == 0 ? (size_t)steps * row : row;
    size_t per_step = p->time_axis == 0 ? (size_t)batches * row : row;
    for (int64_t b = 0; b < batches; b++) {
        int64_t length = cop_index_at(lengths, b, 0);
        if (length < 0 || length > steps)
            return cop_fail(call->err, COPPICE_BAD_DATA,
                            "length %lld (element %lld of '%s') is not within %lld steps",
                            (long long)length, (long long)b, cop_in_name(call, 1),
                            (long long)steps);
        const char *from = (const char *)in->data + (size_t)b * per_batch;
        char *to = (char *)cop_out(call, 0)->data + (size_t)b * per_batch;
        for (int64_t t = 0; row && t < steps; t++)
            memcpy(to + (size_t)t * per_step,
                   from + (size_t)(t < length ? length - 1 - t : t) * per_step, row);
    }
    return COPPICE_OK;
}

/* ---- Tile ---- */

/* How often each dim is repeated: the list of input 1, or before opset 6 input 1 times on axis
 * input 2. */
static coppice_status tile_repeats(const cop_call *call, int64_t *repeats) {
    const coppice_tensor *in = cop_in(call, 0);
    int count, axis = 0;
    if (call->opset >= 6) {
        COP_TRY(cop_input_ints(call, 1, repeats, COPPICE_MAX_RANK, &count));
        if (count == (int)in->rank)
            return COPPICE_OK;
        return cop_fail(call->err, COPPICE_BAD_MODEL, "%d repeats in '%s' for %u dimensions", count,
                        cop_in_name(call, 1), in->rank);
    }
    double times, on;
    bool present;
    COP_TRY(cop_input_number(call, 1, &times, &present));
    COP_TRY(cop_input_number(call, 2, &on, &present));
    if (!(times >= 0 && times < 9e15) || !(on >= -COPPICE_MAX_RANK && on < COPPICE_MAX_RANK))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "%g tiles on axis %g", times, on);
    COP_TRY(cop_axis(call, (int64_t)on, in->rank, &axis));
    for (uint32_t d = 0; d < in->rank; d++)
        repeats[d] = (int)d == axis ? (int64_t)times : 1;
    return COPPICE_OK;
}

static coppice_status tile_infer(cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0);
    int64_t repeats[COPPICE_MAX_RANK], dims[COPPICE_MAX_RANK];
    COP_TRY(tile_repeats(call, repeats));
    for (uint32_t d = 0; d < in->rank; d++) {
        if (repeats[d] < 0 || !cop_i64_mul(in->dims[d], repeats[d], &dims[d]))
            return cop_fail(call->err, COPPICE_BAD_MODEL, "repeats %s of %s",
                            cop_dims_text(in->rank, repeats).s, cop_shape_text(in).s);
    }
    cop_set_out(call, 0, in->type, in->rank, dims);
    return COPPICE_OK;
}

/* Each repeated dim becomes two: the repeats, which the input does not step along, and itself. */
static coppice_status tile_run(const cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0), *out = cop_out(call, 0);
    int64_t repeats[COPPICE_MAX_RANK], from[COPPICE_MAX_RANK], to[COPPICE_MAX_RANK];
    cop_walk walk = {.inputs = 1, .out = out->data, .in = {in->data}};
    if (coppice_tensor_count(out) == 0)
        return COPPICE_OK;
    COP_TRY(tile_repeats(call, repeats));
    cop_plain_strides(in->rank, in->dims, from);
    cop_plain_strides(out->rank, out->dims, to);
    walk.element[0] = walk.element[1] = cop_type_bytes(in->type);
    for (uint32_t d = 0; d < in->rank; d++) {
        const int64_t parts[2][3] = {{repeats[d], to[d] * in->dims[d], 0},
                                     {in->dims[d], to[d], from[d]}};
        for (int i = 0; i < 2; i++) {
            if (parts[i][0] == 1)
                continue;
            if (walk.rank == COPPICE_MAX_RANK)
                return cop_fail(call->err, COPPICE_LIMIT, "too many repeated dimensions in %s",
                                cop_shape_text(in).s);
            walk.dims[walk.rank] = parts[i][0];
            walk.strides[0][walk.rank] = parts[i][1];
            walk.strides[1][walk.rank++] = parts[i][2];
        }
    }
    cop_walk_copy(&walk, call->pool);
    return COPPICE_OK;
}

/* ---- Trilu ---- */

typedef struct trilu_job {
    bool upper;
    int64_t rows, columns, k;
    size_t bytes;
    const char *in;
    char *out;
} trilu_job;

static coppice_status trilu_parse(const cop_call *call, void *params) {
    cop_ints_params *p = params;
    return cop_attr_bool(call, "upper", true, &p->flag);
}

static coppice_status trilu_infer(cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0), *k = cop_in(call, 1);
    if (in->rank < 2)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "input %s has less than 2 dimensions",
                        cop_shape_text(in).s);
    if (k && (coppice_tensor_count(k) != 1 || k->type != COPPICE_TYPE_INT64))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "k ('%s') is %s %s, expected one int64",
                        cop_in_name(call, 1), coppice_type_name(k->type), cop_shape_text(k).s);
    return cop_infer_same(call);
}

static void trilu_range(void *context, size_t begin, size_t end) {
    const trilu_job *job = context;
    size_t row = (size_t)job->columns * job->bytes;
    for (size_t i = begin; i < end; i++) {
        int64_t diagonal = (int64_t)(i % (size_t)job->rows) + job->k + !job->upper;
        diagonal = diagonal < 0 ? 0 : diagonal > job->columns ? job->columns : diagonal;
        size_t left = (size_t)diagonal * job->bytes;
        const char *in = job->in + i * row;
        char *out = job->out + i * row;
        if (job->upper) {
            memset(out, 0, left);
            memcpy(out + left, in + left, row - left);
        } else {
            memcpy(out, in, left);
            memset(out + left, 0, row - left);
        }
    }
}

static coppice_status trilu_run(const cop_call *call) {
    const cop_ints_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0), *k = cop_in(call, 1);
    int64_t count = coppice_tensor_count(in), diagonal = k ? cop_tensor_get_int(k, 0) : 0;
    if (count == 0)
        return COPPICE_OK;
    trilu_job job = {.upper = p->flag,
                     .rows = in->dims[in->rank - 2],
                     .columns = in->dims[in->rank - 1],
                     .bytes = cop_type_bytes(in->type),
                     .in = in->data,
                     .out = cop_out(call, 0)->data};
    /* Beyond the corners nothing changes, and sums stay small. */
    job.k = diagonal < -job.rows ? -job.rows : diagonal > job.columns ? job.columns : diagonal;
    cop_parallel_for(call->pool, (size_t)(count / job.columns), cop_grain((size_t)job.columns),
                     trilu_range, &job);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_pattern[] = {
    {.name = "EyeLike", .since = 9, ONE_TO_ONE, .types = NUMBERS | COP_TYPE_BIT(BOOL),
     .flags = COP_OP_SHAPE_ONLY, PARSE(eyelike, eyelike_params), INFER(eyelike), RUN(eyelike)},
    {.name = "OneHot", .since = 9, .min_inputs = 3, .max_inputs = 3, .max_outputs = 1,
     .types = NUMBERS, PARSE(onehot, cop_ints_params), INFER(onehot), RUN(onehot)},
    {.name = "ReverseSequence", .since = 10, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = WHOLE_BYTES, PARSE(reversesequence, reverse_params), INFER(reversesequence),
     RUN(reversesequence)},
    {.name = "Tile", .since = 1, .until = 5, .min_inputs = 3, .max_inputs = 3, .max_outputs = 1,
     .types = WHOLE_BYTES, INFER(tile), RUN(tile)},
    {.name = "Tile", .since = 6, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = WHOLE_BYTES, INFER(tile), RUN(tile)},
    {.name = "Trilu", .since = 14, .min_inputs = 1, .max_inputs = 2, .max_outputs = 1,
     .types = WHOLE_BYTES, PARSE(trilu, cop_ints_params), INFER(trilu), RUN(trilu)},
    {.name = NULL},
};
/* clang-format on */
