/* Everything that coppice offers.
 *
 * Rules that hold everywhere, unless a function says otherwise:
 *
 * Errors. A function that can fail returns a coppice_status and fills the coppice_error that it is
 * given, which may be NULL (status.h). It never prints and never exits. OUT_OF_MEMORY is possible
 * wherever something is made. After a failure results are NULL or zero and everything else is as it
 * was.
 *
 * Owners. What comes through `T **out` belongs to the caller, who frees it with the coppice_T_free
 * beside it; freeing NULL is fine. Pointers that are found inside an object live as long as it.
 * Pointers that are handed to a call are borrowed until it returns. A model must outlive the
 * sessions, reports and matches that were made from it.
 *
 * Options. Every struct of options has an _init function that sets the defaults: call it before
 * setting members, as later versions may add some.
 *
 * Threads. Functions that work on no object, and those on different objects, may run at the same
 * time. One object may be read by several threads at once: functions that take it as const only
 * read it. A function that takes it without const needs it for itself.
 *
 * Units. Sizes are bytes, times milliseconds unless the name says seconds, ratios are fractions.
 * Tensors are dense and row-major, dimensions counted in elements. Names are the bytes that the
 * file holds, NUL-terminated, usually UTF-8. */
#ifndef COPPICE_COPPICE_H
#define COPPICE_COPPICE_H

#include <coppice/bench.h>
#include <coppice/compare.h>
#include <coppice/data.h>
#include <coppice/file.h>
#include <coppice/gradual.h>
#include <coppice/host.h>
#include <coppice/interrupt.h>
#include <coppice/masks.h>
#include <coppice/metrics.h>
#include <coppice/model.h>
#include <coppice/prune.h>
#include <coppice/report.h>
#include <coppice/runtime.h>
#include <coppice/status.h>
#include <coppice/tensor.h>
#include <coppice/value.h>
#include <coppice/version.h>
#include <coppice/what_if.h>

#endif
