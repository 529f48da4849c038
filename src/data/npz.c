/* NumPy's .npz files: zip archives of .npy entries, read one array at a time, written whole. */
#include <inttypes.h>
#include <string.h>
#include <zip.h>

#include <coppice/data.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/size.h"
#include "data/array.h"

enum { DEFLATE_LEVEL = 4, DEFLATE_RATIO = 1032 }; /* the most that deflate can shrink data by */

struct coppice_npz {
    char *path;
    zip_t *zip;
    cop_arena arena;
    cop_map index;
    const char **names;
    size_t count;
};

static const char suffix[] = ".npy";

/* ---- reading ---- */

static coppice_status fail_open(const char *path, int code, coppice_error *err) {
    zip_error_t reason;
    zip_error_init_with_code(&reason, code);
    /* Each release of libzip knows more ways for a file to be damaged: they are what is left. */
    coppice_status status = COPPICE_BAD_DATA;
    if (code == ZIP_ER_OPEN || code == ZIP_ER_READ || code == ZIP_ER_SEEK)
        status = COPPICE_IO;
    else if (code == ZIP_ER_NOENT)
        status = COPPICE_NOT_FOUND;
    else if (code == ZIP_ER_MEMORY)
        status = COPPICE_OUT_OF_MEMORY;
    cop_fail(err, status, "%s: not readable as .npz (zip): %s", path, zip_error_strerror(&reason));
    zip_error_fini(&reason);
    return status;
}

/* The entry's name without ".npy", NULL when memory is short. */
static const char *array_name(coppice_npz *npz, const char *entry) {
    size_t length = strlen(entry), cut = sizeof suffix - 1;
    if (length > cut && strcmp(entry + length - cut, suffix) == 0)
        length -= cut;
    return cop_arena_strndup(&npz->arena, entry, length);
}

static coppice_status list_entries(coppice_npz *npz, coppice_error *err) {
    zip_int64_t count = zip_get_num_entries(npz->zip, 0);
    npz->count = count > 0 ? (size_t)count : 0;
    npz->names = cop_arena_array(&npz->arena, npz->count + 1, sizeof *npz->names);
    if (!npz->names)
        return cop_fail_memory(err, npz->count * sizeof *npz->names);
    for (size_t i = 0; i < npz->count; i++) {
        const char *entry = zip_get_name(npz->zip, i, ZIP_FL_ENC_RAW);
        if (!entry || !*entry)
            return cop_fail(err, COPPICE_BAD_DATA, "%s: entry %zu has no name", npz->path, i);
        npz->names[i] = array_name(npz, entry);
        if (!npz->names[i])
            return cop_fail_memory(err, strlen(entry));
        if (cop_map_get(&npz->index, npz->names[i], -1) >= 0)
            return cop_fail(err, COPPICE_BAD_DATA, "%s: array '%s' is there twice", npz->path,
                            npz->names[i]);
        if (!cop_map_set(&npz->index, npz->names[i], (int64_t)i))
            return cop_fail_memory(err, sizeof(cop_map_slot));
    }
    return COPPICE_OK;
}

coppice_status coppice_npz_open(const char *path, coppice_npz **out, coppice_error *error) {
    *out = NULL;
    coppice_status status = COPPICE_OK;
    int code = 0;
    cop_mapping probe = {0}; /* says in the usual words when this is no regular file */
    COP_TRY(cop_mapping_open(path, &probe, error));
    bool zip = cop_is_zip(probe.data, probe.bytes);
    cop_mapping_close(&probe);
    if (!zip) {
        status = cop_fail(error, COPPICE_BAD_DATA, "%s: not a .npz file", path);
        cop_error_locate(error, path, NULL, -1);
        return status;
    }
    coppice_npz *npz = cop_calloc(1, sizeof *npz);
    if (!npz || !(npz->path = cop_strdup(path))) {
        status = cop_fail_memory(error, sizeof *npz);
        goto fail;
    }
    npz->zip = zip_open(path, ZIP_RDONLY, &code);
    if (!npz->zip) {
        status = fail_open(path, code, error);
        goto fail;
    }
    COP_TRY_OR_FAIL(list_entries(npz, error));
    *out = npz;
    return COPPICE_OK;
fail:
    cop_error_locate(error, path, NULL, -1);
    coppice_npz_free(npz);
    return status;
}

