/* Unique: distinct elements, or slices along an axis, by sorting their numbers. */
#include <string.h>

#include "base/memory.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/types.h"
#include "runtime/ops/util.h"

typedef struct unique_params {
    int64_t axis;
    bool has_axis, sorted;
} unique_params;

/* Item i is the slice i of [outer][count][inner]. */
typedef struct unique_job {
    const void *data;
    int64_t outer, count, inner;
    size_t bytes;
    int (*compare)(const struct unique_job *job, int64_t a, int64_t b);
    int64_t *order, *spare; /* item numbers */
} unique_job;

/* ---- order of items ---- */

/* NaNs are equal to each other and behind all numbers. */
#define ORDER_NUMBERS(x, y)                                                                        \
    ((x) < (y) ? -1 : (x) > (y) ? 1 : (x) == (y) ? 0 : ((x) != (x)) - ((y) != (y)))

static int order_strings(coppice_string x, coppice_string y) {
    size_t n = cop_smaller(x.length, y.length);
    int order = n ? memcmp(x.data, y.data, n) : 0;
    return order ? order : (x.length > y.length) - (x.length < y.length);
}

#define COMPARE(name, T, ORDER)                                                                    \
    static int compare_##name(const unique_job *job, int64_t a, int64_t b) {                       \
        for (int64_t o = 0; o < job->outer; o++) {                                                 \
            const T *x = (const T *)job->data + (o * job->count + a) * job->inner;                 \
            const T *y = (const T *)job->data + (o * job->count + b) * job->inner;                 \
            for (int64_t i = 0; i < job->inner; i++) {                                             \
                int order = ORDER(x[i], y[i]);                                                     \
                if (order)                                                                         \
                    return order;                                                                  \
            }                                                                                      \
        }                                                                                          \
        return 0;                                                                                  \
    }
#define COMPARE_NUMBERS(T, suffix, TYPE) COMPARE(suffix, T, ORDER_NUMBERS)
EACH_NUMBER(COMPARE_NUMBERS)
COMPARE(string, coppice_string, order_strings)

/* Merge sort of job->order: equal items stay in their order. */
static void sort_items(unique_job *job) {
    for (int64_t width = 1; width < job->count; width *= 2) {
        for (int64_t begin = 0; begin < job->count; begin += 2 * width) {
            int64_t middle = begin + width < job->count ? begin + width : job->count;
            int64_t end = middle + width < job->count ? middle + width : job->count;
            int64_t a = begin, b = middle;
            for (int64_t to = begin; to < end; to++) {
                bool first = b == end ||
                             (a < middle && job->compare(job, job->order[a], job->order[b]) <= 0);
                job->spare[to] = job->order[first ? a++ : b++];
            }
        }
        int64_t *swap = job->order;
        job->order = job->spare;
        job->spare = swap;
    }
}

/* ---- Unique ---- */

static coppice_status unique_parse(const cop_call *call, void *params) {
    unique_params *p = params;
    p->has_axis = cop_node_attr(call->node, "axis") != NULL;
    COP_TRY(cop_attr_bool(call, "sorted", true, &p->sorted));
    return cop_node_int(call->node, "axis", 0, &p->axis, call->err);
}

/* Groups of equal items: spare[first item] = number of the group by value, for the first of each,
 * and inverse[item] = first item. Returns how many there are. */
static int64_t group_items(const unique_job *job, int64_t *first_of) {
    int64_t groups = 0, first = 0;
    for (int64_t i = 0; i < job->count; i++) {
        bool is_new = i == 0 || job->compare(job, job->order[i - 1], job->order[i]) != 0;
        if (is_new)
            first = job->order[i];
        groups += is_new;
        first_of[job->order[i]] = first; /* the sort is stable: the lowest number */
    }
    return groups;
}

/* number[first item] = place in the output; firsts[place] = first item. */
static void number_groups(const unique_job *job, const int64_t *first_of, bool sorted,
                          int64_t *number, int64_t *firsts) {
    int64_t place = 0;
    for (int64_t i = 0; i < job->count; i++) {
        int64_t item = sorted ? job->order[i] : i;
        if (first_of[item] != item)
            continue;
        firsts[place] = item;
        number[item] = place++;
    }
}

