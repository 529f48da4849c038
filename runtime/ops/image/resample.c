/* Resampling along one axis after the other, by tables of positions and weights. */
#include "runtime/ops/image/resample.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

/* ---- positions ---- */

/* Where output `at` lies in the input. The length of an output is a whole number, not the product
 * of length and scale, as in ONNX Runtime and PyTorch. */
static double source(const cop_resample_rule *rule, const cop_resample_axis *a, int64_t at) {
    double y = (double)at, in = (double)a->in, out = (double)a->out;
    double half = (y + 0.5) * a->denominator / a->numerator - 0.5;
    switch (rule->coordinates) {
    case COP_COORDINATES_ALIGN_CORNERS:
        return out == 1 ? 0 : y * (in - 1) / (out - 1);
    case COP_COORDINATES_ASYMMETRIC:
        return y * a->denominator / a->numerator;
    case COP_COORDINATES_PYTORCH_HALF_PIXEL:
        return out == 1 ? 0 : half;
    case COP_COORDINATES_HALF_PIXEL_SYMMETRIC:
        return in / 2 * (1 - out / (in * a->numerator / a->denominator)) + half;
    case COP_COORDINATES_TF_HALF_PIXEL_FOR_NN:
        return half + 0.5;
    case COP_COORDINATES_TF_CROP_AND_RESIZE:
        if (out == 1)
            return (a->begin + a->end) * (in - 1) / 2;
        return a->begin * (in - 1) + y * (a->end - a->begin) * (in - 1) / (out - 1);
    default:
        return half;
    }
}

static double nearest(const cop_resample_rule *rule, const cop_resample_axis *a, double x) {
    switch (rule->rounding) {
    case COP_ROUND_PREFER_CEIL:
        return floor(x + 0.5);
    case COP_ROUND_FLOOR:
        return floor(x);
    case COP_ROUND_CEIL:
        return ceil(x);
    case COP_ROUND_SIMPLE:
        return a->numerator < a->denominator ? ceil(x) : floor(x);
    default:
        return ceil(x - 0.5);
    }
}

/* ---- weights ---- */

