/* The table of convolution kernels: best first, the widest instruction set of a family first. */
#include "runtime/backend/xnn.h"
#include "runtime/kernels/few_conv.h"
#include "runtime/kernels/ref/conv_row.h"
#include "runtime/kernels/tile.h"
#include "runtime/kernels/tile_dwconv.h"
#include "runtime/kernels/vec_conv.h"

/* Rows of the convolutions in tiles. */
#define COP_TILE_ROW(row, row_isa, row_family, row_name, kind, is_sparse)                          \
    static coppice_status create_##row##_##row_isa(                                                \
        const cop_conv *conv, const coppice_threadpool *pool, void **state, coppice_error *err) {  \
        return cop_tile_conv_create(conv, COPPICE_ISA_##row_isa, kind, pool, state, err);          \
    }                                                                                              \
    static const cop_conv_kernel row##_##row_isa = {                                               \
        .family = row_family,                                                                      \
        .name = row_family "_" row_name,                                                           \
        .backend = COPPICE_BACKEND_NATIVE,                                                         \
        .isa = COPPICE_ISA_##row_isa,                                                              \
        .sparse = is_sparse,                                                                       \
        .form = COP_FORM_TILES,                                                                    \
        .fuses = true,                                                                             \
        .supports = cop_tile_conv_supports,                                                        \
        .create = create_##row##_##row_isa,                                                        \
        .scratch = cop_tile_conv_scratch,                                                          \
        .run = cop_tile_conv_run,                                                                  \
        .destroy = cop_tile_conv_destroy,                                                          \
    };

#define COP_TILE(row_isa, single, groups)                                                          \
    COP_TILE_ROW(spmm_tile, row_isa, "cop_spmm_tile_f32", single, COP_TILE_SPARSE, true)           \
    COP_TILE_ROW(spmm4_tile, row_isa, "cop_spmm4_tile_f32", groups, COP_TILE_BLOCKS, true)         \
    COP_TILE_ROW(gemm_tile, row_isa, "cop_gemm_tile_f32", groups, COP_TILE_DENSE, false)

#if defined(__x86_64__)
COP_TILE(AVX512, "1x8x16_avx512", "4x6x16_avx512")
COP_TILE(AVX2, "1x12x8_avx2", "4x3x8_avx2")
#elif defined(__aarch64__)
COP_TILE(NEON, "1x14x4_neon", "4x5x4_neon")
#endif
COP_TILE(SCALAR, "1x8x4_c", "4x2x4_c")

/* Rows of products with a vector. */
#define COP_VEC(row, row_isa, kernel, tile_isa, is_dense)                                          \
    static coppice_status create_##row(const cop_conv *conv, const coppice_threadpool *pool,       \
                                       void **state, coppice_error *err) {                         \
        (void)pool;                                                                                \
        return cop_vec_conv_create(conv, COPPICE_ISA_##row_isa, is_dense, state, err);             \
    }                                                                                              \
    static const cop_conv_kernel row = {                                                           \
        .family = kernel,                                                                          \
        .name = kernel "_" tile_isa,                                                               \
        .backend = COPPICE_BACKEND_NATIVE,                                                         \
        .isa = COPPICE_ISA_##row_isa,                                                              \
        .sparse = !is_dense,                                                                       \
        .form = COP_FORM_TILES,                                                                    \
        .supports = cop_vec_conv_supports,                                                         \
        .create = create_##row,                                                                    \
        .run = cop_vec_conv_run,                                                                   \
        .destroy = cop_vec_conv_destroy,                                                           \
    };

#if defined(__x86_64__)
COP_VEC(spmv_AVX512, AVX512, "cop_spmv_f32", "16x64_avx512", false)
COP_VEC(gemv_AVX512, AVX512, "cop_gemv_f32", "1x4x32_avx512", true)
COP_VEC(gemv_AVX2, AVX2, "cop_gemv_f32", "1x4x16_avx2", true)
#endif
COP_VEC(gemv_SCALAR, SCALAR, "cop_gemv_f32", "1x4_c", true)

/* Products of a few positions: rows of `kind`, few or panel. */
#define COP_FEW_ROW(kind, row_isa, row_family, tile_isa, is_sparse, scratch_of)                    \
    static coppice_status create_##kind##_##row_isa(                                               \
        const cop_conv *conv, const coppice_threadpool *pool, void **state, coppice_error *err) {  \
        (void)pool;                                                                                \
        return cop_##kind##_conv_create(conv, COPPICE_ISA_##row_isa, state, err);                  \
    }                                                                                              \
    static const cop_conv_kernel kind##_##row_isa = {                                              \
        .family = row_family,                                                                      \
        .name = row_family "_" tile_isa,                                                           \
        .backend = COPPICE_BACKEND_NATIVE,                                                         \
        .isa = COPPICE_ISA_##row_isa,                                                              \
        .sparse = is_sparse,                                                                       \
        .form = COP_FORM_CHANNELS_LAST,                                                            \
        .supports = cop_##kind##_conv_supports,                                                    \
        .create = create_##kind##_##row_isa,                                                       \
        .scratch = scratch_of,                                                                     \
        .run = cop_##kind##_conv_run,                                                              \
        .destroy = cop_##kind##_conv_destroy,                                                      \
    };

