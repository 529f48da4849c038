/* What the host of an object is told while coppice works: lines for its log, and how far work is.
 *
 * Both go to the host that this thread works for (base/memory.h); without one nothing happens. */
#ifndef COP_BASE_LOG_H
#define COP_BASE_LOG_H

#include <coppice/host.h>
#include <coppice/status.h>

#include "base/error.h"

/* One line, without a newline at its end. */
void cop_log(coppice_log_level level, const char *format, ...) COP_PRINTF(2, 3);

/* Is there anybody who reads such lines? Saves making costly ones. */
bool cop_log_wanted(void);

/* Says that `done` of `total` steps of `what` are done; `before` were at the last call (0 at
 * first). The host hears of it when another hundredth is full, and at the end. Returns INTERRUPTED
 * when the host wants to stop, or coppice_interrupt was called. */
coppice_status cop_progress(const char *what, int64_t before, int64_t done, int64_t total,
                            coppice_error *err);

/* The same for work in several places: how much of it is done. */
typedef struct cop_tally {
    const char *what;
    int64_t done, total;
} cop_tally;

/* Another `steps` are done. `tally` NULL: asks for interrupts only. */
coppice_status cop_tally_add(cop_tally *tally, int64_t steps, coppice_error *err);

#endif