void coppice_npz_free(coppice_npz *npz) {
    if (!npz)
        return;
    if (npz->zip)
        zip_discard(npz->zip);
    cop_map_free(&npz->index);
    cop_arena_free(&npz->arena);
    cop_free(npz->path);
    cop_free(npz);
}

size_t coppice_npz_count(const coppice_npz *npz) {
    return npz->count;
}

const char *coppice_npz_name(const coppice_npz *npz, size_t index) {
    return npz->names[index];
}

int64_t coppice_npz_find(const coppice_npz *npz, const char *name) {
    return cop_map_get(&npz->index, name, -1);
}

/* One entry being read. `what` names it in messages. */
typedef struct entry {
    zip_file_t *file;
    char *what;
    uint64_t size;
} entry;

static void close_entry(entry *e) {
    if (e->file)
        zip_fclose(e->file);
    cop_free(e->what);
    *e = (entry){0};
}

static coppice_status open_entry(coppice_npz *npz, size_t index, entry *e, coppice_error *err) {
    zip_stat_t info;
    e->what = cop_printf("%s: array '%s'", npz->path, npz->names[index]);
    if (!e->what)
        return cop_fail_memory(err, strlen(npz->path));
    const zip_uint64_t wanted =
        ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    if (zip_stat_index(npz->zip, index, 0, &info) != 0 || (info.valid & wanted) != wanted)
        return cop_fail(err, COPPICE_BAD_DATA, "%s: damaged zip entry", e->what);
    if (info.encryption_method != ZIP_EM_NONE)
        return cop_fail(err, COPPICE_UNSUPPORTED, "%s: is encrypted", e->what);
    if (info.comp_method != ZIP_CM_STORE && info.comp_method != ZIP_CM_DEFLATE)
        return cop_fail(err, COPPICE_UNSUPPORTED,
                        "%s: zip compression method %u; only stored and deflated entries are read",
                        e->what, info.comp_method);
    uint64_t ratio = info.comp_method == ZIP_CM_STORE ? 1 : DEFLATE_RATIO;
    if (info.size / ratio > info.comp_size)
        return cop_fail(err, COPPICE_BAD_DATA,
                        "%s: claims %" PRIu64 " bytes out of %" PRIu64 " compressed ones", e->what,
                        (uint64_t)info.size, (uint64_t)info.comp_size);
    e->size = info.size;
    e->file = zip_fopen_index(npz->zip, index, 0);
    if (!e->file)
        return cop_fail(err, COPPICE_BAD_DATA, "%s: %s", e->what, zip_strerror(npz->zip));
    return COPPICE_OK;
}

/* Reads exactly `bytes` bytes. */
static coppice_status read_exactly(entry *e, void *out, size_t bytes, coppice_error *err) {
    size_t done = 0;
    while (done < bytes) {
        zip_int64_t n = zip_fread(e->file, (char *)out + done, bytes - done);
        if (n < 0)
            return cop_fail(err, COPPICE_BAD_DATA, "%s: %s", e->what, zip_file_strerror(e->file));
        if (n == 0)
            return cop_fail(err, COPPICE_BAD_DATA, "%s: ends %zu bytes too early", e->what,
                            bytes - done);
        done += (size_t)n;
    }
    return COPPICE_OK;
}

static coppice_status read_header(entry *e, cop_npy_header *header, coppice_error *err) {
    unsigned char prefix[COP_NPY_PREFIX];
    size_t length;
    if (e->size < sizeof prefix)
        return cop_fail(err, COPPICE_BAD_DATA, "%s: not a .npy array", e->what);
    COP_TRY(read_exactly(e, prefix, sizeof prefix, err));
    COP_TRY(cop_npy_header_length(prefix, sizeof prefix, e->what, &length, err));
    if (length > e->size)
        return cop_fail(err, COPPICE_BAD_DATA, "%s: the .npy header is cut short", e->what);
    if (length < sizeof prefix)
        return cop_fail(err, COPPICE_BAD_DATA, "%s: an empty .npy header", e->what);
    unsigned char *bytes = cop_malloc(length);
    if (!bytes)
        return cop_fail_memory(err, length);
    memcpy(bytes, prefix, sizeof prefix);
    coppice_status status = read_exactly(e, bytes + sizeof prefix, length - sizeof prefix, err);
    if (status == COPPICE_OK)
        status = cop_npy_parse(bytes, length, e->size, e->what, header, err);
    cop_free(bytes);
    return status;
}

