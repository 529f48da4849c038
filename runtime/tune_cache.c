/* What was measured before, on disk: the times of a layer's kernels on this machine. */
#include "runtime/tune_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cpuinfo.h>

#include <coppice/version.h>

#include "base/arena.h"
#include "base/build_id.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"

/* Its last character is the version of the format. */
static const char header[16] = {'c', 'o', 'p', 'p', 'i', 'c', 'e', ' ',
                                't', 'u', 'n', 'i', 'n', 'g', ' ', '1'};

enum {
    MOST_RECORDS = 8192, /* 1 MiB */
    LOCK_TRIES = 40,
    LOCK_WAIT_US = 5000,
    REOPENINGS = 3
};

/* As it is in the file; in the byte order of the machine, which never changes beneath a file. */
typedef struct record {
    cop_tune_key key;
    uint64_t checksum; /* of all but itself */
    cop_tune_times times;
} record;
_Static_assert(sizeof(record) == 128, "records are packed");

struct cop_tune_cache {
    char *path; /* NULL: none */
    record *records;
    size_t count, capacity;
    size_t stored;   /* of these are in the file; the ones behind are new */
    uint32_t *slots; /* record + 1 by key, 0: free; a power of two, at most half full */
    size_t slot_count;
    bool damaged;
};

/* ---- keys ---- */

static void mix(uint64_t *hash, uint64_t word, uint64_t factor) {
    *hash = (*hash ^ word) * factor;
    *hash ^= *hash >> 29;
}

void cop_tune_key_number(cop_tune_key *key, uint64_t number) {
    mix(&key->a, number, 0x9e3779b97f4a7c15u);
    mix(&key->b, number + key->a, 0xd6e8feb86659fd93u);
}

void cop_tune_key_text(cop_tune_key *key, const char *text) {
    for (; *text; text++)
        cop_tune_key_number(key, (unsigned char)*text);
    cop_tune_key_number(key, 256); /* ends it */
}

cop_tune_key cop_tune_key_start(void) {
    cop_tune_key key = {1, 2};
    unsigned char id[COP_BUILD_ID_MOST];
    size_t bytes = cop_build_id(id);
    for (size_t i = 0; i < bytes; i++)
        cop_tune_key_number(&key, id[i]);
    cop_tune_key_text(&key, coppice_version());
    if (!cpuinfo_initialize())
        return key;
    if (cpuinfo_get_packages_count())
        cop_tune_key_text(&key, cpuinfo_get_package(0)->name);
    const struct cpuinfo_cache *caches[] = {cpuinfo_get_l1d_cache(0), cpuinfo_get_l2_cache(0),
                                            cpuinfo_get_l3_cache(0)};
    for (size_t i = 0; i < sizeof caches / sizeof *caches; i++)
        cop_tune_key_number(&key, caches[i] ? caches[i]->size : 0);
    cop_tune_key_number(&key, cpuinfo_get_cores_count());
    return key;
}

/* ---- records in memory ---- */

static uint64_t checksum_of(const record *r) {
    uint64_t words[sizeof *r / sizeof(uint64_t)], sum = 3;
    memcpy(words, r, sizeof words);
    words[offsetof(record, checksum) / sizeof *words] = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        mix(&sum, words[i], 0xff51afd7ed558ccdu);
    return sum;
}

static bool intact(const record *r) {
    return r->checksum == checksum_of(r) && r->times.count <= COP_TUNE_MOST;
}

static bool same_key(cop_tune_key x, cop_tune_key y) {
    return x.a == y.a && x.b == y.b;
}

/* The slot of `key`, or the free one where it belongs. */
static uint32_t *slot_of(const cop_tune_cache *cache, cop_tune_key key) {
    size_t at = (size_t)key.b & (cache->slot_count - 1);
    while (cache->slots[at] && !same_key(cache->records[cache->slots[at] - 1].key, key))
        at = (at + 1) & (cache->slot_count - 1);
    return &cache->slots[at];
}

static void index_record(cop_tune_cache *cache, size_t index) {
    uint32_t *slot = slot_of(cache, cache->records[index].key);
    /* a newer record counts, unless an older one was measured with more effort */
    if (!*slot || cache->records[index].times.effort >= cache->records[*slot - 1].times.effort)
        *slot = (uint32_t)index + 1;
}

/* Makes room in the index for one more record. */
static bool grow_index(cop_tune_cache *cache) {
    if (2 * (cache->count + 1) <= cache->slot_count)
        return true;
    size_t wanted = cache->slot_count ? 2 * cache->slot_count : 256;
    uint32_t *slots = cop_calloc(wanted, sizeof *slots);
    if (!slots)
        return false;
    cop_free(cache->slots);
    cache->slots = slots;
    cache->slot_count = wanted;
    for (size_t i = 0; i < cache->count; i++)
        index_record(cache, i);
    return true;
}

