/* Files: private mappings for reading, complete-or-nothing files for writing. */
#ifndef COP_BASE_FILE_H
#define COP_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <coppice/status.h>

/* A whole file mapped privately: writes to `data` stay in this process. `data` is NULL for an empty
 * file. Zero-initialise; free with cop_mapping_close. */
typedef struct cop_mapping {
    unsigned char *data;
    size_t bytes;
} cop_mapping;

/* Maps a regular file. Errors: NOT_FOUND, IO (also for a folder or another kind of file). */
coppice_status cop_mapping_open(const char *path, cop_mapping *out, coppice_error *err);
void cop_mapping_close(cop_mapping *mapping);

/* Gives the memory of the whole pages among these bytes of a mapping back; the next access reads
 * them from the file again. What was written to them is lost. */
void cop_mapping_release(const void *data, size_t bytes);

/* A file that appears complete or not at all: written to a temporary file in the target's folder,
 * then synced and renamed over the target. Zero-initialise. */
typedef struct cop_writer {
    int fd; /* open while there is a `temporary` */
    char *target, *temporary;
    unsigned char *buffer;
    size_t used;
    uint64_t written;         /* bytes given to cop_writer_write so far */
    uint64_t passed, started; /* bytes that the system has; of which are on their way to the disk */
    bool keep_existing;
    int error; /* errno of the first failure, 0 if none; later writes do nothing */
} cop_writer;

/* Starts a file that will be `target`. A symbolic link is followed, its target replaced. With
 * `overwrite` false an existing target is refused with EXISTS, here and again at the commit. */
coppice_status cop_writer_open(cop_writer *writer, const char *target, bool overwrite,
                               coppice_error *err);

/* Appends; a failure is remembered and reported by cop_writer_commit. */
void cop_writer_write(cop_writer *writer, const void *data, size_t bytes);

/* Writes and syncs everything, so that of the commit only the rename is left: for two files that
 * belong together. On failure the temporary file is gone and the writer closed. */
coppice_status cop_writer_sync(cop_writer *writer, coppice_error *err);

/* Syncs, renames, syncs the folder. On failure the target is as it was and the temporary file is
 * gone. Closes the writer either way. */
coppice_status cop_writer_commit(cop_writer *writer, coppice_error *err);

/* Lets the temporary file outlive an interrupt, for the moments in which files get their names. */
void cop_writer_forget(const cop_writer *writer);

/* Removes the temporary file; no effect after a commit or on a writer that was never opened. */
void cop_writer_abort(cop_writer *writer);

/* Removes the temporary files of all open writers of this process. Async-signal-safe: for the
 * handler of SIGINT and SIGTERM. */
void cop_writer_abort_all(void);

/* Renames a file unless the new name is taken (EEXIST). Atomic. -1: errno says why. */
int cop_rename_new(const char *from, const char *to);

/* EXISTS: a target is there that must not be replaced. */
coppice_status cop_fail_exists(coppice_error *err, const char *target);

/* Makes the names in the folder of `path` lasting. */
void cop_sync_folder(const char *path);

/* Size of a regular file in bytes; -1 when it cannot be read. */
int64_t cop_file_bytes(const char *path);

/* "folder-of-path/name" as an allocated string; "name" when path has no folder. NULL: no memory. */
char *cop_path_sibling(const char *path, const char *name);

#endif