#define COP_FEW(row_isa, isa_name, tile_isa)                                                       \
    COP_FEW_ROW(few, row_isa, "cop_spmm_few_f32", isa_name, true, cop_few_conv_scratch)            \
    COP_FEW_ROW(panel, row_isa, "cop_panel_f32", tile_isa, false, NULL)

#if defined(__x86_64__)
COP_FEW(AVX512, "avx512", "6x4x16_avx512")
COP_FEW(AVX2, "avx2", "6x2x8_avx2")
#elif defined(__aarch64__)
COP_FEW(NEON, "neon", "4x4x4_neon")
#endif
COP_FEW(SCALAR, "c", "4x8_c")

/* Depthwise convolutions in tiles. */
#define COP_TILE_DWCONV(row_isa, isa_name)                                                         \
    static coppice_status create_tile_dwconv_##row_isa(                                            \
        const cop_conv *conv, const coppice_threadpool *pool, void **state, coppice_error *err) {  \
        return cop_tile_dwconv_create(conv, COPPICE_ISA_##row_isa, pool, state, err);              \
    }                                                                                              \
    static const cop_conv_kernel tile_dwconv_##row_isa = {                                         \
        .family = "cop_dwconv_tile_f32",                                                           \
        .name = "cop_dwconv_tile_f32_" isa_name,                                                   \
        .backend = COPPICE_BACKEND_NATIVE,                                                         \
        .isa = COPPICE_ISA_##row_isa,                                                              \
        .form = COP_FORM_TILES,                                                                    \
        .fuses = true,                                                                             \
        .supports = cop_tile_dwconv_supports,                                                      \
        .create = create_tile_dwconv_##row_isa,                                                    \
        .scratch = cop_tile_dwconv_scratch,                                                        \
        .run = cop_tile_dwconv_run,                                                                \
        .destroy = cop_tile_dwconv_destroy,                                                        \
    };

#if defined(__x86_64__)
COP_TILE_DWCONV(AVX512, "avx512")
COP_TILE_DWCONV(AVX2, "avx2")
#elif defined(__aarch64__)
COP_TILE_DWCONV(NEON, "neon")
#endif
COP_TILE_DWCONV(SCALAR, "c")

const cop_conv_kernel *const cop_conv_kernels[] = {
#if defined(__x86_64__)
    &spmv_AVX512,
    &few_AVX512,
    &few_AVX2,
    &panel_AVX512,
    &panel_AVX2,
    &spmm_tile_AVX512,
    &spmm_tile_AVX2,
    &spmm4_tile_AVX512,
    &spmm4_tile_AVX2,
    &gemm_tile_AVX512,
    &gemm_tile_AVX2,
    &gemv_AVX512,
    &gemv_AVX2,
    &tile_dwconv_AVX512,
    &tile_dwconv_AVX2,
#elif defined(__aarch64__)
    &few_NEON,
    &panel_NEON,
    &spmm_tile_NEON,
    &spmm4_tile_NEON,
    &gemm_tile_NEON,
    &tile_dwconv_NEON,
#endif
#if defined(COP_HAVE_XNNPACK)
    &cop_xnn_conv2d_nhwc,
    &cop_xnn_dwconv2d_nhwc,
    &cop_xnn_fully_connected,
    &cop_xnn_spmm_1x1,
    &cop_xnn_spmm_im2col,
#endif
    &few_SCALAR,
    &panel_SCALAR,
    &spmm_tile_SCALAR,
    &spmm4_tile_SCALAR,
    &gemm_tile_SCALAR,
    &gemv_SCALAR,
    &tile_dwconv_SCALAR,
    &cop_conv_reference_first,
    &cop_conv_reference_last,
    NULL,
};
