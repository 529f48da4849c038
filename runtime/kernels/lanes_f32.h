/* Loops down the channels of a tile of tokens (attn.h) in plain C, which the compiler vectorises:
 * included once per instruction set, by a file that has defined COP_LANES_FILL as the name of the
 * function that fills the table. */
#include <math.h>
#include <string.h>

#include "runtime/kernels/kernels.h"
#include "runtime/ops/vmath.h"

/* Rows that are summed before they are added to the sums of all: keeps the error small. */
enum { MOST = COP_ATTN_LANES, PART = 64 };

#define INLINED static inline __attribute__((always_inline))

/* Calls `body` with the number of lanes as a constant, so that its loops become whole vectors. */
#define FOR_LANES(lanes, body, ...)                                                                \
    switch ((lanes) / COP_ATTN_VECTOR) {                                                           \
    case 1:                                                                                        \
        body(__VA_ARGS__, 1 * COP_ATTN_VECTOR);                                                    \
        break;                                                                                     \
    case 2:                                                                                        \
        body(__VA_ARGS__, 2 * COP_ATTN_VECTOR);                                                    \
        break;                                                                                     \
    case 3:                                                                                        \
        body(__VA_ARGS__, 3 * COP_ATTN_VECTOR);                                                    \
        break;                                                                                     \
    default:                                                                                       \
        body(__VA_ARGS__, 4 * COP_ATTN_VECTOR);                                                    \
    }

/* ---- softmax of attention ---- */

/* Adds the bias; top becomes the largest of each lane, 0 where all are -INFINITY. */
INLINED void add_bias(float *restrict x, size_t rows, const float *bias, float *restrict top,
                      size_t lanes) {
    for (size_t l = 0; l < lanes; l++)
        top[l] = -INFINITY;
    for (size_t r = 0; r < rows; r++, x += lanes) {
        const float by = bias ? bias[r] : 0;
        if (by == -INFINITY) {
            for (size_t l = 0; l < lanes; l++)
                x[l] = -INFINITY;
            continue;
        }
        for (size_t l = 0; l < lanes; l++) {
            x[l] += by;
            top[l] = x[l] > top[l] ? x[l] : top[l];
        }
    }
    for (size_t l = 0; l < lanes; l++)
        top[l] = top[l] == -INFINITY ? 0 : top[l];
}

INLINED void soften(float *restrict x, size_t rows, const float *bias, float *restrict inverse,
                    size_t lanes) {
    float top[MOST], sum[MOST] = {0}, part[MOST];
    add_bias(x, rows, bias, top, lanes);
    for (size_t first = 0; first < rows; first += PART) {
        size_t last = first + PART < rows ? first + PART : rows;
        memset(part, 0, sizeof part);
        for (size_t r = first; r < last; r++, x += lanes)
            for (size_t l = 0; l < lanes; l++) {
                x[l] = cop_expf_flushed(x[l] - top[l]);
                part[l] += x[l];
            }
        for (size_t l = 0; l < lanes; l++)
            sum[l] += part[l];
    }
    for (size_t l = 0; l < lanes; l++)
        inverse[l] = sum[l] == 0 ? 1 : 1 / sum[l];
}

static void attn_softmax(float *x, size_t rows, size_t lanes, const float *bias,
                         float *inverse){FOR_LANES(lanes, soften, x, rows, bias, inverse)}

/* ---- softmax of tiles ---- */

INLINED void softmax(const float *x, float *out, size_t rows, size_t step, bool logarithms,
                     size_t lanes) {
    float top[MOST], sum[MOST] = {0}, part[MOST];
    for (size_t l = 0; l < lanes; l++)
        top[l] = x[l];
    for (size_t r = 1; r < rows; r++)
        for (size_t l = 0; l < lanes; l++)
            top[l] = x[r * step + l] > top[l] ? x[r * step + l] : top[l];
    for (size_t first = 0; first < rows; first += PART) {
        size_t last = first + PART < rows ? first + PART : rows;
        memset(part, 0, sizeof part);
        for (size_t r = first; r < last; r++)
            for (size_t l = 0; l < lanes; l++) {
                float shifted = x[r * step + l] - top[l], e = cop_expf_flushed(shifted);
                out[r * step + l] = logarithms ? shifted : e;
                part[l] += e;
            }
        for (size_t l = 0; l < lanes; l++)
            sum[l] += part[l];
    }
    for (size_t l = 0; l < lanes; l++)
        sum[l] = logarithms ? -cop_logf(sum[l]) : 1 / sum[l];
    for (size_t r = 0; r < rows; r++)
        for (size_t l = 0; l < lanes; l++) {
            float y = out[r * step + l];
            out[r * step + l] = logarithms ? y + sum[l] : y * sum[l];
        }
}

static void lanes_softmax(const float *x, float *out, size_t rows, size_t step, size_t lanes,
                          bool logarithms){
    FOR_LANES(lanes, softmax, x, out, rows, step, logarithms)}

/* ---- normalization ---- */

/* The mean of (x - centre)^power, power 1 or 2, of each lane. */
INLINED void moment(const cop_lanes_norm *args, const float *restrict centre, bool square,
                    float *restrict mean, size_t lanes) {
    float sum[MOST] = {0}, part[MOST];
    for (size_t first = 0; first < args->rows; first += PART) {
        size_t last = first + PART < args->rows ? first + PART : args->rows;
        memset(part, 0, sizeof part);
        for (size_t r = first; r < last; r++) {
            const float *x = args->x + r * args->step;
            for (size_t l = 0; l < lanes; l++) {
                float d = x[l] - centre[l];
                part[l] += square ? d * d : d;
            }
        }
        for (size_t l = 0; l < lanes; l++)
            sum[l] += part[l];
    }
    for (size_t l = 0; l < lanes; l++)
        mean[l] = sum[l] / (float)args->rows;
}

INLINED void norm(const cop_lanes_norm *args, size_t lanes) {
    float mean[MOST] = {0}, inverse[MOST];
    if (args->centred)
        moment(args, (const float[MOST]){0}, false, mean, lanes);
    moment(args, mean, true, inverse, lanes);
    for (size_t l = 0; l < lanes; l++)
        inverse[l] = 1 / sqrtf(inverse[l] + (float)args->epsilon);
    for (size_t r = 0; r < args->rows; r++) {
        const float *x = args->x + r * args->step;
        const float scale = args->scale ? args->scale[r * args->scale_step] : 1;
        const float bias = args->bias ? args->bias[r * args->bias_step] : 0;
        float *out = args->out + r * args->step;
        for (size_t l = 0; l < lanes; l++)
            out[l] = (x[l] - mean[l]) * inverse[l] * scale + bias;
    }
}

static void lanes_norm(const cop_lanes_norm *args) {
    FOR_LANES(args->lanes, norm, args)
}

void COP_LANES_FILL(cop_kernels *kernels) {
    kernels->attn_softmax_f32 = attn_softmax;
    kernels->lanes_softmax_f32 = lanes_softmax;
    kernels->lanes_norm_f32 = lanes_norm;
}
