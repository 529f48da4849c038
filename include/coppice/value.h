/* Values: what goes in and out of a model. Most are tensors; some are sequences and optionals. */
#ifndef COPPICE_VALUE_H
#define COPPICE_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include <coppice/export.h>
#include <coppice/status.h>
#include <coppice/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum coppice_kind {
    COPPICE_KIND_TENSOR,
    COPPICE_KIND_SEQUENCE, /* of tensors, or of sequences */
    COPPICE_KIND_OPTIONAL, /* a tensor or a sequence, or nothing */
    COPPICE_KIND_MAP       /* of no operator that coppice has: such models can be pruned, not run */
} coppice_kind;

/* "tensor", ... Static storage. Thread-safe. */
COPPICE_API const char *coppice_kind_name(coppice_kind kind);

/* Who owns `tensor.data` and `items` is said where the value is passed. */
typedef struct coppice_value {
    coppice_kind kind;
    coppice_tensor tensor; /* of other kinds only `type` counts: that of the tensors inside,
                              UNDEFINED when not known */
    const struct coppice_value *items; /* of a sequence; of an optional its one value */
    size_t count;                      /* of items; an optional has 0 or 1 */
} coppice_value;

/* ---- values in files, as ONNX's test data have them ---- */

/* Reads a .pb file: a TensorProto, a SequenceProto or an OptionalProto. A file does not say which
 * it is; `kind` does, as coppice_model_input has it. Everything in *out is owned by the caller:
 * free with coppice_value_release. On failure *out is zeroed. Errors: NOT_FOUND, IO; BAD_DATA
 * (damaged, of another kind, or data that disagree with the shape); UNSUPPORTED (maps, sparse
 * tensors, unknown element types, external data); LIMIT (rank above COPPICE_MAX_RANK, sequences
 * nested deeper than 16, more than 2 GB). Thread-safe. */
COPPICE_API coppice_status coppice_value_read(const char *path, coppice_kind kind,
                                              coppice_value *out, coppice_error *error);

/* Writes such a file, complete or not at all; `name` goes into its `name` field, NULL: none.
 * Errors: EXISTS when `overwrite` is false and the file is there; INVALID_ARGUMENT for a value
 * without valid data; UNSUPPORTED for maps; LIMIT for more than 2 GB; IO. Thread-safe. */
COPPICE_API coppice_status coppice_value_write(const char *path, const char *name,
                                               const coppice_value *value, bool overwrite,
                                               coppice_error *error);

/* Gives a value of another kind than a tensor `count` items, zeroed, in memory that
 * coppice_value_release frees; their data must be blocks that a function of coppice made. Returns
 * them, NULL when memory is short. */
COPPICE_API coppice_value *coppice_value_items(coppice_value *value, size_t count);

/* Frees what coppice_value_read made, and zeroes the value. NULL is fine. */
COPPICE_API void coppice_value_release(coppice_value *value);

/* Is `got` what was wanted? Kinds, types and shapes must be equal, and so must integers, bools and
 * strings; floats and complex numbers of every width may differ by atol + rtol * |wanted| each. NaN
 * equals NaN, an infinity itself. When they differ, `reason` gets one line that says where and by
 * how much, cut to `size` bytes; it may be NULL. Thread-safe. */
COPPICE_API bool coppice_value_is_close(const coppice_value *got, const coppice_value *wanted,
                                        double rtol, double atol, char *reason, size_t size);

#ifdef __cplusplus
}
#endif

#endif