static coppice_status write_outputs(const cop_call *call, const unique_job *job,
                                    coppice_tensor *shape, int axis, const int64_t *first_of,
                                    const int64_t *number, const int64_t *firsts, int64_t groups) {
    size_t row = (size_t)job->inner * job->bytes;
    shape->dims[axis] = groups;
    COP_TRY(cop_out_tensor(call, 0, shape->type, shape->rank, shape->dims));
    COP_TRY(cop_out_tensor(call, 1, COPPICE_TYPE_INT64, 1, &groups));
    COP_TRY(cop_out_tensor(call, 2, COPPICE_TYPE_INT64, 1, &job->count));
    COP_TRY(cop_out_tensor(call, 3, COPPICE_TYPE_INT64, 1, &groups));
    char *to = cop_out(call, 0)->data;
    for (int64_t i = 0; to && row && i < job->outer * groups; i++, to += row)
        memcpy(to,
               (const char *)job->data +
                   (size_t)(i / groups * job->count + firsts[i % groups]) * row,
               row);
    int64_t *out[4] = {NULL};
    for (int k = 1; k < 4; k++)
        out[k] = cop_out(call, k) ? cop_out(call, k)->data : NULL;
    if (out[1] && groups)
        memcpy(out[1], firsts, (size_t)groups * sizeof *firsts);
    if (out[3] && groups)
        memset(out[3], 0, (size_t)groups * sizeof *out[3]);
    for (int64_t i = 0; i < job->count; i++) {
        int64_t place = number[first_of[i]];
        if (out[2])
            out[2][i] = place;
        if (out[3])
            out[3][place]++;
    }
    return COPPICE_OK;
}

static coppice_status unique_job_run(const cop_call *call, unique_job *job, coppice_tensor *shape,
                                     int axis) {
    const unique_params *p = call->params;
    size_t bytes = 0;
    if (!cop_size_mul((size_t)job->count, 5 * sizeof(int64_t), &bytes))
        return cop_fail(call->err, COPPICE_LIMIT, "%lld items are too many", (long long)job->count);
    int64_t *memory = cop_malloc(bytes ? bytes : 1), *number, *firsts, *first_of;
    if (!memory)
        return cop_fail_memory(call->err, bytes);
    job->order = memory;
    job->spare = memory + job->count;
    first_of = memory + 2 * job->count;
    number = memory + 3 * job->count;
    firsts = memory + 4 * job->count;
    for (int64_t i = 0; i < job->count; i++)
        job->order[i] = i;
    sort_items(job);
    int64_t groups = group_items(job, first_of);
    number_groups(job, first_of, p->sorted, number, firsts);
    coppice_status status = write_outputs(call, job, shape, axis, first_of, number, firsts, groups);
    cop_free(memory);
    return status;
}

static coppice_status unique_run(const cop_call *call) {
    static int (*const by_type[COP_HELD_TYPES])(const unique_job *, int64_t, int64_t) = {
        NUMERIC_ROWS(compare), [COPPICE_TYPE_BOOL] = compare_u8,
        [COPPICE_TYPE_STRING] = compare_string};
    const unique_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0);
    coppice_tensor shape = *in;
    int axis = 0;
    if (!p->has_axis) {
        shape.rank = 1;
        shape.dims[0] = coppice_tensor_count(in);
    } else {
        COP_TRY(cop_axis(call, p->axis, in->rank, &axis));
    }
    unique_job job = {.data = in->data,
                      .outer = 1,
                      .count = shape.dims[axis],
                      .inner = 1,
                      .bytes = cop_type_bytes(in->type),
                      .compare = by_type[in->type]};
    for (int d = 0; d < (int)shape.rank; d++) {
        job.outer *= d < axis ? shape.dims[d] : 1;
        job.inner *= d > axis ? shape.dims[d] : 1;
    }
    return unique_job_run(call, &job, &shape, axis);
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_unique[] = {
    {.name = "Unique", .since = 11, .min_inputs = 1, .max_inputs = 1, .max_outputs = 4,
     .types = NUMBERS | COP_TYPE_BIT(BOOL) | COP_TYPE_BIT(STRING), .flags = COP_OP_DYNAMIC,
     PARSE(unique, unique_params), RUN(unique)},
    {.name = NULL},
};
/* clang-format on */
