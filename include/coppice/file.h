/* Files: writing small results safely, and how small a file gets by compression. Models, arrays and
 * masks have writers of their own. */
#ifndef COPPICE_FILE_H
#define COPPICE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <coppice/export.h>
#include <coppice/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes `bytes` bytes to `path`: through a temporary file in the same folder, so that the target
 * is complete or as it was. Errors: EXISTS (without `overwrite`), IO. Thread-safe. */
COPPICE_API coppice_status coppice_file_write(const char *path, const void *data, size_t bytes,
                                              bool overwrite, coppice_error *error);

/* Says before long work whether a file could be written to `path`, as far as that can be known:
 * touches nothing. Errors: EXISTS (without `overwrite`); IO when the folder does not exist or may
 * not be written, or when the target is no regular file. Thread-safe. */
COPPICE_API coppice_status coppice_file_check_target(const char *path, bool overwrite,
                                                     coppice_error *error);

typedef enum coppice_compression {
    COPPICE_COMPRESSION_GZIP, /* zlib, level 6 */
    COPPICE_COMPRESSION_ZSTD  /* level 3 */
} coppice_compression;

/* The size that a file would have when compressed; nothing is written. Errors: NOT_FOUND, IO;
 * UNSUPPORTED when built without that library; INTERRUPTED. Thread-safe. */
COPPICE_API coppice_status coppice_file_compressed_bytes(const char *path,
                                                         coppice_compression compression,
                                                         int64_t *bytes, coppice_error *error);

#ifdef __cplusplus
}
#endif

#endif
