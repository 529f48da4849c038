/* QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear: floats to small numbers and back. */
#include <math.h>
#include <string.h>

#include "base/narrow.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

/* As they are held: int8 is also int4 and int2, float also float8 and float4. */
#define QUANTIZED                                                                                  \
    (COP_TYPE_BIT(INT8) | COP_TYPE_BIT(UINT8) | COP_TYPE_BIT(INT16) | COP_TYPE_BIT(UINT16) |       \
     COP_TYPE_BIT(FLOAT))
#define SCALES (COP_TYPE_BIT(FLOAT) | COP_TYPE_BIT(INT32))

typedef struct quantize_params {
    int64_t axis, block;
    coppice_type to;        /* attribute output_dtype; UNDEFINED: not given */
    coppice_type precision; /* of the division; UNDEFINED: that of the scale */
    bool saturate;
} quantize_params;

static coppice_status parse_type(const cop_call *call, const char *name, coppice_type *out) {
    int64_t type;
    COP_TRY(cop_node_int(call->node, name, 0, &type, call->err));
    coppice_type wide = type >= 0 && type < 32 ? cop_wide_type((coppice_type)type) : 0;
    if (type != 0 && !(QUANTIZED >> wide & 1) && type != COPPICE_TYPE_DOUBLE)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute '%s' is %lld (%s)", name,
                        (long long)type, coppice_type_name((coppice_type)type));
    *out = (coppice_type)type;
    return COPPICE_OK;
}

static coppice_status quantize_parse(const cop_call *call, void *params) {
    quantize_params *p = params;
    COP_TRY(cop_node_int(call->node, "axis", 1, &p->axis, call->err));
    COP_TRY(cop_node_int(call->node, "block_size", 0, &p->block, call->err));
    COP_TRY(cop_attr_bool(call, "saturate", true, &p->saturate));
    COP_TRY(parse_type(call, "precision", &p->precision));
    if (p->block < 0)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'block_size' is %lld",
                        (long long)p->block);
    return parse_type(call, "output_dtype", &p->to);
}

/* ---- which scale belongs to which element ---- */

/* Rows of elements that lie beside each other, and their scales. */
typedef struct granularity {
    size_t rows, length;       /* the last row of an axis may be shorter: see row_at */
    size_t axis, block, inner; /* sizes: of the axis, of a block (1: none), behind the axis */
    size_t blocks;             /* along the axis */
    bool one, last;            /* one scale for all; the axis is the last dimension */
} granularity;

typedef struct row {
    size_t first, length, scale; /* elements; index of the first scale */
    size_t step;                 /* 1: each element has its scale; 0: one for the row */
} row;

static coppice_status resolve_blocks(const cop_call *call, int axis, granularity *g) {
    const quantize_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *scale = cop_in(call, 1);
    bool fits = scale->rank == x->rank && p->block > 0;
    g->block = (size_t)p->block;
    g->blocks = fits ? (g->axis + g->block - 1) / g->block : 0;
    for (uint32_t d = 0; fits && d < x->rank; d++)
        fits = scale->dims[d] == ((int)d == axis ? (int64_t)g->blocks : x->dims[d]);
    if (fits)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "the scale '%s' is %s, which does not fit %s with axis %d and block_size %lld",
                    cop_in_name(call, 1), cop_shape_text(scale).s, cop_shape_text(x).s, axis,
                    (long long)p->block);
}

static coppice_status resolve(const cop_call *call, granularity *g) {
    const quantize_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0), *scale = cop_in(call, 1);
    int64_t count = coppice_tensor_count(x), wanted = p->axis;
    int axis;
    *g = (granularity){.rows = 1, .length = (size_t)count, .block = 1};
    if (coppice_tensor_count(scale) == 1 && (p->block == 0 || scale->rank != x->rank)) {
        g->one = true;
        return COPPICE_OK;
    }
    if (x->rank == 1 && p->block == 0)
        wanted = 0;
    COP_TRY(cop_axis(call, wanted, x->rank, &axis));
    g->axis = (size_t)x->dims[axis];
    g->inner = 1;
    for (uint32_t d = (uint32_t)axis + 1; d < x->rank; d++)
        g->inner *= (size_t)x->dims[d];
    g->last = g->inner == 1;
    size_t outer = count ? (size_t)count / (g->axis * g->inner) : 0;
    if (p->block > 0 || scale->rank > 1) {
        COP_TRY(resolve_blocks(call, axis, g));
        g->rows = outer * (g->last ? g->blocks : g->axis);
        g->length = g->last ? cop_smaller(g->block, g->axis) : g->inner;
        return COPPICE_OK;
    }
    g->rows = outer * (g->last ? 1 : g->axis);
    g->length = g->last ? g->axis : g->inner;
    if (scale->rank == 1 && scale->dims[0] == x->dims[axis])
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "the scale '%s' is %s, expected one number or [%lld] for axis %d of %s",
                    cop_in_name(call, 1), cop_shape_text(scale).s, (long long)x->dims[axis], axis,
                    cop_shape_text(x).s);
}

