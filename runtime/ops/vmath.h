/* Functions of one float without branches and calls, so that loops over them are vectorised, which
 * those of the C library are not. Errors are in units of the last place (ulp) against a correctly
 * rounded result, over all floats; NaN gives NaN.
 *
 * Coefficients are minimax fits made for this file (weighted least squares with Lawson's weights,
 * iterated until the error is even). The reduction of exp and log is the usual one (Cody and Waite,
 * Software Manual for the Elementary Functions, 1980). */
#ifndef COP_OPS_VMATH_H
#define COP_OPS_VMATH_H

#include <float.h>
#include <math.h>
#include <stdint.h>

#include "base/bits.h"

/* x within 0 .. 1. */
static inline float cop_clamp01f(float x) {
    x = x < 0 ? 0 : x;
    return x > 1 ? 1 : x;
}

/* 2^n for -126 <= n <= 127. */
static inline float cop_power_of_two(int32_t n) {
    return cop_bits_float((uint32_t)(n + 127) << 23);
}

/* ln 2 in two parts: products of the first with integers up to 2^14 are exact. */
#define COP_LN2_HIGH 0.693359375f
#define COP_LN2_LOW (-2.12194440e-4f)

/* x = n ln 2 + r with |r| <= ln 2 / 2; returns e^r - 1. Adding 1.5 * 2^23 rounds to an integer. */
static inline float cop_exp_reduce(float x, int32_t *n) {
    const float shift = 12582912.0f;
    float shifted = x * 1.44269504f + shift;
    float k = shifted - shift;
    *n = (int32_t)(cop_float_bits(shifted) - cop_float_bits(shift));
    float r = x - k * COP_LN2_HIGH - k * COP_LN2_LOW;
    float q = 1.388252131e-03f;
    q = q * r + 8.366518654e-03f;
    q = q * r + 4.166720062e-02f;
    q = q * r + 1.666654348e-01f;
    q = q * r + 4.999999702e-01f;
    return r + r * r * q;
}

/* e^x, within 1.5 ulp; right up to the largest and down to the smallest denormal result. */
static inline float cop_expf(float x) {
    int32_t n;
    x = x < -104.0f ? -104.0f : x;
    x = x > 89.0f ? 89.0f : x;
    float m = cop_exp_reduce(x, &n);
    int32_t half = n >> 1; /* 2^n itself may be no float */
    return (m + 1.0f) * cop_power_of_two(half) * cop_power_of_two(n - half);
}

/* e^x as cop_expf has it where the result is no denormal; 0 below that, INFINITY from 88.38 on. */
static inline float cop_expf_flushed(float x) {
    int32_t n; /* -127 .. 128: the ends are the bits of 0 and of infinity */
    x = x < -88.0f ? -88.0f : x;
    x = x > 89.0f ? 89.0f : x;
    float m = cop_exp_reduce(x, &n);
    return (m + 1.0f) * cop_bits_float((uint32_t)(n + 127) << 23);
}

/* e^x - 1 for x <= 80, within 3 ulp. */
static inline float cop_expm1f(float x) {
    int32_t n;
    x = x < -18.0f ? -18.0f : x;
    x = x > 80.0f ? 80.0f : x;
    float m = cop_exp_reduce(x, &n), scale = cop_power_of_two(n);
    return (scale - 1.0f) + scale * m;
}

/* 1 / (1 + e^-x), within 3 ulp; 0 below -88.38, where the result would be denormal. */
static inline float cop_sigmoidf(float x) {
    return 1.0f / (1.0f + cop_expf_flushed(-x));
}

/* Within 4 ulp. */
static inline float cop_tanhf(float x) {
    float m = cop_expm1f(2.0f * (fabsf(x) > 20.0f ? 20.0f : fabsf(x)));
    return copysignf(m / (m + 2.0f), x);
}

/* sin(x + quarters * pi / 2) for |x| <= COP_TURNS_LIMIT, off by at most 3e-7; NaN gives NaN. */
#define COP_TURNS_LIMIT 8192.0f
static inline float cop_sin_from(float x, int32_t quarters) {
    const float shift = 12582912.0f;
    float shifted = x * 0.636619772f + shift, k = shifted - shift;
    int32_t n = (int32_t)(cop_float_bits(shifted) - cop_float_bits(shift)) + quarters;
    float r = x - k * 1.5703125f - k * 4.837512969970703125e-4f - k * 7.54978995489188e-08f;
    float z = r * r, s = 2.718046517e-06f, c = -2.720504710e-07f;
    s = s * z - 1.983930415e-04f;
    s = s * z + 8.333329111e-03f;
    s = s * z - 1.666666716e-01f;
    c = c * z + 2.479945215e-05f;
    c = c * z - 1.388888340e-03f;
    c = c * z + 4.166666791e-02f;
    s = r + r * z * s;
    c = 1.0f - 0.5f * z + z * z * c;
    float y = n & 1 ? c : s;
    return n & 2 ? -y : y;
}

