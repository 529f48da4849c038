/* Inner loops of sparse weights times a few positions, whose lanes are the positions. */
#ifndef COP_RUNTIME_KERNELS_FEW_H
#define COP_RUNTIME_KERNELS_FEW_H

#include <stddef.h>
#include <stdint.h>

struct cop_kernels;
struct cop_tile_run;

/* Positions come in vectors of 4, 8 or 16; a row's weights in steps of 4, each of which is summed
 * up for itself, as an addition waits for the one before. */
enum { COP_FEW_STEP = 4, COP_FEW_WIDTHS = 3, COP_FEW_NARROWEST = 4, COP_FEW_MOST = 16 };

/* Floats that offsets count in. */
enum { COP_FEW_UNIT = 2 };

/* Run by run, for each of its rows, with L lanes and `entries` weights:
 *     sums[its number * L + 0..L) = sum over its entries of value * x[offset + 0..L)
 * `entries` of a run is a multiple of COP_FEW_STEP: rows are filled up with zeros at an offset of
 * zeros. x and sums are aligned to their vectors. */
typedef struct cop_few_args {
    const float *x, *values;
    const uint16_t *offsets; /* in COP_FEW_UNIT floats */
    const uint32_t *rows;
    const struct cop_tile_run *runs;
    size_t run_count;
    float *sums;
} cop_few_args;

typedef void cop_few_f32_fn(const cop_few_args *args);

void cop_few_f32_c_fill(struct cop_kernels *kernels);
#if defined(__x86_64__)
void cop_few_f32_avx2_fill(struct cop_kernels *kernels);
void cop_few_f32_avx512_fill(struct cop_kernels *kernels);
#elif defined(__aarch64__)
void cop_few_f32_neon_fill(struct cop_kernels *kernels);
#endif

#endif
