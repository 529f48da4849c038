/* Data sets: images, label files and named arrays, as batches of tensors; .npy and .npz files.
 *
 * Every file is untrusted: what does not fit (lengths, types, shapes) is refused with a message
 * that names the file. Multi-byte numbers may be stored in either byte order. Nothing in here needs
 * a model: what the model wants is given as coppice_value_info. Memory is that of the C library.
 *
 * Threads: functions on files may run in several threads at once; an open .npz and a data set
 * belong to one thread at a time. */
#ifndef COPPICE_DATA_H
#define COPPICE_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <coppice/export.h>
#include <coppice/model.h>
#include <coppice/status.h>
#include <coppice/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- one array: .npy ---- */

/* Reads a NumPy array file (format 1, 2 or 3; C or Fortran order; bool, integers, floats, complex,
 * strings). `out->data` is owned by the caller: release it with coppice_tensor_release. Strings
 * come out as UTF-8 (|S: as the bytes they are), their bytes in the same block as out->data; NULs
 * at their ends are lost, as NumPy cannot have them. On failure `out` is zeroed. Errors: NOT_FOUND,
 * IO; BAD_DATA (damaged, or the length disagrees with the shape); UNSUPPORTED (Python objects,
 * structures); LIMIT (rank above COPPICE_MAX_RANK). Thread-safe. */
COPPICE_API coppice_status coppice_npy_read(const char *path, coppice_tensor *out,
                                            coppice_error *error);

/* Writes a file that appears complete or not at all, format 1, little-endian, C order. What NumPy
 * has no type for is widened: bfloat16, float8 and float4 to float32, 4-bit and 2-bit integers to
 * 8 bits. Strings become <U; bytes that are no UTF-8 U+DC80 to U+DCFF, as Python has it. Errors:
 * EXISTS when `overwrite` is false and the file is there; UNSUPPORTED for types without a NumPy
 * counterpart; IO. Thread-safe. */
COPPICE_API coppice_status coppice_npy_write(const char *path, const coppice_tensor *tensor,
                                             bool overwrite, coppice_error *error);

/* Rounds a tensor that a function here read to a type that NumPy lacks, which it can hold in a
 * wider one: float32 to float16, bfloat16, float8 and float4 (to nearest even; too large a number
 * becomes infinite or NaN where the type has that), int8 and uint8 to 4 and 2 bits. Errors:
 * INVALID_ARGUMENT for other types, and integers that do not fit; OUT_OF_MEMORY. Thread-safe. */
COPPICE_API coppice_status coppice_tensor_narrow(coppice_tensor *tensor, coppice_type type,
                                                 coppice_error *error);

/* Frees the data of a tensor that a function here made, and zeroes it. NULL is allowed. */
COPPICE_API void coppice_tensor_release(coppice_tensor *tensor);

/* ---- named arrays: .npz ---- */

/* An open .npz file. Not thread-safe. */
typedef struct coppice_npz coppice_npz;

/* Opens a .npz and lists its arrays; data are read one array at a time. A name is the zip entry's
 * without ".npy", any characters. Only stored and deflated entries are read. `*out` is owned by the
 * caller, NULL on failure. Errors: NOT_FOUND, IO, BAD_DATA, UNSUPPORTED. */
COPPICE_API coppice_status coppice_npz_open(const char *path, coppice_npz **out,
                                            coppice_error *error);

/* Arrays in the order of the file. `index` must be below the count; names are owned by `npz`. */
COPPICE_API size_t coppice_npz_count(const coppice_npz *npz);
COPPICE_API const char *coppice_npz_name(const coppice_npz *npz, size_t index);

/* Index of the array `name`, -1 when there is none. */
COPPICE_API int64_t coppice_npz_find(const coppice_npz *npz, const char *name);

/* Type and shape of an array without its data (`out->data` is NULL). Errors as coppice_npy_read. */
COPPICE_API coppice_status coppice_npz_describe(coppice_npz *npz, size_t index, coppice_tensor *out,
                                                coppice_error *error);

/* Reads an array; release it with coppice_tensor_release. Errors as coppice_npy_read; an entry that
 * is longer or shorter than its own header says is BAD_DATA. */
COPPICE_API coppice_status coppice_npz_read(coppice_npz *npz, size_t index, coppice_tensor *out,
                                            coppice_error *error);

/* NULL is fine. */
COPPICE_API void coppice_npz_free(coppice_npz *npz);

/* Writes `count` arrays, deflated, under distinct names. The file appears complete or not at all
 * and is the same for the same arrays (no time stamps). Names and tensors are borrowed until the
 * return. Errors as coppice_npy_write; INVALID_ARGUMENT for an empty or repeated name. Thread-safe.
 */
COPPICE_API coppice_status coppice_npz_write(const char *path, size_t count,
                                             const char *const *names,
                                             const coppice_tensor *tensors, bool overwrite,
                                             coppice_error *error);

/* ---- data sets ---- */

typedef enum coppice_layout {
    COPPICE_LAYOUT_AUTO = 0, /* 8-bit arrays are NHWC, float arrays NCHW */
    COPPICE_LAYOUT_NHWC,
    COPPICE_LAYOUT_NCHW
} coppice_layout;

