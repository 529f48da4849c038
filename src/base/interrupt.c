/* A request to stop, set from a signal handler or another thread. */
#include "base/interrupt.h"

#include <stdatomic.h>

#include <coppice/interrupt.h>

#include "base/file.h"

static atomic_bool requested;

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