static bool add_record(cop_tune_cache *cache, const record *r) {
    if (!grow_index(cache) ||
        cop_grow(&cache->records, cache->count, &cache->capacity, sizeof *cache->records) != 0)
        return false;
    cache->records[cache->count++] = *r;
    index_record(cache, cache->count - 1);
    return true;
}

cop_tune_source cop_tune_cache_find(const cop_tune_cache *cache, cop_tune_key key, unsigned effort,
                                    cop_tune_times *out) {
    uint32_t slot = cache && cache->count ? *slot_of(cache, key) : 0;
    if (!slot || cache->records[slot - 1].times.effort < effort)
        return COP_TUNE_UNKNOWN;
    *out = cache->records[slot - 1].times;
    return slot - 1 < cache->stored ? COP_TUNE_STORED : COP_TUNE_ADDED;
}

void cop_tune_cache_add(cop_tune_cache *cache, cop_tune_key key, const cop_tune_times *times) {
    record r;
    memset(&r, 0, sizeof r); /* padding too: it is summed and written */
    r.key = key;
    r.times.effort = times->effort;
    r.times.count = times->count;
    r.times.measured = times->measured;
    memcpy(r.times.ms, times->ms, sizeof r.times.ms);
    r.checksum = checksum_of(&r);
    if (cache && times->count <= COP_TUNE_MOST)
        add_record(cache, &r);
}

/* ---- the file ---- */

/* Where it is; allocated. NULL: nowhere, or no memory. */
static char *find_path(void) {
    const char *own = getenv("COPPICE_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    if (own)
        return *own && strcmp(own, "off") != 0 ? cop_printf("%s/tuning", own) : NULL;
    if (xdg && *xdg == '/') /* the specification: a relative one is to be ignored */
        return cop_printf("%s/coppice/tuning", xdg);
    if (home && *home == '/')
        return cop_printf("%s/.cache/coppice/tuning", home);
    return NULL;
}

/* Locks are held for the moment of a read or a write; who holds one longer is not waited for. */
static bool lock(int fd, int how) {
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, how | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return false;
        usleep(LOCK_WAIT_US);
    }
    return false;
}

/* Reads up to `bytes`; how many there were. */
static size_t read_all(int fd, void *to, size_t bytes) {
    size_t done = 0;
    while (done < bytes) {
        ssize_t n = pread(fd, (char *)to + done, bytes - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return done;
}

/* Adds the intact records of a locked file. False: some are not, or it is no such file at all. */
static bool read_records(int fd, cop_tune_cache *cache) {
    enum { MOST_BYTES = (int)sizeof header + MOST_RECORDS * (int)sizeof(record) };
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size > MOST_BYTES)
        return false;
    if (info.st_size == 0)
        return true;
    char *bytes = cop_malloc((size_t)info.st_size);
    size_t size = bytes ? read_all(fd, bytes, (size_t)info.st_size) : 0;
    bool good = size >= sizeof header && memcmp(bytes, header, sizeof header) == 0;
    size_t at = sizeof header;
    for (; good && at + sizeof(record) <= size; at += sizeof(record)) {
        record r;
        memcpy(&r, bytes + at, sizeof r);
        if (intact(&r) ? !add_record(cache, &r) : true)
            cache->damaged = true;
    }
    cop_free(bytes);
    return good && at == size && !cache->damaged;
}

/* A folder, FIFO or device in the place of the file: nothing is read, nor written. True: it is one.
 */
static bool is_no_file(cop_tune_cache *cache, int fd) {
    struct stat info;
    if (fstat(fd, &info) != 0 || S_ISREG(info.st_mode))
        return false;
    cop_log(COPPICE_LOG_NOTE,
            "%s: is %s, not a file: measured times are not kept (COPPICE_CACHE names another "
            "folder, or is off)",
            cache->path,
            S_ISDIR(info.st_mode)    ? "a folder"
            : S_ISFIFO(info.st_mode) ? "a FIFO"
                                     : "a device or socket");
    cop_free(cache->path);
    cache->path = NULL;
    return true;
}

static void read_file(cop_tune_cache *cache) {
    int fd = open(cache->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
    if (fd < 0) {
        if (errno != ENOENT)
            cop_log(COPPICE_LOG_DEBUG, "%s: cannot be read: %s", cache->path, strerror(errno));
        return;
    }
    if (is_no_file(cache, fd)) {
        close(fd);
        return;
    }
    if (!lock(fd, LOCK_SH))
        cop_log(COPPICE_LOG_DEBUG, "%s: is in use by somebody else", cache->path);
    else if (!read_records(fd, cache))
        cache->damaged = true;
    close(fd);
    if (cache->damaged)
        cop_log(COPPICE_LOG_NOTE,
                "%s: the cache of measured kernels is damaged; what is damaged is ignored, and "
                "written anew",
                cache->path);
    cache->stored = cache->count;
}

/* Makes the folders above `path`; false, and errno says why, when one cannot be made. */
static bool make_folders(char *path) {
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool there = mkdir(path, 0700) == 0 || errno == EEXIST;
        *slash = '/';
        if (!there)
            return false;
    }
    return true;
}

/* Opens the file for writing and locks it. Another process may have put a new one in its place
 * meanwhile: a lock on the old one protects nothing. -1: not to be had. */
static int open_locked(const char *path) {
    for (int i = 0; i < REOPENINGS; i++) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
        if (fd < 0)
            return -1;
        struct stat mine, there;
        if (!lock(fd, LOCK_EX)) {
            close(fd);
            errno = EWOULDBLOCK;
            return -1;
        }
        if (fstat(fd, &mine) == 0 && S_ISREG(mine.st_mode) && stat(path, &there) == 0 &&
            mine.st_ino == there.st_ino && mine.st_dev == there.st_dev)
            return fd;
        close(fd);
    }
    errno = ESTALE;
    return -1;
}

