/* Operators that choose elements: TopK, NonZero, Compress. */
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/shape/index.h"
#include "runtime/ops/types.h"

/* ---- TopK ---- */

typedef struct topk_params {
    int64_t axis, k; /* k: attribute of opset 1 */
    bool largest;    /* results are always sorted */
} topk_params;

typedef struct topk_job {
    int64_t n, k, inner;
    bool largest;
    const void *in;
    void *values;     /* NULL: not wanted */
    int64_t *indices; /* NULL: not wanted */
    int64_t *heaps;   /* k for each lane */
} topk_job;

/* One lane: a heap of the best k so far, the worst of them on top; then sorted in place. NaN counts
 * as larger than any number, as in PyTorch. Of equal elements the first is better. */
#define TOPK(T, suffix, TYPE)                                                                      \
    static inline bool better_##suffix(const T *in, int64_t step, bool largest, int64_t a,         \
                                       int64_t b) {                                                \
        T x = in[a * step], y = in[b * step];                                                      \
        bool x_nan = x != x, y_nan = y != y;                                                       \
        if (x_nan != y_nan)                                                                        \
            return x_nan == largest;                                                               \
        if (x_nan || x == y)                                                                       \
            return a < b;                                                                          \
        return largest ? x > y : x < y;                                                            \
    }                                                                                              \
    static void sink_##suffix(const T *in, int64_t step, bool largest, int64_t *heap,              \
                              int64_t size) {                                                      \
        int64_t at = 0, moved = heap[0];                                                           \
        for (int64_t child; (child = 2 * at + 1) < size; at = child) {                             \
            if (child + 1 < size &&                                                                \
                better_##suffix(in, step, largest, heap[child], heap[child + 1]))                  \
                child++;                                                                           \
            if (!better_##suffix(in, step, largest, moved, heap[child]))                           \
                break;                                                                             \
            heap[at] = heap[child];                                                                \
        }                                                                                          \
        heap[at] = moved;                                                                          \
    }                                                                                              \
    static void topk_##suffix(const topk_job *job, int64_t lane) {                                 \
        int64_t step = job->inner, k = job->k, outer = lane / step, column = lane % step;          \
        const T *in = (const T *)job->in + outer * job->n * step + column;                         \
        int64_t *heap = job->heaps + lane * k, size = 0;                                           \
        for (int64_t i = 0; i < k; i++) {                                                          \
            int64_t at = size++;                                                                   \
            for (int64_t up; at > 0; at = up) { /* the worse one goes up */                        \
                up = (at - 1) / 2;                                                                 \
                if (!better_##suffix(in, step, job->largest, heap[up], i))                         \
                    break;                                                                         \
                heap[at] = heap[up];                                                               \
            }                                                                                      \
            heap[at] = i;                                                                          \
        }                                                                                          \
        for (int64_t i = k; i < job->n; i++) {                                                     \
            if (!better_##suffix(in, step, job->largest, i, heap[0]))                              \
                continue;                                                                          \
            heap[0] = i;                                                                           \
            sink_##suffix(in, step, job->largest, heap, k);                                        \
        }                                                                                          \
        while (size-- > 1) {                                                                       \
            int64_t worst = heap[0];                                                               \
            heap[0] = heap[size];                                                                  \
            sink_##suffix(in, step, job->largest, heap, size);                                     \
            heap[size] = worst;                                                                    \
        }                                                                                          \
        for (int64_t i = 0; i < k; i++) {                                                          \
            int64_t to = (outer * k + i) * step + column;                                          \
            if (job->values)                                                                       \
                ((T *)job->values)[to] = in[heap[i] * step];                                       \
            if (job->indices)                                                                      \
                job->indices[to] = heap[i];                                                        \
        }                                                                                          \
    }
EACH_NUMBER(TOPK)

static coppice_status topk_parse(const cop_call *call, void *params) {
    topk_params *p = params;
    bool sorted;
    COP_TRY(cop_node_int(call->node, "axis", -1, &p->axis, call->err));
    COP_TRY(cop_node_int(call->node, "k", -1, &p->k, call->err));
    COP_TRY(cop_attr_bool(call, "sorted", true, &sorted));
    return cop_attr_bool(call, "largest", true, &p->largest);
}

static coppice_status topk_infer(cop_call *call) {
    const topk_params *p = call->params;
    coppice_tensor shape = *cop_in(call, 0);
    int64_t k = p->k;
    int axis, count = 1;
    COP_TRY(cop_axis(call, p->axis, shape.rank, &axis));
    if (call->opset >= 10)
        COP_TRY(cop_input_ints(call, 1, &k, 1, &count));
    if (count != 1 || k < 0 || k > shape.dims[axis])
        return cop_fail(call->err, COPPICE_BAD_DATA,
                        "the top %lld of %lld elements (axis %d of %s)",
                        (long long)(count == 1 ? k : -1), (long long)shape.dims[axis], axis,
                        cop_shape_text(&shape).s);
    shape.dims[axis] = k;
    cop_set_out(call, 0, shape.type, shape.rank, shape.dims);
    cop_set_out(call, 1, COPPICE_TYPE_INT64, shape.rank, shape.dims);
    return COPPICE_OK;
}

static size_t topk_scratch(const cop_call *call) {
    return (size_t)coppice_tensor_count(cop_out(call, 0)) * sizeof(int64_t);
}

typedef struct topk_task {
    topk_job job;
    void (*lane)(const topk_job *job, int64_t lane);
} topk_task;

static void topk_range(void *context, size_t begin, size_t end) {
    const topk_task *task = context;
    for (size_t lane = begin; lane < end; lane++)
        task->lane(&task->job, (int64_t)lane);
}

static coppice_status topk_run(const cop_call *call) {
#define TOPK_ROW(T, suffix, TYPE) [COPPICE_TYPE_##TYPE] = topk_##suffix,
    static void (*const by_type[COP_HELD_TYPES])(const topk_job *,
                                                 int64_t) = {EACH_NUMBER(TOPK_ROW)};
    const topk_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0), *values = cop_out(call, 0);
    const coppice_tensor *indices = cop_out(call, 1);
    int axis;
    COP_TRY(cop_axis(call, p->axis, in->rank, &axis));
    int64_t count = coppice_tensor_count(values);
    topk_task task = {{.n = in->dims[axis],
                       .k = values->dims[axis],
                       .inner = 1,
                       .largest = p->largest,
                       .in = in->data,
                       .values = values->data,
                       .indices = indices ? indices->data : NULL,
                       .heaps = call->scratch},
                      by_type[in->type]};
    for (uint32_t d = (uint32_t)axis + 1; d < in->rank; d++)
        task.job.inner *= in->dims[d];
    if (count > 0)
        cop_parallel_for(call->pool, (size_t)(count / task.job.k), cop_grain((size_t)task.job.n),
                         topk_range, &task);
    return COPPICE_OK;
}

/* ---- NonZero ---- */

/* Flags of up to COP_INDEX_CHUNK elements from `first` on. */
#define FLAGS(T, suffix, TYPE)                                                                     \
    static void flags_##suffix(const void *data, int64_t first, int64_t n, uint8_t *flags) {       \
        const T *in = (const T *)data + first;                                                     \
        for (int64_t i = 0; i < n; i++)                                                            \
            flags[i] = in[i] != 0;                                                                 \
    }
EACH_NUMBER(FLAGS)

static void flags_string(const void *data, int64_t first, int64_t n, uint8_t *flags) {
    for (int64_t i = 0; i < n; i++)
        flags[i] = ((const coppice_string *)data)[first + i].length != 0;
}

typedef void (*flags_fn)(const void *data, int64_t first, int64_t n, uint8_t *flags);

#define FLAGS_ROW(T, suffix, TYPE) [COPPICE_TYPE_##TYPE] = flags_##suffix,
static const flags_fn flags_by_type[COP_HELD_TYPES] = {
    EACH_NUMBER(FLAGS_ROW)[COPPICE_TYPE_BOOL] = flags_u8, [COPPICE_TYPE_STRING] = flags_string};

static int64_t count_flags(flags_fn fn, const void *data, int64_t count) {
    uint8_t flags[COP_INDEX_CHUNK];
    int64_t found = 0;
    for (int64_t i = 0; i < count; i += COP_INDEX_CHUNK) {
        int64_t n = count - i < COP_INDEX_CHUNK ? count - i : COP_INDEX_CHUNK;
        fn(data, i, n, flags);
        for (int64_t j = 0; j < n; j++)
            found += flags[j];
    }
    return found;
}

/* Coordinates of the elements of a chunk with a flag, into columns of [rank][found] from `column`
 * on; returns the column behind them. */
static int64_t write_coordinates(const coppice_tensor *in, int64_t first, int64_t n,
                                 const uint8_t *flags, int64_t *out, int64_t found,
                                 int64_t column) {
    int64_t at[COPPICE_MAX_RANK];
    for (uint32_t d = in->rank; d-- > 0;) {
        at[d] = first % in->dims[d];
        first /= in->dims[d];
    }
    for (int64_t j = 0; j < n; j++) {
        for (uint32_t d = 0; flags[j] && d < in->rank; d++)
            out[d * found + column] = at[d];
        column += flags[j];
        for (uint32_t d = in->rank; d-- > 0 && ++at[d] == in->dims[d];)
            at[d] = 0;
    }
    return column;
}

static coppice_status nonzero_run(const cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0);
    int64_t count = coppice_tensor_count(in), column = 0;
    flags_fn fn = flags_by_type[in->type];
    uint8_t flags[COP_INDEX_CHUNK];
    int64_t found = count_flags(fn, in->data, count);
    COP_TRY(cop_out_tensor(call, 0, COPPICE_TYPE_INT64, 2, (int64_t[]){in->rank, found}));
    int64_t *out = cop_out(call, 0)->data;
    for (int64_t i = 0; out && i < count; i += COP_INDEX_CHUNK) {
        int64_t n = count - i < COP_INDEX_CHUNK ? count - i : COP_INDEX_CHUNK;
        fn(in->data, i, n, flags);
        column = write_coordinates(in, i, n, flags, out, found, column);
    }
    return COPPICE_OK;
}

