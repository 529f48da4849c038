/* Fourier transforms of any length in double precision, in O(n log n). */
#ifndef COP_OPS_FFT_H
#define COP_OPS_FFT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct cop_complex {
    double re, im;
} cop_complex;

enum { COP_FFT_FACTORS = 64 };

/* A plan for one length. Lengths with large prime factors become a convolution of a power of two
 * (Bluestein). */
typedef struct cop_fft {
    size_t n, work; /* work: complex numbers of each of the two buffers a transform needs */
    int factors[COP_FFT_FACTORS], factor_count;
    cop_complex *roots; /* [n]: exp(-2 pi i k / n); NULL with Bluestein */
    struct cop_fft *power;
    cop_complex *chirp, *kernel; /* [n], [power->n] */
} cop_fft;

/* False: no memory, or n is 0 or too large. */
bool cop_fft_init(cop_fft *fft, size_t n);
void cop_fft_free(cop_fft *fft);

/* The transform of data[n]; both buffers have `work` numbers, and the result is in the one that is
 * returned. Not scaled. */
cop_complex *cop_fft_run(const cop_fft *fft, cop_complex *data, cop_complex *buffer);

#endif
