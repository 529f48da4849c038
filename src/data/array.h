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
    size_t data_bytes;     /* as stored */
    size_t unit;           /* bytes of an element as stored */
    bool swap, fortran;
    bool wide; /* of strings: four bytes a character, not one */
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

/* Turns the data as stored into native order and row-major layout, and strings into an array of
 * coppice_string; in place where that can be; may replace *data (allocated) by another allocated
 * block. */
coppice_status cop_npy_normalise(const cop_npy_header *header, void **data, coppice_error *err);

/* A tensor as NumPy has it. Zero-initialise; cop_free `owned`. */
typedef struct cop_npy_form {
    coppice_tensor shape; /* without data; of strings: <U */
    size_t unit;          /* bytes of an element */
    const void *data;     /* the tensor's own, or `owned` */
    size_t bytes;
    void *owned;
} cop_npy_form;

/* Widens what NumPy has no type for (bfloat16, float8 and float4 to float32, 4-bit and 2-bit
 * integers to 8 bits), and strings to UCS-4. Errors: INVALID_ARGUMENT for an invalid shape or no
 * data; LIMIT for strings that make too large an array. */
coppice_status cop_npy_form_of(const coppice_tensor *tensor, const char *what, cop_npy_form *out,
                               coppice_error *err);

/* Writes the header for an array of this shape and element size; *length is a multiple of 64.
 * UNSUPPORTED when NumPy has no such type. */
coppice_status cop_npy_make_header(const coppice_tensor *shape, size_t unit, const char *what,
                                   unsigned char header[COP_NPY_HEADER_MAX], size_t *length,
                                   coppice_error *err);

/* From idx.c: the whole content of an idx file, plain or compressed. */
coppice_status cop_idx_decode(const unsigned char *bytes, size_t size, const char *what,
                              coppice_tensor *out, coppice_error *err);

#endif
