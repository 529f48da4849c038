/* NumPy's .npz files piece by piece, for arrays that are not kept in memory as a whole. */
#ifndef COP_DATA_NPZ_H
#define COP_DATA_NPZ_H

#include <coppice/data.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/map.h"
#include "data/array.h"

/* ---- reading ---- */

/* An array that is being read. Zero-initialise; close with cop_npz_close_array. */
typedef struct cop_npz_array {
    char *what; /* "FILE: array 'NAME'", for messages */
    cop_npy_header header;
    struct zip_file *file;
    uint64_t size;
} cop_npz_array;

/* Opens an array and reads its header: header.data_bytes bytes follow, as stored. */
coppice_status cop_npz_open_array(coppice_npz *npz, size_t index, cop_npz_array *out,
                                  coppice_error *err);

/* Reads exactly `bytes` bytes. */
coppice_status cop_npz_read_bytes(cop_npz_array *array, void *out, size_t bytes,
                                  coppice_error *err);

/* Behind the last byte: refuses what goes on, and data whose checksum is wrong. */
coppice_status cop_npz_finish_array(cop_npz_array *array, coppice_error *err);
void cop_npz_close_array(cop_npz_array *array);

/* ---- writing ---- */

/* How an array is compressed. */
typedef enum cop_npz_packing {
    COP_NPZ_NUMBERS, /* deflate at a low level */
    COP_NPZ_FLAGS    /* bytes of 0 and 1: run lengths and Huffman codes only, which for masks take
                        half the time and mostly less space */
} cop_npz_packing;

typedef struct cop_npz_entry cop_npz_entry;

/* A file that appears complete or not at all, the same for the same arrays. Holds no array data.
 * Zero-initialise. */
typedef struct cop_npz_writer {
    cop_writer file;
    const char *path;
    cop_npz_entry *entries;
    size_t count, capacity;
    cop_map names;
    cop_arena arena; /* of names */
    struct cop_npz_deflater *deflater;
    uint64_t left; /* bytes that the array still wants */
} cop_npz_writer;

/* `path` is borrowed until the commit. Errors as cop_writer_open. */
coppice_status cop_npz_writer_open(cop_npz_writer *writer, const char *path, bool overwrite,
                                   coppice_error *err);

/* Begins an array of this type and shape, `data` is not looked at; the name is copied. Then write
 * exactly as many bytes as it has, in pieces. Errors: INVALID_ARGUMENT for an empty or repeated
 * name, UNSUPPORTED for a type that NumPy does not have, INTERRUPTED. */
coppice_status cop_npz_writer_begin(cop_npz_writer *writer, const char *name,
                                    const coppice_tensor *shape, cop_npz_packing packing,
                                    coppice_error *err);
coppice_status cop_npz_writer_write(cop_npz_writer *writer, const void *data, size_t bytes,
                                    coppice_error *err);

/* Writes the directory; the file gets its name. */
coppice_status cop_npz_writer_commit(cop_npz_writer *writer, coppice_error *err);

/* Releases everything; the target stays as it was unless it was committed. */
void cop_npz_writer_close(cop_npz_writer *writer);

#endif
