/* The clocks that everything is timed with. */
#include "base/clock.h"

#include <time.h>

static double read_ms(clockid_t clock) {
    struct timespec now = {0};
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

double cop_now_ms(void) {
    return read_ms(CLOCK_MONOTONIC);
}

double cop_thread_ms(void) {
    return read_ms(CLOCK_THREAD_CPUTIME_ID);
}