/* `level`: NOTE, or DEBUG where the next session writes them. */
static void note_unkept(const char *path, int reason, coppice_log_level level) {
    cop_log(level,
            "%s: measured times are not kept: %s (COPPICE_CACHE names another folder, or is off)",
            path, strerror(reason));
}

/* Puts a new file in place: what is in the old one and intact, the new records behind it, of all
 * these the newest that fit half of the bound. */
static void rewrite(const cop_tune_cache *cache, int fd) {
    cop_tune_cache whole = {0};
    read_records(fd, &whole);
    for (size_t i = cache->stored; i < cache->count; i++)
        add_record(&whole, &cache->records[i]);
    size_t most = MOST_RECORDS / 2, from = whole.count > most ? whole.count - most : 0;
    cop_writer writer;
    coppice_error err;
    coppice_status status = cop_writer_open(&writer, cache->path, true, &err);
    if (!status) {
        cop_writer_write(&writer, header, sizeof header);
        cop_writer_write(&writer, whole.records + from, (whole.count - from) * sizeof(record));
        status = cop_writer_commit(&writer, &err);
    }
    if (status)
        cop_log(COPPICE_LOG_NOTE, "measured times are not kept: %s", err.message);
    cop_free(whole.records);
    cop_free(whole.slots);
}

/* One write, so that a process that is killed leaves at most a part of a record at the end. */
static void append(const cop_tune_cache *cache, int fd, off_t size) {
    size_t head = size == 0 ? sizeof header : 0;
    size_t bytes = (cache->count - cache->stored) * sizeof(record);
    char *buffer = cop_malloc(head + bytes);
    if (!buffer)
        return;
    memcpy(buffer, header, head);
    memcpy(buffer + head, cache->records + cache->stored, bytes);
    ssize_t written = pwrite(fd, buffer, head + bytes, size);
    int reason = written < 0 ? errno : ENOSPC; /* a part only: the next write would have failed */
    cop_free(buffer);
    if (written == (ssize_t)(head + bytes))
        return;
    if (ftruncate(fd, size) != 0)
        cop_log(COPPICE_LOG_DEBUG, "%s: %s", cache->path, strerror(errno));
    note_unkept(cache->path, reason, COPPICE_LOG_NOTE);
}

static void write_file(cop_tune_cache *cache) {
    int fd = open_locked(cache->path);
    if (fd < 0 && errno == ENOENT && make_folders(cache->path))
        fd = open_locked(cache->path);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) != 0) {
        bool busy = errno == EWOULDBLOCK || errno == ESTALE; /* the next one writes it */
        note_unkept(cache->path, errno, busy ? COPPICE_LOG_DEBUG : COPPICE_LOG_NOTE);
        if (fd >= 0)
            close(fd);
        return;
    }
    size_t bytes = (size_t)info.st_size, fresh = cache->count - cache->stored;
    bool whole =
        bytes == 0 || (bytes >= sizeof header && (bytes - sizeof header) % sizeof(record) == 0);
    if (!whole || cache->damaged || bytes / sizeof(record) + fresh > MOST_RECORDS)
        rewrite(cache, fd);
    else
        append(cache, fd, info.st_size);
    close(fd);
}

/* ---- all of it ---- */

cop_tune_cache *cop_tune_cache_open(bool on_disk) {
    cop_tune_cache *cache = cop_calloc(1, sizeof *cache);
    if (!cache)
        return NULL;
    cache->path = on_disk ? find_path() : NULL;
    if (cache->path)
        read_file(cache);
    return cache;
}

void cop_tune_cache_close(cop_tune_cache *cache) {
    if (!cache)
        return;
    if (cache->path && (cache->damaged || cache->count > cache->stored))
        write_file(cache);
    cop_free(cache->path);
    cop_free(cache->records);
    cop_free(cache->slots);
    cop_free(cache);
}
