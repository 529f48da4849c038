/* Writing NumPy's .npz files: a zip archive that is written from front to back, an array at a time.
 *
 * Zip: PKWARE's APPNOTE 6.3. Sizes are known only behind the data, so each entry has a data
 * descriptor; readers take them from the directory at the end. Entries and archives of 4 GB and
 * more have the zip64 records. */
#include <string.h>
#include <zlib.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "data/npz.h"

enum {
    CHUNK = 1 << 16,
    NUMBERS_LEVEL = 4,
    FLAGS_LEVEL = 1, /* does not matter to Z_RLE */
    MEMORY_LEVEL = 9,
    PLAIN = 20,              /* version of the format: deflate */
    ZIP64 = 45,              /* 8-byte sizes */
    UNIX = 3,                /* made on */
    HAS_DESCRIPTOR = 1 << 3, /* flag bits */
    NAME_IS_UTF8 = 1 << 11,
    DOS_DATE = 33, /* 1 January 1980: the same arrays, the same file */
    RECORD_MAX = 128
};

static const uint64_t max_plain_size = 0xf0000000u; /* deflate may add a little to 4 GB */
static const uint32_t in_zip64 = 0xffffffffu;
static const uint32_t permissions = 0100644u << 16;
static const char suffix[] = ".npy";

struct cop_npz_entry {
    const char *name; /* with suffix */
    uint64_t offset, packed, size;
    uint32_t crc;
    bool is_utf8, is_large;
};

/* zlib's state, kept for the whole file as it is large. */
typedef struct cop_npz_deflater {
    z_stream stream;
    bool ready;
    unsigned char out[CHUNK];
} cop_npz_deflater;

/* Little-endian numbers one behind the other. */
typedef struct record {
    unsigned char bytes[RECORD_MAX];
    size_t used;
} record;

static void put(record *r, size_t width, uint64_t value) {
    for (size_t i = 0; i < width; i++)
        r->bytes[r->used++] = (unsigned char)(value >> (8 * i));
}

static void write_record(cop_npz_writer *w, const record *r) {
    cop_writer_write(&w->file, r->bytes, r->used);
}

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

/* What the header before the data and the directory have in common. */
static void put_description(record *r, const cop_npz_entry *e, bool at_end) {
    put(r, 2, e->is_large ? ZIP64 : PLAIN);
    put(r, 2, HAS_DESCRIPTOR | (e->is_utf8 ? NAME_IS_UTF8 : 0));
    put(r, 2, Z_DEFLATED);
    put(r, 2, 0); /* time */
    put(r, 2, DOS_DATE);
    put(r, 4, at_end ? e->crc : 0);
    uint64_t absent = e->is_large ? in_zip64 : 0;
    put(r, 4, at_end && !e->is_large ? e->packed : absent);
    put(r, 4, at_end && !e->is_large ? e->size : absent);
    put(r, 2, strlen(e->name));
}

static void write_local_header(cop_npz_writer *w, const cop_npz_entry *e) {
    record r = {0};
    put(&r, 4, 0x04034b50);
    put_description(&r, e, false);
    put(&r, 2, e->is_large ? 20 : 0);
    write_record(w, &r);
    cop_writer_write(&w->file, e->name, strlen(e->name));
    if (!e->is_large)
        return;
    record extra = {0};
    put(&extra, 2, 1); /* zip64: both sizes, in the descriptor */
    put(&extra, 2, 16);
    put(&extra, 8, 0);
    put(&extra, 8, 0);
    write_record(w, &extra);
}

static void write_descriptor(cop_npz_writer *w, const cop_npz_entry *e) {
    record r = {0};
    size_t width = e->is_large ? 8 : 4;
    put(&r, 4, 0x08074b50);
    put(&r, 4, e->crc);
    put(&r, width, e->packed);
    put(&r, width, e->size);
    write_record(w, &r);
}

static void write_directory_entry(cop_npz_writer *w, const cop_npz_entry *e) {
    record r = {0}, extra = {0};
    bool far = e->offset >= in_zip64;
    put(&extra, 2, 1);
    put(&extra, 2, (e->is_large ? 16u : 0u) + (far ? 8u : 0u));
    if (e->is_large) {
        put(&extra, 8, e->size);
        put(&extra, 8, e->packed);
    }
    if (far)
        put(&extra, 8, e->offset);
    if (!e->is_large && !far)
        extra.used = 0;
    put(&r, 4, 0x02014b50);
    put(&r, 2, ZIP64 | UNIX << 8);
    put_description(&r, e, true);
    put(&r, 2, extra.used);
    put(&r, 2, 0); /* comment */
    put(&r, 2, 0); /* disk */
    put(&r, 2, 0); /* internal attributes */
    put(&r, 4, permissions);
    put(&r, 4, far ? in_zip64 : e->offset);
    write_record(w, &r);
    cop_writer_write(&w->file, e->name, strlen(e->name));
    write_record(w, &extra);
}

