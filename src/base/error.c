/* Filling a coppice_error. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Control characters in names from a file must not reach a terminal or break the one-line rule. */
static void make_printable(char *text) {
    for (char *c = text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
}

static void set(coppice_error *err, coppice_status status, const char *format, va_list args) {
    err->status = status;
    err->file[0] = '\0';
    err->node[0] = '\0';
    err->offset = -1;
    vsnprintf(err->message, sizeof err->message, format, args);
    make_printable(err->message);
}

coppice_status cop_fail(coppice_error *err, coppice_status status, const char *format, ...) {
    if (!err)
        return status;
    va_list args;
    va_start(args, format);
    set(err, status, format, args);
    va_end(args);
    return status;
}

static coppice_status status_of_errno(int code) {
    switch (code) {
    case ENOMEM:
        return COPPICE_OUT_OF_MEMORY;
    case ENOENT:
        return COPPICE_NOT_FOUND;
    case EEXIST:
        return COPPICE_EXISTS;
    default:
        return COPPICE_IO;
    }
}

coppice_status cop_fail_errno(coppice_error *err, const char *format, ...) {
    int code = errno;
    coppice_status status = status_of_errno(code);
    if (!err)
        return status;
    va_list args;
    va_start(args, format);
    set(err, status, format, args);
    va_end(args);
    size_t used = strlen(err->message);
    snprintf(err->message + used, sizeof err->message - used, ": %s", strerror(code));
    return status;
}

coppice_status cop_fail_memory(coppice_error *err, size_t bytes) {
    return cop_fail(err, COPPICE_OUT_OF_MEMORY, "out of memory (%zu bytes asked for)", bytes);
}

void cop_error_prefix(coppice_error *err, const char *format, ...) {
    if (!err)
        return;
    char prefixed[sizeof err->message];
    va_list args;
    va_start(args, format);
    int used = vsnprintf(prefixed, sizeof prefixed, format, args);
    va_end(args);
    if (used < 0 || (size_t)used >= sizeof prefixed)
        return;
    snprintf(prefixed + used, sizeof prefixed - (size_t)used, ": %s", err->message);
    make_printable(prefixed);
    memcpy(err->message, prefixed, sizeof prefixed);
}

void cop_error_locate(coppice_error *err, const char *file, const char *node, int64_t offset) {
    if (!err)
        return;
    if (file && !err->file[0])
        snprintf(err->file, sizeof err->file, "%s", file);
    if (node && !err->node[0])
        snprintf(err->node, sizeof err->node, "%s", node);
    if (offset >= 0 && err->offset < 0)
        err->offset = offset;
}

#define STATUS_NAME(name, value, text)                                                             \
    case COPPICE_##name:                                                                           \
        return #name;
#define STATUS_TEXT(name, value, text)                                                             \
    case COPPICE_##name:                                                                           \
        return text;

const char *coppice_status_name(coppice_status status) {
    switch (status) { COPPICE_STATUS_LIST(STATUS_NAME) }
    return "UNKNOWN";
}

const char *coppice_status_text(coppice_status status) {
    switch (status) { COPPICE_STATUS_LIST(STATUS_TEXT) }
    return "unknown status";
}
