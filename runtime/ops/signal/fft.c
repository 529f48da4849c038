/* Fourier transforms: passes of small factors that need no reordering (Stockham), and Bluestein's
 * convolution for what does not divide into small factors. */
#include "runtime/ops/signal/fft.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/memory.h"

enum { LARGEST_FACTOR = 31 };

static const size_t MOST = (size_t)1 << 40;
static const double PI = 3.14159265358979323846;

static inline cop_complex times(cop_complex a, cop_complex b) {
    return (cop_complex){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

static inline cop_complex plus(cop_complex a, cop_complex b) {
    return (cop_complex){a.re + b.re, a.im + b.im};
}

static cop_complex root_of(size_t k, size_t n) {
    double angle = -2 * PI * ((double)k / (double)n);
    return (cop_complex){cos(angle), sin(angle)};
}

/* Small factors of n, the large ones first; false when there are others. */
static bool factorise(cop_fft *fft) {
    size_t rest = fft->n;
    for (int factor = LARGEST_FACTOR; factor > 1; factor--) {
        bool prime = true;
        for (int d = 2; d * d <= factor; d++)
            prime = prime && factor % d;
        for (; prime && rest % (size_t)factor == 0; rest /= (size_t)factor)
            fft->factors[fft->factor_count++] = factor;
    }
    return rest == 1;
}

static bool init_power(cop_fft *fft) {
    size_t m = 1;
    while (m < 2 * fft->n)
        m *= 2;
    fft->power = cop_calloc(1, sizeof *fft->power);
    fft->chirp = cop_calloc(fft->n, sizeof *fft->chirp);
    fft->kernel = cop_calloc(m, sizeof *fft->kernel);
    cop_complex *buffer = cop_calloc(m, sizeof *buffer);
    bool made = fft->power && fft->chirp && fft->kernel && buffer && cop_fft_init(fft->power, m);
    if (made) {
        uint64_t square = 0; /* k * k mod 2n */
        for (size_t k = 0; k < fft->n; k++) {
            fft->chirp[k] = root_of((size_t)square, 2 * fft->n);
            cop_complex back = {fft->chirp[k].re, -fft->chirp[k].im};
            fft->kernel[k] = back;
            if (k)
                fft->kernel[m - k] = back;
            square = (square + 2 * k + 1) % (2 * fft->n);
        }
        cop_complex *result = cop_fft_run(fft->power, fft->kernel, buffer);
        if (result != fft->kernel)
            memcpy(fft->kernel, result, m * sizeof *result);
        fft->work = m;
    }
    cop_free(buffer);
    return made;
}

static bool init_roots(cop_fft *fft) {
    fft->work = fft->n;
    fft->roots = cop_calloc(fft->n, sizeof *fft->roots);
    for (size_t k = 0; fft->roots && k < fft->n; k++)
        fft->roots[k] = root_of(k, fft->n);
    return fft->roots != NULL;
}

bool cop_fft_init(cop_fft *fft, size_t n) {
    *fft = (cop_fft){.n = n};
    if (n == 0 || n > MOST)
        return false;
    bool made = factorise(fft) ? init_roots(fft) : init_power(fft);
    if (!made)
        cop_fft_free(fft);
    return made;
}

void cop_fft_free(cop_fft *fft) {
    if (fft->power)
        cop_fft_free(fft->power);
    cop_free(fft->power);
    cop_free(fft->roots);
    cop_free(fft->chirp);
    cop_free(fft->kernel);
    *fft = (cop_fft){0};
}

/* ---- passes ---- */

/* Before a pass from[r * done + k] is number k of the transform of the elements r, r + n / done,
 * ...; it joins `factor` of them. */
static void pass(const cop_fft *fft, size_t done, int factor, const cop_complex *from,
                 cop_complex *to) {
    const size_t n = fft->n, f = (size_t)factor, rest = n / done / f, after = done * f;
    for (size_t r = 0; r < rest; r++) {
        for (size_t k = 0; k < after; k++) {
            const cop_complex *a = from + r * done + k % done;
            const size_t turn = k * rest; /* below n */
            cop_complex sum = *a;
            size_t at = 0;
            for (size_t q = 1; q < f; q++) {
                at += turn;
                at -= at >= n ? n : 0;
                sum = plus(sum, times(fft->roots[at], a[q * rest * done]));
            }
            to[r * after + k] = sum;
        }
    }
}

static void pass_of_two(const cop_fft *fft, size_t done, const cop_complex *from, cop_complex *to) {
    const size_t rest = fft->n / done / 2;
    for (size_t r = 0; r < rest; r++) {
        const cop_complex *a = from + r * done, *b = a + rest * done;
        cop_complex *low = to + 2 * r * done, *high = low + done;
        for (size_t k = 0; k < done; k++) {
            cop_complex x = a[k], y = times(fft->roots[k * rest], b[k]);
            low[k] = plus(x, y);
            high[k] = (cop_complex){x.re - y.re, x.im - y.im};
        }
    }
}

static cop_complex *run_passes(const cop_fft *fft, cop_complex *data, cop_complex *buffer) {
    size_t done = 1;
    for (int i = 0; i < fft->factor_count; i++) {
        if (fft->factors[i] == 2)
            pass_of_two(fft, done, data, buffer);
        else
            pass(fft, done, fft->factors[i], data, buffer);
        done *= (size_t)fft->factors[i];
        cop_complex *swap = data;
        data = buffer;
        buffer = swap;
    }
    return data;
}

cop_complex *cop_fft_run(const cop_fft *fft, cop_complex *data, cop_complex *buffer) {
    if (fft->roots)
        return run_passes(fft, data, buffer);
    const size_t n = fft->n, m = fft->power->n;
    for (size_t k = 0; k < n; k++)
        data[k] = times(data[k], fft->chirp[k]);
    memset(data + n, 0, (m - n) * sizeof *data);
    cop_complex *spectrum = run_passes(fft->power, data, buffer);
    cop_complex *other = spectrum == data ? buffer : data;
    /* The way back: a transform with real and imaginary parts exchanged. */
    for (size_t k = 0; k < m; k++) {
        cop_complex x = times(spectrum[k], fft->kernel[k]);
        spectrum[k] = (cop_complex){x.im, x.re};
    }
    cop_complex *result = run_passes(fft->power, spectrum, other);
    for (size_t k = 0; k < n; k++) {
        cop_complex x = {result[k].im / (double)m, result[k].re / (double)m};
        result[k] = times(x, fft->chirp[k]);
    }
    return result;
}