/* ln((1 + s) / (1 - s)) = 2 (s + s^3/3 + ...) for |s| <= 1/3. */
static inline float cop_log_ratio(float s) {
    float z = s * s;
    float p = 2.428955734e-01f;
    p = p * z + 2.143074125e-01f;
    p = p * z + 2.861659527e-01f;
    p = p * z + 3.999888897e-01f;
    p = p * z + 6.666667461e-01f;
    return 2.0f * s + s * z * p;
}

/* Natural logarithm, within 2 ulp; of denormals too. */
static inline float cop_logf(float x) {
    float lifted = x < FLT_MIN ? x * 8388608.0f : x;
    float below = x < FLT_MIN ? 23.0f : 0.0f;
    uint32_t bits = cop_float_bits(lifted);
    int32_t e = (int32_t)(bits - 0x3f3504f3u) >> 23; /* m in sqrt(1/2) .. sqrt(2) */
    float m = cop_bits_float(bits - ((uint32_t)e << 23)) - 1.0f, k = (float)e - below;
    float y = k * COP_LN2_HIGH + (cop_log_ratio(m / (2.0f + m)) + k * COP_LN2_LOW);
    y = x == 0.0f ? -INFINITY : y;
    y = x < 0.0f ? NAN : y;
    y = x == INFINITY ? INFINITY : y;
    return x != x ? x : y;
}

/* ln(1 + e^x), within 3 ulp. */
static inline float cop_softplusf(float x) {
    float u = cop_expf(-fabsf(x));
    return (x > 0.0f ? x : 0.0f) + cop_log_ratio(u / (2.0f + u));
}

/* Within 6 ulp: an odd rational function; from 4 on the result is 1. */
static inline float cop_erff(float x) {
    x = x < -4.0f ? -4.0f : x;
    x = x > 4.0f ? 4.0f : x;
    float t = x * x;
    float p = 1.986782081e-06f, q = 3.742024273e-05f;
    p = p * t + 2.845672425e-04f;
    p = p * t + 3.883381840e-03f;
    p = p * t + 5.310185999e-02f;
    p = p * t + 1.935458779e-01f;
    p = p * t + 1.128379107e+00f;
    q = q * t + 1.185581321e-03f;
    q = q * t + 1.520732511e-02f;
    q = q * t + 1.153503433e-01f;
    q = q * t + 5.048581362e-01f;
    q = q * t + 1.0f;
    float y = x * p / q;
    y = y < -1.0f ? -1.0f : y;
    return y > 1.0f ? 1.0f : y;
}

/* x times the normal distribution function of x. That of -|x| is 1 / (2 p^8) with a polynomial p:
 * the root is smooth, and a power of it small where it should be. Off by at most 4 FLT_EPSILON of
 * |x|, and above -4 by 1e-4 of the result. */
static inline float cop_geluf(float x) {
    float a = fabsf(x) > 64.0f ? 64.0f : fabsf(x); /* there p^8 is infinite, the tail 0 */
    float p = 2.639451233e-07f;
    p = p * a - 9.371795939e-07f;
    p = p * a + 6.556453495e-06f;
    p = p * a + 2.284306292e-05f;
    p = p * a + 2.496954611e-04f;
    p = p * a + 8.310958526e-04f;
    p = p * a + 8.682427365e-03f;
    p = p * a + 4.476111039e-02f;
    p = p * a + 9.973564233e-02f;
    p = p * a + 1.0f;
    p *= p;
    p *= p;
    p *= p;
    return (x < 0.0f ? 0.0f : x) - 0.5f * a / p;
}

/* The approximation with tanh: x * sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)). */
static inline float cop_gelu_tanhf(float x) {
    float a = x < -20.0f ? -20.0f : x;
    a = a > 20.0f ? 20.0f : a;
    float y = (x < -20.0f ? -20.0f : x) * cop_sigmoidf(1.59576912f * (a + 0.044715f * a * a * a));
    return y;
}

/* x tanh(softplus(x)), with tanh(ln(1 + e)) = (e^2 + 2e) / (e^2 + 2e + 2). */
static inline float cop_mishf(float x) {
    float e = cop_expf(x > 20.0f ? 20.0f : x);
    float n = e * (e + 2.0f);
    return x * (n / (n + 2.0f));
}

#endif
