/* The reference convolution as rows of the kernel table: one per layout. */
#ifndef COP_RUNTIME_KERNELS_REF_CONV_ROW_H
#define COP_RUNTIME_KERNELS_REF_CONV_ROW_H

#include "runtime/conv.h"

extern const cop_conv_kernel cop_conv_reference_first, cop_conv_reference_last;

#endif
