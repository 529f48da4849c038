/* Weights times tiles, AVX2 and FMA: sparse ones over 1 to 12 vectors of 8 positions, blocks of 4x1
 * and dense ones over 1 to 3. */
#include "runtime/kernels/x86/tile.h"

/* clang-format off */
#define SINGLE(X) X(1, avx2) X(2, avx2) X(3, avx2) X(4, avx2) X(5, avx2) X(6, avx2) X(7, avx2)     \
    X(8, avx2) X(9, avx2) X(10, avx2) X(11, avx2) X(12, avx2)
#define GROUPS(X) X(1, avx2) X(2, avx2) X(3, avx2)
/* clang-format on */

SINGLE(COP_TILE_SINGLE)
GROUPS(COP_TILE_GROUPS)

void cop_tile_f32_avx2_fill(cop_kernels *kernels) {
    kernels->tile_lanes = LANES;
    SINGLE(COP_TILE_FILL_SINGLE)
    GROUPS(COP_TILE_FILL_GROUPS)
}
