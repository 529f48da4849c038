/* Signals: DFT, STFT, windows, MelWeightMatrix. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/signal/fft.h"
#include "runtime/ops/util.h"

/* ---- transforms of many lines ---- */

enum { SLOTS = 16 };

/* Line (i, j) reads samples i * in_outer + j * in_inner + k * in_step, k below `samples`, and
 * writes likewise; a sample is 1 or 2 elements (real, complex). */
typedef struct lines {
    const coppice_tensor *in, *window; /* window: NULL: none */
    coppice_tensor *out;
    size_t outer, inner, samples, bins; /* bins: samples that are written */
    size_t in_outer, in_inner, in_step, in_parts;
    size_t out_outer, out_inner, out_step, out_parts;
    bool inverse, mirror; /* mirror: the input is half a spectrum, the result is real */
    cop_fft fft;
    cop_complex *memory; /* SLOTS times two buffers */
    size_t first;        /* line of slot 0 */
} lines;

/* The other half of the spectrum of a real signal: complex conjugates. */
static void mirror(cop_complex *x, size_t n) {
    x[0].im = 0;
    if (n % 2 == 0)
        x[n / 2].im = 0;
    for (size_t k = 1; k < n - k; k++)
        x[n - k] = (cop_complex){x[k].re, -x[k].im};
}

static void read_line(const lines *l, size_t at, cop_complex *x) {
    size_t n = l->fft.n, has = l->mirror ? n / 2 + 1 : n;
    has = cop_smaller(has, l->samples);
    for (size_t k = 0; k < has; k++) {
        size_t from = (at + k * l->in_step) * l->in_parts;
        double by = l->window ? cop_float_at(l->window, k) : 1;
        x[k].re = by * cop_float_at(l->in, from);
        x[k].im = l->in_parts == 2 ? by * cop_float_at(l->in, from + 1) : 0;
    }
    memset(x + has, 0, (n - has) * sizeof *x);
    if (l->mirror)
        mirror(x, n);
    for (size_t k = 0; l->inverse && k < n; k++)
        x[k] = (cop_complex){x[k].im, x[k].re};
}

static void write_line(const lines *l, size_t at, const cop_complex *x) {
    double by = l->inverse ? 1 / (double)l->fft.n : 1;
    for (size_t k = 0; k < l->bins; k++) {
        size_t to = (at + k * l->out_step) * l->out_parts;
        cop_set_float(l->out, to, by * (l->inverse ? x[k].im : x[k].re));
        if (l->out_parts == 2)
            cop_set_float(l->out, to + 1, by * (l->inverse ? x[k].re : x[k].im));
    }
}

/* Items: slots. */
static void line_range(void *context, size_t begin, size_t end) {
    const lines *l = context;
    for (size_t slot = begin; slot < end; slot++) {
        size_t i = (l->first + slot) / l->inner, j = (l->first + slot) % l->inner;
        cop_complex *data = l->memory + 2 * slot * l->fft.work;
        read_line(l, i * l->in_outer + j * l->in_inner, data);
        cop_complex *result = cop_fft_run(&l->fft, data, data + l->fft.work);
        write_line(l, i * l->out_outer + j * l->out_inner, result);
    }
}

static coppice_status run_lines(const cop_call *call, lines *l, size_t n) {
    size_t count = l->outer * l->inner, bytes = 0;
    if (count == 0 || l->bins == 0)
        return COPPICE_OK;
    if (!cop_fft_init(&l->fft, n))
        return cop_fail_memory(call->err, n * sizeof *l->memory);
    if (cop_size_mul(2 * cop_smaller(count, SLOTS) * sizeof *l->memory, l->fft.work, &bytes))
        l->memory = cop_malloc(bytes);
    if (!l->memory) {
        cop_fft_free(&l->fft);
        return cop_fail_memory(call->err, bytes);
    }
    for (; l->first < count; l->first += SLOTS)
        cop_parallel_for(call->pool, cop_smaller(count - l->first, SLOTS), cop_grain(16 * n),
                         line_range, l);
    cop_free(l->memory);
    cop_fft_free(&l->fft);
    return COPPICE_OK;
}

/* ---- scalars ---- */

/* A whole number from an input; `absent` when it is left out. */
static coppice_status scalar(const cop_call *call, int i, int64_t absent, int64_t *out) {
    double value;
    bool present;
    *out = absent;
    if (cop_in(call, i) && !cop_is_integer_type(cop_in(call, i)->type))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "input %d ('%s') is %s, expected an integer",
                        i, cop_in_name(call, i), coppice_type_name(cop_in(call, i)->type));
    COP_TRY(cop_input_number(call, i, &value, &present));
    if (present)
        *out = cop_tensor_get_int(cop_in(call, i), 0);
    return COPPICE_OK;
}