static void write_directory(cop_npz_writer *w) {
    uint64_t start = w->file.written;
    for (size_t i = 0; i < w->count; i++)
        write_directory_entry(w, &w->entries[i]);
    uint64_t end = w->file.written, bytes = end - start;
    bool many = w->count >= 0xffff, far = end >= in_zip64;
    record r = {0};
    if (many || far) {
        put(&r, 4, 0x06064b50);
        put(&r, 8, 44); /* bytes behind this number */
        put(&r, 2, ZIP64 | UNIX << 8);
        put(&r, 2, ZIP64);
        put(&r, 8, 0); /* disks */
        put(&r, 8, w->count);
        put(&r, 8, w->count);
        put(&r, 8, bytes);
        put(&r, 8, start);
        put(&r, 4, 0x07064b50); /* where the record above is */
        put(&r, 4, 0);
        put(&r, 8, end);
        put(&r, 4, 1);
    }
    put(&r, 4, 0x06054b50);
    put(&r, 4, 0); /* disks */
    put(&r, 2, many ? 0xffff : w->count);
    put(&r, 2, many ? 0xffff : w->count);
    put(&r, 4, far ? in_zip64 : bytes);
    put(&r, 4, far ? in_zip64 : start);
    put(&r, 2, 0); /* comment */
    write_record(w, &r);
}

/* ---- compression ---- */

static coppice_status start_deflate(cop_npz_writer *w, cop_npz_packing packing,
                                    coppice_error *err) {
    bool flags = packing == COP_NPZ_FLAGS;
    cop_npz_deflater *d = w->deflater;
    d->stream = (z_stream){0};
    if (deflateInit2(&d->stream, flags ? FLAGS_LEVEL : NUMBERS_LEVEL, Z_DEFLATED, -MAX_WBITS,
                     MEMORY_LEVEL, flags ? Z_RLE : Z_DEFAULT_STRATEGY) != Z_OK)
        return cop_fail_memory(err, CHUNK);
    d->ready = true;
    return COPPICE_OK;
}

static void run_deflate(cop_npz_writer *w, cop_npz_entry *e, int flush) {
    z_stream *z = &w->deflater->stream;
    do {
        z->next_out = w->deflater->out;
        z->avail_out = CHUNK;
        deflate(z, flush);
        size_t n = CHUNK - z->avail_out;
        cop_writer_write(&w->file, w->deflater->out, n);
        e->packed += n;
    } while (z->avail_out == 0);
}

static coppice_status append(cop_npz_writer *w, const void *data, size_t bytes,
                             coppice_error *err) {
    cop_npz_entry *e = &w->entries[w->count - 1];
    z_stream *z = &w->deflater->stream;
    const unsigned char *from = data;
    while (bytes > 0) {
        COP_TRY(cop_check_interrupt(err));
        size_t n = bytes < CHUNK ? bytes : CHUNK;
        e->crc = (uint32_t)crc32(e->crc, from, (uInt)n);
        e->size += n;
        z->next_in = (unsigned char *)from; /* zlib only reads it */
        z->avail_in = (uInt)n;
        run_deflate(w, e, Z_NO_FLUSH);
        from += n;
        bytes -= n;
    }
    return COPPICE_OK;
}

static void end_array(cop_npz_writer *w) {
    cop_npz_entry *e = &w->entries[w->count - 1];
    w->deflater->stream.avail_in = 0;
    run_deflate(w, e, Z_FINISH);
    deflateEnd(&w->deflater->stream);
    w->deflater->ready = false;
    write_descriptor(w, e);
}

/* ---- what others call ---- */

coppice_status cop_npz_writer_open(cop_npz_writer *w, const char *path, bool overwrite,
                                   coppice_error *err) {
    w->path = path;
    w->deflater = cop_calloc(1, sizeof *w->deflater);
    if (!w->deflater)
        return cop_fail_memory(err, sizeof *w->deflater);
    return cop_writer_open(&w->file, path, overwrite, err);
}

