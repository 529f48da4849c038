/* The clocks that everything is timed with. */
#ifndef COP_BASE_CLOCK_H
#define COP_BASE_CLOCK_H

/* Monotonic time in milliseconds. */
double cop_now_ms(void);

/* How long the calling thread has computed, in milliseconds: stands still while others have its
 * core. */
double cop_thread_ms(void);

#endif
