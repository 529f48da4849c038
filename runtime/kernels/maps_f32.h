/* The loops of maps.h: included once per instruction set, by a file that has defined COP_MAPS_FILL
 * as the name of the function that fills the table. */
#include <math.h>

#include "runtime/kernels/kernels.h"
#include "runtime/ops/vmath.h"

#define MAP_LOOP(name, expr)                                                                       \
    static void map_##name(const float *in, float *out, size_t n, float A, float B) {              \
        (void)A;                                                                                   \
        (void)B;                                                                                   \
        for (size_t i = 0; i < n; i++) {                                                           \
            float x = in[i];                                                                       \
            out[i] = (expr);                                                                       \
        }                                                                                          \
    }
COP_MAP_LIST(MAP_LOOP)

/* Sines by blocks: one with an argument that is too large for ours goes to the C library. */
#define TURN_LOOP(name, quarters, function)                                                        \
    static void map_##name(const float *in, float *out, size_t n, float A, float B) {              \
        (void)A;                                                                                   \
        (void)B;                                                                                   \
        for (size_t m; n > 0; n -= m, in += m, out += m) {                                         \
            m = n < 256 ? n : 256;                                                                 \
            int far = 0;                                                                           \
            for (size_t i = 0; i < m; i++)                                                         \
                far |= fabsf(in[i]) > COP_TURNS_LIMIT;                                             \
            for (size_t i = 0; far && i < m; i++)                                                  \
                out[i] = function(in[i]);                                                          \
            for (size_t i = 0; !far && i < m; i++)                                                 \
                out[i] = cop_sin_from(in[i], quarters);                                            \
        }                                                                                          \
    }
TURN_LOOP(cos, 1, cosf)
TURN_LOOP(sin, 0, sinf)

/* Accumulators that a row is spread over so that it vectorises. */
enum { LANES = 64 };

static float largest(const float *x, size_t n) {
    float lanes[LANES], top = x[0];
    size_t i = 0;
    for (size_t k = 0; k < LANES; k++)
        lanes[k] = top;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            lanes[k] = x[i + k] > lanes[k] ? x[i + k] : lanes[k];
    for (size_t k = 0; k < LANES; k++)
        top = lanes[k] > top ? lanes[k] : top;
    for (; i < n; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}

/* out[i] = e to the power of in[i] - top; returns the sum of them. */
static double exponentials(const float *restrict in, float *restrict out, size_t n, float top) {
    float lanes[LANES] = {0};
    double sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++) {
            float e = cop_expf_flushed(in[i + k] - top);
            out[i + k] = e;
            lanes[k] += e;
        }
    for (size_t k = 0; k < LANES; k++)
        sum += (double)lanes[k];
    for (size_t k = i; k < n; k++)
        out[k] = cop_expf_flushed(in[k] - top);
    for (; i < n; i++)
        sum += (double)out[i];
    return sum;
}

/* Shifted by the largest, so that nothing overflows. */
static void softmax_row(const float *restrict in, float *restrict out, size_t n, bool logarithms) {
    float top = largest(in, n);
    double sum = exponentials(in, out, n, top);
    float scale = (float)(logarithms ? log(sum) : 1.0 / sum);
    for (size_t i = 0; logarithms && i < n; i++)
        out[i] = in[i] - top - scale;
    for (size_t i = 0; !logarithms && i < n; i++)
        out[i] *= scale;
}

void COP_MAPS_FILL(cop_kernels *kernels) {
#define MAP_SLOT(name, expr) kernels->map_f32[COP_MAP_##name] = map_##name;
    COP_MAP_LIST(MAP_SLOT)
    MAP_SLOT(cos, )
    MAP_SLOT(sin, )
    kernels->softmax_f32 = softmax_row;
}