static row row_at(const granularity *g, size_t index) {
    if (g->blocks && g->last) { /* one block */
        size_t outer = index / g->blocks, block = index % g->blocks, from = block * g->block;
        size_t length = g->axis - from < g->block ? g->axis - from : g->block;
        return (row){outer * g->axis + from, length, index, 0};
    }
    if (g->blocks) { /* what is behind the axis, with scales for each */
        size_t outer = index / g->axis, at = index % g->axis;
        return (row){index * g->inner, g->inner, (outer * g->blocks + at / g->block) * g->inner, 1};
    }
    if (g->last) /* the axis */
        return (row){index * g->axis, g->axis, 0, 1};
    return (row){index * g->length, g->length, g->one ? 0 : index % g->axis, 0};
}

/* ---- checks that both directions share ---- */

static coppice_status check_operands(const cop_call *call) {
    const coppice_tensor *scale = cop_in(call, 1), *zero = cop_in(call, 2);
    granularity g;
    COP_TRY(cop_need_type(call, 1, SCALES));
    COP_TRY(resolve(call, &g));
    if (call->opset < 13 && !g.one)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "the scale '%s' is %s; before opset 13 it is one number",
                        cop_in_name(call, 1), cop_shape_text(scale).s);
    if (zero && coppice_tensor_count(zero) != coppice_tensor_count(scale))
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "the zero point '%s' is %s, the scale '%s' is %s", cop_in_name(call, 2),
                        cop_shape_text(zero).s, cop_in_name(call, 1), cop_shape_text(scale).s);
    return COPPICE_OK;
}

/* Scales and zero points as floats. */
static size_t quantize_scratch(const cop_call *call) {
    return 2 * (size_t)coppice_tensor_count(cop_in(call, 1)) * sizeof(float);
}

static void read_floats(const coppice_tensor *from, size_t count, float *to) {
    for (size_t i = 0; i < count; i++)
        to[i] = from ? (float)cop_tensor_get(from, (int64_t)i) : 0;
}

typedef struct quantize_job {
    const coppice_tensor *x, *y;
    granularity g;
    const float *scale, *zero;
    float low, high;        /* of the integers that are wanted */
    coppice_type narrow;    /* float type that is wanted, else UNDEFINED */
    coppice_type precision; /* narrow type that the quotient is rounded to, else UNDEFINED */
    cop_narrowing how;
} quantize_job;

enum { CHUNK = 512 };

/* `n` elements of any type that is quantized, as floats. */
#define WIDEN(id, T)                                                                               \
    case COPPICE_TYPE_##id:                                                                        \
        for (size_t j = 0; j < n; j++)                                                             \
            to[j] = (float)((const T *)from->data)[first + j];                                     \
        break;

static void widen(const coppice_tensor *from, size_t first, size_t n, float *to) {
    switch ((int)from->type) {
        WIDEN(FLOAT, float)
        WIDEN(INT8, int8_t)
        WIDEN(UINT8, uint8_t)
        WIDEN(INT16, int16_t)
        WIDEN(UINT16, uint16_t)
        WIDEN(INT32, int32_t)
    }
}

/* Runs `chunk` over all rows, in threads, some elements at a time. */
typedef void (*chunk_fn)(const quantize_job *job, size_t first, size_t n, const float *scale,
                         const float *zero, size_t step);

typedef struct rows_job {
    const quantize_job *job;
    chunk_fn chunk;
} rows_job;

static void run_part(const rows_job *rows, row r, size_t begin, size_t end) {
    for (size_t at = begin; at < end; at += CHUNK) {
        size_t n = end - at < CHUNK ? end - at : CHUNK, scale = r.scale + r.step * at;
        rows->chunk(rows->job, r.first + at, n, rows->job->scale + scale, rows->job->zero + scale,
                    r.step);
    }
}

static void run_rows(void *context, size_t begin, size_t end) {
    const rows_job *rows = context;
    for (size_t i = begin; i < end; i++) {
        row r = row_at(&rows->job->g, i);
        run_part(rows, r, 0, r.length);
    }
}

static void run_one_row(void *context, size_t begin, size_t end) {
    const rows_job *rows = context;
    run_part(rows, row_at(&rows->job->g, 0), begin, end);
}

