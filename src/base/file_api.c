/* The public side of files: writing results, and asking beforehand whether that will work. */
#include <coppice/file.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

coppice_status coppice_file_write(const char *path, const void *data, size_t bytes, bool overwrite,
                                  coppice_error *error) {
    cop_writer writer = {0};
    COP_TRY(cop_writer_open(&writer, path, overwrite, error));
    cop_writer_write(&writer, data, bytes);
    return cop_writer_commit(&writer, error);
}

static coppice_status check_folder(const char *path, coppice_error *error) {
    const char *slash = strrchr(path, '/');
    char *folder =
        slash ? cop_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : cop_strdup(".");
    if (!folder)
        return cop_fail_memory(error, strlen(path));
    struct stat info;
    coppice_status status = COPPICE_OK;
    if (stat(folder, &info) != 0 && errno == ENOENT)
        status = cop_fail(error, COPPICE_IO, "%s: the folder '%s' does not exist; create it first",
                          path, folder);
    else if (stat(folder, &info) == 0 && !S_ISDIR(info.st_mode))
        status = cop_fail(error, COPPICE_IO, "%s: '%s' is not a folder", path, folder);
    else if (access(folder, W_OK | X_OK) != 0)
        status = cop_fail_errno(error, "%s: cannot write into the folder '%s'", path, folder);
    cop_free(folder);
    return status;
}

coppice_status coppice_file_check_target(const char *path, bool overwrite, coppice_error *error) {
    struct stat info;
    coppice_status status = COPPICE_OK;
    if (!*path)
        status = cop_fail(error, COPPICE_INVALID_ARGUMENT, "the name of a file to write is empty");
    else if (stat(path, &info) != 0)
        status = check_folder(path, error);
    else if (!S_ISREG(info.st_mode))
        status = cop_fail(error, COPPICE_IO, "%s: exists and is not a regular file", path);
    else if (!overwrite)
        status = cop_fail_exists(error, path);
    else
        status = check_folder(path, error);
    if (status != COPPICE_OK)
        cop_error_locate(error, path, NULL, -1);
    return status;
}
