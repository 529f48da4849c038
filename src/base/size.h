/* Checked size arithmetic: every product or sum of sizes that a file can influence goes through
 * these. Each returns false on overflow and leaves *out untouched. */
#ifndef COP_BASE_SIZE_H
#define COP_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool cop_size_mul(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool cop_size_add(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

static inline bool cop_i64_mul(int64_t a, int64_t b, int64_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool cop_i64_add(int64_t a, int64_t b, int64_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

/* a / b, rounded up; `b` is not 0. */
static inline size_t cop_divide_up(size_t a, size_t b) {
    return a / b + (a % b != 0);
}

static inline size_t cop_smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static inline int64_t cop_i64_smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* `n` rounded up to a multiple of `to` (a power of two); `n` must leave room for it. */
static inline size_t cop_round_up(size_t n, size_t to) {
    return (n + to - 1) & ~(to - 1);
}

#endif