/* ---- Compress ---- */

static coppice_status compress_parse(const cop_call *call, void *params) {
    cop_ints_params *p = params;
    p->flag = cop_node_attr(call->node, "axis") != NULL;
    return cop_node_int(call->node, "axis", 0, &p->axis, call->err);
}

static coppice_status compress_run(const cop_call *call) {
    const cop_ints_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0), *condition = cop_in(call, 1);
    coppice_tensor shape = *in;
    int axis = 0;
    COP_TRY(cop_need_type(call, 1, COP_TYPE_BIT(BOOL)));
    COP_TRY(cop_need_rank(call, 1, 1));
    if (!p->flag) { /* of all elements in one row */
        shape.rank = 1;
        shape.dims[0] = coppice_tensor_count(in);
    } else {
        COP_TRY(cop_axis(call, p->axis, in->rank, &axis));
    }
    const uint8_t *on = condition->data;
    int64_t dim = shape.dims[axis], outer = 1, kept = 0;
    size_t row = cop_type_bytes(in->type);
    for (int d = 0; d < (int)shape.rank; d++) {
        outer *= d < axis ? shape.dims[d] : 1;
        row *= d > axis ? (size_t)shape.dims[d] : 1;
    }
    for (int64_t i = 0; i < condition->dims[0]; i++) {
        if (on[i] && i >= dim)
            return cop_fail(call->err, COPPICE_BAD_DATA,
                            "element %lld of the condition '%s' chooses one of %lld elements",
                            (long long)i, cop_in_name(call, 1), (long long)dim);
        kept += on[i] != 0;
    }
    shape.dims[axis] = kept;
    COP_TRY(cop_out_tensor(call, 0, in->type, shape.rank, shape.dims));
    char *to = cop_out(call, 0)->data;
    int64_t length = condition->dims[0] < dim ? condition->dims[0] : dim;
    for (int64_t o = 0; to && row && o < outer; o++) {
        for (int64_t i = 0; i < length; i++) {
            if (!on[i])
                continue;
            memcpy(to, (const char *)in->data + (size_t)(o * dim + i) * row, row);
            to += row;
        }
    }
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_select[] = {
    {.name = "Compress", .since = 9, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = WHOLE_BYTES, .flags = COP_OP_DYNAMIC, PARSE(compress, cop_ints_params),
     RUN(compress)},
    {.name = "NonZero", .since = 9, ONE_TO_ONE,
     .types = NUMBERS | COP_TYPE_BIT(BOOL) | COP_TYPE_BIT(STRING), .flags = COP_OP_DYNAMIC,
     RUN(nonzero)},
    {.name = "TopK", .since = 1, .until = 9, .min_inputs = 1, .max_inputs = 1, .max_outputs = 2,
     .types = FLOATS, PARSE(topk, topk_params), INFER(topk), RUN(topk), .scratch = topk_scratch},
    {.name = "TopK", .since = 10, .min_inputs = 2, .max_inputs = 2, .max_outputs = 2,
     .types = NUMBERS, PARSE(topk, topk_params), INFER(topk), RUN(topk), .scratch = topk_scratch},
    {.name = NULL},
};
/* clang-format on */
