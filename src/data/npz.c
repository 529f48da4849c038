/* Reading NumPy's .npz files: zip archives of .npy entries, one array at a time. */
#include <inttypes.h>
#include <string.h>
#include <zip.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/npz.h"

enum { DEFLATE_RATIO = 1032 }; /* the most that deflate can shrink data by */

struct coppice_npz {
    char *path;
    zip_t *zip;
    cop_arena arena;
    cop_map index;
    const char **names;
    size_t count;
};

static const char suffix[] = ".npy";

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

void cop_npz_close_array(cop_npz_array *array) {
    if (array->file)
        zip_fclose(array->file);
    cop_free(array->what);
    *array = (cop_npz_array){0};
}

static coppice_status open_entry(coppice_npz *npz, size_t index, cop_npz_array *a,
                                 coppice_error *err) {
    zip_stat_t info;
    a->what = cop_printf("%s: array '%s'", npz->path, npz->names[index]);
    if (!a->what)
        return cop_fail_memory(err, strlen(npz->path));
    const zip_uint64_t wanted =
        ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    if (zip_stat_index(npz->zip, index, 0, &info) != 0 || (info.valid & wanted) != wanted)
        return cop_fail(err, COPPICE_BAD_DATA, "%s: damaged zip entry", a->what);
    if (info.encryption_method != ZIP_EM_NONE)
        return cop_fail(err, COPPICE_UNSUPPORTED, "%s: is encrypted", a->what);
    if (info.comp_method != ZIP_CM_STORE && info.comp_method != ZIP_CM_DEFLATE)
        return cop_fail(err, COPPICE_UNSUPPORTED,
                        "%s: zip compression method %u; only stored and deflated entries are read",
                        a->what, info.comp_method);
    uint64_t ratio = info.comp_method == ZIP_CM_STORE ? 1 : DEFLATE_RATIO;
    if (info.size / ratio > info.comp_size)
        return cop_fail(err, COPPICE_BAD_DATA,
                        "%s: claims %" PRIu64 " bytes out of %" PRIu64 " compressed ones", a->what,
                        (uint64_t)info.size, (uint64_t)info.comp_size);
    a->size = info.size;
    a->file = zip_fopen_index(npz->zip, index, 0);
    if (!a->file)
        return cop_fail(err, COPPICE_BAD_DATA, "%s: %s", a->what, zip_strerror(npz->zip));
    return COPPICE_OK;
}

coppice_status cop_npz_read_bytes(cop_npz_array *a, void *out, size_t bytes, coppice_error *err) {
    size_t done = 0;
    while (done < bytes) {
        zip_int64_t n = zip_fread(a->file, (char *)out + done, bytes - done);
        if (n < 0)
            return cop_fail(err, COPPICE_BAD_DATA, "%s: %s", a->what, zip_file_strerror(a->file));
        if (n == 0)
            return cop_fail(err, COPPICE_BAD_DATA, "%s: ends %zu bytes too early", a->what,
                            bytes - done);
        done += (size_t)n;
    }
    return COPPICE_OK;
}

static coppice_status read_header(cop_npz_array *a, coppice_error *err) {
    unsigned char prefix[COP_NPY_PREFIX];
    size_t length;
    if (a->size < sizeof prefix)
        return cop_fail(err, COPPICE_BAD_DATA, "%s: not a .npy array", a->what);
    COP_TRY(cop_npz_read_bytes(a, prefix, sizeof prefix, err));
    COP_TRY(cop_npy_header_length(prefix, sizeof prefix, a->what, &length, err));
    if (length > a->size)
        return cop_fail(err, COPPICE_BAD_DATA, "%s: the .npy header is cut short", a->what);
    if (length < sizeof prefix)
        return cop_fail(err, COPPICE_BAD_DATA, "%s: an empty .npy header", a->what);
    unsigned char *bytes = cop_malloc(length);
    if (!bytes)
        return cop_fail_memory(err, length);
    memcpy(bytes, prefix, sizeof prefix);
    coppice_status status =
        cop_npz_read_bytes(a, bytes + sizeof prefix, length - sizeof prefix, err);
    if (status == COPPICE_OK)
        status = cop_npy_parse(bytes, length, a->size, a->what, &a->header, err);
    cop_free(bytes);
    return status;
}

coppice_status cop_npz_open_array(coppice_npz *npz, size_t index, cop_npz_array *out,
                                  coppice_error *err) {
    coppice_status status = open_entry(npz, index, out, err);
    if (status == COPPICE_OK)
        status = read_header(out, err);
    if (status != COPPICE_OK)
        cop_error_locate(err, npz->path, NULL, -1);
    return status;
}

coppice_status cop_npz_finish_array(cop_npz_array *a, coppice_error *err) {
    char extra;
    zip_int64_t surplus = zip_fread(a->file, &extra, 1); /* also compares the checksum */
    if (surplus == 0)
        return COPPICE_OK;
    return cop_fail(err, COPPICE_BAD_DATA, "%s: %s", a->what,
                    surplus > 0 ? "goes on behind its end" : zip_file_strerror(a->file));
}

coppice_status coppice_npz_describe(coppice_npz *npz, size_t index, coppice_tensor *out,
                                    coppice_error *error) {
    cop_npz_array array = {0};
    *out = (coppice_tensor){0};
    coppice_status status = cop_npz_open_array(npz, index, &array, error);
    if (status == COPPICE_OK)
        *out = array.header.tensor;
    cop_npz_close_array(&array);
    return status;
}

coppice_status coppice_npz_read(coppice_npz *npz, size_t index, coppice_tensor *out,
                                coppice_error *error) {
    cop_npz_array array = {0};
    void *data = NULL;
    *out = (coppice_tensor){0};
    coppice_status status;
    COP_TRY_OR_FAIL(cop_npz_open_array(npz, index, &array, error));
    size_t bytes = array.header.data_bytes;
    data = cop_malloc(bytes ? bytes : 1);
    if (!data) {
        status = cop_fail_memory(error, bytes);
        goto fail;
    }
    COP_TRY_OR_FAIL(cop_npz_read_bytes(&array, data, bytes, error));
    COP_TRY_OR_FAIL(cop_npz_finish_array(&array, error));
    COP_TRY_OR_FAIL(cop_npy_normalise(&array.header, &data, error));
    *out = array.header.tensor;
    out->data = data;
    cop_npz_close_array(&array);
    return COPPICE_OK;
fail:
    cop_error_locate(error, npz->path, NULL, -1);
    cop_free(data);
    cop_npz_close_array(&array);
    return status;
}