static void run_chunks(const cop_call *call, const quantize_job *job, chunk_fn chunk) {
    rows_job rows = {job, chunk};
    if (job->g.rows == 1)
        cop_parallel_for(call->pool, job->g.length, cop_grain(2), run_one_row, &rows);
    else
        cop_parallel_for(call->pool, job->g.rows, cop_grain(job->g.length), run_rows, &rows);
}

static void take_scales(const cop_call *call, quantize_job *job) {
    size_t count = (size_t)coppice_tensor_count(cop_in(call, 1));
    float *scratch = call->scratch;
    read_floats(cop_in(call, 1), count, scratch);
    read_floats(cop_in(call, 2), count, scratch + count);
    job->scale = scratch;
    job->zero = scratch + count;
}

/* ---- QuantizeLinear ---- */

/* The type that is wanted: that of the zero point, or as the attribute says, or uint8. */
static coppice_type quantized_type(const cop_call *call) {
    const quantize_params *p = call->params;
    if (cop_in(call, 2))
        return cop_onnx_type(call->in[2]);
    return p->to ? p->to : COPPICE_TYPE_UINT8;
}

static bool integer_range(coppice_type type, float *low, float *high) {
    unsigned bits = coppice_type_bits(type);
    switch ((int)type) {
    case COPPICE_TYPE_UINT8:
    case COPPICE_TYPE_UINT16:
    case COPPICE_TYPE_UINT4:
    case COPPICE_TYPE_UINT2:
        *low = 0;
        *high = (float)((1 << bits) - 1);
        return true;
    case COPPICE_TYPE_INT8:
    case COPPICE_TYPE_INT16:
    case COPPICE_TYPE_INT4:
    case COPPICE_TYPE_INT2:
        *low = (float)-(1 << (bits - 1));
        *high = (float)((1 << (bits - 1)) - 1);
        return true;
    default:
        return false;
    }
}

static coppice_status quantizelinear_infer(cop_call *call) {
    const quantize_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    float low, high;
    COP_TRY(check_operands(call));
    coppice_type to = quantized_type(call);
    if (p->to && to != p->to)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "attribute 'output_dtype' is %s, the zero point '%s' is %s",
                        coppice_type_name(p->to), cop_in_name(call, 2), coppice_type_name(to));
    bool small_float = cop_wide_type(to) == COPPICE_TYPE_FLOAT && coppice_type_bits(to) <= 8;
    if (!integer_range(to, &low, &high) && !small_float)
        return cop_fail(call->err, COPPICE_UNSUPPORTED, "quantizing to type %s",
                        coppice_type_name(to));
    cop_set_out(call, 0, cop_wide_type(to), x->rank, x->dims);
    call->out[0].narrow = to;
    return COPPICE_OK;
}

/* Clamped first, so that adding and taking away 1.5 * 2^23 rounds to nearest even. */
#define STORE_ROUNDED(id, T)                                                                       \
    case COPPICE_TYPE_##id:                                                                        \
        for (size_t j = 0; j < n; j++)                                                             \
            ((T *)job->y->data)[first + j] =                                                       \
                (T)(int32_t)((q[j] + 12582912.0f) - 12582912.0f + zero[j * step]);                 \
        break;

static void store_integers(const quantize_job *job, size_t first, size_t n, float *q,
                           const float *zero, size_t step) {
    for (size_t j = 0; j < n; j++) {
        float low = job->low - zero[j * step], high = job->high - zero[j * step];
        q[j] = q[j] > low ? q[j] : low; /* NaN too */
        q[j] = q[j] < high ? q[j] : high;
    }
    switch ((int)job->y->type) {
        STORE_ROUNDED(INT8, int8_t)
        STORE_ROUNDED(UINT8, uint8_t)
        STORE_ROUNDED(INT16, int16_t)
        STORE_ROUNDED(UINT16, uint16_t)
    }
}

static void quantize_chunk(const quantize_job *job, size_t first, size_t n, const float *scale,
                           const float *zero, size_t step) {
    float q[CHUNK];
    widen(job->x, first, n, q);
    for (size_t j = 0; j < n; j++)
        q[j] /= scale[j * step];
    if (job->precision)
        cop_narrow_round(job->precision, q, n, job->how);
    if (!job->narrow) {
        store_integers(job, first, n, q, zero, step);
        return;
    }
    for (size_t j = 0; j < n; j++)
        q[j] += zero[j * step];
    cop_narrow_round(job->narrow, q, n, job->how);
    memcpy((float *)job->y->data + first, q, n * sizeof *q);
}

static bool is_half(coppice_type type) {
    return type == COPPICE_TYPE_FLOAT16 || type == COPPICE_TYPE_BFLOAT16;
}

