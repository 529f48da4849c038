/* Weights times tiles, AVX-512: sparse ones over 1 to 8 vectors of 16 positions, blocks of 4x1 and
 * dense ones over 1 to 6. */
#include "runtime/kernels/x86/tile.h"

/* clang-format off */
#define SINGLE(X) X(1, avx512) X(2, avx512) X(3, avx512) X(4, avx512) X(5, avx512) X(6, avx512)    \
    X(7, avx512) X(8, avx512)
#define GROUPS(X) X(1, avx512) X(2, avx512) X(3, avx512) X(4, avx512) X(5, avx512) X(6, avx512)
#define HALVES(X) X(2, avx512) X(3, avx512) X(4, avx512)
/* clang-format on */

SINGLE(COP_TILE_SINGLE)
GROUPS(COP_TILE_GROUPS)
HALVES(COP_TILE_HALVES)

void cop_tile_f32_avx512_fill(cop_kernels *kernels) {
    kernels->tile_lanes = LANES;
    SINGLE(COP_TILE_FILL_SINGLE)
    GROUPS(COP_TILE_FILL_GROUPS)
    HALVES(COP_TILE_FILL_HALVES)
}
