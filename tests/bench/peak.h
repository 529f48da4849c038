/* What this machine can do at most: multiply-adds per second on one core, by where the operand that
 * is loaded comes from. */
#ifndef COP_BENCH_PEAK_H
#define COP_BENCH_PEAK_H

#include <coppice/runtime.h>

typedef struct peak {
    double registers, l1, l2; /* GFLOP/s, a multiply-add being two */
} peak;

/* With the vectors of `isa`, which the CPU has. Takes some 100 ms. */
peak peak_measure(coppice_isa isa);

#endif
