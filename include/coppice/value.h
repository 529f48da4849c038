/* Values: what goes in and out of a model. Most are tensors; some are sequences and optionals. */
#ifndef COPPICE_VALUE_H
#define COPPICE_VALUE_H

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

#ifdef __cplusplus
}
#endif

#endif