/* The same, of at least `least`. */
static coppice_status size_scalar(const cop_call *call, int i, const char *what, int64_t least,
                                  int64_t absent, int64_t *out) {
    COP_TRY(scalar(call, i, absent, out));
    if (*out < least || *out > INT32_MAX)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "%s is %lld, expected %lld or more", what,
                        (long long)*out, (long long)least);
    return COPPICE_OK;
}

/* ---- DFT ---- */

typedef struct dft_params {
    bool inverse, onesided;
    int64_t axis; /* before opset 20 */
} dft_params;

static coppice_status dft_parse(const cop_call *call, void *params) {
    dft_params *p = params;
    COP_TRY(cop_attr_bool(call, "inverse", false, &p->inverse));
    COP_TRY(cop_attr_bool(call, "onesided", false, &p->onesided));
    return cop_node_int(call->node, "axis", 1, &p->axis, call->err);
}

static coppice_status need_parts(const cop_call *call, const coppice_tensor *t) {
    if (t->rank >= 2 && (t->dims[t->rank - 1] == 1 || t->dims[t->rank - 1] == 2))
        return COPPICE_OK;
    return cop_fail(
        call->err, COPPICE_BAD_MODEL,
        "'%s' is %s, expected 2 or more dimensions, the last of 1 (real) or 2 (complex)",
        cop_in_name(call, 0), cop_shape_text(t).s);
}

/* Axis and length of the transform. */
static coppice_status dft_settings(const cop_call *call, int *axis, int64_t *n) {
    const dft_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    int64_t wanted = p->axis;
    COP_TRY(need_parts(call, x));
    if (call->opset >= 20)
        COP_TRY(scalar(call, 2, -2, &wanted));
    COP_TRY(cop_axis(call, wanted, x->rank, axis));
    if (*axis == (int)x->rank - 1)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "axis %lld is that of real and imaginary parts", (long long)wanted);
    int64_t parts = x->dims[x->rank - 1];
    if (p->onesided && parts != (p->inverse ? 2 : 1))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "onesided with inverse %d needs %s input",
                        p->inverse, p->inverse ? "complex" : "real");
    int64_t size = x->dims[*axis];
    return size_scalar(call, 1, "dft_length", 1, p->onesided && p->inverse ? 2 * (size - 1) : size,
                       n);
}

static coppice_status dft_infer(cop_call *call) {
    const dft_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    coppice_tensor out = *x;
    int axis;
    int64_t n;
    COP_TRY(dft_settings(call, &axis, &n));
    out.dims[axis] = p->onesided && !p->inverse ? n / 2 + 1 : n;
    out.dims[x->rank - 1] = p->onesided && p->inverse ? 1 : 2;
    cop_set_out(call, 0, x->type, x->rank, out.dims);
    return COPPICE_OK;
}

static coppice_status dft_run(const cop_call *call) {
    const dft_params *p = call->params;
    const coppice_tensor *x = cop_in(call, 0);
    int axis;
    int64_t n;
    COP_TRY(dft_settings(call, &axis, &n));
    lines l = {.in = x,
               .out = cop_out(call, 0),
               .outer = 1,
               .inner = 1,
               .samples = (size_t)x->dims[axis],
               .bins = (size_t)cop_out(call, 0)->dims[axis],
               .in_inner = 1,
               .out_inner = 1,
               .in_parts = (size_t)x->dims[x->rank - 1],
               .out_parts = (size_t)cop_out(call, 0)->dims[x->rank - 1],
               .inverse = p->inverse,
               .mirror = p->inverse && p->onesided};
    for (int d = 0; d < (int)x->rank - 1; d++) {
        if (d < axis)
            l.outer *= (size_t)x->dims[d];
        else if (d > axis)
            l.inner *= (size_t)x->dims[d];
    }
    l.in_step = l.out_step = l.inner;
    l.in_outer = l.samples * l.inner;
    l.out_outer = l.bins * l.inner;
    return run_lines(call, &l, (size_t)n);
}

/* ---- STFT ---- */

enum { SIGNAL, FRAME_STEP, WINDOW, FRAME_LENGTH };

static coppice_status stft_parse(const cop_call *call, void *params) {
    dft_params *p = params;
    return cop_attr_bool(call, "onesided", true, &p->onesided);
}

