/* Files: private mappings for reading, complete-or-nothing files for writing. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"

enum { BUFFER_BYTES = 1 << 20, WRITEBACK_BYTES = 8 << 20, MAX_OPEN_WRITERS = 16 };

/* Paths of the temporary files that exist now, for cop_writer_abort_all. */
static _Atomic(char *) open_temporaries[MAX_OPEN_WRITERS];

coppice_status cop_mapping_open(const char *path, cop_mapping *out, coppice_error *err) {
    *out = (cop_mapping){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
    if (fd < 0) {
        coppice_status failed = cop_fail_errno(err, "%s: cannot open", path);
        cop_error_locate(err, path, NULL, -1);
        return failed;
    }
    coppice_status status = COPPICE_OK;
    struct stat info;
    if (fstat(fd, &info) != 0) {
        status = cop_fail_errno(err, "%s: cannot stat", path);
    } else if (!S_ISREG(info.st_mode)) {
        status = cop_fail(err, COPPICE_IO, "%s: not a regular file", path);
    } else if (info.st_size > 0) {
        void *data = mmap(NULL, (size_t)info.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            status = cop_fail_errno(err, "%s: cannot map", path);
        else
            *out = (cop_mapping){.data = data, .bytes = (size_t)info.st_size};
    }
    close(fd);
    cop_error_locate(status ? err : NULL, path, NULL, -1);
    return status;
}

void cop_mapping_close(cop_mapping *mapping) {
    if (mapping->data)
        munmap(mapping->data, mapping->bytes);
    *mapping = (cop_mapping){0};
}

void cop_mapping_release(const void *data, size_t bytes) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)data;
    uintptr_t end = (begin + bytes) / page * page;
    begin = (begin + page - 1) / page * page;
    if (begin < end)
        madvise((void *)begin, end - begin, MADV_DONTNEED);
}

static void remember(char *temporary) {
    for (int i = 0; i < MAX_OPEN_WRITERS; i++) {
        char *none = NULL;
        if (atomic_compare_exchange_strong(&open_temporaries[i], &none, temporary))
            return;
    }
}

static void forget(char *temporary) {
    for (int i = 0; i < MAX_OPEN_WRITERS; i++) {
        char *expected = temporary;
        if (atomic_compare_exchange_strong(&open_temporaries[i], &expected, NULL))
            return;
    }
}

void cop_writer_abort_all(void) {
    for (int i = 0; i < MAX_OPEN_WRITERS; i++) {
        char *path = atomic_load(&open_temporaries[i]);
        if (path)
            unlink(path);
    }
}

static void release(cop_writer *writer) {
    if (writer->temporary) {
        close(writer->fd);
        forget(writer->temporary);
    }
    cop_free(writer->target);
    cop_free(writer->temporary);
    cop_free(writer->buffer);
    *writer = (cop_writer){0};
}

/* Creates a file in place of the X at the end of `path`, with the mode that the umask gives a new
 * file: mkstemp would need it asked for, which is to set it for all threads. The descriptor, or -1.
 */
static int create_temporary(char *path) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz012345"; /* 32: no remainder */
    enum { LETTERS = 6, ATTEMPTS = 100 };
    char *end = path + strlen(path) - LETTERS;
    int fd = -1;
    for (int i = 0; i < ATTEMPTS && fd < 0; i++) {
        unsigned char random[LETTERS];
        if (getrandom(random, sizeof random, 0) != sizeof random)
            return -1;
        for (int k = 0; k < LETTERS; k++)
            end[k] = letters[random[k] % 32];
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST)
            return -1;
    }
    return fd;
}

coppice_status cop_fail_exists(coppice_error *err, const char *target) {
    return cop_fail(err, COPPICE_EXISTS, "%s: already exists (use --force to replace it)", target);
}

