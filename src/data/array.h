/* Arrays in files: .npy and idx (plain or gzip-compressed), viewed in place where possible. */
#ifndef COP_DATA_ARRAY_H
#define COP_DATA_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <coppice/status.h>
#include <coppice/tensor.h>

#include "base/file.h"

/* A tensor with what keeps its data alive. Zero-initialise; free with cop_array_close. */
typedef struct cop_array {
    coppice_tensor tensor; /* data points into `mapping` or is `owned` */
    cop_mapping mapping;
    void *owned;
} cop_array;

void cop_array_close(cop_array *array);

/* Opens a .npy or idx file; what it is, is decided by its first bytes. */
coppice_status cop_array_open(const char *path, cop_array *out, coppice_error *err);

/* True when the bytes begin like a .npy, an idx file or a gzip file. */
bool cop_is_array(const unsigned char *bytes, size_t size);

/* What a .npy header says. */
typedef struct cop_npy_header {
    coppice_tensor tensor; /* without data */
    size_t header_bytes;   /* where the data begin */
    size_t data_bytes;
    bool swap, fortran;
} cop_npy_header;

enum {
    COP_NPY_PREFIX = 12,            /* bytes that tell how long a header is */
    COP_NPY_HEADER_LIMIT = 1 << 20, /* longest header that is read */
    COP_NPY_HEADER_MAX = 1024       /* longest header that is written */
};

/* True when the bytes begin like a zip file, as .npz is one. */
bool cop_is_zip(const unsigned char *bytes, size_t size);

bool cop_is_npy(const unsigned char *bytes, size_t size);

/* Length of the whole header from its first bytes (at least COP_NPY_PREFIX, or all there are).
 * `what` names the file in messages. */
coppice_status cop_npy_header_length(const unsigned char *bytes, size_t size, const char *what,
                                     size_t *length, coppice_error *err);

/* Parses the header in the first `size` bytes of a file of `total` bytes, which the data must fill
 * exactly. */
coppice_status cop_npy_parse(const unsigned char *bytes, size_t size, uint64_t total,
                             const char *what, cop_npy_header *out, coppice_error *err);

/* Turns the data as stored into native order and row-major layout, in place where that can be; may
 * replace *data (allocated) by another allocated block. */
coppice_status cop_npy_normalise(const cop_npy_header *header, void **data, coppice_error *err);

/* Writes the header for a tensor of this shape; *length is a multiple of 64. UNSUPPORTED when NumPy
 * has no such type. */
coppice_status cop_npy_make_header(const coppice_tensor *tensor, const char *what,
                                   unsigned char header[COP_NPY_HEADER_MAX], size_t *length,
                                   coppice_error *err);

/* Checks that a tensor to be written has a sensible shape and data. */
coppice_status cop_npy_check(const coppice_tensor *tensor, const char *what, size_t *bytes,
                             coppice_error *err);

/* From idx.c: the whole content of an idx file, plain or compressed. */
coppice_status cop_idx_decode(const unsigned char *bytes, size_t size, const char *what,
                              coppice_tensor *out, coppice_error *err);

#endif
