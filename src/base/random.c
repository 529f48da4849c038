/* Random numbers that are the same for the same seed everywhere. */
#include "base/random.h"

#include <math.h>

/* splitmix64 (Steele, Lea and Flood 2014). */
uint64_t cop_random_next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* In (0, 1]. */
static double next_uniform(uint64_t *state) {
    return (double)((cop_random_next(state) >> 11) + 1) * 0x1p-53;
}

/* Box and Muller 1958: numbers come in pairs. */
void cop_random_normal(float *out, size_t count, uint64_t *state) {
    const double two_pi = 6.283185307179586;
    for (size_t i = 0; i < count; i += 2) {
        double radius = sqrt(-2 * log(next_uniform(state)));
        double angle = two_pi * next_uniform(state);
        out[i] = (float)(radius * cos(angle));
        if (i + 1 < count)
            out[i + 1] = (float)(radius * sin(angle));
    }
}