/* Channels that `mean` and `std` can name. */
#define COPPICE_MAX_CHANNELS 16

/* What to read and how to prepare it: the DATA options of the command line. Start from
 * coppice_dataset_options_init. Strings are borrowed until coppice_dataset_open returns. */
typedef struct coppice_dataset_options {
    /* Images for the one model input that `inputs` does not name; NULL: none. One of
     * - a .npy: 8-bit [n,h,w,c], or [n,h,w] for grey; or float, [n,c,h,w] (see `layout`);
     * - an idx file as of MNIST, gzip-compressed or not;
     * - a JPEG or PNG file, or a folder of them in order of their names (bytewise); a folder of
     *   folders of images labels itself: a label is the rank of the sub-folder's name.
     * What a file is, is decided by its content. Hidden files and files that have no image suffix
     * (.jpg .jpeg .png) are not part of a folder; other image formats there are an error. */
    const char *images;
    /* A .npy of integers, an idx file, or a text file with a line "name label" per image (images of
     * a folder are found by name; otherwise lines are in order, and the name may be missing);
     * NULL: none, or the folders' own. */
    const char *labels;
    /* "name=X.npy": the array for input `name` (without "name=" for the only input); "Z.npz": each
     * input by its name; "name=Z.npz": the array `name` of that file, or its only one. The first
     * axis is the sample. An array with one axis more than the input is a whole input per sample.
     */
    const char *const *inputs;
    size_t input_count;

    /* Preparation of images, in this order. */
    int64_t resize; /* short side in pixels; 0: no. Antialiased bilinear, the same as Pillow's for
                       8-bit images; the long side is floor(resize * long / short) */
    int64_t crop;   /* centre square, from floor((side - crop) / 2); 0: no */
    coppice_layout layout;             /* of the data in arrays */
    bool bgr;                          /* reverse the three channels (images are RGB) */
    double scale;                      /* (x * scale - mean) / std; default 1, 0, 1 */
    double mean[COPPICE_MAX_CHANNELS]; /* in the model's channel order, after `bgr` */
    double std[COPPICE_MAX_CHANNELS];
    size_t mean_count, std_count; /* 0, 1 (for every channel), or the number of channels */

    int64_t limit; /* only the first `limit` samples; 0: all */
} coppice_dataset_options;

/* Sets every member to its default. */
COPPICE_API void coppice_dataset_options_init(coppice_dataset_options *options);

/* An open data set. Large files are mapped and images decoded per batch, so memory does not grow
 * with the number of samples. Not thread-safe. */
typedef struct coppice_dataset coppice_dataset;

/* Opens the data for a model with these inputs (borrowed until the return), checks types, shapes
 * and label counts as far as that needs no decoding. Grey images become what the model wants
 * (1 channel, or 3 equal ones), colour becomes luma for a 1-channel model, alpha is dropped, 16-bit
 * samples keep their high byte, CMYK is converted. Floats are converted between precisions and
 * integers between widths where every value fits; integer arrays never become floats except as
 * images. A model input of rank 4 is NCHW, or NHWC when only its last dimension is 1 or 3.
 * `*out` is owned by the caller: free with coppice_dataset_free; NULL on failure.
 * Errors: INVALID_ARGUMENT (options, an input without data, a name the model does not have),
 * NOT_FOUND, IO, BAD_DATA, UNSUPPORTED, OUT_OF_MEMORY. */
COPPICE_API coppice_status coppice_dataset_open(const coppice_dataset_options *options,
                                                const coppice_value_info *inputs,
                                                size_t input_count, coppice_dataset **out,
                                                coppice_error *error);

/* Number of samples, at least 1. */
COPPICE_API int64_t coppice_dataset_count(const coppice_dataset *dataset);

/* Were there labels, given or by folders? */
COPPICE_API bool coppice_dataset_has_labels(const coppice_dataset *dataset);

/* The largest `n` of a batch: the model's fixed first dimension, 1 for arrays with a whole input
 * per sample, INT64_MAX when free. */
COPPICE_API int64_t coppice_dataset_max_batch(const coppice_dataset *dataset);

/* Makes samples first .. first + n - 1: one tensor per model input, in the order given at the
 * opening, data borrowed until the next call or the free. `labels` (may be NULL) gets n values, -1
 * without labels. Tensors have n rows; where the model fixes the first dimension to more than n,
 * that many: the last sample repeated, not to be counted.
 * Errors: INVALID_ARGUMENT (range), BAD_DATA (a damaged image or one of the wrong size),
 * INTERRUPTED, OUT_OF_MEMORY. */
COPPICE_API coppice_status coppice_dataset_batch(coppice_dataset *dataset, int64_t first, int64_t n,
                                                 coppice_tensor *tensors, int64_t *labels,
                                                 coppice_error *error);

/* NULL is fine. */
COPPICE_API void coppice_dataset_free(coppice_dataset *dataset);

#ifdef __cplusplus
}
#endif

#endif
