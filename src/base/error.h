/* Filling a coppice_error: what went wrong first, then each caller adds where. */
#ifndef COP_BASE_ERROR_H
#define COP_BASE_ERROR_H

#include <stddef.h>

#include <coppice/status.h>

#define COP_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Sets `err` (may be NULL) to `status` and the formatted message, clears file, node and offset, and
 * returns `status`, so that `return cop_fail(...)` is one line. */
coppice_status cop_fail(coppice_error *err, coppice_status status, const char *format, ...)
    COP_PRINTF(3, 4);

/* As cop_fail with the text of `errno` appended: "MESSAGE: No such file or directory". ENOMEM gives
 * OUT_OF_MEMORY, ENOENT NOT_FOUND, EEXIST EXISTS, anything else IO. */
coppice_status cop_fail_errno(coppice_error *err, const char *format, ...) COP_PRINTF(2, 3);

/* OUT_OF_MEMORY with a message that names the amount. */
coppice_status cop_fail_memory(coppice_error *err, size_t bytes);

/* Puts "PREFIX: " before the message of an error that is already set. */
void cop_error_prefix(coppice_error *err, const char *format, ...) COP_PRINTF(2, 3);

/* Remembers where the error is: the `file`, `node` and `offset` members. The message is not
 * changed; NULL and -1 leave a member as it is. A member that is already set stays. */
void cop_error_locate(coppice_error *err, const char *file, const char *node, int64_t offset);

#define COP_TRY(call)                                                                              \
    do {                                                                                           \
        coppice_status try_status_ = (call);                                                       \
        if (try_status_ != COPPICE_OK)                                                             \
            return try_status_;                                                                    \
    } while (0)

/* For functions with one destructor path: sets `status` and jumps to `fail`. */
#define COP_TRY_OR_FAIL(call)                                                                      \
    do {                                                                                           \
        status = (call);                                                                           \
        if (status != COPPICE_OK)                                                                  \
            goto fail;                                                                             \
    } while (0)

#endif