static coppice_status stft_settings(const cop_call *call, int64_t *step, int64_t *length) {
    const dft_params *p = call->params;
    const coppice_tensor *x = cop_in(call, SIGNAL), *w = cop_in(call, WINDOW);
    COP_TRY(cop_need_rank(call, SIGNAL, 3));
    COP_TRY(need_parts(call, x));
    if (p->onesided && x->dims[2] != 1)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "onesided needs a real signal, '%s' is %s",
                        cop_in_name(call, SIGNAL), cop_shape_text(x).s);
    if (w) {
        COP_TRY(cop_need_type(call, WINDOW, 1u << x->type));
        COP_TRY(cop_need_rank(call, WINDOW, 1));
    }
    COP_TRY(size_scalar(call, FRAME_STEP, "frame_step", 1, 1, step));
    COP_TRY(
        size_scalar(call, FRAME_LENGTH, "frame_length", 1, w ? w->dims[0] : x->dims[1], length));
    if (*length > x->dims[1] || (w && w->dims[0] != *length))
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "frames of %lld samples do not fit the signal '%s' %s or the window %s",
                        (long long)*length, cop_in_name(call, SIGNAL), cop_shape_text(x).s,
                        w ? cop_shape_text(w).s : "that is left out");
    return COPPICE_OK;
}

static coppice_status stft_infer(cop_call *call) {
    const dft_params *p = call->params;
    const coppice_tensor *x = cop_in(call, SIGNAL);
    int64_t step, length;
    COP_TRY(stft_settings(call, &step, &length));
    int64_t frames = (x->dims[1] - length) / step + 1;
    int64_t bins = p->onesided ? length / 2 + 1 : length;
    cop_set_out(call, 0, x->type, 4, (int64_t[]){x->dims[0], frames, bins, 2});
    return COPPICE_OK;
}

static coppice_status stft_run(const cop_call *call) {
    const coppice_tensor *x = cop_in(call, SIGNAL);
    coppice_tensor *out = cop_out(call, 0);
    int64_t step, length;
    COP_TRY(stft_settings(call, &step, &length));
    lines l = {.in = x,
               .window = cop_in(call, WINDOW),
               .out = out,
               .outer = (size_t)x->dims[0],
               .inner = (size_t)out->dims[1],
               .samples = (size_t)length,
               .bins = (size_t)out->dims[2],
               .in_outer = (size_t)x->dims[1],
               .in_inner = (size_t)step,
               .in_step = 1,
               .in_parts = (size_t)x->dims[2],
               .out_outer = (size_t)(out->dims[1] * out->dims[2]),
               .out_inner = (size_t)out->dims[2],
               .out_step = 1,
               .out_parts = 2};
    return run_lines(call, &l, (size_t)length);
}

/* ---- windows: a + b cos(t) + c cos(2t) ---- */

typedef struct window_params {
    double a, b, c;
    bool periodic;
    coppice_type type;
} window_params;

static const struct {
    const char *op;
    double a, b, c;
} shapes[] = {{"BlackmanWindow", 0.42, -0.5, 0.08},
              {"HammingWindow", 25.0 / 46, -21.0 / 46, 0},
              {"HannWindow", 0.5, -0.5, 0}};

static coppice_status output_type(const cop_call *call, coppice_type *out) {
    int64_t type;
    COP_TRY(cop_node_int(call->node, "output_datatype", COPPICE_TYPE_FLOAT, &type, call->err));
    *out = (coppice_type)type;
    if (type > 0 && type < 64 && (cop_is_float_type(*out) || cop_is_integer_type(*out)))
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "output_datatype %lld is no type of numbers",
                    (long long)type);
}

static coppice_status window_parse(const cop_call *call, void *params) {
    window_params *p = params;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        if (!strcmp(call->node->op, shapes[i].op)) {
            p->a = shapes[i].a;
            p->b = shapes[i].b;
            p->c = shapes[i].c;
        }
    }
    COP_TRY(cop_attr_bool(call, "periodic", true, &p->periodic));
    return output_type(call, &p->type);
}

static void set_number_out(cop_call *call, coppice_type type, uint32_t rank, const int64_t *dims) {
    cop_set_out(call, 0, cop_wide_type(type), rank, dims);
    call->out[0].narrow = type;
}

static coppice_status window_infer(cop_call *call) {
    const window_params *p = call->params;
    int64_t size;
    COP_TRY(size_scalar(call, 0, "size", 0, 0, &size));
    set_number_out(call, p->type, 1, &size);
    return COPPICE_OK;
}

static coppice_status window_run(const cop_call *call) {
    const window_params *p = call->params;
    coppice_tensor *out = cop_out(call, 0);
    const size_t size = (size_t)out->dims[0], period = p->periodic ? size : size - 1;
    for (size_t i = 0; i < size; i++) {
        double t = period ? 2 * 3.14159265358979323846 * (double)i / (double)period : 0;
        double x = p->a + p->b * cos(t) + p->c * cos(2 * t);
        cop_set_number(out, i, period ? (x < 0 ? 0 : x) : 1);
    }
    return COPPICE_OK;
}

/* ---- MelWeightMatrix ---- */

enum { BANDS, DFT_LENGTH, RATE, LOW, HIGH };