static double cubic(double a, double x) {
    x = fabs(x);
    if (x <= 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

static double weight_at(const cop_resample_rule *rule, double distance) {
    if (rule->mode == COP_RESAMPLE_CUBIC)
        return cubic(rule->cubic_a, distance);
    double weight = 1 - fabs(distance);
    return weight > 0 ? weight : 0;
}

/* For every output of an axis: `taps` inputs and their weights. */
typedef struct table {
    size_t in, out, taps;
    bool doubled;   /* NEAREST: each input twice */
    int64_t *index; /* [out][taps] */
    double *weight; /* [out][taps] */
    float *narrow;  /* the same */
    bool *outside;  /* [out]: gets the extrapolation value */
} table;

/* What is left of scratch. */
typedef struct room {
    char *at;
    size_t left;
} room;

/* NULL when there is not enough, which cop_resample_scratch rules out. */
static void *take(room *r, size_t bytes) {
    void *taken = r->at;
    bytes = cop_round_up(bytes, 64);
    if (bytes > r->left)
        return NULL;
    r->at += bytes;
    r->left -= bytes;
    return taken;
}

static int64_t clamp_index(double at, int64_t size) {
    return at <= 0 ? 0 : at >= (double)(size - 1) ? size - 1 : (int64_t)at;
}

/* Weights of one output: taps start at floor(x) + first and are `shrink` apart. */
static void fill_weights(const cop_resample_rule *rule, const cop_resample_axis *a, table *t,
                         size_t at, double first, double shrink) {
    double x = source(rule, a, (int64_t)at), base = floor(x), sum = 0;
    int64_t *index = t->index + at * t->taps;
    double *weight = t->weight + at * t->taps;
    for (size_t k = 0; k < t->taps; k++) {
        double place = base + first + (double)k;
        weight[k] = weight_at(rule, (place - x) * shrink);
        if (rule->exclude_outside && (place < 0 || place > (double)(a->in - 1)))
            weight[k] = 0;
        sum += weight[k];
        index[k] = clamp_index(place, a->in);
    }
    for (size_t k = 0; k < t->taps; k++) {
        if ((rule->antialias || rule->exclude_outside) && sum != 0)
            weight[k] /= sum;
        t->narrow[at * t->taps + k] = (float)weight[k];
    }
}

/* Where the first of the taps lies, seen from the input before the position of an output. */
static double first_tap(const cop_resample_rule *rule, double scale) {
    double shrink = rule->antialias && scale < 1 ? scale : 1;
    double reach = rule->mode == COP_RESAMPLE_CUBIC ? 2 : 1;
    return floor(-reach / shrink) + 1;
}

static size_t count_taps(const cop_resample_rule *rule, double scale) {
    double first = first_tap(rule, scale);
    if (rule->mode == COP_RESAMPLE_NEAREST)
        return 1;
    return first < -(double)(1 << 30) ? SIZE_MAX : (size_t)(2 - 2 * first);
}

static coppice_status make_table(const cop_resample_rule *rule, const cop_resample_axis *a,
                                 table *t, room *r, coppice_error *err) {
    double scale = a->numerator / a->denominator, first = first_tap(rule, scale);
    double shrink = rule->antialias && scale < 1 ? scale : 1;
    size_t bytes;
    *t = (table){.in = (size_t)a->in, .out = (size_t)a->out, .taps = count_taps(rule, scale)};
    if (!cop_size_mul(t->taps, t->out, &bytes) || !cop_size_mul(bytes, sizeof(double), &bytes))
        return cop_fail(err, COPPICE_LIMIT, "%zu elements from %zu are too many", t->out, t->in);
    t->index = take(r, bytes);
    t->weight = take(r, bytes);
    t->narrow = take(r, bytes / 2);
    t->outside = take(r, t->out);
    if (!t->index || !t->weight || !t->narrow || !t->outside)
        return cop_fail_memory(err, bytes);
    memset(t->outside, 0, t->out);
    t->doubled = t->out == 2 * t->in && rule->mode == COP_RESAMPLE_NEAREST;
    for (size_t i = 0; i < t->out; i++) {
        double x = source(rule, a, (int64_t)i);
        if (rule->coordinates == COP_COORDINATES_TF_CROP_AND_RESIZE)
            t->outside[i] = x < 0 || x > (double)(a->in - 1);
        if (rule->mode == COP_RESAMPLE_NEAREST)
            t->index[i] = clamp_index(nearest(rule, a, (float)x), a->in); /* scales are floats */
        else
            fill_weights(rule, a, t, i, first, shrink);
        t->doubled = t->doubled && t->index[i] == (int64_t)(i / 2);
    }
    return COPPICE_OK;
}

/* ---- one pass: [outer][in][inner] -> [outer][out][inner] ---- */

typedef struct pass {
    const table *t;
    size_t inner, bytes; /* of an element */
    const void *x;
    void *y;
    const void *outside; /* the element that outputs outside of the input get */
} pass;

static void fill_elements(void *y, const void *element, size_t bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        memcpy((char *)y + i * bytes, element, bytes);
}

#define GATHER_ROW(T)                                                                              \
    static void gather_row_##T(const table *t, const T *restrict x, T *restrict y) {               \
        if (t->doubled) {                                                                          \
            for (size_t i = 0; i < t->in; i++)                                                     \
                y[2 * i] = y[2 * i + 1] = x[i];                                                    \
            return;                                                                                \
        }                                                                                          \
        for (size_t i = 0; i < t->out; i++)                                                        \
            y[i] = x[t->index[i]];                                                                 \
    }

GATHER_ROW(uint8_t)
GATHER_ROW(uint32_t)

static void gather_row(const pass *p, const char *x, char *y) {
    if (p->bytes == 4) {
        gather_row_uint32_t(p->t, (const uint32_t *)x, (uint32_t *)y);
        return;
    }
    if (p->bytes == 1) {
        gather_row_uint8_t(p->t, (const uint8_t *)x, (uint8_t *)y);
        return;
    }
    for (size_t i = 0; i < p->t->out; i++)
        memcpy(y + i * p->bytes, x + (size_t)p->t->index[i] * p->bytes, p->bytes);
}

/* Items: rows of outputs when inner is 1, else [outer][out]. */
static void nearest_items(void *context, size_t begin, size_t end) {
    const pass *p = context;
    const table *t = p->t;
    size_t row = p->inner * p->bytes;
    for (size_t item = begin; item < end; item++) {
        if (p->inner == 1) {
            gather_row(p, (const char *)p->x + item * t->in * row,
                       (char *)p->y + item * t->out * row);
            continue;
        }
        size_t at = (size_t)t->index[item % t->out];
        memcpy((char *)p->y + item * row, (const char *)p->x + (item / t->out * t->in + at) * row,
               row);
    }
}

#define WEIGHTED(T, WEIGHTS)                                                                       \
    static void weighted_row_##T(const table *t, const T *restrict x, T *restrict y) {             \
        const T *w = t->WEIGHTS;                                                                   \
        const int64_t *index = t->index;                                                           \
        if (t->taps == 2) {                                                                        \
            for (size_t i = 0; i < t->out; i++)                                                    \
                y[i] = w[2 * i] * x[index[2 * i]] + w[2 * i + 1] * x[index[2 * i + 1]];            \
            return;                                                                                \
        }                                                                                          \
        for (size_t i = 0; i < t->out; i++, w += t->taps, index += t->taps) {                      \
            T sum = 0;                                                                             \
            for (size_t k = 0; k < t->taps; k++)                                                   \
                sum += w[k] * x[index[k]];                                                         \
            y[i] = sum;                                                                            \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    static void weighted_sum_##T(const table *t, size_t at, const T *restrict x, T *restrict y,    \
                                 size_t inner) {                                                   \
        const T *w = t->WEIGHTS + at * t->taps;                                                    \
        const int64_t *index = t->index + at * t->taps;                                            \
        const T *a = x + (size_t)index[0] * inner, *b = x + (size_t)index[1] * inner;              \
        T wa = w[0], wb = w[1];                                                                    \
        for (size_t i = 0; i < inner; i++)                                                         \
            y[i] = wa * a[i] + wb * b[i];                                                          \
        for (size_t k = 2; k < t->taps; k++) {                                                     \
            a = x + (size_t)index[k] * inner;                                                      \
            wa = w[k];                                                                             \
            for (size_t i = 0; i < inner; i++)                                                     \
                y[i] += wa * a[i];                                                                 \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    static void weighted_items_##T(void *context, size_t begin, size_t end) {                      \
        const pass *p = context;                                                                   \
        const table *t = p->t;                                                                     \
        for (size_t item = begin; item < end; item++) {                                            \
            if (p->inner == 1)                                                                     \
                weighted_row_##T(t, (const T *)p->x + item * t->in, (T *)p->y + item * t->out);    \
            else                                                                                   \
                weighted_sum_##T(t, item % t->out,                                                 \
                                 (const T *)p->x + item / t->out * t->in * p->inner,               \
                                 (T *)p->y + item * p->inner, p->inner);                           \
        }                                                                                          \
    }

WEIGHTED(float, narrow)
WEIGHTED(double, weight)

/* Puts the value for outputs outside of the input where it belongs. */
static void fill_outside(const pass *p, size_t outer) {
    size_t row = p->inner * p->bytes;
    for (size_t i = 0; i < p->t->out; i++) {
        for (size_t o = 0; p->t->outside[i] && o < outer; o++)
            fill_elements((char *)p->y + (o * p->t->out + i) * row, p->outside, p->bytes, p->inner);
    }
}

static void run_pass(const cop_resample_rule *rule, pass *p, size_t outer, bool wide,
                     const coppice_threadpool *pool) {
    bool is_nearest = rule->mode == COP_RESAMPLE_NEAREST;
    size_t items = p->inner == 1 ? outer : outer * p->t->out;
    size_t each = (p->inner == 1 ? p->t->out : p->inner) * p->t->taps;
    cop_parallel_for(pool, items, cop_grain(each),
                     is_nearest ? nearest_items
                     : wide     ? weighted_items_double
                                : weighted_items_float,
                     p);
    if (rule->coordinates == COP_COORDINATES_TF_CROP_AND_RESIZE)
        fill_outside(p, outer);
}

/* ---- types ---- */

/* X(type, C type, smallest, largest) */
#define WHOLE_TYPES(X)                                                                             \
    X(INT8, int8_t, INT8_MIN, INT8_MAX)                                                            \
    X(UINT8, uint8_t, 0, UINT8_MAX)                                                                \
    X(INT16, int16_t, INT16_MIN, INT16_MAX)                                                        \
    X(UINT16, uint16_t, 0, UINT16_MAX)                                                             \
    X(INT32, int32_t, INT32_MIN, INT32_MAX)                                                        \
    X(UINT32, uint32_t, 0, UINT32_MAX)                                                             \
    X(INT64, int64_t, INT64_MIN, INT64_MAX)                                                        \
    X(UINT64, uint64_t, 0, UINT64_MAX)

/* One number as an element of `type`, rounded and within its range. */
static void put_number(coppice_type type, void *to, double value) {
    float narrow = (float)value;
    double whole = nearbyint(value);
    if (type == COPPICE_TYPE_FLOAT)
        memcpy(to, &narrow, sizeof narrow);
    if (type == COPPICE_TYPE_DOUBLE)
        memcpy(to, &value, sizeof value);
#define PUT(name, T, low, high)                                                                    \
    if (type == COPPICE_TYPE_##name) {                                                             \
        T n = whole <= (double)(low) ? (low) : whole >= (double)(high) ? (high) : (T)whole;        \
        memcpy(to, &n, sizeof n);                                                                  \
    }
    WHOLE_TYPES(PUT)
#undef PUT
}

static double *widened(const coppice_tensor *t, room *r) {
    int64_t count = coppice_tensor_count(t);
    double *to = take(r, (size_t)count * sizeof *to);
    for (int64_t i = 0; to && i < count; i++)
        to[i] = cop_tensor_get(t, i);
    return to;
}

/* ---- all axes ---- */

typedef struct order {
    int axes[COPPICE_MAX_RANK]; /* dims in the order of memory */
    int passes[COPPICE_MAX_RANK], count;
} order;

/* Axes that shrink first, and the innermost of equals first: what is in between stays small. */
static order order_axes(const cop_operand *in, const cop_resample_rule *rule,
                        const cop_resample_axis *axes) {
    order o = {.count = 0};
    int rank = (int)in->t.rank;
    int64_t strides[COPPICE_MAX_RANK];
    cop_operand_strides(in, strides);
    for (int d = 0; d < rank; d++)
        o.axes[d] = d;
    if (in->layout == COP_LAYOUT_NHWC) {
        memmove(o.axes + 1, o.axes + 2, (size_t)(rank - 2) * sizeof *o.axes);
        o.axes[rank - 1] = 1;
    }
    for (int i = rank; i-- > 0;) {
        const cop_resample_axis *a = &axes[o.axes[i]];
        bool crop = rule->coordinates == COP_COORDINATES_TF_CROP_AND_RESIZE &&
                    (a->begin != 0 || a->end != 1);
        if (a->numerator == a->denominator && a->in == a->out && !crop)
            continue;
        int at = o.count++;
        double scale = (double)a->out / (double)a->in;
        for (; at > 0; at--) {
            const cop_resample_axis *b = &axes[o.axes[o.passes[at - 1]]];
            if ((double)b->out / (double)b->in <= scale)
                break;
            o.passes[at] = o.passes[at - 1];
        }
        o.passes[at] = i;
    }
    return o;
}

/* Runs pass `k` into `to`. */
static coppice_status one_axis(const cop_resample_rule *rule, const cop_resample_axis *axes,
                               const order *o, int k, int64_t *dims, int rank, pass *p, bool wide,
                               void *to, room r, const coppice_threadpool *pool,
                               coppice_error *err) {
    table t;
    size_t outer = 1;
    int at = o->passes[k];
    const cop_resample_axis *axis = &axes[o->axes[at]];
    p->inner = 1;
    for (int d = 0; d < rank; d++)
        *(d < at ? &outer : &p->inner) *= d == at ? 1 : (size_t)dims[d];
    dims[at] = axis->out;
    COP_TRY(make_table(rule, axis, &t, &r, err));
    p->t = &t;
    p->y = to;
    run_pass(rule, p, outer, wide, pool);
    p->x = p->y;
    return COPPICE_OK;
}

/* Bytes of the largest value between two passes. */
static bool largest_between(const cop_resample_axis *axes, const order *o, int rank, size_t element,
                            size_t *largest) {
    size_t dims[COPPICE_MAX_RANK];
    *largest = 0;
    for (int d = 0; d < rank; d++)
        dims[d] = (size_t)axes[o->axes[d]].in;
    for (int k = 0; k + 1 < o->count; k++) {
        size_t bytes = element;
        dims[o->passes[k]] = (size_t)axes[o->axes[o->passes[k]]].out;
        for (int d = 0; d < rank; d++) {
            if (!cop_size_mul(bytes, dims[d], &bytes))
                return false;
        }
        *largest = bytes > *largest ? bytes : *largest;
    }
    return true;
}

/* From x to y, both of elements of `bytes`. What is in between lies in two places in turns. */
static coppice_status all_axes(const cop_resample_rule *rule, const cop_resample_axis *axes,
                               const cop_operand *in, pass *p, bool wide, void *y, room r,
                               const coppice_threadpool *pool, coppice_error *err) {
    order o = order_axes(in, rule, axes);
    int rank = (int)in->t.rank;
    int64_t dims[COPPICE_MAX_RANK];
    size_t largest;
    if (!largest_between(axes, &o, rank, p->bytes, &largest))
        return cop_fail(err, COPPICE_LIMIT, "too many elements");
    void *between[] = {take(&r, largest), take(&r, largest)};
    if (!between[0] || !between[1])
        return cop_fail_memory(err, largest);
    for (int d = 0; d < rank; d++)
        dims[d] = in->t.dims[o.axes[d]];
    if (o.count == 0)
        memcpy(y, p->x, (size_t)coppice_tensor_count(&in->t) * p->bytes);
    for (int k = 0; k < o.count; k++) {
        void *to = k == o.count - 1 ? y : between[k % 2];
        COP_TRY(one_axis(rule, axes, &o, k, dims, rank, p, wide, to, r, pool, err));
    }
    return COPPICE_OK;
}

/* By way of doubles, for types that are not computed in. */
static coppice_status resample_numbers(const cop_resample_rule *rule, const cop_resample_axis *axes,
                                       const cop_operand *in, const cop_operand *out, room r,
                                       const coppice_threadpool *pool, coppice_error *err) {
    int64_t count = coppice_tensor_count(&out->t);
    size_t bytes = cop_type_bytes(out->t.type);
    double *x = widened(&in->t, &r), *y = take(&r, (size_t)count * sizeof *y);
    if (!x || !y)
        return cop_fail_memory(err, (size_t)count * sizeof *y);
    pass p = {.bytes = sizeof *x, .x = x, .outside = &rule->extrapolation};
    COP_TRY(all_axes(rule, axes, in, &p, true, y, r, pool, err));
    for (int64_t i = 0; i < count; i++)
        put_number(out->t.type, (char *)out->t.data + (size_t)i * bytes, y[i]);
    return COPPICE_OK;
}

static bool by_way_of_doubles(const cop_resample_rule *rule, coppice_type type) {
    return rule->mode != COP_RESAMPLE_NEAREST && !cop_is_float_type(type);
}

/* Adds `count` blocks of `bytes`. */
static bool add_blocks(size_t *total, size_t count, size_t bytes) {
    return bytes <= SIZE_MAX / 4 && cop_size_mul(cop_round_up(bytes, 64), count, &bytes) &&
           cop_size_add(*total, bytes, total);
}

/* Scales may be given or follow from sizes; rounding a size changes it by half an element at most.
 * Every axis counts as resampled. */
static bool sum_scratch(const cop_resample_rule *rule, const coppice_tensor *in,
                        const coppice_tensor *out, size_t *total) {
    cop_resample_axis axes[COPPICE_MAX_RANK];
    size_t element = cop_type_bytes(in->type), largest, tables = 0;
    *total = 0;
    for (uint32_t d = 0; d < in->rank; d++) {
        axes[d] = (cop_resample_axis){.in = in->dims[d], .out = out->dims[d], .denominator = 1};
        double scale = ((double)axes[d].out - 0.5) / (double)axes[d].in;
        size_t numbers, sum = 0;
        if (!cop_size_mul(count_taps(rule, scale), (size_t)axes[d].out, &numbers) ||
            numbers > SIZE_MAX / 32 || !add_blocks(&sum, 2, numbers * sizeof(double)) ||
            !add_blocks(&sum, 1, numbers * sizeof(float)) ||
            !add_blocks(&sum, 1, (size_t)axes[d].out))
            return false;
        tables = sum > tables ? sum : tables;
    }
    if (by_way_of_doubles(rule, in->type)) {
        uint64_t most = SIZE_MAX / 32;
        element = sizeof(double);
        if ((uint64_t)coppice_tensor_count(in) > most ||
            (uint64_t)coppice_tensor_count(out) > most ||
            !add_blocks(total, 1, (size_t)coppice_tensor_count(in) * element) ||
            !add_blocks(total, 1, (size_t)coppice_tensor_count(out) * element))
            return false;
    }
    const cop_operand plain = {.t = *in};
    order o = order_axes(&plain, rule, axes);
    return largest_between(axes, &o, (int)in->rank, element, &largest) &&
           add_blocks(total, 2, largest) && cop_size_add(*total, tables, total);
}

size_t cop_resample_scratch(const cop_resample_rule *rule, const coppice_tensor *in,
                            const coppice_tensor *out) {
    size_t total;
    if (coppice_tensor_count(in) <= 0 || coppice_tensor_count(out) <= 0)
        return 0;
    return sum_scratch(rule, in, out, &total) ? total : SIZE_MAX / 2;
}

coppice_status cop_resample(const cop_resample_rule *rule, const cop_resample_axis *axes,
                            const cop_operand *in, const cop_operand *out, void *scratch,
                            const coppice_threadpool *pool, coppice_error *err) {
    coppice_type type = in->t.type;
    _Alignas(16) unsigned char element[16] = {0};
    room r = {scratch, cop_resample_scratch(rule, &in->t, &out->t)};
    if (coppice_tensor_count(&out->t) == 0)
        return COPPICE_OK;
    if (by_way_of_doubles(rule, type))
        return resample_numbers(rule, axes, in, out, r, pool, err);
    put_number(type, element, rule->extrapolation);
    pass p = {.bytes = cop_type_bytes(type), .x = in->t.data, .outside = element};
    return all_axes(rule, axes, in, &p, type == COPPICE_TYPE_DOUBLE, out->t.data, r, pool, err);
}