static coppice_status quantizelinear_run(const cop_call *call) {
    const quantize_params *p = call->params;
    coppice_type to = quantized_type(call);
    quantize_job job = {.x = cop_in(call, 0), .y = cop_out(call, 0), .how = {p->saturate, 0}};
    COP_TRY(resolve(call, &job.g));
    take_scales(call, &job);
    if (!integer_range(to, &job.low, &job.high))
        job.narrow = to;
    coppice_type precision = p->precision ? p->precision : cop_onnx_type(call->in[1]);
    if (is_half(precision) && (p->precision || cop_onnx_type(call->in[0]) == precision))
        job.precision = precision;
    run_chunks(call, &job, quantize_chunk);
    return COPPICE_OK;
}

/* ---- DequantizeLinear ---- */

static coppice_status dequantizelinear_infer(cop_call *call) {
    const quantize_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    COP_TRY(check_operands(call));
    coppice_type to = p->to ? p->to : cop_onnx_type(call->in[1]);
    if (to != COPPICE_TYPE_FLOAT && !is_half(to))
        to = COPPICE_TYPE_FLOAT;
    if (cop_in(call, 2))
        COP_TRY(cop_need_type(call, 2, COP_TYPE_BIT(INT32) | 1u << x->type));
    cop_set_out(call, 0, COPPICE_TYPE_FLOAT, x->rank, x->dims);
    call->out[0].narrow = to;
    return COPPICE_OK;
}

static void dequantize_chunk(const quantize_job *job, size_t first, size_t n, const float *scale,
                             const float *zero, size_t step) {
    float *y = (float *)job->y->data + first;
    widen(job->x, first, n, y);
    for (size_t j = 0; j < n; j++)
        y[j] = (y[j] - zero[j * step]) * scale[j * step];
}

static coppice_status dequantizelinear_run(const cop_call *call) {
    quantize_job job = {.x = cop_in(call, 0), .y = cop_out(call, 0)};
    COP_TRY(resolve(call, &job.g));
    take_scales(call, &job);
    run_chunks(call, &job, dequantize_chunk);
    return COPPICE_OK;
}

/* ---- DynamicQuantizeLinear ---- */

static coppice_status dynamicquantizelinear_infer(cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0);
    cop_set_out(call, 0, COPPICE_TYPE_UINT8, x->rank, x->dims);
    cop_set_out(call, 1, COPPICE_TYPE_FLOAT, 0, NULL);
    cop_set_out(call, 2, COPPICE_TYPE_UINT8, 0, NULL);
    return COPPICE_OK;
}

static coppice_status dynamicquantizelinear_run(const cop_call *call) {
    const coppice_tensor *x = cop_in(call, 0);
    const float *values = x->data;
    size_t count = (size_t)coppice_tensor_count(x);
    float least = 0, most = 0;
    for (size_t i = 0; i < count; i++) {
        least = values[i] < least ? values[i] : least;
        most = values[i] > most ? values[i] : most;
    }
    float scale = (least == most ? 1 : most - least) / 255;
    float zero = rintf(fminf(255, fmaxf(0, -least / scale)));
    const coppice_tensor *y_scale = cop_out(call, 1), *y_zero = cop_out(call, 2);
    if (y_scale && y_scale->data)
        *(float *)y_scale->data = scale;
    if (y_zero && y_zero->data)
        *(uint8_t *)y_zero->data = (uint8_t)zero;
    quantize_job job = {.x = x,
                        .y = cop_out(call, 0),
                        .g = {.rows = 1, .length = count, .one = true},
                        .scale = &scale,
                        .zero = &zero,
                        .high = 255};
    if (job.y->data)
        run_chunks(call, &job, quantize_chunk);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_quantize[] = {
    {.name = "DequantizeLinear", .since = 10, .min_inputs = 2, .max_inputs = 3, .max_outputs = 1,
     .types = QUANTIZED | COP_TYPE_BIT(INT32), PARSE(quantize, quantize_params),
     INFER(dequantizelinear), RUN(dequantizelinear), .scratch = quantize_scratch},
    {.name = "DynamicQuantizeLinear", .since = 11, .min_inputs = 1, .max_inputs = 1,
     .max_outputs = 3, .types = F32, INFER(dynamicquantizelinear), RUN(dynamicquantizelinear)},
    {.name = "QuantizeLinear", .since = 10, .min_inputs = 2, .max_inputs = 3, .max_outputs = 1,
     .types = F32 | COP_TYPE_BIT(INT32), PARSE(quantize, quantize_params), INFER(quantizelinear),
     RUN(quantizelinear), .scratch = quantize_scratch},
    {.name = NULL},
};
/* clang-format on */
