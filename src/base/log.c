/* Lines for a host's log, and its progress. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/interrupt.h"
#include "base/memory.h"

bool cop_log_wanted(void) {
    const coppice_host *host = cop_memory_host();
    return host && host->log;
}

void cop_log(coppice_log_level level, const char *format, ...) {
    if (!cop_log_wanted())
        return;
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    const coppice_host *host = cop_memory_enter(NULL); /* should it call coppice */
    host->log(host->cookie, level, message);
    cop_memory_enter(host);
}

static int hundredths(int64_t done, int64_t total) {
    return (int)((double)done / (double)total * 100);
}

coppice_status cop_progress(const char *what, int64_t before, int64_t done, int64_t total,
                            coppice_error *err) {
    const coppice_host *host = cop_memory_host();
    bool stop = cop_interrupted();
    if (!stop && host && host->progress && total > 0 &&
        (done == total || hundredths(before, total) != hundredths(done, total))) {
        cop_memory_enter(NULL);
        stop = !host->progress(host->cookie, what, done, total);
        cop_memory_enter(host);
    }
    return stop ? cop_fail(err, COPPICE_INTERRUPTED, "interrupted") : COPPICE_OK;
}

coppice_status cop_tally_add(cop_tally *tally, int64_t steps, coppice_error *err) {
    if (!tally)
        return cop_progress("", 0, 0, 0, err);
    int64_t before = tally->done;
    tally->done += steps;
    return cop_progress(tally->what, before, tally->done, tally->total, err);
}
