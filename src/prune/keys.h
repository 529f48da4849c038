/* Keys: numbers that order weights by importance, whatever their type. */
#ifndef COP_PRUNE_KEYS_H
#define COP_PRUNE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <coppice/tensor.h>

#include "graph/graph.h"

/* Where the keys of one tensor come from. */
typedef struct cop_key_source {
    const cop_constant *weights;     /* float32, float16, bfloat16, float64 or quantised, at any
                                        alignment; quantised ones go by what they stand for */
    const coppice_tensor *zeroed_by; /* weights under its zeros count as zero; NULL: none */
    const coppice_tensor *scores;    /* float32, used instead of |w|; NULL: none */
    bool wide;                       /* keys have 64 bits; for pools with float64 weights */
} cop_key_source;

/* The key of a weight is 0 where it is zero. Elsewhere it orders as |w| or the score do, of
 * whichever sign, and across tensors of all types. It has 64 bits; those that are not `wide` are
 * float32 bits in the upper half, with a lower half of 0.
 *
 * Its upper COP_DIGIT_BITS bits are its digit. A NaN weight, or a score that is NaN or infinite,
 * has a key above cop_key_infinity; all others have one that is at most that. */
enum { COP_DIGIT_BITS = 16 };

static inline uint64_t cop_key_infinity(bool wide) {
    return wide ? 0xfff0000000000000u : 0xff80000000000000u;
}

/* Keys, or only their digits, of elements `first` .. `first + n - 1`. */
void cop_keys_load(const cop_key_source *source, int64_t first, size_t n, uint64_t *keys);
void cop_keys_digits(const cop_key_source *source, int64_t first, size_t n, uint16_t *digits);

/* The magnitude of element `at` of a weight, 0 where it is zero or lies under a zero of `zeroed_by`
 * (may be NULL). */
double cop_magnitude_of(const cop_constant *weights, const cop_constant *zeroed_by, int64_t at);

#endif
