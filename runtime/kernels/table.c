/* The table of convolution kernels: best first, the widest instruction set of a family first. */
#include "runtime/backend/xnn.h"
#include "runtime/kernels/native.h"
#include "runtime/kernels/ref/conv_row.h"

/* Rows of the native sparse convolution: they differ in the instruction set alone. */
#define COP_NATIVE_CONV(row, row_isa, full_name)                                                   \
    static coppice_status create_##row(const cop_conv *conv, const coppice_threadpool *pool,       \
                                       void **state, coppice_error *err) {                         \
        return cop_native_conv_create(conv, COPPICE_ISA_##row_isa, pool, state, err);              \
    }                                                                                              \
    static const cop_conv_kernel row = {                                                           \
        .family = "cop_spmm_f32",                                                                  \
        .name = full_name,                                                                         \
        .backend = COPPICE_BACKEND_NATIVE,                                                         \
        .isa = COPPICE_ISA_##row_isa,                                                              \
        .sparse = true,                                                                            \
        .supports = cop_native_conv_supports,                                                      \
        .create = create_##row,                                                                    \
        .scratch = cop_native_conv_scratch,                                                        \
        .run = cop_native_conv_run,                                                                \
        .destroy = cop_native_conv_destroy,                                                        \
    };

#if defined(__x86_64__)
COP_NATIVE_CONV(spmm_avx512, AVX512, "cop_spmm_f32_1x8x16_avx512")
COP_NATIVE_CONV(spmm_avx2, AVX2, "cop_spmm_f32_1x8x8_avx2")
#endif
COP_NATIVE_CONV(spmm_c, SCALAR, "cop_spmm_f32_1x16_c")

const cop_conv_kernel *const cop_conv_kernels[] = {
#if defined(__x86_64__)
    &spmm_avx512,
    &spmm_avx2,
#endif
#if defined(COP_HAVE_XNNPACK)
    &cop_xnn_conv2d_nhwc,
    &cop_xnn_dwconv2d_nhwc,
    &cop_xnn_fully_connected,
    &cop_xnn_spmm_1x1,
    &cop_xnn_spmm_im2col,
#endif
    &spmm_c,
    &cop_conv_reference_first,
    &cop_conv_reference_last,
    NULL,
};
