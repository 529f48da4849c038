/* A request to stop, set from a signal handler or another thread, polled by long loops. */
#ifndef COP_BASE_INTERRUPT_H
#define COP_BASE_INTERRUPT_H

#include <stdbool.h>

#include <coppice/status.h>

/* True after coppice_interrupt() until coppice_interrupt_clear(). */
bool cop_interrupted(void);

/* INTERRUPTED then, else OK. */
coppice_status cop_check_interrupt(coppice_error *err);

/* What this thread made last is not complete because of a request: cop_check_interrupt says so
 * once, even if the request is taken back meanwhile. */
void cop_interrupt_cut(void);

#endif
