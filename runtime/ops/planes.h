/* Images as operators see them that go channel by channel, plain or in tiles. */
#ifndef COP_OPS_PLANES_H
#define COP_OPS_PLANES_H

#include "runtime/layout.h"

/* A float32 tensor [images][channels][pixels], plain or in COP_LAYOUT_TILES. */
typedef struct cop_planes {
    float *data;
    size_t images, channels, pixels;
    size_t tile; /* floats of a stripe; 0: plain */
} cop_planes;

/* Of an operand of rank 2 and up that is plain or in COP_LAYOUT_TILES. */
cop_planes cop_planes_of(const cop_operand *operand);

/* Pixel `first` of a plane; *n, more than 0, is cut to how many lie behind one another from there.
 */
float *cop_planes_at(const cop_planes *planes, size_t image, size_t channel, size_t first,
                     size_t *n);

/* `n` pixels of a plane from `first` on: where they are, or put together in `room`. */
const float *cop_planes_read(const cop_planes *planes, size_t image, size_t channel, size_t first,
                             size_t n, float *room);

/* Sets them. */
void cop_planes_write(const cop_planes *planes, size_t image, size_t channel, size_t first,
                      size_t n, const float *from);

enum { COP_PLANES_AT_ONCE = 64 };

/* How many of `count` planes from [image][channel] on are of one image, COP_PLANES_AT_ONCE at most.
 */
size_t cop_planes_together(const cop_planes *planes, size_t channel, size_t count);

/* The sums of the pixels of `count` planes, COP_PLANES_AT_ONCE at most, of channels from `channel`
 * on. Each is the same whatever it is asked for together with. */
void cop_planes_sums(const cop_planes *planes, const struct cop_kernels *kernels, size_t image,
                     size_t channel, size_t count, double *sums);

/* The same of what is left without mean[c], squared; of planes in tiles alone. */
void cop_planes_squares(const cop_planes *planes, const struct cop_kernels *kernels, size_t image,
                        size_t channel, size_t count, const float *mean, double *sums);

/* The largest of a plane's pixels, NaN where there is one. */
float cop_planes_max(const cop_planes *planes, const struct cop_kernels *kernels, size_t image,
                     size_t channel);

#endif