static coppice_status add_entry(cop_npz_writer *w, const char *name, uint64_t bytes,
                                coppice_error *err) {
    if (!name || !*name)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "%s: array %zu has no name", w->path,
                        w->count);
    if (cop_map_get(&w->names, name, -1) >= 0)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "%s: two arrays are called '%s'", w->path,
                        name);
    if (strlen(name) > UINT16_MAX - sizeof suffix)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "%s: a name of %zu bytes is too long",
                        w->path, strlen(name));
    char *key = cop_arena_strdup(&w->arena, name);
    char *file = cop_arena_printf(&w->arena, "%s%s", name, suffix);
    if (!key || !file || cop_grow(&w->entries, w->count, &w->capacity, sizeof *w->entries) != 0 ||
        !cop_map_set(&w->names, key, (int64_t)w->count))
        return cop_fail_memory(err, strlen(name));
    w->entries[w->count++] = (cop_npz_entry){.name = file,
                                             .offset = w->file.written,
                                             .is_utf8 = is_utf8(file),
                                             .is_large = bytes >= max_plain_size};
    return COPPICE_OK;
}

/* Starts an array of `bytes` bytes with elements of `unit`. */
static coppice_status begin(cop_npz_writer *w, const char *name, const coppice_tensor *shape,
                            size_t unit, uint64_t bytes, cop_npz_packing packing,
                            coppice_error *err) {
    unsigned char header[COP_NPY_HEADER_MAX];
    size_t length;
    coppice_status status = cop_npy_make_header(shape, unit, "this array", header, &length, err);
    if (status != COPPICE_OK) {
        cop_error_prefix(err, "%s: array '%s'", w->path, name ? name : "");
        return status;
    }
    COP_TRY(add_entry(w, name, bytes, err));
    COP_TRY(start_deflate(w, packing, err));
    write_local_header(w, &w->entries[w->count - 1]);
    COP_TRY(append(w, header, length, err));
    w->left = bytes;
    if (!w->left)
        end_array(w);
    return COPPICE_OK;
}

coppice_status cop_npz_writer_begin(cop_npz_writer *w, const char *name,
                                    const coppice_tensor *shape, cop_npz_packing packing,
                                    coppice_error *err) {
    int64_t bytes = shape->rank <= COPPICE_MAX_RANK ? coppice_tensor_bytes(shape) : -1;
    if (bytes < 0)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "%s: array '%s': an array of type %s with an invalid shape", w->path,
                        name ? name : "", coppice_type_name(shape->type));
    return begin(w, name, shape, coppice_type_bits(shape->type) / 8, (uint64_t)bytes, packing, err);
}

coppice_status cop_npz_writer_write(cop_npz_writer *w, const void *data, size_t bytes,
                                    coppice_error *err) {
    if (!bytes)
        return COPPICE_OK;
    COP_TRY(append(w, data, bytes, err));
    w->left -= bytes;
    if (!w->left)
        end_array(w);
    return COPPICE_OK;
}

coppice_status cop_npz_writer_commit(cop_npz_writer *w, coppice_error *err) {
    write_directory(w);
    return cop_writer_commit(&w->file, err);
}

void cop_npz_writer_close(cop_npz_writer *w) {
    cop_writer_abort(&w->file);
    if (w->deflater && w->deflater->ready)
        deflateEnd(&w->deflater->stream);
    cop_free(w->deflater);
    cop_free(w->entries);
    cop_map_free(&w->names);
    cop_arena_free(&w->arena);
    *w = (cop_npz_writer){0};
}

static coppice_status write_array(cop_npz_writer *w, const char *name, const coppice_tensor *tensor,
                                  coppice_error *err) {
    cop_npy_form form = {0};
    coppice_status status = cop_npy_form_of(tensor, w->path, &form, err);
    if (status == COPPICE_OK)
        status = begin(w, name, &form.shape, form.unit, form.bytes, COP_NPZ_NUMBERS, err);
    if (status == COPPICE_OK)
        status = cop_npz_writer_write(w, form.data, form.bytes, err);
    cop_free(form.owned);
    return status;
}

coppice_status coppice_npz_write(const char *path, size_t count, const char *const *names,
                                 const coppice_tensor *tensors, bool overwrite,
                                 coppice_error *error) {
    cop_npz_writer writer = {0};
    coppice_status status = cop_npz_writer_open(&writer, path, overwrite, error);
    for (size_t i = 0; status == COPPICE_OK && i < count; i++)
        status = write_array(&writer, names[i], &tensors[i], error);
    if (status == COPPICE_OK)
        status = cop_npz_writer_commit(&writer, error);
    cop_npz_writer_close(&writer);
    return status;
}
