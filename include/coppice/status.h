/* Status codes and the error object that every fallible function of coppice fills.
 *
 * A fallible function returns a coppice_status: COPPICE_OK (0) or a negative code. Its last
 * parameter is an optional coppice_error; when it is not NULL and the call fails, it says what
 * went wrong, where, and what to do. Functions never print, exit or abort on bad input. */
#ifndef COPPICE_STATUS_H
#define COPPICE_STATUS_H

#include <stdint.h>

#include <coppice/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, value, text): the one list that gives the enum, the names and the messages. */
#define COPPICE_STATUS_LIST(X)                                                                     \
    X(OK, 0, "ok")                                                                                 \
    X(INVALID_ARGUMENT, -1, "invalid argument")                                                    \
    X(OUT_OF_MEMORY, -2, "out of memory")                                                          \
    X(IO, -3, "input/output error")                                                                \
    X(NOT_FOUND, -4, "not found")                                                                  \
    X(EXISTS, -5, "already exists")                                                                \
    X(BAD_MODEL, -6, "invalid model")                                                              \
    X(BAD_DATA, -7, "invalid data")                                                                \
    X(UNSUPPORTED, -8, "not supported")                                                            \
    X(LIMIT, -9, "limit exceeded")                                                                 \
    X(BUSY, -10, "busy")                                                                           \
    X(INTERRUPTED, -11, "interrupted")                                                             \
    X(INTERNAL, -12, "internal error")

typedef enum coppice_status {
#define COPPICE_STATUS_ENUM(name, value, text) COPPICE_##name = value,
    COPPICE_STATUS_LIST(COPPICE_STATUS_ENUM)
#undef COPPICE_STATUS_ENUM
} coppice_status;

/* What went wrong. Owned by the caller, usually on the stack; needs no initialisation and no
 * freeing. All strings are NUL-terminated, cut at the size of their array, "" when unknown. */
typedef struct coppice_error {
    coppice_status status;
    char message[1024]; /* one line, complete in itself: "FILE: node 'N' (Op, opset V): reason" */
    char file[512];     /* the file concerned */
    char node[256];     /* the graph node concerned */
    int64_t offset;     /* byte offset in `file`, -1 when unknown */
} coppice_error;

/* "INVALID_ARGUMENT", ...; "UNKNOWN" for a value outside the list. Static storage. Thread-safe. */
COPPICE_API const char *coppice_status_name(coppice_status status);

/* "invalid argument", ...; "unknown status" for a value outside the list. Static storage.
 * Thread-safe. */
COPPICE_API const char *coppice_status_text(coppice_status status);

#ifdef __cplusplus
}
#endif

#endif
