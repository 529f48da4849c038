/* exp, tanh and the logistic function of floats without branches and calls, so that loops over them
 * become vector code. Errors are below 3 units in the last place; a NaN stays NaN. */
#ifndef COP_OPS_VECTOR_MATH_H
#define COP_OPS_VECTOR_MATH_H

#include <stdint.h>
#include <string.h>

/* exp(x): 0 below -87.3; above 88.3 as large as there. */
static inline float cop_exp(float x) {
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    float v = x < -87.3f ? -87.3f : x;
    v = v > 88.3f ? 88.3f : v;
    float rounded = v * 1.44269504f + magic;
    float n = rounded - magic;
    float r = (v - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    uint32_t bits;
    memcpy(&bits, &rounded, sizeof bits);
    bits = (bits + 127u) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return x < -87.3f ? 0.0f : p * scale;
}

static inline float cop_sigmoid(float x) {
    return 1.0f / (1.0f + cop_exp(-x));
}

static inline float cop_tanh(float x) {
    float a = x < 0 ? -x : x;
    float large = 1.0f - 2.0f / (cop_exp(2.0f * a) + 1.0f);
    float s = x * x;
    float p = -5.70498872745e-3f;
    p = p * s + 2.06390887954e-2f;
    p = p * s - 5.37397155531e-2f;
    p = p * s + 1.33314422036e-1f;
    p = p * s - 3.33332819422e-1f;
    float small = x + x * s * p;
    large = x < 0 ? -large : large;
    return a < 0.625f ? small : large;
}

#endif
