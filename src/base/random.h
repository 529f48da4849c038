/* Random numbers that are the same for the same seed everywhere. */
#ifndef COP_BASE_RANDOM_H
#define COP_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* The next 64 bits; `state` starts as the seed. */
uint64_t cop_random_next(uint64_t *state);

/* `count` numbers that are normally distributed, mean 0, deviation 1. */
void cop_random_normal(float *out, size_t count, uint64_t *state);

#endif
