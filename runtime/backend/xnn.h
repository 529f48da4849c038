/* XNNPACK's operators as rows of the kernel table. There are none in a build without it. */
#ifndef COP_RUNTIME_BACKEND_XNN_H
#define COP_RUNTIME_BACKEND_XNN_H

#include "runtime/conv.h"

#if defined(COP_HAVE_XNNPACK)
extern const cop_conv_kernel cop_xnn_conv2d_nhwc, cop_xnn_dwconv2d_nhwc, cop_xnn_fully_connected,
    cop_xnn_spmm_1x1, cop_xnn_spmm_im2col;
#endif

/* How sparse weights reach XNNPACK in this build: "none", "operator NAME" or "microkernel NAME". */
const char *cop_xnn_sparse_path(void);

/* The generation of its interface: "none", "2022" (create, setup, run) or "2024" (with reshape). */
const char *cop_xnn_generation(void);

#endif