typedef struct mel_params {
    coppice_type type;
} mel_params;

static coppice_status melweightmatrix_parse(const cop_call *call, void *params) {
    return output_type(call, &((mel_params *)params)->type);
}

static coppice_status mel_sizes(const cop_call *call, int64_t *bands, int64_t *length) {
    COP_TRY(size_scalar(call, BANDS, "num_mel_bins", 0, 0, bands));
    return size_scalar(call, DFT_LENGTH, "dft_length", 0, 0, length);
}

static coppice_status melweightmatrix_infer(cop_call *call) {
    const mel_params *p = call->params;
    int64_t bands, length;
    COP_TRY(mel_sizes(call, &bands, &length));
    set_number_out(call, p->type, 2, (int64_t[]){length / 2 + 1, bands});
    return COPPICE_OK;
}

/* Frequencies that the bands lie between, evenly spaced on the scale. */
typedef struct mel_scale {
    double low, step, by; /* by: spectral bins per hertz */
    int64_t bins;
} mel_scale;

static double mel_of(double hertz) {
    return 2595 * log10(1 + hertz / 700);
}

/* Spectral bin at which band `i` begins, band i - 1 has its peak and band i - 2 ends. */
static int64_t mel_edge(const mel_scale *s, int64_t i) {
    double hertz = 700 * (pow(10, (s->low + (double)i * s->step) / 2595) - 1);
    double bin = floor(hertz * s->by);
    return bin < (double)s->bins ? (int64_t)bin : s->bins;
}

static void mel_band(const mel_scale *s, int64_t band, coppice_tensor *out) {
    int64_t begin = mel_edge(s, band), peak = mel_edge(s, band + 1), end = mel_edge(s, band + 2);
    size_t columns = (size_t)out->dims[1];
    for (int64_t j = begin; j <= peak && j < s->bins; j++) {
        double x = peak == begin ? 1 : (double)(j - begin) / (double)(peak - begin);
        cop_set_number(out, (size_t)j * columns + (size_t)band, x);
    }
    for (int64_t j = peak; j < end && j < s->bins; j++)
        cop_set_number(out, (size_t)j * columns + (size_t)band,
                       (double)(end - j) / (double)(end - peak));
}

static coppice_status melweightmatrix_run(const cop_call *call) {
    coppice_tensor *out = cop_out(call, 0);
    int64_t bands, length, rate;
    double low, high;
    bool present;
    COP_TRY(mel_sizes(call, &bands, &length));
    COP_TRY(size_scalar(call, RATE, "sample_rate", 1, 1, &rate));
    COP_TRY(cop_input_number(call, LOW, &low, &present));
    COP_TRY(cop_input_number(call, HIGH, &high, &present));
    if (!(low >= 0) || !(high >= low))
        return cop_fail(call->err, COPPICE_BAD_DATA,
                        "frequencies from lower_edge_hertz %g to upper_edge_hertz %g make no sense",
                        low, high);
    mel_scale s = {.low = mel_of(low),
                   .step = (mel_of(high) - mel_of(low)) / (double)(bands + 2),
                   .by = (double)(length + 1) / (double)rate,
                   .bins = length / 2 + 1};
    memset(out->data, 0, (size_t)coppice_tensor_bytes(out));
    for (int64_t band = 0; band < bands; band++)
        mel_band(&s, band, out);
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

#define WINDOW_ROW(op)                                                                             \
    {                                                                                              \
        .name = op, .since = 17, ONE_TO_ONE, .types = INDICES, PARSE(window, window_params),       \
        INFER(window), RUN(window)                                                                 \
    }

/* clang-format off */
const cop_op cop_ops_signal[] = {
    WINDOW_ROW("BlackmanWindow"),
    {.name = "DFT", .since = 17, .until = 19, .min_inputs = 1, .max_inputs = 2, .max_outputs = 1,
     .types = FLOATS, PARSE(dft, dft_params), INFER(dft), RUN(dft)},
    {.name = "DFT", .since = 20, .min_inputs = 1, .max_inputs = 3, .max_outputs = 1,
     .types = FLOATS, PARSE(dft, dft_params), INFER(dft), RUN(dft)},
    WINDOW_ROW("HammingWindow"),
    WINDOW_ROW("HannWindow"),
    {.name = "MelWeightMatrix", .since = 17, .min_inputs = 5, .max_inputs = 5, .max_outputs = 1,
     .types = INDICES, PARSE(melweightmatrix, mel_params), INFER(melweightmatrix),
     RUN(melweightmatrix)},
    {.name = "STFT", .since = 17, .min_inputs = 2, .max_inputs = 4, .max_outputs = 1,
     .types = FLOATS, PARSE(stft, dft_params), INFER(stft), RUN(stft)},
    {.name = NULL},
};
/* clang-format on */
