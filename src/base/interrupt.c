/* A request to stop, set from a signal handler or another thread. */
#include "base/interrupt.h"

#include <stdatomic.h>

#include <coppice/interrupt.h>

#include "base/error.h"
#include "base/file.h"

static atomic_bool requested;
static _Thread_local bool cut;

void coppice_interrupt(void) {
    atomic_store(&requested, true);
    cop_writer_abort_all();
}

void coppice_interrupt_clear(void) {
    atomic_store(&requested, false);
}

bool cop_interrupted(void) {
    return atomic_load(&requested);
}

void cop_interrupt_cut(void) {
    cut = true;
}

coppice_status cop_check_interrupt(coppice_error *err) {
    bool stop = cop_interrupted() || cut;
    cut = false;
    return stop ? cop_fail(err, COPPICE_INTERRUPTED, "interrupted") : COPPICE_OK;
}