coppice_status coppice_npz_describe(coppice_npz *npz, size_t index, coppice_tensor *out,
                                    coppice_error *error) {
    entry e = {0};
    cop_npy_header header;
    *out = (coppice_tensor){0};
    coppice_status status = open_entry(npz, index, &e, error);
    if (status == COPPICE_OK)
        status = read_header(&e, &header, error);
    if (status == COPPICE_OK)
        *out = header.tensor;
    else
        cop_error_locate(error, npz->path, NULL, -1);
    close_entry(&e);
    return status;
}

coppice_status coppice_npz_read(coppice_npz *npz, size_t index, coppice_tensor *out,
                                coppice_error *error) {
    entry e = {0};
    cop_npy_header header;
    void *data = NULL;
    char extra;
    *out = (coppice_tensor){0};
    coppice_status status;
    COP_TRY_OR_FAIL(open_entry(npz, index, &e, error));
    COP_TRY_OR_FAIL(read_header(&e, &header, error));
    data = cop_malloc(header.data_bytes ? header.data_bytes : 1);
    if (!data) {
        status = cop_fail_memory(error, header.data_bytes);
        goto fail;
    }
    COP_TRY_OR_FAIL(read_exactly(&e, data, header.data_bytes, error));
    zip_int64_t surplus = zip_fread(e.file, &extra, 1); /* also compares the checksum */
    if (surplus != 0) {
        status = cop_fail(error, COPPICE_BAD_DATA, "%s: %s", e.what,
                          surplus > 0 ? "goes on behind its end" : zip_file_strerror(e.file));
        goto fail;
    }
    COP_TRY_OR_FAIL(cop_npy_normalise(&header, &data, error));
    *out = header.tensor;
    out->data = data;
    close_entry(&e);
    return COPPICE_OK;
fail:
    cop_error_locate(error, npz->path, NULL, -1);
    cop_free(data);
    close_entry(&e);
    return status;
}

/* ---- writing ---- */

static bool is_utf8(const char *text) {
    const unsigned char *at = (const unsigned char *)text;
    while (*at) {
        int more = *at < 0x80 ? 0 : *at >= 0xc2 && *at < 0xe0 ? 1 : *at < 0xf0 ? 2 : 3;
        if (*at >= 0x80 && (*at < 0xc2 || *at > 0xf4))
            return false;
        at++;
        for (; more > 0; more--, at++) {
            if ((*at & 0xc0) != 0x80)
                return false;
        }
    }
    return true;
}

/* Adds one array; header and name live in `arena`, the data stay where they are, until the archive
 * is closed. */
static coppice_status add_array(zip_t *zip, cop_arena *arena, const char *path, const char *name,
                                const coppice_tensor *tensor, coppice_error *err) {
    char *file = cop_arena_printf(arena, "%s%s", name, suffix);
    char *what = cop_arena_printf(arena, "%s: array '%s'", path, name);
    unsigned char *header = cop_arena_alloc(arena, COP_NPY_HEADER_MAX);
    if (!file || !what || !header)
        return cop_fail_memory(err, COP_NPY_HEADER_MAX);
    size_t length, bytes;
    COP_TRY(cop_npy_check(tensor, what, &bytes, err));
    COP_TRY(cop_npy_make_header(tensor, what, header, &length, err));
    zip_buffer_fragment_t parts[2] = {{header, length}, {tensor->data, bytes}};
    zip_source_t *source = zip_source_buffer_fragment(zip, parts, bytes ? 2 : 1, 0);
    if (!source)
        return cop_fail(err, COPPICE_OUT_OF_MEMORY, "%s: %s", what, zip_strerror(zip));
    zip_flags_t encoding = is_utf8(file) ? ZIP_FL_ENC_UTF_8 : ZIP_FL_ENC_CP437;
    zip_int64_t index = zip_file_add(zip, file, source, encoding);
    if (index < 0) {
        zip_source_free(source);
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "%s: %s", what, zip_strerror(zip));
    }
    /* DOS time 0, 1 January 1980: the same arrays give the same file */
    if (zip_set_file_compression(zip, (zip_uint64_t)index, ZIP_CM_DEFLATE, DEFLATE_LEVEL) != 0 ||
        zip_file_set_dostime(zip, (zip_uint64_t)index, 0, 33, 0) != 0)
        return cop_fail(err, COPPICE_INTERNAL, "%s: %s", what, zip_strerror(zip));
    return COPPICE_OK;
}

