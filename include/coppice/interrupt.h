/* Stopping long work from a signal handler. */
#ifndef COPPICE_INTERRUPT_H
#define COPPICE_INTERRUPT_H

#include <coppice/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Asks every running coppice call of this process to stop: each returns COPPICE_INTERRUPTED soon.
 * Temporary files of unfinished outputs are removed at once. Async-signal-safe, thread-safe. */
COPPICE_API void coppice_interrupt(void);

/* Takes the request back, so that later calls run again. Thread-safe. */
COPPICE_API void coppice_interrupt_clear(void);

#ifdef __cplusplus
}
#endif

#endif
