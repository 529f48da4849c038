/* What the host program gives to the library: memory, a place for messages, progress.
 *
 *     static const coppice_host host = {.log = print_line};
 *     coppice_load_options options;
 *     coppice_load_options_init(&options);
 *     options.host = &host;
 *     coppice_model_load("net.onnx", &options, &model, &error);
 *
 * A host belongs to objects: it is given when a model is loaded, and everything made from that
 * model (reports, their masks, matches, sessions) uses it too. Two models may have two hosts; where
 * two models meet, it is that of the first. What is made without a model (masks that are read from
 * a file, data sets, thread pools) uses the C library's memory. Without a host, coppice allocates
 * with the C library, says nothing and reports no progress.
 *
 * A host is borrowed: it must outlive every object that was made with it. Its functions are called
 * from the threads that call coppice and need not be thread-safe unless several threads use objects
 * of the same host. They must not call coppice with the object that is being worked for. */
#ifndef COPPICE_HOST_H
#define COPPICE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <coppice/export.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum coppice_log_level {
    COPPICE_LOG_DEBUG,  /* what was chosen, and why */
    COPPICE_LOG_NOTE,   /* what a user may want to know, as an unusual file */
    COPPICE_LOG_WARNING /* what should be looked at, as weights that training made non-zero again */
} coppice_log_level;

/* Zero-initialise; every member may be left out. */
typedef struct coppice_host {
    void *cookie; /* handed to every function */

    /* The heap, as realloc(3) with three uses: `block` NULL allocates, `bytes` 0 releases and
     * returns NULL, otherwise resizes. Blocks are aligned to 16 bytes; NULL: out of memory, and
     * `block` stays as it was. Files are mapped and not read into the heap; libraries that coppice
     * uses (JSON, zip, images, XNNPACK) have heaps of their own. */
    void *(*allocate)(void *cookie, void *block, size_t bytes);

    /* One line without a newline at its end. `message` is borrowed for the call. */
    void (*log)(void *cookie, coppice_log_level level, const char *message);

    /* `done` of `total` steps of `what` ("prune", "save", "steps"); called at most about a hundred
     * times per work, the last time with done equal to total. Return false to stop the work: it
     * fails with INTERRUPTED and leaves everything as it was. */
    bool (*progress)(void *cookie, const char *what, int64_t done, int64_t total);
} coppice_host;

#ifdef __cplusplus
}
#endif

#endif
