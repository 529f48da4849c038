/* Images as columns of patches, and back: what Conv, ConvTranspose and Col2Im share. */
#ifndef COP_RUNTIME_OPS_PATCHES_H
#define COP_RUNTIME_OPS_PATCHES_H

#include "runtime/op.h"

/* A window of `kernel` taps that takes `count` places per dimension of an image: tap k of place p
 * lies on p * stride + k * dilation - begin, which may be outside. */
typedef struct cop_patches {
    uint32_t spatial;
    int64_t image[COPPICE_MAX_RANK], kernel[COPPICE_MAX_RANK], count[COPPICE_MAX_RANK];
    int64_t stride[COPPICE_MAX_RANK], dilation[COPPICE_MAX_RANK], begin[COPPICE_MAX_RANK];
} cop_patches;

/* Products over all dimensions, saturated at SIZE_MAX. */
size_t cop_patches_pixels(const cop_patches *p);
size_t cop_patches_taps(const cop_patches *p);
size_t cop_patches_places(const cop_patches *p);

/* columns[channel][tap][place - first] from image[channel][pixel], for places first .. last - 1;
 * 0 outside of the image. Elements of 4 or 8 bytes. */
void cop_patches_take(const cop_patches *p, size_t element, size_t channels, size_t first,
                      size_t last, const void *image, void *columns,
                      const coppice_threadpool *pool);

/* image[channel][pixel] += columns[channel][tap][place], over all taps and places. Any type of
 * numbers. */
void cop_patches_add(const cop_patches *p, coppice_type type, size_t channels, const void *columns,
                     void *image, const coppice_threadpool *pool);

#endif