static coppice_status check_names(const char *path, size_t count, const char *const *names,
                                  coppice_error *err) {
    cop_map seen = {0};
    coppice_status status = COPPICE_OK;
    for (size_t i = 0; i < count && status == COPPICE_OK; i++) {
        if (!names[i] || !*names[i])
            status = cop_fail(err, COPPICE_INVALID_ARGUMENT, "%s: array %zu has no name", path, i);
        else if (cop_map_get(&seen, names[i], -1) >= 0)
            status = cop_fail(err, COPPICE_INVALID_ARGUMENT, "%s: two arrays are called '%s'", path,
                              names[i]);
        else if (!cop_map_set(&seen, names[i], (int64_t)i))
            status = cop_fail_memory(err, sizeof(cop_map_slot));
    }
    cop_map_free(&seen);
    return status;
}

/* Copies the finished archive from memory to the file. */
static coppice_status save_source(zip_source_t *source, const char *path, bool overwrite,
                                  coppice_error *err) {
    cop_writer writer = {0};
    char chunk[1 << 16];
    if (zip_source_open(source) != 0)
        return cop_fail(err, COPPICE_INTERNAL, "%s: the archive is not readable", path);
    coppice_status status = cop_writer_open(&writer, path, overwrite, err);
    zip_int64_t n = 0;
    while (status == COPPICE_OK && (n = zip_source_read(source, chunk, sizeof chunk)) > 0)
        cop_writer_write(&writer, chunk, (size_t)n);
    if (status == COPPICE_OK && n < 0) {
        status = cop_fail(err, COPPICE_INTERNAL, "%s: the archive is not readable", path);
        cop_writer_abort(&writer);
    }
    if (status == COPPICE_OK)
        status = cop_writer_commit(&writer, err);
    zip_source_close(source);
    return status;
}

/* libzip makes no file for an archive without entries. */
static coppice_status save_empty(const char *path, bool overwrite, coppice_error *err) {
    static const unsigned char end[22] = {'P', 'K', 5, 6};
    cop_writer writer = {0};
    COP_TRY(cop_writer_open(&writer, path, overwrite, err));
    cop_writer_write(&writer, end, sizeof end);
    return cop_writer_commit(&writer, err);
}

coppice_status coppice_npz_write(const char *path, size_t count, const char *const *names,
                                 const coppice_tensor *tensors, bool overwrite,
                                 coppice_error *error) {
    COP_TRY(check_names(path, count, names, error));
    if (count == 0)
        return save_empty(path, overwrite, error);
    cop_arena arena = {0};
    zip_t *zip = NULL;
    zip_error_t reason;
    coppice_status status = COPPICE_OK;
    zip_error_init(&reason);
    zip_source_t *memory = zip_source_buffer_create(NULL, 0, 0, &reason);
    if (memory)
        zip = zip_open_from_source(memory, ZIP_CREATE | ZIP_TRUNCATE, &reason);
    if (!zip) {
        status =
            cop_fail(error, COPPICE_OUT_OF_MEMORY, "%s: %s", path, zip_error_strerror(&reason));
        zip_source_free(memory);
        memory = NULL;
        goto done;
    }
    zip_source_keep(memory);
    for (size_t i = 0; i < count && status == COPPICE_OK; i++)
        status = add_array(zip, &arena, path, names[i], &tensors[i], error);
    if (status == COPPICE_OK && zip_close(zip) != 0)
        status = cop_fail(error, COPPICE_OUT_OF_MEMORY, "%s: %s", path, zip_strerror(zip));
    else if (status == COPPICE_OK)
        zip = NULL;
    if (status == COPPICE_OK)
        status = save_source(memory, path, overwrite, error);
done:
    if (zip)
        zip_discard(zip);
    if (memory)
        zip_source_free(memory);
    zip_error_fini(&reason);
    cop_arena_free(&arena);
    return status;
}
