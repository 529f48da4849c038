/* The clock that everything is timed with. */
#ifndef COP_BASE_CLOCK_H
#define COP_BASE_CLOCK_H

/* Monotonic time in milliseconds. */
double cop_now_ms(void);

#endif
