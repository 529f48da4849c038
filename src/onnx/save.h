/* The steps of saving: changes of the message that last until it is packed. */
#ifndef COP_ONNX_SAVE_H
#define COP_ONNX_SAVE_H

#include "onnx/internal.h"
#include "onnx/stream.h"

/* Smaller tensors stay in the model file when there is a data file. */
#define COP_MIN_EXTERNAL_BYTES 1024

/* A part of the message as it was before it was changed for saving. */
typedef struct cop_change {
    void *at, *saved;
    size_t bytes;
    struct cop_change *before;
} cop_change;

typedef struct cop_saver {
    coppice_model *model;
    cop_arena arena;    /* of what is made for saving only */
    cop_change *latest; /* undone, newest first, behind the packing */
    cop_streams streams;
    const char *data_name;
    cop_writer file, data;
    coppice_error *err;
} cop_saver;

/* Remembers `bytes` bytes at `at`, which the caller changes next. */
coppice_status cop_saver_remember(cop_saver *saver, void *at, size_t bytes);

/* Finds the constants that `masks` (may be NULL) are for. Errors: INVALID_ARGUMENT. */
coppice_status cop_saver_find_masks(cop_saver *saver, const coppice_masks *masks);

/* Brings edits and masks of constants into the message; data from data files too. Moves sparse
 * initializers that are smaller dense to the dense ones. */
coppice_status cop_saver_apply_edits(cop_saver *saver);

/* Writes large initializers to saver->data and points the message there. */
coppice_status cop_saver_move_out(cop_saver *saver);

/* Writes a changed sparse tensor, in whichever form is smaller. */
coppice_status cop_sparse_store(cop_saver *saver, cop_origin *origin);

#endif
