/* Vectors of 4 floats as any CPU has them, for the kernels in plain C. */
#ifndef COP_RUNTIME_KERNELS_VECTOR_H
#define COP_RUNTIME_KERNELS_VECTOR_H

#include <string.h>

enum { COP_VECTOR_LANES = 4 };

typedef float cop_vector __attribute__((vector_size(COP_VECTOR_LANES * sizeof(float))));

/* From any address. */
static inline cop_vector cop_vector_load(const float *from) {
    cop_vector v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline cop_vector cop_vector_of(float x) {
    return (cop_vector){x, x, x, x};
}

/* A NaN stays NaN. */
static inline float cop_clamp(float x, float min, float max) {
    x = x < min ? min : x;
    return x > max ? max : x;
}

#endif