coppice_status cop_writer_open(cop_writer *writer, const char *target, bool overwrite,
                               coppice_error *err) {
    *writer = (cop_writer){.keep_existing = !overwrite};
    struct stat info;
    if (stat(target, &info) == 0) {
        if (!S_ISREG(info.st_mode))
            return cop_fail(err, COPPICE_IO, "%s: exists and is not a regular file", target);
        if (!overwrite)
            return cop_fail_exists(err, target);
    }
    char *resolved = cop_realpath(target), *temporary = NULL;
    bool replaces = resolved && stat(resolved, &info) == 0;
    writer->target = resolved ? resolved : cop_strdup(target);
    writer->buffer = cop_malloc(BUFFER_BYTES);
    if (writer->target)
        temporary = cop_printf("%s.tmp-XXXXXX", writer->target);
    if (!writer->target || !writer->buffer || !temporary) {
        cop_free(temporary);
        release(writer);
        return cop_fail_memory(err, BUFFER_BYTES);
    }
    writer->fd = create_temporary(temporary);
    if (writer->fd < 0) {
        coppice_status status = cop_fail_errno(err, "%s: cannot create", target);
        cop_free(temporary);
        release(writer);
        return status == COPPICE_NOT_FOUND ? COPPICE_IO : status;
    }
    writer->temporary = temporary;
    remember(temporary);
    if (replaces)
        fchmod(writer->fd, info.st_mode & 0777);
    return COPPICE_OK;
}

/* Has the disk start early, so that the sync at the end has little left to wait for. */
static void start_writeback(cop_writer *writer) {
    uint64_t ready = writer->passed - writer->started;
    if (ready < WRITEBACK_BYTES)
        return;
    sync_file_range(writer->fd, (off_t)writer->started, (off_t)ready, SYNC_FILE_RANGE_WRITE);
    writer->started = writer->passed;
}

static void write_all(cop_writer *writer, const unsigned char *data, size_t bytes) {
    while (bytes > 0 && !writer->error) {
        ssize_t n = write(writer->fd, data, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            writer->error = errno;
            return;
        }
        data += n;
        bytes -= (size_t)n;
        writer->passed += (size_t)n;
        start_writeback(writer);
    }
}

static void flush(cop_writer *writer) {
    write_all(writer, writer->buffer, writer->used);
    writer->used = 0;
}

void cop_writer_write(cop_writer *writer, const void *data, size_t bytes) {
    writer->written += bytes;
    if (bytes > BUFFER_BYTES - writer->used)
        flush(writer);
    if (bytes >= BUFFER_BYTES) {
        write_all(writer, data, bytes);
        return;
    }
    if (bytes)
        memcpy(writer->buffer + writer->used, data, bytes);
    writer->used += bytes;
}

void cop_sync_folder(const char *path) {
    char *slash = strrchr(path, '/');
    char *folder =
        slash ? cop_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : cop_strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    cop_free(folder);
}

int cop_rename_new(const char *from, const char *to) {
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
        return -1;
    if (link(from, to) != 0) /* what file systems without that flag have */
        return -1;
    unlink(from);
    return 0;
}

static int publish(const cop_writer *writer) {
    return writer->keep_existing ? cop_rename_new(writer->temporary, writer->target)
                                 : rename(writer->temporary, writer->target);
}

/* Reports the first error, if there was one, and closes the writer then. */
static coppice_status check(cop_writer *writer, coppice_error *err) {
    if (!writer->error)
        return COPPICE_OK;
    errno = writer->error;
    coppice_status status =
        writer->error == EEXIST /* made by somebody else since the writer was opened */
            ? cop_fail_exists(err, writer->target)
            : cop_fail_errno(err,
                             "%s: cannot write (the target is as it was; is there room for it?)",
                             writer->target);
    cop_error_locate(err, writer->target, NULL, -1);
    cop_writer_abort(writer);
    return status;
}

coppice_status cop_writer_sync(cop_writer *writer, coppice_error *err) {
    flush(writer);
    if (!writer->error && fsync(writer->fd) != 0)
        writer->error = errno;
    return check(writer, err);
}

coppice_status cop_writer_commit(cop_writer *writer, coppice_error *err) {
    COP_TRY(cop_writer_sync(writer, err));
    if (publish(writer) != 0)
        writer->error = errno;
    COP_TRY(check(writer, err));
    cop_sync_folder(writer->target);
    release(writer);
    return COPPICE_OK;
}

void cop_writer_forget(const cop_writer *writer) {
    if (writer->temporary)
        forget(writer->temporary);
}

void cop_writer_abort(cop_writer *writer) {
    if (writer->temporary)
        unlink(writer->temporary);
    release(writer);
}

int64_t cop_file_bytes(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) ? (int64_t)info.st_size : -1;
}

char *cop_path_sibling(const char *path, const char *name) {
    const char *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
    char *result = cop_malloc(folder + strlen(name) + 1);
    if (!result)
        return NULL;
    memcpy(result, path, folder);
    strcpy(result + folder, name);
    return result;
}
